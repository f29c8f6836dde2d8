"""The mutation run itself: it finds what a weak judge would let through. `make mutants` runs all of it."""

import json
from dataclasses import replace

import numpy as np

from lstmcourse.practice import EXERCISES

from .mutants import EQUIVALENT, build, main, mutants, passes, run, solutions, unexplained

QUICK = ["1.1", "4.2", "7.2", "8.3"]


def test_every_mutant_of_a_few_exercises_is_rejected_or_explained():
    found = run(QUICK, show=False)
    assert {id: count for id, (count, _) in found.items() if count <= 5} == {}
    new, gone = unexplained(found)
    assert not any(new.values()), new
    assert not any(gone.values()), gone


def survivors(exercise):
    helpers, source = solutions()[exercise.id]
    found = []
    for text, code in mutants(source):
        try:
            function = build(helpers, code, exercise.function)
        except Exception:
            continue
        if passes(exercise, function):
            found.append(text)
    return found


def test_weak_cases_let_mutants_through():
    """One step from a zero state with zero biases, as many published checks do it."""
    def weak(rng):
        return [(x, 0 * h, {key: value * ("W" in key) for key, value in params.items()})
                for x, h, params in EXERCISES["1.1"].cases(rng)]
    assert survivors(EXERCISES["1.1"]) == []
    assert len(survivors(replace(EXERCISES["1.1"], cases=weak))) > 10


def test_equal_numbers_let_mutants_through():
    def equal(rng):
        return [tuple(rng.standard_normal((4, 4, 4)) for _ in range(2))]
    assert survivors(EXERCISES["8.3"]) == []
    assert survivors(replace(EXERCISES["8.3"], cases=equal)) == []       # the numbers tell, where shapes do not
    flat = replace(EXERCISES["8.3"], cases=lambda rng: [(np.ones((4, 4, 4)), np.ones((4, 4, 4)))])
    assert survivors(flat) != []


def test_the_changes_reach_operators_transposes_functions_keys_variables_and_signs():
    texts = [text for text, _ in mutants(solutions()["1.1"][1])]
    for change in ("x_t @ params['W_ih'].T -> x_t * params['W_ih'].T", "params['W_hh'].T -> params['W_hh']",
                   "np.tanh -> np.sin", "'b_ih' -> 'b_hh'", "x_t -> h_prev", "x_t -> -x_t"):
        assert any(text.endswith(change) for text in texts), change


def test_the_changes_reach_axes_constants_lines_and_calls():
    texts = [text for id in ("2.3", "3.1", "8.5") for text, _ in mutants(solutions()[id][1])]
    for change in ("axis=1) -> without axis", "1 -> -1", "-> dropped", "np.sqrt(sum(", "alpha.argmax -> alpha.argmin"):
        assert any(change in text for text in texts), change


def test_every_survivor_has_a_reason():
    for id, reasons in json.loads(EQUIVALENT.read_text()).items():
        assert id in EXERCISES
        assert [reason for reason in reasons.values() if len(reason) <= 10] == []


def test_only_the_exercises_that_are_asked_for_are_run(capsys):
    assert main(["4.2"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()][1:2] == ["4.2"]
    assert main(["4.2", "9.9"]) == 2
    assert "there is no exercise 9.9; there are: 1.1" in capsys.readouterr().err
