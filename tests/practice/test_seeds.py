"""No answer passes or fails by the seed: every known mistake and every right answer, over 200 draws of the cases.

In CI, that is, and in `CI=1 make pytest`; 50 draws otherwise, since each run of a mistake takes a millisecond.
"""

import os
from dataclasses import replace

import numpy as np
import pytest

from lstmcourse.practice import EXERCISES
from lstmcourse.practice.judging import problem_of
from lstmcourse.practice.observe import observe
from lstmcourse.practice.values import copy_of

from .mutants import build, solutions
from .test_exercises import ALTERNATIVES

SEEDS = range(200 if os.environ.get("CI") else 50)
SOLUTIONS = solutions()
every_exercise = pytest.mark.parametrize("id", EXERCISES)
BACKWARD = ["2.1", "2.2", "2.3", "2.4", "5.1", "5.2", "6.2", "6.4", "8.4"]


def draws(id):
    """The cases of every seed with the right answer, computed once: [[(args, exercise that knows it), …], …]"""
    exercise = EXERCISES[id]
    seeds = SEEDS[:1] if exercise.accept else SEEDS              # the latch draws nothing
    for seed in seeds:
        cases = exercise.cases(np.random.default_rng(seed))
        yield seed, [(args, knowing(exercise, exercise.reference(*copy_of(args)))) for args in cases]


def knowing(exercise, right):
    """The exercise with the right answer to one case in place of its reference."""
    return replace(exercise, reference=lambda *_: right)


def passes(function, cases):
    """As `judge`, without its words: is every case right?"""
    with np.errstate(all="ignore"):
        return all(problem_of(exercise, args, observe(exercise, function, args)) is None for args, exercise in cases)


@every_exercise
def test_every_known_mistake_is_rejected_whatever_the_seed(id):
    for seed, cases in draws(id):
        for mistake in EXERCISES[id].mistakes:
            for number, function in enumerate(mistake.functions):
                assert not passes(function, cases), (seed, mistake.name, number)


@every_exercise
def test_every_right_answer_passes_whatever_the_seed(id):
    right = [build(*SOLUTIONS[id], EXERCISES[id].function), *ALTERNATIVES.get(id, ())]
    for seed, cases in draws(id):
        for number, function in enumerate(right):
            assert passes(function, cases), (seed, number)


@pytest.mark.parametrize("id", BACKWARD)
def test_in_one_case_every_gradient_exceeds_any_limit_at_which_it_might_be_clipped(id):
    """A backward pass that clips its results at ±5, as a well-known script does, must not pass by luck."""
    def largest(value):
        entries = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()
        return min(map(largest, entries)) if len(entries) else np.abs(value).max()
    for seed, cases in draws(id):
        assert max(largest(exercise.reference()) for _, exercise in cases) > 100, seed
