"""Exercises 4.1 to 4.4: the LSTM cell, one gate at a time, and a cell that holds one bit."""

import itertools
from functools import partial

import numpy as np

from lstmcourse.layers import sigmoid
from lstmcourse.lstm import lstm_cell_forward, lstm_forward
from lstmcourse.practice.exercise import Exercise, Mistake
from lstmcourse.practice.inputs import normal, params, uniform

PARAMS = "params {W_ih (4H, D), W_hh (4H, H), b_ih (4H,), b_hh (4H,)}"
SIZES = ((3, 4, 5), (2, 5, 3))                       # B, D, H


def _pre(x_t, h_prev, p, from_x=lambda x, W: x @ W.T, from_h=lambda h, W: h @ W.T, biases=np.add):
    """All pre-activations (B, 4H), in which a part can be replaced by a wrong one."""
    return from_x(x_t, p["W_ih"]) + from_h(h_prev, p["W_hh"]) + biases(p["b_ih"], p["b_hh"])


def _square_blocks(W):
    """W_hh, each block of H rows transposed: what comes out when a gate's own matrix is used as it is."""
    return np.concatenate([block.T for block in np.split(W, len(W) // W.shape[1])])


def _h_before_x(x_t, h_prev, p):
    """The joined form, with the state in front of the input and the weights the other way round."""
    W = np.concatenate([p["W_ih"], p["W_hh"]], axis=1)
    return np.concatenate([h_prev, x_t], axis=1) @ W.T + p["b_ih"] + p["b_hh"]


KERAS = "(Keras stores its kernels transposed, (D, 4H) and (H, 4H); there your product would be right.)"
ONE_BIAS = ("A cell with one bias for each gate is as good: papers and Keras have one, PyTorch has two, one "
            "for each product. Here both are given, and both count; ")

# Wrong pre-activations, as f(x_t, h_prev, p) -> (B, 4H): for 4.1 and 4.3

WRONG_SUMS = [
    ("b_hh is left out",
     ONE_BIAS + "b_hh is missing. With biases of zero you would not notice.",
     partial(_pre, biases=lambda b_ih, b_hh: b_ih)),
    ("b_ih is left out",
     ONE_BIAS + "b_ih, the one that goes with the input, is missing.",
     partial(_pre, biases=lambda b_ih, b_hh: b_hh)),
    ("both biases are left out",
     "The sum has four parts: two products and two biases. The biases are missing. (Some libraries allow a cell "
     "without biases; with these params both are given.)",
     partial(_pre, biases=lambda b_ih, b_hh: 0)),
    ("b_ih is counted twice",
     "There are two biases with similar names, and one of them is in your sum twice: a line copied for the second "
     "product and changed in one place only?",
     partial(_pre, biases=lambda b_ih, b_hh: 2 * b_ih)),
    ("W_hh is not transposed",
     "Each row of a weight matrix belongs to one unit that is computed, each column to one number that it reads. "
     "States are rows here, so the products need the matrix with rows and columns exchanged. The H rows of one "
     "gate make a square, so NumPy does not complain.",
     partial(_pre, from_h=lambda h, W: h @ _square_blocks(W).T)),
    ("W_hh is not transposed",
     "W_hh has a row for each unit of each gate and a column for each number of the state. The state comes in rows of "
     "length H, so the product needs the matrix with that H first. " + KERAS,
     partial(_pre, from_h=lambda h, W: h @ W)),
    ("W_ih is not transposed",
     "W_ih has a row for each unit of each gate and a column for each number of the input. The input comes in rows of "
     "length D, so the product needs the matrix with its D first. " + KERAS,
     partial(_pre, from_x=lambda x, W: x @ W)),
    ("the weights are on the left",
     "In books a state is a column, and the matrix is on its left. Here the states of a batch are *rows*, so "
     "everything is the other way round: the rows come first, and the matrix after them, with its rows and columns "
     "exchanged.",
     partial(_pre, from_x=lambda x, W: W @ x)),
    ("the state before is ignored",
     "Your gates do not see h_prev. A gate has to decide from two things: the current word, and what the "
     "network knows so far.",
     partial(_pre, from_h=lambda h, W: 0)),
    ("h_prev is before x_t, but W_ih before W_hh",
     "Joining the two inputs and the two matrices is a good way, but both have to be joined in the same order. Yours "
     "multiplies the state by columns that were made for the input.",
     _h_before_x),
]


CONVENTIONS = ("b_hh is left out", "b_ih is left out", "both biases are left out")


# 4.1 the forget gate

def _softmax(axis):
    """softmax as people put it in place of a sigmoid: over one axis, or over everything (None)."""
    def run(a):
        e = np.exp(a - a.max())
        return e / e.sum(axis=axis, keepdims=True)
    return run


def _gate(x_t, h_prev, params, pre=_pre, block=1, act=sigmoid, first=lambda a: a):
    """A gate, in which a part can be replaced by a wrong one. first: what is done to all 4H columns together"""
    return act(np.split(first(pre(x_t, h_prev, params)), 4, axis=1)[block])


def _of_two_gates(from_x, from_h):
    """The word's part of one gate and the state's part of another, each with its own bias."""
    def run(x_t, h_prev, params):
        words = x_t @ params["W_ih"].T + params["b_ih"]
        states = h_prev @ params["W_hh"].T + params["b_hh"]
        return sigmoid(np.split(words, 4, axis=1)[from_x] + np.split(states, 4, axis=1)[from_h])
    return run


SOFTMAX = ("a softmax in place of the sigmoid",
           "Your gate's numbers compete: they add up to 1, so that one unit can be kept only if others are forgotten. "
           "Each unit has a gate of its own, with its own answer between 0 and 1: that is the sigmoid. (A "
           "softmax of two numbers is a sigmoid of their difference, hence the mix-up.)")


OTHER_GATE = ("the rows of another gate",
              "These are the weights of another gate. The 4H rows hold four blocks of H rows, in the order i, f, g, o: "
              "the forget gate is the second.")

forget_gate = Exercise(
    id="4.1", title="the forget gate", lesson="04_lstm", points=1,
    helpers=("layers.sigmoid",),
    onward="What is the gate when all weights and biases are 0, and what would you like it to be at the "
           "start of training?",
    shortest="""\
rows = slice(h_prev.shape[1], 2 * h_prev.shape[1])
W, U, b, c = (params[k][rows] for k in ("W_ih", "W_hh", "b_ih", "b_hh"))
return sigmoid(x_t @ W.T + h_prev @ U.T + b + c)""",
    function="forget_gate", signature=f"(x_t (B, D), h_prev (B, H), {PARAMS}) -> f (B, H)",
    cases=lambda rng: [(normal(rng, B, D), uniform(rng, B, H), params(rng, 4, D, H)) for B, D, H in SIZES],
    reference=lambda x_t, h_prev, params: lstm_cell_forward(x_t, h_prev, np.zeros_like(h_prev), params)[2].f,
    mistakes=(
        Mistake(*OTHER_GATE, *(partial(_gate, block=block) for block in (0, 2, 3))),
        Mistake("the two parts belong to different gates",
                "What comes from the word and what comes from the state are cut out at different places, so that they "
                "belong to two gates. Both matrices hold the blocks in the order i, f, g, o: the same rows of both "
                "belong together.",
                *(_of_two_gates(*blocks) for blocks in itertools.permutations(range(4), 2) if 1 in blocks)),
        Mistake(*SOFTMAX, *(partial(_gate, act=_softmax(axis)) for axis in (1, 0, None)),
                *(partial(_gate, first=_softmax(axis), act=lambda a: a) for axis in (1, None))),
        Mistake("all four gates are returned",
                "Your result has 4H columns: every gate is in it. The rows of the weights, and so the columns of the "
                "sum, hold four blocks in the order i, f, g, o; the exercise asks for one of them.",
                lambda x, h, p: sigmoid(_pre(x, h, p))),
        Mistake("tanh on the forget gate",
                "A gate answers 'how much is kept', a number between 0 and 1. With tanh it can be negative, which "
                "would flip the sign of what is remembered.", partial(_gate, act=np.tanh)),
        Mistake("no sigmoid",
                "The sum is returned as it is, and can be any number. A gate is a number between 0 and 1: it needs the "
                "sigmoid.", partial(_gate, act=lambda a: a)),
        Mistake("the gate says how much to forget",
                "Your gate is 1 where the right one is 0. In spite of its name the forget gate says how much is "
                "*kept*: 1 keeps all, 0 forgets all.", partial(_gate, act=lambda a: 1 - sigmoid(a))),
        Mistake("W_ih is not transposed",
                "You have cut out the right rows: a row for each unit of the gate, a column for each number of the "
                "input. The input comes in rows of length D, so the product needs the matrix with its D first. "
                + KERAS, lambda x, h, p: x @ p["W_ih"][:h.shape[1]]),
        *(Mistake(name, hint, partial(_gate, pre=wrong), convention=name in CONVENTIONS)
          for name, hint, wrong in WRONG_SUMS)))


# 4.2 the cell update. Wrong ones as f(c_prev, i, f, g).

def _update(c_prev, i, f, g, keep=lambda f: f, write=lambda i, f: i, new=lambda g: g, times=np.multiply,
            out=lambda c: c):
    """The update, in which a part can be replaced by a wrong one."""
    return out(times(keep(f), c_prev) + times(write(i, f), new(g)))


def _dot(a, b):
    return (a * b).sum(axis=1, keepdims=True)


DOT = ("a dot product where ⊙ is meant",
       "You add up over the units, which leaves one number for each row. The × of the pictures is taken unit by unit: "
       "each unit of the cell has a gate of its own, and H numbers times H numbers are H numbers.")
MATMUL = ("a matrix product where ⊙ is meant",
          "A gate and what it gates have the same shape (B, H), and NumPy refuses their matrix product. The × of the "
          "pictures is taken unit by unit: each number of the one times the number of the same unit of the other.")
UPDATES = [
    (*MATMUL, partial(_update, times=np.matmul)),
    (*DOT, partial(_update, times=_dot)),
    ("no forget gate",
     "The old cell is kept whole. That was the LSTM of 1997; its cell only gets messier. Before something new is "
     "added, the forget gate says how much of the old stays.",
     partial(_update, keep=lambda f: 1)),
    ("no input gate",
     "The candidate is written whole. g says *what* could be written; the input gate says how much of it is written.",
     partial(_update, write=lambda i, f: 1)),
    ("the forget gate also acts on what is new",
     "You write first and forget afterwards, so that what was just written is partly erased again. The forget gate "
     "acts on the old cell only.",
     partial(_update, write=lambda i, f: f * i)),
    ("f is taken for how much to forget",
     "You keep much where the gate says little. In spite of its name the forget gate says how much is *kept*.",
     partial(_update, keep=lambda f: 1 - f)),
    ("one gate for keeping and writing",
     "You write as much as is forgotten. That is an LSTM with coupled gates (Greff et al. 2017), close to a GRU. In "
     "the usual LSTM writing has a gate of its own, and the two need not add up to 1.",
     partial(_update, write=lambda i, f: 1 - f)),
    ("tanh on the new cell",
     "Your cell is squashed into ±1. The cell state itself passes through no squashing, which is why it can carry a "
     "number unchanged over many steps. The tanh comes where the cell is read, not where it is kept.",
     partial(_update, out=np.tanh)),
    ("everything is multiplied",
     "Four factors in one product: a gate that is shut for writing then wipes out the old cell as well. Keeping is one "
     "product, writing is another, and the two results are *added*.",
     lambda c, i, f, g: f * c * i * g),
]

cell_update = Exercise(
    id="4.2", title="the cell: keep and write", lesson="04_lstm", points=1,
    onward="With f = 1 and i = 0 the cell state passes unchanged, and so does its gradient: where have "
           "you seen that shape before?",
    shortest="""return f * c_prev + i * g""",
    function="cell_update", signature="(c_prev (B, H), i (B, H), f (B, H), g (B, H)) -> c_t (B, H)",
    cases=lambda rng: [(1.5 * normal(rng, B, H), rng.uniform(size=(B, H)), rng.uniform(size=(B, H)), uniform(rng, B, H))
                       for B, H in ((3, 5), (4, 2))],
    reference=lambda c_prev, i, f, g: f * c_prev + i * g,
    mistakes=(
        *(Mistake(*wrong) for wrong in UPDATES),
        Mistake(MATMUL[0],
                "Your result is (B, B): a matrix product with a transpose compares each sentence with every other. The "
                "× of the pictures is taken unit by unit: each number of the one times the number of the same unit of "
                "the other.", lambda c, i, f, g: f @ c.T + i @ g.T),
        Mistake(*DOT, partial(_update, times=lambda a, b: (a * b).sum(axis=1)),
                lambda c, i, f, g: _dot(f, c) + i * g),
        Mistake(DOT[0],
                "You add up over everything, which leaves one single number, the dot product of whole arrays. The × of "
                "the pictures is taken unit by unit, sentence by sentence: (B, H) times (B, H) is (B, H).",
                partial(_update, times=lambda a, b: (a * b).sum()), lambda c, i, f, g: (f * c).sum() + i * g),
        Mistake("i and f are swapped",
                "The old cell is multiplied by the input gate, and the candidate by the forget gate. Keeping belongs "
                "to the old cell, writing to the candidate.", lambda c, i, f, g: i * c + f * g),
        Mistake("tanh is taken of g once more",
                "g is the candidate after its tanh: it lies in ±1 already. Used again, the tanh makes it smaller.",
                partial(_update, new=np.tanh)),
        Mistake("sigmoid is taken of the gates once more",
                "i and f are gates already, between 0 and 1. A second sigmoid leaves them between 0.5 and 0.73: such "
                "a gate can neither open nor shut.", partial(_update, keep=sigmoid, write=lambda i, f: sigmoid(i))),
        Mistake("c_prev is changed in place",
                "Your numbers are right, but the caller's c_prev is overwritten, and the backward pass still needs it. "
                "Make a new array.", lambda c, i, f, g: np.add(np.multiply(c, f, out=c), i * g, out=c))))


# 4.3 the whole cell

def _lstm(x_t, h_prev, c_prev, p, pre=_pre, order=(0, 1, 2, 3), act_i=sigmoid, act_f=sigmoid, act_g=np.tanh,
          act_o=sigmoid, update=_update, read=lambda o, c_t, c_prev: o * np.tanh(c_t)):
    """The cell, in which a part can be replaced by a wrong one. order: the blocks taken for i, f, g, o."""
    blocks = np.split(pre(x_t, h_prev, p), 4, axis=1)
    i, f, g, o = (act(blocks[k]) for act, k in zip((act_i, act_f, act_g, act_o), order, strict=True))
    c_t = update(c_prev, i, f, g)
    return read(o, c_t, c_prev), c_t


LIBRARIES = {                  # whose order of the blocks it is
    "ifog": "Caffe and the course CS231n have them in this order.",
    "iofg": "ONNX has them in this order.",
    "igfo": "TensorFlow 1 has them in this order.",
    "gifo": "Chainer has them in this order.",
    "figo": "Many tutorials begin with the forget gate.",
    "fiog": "Many pictures draw them in this order from left to right.",
    "fgio": "Some tutorials name them in the order in which the cell uses them.",
}


def gate_orders(wrong):
    """A Mistake for each of the 23 other orders of the blocks; wrong(layout) is its function, layout as "ifog"."""
    for layout in map("".join, itertools.permutations("ifgo")):
        if layout != "ifgo":
            listed = ", ".join(layout)
            name = "i and f are swapped" if layout == "figo" else f"gates in the order {listed}"
            whose = LIBRARIES.get(layout, "No library that we know of has this order, but any order will do, as long "
                                          "as you keep to it.")
            yield Mistake(name, f"Your cell has its blocks of rows in the order {listed}. {whose} Here they are in "
                                "the order of PyTorch and Keras: input gate, forget gate, candidate, output gate.",
                          wrong(layout), convention=True)


def _peeking(x_t, h_prev, c_prev, p):
    return _lstm(x_t, c_prev, c_prev, p)


lstm_cell = Exercise(
    id="4.3", title="the LSTM cell", lesson="04_lstm", points=2,
    helpers=("layers.sigmoid",),
    part="cell",
    onward="Which of the gates would you remove first? Lesson 05b tries each.",
    shortest="""\
a = x_t @ params["W_ih"].T + h_prev @ params["W_hh"].T + params["b_ih"] + params["b_hh"]
i, f, g, o = np.split(a, 4, axis=1)
c_t = sigmoid(f) * c_prev + sigmoid(i) * np.tanh(g)
return sigmoid(o) * np.tanh(c_t), c_t""",
    function="lstm_cell_forward",
    signature=f"(x_t (B, D), h_prev (B, H), c_prev (B, H), {PARAMS}) -> h_t (B, H), c_t (B, H)",
    cases=lambda rng: [(normal(rng, B, D), uniform(rng, B, H), 1.5 * normal(rng, B, H), params(rng, 4, D, H))
                       for B, D, H in SIZES],
    reference=lambda x_t, h_prev, c_prev, params: lstm_cell_forward(x_t, h_prev, c_prev, params)[:2],
    mistakes=(
        Mistake("a sigmoid on the candidate",
                "Your candidate is never negative, so the cell can only be pushed up. Three of the four answer 'how "
                "much', a number between 0 and 1; the candidate answers 'what', and that may have either sign.",
                partial(_lstm, act_g=sigmoid)),
        Mistake("no tanh on the candidate",
                "Your candidate is not squashed, so that one large input can flood the cell. What is written lies in "
                "±1.",
                partial(_lstm, act_g=lambda a: a)),
        Mistake("a sigmoid on the candidate, and a tanh on top",
                "Your candidate goes through the sigmoid with the gates, and then through tanh as well: it is never "
                "negative. Take the candidate out before the gates are squashed; it gets the tanh alone.",
                partial(_lstm, act_g=lambda a: np.tanh(sigmoid(a)))),
        Mistake("no sigmoid on the gates",
                "Your gates are the sums as they are, and can be any number. A gate answers 'how much', a fraction "
                "between 0 and 1: each of the three needs its sigmoid.",
                partial(_lstm, act_i=lambda a: a, act_f=lambda a: a, act_o=lambda a: a)),
        Mistake(*SOFTMAX, *(partial(_lstm, act_i=_softmax(axis), act_f=_softmax(axis), act_o=_softmax(axis))
                            for axis in (1, 0, None))),
        Mistake("the input gate is made from the forget gate's rows",
                "Input gate and forget gate are equal in your cell: both are made from the second block. The first "
                "block of rows, the input gate's own, is not used.", partial(_lstm, order=(1, 1, 2, 3))),
        Mistake("the forget gate is made from the input gate's rows",
                "Input gate and forget gate are equal in your cell: both are made from the first block. The second "
                "block of rows, the forget gate's own, is not used.", partial(_lstm, order=(0, 0, 2, 3))),
        Mistake("no sigmoid on the output gate",
                "c_t is right and h_t is not: your output gate is the sum as it is. It answers 'how much may be read', "
                "a number between 0 and 1, and needs its sigmoid.",
                partial(_lstm, act_o=lambda a: a)),
        *gate_orders(lambda layout: partial(_lstm, order=tuple(map(layout.index, "ifgo")))),
        Mistake("tanh on the forget gate",
                "A gate answers 'how much is kept', a number between 0 and 1. With tanh it can be negative, which "
                "would flip the sign of what is remembered.",
                partial(_lstm, act_f=np.tanh)),
        Mistake("tanh on the output gate",
                "A gate answers 'how much', a number between 0 and 1. Your output gate can be negative, and would show "
                "the opposite of what the cell holds.",
                partial(_lstm, act_o=np.tanh)),
        Mistake("h_t without tanh",
                "The cell is shown unsquashed: c_t is right and h_t is not. The cell state may grow beyond ±1; "
                "what is read from it is squashed first, then gated.",
                partial(_lstm, read=lambda o, c_t, c_prev: o * c_t)),
        Mistake("h_t from the old cell",
                "c_t is right and h_t is not: you read the cell as it was before the step. First write, then read.",
                partial(_lstm, read=lambda o, c_t, c_prev: o * np.tanh(c_prev))),
        Mistake("tanh around gate and cell together",
                "c_t is right and h_t is not: you squash the product of gate and cell. The cell is squashed alone, and "
                "then multiplied by the gate.",
                partial(_lstm, read=lambda o, c_t, c_prev: np.tanh(o * c_t))),
        Mistake("no output gate",
                "c_t is right and h_t is not: the whole cell is shown. The output gate says how much of it may be "
                "read.",
                partial(_lstm, read=lambda o, c_t, c_prev: np.tanh(c_t))),
        Mistake("no output gate",
                "c_t is right and h_t is not: h_t is the cell itself. It is squashed before it is read, and the "
                "output gate says how much of it may be read.",
                partial(_lstm, read=lambda o, c_t, c_prev: c_t)),
        Mistake("h_t is the output gate alone",
                "c_t is right and h_t is not: it is the output gate. The gate says how much may be read; what is read "
                "is the squashed cell, and the two are multiplied.",
                partial(_lstm, read=lambda o, c_t, c_prev: o)),
        Mistake("the gates look at the cell, not at the state",
                "You multiply W_hh by c_prev. The gates read h_prev, what the cell *showed* at the last step. (Gates "
                "that look at the cell as well exist, as 'peepholes', with weights of their own.)", _peeking),
        *(Mistake(name, hint, partial(_lstm, update=wrong)) for name, hint, wrong in UPDATES),
        *(Mistake(name, hint, partial(_lstm, pre=wrong), convention=name in CONVENTIONS)
          for name, hint, wrong in WRONG_SUMS)))


# 4.4 the latch: judged by running the library's LSTM with the learner's parameters

STEPS, READABLE = 1000, 0.01


def latch_problem(args, params):
    """What goes wrong when an LSTM with these params has to hold one bit; None where it holds.

    Eight sequences of 1000 steps: the bit is x[:, 0, 0] = ±1, every later x[:, t, 0] is 0, the other
    inputs are noise in ±1, or stand at one end of it. Unit 0 has to show the bit at every step.
    """
    D, H = args
    params = {key: np.asarray(value, float) for key, value in params.items()}
    if not all(np.isfinite(value).all() for value in params.values()):
        return "there is NaN or infinity in your params."
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (8, STEPS, D))
    x[2:4], x[4:6], x[6:] = 1, -1, np.sign(x[6:])
    x[:, :, 0] = 0
    x[:, 0, 0] = bit = np.resize([1, -1], 8)
    zero = np.zeros((8, H))
    h, _, cache = lstm_forward(x, zero, zero, params)
    shown = h[:, :, 0] * bit[:, None]                # positive where the sign is right
    if (shown >= READABLE).all():
        return None
    i, f, g, o = (gate[:, :, 0] for gate in (cache.i, cache.f, cache.g, cache.o))
    biases = (params["b_ih"] + params["b_hh"]).reshape(4, H)[:, 0]
    if not (shown[:, 0] >= READABLE).all():
        return _first_step(shown[:, 0], bit, i[:, 0], g[:, 0], o[:, 0])
    if f.prod(axis=1).min() < 0.5:
        if biases[1] < 4 < max(biases[0], biases[2], biases[3]):
            return ("the bit is written, but the forget gate of unit 0 lets it leak away, while another gate has a "
                    "large bias.")
        return "the bit is written, but the forget gate of unit 0 lets it leak away before step 1000."
    if np.abs(i * g)[:, 1:].max() > 1e-6 and np.ptp(g[:, 1:]) < 1e-6:
        return ("the bit is written, but at every later step the candidate of unit 0 is the same number, which is not "
                "0, and it is written on top.")
    if np.abs(i * g)[:, 1:].max() > 1e-6:
        return "the bit is written and kept, but later steps write something else on top of it into unit 0."
    return f"the bit is lost on the way: h[:, t, 0] is under {READABLE} or has the wrong sign at a later step."


def _first_step(shown, bit, i, g, o):
    if (shown <= -READABLE).all():
        return "after the first step h[:, 0, 0] has the sign opposite to x[:, 0, 0]."
    if (shown[bit == 1] >= READABLE).all() and (i[bit == -1] < 0.05).all():
        return "+1 is written at the first step; for -1 the input gate of unit 0 is shut."
    if (np.abs(i * g) < READABLE).all():
        which = "the candidate g of unit 0 does not depend on x[:, 0, 0]" if np.abs(g).max() < 0.05 else \
            "the input gate of unit 0 is shut"
        return f"nothing is written at the first step: {which}."
    if o.max() < 0.05:
        return "the output gate of unit 0 is shut: nothing can be read."
    if np.abs(g).min() > 0.05 and abs(np.sign(g).mean()) == 1:
        return "after the first step h[:, 0, 0] does not show the bit: g of unit 0 has the same sign for both bits."
    return "after the first step h[:, 0, 0] does not show the bit: it follows other inputs."


def _latch(D, H, g=2.0, keep=40.0, block=1, noise=0.0, i_bias=0.0, i_weight=0.0, g_bias=0.0):
    shapes = {"W_ih": (4 * H, D), "W_hh": (4 * H, H), "b_ih": 4 * H, "b_hh": 4 * H}
    params = {key: np.zeros(shape) for key, shape in shapes.items()}
    params["W_ih"][2 * H] = noise
    params["W_ih"][2 * H, 0] = g
    params["W_ih"][0, 0], params["b_ih"][0], params["b_ih"][2 * H] = i_weight, i_bias, g_bias
    params["b_ih"][block * H] += keep
    return params


def _only_the_bias(D, H):
    fixed = np.random.default_rng(1)
    drawn = {key: 0.5 * value for key, value in params(fixed, 4, D, H).items()}
    drawn["W_ih"][2 * H, 0] = 8
    drawn["W_ih"][:H], drawn["W_hh"][:2 * H], drawn["W_ih"][H:2 * H] = 0, 0, 0
    drawn["b_ih"][H:2 * H] = 40
    return drawn


LEAK = ("the forget gate is not open enough",
        "A gate that is nearly open forgets: 0.95 to the power of 1000 is nothing. The gate is a sigmoid and comes "
        "close to 1 only for a large number. Which of your parameters makes that number large at every step, whatever "
        "the inputs are?")
NOISE = ("later inputs are written into the cell",
         "What you wrote at the first step is kept, but the noise goes on writing. At the later steps either nothing "
         "may be offered (the candidate is 0) or nothing may be let in. Which inputs does the candidate of unit 0 "
         "look at?")

latch = Exercise(
    id="4.4", title="a latch: one bit for 1000 steps", lesson="04_lstm", points=3,
    onward="If your bit is held by W_hh and not by the forget gate, that counts, too. What is each "
           "gate for then?",
    shortest="""\
params = {"W_ih": np.zeros((4 * H, D)), "W_hh": np.zeros((4 * H, H)),
          "b_ih": np.zeros(4 * H), "b_hh": np.zeros(4 * H)}
params["W_ih"][2 * H, 0] = 5      # the candidate of unit 0 sees the bit
params["b_ih"][H] = 40            # its forget gate stays open
return params""",
    function="latch", signature=f"(D, H) -> {PARAMS}",
    cases=lambda rng: [(3, 4), (2, 5), (5, 2)],
    reference=_latch, accept=latch_problem,
    mistakes=(
        Mistake(*LEAK, partial(_latch, keep=0.0), partial(_latch, keep=3.0), partial(_latch, keep=5.0)),
        Mistake("the large bias is in another gate's rows",
                "You have set a large bias, but not on the forget gate. The 4H entries are four blocks in the order "
                "i, f, g, o, and unit 0 of a gate is the first entry of its block.", partial(_latch, block=0)),
        Mistake("the candidate does not see the bit",
                "The row of the weights that makes the candidate of unit 0 has to look at input 0. The rows come in "
                "four blocks in the order i, f, g, o: is it the first row of the third block that you set?",
                partial(_latch, g=0.0)),
        Mistake("a bias on the candidate",
                "The candidate of unit 0 should say the bit at the first step and nothing at all later. A bias speaks "
                "at every step, whatever the inputs are: it belongs to the gate that has to stay open, not here.",
                partial(_latch, g_bias=40.0), partial(_latch, g_bias=1.0)),
        Mistake("the input gate is shut",
                "You have shut the input gate to keep the noise out, and the bit cannot get in either. It may be open "
                "at the first step, or always, if nothing is offered later.", partial(_latch, i_bias=-40.0)),
        Mistake("the input gate opens for +1 only",
                "Your input gate is opened by the bit itself, which works for +1 and shuts it firmly for -1. A sum "
                "that goes up for one sign goes down for the other. Is the gate needed at all, if the candidate is 0 "
                "later?",
                partial(_latch, i_bias=-20.0, i_weight=40.0)),
        Mistake(*NOISE, partial(_latch, noise=1.0), _only_the_bias),
        Mistake("the bit is stored with the wrong sign",
                "Everything holds, but upside down: a weight with the wrong sign flips the bit.",
                partial(_latch, g=-2.0))))

EXERCISES = (forget_gate, cell_update, lstm_cell, latch)
