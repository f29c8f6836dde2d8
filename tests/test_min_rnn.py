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

PAIRS = {"min_gru": (min_gru_forward, min_gru_backward, 2), "min_lstm": (min_lstm_forward, min_lstm_backward, 3)}


def inputs(rng, blocks, B=3, T=7, D=4, H=5):
    params = {"W_ih": rng.standard_normal((blocks * H, D)), "b_ih": rng.standard_normal(blocks * H)}
    return [rng.standard_normal((B, T, D)), rng.standard_normal((B, H)), params]


@pytest.mark.parametrize("T", [1, 2, 3, 8, 100, 1000])
def test_scan_doubling_is_the_loop(rng, T):
    keep, new, h_0 = rng.uniform(0, 1, (2, T, 3)), rng.standard_normal((2, T, 3)), rng.standard_normal((2, 3))
    assert relative_error(parallel_scan(keep, new, h_0), sequential_scan(keep, new, h_0)) < 1e-10


def test_scan_doubling_leaves_its_arguments_alone(rng):
    keep, new, h_0 = rng.uniform(0, 1, (2, 5, 3)), rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 3))
    before = keep.copy(), new.copy(), h_0.copy()
    parallel_scan(keep, new, h_0)
    assert all(np.array_equal(a, b) for a, b in zip(before, (keep, new, h_0), strict=True))


@pytest.mark.parametrize("name", PAIRS)
def test_minimal_backward_is_the_gradient(rng, name):
    forward, backward, blocks = PAIRS[name]
    assert_gradients(forward, backward, inputs(rng, blocks), rng)


def by_autograd(x, h, params):
    """The recurrence as the paper's equations have it, one step after the other, in torch."""
    parts = (x @ params["W_ih"].T + params["b_ih"]).split(h.shape[1], dim=2)
    if len(parts) == 2:
        keep, write = torch.sigmoid(parts[0]), 1 - torch.sigmoid(parts[0])
    else:
        i, f = torch.sigmoid(parts[0]), torch.sigmoid(parts[1])
        keep, write = f / (f + i), i / (f + i)
    states = []
    for t in range(x.shape[1]):
        h = keep[:, t] * h + write[:, t] * parts[-1][:, t]
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
    assert relative_error(h, wanted) < 1e-12
    assert max(relative_error(got[0], dx), relative_error(got[1], dh_0)) < 1e-12
    assert max(relative_error(got[2][key], grads[key]) for key in grads) < 1e-12


def test_minimal_names_a_wrong_shape(rng):
    x, h_0, params = inputs(rng, 2)
    with pytest.raises(ValueError, match=r"params\['W_ih'\] has shape \(10, 4\); wanted \(15, 4\)"):
        min_lstm_forward(x, h_0, params)
