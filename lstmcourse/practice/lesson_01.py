"""Exercises 1.1 to 1.4: an RNN, forward, the loss of a next-word model, and sampling from it."""

from functools import partial

import numpy as np

from lstmcourse.layers import cross_entropy_forward, sigmoid, softmax
from lstmcourse.practice.exercise import Exercise, Mistake
from lstmcourse.practice.inputs import normal, padding, params, uniform

PARAMS = "params {W_ih (H, D), W_hh (H, H), b_ih (H,), b_hh (H,)}"


# 1.1 the cell; 1.2 runs the same over time.

def _rnn(x_t, h_prev, params, from_x=lambda x, W: x @ W.T, from_h=lambda h, W: h @ W.T,
         biases=lambda b_ih, b_hh: (b_ih, b_hh), squash=lambda a, u: np.tanh(a + u)):
    """The cell, in which a part can be replaced by a wrong one."""
    b_ih, b_hh = biases(params["b_ih"], params["b_hh"])
    return squash(from_x(x_t, params["W_ih"]) + b_ih, from_h(h_prev, params["W_hh"]) + b_hh)


WRONG_CELLS = [
    ("two tanh, one for each product",
     "The input and the memory have to meet before the squashing: one sum of everything, then one tanh. With a tanh "
     "on each part the sum may leave ±1, and the memory can no longer push the input's unit into saturation.",
     partial(_rnn, squash=lambda a, u: np.tanh(a) + np.tanh(u))),
    ("W_hh is not transposed",
     "Each row of a weight matrix belongs to one unit that is computed, each column to one number that it reads. "
     "States are rows here, so both products need the matrix with rows and columns exchanged. For W_ih the "
     "shapes tell you; W_hh is square, and nothing complains.",
     partial(_rnn, from_h=lambda h, W: h @ W)),
    ("W_ih is not transposed",
     "W_ih is (H, D): a row for each hidden unit, a column for each number of the input. The input has rows of "
     "length D, so the product needs the matrix with its D first.",
     partial(_rnn, from_x=lambda x, W: x @ W)),
    ("the weights are on the left",
     "In books a state is a column, and the matrix is on its left. Here the states of a batch are *rows*, so the order "
     "is reversed: the rows come first, and the matrix after them, with its rows and columns exchanged.",
     partial(_rnn, from_x=lambda x, W: W @ x)),
    ("no tanh",
     "The sum is returned as it is. Without the squashing a state can grow without end over the steps, and many "
     "layers in time do no more than one linear layer could.",
     partial(_rnn, squash=lambda a, u: a + u)),
    ("a sigmoid in place of tanh",
     "Your state is never negative. A sigmoid answers 'how much', from 0 to 1; the state of this network has to say "
     "yes and no, from -1 to 1.",
     partial(_rnn, squash=lambda a, u: sigmoid(a + u))),
    ("b_hh is left out",
     "There are two biases, one that comes with each product. They do the same work here, but both are given, and "
     "both belong in the sum. With biases of zero nobody would notice.",
     partial(_rnn, biases=lambda b_ih, b_hh: (b_ih, 0))),
    ("b_ih is left out",
     "There are two biases, one that comes with each product. One of them is missing: the one that goes with the "
     "input.",
     partial(_rnn, biases=lambda b_ih, b_hh: (0, b_hh))),
    ("both biases are left out",
     "The sum has four parts: two products and two biases. The biases are missing.",
     partial(_rnn, biases=lambda b_ih, b_hh: (0, 0))),
    ("b_ih is counted twice",
     "There are two biases with similar names, and one of them is in your sum twice: a line copied for the second "
     "product and changed in one place only?",
     partial(_rnn, biases=lambda b_ih, b_hh: (b_ih, b_ih))),
]
NO_MEMORY = (
    "the state before is ignored",
    "The result does not depend on h_prev at all: this is a network without memory, which sees one word at a time. "
    "What the cell remembers has to enter the sum through its own weights.",
    partial(_rnn, from_h=lambda h, W: 0))


# 1.1: a cell that keeps a part of its state

LEAKY = "params {W_ih (H, D), W_hh (H, H), b_ih (H,), b_hh (H,), keep (H,)}"


def _leaky(x_t, h_prev, params, cell=_rnn, mixed=lambda keep, h_prev, new: keep * h_prev + (1 - keep) * new):
    """The leaky cell, in which a part can be replaced by a wrong one."""
    return mixed(params["keep"], h_prev, cell(x_t, h_prev, params))


def _leaks_inside(x_t, h_prev, params):
    return _leaky(x_t, h_prev, params, cell=partial(_rnn, squash=lambda a, u: a + u),
                  mixed=lambda keep, h_prev, a: np.tanh(keep * h_prev + (1 - keep) * a))


def _cases_cell(rng):
    return [(normal(rng, B, D), uniform(rng, B, H), {**params(rng, 1, D, H), "keep": rng.uniform(0.1, 0.9, H)})
            for B, D, H in ((3, 4, 5), (2, 5, 3))]


rnn_cell = Exercise(
    id="1.1", title="one step of a leaky RNN", lesson="01_rnn", points=1,
    onward="With keep near 1 nothing is forgotten, and nothing is learned either: could the word itself decide? That "
           "is the gate of lesson 04.",
    shortest="""\
a = x_t @ params["W_ih"].T + h_prev @ params["W_hh"].T + params["b_ih"] + params["b_hh"]
return np.tanh(a) + params["keep"] * (h_prev - np.tanh(a))""",
    function="leaky_cell_forward", signature=f"(x_t (B, D), h_prev (B, H), {LEAKY}) -> h_t (B, H)",
    cases=_cases_cell, reference=_leaky,
    mistakes=(
        Mistake("keep and 1 - keep are swapped",
                "What you keep and what you take from the new state are exchanged. `keep` is the fraction of the *old* "
                "state that stays; at 1 the state should not move at all.",
                partial(_leaky, mixed=lambda keep, h, new: (1 - keep) * h + keep * new)),
        Mistake("nothing is kept",
                "This is the vanilla RNN: the state is computed anew, and `keep` does nothing. A fraction of the "
                "old state stays as it is, past the matrix and the tanh.",
                partial(_leaky, mixed=lambda keep, h, new: new)),
        Mistake("the new part is not scaled",
                "The old part is right, but all of the new one is added to it. The two fractions add up to 1, so that "
                "the state stays within ±1.",
                partial(_leaky, mixed=lambda keep, h, new: keep * h + new)),
        Mistake("the old part is not scaled",
                "All of the old state is kept, whatever `keep` says. The two fractions add up to 1.",
                partial(_leaky, mixed=lambda keep, h, new: h + (1 - keep) * new)),
        Mistake("the leak is inside the tanh",
                "You mix the old state with the sum and squash both. Then the old state is squashed again at every "
                "step, and fades. Only the new part goes through tanh; the old one is kept as it is.", _leaks_inside),
        Mistake("one keep for all units",
                "You use one number for all units. `keep` has an entry for each unit, so that some can be slow and "
                "others fast.",
                partial(_leaky, mixed=lambda keep, h, new: keep.mean() * h + (1 - keep.mean()) * new)),
        *(Mistake(name, hint, partial(_leaky, cell=wrong)) for name, hint, wrong in WRONG_CELLS),
        Mistake("the new part ignores the state before",
                "The new part of the state is computed from the word alone. It reads the old state as well, through "
                "W_hh.", partial(_leaky, cell=NO_MEMORY[2]))))


# 1.2 the sequence

def _where(real, new, old):
    return np.where(real[:, None], new, old)


def _sequence(x, h_0, params, mask, cell=_rnn, start=lambda h_0: h_0, hand_on=lambda h_t, h_0: h_t, keep=_where,
              collect=lambda states, h_0: np.stack(states, axis=1)):
    """The loop, in which a part can be replaced by a wrong one. collect(T states (B, H), h_0) -> the result"""
    states, h_t = [], start(h_0)
    for t in range(x.shape[1]):
        states.append(keep(mask[:, t], cell(x[:, t], h_t, params), h_t))
        h_t = hand_on(states[-1], h_0)
    return collect(states, h_0)


def _loop_over_batch(x, h_0, params, mask):
    h, h_t = [], h_0
    for x_t, real in zip(x, mask, strict=True):
        h_t = np.where(real[:, None], _rnn(x_t, h_t, params), h_t)
        h.append(h_t)
    return np.array(h)


def _loop_over_batch_from_zero(x, h_0, params, mask):
    return _loop_over_batch(x, np.zeros(h_0.shape[1]), params, mask)


def _first_word_unread(x, h_0, params, mask):
    """h[:, 0] = h_0, and a loop that starts at 1."""
    return np.concatenate([h_0[:, None], _sequence(x[:, 1:], h_0, params, mask[:, 1:])], axis=1)


def _from_the_second_word(x, h_0, params, mask):
    """Zeros that a loop from 1 fills."""
    return np.concatenate([0 * h_0[:, None], _sequence(x[:, 1:], h_0, params, mask[:, 1:])], axis=1)


def _cases_sequence(rng):
    """Sentences of unequal length; the padding is as large as words."""
    return [(normal(rng, len(lengths), T, D), uniform(rng, len(lengths), H), params(rng, 1, D, H), padding(lengths, T))
            for lengths, T, D, H in (((4, 2, 3), 4, 6, 7), ((3, 5), 5, 4, 3))]


BATCH_FOR_TIME = (
    "batch and time are swapped",
    "Your loop walks over the first axis, and the first axis is the batch: it hands the state of one sentence on to "
    "the next sentence instead of from word to word. Time is the second axis of x. (Test: change sentence 0 of a "
    "batch. No other sentence may change.)")

rnn_sequence = Exercise(
    id="1.2", title="an RNN over sentences of unequal length", lesson="01_rnn", points=2,
    onward="All products with W_ih fit into one matrix product before the loop: which product has to "
           "wait for the step before?",
    shortest="""\
a = x @ params["W_ih"].T + params["b_ih"] + params["b_hh"]      # all steps at once
h = []
for t in range(x.shape[1]):
    h_0 = np.where(mask[:, [t]], np.tanh(a[:, t] + h_0 @ params["W_hh"].T), h_0)
    h.append(h_0)
return np.stack(h, axis=1)""",
    function="padded_rnn_forward", signature=f"(x (B, T, D), h_0 (B, H), {PARAMS}, mask (B, T)) -> h (B, T, H)",
    cases=_cases_sequence,
    reference=_sequence,
    mistakes=(
        Mistake("the padding is read like words",
                "All sentences go on to the last column. Where the mask is False there is no word, only padding: there "
                "the state has to stay what it was, so that the last column holds every sentence's last real state.",
                partial(_sequence, keep=lambda real, new, old: new)),
        Mistake("the padding is read as zeros",
                "You set the padded inputs to zero, and read on. A word of zeros still changes the state, through "
                "W_hh, the biases and the tanh. At padding the state has to stay what it was.",
                lambda x, h_0, params, mask: _sequence(x * mask[..., None], h_0, params, np.ones_like(mask))),
        Mistake("the state is zero at the padding",
                "At padding your states are zero. They should be what they were at the last real word, so that the "
                "last column holds what the network has read.",
                lambda x, h_0, params, mask: _sequence(x, h_0, params, mask) * mask[..., None]),
        Mistake("the mask is inverted",
                "You skip the words and read the padding. True means: this is a real word.",
                lambda x, h_0, params, mask: _sequence(x, h_0, params, ~mask)),
        Mistake("h_0 comes back at the padding",
                "At padding you return the state that the sentence started from. Keep the one that the last real "
                "word left behind.",
                lambda x, h_0, params, mask: np.where(mask[..., None], _sequence(x, h_0, params, mask), h_0[:, None])),
        Mistake("all sentences stop with the shortest",
                "As soon as one sentence is over, all of yours stop changing. Each row has a mask of its own.",
                lambda x, h_0, params, mask: _sequence(x, h_0, params, mask & mask.all(axis=0))),
        Mistake("the state is never updated",
                "Every step starts from h_0 again, so no step knows the word before the last. What one step returns "
                "has to become what the next step is given.", partial(_sequence, hand_on=lambda h_t, h_0: h_0)),
        Mistake("the given h_0 is ignored",
                "Your network starts from zeros. That is the usual start, but not the only one: a decoder starts from "
                "what an encoder has read. The start is an argument; begin with it.",
                partial(_sequence, start=np.zeros_like)),
        Mistake(*BATCH_FOR_TIME, _loop_over_batch, _loop_over_batch_from_zero),
        Mistake("time first in the result",
                "The states are right, but collected along a new first axis: (T, B, H). The caller wants one sentence "
                "per row: the axis on which you collect has to be the second one.",
                partial(_sequence, collect=lambda states, h_0: np.stack(states))),
        Mistake("reshape where a transpose is meant",
                "The shape is right and the numbers are in the wrong places: a reshape only counts through the numbers "
                "in the order in which they lie, and so mixes sentences and steps. To put another axis first, the "
                "axes have to be exchanged.",
                partial(_sequence, collect=lambda states, h_0: np.stack(states).reshape(
                    len(h_0), len(states), -1))),
        Mistake("only the last state is returned",
                "You return one state per sentence, the last. The result is every state: one for each word, since at "
                "each word something can be predicted.",
                partial(_sequence, collect=lambda states, h_0: states[-1])),
        Mistake("h_0 is part of the result",
                "Your result has one step too many: it begins with h_0, which no word has produced. The first state in "
                "the result is the one after the first word.",
                partial(_sequence, collect=lambda states, h_0: np.stack([h_0, *states], axis=1))),
        Mistake("the state before each step is stored",
                "Everything comes one step late: at step t you store the state that goes into the step, not the one "
                "that comes out of it.",
                partial(_sequence, collect=lambda states, h_0: np.stack([h_0, *states[:-1]], axis=1))),
        Mistake("the first word is never read",
                "You put h_0 first in the result and begin with the second word. h_0 comes *before* the "
                "first word and is not part of the result: step 0 reads word 0 as well, and starts from h_0.",
                _first_word_unread),
        Mistake("the first word is never read",
                "Your loop begins with the second word: Python counts from 0. h_0 comes *before* the first word, so "
                "step 0 reads word 0 and starts from h_0.",
                _from_the_second_word, lambda *args: _from_the_second_word(*args)[:, 1:]),
        Mistake("every step shows the last state",
                "All steps of your result are equal. The same array is put into the list at every step and "
                "overwritten afterwards, so the list holds one array many times. Each step needs an array of its "
                "own.",
                partial(_sequence, collect=lambda states, h_0: np.stack(states[-1:] * len(states), axis=1))),
        *(Mistake(name, hint, partial(_sequence, cell=wrong)) for name, hint, wrong in WRONG_CELLS),
        Mistake(*NO_MEMORY[:2], partial(_sequence, cell=NO_MEMORY[2]))))


# 1.3 the loss

def _log_p(logits):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _picked(log_p, targets):
    return np.take_along_axis(log_p, targets[..., None], axis=-1)[..., 0]


def _loss(log_p, targets, mask):
    return -(_picked(log_p, targets) * mask).sum() / mask.sum()


def _naive_softmax(logits, axis=-1):
    with np.errstate(all="ignore"):
        e = np.exp(logits)
        return e / e.sum(axis=axis, keepdims=True)


def _log(p):
    with np.errstate(all="ignore"):
        return np.log(p)


def _cross(logits, targets, mask, log_p=_log_p, mean=lambda log_p, mask: (log_p * mask).sum() / mask.sum(), unit=-1):
    """The loss, in which a part can be replaced by a wrong one. mean(log_p of the targets (B, T), mask)"""
    return unit * mean(_picked(log_p(logits), targets), mask)


def cases_loss(rng):
    """Ordinary logits, and logits so large or small that a naive exp or log fails."""
    found = []
    for lengths, T, V, levels in (((2, 5, 3), 5, 6, (0,)), ((4, 1), 4, 5, (0,)),
                                  ((3, 4), 5, 7, (1000,)), ((4, 2, 3), 5, 7, (1000, -1000))):
        B = len(lengths)
        logits = 2 * normal(rng, B, T, V) + np.resize(levels, T)[:, None]
        targets, mask = rng.integers(V, size=(B, T)), padding(lengths, T)
        if len(levels) > 1:
            logits[1, 1, targets[1, 1]] -= 900                       # a real word that the model thinks impossible
        found.append((logits, np.where(mask, targets, 0), mask))
    return found


ABOUT_LOSS = ("", "", "logits near 1000", "logits near 1000 for one token and near -1000 for the next, one word ruled "
                                          "out")
OVERFLOW = ("exp overflows",
            "For ordinary logits you are right. For a logit of 1000, exp is infinite, and infinity divided by infinity "
            "is NaN. A softmax does not change when the same number is subtracted from all logits of one token; choose "
            "that number so that the largest exponent is 0.")
LOG_OF_ZERO = ("the logarithm of a probability that was rounded to 0",
               "Your softmax is stable, but a very unlikely word has a probability that is too small for a float and "
               "becomes 0, and log 0 is minus infinity. The log of the softmax can be written without computing the "
               "softmax: the log of exp is the logit itself, and only the log of the sum is left.")
ONE_MAXIMUM = ("one maximum for all tokens",
               "You subtract the largest logit of the whole batch. A token whose own logits are all much smaller then "
               "has only zeros left after exp. Each token needs its own maximum, over its own words.")
ALL_POSITIONS = ("the mean counts the padding",
                 "The padded positions add nothing to your sum, but they are counted in what you divide by: the more "
                 "padding there is, the better the loss looks. Divide by the number of real tokens.")
NO_MASK = ("the mask is not used",
           "Padding counts like words in your mean. But it is not a word, and the network would learn to "
           "predict padding. Sum and count only where the mask is True.")
MASK_INVERTED = ("the mask is inverted",
                 "You average over the padding and leave the words out. True means: this is a real token.")
ROW_MEANS = ("the mean of the sentences' means",
             "You take a mean for each sentence and then the mean of these. A word in a short sentence then counts for "
             "more than a word in a long one. All real words of the batch go into one sum and one count.")
MASKED_LOGITS = ("the mask is put on the logits",
                 "Multiplying the logits by the mask makes them 0 at the padding, which is a uniform guess with the "
                 "loss log V, not a loss of 0. It is the loss of each token that has to be masked.")
SOFTMAX_TWICE = ("softmax is taken twice",
                 "The argument is logits, and your code treats the softmax of them as if it were logits again. The "
                 "second softmax flattens everything: probabilities between 0 and 1 are nearly equal logits, so such a "
                 "loss cannot fall below a floor, however good the model is.")
NO_MINUS = ("the minus is missing",
            "Your loss is negative. The log of a probability is never positive; the loss is minus that, so that it "
            "is 0 where the model is certain and right.")
SUM = ("the sum, not the mean",
       "You add the losses up and do not divide. The loss of a large batch is then larger than that of a small one, "
       "and two runs cannot be compared. The unit wanted is nats per real token.")

SENTENCES = ("divided by the sentences, not by the tokens",
             "You divide by the number of sentences. A batch of long sentences then has a larger loss than one of "
             "short ones, however good the model is. The unit wanted is nats per real token: divide by their number.")

loss = Exercise(
    id="1.3", title="cross-entropy over real tokens", lesson="01_rnn", points=2,
    part="loss",
    onward="A model that guesses evenly among V words has the loss log V: is a trained one far below it?",
    shortest="""\
log_p = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
return -np.take_along_axis(log_p, targets[..., None], axis=-1)[..., 0][mask].mean()""",
    function="cross_entropy", signature="(logits (B, T, V), targets (B, T), mask (B, T)) -> loss ()",
    cases=cases_loss, about=ABOUT_LOSS,
    reference=lambda logits, targets, mask: cross_entropy_forward(logits, targets, mask)[0],
    mistakes=(
        Mistake(*OVERFLOW, partial(_cross, log_p=lambda x: _log(_naive_softmax(x)))),
        Mistake(*LOG_OF_ZERO, partial(_cross, log_p=lambda x: _log(softmax(x)))),
        *(Mistake("a small number inside the logarithm",
                  f"Adding something like {small:.0e} to the probability avoids log 0, but it caps the loss: a word "
                  f"that the model took to be impossible costs about {-np.log(small):.0f} nats where it should cost "
                  "hundreds. The log of the softmax can be written without computing the softmax: the log of exp is "
                  "the logit itself.", partial(_cross, log_p=lambda x, small=small: np.log(softmax(x) + small)))
          for small in (1e-9, 1e-12)),
        Mistake(*ONE_MAXIMUM, partial(_cross, log_p=lambda x: _log(_naive_softmax(x - x.max())))),
        Mistake(*ALL_POSITIONS, partial(_cross, mean=lambda log_p, m: (log_p * m).mean())),
        Mistake(*SENTENCES, partial(_cross, mean=lambda log_p, m: (log_p * m).sum() / len(m))),
        Mistake(*NO_MASK, partial(_cross, mean=lambda log_p, m: log_p.mean())),
        Mistake(*MASK_INVERTED, partial(_cross, mean=lambda log_p, m: (log_p * ~m).sum() / (~m).sum())),
        Mistake(*ROW_MEANS, partial(_cross, mean=lambda log_p, m: ((log_p * m).sum(axis=1) / m.sum(axis=1)).mean())),
        Mistake(*MASKED_LOGITS, lambda x, y, m: _cross(x * m[..., None], y, np.ones_like(m)) * m.size / m.sum(),
                lambda x, y, m: _cross(x * m[..., None], y, np.ones_like(m))),
        Mistake(*SUM, partial(_cross, mean=lambda log_p, m: (log_p * m).sum())),
        Mistake(*NO_MINUS, partial(_cross, unit=1)),
        Mistake("softmax over the wrong axis",
                "Your probabilities add up to 1 over time, not over the words of the vocabulary. At each position, of "
                "each sentence, the V words compete with each other: that is the last axis.",
                partial(_cross, log_p=lambda x: _log_p(x.swapaxes(1, 2)).swapaxes(1, 2))),
        Mistake("one softmax over the whole batch",
                "Your sum of exponentials runs over everything, so the probabilities of all positions together add up "
                "to 1. Each position is a prediction of its own: its V probabilities add up to 1.",
                partial(_cross, log_p=lambda x: _log(_naive_softmax(x, axis=None))),
                partial(_cross, log_p=lambda x: x - x.max() - np.log(np.exp(x - x.max()).sum()))),
        Mistake(*SOFTMAX_TWICE, partial(_cross, log_p=lambda x: _log_p(softmax(x)))),
        Mistake("bits in place of nats",
                "Your logarithm has base 2, so the loss is in bits: 1.44 times too large. The course measures in nats, "
                "with the natural logarithm, and says so where it does not.",
                partial(_cross, unit=-1 / np.log(2)), convention=True)))


# 1.4 sampling

def _exp(z, axis=-1):
    return np.exp(z - z.max(axis=axis, keepdims=True))


def _fractions(weights, axis=-1):
    return weights / weights.sum(axis=axis, keepdims=True)


def _probabilities(logits, temperature):
    return _fractions(_exp(logits / temperature))


def _first_above(p, u):
    return (np.cumsum(p, axis=-1) <= u[:, None]).sum(axis=-1)


def _sample(logits, temperature, u, probabilities=_probabilities, pick=_first_above):
    """The draw, in which a part can be replaced by a wrong one."""
    return pick(probabilities(logits, temperature), u)


def _overflows(logits, temperature):
    with np.errstate(all="ignore"):
        return _fractions(np.exp(logits / temperature))


def _one_maximum(logits, temperature):
    with np.errstate(all="ignore"):
        return _fractions(np.exp((logits - logits.max()) / temperature))


def _cases_sample(rng):
    """Each u lies well inside what belongs to one word: a rounded last digit changes no draw."""
    found = []
    for B, V, temperature, levels in ((40, 5, 0.7, (0,)), (30, 9, 2.0, (0,)), (20, 6, 0.5, (1000, -1000))):
        logits = 1.5 * normal(rng, B, V) + np.resize(levels, B)[:, None]
        if len(levels) > 1:
            logits[:, 0] -= 900                                      # a word that is ruled out
        p = _probabilities(logits, temperature)
        word = np.array([rng.choice(np.flatnonzero(row > 0.02)) for row in p])
        inside = rng.uniform(0.3, 0.7, B) * p[np.arange(B), word]
        found.append((logits, temperature, np.cumsum(p, axis=-1)[np.arange(B), word] - p[np.arange(B), word] + inside))
    return found


sampling = Exercise(
    id="1.4", title="sampling with a temperature", lesson="01_rnn", points=2,
    onward="Does a higher temperature help against overfitting? No: it only flattens what was learned, the order of "
           "the words stays the same.",
    shortest="""\
p = np.exp((logits - logits.max(1, keepdims=True)) / temperature).cumsum(1)
return (p <= u[:, None] * p[:, -1:]).sum(1)""",
    function="sample", signature="(logits (B, V), temperature, u (B,)) -> tokens (B,)",
    cases=_cases_sample, about=("a temperature of 0.7", "a temperature of 2",
                                "logits near 1000 and near -1000, one word ruled out"),
    reference=_sample,
    mistakes=(
        Mistake("the temperature is ignored",
                "You draw from the plain probabilities: the temperature changes nothing. It divides the scores before "
                "the softmax. (Dividing the probabilities and normalizing again cancels out.)",
                partial(_sample, probabilities=lambda z, T: _probabilities(z, 1.0))),
        Mistake("multiplied by the temperature",
                "You multiply by the temperature instead of dividing: at a high temperature your network plays safe, "
                "at a low one it goes wild. It should be the other way round.",
                partial(_sample, probabilities=lambda z, T: _probabilities(z, 1 / T))),
        Mistake("the probabilities are divided, not the logits",
                "You divide the probabilities by the temperature. They no longer sum to 1, and their "
                "ratios are what they were. The temperature belongs on the logits, before the softmax.",
                partial(_sample, probabilities=lambda z, T: np.minimum(_probabilities(z, 1.0) / T, 1),
                        pick=lambda p, u: np.minimum(_first_above(p, u), p.shape[1] - 1))),
        Mistake("the likeliest word is taken",
                "You take the likeliest word of each row, whatever u says. That is greedy decoding; a sample takes "
                "each word as often as its probability says.",
                partial(_sample, pick=lambda p, u: p.argmax(axis=-1))),
        Mistake("one word too far",
                "All your words are one place too late in the vocabulary. Count the words whose cumulative sum has "
                "been passed: if none has, it is word 0.",
                partial(_sample, pick=lambda p, u: _first_above(p, u) + 1)),
        Mistake("one word too early",
                "All your words are one place too early in the vocabulary. The word is the first whose cumulative sum, "
                "its own probability included, is above u.",
                partial(_sample, pick=lambda p, u: _first_above(p, u) - 1)),
        Mistake("the probabilities are not summed up",
                "You compare each probability by itself with u. Lay the probabilities side by side on a line from 0 to "
                "1, and find in which of them u lies: that takes their running sum.",
                partial(_sample, pick=lambda p, u: (p <= u[:, None]).sum(axis=-1))),
        Mistake("one u for the whole batch",
                "All rows use the same random number. Each row has its own.",
                partial(_sample, pick=lambda p, u: _first_above(p, np.full_like(u, u[0])))),
        Mistake("the given u is not used",
                "You draw random numbers of your own. Then nobody can repeat your sample; u is an argument, and the "
                "same u has to give the same words.",
                partial(_sample, pick=lambda p, u: _first_above(p, np.random.default_rng(0).random(len(u))))),
        Mistake("softmax over the batch",
                "Your probabilities sum to 1 over the rows, not over the words. Each row is a guess of its own.",
                partial(_sample, probabilities=lambda z, T: _fractions(_exp(z / T, axis=0), axis=0),
                        pick=lambda p, u: np.minimum(_first_above(p, u), p.shape[1] - 1))),
        Mistake("exp overflows",
                "For ordinary logits you are right. For a logit of 1000, exp is infinite, and what comes out is no "
                "probability. A softmax does not change when the same number is subtracted from all logits of one row.",
                partial(_sample, probabilities=_overflows)),
        Mistake("one maximum for all rows",
                "You subtract the largest logit of the whole batch. A row whose own logits are all much smaller then "
                "has only zeros left after exp. Each row needs its own maximum.",
                partial(_sample, probabilities=_one_maximum))))

EXERCISES = (rnn_cell, rnn_sequence, loss, sampling)
