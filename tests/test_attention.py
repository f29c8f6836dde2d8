import numpy as np
import pytest
import torch

from lstmcourse import bench, torch_ref
from lstmcourse.attention import (
    additive_attention_backward,
    additive_attention_forward,
    causal_mask,
    dot_attention_backward,
    dot_attention_forward,
    masked_softmax_backward,
    masked_softmax_forward,
    multi_head_attention_backward,
    multi_head_attention_forward,
)
from lstmcourse.gradcheck import assert_gradients, relative_error
from lstmcourse.train import init_multi_head, leaves
from tests import torch_models

B, T_TGT, T_SRC, H, d, M, U = 3, 4, 6, 5, 7, 2, 8


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
    params = {"W_q": rng.standard_normal((U, H)), "W_k": rng.standard_normal((U, d)), "v": rng.standard_normal(U)}
    return [query, rng.standard_normal((B, T_SRC, d)), values, params]


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


def test_query_that_may_look_nowhere_is_a_clear_error(rng):
    mask = masks(rng)[1]
    mask[1, 3] = False
    with pytest.raises(ValueError, match=r"mask has no True in row \(1, 3\)"):
        masked_softmax_forward(rng.standard_normal((B, T_TGT, T_SRC)), mask)


def test_sentence_without_a_word_to_look_at_is_a_clear_error(rng):
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
        lambda *tensors: bench.torch_attention(*tensors, mask_torch, scale), inputs,
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
        lambda q, k, v, p: bench.torch_attention(q, k, v, mask_torch, params=p), inputs,
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


@pytest.mark.parametrize("name", ["additive", "dot"])
@pytest.mark.parametrize("of", ["keys", "values"])
def test_masked_positions_get_no_gradient(rng, name, of):
    mask = masks(rng)[0]
    context, _, cache = forwards(rng, mask)[name]
    backward = additive_attention_backward if name == "additive" else dot_attention_backward
    _, dkeys, dvalues, *_ = backward(rng.standard_normal(context.shape), cache)
    assert ((dkeys if of == "keys" else dvalues)[~mask] == 0).all()


@pytest.mark.parametrize("name", ["additive", "dot"])
def test_attention_keeps_float32(rng, name):
    context, alpha, cache = forwards(rng, masks(rng)[0], "float32")[name]
    grads = (additive_attention_backward if name == "additive" else dot_attention_backward)(context, cache)
    assert {a.dtype.name for a in leaves({**dict(enumerate((context, alpha, *grads)))})} == {"float32"}


@pytest.mark.parametrize(("name", "position", "shape"), [
    ("query", 0, (B, H)), ("keys", 1, (B, T_SRC, H + 1)), ("values", 2, (B, T_SRC + 1, M)), ("mask", 3, (B, T_TGT))])
def test_wrong_shape_is_named(rng, name, position, shape):
    given = [*dot_inputs(rng), masks(rng)[0]]
    given[position] = np.ones(shape)
    with pytest.raises(ValueError, match=rf"{name} has shape \({', '.join(map(str, shape))}\); wanted"):
        dot_attention_forward(*given)


def test_a_query_that_is_no_array_is_named(rng):
    query, keys, values = dot_inputs(rng)
    with pytest.raises(ValueError, match="^query is a list; wanted an array"):
        dot_attention_forward(query.tolist(), keys, values, masks(rng)[0])


def test_wrong_weights_of_additive_attention_are_named(rng):
    *inputs, params = additive_inputs(rng)
    params["W_k"] = params["W_k"].T
    with pytest.raises(ValueError, match=r"params\['W_k'\] has shape \(7, 8\); wanted \(8, 7\)"):
        additive_attention_forward(*inputs, masks(rng)[0], params)


E, HEADS = 6, 3            # two units a head, so that a swap of the two axes is noticed


def multi_head_inputs(rng, keys_width=d, values_width=M):
    """query, keys and values of three widths, and params none of which is zero."""
    shapes = {"W_q": (E, E), "W_k": (E, keys_width), "W_v": (E, values_width), "W_o": (E, E)}
    params = {key: rng.standard_normal(shape) for key, shape in shapes.items()}
    params |= {f"b_{name}": rng.standard_normal(E) for name in "qkvo"}
    return [rng.standard_normal((B, T_TGT, E)), rng.standard_normal((B, T_SRC, keys_width)),
            rng.standard_normal((B, T_SRC, values_width)), params]


def multi_head_pair(mask, heads=HEADS):
    """A forward that `assert_gradients` and `torch_gradients` can call: context alone."""
    def forward(query, keys, values, params):
        context, _, cache = multi_head_attention_forward(query, keys, values, mask, params, heads)
        return context, cache
    return forward


@pytest.mark.parametrize("widths", [(d, M), (E, E)], ids=["three widths", "one width"])
@pytest.mark.parametrize("which", [0, 1])
def test_multi_head_attention_matches_torch(rng, which, widths):
    mask, inputs = masks(rng)[which], multi_head_inputs(rng, *widths)
    context, alpha, cache = multi_head_attention_forward(*inputs[:3], mask, inputs[3], HEADS)
    upstream = rng.standard_normal(context.shape)
    full = np.broadcast_to(mask if which else mask[:, None], (B, T_TGT, T_SRC)).copy()
    (context_torch, alpha_torch), grads = torch_ref.torch_gradients(
        torch_models.torch_multi_head(full, HEADS), inputs, [upstream, np.zeros(alpha.shape)])
    assert relative_error(context, context_torch) < 1e-12
    assert relative_error(alpha, alpha_torch) < 1e-12
    *ours, ours_params = multi_head_attention_backward(upstream, cache)
    assert set(ours_params) == set(inputs[3])
    for one, other in zip(ours, grads[:3], strict=True):
        assert relative_error(one, other) < 1e-12
    noise = 1e-12 * np.abs(ours_params["W_k"]).max()      # b_k moves all scores of a query alike: its gradient is 0
    for key, got in ours_params.items():
        assert np.abs(got - grads[3][key]).max() < max(1e-12 * np.abs(got).max(), noise * (key == "b_k")), key


@pytest.mark.parametrize("which", [0, 1])
def test_multi_head_attention_backward_matches_finite_differences(rng, which):
    mask, inputs = masks(rng)[which], multi_head_inputs(rng)
    *arrays, params = inputs
    b_k = params.pop("b_k")                                # its gradient is 0, which has no relative error

    def forward(query, keys, values, others):
        return multi_head_pair(mask)(query, keys, values, {**others, "b_k": b_k})

    def backward(dcontext, cache):
        *grads, by_name = multi_head_attention_backward(dcontext, cache)
        assert np.abs(by_name.pop("b_k")).max() < 1e-14 * np.abs(by_name["W_k"]).max() * T_SRC * B
        return *grads, by_name
    assert_gradients(forward, backward, [*arrays, params], rng)


def test_one_head_without_projections_is_dot_attention(rng):
    mask, (query, keys, _) = masks(rng)[1], dot_inputs(rng)
    params = {f"W_{name}": np.eye(H) for name in "qkvo"} | {f"b_{name}": np.zeros(H) for name in "qkvo"}
    context, alpha, _ = multi_head_attention_forward(query, keys, keys, mask, params, heads=1)
    wanted, wanted_alpha, _ = dot_attention_forward(query, keys, keys, mask, H**-0.5)
    assert relative_error(context, wanted) < 1e-15
    assert relative_error(alpha[:, 0], wanted_alpha) < 1e-15


def test_heads_read_blocks_of_units(rng):
    mask, (*arrays, params) = masks(rng)[1], multi_head_inputs(rng)
    _, alpha, _ = multi_head_attention_forward(*arrays, mask, params, HEADS)
    params["W_q"][2:4], params["b_q"][2:4] = 0, 0          # the second head asks for nothing: all its scores are 0
    _, moved, _ = multi_head_attention_forward(*arrays, mask, params, HEADS)
    assert np.array_equal(alpha[:, [0, 2]], moved[:, [0, 2]])
    assert np.allclose(moved[:, 1], mask / mask.sum(axis=2, keepdims=True), rtol=1e-14)


def test_causal_mask_hides_later_steps():
    assert causal_mask(3).tolist() == [[[True, False, False], [True, True, False], [True, True, True]]]
    assert causal_mask(3).dtype == bool


def test_causal_self_attention_does_not_see_later_steps(rng):
    x, params = rng.standard_normal((B, 5, E)), init_multi_head(E, rng)
    before, *_ = multi_head_attention_forward(x, x, x, causal_mask(5), params, HEADS)
    moved = x.copy()
    moved[:, 3:] += rng.standard_normal((B, 2, E))
    after, *_ = multi_head_attention_forward(moved, moved, moved, causal_mask(5), params, HEADS)
    assert np.array_equal(before[:, :3], after[:, :3])
    assert (before[:, 3:] != after[:, 3:]).all()


def test_multi_head_attention_keeps_float32(rng):
    *arrays, params = multi_head_inputs(rng)
    arrays = [a.astype("float32") for a in arrays]
    params = {key: value.astype("float32") for key, value in params.items()}
    context, alpha, cache = multi_head_attention_forward(*arrays, masks(rng)[1], params, np.int64(HEADS))
    *grads, by_name = multi_head_attention_backward(context, cache)
    assert {a.dtype.name for a in (context, alpha, *grads, *by_name.values())} == {"float32"}


def test_alpha_of_multi_head_attention_is_the_callers(rng):
    *arrays, params = multi_head_inputs(rng)
    context, alpha, cache = multi_head_attention_forward(*arrays, masks(rng)[0], params, HEADS)
    dquery, *_ = multi_head_attention_backward(context, cache)
    alpha[:], context = 0, context.copy()
    assert np.array_equal(multi_head_attention_backward(context, cache)[0], dquery)


@pytest.mark.parametrize(("change", "message"), [
    ({"heads": 4}, "heads is 4; wanted a divisor of 6, the width of query"),
    ({"heads": 0}, "heads is 0; wanted a divisor of 6"),
    ({"query": np.ones((B, E))}, r"query has shape \(3, 6\); wanted \(any, any, any\)"),
    ({"keys": np.ones((B + 1, T_SRC, d))}, r"keys has shape \(4, 6, 7\); wanted \(3, any, any\)"),
    ({"values": np.ones((B, T_SRC + 1, M))}, r"values has shape \(3, 7, 2\); wanted \(3, 6, any\)"),
    ({"mask": np.ones((B, T_TGT), bool)}, r"mask has shape \(3, 4\); wanted \(3, 6\)"),
    ({"mask": np.ones((B * HEADS, T_TGT, T_SRC), bool)}, r"mask has shape \(9, 4, 6\); wanted \(3, 4, 6\)"),
    ({"mask": np.arange(B)[:, None] * np.ones(T_SRC, int) != 2}, r"mask has no True in row \(2,\)"),
    ({"W_k": np.ones((E, E))}, r"params\['W_k'\] has shape \(6, 6\); wanted \(6, 7\)"),
    ({"b_o": np.ones(1)}, r"params\['b_o'\] has shape \(1,\); wanted \(6,\)"),
    ({"W_q": np.ones((E, E), "float32")}, r"params\['W_q'\] has dtype float32; wanted float64"),
    ({"W_o": None}, r"params has no 'W_o': it has \['W_k', 'W_q', 'W_v', .*wanted W_k, W_o, W_q, W_v"),
], ids=lambda value: "-".join(value) if isinstance(value, dict) else "")
def test_wrong_argument_of_multi_head_attention_is_named(rng, change, message):
    query, keys, values, params = multi_head_inputs(rng)
    given = {"query": query, "keys": keys, "values": values, "mask": masks(rng)[0], "heads": HEADS}
    given |= {key: value for key, value in change.items() if key in given}
    params |= {key: value for key, value in change.items() if key not in given}
    params = {key: value for key, value in params.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        multi_head_attention_forward(**given, params=params)


def test_wrong_upstream_of_multi_head_attention_is_named(rng):
    *arrays, params = multi_head_inputs(rng)
    *_, cache = multi_head_attention_forward(*arrays, masks(rng)[0], params, HEADS)
    with pytest.raises(ValueError, match=r"dcontext has shape \(3, 4, 5\); wanted \(3, 4, 6\)"):
        multi_head_attention_backward(np.ones((B, T_TGT, E - 1)), cache)


@pytest.mark.parametrize("widths", [{}, {"kdim": d, "vdim": M}], ids=["one width", "three widths"])
def test_multi_head_weights_come_from_torch(rng, widths):
    module = torch.nn.MultiheadAttention(E, HEADS, batch_first=True, dtype=torch.float64, **widths)
    torch.nn.init.normal_(module.in_proj_bias)
    params, heads = torch_ref.multi_head_from_torch(module)
    arrays = multi_head_inputs(rng, *(widths.values() or (E, E)))[:3]
    context, alpha, _ = multi_head_attention_forward(*arrays, np.ones((B, T_SRC), bool), params, heads)
    theirs, theirs_alpha = module(*(torch.tensor(a) for a in arrays), average_attn_weights=False)
    assert relative_error(context, theirs.detach().numpy()) < 1e-12
    assert relative_error(alpha, theirs_alpha.detach().numpy()) < 1e-12


@pytest.mark.parametrize("options", [{"bias": False}, {"add_bias_kv": True}, {"add_zero_attn": True}], ids=str)
def test_multi_head_from_torch_refuses_what_has_no_counterpart(options):
    with pytest.raises(ValueError, match="wanted biases, and neither add_bias_kv nor add_zero_attn"):
        torch_ref.multi_head_from_torch(torch.nn.MultiheadAttention(E, HEADS, **options))


def test_init_multi_head_is_bounded_as_in_torch(rng):
    ours = init_multi_head(40, rng, "float32")
    theirs, _ = torch_ref.multi_head_from_torch(torch.nn.MultiheadAttention(40, 4))
    assert set(ours) == set(theirs)
    for key, value in ours.items():
        assert value.shape == theirs[key].shape
        assert value.dtype == np.float32
        assert np.isclose(np.abs(value).max(), np.abs(theirs[key]).max(), rtol=0.02), key


@pytest.mark.parametrize("above", [2000, 1e308])
def test_masked_score_far_above_the_others_gets_exactly_no_weight(above):
    alpha, _ = masked_softmax_forward(np.array([[[above, 0.0, 0.0]]]), np.array([[False, True, True]]))
    assert alpha.tolist() == [[[0, 0.5, 0.5]]]


def test_mask_that_could_be_read_two_ways_has_to_have_its_third_axis():
    with pytest.raises(ValueError, match=r"^mask has shape \(4, 4\), which is \(B, T_src\) and \(T_tgt, T_src\)"):
        masked_softmax_forward(np.zeros((4, 4, 4)), np.tril(np.ones((4, 4), bool)))


def test_mask_with_a_first_axis_of_1_holds_for_every_sentence():
    causal = np.tril(np.ones((4, 4), bool))
    alpha, _ = masked_softmax_forward(np.zeros((3, 4, 4)), causal[None])
    assert np.array_equal(alpha, np.broadcast_to(causal / causal.sum(axis=1, keepdims=True), (3, 4, 4)))


def test_mask_with_a_second_axis_of_1_holds_for_every_query(rng):
    mask, scores = masks(rng)[0], rng.standard_normal((B, T_TGT, T_SRC))
    assert np.array_equal(masked_softmax_forward(scores, mask[:, None])[0], masked_softmax_forward(scores, mask)[0])


@pytest.mark.parametrize("shape", [(T_SRC,), (B, T_TGT, T_SRC, 1), (B + 1, T_TGT, T_SRC), (B, T_TGT + 1, T_SRC),
                                   (B, 1, 1)])
def test_mask_of_another_shape_is_named(shape):
    with pytest.raises(ValueError, match=r"^mask has shape \(.*\); wanted \(.*\)$"):
        masked_softmax_forward(np.zeros((B, T_TGT, T_SRC)), np.ones(shape, bool))


@pytest.mark.parametrize("dtype", [float, int])
def test_mask_that_is_not_bool_is_refused(dtype, rng):
    with pytest.raises(ValueError, match="^mask has dtype (float|int)64; wanted bool"):
        dot_attention_forward(*dot_inputs(rng), masks(rng)[0].astype(dtype))


def forwards(rng, mask, dtype="float64"):
    """Both attentions on random inputs: name -> outputs and cache."""
    *inputs, params = additive_inputs(rng)
    cast = [[a.astype(dtype) for a in group] for group in (inputs, dot_inputs(rng))]
    params = {key: value.astype(dtype) for key, value in params.items()}
    return {"additive": additive_attention_forward(*cast[0], mask, params),
            "dot": dot_attention_forward(*cast[1], mask)}


@pytest.mark.parametrize("name", ["additive", "dot"])
def test_alpha_is_read_only(rng, name):
    _, alpha, _ = forwards(rng, masks(rng)[0])[name]
    with pytest.raises(ValueError, match="read-only"):
        alpha[alpha < 0.2] = 0


@pytest.mark.parametrize("scale", [np.float64(0.5), np.float32(0.5), 1 / np.sqrt(4), 2])
def test_dot_attention_keeps_float32_whatever_type_the_scale_has(rng, scale):
    inputs = [a.astype("float32") for a in dot_inputs(rng)]
    context, alpha, cache = dot_attention_forward(*inputs, masks(rng)[0], scale)
    grads = dot_attention_backward(np.ones_like(context), cache)
    assert {a.dtype.name for a in (context, alpha, *grads)} == {"float32"}


@pytest.mark.parametrize("scale", [np.nan, np.inf, None, np.ones(3)], ids=str)
def test_dot_attention_rejects_a_scale_that_is_no_number(rng, scale):
    with pytest.raises(ValueError, match="^scale is .*; wanted a finite number$"):
        dot_attention_forward(*dot_inputs(rng), masks(rng)[0], scale)


@pytest.mark.parametrize(("key", "value", "message"), [
    ("v", np.zeros(U, "float32"), r"^params\['v'\] has dtype float32; wanted float64"),
    ("v", np.zeros((U, 1)), r"^params\['v'\] has shape \(8, 1\); wanted \(any,\)"),
    ("W_q", np.zeros((U, H + 1)), r"^params\['W_q'\] has shape \(8, 6\); wanted \(8, 5\)"),
    ("W_o", 0, r"^params has \['W_o'\] besides")])
def test_additive_attention_names_wrong_params(rng, key, value, message):
    *inputs, params = additive_inputs(rng)
    with pytest.raises(ValueError, match=message):
        additive_attention_forward(*inputs, masks(rng)[0], params | {key: value})


def test_additive_attention_names_a_missing_key(rng):
    *inputs, params = additive_inputs(rng)
    del params["W_q"]
    with pytest.raises(ValueError, match="^params has no 'W_q'"):
        additive_attention_forward(*inputs, masks(rng)[0], params)


@pytest.mark.parametrize("name", ["additive", "dot"])
@pytest.mark.parametrize(("dcontext", "message"), [
    (np.zeros((B, T_TGT, M + 1)), r"^dcontext has shape \(3, 4, 3\); wanted \(3, 4, 2\)"),
    (np.zeros((B, T_TGT, M), "float32"), "^dcontext has dtype float32; wanted float64")], ids=["shape", "dtype"])
def test_attention_backward_rejects_dcontext(rng, name, dcontext, message):
    *_, cache = forwards(rng, masks(rng)[0])[name]
    with pytest.raises(ValueError, match=message):
        (additive_attention_backward if name == "additive" else dot_attention_backward)(dcontext, cache)


def test_masked_softmax_backward_rejects_dalpha_of_another_shape(rng):
    _, cache = masked_softmax_forward(np.zeros((B, T_TGT, T_SRC)), masks(rng)[0])
    with pytest.raises(ValueError, match=r"^dalpha has shape \(3, 4\); wanted \(3, 4, 6\)"):
        masked_softmax_backward(np.zeros((B, T_TGT)), cache)


def test_dot_attention_uses_no_scale_unless_asked(rng):
    *inputs, mask = *dot_inputs(rng), masks(rng)[0]
    assert np.array_equal(dot_attention_forward(*inputs, mask)[1], dot_attention_forward(*inputs, mask, 1.0)[1])
