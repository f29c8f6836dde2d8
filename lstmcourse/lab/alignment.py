"""Word alignment: which source word does each target word belong to?

    alignment_error_rate   how far the strongest links are from the ones that a person drew
    ibm_model_1            word-to-word probabilities by expectation maximization (Brown et al. 1993)
    hmm_model              the same with a jump from link to link (Vogel et al. 1996)

Two statistical aligners that need no network, the rivals of attention in lesson 08. A batch is
(source (B, T_src), lengths (B,), targets (B, T_tgt), mask (B, T_tgt)): tokens, the number of real source
words, and True at the target words that count. Neither model has an empty source word.
"""

import numpy as np

from lstmcourse.validation import check_array, check_mask


def alignment_error_rate(alpha, sure, possible, mask=None):
    """How far the strongest link of each target word is from gold (Och and Ney 2003).   (eq. 8l)

        AER = 1 - (|A and sure| + |A and possible|) / (|A| + |sure|)     0 is perfect

    alpha     (..., T_tgt, T_src)  weights; A links each target word to its largest one
    sure      (..., T_tgt, T_src)  True where a link must be
    possible  the same shape       True where a link may be; includes the sure ones
    mask      (..., T_tgt)         True for the target words that count; None: all

    Returns a float from 0 to 1. Raises ValueError for a wrong shape or dtype, and where no word counts.
    """
    check_array("alpha", alpha, (..., None, None))
    sure, possible = check_mask("sure", sure, alpha.shape), check_mask("possible", possible, alpha.shape)
    mask = check_mask("mask", np.ones(alpha.shape[:-1], bool) if mask is None else mask, alpha.shape[:-1])
    if not mask.any():
        raise ValueError("mask: no True in it; the error rate of no words is not defined")
    sure = sure & mask[..., None]
    links = (np.arange(alpha.shape[-1]) == alpha.argmax(axis=-1)[..., None]) & mask[..., None]
    right = (links & sure).sum() + (links & (possible | sure)).sum()
    return float(1 - right / (links.sum() + sure.sum()))


def ibm_model_1(batches, V_src, V_tgt, iterations=10):
    """IBM model 1: p(target word | source word), (V_tgt, V_src), trained by expectation maximization.

        expectation   fraction[b, t, s] = p(target_t | source_s) / sum over s' of p(target_t | source_s')
        maximization  p(target | source) = summed fractions of that pair of words / those of its source word

    batches     list of batches, see the top of the file
    iterations  0: plain counts of words that occur in the same pair of sentences, not normalized
    """
    table = np.ones((V_tgt, V_src))
    for _ in range(max(iterations, 1)):
        counts = np.zeros_like(table)
        for source, lengths, targets, mask in batches:
            fractions = _emissions(table, source, lengths, targets) * mask[:, :, None]
            if iterations:
                fractions /= np.maximum(fractions.sum(axis=2, keepdims=True), TINY)
            np.add.at(counts, (targets[:, :, None], source[:, None]), fractions)
        table = counts / np.maximum(counts.sum(axis=0), TINY) if iterations else counts
    return table


def hmm_model(batches, table, iterations=5, max_jump=8):
    """An HMM aligner: the link of a target word is a step from the link of the one before.

        p(s_t | s_{t-1}) is proportional to jumps[s_t - s_{t-1}], over the real source words

    table       p(target | source) (V_tgt, V_src) to start from, as `ibm_model_1` returns it
    max_jump    longer jumps share the probability of this one

    Returns table and jumps (2 max_jump + 1,), after `iterations` of the Baum-Welch algorithm.
    """
    jumps = np.full(2 * max_jump + 1, 1 / (2 * max_jump + 1))
    for _ in range(iterations):
        counts, jump_counts = np.zeros_like(table), np.zeros_like(jumps)
        for source, lengths, targets, mask in batches:
            posterior, moves = _forward_backward(table, jumps, source, lengths, targets, mask)
            np.add.at(counts, (targets[:, :, None], source[:, None]), posterior * mask[:, :, None])
            np.add.at(jump_counts, _jump_index(source.shape[1], len(jumps)), moves)
        table = counts / np.maximum(counts.sum(axis=0), TINY)
        jumps = jump_counts / jump_counts.sum()
    return table, jumps


def hmm_posterior(table, jumps, source, lengths, targets, mask):
    """The probability that target word t is linked to source word s, given both sentences: (B, T_tgt, T_src)."""
    return _forward_backward(table, jumps, source, lengths, targets, mask)[0]


TINY = 1e-300       # in place of 0 where something is divided by it


def _emissions(table, source, lengths, targets):
    """p(target_t | source_s) (B, T_tgt, T_src), 0 at the padding of the source."""
    real = np.arange(source.shape[1]) < np.asarray(lengths)[:, None]
    return table[targets[:, :, None], source[:, None]] * real[:, None]


def _jump_index(T_src, n):
    """Which entry of the n jumps leads from s to s': (T_src, T_src)."""
    position = np.arange(T_src)
    return np.clip(position[None] - position[:, None], -(n // 2), n // 2) + n // 2


def _forward_backward(table, jumps, source, lengths, targets, mask):
    """Posterior links (B, T_tgt, T_src) and the expected number of moves from s to s' (T_src, T_src)."""
    emission = _emissions(table, source, lengths, targets)
    real = np.arange(source.shape[1]) < np.asarray(lengths)[:, None]
    transition = jumps[_jump_index(source.shape[1], len(jumps))] * real[:, None]
    transition = transition / np.maximum(transition.sum(axis=2, keepdims=True), TINY)      # (B, s, s')
    T = targets.shape[1]
    forward, scales = [], []
    for t in range(T):
        prior = real / real.sum(axis=1, keepdims=True) if t == 0 else np.einsum("bi,bij->bj", forward[-1], transition)
        joint = np.where(mask[:, t, None], prior * emission[:, t], prior)                  # padding says nothing
        scales.append(np.maximum(joint.sum(axis=1, keepdims=True), TINY))
        forward.append(joint / scales[-1])
    backward, moves = np.ones_like(forward[-1]), np.zeros(transition.shape[1:])
    posterior = [forward[-1]]
    for t in range(T - 1, 0, -1):
        arriving = np.where(mask[:, t, None], emission[:, t], 1) * backward / scales[t]
        moves += np.einsum("bi,bij,bj,b->ij", forward[t - 1], transition, arriving, mask[:, t].astype(float))
        backward = np.einsum("bij,bj->bi", transition, arriving)
        posterior.append(forward[t - 1] * backward)
    return np.stack(posterior[::-1], axis=1), moves
