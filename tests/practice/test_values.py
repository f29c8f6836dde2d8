"""How exactly an answer has to agree: fine enough that a wrong one fails, coarse enough that rounding does not."""

import numpy as np
import pytest

from lstmcourse.practice import EXERCISES, judge
from lstmcourse.practice.observe import observe
from lstmcourse.practice.values import as_array, close, gist, same, unchanged

ONE_FLOAT = {"1.3", "3.4", "7.5", "8.5", "12.3"}    # float(loss) forgets in which precision it was computed
EXACT = {"1.4", "6.3", "7.1", "7.6", "11.2"}        # integers: every one of them has to be the same
BY_PROPERTY = {"4.4"}                      # any params that hold the bit are right


def scaled(value, factor):
    """Every float in value, times factor."""
    if isinstance(value, dict):
        return {key: scaled(entry, factor) for key, entry in value.items()}
    if isinstance(value, tuple):
        return tuple(scaled(entry, factor) for entry in value)
    return value if whole(value) else value * factor


def whole(value):
    """Is it an integer, or an array of them?"""
    return isinstance(value, int) or getattr(value, "dtype", np.dtype(float)).kind == "i"


def wrong_by(value):
    """By which part a value has to be off to be wrong: a lone float is compared more coarsely than an array."""
    parts = value if isinstance(value, tuple) else (value,)
    return 1e-3 if all(whole(part) or isinstance(part, (float, np.floating)) for part in parts) else 1e-5


def off(value):
    """A result that is wrong: an integer by one, a float by the part that makes it so."""
    return value + 1 if whole(value) else scaled(value, 1 + wrong_by(value))


def passes(id, change, seed=0):
    exercise = EXERCISES[id]

    def changed(*args):
        return change(exercise.reference(*args))
    return judge(exercise, lambda args: observe(exercise, changed, args), np.random.default_rng(seed)).passed


@pytest.mark.parametrize("id", [id for id in EXERCISES if id not in EXACT | BY_PROPERTY])
@pytest.mark.parametrize("sign", [1, -1])
def test_one_part_in_a_hundred_thousand_is_wrong_and_one_in_a_billion_is_rounding(id, sign):
    assert not passes(id, lambda right: scaled(right, 1 + sign * wrong_by(right)))
    assert passes(id, lambda right: scaled(right, 1 + sign * 1e-9))


@pytest.mark.parametrize("id", [id for id in EXERCISES if id not in EXACT | BY_PROPERTY])
def test_each_result_of_several_is_held_to_it(id):
    names = list(EXERCISES[id].returns)
    for k, name in enumerate(names):
        if len(names) > 1:
            assert not passes(id, lambda right, k=k: (*right[:k], off(right[k]), *right[k + 1:])), name


@pytest.mark.parametrize("id", sorted(EXACT))
def test_an_integer_that_is_one_off_is_wrong(id):
    assert not passes(id, lambda right: right + 1)
    assert not passes(id, lambda right: right - 1)


def test_the_exceptions_are_what_they_are_called():
    for id, exercise in EXERCISES.items():
        value = exercise.reference(*exercise.cases(np.random.default_rng(0))[0])
        assert (isinstance(value, (float, np.floating))) == (id in ONE_FLOAT)
        assert whole(value) == (id in EXACT)
        assert bool(exercise.accept) == (id in BY_PROPERTY)


@pytest.mark.parametrize(("dtype", "small", "large"), [("float64", 0.9e-6, 1.1e-6), ("float32", 0.9e-4, 1.1e-4)])
def test_numbers_are_compared_to_a_part_of_the_largest(dtype, small, large):
    want = np.array([0.0, 1, -200], dtype)
    assert close(want + np.array(200 * small, dtype), want).all()
    assert not close(want + np.array(200 * large, dtype), want).any()
    assert close(-want, want).tolist() == [True, False, False]


def test_a_lone_number_counts_as_float32():
    assert close(np.array(1 + 0.9e-4), np.array(1.0))
    assert not close(np.array(1 + 1.1e-4), np.array(1.0))


def test_large_integers_are_compared_exactly():
    assert not close(np.array([2_000_001]), np.array([2_000_000])).any()
    assert not close(np.array(2_000_001), np.array(2_000_000)).any()


def test_nan_agrees_with_nan_and_infinity_with_infinity_of_its_sign():
    odd = np.array([np.nan, np.inf, -np.inf, 1])
    assert close(odd, odd).all()
    assert close(-odd, odd).tolist() == [True, False, False, False]


def test_an_infinity_does_not_widen_the_tolerance():
    assert close(np.array([np.inf, 1 + 1e-5]), np.array([np.inf, 1])).tolist() == [True, False]


@pytest.mark.parametrize("value", [np.array(["0.5"]), np.array([None]), np.array([1j]), np.float16(1), ["0.5"], {}])
def test_what_holds_other_than_numbers_of_a_usual_precision_is_no_array(value):
    assert as_array(value) is None


def test_same_wants_the_structure_too():
    a = np.arange(3.0)
    assert same({"a": a, "b": (a, a)}, {"a": a, "b": (a, a)})
    assert same([a, a], (a, a))
    assert same([0.0, 1.0, 2.0], a)
    assert not same({"a": a}, {"a": a, "b": a})
    assert not same({"a": a, "b": a + 1}, {"a": a, "b": a})
    assert not same((a, a + 1), (a, a))
    assert not same((a,), (a, a))
    assert not same(a[None], a)
    assert not same("text", a)


MATMUL = ("ValueError: matmul: Input operand 1 has a mismatch in its core dimension 0, with gufunc signature "
          "(n?,k),(k,m?)->(n?,m?) (size {right} is different from {left})")
DOT = "ValueError: shapes (3,{left}) and ({right},2) not aligned: {left} (dim 1) != {right} (dim 0)"
BROADCAST = "ValueError: operands could not be broadcast together with shapes {} {} "


def test_the_gist_of_an_error_is_its_type_and_the_sizes_that_do_not_fit():
    """However the product is written, and whatever the learner's line is."""
    assert gist(MATMUL.format(left=4, right=5) + "\nIt arose in your line:  x @ W") == gist(
        DOT.format(left=4, right=5) + "\nIt arose in your line:  np.dot(x, W[:7])")
    assert gist(DOT.format(left=4, right=5)) != gist(DOT.format(left=5, right=4))
    assert gist(DOT.format(left=4, right=5)) != gist(DOT.format(left=4, right=6))
    assert gist(BROADCAST.format("(3,4)", "(5,)")) == gist(BROADCAST.format("(5,)", "(3,4)"))
    assert gist(BROADCAST.format("(3,4)", "(5,)")) != gist(BROADCAST.format("(3,4)", "(6,)"))
    assert gist("IndexError: index 5 is out of bounds for axis 1 with size 5") == gist(
        "IndexError: index 5 is out of bounds for axis 0 with size 5")
    assert gist("IndexError: index 5 is out of bounds") != gist("IndexError: index 6 is out of bounds")
    assert gist("KeyError: 'c'") != gist("NameError: 'c'")


def test_unchanged_wants_the_same_bits():
    a = np.array([np.nan, 1])
    assert unchanged({"a": a, "n": 3}, {"a": a.copy(), "n": 3})
    assert not unchanged(a, a * (1 + 1e-15))
    assert not unchanged(a, a.astype("float32"))
    assert not unchanged({"a": a}, {"a": a, "b": a})
    assert not unchanged(3, 4)
