"""`compare` says what a guess was worth, in words, for every kind of guess."""

import numpy as np
import pytest

from lstmcourse.practice import compare

SAID = [
    # guess, actual, what is printed
    (None, 0.25, "no guess made; it is 0.25"),
    (None, "burger", "no guess made; it is burger"),
    (None, 7, "no guess made; it is 7"),
    ("pizza", "burger", "you said pizza; it is burger"),
    ("burger", "burger", "you said burger; it is burger: right"),
    ("  Burger ", "burger", "you said   Burger ; it is burger: right"),
    ("burger", "Burger", "you said burger; it is Burger: right"),
    (3, "burger", "you said 3; it is burger"),
    ("much", 0.25, "your guess is 'much'; wanted a number like 0.25, or None. It is 0.25"),
    (np.nan, 0.25, "your guess is nan; wanted a number like 0.25, or None. It is 0.25"),
    (0.25, 0.25, "you said 0.25; it is 0.25: right, or within a tenth of it"),
    (0.27, 0.25, "you said 0.27; it is 0.25: right, or within a tenth of it"),
    (0.23, 0.25, "you said 0.23; it is 0.25: right, or within a tenth of it"),
    (0.29, 0.25, "you said 0.29; it is 0.25: close: less than a factor 2"),
    (0.21, 0.25, "you said 0.21; it is 0.25: close: less than a factor 2"),
    (0.49, 0.25, "you said 0.49; it is 0.25: close: less than a factor 2"),
    (0.13, 0.25, "you said 0.13; it is 0.25: close: less than a factor 2"),
    (1, 0.25, "you said 1; it is 0.25: 4 times too large"),
    (1, 4, "you said 1; it is 4: 4 times too small"),
    (2, 1, "you said 2; it is 1: 2 times too large"),
    (-1, -4, "you said -1; it is -4: 4 times too small"),
    (-4, -1, "you said -4; it is -1: 4 times too large"),
    (0.5, -0.5, "you said 0.5; it is -0.5: off by 1"),
    (0, 3, "you said 0; it is 3: off by 3"),
    (3, 0, "you said 3; it is 0: off by 3"),
    (0, 0, "you said 0; it is 0: right, or within a tenth of it"),
    (0, 1e-10, "you said 0; it is 1e-10: right, or within a tenth of it"),
    (1200, np.float64(1234.567), "you said 1200; it is 1.23e+03: right, or within a tenth of it"),
    (np.float32(0.5), np.float64(0.5), "you said 0.5; it is 0.5: right, or within a tenth of it"),
]


@pytest.mark.parametrize(("guess", "actual", "said"), SAID)
def test_a_guess_beside_the_result(guess, actual, said, capsys):
    assert compare(guess, actual) is None
    assert capsys.readouterr().out == said + "\n"
