"""The minimal GRU and LSTM, and the scan they are made of."""

import numpy as np
import pytest
import torch

from lstmcourse.gradcheck import assert_gradients, relative_error
from lstmcourse.min_rnn import (
    min_gru_backward,
    min_gru_forward,
    min_lstm_backward,
    min_lstm_forward,
    parallel_scan,
    sequential_scan,
)
from lstmcourse.torch_ref import torch_gradients
from tests.compare import assert_agree

PAIRS = {"min_gru": (min_gru_forward, min_gru_backward, 2), "min_lstm": (min_lstm_forward, min_lstm_backward, 3)}


def inputs(rng, blocks, B=3, T=7, D=4, H=5):
    params = {"W_ih": rng.standard_normal((blocks * H, D)), "b_ih": rng.standard_normal(blocks * H)}
    return [rng.standard_normal((B, T, D)), rng.standard_normal((B, H)), params]


@pytest.mark.parametrize("T", [1, 2, 3, 8, 100, 1000])
def test_parallel_scan_is_the_loop(rng, T):
    decay, update, h_0 = rng.uniform(0, 1, (2, T, 3)), rng.standard_normal((2, T, 3)), rng.standard_normal((2, 3))
    assert relative_error(parallel_scan(decay, update, h_0), sequential_scan(decay, update, h_0)) < 1e-10


def test_parallel_scan_leaves_its_arguments_alone(rng):
    decay, update, h_0 = rng.uniform(0, 1, (2, 5, 3)), rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 3))
    before = decay.copy(), update.copy(), h_0.copy()
    parallel_scan(decay, update, h_0)
    for a, b in zip(before, (decay, update, h_0), strict=True):
        np.testing.assert_array_equal(b, a)


@pytest.mark.parametrize("name", PAIRS)
def test_minimal_backward_is_the_gradient(rng, name):
    forward, backward, blocks = PAIRS[name]
    assert_gradients(forward, backward, inputs(rng, blocks), rng)


def by_autograd(x, h, params):
    """The recurrence as the paper's equations have it, one step after the other, in torch."""
    parts = (x @ params["W_ih"].T + params["b_ih"]).split(h.shape[1], dim=2)
    if len(parts) == 2:
        decay, write = torch.sigmoid(parts[0]), 1 - torch.sigmoid(parts[0])
    else:
        i, f = torch.sigmoid(parts[0]), torch.sigmoid(parts[1])
        decay, write = f / (f + i), i / (f + i)
    states = []
    for t in range(x.shape[1]):
        h = decay[:, t] * h + write[:, t] * parts[-1][:, t]
        states.append(h)
    return torch.stack(states, dim=1)


@pytest.mark.parametrize("name", PAIRS)
def test_minimal_matches_autograd(rng, name):
    forward, backward, blocks = PAIRS[name]
    given = inputs(rng, blocks, T=33)
    h, cache = forward(*given)
    dh = rng.standard_normal(h.shape)
    (wanted,), (dx, dh_0, grads) = torch_gradients(by_autograd, given, [dh])
    got = backward(dh, cache)
    assert_agree({"h": h, "dx": got[0], "dh_0": got[1], **got[2]},
                 {"h": wanted, "dx": dx, "dh_0": dh_0, **grads}, 1e-12)


def test_minimal_names_a_wrong_shape(rng):
    x, h_0, params = inputs(rng, 2)
    with pytest.raises(ValueError, match=r"params\['W_ih'\] has shape \(10, 4\); wanted \(15, 4\)"):
        min_lstm_forward(x, h_0, params)


def min_lstm_with_gates_at(a_i, a_f):
    """h_1 of a minLSTM whose gates have these pre-activations, from h_0 = 1 with a candidate of 0; and its cache."""
    params = {"W_ih": np.zeros((3, 1)), "b_ih": np.array([a_i, a_f, 0.0])}
    h, cache = min_lstm_forward(np.zeros((1, 1, 1)), np.ones((1, 1)), params)
    return float(h[0, 0, 0]), cache


@pytest.mark.parametrize(("a_i", "a_f", "wanted"), [
    (-40, -40, 0.5), (-800, -800, 0.5), (-41, -40, 1 / (1 + np.exp(-1))), (40, 40, 0.5), (0, -40, 2 * np.exp(-40)),
    (-800, 0, 1.0)])
def test_min_lstm_decay_is_right_where_both_gates_are_0(a_i, a_f, wanted):
    assert min_lstm_with_gates_at(a_i, a_f)[0] == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("a_i", "a_f"), [(-40, -40), (-800, -800), (-41, -40)])
def test_min_lstm_gradient_is_finite_where_both_gates_are_0(a_i, a_f):
    h, cache = min_lstm_with_gates_at(a_i, a_f)
    _, _, grads = min_lstm_backward(np.ones((1, 1, 1)), cache)
    slope = h * (1 - h)                                    # of sigmoid(a_f - a_i), what the decay is there
    assert grads["b_ih"] == pytest.approx(np.array([-slope, slope, 1 - h]), rel=1e-9)


@pytest.mark.parametrize("name", PAIRS)
def test_minimal_of_no_steps_has_no_states(rng, name):
    forward, _, blocks = PAIRS[name]
    assert forward(*inputs(rng, blocks, T=0))[0].shape == (3, 0, 5)


@pytest.mark.parametrize("name", PAIRS)
def test_minimal_backward_of_no_steps_gives_dh_0_of_0(rng, name):
    forward, backward, blocks = PAIRS[name]
    h, cache = forward(*inputs(rng, blocks, T=0))
    assert backward(h, cache)[1].tolist() == np.zeros((3, 5)).tolist()


@pytest.mark.parametrize("name", PAIRS)
def test_minimal_states_are_read_only(rng, name):
    forward, _, blocks = PAIRS[name]
    h, _ = forward(*inputs(rng, blocks))
    with pytest.raises(ValueError, match="read-only"):
        h[0] = 0


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(("dh", "message"), [(np.zeros((3, 6, 5)), r"^dh has shape \(3, 6, 5\); wanted \(3, 7, 5\)"),
                                             (np.zeros((3, 7, 5), "float32"), "^dh has dtype float32; wanted float64")])
def test_minimal_backward_rejects_a_wrong_dh(rng, name, dh, message):
    forward, backward, blocks = PAIRS[name]
    _, cache = forward(*inputs(rng, blocks))
    with pytest.raises(ValueError, match=message):
        backward(dh, cache)


@pytest.mark.parametrize("name", PAIRS)
def test_minimal_keeps_float32(rng, name):
    forward, backward, blocks = PAIRS[name]
    x, h_0, params = inputs(rng, blocks)
    params = {key: value.astype("float32") for key, value in params.items()}
    h, cache = forward(x.astype("float32"), h_0.astype("float32"), params)
    dx, dh_0, grads = backward(np.ones_like(h), cache)
    assert {a.dtype.name for a in (h, dx, dh_0, *grads.values())} == {"float32"}


def test_minimal_names_a_missing_key(rng):
    x, h_0, params = inputs(rng, 2)
    del params["b_ih"]
    with pytest.raises(ValueError, match="^params has no 'b_ih'"):
        min_gru_forward(x, h_0, params)


def test_minimal_names_a_state_that_is_a_list(rng):
    x, h_0, params = inputs(rng, 2)
    with pytest.raises(ValueError, match="^h_0 is a list; wanted an array"):
        min_gru_forward(x, h_0.tolist(), params)
