"""Exercises 2.1 to 2.3: backpropagation through time, for the vanilla RNN, and through an embedding."""

import operator
from functools import partial

import numpy as np

from lstmcourse.layers import embedding_backward, embedding_forward
from lstmcourse.practice.exercise import Exercise, Mistake
from lstmcourse.practice.inputs import ABOUT_LARGE, LARGE, clip_by_value, normal, params, uniform, weights_only
from lstmcourse.rnn import RNNCache, RNNCellCache, rnn_backward, rnn_cell_backward, rnn_forward

GRADS = "grads {W_ih (H, D), W_hh (H, H), b_ih (H,), b_hh (H,)}"


# 2.1 the cell

def _cell_cache(x_t, h_prev, params):
    h_t = np.tanh(x_t @ params["W_ih"].T + params["b_ih"] + h_prev @ params["W_hh"].T + params["b_hh"])
    return {"x_t": x_t, "h_prev": h_prev, "h_t": h_t, **weights_only(params)}


def _cell_reference(dh_t, cache):
    return rnn_cell_backward(dh_t, RNNCellCache(cache["x_t"], cache["h_prev"], cache["h_t"], weights_only(cache)))


def _cell(dh_t, k, slope=lambda h: 1 - h**2, to_x=lambda da, W: da @ W, to_h=lambda da, W: da @ W,
          arriving=lambda dh_t, da: da, h_in=lambda k: k["h_prev"], weight=lambda da, v: da.T @ v,
          recurrent=lambda grad: grad, bias=lambda da: da.sum(axis=0), over_batch=lambda B: 1):
    """The backward pass of the cell, in which a part can be replaced by a wrong one."""
    da = dh_t * slope(k["h_t"])
    grads = {"W_ih": weight(da, k["x_t"]), "W_hh": recurrent(weight(da, h_in(k))), "b_ih": bias(da), "b_hh": bias(da)}
    return to_x(da, k["W_ih"]), to_h(arriving(dh_t, da), k["W_hh"]), {
        key: grad * over_batch(len(da)) for key, grad in grads.items()}


def _in_place(dh_t, k):
    right = _cell_reference(dh_t, k)
    dh_t *= 1 - k["h_t"]**2
    return right


WRONG_BACKWARD_CELLS = [
    ("tanh' is left out",
     "The gradient passes the tanh as though it were not there. On its way back it is multiplied by the slope of tanh "
     "at that point, which is small wherever the unit is near ±1.",
     partial(_cell, slope=lambda h: 1.0)),
    ("tanh' of the output in place of the input",
     "You have applied tanh once more. The slope of tanh is 1 minus the square of its *output*, and h_t in the cache "
     "is that output already.",
     partial(_cell, slope=lambda h: 1 - np.tanh(h)**2)),
    ("tanh' without the square",
     "The slope of tanh must not depend on the sign of the state: it is as steep at -0.5 as at 0.5. Yours does, since "
     "a square is missing.",
     partial(_cell, slope=lambda h: 1 - h)),
    ("the slope of a sigmoid in place of tanh'",
     "h (1 - h) is the slope of a sigmoid, written with its output. This unit is a tanh: at 0 its slope is 1, at ±1 "
     "it is 0.",
     partial(_cell, slope=lambda h: h * (1 - h))),
    ("dW_hh is taken with h_t",
     "W_hh was multiplied by the state *before* the step. The gradient of a weight is what arrives at its output times "
     "what stood at its input, and at its input stood h_prev.",
     partial(_cell, h_in=lambda k: k["h_t"])),
    ("the gradients of the weights are transposed",
     "A gradient has the shape of its parameter: a row for each unit that was computed, a column for each number that "
     "it read. Yours has the two exchanged; with W_hh, which is square, no shape shows it.",
     partial(_cell, weight=lambda da, v: v.T @ da)),
    ("dW_hh is transposed",
     "A gradient has the shape of its parameter: a row for each unit that was computed, a column for each number that "
     "it read. W_hh is square, so that the two exchanged go unseen: the rows belong to the unit that was computed.",
     partial(_cell, recurrent=np.transpose)),
    ("the gradients are averaged over the batch",
     "The parameters are used once for each row of the batch, and gradients over several uses of one parameter add up. "
     "Where a mean is wanted, it is the loss that takes it: dh_t then already carries the division.",
     partial(_cell, over_batch=lambda B: 1 / B)),
    ("the biases are not summed over the batch",
     "One bias serves every row of the batch, so the gradients of all rows meet in it: its gradient has the shape of "
     "the bias, with no batch axis.",
     partial(_cell, bias=lambda da: da)),
    ("the biases are summed over the wrong axis",
     "Your bias gradient has one number for each row of the batch. It needs one for each unit: sum the batch out, not "
     "the units.",
     partial(_cell, bias=lambda da: da.sum(axis=1))),
    ("dh_prev through W_hh transposed",
     "Forward, the state passed through the transpose of W_hh. Backward, the same road is walked the other way, and "
     "the transpose of the transpose is the matrix itself. It is square, so no shape tells you.",
     partial(_cell, to_h=lambda da, W: da @ W.T)),
    ("dx_t through W_ih transposed",
     "Forward, the input passed through the transpose of W_ih, from D numbers to H. Backward you go from H to D: look "
     "which of the two orientations of W_ih does that.",
     partial(_cell, to_x=lambda da, W: da @ W.T)),
    ("dh_prev goes past the tanh",
     "dx_t is right and dh_prev is not: for dh_prev you start from what arrives at h_t, before it went back through "
     "tanh. Both products stand inside the same tanh, so both start behind it.",
     partial(_cell, arriving=lambda dh_t, da: dh_t)),
    ("dh_t is changed in place",
     "Your results are right, but the array dh_t of the caller is not what it was: an operation like `*=` writes into "
     "the array itself. The caller may need it for the loss of another step, and a gradient check compares with it.",
     _in_place),
]

CLIPPED = (
    "the gradients are clipped inside the backward pass",
    "Small gradients are right, large ones are cut off at a fixed limit, as some short scripts do at the end of their "
    "backward pass. What you return is then no longer the gradient. Clipping has its own place, between the backward "
    "pass and the update, where the norm of all gradients together is known.")


def clipped(backward, limit, grads_only):
    """A right backward pass whose results are clipped by value before they are returned."""
    def run(*args):
        *others, grads = backward(*args)
        others = others if grads_only else clip_by_value(tuple(others), limit)
        return *others, clip_by_value(grads, limit)
    return run


def clipped_forms(backward):
    return [Mistake(*CLIPPED, clipped(backward, limit, grads_only)) for limit in (5, 1) for grads_only in (True, False)]


rnn_cell = Exercise(
    id="2.1", title="one step back through a vanilla RNN", lesson="02_bptt", points=2,
    part="backward pass",
    onward="Try it from a state of zeros: which mistakes would such a check not see?",
    shortest="""\
da = dh_t * (1 - cache["h_t"]**2)
return da @ cache["W_ih"], da @ cache["W_hh"], {
    "W_ih": da.T @ cache["x_t"], "W_hh": da.T @ cache["h_prev"], "b_ih": da.sum(0), "b_hh": da.sum(0)}""",
    function="rnn_cell_backward",
    signature="(dh_t (B, H), cache {x_t (B, D), h_prev (B, H), h_t (B, H), W_ih (H, D), W_hh (H, H)}) "
              f"-> dx_t (B, D), dh_prev (B, H), {GRADS}",
    cases=lambda rng: [(size * normal(rng, B, H), _cell_cache(
        normal(rng, B, D), uniform(rng, B, H), params(rng, 1, D, H)))
        for B, D, H, size in ((3, 4, 5, 1), (2, 5, 3, LARGE))],
    about=ABOUT_LARGE,
    reference=_cell_reference,
    mistakes=(*(Mistake(*wrong) for wrong in WRONG_BACKWARD_CELLS), *clipped_forms(_cell_reference)))


# 2.2 the sequence

def _cache(x, h_0, params):
    return {"x": x, "h_0": h_0, "h": np.array(rnn_forward(x, h_0, params)[0]), **weights_only(params)}


def _reference(dh, cache):
    x, h = cache["x"], cache["h"]
    ones = np.ones((*x.shape[:2], 1))
    return rnn_backward(dh, RNNCache(np.concatenate([x, ones], axis=2).swapaxes(0, 1),
                                     np.concatenate([cache["h_0"][:, None], h], axis=1).swapaxes(0, 1),
                                     weights_only(cache)))


def _bptt(dh, k, cell=_cell, backwards=True, arriving=lambda dh_t, dh_next: dh_t + dh_next,
          handed_on=lambda dh_next, dh_prev: dh_prev, add_up=True, first=0, before=lambda k: k["h_0"]):
    """Backpropagation through time as a loop over cells, in which a part can be replaced by a wrong one."""
    h_prev = np.concatenate([before(k)[:, None], k["h"][:, :-1]], axis=1)
    dx, dh_next, total = np.zeros_like(k["x"]), np.zeros_like(k["h_0"]), None
    for t in range(first, dh.shape[1])[::-1 if backwards else 1]:
        step = {"x_t": k["x"][:, t], "h_prev": h_prev[:, t], "h_t": k["h"][:, t], **weights_only(k)}
        dx[:, t], dh_prev, grads = cell(arriving(dh[:, t], dh_next), step)
        total = {key: total[key] + grads[key] for key in grads} if total and add_up else grads
        dh_next = handed_on(dh_next, dh_prev)
    return dx, dh_next, total


def _last_only(dh):
    only = np.zeros_like(dh)
    only[:, -1] = dh[:, -1]
    return only


def _scaled(results, factor):
    *others, grads = results
    return *others, {key: grad * factor for key, grad in grads.items()}


def _past_W_hh(dh, k):
    """What is handed on to the step before has passed the tanh, but not the weights."""
    def cell(dh_t, step):
        dx_t, _, grads = _cell_reference(dh_t, step)
        return dx_t, dh_t * (1 - step["h_t"]**2), grads
    return _bptt(dh, k, cell=cell)


def _added_behind_the_tanh(dh, k):
    """da_t = dh_t * (1 - h_t**2) + dh_next: the product with the slope is taken of dh_t only."""
    slope_1 = {**k, "h": np.zeros_like(k["h"])}
    h_prev = np.concatenate([k["h_0"][:, None], k["h"][:, :-1]], axis=1)
    steps = iter(range(dh.shape[1])[::-1])

    def cell(da_t, step):
        return _cell_reference(da_t, {**step, "h_prev": h_prev[:, next(steps)]})
    return _bptt(dh * (1 - k["h"]**2), slope_1, cell=cell)


FIRST_STEP_LEFT_OUT = (
    "the first step is left out",
    "Your walk back stops one step too early: the step at t = 0 is never done. In Python a range ends *before* its "
    "end, also when it counts down.")
WRAPPED = (
    "before the first step stands the last",
    "At t = 0 you read the state at index t - 1, which is -1, and in Python that is the *last* step. Before the first "
    "step stands the state that the sequence was started from.")
DH_DROPPED = ("what arrives from the later step is dropped",
              "At the last step you are right, before it you are not: each state is used twice, by the loss at its own "
              "step and by the next step. What comes back from the next step has to be added to what the loss sends.")
WRONG_OVER_TIME = [
    (*DH_DROPPED, partial(_bptt, arriving=lambda dh_t, dh_next: dh_t)),
    ("only the last step's loss counts",
     "You start from the gradient at the last step and let it run back, and the gradients that the other steps receive "
     "from their own losses are not used. dh has one for every step: add each where the walk back passes it.",
     lambda dh, k: _bptt(_last_only(dh), k)),
    ("the loop runs forward in time",
     "The walk goes from the first step to the last, and hands on what it finds. Gradients travel against time: a step "
     "can be done only after all the later ones, since it needs what comes back from them.",
     partial(_bptt, backwards=False)),
    ("what arrives from the later step piles up",
     "What you hand on to the step before is added to what you handed on earlier, and so counted again at every step. "
     "It is used once: at the next step back it has already passed into what that step hands on.",
     partial(_bptt, handed_on=np.add)),
    ("the gradients of the steps overwrite each other",
     "The same weights are used at every step, so the gradients of all steps add up in them. In your result only the "
     "step that was done last is left.",
     partial(_bptt, add_up=False)),
    ("h_0 is taken for zero in dW_hh",
     "Everything is right but dW_hh: at the first step the state before is h_0, which is given and not zero. Its part "
     "is missing.",
     partial(_bptt, before=lambda k: 0 * k["h_0"])),
    (*WRAPPED, partial(_bptt, before=lambda k: k["h"][:, -1])),
    (*FIRST_STEP_LEFT_OUT, partial(_bptt, first=1)),
    ("what comes back is added behind the tanh",
     "At the last step you are right, before it you are not: what comes back from the later step belongs to h_t, just "
     "as dh_t does. Add it there, so that it passes the tanh as well.", _added_behind_the_tanh),
    ("what is handed on skips W_hh",
     "At the last step you are right, before it you are not: what you hand on to the step before has passed the tanh, "
     "but not the weights through which the state came in.", _past_W_hh),
    ("the gradients are averaged over the steps",
     "The same weights are used at every step, so their gradients add up. You divide by the number of steps: where a "
     "mean is wanted, it is the loss that takes it, and dh carries it already.",
     lambda dh, k: _scaled(_reference(dh, k), 1 / dh.shape[1])),
    ("dh is changed in place",
     "Your function writes into dh, the caller's array: perhaps it adds what comes from the later step to one of its "
     "slices. A second call with the same dh would then give another result. Add into a new array.",
     partial(_bptt, arriving=operator.iadd)),
]


def _carried(name, hint, wrong):
    """A mistake in the cell, as it looks over the whole sequence."""
    return Mistake(name, hint, partial(_bptt, cell=wrong))


rnn_sequence = Exercise(
    id="2.2", title="backpropagation through time", lesson="02_bptt", points=3,
    part="backward pass",
    onward="Only the walk itself has to be a loop: once da of all steps is there, each weight's gradient "
           "is one product.",
    shortest="""\
da = np.empty_like(dh)
d = 0
for t in reversed(range(dh.shape[1])):
    da[:, t] = (dh[:, t] + d) * (1 - cache["h"][:, t]**2)
    d = da[:, t] @ cache["W_hh"]
before = np.concatenate([cache["h_0"][:, None], cache["h"][:, :-1]], axis=1)
bias = da.sum((0, 1))
return da @ cache["W_ih"], d, {"W_ih": np.einsum("bth,btd->hd", da, cache["x"]),
    "W_hh": np.einsum("bth,btk->hk", da, before), "b_ih": bias, "b_hh": bias}""",
    function="rnn_backward",
    signature="(dh (B, T, H), cache {x (B, T, D), h_0 (B, H), h (B, T, H), W_ih (H, D), W_hh (H, H)}) "
              f"-> dx (B, T, D), dh_0 (B, H), {GRADS}",
    cases=lambda rng: [(size * normal(rng, B, T, H), _cache(
        normal(rng, B, T, D), uniform(rng, B, H), params(rng, 1, D, H)))
        for B, T, D, H, size in ((3, 4, 6, 7, 1), (2, 5, 4, 3, LARGE))],
    about=ABOUT_LARGE,
    reference=_reference,
    mistakes=(*(Mistake(*wrong) for wrong in WRONG_OVER_TIME), *clipped_forms(_reference),
              *(_carried(*wrong) for wrong in WRONG_BACKWARD_CELLS
                if wrong[0] not in ("dx_t through W_ih transposed", "dh_t is changed in place"))))


# 2.3 the embedding

def _cases_embedding(rng):
    """Tokens that repeat, within a sentence and across sentences, and words that never occur."""
    found = []
    for B, T, V, D, size in ((3, 4, 7, 5, 1), (2, 6, 8, 3, LARGE)):
        tokens = rng.integers(V - 2, size=(B, T))
        tokens[0, 1], tokens[1, 0] = tokens[0, 0], tokens[0, 0]
        found.append((size * normal(rng, B, T, D), tokens, V))
    return found


def _last_repeat(dx, tokens, V):
    dW = np.zeros((V, dx.shape[-1]))
    dW[tokens] += dx
    return dW


def _sum_of_repeats(dx, tokens, V):
    return embedding_backward(dx, embedding_forward(tokens, {"W": np.zeros((V, dx.shape[-1]))})[1])["W"]


def _mean_of_repeats(dx, tokens, V):
    return _sum_of_repeats(dx, tokens, V) / np.maximum(np.bincount(tokens.ravel(), minlength=V), 1)[:, None]


embedding = Exercise(
    id="2.3", title="the gradient of an embedding", lesson="02_bptt", points=1,
    onward="A word that never occurs has no gradient: what does that mean for rare words?",
    shortest="""\
dW = np.zeros((V, dx.shape[-1]))
np.add.at(dW, tokens, dx)
return dW""",
    function="embedding_backward", signature="(dx (B, T, D), tokens (B, T), V) -> dW (V, D)",
    cases=_cases_embedding, about=ABOUT_LARGE, reference=_sum_of_repeats,
    mistakes=(
        Mistake("repeated words overwrite each other",
                "Words that occur once are right; of a word that occurs several times only one occurrence is left. "
                "When an index is repeated, NumPy's indexed assignment, also with +=, keeps the last one: it reads "
                "all, adds, and writes all. Every occurrence has to be added.", _last_repeat),
        Mistake("repeated words are averaged",
                "You divide by how often a word occurs. A row of W that is used three times receives three gradients, "
                "and gradients of several uses add up.", _mean_of_repeats),
        Mistake("repeated words are averaged",
                "You take a mean for each word: NaN where a word does not occur, and too little where it occurs "
                "several times. A row of W that is used three times receives three gradients, and gradients of several "
                "uses add up; of no use at all, they add up to zero.",
                lambda dx, tokens, V: _mean_of_repeats(dx, tokens, V) + np.where(
                    np.bincount(tokens.ravel(), minlength=V), 0, np.nan)[:, None]),
        Mistake("divided by the number of tokens",
                "You divide by the number of tokens. Where a mean is wanted, it is the loss that takes it, and dx "
                "carries it already.", lambda dx, tokens, V: _sum_of_repeats(dx, tokens, V) / tokens.size),
        Mistake("rows only up to the largest word",
                "Your result has as many rows as the largest token asks for. The embedding has V rows, and the words "
                "that did not occur in this batch have a gradient too: zero.",
                lambda dx, tokens, V: _sum_of_repeats(dx, tokens, V)[:tokens.max() + 1])))

EXERCISES = (rnn_cell, rnn_sequence, embedding)
