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


def test_network_names_a_missing_part(rng):
    params = models.init_network("gru", 3, 4, 2, rng)
    with pytest.raises(ValueError, match="^params has no 'linear'"):
        models.network_forward(np.zeros((2, 5, 3)), {"recurrent": params["recurrent"]})


def test_network_names_states_that_are_too_few(rng):
    params = models.init_network("lstm", 3, 4, 2, rng)
    with pytest.raises(ValueError, match="^states has 1 arrays; wanted h and c"):
        models.network_forward(np.zeros((2, 5, 3)), params, [np.zeros((2, 4))])


def test_last_step_loss_names_targets_of_another_shape(rng):
    params = models.init_network("lstm", 2, 4, 1, rng)
    with pytest.raises(ValueError, match=r"^y has shape \(3, 1\); wanted \(3,\)"):
        models.last_step_loss(params, np.zeros((3, 6, 2)), np.zeros((3, 1)))


@pytest.mark.parametrize("case", ["tokens", "last step"])
def test_network_losses_return_the_gradient_of_a_relu_rnn(case, rng):
    params = models.init_network("rnn", 5, 4, 5, rng, identity=True)
    params["linear"]["b"] += 1
    if case == "tokens":
        batch, loss = (rng.integers(5, size=(2, 6)), rng.integers(5, size=(2, 6))), models.token_loss
    else:
        batch, loss = (rng.standard_normal((3, 6, 5)), rng.standard_normal(3)), models.last_step_loss
    value, grads = loss(params, *batch, nonlinearity="relu")
    assert value != loss(params, *batch)[0]
    wanted = numerical_gradient(lambda a: loss({**params, "recurrent": {**params["recurrent"], "W_hh": a}}, *batch,
                                               nonlinearity="relu")[0], params["recurrent"]["W_hh"])
    assert relative_error(grads["recurrent"]["W_hh"], wanted) < 1e-6
