"""Counting: a^n b^n. Some a, then exactly as many b, then the end.

    aaabbb.      once the a are counted, everything after the first b is known
"""

import numpy as np

SYMBOLS = "ab."


def a_n_b_n(n):
    """The strings a^n b^n for the given n, padded to the longest.

    n  (B,)  integers, at least 1

    Returns tokens (B, T) with T = 2 max(n), integers for a and b (b where the string is over), targets
    (B, T), the symbol that follows, and mask (B, T), True where that is certain: at every b.
    """
    n = np.asarray(n)
    if n.ndim != 1 or not len(n) or n.min() < 1:
        raise ValueError(f"n is {n.tolist()}; wanted a list of integers from 1 on")
    step = np.arange(2 * n.max())
    tokens = (step >= n[:, None]).astype(int)
    targets = np.where(step + 1 < n[:, None], 0, np.where(step + 1 < 2 * n[:, None], 1, 2))
    return tokens, targets, (step >= n[:, None]) & (step < 2 * n[:, None])
