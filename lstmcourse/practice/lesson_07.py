"""Exercises 7.1 to 7.7: what an encoder-decoder needs around its networks."""

from functools import partial
from itertools import combinations

import numpy as np

from lstmcourse.layers import cross_entropy_backward, cross_entropy_forward, softmax
from lstmcourse.lstm import lstm_cell_forward
from lstmcourse.practice import lesson_01 as one
from lstmcourse.practice.exercise import Exercise, Mistake
from lstmcourse.practice.inputs import normal, padding, params, uniform
from lstmcourse.seq2seq import last_states

# 7.1 teacher forcing

def _shift_right(targets, bos):
    return np.concatenate([np.full((len(targets), 1), bos), targets[:, :-1]], axis=1)


def _shift_in_place(targets, bos):
    targets[:, 1:] = targets[:, :-1].copy()
    targets[:, 0] = bos
    return targets


def _first_replaced(targets, bos):
    return np.concatenate([np.full((len(targets), 1), bos), targets[:, 1:]], axis=1)


def _shift_left(targets, bos):
    return np.concatenate([targets[:, 1:], np.full((len(targets), 1), bos)], axis=1)


shift = Exercise(
    id="7.1", title="what the decoder is fed", lesson="07_encoder_decoder", points=1,
    onward="In training the decoder reads the reference; on its own it reads what it wrote: what happens after its "
           "first slip?",
    shortest="""return np.column_stack([np.full(len(targets), bos), targets[:, :-1]])""",
    function="shift_right", signature="(targets (B, T), bos) -> inputs (B, T)",
    cases=lambda rng: [(rng.integers(3, 30, size=(B, T)), bos) for B, T, bos in ((3, 5, 1), (2, 4, 2))],
    reference=_shift_right,
    mistakes=(
        Mistake("the decoder is fed the word it has to say",
                "Your inputs are the targets themselves. The decoder then only has to copy: the loss falls to nothing "
                "in training, but free-running, with nothing to copy, it writes garbage. At step t it may see "
                "the word *before* target t.", lambda targets, bos: targets.copy()),
        Mistake("shifted to the left",
                "At step t your decoder sees target t + 1, a word from the future. It may see the word before.",
                _shift_left),
        Mistake("the last word comes in front",
                "You roll the words round, so that the sentence begins with its own last word. The last target is "
                "never fed; the first input is bos, 'beginning of sentence'.",
                lambda targets, bos: np.roll(targets, 1, axis=1)),
        Mistake("rolled across the rows",
                "The first word of each sentence is the last word of the sentence above it: np.roll without an axis "
                "takes the whole batch for one long list. Each row is a sentence of its own.",
                lambda targets, bos: np.roll(targets, 1)),
        Mistake("the rows are shifted, not the words",
                "You shift along the first axis, which is the batch: every sentence is fed its neighbour. Time is the "
                "second axis.",
                lambda targets, bos: np.concatenate([np.full((1, targets.shape[1]), bos), targets[:-1]])),
        Mistake("one step too many",
                "bos is put in front and nothing is dropped, so there are T + 1 inputs for T targets. The last target "
                "is never fed: after it nothing more is predicted.",
                lambda targets, bos: np.concatenate([np.full((len(targets), 1), bos), targets], axis=1)),
        Mistake("no bos",
                "The last word is dropped, and nothing is put in front: there are T - 1 inputs for T targets. "
                "Something has to be fed before the first word is known.", lambda targets, bos: targets[:, :-1]),
        Mistake("the first word is replaced, and nothing is shifted",
                "bos is in place of the first word; all others are where they were, so that from the second step "
                "on the decoder is fed the word it has to say.", _first_replaced),
        Mistake("zeros in front in place of bos",
                "The words are shifted as they should be, but 0 is in front. The argument bos says which token "
                "begins a sentence.",
                lambda targets, bos: _shift_right(targets, 0)),
        Mistake("targets is changed in place",
                "Your numbers are right, but the caller's targets are overwritten, and the loss needs them. Make a "
                "new array.",
                _shift_in_place)))


# 7.2 the final state of sentences of unequal length.

AFTER_PADDING = (
    "the state after the padding",
    "You take the last step of the array. For a short sentence that is the state after many padding tokens, which is "
    "not what the sentence left behind. lengths says where each sentence ends.")
ONE_TOO_FAR = (
    "one step too far",
    "A sentence of 5 words has its words at 0 … 4: Python counts from 0, lengths from 1. For a sentence that fills "
    "its row your index points past the end.")
LENGTHS = (((2, 6, 4), 6, 5), ((4, 1), 5, 3), ((3, 1, 2, 4), 6, 5))              # lengths, T, H


last = Exercise(
    id="7.2", title="where each sentence ends", lesson="07_encoder_decoder", points=1,
    onward="One vector for the whole sentence: how long may a sentence be before something has to go? "
           "Lesson 07 measures it.",
    shortest="""return h[np.arange(len(h)), lengths - 1]""",
    function="last_states", signature="(h (B, T, H), lengths (B,)) -> last (B, H)",
    cases=lambda rng: [(normal(rng, len(lengths), T, H), np.array(lengths)) for lengths, T, H in LENGTHS],
    about=("", "no sentence fills its row", "no sentence fills its row"),
    reference=last_states,
    mistakes=(
        Mistake(*AFTER_PADDING, lambda h, lengths: h[:, -1]),
        Mistake("the length of the longest sentence for all",
                "You read every sentence where the longest one ends. Each has a length of its own.",
                lambda h, lengths: h[:, lengths.max() - 1]),
        Mistake(*ONE_TOO_FAR, lambda h, lengths: h[np.arange(len(h)), lengths],
                lambda h, lengths: h[np.arange(len(h)), np.minimum(lengths, h.shape[1] - 1)]),
        Mistake("the lengths pick sentences, not steps",
                "You use the lengths as indices of the first axis, which is the batch. Each sentence is to be read at "
                "a step of its own: two indices go together, the row and in it the step.",
                lambda h, lengths: h[lengths - 1]),
        Mistake("every sentence at every length",
                "Your result has an axis too many: for each sentence you take the states at the lengths of *all* "
                "sentences. Row b needs its own length only: the two indices, row and step, have to go in pairs.",
                lambda h, lengths: h[:, lengths - 1]),
        Mistake("all steps up to the end, added up",
                "You add up the states of the real words. The final state is one of them, the last: it has read the "
                "whole sentence already.",
                lambda h, lengths: (h * padding(lengths, h.shape[1])[..., None]).sum(axis=1)),
        Mistake("all steps up to the end, averaged",
                "You average the states of the real words. That is a sensible summary, used under the name of mean "
                "pooling; the final state is one of them, the last.",
                lambda h, lengths: (h * padding(lengths, h.shape[1])[..., None]).sum(axis=1) / lengths[:, None],
                convention=True)))


# 7.3 loss and gradient together

def _masked_loss(logits, targets, mask):
    loss, cache = cross_entropy_forward(logits, targets, mask)
    return loss, cross_entropy_backward(cache)


def _one_hot(targets, V):
    return (targets[..., None] == np.arange(V)).astype(float)


def _of_1_3(name, hint):
    """The first function of a mistake that 1.3 knows."""
    return next(mistake.functions[0] for mistake in one.loss.mistakes if mistake.name == name)


def _in_the_loss(known, *both):
    """A mistake of 1.3 in the loss alone; both: the same mistake in the gradient as well."""
    return Mistake(*known, *both, lambda x, y, m: (_of_1_3(*known)(x, y, m), _masked_loss(x, y, m)[1]))


def _gradient(dlogits):
    """The right loss with a wrong gradient: dlogits(p, one_hot, mask with a last axis)."""
    def run(logits, targets, mask):
        right = _masked_loss(logits, targets, mask)[0]
        return right, dlogits(softmax(logits), _one_hot(targets, logits.shape[-1]), mask[..., None])
    return run


def _real_only(logits, targets, mask):
    loss, dlogits = _masked_loss(logits, targets, mask)
    return loss, dlogits[mask]


def _naive(logits, targets, mask):
    p = one._naive_softmax(logits)
    return one._loss(one._log(p), targets, mask), (p - _one_hot(targets, p.shape[-1])) * mask[..., None] / mask.sum()


def _softmax_twice(logits, targets, mask):
    return _masked_loss(softmax(logits), targets, mask)


def _row_means(logits, targets, mask):
    each = mask.sum(axis=1)[:, None, None] * len(mask)
    loss = _of_1_3(*one.ROW_MEANS)(logits, targets, mask)
    return loss, (softmax(logits) - _one_hot(targets, logits.shape[-1])) * mask[..., None] / each


def _sums(logits, targets, mask):
    loss, dlogits = _masked_loss(logits, targets, mask)
    return loss * mask.sum(), dlogits * mask.sum()


def _means_with_padding(logits, targets, mask):
    loss, dlogits = _masked_loss(logits, targets, mask)
    return loss * mask.sum() / mask.size, dlogits * mask.sum() / mask.size


def _means_over_sentences(logits, targets, mask):
    loss, dlogits = _masked_loss(logits, targets, mask)
    return loss * mask.sum() / len(mask), dlogits * mask.sum() / len(mask)


masked_loss = Exercise(
    id="7.3", title="the loss and its gradient, with padding", lesson="07_encoder_decoder", points=2,
    part="loss",
    onward="The gradient is softmax minus one-hot: each wrong word is pushed down by as much probability "
           "as it was given.",
    shortest="""\
log_p = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
hot = targets[..., None] == np.arange(logits.shape[-1])
n = mask.sum()
return -log_p[hot & mask[..., None]].sum() / n, (np.exp(log_p) - hot) * mask[..., None] / n""",
    function="masked_loss", signature="(logits (B, T, V), targets (B, T), mask (B, T)) -> loss (), dlogits (B, T, V)",
    cases=one.cases_loss, about=one.ABOUT_LOSS, reference=_masked_loss,
    mistakes=(
        Mistake("the gradient is not divided by the number of tokens",
                "The loss is right; its gradient belongs to the sum, not to the mean. What the loss divides by, the "
                "gradient divides by too.", _gradient(lambda p, hot, m: (p - hot) * m)),
        Mistake("the gradient is divided by the sentences",
                "The loss is right; in the gradient you divide by the number of sentences. What the loss divides by, "
                "the real tokens, the gradient divides by too.", _gradient(lambda p, hot, m: (p - hot) * m / len(m))),
        Mistake("the gradient is divided by all positions",
                "The loss is right; in the gradient you divide by B times T, padding included. What the loss divides "
                "by, the gradient divides by too.", _gradient(lambda p, hot, m: (p - hot) * m / m.size)),
        Mistake("padding has a gradient",
                "The loss is right, but its gradient is not 0 at the padding. What is there does not enter the "
                "loss, so nothing may come back to it; otherwise the network learns to predict padding.",
                _gradient(lambda p, hot, m: (p - hot) / m.sum())),
        Mistake("the mask on the probabilities only",
                "At the padding a -1 is left in your gradient: the mask is put on the softmax and not on what is "
                "subtracted from it. It has to cover both.", _gradient(lambda p, hot, m: (p * m - hot) / m.sum())),
        Mistake("the gradient has the wrong sign",
                "The loss is right. Ask what happens to it when the logit of the right word grows: it falls, so the "
                "gradient there has to be negative.", _gradient(lambda p, hot, m: (hot - p) * m / m.sum())),
        Mistake("the target is not subtracted",
                "Your gradient is the softmax itself, positive for every word: each step would push all words down. "
                "The right word has to be pushed up: something is subtracted at the target.",
                _gradient(lambda p, hot, m: p * m / m.sum())),
        Mistake("the gradient with respect to the probabilities",
                "You have differentiated -log p by p, which is -1/p at the target. The logits come one step earlier: "
                "the gradient has to go back through the softmax as well. Both together become very simple.",
                _gradient(lambda p, hot, m: -hot / np.maximum(p, 1e-300) * m / m.sum())),
        Mistake("a gradient at the target only",
                "At the right word your gradient is right, and 0 everywhere else. In a softmax every logit moves every "
                "probability: the other words took some of the weight, and have a gradient too.",
                _gradient(lambda p, hot, m: hot * (p - 1) * m / m.sum())),
        Mistake("a gradient for the real tokens only",
                "Your gradient has a row for each real token and none for the padding. It needs the shape of the "
                "logits, with zeros at the padding.", _real_only),
        _in_the_loss(one.ALL_POSITIONS, _means_with_padding),
        _in_the_loss(one.SENTENCES, _means_over_sentences),
        _in_the_loss(one.NO_MASK, lambda x, y, m: _masked_loss(x, y, np.ones_like(m))),
        _in_the_loss(one.MASK_INVERTED, lambda x, y, m: _masked_loss(x, y, ~m)),
        Mistake(*one.ROW_MEANS, _row_means),
        _in_the_loss(one.SUM, _sums),
        Mistake(*one.SOFTMAX_TWICE, _softmax_twice),
        _in_the_loss(one.OVERFLOW, _naive), _in_the_loss(one.LOG_OF_ZERO), _in_the_loss(one.NO_MINUS)))


# 7.4 both directions

def _both_ends(h_forward, h_backward, lengths):
    return np.concatenate([last_states(h_forward, lengths), h_backward[:, 0]], axis=1)


BACKWARD_END = (
    "the backward network is read at the wrong end",
    "The backward network begins at the end of the sentence and is done at its first word: there it has read "
    "everything. You read it at the other end, where it has seen one word, or only padding.")

both_ends = Exercise(
    id="7.4", title="the final states of both directions", lesson="07_encoder_decoder", points=1,
    onward="Why does a decoder not read in both directions?",
    shortest="""return np.hstack([h_forward[np.arange(len(lengths)), lengths - 1], h_backward[:, 0]])""",
    function="both_ends", signature="(h_forward (B, T, H), h_backward (B, T, H), lengths (B,)) -> both (B, 2H)",
    cases=lambda rng: [(normal(rng, len(lengths), T, H), normal(rng, len(lengths), T, H), np.array(lengths))
                       for lengths, T, H in (((2, 7, 4), 7, 5), ((4, 1), 5, 3))],
    reference=_both_ends, about=("", "no sentence fills its row"),
    mistakes=(
        Mistake(*BACKWARD_END, lambda f, b, n: np.concatenate([last_states(f, n), b[:, -1]], axis=1),
                lambda f, b, n: np.concatenate([last_states(f, n), last_states(b, n)], axis=1)),
        Mistake("both directions at the last step of the array",
                "You take the last step of both. For the forward network that is after the padding of a short "
                "sentence; for the backward one it is where it begins. Ask for each: at which step has it just read "
                "the whole sentence?",
                lambda f, b, n: np.concatenate([f[:, -1], b[:, -1]], axis=1)),
        Mistake(AFTER_PADDING[0], "The backward half is right. In the forward half you take the last step of the "
                                  "array, which for a short sentence is the state after many padding tokens. lengths "
                                  "says where each sentence ends.",
                lambda f, b, n: np.concatenate([f[:, -1], b[:, 0]], axis=1)),
        Mistake("the backward half comes first",
                "Both halves are right, but swapped: the forward one comes first, as in PyTorch.",
                lambda f, b, n: np.concatenate([b[:, 0], last_states(f, n)], axis=1)),
        Mistake("one direction below the other",
                "Your result has 2B rows: the backward states are below the forward ones. They belong side by side, "
                "so that each sentence keeps one row, with twice as many numbers.",
                lambda f, b, n: np.concatenate([last_states(f, n), b[:, 0]])),
        Mistake("the two directions are added up",
                "You add the two states. They are put side by side, so that the next layer can tell one from the "
                "other.",
                lambda f, b, n: last_states(f, n) + b[:, 0])))


# 7.5 perplexity

def _perplexity(losses, tokens):
    return np.exp((losses * tokens).sum() / tokens.sum())


perplexity = Exercise(
    id="7.5", title="perplexity over several batches", lesson="07_encoder_decoder", points=1,
    onward="A perplexity of 10: as uncertain as a fair choice among ten words. Among how many does your "
           "model choose?",
    shortest="""return np.exp(np.average(losses, weights=tokens))""",
    function="perplexity", signature="(losses (N,), tokens (N,)) -> perplexity ()",
    cases=lambda rng: [(rng.uniform(0.5, 4, size=N), np.append(rng.integers(100, 400, size=N - 1), rng.integers(3, 9)))
                       for N in (4, 3)],
    reference=_perplexity,
    mistakes=(
        Mistake("the mean of the batches' means",
                "In your mean every batch counts the same, even the last one with its few words. Every *word* has to "
                "count the same: weight each batch by its number of tokens.",
                lambda losses, tokens: np.exp(losses.mean())),
        Mistake("the mean of the batches' perplexities",
                "You take exp of each batch's loss and then the mean. exp is curved, so a bad batch counts too much. "
                "First the mean loss per token over everything, then one exp.",
                lambda losses, tokens: np.exp(losses).mean()),
        Mistake("the mean of the batches' perplexities",
                "You take exp of each batch's loss and then the mean, weighted by tokens. exp is curved, so a bad "
                "batch counts too much. First the mean loss per token over everything, then one exp.",
                lambda losses, tokens: (np.exp(losses) * tokens).sum() / tokens.sum()),
        Mistake("2 to the power of a loss in nats",
                "2 to the power of the loss is right for a loss in bits. These are in nats: the base is e.",
                lambda losses, tokens: 2 ** ((losses * tokens).sum() / tokens.sum())),
        Mistake("the exp is missing",
                "This is the mean loss per token, in nats. Perplexity is exp of it: among how many words the model "
                "hesitates.",
                lambda losses, tokens: (losses * tokens).sum() / tokens.sum()),
        Mistake("divided by the number of batches",
                "You multiply each mean by its tokens, and so have the sum of all losses. Divide by what was counted "
                "in that sum: the tokens, not the batches.",
                lambda losses, tokens: np.exp((losses * tokens).sum() / len(tokens))),
        Mistake("the losses are added up as if they were sums",
                "You add the losses and divide by all tokens. But each is a *mean* over its batch already: to get the "
                "sum of a batch back, it has to be multiplied by the batch's tokens.",
                lambda losses, tokens: np.exp(losses.sum() / tokens.sum()))))

# 7.6 the batched greedy loop

DECODER = "params {embedding (V, E), W_ih (4H, E), W_hh (4H, H), b_ih (4H,), b_hh (4H,), W (V, H), b (V,)}"


def _greedy(h, c, params, bos, eos, most, ended=np.all, after=None, stop=True, feed=None, carry=(True, True),
            first=False):
    """The batched greedy loop, in which a part can be replaced by a wrong one."""
    start, word, done, tokens = (h, c), np.full(len(h), bos), np.zeros(len(h), bool), []
    while len(tokens) < most and not (stop and ended(done)):
        new = lstm_cell_forward(params["embedding"][word], h, c, params)[:2]
        h, c = (now if kept else old for now, old, kept in zip(new, start, carry, strict=True))
        best = (new[0] @ params["W"].T + params["b"]).argmax(axis=1)
        best = np.where(done, eos if after is None else after, best) if after != "words" else best
        done = done | (best == eos)
        tokens.append(best)
        word = best if feed is None else np.full(len(h), feed)
    tokens = np.stack(tokens, axis=1)
    return np.hstack([np.full((len(h), 1), bos), tokens]) if first else tokens


def _decoder(rng, B, V, E, H):
    """A decoder with large weights, and the states that it starts from."""
    weights = params(rng, 4, E, H)
    return uniform(rng, B, H), uniform(rng, B, H), {
        "embedding": 2 * normal(rng, V, E), **{name: 2 * value for name, value in weights.items()},
        "W": normal(rng, V, H), "b": uniform(rng, V)}


WRONG_LOOPS = {"words": {"after": "words"}, "any": {"ended": np.any}, "encoder": {"carry": (False, False)},
               "h": {"carry": (True, False)}, "c": {"carry": (False, True)}}


def lstm_step(x, states, params):
    """One step of an LSTM, for 7.6: x (B, E), states (h, c), each (B, H). Returns the new h and c."""
    h, c = states
    a = x @ params["W_ih"].T + params["b_ih"] + h @ params["W_hh"].T + params["b_hh"]
    i, f, g, o = np.split(a, 4, axis=1)
    i, f, o = ((np.tanh(gate / 2) + 1) / 2 for gate in (i, f, o))          # sigmoid
    c = f * c + i * np.tanh(g)
    return o * np.tanh(c), c


def _cases_greedy(rng):
    """Sentences that end one after the other; in the second batch one is cut at the most that may be written.

    Which word ends a sentence (never 0 or bos) is chosen afterwards, so that they do, and every wrong loop shows.
    """
    return [next(_batches_that_end(rng, *sizes)) for sizes in (((3, 11, 4, 5), 13, 0), ((4, 13, 5, 7), 9, 1))]


def _batches_that_end(rng, sizes, most, cut):
    while True:
        h, c, weights = _decoder(rng, *sizes)
        bos = int(rng.integers(sizes[1]))
        tokens = _greedy(h, c, weights, bos, -1, most)
        for eos in np.unique(tokens):
            ends = [list(row).index(eos) if eos in row else most for row in tokens]
            in_time = [end for end in ends if end < most - 1]
            if eos not in (0, bos) and min(ends) > 0 and len(set(in_time)) > 1 and len(in_time) == len(ends) - cut:
                case = h, c, weights, bos, int(eos), most
                results = [_greedy(*case, **wrong).tolist() for wrong in ({}, *WRONG_LOOPS.values())]
                if all(one != other for one, other in combinations(results, 2)):
                    yield case


greedy_batch = Exercise(
    id="7.6", title="many sentences are written at once", lesson="07_encoder_decoder", points=2, part="decoding",
    helpers=("practice.lesson_07.lstm_step",),
    onward="The rows that have ended are still computed at every step: what would it take to drop them from the batch?",
    shortest="""\
word, out = np.full(len(h), bos), []
while len(out) < most and (not out or (word != eos).any()):
    h, c = lstm_step(params["embedding"][word], (h, c), params)
    new = np.argmax(h @ params["W"].T + params["b"], axis=1)
    word = np.where(word == eos, eos, new) if out else new
    out.append(word)
return np.stack(out, axis=1)""",
    function="greedy_batch", signature=f"(h (B, H), c (B, H), {DECODER}, bos, eos, most) -> tokens (B, T)",
    cases=_cases_greedy, about=("", "one sentence never ends"), reference=_greedy,
    mistakes=(
        Mistake("a sentence goes on after its end",
                "A row that has written eos writes more words while it waits for the others. Remember which rows are "
                "done; from then on they write eos and nothing else.", partial(_greedy, **WRONG_LOOPS["words"])),
        Mistake("the loop stops with the first sentence that ends",
                "You stop as soon as one row has written eos, and cut the others off. The loop may stop when *all* "
                "have.", partial(_greedy, **WRONG_LOOPS["any"])),
        Mistake("the loop never stops early",
                "You always take as many steps as are allowed. When every row has written eos there is nothing left "
                "to write: the result then has fewer columns.", partial(_greedy, stop=False)),
        Mistake("bos is read at every step",
                "At each step your decoder reads bos again. Only its first input is bos; after that it reads the word "
                "that it has just written.", lambda h, c, params, bos, eos, most: _greedy(h, c, params, bos, eos, most,
                                                                                         feed=bos)),
        Mistake("every step starts from the encoder's state",
                "The decoder starts every step from the states that it was given, so it forgets what it has written. "
                "Each step starts from the states after the step before.", partial(_greedy, **WRONG_LOOPS["encoder"])),
        Mistake("only one of the two states is carried on",
                "One of h and c is carried from step to step, the other is the encoder's at every step. An LSTM has "
                "two states, and both go on.",
                partial(_greedy, **WRONG_LOOPS["h"]), partial(_greedy, **WRONG_LOOPS["c"])),
        Mistake("bos is part of what was written",
                "Your rows begin with bos. It is what the decoder reads first, not a word that it writes.",
                partial(_greedy, first=True)),
        Mistake("0 after the end",
                "Your words are right, and after a sentence's end you write 0, as padding. That is common; here the "
                "rest of the row is filled up with eos.", partial(_greedy, after=0), convention=True)))


# 7.7 beam search against greedy

def _beam(log_p, width, grow=lambda total, row: total[:, None] + row, order=lambda totals: np.argsort(-totals),
          each=False, row_of=lambda best, V: best // V, gain=lambda beam, greedy: beam - greedy):
    """Beam search and what it gains over greedy, in which a part can be replaced by a wrong one."""
    def search(width):
        V, words, totals = log_p.shape[1], np.zeros((1, 0), int), np.zeros(1)
        last = np.zeros(1, int)
        for step in log_p:
            found = grow(totals, step[last])
            if each and len(found) > 1:                    # every beginning keeps its own best word
                rows, best = np.arange(len(found)), found.argmax(axis=1)
            else:
                kept = order(found.ravel())[:width]
                rows, best = np.minimum(row_of(kept, V), len(found) - 1), kept % V
            words, totals, last = np.column_stack([words[rows], best]), found[rows, best], best
        k = order(totals)[0]
        return words[k], sum(step[v, w] for step, v, w in zip(log_p, [0, *words[k][:-1]], words[k], strict=True))
    (words, beam), (_, greedy) = search(width), search(1)
    return words, gain(beam, greedy)


def _cases_beam(rng):
    """Tables in which the beam gains something, and every wrong search finds another sentence."""
    found = []
    for T, V, width in ((9, 7, 3), (8, 6, 2), (7, 9, 4)):
        while True:
            logits = 0.7 * normal(rng, T, V, V)
            log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
            case = log_p, width
            right, gain = _beam(*case)
            wrong = [_beam(log_p, 1), *(_beam(*case, **changed) for changed in WRONG_BEAMS)]
            greedy, each, last_word, *_ = sentences = [tuple(words) for words, _ in wrong]
            told_apart = found or len({greedy, each, last_word}) == 3
            if gain > 0.05 and tuple(right) not in sentences and told_apart:
                break
        found.append(case)
    return found


WRONG_BEAMS = ({"each": True}, {"grow": lambda total, row: row}, {"order": np.argsort},
               {"row_of": lambda best, V: best % V}, {"grow": lambda total, row: total[:, None] * row})

beam_against_greedy = Exercise(
    id="7.7", title="beam search against greedy", lesson="07_encoder_decoder", points=2,
    onward="How wide does the beam have to be to find the likeliest sentence for certain, and what does that cost?",
    shortest="""\
def search(width):
    beams = [(0.0, [0])]
    for step in log_p:
        longer = [(p + q, [*words, w]) for p, words in beams for w, q in enumerate(step[words[-1]])]
        beams = sorted(longer, reverse=True)[:width]
    return beams[0]
(p, words), (q, _) = search(width), search(1)
return np.array(words[1:]), p - q""",
    function="beam_against_greedy", signature="(log_p (T, V, V), width) -> words (T,), gain ()",
    cases=_cases_beam, reference=_beam,
    mistakes=(
        Mistake("every beginning keeps its own best word",
                "Each of your beginnings goes on with its own best word, so none is ever dropped. All continuations of "
                "all beginnings compete for the places in the beam.", partial(_beam, **WRONG_BEAMS[0])),
        Mistake("only the last word counts",
                "You rank the beginnings by the probability of their last word alone. A sentence is as likely as all "
                "its words together: logarithms are added up.", partial(_beam, **WRONG_BEAMS[1])),
        Mistake("the least likely are kept",
                "Your beam keeps the beginnings with the smallest totals: np.argsort sorts from small to large.",
                partial(_beam, **WRONG_BEAMS[2])),
        Mistake("a word goes on from another beginning",
                "The totals are right, but a word is appended to a beginning that it does not belong to. If the totals "
                "are in one long row of beginnings times words, divide the index by V: the whole part is the "
                "beginning, and the remainder is the word.", partial(_beam, **WRONG_BEAMS[3])),
        Mistake("logarithms are multiplied",
                "You multiply logarithms of probabilities. Probabilities are multiplied; their logarithms are added.",
                partial(_beam, **WRONG_BEAMS[4])),
        Mistake("greedy, whatever the width",
                "Your beam is as wide as 1: it never comes back from a word that looked best at first.",
                lambda log_p, width: _beam(log_p, 1)),
        Mistake("the gain has the other sign",
                "The sentence is right. The gain is the logarithm of the beam's sentence minus that of the greedy "
                "one.",
                partial(_beam, gain=lambda beam, greedy: greedy - beam)),
        Mistake("the sentence's own logarithm is returned",
                "The sentence is right. The other thing asked for is how much likelier it is than the greedy one, as "
                "a difference of logarithms.", partial(_beam, gain=lambda beam, greedy: beam)),
        Mistake("the gain as a ratio of logarithms",
                "The sentence is right. A ratio of two probabilities is a *difference* of their logarithms.",
                partial(_beam, gain=lambda beam, greedy: beam / greedy))))

EXERCISES = (shift, last, masked_loss, both_ends, perplexity, greedy_batch, beam_against_greedy)
