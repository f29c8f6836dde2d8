"""Exercises 10.1 to 10.3: bits per character and per byte, a smoothed n-gram step, and a fair score for a unit."""

import warnings
from functools import partial

import numpy as np

from lstmcourse.practice.exercise import Exercise, Mistake
from lstmcourse.practice.inputs import normal, padding

# 10.1 bits per character and per byte


def _log_softmax(logits):
    a = logits - logits.max(axis=-1, keepdims=True)
    return a - np.log(np.exp(a).sum(axis=-1, keepdims=True))


def _all_of_them(cost, count, mask):
    return (cost * mask).sum() / (count * mask).sum()


def _bits(logits, targets, mask, size, log=lambda logits: _log_softmax(logits) / np.log(2), mean=_all_of_them,
          bytes_of=lambda size, targets: size[targets], counted=lambda mask: mask):
    """Bits per character and per byte, in which a part can be replaced by a wrong one."""
    with np.errstate(all="ignore"):
        cost = -np.take_along_axis(log(logits), targets[..., None], axis=2)[..., 0]
    mask = counted(mask)
    ones = np.ones(targets.shape)
    return mean(cost, ones, mask), mean(cost, bytes_of(size, targets) * ones, mask)


def _bits_wrong(**parts):
    return partial(_bits, **parts)


def _naive(logits):
    e = np.exp(logits)
    return np.log2(e / e.sum(axis=-1, keepdims=True))


def _row_by_row(cost, count, mask):
    return np.mean((cost * mask).sum(axis=1) / (count * mask).sum(axis=1))


def _times_bytes(logits, targets, mask, size):
    bits, _ = _bits(logits, targets, mask, size)
    return bits, bits * size[targets][mask].mean()


def _perplexity(logits, targets, mask, size):
    return tuple(2 ** value for value in _bits(logits, targets, mask, size))


def _cases_bits(rng):
    return [(scale * normal(rng, B, T, V), rng.integers(V, size=(B, T)), padding(lengths, T),
             rng.integers(1, 5, size=V))
            for B, T, V, lengths, scale in ((3, 7, 11, [7, 2, 4], 2), (2, 5, 9, [1, 5], 400))]


bits_per_character = Exercise(
    id="10.1", title="bits per character, bits per byte", lesson="10_reading_python", points=2,
    function="bits_of",
    signature="(logits (B, T, V), targets (B, T), mask (B, T), size (V,)) -> per_character, per_byte",
    cases=_cases_bits, reference=_bits, about=("", "logits of about 400"),
    onward="A model of whole words pays more bits per word. How would you compare it with a model of characters?",
    shortest="""\
a = logits - logits.max(-1, keepdims=True)
a -= np.log(np.exp(a).sum(-1, keepdims=True))
bits = -np.take_along_axis(a, targets[..., None], 2)[..., 0][mask].sum() / np.log(2)
return bits / mask.sum(), bits / size[targets][mask].sum()""",
    mistakes=(
        Mistake("nats instead of bits",
                "Your numbers are the natural logarithm's: nats. A bit is smaller by a factor of ln 2, so there are "
                "more of them.", _bits_wrong(log=_log_softmax)),
        Mistake("padding is counted",
                "The padded positions are counted as if they were text. They cost nothing and are not characters.",
                _bits_wrong(counted=np.ones_like)),
        Mistake("padding is in the denominator only",
                "The costs leave the padding out, but you still divide by all positions of the batch.",
                _bits_wrong(mean=lambda cost, count, mask: (cost * mask).sum() / count.sum())),
        Mistake("the mean of the rows' means",
                "You average the rows first, so a character of a short row counts more than one of a long row. Add "
                "everything up, and divide once.", _bits_wrong(mean=_row_by_row)),
        Mistake("multiplied by the bytes",
                "A text has more bytes than characters, so each byte costs *less* than a character. The total stays; "
                "divide it by the bytes.", _times_bytes),
        Mistake("the bytes of the alphabet",
                "You use how many bytes a character of the *alphabet* has on average. Count the bytes of the "
                "characters that are in this text.", _bits_wrong(bytes_of=lambda size, targets: size.mean())),
        Mistake("every character has one byte",
                "Both of your numbers are the same, as if each character had one byte. How many it has is in size.",
                _bits_wrong(bytes_of=lambda size, targets: 1)),
        Mistake("perplexity",
                "You raise 2 to the bits: that is the perplexity, the number of equally likely characters. The "
                "exercise asks for the bits themselves.", _perplexity),
        Mistake("the exponential overflows",
                "Right for small logits; at large ones the exponential overflows and the logarithm of 0 comes out. "
                "Subtract the largest logit of each position first: that changes no probability.",
                _bits_wrong(log=_naive))))


# 10.2 a smoothed n-gram step

def _kinds(counts):
    return (counts > 0).sum(axis=1, keepdims=True)


def _discounted(counts, shorter, d, kept=lambda counts, d: np.maximum(counts - d, 0), kinds=_kinds,
                total=lambda counts: counts.sum(axis=1, keepdims=True),
                rest=lambda d, K, N: d * K / N, unseen=lambda p, shorter, N: np.where(N > 0, p, shorter)):
    """Absolute discounting, in which a part can be replaced by a wrong one."""
    N, K = total(counts), kinds(counts)
    with np.errstate(all="ignore"):
        p = kept(counts, d) / N + rest(d, K, N) * shorter
    return unseen(p, shorter, N)


def _discounted_wrong(**parts):
    return partial(_discounted, **parts)


def _witten_bell(counts, shorter, d):
    N, K = counts.sum(axis=1, keepdims=True), _kinds(counts)
    return np.where(N > 0, (counts + K * shorter) / np.maximum(N + K, 1), shorter)


def _backing_off(counts, shorter, d):
    N = counts.sum(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        return np.where(N > 0, np.where(counts > 0, (counts - d) / N, d * _kinds(counts) / N * shorter), shorter)


def _cases_discounted(rng):
    cases = []
    for B, V, d in ((4, 6, 0.75), (3, 9, 0.4)):
        counts = rng.integers(0, 5, size=(B, V)) * (rng.random((B, V)) < 0.6)
        counts[:, 0], counts[:, 1] = 0, rng.integers(2, 9, size=B)          # in each row one unseen and one seen
        counts[-1] = 0                                                      # a context that never occurred
        shorter = rng.random((B, V)) + 0.1
        cases.append((counts, shorter / shorter.sum(axis=1, keepdims=True), d))
    return cases


smoothed_ngram = Exercise(
    id="10.2", title="a smoothed n-gram step", lesson="10_reading_python", points=2,
    function="discounted", signature="(counts (B, V), shorter (B, V), d) -> p (B, V)",
    cases=_cases_discounted, reference=_discounted,
    onward="Which of the two trusts a context more that was seen once: this one with d = 0.75, or (10b)?",
    shortest="""\
N, K = counts.sum(1, keepdims=True), (counts > 0).sum(1, keepdims=True)
return np.where(N, (np.maximum(counts - d, 0) + d * K * shorter) / np.maximum(N, 1), shorter)""",
    mistakes=(
        Mistake("the smoothing of (10b)",
                "This is the smoothing of Witten and Bell, as in the lesson: a right one, but not the one asked "
                "for here. Nothing is added to N; a constant is subtracted from each count instead.", _witten_bell,
                convention=True),
        Mistake("unseen characters get less than nothing",
                "You subtract d from every count, also from those that are 0. A character that was never seen has "
                "nothing to give.", _discounted_wrong(kept=lambda counts, d: counts - d)),
        Mistake("only one d is passed on",
                "Every *different* character that followed gave up d, and what all of them gave up goes to the shorter "
                "context. Yours passes on a single d, so the row adds up to less than 1.",
                _discounted_wrong(rest=lambda d, K, N: d / N)),
        Mistake("all characters of the alphabet are taken as seen",
                "You pass on d for each character of the alphabet. Only those that did follow this context gave up "
                "something.", _discounted_wrong(kinds=lambda counts: counts.shape[1])),
        Mistake("passed on for every occurrence",
                "You pass on d for each *occurrence*. A character that came five times still gives up d only once.",
                _discounted_wrong(kinds=lambda counts: counts.sum(axis=1, keepdims=True))),
        Mistake("what is passed on is not divided by N",
                "What was subtracted is a count. Like every count it becomes a probability only when divided by N.",
                _discounted_wrong(rest=lambda d, K, N: d * K)),
        Mistake("N of the whole batch",
                "You divide by how many characters were counted in *all* contexts. Each context has its own N: sum "
                "over the last axis.", _discounted_wrong(total=lambda counts: counts.sum())),
        Mistake("a context that never occurred",
                "Where a context was never seen, N is 0 and you divide by it. Then the shorter context decides alone.",
                _discounted_wrong(unseen=lambda p, shorter, N: p)),
        Mistake("a context that never occurred",
                "Where a context was never seen, your row is all zeros. Then the shorter context decides alone.",
                _discounted_wrong(unseen=lambda p, shorter, N: np.where(N > 0, p, 0))),
        Mistake("the shorter context speaks only for the unseen",
                "You use the shorter context only where the count is 0. Here it has a say everywhere: both terms are "
                "added.", _backing_off),
        Mistake("the shorter context is left out",
                "You subtract d and give it to nobody: unseen characters have probability 0, and the first of them "
                "costs infinitely many bits.", _discounted_wrong(rest=lambda d, K, N: 0 * N))))


# 10.3 a fair score for a unit

def _correlations(states, label):
    """Of each unit with the label; 0 for a unit that never changes."""
    a, b = states - states.mean(axis=0), label - label.mean()
    size = np.sqrt((a ** 2).sum(axis=0) * (b ** 2).sum())
    return np.where(np.ptp(states, axis=0) > 0, a.T @ b / np.where(size > 0, size, 1), 0)


def _line(x, y):
    """Slope and intercept of the line from x to y with the least squares."""
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    return slope, y.mean() - slope * x.mean()


def _polyfit(x, y):
    """The same by np.polyfit, which has an answer for a constant x, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.polyfit(x, y, 1)


def _explained(label, said):
    return 1 - ((label - said) ** 2).sum() / ((label - label.mean()) ** 2).sum()


def _fair(states, label, new_states, new_label, best=lambda r: np.argmax(np.abs(r)), measured=_correlations,
          chosen_on=lambda old, new: old, fitted_on=lambda old, new: old, scored_on=lambda old, new: new,
          line=_line, score=_explained):
    """A unit chosen and fitted on the one set, scored on the other; a part can be replaced by a wrong one."""
    old, new = (states, label), (new_states, new_label)
    unit = best(measured(*chosen_on(old, new)))
    x, y = fitted_on(old, new)
    slope, intercept = line(x[:, unit], y)
    x, y = scored_on(old, new)
    return int(unit), float(score(y, slope * x[:, unit] + intercept))


def _fair_wrong(**parts):
    return partial(_fair, **parts)


def _by_covariance(states, label):
    return (states - states.mean(axis=0)).T @ (label - label.mean())


def _by_slope(states, label):
    spread = states.var(axis=0)
    return np.where(spread > 1e-9, _by_covariance(states, label) / np.where(spread > 1e-9, spread, 1), 0)


def _nan_unit(states, label):
    a, b = states - states.mean(axis=0), label - label.mean()
    with np.errstate(all="ignore"):
        return a.T @ b / np.sqrt((a ** 2).sum(axis=0) * (b ** 2).sum())


def _cases_fair(rng):
    """Unit 0 is constant on the first set. One unit follows the label with a minus sign, one with a plus and less well,
    one only on the new set; a loud one has the largest covariance, a quiet one the largest slope."""
    cases = []
    for N, M, H in ((60, 45, 7), (50, 70, 8)):
        label, new_label = rng.integers(0, 5, N).astype(float), rng.integers(0, 5, M) + 0.0
        places = rng.permutation(np.arange(1, H))
        sets = []
        for told, noise in ((label, (0.4, 0.9, 9.0)), (new_label, (0.6, 0.9, 0.1))):
            states = normal(rng, len(told), H)
            states[:, 0] = 0.5 if told is label else told + 0.3 * normal(rng, len(told))
            for place, sign, much in zip(places, (-1, 1, 1), noise, strict=False):
                states[:, place] = 0.1 * sign * (told + much * normal(rng, len(told)))
            states[:, places[3]] = 8 * (told + 1.5 * normal(rng, len(told)))
            states[:, places[4]] = 0.01 * (told + 1.2 * normal(rng, len(told)))
            sets.append(states)
        sets[1][:, places[0]] += 0.05
        cases.append((sets[0], label, sets[1], new_label))
    return cases


fair_score = Exercise(
    id="10.3", title="a fair score for a unit", lesson="10_reading_python", points=3,
    function="fair_score",
    signature="(states (N, H), label (N,), new_states (M, H), new_label (M,)) -> unit, score",
    cases=_cases_fair, reference=_fair,
    onward="A score can now be negative. What does a unit with a score of −1 tell you about the two sets?",
    shortest="""\
r = np.nan_to_num([np.corrcoef(s, label)[0, 1] for s in states.T])
unit = np.abs(r).argmax()
said = np.polyval(np.polyfit(states[:, unit], label, 1), new_states[:, unit])
return unit, 1 - ((new_label - said)**2).mean() / new_label.var()""",
    mistakes=(
        Mistake("chosen on the new set",
                "You choose the unit on the very set on which it is scored. With many units, one is always lucky "
                "there. Choose on the first set.", _fair_wrong(chosen_on=lambda old, new: new)),
        Mistake("scored on the set on which it was chosen",
                "Your score is that of the first set, where the unit was chosen and the line fitted. Both have to "
                "prove themselves on the new set.", _fair_wrong(scored_on=lambda old, new: old)),
        Mistake("the line is fitted on the new set",
                "You fit the line on the new set, as a squared correlation does. Then it adapts itself to what it "
                "should predict. Take slope and intercept from the first set.",
                _fair_wrong(fitted_on=lambda old, new: new)),
        Mistake("a unit that follows with a minus sign is overlooked",
                "You choose the largest correlation with its sign. A unit that falls as the label grows knows as much "
                "as one that rises.", _fair_wrong(best=np.argmax)),
        Mistake("the loudest unit is chosen",
                "You choose by the covariance, which grows with the size of a unit's numbers. Divide by the spread of "
                "the unit first.", _fair_wrong(measured=_by_covariance)),
        Mistake("the quietest unit is chosen",
                "You choose by the slope of the line, which grows as a unit's numbers get smaller. How well the line "
                "fits is another question.", _fair_wrong(measured=_by_slope)),
        Mistake("a unit that never changes",
                "One unit is constant, and its correlation is 0 divided by 0. NaN wins every search for the largest; "
                "such a unit follows nothing.", _fair_wrong(measured=_nan_unit)),
        Mistake("a unit that never changes",
                "One unit is constant, and its correlation is 0 divided by 0. NaN wins every search for the largest; "
                "such a unit follows nothing.", _fair_wrong(measured=_nan_unit, line=_polyfit)),
        Mistake("the error is not compared with anything",
                "You return the mean squared error. Its size depends on the label's unit; divide it by that of the "
                "best constant, the variance of the new label, and subtract from 1.",
                _fair_wrong(score=lambda y, said: ((y - said) ** 2).mean())),
        Mistake("the fraction that is left",
                "You return the fraction of the variance that is *not* explained. The score is 1 minus that.",
                _fair_wrong(score=lambda y, said: 1 - _explained(y, said)))))

EXERCISES = (bits_per_character, smoothed_ngram, fair_score)
