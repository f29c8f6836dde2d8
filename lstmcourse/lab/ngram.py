"""An n-gram language model with Witten-Bell smoothing: what followed the last n characters, and how often."""

import numpy as np

from lstmcourse.validation import check_tokens


def ngram_bits(train, test, order, V):
    """Bits per character of n-gram models on the test text, for every order from 0 to `order`.

        p_n(x | context) = (count(context x) + types(context) p_{n-1}(x | context')) / (count(context) + types(context))

    context is the last n characters, context' the last n - 1. types is how many different characters followed the
    context (Witten and Bell 1991): the more there were, the more weight the lower order gets. p_{-1} is 1/V, and p_n
    is p_{n-1} for a context that the training text does not have.

    train, test  (N,) integers 0 … V-1
    order        as large as V**(order + 1) fits into 63 bits: 8 where V is 96

    Returns an array (order + 1,).
    Raises ValueError for tokens out of range, and for an order that is negative, too large, or not below the
    lengths of both texts.
    """
    train, test = check_tokens("train", train, V), check_tokens("test", test, V)
    shorter = min(len(train), len(test))
    if not 0 <= order < shorter:
        raise ValueError(f"order is {order}; wanted 0 … {shorter - 1}, less than the length of each text")
    if V ** (order + 1) > np.iinfo(np.int64).max:
        raise ValueError(f"order is {order} with V = {V}; wanted V**(order + 1) < 2**63")
    p, bits = np.full(len(test), 1 / V), []
    context, test_context = (np.zeros(len(text), np.int64) for text in (train, test))    # the last n, as one number
    for n in range(order + 1):
        if n > 0:
            context = context[1:] + train[:-n] * V ** (n - 1)           # one character further back comes in
            test_context = test_context[1:] + test[:-n] * V ** (n - 1)
        pairs, count = np.unique(context * V + train[n:], return_counts=True)
        first = np.flatnonzero(np.diff(pairs // V, prepend=-1))         # the pairs of one context are neighbours
        total, types = np.add.reduceat(count, first), np.diff(first, append=len(pairs))
        context_at = _find(pairs[first] // V, test_context)
        pair_at = _find(pairs, test_context * V + test[n:])
        known = context_at >= 0
        c, N, K = np.where(pair_at >= 0, count[pair_at], 0)[known], total[context_at][known], types[context_at][known]
        p[n:][known] = (c + K * p[n:][known]) / (N + K)
        bits.append(-np.log2(p).mean())
    return np.array(bits)


def _find(keys, wanted):
    """The index of each of `wanted` in the sorted keys; -1 where it is not among them."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, at, -1)
