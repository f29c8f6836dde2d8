"""Clamped gates and ablated units: no change without a clamp, and what a clamp is followed by."""

import numpy as np
import pytest

from lstmcourse.gradcheck import relative_error
from lstmcourse.gru import gru_forward
from lstmcourse.lab.interventions import CLAMPED, clamp_gate, gru_clamped, lstm_clamped, run_clamped
from lstmcourse.lab.models import init_network, last_step_loss, network_forward
from lstmcourse.lstm import lstm_forward
from lstmcourse.recurrent import KINDS
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


@pytest.mark.parametrize(("kind", "block"), [("gru", 0), ("lstm", 1), ("lstm", 3)])
def test_clamp_gate_leaves_every_other_row(kind, block, rng):
    params = init_recurrent(kind, 3, 4, rng)
    before = {key: value.copy() for key, value in params.items()}
    clamp_gate(params, block, 60.0)
    others = np.delete(np.arange(len(params["W_hh"])), np.arange(4) + 4 * block)
    assert {key for key in params if not np.array_equal(params[key][others], before[key][others])} == set()


def test_clamp_gate_sets_only_the_first_bias(rng):
    params = init_recurrent("gru", 3, 4, rng)
    clamp_gate(params, 1, 60.0)
    assert {key: params[key][4:8].ravel().tolist() for key in params} == {
        "W_ih": [0] * 12, "W_hh": [0] * 16, "b_ih": [60] * 4, "b_hh": [0] * 4}


@pytest.mark.parametrize("kind", CLAMPED)
def test_run_clamped_without_a_clamp_is_the_layer(kind, rng):
    x, params = rng.standard_normal((6, 3)), init_recurrent(kind, 3, 4, rng)
    zeros = [np.zeros((1, 4)) for _ in KINDS[kind].states]
    *wanted, _ = KINDS[kind].forward(x[None], *zeros, params)
    got = run_clamped(x, params)
    for name, states in zip(KINDS[kind].states, wanted, strict=True):
        assert relative_error(got[name], states[0]) < 1e-14


@pytest.mark.parametrize(("clamp", "shown"), [((6, "f", 0), r"\(6, 'f', 0\)"), ((0, "z", 0), r"\(0, 'z', 0\)"),
                                              ((0, "if", 0), r"\(0, 'if', 0\)"), ((0, "f", 4), r"\(0, 'f', 4\)")])
def test_run_clamped_names_what_there_is_not(clamp, shown, rng):
    with pytest.raises(ValueError, match=f"^clamped has {shown}; wanted .step 0 to 5, one of i, f, g, o, unit 0 to 3"):
        run_clamped(rng.standard_normal((6, 3)), init_recurrent("lstm", 3, 4, rng), {clamp: 1.0})


def test_run_clamped_names_a_wrong_input(rng):
    with pytest.raises(ValueError, match=r"^x has shape \(6, 7\); wanted \(any, 3\)"):
        run_clamped(rng.standard_normal((6, 7)), init_recurrent("lstm", 3, 4, rng))
