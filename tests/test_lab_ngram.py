"""The n-gram language model, held to a form that loops over every character."""

import numpy as np
import pytest

from lstmcourse.lab.ngram import ngram_bits


def slow(train, test, order, V):
    """The docstring's formula, letter by letter."""
    bits = []
    for t in range(len(test)):
        p = 1 / V
        for n in range(min(order, t) + 1):
            last = list(test[t - n:t])
            followers = [train[k] for k in range(n, len(train)) if list(train[k - n:k]) == last]
            if followers:
                kinds = len(set(followers))
                p = (followers.count(test[t]) + kinds * p) / (len(followers) + kinds)
        bits.append(-np.log2(p))
    return np.mean(bits)


def test_ngram_bits_is_the_formula_in_its_docstring(rng):
    train, test = rng.integers(3, size=70), rng.integers(4, size=40)                    # 3 never stands in train
    np.testing.assert_allclose(ngram_bits(train, test, 4, 4), [slow(train, test, n, 4) for n in range(5)], rtol=1e-12)


def test_ngram_bits_of_a_text_that_repeats_goes_to_zero():
    text = np.tile([0, 1, 2], 2000)
    zero, one = ngram_bits(text, text[:900], 1, 3)
    assert abs(zero - np.log2(3)) < 1e-3
    assert one < 0.01


def test_ngram_bits_of_noise_is_its_entropy(rng):
    zero, one, two = ngram_bits(rng.integers(4, size=5000), rng.integers(4, size=50_000), 2, 4)
    assert abs(zero - 2) < 0.01
    assert zero <= one <= two < 2.01                       # a longer memory learns nothing from noise


def test_ngram_bits_names_an_order_that_does_not_fit():
    with pytest.raises(ValueError, match="order is 9 with V = 96"):
        ngram_bits(np.zeros(20, int), np.zeros(20, int), 9, 96)


@pytest.mark.parametrize(("train", "test", "message"), [
    (np.array([0, 3]), np.array([0, 1]), "^train holds 0 … 3; wanted 0 … 2"),
    (np.array([0, 1]), np.array([0, -1]), "^test holds -1 … 0; wanted 0 … 2"),
    (np.array([0.0, 1.0]), np.array([0, 1]), "^train has dtype float64; wanted integers")])
def test_ngram_bits_names_tokens_out_of_range(train, test, message):
    with pytest.raises(ValueError, match=message):
        ngram_bits(train, test, 1, 3)


@pytest.mark.parametrize("order", [-1, 2, 5])
def test_ngram_bits_names_an_order_that_is_not_below_the_length(order):
    with pytest.raises(ValueError, match=f"^order is {order}; wanted 0 … 1, less than the length of each text"):
        ngram_bits(np.zeros(9, int), np.zeros(2, int), order, 3)
