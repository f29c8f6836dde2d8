"""Exercises 9.1 to 9.4: causal self-attention, a scan that tracks a bit, rotary positions, grouped heads."""

from functools import partial

import numpy as np

from lstmcourse.attention import dot_attention_forward
from lstmcourse.layers import softmax
from lstmcourse.min_rnn import sequential_scan
from lstmcourse.practice.exercise import Exercise, Mistake
from lstmcourse.practice.inputs import normal, uniform

# 9.1 causal self-attention


def _self_attention(x, params):
    query, keys, values = (x @ params[name].T for name in ("W_q", "W_k", "W_v"))
    mask = np.broadcast_to(np.tril(np.ones((x.shape[1],) * 2, bool)), (len(x), *(x.shape[1],) * 2))
    return dot_attention_forward(query, keys, values, mask, scale=1 / np.sqrt(query.shape[2]))[0]


def _attend(x, params, weights=None, scale=lambda d, D, T: d ** -0.5, names=("W_q", "W_k", "W_v")):
    """The whole, with another weights(scores, earlier) or scale. earlier (T, T) is True on and below the diagonal."""
    query, keys, values = (x @ params[name].T for name in names)
    T, d = query.shape[1:]
    scores = query @ keys.swapaxes(1, 2) * scale(d, x.shape[2], T)
    earlier = np.tril(np.ones((T, T), bool))
    with np.errstate(all="ignore"):
        return (weights or _masked)(scores, earlier) @ values


def _wrong(weights=None, **parts):
    return partial(_attend, weights=weights, **parts) if weights else partial(_attend, **parts)


def _masked(scores, mask):
    return softmax(np.where(mask, scores, -np.inf))


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
    signature="(x (B, T, D), params {W_q (d, D), W_k (d, D), W_v (M, D)}) -> context (B, T, M)",
    cases=lambda rng: [(1.5 * normal(rng, B, T, D),
                        {"W_q": uniform(rng, d, D), "W_k": uniform(rng, d, D), "W_v": uniform(rng, M, D)})
                       for B, T, D, d, M in ((2, 4, 5, 3, 6), (3, 7, 4, 5, 2))],
    reference=_self_attention,
    mistakes=(
        Mistake("no mask",
                "Every word looks at all words, also at those after it. A network that has to guess the next word "
                "would be shown the answer.", _wrong(lambda s, m: softmax(s))),
        Mistake("the mask is inverted",
                "Your words look at themselves and at what comes *after*. Only what came before may be seen.",
                _wrong(lambda s, m: _masked(s, m.T))),
        Mistake("the mask is one position too wide",
                "Every word sees one word ahead of it, the very one that it has to guess. Nothing after the diagonal "
                "may be looked at.", _wrong(lambda s, m: _masked(s, m | np.eye(len(m), k=1, dtype=bool)))),
        Mistake(*NOT_ITSELF, _wrong(_nan_row), _wrong(_zero_row)),
        Mistake(NOT_ITSELF[0],
                "Your mask leaves out the diagonal: a word may look at itself and at what came before. The first word "
                "then has nothing to look at, and since the very negative numbers in its row are all equal, it looks "
                "at the whole future equally.", _wrong(_even_row)),
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
                "of it.", _wrong(scale=lambda d, D, T: 1.0)),
        Mistake("divided by the width, not by its root",
                "You divide by d. A sum of d random products grows like the *root* of d.",
                _wrong(scale=lambda d, D, T: 1 / d)),
        Mistake("scaled by the width of the words",
                "You divide by the root of D, the width of a word. A dot product adds up the d numbers of a "
                "query.", _wrong(scale=lambda d, D, T: D ** -0.5)),
        Mistake("scaled by the length of the sentence",
                "You divide by the root of T, the number of words. A dot product adds up the d numbers of a "
                "query.", _wrong(scale=lambda d, D, T: T ** -0.5)),
        Mistake("query and key are exchanged",
                "Who asks and who answers are exchanged: row t belongs to the word that asks, so it needs the *query* "
                "of word t.", _wrong(names=("W_k", "W_q", "W_v"))),
        Mistake("the words themselves are passed on",
                "You average the words x. What is passed on are the values, the words times W_v.",
                lambda x, p: _wrong(names=("W_q", "W_k", "I"))(x, p | {"I": np.eye(x.shape[2])})),
        Mistake("the scores are not made into weights",
                "Your weights are the raw scores: they can be negative and do not add up to 1. The softmax is missing.",
                _wrong(lambda s, m: np.where(m, s, 0)))))


# 9.2 a scan that tracks a bit

LEAVE, FLIP, SET_1, SET_MINUS_1 = range(4)                  # what a token tells the bit to do


def _one_after_the_other(keep, new):
    """What a whole row of steps keeps and adds: (B,), (B,)."""
    zero = np.zeros(len(keep))
    return np.prod(keep, axis=1), sequential_scan(keep[..., None], new[..., None], zero[:, None])[:, -1, 0]


def _track(tokens, keeps=(1, -1, 0, 0), news=(0, 0, 1, -1), whole=_one_after_the_other):
    """The whole, with other numbers for the four commands or another way to put the steps together."""
    keep, new = np.array(keeps, float)[tokens], np.array(news, float)[tokens]
    return keep, new, *whole(keep, new)


def _wrong_track(**parts):
    return partial(_track, **parts)


def _backwards(keep, new):
    return _one_after_the_other(keep[:, ::-1], new[:, ::-1])


def _commands(rng, B, T):
    """Random commands. The last set of a row comes early, at the very start, late, or not at all."""
    tokens = rng.integers(4, size=(B, T))
    tokens[0, -4:] = [SET_MINUS_1, FLIP, FLIP, FLIP]
    tokens[1:] = rng.integers(2, size=(B - 1, T))           # leave or flip
    tokens[1, :2] = [SET_1, FLIP]
    tokens[2:-1, 2:5] = [SET_1, FLIP, LEAVE]
    tokens[-1, 0], tokens[-1, -1] = FLIP, LEAVE
    return tokens


def _told_apart(rng, B, T):
    """Commands that come to something else when they are read backwards."""
    while True:
        tokens = _commands(rng, B, T)
        if any((a != b).any() for a, b in zip(_track(tokens), _track(tokens, whole=_backwards), strict=True)):
            return tokens


track = Exercise(
    id="9.2", title="a scan that tracks a bit", lesson="09_beyond", points=2,
    onward="Whatever the sequence, the whole of it is one of the four commands again: that is why a scan can track it. "
           "Which part of a minimal GRU stands in the way, and would a tanh in its place do?",
    shortest="""\
keep, new = np.array([[1, -1, 0, 0], [0, 0, 1, -1]], float)[:, tokens]
a, b = 1.0, 0.0
for k, n in zip(keep.T, new.T):
    a, b = k * a, k * b + n
return keep, new, a, b""",
    function="track",
    signature="(tokens (B, T)) -> keep (B, T), new (B, T), keep_all (B,), new_all (B,)",
    cases=lambda rng: [(_told_apart(rng, B, T),) for B, T in ((4, 7), (5, 10))],
    reference=_track,
    mistakes=(
        Mistake("the state is 0 or 1",
                "Your numbers are right for a bit that is 0 or 1, where a flip is 1 minus the state. Here the bit is 1 "
                "or -1.", _wrong_track(keeps=(1, -1, 0, 0), news=(0, 1, 1, 0)), convention=True),
        Mistake("a flip writes a fixed value",
                "Your flip forgets the state and writes -1, whatever the bit was. What turns 1 into -1 *and* -1 into "
                "1? Nothing has to be added.", _wrong_track(keeps=(1, 0, 0, 0), news=(0, -1, 1, -1))),
        Mistake("a flip only erases",
                "Your flip keeps nothing, so after it the bit is 0: neither 1 nor -1. A sigmoid could do no better, "
                "but here what is kept may lie below 0.", _wrong_track(keeps=(1, 0, 0, 0))),
        Mistake("a flip takes 2 away",
                "Your flip adds -2 to what is there. That turns 1 into -1, but -1 into -3.",
                _wrong_track(keeps=(1, 1, 0, 0), news=(0, -2, 1, -1))),
        Mistake("a set adds to what is there",
                "Your two sets keep the old bit and add to it. A set must forget first.",
                _wrong_track(keeps=(1, -1, 1, 1))),
        Mistake("set to -1 is taken for a flip",
                "Your last command flips the bit. Set to -1 it should be -1 in the end, also if it was -1 before.",
                _wrong_track(keeps=(1, -1, 0, -1), news=(0, 0, 1, 0))),
        Mistake("to leave it alone forgets it",
                "Where the bit should be left alone, your step keeps nothing of it. What has to be kept, so that "
                "nothing changes?", _wrong_track(keeps=(0, -1, 0, 0))),
        Mistake("what is new is only added up",
                "Every step is right; put together they are not. What an early step wrote is flipped or forgotten by "
                "the later ones, so it cannot just be added.",
                _wrong_track(whole=lambda keep, new: (np.prod(keep, axis=1), new.sum(axis=1)))),
        Mistake("the steps are put together backwards",
                "Every step is right; put together they run from the last to the first. The later step keeps a part of "
                "what the earlier one has made, not the other way round.", _wrong_track(whole=_backwards)),
        Mistake("only the last step",
                "Every step is right. But your last two results are those of the last step alone; they should do what "
                "all steps do, one after the other.",
                _wrong_track(whole=lambda keep, new: (keep[:, -1], new[:, -1]))),
        Mistake("the last state in place of what is new",
                "Your last result is the state at the end, from a first bit of 1. It should be what is added whatever "
                "the first bit was: 0, unless some step sets the bit.",
                _wrong_track(whole=lambda keep, new: (lambda a, b: (a, a + b))(*_one_after_the_other(keep, new)))),
        Mistake("what is kept is averaged",
                "You average what the steps keep. Two flips in a row leave the bit as it was: what two steps keep is a "
                "product.", _wrong_track(whole=lambda keep, new: (
                    keep.mean(axis=1), _one_after_the_other(keep, new)[1])))))


# 9.3 rotary positions

def _rotate(q, angles=lambda B, T, d: np.arange(T)[:, None] / 10000 ** (np.arange(0, d, 2) / d), turn=None):
    """The whole, with other angles (T, d / 2) or another turn(a, b, cos, sin)."""
    angle = angles(*q.shape)
    a, b, cos, sin = q[..., 0::2], q[..., 1::2], np.cos(angle), np.sin(angle)
    y = np.empty(q.shape)
    y[..., 0::2], y[..., 1::2] = (turn or _turned)(a, b, cos, sin)
    return y


def _turned(a, b, cos, sin):
    return a * cos - b * sin, a * sin + b * cos


def _overwritten(a, b, cos, sin):
    a = a * cos - b * sin
    return a, a * sin + b * cos


def _in_halves(q):
    d = q.shape[2]
    order = np.arange(d).reshape(2, d // 2).T.ravel()       # a half's j-th number beside the other's
    y = np.empty(q.shape)
    y[..., order] = _rotate(q[..., order])
    return y


def _wrong_turn(turn=None, **parts):
    return partial(_rotate, turn=turn, **parts) if turn else partial(_rotate, **parts)


def _exponent(share):
    return lambda B, T, d: np.arange(T)[:, None] / 10000 ** (np.arange(0, d, 2) * share(d))


rotary = Exercise(
    id="9.3", title="positions that turn", lesson="09_beyond", points=2,
    onward="Turn a query and a key, both moved on by ten words: their dot product has not changed. Only the distance "
           "counts, and most of today's language models use this.",
    shortest="""\
B, T, d = q.shape
angle = np.arange(T)[:, None] / 10000 ** (np.arange(0, d, 2) / d)
return (q.view(complex) * np.exp(1j * angle)).view(float)""",
    function="rotate", signature="(q (B, T, d)) -> turned (B, T, d)",
    cases=lambda rng: [(normal(rng, B, T, d),) for B, T, d in ((2, 5, 6), (3, 7, 4), (2, 12, 8))],
    reference=_rotate,
    mistakes=(
        Mistake("turned the other way",
                "You turn clockwise. If queries and keys both do so, their products are the same; here the turn is "
                "counter-clockwise, as in the equations.",
                _wrong_turn(lambda a, b, cos, sin: _turned(a, b, cos, -sin)), convention=True),
        Mistake("pairs across two halves",
                "Your pairs are made of a number of the first half and one of the second, as some libraries do. Here "
                "neighbours make a pair.", _in_halves, convention=True),
        Mistake("positions start at 1",
                "Your first word is turned, too. The distances are right, but here the first position is 0.",
                _wrong_turn(angles=lambda B, T, d: np.arange(1, T + 1)[:, None] / 10000 ** (np.arange(0, d, 2) / d)),
                convention=True),
        Mistake("added, not turned",
                "You add the sines and cosines to the query, as lesson 09 does with a word. Here nothing is added: "
                "each pair is turned, and its length stays.",
                _wrong_turn(lambda a, b, cos, sin: (a + sin, b + cos))),
        Mistake("a mirror in place of a turn",
                "One of the two sines has the wrong sign: at angle 0 your second numbers change sign. A turn by 0 "
                "changes nothing.", _wrong_turn(lambda a, b, cos, sin: (a * cos + b * sin, a * sin - b * cos))),
        Mistake("no minus sign",
                "Both sines are added, so the lengths of the pairs change. In a turn one of the two is subtracted.",
                _wrong_turn(lambda a, b, cos, sin: (a * cos + b * sin, a * sin + b * cos))),
        Mistake("the two are only scaled",
                "You multiply one number of a pair by the cosine and the other by the sine. In a turn each of the two "
                "gets something of the other.", _wrong_turn(lambda a, b, cos, sin: (a * cos, b * sin))),
        Mistake("the first number is overwritten too early",
                "Your second number is made from the first one *after* it was turned. Both come from the pair as it "
                "was.",
                _wrong_turn(_overwritten)),
        Mistake("every pair at the same speed",
                "Every pair turns by one radian a word. The first one does; each later pair is slower.",
                _wrong_turn(angles=lambda B, T, d: np.arange(T)[:, None] * np.ones(d // 2))),
        Mistake("the speeds fall too slowly",
                "Your exponents are half as large as they should be: it is the number's place over d, and the places "
                "of the pairs are 0, 2, 4 and so on.", _wrong_turn(angles=_exponent(lambda d: 0.5 / d))),
        Mistake("the speeds fall too fast",
                "Your exponents are twice as large as they should be: with pairs at the places 0, 2, 4 and so on, it "
                "is the place over d, not over half of it.", _wrong_turn(angles=_exponent(lambda d: 2 / d))),
        Mistake("later pairs turn faster",
                "Your later pairs turn faster. The large number belongs below the position: the speeds fall.",
                _wrong_turn(angles=lambda B, T, d: np.arange(T)[:, None] * 10000 ** (np.arange(0, d, 2) / d))),
        Mistake("the angle in turns, not in radians",
                "You multiply the angles by 2π. They are radians already: the first pair turns by 1 a word.",
                _wrong_turn(angles=lambda B, T, d: 2 * np.pi * np.arange(T)[:, None] / 10000 ** (
                    np.arange(0, d, 2) / d))),
        Mistake("the sentence decides, not the word",
                "Your angle grows from one sentence of the batch to the next. It is the position in the sentence that "
                "counts: axis 1.",
                _wrong_turn(angles=lambda B, T, d: np.arange(B)[:, None, None] / 10000 ** (np.arange(0, d, 2) / d)))))


# 9.4 heads that share their keys and values

def _heads_of(a, d):
    """(B, T, heads * d) -> (B, heads, T, d)."""
    return a.reshape(*a.shape[:2], -1, d).swapaxes(1, 2)


def _shared(k, heads):
    """Each key and value head (B, heads_kv, T, d) as often as there are queries for it, side by side."""
    return np.repeat(k, heads // k.shape[1], axis=1)


def _in_order(context):
    return context.swapaxes(1, 2).reshape(len(context), context.shape[2], -1)


def _grouped(q, k, v, heads, cut=_heads_of, share=_shared, weights=None, join=_in_order, width=lambda d, E: d):
    """The whole, with a part replaced. The softmax runs over all heads at once, as batch rows."""
    d = q.shape[2] // heads
    query, keys, values = cut(q, d), share(cut(k, d), heads), share(cut(v, d), heads)
    scores = query @ keys.swapaxes(2, 3) / np.sqrt(width(d, q.shape[2]))
    return join((weights or _masked)(scores, np.tri(q.shape[1], dtype=bool)) @ values)


def _wrong_heads(**parts):
    return partial(_grouped, **parts)


def _by_the_library(q, k, v, heads):
    d, (B, T, _) = q.shape[2] // heads, q.shape
    query, keys, values = (_shared(_heads_of(a, d), heads).reshape(B * heads, T, d) for a in (q, k, v))
    context = dot_attention_forward(query, keys, values, np.tri(T, dtype=bool)[None], scale=1 / np.sqrt(d))[0]
    return _in_order(context.reshape(B, heads, T, d))


grouped_heads = Exercise(
    id="9.4", title="heads that share", lesson="09_beyond", points=2,
    helpers=("layers.softmax",),
    onward="Count what has to be kept for each word now, against one key and one value for each head: that is why "
           "large language models that write long texts do it.",
    shortest="""\
B, T, E = q.shape
d = E // heads
q = q.reshape(B, T, -1, heads * d // k.shape[2], d)                # (B, T, key heads, sharers, d)
k, v = (a.reshape(B, T, -1, d) for a in (k, v))
e = np.einsum("btgnd,bsgd->bgnts", q, k) / np.sqrt(d)
alpha = softmax(np.where(np.tri(T, dtype=bool), e, -np.inf))
return np.einsum("bgnts,bsgd->btgnd", alpha, v).reshape(B, T, E)""",
    function="grouped_attention",
    signature="(q (B, T, E), k (B, T, G), v (B, T, G), heads) -> context (B, T, E)",
    cases=lambda rng: [(1.5 * normal(rng, B, T, E), 1.5 * normal(rng, B, T, G), normal(rng, B, T, G), heads)
                       for B, T, E, G, heads in ((3, 5, 12, 6, 4), (2, 7, 18, 6, 6), (3, 5, 8, 4, 2))],
    about=("4 heads, 2 keys and values", "6 heads, 2 keys and values", "2 heads, 1 key and value: all share it"),
    reference=_by_the_library,
    mistakes=(
        Mistake("no mask",
                "Every word looks at all words, also at those after it. Only itself and what came before may be seen.",
                _wrong_heads(weights=lambda s, m: softmax(s))),
        Mistake("the mask is inverted",
                "Your words look at themselves and at what comes *after*. Only what came before may be seen.",
                _wrong_heads(weights=lambda s, m: _masked(s, m.T))),
        Mistake("softmax over the words that ask",
                "Your weights add up to 1 over the words that ask. It is the words that are *looked at* that compete: "
                "the last axis.",
                _wrong_heads(weights=lambda s, m: _masked(s.swapaxes(2, 3), m.T).swapaxes(2, 3))),
        Mistake("the keys are dealt out in turn",
                "Your heads take the keys in turn: the first, the second, the first again. Heads that share a key "
                "are neighbours: the first few heads use the first key.",
                _wrong_heads(share=lambda k, heads: np.tile(k, (1, heads // k.shape[1], 1, 1)))),
        Mistake("all heads share the first key",
                "All of your heads use the first key and value. That is right only where there is a single one; "
                "otherwise each group of heads has its own.",
                _wrong_heads(share=lambda k, heads: np.repeat(k[:, :1], heads, axis=1))),
        Mistake("scaled by the whole width",
                "You divide by the root of E, the width of all heads together. A dot product adds up the numbers of "
                "one head.", _wrong_heads(width=lambda d, E: E)),
        Mistake("not scaled",
                "The dot products are used as they are. They grow with the width of a head; divide by the root of it.",
                _wrong_heads(width=lambda d, E: 1)),
        Mistake("divided by the width, not by its root",
                "You divide by the width of a head. A sum of that many random products grows like its *root*.",
                _wrong_heads(width=lambda d, E: d * d)),
        Mistake("words and heads are mixed up by a reshape",
                "You reshape straight to heads before words. The numbers stay in their order then, so a head gets some "
                "words whole and others not at all. Cut the width first, then exchange the two axes.",
                _wrong_heads(cut=lambda a, d: a.reshape(len(a), -1, a.shape[1], d))),
        Mistake("the heads are cut in turn",
                "Your head takes numbers at regular distances. A head is a piece of neighbouring numbers.",
                _wrong_heads(cut=lambda a, d: a.reshape(*a.shape[:2], d, -1).transpose(0, 3, 1, 2))),
        Mistake("joined without exchanging the axes back",
                "Inside the heads you are right. When they are put side by side, words and heads are still exchanged: "
                "exchange them back before you join.",
                _wrong_heads(join=lambda c: c.reshape(len(c), c.shape[2], -1))),
        Mistake("the heads are averaged",
                "You average the heads and repeat the average. Each head keeps its own result, one beside the other.",
                _wrong_heads(join=lambda c: np.tile(c.mean(axis=1), (1, 1, c.shape[1])))),
        Mistake("keys and values are exchanged",
                "Keys and values are exchanged: the query is compared with the keys, and the values are "
                "averaged.", lambda q, k, v, heads: _grouped(q, v, k, heads))))


EXERCISES = (causal_self_attention, track, rotary, grouped_heads)
