"""Alignment error rate by hand; the two aligners against enumeration and planted alignments."""

import itertools

import numpy as np
import pytest

from lstmcourse.lab.alignment import (
    alignment_error_rate,
    hmm_model,
    hmm_posterior,
    ibm_model_1,
)

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


def translated(rng, n=200, V=8, T=4):
    """Sentences whose word k is the translation V - 1 - k, in reverse order: one batch with two lengths."""
    source, lengths = rng.integers(V, size=(n, T)), rng.integers(2, T + 1, size=n)
    real = np.arange(T) < lengths[:, None]
    order = np.where(real, lengths[:, None] - 1 - np.arange(T), np.arange(T))
    return source, lengths, V - 1 - source[np.arange(n)[:, None], order], real


def test_ibm_model_1_finds_a_planted_dictionary(rng):
    table = ibm_model_1([translated(rng)], 8, 8)
    assert (table.argmax(axis=0) == 7 - np.arange(8)).all()
    assert np.allclose(table.sum(axis=0), 1)


def test_ibm_model_1_without_iterations_counts_pairs():
    batch = np.array([[0, 1]]), np.array([1]), np.array([[2, 2, 0]]), np.array([[True, True, False]])
    assert ibm_model_1([batch], 2, 3, iterations=0).tolist() == [[0, 0], [0, 0], [2, 0]]


def test_ibm_model_1_one_step_by_hand():
    batch = np.array([[0, 1]]), np.array([2]), np.array([[0]]), np.array([[True]])
    assert ibm_model_1([batch, batch], 2, 2, iterations=1).tolist() == [[1, 1], [0, 0]]


def test_hmm_posterior_is_the_sum_over_all_alignments(rng):
    V, T_src, T_tgt, n = 5, 3, 4, 5
    table, jumps = rng.random((V, V)), rng.random(n)
    source, lengths, targets = rng.integers(V, size=(1, T_src)), np.array([2]), rng.integers(V, size=(1, T_tgt))
    mask = np.array([[True, True, True, False]])

    def step(i, j):
        return jumps[j - i + n // 2] / sum(jumps[k - i + n // 2] for k in range(2))
    wanted = np.zeros((3, T_src))
    for links in itertools.product(range(2), repeat=3):
        p = np.prod([step(i, j) for i, j in itertools.pairwise(links)])
        p *= np.prod([table[targets[0, t], source[0, s]] for t, s in enumerate(links)])
        for t, s in enumerate(links):
            wanted[t, s] += p
    got = hmm_posterior(table, jumps, source, lengths, targets, mask)[0, :3]
    assert np.allclose(got, wanted / wanted[0].sum(), atol=1e-12)


def test_hmm_model_learns_that_the_order_is_reversed(rng):
    batch = translated(rng)
    _, jumps = hmm_model([batch], ibm_model_1([batch], 8, 8, iterations=2), max_jump=3)
    assert jumps.argmax() == 2                              # one word back


def test_hmm_model_is_better_than_ibm_model_1_where_a_word_occurs_twice(rng):
    source, lengths, targets, mask = translated(rng, n=400, V=4)
    batch = source, lengths, targets, mask
    gold = np.arange(4) == (lengths[:, None] - 1 - np.arange(4))[:, :, None]
    table = ibm_model_1([batch], 4, 4)
    by_words = np.where(np.arange(4) < lengths[:, None, None], table[targets[:, :, None], source[:, None]], -1)
    by_jumps = hmm_posterior(*hmm_model([batch], table), *batch)
    rates = [alignment_error_rate(alpha, gold & mask[..., None], gold & mask[..., None], mask)
             for alpha in (by_words, by_jumps)]
    assert rates[0] > 0.1
    assert rates[1] < rates[0] / 2
