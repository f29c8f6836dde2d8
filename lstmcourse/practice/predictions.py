"""Predictions: the learner guesses, then the cell computes, and both are shown side by side."""

import math
from numbers import Real


def compare(guess, actual):
    """Print a guess beside the result.

    guess   a number or a word; None: no guess was made, and the notebook runs on
    actual  the computed number or word
    """
    if guess is None:
        print(f"no guess made; it is {_text(actual)}")
    elif isinstance(actual, str):
        right = str(guess).strip().lower() == actual.lower()
        print(f"you said {guess}; it is {actual}" + (": right" if right else ""))
    elif not isinstance(guess, Real) or math.isnan(guess):
        print(f"your guess is {guess!r}; wanted a number like 0.25, or None. It is {_text(actual)}")
    else:
        print(f"you said {_text(guess)}; it is {_text(actual)}: {_judge(guess, actual)}")


def _judge(guess, actual):
    if math.isclose(guess, actual, rel_tol=0.1, abs_tol=1e-9):
        return "right, or within a tenth of it"
    if guess * actual <= 0:
        return f"off by {_text(abs(guess - actual))}"
    factor = max(guess / actual, actual / guess)
    return "close: less than a factor 2" if factor < 2 else \
        f"{_text(factor)} times too {'large' if abs(guess) > abs(actual) else 'small'}"


def _text(value):
    return f"{value:.3g}" if isinstance(value, Real) and not isinstance(value, (bool, int)) else str(value)
