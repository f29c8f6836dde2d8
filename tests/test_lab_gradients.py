"""How far a gradient reaches: products of Jacobians against the backward and against known matrices."""

import numpy as np
import pytest

from lstmcourse.lab.gradients import (
    gradient_norms_by_lag,
    jacobian_norms_at_radius,
    jacobian_norms_by_lag,
    scale_to_spectral_radius,
)
from lstmcourse.lstm import lstm_backward, lstm_forward
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
    with pytest.raises(ValueError, match="h"):
        jacobian_norms_by_lag(np.zeros((2, 6, 4)), np.eye(4))


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
