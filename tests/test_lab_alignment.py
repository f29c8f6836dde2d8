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
    rows = [np.concatenate([a[m] for a, m in zip(part, mask, strict=True)]) for part in (alpha, sure, possible)]
    assert alignment_error_rate(alpha, sure, possible, mask) == pytest.approx(alignment_error_rate(*rows))


def test_alignment_error_rate_of_a_perfect_alpha_is_0_under_a_mask():
    gold = np.eye(3, dtype=bool)
    assert alignment_error_rate(np.eye(3), gold, gold, np.array([True, True, False])) == 0


@pytest.mark.parametrize(("change", "message"), [
    ({"sure": np.zeros((T_SRC, T_TGT), bool)}, r"^sure has shape \(6, 4\); wanted \(4, 6\)"),
    ({"possible": np.zeros((T_SRC, T_TGT), bool)}, r"^possible has shape \(6, 4\); wanted \(4, 6\)"),
    ({"sure": np.zeros((T_TGT, T_SRC))}, "^sure has dtype float64; wanted bool"),
    ({"possible": np.zeros((T_TGT, T_SRC), int)}, "^possible has dtype int64; wanted bool"),
    ({"mask": np.ones(T_TGT)}, "^mask has dtype float64; wanted bool"),
    ({"mask": np.ones(T_SRC, bool)}, r"^mask has shape \(6,\); wanted \(4,\)"),
    ({"mask": np.zeros(T_TGT, bool)}, "^mask: no True in it"),
    ({"alpha": [[0.5]]}, "^alpha is a list; wanted an array")])
def test_alignment_error_rate_names_what_is_wrong(change, message):
    given = {"alpha": np.ones((T_TGT, T_SRC)), "sure": np.ones((T_TGT, T_SRC), bool),
             "possible": np.ones((T_TGT, T_SRC), bool)}
    with pytest.raises(ValueError, match=message):
        alignment_error_rate(**given | change)
