"""Word alignment: is the source word with the largest weight the one that a person would link?"""

import numpy as np

from lstmcourse.validation import check_array, check_mask


def alignment_error_rate(alpha, sure, possible, mask=None):
    """How far the strongest link of each target word is from gold (Och and Ney 2003).   (eq. 8.8)

        AER = 1 - (|L and sure| + |L and possible|) / (|L| + |sure|)     0 is perfect

    alpha     (..., T_tgt, T_src)  weights; L links each target word to its largest one
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
