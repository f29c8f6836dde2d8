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
from lstmcourse.train import leaves

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


def test_wrong_weights_of_additive_attention_are_named(rng):
    *inputs, params = additive_inputs(rng)
    params["W_k"] = params["W_k"].T
    with pytest.raises(ValueError, match=r"params\['W_k'\] has shape \(7, 8\); wanted \(8, 7\)"):
        additive_attention_forward(*inputs, masks(rng)[0], params)


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
    ("v", np.zeros(A, "float32"), r"^params\['v'\] has dtype float32; wanted float64"),
    ("v", np.zeros((A, 1)), r"^params\['v'\] has shape \(8, 1\); wanted \(any,\)"),
    ("W_q", np.zeros((A, H + 1)), r"^params\['W_q'\] has shape \(8, 6\); wanted \(8, 5\)"),
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
