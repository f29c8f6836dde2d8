"""What holds for every recurrent layer: it is torch's, its backward is right, it is its own cell in a loop."""

import numpy as np
import pytest
import torch

from lstmcourse import torch_ref
from lstmcourse.gradcheck import assert_gradients, relative_error
from lstmcourse.recurrent import KINDS, kind_of
from lstmcourse.rnn import rnn_cell_forward, rnn_forward
from lstmcourse.train import init_recurrent
from tests.compare import assert_agree

SHAPES = [(1, 3, 2, 4), (2, 1, 3, 5), (3, 7, 1, 2), (5, 4, 6, 1), (4, 12, 8, 16), (7, 30, 5, 3), (2, 50, 13, 11)]


def outputs_of(layer, inputs):
    """All outputs of the layer as torch gives them: h, and for the LSTM the last c."""
    h, *more, cache = layer.forward(*inputs)
    return [h, *(c[:, -1] for c in more)], cache


def gradients_of(layer, cache, upstream, T):
    """Gradients for upstream = [dh] or [dh, dL/dc_T]."""
    dh, *dc_last = upstream
    if layer.kind != "lstm":
        return layer.backward(dh, cache)
    dc = np.zeros_like(dh)
    dc[:, T - 1] = dc_last[0]
    return layer.backward(dh, dc, cache)


def assert_torch_agrees(layer, inputs, rng, tolerance):
    """AssertionError that names the output or gradient that is not torch.nn's with autograd."""
    ours, cache = outputs_of(layer, inputs)
    upstream = [rng.standard_normal(out.shape).astype(out.dtype) for out in ours]
    theirs, wanted = torch_ref.torch_gradients(
        torch_ref.torch_recurrent(layer.kind, **layer.options), inputs, upstream)
    grads = gradients_of(layer, cache, upstream, inputs[0].shape[1])
    names = ["h", "c_T"][:len(ours)]
    assert_agree(named(names, ours, layer, grads), named(names, theirs, layer, wanted), tolerance)


def named(names, outputs, layer, grads):
    """Outputs and gradients by their names: h, dx, dh_0, dW_hh …"""
    *inputs, by_key = grads
    return {**dict(zip(names, outputs, strict=True)),
            **dict(zip(["dx", *(f"d{state}" for state in layer.states)], inputs, strict=True)),
            **{f"d{key}": grad for key, grad in by_key.items()}}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_layer_matches_torch_in_float64(torch_layer, shape, rng):
    assert_torch_agrees(torch_layer, torch_layer.draw(rng, *shape), rng, 1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_layer_matches_torch_in_float32(torch_layer, shape, rng):
    assert_torch_agrees(torch_layer, torch_layer.draw(rng, *shape, dtype="float32"), rng, 1e-4)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-4)])
def test_layer_matches_torch_over_a_thousand_steps(torch_layer, dtype, tolerance, rng):
    assert_torch_agrees(torch_layer, torch_layer.draw(rng, 2, 1000, 3, 5, dtype), rng, tolerance)


def test_layer_forward_equals_cell_loop(layer, rng):
    x, *states, params = layer.draw(rng, 3, 6, 4, 5, scale=3.0)
    h, *more, _ = layer.forward(x, *states, params)
    for t in range(x.shape[1]):
        *states, _ = layer.cell_forward(x[:, t], *states, params)
        for whole, step in zip([h, *more], states, strict=True):
            assert relative_error(whole[:, t], step) < 1e-13


def test_layer_backward_equals_cell_loop(layer, rng):
    x, *states, params = layer.draw(rng, 3, 6, 4, 5, scale=3.0)
    h, *more, cache = layer.forward(x, *states, params)
    upstream = [rng.standard_normal(h.shape) for _ in states]
    got = layer.backward(*upstream, cache)
    caches = []
    for t in range(x.shape[1]):
        *states, cell_cache = layer.cell_forward(x[:, t], *states, params)
        caches.append(cell_cache)
    dx, d_next = np.zeros_like(x), [np.zeros_like(s) for s in states]
    summed = {key: np.zeros_like(value) for key, value in params.items()}
    for t in reversed(range(x.shape[1])):
        dx[:, t], *d_next, grads_t = layer.cell_backward(
            *(d[:, t] + later for d, later in zip(upstream, d_next, strict=True)), caches[t])
        summed = {key: summed[key] + grads_t[key] for key in summed}
    for whole, loop in zip(got, [dx, *d_next], strict=False):
        assert relative_error(whole, loop) < 1e-12
    for key in summed:
        assert relative_error(got[-1][key], summed[key]) < 1e-12


def test_layer_backward_matches_finite_differences(layer, rng):
    assert_gradients(layer.forward, layer.backward, layer.draw(rng, 2, 4, 3, 5, scale=2.0), rng)


def test_cell_backward_matches_finite_differences(layer, rng):
    x, *states, params = layer.draw(rng, 2, 1, 3, 5, scale=2.0)
    assert_gradients(layer.cell_forward, layer.cell_backward, [x[:, 0], *states, params], rng)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_layer_keeps_the_dtype(layer, dtype, rng):
    inputs = layer.draw(rng, 2, 3, 4, 5, dtype)
    *outputs, cache = layer.forward(*inputs)
    grads = layer.backward(*(np.ones_like(out) for out in outputs), cache)
    assert {array.dtype.name for array in [*outputs, *grads[:-1], *grads[-1].values()]} == {dtype}


def test_layer_states_are_read_only(layer, rng):
    h, *_ = layer.forward(*layer.draw(rng, 2, 3, 4, 5))
    with pytest.raises(ValueError, match="read-only"):
        h[:, 0] = 0


def test_layer_backward_twice_gives_the_same(layer, rng):
    *outputs, cache = layer.forward(*layer.draw(rng, 2, 3, 4, 5))
    upstream = [rng.standard_normal(out.shape) for out in outputs]
    first, second = (named([], [], layer, layer.backward(*upstream, cache)) for _ in range(2))
    assert {name for name in first if not np.array_equal(first[name], second[name])} == set()


def bad(inputs, position, value):
    """inputs with one of them replaced."""
    return [*inputs[:position], value, *inputs[position + 1:]]


def test_layer_rejects_x_of_wrong_width(layer, rng):
    inputs = layer.draw(rng, 2, 3, 4, 5)
    with pytest.raises(ValueError, match=r"x has shape \(2, 3, 7\); wanted \(2, 3, 4\), as wide as params\['W_ih'\]"):
        layer.forward(*bad(inputs, 0, rng.standard_normal((2, 3, 7))))


def test_layer_rejects_x_without_time(layer, rng):
    inputs = layer.draw(rng, 2, 3, 4, 5)
    with pytest.raises(ValueError, match=r"x has shape \(2, 4\); wanted \(any, any, any\)"):
        layer.forward(*bad(inputs, 0, inputs[0][:, 0]))


def test_layer_rejects_state_of_wrong_batch(layer, rng):
    inputs = layer.draw(rng, 2, 3, 4, 5)
    name = layer.states[-1]
    with pytest.raises(ValueError, match=rf"{name} has shape \(3, 5\); wanted \(2, 5\)"):
        layer.forward(*bad(inputs, len(layer.states), np.zeros((3, 5))))


def test_layer_rejects_integers(layer, rng):
    inputs = layer.draw(rng, 2, 3, 4, 5)
    with pytest.raises(ValueError, match="x has dtype int64; wanted float64 or float32"):
        layer.forward(*bad(inputs, 0, np.ones((2, 3, 4), dtype=np.int64)))


def test_layer_rejects_mixed_dtypes(layer, rng):
    inputs = layer.draw(rng, 2, 3, 4, 5)
    params = {key: value.astype("float32") for key, value in inputs[-1].items()}
    with pytest.raises(ValueError, match=r"params\['W_ih'\] has dtype float32; wanted float64"):
        layer.forward(*inputs[:-1], params)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_layer_rejects_params_that_are_not_finite(layer, value, rng):
    *rest, params = layer.draw(rng, 2, 3, 4, 5)
    params["W_hh"][1, 2] = value
    with pytest.raises(ValueError, match=r"params\['W_hh'\] holds NaN or infinity"):
        layer.forward(*rest, params)


def test_layer_rejects_missing_key(layer, rng):
    *rest, params = layer.draw(rng, 2, 3, 4, 5)
    del params["b_hh"]
    with pytest.raises(ValueError, match="params has no 'b_hh'"):
        layer.forward(*rest, params)


def test_layer_rejects_wrong_gate_count(layer, rng):
    *rest, params = layer.draw(rng, 2, 3, 4, 5)
    params["W_ih"] = np.concatenate([params["W_ih"], params["W_ih"][:5]])
    with pytest.raises(ValueError, match=r"params\['W_ih'\] has shape .* blocks? of H = 5 rows"):
        layer.forward(*rest, params)


def test_layer_rejects_upstream_of_wrong_shape(layer, rng):
    *outputs, cache = layer.forward(*layer.draw(rng, 2, 3, 4, 5))
    with pytest.raises(ValueError, match=r"dh has shape \(2, 4, 5\); wanted \(2, 3, 5\)"):
        layer.backward(np.zeros((2, 4, 5)), *outputs[1:], cache)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_params_go_to_torch_and_back_unchanged(kind, rng):
    params = init_recurrent(kind, 3, 5, rng)
    back = torch_ref.params_from_torch(torch_ref.params_to_torch(params, kind))
    for key, array in params.items():
        np.testing.assert_array_equal(back[key], array, err_msg=key)


@pytest.mark.parametrize("module", [torch.nn.RNN, torch.nn.RNNCell])
def test_params_from_torch_refuses_a_relu_rnn_as_a_tanh_one(module):
    with pytest.raises(ValueError, match="module has the nonlinearity 'relu'; wanted 'tanh'"):
        torch_ref.params_from_torch(module(3, 5, nonlinearity="relu"))


@pytest.mark.parametrize("module", [torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU])
def test_params_from_torch_refuses_a_tanh_layer_as_a_relu_one(module):
    with pytest.raises(ValueError, match="module has the nonlinearity 'tanh'; wanted 'relu'"):
        torch_ref.params_from_torch(module(3, 5), nonlinearity="relu")


def test_relu_rnn_comes_from_torch_with_its_states(rng):
    module = torch.nn.RNN(3, 5, nonlinearity="relu", batch_first=True, dtype=torch.float64)
    x = rng.standard_normal((2, 6, 3))
    h, _ = rnn_forward(x, np.zeros((2, 5)), torch_ref.params_from_torch(module, nonlinearity="relu"), "relu")
    assert relative_error(h, module(torch.tensor(x))[0].detach().numpy()) < 1e-12


def test_relu_rnn_goes_to_torch_as_a_relu_rnn(rng):
    assert torch_ref.params_to_torch(init_recurrent("rnn", 3, 5, rng), "rnn", "relu").nonlinearity == "relu"


def test_params_to_torch_refuses_a_relu_lstm(rng):
    with pytest.raises(ValueError, match="nonlinearity is 'relu'; wanted 'tanh' for kind 'lstm'"):
        torch_ref.params_to_torch(init_recurrent("lstm", 3, 5, rng), "lstm", "relu")


@pytest.mark.parametrize("forward", [rnn_forward, rnn_cell_forward])
def test_unknown_nonlinearity_is_named(forward, rng):
    x, h_0, params = rng.standard_normal((2, 3, 4)), np.zeros((2, 5)), init_recurrent("rnn", 4, 5, rng)
    with pytest.raises(ValueError, match=r"nonlinearity is 'ReLU'; wanted one of \['relu', 'tanh'\]"):
        forward(x if forward is rnn_forward else x[:, 0], h_0, params, nonlinearity="ReLU")


def test_identity_start_adds_its_inputs_up(rng):
    params = init_recurrent("rnn", 1, 4, rng, identity=True)
    x = rng.random((2, 50, 1))
    h, _ = rnn_forward(x, np.zeros((2, 4)), params, nonlinearity="relu")
    assert np.allclose(h[:, -1], np.maximum(x.sum(axis=1) * params["W_ih"][:, 0], 0), rtol=1e-12)


def test_params_from_torch_are_copies():
    module = torch.nn.LSTM(3, 5)
    params = torch_ref.params_from_torch(module)
    params["W_ih"][:] = 7
    assert not (module.weight_ih_l0 == 7).any()


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"bidirectional": True}, {"bias": False}], ids=str)
def test_params_from_torch_rejects_what_has_no_counterpart(options):
    with pytest.raises(ValueError, match="wanted one layer, one direction, with biases"):
        torch_ref.params_from_torch(torch.nn.LSTM(3, 5, **options))


def test_params_to_torch_rejects_the_wrong_kind(rng):
    with pytest.raises(ValueError, match=r"params\['W_ih'\] has 20 rows; kind 'gru' with H = 5 wants 15"):
        torch_ref.params_to_torch(init_recurrent("lstm", 3, 5, rng), "gru")


def test_a_failing_comparison_names_the_gradient_and_its_error(rng):
    grads = {"dW_ih": rng.standard_normal((4, 3)), "dW_hh": rng.standard_normal((4, 4))}
    with pytest.raises(AssertionError, match=r"^dW_hh: 0\.75, allowed 1e-12"):
        assert_agree(grads | {"dW_hh": 0.25 * grads["dW_hh"]}, grads, 1e-12)


@pytest.mark.parametrize(("B", "T"), [(2, 0), (0, 3)], ids=["no step", "no row"])
def test_layer_of_an_empty_sequence_has_no_states(layer, B, T, rng):
    h, *_ = layer.forward(*layer.draw(rng, B, T, 4, 5))
    assert h.shape == (B, T, 5)


@pytest.mark.parametrize(("B", "T"), [(2, 0), (0, 3)], ids=["no step", "no row"])
def test_layer_backward_of_an_empty_sequence_is_zero(layer, B, T, rng):
    *outputs, cache = layer.forward(*layer.draw(rng, B, T, 4, 5))
    grads = named([], [], layer, layer.backward(*outputs, cache))
    assert {name: np.abs(grad).max(initial=0) for name, grad in grads.items()} == dict.fromkeys(grads, 0)


def test_layer_gradients_share_no_memory(layer, rng):
    *outputs, cache = layer.forward(*layer.draw(rng, 2, 3, 4, 5))
    grads = list(named([], [], layer, layer.backward(*outputs, cache)).items())
    assert [(name, other) for k, (name, a) in enumerate(grads) for other, b in grads[k + 1:]
            if np.shares_memory(a, b)] == []


def test_cell_states_are_read_only(layer, rng):
    x, *states, params = layer.draw(rng, 2, 1, 4, 5)
    *outputs, _ = layer.cell_forward(x[:, 0], *states, params)
    assert [out.flags.writeable for out in outputs] == [False] * len(layer.states)


def test_layer_rejects_state_of_wrong_width(layer, rng):
    inputs = layer.draw(rng, 2, 3, 4, 5)
    with pytest.raises(ValueError, match=r"^h_0 has shape \(2, 6\); wanted \(2, 5\)"):
        layer.forward(*bad(inputs, 1, np.zeros((2, 6))))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_layer_rejects_state_that_is_a_list(layer, dtype, rng):
    inputs = layer.draw(rng, 2, 3, 4, 5, dtype)
    with pytest.raises(ValueError, match=r"^h_0 is a list; wanted an array of shape \(2, 5\)"):
        layer.forward(*bad(inputs, 1, np.zeros((2, 5)).tolist()))


def test_layer_rejects_extra_key(layer, rng):
    *rest, params = layer.draw(rng, 2, 3, 4, 5)
    with pytest.raises(ValueError, match=r"^params has \['W_hr'\] besides"):
        layer.forward(*rest, params | {"W_hr": np.zeros((5, 5))})


def test_layer_rejects_a_bias_of_wrong_length(layer, rng):
    *rest, params = layer.draw(rng, 2, 3, 4, 5)
    with pytest.raises(ValueError, match=r"^params\['b_hh'\] has shape \(4,\); wanted \(\d+,\): \d blocks? of H = 5"):
        layer.forward(*rest, params | {"b_hh": np.zeros(4)})


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_layer_rejects_upstream_of_another_dtype(layer, dtype, rng):
    *outputs, cache = layer.forward(*layer.draw(rng, 2, 3, 4, 5))
    with pytest.raises(ValueError, match=f"^dh has dtype {dtype}; wanted float64"):
        layer.backward(np.zeros((2, 3, 5), dtype), *outputs[1:], cache)


@pytest.mark.parametrize(("dc", "message"), [
    (np.zeros((2, 4, 5)), r"^dc has shape \(2, 4, 5\); wanted \(2, 3, 5\)"),
    (np.zeros((2, 3, 5), "float32"), "^dc has dtype float32; wanted float64")], ids=["shape", "dtype"])
def test_lstm_backward_rejects_a_wrong_dc(dc, message, rng):
    layer = KINDS["lstm"]
    h, _, cache = layer.forward(rng.standard_normal((2, 3, 4)), np.zeros((2, 5)), np.zeros((2, 5)),
                                init_recurrent("lstm", 4, 5, rng))
    with pytest.raises(ValueError, match=message):
        layer.backward(np.zeros_like(h), dc, cache)


@pytest.mark.parametrize(("module", "message"), [
    (torch.nn.RNN(3, 5, nonlinearity="relu"), "^module has the nonlinearity 'relu'; wanted 'tanh'"),
    (torch.nn.RNNCell(3, 5, nonlinearity="relu"), "^module has the nonlinearity 'relu'; wanted 'tanh'"),
    (torch.nn.Linear(3, 5), "^module is a Linear; wanted nn.RNN"),
    (torch.nn.LSTM(3, 5, proj_size=2), "wanted one layer, one direction, with biases"),
    (torch.nn.LSTM(3, 5, dtype=torch.bfloat16), r"^module\.weight_ih is torch\.bfloat16 on cpu; wanted numbers in"),
    (torch.nn.LSTM(3, 5, dtype=torch.float16), r"^module\.weight_ih is torch\.float16 on cpu; wanted numbers in"),
    (torch.nn.LSTM(3, 5, device="meta"), r"^module\.weight_ih is torch\.float32 on meta; wanted numbers in")],
    ids=["relu", "relu cell", "linear", "projection", "bfloat16", "float16", "meta"])
def test_params_from_torch_rejects_what_it_would_misread(module, message):
    with pytest.raises(ValueError, match=message):
        torch_ref.params_from_torch(module)


@pytest.mark.parametrize("cell", [torch.nn.RNNCell, torch.nn.LSTMCell, torch.nn.GRUCell])
def test_params_from_torch_reads_cells(cell):
    module = cell(3, 5)
    assert np.array_equal(torch_ref.params_from_torch(module)["W_hh"], module.weight_hh.detach().numpy())


def test_params_to_torch_rejects_a_kind_that_there_is_not(rng):
    with pytest.raises(ValueError, match="^kind is 'LSTM'; wanted one of"):
        torch_ref.params_to_torch(init_recurrent("lstm", 3, 5, rng), "LSTM")


def test_params_to_torch_names_a_missing_key(rng):
    params = init_recurrent("lstm", 3, 5, rng)
    del params["b_hh"]
    with pytest.raises(ValueError, match="^params has no 'b_hh'"):
        torch_ref.params_to_torch(params, "lstm")


@pytest.mark.parametrize("kind", KINDS)
def test_kind_of_is_what_init_recurrent_was_asked_for(kind, rng):
    assert kind_of(init_recurrent(kind, 3, 5, rng)) == kind


@pytest.mark.parametrize(("params", "message"), [
    ({"W_hh": np.zeros((10, 5))}, r"^params is \['W_hh'\] with W_hh \(10, 5\); wanted one of rnn: W_ih, W_hh"),
    ({"W": np.zeros((10, 5))}, r"^params is \['W'\] with W_hh None; wanted one of"),
    (dict.fromkeys(KINDS["rnn"].keys, np.zeros(5)), r"with W_hh \(5,\); wanted one of"),
    (dict.fromkeys(KINDS["rnn"].keys, np.zeros((10, 5))), r"with W_hh \(10, 5\); wanted one of"),
    (None, "^params is NoneType; wanted one of")],
    ids=["two blocks", "no W_hh", "one axis", "two blocks and all keys", "none"])
def test_kind_of_rejects_params_of_no_kind(params, message):
    with pytest.raises(ValueError, match=message):
        kind_of(params)


def test_kinds_are_told_apart_by_their_keys_and_gates():
    assert len({(kind.keys, len(kind.gates)) for kind in KINDS.values()}) == len(KINDS)
