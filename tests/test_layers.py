"""The layers every lesson uses, against torch and finite differences."""

import numpy as np
import pytest
import torch

from lstmcourse import layers
from lstmcourse.gradcheck import assert_gradients, numerical_gradient, relative_error


def test_sigmoid_matches_torch(rng):
    a = rng.standard_normal((3, 4)) * 5
    assert relative_error(layers.sigmoid(a), torch.sigmoid(torch.tensor(a)).numpy()) < 1e-15


def test_sigmoid_of_huge_numbers_does_not_overflow():
    with np.errstate(all="raise"):
        assert layers.sigmoid(np.array([-1e4, 1e4])).tolist() == [0.0, 1.0]


def test_relu_matches_torch(rng):
    a = rng.standard_normal((3, 4)).astype("float32")
    assert np.array_equal(layers.relu(a), torch.relu(torch.tensor(a)).numpy())
    assert layers.relu(a).dtype == np.float32


def test_softmax_matches_torch(rng):
    logits = rng.standard_normal((3, 4, 5)) * 10
    assert relative_error(layers.softmax(logits), torch.softmax(torch.tensor(logits), -1).numpy()) < 1e-14


def test_softmax_of_huge_logits_is_finite():
    with np.errstate(over="raise", invalid="raise"):
        assert layers.softmax(np.array([[1e4, 0.0]])).tolist() == [[1.0, 0.0]]


def test_softmax_backward_matches_finite_differences(rng):
    logits, dp = rng.standard_normal((2, 5)), rng.standard_normal((2, 5))
    wanted = numerical_gradient(lambda a: float((layers.softmax(a) * dp).sum()), logits)
    assert relative_error(layers.softmax_backward(dp, layers.softmax(logits)), wanted) < 1e-8


@pytest.mark.parametrize("leading", [(4,), (4, 2)], ids=str)
def test_linear_backward_matches_finite_differences(leading, rng):
    params = {"W": rng.standard_normal((5, 3)), "b": rng.standard_normal(5)}
    assert_gradients(layers.linear_forward, layers.linear_backward, [rng.standard_normal((*leading, 3)), params], rng)


def test_linear_forward_matches_torch(rng):
    module = torch.nn.Linear(3, 5, dtype=torch.float64)
    params = {"W": module.weight.detach().numpy(), "b": module.bias.detach().numpy()}
    x = rng.standard_normal((2, 4, 3))
    assert relative_error(layers.linear_forward(x, params)[0], module(torch.tensor(x)).detach().numpy()) < 1e-14


def test_linear_rejects_wrong_width(rng):
    with pytest.raises(ValueError, match=r"x has shape \(2, 4\); wanted \(…, 3\)"):
        layers.linear_forward(np.zeros((2, 4)), {"W": np.zeros((5, 3)), "b": np.zeros(5)})


def test_embedding_backward_adds_up_repeated_tokens(rng):
    params = {"W": rng.standard_normal((6, 3))}
    tokens = np.array([[1, 4, 1], [1, 5, 0]])
    x, cache = layers.embedding_forward(tokens, params)
    dx = rng.standard_normal(x.shape)
    wanted = numerical_gradient(lambda W: float((W[tokens] * dx).sum()), params["W"])
    assert relative_error(layers.embedding_backward(dx, cache)["W"], wanted) < 1e-8


@pytest.mark.parametrize(("tokens", "message"), [
    (np.array([0, 6]), "tokens holds 0 … 6; wanted 0 … 5"), (np.array([-1, 2]), "tokens holds -1 … 2; wanted 0 … 5"),
    (np.array([0.0, 1.0]), "tokens has dtype float64; wanted integers")])
def test_embedding_rejects_tokens_out_of_range(tokens, message):
    with pytest.raises(ValueError, match=message):
        layers.embedding_forward(tokens, {"W": np.zeros((6, 3))})


def test_cross_entropy_matches_torch_with_a_mask(rng):
    logits, targets = rng.standard_normal((3, 4, 5)) * 3, rng.integers(5, size=(3, 4))
    mask = np.arange(4) < np.array([[4], [1], [2]])
    loss, cache = layers.cross_entropy_forward(logits, targets, mask)
    given = torch.tensor(logits, requires_grad=True)
    wanted = torch.nn.functional.cross_entropy(given[mask], torch.tensor(targets[mask]))
    wanted.backward()
    assert abs(loss - wanted.item()) < 1e-13
    assert relative_error(layers.cross_entropy_backward(cache), given.grad.numpy()) < 1e-13


def test_cross_entropy_ignores_what_stands_in_the_padding(rng):
    logits, targets = rng.standard_normal((2, 3, 5)), rng.integers(5, size=(2, 3))
    mask = np.array([[True, True, False], [True, False, False]])
    loss, _ = layers.cross_entropy_forward(logits, targets, mask)
    other, _ = layers.cross_entropy_forward(np.where(mask[..., None], logits, 1e6), np.where(mask, targets, -1), mask)
    assert loss == other


def test_cross_entropy_of_huge_logits_is_finite():
    loss, cache = layers.cross_entropy_forward(np.array([[1e4, 0.0]]), np.array([1]))
    assert loss == 1e4
    assert np.isfinite(layers.cross_entropy_backward(cache)).all()


def test_cross_entropy_keeps_float32():
    _, cache = layers.cross_entropy_forward(np.zeros((2, 3), "float32"), np.array([0, 1]))
    assert layers.cross_entropy_backward(cache).dtype == np.float32


@pytest.mark.parametrize(("change", "message"), [
    ({"targets": np.zeros((2, 4), int)}, r"targets has shape \(2, 4\); wanted \(2, 3\)"),
    ({"targets": np.full((2, 3), 5)}, "targets holds 5 … 5; wanted 0 … 4"),
    ({"targets": [[0, 0, 0]]}, r"targets has shape \(1, 3\); wanted \(2, 3\)"),
    ({"targets": np.zeros((2, 3))}, "targets has dtype float64; wanted integers"),
    ({"mask": np.ones((2, 3))}, "mask has dtype float64; wanted bool"),
    ({"logits": np.zeros((2, 3, 5), int)}, "logits has dtype int64; wanted float64 or float32"),
    ({"logits": [[0.0]]}, "logits is a list; wanted an array"),
    ({"mask": np.ones((2,), bool)}, r"mask has shape \(2,\); wanted \(2, 3\)"),
    ({"mask": np.zeros((2, 3), bool)}, "mask: no True in it")], ids=lambda v: v if isinstance(v, str) else "")
def test_cross_entropy_rejects(change, message):
    arguments = {"logits": np.zeros((2, 3, 5)), "targets": np.zeros((2, 3), int), "mask": np.ones((2, 3), bool)}
    with pytest.raises(ValueError, match=message):
        layers.cross_entropy_forward(**arguments | change)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_sigmoid_keeps_its_digits_far_from_0(dtype):
    a = np.array([-85, -40, -36, -1, 0, 1, 36, 40, 85], dtype)
    wanted = torch.sigmoid(torch.tensor(a)).numpy()
    assert np.abs(layers.sigmoid(a) / wanted - 1).max() < 4 * np.finfo(dtype).eps


def test_sigmoid_keeps_float32():
    assert layers.sigmoid(np.zeros(3, "float32")).dtype == np.float32


def test_sigmoid_of_nan_is_nan():
    assert np.isnan(layers.sigmoid(np.array([np.nan]))).all()


@pytest.mark.parametrize(("params", "message"), [
    ({"W": np.zeros((5, 4))}, "^params has no 'b'"), ([1], "^params is a list; wanted a dict with the keys W, b"),
    ({"W": np.zeros((5, 4)), "b": np.zeros(5), "a": 0}, r"^params has \['a'\] besides"),
    ({"W": np.zeros((5, 4)), "b": np.zeros(4)}, r"^params\['b'\] has shape \(4,\); wanted \(5,\)"),
    ({"W": np.zeros((5, 4), "float32"), "b": np.zeros(5, "float32")}, "^x has dtype float64; wanted float32")])
def test_linear_rejects_params(params, message):
    with pytest.raises(ValueError, match=message):
        layers.linear_forward(np.zeros((2, 4)), params)


@pytest.mark.parametrize(("dy", "message"), [(np.zeros((2, 4)), r"^dy has shape \(2, 4\); wanted \(2, 5\)"),
                                             (np.zeros((2, 5), "float32"), "^dy has dtype float32; wanted float64")])
def test_linear_backward_rejects(dy, message):
    _, cache = layers.linear_forward(np.zeros((2, 4)), {"W": np.zeros((5, 4)), "b": np.zeros(5)})
    with pytest.raises(ValueError, match=message):
        layers.linear_backward(dy, cache)


@pytest.mark.parametrize(("params", "message"), [({}, "^params has no 'W'"),
                                                 ({"W": [[1.0]]}, r"^params\['W'\] is a list")])
def test_embedding_rejects_params(params, message):
    with pytest.raises(ValueError, match=message):
        layers.embedding_forward(np.zeros(2, int), params)


def test_embedding_backward_rejects_dx_of_another_width():
    _, cache = layers.embedding_forward(np.zeros(2, int), {"W": np.zeros((6, 3))})
    with pytest.raises(ValueError, match=r"^dx has shape \(2, 4\); wanted \(2, 3\)"):
        layers.embedding_backward(np.zeros((2, 4)), cache)


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf, 1e6])
def test_cross_entropy_gradient_is_0_in_the_padding(spoilt, rng):
    logits, targets = rng.standard_normal((2, 3, 5)), rng.integers(5, size=(2, 3))
    mask = np.array([[True, True, False], [True, False, False]])
    _, cache = layers.cross_entropy_forward(np.where(mask[..., None], logits, spoilt), targets, mask)
    assert (layers.cross_entropy_backward(cache)[~mask] == 0).all()


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, 1e6])
def test_cross_entropy_gradient_does_not_read_the_padding(spoilt, rng):
    logits, targets = rng.standard_normal((2, 3, 5)), rng.integers(5, size=(2, 3))
    mask = np.array([[True, True, False], [True, False, False]])
    one, other = (layers.cross_entropy_backward(layers.cross_entropy_forward(given, targets, mask)[1])
                  for given in (logits, np.where(mask[..., None], logits, spoilt)))
    assert np.array_equal(one, other)
