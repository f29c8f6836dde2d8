"""The strings a^n b^n: what is fed, what is asked, and where."""

import numpy as np
import pytest

from lstmcourse.data.counting import SYMBOLS, a_n_b_n


def test_a_n_b_n_spells_the_strings_and_what_follows():
    n = [3, 1, 4]
    tokens, targets, mask = a_n_b_n(n)
    assert tokens.shape == targets.shape == mask.shape == (3, 8)
    for row, count in enumerate(n):
        string = "a" * count + "b" * count + "."
        assert "".join(SYMBOLS[token] for token in tokens[row, :2 * count]) == string[:-1]
        assert "".join(SYMBOLS[target] for target in targets[row, :2 * count]) == string[1:]


def test_a_n_b_n_asks_at_every_b_and_nowhere_else():
    n = np.array([2, 5])
    tokens, _, mask = a_n_b_n(n)
    assert mask.sum(axis=1).tolist() == n.tolist()
    assert (tokens[mask] == 1).all()
    assert np.flatnonzero(mask[0]).tolist() == [2, 3]       # the padding after the string does not count


def test_a_n_b_n_ends_only_after_the_last_b():
    _, targets, mask = a_n_b_n([4, 7])
    ends = [np.flatnonzero((row == 2) & asked).tolist() for row, asked in zip(targets, mask, strict=True)]
    assert ends == [[7], [13]]


def test_a_n_b_n_needs_a_memory():
    short, long = (a_n_b_n([n])[1][0] for n in (3, 4))
    assert (short[5], long[6]) == (2, 1)                   # after the third b: the end of one, not of the other


@pytest.mark.parametrize("n", [[], [0, 1], 3])
def test_a_n_b_n_rejects_what_is_no_list_of_counts(n):
    with pytest.raises(ValueError, match="wanted a list of integers from 1 on"):
        a_n_b_n(n)
