"""How far a gradient reaches: products of Jacobians against the backward and against known matrices."""

import numpy as np
import pytest

from lstmcourse.lab.gradients import (
    cell_state_jacobian_norms_by_lag,
    gradient_norms_by_lag,
    jacobian_norms_at_radius,
    jacobian_norms_by_lag,
    lyapunov_exponent,
    scale_to_spectral_radius,
)
from lstmcourse.lstm import lstm_backward, lstm_cell_forward, lstm_forward
from lstmcourse.recurrent import KINDS
from lstmcourse.rnn import rnn_backward, rnn_forward
from lstmcourse.train import init_orthogonal, init_recurrent


def test_jacobian_norms_by_lag_is_the_norm_of_what_the_backward_gives(rng):
    T, D, H = 6, 3, 5
    params = init_recurrent("rnn", D, H, rng)
    x = rng.standard_normal((1, T, D))
    h, _ = rnn_forward(x, rng.standard_normal((1, H)), params)
    got = jacobian_norms_by_lag(h[0], params["W_hh"])
    for lag in range(1, T):                                # H copies, a unit gradient at the end of each
        start = T - 1 - lag
        _, cache = rnn_forward(np.repeat(x[:, start + 1:], H, axis=0), np.repeat(h[:, start], H, axis=0), params)
        dh = np.zeros((H, lag, H))
        dh[:, -1] = np.eye(H)
        assert np.isclose(got[lag], np.linalg.norm(rnn_backward(dh, cache)[1], 2), rtol=1e-12)
    assert got[0] == 1


def test_jacobian_norms_by_lag_of_a_silent_orthogonal_network_is_one(rng):
    np.testing.assert_allclose(jacobian_norms_by_lag(np.zeros((20, 4)), init_orthogonal(4, rng)), 1, rtol=1e-5)


def test_jacobian_norms_by_lag_rejects_a_batch(rng):
    with pytest.raises(ValueError, match=r"^h has shape \(2, 6, 4\); wanted \(any, any\)"):
        jacobian_norms_by_lag(np.zeros((2, 6, 4)), np.eye(4))


def run_on(x, h, c, params):
    """h, c and the output gate after the steps x (T, D), from the states h and c (H,)."""
    o = None
    for x_t in x:
        h_t, c_t, cache = lstm_cell_forward(x_t[None], h[None], c[None], params)
        h, c, o = h_t[0], c_t[0], cache.o[0]
    return h, c, o


def test_cell_state_jacobian_norms_are_those_of_finite_differences(rng):
    T, D, H, eps = 6, 3, 4, 1e-6
    x, params = rng.standard_normal((T, D)), init_recurrent("lstm", D, H, rng, forget_bias=2.0)
    got, _ = cell_state_jacobian_norms_by_lag(x, params)
    for lag in range(1, T):
        _, c, o = run_on(x[:T - lag], np.zeros(H), np.zeros(H), params)

        def c_last(c_t, o=o, lag=lag):
            return run_on(x[T - lag:], o * np.tanh(c_t), c_t, params)[1]     # h_t follows c_t, o_t does not
        jacobian = np.stack([(c_last(c + eps * e) - c_last(c - eps * e)) / (2 * eps) for e in np.eye(H)], axis=1)
        assert np.isclose(got[lag], np.linalg.norm(jacobian, 2), rtol=1e-7)
    assert got[0] == 1


def test_one_step_back_along_the_cell_state_is_equation_4l_with_4m(rng):
    T, D, H = 4, 3, 5
    x, params = rng.standard_normal((T, D)), init_recurrent("lstm", D, H, rng, forget_bias=1.0)
    _, c, cache = lstm_forward(x[None], np.zeros((1, H)), np.zeros((1, H)), params)
    (i, f, g, _), o, c_prev = cache.gates[-1, :, 0], cache.o[0, -2], c[0, -2]
    W_i, W_f, W_g, _ = np.split(params["W_hh"], 4)
    slopes = [(c_prev * f * (1 - f), W_f), (g * i * (1 - i), W_i), (i * (1 - g**2), W_g)]
    detour = sum(slope[:, None] * W for slope, W in slopes) * (o * (1 - np.tanh(c_prev) ** 2))
    got, _ = cell_state_jacobian_norms_by_lag(x, params)
    assert np.isclose(got[1], np.linalg.norm(np.diag(f) + detour, 2), rtol=1e-12)


def test_cell_state_alone_passes_back_the_product_of_the_forget_gates(rng):
    T, D, H = 7, 3, 4
    x, params = rng.standard_normal((T, D)), init_recurrent("lstm", D, H, rng)
    _, got = cell_state_jacobian_norms_by_lag(x, params)
    f = lstm_forward(x[None], np.zeros((1, H)), np.zeros((1, H)), params)[2].f[0]
    assert np.allclose(got, [f[T - lag:].prod(axis=0).max() for lag in range(T)], rtol=1e-12)


def test_cell_state_jacobian_without_recurrent_weights_is_the_cell_state_alone(rng):
    params = init_recurrent("lstm", 3, 4, rng)
    params["W_hh"] = np.zeros((16, 4))
    every_path, alone = cell_state_jacobian_norms_by_lag(rng.standard_normal((7, 3)), params)
    assert np.allclose(every_path, alone, rtol=1e-12)


def test_jacobian_norms_by_lag_names_a_matrix_of_another_size():
    with pytest.raises(ValueError, match=r"^W_hh has shape \(5, 5\); wanted \(4, 4\)"):
        jacobian_norms_by_lag(np.zeros((6, 4)), np.eye(5))


def test_jacobian_norms_at_radius_has_its_defaults(rng):
    state = rng.bit_generator.state
    default = jacobian_norms_at_radius(0.9, 0.1, rng)
    rng.bit_generator.state = state
    assert np.array_equal(default, jacobian_norms_at_radius(0.9, 0.1, rng, T=100, H=64, orthogonal=False))


@pytest.mark.parametrize("kind", ["rnn", "gru"])
def test_gradient_norms_by_lag_of_one_state_is_the_sequence_backward(kind, rng):
    B, T, D, H = 2, 6, 3, 4
    x, params, dh_last = rng.standard_normal((B, T, D)), init_recurrent(kind, D, H, rng), rng.standard_normal((B, H))
    got, h = gradient_norms_by_lag(x, dh_last, params), KINDS[kind].forward(x, np.zeros((B, H)), params)[0]
    for lag in range(1, T):
        _, cache = KINDS[kind].forward(x[:, T - lag:], h[:, T - lag - 1], params)
        dh = np.zeros((B, lag, H))
        dh[:, -1] = dh_last
        left = KINDS[kind].backward(dh, cache)[1]
        assert got[lag] == pytest.approx(np.sqrt((left**2).sum() / (dh_last**2).sum()), rel=1e-12)


@pytest.mark.parametrize(("x", "dh", "message"), [
    (np.zeros((2, 5, 7)), np.zeros((2, 4)), r"^x has shape \(2, 5, 7\); wanted \(any, any, 3\)"),
    (np.zeros((2, 5, 3)), np.zeros((2, 5)), r"^dh_last has shape \(2, 5\); wanted \(2, 4\)")], ids=["x", "dh_last"])
def test_gradient_norms_by_lag_names_a_wrong_shape(x, dh, message, rng):
    with pytest.raises(ValueError, match=message):
        gradient_norms_by_lag(x, dh, init_recurrent("gru", 3, 4, rng))


def test_scale_to_spectral_radius_sets_the_largest_eigenvalue(rng):
    assert np.isclose(np.abs(np.linalg.eigvals(scale_to_spectral_radius(rng.standard_normal((7, 7)), 1.3))).max(), 1.3)


def test_jacobian_norms_at_radius_in_silence_falls_like_the_power_of_the_radius():
    curve = jacobian_norms_at_radius(0.5, 0, np.random.default_rng(0), T=30, H=8, orthogonal=True)
    np.testing.assert_allclose(curve, 0.5 ** np.arange(30), rtol=1e-3, atol=1e-8)


def test_gradient_norms_by_lag_is_the_sequence_backward(rng):
    B, T, D, H = 2, 6, 3, 4
    x, params, dh = rng.standard_normal((B, T, D)), init_recurrent("lstm", D, H, rng), np.zeros((B, T, H))
    dh[:, -1] = rng.standard_normal((B, H))
    _, _, cache = lstm_forward(x, np.zeros((B, H)), np.zeros((B, H)), params)
    left = gradient_norms_by_lag(x, dh[:, -1], params)
    at_last = dh[:, -1] * cache.o[:, -1] * (1 - cache.tanh_c[-1] ** 2)
    # dL/dc at lag 5 is at the first step; dc_0 is one valve further back, and meets h_0 besides
    _, _, dc_0, _ = lstm_backward(dh, None, cache)
    arrived = dc_0 / cache.f[:, 0]
    wanted = np.sqrt((arrived**2).sum(axis=1).mean() / (at_last**2).sum(axis=1).mean())
    assert abs(left[-1] / wanted - 1) < 1e-12


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_gradient_norms_by_lag_starts_at_one(kind, rng):
    left = gradient_norms_by_lag(rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 4)),
                                  init_recurrent(kind, 3, 4, rng))
    assert left.shape == (5,)
    assert left[0] == 1


def test_lyapunov_exponent_of_a_silent_network_is_the_log_of_its_radius(rng):
    assert np.isclose(lyapunov_exponent(np.zeros((50, 6)), 0.7 * init_orthogonal(6, rng), rng), np.log(0.7))


def test_lyapunov_exponent_is_how_fast_two_copies_part(rng):
    H, apart = 30, 1e-9
    W_hh = scale_to_spectral_radius(rng.standard_normal((H, H)), 2.0)
    params = {"W_ih": np.eye(H), "W_hh": W_hh, "b_ih": np.zeros(H), "b_hh": np.zeros(H)}
    x, h_0 = np.zeros((1, 300, H)), rng.standard_normal((1, H))
    h, _ = rnn_forward(x, h_0, params)
    start = h[:, 199] + apart * rng.standard_normal((1, H)) / np.sqrt(H)
    moved, _ = rnn_forward(x[:, 200:240], start, params)
    measured = np.log(np.linalg.norm(moved[0, -1] - h[0, 239]) / np.linalg.norm(start - h[:, 199])) / 40
    assert measured > 0.05
    assert abs(lyapunov_exponent(h[0, 200:], W_hh, rng) - measured) < 0.15


def test_gradient_norms_by_lag_of_an_irnn_keeps_the_gradient_where_relu_is_open(rng):
    params = init_recurrent("rnn", 3, 4, rng, identity=True)
    params["W_ih"] = np.abs(params["W_ih"])                # with positive inputs no unit is at 0
    x, dh_last = rng.random((2, 6, 3)), rng.standard_normal((2, 4))
    assert np.allclose(gradient_norms_by_lag(x, dh_last, params, nonlinearity="relu"), 1)
    assert gradient_norms_by_lag(x, dh_last, params)[-1] < 0.9
