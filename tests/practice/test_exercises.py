"""The exercises as data: every known mistake is named, right answers pass in whatever form they come."""

import dataclasses
import itertools
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from lstmcourse.layers import softmax
from lstmcourse.practice import EXERCISES, judge
from lstmcourse.practice.exercise import PARTS, shapes_in, sizes_of
from lstmcourse.practice.judging import agree, problem_of
from lstmcourse.practice.observe import observe

from .mutants import build, solutions

SEEDS = range(5)
SOLUTIONS = solutions()
every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)


def verdict(exercise, function, seed=0):
    return judge(exercise, lambda args: observe(exercise, function, args), np.random.default_rng(seed))


def solution(exercise):
    return build(*SOLUTIONS[exercise.id], exercise.function)


@every_exercise
def test_every_known_mistake_is_rejected_and_named(exercise):
    seeds = SEEDS[:1] if exercise.accept else SEEDS[:3]     # the latch draws nothing
    forms = [(mistake, function) for mistake in exercise.mistakes for function in mistake.functions]
    for seed, (mistake, function) in itertools.product(seeds, forms):
        said = verdict(exercise, function, seed)
        assert not said.passed, (seed, mistake.name)
        assert said.mistake == mistake.name, (seed, mistake.name, said)
        assert mistake.hint in said.message


@every_exercise
def test_no_two_known_mistakes_come_to_the_same(exercise):
    cases = exercise.cases(np.random.default_rng(11))
    forms = [(mistake, function) for mistake in exercise.mistakes for function in mistake.functions]
    outcomes = [[observe(exercise, function, args) for args in cases] for _, function in forms]
    problems = [[problem_of(exercise, *case) for case in zip(cases, theirs, strict=True)] for theirs in outcomes]
    for ((a, _), mine, words), ((b, _), theirs, _) in itertools.combinations(
            zip(forms, outcomes, problems, strict=True), 2):
        if all(agree(exercise, *four) for four in zip(cases, mine, words, theirs, strict=True)):
            assert a.name == b.name, f"{exercise.id}: {a.name!r} and {b.name!r} come to the same"
            # where an argument is changed, and for a property, the value itself does not count
            assert mine[0].changed or exercise.accept, f"{a.name} and {b.name} are one mistake"


CODE = re.compile(r"`[^`]*\w[^`]*[ (\[=][^`]*`|\bnp\.\w+\(|@|\w\[[^\]]*[:,]|\w \* \w|\*\*|"
                  r"\breturn \w+([(\[]|\.\w)|\b(lambda|def)\b")


def test_every_hint_says_something_and_hands_out_no_code():
    for exercise in EXERCISES.values():
        for mistake in exercise.mistakes:
            assert mistake.functions, (exercise.id, mistake.name)
            assert len(mistake.hint) > 40, (exercise.id, mistake.name)
            assert not CODE.search(mistake.hint), (exercise.id, mistake.name, CODE.search(mistake.hint)[0])
            assert mistake.name.strip(), exercise.id


def test_what_counts_as_code_in_a_hint():
    for code in ("return np.tanh(a)", "np.sum(x)", "x @ W", "f * c + i * g", "`c = f`", "h[:, t]", "h ** 2", "a[t, s]"):
        assert CODE.search(f"Write {code} in that line."), code
    for words in ("an operation like `*=`", "`.T` reverses", "NumPy's `layers`", "*kept*", "s is s times (1 - s)"):
        assert not CODE.search(words), words


def test_no_hint_stands_under_two_names():
    names = {}
    for exercise in EXERCISES.values():
        for mistake in exercise.mistakes:
            names.setdefault(mistake.hint, set()).add(mistake.name)
    assert [found for found in names.values() if len(found) > 1] == []


# What the project has collected of mistakes that people make: each is known where it can be made.
FLOOR = {
    "4.3": ["a sigmoid on the candidate", "gates in the order i, f, o, g", "i and f are swapped",
            "tanh on the forget gate", "no forget gate", "h_t without tanh", "h_t from the old cell",
            "a matrix product where ⊙ is meant", "a dot product where ⊙ is meant", "b_hh is left out",
            "b_ih is counted twice", "W_hh is not transposed"],
    "1.2": ["the state is never updated", "the given h_0 is ignored", "two tanh, one for each product",
            "batch and time are swapped", "reshape where a transpose is meant"],
    "6.1": ["the reset gate before the recurrent product (Cho et al. 2014)",
            "z and 1 - z are swapped (Chung et al. 2014)", "gates in the order z, r, n", "no reset gate",
            "the reset gate on the whole sum"],
    "1.1": ["keep and 1 - keep are swapped", "the leak is inside the tanh", "two tanh, one for each product"],
    "1.4": ["multiplied by the temperature", "the likeliest word is taken", "one word too far"],
    "2.1": ["tanh' of the output in place of the input", "tanh' is left out", "dh_t is changed in place"],
    "2.4": ["fixed chunks", "every loss is counted in several windows", "the window starts from zeros"],
    "2.2": ["what arrives from the later step is dropped", "dW_hh is taken with h_t", "dh is changed in place"],
    "3.1": ["each number is clipped by itself"],
    "3.2": ["the straight path is left out", "as if there were no leak"],
    "3.3": ["clipped after the update, so not at all"],
    "3.4": ["the change is never rescaled", "the radius times the mean slope"],
    "5.1": ["the slopes of the sigmoids are left out", "the slope of the sigmoid is taken of the gate"],
    "5.2": ["dh_next is dropped", "dc_next is dropped", "dh_prev overwrites dh_t before dc_prev is computed",
            "dW_hh is taken with h_t"],
    "1.3": ["the mean counts the padding", "softmax is taken twice"],
    "7.1": ["the decoder is fed the word it has to say"],
    "7.2": ["the state after the padding"],
    "7.4": ["the backward network is read at the wrong end"],
    "7.5": ["the mean of the batches' means"],
    "8.1": ["softmax over the batch", "softmax over the query axis", "no mask", "the mask is inverted",
            "NaN where a sentence is only padding"],
    "8.4": ["scaled by H, not by its root"],
}


@pytest.mark.parametrize("id", FLOOR)
def test_the_mistakes_that_were_collected_are_known(id):
    names = {mistake.name for mistake in EXERCISES[id].mistakes}
    assert not set(FLOOR[id]) - names


def test_the_exercises_that_were_asked_for_are_there():
    asked = {"1": 4, "2": 4, "3": 2, "4": 4, "5": 2, "6": 3, "7": 3, "8": 5}
    assert {f"{lesson}.{k}" for lesson, last in asked.items() for k in range(1, last + 1)} - set(EXERCISES) == set()
    assert list(EXERCISES) == sorted(EXERCISES, key=lambda id: [int(part) for part in id.split(".")])


@every_exercise
def test_reference_and_solution_pass(exercise):
    right = solution(exercise)
    for seed in SEEDS:
        assert verdict(exercise, exercise.reference, seed).passed
        said = verdict(exercise, right, seed)
        assert said.passed, said


@every_exercise
def test_cases_have_distinct_sizes_and_several_rows_and_steps(exercise):
    for args in exercise.cases(np.random.default_rng(0)):
        sizes = sizes_of(exercise, args)
        assert len(set(sizes.values())) == len(sizes), sizes
        assert all(n >= 3 for letter, n in sizes.items() if letter.startswith("T")), sizes
        assert sizes.get("B", 2) >= 2


def as_float32(value):
    if isinstance(value, np.ndarray) and value.dtype == np.float64:
        return value.astype(np.float32)
    if isinstance(value, float):
        return np.float32(value)
    if isinstance(value, dict):
        return {key: as_float32(entry) for key, entry in value.items()}
    return tuple(map(as_float32, value)) if isinstance(value, tuple) else value


def as_lists(value):
    return list(map(as_lists, value)) if isinstance(value, tuple) else value


def in_fortran_order(value):
    if isinstance(value, np.ndarray):
        return np.asfortranarray(value)
    if isinstance(value, dict):
        return {key: in_fortran_order(entry) for key, entry in value.items()}
    return tuple(map(in_fortran_order, value)) if isinstance(value, tuple) else value


@every_exercise
@pytest.mark.parametrize("form", [as_float32, as_lists, in_fortran_order])
def test_right_answers_pass_in_other_forms(exercise, form):
    right = solution(exercise)
    for seed in SEEDS:
        said = verdict(exercise, lambda *args: form(right(*args)), seed)
        assert said.passed, said


@every_exercise
def test_a_solution_that_computes_in_float32_passes(exercise):
    right = solution(exercise)
    for seed in SEEDS:
        said = verdict(exercise, lambda *args: as_float32(right(*as_float32(args))), seed)
        assert said.passed, said


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lstm_by_concatenation(x_t, h_prev, c_prev, params):
    joined, W = np.hstack([x_t, h_prev]), np.hstack([params["W_ih"], params["W_hh"]])
    a = joined.dot(W.T) + (params["b_ih"] + params["b_hh"])
    H = h_prev.shape[-1]
    i, f, o = (sigmoid(a[:, k * H:(k + 1) * H]) for k in (0, 1, 3))
    c_t = c_prev.copy()
    c_t *= f                                             # in place, on an array of its own
    c_t += i * np.tanh(a[:, 2 * H:3 * H])
    return [o * np.tanh(c_t), c_t]


def lstm_by_loops(x_t, h_prev, c_prev, params):
    B, H = h_prev.shape
    h_t, c_t = np.zeros((B, H)), np.zeros((B, H))
    for b in range(B):
        for j in range(H):
            a = [params["W_ih"][k * H + j] @ x_t[b] + params["W_hh"][k * H + j] @ h_prev[b]
                 + params["b_ih"][k * H + j] + params["b_hh"][k * H + j] for k in range(4)]
            c_t[b, j] = sigmoid(a[1]) * c_prev[b, j] + sigmoid(a[0]) * np.tanh(a[2])
            h_t[b, j] = sigmoid(a[3]) * np.tanh(c_t[b, j])
    return h_t, c_t


def clip_as_torch_does(grads, max_norm):
    norm = float(np.sqrt(sum(np.vdot(g, g) for g in grads.values())))
    factor = min(1.0, max_norm / (norm + 1e-6))
    return {key: factor * g for key, g in grads.items()}


def exponent_of_the_gradient(x, h_0, v_0, params):
    """With the Jacobians as matrices, and the norms kept in a list."""
    norms, v, h = [], v_0 / np.sqrt(v_0 @ v_0), h_0
    for t in range(len(x)):
        h = np.tanh(np.hstack([params["W_ih"], params["W_hh"]]) @ np.concatenate([x[t], h])
                    + (params["b_ih"] + params["b_hh"]))
        v = np.diag(1 - h * h) @ params["W_hh"] @ v
        norms.append(np.sqrt(v @ v))
        v = v / norms[-1]
    return sum(np.log(norms)) / len(norms)


ALTERNATIVES = {
    "4.3": [lstm_by_concatenation, lstm_by_loops],
    "1.1": [lambda x, h, p: p["keep"] * h + (1 - p["keep"]) * np.tanh(
        np.hstack([x, h]) @ np.hstack([p["W_ih"], p["W_hh"]]).T + p["b_ih"] + p["b_hh"])],
    "1.2": [lambda x, h_0, p, mask: np.stack([h_0 := h_0 + mask[:, t, None] * (np.tanh(
        np.einsum("bd,hd->bh", x[:, t], p["W_ih"]) + p["b_ih"] + p["b_hh"] + np.einsum("bk,hk->bh", h_0, p["W_hh"]))
        - h_0) for t in range(x.shape[1])], axis=1)],
    "1.4": [lambda logits, temperature, u: [np.searchsorted(np.cumsum(softmax(row / temperature)), chance, "right")
                                            for row, chance in zip(logits, u, strict=True)]],
    "2.1": [lambda dh_t, cache: (lambda d, k: (d.dot(cache["W_ih"]), k + d.dot(cache["W_hh"]), {
        "b_hh": np.ones(len(d)) @ d, "W_hh": np.einsum("bi,bj->ij", d, cache["h_prev"]), "b_ih": d.sum(0),
        "W_ih": (cache["x_t"].T @ d).T, "keep": np.einsum("bh,bh->h", dh_t, cache["h_prev"] - cache["new"])}))(
            (dh_t - dh_t * cache["keep"]) * (1 - cache["new"] * cache["new"]), cache["keep"] * dh_t)],
    "2.3": [lambda dx, tokens, dlogits, h: np.eye(dlogits.shape[-1])[tokens.ravel()].T @ dx.reshape(-1, dx.shape[-1])
            + np.tensordot(dlogits, h, axes=([0, 1], [0, 1]))],
    "3.1": [clip_as_torch_does],
    "3.2": [lambda n, W, alpha: [np.linalg.svd(np.linalg.multi_dot([np.eye(len(W)), *(
        np.eye(len(W)) - alpha * (np.eye(len(W)) - np.diag(1 - n_t**2) @ W) for n_t in n[:len(n) - 1 - lag:-1]),
        np.eye(len(W))]))[1][0] for lag in range(len(n))]],
    "3.4": [exponent_of_the_gradient],
    "4.4": [lambda D, H: {"W_ih": np.eye(4 * H, D, -2 * H) * (np.arange(4 * H)[:, None] == 2 * H),
                          "W_hh": np.zeros((4 * H, H)), "b_hh": np.repeat([8.0, 8, 0, 8], H), "b_ih": np.zeros(4 * H)}],
    "6.3": [lambda kind, D, H, layers, bidirectional: float(sum(
        a.numel() for a in getattr(torch.nn, kind.upper())(D, H, layers, bidirectional=bidirectional).parameters()))],
    "7.2": [lambda h, lengths: [h[b, n - 1] for b, n in enumerate(lengths)]],
    "8.3": [lambda alpha, values: np.einsum("bts,bsm->btm", alpha, values)],
    "1.3": [lambda logits, targets, mask: torch.nn.functional.cross_entropy(
        torch.tensor(logits)[mask], torch.tensor(targets)[mask]).item()],
}


@pytest.mark.parametrize(("id", "number"), [(id, k) for id, forms in ALTERNATIVES.items() for k in range(len(forms))])
def test_other_but_equal_ways_pass(id, number):
    for seed in SEEDS:
        said = verdict(EXERCISES[id], ALTERNATIVES[id][number], seed)
        assert said.passed, said


@pytest.mark.parametrize("id", [e.id for e in EXERCISES.values() for m in e.mistakes if m.convention])
def test_a_valid_other_convention_is_called_one(id):
    exercise = EXERCISES[id]
    for mistake in exercise.mistakes:
        if mistake.convention:
            for function in mistake.functions:
                assert "Another valid convention" in verdict(exercise, function).message


@every_exercise
def test_the_text_of_the_exercise_has_every_argument_and_shape(exercise):
    """The signature stands in the docstring for the learner and in the Exercise for the messages: they agree."""
    source = SOLUTIONS[exercise.id][1]
    text = re.sub(r"\s+", " ", source)
    arguments, results = exercise.signature.split("->")
    assert f"def {exercise.function}({', '.join(exercise.arguments)}):" in source

    def flat(shapes):
        for name, shape in shapes.items():
            yield from flat(shape) if isinstance(shape, dict) else [(name, shape)]

    for name, shape in [*flat(shapes_in(arguments[1:-1])), *flat(exercise.returns)]:
        if shape:
            letters = f"{name} ({', '.join(shape)}{',' * (len(shape) == 1)})"
            assert letters in text, letters


def test_practice_needs_neither_torch_nor_matplotlib():
    code = "import sys, lstmcourse.practice; print([m for m in ('torch', 'matplotlib', 'IPython') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_an_exercise_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EXERCISES["4.3"].points = 100


@every_exercise
def test_what_follows_a_pass_is_said_and_true(exercise):
    """One sentence that takes the learner on; and the shortest answer that is shown is an answer."""
    assert 40 < len(exercise.onward) < 200
    assert exercise.part in ("", *PARTS)
    body = exercise.shortest.replace("\n", "\n    ")
    first_line = f"def {exercise.function}({', '.join(exercise.arguments)}):"
    function = build(SOLUTIONS[exercise.id][0], f"{first_line}\n    {body}", exercise.function)
    assert verdict(exercise, function).passed
    assert len(body) < 1.3 * len(SOLUTIONS[exercise.id][1])


def test_every_part_of_a_network_has_an_exercise():
    assert {exercise.part for exercise in EXERCISES.values()} >= set(PARTS)
