"""Exercises 5.1 to 5.4: the LSTM's gradient, one step and a whole sequence; a coupled gate; a forget bias for a lag."""

import operator
from functools import partial

import numpy as np

from lstmcourse.layers import sigmoid
from lstmcourse.lstm import LSTMCache, LSTMCellCache, lstm_backward, lstm_cell_backward, lstm_cell_forward, lstm_forward
from lstmcourse.practice.exercise import Exercise, Mistake
from lstmcourse.practice.inputs import ABOUT_LARGE, LARGE, normal, params, uniform, weights_only
from lstmcourse.practice.lesson_02 import FIRST_STEP_LEFT_OUT, WRAPPED, clipping
from lstmcourse.practice.lesson_04 import gate_orders

GRADS = "grads {W_ih (4H, D), W_hh (4H, H), b_ih (4H,), b_hh (4H,)}"


# 5.1 the cell

def _cell_cache(x_t, h_prev, c_prev, params):
    cache = lstm_cell_forward(x_t, h_prev, c_prev, params)[2]._asdict()
    return {**{key: value for key, value in cache.items() if key != "params"}, **weights_only(params)}


def _cell_reference(dh_t, dc_t, k):
    return lstm_cell_backward(dh_t, dc_t, LSTMCellCache(
        *(k[key] for key in ("x_t", "h_prev", "c_prev", "i", "f", "g", "o", "c_t")), weights_only(k)))


def _through_h(dh_t, k):
    """What reaches c_t by way of h_t."""
    return dh_t * k["o"] * (1 - np.tanh(k["c_t"])**2)


def _cell(dh_t, dc_t, k, through_h=_through_h, from_next=lambda dc_t: dc_t, into_f=lambda k: k["c_prev"],
          into_i=lambda k: k["g"], into_g=lambda k: k["i"], into_o=lambda k: np.tanh(k["c_t"]),
          at_f=lambda dc, dc_t: dc, at_o=lambda dh_t, dc: dh_t, gate_slope=lambda s: s * (1 - s),
          g_slope=lambda g: 1 - g**2, order=(0, 1, 2, 3), h_in=lambda k: k["h_prev"], weight=lambda da, v: da.T @ v,
          over_batch=lambda B: 1, to_c=lambda k, dc, dc_t, dh_prev: dc * k["f"]):
    """The backward pass of the cell, in which a part can be replaced by a wrong one."""
    dc = from_next(dc_t) + through_h(dh_t, k)
    i, f, g, o = k["i"], k["f"], k["g"], k["o"]
    blocks = [dc * into_i(k) * gate_slope(i), at_f(dc, dc_t) * into_f(k) * gate_slope(f), dc * into_g(k) * g_slope(g),
              at_o(dh_t, dc) * into_o(k) * gate_slope(o)]
    da = np.concatenate([blocks[j] for j in order], axis=1)
    grads = {"W_ih": weight(da, k["x_t"]), "W_hh": weight(da, h_in(k)), "b_ih": da.sum(axis=0), "b_hh": da.sum(axis=0)}
    dh_prev = da @ k["W_hh"]
    return da @ k["W_ih"], dh_prev, to_c(k, dc, dc_t, dh_prev), {
        key: grad * over_batch(len(da)) for key, grad in grads.items()}


def _in_order(layout):
    """The cell whose gradients are stacked in another order."""
    return partial(_cell, order=tuple(map("ifgo".index, layout)))


def _bias_for_each_row(dh_t, dc_t, k):
    *others, grads = _cell_reference(dh_t, dc_t, k)
    rows = np.concatenate([_cell_reference(dh_t[b:b + 1], dc_t[b:b + 1], {
        key: value if key.startswith("W") else value[b:b + 1] for key, value in k.items()})[3]["b_ih"][None]
        for b in range(len(dh_t))])
    return *others, {**grads, "b_ih": rows, "b_hh": rows}


def _weights_transposed(dh_t, dc_t, k):
    return np.zeros((len(dh_t), len(k["W_ih"]))) @ k["W_ih"].T


def _dc_in_place(dh_t, dc_t, k):
    right = _cell_reference(dh_t, dc_t, k)
    dc_t += _through_h(dh_t, k)
    return right


def _dh_in_place(dh_t, dc_t, k):
    right = _cell_reference(dh_t, dc_t, k)
    dh_t *= np.tanh(k["c_t"])
    return right


CELL_MISTAKES = [
    ("what arrives at c_t from the next step is dropped",
     "Only what comes by way of h_t reaches your cell. c_t is used twice: by h_t and, directly, by the next "
     "step's cell, and dc_next is what comes back from there. Two uses, two gradients, added up.",
     partial(_cell, from_next=lambda dc_t: 0 * dc_t)),
    ("what reaches c_t by way of h_t is dropped",
     "Only what comes back from the next cell state reaches your cell. c_t is used twice: by the next step and by h_t "
     "= o ⊙ tanh(c_t), so a second part comes back through the output gate and the tanh. The two are added up.",
     partial(_cell, through_h=lambda dh_t, k: 0)),
    ("dh_prev overwrites dh_t before dc_prev is computed",
     "Your dc_prev is made from the *new* dh. If one name is used for the gradient at h_t and for the one at h_prev, "
     "it must not be overwritten while something still needs the old one.",
     partial(_cell, to_c=lambda k, dc, dc_t, dh_prev: (dc_t + _through_h(dh_prev, k)) * k["f"])),
    ("dc_prev without the forget gate",
     "You hand the gradient at c_t on as it is. Forward, the old cell was multiplied by the forget gate; backward, the "
     "gradient passes the same gate.",
     partial(_cell, to_c=lambda k, dc, dc_t, dh_prev: dc)),
    ("dc_prev only from dc_next",
     "Your dc_prev is made from dc_next alone. What reaches c_t by way of h_t flows on to c_{t-1} as well: take the "
     "sum of the two.",
     partial(_cell, to_c=lambda k, dc, dc_t, dh_prev: dc_t * k["f"])),
    ("the tanh of the cell is skipped on the way back",
     "From h_t to c_t the gradient passes the output gate and the tanh. You multiply by the gate, and not by the "
     "slope of the tanh.",
     partial(_cell, through_h=lambda dh_t, k: dh_t * k["o"])),
    ("the slope of tanh(c_t) is taken from c_t",
     "The slope of tanh is 1 minus the square of its *output*. c_t is its input here: the output is tanh(c_t), which "
     "the cache does not hold.",
     partial(_cell, through_h=lambda dh_t, k: dh_t * k["o"] * (1 - k["c_t"]**2))),
    ("the slope of tanh(c_t) is taken from h_t",
     "The slope of tanh is 1 minus the square of its *output*, and that is tanh(c_t). h_t is only the part of it that "
     "the output gate has let through.",
     partial(_cell, through_h=lambda dh_t, k: dh_t * k["o"] * (1 - (k["o"] * np.tanh(k["c_t"]))**2))),
    ("the output gate is skipped on the way back",
     "From h_t to c_t the gradient passes the output gate and the tanh. You multiply by the slope of the tanh, and "
     "not by the gate: what a shut gate did not show cannot be blamed.",
     partial(_cell, through_h=lambda dh_t, k: dh_t * (1 - np.tanh(k["c_t"])**2))),
    ("the output gate's gradient with c_t, not tanh(c_t)",
     "The output gate multiplied tanh(c_t), and that is what its gradient is multiplied by. You take the cell "
     "unsquashed.",
     partial(_cell, into_o=lambda k: k["c_t"])),
    ("the output gate's gradient from dc",
     "Only the output gate's rows are wrong. It is in the line of h_t and not in that of c_t: what arrives at it "
     "is dh_t, not what has been gathered at the cell.",
     partial(_cell, at_o=lambda dh_t, dc: dc)),
    ("the gates are stacked below each other",
     "Your stack is (4B, H). In the forward pass the four gates of one sentence were side by side, (B, 4H): join the "
     "four along the axis of the units, not along the batch.",
     lambda dh_t, dc_t, k: np.zeros((4 * dh_t.shape[0], dh_t.shape[1])) @ k["W_ih"]),
    ("the slopes of the sigmoids are left out",
     "The gradients reach i, f and o, and have still to pass the sigmoids that made them. Each is multiplied by the "
     "slope of its sigmoid, which can be written with the gate itself.",
     partial(_cell, gate_slope=lambda s: 1)),
    ("the slope of the sigmoid is taken of the gate",
     "You have applied the sigmoid once more. Its slope, written with its *output* s, is s times (1 - s), and the "
     "gates in the cache are outputs already.",
     partial(_cell, gate_slope=lambda s: sigmoid(s) * (1 - sigmoid(s)))),
    ("the candidate is treated as a sigmoid",
     "You send the gradient of g through the slope of a sigmoid, as for the gates. But g was made by a tanh, and its "
     "slope is a different one.",
     partial(_cell, g_slope=lambda g: g * (1 - g))),
    ("the slope of the candidate's tanh is left out",
     "The gates are treated correctly, the candidate is not: the gradient has reached g and has still to pass the tanh "
     "that made it.",
     partial(_cell, g_slope=lambda g: 1)),
    ("the forget gate's gradient with c_t",
     "The forget gate multiplied the *old* cell. Its gradient is what arrives at the product times the other factor, "
     "and that is c_prev.",
     partial(_cell, into_f=lambda k: k["c_t"])),
    ("the gradients of i and g are exchanged",
     "In a product, the gradient of one factor is what arrives times the *other* factor. For i you take i, and for g "
     "you take g.",
     partial(_cell, into_i=lambda k: k["i"], into_g=lambda k: k["g"])),
    ("the slope of the candidate's tanh is taken of g once more",
     "You have applied tanh to g again. Its slope, written with its *output* g, is 1 minus the square of g, and g in "
     "the cache is that output already.",
     partial(_cell, g_slope=lambda g: 1 - np.tanh(g)**2)),
    ("the slopes of all gates are taken once more",
     "You have applied sigmoid and tanh again, to gates and candidate that are their outputs already. Both slopes can "
     "be written with the outputs: s times (1 - s) for a sigmoid, 1 minus the square for a tanh.",
     partial(_cell, gate_slope=lambda s: sigmoid(s) * (1 - sigmoid(s)), g_slope=lambda g: 1 - np.tanh(g)**2)),
    ("the slope of tanh(c_t) is taken of tanh(c_t) once more",
     "You have applied tanh twice to the cell state. The slope is 1 minus the square of the *output*, tanh(c_t), once.",
     partial(_cell, through_h=lambda dh_t, k: dh_t * k["o"] * (1 - np.tanh(np.tanh(k["c_t"]))**2))),
    ("the slope of the sigmoid for the candidate, and of tanh for the gates",
     "The two slopes are exchanged: a gate came out of a sigmoid, the candidate out of a tanh.",
     partial(_cell, gate_slope=lambda s: 1 - s**2, g_slope=lambda g: g * (1 - g))),
    ("the slope of tanh for the gates",
     "You send the gradients of the gates through the slope of a tanh. The three gates were made by a sigmoid, only "
     "the candidate by a tanh.",
     partial(_cell, gate_slope=lambda s: 1 - s**2)),
    ("the forget gate's gradient from dc_next",
     "Only the forget gate's rows are wrong. What arrives at the forget gate is everything that has been gathered at "
     "c_t: what the next step hands back and what comes by way of h_t. You take the first part only.",
     partial(_cell, at_f=lambda dc, dc_t: dc_t)),
    ("tanh(c_{t-1}) in place of tanh(c_t)",
     "The output gate showed the *new* cell state: both where its gradient is taken and on the way from h_t to the "
     "cell, it is tanh of c_t. You take the cell state before the step.",
     partial(_cell, into_o=lambda k: np.tanh(k["c_prev"]),
             through_h=lambda dh_t, k: dh_t * k["o"] * (1 - np.tanh(k["c_prev"])**2))),
    ("tanh(c_{t-1}) in place of tanh(c_t)",
     "The output gate showed the *new* cell state: its gradient is taken with tanh of c_t. You take the cell state "
     "before the step.",
     partial(_cell, into_o=lambda k: np.tanh(k["c_prev"]))),
    ("tanh(c_{t-1}) in place of tanh(c_t)",
     "The output gate showed the *new* cell state: on the way from h_t to the cell the slope is that of tanh at c_t. "
     "You take it at the cell state before the step.",
     partial(_cell, through_h=lambda dh_t, k: dh_t * k["o"] * (1 - np.tanh(k["c_prev"])**2))),
    ("dW_hh is taken with h_t",
     "Everything is right but dW_hh. W_hh was multiplied by the state *before* the step; the gradient of a weight is "
     "what arrives at its output times what was at its input.",
     partial(_cell, h_in=lambda k: k["o"] * np.tanh(k["c_t"]))),
    ("the gradients of the weights are transposed",
     "A gradient has the shape of its parameter: a row for each unit that was computed, a column for each number that "
     "it read. Yours has the two exchanged.",
     partial(_cell, weight=lambda da, v: v.T @ da)),
    ("the gradients are averaged over the batch",
     "The parameters are used once for each row of the batch, and gradients over several uses add up. Where a mean is "
     "wanted, it is the loss that takes it: dh_t and dc_next then already carry the division.",
     partial(_cell, over_batch=lambda B: 1 / B)),
    ("the biases are not summed over the batch",
     "One bias serves every row of the batch, so the gradients of all rows meet in it: its gradient has the shape of "
     "the bias, with no batch axis.",
     _bias_for_each_row),
]

lstm_cell = Exercise(
    id="5.1", title="one step back through an LSTM", lesson="05_lstm_learns", points=3,
    part="backward pass",
    onward="dc_prev is dc times f and nothing else: when all forget gates are open, what becomes of it "
           "over 1000 steps?",
    shortest="""\
i, f, g, o = (cache[key] for key in "ifgo")
tanh_c = np.tanh(cache["c_t"])
dc = dc_next + dh_t * o * (1 - tanh_c**2)
da = np.hstack([dc * g * i * (1 - i), dc * cache["c_prev"] * f * (1 - f), dc * i * (1 - g**2),
                dh_t * tanh_c * o * (1 - o)])
bias = da.sum(0)
return da @ cache["W_ih"], da @ cache["W_hh"], dc * f, {
    "W_ih": da.T @ cache["x_t"], "W_hh": da.T @ cache["h_prev"], "b_ih": bias, "b_hh": bias}""",
    function="lstm_cell_backward",
    signature="(dh_t (B, H), dc_next (B, H), cache {x_t (B, D), h_prev (B, H), c_prev (B, H), i (B, H), f (B, H), "
              "g (B, H), o (B, H), c_t (B, H), W_ih (4H, D), W_hh (4H, H)}) -> "
              f"dx_t (B, D), dh_prev (B, H), dc_prev (B, H), {GRADS}",
    cases=lambda rng: [(size * normal(rng, B, H), size * normal(rng, B, H), _cell_cache(
        normal(rng, B, D), uniform(rng, B, H), 1.5 * normal(rng, B, H), params(rng, 4, D, H)))
        for B, D, H, size in ((3, 4, 5, 1), (2, 5, 3, LARGE))],
    about=ABOUT_LARGE,
    reference=_cell_reference,
    mistakes=(
        *(Mistake(*wrong) for wrong in CELL_MISTAKES), *gate_orders(_in_order), clipping(_cell_reference),
        Mistake("the weights are transposed on the way back",
                "Forward, the input went through the transpose of W_ih, from D numbers to 4H. Backward you go from 4H "
                "to D: look which of the two orientations of the matrix does that.", _weights_transposed),
        Mistake("dc_next is changed in place",
                "You add to dc_next in place (`+=`), and it is the caller's array. Add the two parts into a new "
                "one.",
                _dc_in_place),
        Mistake("dh_t is changed in place",
                "You multiply dh_t in place (`*=`), and it is the caller's array. Multiply into a new one.",
                _dh_in_place)))


# 5.2 the sequence

STEP_KEYS = {"x_t": "x", "i": "i", "f": "f", "g": "g", "o": "o", "c_t": "c"}


def _cache(x, h_0, c_0, params):
    h, c, cache = lstm_forward(x, h_0, c_0, params)
    gates = {key: np.array(getattr(cache, key)) for key in "ifgo"}
    return {"x": x, "h_0": h_0, "c_0": c_0, **gates, "c": np.array(c), "h": np.array(h), **weights_only(params)}


def _before(first, after):
    """What stood before each step: the first state, then the others, (B, T, H)."""
    return np.concatenate([first[:, None], after[:, :-1]], axis=1)


def _reference(dh, dc, k):
    x, c = k["x"], np.concatenate([k["c_0"][:, None], k["c"]], axis=1).swapaxes(0, 1)
    joined = np.concatenate([_before(k["h_0"], k["h"]), x, np.ones((*x.shape[:2], 1))], axis=2).swapaxes(0, 1)
    gates = np.stack([k[key].swapaxes(0, 1) for key in "ifgo"], axis=1)
    cache = LSTMCache(np.concatenate([joined, joined[:1]]), gates, c, np.tanh(c[1:]), weights_only(k))
    return lstm_backward(dh, dc, cache)


def _bptt(dh, dc, k, cell=_cell_reference, backwards=True, first=0, add_h=operator.add, add_c=operator.add,
          hand_h=lambda old, new: new, hand_c=lambda old, new: new, add_up=True, own_h=lambda dh: dh,
          own_c=lambda dc: dc, h_before=lambda k: k["h_0"], c_before=lambda k: k["c_0"]):
    """Backpropagation through time as a loop over cells, in which a part can be replaced by a wrong one."""
    dh, dc = own_h(dh), own_c(dc)
    h_prev, c_prev = _before(h_before(k), k["h"]), _before(c_before(k), k["c"])
    dx, total = np.zeros_like(k["x"]), None
    dh_next, dc_next = np.zeros_like(k["h_0"]), np.zeros_like(k["c_0"])
    for t in range(first, dh.shape[1])[::-1 if backwards else 1]:
        step = {name: k[key][:, t] for name, key in STEP_KEYS.items()} | weights_only(k)
        step |= {"h_prev": h_prev[:, t], "c_prev": c_prev[:, t]}
        dx[:, t], dh_prev, dc_prev, grads = cell(add_h(dh[:, t], dh_next), add_c(dc[:, t], dc_next), step)
        total = {key: total[key] + grads[key] for key in grads} if total and add_up else grads
        dh_next, dc_next = hand_h(dh_next, dh_prev), hand_c(dc_next, dc_prev)
    return dx, dh_next, dc_next, total


def _own(d, d_next):
    """What arrives at a step, without what comes back from the later one."""
    return d


def _last(d):
    only = np.zeros_like(d)
    only[:, -1] = d[:, -1]
    return only


def _averaged(dh, dc, k):
    *others, grads = _reference(dh, dc, k)
    return *others, {key: grad / dh.shape[1] for key, grad in grads.items()}


def _cell_without_dh_next(dh, dc, k):
    """The cell gets dh[:, t] through h_t, the output gate gets dh[:, t] + dh_next."""
    steps = iter(range(dh.shape[1])[::-1])

    def cell(dh_t, dc_t, step):
        without = _through_h(dh[:, next(steps)], step) - _through_h(dh_t, step)
        return _cell_reference(dh_t, dc_t + without, step)
    return _bptt(dh, dc, k, cell=cell)


def _forget_gate_at(at):
    """What is handed back along the cell state passes f of another step: at(f (B, T, H), t)."""
    def run(dh, dc, k):
        steps = iter(range(dh.shape[1])[::-1])
        return _bptt(dh, dc, k, cell=partial(_cell, to_c=lambda step, dc, *_: dc * at(k["f"], next(steps))))
    return run


FORGET_GATES = [_forget_gate_at(at) for at in (
    lambda f, t: f[:, min(t + 1, f.shape[1] - 1)], lambda f, t: f[:, t + 1] if t + 1 < f.shape[1] else 1,
    lambda f, t: f[:, t - 1])]
SEQUENCE_MISTAKES = [
    ("dh_next is dropped",
     "At the last step you are right, before it you are not: each h_t is used twice, by the loss at its own step and "
     "by the gates of the next step. What comes back from the next step has to be added to what the loss sends.",
     partial(_bptt, add_h=_own)),
    ("dc_next is dropped",
     "At the last step you are right, before it you are not: each c_t is used by the next cell state as well, and "
     "what comes back from there has to be added. This is the very path that makes the LSTM remember.",
     partial(_bptt, add_c=_own)),
    ("both links back in time are dropped",
     "At the last step you are right, before it you are not: nothing comes back from the later steps, neither to h_t "
     "nor to c_t. Both are used by the next step, and what comes back has to be added to what the loss sends.",
     partial(_bptt, add_h=_own, add_c=_own)),
    ("the given dc is ignored",
     "Nothing in your result depends on dc. The loss may look at the cells too: dc has a gradient for every c_t, "
     "which is added to what comes back from the next cell state.",
     partial(_bptt, own_c=lambda dc: 0 * dc)),
    ("only the last step's loss counts",
     "You start from the gradients at the last step and let them run back, and what the other steps receive from "
     "their own losses is not used. dh and dc have an entry for every step: add each where the walk back passes it.",
     partial(_bptt, own_h=_last, own_c=_last)),
    ("the loop runs forward in time",
     "The walk goes from the first step to the last. Gradients travel against time: a step can be done only after all "
     "later ones, since it needs what comes back from them.",
     partial(_bptt, backwards=False)),
    ("what arrives from the later step piles up",
     "What you hand on to the step before is added to what you handed on earlier, and so counted again at every step. "
     "It is used once: at the next step back it has already passed into what that step hands on.",
     partial(_bptt, hand_h=operator.add, hand_c=operator.add)),
    ("the gradients of the steps overwrite each other",
     "The same weights are used at every step, so the gradients of all steps add up in them. In your result only the "
     "step that was done last is left.",
     partial(_bptt, add_up=False)),
    ("h_0 is taken for zero in dW_hh",
     "Everything is right but dW_hh: at the first step the state before is h_0, which is given and not zero. Its part "
     "is missing.",
     partial(_bptt, h_before=lambda k: 0 * k["h_0"])),
    ("c_0 is taken for zero",
     "At the first step the cell before is c_0, which is given and not zero: the forget gate's gradient at that step "
     "needs it.",
     partial(_bptt, c_before=lambda k: 0 * k["c_0"])),
    ("both initial states are taken for zero",
     "At the first step the states before are h_0 and c_0, which are given and not zero: dW_hh needs the one, the "
     "forget gate's gradient the other.",
     partial(_bptt, h_before=lambda k: 0 * k["h_0"], c_before=lambda k: 0 * k["c_0"])),
    (*WRAPPED, partial(_bptt, h_before=lambda k: k["h"][:, -1], c_before=lambda k: k["c"][:, -1]),
     partial(_bptt, h_before=lambda k: k["h"][:, -1]), partial(_bptt, c_before=lambda k: k["c"][:, -1])),
    (*FIRST_STEP_LEFT_OUT, partial(_bptt, first=1)),
    ("what comes back to h_t does not reach the cell",
     "At the last step you are right, before it you are not: for the part that flows from h_t into the cell you take "
     "dh at this step alone. First add what comes back from the later step, then use the sum everywhere.",
     _cell_without_dh_next),
    ("the forget gate of another step",
     "The gradient at c_{t-1} is that at c_t times the forget gate of step t: the gate through which c_{t-1} went "
     "into c_t. You take the forget gate of another step on the way back.", *FORGET_GATES),
    ("the gradients are averaged over the steps",
     "The same weights are used at every step, so their gradients add up. You divide by the number of steps: where a "
     "mean is wanted, it is the loss that takes it, and dh carries it already.",
     _averaged),
    ("dh is changed in place",
     "Your function writes into dh, the caller's array: perhaps it adds what comes from the later step to one of its "
     "slices. A second call with the same dh would then give another result. Add into a new array.",
     partial(_bptt, add_h=operator.iadd)),
    ("dc is changed in place",
     "Your function writes into dc, the caller's array: perhaps it adds what comes back from the next cell state to "
     "one of its slices. A second call with the same dc would then give another result. Add into a new array.",
     partial(_bptt, add_c=operator.iadd)),
]


def _carried(name, hint, wrong):
    """A mistake in the cell, as it looks over the whole sequence."""
    return Mistake(name, hint, partial(_bptt, cell=wrong))


lstm_sequence = Exercise(
    id="5.2", title="backpropagation through an LSTM in time", lesson="05_lstm_learns", points=3,
    part="backward pass",
    onward="The library takes all slopes before the loop and all products after it; what is left in the "
           "loop has to wait for the later step.",
    shortest="""\
i, f, g, o, c, h = (cache[key] for key in ("i", "f", "g", "o", "c", "h"))
before = [np.concatenate([cache[first][:, None], after[:, :-1]], axis=1) for first, after in (("h_0", h), ("c_0", c))]
to_c, to_o = o * (1 - np.tanh(c)**2), np.tanh(c) * o * (1 - o)
of_dc = np.stack([g * i * (1 - i), before[1] * f * (1 - f), i * (1 - g**2)], axis=2)
da, d, e = np.empty((*dh.shape[:2], 4 * dh.shape[2])), 0, 0
for t in reversed(range(dh.shape[1])):
    d = dh[:, t] + d
    e = dc[:, t] + e + d * to_c[:, t]
    i_f_g = e[:, None] * of_dc[:, t]
    da[:, t] = np.hstack([i_f_g[:, 0], i_f_g[:, 1], i_f_g[:, 2], d * to_o[:, t]])
    d, e = da[:, t] @ cache["W_hh"], e * f[:, t]
bias = da.sum((0, 1))
return da @ cache["W_ih"], d, e, {"W_ih": np.einsum("btg,btd->gd", da, cache["x"]),
                                  "W_hh": np.einsum("btg,bth->gh", da, before[0]), "b_ih": bias, "b_hh": bias}""",
    function="lstm_backward",
    signature="(dh (B, T, H), dc (B, T, H), cache {x (B, T, D), h_0 (B, H), c_0 (B, H), i (B, T, H), f (B, T, H), "
              "g (B, T, H), o (B, T, H), c (B, T, H), h (B, T, H), W_ih (4H, D), W_hh (4H, H)}) "
              f"-> dx (B, T, D), dh_0 (B, H), dc_0 (B, H), {GRADS}",
    cases=lambda rng: [(size * normal(rng, B, T, H), size * normal(rng, B, T, H), _cache(
        normal(rng, B, T, D), uniform(rng, B, H), 1.5 * normal(rng, B, H), params(rng, 4, D, H)))
        for B, T, D, H, size in ((3, 4, 6, 7, 1), (2, 5, 4, 3, LARGE))],
    about=ABOUT_LARGE,
    reference=_reference,
    mistakes=(*(Mistake(*wrong) for wrong in SEQUENCE_MISTAKES), clipping(_reference),
              *(_carried(*wrong) for wrong in CELL_MISTAKES),
              *gate_orders(lambda layout: partial(_bptt, cell=_in_order(layout)))))

# 5.3 the coupled gate: i = 1 - f

def _coupled_cache(x_t, h_prev, c_prev, p):
    a_f, a_g, a_o = np.split(x_t @ p["W_ih"].T + p["b_ih"] + h_prev @ p["W_hh"].T + p["b_hh"], 3, axis=1)
    f, g, o = sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
    return {"x_t": x_t, "h_prev": h_prev, "c_prev": c_prev, "f": f, "g": g, "o": o,
            "c_t": f * c_prev + (1 - f) * g, **weights_only(p)}


def _coupled(dh_t, dc_t, k, into_f=lambda k: k["c_prev"] - k["g"], into_g=lambda k: 1 - k["f"],
             into_o=lambda k: np.tanh(k["c_t"]), through_h=_through_h, from_next=lambda dc_t: dc_t,
             gate_slope=lambda s: s * (1 - s), g_slope=lambda g: 1 - g**2, order=(0, 1, 2), to_c=lambda k: k["f"],
             h_in=lambda k: k["h_prev"]):
    """The backward pass of the coupled cell, in which a part can be replaced by a wrong one."""
    dc = from_next(dc_t) + through_h(dh_t, k)
    blocks = [dc * into_f(k) * gate_slope(k["f"]), dc * into_g(k) * g_slope(k["g"]),
              dh_t * into_o(k) * gate_slope(k["o"])]
    da = np.concatenate([blocks[j] for j in order], axis=1)
    return da @ k["W_ih"], da @ k["W_hh"], dc * to_c(k), {
        "W_ih": da.T @ k["x_t"], "W_hh": da.T @ h_in(k), "b_ih": da.sum(axis=0), "b_hh": da.sum(axis=0)}


COUPLED_GRADS = "grads {W_ih (3H, D), W_hh (3H, H), b_ih (3H,), b_hh (3H,)}"
coupled_cell = Exercise(
    id="5.3", title="the backward pass of a coupled gate", lesson="05_lstm_learns", points=3,
    onward="The update gate of a GRU is coupled in the same way. What does the cell lose when it can no longer keep "
           "and write at the same time?",
    shortest="""\
f, g, o = (cache[key] for key in "fgo")
tanh_c = np.tanh(cache["c_t"])
dc = dc_next + dh_t * o * (1 - tanh_c**2)
da = np.hstack([dc * (cache["c_prev"] - g) * f * (1 - f), dc * (1 - f) * (1 - g**2), dh_t * tanh_c * o * (1 - o)])
bias = da.sum(0)
return da @ cache["W_ih"], da @ cache["W_hh"], dc * f, {
    "W_ih": da.T @ cache["x_t"], "W_hh": da.T @ cache["h_prev"], "b_ih": bias, "b_hh": bias}""",
    function="coupled_cell_backward",
    signature="(dh_t (B, H), dc_next (B, H), cache {x_t (B, D), h_prev (B, H), c_prev (B, H), f (B, H), g (B, H), "
              "o (B, H), c_t (B, H), W_ih (3H, D), W_hh (3H, H)}) -> "
              f"dx_t (B, D), dh_prev (B, H), dc_prev (B, H), {COUPLED_GRADS}",
    cases=lambda rng: [(size * normal(rng, B, H), size * normal(rng, B, H), _coupled_cache(
        normal(rng, B, D), uniform(rng, B, H), 1.5 * normal(rng, B, H), params(rng, 3, D, H)))
        for B, D, H, size in ((3, 4, 5, 1), (2, 5, 3, LARGE))],
    about=ABOUT_LARGE,
    reference=_coupled,
    mistakes=(
        Mistake("the forget gate's second use is left out",
                "The forget gate's gradient is that of the usual cell. Here the gate appears twice in the line of c_t: "
                "it says how much is kept and, as 1 minus itself, how much is written. Two uses, two gradients.",
                partial(_coupled, into_f=lambda k: k["c_prev"])),
        Mistake("the sign of the second use",
                "You count both uses of the forget gate, and add the second one with the wrong sign. What is written "
                "gets *less* when the gate opens.",
                partial(_coupled, into_f=lambda k: k["c_prev"] + k["g"])),
        Mistake("only the second use of the forget gate counts",
                "You treat the gate as an input gate only. It also multiplies the old cell state, as a forget gate "
                "always does: two uses, two gradients.",
                partial(_coupled, into_f=lambda k: -k["g"])),
        Mistake("the candidate is written with f",
                "The candidate's gradient is multiplied by the forget gate. It was written with what the gate leaves "
                "over: one minus the gate.",
                partial(_coupled, into_g=lambda k: k["f"])),
        Mistake("the candidate is written in full",
                "You hand the gradient on to the candidate as it is. The candidate was multiplied by one minus the "
                "forget gate, and so is its gradient.",
                partial(_coupled, into_g=lambda k: 1)),
        Mistake("what reaches c_t by way of h_t is dropped",
                "Only what comes back from the next cell state reaches your cell. c_t also goes into h_t, so a "
                "second part comes back through the output gate and the tanh. The two are added up.",
                partial(_coupled, through_h=lambda dh_t, k: 0)),
        Mistake("what arrives at c_t from the next step is dropped",
                "Only what comes by way of h_t reaches your cell. c_t is used by the next step's cell as well, and "
                "dc_next is what comes back from there. The two are added up.",
                partial(_coupled, from_next=lambda dc_t: 0 * dc_t)),
        Mistake("dc_prev without the forget gate",
                "You hand the gradient at c_t on as it is. Forward, the old cell state was multiplied by the forget "
                "gate; backward, the gradient passes the same gate.",
                partial(_coupled, to_c=lambda k: 1)),
        Mistake("dc_prev passes one minus the gate",
                "Your gradient for the old cell state passes the part that writes. The old cell state was kept with "
                "the forget gate itself.",
                partial(_coupled, to_c=lambda k: 1 - k["f"])),
        Mistake("the slopes of the sigmoids are left out",
                "The gradients reach f and o, and have still to pass the sigmoids that made them. Each is multiplied "
                "by the slope of its sigmoid, which can be written with the gate itself.",
                partial(_coupled, gate_slope=lambda s: 1)),
        Mistake("the candidate is treated as a sigmoid",
                "You send the gradient of g through the slope of a sigmoid, as for the gates. But g was made by a "
                "tanh, and its slope is a different one.",
                partial(_coupled, g_slope=lambda g: g * (1 - g))),
        Mistake("dW_hh is taken with h_t",
                "Everything is right but dW_hh. W_hh was multiplied by the state *before* the step.",
                partial(_coupled, h_in=lambda k: k["o"] * np.tanh(k["c_t"]))),
        *(Mistake("the blocks are in another order",
                  f"Your gradients are stacked in the order {', '.join(order)}. This cell has three blocks of rows, "
                  "in the order forget gate, candidate, output gate.",
                  partial(_coupled, order=tuple(map("fgo".index, order))), convention=True)
          for order in ("fog", "gfo", "gof", "ofg", "ogf"))))


# 5.4 a forget bias for a lag

def _bias_for(lags, kept):
    """The bias b with sigmoid(b) ** lag = kept; written so that it stays exact where the gate is nearly 1."""
    log_f = np.log(kept) / lags
    return log_f - np.log(-np.expm1(log_f))


def _with_bias(lags, kept, b_ih, b_hh, bias=_bias_for, block=1, first=lambda b: b, second=lambda b: 0):
    """The two bias vectors, in which a part can be replaced by a wrong one."""
    H, wanted = len(lags), bias(lags, kept)
    b_ih, b_hh = b_ih.copy(), b_hh.copy()
    rows = slice(block * H, (block + 1) * H)
    b_ih[rows] = first(wanted)
    b_hh[rows] = b_hh[rows] if second is None else second(wanted)
    return b_ih, b_hh


def _everywhere(lags, kept, b_ih, b_hh):
    wanted = np.tile(_bias_for(lags, kept), 4)
    return wanted, 0 * wanted


def _biases_in_place(lags, kept, b_ih, b_hh):
    b_ih[:], b_hh[:] = _with_bias(lags, kept, b_ih, b_hh)
    return b_ih, b_hh


forget_bias = Exercise(
    id="5.4", title="a forget bias for a lag", lesson="05_lstm_learns", points=2,
    onward="Chrono initialization draws a lag for each unit. Which units would you give the long ones, if you knew "
           "what the network has to remember?",
    shortest="""\
H, f = len(lags), kept ** (1 / lags)
b_ih, b_hh = b_ih.copy(), b_hh.copy()
b_ih[H:2 * H], b_hh[H:2 * H] = np.log(f / (1 - f)), 0
return b_ih, b_hh""",
    function="set_forget_bias",
    signature="(lags (H,), kept, b_ih (4H,), b_hh (4H,)) -> b_ih (4H,), b_hh (4H,)",
    cases=lambda rng: [(rng.integers(2, 200, H).astype(float), kept, uniform(rng, 4 * H), uniform(rng, 4 * H))
                       for H, kept in ((5, 0.1), (3, 0.5), (7, 0.9))],
    reference=_with_bias,
    mistakes=(
        Mistake("the same bias in both vectors",
                "Each of the two bias vectors is right by itself, but they are *added*: together they open the gate "
                "much further. Set the first, and clear the second.",
                partial(_with_bias, second=lambda b: b)),
        Mistake("half of the bias in each vector",
                "The two vectors add up to the right bias, so your network would do the right thing. Here all of it "
                "belongs in b_ih, and 0 in b_hh.",
                partial(_with_bias, first=lambda b: b / 2, second=lambda b: b / 2), convention=True),
        Mistake("the bias is in the second vector",
                "The two vectors add up to the right bias, so your network would do the right thing. Here it "
                "belongs in b_ih, and 0 in b_hh.",
                partial(_with_bias, first=lambda b: 0, second=lambda b: b), convention=True),
        Mistake("the other vector is left as it was",
                "The bias is right in one of the two vectors, but the rows of the other still hold what was there, "
                "and the two are added.",
                partial(_with_bias, second=None)),
        Mistake("added to what was there",
                "You add the bias to what was there. The gate should have a certain value: replace the old "
                "numbers.",
                lambda lags, kept, b_ih, b_hh: _with_bias(lags, kept, b_ih, b_hh, first=lambda b: (
                    b_ih[len(b):2 * len(b)] + b), second=None)),
        Mistake("the rows of another gate",
                "You have set a bias, but not the forget gate's. The 4H entries are four blocks in the order i, f, g, "
                "o: the forget gate is the second.", *(partial(_with_bias, block=block) for block in (0, 2, 3))),
        Mistake("every gate gets the bias",
                "You have set the bias of all four blocks. Only the forget gate scales what is kept; the others stay "
                "as they were.", _everywhere),
        Mistake("the gate's value in place of its bias",
                "You have put in how far open the gate should be. The gate is the sigmoid of the bias, so the bias is "
                "the inverse of the sigmoid at that value.",
                partial(_with_bias, bias=lambda lags, kept: kept ** (1 / lags))),
        Mistake("the fraction after one step",
                "Your gate leaves the wanted fraction after a single step. It is multiplied by itself at every step "
                "of the lag: which number, to the power of the lag, is the fraction?",
                partial(_with_bias, bias=lambda lags, kept: np.log(kept / (1 - kept)) + 0 * lags)),
        Mistake("the chrono rule, whatever fraction is wanted",
                "You take the logarithm of the lag minus one. After one time constant that leaves about 0.37; here the "
                "fraction is given, and a different one needs a different gate.",
                partial(_with_bias, bias=lambda lags, kept: np.log(lags - 1 + 1e-12))),
        Mistake("the sign of the bias",
                "Your gate is shut as far as it should be open: a sigmoid opens for positive numbers.",
                partial(_with_bias, bias=lambda lags, kept: -_bias_for(lags, kept))),
        Mistake("the logarithm of the gate",
                "You take the logarithm of the gate's value, which inverts an exponential. The gate is a sigmoid: its "
                "inverse is the logarithm of the value divided by one minus the value.",
                partial(_with_bias, bias=lambda lags, kept: np.log(kept) / lags)),
        Mistake("b_ih is changed in place",
                "Your numbers are right, but the caller's vectors are overwritten. Copy them first.",
                _biases_in_place)))

EXERCISES = (lstm_cell, lstm_sequence, coupled_cell, forget_bias)
