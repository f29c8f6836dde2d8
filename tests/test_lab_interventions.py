"""Clamped gates and ablated units: no change without a clamp, and what a clamp is followed by."""

import numpy as np
import pytest

from lstmcourse.gradcheck import relative_error
from lstmcourse.gru import gru_forward
from lstmcourse.lab.interventions import clamp_gate, gru_clamped, lstm_clamped
from lstmcourse.lab.models import init_network, last_step_loss, network_forward
from lstmcourse.lstm import lstm_forward
from lstmcourse.train import init_recurrent, leaves


def test_lstm_clamped_without_a_change_is_the_lstm(rng):
    x, params, zeros = rng.standard_normal((2, 6, 3)), init_recurrent("lstm", 3, 4, rng), np.zeros((2, 4))
    h, c = lstm_clamped(x, params, lambda t, gate, value: value)
    wanted_h, wanted_c, _ = lstm_forward(x, zeros, zeros, params)
    assert relative_error(h, wanted_h) < 1e-14
    assert relative_error(c, wanted_c) < 1e-14


def test_gru_clamped_without_a_change_is_the_gru(rng):
    x, params, zeros = rng.standard_normal((2, 6, 3)), init_recurrent("gru", 3, 4, rng), np.zeros((2, 4))
    h = gru_clamped(x, params, lambda t, gate, value: value)
    assert relative_error(h, gru_forward(x, zeros, params)[0]) < 1e-14


def test_lstm_clamped_to_zero_empties_the_cell_state(rng):
    x, params = rng.standard_normal((2, 6, 3)), init_recurrent("lstm", 3, 4, rng)
    _, c = lstm_clamped(x, params, lambda t, gate, value: 0 * value if t == 3 and gate in "fi" else value)
    assert np.abs(c[:, 2]).min() > 0
    assert (c[:, 3] == 0).all()


def test_gru_clamped_reset_changes_the_candidate_of_that_step_only(rng):
    x, params = rng.standard_normal((2, 6, 3)), init_recurrent("gru", 3, 4, rng)
    candidates = {}

    def record(name, clamped):
        def clamp(t, gate, value):
            if gate == "n":
                candidates[name, t] = value
            return 0 * value if clamped and t == 3 and gate == "r" else value
        return clamp
    free, held = (gru_clamped(x, params, record(name, name == "held")) for name in ("free", "held"))
    assert np.array_equal(free[:, :3], held[:, :3])
    assert np.abs(candidates["free", 3] - candidates["held", 3]).min() > 0


def test_clamp_gate_stays_open_in_training(rng):
    params = init_network("lstm", 2, 4, 1, rng)
    clamp_gate(params["recurrent"], 1, 60.0)
    x, y = rng.standard_normal((3, 6, 2)), rng.standard_normal(3)
    _, _, (cache, _) = network_forward(x, params)
    assert (cache.f == 1).all()
    _, grads = last_step_loss(params, x, y)
    assert [key for key, grad in grads["recurrent"].items() if grad[4:8].any()] == []
    assert min(np.abs(grad).max() for grad in leaves(grads)) > 0


def test_clamp_gate_rejects_a_block_that_a_gru_does_not_have(rng):
    with pytest.raises(ValueError, match="block is 3; wanted 0 to 2"):
        clamp_gate(init_recurrent("gru", 3, 4, rng), 3, 60.0)
