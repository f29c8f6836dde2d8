"""Copy memory (Hochreiter and Schmidhuber 1997, Arjovsky et al. 2016): read, wait, say it again.

    3 1 7 7 0 _ _ _ _ _ _ > _ _ _ _        input; _ is a blank, > asks for the copy
                          3 1 7 7 0        answers
"""

import numpy as np


def copy_memory(rng, B, length, delay, symbols=8):
    """B random sequences of the copy task.

    rng     a numpy Generator
    length  symbols to be remembered
    delay   steps between the last symbol and the first answer, at least 1

    Returns tokens (B, T) with T = 2 length + delay - 1, integers: 0 … symbols - 1, then the blank and the
    question mark; targets (B, T) and mask (B, T), True at the last length steps, where the answer counts.
    """
    if delay < 1:
        raise ValueError(f"delay is {delay}; wanted at least 1: the question takes one step")
    T = 2 * length + delay - 1
    word = rng.integers(symbols, size=(B, length))
    tokens, targets, mask = np.full((B, T), symbols), np.zeros((B, T), int), np.zeros((B, T), bool)
    tokens[:, :length], tokens[:, T - length] = word, symbols + 1
    targets[:, T - length:], mask[:, T - length:] = word, True
    return tokens, targets, mask
