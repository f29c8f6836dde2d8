"""Exercises 8.1 to 8.7: attention, forward and backward, how well it aligns, and what a look is good for."""

from functools import partial

import numpy as np

from lstmcourse.attention import AttentionCache, dot_attention_backward
from lstmcourse.lab.alignment import alignment_error_rate
from lstmcourse.layers import softmax, softmax_backward
from lstmcourse.practice.exercise import Exercise, Mistake
from lstmcourse.practice.inputs import ABOUT_LARGE, LARGE, normal, padding, uniform

# Two references are here because the library has no function with their arguments: its softmax refuses
# a row of padding only, which 8.1 allows, and its additive scores are a step inside its attention.


# 8.1 softmax with a mask

def _masked_softmax(scores, mask):
    shown = np.where(mask[:, None], scores, -np.inf)
    top = shown.max(axis=-1, keepdims=True)
    e = np.exp(shown - np.where(np.isfinite(top), top, 0))
    total = e.sum(axis=-1, keepdims=True)
    return e / np.where(total > 0, total, 1)


def _cases_softmax(rng):
    ordinary = [2 * normal(rng, *shape) for shape in ((3, 4, 6), (2, 5, 4), (2, 3, 5), (3, 4, 5))]
    masks = [padding(lengths, T) for lengths, T in (((2, 5, 3), 6), ((3, 2), 4), ((4, 2), 5), ((4, 0, 2), 5))]
    ordinary[1] += np.where(np.arange(5) % 2, -1000, 1000)[:, None]
    ordinary[2] += np.where(masks[2][:, None], 0, 2000)
    return list(zip(ordinary, masks, strict=True))       # only padding comes last: a pass shows the last case's warning


def _raw(scores, mask, axis=-1):
    """The right thing for ordinary scores, over the given axis."""
    with np.errstate(all="ignore"):
        e = np.exp(scores - scores.max(axis=axis, keepdims=True)) * mask
        return e / e.sum(axis=axis, keepdims=True)


def _nan_for_padding(scores, mask):
    with np.errstate(all="ignore"):
        return np.where(mask.any(axis=1)[:, None, None], _masked_softmax(scores, mask), np.nan)


def _overflows(scores, mask):
    with np.errstate(all="ignore"):
        e = np.exp(scores) * mask[:, None]
        total = e.sum(axis=-1, keepdims=True)
        return np.where(total == 0, 0, e / total)


def _overflows_nan(scores, mask):
    with np.errstate(all="ignore"):
        e = np.exp(scores) * mask[:, None]
        return e / e.sum(axis=-1, keepdims=True)


NAN_ROW = ("NaN where a sentence is only padding",
           "A row with nothing to look at has no largest score and a sum of 0: dividing 0 by 0, or subtracting "
           "infinity from infinity, gives NaN, which spreads over everything that is computed from it. Such a row "
           "should be all zeros.")
UNIFORM_ROW = ("padding shares the weights where there is nothing else",
               "Where a sentence is only padding, your weights are all equal: every score was replaced by the same "
               "very negative number, and a softmax over equal numbers is uniform. A row with nothing to look at "
               "should be all zeros.")
ROWS_SUM = ("softmax over the query axis",
            "Your weights add up to 1 over the target words. It is the *source* words that compete for one target "
            "word: the last axis.")

masked_softmax = Exercise(
    id="8.1", title="softmax with a mask", lesson="08_attention", points=2,
    helpers=("layers.softmax",),
    part="attention",
    onward="A row without a single word: zeros here, an error in the library. What would you want in a "
           "program of your own?",
    shortest="""\
shown = np.where(mask[:, None], scores, -np.inf)
e = np.exp(shown - np.maximum(shown.max(-1, keepdims=True), -1e300))
return e / np.maximum(e.sum(-1, keepdims=True), 1e-300)""",
    function="masked_softmax", signature="(scores (B, T_tgt, T_src), mask (B, T_src)) -> alpha (B, T_tgt, T_src)",
    cases=_cases_softmax, reference=_masked_softmax,
    about=("", "scores near 1000 for one word and near -1000 for the next", "very large scores under the padding",
           "a sentence that is only padding"),
    mistakes=(
        Mistake("no mask",
                "The weights add up to 1, but a good part of them lies on the padding. Where the mask is False "
                "nothing may be looked at.", lambda s, m: softmax(s)),
        Mistake("the mask is inverted",
                "All the weight lies on the padding. True means: this may be looked at.",
                lambda s, m: _raw(s, ~m[:, None])),
        Mistake("the mask after the softmax, without dividing again",
                "Nothing lies on the padding, but the rest does not add up to 1: what the padding had taken is lost. "
                "The padding must be out before the sum is taken.", lambda s, m: softmax(s) * m[:, None]),
        Mistake("masked scores are set to 0",
                "A score of 0 is not 'do not look': exp of 0 is 1, an ordinary weight. Which score has the weight 0?",
                lambda s, m: softmax(s * m[:, None])),
        Mistake(*ROWS_SUM, lambda s, m: _raw(s, m[:, None], axis=1),
                lambda s, m: softmax(np.where(m[:, None], s, -1e9).swapaxes(1, 2)).swapaxes(1, 2)),
        Mistake("softmax over the batch",
                "Your weights add up to 1 over the sentences of the batch, which have nothing to do with each other. "
                "It is the source words of one sentence that compete: the last axis.",
                lambda s, m: _raw(s, m[:, None], axis=0)),
        Mistake("the mask on the query axis",
                "The mask has one entry for each *source* word, and its shape (B, T_src) meets scores (B, T_tgt, "
                "T_src). It needs a new axis in the middle, so that every target word has the same mask.",
                lambda s, m: np.where(m[:, :, None], s, -np.inf)),
        Mistake("the mask without a new axis",
                "(B, T_src) meets (B, T_tgt, T_src): NumPy lines up the last axes, so your batch axis meets T_tgt. "
                "The mask needs a new axis in the middle.", lambda s, m: np.where(m, s, -np.inf)),
        Mistake(*NAN_ROW, _nan_for_padding),
        Mistake(*UNIFORM_ROW, lambda s, m: softmax(np.where(m[:, None], s, -1e9))),
        Mistake("a large negative number is added where there is nothing to look at",
                "Adding something like -1e9 to the masked scores works as long as a row has one real word. Where a "
                "sentence is only padding, the same number is added to every score, a softmax does not notice that, "
                "and the padding shares the weights as if there were no mask. Such a row should be all zeros.",
                lambda s, m: softmax(s - 1e9 * ~m[:, None])),
        Mistake("exp overflows",
                "For ordinary scores you are right. For a score of 1000 exp is infinite, and infinity divided by "
                "infinity is NaN. A softmax does not change when the same number is subtracted from all scores of one "
                "row.", _overflows),
        Mistake("exp overflows, and NaN where a sentence is only padding",
                "Two things: for a row with nothing to look at you divide 0 by 0, and such a row should be all zeros; "
                "and for a score of 1000 exp is infinite, which can be avoided by subtracting the same number from "
                "all scores of one row.",
                _overflows_nan),
        Mistake("the largest score is looked for under the padding too",
                "You subtract the largest score of the row, or take the softmax of the whole row, and mask afterwards. "
                "That is right for small scores. But the largest may be under the padding, far above the real ones, "
                "which then all become 0 after exp. Only scores that may be looked at count.",
                lambda s, m: np.nan_to_num(_raw(s, m[:, None]))),
        Mistake("the largest score is looked for under the padding too",
                "You subtract the largest score of the row, or take the softmax of the whole row, and mask and divide "
                "afterwards. That is right for small scores. But the largest may be under the padding, far above "
                "the real ones, which then all become 0 after exp, and 0/0 is NaN. Only scores that may be looked at "
                "count, and a row that has none should be all zeros.", lambda s, m: _raw(s, m[:, None]))))


# 8.2 additive scores

def _additive_scores(query, keys, params):
    q, k = query @ params["W_q"].T, keys @ params["W_k"].T
    return np.tanh(q[:, :, None] + k[:, None]) @ params["v"]


def _scores(query, keys, params, score):
    return score((query @ params["W_q"].T)[:, :, None], (keys @ params["W_k"].T)[:, None], params["v"])


def _pairs(score):
    """score(q (B, T_tgt, 1, U), k (B, 1, T_src, U), v) for projections that are right."""
    return partial(_scores, score=score)


additive_scores = Exercise(
    id="8.2", title="additive scores", lesson="08_attention", points=2,
    part="attention",
    onward="Additive scores cost a tanh for each pair of words, dot products only a matrix product: what "
           "do the extra weights buy?",
    shortest="""\
q, k = query @ params["W_q"].T, keys @ params["W_k"].T
return np.tanh(q[:, :, None] + k[:, None]) @ params["v"]""",
    function="additive_scores",
    signature="(query (B, T_tgt, H), keys (B, T_src, d), params {W_q (U, H), W_k (U, d), v (U,)}) -> scores (B, "
              "T_tgt, T_src)",
    cases=lambda rng: [(uniform(rng, B, T_tgt, H), uniform(rng, B, T_src, d),
                        {"W_q": uniform(rng, U, H), "W_k": uniform(rng, U, d), "v": uniform(rng, U)})
                       for B, T_tgt, T_src, H, d, U in ((2, 3, 4, 5, 6, 7), (3, 6, 5, 4, 2, 8))],
    reference=_additive_scores,
    mistakes=(
        Mistake("no tanh",
                "Without the tanh query and key never meet: the score is one number for the query plus one for the "
                "key, and the query's part is the same for all source words. The softmax would not notice the query "
                "at all.",
                _pairs(lambda q, k, v: (q + k) @ v)),
        Mistake("a tanh on each part",
                "Query and key have to meet before the squashing: first the sum, then one tanh. With a tanh on each "
                "the score falls apart into one number for the query and one for the key.",
                _pairs(lambda q, k, v: (np.tanh(q) + np.tanh(k)) @ v)),
        Mistake("v is left out",
                "You add up the U numbers. v weights them: how much each one counts is learned.",
                _pairs(lambda q, k, v: np.tanh(q + k).sum(axis=-1))),
        Mistake("a product where a sum is meant",
                "You multiply the two projections. Additive attention adds them; the product is the idea of the other "
                "kind, dot attention.", _pairs(lambda q, k, v: np.tanh(q * k) @ v)),
        Mistake("dot attention of the projections",
                "You take the dot product of the projected query and key. That is the other kind of attention. Here "
                "they are added, squashed, and weighted with v.", _pairs(lambda q, k, v: (q * k).sum(axis=-1))),
        Mistake("target and source are exchanged",
                "Your result is (B, T_src, T_tgt): each row belongs to a source word. It should have one row for each "
                "target word, over the source words it may look at.",
                _pairs(lambda q, k, v: (np.tanh(q + k) @ v).swapaxes(1, 2))),
        Mistake("each query meets only one key",
                "You add query t and key t. Every target word is compared with *every* source word: both need a new "
                "axis, in different positions, so that all pairs meet.",
                lambda query, keys, p: np.tanh(query @ p["W_q"].T + keys @ p["W_k"].T) @ p["v"]),
        Mistake("divided by the root of U",
                "You scale as in scaled dot attention. Additive scores are not scaled: the tanh has bounded them, and "
                "v sets their size.", _pairs(lambda q, k, v: np.tanh(q + k) @ v / np.sqrt(len(v)))),
        Mistake("the softmax is taken already",
                "You return weights. The exercise asks for the scores before the softmax; the mask comes between the "
                "two.",
                _pairs(lambda q, k, v: softmax(np.tanh(q + k) @ v)))))


# 8.3 the context

def _at_the_top(alpha, values):
    return np.take_along_axis(values, alpha.argmax(axis=-1)[..., None], axis=1)


attend = Exercise(
    id="8.3", title="the context", lesson="08_attention", points=1,
    part="attention",
    onward="If all weights are equal, what is the context, and what can a decoder still do with it?",
    shortest="""return alpha @ values""",
    function="attend", signature="(alpha (B, T_tgt, T_src), values (B, T_src, M)) -> context (B, T_tgt, M)",
    cases=lambda rng: [(softmax(2 * normal(rng, B, T_tgt, T_src)), normal(rng, B, T_src, M))
                       for B, T_tgt, T_src, M in ((3, 4, 6, 5), (2, 5, 3, 4))],
    reference=lambda alpha, values: alpha @ values,
    mistakes=(
        Mistake("only the word with the largest weight",
                "You take the value of the word that is looked at most. That is hard attention, which has no useful "
                "gradient. Soft attention takes all values, each with its weight.", _at_the_top, convention=True),
        Mistake("the weights are not used",
                "You average the values, the same for every target word. Each target word has weights of its own.",
                lambda alpha, values: np.repeat(values.mean(axis=1, keepdims=True), alpha.shape[1], axis=1)),
        Mistake("the softmax is taken again",
                "alpha are weights already: each row adds up to 1. A second softmax makes them nearly equal.",
                lambda alpha, values: softmax(alpha) @ values),
        Mistake("the mean in place of the sum",
                "You average over the source words, and so divide by their number. The weights add up to 1: the "
                "weighted sum is an average already.", lambda alpha, values: alpha @ values / alpha.shape[2]),
        Mistake("multiplied entry by entry",
                "`*` multiplies entry by entry, and the two shapes do not fit. Here each target word adds up over all "
                "source words: that is a matrix product, one for each sentence.", lambda alpha, values: alpha * values),
        Mistake("the two factors are exchanged",
                "In a matrix product the order counts: the last axis of the left factor meets the first time axis "
                "of the right one. Both must be T_src.", lambda alpha, values: values @ alpha),
        Mistake("np.dot on three axes",
                "Your result has four axes: np.dot combines every sentence with every other sentence of the batch. You "
                "need a product that is taken sentence by sentence.", np.dot),
        Mistake("added up over the target words",
                "Your sum runs over the target words. For each target word, what is added up are the *source* words.",
                lambda alpha, values: (alpha[..., None] * values[:, None]).sum(axis=1)),
        Mistake("the values of the first sentence for all",
                "Row 0 is right. You take the values of one sentence for the whole batch; each sentence looks at its "
                "own words.", lambda alpha, values: alpha @ values[0])))


# 8.4 the backward pass of scaled dot attention

def _dot_forward(query, keys, values):
    alpha = softmax(query @ keys.swapaxes(1, 2) / np.sqrt(query.shape[-1]))
    return {"query": query, "keys": keys, "values": values, "alpha": alpha}


def _dot_backward(dcontext, k, dscores=softmax_backward, scale=lambda k: 1 / np.sqrt(k["query"].shape[-1])):
    """The backward pass, in which a part can be replaced by a wrong one. dscores(dalpha, alpha)."""
    query, keys, values, alpha = (k[key] for key in ("query", "keys", "values", "alpha"))
    d = dscores(dcontext @ values.swapaxes(1, 2), alpha) * scale(k)
    return d @ keys, d.swapaxes(1, 2) @ query, alpha.swapaxes(1, 2) @ dcontext


def _dot_reference(dcontext, k):
    cache = AttentionCache(k["query"], k["keys"], k["values"], k["alpha"], scale=1 / np.sqrt(k["query"].shape[-1]))
    return dot_attention_backward(dcontext, cache)


def _with(**parts):
    return partial(_dot_backward, **parts)


def _scale_on_the_query_only(dcontext, k):
    dquery, dkeys, dvalues = _dot_backward(dcontext, k)
    return dquery, dkeys * np.sqrt(k["query"].shape[-1]), dvalues


def _values_as_alpha(dcontext, k):
    return k["alpha"] @ dcontext


dot_backward = Exercise(
    id="8.4", title="back through dot attention", lesson="08_attention", points=3,
    part="attention",
    onward="Add 5 to all scores of a row: nothing changes, so the gradients of a row add up to 0. Do "
           "yours?",
    shortest="""\
d, alpha = dcontext @ cache["values"].mT, cache["alpha"]
d = alpha * (d - (d * alpha).sum(-1, keepdims=True)) / np.sqrt(cache["query"].shape[-1])
return d @ cache["keys"], d.mT @ cache["query"], alpha.mT @ dcontext""",
    function="dot_attention_backward",
    signature="(dcontext (B, T_tgt, M), cache {query (B, T_tgt, H), keys (B, T_src, H), values (B, T_src, M), "
              "alpha (B, T_tgt, T_src)}) -> dquery (B, T_tgt, H), dkeys (B, T_src, H), dvalues (B, T_src, M)",
    cases=lambda rng: [(size * normal(rng, B, T_tgt, M), _dot_forward(*(
        1.5 * normal(rng, B, T, n) for T, n in ((T_tgt, H), (T_src, H), (T_src, M)))))
        for B, T_tgt, T_src, H, M, size in ((2, 3, 4, 5, 6, 1), (3, 5, 4, 2, 7, LARGE))],
    about=ABOUT_LARGE,
    reference=_dot_reference,
    mistakes=(
        Mistake("the softmax is skipped on the way back",
                "You take the gradient at the weights for the one at the scores. Between the two lies the softmax.",
                _with(dscores=lambda d, a: d)),
        Mistake("the softmax as if each weight stood alone",
                "a (1 - a) is how a weight responds to its own score. In a softmax the weights of one row add up "
                "to 1: each responds to the scores of all the others, too.",
                _with(dscores=lambda d, a: d * a * (1 - a))),
        Mistake("only the first half of the softmax's backward pass",
                "You multiply by the weight, but do not subtract what is common to the row. Raising all scores of a "
                "row changes nothing, so the gradients of a row have to add up to 0.",
                _with(dscores=lambda d, a: d * a)),
        Mistake("the softmax's backward pass without the weight in front",
                "You subtract the weighted mean of the row, but forget to multiply the difference by the weight "
                "itself.",
                _with(dscores=lambda d, a: d - (d * a).sum(axis=-1, keepdims=True))),
        Mistake("the plain mean in place of the weighted one",
                "What is subtracted in the softmax's backward pass is the mean of the row's gradients *weighted by "
                "alpha*.",
                _with(dscores=lambda d, a: a * (d - d.mean(axis=-1, keepdims=True)))),
        Mistake("the plain sum in place of the weighted one",
                "What is subtracted in the softmax's backward pass is the sum of the row's gradients, each *weighted "
                "by alpha*.",
                _with(dscores=lambda d, a: a * (d - d.sum(axis=-1, keepdims=True)))),
        Mistake("the softmax's backward pass over the query axis",
                "What you subtract is summed over the target words. The softmax ran over the source words, the last "
                "axis, and so must its backward pass.",
                _with(dscores=lambda d, a: a * (d - (d * a).sum(axis=1, keepdims=True)))),
        Mistake("the scale is forgotten",
                "The scores were divided by the root of H before the softmax. Their gradients pass the same division.",
                _with(scale=lambda k: 1)),
        Mistake("scaled by H, not by its root",
                "The scores were divided by the *root* of H; you divide by H.",
                _with(scale=lambda k: 1 / k["query"].shape[-1])),
        Mistake("scaled by the number of source words",
                "You divide by the root of T_src, the number of source words. What is added up in a dot product are "
                "the H numbers of a query: the scores were divided by the root of H.",
                _with(scale=lambda k: 1 / np.sqrt(k["keys"].shape[1]))),
        Mistake("scaled by the number of target words",
                "You divide by the root of T_tgt, the number of target words. What is added up in a dot product are "
                "the H numbers of a query: the scores were divided by the root of H.",
                _with(scale=lambda k: 1 / np.sqrt(k["query"].shape[1]))),
        Mistake("the scale on the query only",
                "dquery is scaled, dkeys is not. The division comes between the product of the two and the softmax, "
                "so both pass it.", _scale_on_the_query_only),
        Mistake(".T reverses all three axes",
                "With three axes `.T` reverses all of them, so that the batch comes last. Exchange only the two axes "
                "of each sentence's own matrix.",
                lambda dcontext, k: k["alpha"].T @ dcontext, lambda dcontext, k: dcontext @ k["values"].T),
        Mistake("dvalues without a transpose",
                "For dvalues each *source* word collects from all target words that looked at it. Rows of alpha are "
                "target words: the two time axes of alpha have to be exchanged.", _values_as_alpha)))


# 8.5 the alignment error rate

def _aer(alpha, sure, possible, links=None):
    """1 - (|A and S| + |A and P|) / (|A| + |S|), in which a part can be replaced by a wrong one."""
    A = _links(alpha) if links is None else links(alpha)
    hits = (A * sure).sum() + (A * possible).sum()
    return float(1 - hits / (A.sum() + sure.sum()))


def _links(alpha):
    """One link for each target word: to the source word with the largest weight."""
    return alpha.argmax(axis=1)[:, None] == np.arange(alpha.shape[1])


def _cases_aer(rng):
    """Words with no, one or two sure links, hit or missed; largest weights above and below a half."""
    found = []
    for T_tgt, T_src in ((7, 9), (8, 6), (9, 11)):
        best, words = rng.integers(T_src, size=T_tgt), np.arange(T_tgt)
        alpha = rng.uniform(0.5, 1, size=(T_tgt, T_src))
        alpha[words, best] = 0
        top = np.where(words % 2, 0.7, 0.4) + rng.uniform(-0.05, 0.05, size=T_tgt)
        alpha *= (1 - top)[:, None] / alpha.sum(axis=1, keepdims=True)
        alpha[words, best] = top
        sure, possible = np.zeros((2, T_tgt, T_src), bool)
        for t, s in enumerate(best):                 # in turn: a sure hit, a possible hit, a miss, one hit of two
            sure[t, (s + 1) % T_src] = t % 4 >= 2
            sure[t, s] = t % 4 in (0, 3)
            possible[t, s] = t % 4 == 1
        possible |= sure | (rng.uniform(size=sure.shape) < 0.1)
        found.append((alpha, sure, possible))
    return found


alignment = Exercise(
    id="8.5", title="the alignment error rate", lesson="08_attention", points=2,
    onward="A low error rate says where a model looks, not that it needs to look there: lesson 08 tries "
           "both.",
    shortest="""\
A = np.eye(alpha.shape[1], dtype=bool)[alpha.argmax(1)]
return 1 - ((A & sure).sum() + (A & possible).sum()) / (A.sum() + sure.sum())""",
    function="alignment_error_rate",
    signature="(alpha (T_tgt, T_src), sure (T_tgt, T_src), possible (T_tgt, T_src)) -> rate ()",
    cases=_cases_aer, reference=alignment_error_rate,
    mistakes=(
        Mistake("the rate of agreement",
                "This is the agreement, which is 1 for a perfect alignment. The error rate is 1 minus it.",
                lambda a, s, p: 1 - _aer(a, s, p)),
        Mistake("the possible links are not used",
                "A link that is possible but not sure counts against you as much as a wrong one. It should be "
                "forgiven: in the second count, links are compared with the possible ones.",
                lambda a, s, p: _aer(a, s, s)),
        Mistake("the sure links are taken out of the possible ones",
                "Every sure link is possible too, so a link that hits a sure one counts in both sums. You count it "
                "once.",
                lambda a, s, p: _aer(a, s, p & ~s)),
        Mistake("divided by the possible links",
                "You divide by the links made and the possible ones. Nobody is blamed for not making a link that is "
                "only possible: divide by the links made plus the *sure* ones.",
                lambda a, s, p: 1 - (1 - _aer(a, s, p)) * (len(a) + s.sum()) / (len(a) + p.sum())),
        Mistake("only the links made are judged",
                "You compare the links made with the possible ones: that is precision. Sure links that were not made "
                "have to cost something as well.", lambda a, s, p: 1 - (_links(a) & p).sum() / len(a)),
        Mistake("only the sure links are judged",
                "You ask how many sure links were found: that is recall. Links that are not even possible have to cost "
                "something as well.", lambda a, s, p: 1 - (_links(a) & s).sum() / s.sum()),
        Mistake("one link for each source word",
                "You take the largest weight in each column, and so give each source word a target word. It is each "
                "*target* word, each row, that chooses where to look.",
                partial(_aer, links=lambda alpha: _links(alpha.T).T)),
        Mistake("every chosen source word is linked to every target word",
                "You mark whole columns: each source word that is chosen by one target word is linked to all of them. "
                "The two indices, target word and its own choice, have to go in pairs.",
                partial(_aer, links=lambda alpha: _links(alpha).any(axis=0) & (alpha >= 0))),
        Mistake("one link for the whole sentence",
                "You look for the largest weight of the whole table. Each target word, each row, has a largest weight "
                "of its own, and so a link of its own.",
                partial(_aer, links=lambda alpha: alpha == alpha.max())),
        Mistake("links by a threshold",
                "You make a link wherever the weight is above a half, so some words have none. Here each target word "
                "has exactly one link: to the source word it looks at most.",
                lambda a, s, p: _aer(a, s, p, links=lambda alpha: alpha > 0.5), convention=True),
        Mistake("the weights themselves are counted",
                "You add up weights where links should be counted. First decide for each target word which source "
                "word it is linked to; then count.", partial(_aer, links=lambda alpha: alpha))))


# 8.6 one round of IBM model 1, with an empty word

def _ibm_round(table, source, target, fractions=None, normalized=None, links=None, weight=None):
    """One round of expectation maximization, in which a part can be replaced by a wrong one.

    fractions(p (B, T_tgt, S)), normalized(counts), links(source): (tokens, real), weight(target)
    """
    tokens, real = (_with_empty_word if links is None else links)(source)
    p = table[target[:, :, None], tokens[:, None]] * real[:, None]
    fraction = (_over_source if fractions is None else fractions)(p)
    fraction = fraction * ((target > 0) if weight is None else weight(target))[:, :, None]
    counts = np.zeros_like(table)
    np.add.at(counts, (target[:, :, None], tokens[:, None]), fraction)
    return (_per_source_word if normalized is None else normalized)(counts)


def _with_empty_word(source):
    """Source words and the empty word 0 in front; the padding is no word: tokens (B, 1 + T_src), True at words."""
    tokens = np.concatenate([np.zeros_like(source[:, :1]), source], axis=1)
    return tokens, np.concatenate([np.ones_like(source[:, :1], bool), source > 0], axis=1)


def _quotient(a, total):
    return a / np.where(total > 0, total, 1)


def _over_source(p):
    return _quotient(p, p.sum(axis=2, keepdims=True))


def _per_source_word(counts):
    return _quotient(counts, counts.sum(axis=0))


def _last_one_wins(table, source, target):
    tokens, real = _with_empty_word(source)
    fraction = _over_source(table[target[:, :, None], tokens[:, None]] * real[:, None]) * (target > 0)[:, :, None]
    counts = np.zeros_like(table)
    counts[target[:, :, None], tokens[:, None]] += fraction
    return _per_source_word(counts)


def _cases_ibm(rng):
    """Sentences with padding, words that occur twice, a source word of the table that never occurs."""
    found = []
    for source_lengths, target_lengths, V_tgt, V_src in (((4, 6, 3), (5, 3, 7), 9, 8), ((5, 2), (3, 4), 6, 7)):
        source = rng.integers(1, V_src - 1, (len(source_lengths), max(source_lengths)))
        target = rng.integers(1, V_tgt, (len(target_lengths), max(target_lengths)))
        source[:, 1], target[:, 2] = source[:, 0], target[:, 0]                          # a word that occurs twice
        table = rng.uniform(0.2, 1, (V_tgt, V_src))
        found.append((table / table.sum(axis=0), source * padding(source_lengths, source.shape[1]),
                      target * padding(target_lengths, target.shape[1])))
    return found


ibm_round = Exercise(
    id="8.6", title="one round of IBM model 1", lesson="08_attention", points=3,
    onward="Model 1 does not know where in its sentence a word is: shuffle the Hindi and nothing changes. What "
           "would you have to count for a model that does?",
    shortest="""\
s = np.pad(source, ((0, 0), (1, 0)))
p = table[target[:, :, None], s[:, None]] * ((s > 0) | (np.arange(s.shape[1]) == 0))[:, None]
counts = np.zeros_like(table)
np.add.at(counts, (target[:, :, None], s[:, None]), p / p.sum(2, keepdims=True).clip(1e-300) * (target > 0)[..., None])
return counts / counts.sum(0).clip(1e-300)""",
    function="ibm_round",
    signature="(table (V_tgt, V_src), source (B, T_src), target (B, T_tgt)) -> new_table (V_tgt, V_src)",
    cases=_cases_ibm, reference=_ibm_round,
    mistakes=(
        Mistake("no empty word",
                "You divide each target word among the source words alone. Here the empty word, token 0, competes "
                "too, once in every sentence: that is where *a* or *the* can go.",
                partial(_ibm_round, links=lambda s: (s, s > 0))),
        Mistake("the padding counts as empty words",
                "Every padded position of the source takes a fraction, as if it were one more empty word. There is "
                "exactly one empty word in a sentence, however long the padding.",
                partial(_ibm_round, links=lambda s: (_with_empty_word(s)[0], np.ones((len(s), s.shape[1] + 1), bool)))),
        Mistake("the padding of the source is the empty word",
                "You let the padding stand for the empty word: a short sentence has several and the longest has none. "
                "Every sentence has one, beside its words.",
                partial(_ibm_round, links=lambda s: (s, np.ones(s.shape, bool)))),
        Mistake("the padding of the target is counted",
                "The padding at the end of the English sentences is counted too, as if it were a word to be "
                "translated.",
                partial(_ibm_round, weight=lambda t: np.ones(t.shape))),
        Mistake("the fractions are taken over the target words",
                "You divide by the sum over the target words. In the expectation step one *target* word is given, "
                "and the source words of its sentence share it: its fractions add up to 1.",
                partial(_ibm_round, fractions=lambda p: _quotient(p, p.sum(axis=1, keepdims=True)))),
        Mistake("no fractions: the probabilities are counted",
                "You add up the table's probabilities as they are. First each target word's probabilities are "
                "divided by their sum over its sentence, so that every target word counts once.",
                partial(_ibm_round, fractions=lambda p: p)),
        Mistake("each word counts fully for the best source word",
                "You give each target word to its most probable source word. That is hard EM (Viterbi training); "
                "here every source word gets its fraction.",
                partial(_ibm_round, fractions=lambda p: 1.0 * (np.arange(p.shape[2]) == p.argmax(axis=2)[..., None])),
                convention=True),
        Mistake("the table is not used",
                "Your fractions are all equal. The table from the round before says how to divide a target word.",
                partial(_ibm_round, fractions=lambda p: _over_source(1.0 * (p > 0)))),
        Mistake("the counts are returned",
                "You return the expected counts. The maximization step turns them into probabilities: for each "
                "source word they add up to 1.", partial(_ibm_round, normalized=lambda counts: counts)),
        Mistake("normalized for each target word",
                "Your rows add up to 1. The table is p(target word | source word): it is each *column* that adds up "
                "to 1.",
                partial(_ibm_round, normalized=lambda c: _quotient(c, c.sum(axis=1, keepdims=True)))),
        Mistake("the whole table is divided by one sum",
                "Your whole table adds up to 1: that is how often two words go together. Given a source word, the "
                "probabilities of the target words add up to 1.",
                partial(_ibm_round, normalized=lambda c: c / c.sum())),
        Mistake("a word that occurs twice is counted once",
                "Where the same pair of words comes up twice, only one fraction is counted: `+=` with arrays of "
                "indices writes each entry once. Loop over the words, or use a function that adds at repeated indices.",
                _last_one_wins)))


# 8.7 is the look necessary, is it sufficient?

def _softmax_where(scores, mask):
    return softmax(np.where(mask, scores, -np.inf))


def _top(scores, mask):
    """True at the real source word with the largest score, (B, T_tgt, T_src)."""
    shown = np.where(mask[:, None], scores, -np.inf)
    return np.arange(scores.shape[2]) == shown.argmax(axis=-1)[..., None]


def _two_looks(scores, values, mask, top=_top, without=None, alone=None):
    """Both contexts, in which a part can be replaced by a wrong one: without and alone give weights."""
    at = top(scores, mask)
    hidden = _softmax_where(scores, mask[:, None] & ~at) if without is None else without(scores, mask, at)
    only = 1.0 * at if alone is None else alone(scores, mask, at)
    return hidden @ values, only @ values


def _weights(scores, mask):
    return _softmax_where(scores, mask[:, None])


def _divided_by_the_rest(scores, mask, at):
    rest = _weights(scores, mask) * ~at
    with np.errstate(all="ignore"):
        return rest / rest.sum(axis=-1, keepdims=True)


def _cases_looks(rng):
    """At least two real words a sentence; once all the weight is on one word, as far as a float can tell."""
    found = []
    for lengths, T_src, T_tgt, M, far in (((6, 2, 4), 7, 5, 4, 0), ((3, 5), 6, 4, 7, 800)):
        mask, scores = padding(lengths, T_src), 2 * normal(rng, len(lengths), T_tgt, T_src)
        scores = np.where(mask[:, None], scores, scores.max() + 3)                   # the largest is under the padding
        scores[:, 0, 1] += far
        found.append((scores, normal(rng, len(lengths), T_src, M), mask))
    return found


two_looks = Exercise(
    id="8.7", title="necessary or sufficient?", lesson="08_attention", points=2,
    helpers=("layers.softmax",),
    onward="Hand both contexts to the decoder: if the word changes without the top word the look was needed, and if "
           "it stays with it alone it was enough. Neither says why the network looked there.",
    shortest="""\
shown = np.where(mask[:, None], scores, -np.inf)
top = np.arange(shown.shape[2]) == shown.argmax(-1)[..., None]
return softmax(np.where(top, -np.inf, shown)) @ values, top @ values""",
    function="two_looks",
    signature="(scores (B, T_tgt, T_src), values (B, T_src, M), mask (B, T_src)) -> without (B, T_tgt, M), "
              "alone (B, T_tgt, M)",
    cases=_cases_looks, reference=_two_looks, about=("", "one word with all the weight, as far as a float can tell"),
    mistakes=(
        Mistake("the top word is looked for under the padding",
                "You take the largest score of the row, and it is at the padding. Only real words can be looked "
                "at.",
                partial(_two_looks, top=lambda s, m: _top(s, np.ones_like(m)))),
        Mistake("padding gets weight again",
                "When the top word is hidden, your padding comes back: the new mask leaves out the top word and "
                "forgets the old one. A word may be looked at if it is real *and* not the top one.",
                partial(_two_looks, without=lambda s, m, at: _softmax_where(s, ~at))),
        Mistake("not renormalized",
                "You set the top word's weight to 0 and leave the others as they were: they no longer add up to 1, "
                "and the context is too small. Hidden means hidden from the softmax.",
                partial(_two_looks, without=lambda s, m, at: _weights(s, m) * ~at)),
        Mistake("the top word alone keeps its old weight",
                "The second context is the top word's value times its old weight. Alone, it has all the weight: 1.",
                partial(_two_looks, alone=lambda s, m, at: _weights(s, m) * at)),
        Mistake("neither is renormalized",
                "You set weights to 0 and leave the others as they were, in both contexts. What may be looked at "
                "shares a weight of 1.",
                partial(_two_looks, without=lambda s, m, at: _weights(s, m) * ~at,
                        alone=lambda s, m, at: _weights(s, m) * at)),
        Mistake("divided by what is left",
                "You take the top word's weight away and divide the others by their sum. That is right until one "
                "word has all the weight: then nothing is left to divide by. Take the top word out *before* the "
                "softmax.",
                partial(_two_looks, without=_divided_by_the_rest)),
        Mistake("one word for the whole sentence",
                "You hide the same source word from every target word. Each target word has a top word of its own.",
                partial(_two_looks, top=lambda s, m: np.broadcast_to(
                    _top(np.where(m[:, None], s, 0).mean(axis=1, keepdims=True), m), s.shape))),
        Mistake("the top word of each source word",
                "You look for the largest score down each column. A target word, a row, looks at source words: the "
                "last axis.",
                partial(_two_looks, top=lambda s, m: (np.arange(s.shape[1])[:, None] == s.argmax(axis=1)[:, None])
                        & m[:, None])),
        Mistake("its score is set to 0",
                "A score of 0 is an ordinary score: exp of 0 is 1, so the top word still has some weight. Which "
                "score has the weight 0?",
                partial(_two_looks, without=lambda s, m, at: _weights(np.where(at, 0, s), m))),
        Mistake("the two contexts are exchanged",
                "The first result is the context *without* the top word, the second the one with it *alone*.",
                lambda s, v, m: _two_looks(s, v, m)[::-1])))

EXERCISES = (masked_softmax, additive_scores, attend, dot_backward, alignment, ibm_round, two_looks)
