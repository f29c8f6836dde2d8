"""The exercises as data: every known mistake is named, right answers pass in whatever form they come."""

import dataclasses
import itertools
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from lstmcourse import torch_ref
from lstmcourse.practice import EXERCISES, judge
from lstmcourse.practice.exercise import shapes_in, sizes_of
from lstmcourse.practice.judging import agree, problem_of
from lstmcourse.practice.observe import observe
from lstmcourse.practice.values import same

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
    for seed, mistake in itertools.product(seeds, exercise.mistakes):
        said = verdict(exercise, mistake.function, seed)
        assert not said.passed, (seed, mistake.name)
        assert said.mistake == mistake.name, (seed, mistake.name, said)
        assert mistake.hint in said.message


@every_exercise
def test_no_two_known_mistakes_come_to_the_same(exercise):
    cases = exercise.cases(np.random.default_rng(11))
    outcomes = [[observe(exercise, mistake.function, args) for args in cases] for mistake in exercise.mistakes]
    problems = [[problem_of(exercise, *case) for case in zip(cases, theirs, strict=True)] for theirs in outcomes]
    for (a, mine, words), (b, theirs, _) in itertools.combinations(
            zip(exercise.mistakes, outcomes, problems, strict=True), 2):
        if all(agree(exercise, *four) for four in zip(cases, mine, words, theirs, strict=True)):
            assert a.name == b.name
            # where an argument is changed, and for a property, the value itself does not count
            assert mine[0].changed or exercise.accept, f"{a.name} and {b.name} are one mistake"


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
    "2.1": ["tanh' of the output in place of the input", "tanh' is left out", "dh_t is changed in place"],
    "2.2": ["what arrives from the later step is dropped", "dW_hh is taken with h_t", "dh is changed in place"],
    "3.1": ["each number is clipped by itself"],
    "3.3": ["clipped after the update, so not at all"],
    "5.1": ["the slopes of the sigmoids are left out", "the slope of the sigmoid is taken of the gate"],
    "5.2": ["dh_next is dropped", "dc_next is dropped", "dh_prev overwrites dh_t before dc_prev is computed",
            "dW_hh is taken with h_t"],
    "1.3": ["the mean counts the padding", "softmax is taken twice"],
    "7.1": ["the decoder is fed the word it has to say"],
    "7.2": ["the state after the padding"],
    "7.4": ["the backward network is read at the wrong end"],
    "7.5": ["the mean of the batches' means"],
    "8.1": ["softmax over the batch", "softmax over the query axis", "no mask", "the mask is turned round",
            "NaN where a sentence is only padding"],
    "8.4": ["scaled by H, not by its root"],
}


@pytest.mark.parametrize("id", FLOOR)
def test_the_mistakes_that_were_collected_are_known(id):
    names = {mistake.name for mistake in EXERCISES[id].mistakes}
    assert not set(FLOOR[id]) - names


def test_the_exercises_that_were_asked_for_are_there():
    asked = {"1": 3, "2": 3, "3": 2, "4": 4, "5": 2, "6": 3, "7": 3, "8": 5}
    assert all(f"{lesson}.{k}" in EXERCISES for lesson, last in asked.items() for k in range(1, last + 1))
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


ALTERNATIVES = {
    "4.3": [lstm_by_concatenation, lstm_by_loops],
    "1.2": [lambda x, h_0, p: np.stack([h_0 := np.tanh(
        np.einsum("bd,hd->bh", x[:, t], p["W_ih"]) + p["b_ih"] + p["b_hh"] + np.einsum("bk,hk->bh", h_0, p["W_hh"]))
        for t in range(x.shape[1])], axis=1)],
    "2.1": [lambda dh_t, cache: (lambda da: (da.dot(cache["W_ih"]), da.dot(cache["W_hh"]), {
        "b_hh": np.ones(len(da)) @ da, "W_hh": np.einsum("bi,bj->ij", da, cache["h_prev"]),
        "b_ih": da.sum(0), "W_ih": (cache["x_t"].T @ da).T}))(dh_t - dh_t * cache["h_t"] * cache["h_t"])],
    "2.3": [lambda dx, tokens, V: np.eye(V)[tokens.ravel()].T @ dx.reshape(-1, dx.shape[-1])],
    "3.1": [clip_as_torch_does],
    "3.2": [lambda h, W: [np.linalg.svd(np.linalg.multi_dot([np.eye(len(W)), *(
        np.diag(1 - h_t**2) @ W for h_t in h[:len(h) - 1 - lag:-1]), np.eye(len(W))]))[1][0] for lag in range(len(h))]],
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
            assert "A valid other convention" in verdict(exercise, mistake.function).message


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


# The references that are no function of the library: against torch.

def cases(id):
    return EXERCISES[id].cases(np.random.default_rng(3))


def test_parameter_count_is_that_of_torch():
    for kind, D, H, layers, both in cases("6.3"):
        module = torch_ref.MODULES[kind](D, H, layers, bidirectional=both)
        assert EXERCISES["6.3"].reference(kind, D, H, layers, both) == sum(p.numel() for p in module.parameters())


def test_gradient_by_lag_is_the_norm_of_the_autograd_jacobian():
    for h, W_hh in cases("3.2"):
        a = np.arctanh(h[1:]) - h[:-1] @ W_hh.T                  # inputs with which an RNN visits these states

        def run(h_t, steps, a=a, W=W_hh):
            for a_t in a[len(a) - steps:]:
                h_t = torch.tanh(torch.tensor(a_t) + torch.tensor(W) @ h_t)
            return h_t

        for lag, norm in enumerate(EXERCISES["3.2"].reference(h, W_hh)):
            start = torch.tensor(h[len(h) - 1 - lag])
            J = torch.autograd.functional.jacobian(lambda h_t, lag=lag: run(h_t, lag), start)
            assert norm == pytest.approx(torch.linalg.matrix_norm(J, 2).item(), rel=1e-10)


def test_masked_loss_is_that_of_torch():
    for logits, targets, mask in cases("7.3"):
        leaf = torch.tensor(logits, requires_grad=True)
        loss = torch.nn.functional.cross_entropy(leaf[mask], torch.tensor(targets)[mask])
        loss.backward()
        assert same(EXERCISES["7.3"].reference(logits, targets, mask), (loss.item(), leaf.grad.numpy()))


def test_dot_attention_backward_is_that_of_autograd():
    for dcontext, cache in cases("8.4"):
        leaves = [torch.tensor(cache[key], requires_grad=True) for key in ("query", "keys", "values")]
        query, keys, values = leaves
        context = torch.softmax(query @ keys.mT / query.shape[-1]**0.5, -1) @ values
        wanted = torch.autograd.grad(context, leaves, torch.tensor(dcontext))
        assert same(EXERCISES["8.4"].reference(dcontext, cache), tuple(g.numpy() for g in wanted))


@pytest.mark.parametrize("id", ["2.1", "2.2", "5.1", "5.2", "6.2"])
def test_recurrent_backwards_are_those_of_autograd(id):
    kind = {"2": "rnn", "5": "lstm", "6": "gru"}[id[0]]
    sequence = id[2] == "2" and id != "6.2"
    for *upstream, cache in cases(id):
        params = {key: cache[key] for key in ("W_ih", "W_hh")}
        H = params["W_hh"].shape[1]
        x = cache["x"] if sequence else cache["x_t"][:, None]
        states = [cache[key] for key in (("h_0", "c_0") if sequence else ("h_prev", "c_prev")) if key in cache]
        params |= biases_of(kind, cache, x[:, 0], states[0], H)

        def run(x, *states_and_params, kind=kind, upstream=upstream):
            *states, params = states_and_params
            outputs = [[], []]
            for t in range(x.shape[1]):
                states = torch_cell(kind, x[:, t], states, params)
                for kept, state in zip(outputs, states, strict=False):
                    kept.append(state)
            return tuple(torch.stack(kept, 1) for kept in outputs[:len(states)])

        dh = [d if sequence else d[:, None] for d in upstream]
        _, grads = torch_ref.torch_gradients(run, [x, *states, params], dh)
        wanted = (grads[0] if sequence else grads[0][:, 0], *grads[1:])
        assert same(EXERCISES[id].reference(*upstream, cache), wanted)


def biases_of(kind, cache, x_0, h_0, H):
    """Biases with which the forward gives the gates of the cache; how they share is no matter but for the GRU's n."""
    def step(key):
        value = cache[key]
        return value[:, 0] if value.ndim == 3 else value

    def logit(p):
        return np.log(p) - np.log1p(-p)

    if kind == "rnn":
        a = np.arctanh(step("h" if "h" in cache else "h_t"))
    elif kind == "lstm":
        a = np.hstack([logit(step("i")), logit(step("f")), np.arctanh(step("g")), logit(step("o"))])
    else:
        b_hn = (cache["u_n"] - h_0 @ cache["W_hh"][2 * H:].T)[0]
        a = np.hstack([logit(cache["r"]), logit(cache["z"]), np.arctanh(cache["n"]) - cache["r"] * cache["u_n"]])
        recurrent = np.hstack([h_0 @ cache["W_hh"][:2 * H].T, 0 * h_0])
        return {"b_ih": (a - x_0 @ cache["W_ih"].T - recurrent)[0],
                "b_hh": np.concatenate([np.zeros(2 * H), b_hn])}
    total = (a - x_0 @ cache["W_ih"].T - h_0 @ cache["W_hh"].T)[0]
    return {"b_ih": total / 3, "b_hh": 2 * total / 3}


def torch_cell(kind, x_t, states, params):
    cell = {"rnn": torch.nn.RNNCell, "lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}[kind](
        x_t.shape[1], states[0].shape[1], dtype=x_t.dtype)
    weights = {name: params[ours] for name, ours in torch_ref.RENAMES.items()}
    given = tuple(states) if kind == "lstm" else states[0]
    found = torch.func.functional_call(cell, weights, (x_t, given))
    return list(found) if kind == "lstm" else [found]


def test_an_exercise_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EXERCISES["4.3"].points = 100
