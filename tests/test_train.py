"""First weights, clipping, Adam and the loop."""

import numpy as np
import pytest
import torch

from lstmcourse import train
from lstmcourse.gradcheck import relative_error


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_init_recurrent_is_bounded_as_in_torch(kind, rng):
    params = train.init_recurrent(kind, 30, 40, rng)
    largest = max(np.abs(value).max() for value in params.values())
    assert 0.99 / np.sqrt(40) < largest <= 1 / np.sqrt(40)


def test_init_recurrent_sets_the_forget_bias(rng):
    params = train.init_recurrent("lstm", 3, 5, rng, forget_bias=2.5)
    both = (params["b_ih"] + params["b_hh"]).reshape(4, 5)
    assert (both[1] == 2.5).all()
    assert (np.abs(both[[0, 2, 3]]) < 2 / np.sqrt(5)).all()


def test_init_recurrent_orthogonal_keeps_lengths(rng):
    params = train.init_recurrent("lstm", 3, 5, rng, orthogonal=True)
    for block in params["W_hh"].reshape(4, 5, 5):
        assert np.allclose(block @ block.T, np.eye(5), atol=1e-14)


def test_init_recurrent_sets_the_update_bias(rng):
    params = train.init_recurrent("gru", 3, 5, rng, update_bias=2.5)
    both = (params["b_ih"] + params["b_hh"]).reshape(3, 5)
    assert (both[1] == 2.5).all()
    assert (np.abs(both[[0, 2]]) < 2 / np.sqrt(5)).all()


def test_init_recurrent_identity_is_the_irnn_start(rng):
    params = train.init_recurrent("rnn", 3, 5, rng, identity=True, dtype="float32")
    assert np.array_equal(params["W_hh"], np.eye(5))
    assert not params["b_ih"].any()
    assert not params["b_hh"].any()
    assert (params["W_ih"] != 0).all()
    assert {value.dtype.name for value in params.values()} == {"float32"}


@pytest.mark.parametrize(("arguments", "message"), [
    ({"kind": "LSTM"}, "kind is 'LSTM'; wanted one of"),
    ({"kind": "lstm", "update_bias": 1.0}, "update_bias is for kind 'gru'; kind is 'lstm'"),
    ({"kind": "rnn", "update_bias": 0}, "update_bias is for kind 'gru'; kind is 'rnn'"),
    ({"kind": "gru", "identity": True}, "identity is for kind 'rnn'; kind is 'gru'"),
    ({"kind": "rnn", "identity": True, "orthogonal": True}, "orthogonal and identity are two starts"),
    ({"kind": "gru", "forget_bias": 1.0}, "forget_bias is for kind 'lstm'; kind is 'gru'")])
def test_init_recurrent_rejects(arguments, message, rng):
    with pytest.raises(ValueError, match=message):
        train.init_recurrent(D=3, H=5, rng=rng, **arguments)


def test_clip_grads_scales_to_the_global_norm(rng):
    grads = {"rnn": {"W": rng.standard_normal((3, 4)) * 10}, "linear": {"b": rng.standard_normal(5) * 10}}
    clipped, norm = train.clip_grads(grads, 2.0)
    flat, before = (np.concatenate([a.ravel() for a in train.leaves(g)]) for g in (clipped, grads))
    assert abs(norm - np.linalg.norm(before)) < 1e-12
    assert relative_error(flat, before * 2.0 / norm) < 1e-15


def test_clip_grads_leaves_small_gradients_alone(rng):
    grads = {"W": rng.standard_normal((3, 4)) * 1e-3}
    clipped, _ = train.clip_grads(grads, 2.0)
    assert np.array_equal(clipped["W"], grads["W"])


def test_clip_grads_survives_zero_gradients():
    clipped, norm = train.clip_grads({"W": np.zeros(3)}, 1.0)
    assert norm == 0
    assert (clipped["W"] == 0).all()


def test_adam_matches_torch(rng):
    start = {"a": {"W": rng.standard_normal((3, 4))}, "b": {"W": rng.standard_normal(5)}}
    tensors = [torch.tensor(array, requires_grad=True) for array in train.leaves(start)]
    theirs, ours, params = torch.optim.Adam(tensors, lr=0.05), train.Adam(lr=0.05), start
    for _ in range(20):
        grads = train.tree_map(lambda p: rng.standard_normal(p.shape), params)
        params = ours.step(params, grads)
        for tensor, grad in zip(tensors, train.leaves(grads), strict=True):
            tensor.grad = torch.tensor(grad)
        theirs.step()
    for got, wanted in zip(train.leaves(params), tensors, strict=True):
        assert relative_error(got, wanted.detach().numpy()) < 1e-12


def test_adam_does_not_change_its_arguments(rng):
    params, grads = {"W": rng.standard_normal(3)}, {"W": rng.standard_normal(3)}
    before = params["W"].copy(), grads["W"].copy()
    train.Adam().step(params, grads)
    assert np.array_equal(params["W"], before[0])
    assert np.array_equal(grads["W"], before[1])


def test_adam_keeps_float32(rng):
    params = {"W": np.ones(3, "float32")}
    assert train.Adam().step(params, {"W": np.ones(3, "float32")})["W"].dtype == np.float32


def quadratic(params, target):
    """A loss with its minimum at target."""
    return float(((params["W"] - target) ** 2).sum()), {"W": 2 * (params["W"] - target)}


def test_train_reaches_the_minimum():
    target = np.array([1.0, -2.0])
    params, losses = train.train(quadratic, {"W": np.zeros(2)}, [(target,)] * 500, lr=0.05, progress=False)
    assert np.abs(params["W"] - target).max() < 1e-2
    assert losses[0] == 5.0


def test_train_stops_at_a_loss_that_is_not_finite():
    with pytest.raises(FloatingPointError, match="the loss is nan at step 0: try a smaller lr"):
        train.train(quadratic, {"W": np.zeros(2)}, [(np.array([np.nan, 0]),)], progress=False)


def test_count_parameters_counts_nested_arrays():
    assert train.count_parameters({"a": {"W": np.zeros((3, 4))}, "b": np.zeros(5)}) == 17
