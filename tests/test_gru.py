"""What is particular to the GRU: where the reset gate is applied, what z multiplies, and its gradients by themselves.

What holds for every layer (torch.nn, the loop over cells, error messages) is in test_recurrent.py.
"""

import numpy as np
import pytest
import torch

from lstmcourse.gradcheck import assert_gradients, relative_error
from lstmcourse.gru import gru_backward, gru_cell_backward, gru_cell_forward, gru_forward
from lstmcourse.torch_ref import torch_gradients
from lstmcourse.train import init_recurrent
from tests.compare import assert_agree


def cho(x, h, params):
    """The GRU of Cho et al. 2014 in torch, for autograd: the reset multiplies the state itself."""
    H = h.shape[1]
    W_r, W_z, W_n = params["W_hh"].split(H)
    b_r, b_z, b_n = params["b_hh"].split(H)
    states = []
    for t in range(x.shape[1]):
        a_r, a_z, a_n = (x[:, t] @ params["W_ih"].T + params["b_ih"]).split(H, dim=1)
        r = torch.sigmoid(a_r + h @ W_r.T + b_r)
        z = torch.sigmoid(a_z + h @ W_z.T + b_z)
        n = torch.tanh(a_n + (r * h) @ W_n.T + b_n)
        h = (1 - z) * n + z * h
        states.append(h)
    return torch.stack(states, dim=1)


def test_gru_before_matches_cho_with_autograd(rng):
    inputs = [rng.standard_normal((3, 6, 4)), rng.standard_normal((3, 5)), init_recurrent("gru", 4, 5, rng)]
    h, cache = gru_forward(*inputs, reset_after=False)
    dh = rng.standard_normal(h.shape)
    (wanted,), (dx, dh_0, grads) = torch_gradients(cho, inputs, [dh])
    got = gru_backward(dh, cache)
    assert_agree({"h": h, "dx": got[0], "dh_0": got[1], **got[2]}, {"h": wanted, "dx": dx, "dh_0": dh_0, **grads},
                 1e-12)


def test_gru_conventions_differ(rng):
    inputs = [rng.standard_normal((3, 6, 4)), rng.standard_normal((3, 5)), init_recurrent("gru", 4, 5, rng)]
    after, before = gru_forward(*inputs)[0], gru_forward(*inputs, reset_after=False)[0]
    assert relative_error(after, before) > 1e-3


def test_gru_update_gate_at_one_keeps_the_state(rng):
    params = init_recurrent("gru", 3, 5, rng)
    params["b_ih"][5:10] = 60
    h_prev = rng.standard_normal((2, 5))
    h_t, _ = gru_cell_forward(rng.standard_normal((2, 3)), h_prev, params)
    assert np.array_equal(h_t, h_prev)


def test_gru_gate_order_is_r_z_n():
    H = 3
    params = {"W_ih": np.zeros((3 * H, 2)), "W_hh": np.zeros((3 * H, H)), "b_hh": np.zeros(3 * H),
              "b_ih": np.repeat([1.0, 2.0, 3.0], H)}
    _, cache = gru_cell_forward(np.zeros((1, 2)), np.zeros((1, H)), params)
    wanted = {"r": 1 / (1 + np.exp(-1)), "z": 1 / (1 + np.exp(-2)), "n": np.tanh(3)}
    for gate, value in wanted.items():
        np.testing.assert_allclose(getattr(cache, gate), value, rtol=1e-15, err_msg=gate)


both_conventions = pytest.mark.parametrize("reset_after", [True, False])


@both_conventions
def test_gru_cell_backward_is_the_gradient(reset_after, rng):
    inputs = [rng.standard_normal((2, 3)), rng.standard_normal((2, 5)), init_recurrent("gru", 3, 5, rng)]
    assert_gradients(lambda x_t, h_prev, params: gru_cell_forward(x_t, h_prev, params, reset_after), gru_cell_backward,
                     inputs, rng)


@both_conventions
def test_gru_backward_is_the_gradient(reset_after, rng):
    inputs = [rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 5)), init_recurrent("gru", 3, 5, rng)]
    assert_gradients(lambda x, h_0, params: gru_forward(x, h_0, params, reset_after), gru_backward, inputs, rng)
