"""Exercises 6.1 to 6.4: the GRU, forward and backward, in PyTorch's convention and in the papers', and its size."""

import itertools
from functools import partial

import numpy as np

from lstmcourse.gru import GRUCellCache, gru_cell_backward, gru_cell_forward
from lstmcourse.layers import sigmoid
from lstmcourse.practice.exercise import Exercise, Mistake
from lstmcourse.practice.inputs import ABOUT_LARGE, LARGE, normal, params, uniform, weights_only
from lstmcourse.practice.lesson_02 import clipping

PARAMS = "params {W_ih (3H, D), W_hh (3H, H), b_ih (3H,), b_hh (3H,)}"
GRADS = PARAMS.replace("params", "grads")
SIZES = ((3, 4, 5), (2, 5, 3))                       # B, D, H


# 6.1 the cell

def _before_product(r, h_prev, a_n, u_n, W_hn, b_hn):
    return a_n + (r * h_prev) @ W_hn.T + b_hn


def _gru(x_t, h_prev, p, order=(0, 1, 2), candidate=lambda r, h, a_n, u_n, W, b: a_n + r * u_n, n_act=np.tanh,
         mix=lambda z, n, h: (1 - z) * n + z * h, biases=lambda b_ih, b_hh: (b_ih, b_hh), W_hh=lambda W: W):
    """The cell, in which a part can be replaced by a wrong one. order: the blocks taken for r, z, n."""
    b_ih, b_hh = biases(p["b_ih"], p["b_hh"])
    p = {"W_ih": p["W_ih"], "W_hh": W_hh(p["W_hh"]), "b_ih": b_ih, "b_hh": b_hh}
    a, u = (np.split(s, 3, axis=1) for s in (x_t @ p["W_ih"].T + p["b_ih"], h_prev @ p["W_hh"].T + p["b_hh"]))
    (a_r, a_z, a_n), (u_r, u_z, u_n) = ([blocks[k] for k in order] for blocks in (a, u))
    W_hn, b_hn = (np.split(p[key], 3)[order[2]] for key in ("W_hh", "b_hh"))
    r, z = sigmoid(a_r + u_r), sigmoid(a_z + u_z)
    n = n_act(candidate(r, h_prev, a_n, u_n, W_hn, b_hn))
    return mix(z, n, h_prev)


def _swapped(z, n, h):
    return z * n + (1 - z) * h


def _no_b_hh(b_ih, b_hh):
    return b_ih, 0 * b_hh


def _no_biases(b_ih, b_hh):
    return 0 * b_ih, 0 * b_hh


def gru_orders(wrong):
    """A Mistake for each of the 5 other orders of the blocks; wrong(layout) is its function, layout as "zrn"."""
    for layout in map("".join, itertools.permutations("rzn")):
        if layout != "rzn":
            whose = {"zrn": "Keras and ONNX have them in this order.", "nrz": "Some write the candidate first."}.get(
                layout, "Any order will do, if it is kept.")
            yield Mistake(f"gates in the order {', '.join(layout)}",
                          f"Your cell has its blocks of rows in the order {', '.join(layout)}. {whose} Here they "
                          f"are in PyTorch's order: reset gate, update gate, candidate.", wrong(layout),
                          convention=True)


def _square_blocks(W):
    return np.concatenate([block.T for block in np.split(W, len(W) // W.shape[1])])


gru_cell = Exercise(
    id="6.1", title="the GRU cell", lesson="06_gru", points=2,
    helpers=("layers.sigmoid",),
    part="cell",
    onward="Count the gates that a GRU saves compared with an LSTM, and ask what it can no longer do: it "
           "cannot hide what it holds.",
    shortest="""\
a, u = x_t @ params["W_ih"].T + params["b_ih"], h_prev @ params["W_hh"].T + params["b_hh"]
(a_r, a_z, a_n), (u_r, u_z, u_n) = np.split(a, 3, axis=1), np.split(u, 3, axis=1)
z = sigmoid(a_z + u_z)
return h_prev * z + (1 - z) * np.tanh(a_n + sigmoid(a_r + u_r) * u_n)""",
    function="gru_cell_forward", signature=f"(x_t (B, D), h_prev (B, H), {PARAMS}) -> h_t (B, H)",
    cases=lambda rng: [(normal(rng, B, D), uniform(rng, B, H), params(rng, 3, D, H)) for B, D, H in SIZES],
    reference=lambda x_t, h_prev, params: gru_cell_forward(x_t, h_prev, params)[0],
    mistakes=(
        Mistake("the reset gate before the recurrent product (Cho et al. 2014)",
                "Your GRU is right in the convention of the paper as published, which many books follow: the reset "
                "gate multiplies h_prev, and the product with W_hn comes after it. PyTorch, and this exercise, form "
                "the whole recurrent part of the candidate first, with its bias, and let the reset gate multiply that.",
                partial(_gru, candidate=_before_product), convention=True),
        Mistake("z and 1 - z are swapped (Chung et al. 2014)",
                "Your GRU learns as well as ours; it only reads z the other way round, as Chung et al. and many blogs "
                "do. In PyTorch, and in this exercise, z says how much of the *old* state is kept, and 1 - z how much "
                "of the candidate comes in.", partial(_gru, mix=_swapped), convention=True),
        Mistake("both other conventions: reset before the product, z and 1 - z swapped",
                "This is the GRU of many blogs and books, and a right one. PyTorch, and this exercise, differ twice: "
                "the reset gate multiplies the recurrent product, bias included, not h_prev; and z says how much of "
                "the *old* state is kept.", partial(_gru, candidate=_before_product, mix=_swapped), convention=True),
        *gru_orders(lambda layout: partial(_gru, order=tuple(map(layout.index, "rzn")))),
        *(Mistake(name, "This is Keras' GRU with reset_after=False: the blocks in the order z, r, h, and the reset "
                        "gate before the recurrent product" + more + " PyTorch, and this exercise, have the order r, "
                        "z, n and let the reset gate multiply the whole recurrent part of the candidate, its bias "
                        "included.",
                  partial(_gru, order=(1, 0, 2), candidate=_before_product, biases=biases), convention=True)
          for name, more, biases in (
              ("Keras' GRU, reset before the product", ".", lambda b_ih, b_hh: (b_ih, b_hh)),
              ("Keras' GRU, reset before the product, one bias", ", with one bias for each gate.", _no_b_hh),
              ("Keras' GRU, reset before the product, no bias", ", without biases.", _no_biases))),
        Mistake("no reset gate",
                "Your cell never uses the reset gate. When the candidate is made, this gate decides unit by unit how "
                "much of what comes from the state may be used.",
                partial(_gru, candidate=lambda r, h, a_n, u_n, W, b: a_n + u_n)),
        Mistake("the reset gate on the whole sum",
                "Your reset gate also multiplies what comes from the input. It is there to drop the *past* while the "
                "new word is read: it acts on the part that comes from the state only.",
                partial(_gru, candidate=lambda r, h, a_n, u_n, W, b: r * (a_n + u_n))),
        Mistake("b_hn outside the reset gate",
                "The candidate's recurrent bias is added after the reset gate. It belongs to the recurrent part, so "
                "the gate multiplies it too. This is why a GRU needs two biases where an LSTM could do with one.",
                partial(_gru, candidate=lambda r, h, a_n, u_n, W, b: a_n + r * (u_n - b) + b)),
        Mistake("the state enters the candidate without its weights",
                "You let the reset gate multiply h_prev and add that as it is. What comes from the state goes through "
                "its own weights and bias; it is their result that the reset gate multiplies.",
                partial(_gru, candidate=lambda r, h, a_n, u_n, W, b: a_n + r * h)),
        Mistake("the weights are on the left",
                "In books a state is a column, and the matrix is on its left. Here the states of a batch are *rows*, "
                "so the order is reversed: the rows come first, and the matrix after them, with its rows and columns "
                "exchanged.", lambda x_t, h_prev, params: params["W_ih"] @ x_t),
        Mistake("a sigmoid on the candidate",
                "Your candidate is never negative. Gates answer 'how much', from 0 to 1; the candidate answers "
                "'what', and that may have either sign.", partial(_gru, n_act=sigmoid)),
        Mistake("no tanh on the candidate",
                "Your candidate is not squashed. With a tanh the state is a mixture of numbers in ±1, and stays there.",
                partial(_gru, n_act=lambda a: a)),
        Mistake("the candidate comes in whole",
                "You keep a part of the old state and add the whole candidate. The update gate divides one whole "
                "between the two: what is not kept is replaced.", partial(_gru, mix=lambda z, n, h: n + z * h)),
        Mistake("no update gate",
                "You return the candidate. The update gate mixes it with the old state; without it nothing is carried "
                "over unchanged.", partial(_gru, mix=lambda z, n, h: n)),
        Mistake("b_hh is left out",
                "A GRU with one bias for each gate is as good: the papers have one, and so has Keras with "
                "reset_after=False. Here there are two, one that comes with each product, and b_hh is missing.",
                partial(_gru, biases=_no_b_hh), convention=True),
        Mistake("b_ih is left out",
                "A GRU with one bias for each gate is as good. Here there are two, one that comes with each product, "
                "and b_ih, the one that goes with the input, is missing.",
                partial(_gru, biases=lambda b_ih, b_hh: (0 * b_ih, b_hh)), convention=True),
        Mistake("both biases are left out",
                "The biases are missing: b_ih comes with the product of the word, b_hh with that of the state. (Some "
                "libraries allow a cell without biases; with these params both are given.)",
                partial(_gru, biases=_no_biases), convention=True),
        Mistake("W_hh is not transposed",
                "Each row of a weight matrix belongs to one unit that is computed, each column to one number that it "
                "reads. States are rows here, so the products need the matrix with its rows and columns exchanged. "
                "The H rows of one gate make a square, and nothing complains.",
                partial(_gru, W_hh=_square_blocks)),
        *(Mistake(f"{name} is not transposed",
                  f"{name} has a row for each unit of each gate, and a column for each number that is read. What is "
                  f"read is a row, so the product needs the matrix with its rows and columns exchanged. (Keras "
                  f"keeps its kernels as (D, 3H) and (H, 3H); there your product would be right.)", wrong)
          for name, wrong in (("W_ih", lambda x_t, h_prev, params: x_t @ params["W_ih"]),
                              ("W_hh", lambda x_t, h_prev, params: h_prev @ params["W_hh"])))))


# 6.2 the backward pass

def _cell_cache(x_t, h_prev, params):
    cache = gru_cell_forward(x_t, h_prev, params)[1]
    return {key: getattr(cache, key) for key in ("x_t", "h_prev", "r", "z", "n", "u_n")} | weights_only(params)


def _library(dh_t, k, reset_after=True):
    return gru_cell_backward(dh_t, GRUCellCache(*(k[key] for key in ("x_t", "h_prev", "r", "z", "n", "u_n")),
                                                weights_only(k), reset_after))


def _backward(dh_t, k, into_n=lambda dh, k: dh * (1 - k["z"]), into_z=lambda dh, k: dh * (k["h_prev"] - k["n"]),
              straight=lambda dh, k: dh * k["z"], n_slope=lambda n: 1 - n**2, gate_slope=lambda s: s * (1 - s),
              into_u=lambda da_n, k: da_n * k["r"], into_r=lambda da_n, k: da_n * k["u_n"], order=(0, 1, 2),
              h_in=lambda k: k["h_prev"], to_h=lambda da_h, W: da_h @ W, over_batch=lambda B: 1):
    """The backward pass of the cell, in which a part can be replaced by a wrong one."""
    da_n = into_n(dh_t, k) * n_slope(k["n"])
    da_r = into_r(da_n, k) * gate_slope(k["r"])
    da_z = into_z(dh_t, k) * gate_slope(k["z"])
    blocks_x, blocks_h = (da_r, da_z, da_n), (da_r, da_z, into_u(da_n, k))
    da_x, da_h = (np.concatenate([blocks[j] for j in order], axis=1) for blocks in (blocks_x, blocks_h))
    grads = {"W_ih": da_x.T @ k["x_t"], "W_hh": da_h.T @ h_in(k), "b_ih": da_x.sum(axis=0), "b_hh": da_h.sum(axis=0)}
    return da_x @ k["W_ih"], straight(dh_t, k) + to_h(da_h, k["W_hh"]), {
        key: grad * over_batch(len(dh_t)) for key, grad in grads.items()}


def _with_grads(change):
    """Right but for the grads: change(grads, dh_t, k) returns what is different."""
    def run(dh_t, k):
        dx_t, dh_prev, grads = _library(dh_t, k)
        return dx_t, dh_prev, {**grads, **change(grads, dh_t, k)}
    return run


def _da_n(dh_t, k):
    return dh_t * (1 - k["z"]) * (1 - k["n"]**2)


def _W_hn_without_r(grads, dh_t, k):
    H = dh_t.shape[1]
    return {"W_hh": np.concatenate([grads["W_hh"][:2 * H], _da_n(dh_t, k).T @ k["h_prev"]])}


def _one_stack(dh_t, k):
    """The stack of the state's side, with r, is used for the word as well."""
    _, dh_prev, grads = _library(dh_t, k)
    da = np.concatenate([_gates(dh_t, k), _da_n(dh_t, k) * k["r"]], axis=1)
    return da @ k["W_ih"], dh_prev, {**grads, "W_ih": da.T @ k["x_t"], "b_ih": da.sum(axis=0)}


def _gates(dh_t, k):
    """The gradients at the sums of r and z, side by side."""
    dr = _da_n(dh_t, k) * k["u_n"]
    dz = dh_t * (k["h_prev"] - k["n"])
    return np.concatenate([dr * k["r"] * (1 - k["r"]), dz * k["z"] * (1 - k["z"])], axis=1)


def _last_block(a):
    """The candidate's columns of three blocks."""
    return np.split(a, 3, axis=1)[2]


def _in_place(dh_t, k):
    right = _library(dh_t, k)
    dh_t *= 1 - k["z"]
    return right


gru_cell_back = Exercise(
    id="6.2", title="one step back through a GRU", lesson="06_gru", points=3,
    part="backward pass",
    onward="Set z to 1 everywhere: which of the four ways back to h_prev is left, and what does it do to "
           "the gradient?",
    shortest="""\
h, r, z, n, u = (cache[key] for key in ("h_prev", "r", "z", "n", "u_n"))
da_n = dh_t * (1 - z) * (1 - n**2)
gates = [da_n * u * r * (1 - r), dh_t * (h - n) * z * (1 - z)]
a, b = np.hstack([*gates, da_n]), np.hstack([*gates, da_n * r])
return a @ cache["W_ih"], dh_t * z + b @ cache["W_hh"], {
    "W_ih": a.T @ cache["x_t"], "W_hh": b.T @ h, "b_ih": a.sum(0), "b_hh": b.sum(0)}""",
    function="gru_cell_backward",
    signature="(dh_t (B, H), cache {x_t (B, D), h_prev (B, H), r (B, H), z (B, H), n (B, H), u_n (B, H), W_ih (3H, D), "
              f"W_hh (3H, H)}}) -> dx_t (B, D), dh_prev (B, H), {GRADS}",
    cases=lambda rng: [(size * normal(rng, B, H), _cell_cache(
        normal(rng, B, D), uniform(rng, B, H), params(rng, 3, D, H)))
        for (B, D, H), size in zip(SIZES, (1, LARGE), strict=True)],
    about=ABOUT_LARGE,
    reference=_library,
    mistakes=(
        Mistake("the straight path is forgotten",
                "dh_prev comes only through the gates and the candidate. h_prev also goes straight into h_t, "
                "multiplied by z, and this is the path on which a GRU remembers.",
                partial(_backward, straight=lambda dh, k: 0)),
        Mistake("only the straight path",
                "dh_prev comes only over the straight path. h_prev is also read by both gates and by the candidate, "
                "through W_hh: four uses, four gradients, added up.",
                partial(_backward, to_h=lambda da_h, W: 0)),
        Mistake("dh_prev without what comes through the two gates",
                "Everything is right but dh_prev: it comes over the straight path and through the candidate, and both "
                "gates have read h_prev as well. Four uses, four gradients, added up.",
                partial(_backward, to_h=lambda da_h, W: _last_block(da_h) @ _last_block(W.T).T)),
        Mistake("dh_prev without what comes through the candidate",
                "Everything is right but dh_prev: it comes over the straight path and through the two gates, and the "
                "candidate has read h_prev as well. Four uses, four gradients, added up.",
                partial(_backward, to_h=lambda da_h, W: (da_h @ W) - _last_block(da_h) @ _last_block(W.T).T)),
        Mistake("the sign of dz",
                "Ask what a larger z does: it takes more of the old state and less of the candidate. So its gradient "
                "is proportional to how far h_prev is above n, and not the other way round.",
                partial(_backward, into_z=lambda dh, k: dh * (k["n"] - k["h_prev"]))),
        Mistake("dz from the old state only",
                "z occurs in h_t twice: once with the old state and once, as 1 - z, with the candidate. You follow "
                "the first only.", partial(_backward, into_z=lambda dh, k: dh * k["h_prev"])),
        Mistake("dn with z in place of 1 - z",
                "The candidate came in with the weight 1 - z, and its gradient goes back with the same weight.",
                partial(_backward, into_n=lambda dh, k: dh * k["z"])),
        Mistake("the reset gate on the word's side as well",
                "What goes back to the state is right, what goes back to the word is not. In the candidate the reset "
                "gate multiplies the state's part only, so that the gradients at the two parts differ: only the one at "
                "the state's part carries r. The two stacks have to be kept apart.", _one_stack),
        Mistake("the reset gate is skipped on the way back",
                "On its way from the candidate to the recurrent part the gradient has to pass the product with r. "
                "Without it dW_hh, db_hh and dh_prev are too large where the gate was shut.",
                partial(_backward, into_u=lambda da_n, k: da_n)),
        Mistake("db_hh is taken to be db_ih",
                "Everything is right but db_hh. In an RNN and an LSTM the two biases have one gradient. Here the "
                "recurrent bias of the candidate is inside the reset gate, and the other is not.",
                _with_grads(lambda grads, dh, k: {"b_hh": grads["b_ih"]})),
        Mistake("dW_hn without the reset gate",
                "Everything is right but the candidate's rows of dW_hh: that product was inside the reset gate, and "
                "its gradient passes the gate first.", _with_grads(_W_hn_without_r)),
        Mistake("the backward pass of Cho's GRU",
                "This is right for the GRU whose reset gate multiplies h_prev before the product (Cho et al. 2014). "
                "The exercise has PyTorch's, where r multiplies u_n, the recurrent product with its bias.",
                partial(_library, reset_after=False), convention=True),
        Mistake("dr with h_prev",
                "The reset gate multiplied u_n, the recurrent product with its bias. Its gradient is what arrives at "
                "the product times the other factor: u_n, and not h_prev.",
                partial(_backward, into_r=lambda da_n, k: da_n * k["h_prev"])),
        Mistake("the slopes of the sigmoids are left out",
                "The gradients reach r and z, and still have to pass the sigmoids that made them.",
                partial(_backward, gate_slope=lambda s: 1)),
        Mistake("the slope of the sigmoid is taken of the gate",
                "You have applied the sigmoid once more. Its slope, written with its *output* s, is s times (1 - s), "
                "and r and z in the cache are outputs already.",
                partial(_backward, gate_slope=lambda s: sigmoid(s) * (1 - sigmoid(s)))),
        Mistake("tanh' is left out",
                "The gradient reaches n, and still has to pass the tanh that made it.",
                partial(_backward, n_slope=lambda n: 1)),
        Mistake("the candidate is treated as a sigmoid",
                "n was made by a tanh, and the slope of a tanh is not that of the gates' sigmoid.",
                partial(_backward, n_slope=lambda n: n * (1 - n))),
        *gru_orders(lambda layout: partial(_backward, order=tuple(map("rzn".index, layout)))),
        Mistake("dW_hh is taken with h_t",
                "Everything is right but dW_hh. W_hh was multiplied by the state *before* the step; the gradient of a "
                "weight is what arrives at its output times what came in at its input.",
                partial(_backward, h_in=lambda k: (1 - k["z"]) * k["n"] + k["z"] * k["h_prev"])),
        Mistake("the gradients are averaged over the batch",
                "The parameters are used once for each row of the batch, and gradients over several uses add up. "
                "Where a mean is wanted, it is the loss that takes it: dh_t then already carries the division.",
                partial(_backward, over_batch=lambda B: 1 / B)),
        clipping(_library),
        Mistake("dh_t is changed in place",
                "You write into dh_t, and it is the caller's array: perhaps by `*=`. Work on a new one.", _in_place)))


# 6.3 counting

def _count(kind, D, H, layers, bidirectional, gates=None, biases=2, width=None, stacked=True, both=True,
           state=lambda H, both: H):
    """The count, in which a part can be replaced by a wrong one. width: what a later layer reads."""
    k = (gates or {"rnn": 1, "gru": 3, "lstm": 4})[kind]
    directions = 2 if bidirectional and both else 1
    total = 0
    for layer in range(layers if stacked else 1):
        reads = D if layer == 0 else directions * H if width is None else width(D, H)
        total += directions * k * (reads * H + state(H, directions == 2) * H + biases * H)
    return total


parameter_count = Exercise(
    id="6.3", title="counting parameters", lesson="06_gru", points=1,
    onward="Which grows faster with H, the weights that read the word or those that read the state?",
    shortest="""\
k, ways = {"rnn": 1, "gru": 3, "lstm": 4}[kind], 1 + bidirectional
reads = [D] + [ways * H] * (layers - 1)
return sum(ways * k * H * (n + H + 2) for n in reads)""",
    function="parameter_count", signature="(kind, D, H, layers, bidirectional) -> count ()",
    cases=lambda rng: [(kind, int(rng.integers(3, 20)), int(rng.integers(20, 40)), layers, both)
                       for kind, layers, both in (("rnn", 1, False), ("lstm", 1, False), ("gru", 1, False),
                                                  ("lstm", 2, False), ("gru", 1, True), ("lstm", 3, True), ("rnn",
                                                                                                            2, True))],
    about=("an rnn", "an lstm", "a gru", "two layers", "both directions", "three layers, both directions",
           "two layers, both directions"),
    reference=_count,
    mistakes=(
        Mistake("one bias for each gate",
                "With one bias for each gate this would be right, and the papers count like that. PyTorch keeps two, "
                "b_ih and b_hh, and both are counted.", partial(_count, biases=1), convention=True),
        Mistake("the biases are not counted",
                "The two matrices are counted, the biases are not. There are two of them: b_ih and b_hh.",
                partial(_count, biases=0)),
        Mistake("the candidate is not counted",
                "You count only the gates that are called gates: three in the LSTM, two in the GRU. The candidate is "
                "no gate, but it has weights of its own, as large as theirs.",
                partial(_count, gates={"rnn": 1, "gru": 2, "lstm": 3})),
        *(Mistake("the candidate is not counted",
                  f"One kind of cell is right and another is not: in the {name} you count only the gates that are "
                  f"called gates. The candidate is no gate, but it has weights of its own, as large as theirs.",
                  partial(_count, gates={"rnn": 1, "gru": 3, "lstm": 4, **one}))
          for name, one in (("GRU", {"gru": 2}), ("LSTM", {"lstm": 3}))),
        Mistake("the recurrent matrix of a bidirectional layer reads both directions",
                "You give W_hh a width of 2H where the layer is bidirectional. The two directions never see each "
                "other's states within a layer: each has its own (H, H) matrix. It is the *next layer* that reads "
                "both.",
                partial(_count, state=lambda H, both: 2 * H if both else H)),
        Mistake("counted by memories, not by gates",
                "You count two for the LSTM, since it keeps c and h, and one for the GRU. A state has no parameters. "
                "What has weights is whatever is *computed* from x_t and h_prev: each gate, and the candidate.",
                partial(_count, gates={"rnn": 1, "gru": 1, "lstm": 2})),
        Mistake("a later layer reads one direction only",
                "With both directions, the layer below writes two states at each step, side by side. The next layer "
                "reads both of them.", partial(_count, width=lambda D, H: H)),
        Mistake("bidirectional is ignored",
                "A bidirectional layer is two networks with weights of their own: one reads from the left, one from "
                "the right.", partial(_count, both=False)),
        Mistake("layers is ignored",
                "You count one layer, whatever `layers` says. Each layer has weights of its own, and all are counted.",
                partial(_count, stacked=False)),
        Mistake("every layer is counted as the first",
                "Only the first layer reads the D numbers of the input. The others read what the layer below them "
                "writes.",
                partial(_count, width=lambda D, H: D))))

# 6.4 the backward pass in the papers' convention: the reset gate before the product, z the fraction of the new

def _papers_cache(x_t, h_prev, params):
    """What the forward pass keeps. The library's z keeps the old: with the signs of its rows changed it is ours."""
    cache = gru_cell_forward(x_t, h_prev, _z_turned(params), reset_after=False)[1]
    return {"x_t": x_t, "h_prev": h_prev, "r": cache.r, "z": 1 - cache.z, "n": cache.n} | weights_only(params)


def _z_turned(params):
    """Weights, or their gradients, with the sign of z's rows changed."""
    return {key: np.concatenate([sign * block for sign, block in zip((1, -1, 1), np.split(value, 3), strict=True)])
            for key, value in params.items()}


def _papers(dh_t, k):
    """By the library, through the other meaning of z."""
    cache = GRUCellCache(*(k[key] for key in ("x_t", "h_prev", "r")), 1 - k["z"], k["n"], None,
                         _z_turned(weights_only(k)), False)
    dx_t, dh_prev, grads = gru_cell_backward(dh_t, cache)
    return dx_t, dh_prev, _z_turned(grads)


def _papers_back(dh_t, k, straight=lambda dh, k: dh * (1 - k["z"]), into_n=lambda dh, k: dh * k["z"],
                 into_z=lambda dh, k: dh * (k["n"] - k["h_prev"]), n_slope=lambda n: 1 - n**2,
                 gate_slope=lambda s: s * (1 - s), into_rh=lambda da_n, W_hn, k: da_n @ W_hn,
                 into_r=lambda drh, da_n, k: drh * k["h_prev"], through_r=lambda drh, k: drh * k["r"],
                 n_in=lambda k: k["r"] * k["h_prev"], b_hn=lambda da_n, k: da_n, gates_back=lambda da, W: da @ W,
                 over_batch=lambda B: 1):
    """The backward pass, in which a part can be replaced by a wrong one."""
    H = dh_t.shape[1]
    W_h, W_hn = k["W_hh"][:2 * H], k["W_hh"][2 * H:]
    da_n = into_n(dh_t, k) * n_slope(k["n"])
    drh = into_rh(da_n, W_hn, k)                               # dL/d(r * h_prev)
    gates = np.concatenate([into_r(drh, da_n, k) * gate_slope(k["r"]), into_z(dh_t, k) * gate_slope(k["z"])], axis=1)
    da = np.concatenate([gates, da_n], axis=1)
    dh_prev = straight(dh_t, k) + through_r(drh, k) + gates_back(gates, W_h)
    grads = {"W_ih": da.T @ k["x_t"], "W_hh": np.concatenate([gates.T @ k["h_prev"], da_n.T @ n_in(k)]),
             "b_ih": da.sum(axis=0), "b_hh": np.concatenate([gates, b_hn(da_n, k)], axis=1).sum(axis=0)}
    return da @ k["W_ih"], dh_prev, {key: grad * over_batch(len(dh_t)) for key, grad in grads.items()}


def _as_in_pytorch(dh_t, k, z=lambda z: z):
    """The backward pass of 6.2 on this cache; z turned, or as it is."""
    turned = {**k, "z": z(k["z"]), "u_n": k["h_prev"] @ k["W_hh"][2 * dh_t.shape[1]:].T}
    return _backward(dh_t, turned)


def _papers_in_place(dh_t, k):
    right = _papers(dh_t, k)
    dh_t *= k["z"]
    return right


papers_back = Exercise(
    id="6.4", title="one step back through the other GRU", lesson="06_gru", points=3,
    onward="In which of the two conventions do b_ih and b_hh have the same gradient, so that one bias for each gate "
           "would do?",
    shortest="""\
h, r, z, n, W = (cache[key] for key in ("h_prev", "r", "z", "n", "W_hh"))
da_n = dh_t * z * (1 - n**2)
drh = da_n @ W[2 * h.shape[1]:]
g = np.hstack([drh * h * r * (1 - r), dh_t * (n - h) * z * (1 - z)])
a = np.hstack([g, da_n])
return a @ cache["W_ih"], dh_t * (1 - z) + drh * r + g @ W[:2 * h.shape[1]], {
    "W_ih": a.T @ cache["x_t"], "W_hh": np.vstack([g.T @ h, da_n.T @ (r * h)]), "b_ih": a.sum(0), "b_hh": a.sum(0)}""",
    function="papers_gru_backward",
    signature="(dh_t (B, H), cache {x_t (B, D), h_prev (B, H), r (B, H), z (B, H), n (B, H), W_ih (3H, D), "
              f"W_hh (3H, H)}}) -> dx_t (B, D), dh_prev (B, H), {GRADS}",
    cases=lambda rng: [(size * normal(rng, B, H), _papers_cache(
        normal(rng, B, D), uniform(rng, B, H), params(rng, 3, D, H)))
        for (B, D, H), size in zip(SIZES, (1, LARGE), strict=True)],
    about=ABOUT_LARGE,
    reference=_papers,
    mistakes=(
        Mistake("the backward pass of 6.2",
                "This goes back through PyTorch's GRU. The one here differs in two ways: z is the fraction of the new, "
                "and r multiplies h_prev before the product with W_hn.",
                partial(_as_in_pytorch, z=lambda z: z), convention=True),
        Mistake("r after the product, as in PyTorch",
                "z is used as it is here, but your reset gate multiplies the recurrent product, as in PyTorch. Here it "
                "multiplies h_prev, and the product comes after it: on the way back W_hn comes first, and then r.",
                partial(_as_in_pytorch, z=lambda z: 1 - z), convention=True),
        Mistake("z keeps the old, as in PyTorch",
                "The reset gate is where it should be, but you read z as PyTorch does, as the fraction of the *old* "
                "state. Here it is the fraction of the new: z of the candidate, and 1 - z of the old state.",
                partial(_papers_back, straight=lambda dh, k: dh * k["z"], into_n=lambda dh, k: dh * (1 - k["z"]),
                        into_z=lambda dh, k: dh * (k["h_prev"] - k["n"])), convention=True),
        Mistake("r is reached without W_hn",
                "The gradient at the candidate's sum has to pass the product with W_hn before it comes to r ⊙ h_prev, "
                "and only there does it meet r. You multiply by h_prev at once.",
                partial(_papers_back, into_r=lambda drh, da_n, k: da_n * k["h_prev"])),
        Mistake("dW_hn with h_prev",
                "Everything is right but the candidate's rows of dW_hh. The gradient of a weight is what arrives at "
                "its output times what came in at its input, and what came in at W_hn was r ⊙ h_prev.",
                partial(_papers_back, n_in=lambda k: k["h_prev"])),
        Mistake("h_prev is reached past the reset gate",
                "Everything is right but dh_prev. What comes back through W_hn arrives at the product r ⊙ h_prev; to "
                "reach h_prev it is multiplied by the other factor, r.",
                partial(_papers_back, through_r=lambda drh, k: drh)),
        Mistake("dh_prev without what comes through the candidate",
                "Everything is right but dh_prev: besides the straight path and the two gates, the candidate has read "
                "h_prev too, through r and W_hn.", partial(_papers_back, through_r=lambda drh, k: 0)),
        Mistake("dh_prev without what comes through the two gates",
                "Everything is right but dh_prev: both gates have read h_prev as well. Four uses, four gradients, "
                "added up.", partial(_papers_back, gates_back=lambda da, W: 0)),
        Mistake("the straight path is forgotten",
                "dh_prev comes only through the gates and the candidate. h_prev also goes straight into h_t, "
                "multiplied by 1 - z, and this is the path on which a GRU remembers.",
                partial(_papers_back, straight=lambda dh, k: 0)),
        Mistake("the sign of dz",
                "Ask what a larger z does here: it takes more of the candidate and less of the old state. So its "
                "gradient is proportional to how far n is above h_prev.",
                partial(_papers_back, into_z=lambda dh, k: dh * (k["h_prev"] - k["n"]))),
        Mistake("dz from the candidate only",
                "z occurs in h_t twice: once with the candidate and once, as 1 - z, with the old state. You follow the "
                "first only.", partial(_papers_back, into_z=lambda dh, k: dh * k["n"])),
        Mistake("db_hn passes the reset gate",
                "Everything is right but db_hh. In PyTorch's GRU the recurrent bias of the candidate is inside the "
                "reset gate. Here it is added after the product, and r never touches it.",
                partial(_papers_back, b_hn=lambda da_n, k: da_n * k["r"])),
        Mistake("the slopes of the sigmoids are left out",
                "The gradients reach r and z, and still have to pass the sigmoids that made them.",
                partial(_papers_back, gate_slope=lambda s: 1)),
        Mistake("tanh' is left out",
                "The gradient reaches n, and still has to pass the tanh that made it.",
                partial(_papers_back, n_slope=lambda n: 1)),
        Mistake("the gradients are averaged over the batch",
                "The parameters are used once for each row of the batch, and gradients over several uses add up. "
                "Where a mean is wanted, it is the loss that takes it: dh_t then already carries the division.",
                partial(_papers_back, over_batch=lambda B: 1 / B)),
        clipping(_papers),
        Mistake("dh_t is changed in place",
                "You write into dh_t, and it is the caller's array: perhaps by `*=`. Work on a new one.",
                _papers_in_place)))

EXERCISES = (gru_cell, gru_cell_back, parameter_count, papers_back)
