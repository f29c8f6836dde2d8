"""Answers as people write them elsewhere: another valid convention is called one, a slip gets its name."""

import itertools

import numpy as np
import pytest

from lstmcourse.practice import EXERCISES, judge
from lstmcourse.practice.judging import together
from lstmcourse.practice.observe import observe


def verdict(id, function, pairs=False):
    with np.errstate(all="ignore"):
        return judge(EXERCISES[id], lambda args: observe(EXERCISES[id], function, args), np.random.default_rng(5),
                     pairs=pairs)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def softmax(a, axis):
    return np.exp(a) / np.exp(a).sum(axis=axis, keepdims=True)


def lstm(x, h, c, p, layout="ifgo", gate=sigmoid, biases=2):
    a = x @ p["W_ih"].T + h @ p["W_hh"].T + (p["b_ih"] if biases else 0) + (p["b_hh"] if biases == 2 else 0)
    blocks = dict(zip(layout, np.split(a, 4, axis=1), strict=True))
    i, f, o, g = (*(gate(blocks[key]) for key in "ifo"), np.tanh(blocks["g"]))
    c = f * c + i * g
    return o * np.tanh(c), c


def lstm_backward(dh, dc, k, layout):
    i, f, g, o, c = (k[key] for key in ("i", "f", "g", "o", "c_t"))
    dc = dc + dh * o * (1 - np.tanh(c)**2)
    da = {"i": dc * g * i * (1 - i), "f": dc * k["c_prev"] * f * (1 - f), "g": dc * i * (1 - g * g),
          "o": dh * np.tanh(c) * o * (1 - o)}
    da = np.hstack([da[key] for key in layout])
    bias = da.sum(0)
    return da @ k["W_ih"], da @ k["W_hh"], dc * f, {
        "W_ih": da.T @ k["x_t"], "W_hh": da.T @ k["h_prev"], "b_ih": bias, "b_hh": bias.copy()}


LAYOUTS = ["".join(order) for order in itertools.permutations("ifgo") if "".join(order) != "ifgo"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_of_the_23_other_orders_of_the_lstm_is_a_convention(layout):
    for id, function in (("4.3", lambda *args: lstm(*args, layout=layout)),
                         ("5.1", lambda *args: lstm_backward(*args, layout=layout))):
        said = verdict(id, function)
        assert "Another valid convention: " in said.message
        assert f"in the order {', '.join(layout)}." in said.message


@pytest.mark.parametrize(("layout", "library"), [
    ("iofg", "ONNX"), ("igfo", "TensorFlow 1"), ("ifog", "CS231n"), ("gifo", "Chainer"), ("figo", "tutorials")])
def test_the_library_to_which_an_order_belongs_is_named(layout, library):
    assert library in verdict("4.3", lambda *args: lstm(*args, layout=layout)).message


def gru(x, h, p, layout="zrn", reset_after=True, biases=2, swapped=False):
    a = x @ p["W_ih"].T + (p["b_ih"] if biases else 0)
    b = p["b_hh"] if biases == 2 else 0 * p["b_hh"]
    a, W, b = (dict(zip(layout, np.split(stack, 3, axis=axis), strict=True))
               for stack, axis in ((a, 1), (p["W_hh"], 0), (b, 0)))
    z, r = (sigmoid(a[key] + h @ W[key].T + b[key]) for key in "zr")
    n = np.tanh(a["n"] + (r * (h @ W["n"].T + b["n"]) if reset_after else (r * h) @ W["n"].T + b["n"]))
    return (1 - z) * h + z * n if swapped else z * h + (1 - z) * n


@pytest.mark.parametrize(("parts", "name"), [
    ({}, "gates in the order z, r, n"),
    ({"reset_after": False}, "Keras' GRU, reset before the product"),
    ({"reset_after": False, "biases": 1}, "Keras' GRU, reset before the product, one bias"),
    ({"reset_after": False, "biases": 0}, "Keras' GRU, reset before the product, no bias"),
    ({"layout": "rzn", "biases": 1}, "b_hh is left out"),
    ({"layout": "rzn", "biases": 0}, "both biases are left out"),
    ({"layout": "rzn", "reset_after": False}, "the reset gate before the recurrent product (Cho et al. 2014)"),
    ({"layout": "rzn", "swapped": True}, "z and 1 - z are swapped (Chung et al. 2014)"),
    ({"layout": "nrz"}, "gates in the order n, r, z"),
])
def test_the_gru_of_other_libraries_is_a_convention(parts, name):
    said = verdict("6.1", lambda *args: gru(*args, **parts))
    assert said.mistake == name
    assert "Another valid convention: " in said.message


@pytest.mark.parametrize(("parts", "names"), [
    ({"biases": 1}, "gates in the order z, r, n and b_hh is left out"),
    ({"swapped": True}, "z and 1 - z are swapped (Chung et al. 2014) and gates in the order z, r, n"),
])
def test_two_conventions_at_once_are_both_named(parts, names):
    said = verdict("6.1", lambda *args: gru(*args, **parts), pairs=True)
    assert sorted(said.mistake.split(" and ")) == sorted(names.split(" and "))
    assert said.message.count("another valid convention") == 2


@pytest.mark.parametrize("biases", [0, 1])
def test_an_lstm_with_fewer_biases_is_a_convention(biases):
    assert "Another valid convention: " in verdict("4.3", lambda *args: lstm(*args, biases=biases)).message


def keras_kernels(x, h, c, p):
    return lstm(x, h, c, {**p, "W_ih": p["W_ih"].T})


def keras_recurrent_kernel(x, h, c, p):
    a = x @ p["W_ih"].T + h @ p["W_hh"]
    return a, c


@pytest.mark.parametrize("function", [keras_kernels, keras_recurrent_kernel])
def test_kernels_as_keras_keeps_them_are_named(function):
    assert "Keras stores its kernels transposed" in verdict("4.3", function).message


def shifted_loss(logits, targets, mask):
    e = np.exp(logits)
    p = np.take_along_axis(e / e.sum(axis=-1, keepdims=True), targets[..., None], axis=-1)[..., 0]
    return -(np.log(p) * mask).mean()


def slopes(dh, dc, k):
    i, f, g, o, c = (k[key] for key in ("i", "f", "g", "o", "c_t"))
    dc = dc + dh * o * (1 - np.tanh(c)**2)
    slope = lambda s: sigmoid(s) * (1 - sigmoid(s))  # noqa: E731
    da = np.hstack([dc * g * slope(i), dc * k["c_prev"] * slope(f), dc * i * (1 - np.tanh(g)**2),
                    dh * np.tanh(c) * slope(o)])
    return da @ k["W_ih"], da @ k["W_hh"], dc * f, {"W_ih": da.T @ k["x_t"], "W_hh": da.T @ k["h_prev"],
                                                    "b_ih": da.sum(0), "b_hh": da.sum(0)}


def mask_afterwards(scores, mask):
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    alpha = e / e.sum(axis=-1, keepdims=True) * mask[:, None]
    return alpha / alpha.sum(axis=-1, keepdims=True)


def from_one(x, h_0, p, mask):
    h, h_t = np.zeros((*x.shape[:2], h_0.shape[1])), h_0
    for t in range(1, x.shape[1]):
        new = np.tanh(x[:, t] @ p["W_ih"].T + p["b_ih"] + h_t @ p["W_hh"].T + p["b_hh"])
        h[:, t] = h_t = np.where(mask[:, t, None], new, h_t)
    return h


def per_sentence(logits, targets, mask):
    s = logits - logits.max(axis=-1, keepdims=True)
    log_p = s - np.log(np.exp(s).sum(axis=-1, keepdims=True))
    return -(np.take_along_axis(log_p, targets[..., None], axis=-1)[..., 0] * mask).sum() / len(logits)


NAMED = {       # as people write it -> the name it gets
    "a loop from 1": ("1.2", from_one, "the first word is never read"),
    "a naive exp and a mean over all": ("1.3", shifted_loss, "exp overflows and the mean counts the padding"),
    "divided by the sentences": ("1.3", per_sentence, "divided by the sentences, not by the tokens"),
    "scaled to length 1": ("3.1", lambda grads, m: {k: g / np.sqrt(sum((v**2).sum() for v in grads.values()))
                                                    for k, g in grads.items()}, "scaled to the norm 1"),
    "divided by at least 1": ("3.3", lambda params, grads, lr, m: {
        k: params[k] - lr * grads[k] / max(1, np.sqrt(sum((g**2).sum() for g in grads.values()))) for k in params},
        "scaled to the norm 1"),
    "two things from clip": ("3.1", lambda grads, m: (grads, 1.0), None),
    "softmax for sigmoid": ("4.3", lambda *args: lstm(*args, gate=lambda a: softmax(a, 1)),
                            "a softmax in place of the sigmoid"),
    "softmax over the batch": ("4.3", lambda *args: lstm(*args, gate=lambda a: softmax(a, 0)),
                               "a softmax in place of the sigmoid"),
    "everything multiplied": ("4.2", lambda c, i, f, g: f * c * i * g, "everything is multiplied"),
    "a dot product of all": ("4.2", lambda c, i, f, g: np.vdot(f, c) + np.vdot(i, g), "a dot product where ⊙ is meant"),
    "slopes of outputs": ("5.1", slopes, "the slopes of all gates are taken once more"),
    "masked afterwards": ("8.1", mask_afterwards, "the largest score is looked for under the padding too"),
}


@pytest.mark.parametrize("slip", NAMED)
def test_a_slip_as_people_write_it_gets_its_name(slip):
    id, function, name = NAMED[slip]
    assert verdict(id, function, pairs=True).mistake == name


@pytest.mark.parametrize("id", EXERCISES)
def test_two_known_mistakes_at_once_get_a_name(id):
    """A few pairs, drawn: both are named, or a mistake to which the two come."""
    forms = [(mistake, function) for mistake in EXERCISES[id].mistakes for function in mistake.functions]
    pairs = [(one, other, together(first, second)) for (one, first), (other, second) in itertools.combinations(forms, 2)
             if one.name != other.name]
    args, both = EXERCISES[id].cases(np.random.default_rng(5))[0], []
    for one, other, function in (pairs[k] for k in np.random.default_rng(1).permutation(len(pairs))):
        if function and not observe(EXERCISES[id], function, args).error and not EXERCISES[id].accept:
            said = verdict(id, function, pairs=True)
            assert said.mistake, f"{one.name} and {other.name}"
            both.append(said.mistake == f"{one.name} and {other.name}")
            if len(both) == 4:
                break
    assert both == [] or True in both
