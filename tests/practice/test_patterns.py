"""Where no known mistake fits, the message narrows it down: planted errors, each with the words it must get."""

from dataclasses import replace

import numpy as np
import pytest

from lstmcourse.practice import EXERCISES, judge, judging
from lstmcourse.practice.observe import observe
from lstmcourse.practice.patterns import error_pattern, pattern

from .mutants import build, solutions

SOLUTIONS = solutions()


def right(id):
    """The course's solution of an exercise."""
    return build(*SOLUTIONS[id], EXERCISES[id].function)


def broken(id, *swaps):
    """The solution with parts of its source exchanged: (old, new), each once or more."""
    helpers, source = SOLUTIONS[id]
    for old, new in swaps:
        assert old in source, (id, old)
        source = source.replace(old, new)
    return build(helpers, source, EXERCISES[id].function)


def after(id, change):
    """The solution, and then change on what it returns."""
    return lambda *args: change(right(id)(*args))


def with_grads(id, change):
    """The solution with change applied to its grads, the last result."""
    def run(*args):
        *others, grads = right(id)(*args)
        return *others, change(grads)
    return run


def wrong_rows(h):
    h = h.copy()
    h[1:] *= np.linspace(0.5, 0.7, h.shape[-1])
    return h


def first_half(h):
    h = h.copy()
    h[:, :2] *= np.linspace(0.5, 0.7, h.shape[-1])
    return h


def second_half(h):
    h = h.copy()
    h[:, 2:] *= np.linspace(0.5, 0.7, h.shape[-1])
    return h


def unpacked(dh_t, cache):
    x_t, h_prev, h_t = cache
    return x_t, h_prev, {}


def swap_blocks(a):
    i, f, g, o = np.split(a, 4)
    return np.concatenate([g, o, i, f])


def spoil_block(a):
    i, f, g, o = np.split(a, 4)
    return np.concatenate([i, f, 0.3 * g + 0.1, o])


def late(h):
    return np.concatenate([np.zeros_like(h[:, :1]), h[:, :-1]], axis=1)


def early(h):
    return np.concatenate([h[:, 1:], np.zeros_like(h[:, :1])], axis=1)


def some_signs(h):
    return h * np.resize([1, -1, 1], h.shape[-1])


# The message quotes the learner's line: these stand on lines that do not hold the words of the message.

def unknown_key(x, h, p):
    return p["W_hx"]


def a_list_of_the_dict(dh, cache):
    return [*cache][0] * dh


def no_such_name(x, h, p):
    return np.tanh(a_t)  # noqa: F821


def too_far(x, h, p):
    return x[:, x.shape[1]]


def misfits(x, h, p):
    return x + h


def product(x, h, p):
    return h @ p["W_ih"].T


PLANTED = {
    # id, function, words that the message must have
    "right at the last step only": ("2.2", broken("2.2", ("(dh[:, t] + dh_next)", "(dh[:, t] + dh_next / 3)")),
                                    "dx is right at the last step only: going back from it, the link through time is "
                                    "cut or changed."),
    "right at the last step only, LSTM": ("5.2", broken("5.2", ("dc_next = dc_t * f", "dc_next = dc_t * f * f")),
                                          "right at the last step only"),
    "right at the first step only": ("1.2", broken("1.2", ("h[:, t] = h_t", "h[:, t] = h_t; h_t = h_t / 2")),
                                     "h is right at the first step only: what is handed on to the next step is wrong."),
    "right at some steps only": ("1.2", after("1.2", first_half), "h is right at the steps 2, 3 of 0 … 3 only."),
    "right at more than the first step": ("1.2", after("1.2", second_half),
                                          "h is right at the steps 0, 1 of 0 … 3 only."),
    "one step late": ("1.2", after("1.2", late), "h comes one step late"),
    "one step early": ("1.2", after("1.2", early), "h comes one step early"),
    "backwards in time": ("1.2", after("1.2", lambda h: h[:, ::-1]), "h runs backwards in time"),
    "right for batch row 0 only": ("1.1", after("1.1", wrong_rows), "h_t is right for batch row 0 only, of 3"),
    "right for some batch rows": ("1.1", after("1.1", lambda h: wrong_rows(h[::-1])[::-1]),
                                  "h_t is right for the batch rows 2 only, of 3: rows must not touch each other"),
    "a constant factor": ("8.3", after("8.3", lambda a: 1.7 * a), "but for one constant factor: it is 1.7 times"),
    "a factor that is a size": ("8.3", after("8.3", lambda a: len(a) * a), "(that is B here)"),
    "a factor that is one over a size": ("1.1", after("1.1", lambda h: h / h.shape[1]), "(that is 1 over H here)"),
    "a factor that is a root": ("8.3", after("8.3", lambda a: a * a.shape[-1]**0.5), "(that is the root of M here)"),
    "a number off by a named factor": ("1.3", lambda x, y, m: right("1.3")(x, y, m) * m.shape[1], "(that is T here)"),
    "the sign": ("1.1", after("1.1", lambda h: -h), "h_t has the wrong sign everywhere, and is right otherwise."),
    "some signs": ("1.1", after("1.1", some_signs), "The magnitudes of h_t are right, some signs are not."),
    "zero everywhere": ("1.1", after("1.1", lambda h: 0 * h), "h_t is zero everywhere"),
    "an offset": ("1.1", after("1.1", lambda h: h + 0.25), "h_t is off by the same amount everywhere: +0.25."),
    "transposed, by the shape": ("8.3", after("8.3", lambda a: a.swapaxes(1, 2)), "it looks transposed"),
    "another shape of the same numbers": ("8.3", after("8.3", lambda a: a.reshape(len(a), -1)),
                                          "The numbers are right; only the shape is another one."),
    "axes swapped and numbers wrong": ("8.3", after("8.3", lambda a: a.swapaxes(1, 2)**2), "two axes are swapped"),
    "a sum that is missing": ("8.3", lambda alpha, values: alpha[..., None] * values[:, None],
                              "Summed over axis 2 it would be right: one sum is missing."),
    "NaN": ("1.1", after("1.1", np.sqrt), "h_t holds NaN"),
    "overflow": ("1.1", after("1.1", lambda h: np.exp(h * 1e5)), "h_t holds infinity"),
    "gradients right but for one key": ("2.1", with_grads("2.1", lambda g: {**g, "b_ih": 3.5 * g["b_ih"]}),
                                        'the mistake is in the line that makes grads["b_ih"]'),
    "one block of a stack": ("5.1", with_grads("5.1", lambda g: {**g, "W_ih": spoil_block(g["W_ih"])}),
                             'Of the 4 blocks of H in grads["W_ih"] 0, 1, 3 are right, 2 is wrong'),
    "blocks in another order": ("5.1", with_grads("5.1", lambda g: {**g, "W_ih": swap_blocks(g["W_ih"])}),
                                "in another order: [2, 3, 0, 1]"),
    "two results in each other's place": ("4.3", after("4.3", lambda both: both[::-1]),
                                          "What you return as h_t is right for c_t"),
    "a key that is not there": ("1.1", unknown_key, "There is no such key. These are there: W_ih, W_hh"),
    "a dict taken apart": ("2.1", unpacked, 'A key gives its array: name_of_the_dict["x_t"].'),
    "a dict taken apart, by luck into as many": ("2.1", a_list_of_the_dict, "gives its keys"),
    "a name without a value": ("1.1", no_such_name, "A name is used before it has a value. Is it spelt"),
    "an index past the end": ("1.1", too_far, "Python counts from 0: the last of n has the index n - 1."),
    "a matrix product that does not fit": ("1.1", product,
                                           "The two sides of a matrix product do not fit"),
    "shapes that do not broadcast": ("1.1", misfits, "Two arrays are combined entry by entry"),
}


def verdict_on(id, function, seed):
    return judge(EXERCISES[id], lambda args: observe(EXERCISES[id], function, args), np.random.default_rng(seed))


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("seed", [0, 5])
def test_a_planted_error_gets_the_message_of_its_pattern(planted, seed):
    id, function, words = PLANTED[planted]
    with np.errstate(all="ignore"):
        verdict = verdict_on(id, function, seed)
    assert not verdict.passed
    assert verdict.mistake is None, verdict
    assert words in verdict.message, verdict.message


def test_without_the_sentence_no_planted_error_has_its_words(monkeypatch):
    """Each test above can fail: what is looked for does not come from the learner's own line."""
    monkeypatch.setattr(judging, "error_pattern", lambda error, args: "")
    monkeypatch.setattr(judging, "pattern", lambda rows, sizes: "")
    for id, function, words in PLANTED.values():
        with np.errstate(all="ignore"):
            verdict = verdict_on(id, function, 0)
        assert words not in verdict.message, words


def test_an_index_is_not_called_zero_everywhere():
    message = verdict_on("10.3", lambda *args: (0, 0.123), 0).message
    assert "unit is 0; wanted" in message
    assert "everywhere" not in message


def as_in_torch(alpha, values):
    return alpha.transpose(-2, -1) @ values


def infinite(alpha, values):
    return alpha @ values + np.infty  # noqa: NPY201


@pytest.mark.parametrize(("function", "words"), [(as_in_torch, "called swapaxes here"), (infinite, "it is np.inf.")])
def test_the_names_of_other_libraries_are_translated(function, words):
    assert words in verdict_on("8.3", function, 0).message


@pytest.mark.parametrize(("error", "words"), [
    ("IndexError: index 4 is out of bounds", "Python counts from 0"),
    ("NameError: name 'a_t' is not defined", "A name is used"),
    ("UnboundLocalError: cannot access local variable 'h'", "A name is used"),
    ("ValueError: array split does not result in an equal division", "np.split cuts along axis 0"),
    ("ValueError: The requested array has an inhomogeneous shape after 1 dimensions", "Arrays of different shapes"),
    ("ValueError: all the input arrays must have same number of dimensions", "must have the same number of axes"),
    ("AttributeError: module 'numpy' has no attribute 'sigmoid'", "NumPy has no sigmoid: where an exercise needs one"),
    ("AttributeError: `np.infty` was removed in the NumPy 2.0 release. Use `np.inf`.", "NumPy has no infty: it is np"),
    ("AttributeError: 'numpy.ndarray' object has no attribute 'unsqueeze'", "NumPy has no unsqueeze: a new axis"),
    ("AttributeError: 'numpy.ndarray' object has no attribute 'colour'", ""),
    ("ValueError: axes don't match array", "called swapaxes here"),
    ("ZeroDivisionError: division by zero", ""),
])
def test_an_error_gets_the_sentence_of_its_kind_and_no_other(error, words):
    said = error_pattern(error, (np.ones(3),))
    assert (words in said) if words else said == ""


@pytest.mark.parametrize("id", EXERCISES)
def test_without_known_mistakes_every_known_mistake_still_gets_the_facts(id):
    """The message of last resort: which case, what is wrong, what was wanted."""
    exercise = replace(EXERCISES[id], mistakes=())
    forms = [(mistake, function) for mistake in EXERCISES[id].mistakes for function in mistake.functions]
    for mistake, function in forms:
        with np.errstate(all="ignore"):
            verdict = judge(exercise, lambda args: observe(exercise, function, args),  # noqa: B023
                            np.random.default_rng(1))
        assert not verdict.passed, mistake.name
        assert verdict.mistake is None
        assert verdict.message.startswith("Case "), verdict.message


def test_a_square_matrix_that_is_transposed_is_called_so():
    a, b = np.random.default_rng(0).standard_normal((2, 3, 3))
    said = pattern([("dW", a.T, a, ("H", "H")), ("db", b, b, ("H", "H"))], {"H": 3})
    assert said == ("dW is the transpose of what it should be. Everything else is right, so the mistake is in the "
                    "line that makes dW.")


def test_a_sum_that_is_missing_is_seen_with_and_without_its_axis():
    got, axes = np.random.default_rng(0).standard_normal((3, 4, 5)), ("B", "T", "H")
    for keep in (False, True):
        rows = [("h", got, got.sum(axis=1, keepdims=keep), axes)]
        assert pattern(rows, {}) == "Summed over axis 1 it would be right: one sum is missing."


def test_one_result_returned_twice_is_told_from_two_exchanged():
    h, c = np.random.default_rng(0).standard_normal((2, 3, 4))
    axes = ("B", "H")
    assert "is what h should be: the two are not the same" in pattern([("h", h, h, axes), ("c", h, c, axes)], {})
    assert "in each other's place" in pattern([("h", c, h, axes), ("c", h, c, axes)], {})


def test_rows_of_something_else_than_the_batch_are_not_called_batch_rows():
    want = np.random.default_rng(0).standard_normal((3, 4))
    got = wrong_rows(want)
    assert "batch row 0" in pattern([("h", got, want, ("B", "D"))], {"B": 3})
    assert "batch" not in pattern([("dW", got, want, ("H", "D"))], {"H": 3})


def test_words_drawn_right_by_chance_are_not_called_right_rows():
    """One index for each row: with few words, a wrong draw is right in some rows."""
    want = np.arange(12.0) % 5
    got = np.where(np.arange(12) % 4, 4.0, want)
    assert pattern([("tokens", got, want, ("B",))], {"B": 12}) == ""


def test_a_right_result_has_no_pattern():
    a = np.arange(12.0).reshape(3, 4)
    assert pattern([("h", a, a, ("B", "H"))], {"B": 3, "H": 4}) == ""


def test_random_numbers_have_no_pattern():
    for seed in range(50):
        got, want = np.random.default_rng(seed).standard_normal((2, 3, 4, 5))
        assert pattern([("h", got, want, ("B", "T", "H"))], {"B": 3, "T": 4, "H": 5}) == "", seed
