"""What is particular to the LSTM."""

import numpy as np
import pytest

from lstmcourse.gradcheck import relative_error
from lstmcourse.lstm import lstm_backward, lstm_cell_forward, lstm_forward
from lstmcourse.train import init_recurrent


def test_lstm_gate_order_is_i_f_g_o():
    H = 3
    params = {"W_ih": np.zeros((4 * H, 2)), "W_hh": np.zeros((4 * H, H)), "b_hh": np.zeros(4 * H),
              "b_ih": np.repeat([1.0, 2.0, 3.0, 4.0], H)}
    *_, cache = lstm_cell_forward(np.zeros((1, 2)), np.zeros((1, H)), np.zeros((1, H)), params)
    wanted = {"i": 1 / (1 + np.exp(-1)), "f": 1 / (1 + np.exp(-2)), "g": np.tanh(3), "o": 1 / (1 + np.exp(-4))}
    assert {gate: getattr(cache, gate) for gate in wanted} == {
        gate: pytest.approx(value, rel=1e-5, abs=1e-15) for gate, value in wanted.items()}


@pytest.mark.parametrize("gate", ["i", "f", "g", "o"])
def test_lstm_cache_shows_the_gates_of_every_step(gate, rng):
    params = init_recurrent("lstm", 3, 5, rng)
    x, h, c = rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 5)), rng.standard_normal((2, 5))
    *_, cache = lstm_forward(x, h, c, params)
    for t in range(4):
        h, c, cell = lstm_cell_forward(x[:, t], h, c, params)
        assert relative_error(getattr(cache, gate)[:, t], getattr(cell, gate)) < 1e-14


def test_lstm_backward_without_dc_is_dc_of_zeros(rng):
    params = init_recurrent("lstm", 3, 5, rng)
    h, _, cache = lstm_forward(rng.standard_normal((2, 4, 3)), np.ones((2, 5)), np.ones((2, 5)), params)
    dh = rng.standard_normal(h.shape)
    without, zeros = lstm_backward(dh, None, cache), lstm_backward(dh, np.zeros_like(h), cache)
    assert [key for key in params if not np.array_equal(without[-1][key], zeros[-1][key])] == []


def test_lstm_with_gates_at_one_and_zero_keeps_the_cell_for_a_thousand_steps(rng):
    params = init_recurrent("lstm", 3, 5, rng)
    params["b_ih"] = np.repeat([-60.0, 60.0, 0.0, 0.0], 5)
    c_0 = rng.standard_normal((2, 5))
    _, c, cache = lstm_forward(rng.standard_normal((2, 1000, 3)), np.zeros((2, 5)), c_0, params)
    dc = np.zeros_like(c)
    dc[:, -1] = upstream = rng.standard_normal((2, 5))
    *_, dc_0, _ = lstm_backward(np.zeros_like(dc), dc, cache)
    assert np.abs(cache.g).min() > 0
    assert np.array_equal(c[:, -1], c_0)
    assert np.array_equal(dc_0, upstream)
