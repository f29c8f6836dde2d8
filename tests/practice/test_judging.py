"""What the judge says of results, shapes and several mistakes at once."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from lstmcourse.practice import EXERCISES, Mistake, judge
from lstmcourse.practice.exercise import Exercise, Verdict, in_letters, sizes_of
from lstmcourse.practice.judging import together
from lstmcourse.practice.observe import observe


def verdict(exercise, function, seed=0):
    return judge(exercise, lambda args: observe(exercise, function, args), np.random.default_rng(seed), pairs=True)


TWO = Exercise(id="0.1", title="", lesson="", points=1, function="f", signature="(x (B,)) -> s (B,), d (B,)",
               cases=lambda rng: [(rng.standard_normal(3),)], reference=lambda x: (2 * x, 3 * x))
ONE = replace(TWO, signature="(x (B,)) -> s (B,)", reference=lambda x: 2 * x)


def test_a_tuple_of_numbers_is_one_vector():
    assert verdict(ONE, lambda x: tuple(2 * x)).passed


def test_a_tuple_of_arrays_in_place_of_one_is_called_so():
    assert "your function returned 2 things; wanted one: s." in verdict(ONE, lambda x: (2 * x, x)).message


def test_a_tuple_in_place_of_one_of_several_is_called_so():
    assert "d is a tuple of 2 things; wanted an array of floats." in verdict(TWO, lambda x: (2 * x, (x, None))).message


def test_a_tuple_in_place_of_a_dict_is_called_so():
    clip = EXERCISES["3.1"]
    said = verdict(replace(clip, mistakes=()), lambda grads, max_norm: (clip.reference(grads, max_norm), 1.0))
    assert "your function returned 2 things; wanted one: grads." in said.message


def loud(x):
    print("at", float(abs(x).max()) > 100)
    return np.array(2 * x) / (0 if abs(x).max() > 100 else 1)


def test_what_was_printed_and_warned_of_is_that_of_the_case_which_is_shown():
    exercise = replace(ONE, cases=lambda rng: [(np.ones(3),), (1000 * np.ones(3),), (np.ones(3),)])
    said = verdict(exercise, loud)
    assert said.message.startswith("Case 2 of 3 (B = 3): ")
    assert said.message.endswith("Your function printed: at True\nNumPy warned: RuntimeWarning: divide by zero "
                                 "encountered in divide")


def test_every_wrong_result_is_named():
    assert "s and d are wrong. s has" in verdict(TWO, lambda x: (x, x)).message
    assert "s is right; d is wrong. d has" in verdict(TWO, lambda x: (2 * x, x)).message


def test_two_known_mistakes_that_come_to_the_same_are_both_named():
    a = Mistake("added twice", "The first of two explanations of one outcome.", lambda x: x + 0)
    b = Mistake("not doubled", "The second of two explanations of one outcome.", lambda x: 1 * x)
    said = verdict(replace(ONE, mistakes=(a, b)), lambda x: x)
    assert said.mistake == "added twice"
    assert said.message.splitlines()[1:] == [
        "Several things come to this. Either, this looks like: added twice. " + a.hint,
        "Or, this looks like: not doubled. " + b.hint]


def test_two_forms_of_one_mistake_are_named_once():
    form = Mistake("not doubled", "One mistake in two forms that come to the same here.", lambda x: x)
    said = verdict(replace(ONE, mistakes=(form, form)), lambda x: x)
    assert said.message.count("not doubled") == 1


def parts(x, twice=2, plus=0, out=0):
    return twice * x + plus + out


def test_two_mistakes_at_once_are_recognised_as_both():
    a, b, c = (Mistake(f"mistake in {key}", f"What there is to say about {key}, at some length.",
                       partial(parts, **{key: value})) for key, value in (("twice", 5), ("plus", 7), ("out", 11)))
    exercise = replace(ONE, mistakes=(a, b, c))
    said = verdict(exercise, lambda x: 5 * x + 11)
    assert said.mistake == "mistake in twice and mistake in out"
    assert said.message.splitlines()[1:] == [
        f"Two things at once. First, this looks like: {a.name}. {a.hint}",
        f"Second, this looks like: {c.name}. {c.hint}"]
    assert verdict(exercise, lambda x: 5 * x).mistake == a.name             # one explains it alone
    assert verdict(exercise, lambda x: 5 * x + 13).mistake is None


def nested(x, inner=parts, sign=1):
    return sign * inner(x)


def test_mistakes_in_a_part_of_a_part_are_put_together_too():
    a, b, c = partial(nested, inner=partial(parts, plus=1)), partial(nested, inner=partial(parts, out=5)), partial(
        nested, sign=-1)
    assert together(a, b)(1) == 8
    assert together(a, c)(1) == -3
    assert together(a, a) is None
    assert together(a, partial(parts, plus=1)) is None
    assert together(nested, parts) is None


def test_two_forms_of_one_part_are_not_put_together():
    a, b = (Mistake(name, "Two values of one and the same part of the code.", partial(parts, plus=value))
            for name, value in (("seven", 7), ("eleven", 11)))
    assert verdict(replace(ONE, mistakes=(a, b)), lambda x: 2 * x + 18).mistake is None


def test_a_mistake_is_no_convention_unless_it_says_so():
    assert Mistake("a name", "a hint", None).convention is False


def test_the_letter_v_is_the_number_that_came_as_an_argument():
    args = EXERCISES["2.3"].cases(np.random.default_rng(0))[0]
    assert sizes_of(EXERCISES["2.3"], args) == {"B": 3, "T": 4, "D": 5, "V": 7}
    with pytest.raises(ValueError, match="shorter"):
        sizes_of(EXERCISES["2.3"], args[:-1])


@pytest.mark.parametrize(("shape", "sizes", "letters"), [
    ((3, 5), {"B": 3, "H": 5}, "(B, H)"),
    ((4, 1), {"B": 4}, "(B, 1)"),
    ((20,), {"H": 5}, "(4H,)"),
    ((15, 10), {"H": 5}, "(3H, 2H)"),
    ((6,), {"T": 5}, "(T + 1,)"),
    ((6,), {"B": 5}, None),
    ((10,), {"D": 5}, None),
    ((3, 17), {"B": 3}, None),
])
def test_a_shape_in_the_letters_of_the_signature(shape, sizes, letters):
    assert in_letters(shape, sizes) == letters


def splits(x):
    return np.split(x, 2)


def test_an_error_inside_numpy_shows_the_line_of_the_caller():
    message = verdict(ONE, splits).message
    assert "It arose in your line:  return np.split(x, 2)" in message


def test_markup_is_shown_as_markup_in_the_notebook():
    said = Verdict("4.2", False, "Does its last line say `return f * c + i * g`? It is *kept*: a * b * c, x**2, 2*a*b.")
    html = said._repr_html_()
    assert "say <code>return f * c + i * g</code>?" in html
    assert "It is <em>kept</em>: a * b * c, x**2, 2*a*b." in html
    assert "`" not in html
