import numpy as np
import pytest
import torch

from lstmcourse import torch_ref
from lstmcourse.attention import (
    additive_attention_backward,
    additive_attention_forward,
    dot_attention_backward,
    dot_attention_forward,
    masked_softmax_backward,
    masked_softmax_forward,
)
from lstmcourse.gradcheck import assert_gradients, relative_error

B, T_TGT, T_SRC, H, K, M, A = 3, 4, 6, 5, 7, 2, 8


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def masks(rng):
    """One mask for all queries, of unequal lengths, and one of its own for each query."""
    per_query = rng.random((B, T_TGT, T_SRC)) < 0.5
    per_query[..., 2] |= ~per_query.any(axis=-1)
    return [np.arange(T_SRC) < np.array([6, 2, 1])[:, None], per_query]


def dot_inputs(rng):
    return [rng.standard_normal(shape) for shape in ((B, T_TGT, H), (B, T_SRC, H), (B, T_SRC, M))]


def additive_inputs(rng):
    query, _, values = dot_inputs(rng)
    params = {"W_q": rng.standard_normal((A, H)), "W_k": rng.standard_normal((A, K)), "v": rng.standard_normal(A)}
    return [query, rng.standard_normal((B, T_SRC, K)), values, params]


@pytest.mark.parametrize("which", [0, 1])
def test_masked_softmax_is_zero_outside_and_sums_to_one_inside(rng, which):
    mask, scores = masks(rng)[which], 30 * rng.standard_normal((B, T_TGT, T_SRC))
    alpha, _ = masked_softmax_forward(scores, mask)
    full = np.broadcast_to(mask if which else mask[:, None], scores.shape)
    assert (alpha[~full] == 0).all()
    assert (alpha[full] > 0).all()
    np.testing.assert_allclose(alpha.sum(axis=-1), 1, rtol=1e-14)


def test_masked_softmax_ignores_what_stands_outside_the_mask(rng):
    mask, scores = masks(rng)[1], rng.standard_normal((B, T_TGT, T_SRC))
    spoilt = np.where(mask, scores, rng.choice([np.nan, np.inf, 1e300], scores.shape))
    assert np.array_equal(masked_softmax_forward(scores, mask)[0], masked_softmax_forward(spoilt, mask)[0])


def test_masked_softmax_of_huge_scores_does_not_overflow(rng):
    alpha, _ = masked_softmax_forward(np.full((1, 2, 3), 1e308), np.array([[True, True, False]]))
    np.testing.assert_array_equal(alpha, [[[0.5, 0.5, 0]] * 2])


@pytest.mark.parametrize("which", [0, 1])
def test_masked_softmax_backward_matches_finite_differences(rng, which):
    mask = masks(rng)[which]
    assert_gradients(lambda s: masked_softmax_forward(s, mask), masked_softmax_backward,
                     [rng.standard_normal((B, T_TGT, T_SRC))], rng)


def test_row_that_may_look_nowhere_is_a_clear_error(rng):
    mask = masks(rng)[1]
    mask[1, 3] = False
    with pytest.raises(ValueError, match=r"mask has no True in row \(1, 3\)"):
        masked_softmax_forward(rng.standard_normal((B, T_TGT, T_SRC)), mask)
    with pytest.raises(ValueError, match=r"mask has no True in row \(0,\)"):
        dot_attention_forward(*dot_inputs(rng), np.zeros((B, T_SRC), bool))


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_dot_attention_matches_torch(rng, which, scale):
    mask, inputs = masks(rng)[which], dot_inputs(rng)
    context, alpha, cache = dot_attention_forward(*inputs, mask, scale)
    upstream = rng.standard_normal(context.shape)
    mask_torch = torch.tensor(mask if which else mask[:, None])
    (context_torch, alpha_torch), grads = torch_ref.torch_gradients(
        lambda *tensors: torch_ref.torch_attention(*tensors, mask_torch, scale), inputs,
        [upstream, np.zeros(alpha.shape)])
    assert relative_error(context, context_torch) < 1e-12
    assert relative_error(alpha, alpha_torch) < 1e-12
    for ours, theirs in zip(dot_attention_backward(upstream, cache), grads, strict=True):
        assert relative_error(ours, theirs) < 1e-12


@pytest.mark.parametrize("which", [0, 1])
def test_additive_attention_matches_torch(rng, which):
    mask, inputs = masks(rng)[which], additive_inputs(rng)
    context, alpha, cache = additive_attention_forward(*inputs[:3], mask, inputs[3])
    upstream = rng.standard_normal(context.shape)
    mask_torch = torch.tensor(mask if which else mask[:, None])
    (context_torch, alpha_torch), grads = torch_ref.torch_gradients(
        lambda q, k, v, p: torch_ref.torch_attention(q, k, v, mask_torch, params=p), inputs,
        [upstream, np.zeros(alpha.shape)])
    assert relative_error(context, context_torch) < 1e-12
    assert relative_error(alpha, alpha_torch) < 1e-12
    *ours, ours_params = additive_attention_backward(upstream, cache)
    assert set(ours_params) == set(inputs[3])
    for one, other in zip([*ours, *ours_params.values()], [*grads[:3], *grads[3].values()], strict=True):
        assert relative_error(one, other) < 1e-12


def test_scaled_dot_attention_is_torchs_own(rng):
    query, keys, values = dot_inputs(rng)
    mask = masks(rng)[1]
    theirs = torch.nn.functional.scaled_dot_product_attention(
        *(torch.tensor(a) for a in (query, keys, values)), attn_mask=torch.tensor(mask)).numpy()
    assert relative_error(dot_attention_forward(query, keys, values, mask, H**-0.5)[0], theirs) < 1e-12


@pytest.mark.parametrize("which", [0, 1])
def test_dot_attention_backward_matches_finite_differences(rng, which):
    mask = masks(rng)[which]

    def forward(*inputs):
        context, _, cache = dot_attention_forward(*inputs, mask, 0.7)
        return context, cache
    assert_gradients(forward, dot_attention_backward, dot_inputs(rng), rng)


@pytest.mark.parametrize("which", [0, 1])
def test_additive_attention_backward_matches_finite_differences(rng, which):
    mask = masks(rng)[which]

    def forward(query, keys, values, params):
        context, _, cache = additive_attention_forward(query, keys, values, mask, params)
        return context, cache
    assert_gradients(forward, additive_attention_backward, additive_inputs(rng), rng)


def test_masked_places_get_no_gradient(rng):
    mask = masks(rng)[0]
    context, _, cache = dot_attention_forward(*dot_inputs(rng), mask)
    _, dkeys, dvalues = dot_attention_backward(rng.standard_normal(context.shape), cache)
    assert (dkeys[~mask] == 0).all()
    assert (dvalues[~mask] == 0).all()
    *inputs, params = additive_inputs(rng)
    context, _, cache = additive_attention_forward(*inputs, mask, params)
    _, dkeys, dvalues, _ = additive_attention_backward(rng.standard_normal(context.shape), cache)
    assert (dkeys[~mask] == 0).all()
    assert (dvalues[~mask] == 0).all()


def test_float32_stays_float32(rng):
    mask = masks(rng)[0]
    *inputs, params = additive_inputs(rng)
    inputs = [a.astype("float32") for a in inputs]
    params = {key: value.astype("float32") for key, value in params.items()}
    context, alpha, cache = additive_attention_forward(*inputs, mask, params)
    *grads, by_name = additive_attention_backward(context, cache)
    assert {a.dtype for a in (context, alpha, *grads, *by_name.values())} == {np.dtype("float32")}
    inputs = [a.astype("float32") for a in dot_inputs(rng)]
    context, alpha, cache = dot_attention_forward(*inputs, mask, 0.5)
    assert {a.dtype for a in (context, alpha, *dot_attention_backward(context, cache))} == {np.dtype("float32")}


@pytest.mark.parametrize(("name", "position", "shape"), [
    ("query", 0, (B, H)), ("keys", 1, (B, T_SRC, H + 1)), ("values", 2, (B, T_SRC + 1, M)), ("mask", 3, (B, T_TGT))])
def test_wrong_shape_is_named(rng, name, position, shape):
    given = [*dot_inputs(rng), masks(rng)[0]]
    given[position] = np.ones(shape)
    with pytest.raises(ValueError, match=rf"{name} has shape \({', '.join(map(str, shape))}\); wanted"):
        dot_attention_forward(*given)


def test_wrong_weights_of_additive_attention_are_named(rng):
    *inputs, params = additive_inputs(rng)
    params["W_k"] = params["W_k"].T
    with pytest.raises(ValueError, match=r"params\['W_k'\] has shape \(7, 8\); wanted \(8, 7\)"):
        additive_attention_forward(*inputs, masks(rng)[0], params)
