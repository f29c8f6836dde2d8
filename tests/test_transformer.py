"""The parts of a Transformer block and the block itself, against torch and finite differences."""

import numpy as np
import pytest
import torch

from lstmcourse import torch_ref
from lstmcourse.attention import causal_mask
from lstmcourse.gradcheck import assert_gradients, relative_error
from lstmcourse.layers import embedding_backward, embedding_forward
from lstmcourse.train import init_transformer_block, tree_map
from lstmcourse.transformer import (
    feed_forward_backward,
    feed_forward_forward,
    layer_norm_backward,
    layer_norm_forward,
    positional_encoding,
    transformer_block_backward,
    transformer_block_forward,
)
from tests import torch_models
from tests.compare import assert_agree

B, T, E, F, HEADS = 3, 5, 6, 7, 3

norm_first = pytest.mark.parametrize("norm_first", [True, False], ids=["norm first", "norm last"])


def flat(tree, name=""):
    """The arrays of nested dicts as one dict, with names like "self_attn W_q"."""
    if not isinstance(tree, dict):
        return {name: tree}
    return {key: value for part in tree for key, value in flat(tree[part], f"{name} {part}".strip()).items()}


def nested(arrays):
    """The inverse of `flat`."""
    tree = {}
    for name, array in arrays.items():
        *parts, last = name.split()
        inner = tree
        for part in parts:
            inner = inner.setdefault(part, {})
        inner[last] = array
    return tree


def block_params(rng, dtype="float64"):
    """Params of a block, none of them at its start of 0 or 1."""
    return tree_map(lambda a: (a + 0.5 * rng.standard_normal(a.shape)).astype(dtype), init_transformer_block(E, F, rng))


def block_mask(rng):
    """Causal, and the second sequence has padding after three steps."""
    return causal_mask(T) & (np.arange(T) < np.array([T, 3, T])[:, None])[:, None]


@pytest.mark.parametrize("shape", [(4, 9), (2, 3, 7), (1, 5, 2, 6)], ids=str)
def test_layer_norm_matches_torch(shape, rng):
    D = shape[-1]
    inputs = [3 + 2 * rng.standard_normal(shape), {"W": rng.standard_normal(D), "b": rng.standard_normal(D)}]
    y, cache = layer_norm_forward(*inputs)
    upstream = rng.standard_normal(shape)
    (y_torch,), (dx_torch, grads_torch) = torch_ref.torch_gradients(
        lambda x, p: torch.nn.functional.layer_norm(x, (D,), p["W"], p["b"]), inputs, [upstream])
    dx, grads = layer_norm_backward(upstream, cache)
    assert relative_error(y, y_torch) < 1e-12
    assert relative_error(dx, dx_torch) < 1e-12
    assert set(grads) == {"W", "b"}
    assert_agree(grads, grads_torch, 1e-12)


def test_layer_norm_backward_matches_finite_differences(rng):
    inputs = [rng.standard_normal((2, 3, 5)), {"W": rng.standard_normal(5), "b": rng.standard_normal(5)}]
    assert_gradients(layer_norm_forward, layer_norm_backward, inputs, rng)


def test_layer_norm_makes_mean_0_and_variance_1_of_every_step(rng):
    y, _ = layer_norm_forward(50 + 9 * rng.standard_normal((2, 3, 8)), {"W": np.ones(8), "b": np.zeros(8)})
    assert np.abs(y.mean(axis=-1)).max() < 1e-14
    assert np.allclose(y.var(axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("eps", [1e-5, np.float64(1e-3)])
def test_layer_norm_keeps_float32(eps, rng):
    x, params = rng.standard_normal((2, 3, 4)).astype("float32"), {key: np.ones(4, "float32") for key in "Wb"}
    y, cache = layer_norm_forward(x, params, eps)
    dx, grads = layer_norm_backward(y, cache)
    assert {a.dtype.name for a in (y, dx, *grads.values())} == {"float32"}


@pytest.mark.parametrize(("change", "message"), [
    ({"W": np.ones(3)}, r"params\['W'\] has shape \(3,\); wanted \(4,\)"),
    ({"b": np.ones(4, "float32")}, r"params\['b'\] has dtype float32; wanted float64"),
    ({"x": np.ones((2, 4), int)}, "x has dtype int64; wanted float64 or float32"),
    ({"weight": 0}, "params has no 'b': it has")], ids=["W", "b", "x", "keys"])
def test_wrong_argument_of_layer_norm_is_named(change, message):
    params = {"W": np.ones(4), "b": np.ones(4)} | {key: value for key, value in change.items() if key != "x"}
    if "weight" in change:
        del params["b"]
    with pytest.raises(ValueError, match=message):
        layer_norm_forward(change.get("x", np.ones((2, 4))), params)


def test_wrong_upstream_of_layer_norm_is_named():
    _, cache = layer_norm_forward(np.ones((2, 4)), {"W": np.ones(4), "b": np.ones(4)})
    with pytest.raises(ValueError, match=r"dy has shape \(2, 3\); wanted \(2, 4\)"):
        layer_norm_backward(np.ones((2, 3)), cache)


def test_feed_forward_matches_torch(rng):
    params = {name: block_params(rng)[name] for name in ("linear1", "linear2")}
    inputs = [rng.standard_normal((B, T, E)), flat(params)]

    def run(x, p):
        hidden = torch.relu(torch.nn.functional.linear(x, p["linear1 W"], p["linear1 b"]))
        return torch.nn.functional.linear(hidden, p["linear2 W"], p["linear2 b"])
    y, cache = feed_forward_forward(inputs[0], params)
    upstream = rng.standard_normal(y.shape)
    (y_torch,), (dx_torch, grads_torch) = torch_ref.torch_gradients(run, inputs, [upstream])
    dx, grads = feed_forward_backward(upstream, cache)
    assert relative_error(y, y_torch) < 1e-12
    assert relative_error(dx, dx_torch) < 1e-12
    assert_agree(flat(grads), grads_torch, 1e-12)


def test_feed_forward_backward_matches_finite_differences(rng):
    params = {name: block_params(rng)[name] for name in ("linear1", "linear2")}

    def backward(dy, cache):
        dx, grads = feed_forward_backward(dy, cache)
        return dx, flat(grads)
    assert_gradients(lambda x, p: feed_forward_forward(x, nested(p)), backward,
                     [rng.standard_normal((2, 3, E)), flat(params)], rng)


def test_positional_encoding_is_the_formula():
    P = positional_encoding(4, 5)
    for t in range(4):
        for k in range(5):
            angle = t / 10000 ** ((k - k % 2) / 5)
            assert np.isclose(P[t, k], np.cos(angle) if k % 2 else np.sin(angle), rtol=1e-14), (t, k)


def test_positional_encoding_of_a_longer_sequence_begins_the_same():
    assert np.array_equal(positional_encoding(9, 6)[:4], positional_encoding(4, 6))


def test_positional_encodings_at_one_distance_have_one_dot_product():
    P = positional_encoding(20, 8)
    products = P @ P.T
    for distance in range(20):
        diagonal = np.diagonal(products, distance)
        assert np.allclose(diagonal, diagonal[0], rtol=1e-12)


def test_positional_encoding_has_the_dtype_asked_for():
    assert positional_encoding(4, 6, "float32").dtype == np.float32


def test_learned_positions_are_an_embedding(rng):
    params = {"W": rng.standard_normal((T, E))}
    _, cache = embedding_forward(np.arange(3), params)
    dx = rng.standard_normal((3, E))
    assert np.array_equal(embedding_backward(dx, cache)["W"], np.concatenate([dx, np.zeros((T - 3, E))]))


@norm_first
def test_block_matches_torch(norm_first, rng):
    x, mask, params = rng.standard_normal((B, T, E)), block_mask(rng), block_params(rng)
    y, _, cache = transformer_block_forward(x, mask, params, HEADS, norm_first)
    upstream = rng.standard_normal(y.shape)
    run = torch_models.torch_block(mask, HEADS, norm_first)
    (y_torch,), (dx_torch, grads_torch) = torch_ref.torch_gradients(
        lambda x, p: run(x, nested(p)), [x, flat(params)], [upstream])
    dx, grads = transformer_block_backward(upstream, cache)
    assert relative_error(y, y_torch) < 1e-12
    assert relative_error(dx, dx_torch) < 1e-12
    assert list(flat(grads)) == list(flat(params))
    largest = max(np.abs(got).max() for got in flat(grads).values())
    for key, got in flat(grads).items():               # the gradient of b_k is 0 but for rounding
        assert np.abs(got - grads_torch[key]).max() < 1e-12 * (largest if "b_k" in key else np.abs(got).max()), key


@norm_first
def test_block_backward_matches_finite_differences(norm_first, rng):
    x, mask, params = rng.standard_normal((B, T, E)), block_mask(rng), flat(block_params(rng))
    b_k = params.pop("self_attn b_k")                  # its gradient is 0, which has no relative error

    def forward(x, p):
        y, _, cache = transformer_block_forward(x, mask, nested({**p, "self_attn b_k": b_k}), HEADS, norm_first)
        return y, cache

    def backward(dy, cache):
        dx, grads = transformer_block_backward(dy, cache)
        grads = flat(grads)
        assert np.abs(grads.pop("self_attn b_k")).max() < 1e-13
        return dx, grads
    assert_gradients(forward, backward, [x, params], rng)


@norm_first
def test_block_keeps_float32(norm_first, rng):
    x, params = rng.standard_normal((B, T, E)).astype("float32"), block_params(rng, "float32")
    y, alpha, cache = transformer_block_forward(x, block_mask(rng), params, HEADS, norm_first)
    dx, grads = transformer_block_backward(y, cache)
    assert {a.dtype.name for a in (y, alpha, dx, *flat(grads).values())} == {"float32"}


@norm_first
def test_block_without_order_does_not_see_order(norm_first, rng):
    x, params, order = rng.standard_normal((B, T, E)), block_params(rng), rng.permutation(T)
    mask = np.ones((B, T), bool)
    y, *_ = transformer_block_forward(x, mask, params, HEADS, norm_first)
    moved, *_ = transformer_block_forward(x[:, order], mask, params, HEADS, norm_first)
    assert relative_error(moved, y[:, order]) < 1e-13


def test_block_normalizes_last_unless_told_otherwise_as_in_torch(rng):
    x, params = rng.standard_normal((B, T, E)), block_params(rng)
    y, *_ = transformer_block_forward(x, block_mask(rng), params, HEADS)
    last, *_ = transformer_block_forward(x, block_mask(rng), params, HEADS, norm_first=False)
    assert np.array_equal(y, last)
    assert not torch.nn.TransformerEncoderLayer(E, HEADS).norm_first


def test_block_with_norm_first_and_no_output_weights_is_the_identity(rng):
    x, params = rng.standard_normal((B, T, E)), block_params(rng)
    params["self_attn"] |= {"W_o": np.zeros((E, E)), "b_o": np.zeros(E)}
    params["linear2"] = tree_map(np.zeros_like, params["linear2"])
    y, _, cache = transformer_block_forward(x, block_mask(rng), params, HEADS, norm_first=True)
    assert np.array_equal(y, x)
    dy = rng.standard_normal(y.shape)
    assert np.array_equal(transformer_block_backward(dy, cache)[0], dy)


@norm_first
def test_block_comes_from_torch_with_its_options(norm_first, rng):
    layer = torch.nn.TransformerEncoderLayer(E, HEADS, F, dropout=0, batch_first=True, norm_first=norm_first,
                                             dtype=torch.float64)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x = rng.standard_normal((B, T, E))
    params, options = torch_ref.block_from_torch(layer)
    y, *_ = transformer_block_forward(x, np.ones((B, T), bool), params, **options)
    assert relative_error(y, layer(torch.tensor(x)).detach().numpy()) < 1e-12


@pytest.mark.parametrize(("options", "message"), [
    ({"activation": "gelu"}, "layer has activation .*gelu.*; wanted relu"),
    ({"layer_norm_eps": 1e-6}, "layer has layer_norm_eps 1e-06; wanted 1e-5"),
    ({"bias": False}, "wanted biases")], ids=["activation", "eps", "bias"])
def test_block_from_torch_refuses_what_has_no_counterpart(options, message):
    with pytest.raises(ValueError, match=message):
        torch_ref.block_from_torch(torch.nn.TransformerEncoderLayer(E, HEADS, F, **options))


def test_init_transformer_block_is_bounded_as_in_torch(rng):
    ours = flat(init_transformer_block(40, 60, rng, "float32"))
    theirs = flat(torch_ref.block_from_torch(torch.nn.TransformerEncoderLayer(40, 4, 60))[0])
    assert set(ours) == set(theirs)
    for key, value in ours.items():
        assert value.shape == theirs[key].shape
        assert value.dtype == np.float32
        assert np.isclose(np.abs(value).max(), np.abs(theirs[key]).max(), rtol=0.1), key


@pytest.mark.parametrize(("part", "key", "value", "message"), [
    ("norm2", "W", np.ones(5), r"params\['norm2'\]\['W'\] has shape \(5,\); wanted \(6,\)"),
    ("linear1", "W", np.ones((F, 5)), r"params\['linear1'\]\['W'\] has shape \(7, 5\); wanted \(7, 6\)"),
    ("linear2", "W", np.ones((F, E)), r"params\['linear2'\]\['W'\] has shape \(7, 6\); wanted \(6, 7\)"),
    ("linear1", "b", None, r"params\['linear1'\] has no 'b': it has \['W'\]; wanted W, b"),
    ("linear1", "W", None, r"params\['linear1'\] has no 'W': it has \['b'\]; wanted W, b"),
    ("self_attn", "W_v", np.ones((5, 5)), r"params\['W_v'\] has shape \(5, 5\); wanted \(6, 6\)"),
    ("norm1", None, None, "params has no 'norm1': it has"),
    ("linear2", None, None, "params has no 'linear2': it has"),
], ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "")
def test_wrong_params_of_the_block_are_named(part, key, value, message, rng):
    params = block_params(rng)
    if key is None:
        del params[part]
    elif value is None:
        del params[part][key]
    else:
        params[part][key] = value
    with pytest.raises(ValueError, match=message):
        transformer_block_forward(rng.standard_normal((B, T, E)), block_mask(rng), params, HEADS)


def test_wrong_x_of_the_block_is_named(rng):
    with pytest.raises(ValueError, match=r"x has shape \(3, 6\); wanted \(any, any, any\)"):
        transformer_block_forward(np.ones((B, E)), block_mask(rng), block_params(rng), HEADS)
