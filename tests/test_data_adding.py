"""The adding problem."""

import numpy as np
import pytest

from lstmcourse.data.adding import adding_problem


@pytest.mark.parametrize("T", [2, 3, 10])
def test_adding_problem_marks_one_number_in_each_half(T, rng):
    x, _ = adding_problem(rng, 40, T)
    assert x.shape == (40, T, 2)
    assert (x[:, :T // 2, 1].sum(axis=1) == 1).all()
    assert (x[:, T // 2:, 1].sum(axis=1) == 1).all()


def test_adding_problem_answer_is_the_sum_of_the_marked_numbers(rng):
    x, y = adding_problem(rng, 20, 9)
    for row, wanted in zip(x, y, strict=True):
        assert row[row[:, 1] == 1, 0].sum() == pytest.approx(wanted, rel=1e-14)


def test_adding_problem_always_saying_one_has_an_error_of_a_sixth(rng):
    _, y = adding_problem(rng, 20000, 4)
    assert np.mean((y - 1) ** 2) == pytest.approx(1 / 6, abs=0.005)


def test_adding_problem_rejects_one_step(rng):
    with pytest.raises(ValueError, match="T is 1; wanted at least 2"):
        adding_problem(rng, 3, 1)


@pytest.mark.parametrize("half", [slice(None, 5), slice(5, None)], ids=["first", "second"])
def test_adding_problem_marks_another_step_in_each_row(half, rng):
    x, _ = adding_problem(rng, 60, 10)
    assert set(x[:, half, 1].argmax(axis=1)) == {0, 1, 2, 3, 4}
