"""The network of the experiments, and the tools that look into one."""

import numpy as np
import pytest

from lstmcourse import network, probes
from lstmcourse.gradcheck import assert_gradients, numerical_gradient, relative_error
from lstmcourse.lstm import lstm_backward, lstm_forward
from lstmcourse.train import init_recurrent, leaves

kinds = pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])


@kinds
def test_network_backward_matches_finite_differences(kind, rng):
    params = network.init_network(kind, 3, 4, 2, rng)
    x = rng.standard_normal((2, 5, 3))

    def forward(recurrent, linear):
        y, _, cache = network.network_forward(x, {"recurrent": recurrent, "linear": linear})
        return y, cache

    def backward(dy, cache):
        grads = network.network_backward(dy, cache)
        return grads["recurrent"], grads["linear"]
    assert_gradients(forward, backward, [params["recurrent"], params["linear"]], rng)


@kinds
def test_network_carries_its_states_from_piece_to_piece(kind, rng):
    params, x = network.init_network(kind, 3, 4, 2, rng), rng.standard_normal((2, 7, 3))
    whole, last, _ = network.network_forward(x, params)
    first, states, _ = network.network_forward(x[:, :3], params)
    second, states, _ = network.network_forward(x[:, 3:], params, states)
    assert relative_error(np.concatenate([first, second], axis=1), whole) < 1e-14
    assert all(relative_error(one, other) < 1e-14 for one, other in zip(states, last, strict=True))


@pytest.mark.parametrize("case", ["tokens", "last step"])
def test_network_losses_return_their_gradient(case, rng):
    if case == "tokens":
        params = network.init_network("lstm", 5, 4, 5, rng)
        batch = rng.integers(5, size=(2, 6)), rng.integers(5, size=(2, 6)), rng.random((2, 6)) < 0.5
        loss = network.token_loss
    else:
        params = network.init_network("lstm", 2, 4, 1, rng)
        batch, loss = (rng.standard_normal((3, 6, 2)), rng.standard_normal(3)), network.last_step_loss
    _, grads = loss(params, *batch)
    key = "W_hh"
    wanted = numerical_gradient(
        lambda a: loss({**params, "recurrent": {**params["recurrent"], key: a}}, *batch)[0], params["recurrent"][key])
    assert relative_error(grads["recurrent"][key], wanted) < 1e-6


def test_network_frozen_gate_stays_open_in_training(rng):
    params = network.init_network("lstm", 2, 4, 1, rng)
    network.freeze(params["recurrent"], 1, 60.0)
    x, y = rng.standard_normal((3, 6, 2)), rng.standard_normal(3)
    _, _, (cache, _) = network.network_forward(x, params)
    assert (cache.f == 1).all()
    _, grads = network.last_step_loss(params, x, y)
    assert all((grads["recurrent"][key][4:8] == 0).all() for key in grads["recurrent"])
    assert all(np.abs(grad).max() > 0 for grad in leaves(grads))


def test_one_hot_has_a_one_at_the_token(rng):
    assert network.one_hot(np.array([[2, 0]]), 3).tolist() == [[[0, 0, 1], [1, 0, 0]]]


def test_one_hot_rejects_a_token_that_is_too_large():
    with pytest.raises(ValueError, match="tokens holds 0 … 3; wanted 0 … 2"):
        network.one_hot(np.array([0, 3]), 3)


def test_share_by_lag_is_the_sequence_backward(rng):
    B, T, D, H = 2, 6, 3, 4
    x, params, dh = rng.standard_normal((B, T, D)), init_recurrent("lstm", D, H, rng), np.zeros((B, T, H))
    dh[:, -1] = rng.standard_normal((B, H))
    _, _, cache = lstm_forward(x, np.zeros((B, H)), np.zeros((B, H)), params)
    left = probes.share_by_lag(x, dh[:, -1], params)
    at_last = dh[:, -1] * cache.o[:, -1] * (1 - cache.tanh_c[-1] ** 2)
    # dL/dc at lag 5 is at the first step; dc_0 is one valve further back, and meets h_0 besides
    _, _, dc_0, _ = lstm_backward(dh, None, cache)
    arrived = dc_0 / cache.f[:, 0]
    wanted = np.sqrt((arrived**2).sum(axis=1).mean() / (at_last**2).sum(axis=1).mean())
    assert abs(left[-1] / wanted - 1) < 1e-12


@kinds
def test_share_by_lag_starts_at_one(kind, rng):
    left = probes.share_by_lag(rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 4)),
                                  init_recurrent(kind, 3, 4, rng))
    assert left.shape == (5,)
    assert left[0] == 1


def test_lstm_edited_without_a_change_is_the_lstm(rng):
    x, params, zeros = rng.standard_normal((2, 6, 3)), init_recurrent("lstm", 3, 4, rng), np.zeros((2, 4))
    h, c = probes.lstm_edited(x, params, lambda t, gates: gates)
    wanted_h, wanted_c, _ = lstm_forward(x, zeros, zeros, params)
    assert relative_error(h, wanted_h) < 1e-14
    assert relative_error(c, wanted_c) < 1e-14


def test_lstm_edited_closed_valve_empties_the_cell(rng):
    x, params = rng.standard_normal((2, 6, 3)), init_recurrent("lstm", 3, 4, rng)
    _, c = probes.lstm_edited(x, params, lambda t, gates: {**gates, "f": 0 * gates["f"], "i": 0 * gates["i"]} if t == 3
                              else gates)
    assert np.abs(c[:, 2]).min() > 0
    assert (c[:, 3] == 0).all()


def test_linear_probe_reads_what_is_there_and_nothing_else(rng):
    labels = rng.integers(7, 11, size=600)
    there = np.eye(4)[labels - 7] @ rng.standard_normal((4, 5)) + 0.01 * rng.standard_normal((600, 5))
    assert probes.linear_probe(there, labels) == 1
    assert probes.linear_probe(rng.standard_normal((600, 5)), labels) < 0.35
