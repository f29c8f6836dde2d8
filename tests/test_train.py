"""Initial weights, clipping, Adam and the loop."""

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
    ({"kind": "gru", "identity": True}, "identity is for kind 'rnn' without orthogonal; kind is 'gru'"),
    ({"kind": "rnn", "identity": True, "orthogonal": True}, "kind is 'rnn', orthogonal is True"),
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
    params, _ = train.train(quadratic, {"W": np.zeros(2)}, [(target,)] * 500, lr=0.05, progress=False)
    assert np.abs(params["W"] - target).max() < 1e-2


def test_train_returns_the_loss_before_each_step():
    _, losses = train.train(quadratic, {"W": np.zeros(2)}, [(np.array([1.0, -2.0]),)] * 3, progress=False)
    assert losses[0] == 5.0 > losses[1] > losses[2]


@pytest.mark.parametrize("max_norm", [0.5, None])
def test_train_is_clipping_and_adam_in_a_loop(max_norm, rng):
    targets = [10.0**k * rng.standard_normal(2) for k in range(-2, 3)]          # of unequal size: Adam alone differs
    params, _ = train.train(quadratic, {"W": np.zeros(2)}, [(t,) for t in targets], lr=0.05, max_norm=max_norm,
                            progress=False)
    wanted, adam = {"W": np.zeros(2)}, train.Adam(0.05)
    for target in targets:
        _, grads = quadratic(wanted, target)
        if max_norm is not None:
            grads = {"W": grads["W"] * min(1, max_norm / np.linalg.norm(grads["W"]))}
        wanted = adam.step(wanted, grads)
    assert relative_error(params["W"], wanted["W"]) < 1e-14


def test_train_stops_at_a_loss_that_is_not_finite():
    with pytest.raises(FloatingPointError, match="the loss is nan at step 0: try a smaller lr"):
        train.train(quadratic, {"W": np.zeros(2)}, [(np.array([np.nan, 0]),)], progress=False)


def test_count_parameters_counts_nested_arrays():
    assert train.count_parameters({"a": {"W": np.zeros((3, 4))}, "b": np.zeros(5)}) == 17


def test_train_clips_at_1_unless_told_otherwise(rng):
    batches = [(10.0**k * rng.standard_normal(2),) for k in range(-2, 3)]
    default, one = (train.train(quadratic, {"W": np.zeros(2)}, batches, progress=False, **options)[0]
                    for options in ({}, {"max_norm": 1.0}))
    assert np.array_equal(default["W"], one["W"])


@pytest.mark.parametrize("max_norm", [1.0, None])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_train_stops_at_a_gradient_that_is_not_finite(max_norm, value):
    def loss_and_grads(params, k):
        return 1.0, {"W": np.array([1.0, value if k == 2 else 1.0])}
    message = r"^grads\['W'\] holds NaN or infinity; .*, at step 2, where the loss is 1.0: try a smaller lr"
    with pytest.raises(FloatingPointError, match=message):
        train.train(loss_and_grads, {"W": np.zeros(2)}, [(k,) for k in range(5)], max_norm=max_norm, progress=False)


@pytest.mark.parametrize("lr", [np.logspace(-3, -1, 3)[0], np.float32(1e-3), 1e-3])
def test_train_keeps_float32_whatever_type_the_learning_rate_has(lr):
    def loss_and_grads(params):
        return 1.0, {"W": np.ones(2, "float32")}
    params, _ = train.train(loss_and_grads, {"W": np.zeros(2, "float32")}, [()] * 3, lr=lr, progress=False)
    assert params["W"].dtype == np.float32


@pytest.mark.parametrize("options", [{"lr": np.float64(0.1)}, {"betas": (np.float64(0.9), np.float64(0.999))},
                                     {"eps": np.float64(1e-8)}], ids=str)
def test_adam_keeps_float32_whatever_type_its_options_have(options):
    adam, params = train.Adam(**options), {"W": np.ones(3, "float32")}
    for _ in range(2):
        params = adam.step(params, {"W": np.ones(3, "float32")})
    assert {a["W"].dtype.name for a in (params, adam.m, adam.v)} == {"float32"}


def test_adam_keeps_float32_when_its_rate_is_changed_to_a_numpy_number():
    adam, params = train.Adam(), {"W": np.ones(3, "float32")}
    adam.lr = np.float64(0.1)
    assert adam.step(params, {"W": np.ones(3, "float32")})["W"].dtype == np.float32


@pytest.mark.parametrize(("grads", "message"), [
    ({"W": np.ones(3)}, r"^grads\['W'\] has shape \(3,\); wanted \(2, 3\)"), ({}, "^grads has no 'W'"),
    ({"W": np.ones((2, 3)), "b": np.ones(1)}, r"^grads has \['b'\] besides"),
    ({"W": np.ones((2, 3), "float32")}, r"^grads\['W'\] has dtype float32; wanted float64")],
    ids=["shape", "key", "extra", "dtype"])
def test_adam_rejects_gradients_of_another_form(grads, message):
    with pytest.raises(ValueError, match=message):
        train.Adam().step({"W": np.ones((2, 3))}, grads)


def test_adam_rejects_params_of_another_form_than_at_the_first_step():
    adam = train.Adam()
    adam.step({"W": np.ones(3)}, {"W": np.ones(3)})
    with pytest.raises(ValueError, match=r"^the moment\['W'\] has shape \(3,\); wanted \(4,\)"):
        adam.step({"W": np.ones(4)}, {"W": np.ones(4)})


def test_adam_rejects_gradients_whose_square_overflows():
    with pytest.raises(FloatingPointError, match="overflow"):
        train.Adam().step({"W": np.ones(2, "float32")}, {"W": np.full(2, 1e25, "float32")})


@pytest.mark.parametrize("size", [1e20, 1e25, 1e-25])
def test_clip_grads_norm_does_not_overflow_in_float32(size):
    _, norm = train.clip_grads({"W": np.full(2, size, "float32")}, 1.0)
    assert norm == pytest.approx(np.sqrt(2) * size, rel=1e-6)


@pytest.mark.parametrize("size", [1e20, 1e25])
def test_clip_grads_scales_gradients_whose_square_overflows(size):
    clipped, _ = train.clip_grads({"W": np.array([size, -size], "float32")}, 1.0)
    assert clipped["W"] == pytest.approx(np.array([1, -1]) / np.sqrt(2), rel=1e-6)


def test_clip_grads_scales_the_largest_numbers_of_float64():
    clipped, _ = train.clip_grads({"W": np.full(4, 1e308)}, 2.0)
    assert clipped["W"] == pytest.approx(np.ones(4), rel=1e-12)


@pytest.mark.parametrize("max_norm", [-1.0, 0, np.nan, np.inf, "1"])
def test_clip_grads_rejects_a_max_norm_that_is_not_positive_and_finite(max_norm):
    with pytest.raises(ValueError, match="^max_norm is .*; wanted a finite number above 0"):
        train.clip_grads({"W": np.ones(3)}, max_norm)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_clip_grads_rejects_gradients_that_are_not_finite(value):
    with pytest.raises(FloatingPointError, match=r"^grads\['a'\]\['W'\] holds NaN or infinity"):
        train.clip_grads({"a": {"W": np.array([1.0, value])}, "b": np.ones(2)}, 1.0)


def test_clip_grads_keeps_float32_whatever_type_the_limit_has():
    clipped, _ = train.clip_grads({"W": np.ones(3, "float32")}, np.float64(0.5))
    assert clipped["W"].dtype == np.float32


def test_init_linear_is_bounded_as_in_torch(rng):
    params = train.init_linear(30, 200, rng)
    assert [0.97 / np.sqrt(30) < np.abs(params[key]).max() <= 1 / np.sqrt(30) for key in ("W", "b")] == [True, True]


def test_init_embedding_is_standard_normal_as_in_torch(rng):
    W = train.init_embedding(200, 50, rng)["W"]
    assert W.shape == (200, 50)
    assert [abs(W.mean()) < 0.05, abs(W.std() - 1) < 0.05] == [True, True]


def test_init_orthogonal_prefers_no_sign(rng):
    first = [train.init_orthogonal(4, rng)[0, 0] > 0 for _ in range(400)]
    assert 0.4 < np.mean(first) < 0.6


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_initial_weights_have_the_dtype_that_was_asked_for(dtype, rng):
    made = {"r": train.init_recurrent("lstm", 3, 5, rng, dtype=dtype), "l": train.init_linear(3, 5, rng, dtype),
            "e": train.init_embedding(3, 5, rng, dtype)}
    assert {array.dtype.name for array in train.leaves(made)} == {dtype}
