"""Exercises 9.1 and 9.2: causal self-attention, and a minimal GRU without a loop over the steps."""

from functools import partial

import numpy as np

from lstmcourse.attention import dot_attention_forward
from lstmcourse.layers import softmax
from lstmcourse.min_rnn import parallel_scan, sequential_scan
from lstmcourse.practice.exercise import Exercise, Mistake
from lstmcourse.practice.inputs import normal, uniform

# 9.1 causal self-attention


def _self_attention(x, params):
    query, keys, values = (x @ params[name].T for name in ("W_q", "W_k", "W_v"))
    mask = np.broadcast_to(np.tril(np.ones((x.shape[1],) * 2, bool)), (len(x), *(x.shape[1],) * 2))
    return dot_attention_forward(query, keys, values, mask, scale=1 / np.sqrt(query.shape[2]))[0]


def _attend(x, params, weights=None, scale=lambda K, D, T: K ** -0.5, names=("W_q", "W_k", "W_v")):
    """The whole, with another weights(scores, earlier) or scale. earlier (T, T) is True on and below the diagonal."""
    query, keys, values = (x @ params[name].T for name in names)
    T, K = query.shape[1:]
    scores = query @ keys.swapaxes(1, 2) * scale(K, x.shape[2], T)
    earlier = np.tril(np.ones((T, T), bool))
    with np.errstate(all="ignore"):
        return (weights or _masked)(scores, earlier) @ values


def _wrong(weights=None, **parts):
    return partial(_attend, weights=weights, **parts) if weights else partial(_attend, **parts)


def _masked(scores, seen):
    return softmax(np.where(seen, scores, -np.inf))


def _nan_row(scores, earlier):
    return _masked(scores, earlier & ~np.eye(len(earlier), dtype=bool))


def _zero_row(scores, earlier):
    return np.nan_to_num(_nan_row(scores, earlier))


def _even_row(scores, earlier):
    return softmax(np.where(earlier & ~np.eye(len(earlier), dtype=bool), scores, -1e9))


NOT_ITSELF = ("a word may not look at itself",
              "Your mask leaves out the diagonal. A word may look at itself and at what came before; the first word "
              "has nothing else to look at.")

causal_self_attention = Exercise(
    id="9.1", title="causal self-attention", lesson="09_beyond", points=2,
    helpers=("layers.softmax",),
    part="attention",
    onward="Nothing here knows the order of the words but the mask: shuffle the words before the last, "
           "and what does its context say?",
    shortest="""\
q, k, v = (x @ params[name].T for name in ("W_q", "W_k", "W_v"))
e = q @ k.mT / np.sqrt(q.shape[-1])
e = np.tril(np.exp(e - e.max(-1, keepdims=True)))
return e / e.sum(-1, keepdims=True) @ v""",
    function="causal_self_attention",
    signature="(x (B, T, D), params {W_q (K, D), W_k (K, D), W_v (M, D)}) -> context (B, T, M)",
    cases=lambda rng: [(1.5 * normal(rng, B, T, D),
                        {"W_q": uniform(rng, K, D), "W_k": uniform(rng, K, D), "W_v": uniform(rng, M, D)})
                       for B, T, D, K, M in ((2, 4, 5, 3, 6), (3, 7, 4, 5, 2))],
    reference=_self_attention,
    mistakes=(
        Mistake("no mask",
                "Every word looks at all words, also at those after it. A network that is to guess the next word "
                "would be shown the answer.", _wrong(lambda s, m: softmax(s))),
        Mistake("the mask is turned round",
                "Your words look at themselves and at what comes *after*. Only what came before may be seen.",
                _wrong(lambda s, m: _masked(s, m.T))),
        Mistake("the mask is one position too wide",
                "Every word sees one word ahead of it, the very one that is to be guessed. Nothing after the diagonal "
                "may be looked at.", _wrong(lambda s, m: _masked(s, m | np.eye(len(m), k=1, dtype=bool)))),
        Mistake(*NOT_ITSELF, _wrong(_nan_row)),
        Mistake(*NOT_ITSELF, _wrong(_zero_row)),
        Mistake(NOT_ITSELF[0],
                "Your mask leaves out the diagonal: a word may look at itself and at what came before. The first word "
                "then has nothing to look at, and since the very negative numbers in its row are all equal, it looks "
                "at the whole future alike.", _wrong(_even_row)),
        Mistake("the mask after the softmax, without dividing again",
                "The future gets no weight, but the rest does not add up to 1: what the future had taken is lost. It "
                "has to be out before the sum is taken.", _wrong(lambda s, m: softmax(s) * m)),
        Mistake("masked scores are set to 0",
                "A score of 0 is not 'do not look': exp of 0 is 1, an ordinary weight. Which score has the weight 0?",
                _wrong(lambda s, m: softmax(s * m))),
        Mistake("softmax over the words that ask",
                "Your weights add up to 1 over the words that ask. It is the words that are *looked at* that compete: "
                "the last axis.",
                _wrong(lambda s, m: _masked(s.swapaxes(1, 2), m.T).swapaxes(1, 2))),
        Mistake("not scaled",
                "The dot products are used as they are. They grow with the width of the queries; divide by the root "
                "of it.", _wrong(scale=lambda K, D, T: 1.0)),
        Mistake("divided by the width, not by its root",
                "You divide by K. A sum of K random products grows like the *root* of K.",
                _wrong(scale=lambda K, D, T: 1 / K)),
        Mistake("scaled by the width of the words",
                "You divide by the root of D, the width of a word. What is added up in a dot product are the K "
                "numbers of a query.", _wrong(scale=lambda K, D, T: D ** -0.5)),
        Mistake("scaled by the length of the sentence",
                "You divide by the root of T, the number of words. What is added up in a dot product are the K "
                "numbers of a query.", _wrong(scale=lambda K, D, T: T ** -0.5)),
        Mistake("query and key are exchanged",
                "Who asks and who answers are exchanged: row t belongs to the word that asks, so it needs the *query* "
                "of word t.", _wrong(names=("W_k", "W_q", "W_v"))),
        Mistake("the words themselves are handed over",
                "You average the words x. What is handed over are the values, the words times W_v.",
                lambda x, p: _wrong(names=("W_q", "W_k", "I"))(x, p | {"I": np.eye(x.shape[2])})),
        Mistake("the scores are not made into weights",
                "Your weights are the raw scores: they can be negative and do not add up to 1. The softmax is missing.",
                _wrong(lambda s, m: np.where(m, s, 0)))))


# 9.2 the minimal GRU as a scan

def _cases_scan(rng):
    short = [(uniform(rng, B, T, H) / 2 + 0.5, normal(rng, B, T, H), normal(rng, B, H))
             for B, T, H in ((2, 5, 3), (3, 8, 4), (2, 13, 5))]
    return [*short, (uniform(rng, 2, 900, 3) / 4 + 0.25, normal(rng, 2, 900, 3), normal(rng, 2, 3))]


def _closed_form(z, n, h_0):
    with np.errstate(all="ignore"):
        product = np.cumprod(z, axis=1)
        return product * (h_0[:, None] + np.cumsum((1 - z) * n / product, axis=1))


def _rounds(z, n, h_0, most=None, grow=True, keep_first=False, further=lambda reach: 2 * reach):
    """The doubling, with a part left out."""
    keep, new = z.copy(), (1 - z) * n
    new[:, 0] += keep[:, 0] * h_0
    reach = rounds = 1
    while reach < z.shape[1] and (most is None or rounds <= most):
        before = keep.copy()
        if grow:
            keep[:, reach:] = before[:, reach:] * before[:, :-reach]
        new[:, reach:] = (keep if keep_first else before)[:, reach:] * new[:, :-reach] + new[:, reach:]
        reach, rounds = further(reach), rounds + 1
    return new


def _all_rounds_but_one(z, n, h_0):
    return _rounds(z, n, h_0, int(np.ceil(np.log2(z.shape[1]))) - 1)


def _joined_first_h_0_last(z, n, h_0):
    """The same slip with h_0 brought in at the end."""
    keep, new, reach = z.copy(), (1 - z) * n, 1
    while reach < z.shape[1]:
        keep[:, reach:] = keep[:, reach:] * keep[:, :-reach]
        new[:, reach:] = keep[:, reach:] * new[:, :-reach] + new[:, reach:]
        reach *= 2
    return keep * h_0[:, None] + new


def _in_batch_order(z, n, h_0):
    new = (1 - z) * n
    h = new.copy()
    for b in range(1, len(h)):
        h[b] = z[b] * h[b - 1] + new[b]
    return h


min_gru_scan = Exercise(
    id="9.2", title="a minimal GRU without waiting", lesson="09_beyond", points=2,
    onward="The scan works because the gates do not look at the state: what does such a GRU give up for "
           "it?",
    shortest="""\
keep, new, reach = z.copy(), (1 - z) * n, 1
while reach < z.shape[1]:
    new[:, reach:] += keep[:, reach:] * new[:, :-reach].copy()
    keep[:, reach:] *= keep[:, :-reach].copy()
    reach *= 2
return new + keep * h_0[:, None]""",
    function="min_gru_scan", signature="(z (B, T, H), n (B, T, H), h_0 (B, H)) -> h (B, T, H)",
    cases=_cases_scan, about=("", "", "", "900 steps, most of what stood there is forgotten at each"),
    reference=lambda z, n, h_0: parallel_scan(z, (1 - z) * n, h_0),
    mistakes=(
        Mistake("z and 1 - z are exchanged",
                "In your function z says how much is *written*. That is how the paper has it; in this course, as in "
                "PyTorch's GRU, z says how much of the old state is kept.",
                lambda z, n, h_0: sequential_scan(1 - z, z * n, h_0), convention=True),
        Mistake("h_0 is left out",
                "Your sequence starts from zeros. The first step keeps z of h_0.",
                lambda z, n, h_0: sequential_scan(z, (1 - z) * n, np.zeros_like(h_0))),
        Mistake("h_0 is added whole",
                "You add all of h_0 to the first step. Like every state before it, the first step keeps only z of it.",
                lambda z, n, h_0: sequential_scan(z, np.concatenate(
                    [((1 - z) * n)[:, :1] + ((1 - z[:, 0]) * h_0)[:, None], ((1 - z) * n)[:, 1:]], axis=1), h_0)),
        Mistake("the candidate is written whole",
                "You add all of n at every step. Written is what the gate leaves room for: 1 - z of it.",
                lambda z, n, h_0: sequential_scan(z, n, h_0)),
        Mistake("the old state is kept whole",
                "You add to the old state without taking anything away: what is kept of it is z.",
                lambda z, n, h_0: h_0[:, None] + np.cumsum((1 - z) * n, axis=1)),
        Mistake("the product of all gates underflows",
                "For short sequences you are right. In a long one the product of all gates becomes 0, and what is "
                "divided by it infinite or NaN. Do without a division: join neighbouring steps, then pairs of steps.",
                _closed_form),
        Mistake("only one round",
                "Each of your steps has taken in the one before it, and nothing earlier. After the first round, go "
                "on with twice the reach until the first step is reached.", lambda z, n, h_0: _rounds(z, n, h_0, 1)),
        *(Mistake("one round too few",
                  "Short sequences may be right; in a long one the last steps have not taken in the first. The reach "
                  "doubles with each round, and it goes on until the reach is as long as the sequence.", wrong)
          for wrong in (_all_rounds_but_one, lambda z, n, h_0: _rounds(z, n, h_0, int(np.log2(z.shape[1]))))),
        Mistake("the reach grows by 1",
                "In each round you look one step further back than before. But what is joined reaches twice as far "
                "after each round, and the next round has to begin where it ends: the reach doubles.",
                lambda z, n, h_0: _rounds(z, n, h_0, further=lambda reach: reach + 1)),
        Mistake("what is kept does not grow with the reach",
                "In each round you use the gates of single steps. Two steps in a row keep the product of both gates; "
                "that product is what the next round needs.", lambda z, n, h_0: _rounds(z, n, h_0, grow=False)),
        Mistake("the gates are joined before they are used",
                "You join the gates first and then use them in the same round. The new part still needs the gates "
                "from before the round.", lambda z, n, h_0: _rounds(z, n, h_0, keep_first=True)),
        Mistake("the gates are joined before they are used",
                "You join the gates first and then use them in the same round. The new part still needs the gates "
                "from before the round.", _joined_first_h_0_last),
        Mistake("along the batch",
                "Your recursion runs over the sentences of the batch, which have nothing to do with each other. It is "
                "the steps of one sentence that follow each other: axis 1.", _in_batch_order),
        Mistake("every step starts from h_0",
                "Each of your steps keeps a part of h_0, the very first state. It should keep a part of the state "
                "just before it.", lambda z, n, h_0: z * h_0[:, None] + (1 - z) * n)))


EXERCISES = (causal_self_attention, min_gru_scan)
