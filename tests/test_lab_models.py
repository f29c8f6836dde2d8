"""The model of the trials: one recurrent layer and a linear layer."""

import numpy as np
import pytest

from lstmcourse.gradcheck import assert_gradients, numerical_gradient, relative_error
from lstmcourse.lab import models

kinds = pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])


@kinds
def test_network_backward_matches_finite_differences(kind, rng):
    params = models.init_network(kind, 3, 4, 2, rng)
    x = rng.standard_normal((2, 5, 3))

    def forward(recurrent, linear):
        y, _, cache = models.network_forward(x, {"recurrent": recurrent, "linear": linear})
        return y, cache

    def backward(dy, cache):
        grads = models.network_backward(dy, cache)
        return grads["recurrent"], grads["linear"]
    assert_gradients(forward, backward, [params["recurrent"], params["linear"]], rng)


@kinds
def test_network_carries_its_states_from_piece_to_piece(kind, rng):
    params, x = models.init_network(kind, 3, 4, 2, rng), rng.standard_normal((2, 7, 3))
    whole, last, _ = models.network_forward(x, params)
    first, states, _ = models.network_forward(x[:, :3], params)
    second, states, _ = models.network_forward(x[:, 3:], params, states)
    assert relative_error(np.concatenate([first, second], axis=1), whole) < 1e-14
    assert max(relative_error(one, other) for one, other in zip(states, last, strict=True)) < 1e-14


@pytest.mark.parametrize("case", ["tokens", "last step"])
def test_network_losses_return_their_gradient(case, rng):
    if case == "tokens":
        params = models.init_network("lstm", 5, 4, 5, rng)
        batch = rng.integers(5, size=(2, 6)), rng.integers(5, size=(2, 6)), rng.random((2, 6)) < 0.5
        loss = models.token_loss
    else:
        params = models.init_network("lstm", 2, 4, 1, rng)
        batch, loss = (rng.standard_normal((3, 6, 2)), rng.standard_normal(3)), models.last_step_loss
    _, grads = loss(params, *batch)
    key = "W_hh"
    wanted = numerical_gradient(
        lambda a: loss({**params, "recurrent": {**params["recurrent"], key: a}}, *batch)[0], params["recurrent"][key])
    assert relative_error(grads["recurrent"][key], wanted) < 1e-6


def test_one_hot_has_a_one_at_the_token(rng):
    assert models.one_hot(np.array([[2, 0]]), 3).tolist() == [[[0, 0, 1], [1, 0, 0]]]


def test_one_hot_rejects_a_token_that_is_too_large():
    with pytest.raises(ValueError, match="tokens holds 0 … 3; wanted 0 … 2"):
        models.one_hot(np.array([0, 3]), 3)
