"""Alignment error rate: cases by hand, and batches with padding."""

import numpy as np
import pytest

from lstmcourse.lab.alignment import alignment_error_rate

B, T_TGT, T_SRC = 3, 4, 6


def test_alignment_error_rate_of_a_case_by_hand():
    sure = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0]], bool)
    possible = sure | np.array([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]], bool)
    alpha = np.array([[0.6, 0.4, 0, 0], [0, 0.1, 0.3, 0.6], [0.7, 0.3, 0, 0]])     # sure, possible, wrong
    assert alignment_error_rate(alpha, sure, possible) == pytest.approx(1 - (1 + 2) / (3 + 3))
    assert alignment_error_rate(sure * 1.0, sure, possible) == 0
    assert alignment_error_rate(alpha, sure, possible & ~sure) == alignment_error_rate(alpha, sure, possible)


def test_alignment_error_rate_of_a_batch_counts_links_not_sentences(rng):
    alpha = rng.random((B, T_TGT, T_SRC))
    sure = rng.random(alpha.shape) < 0.3
    possible = sure | (rng.random(alpha.shape) < 0.3)
    mask = np.arange(T_TGT) < np.array([4, 1, 2])[:, None]
    sure &= mask[..., None]
    rows = [np.concatenate([a[m] for a, m in zip(part, mask, strict=True)]) for part in (alpha, sure, possible)]
    assert alignment_error_rate(alpha, sure, possible, mask) == pytest.approx(alignment_error_rate(*rows))
