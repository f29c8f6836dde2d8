"""How far a gradient reaches: products of Jacobians against the backward and against known matrices."""

import numpy as np
import pytest

from lstmcourse.jacobian import curve_of_radius, gradient_by_lag, with_radius
from lstmcourse.rnn import rnn_backward, rnn_forward
from lstmcourse.train import init_orthogonal, init_recurrent


def test_gradient_by_lag_is_the_norm_of_what_the_backward_gives(rng):
    T, D, H = 6, 3, 5
    params = init_recurrent("rnn", D, H, rng)
    x = rng.standard_normal((1, T, D))
    h, _ = rnn_forward(x, rng.standard_normal((1, H)), params)
    got = gradient_by_lag(h[0], params["W_hh"])
    for lag in range(1, T):                                # H copies, a unit gradient at the end of each
        start = T - 1 - lag
        _, cache = rnn_forward(np.repeat(x[:, start + 1:], H, axis=0), np.repeat(h[:, start], H, axis=0), params)
        dh = np.zeros((H, lag, H))
        dh[:, -1] = np.eye(H)
        assert np.isclose(got[lag], np.linalg.norm(rnn_backward(dh, cache)[1], 2), rtol=1e-12)
    assert got[0] == 1


def test_gradient_by_lag_of_a_silent_orthogonal_network_is_one(rng):
    assert np.allclose(gradient_by_lag(np.zeros((20, 4)), init_orthogonal(4, rng)), 1)


def test_gradient_by_lag_rejects_a_batch(rng):
    with pytest.raises(ValueError, match="h"):
        gradient_by_lag(np.zeros((2, 6, 4)), np.eye(4))


def test_with_radius_sets_the_largest_eigenvalue(rng):
    assert np.isclose(np.abs(np.linalg.eigvals(with_radius(rng.standard_normal((7, 7)), 1.3))).max(), 1.3)


def test_curve_of_radius_in_silence_falls_like_the_power_of_the_radius():
    curve = curve_of_radius(0.5, 0, np.random.default_rng(0), T=30, H=8, orthogonal=True)
    assert np.allclose(curve, 0.5 ** np.arange(30), rtol=1e-3)
