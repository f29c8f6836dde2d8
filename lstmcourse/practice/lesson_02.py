"""Exercises 2.1 to 2.4: back through a leaky cell, through time, through tied word vectors, and over a window."""

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
     "Your gradient passes the tanh as if it were not there. On its way back it is multiplied by the slope of tanh "
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
     "what went in at its input, and here that was h_prev.",
     partial(_cell, h_in=lambda k: k["h_t"])),
    ("the gradients of the weights are transposed",
     "A gradient has the shape of its parameter: a row for each unit that was computed, a column for each number that "
     "it read. Yours has the two exchanged; with W_hh, which is square, the shape does not show it.",
     partial(_cell, weight=lambda da, v: v.T @ da)),
    ("dW_hh is transposed",
     "A gradient has the shape of its parameter: a row for each unit that was computed, a column for each number that "
     "it read. W_hh is square, so an exchange goes unseen: the rows belong to the unit that was computed.",
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
     "Forward, the state went through the transpose of W_hh. The backward pass takes the same path in reverse, and "
     "the transpose of the transpose is the matrix itself. It is square, so the shape does not show it.",
     partial(_cell, to_h=lambda da, W: da @ W.T)),
    ("dx_t through W_ih transposed",
     "Forward, the input passed through the transpose of W_ih, from D numbers to H. Backward you go from H to D: check "
     "which of the two orientations of W_ih does that.",
     partial(_cell, to_x=lambda da, W: da @ W.T)),
    ("dh_prev goes past the tanh",
     "dx_t is right and dh_prev is not: for dh_prev you start from what arrives at h_t, before it went back through "
     "tanh. Both products are inside the same tanh, so both start after it.",
     partial(_cell, arriving=lambda dh_t, da: dh_t)),
    ("dh_t is changed in place",
     "Your results are right, but the caller's array dh_t is no longer what it was: an operation like `*=` writes into "
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


def clipping(backward):
    return Mistake(*CLIPPED, *(clipped(backward, limit, only) for limit in (5, 1) for only in (True, False)))


# 2.1: the leaky cell of 1.1, h_t = keep * h_prev + (1 - keep) * new

LEAKY_GRADS = "grads {W_ih (H, D), W_hh (H, H), b_ih (H,), b_hh (H,), keep (H,)}"


def _kept(dh_t, k):
    return dh_t * k["keep"]


def _leaky(dh_t, k, cell=_cell_reference, dnew=lambda dh_t, keep: dh_t * (1 - keep), kept=_kept,
           dkeep=lambda dh_t, k: (dh_t * (k["h_prev"] - k["new"])).sum(axis=0)):
    """The backward pass of the leaky cell, in which a part can be replaced by a wrong one."""
    step = {"x_t": k["x_t"], "h_prev": k["h_prev"], "h_t": k["new"], **weights_only(k)}
    dx_t, dh_prev, grads = cell(dnew(dh_t, k["keep"]), step)
    return dx_t, dh_prev + kept(dh_t, k), {**grads, "keep": dkeep(dh_t, k)}


def _leaky_in_place(dh_t, k):
    right = _leaky(dh_t, k)
    dh_t *= 1 - k["keep"]
    return right


def _leaky_cache(rng, B, D, H):
    cache = _cell_cache(normal(rng, B, D), uniform(rng, B, H), params(rng, 1, D, H))
    return {"x_t": cache["x_t"], "h_prev": cache["h_prev"], "new": cache["h_t"], "keep": rng.uniform(0.1, 0.9, H),
            **weights_only(cache)}


IN_PLACE = WRONG_BACKWARD_CELLS[-1]
rnn_cell = Exercise(
    id="2.1", title="one step back through a leaky RNN", lesson="02_bptt", points=2,
    onward="The kept part of the gradient passes neither a matrix nor a slope. Remember it in lesson 04: an LSTM is "
           "built on it.",
    shortest="""\
d = dh_t * (1 - cache["keep"]) * (1 - cache["new"]**2)
return d @ cache["W_ih"], d @ cache["W_hh"] + cache["keep"] * dh_t, {
    "W_ih": d.T @ cache["x_t"], "W_hh": d.T @ cache["h_prev"], "b_ih": d.sum(0), "b_hh": d.sum(0),
    "keep": (dh_t * (cache["h_prev"] - cache["new"])).sum(0)}""",
    function="leaky_cell_backward",
    signature="(dh_t (B, H), cache {x_t (B, D), h_prev (B, H), new (B, H), keep (H,), W_ih (H, D), W_hh (H, H)}) "
              f"-> dx_t (B, D), dh_prev (B, H), {LEAKY_GRADS}",
    cases=lambda rng: [(size * normal(rng, B, H), _leaky_cache(rng, B, D, H))
                       for B, D, H, size in ((3, 4, 5, 1), (2, 5, 3, 10 * LARGE))],
    about=("", "upstream gradients of about 100000"),
    reference=_leaky,
    mistakes=(
        Mistake("the kept part is forgotten",
                "h_prev was used twice: inside the new state, and by itself, times `keep`. Your dh_prev has the first "
                "part only. Gradients of two uses add up.", partial(_leaky, kept=lambda dh_t, k: 0)),
        Mistake("keep and 1 - keep are swapped",
                "What went forward through `keep` has to come back through it, and the rest through 1 - keep. Yours "
                "are exchanged.", partial(_leaky, dnew=lambda dh_t, keep: dh_t * keep,
                                          kept=lambda dh_t, k: dh_t * (1 - k["keep"]))),
        Mistake("the new part is not scaled",
                "Forward, only a fraction of the new state was used. So only that fraction of the gradient goes back "
                "into it, before the tanh.", partial(_leaky, dnew=lambda dh_t, keep: dh_t)),
        Mistake("the kept part goes through W_hh",
                "The kept part went past the weights and past the tanh, and so does its gradient. You send it through "
                "W_hh.", partial(_leaky, kept=lambda dh_t, k: _kept(dh_t, k) @ k["W_hh"])),
        Mistake("keep has no minus",
                "`keep` was used twice: it multiplied the old state, and 1 - keep the new one. Your gradient "
                "has the first use only; the second comes with a minus.",
                partial(_leaky, dkeep=lambda dh_t, k: (dh_t * k["h_prev"]).sum(axis=0))),
        Mistake("the sign of the gradient of keep",
                "More of `keep` means more of the old state and less of the new one. Your gradient has it the other "
                "way round.", partial(_leaky, dkeep=lambda dh_t, k: (dh_t * (k["new"] - k["h_prev"])).sum(axis=0))),
        Mistake("the gradient of keep is not summed over the batch",
                "One `keep` serves all rows of the batch, so their gradients meet in it, as in a bias.",
                partial(_leaky, dkeep=lambda dh_t, k: dh_t * (k["h_prev"] - k["new"]))),
        Mistake(*IN_PLACE[:2], _leaky_in_place),
        *(Mistake(name, hint, partial(_leaky, cell=wrong)) for name, hint, wrong in WRONG_BACKWARD_CELLS[:-1]),
        clipping(_leaky)))


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
    "Your walk back stops one step too early: the step at t = 0 is never taken. In Python a range stops *before* "
    "its end, even when it counts down.")
WRAPPED = (
    "before the first step comes the last",
    "At t = 0 you read the state at index t - 1, which is -1, and in Python that is the *last* step. The state before "
    "the first step is the one that the sequence started from.")
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
    onward="Only the walk itself has to be a loop: once da is known at every step, each weight's "
           "gradient is one product.",
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
    mistakes=(*(Mistake(*wrong) for wrong in WRONG_OVER_TIME), clipping(_reference),
              *(_carried(*wrong) for wrong in WRONG_BACKWARD_CELLS
                if wrong[0] not in ("dx_t through W_ih transposed", "dh_t is changed in place"))))


# 2.3 tied word vectors

def _cases_tied(rng):
    """Tokens that repeat, within a sentence and across sentences, and words that never occur."""
    found = []
    for B, T, V, D, size in ((3, 4, 7, 5, 1), (2, 6, 8, 3, LARGE)):
        tokens = rng.integers(V - 2, size=(B, T))
        tokens[0, 1], tokens[1, 0] = tokens[0, 0], tokens[0, 0]
        found.append((size * normal(rng, B, T, D), tokens, size * normal(rng, B, T, V), normal(rng, B, T, D)))
    return found


def _sum_of_repeats(dx, tokens, V):
    return embedding_backward(dx, embedding_forward(tokens, {"W": np.zeros((V, dx.shape[-1]))})[1])["W"]


def _last_repeat(dx, tokens, V):
    dW = np.zeros((V, dx.shape[-1]))
    dW[tokens] += dx
    return dW


def _mean_of_repeats(dx, tokens, V):
    return _sum_of_repeats(dx, tokens, V) / np.maximum(np.bincount(tokens.ravel(), minlength=V), 1)[:, None]


def _output(dlogits, h):
    return np.einsum("btv,btd->vd", dlogits, h)


def _tied(dx, tokens, dlogits, h, embedded=_sum_of_repeats, output=_output):
    """The sum of both uses, in which a part can be replaced by a wrong one."""
    return embedded(dx, tokens, dlogits.shape[-1]) + output(dlogits, h)


embedding = Exercise(
    id="2.3", title="one table for reading and for writing", lesson="02_bptt", points=1,
    onward="A word that never occurs still learns here: at every step the output layer tells it that it was not the "
           "next word.",
    shortest="""\
dW = np.einsum("btv,btd->vd", dlogits, h)
np.add.at(dW, tokens, dx)
return dW""",
    function="tied_backward",
    signature="(dx (B, T, D), tokens (B, T), dlogits (B, T, V), h (B, T, D)) -> dW (V, D)",
    cases=_cases_tied, about=ABOUT_LARGE, reference=_tied,
    mistakes=(
        Mistake("the output layer's part is missing",
                "The table was used twice, for reading and for writing. You have the first use; the gradients of all "
                "uses add up.", partial(_tied, output=lambda dlogits, h: 0)),
        Mistake("the embedding's part is missing",
                "The table was used twice, for reading and for writing. You have the second use; the gradients of all "
                "uses add up.", lambda dx, tokens, dlogits, h: _output(dlogits, h)),
        Mistake("the mean of both uses",
                "You take the mean of the two uses. Gradients of several uses add up: if the table moves, both move.",
                lambda dx, tokens, dlogits, h: _tied(dx, tokens, dlogits, h) / 2),
        Mistake("the embedding's rows overwrite the output layer's",
                "For words that occur you return the embedding's part alone: it is written over the other one. Add it.",
                lambda dx, tokens, dlogits, h: np.where(
                    np.isin(np.arange(dlogits.shape[-1]), tokens)[:, None],
                    _sum_of_repeats(dx, tokens, dlogits.shape[-1]), _output(dlogits, h))),
        Mistake("the last position alone in the output layer",
                "A guess was made at every position, so the table's second use has a part for each of them. You take "
                "the last position.",
                partial(_tied, output=lambda dlogits, h: _output(dlogits[:, -1:], h[:, -1:]))),
        Mistake("repeated words overwrite each other",
                "Words that occur once are right; for a word that occurs several times, only one occurrence counts. "
                "When an index is repeated, NumPy's indexed assignment, also with +=, keeps the last one: it reads "
                "all, adds, and writes all. Every occurrence has to be added.", partial(_tied, embedded=_last_repeat)),
        Mistake("repeated words are averaged",
                "You divide by the number of times a word occurs. A row of the table that is used three times receives "
                "three gradients, and gradients of several uses add up.", partial(_tied, embedded=_mean_of_repeats)),
        Mistake("divided by the number of tokens",
                "You divide by the number of tokens. Where a mean is wanted, it is the loss that takes it, and the "
                "gradients carry it already.",
                lambda dx, tokens, dlogits, h: _tied(dx, tokens, dlogits, h) / tokens.size)))


# 2.4 a window for every loss

def _window(dh, k_cache, k, reach=lambda k: k, start=None, losses=lambda dh, t, s: 0):
    """Every loss goes back over `reach(k)` steps, one loss after the other. A part can be replaced by a wrong one.

    start   called with the cache: the state before the first step of a window; None: what was carried there
    losses  called with dh, t and s: what is added at the step s < t of the window that ends at t
    """
    x, h = k_cache["x"], k_cache["h"]
    before = np.concatenate([k_cache["h_0"][:, None], h[:, :-1]], axis=1)
    grads = dict.fromkeys(("W_ih", "W_hh", "b_ih", "b_hh"), 0)
    for t in range(dh.shape[1]):
        d, first = dh[:, t], max(0, t - reach(k) + 1)
        for s in range(t, first - 1, -1):
            da = (d + (losses(dh, t, s) if s < t else 0)) * (1 - h[:, s]**2)
            h_prev = start(k_cache) if start and s == first else before[:, s]
            bias = da.sum(axis=0)
            found = {"W_ih": da.T @ x[:, s], "W_hh": da.T @ h_prev, "b_ih": bias, "b_hh": bias}
            grads = {key: grads[key] + found[key] for key in grads}
            d = da @ k_cache["W_hh"]
    return grads


def _chunks(dh, cache, k):
    """Cuts every k steps: the loss just after a cut sees one step only."""
    grads, start = None, cache["h_0"]
    for at in range(0, dh.shape[1], k):
        part = {**cache, "x": cache["x"][:, at:at + k], "h": cache["h"][:, at:at + k], "h_0": start}
        found = _reference(dh[:, at:at + k], part)[2]
        grads = found if grads is None else {key: grads[key] + found[key] for key in grads}
        start = cache["h"][:, min(at + k, dh.shape[1]) - 1]
    return grads


window = Exercise(
    id="2.4", title="truncated BPTT: a window for every loss", lesson="02_bptt", points=3,
    onward="All T windows cost k times the work of one backward pass. Williams and Peng share it: they go back every "
           "few steps, with several losses at once.",
    shortest="""\
h_0, h = cache["h_0"][:, None], cache["h"]
before, slope, d = np.concatenate([h_0, h[:, :-1]], 1), 1 - h**2, dh
total = np.zeros_like(dh)
for s in range(min(k, dh.shape[1])):                # all losses at once, each s steps back
    da = d * slope[:, :dh.shape[1] - s]
    total[:, :dh.shape[1] - s] += da
    d = (da @ cache["W_hh"])[:, 1:]
return {"W_ih": np.einsum("bth,btd->hd", total, cache["x"]), "W_hh": np.einsum("bth,btk->hk", total, before),
        "b_ih": total.sum((0, 1)), "b_hh": total.sum((0, 1))}""",
    function="windowed_gradients",
    signature="(dh (B, T, H), cache {x (B, T, D), h_0 (B, H), h (B, T, H), W_ih (H, D), W_hh (H, H)}, k) "
              f"-> {GRADS}",
    cases=lambda rng: [(size * normal(rng, B, T, H), _cache(
        normal(rng, B, T, D), uniform(rng, B, H), params(rng, 1, D, H)), k)
        for B, T, D, H, k, size in ((3, 6, 4, 7, 3, 1), (4, 5, 6, 3, 2, LARGE))],
    about=ABOUT_LARGE, reference=_window,
    mistakes=(
        Mistake("fixed chunks",
                "You cut the sequence into chunks of k steps. Then the loss just after a cut reaches one step only. "
                "Here every loss reaches back over k steps, its own included: each has a window of its own.", _chunks),
        Mistake("the full way back",
                "Your losses go back to the first step. Each should stop after k steps, its own included.",
                partial(_window, reach=lambda k: 10**6)),
        Mistake("one step too far",
                "Your losses go back one step too far: k counts the loss's own step, too.",
                partial(_window, reach=lambda k: k + 1)),
        Mistake("one step too few",
                "Your losses stop one step too early: k counts the loss's own step, too, and k - 1 steps before it.",
                partial(_window, reach=lambda k: k - 1)),
        Mistake("every loss is counted in several windows",
                "In the window that ends at step t you add the losses of the earlier steps, too. Each of them has had "
                "its own window already, so it is counted up to k times. Only the loss at t goes back from t.",
                partial(_window, losses=lambda dh, t, s: dh[:, s])),
        Mistake("the window starts from zeros",
                "You take the state before a window to be zero. It was carried there from the step before, and only "
                "its gradient is cut off.", partial(_window, start=lambda cache: np.zeros_like(cache["h_0"]))),
        Mistake("the window starts from h_0",
                "Before each window you take h_0, the state before the whole sequence. The state is carried on from "
                "step to step; only the gradient is cut off.", partial(_window, start=lambda cache: cache["h_0"])),
        Mistake("the mean of the losses",
                "You divide by the number of steps. Where a mean is wanted, it is the loss that takes it, and dh "
                "carries it already.",
                lambda dh, cache, k: {key: grad / dh.shape[1] for key, grad in _window(dh, cache, k).items()})))

EXERCISES = (rnn_cell, rnn_sequence, embedding, window)
