"""Exercises 11.1 to 11.3: a packed batch, rows that go on, and an LSTM's weights from TensorFlow."""

from functools import partial

import numpy as np

from lstmcourse.practice.exercise import Exercise, Mistake
from lstmcourse.practice.inputs import normal, uniform

# 11.1 packing


def _pack(x, lengths, order=lambda lengths: np.argsort(-lengths, kind="stable"), continues=lambda length, t: length > t,
          sizes=lambda counts, lengths: counts):
    """The packed batch, in which a part can be replaced by a wrong one."""
    order = order(lengths)
    steps = [x[[b for b in order if continues(lengths[b], t)], t] for t in range(x.shape[1])]
    counts = np.array([len(step) for step in steps])
    return np.concatenate(steps), sizes(counts, lengths)


def _sentence_by_sentence(x, lengths):
    order = np.argsort(-lengths, kind="stable")
    return np.concatenate([x[b, :lengths[b]] for b in order]), _pack(x, lengths)[1]


def _cases_pack(rng):
    return [(normal(rng, B, T, D), np.array(lengths)) for T, D, lengths in
            ((7, 4, [3, 7, 5]), (9, 3, [2, 6, 1, 9, 4])) for B in (len(lengths),)]


packing = Exercise(
    id="11.1", title="a packed batch", lesson="11_at_work", points=2,
    function="pack", signature="(x (B, T, D), lengths (B,)) -> data (N, D), batch_sizes (T,)",
    cases=_cases_pack, reference=_pack,
    onward="Why does a recurrent layer want the batch in this order: what can it do with one slice of `data`?",
    shortest="""\
order = np.argsort(-lengths)
inside = np.arange(x.shape[1]) < lengths[order, None]
return x[order].swapaxes(0, 1)[inside.T], inside.sum(axis=0)""",
    mistakes=(
        Mistake("not sorted",
                "The rows of each step are the right ones, in the order of the batch. The longest sentence comes "
                "first: then those that are still running are always the first rows.",
                partial(_pack, order=lambda lengths: np.arange(len(lengths)))),
        Mistake("the shortest comes first",
                "Your sentences are sorted the other way round. When the short ones come first, those that are still "
                "running are not the first rows of the step before.",
                partial(_pack, order=lambda lengths: np.argsort(lengths, kind="stable"))),
        Mistake("sentence by sentence",
                "You put whole sentences one after the other. A recurrent layer takes one step of all sentences at a "
                "time: first every first word, then every second.", _sentence_by_sentence),
        Mistake("the sizes are the lengths",
                "You return how many words each sentence has. What is asked for is how many sentences each *step* has.",
                partial(_pack, sizes=lambda counts, lengths: np.resize(-np.sort(-lengths), len(counts)))),
        Mistake("the sizes are added up",
                "Your sizes are running totals, where each step begins or ends. Give the number of sentences of each "
                "step alone.", partial(_pack, sizes=lambda counts, lengths: np.cumsum(counts)))))


# 11.2 rows that go on

def _rows(tokens, B):
    return tokens[:len(tokens) // B * B].reshape(B, -1)


def _pieces(tokens, B, T, rows=_rows, step=lambda T: T, width=lambda T: T + 1):
    """Pieces of rows side by side, in which a part can be replaced by a wrong one."""
    rows = rows(tokens, B)
    return np.stack([rows[:, at:at + width(T)] for at in range(0, rows.shape[1] - width(T) + 1, step(T))])


def _one_after_the_other(tokens, B, T):
    pieces = np.stack([tokens[at:at + T + 1] for at in range(0, len(tokens) - T, T)])
    return pieces[:len(pieces) // B * B].reshape(-1, B, T + 1)


def _columns(tokens, B):
    """Every B-th token in one row."""
    return tokens[:len(tokens) // B * B].reshape(-1, B).T


def _cases_pieces(rng):
    return [(rng.permutation(N), B, T) for N, B, T in ((61, 3, 4), (97, 4, 5), (73, 2, 7))]


continued_rows = Exercise(
    id="11.2", title="rows that go on", lesson="11_at_work", points=2,
    function="pieces", signature="(tokens (N,), B, T) -> pieces (K, B, S)",
    cases=_cases_pieces, reference=_pieces,
    onward="With these pieces the state of row b may be handed on; what has to happen to it when the text begins "
           "again?",
    shortest="""\
rows = tokens[:len(tokens) // B * B].reshape(B, -1)
k = (rows.shape[1] - 1) // T
return np.stack([rows[:, i * T:i * T + T + 1] for i in range(k)])""",
    mistakes=(
        Mistake("the pieces of a batch follow one another",
                "In your batches row 1 goes on where row 0 ends. But the state of row 0 is handed to row 0 of the "
                "*next* batch, so that is where its text must go on.", _one_after_the_other),
        Mistake("every row takes each B-th token",
                "Your rows pick tokens that lie B apart, as if the text were dealt out like cards. Each row is one "
                "unbroken part of the text.", partial(_pieces, rows=_columns)),
        Mistake("a token is never the target",
                "Your pieces do not overlap, so the first token of each piece after the first is never predicted: "
                "only read. The last token of a piece, its last target, is the first one that the next piece reads.",
                partial(_pieces, step=lambda T: T + 1)),
        Mistake("the pieces overlap by more than one token",
                "Each of your pieces starts one token too early, so some tokens are predicted twice, from a state "
                "that has already read them.", partial(_pieces, step=lambda T: T - 1)),
        Mistake("no target for the last token",
                "Your pieces have T tokens. T are read and T are predicted, each one token later: that takes one more.",
                partial(_pieces, width=lambda T: T))))


# 11.3 weights from TensorFlow

def _from_tensorflow(kernel, bias, forget_bias, order=(0, 2, 1, 3), to_ih=lambda f: f, to_hh=lambda f: 0 * f,
                     added=(0, 1, 0, 0)):
    """The weights in PyTorch's order, in which a part can be replaced by a wrong one."""
    H = len(bias) // 4
    rows = np.concatenate([np.arange(4 * H).reshape(4, H)[block] for block in order])
    extra = forget_bias * np.repeat(np.array(added, float), H)
    W, b = kernel.T[rows], bias[rows]
    return {"W_ih": W[:, :-H].copy(), "W_hh": W[:, -H:].copy(), "b_ih": b + to_ih(extra), "b_hh": to_hh(extra)}


def _cases_tensorflow(rng):
    return [(uniform(rng, D + H, 4 * H), uniform(rng, 4 * H), forget_bias)
            for D, H, forget_bias in ((3, 5, 1.0), (6, 4, 2.5))]


from_tensorflow = Exercise(
    id="11.3", title="weights from TensorFlow", lesson="11_at_work", points=2,
    function="from_tensorflow",
    signature="(kernel (E, 4H), bias (4H,), forget_bias) -> "
              "params {W_ih (4H, D), W_hh (4H, H), b_ih (4H,), b_hh (4H,)}",
    cases=_cases_tensorflow, reference=_from_tensorflow,
    onward="How would you notice, without TensorFlow at hand, that weights were converted wrongly?",
    shortest="""\
H = len(bias) // 4
i, j, f, o = np.arange(4 * H).reshape(4, H)
rows = np.r_[i, f, j, o]
b = bias[rows] + np.repeat([0, forget_bias, 0, 0], H)
return {"W_ih": kernel[:-H, rows].T, "W_hh": kernel[-H:, rows].T, "b_ih": b, "b_hh": 0 * b}""",
    mistakes=(
        Mistake("the gates keep TensorFlow's order",
                "Your blocks are still i, j, f, o. PyTorch reads them as i, f, g, o, where g is TensorFlow's j: two "
                "blocks change places.", partial(_from_tensorflow, order=(0, 1, 2, 3), added=(0, 0, 1, 0))),
        Mistake("the forget bias is left out",
                "The order is right. But TensorFlow 1 adds a forget bias each time the cell runs, and it is not in the "
                "variable that was saved.", partial(_from_tensorflow, to_ih=lambda f: 0 * f)),
        Mistake("the forget bias is added to all gates",
                "You add it to every row. It belongs to the forget gate alone.",
                partial(_from_tensorflow, added=(1, 1, 1, 1))),
        Mistake("the forget bias is added to another gate",
                "You add it to the rows where TensorFlow has the forget gate. After the reordering other rows are the "
                "forget gate's.", partial(_from_tensorflow, added=(0, 0, 1, 0))),
        Mistake("the forget bias is added twice",
                "PyTorch adds its two biases. With the forget bias in both, it counts double.",
                partial(_from_tensorflow, to_hh=lambda f: f)),
        Mistake("the bias is in both vectors",
                "You give the same bias twice, and PyTorch adds the two. Put it into one of them and zeros into the "
                "other.", lambda kernel, bias, forget_bias: (
                    lambda p: p | {"b_hh": p["b_ih"].copy()})(_from_tensorflow(kernel, bias, forget_bias))),
        Mistake("f and g are exchanged in the biases only",
                "The matrices are in PyTorch's order, the bias in TensorFlow's. All three must be reordered alike.",
                lambda kernel, bias, forget_bias: _from_tensorflow(kernel, bias, forget_bias) | {
                    "b_ih": bias + forget_bias * np.repeat([0.0, 1.0, 0.0, 0.0], len(bias) // 4)})))


EXERCISES = (packing, continued_rows, from_tensorflow)
