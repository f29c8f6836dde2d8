"""The adding problem (Hochreiter and Schmidhuber 1997, experiment 4): two marked numbers, far apart.

    value   0.31  0.94  0.52  0.11  0.78  0.26
    mark    0     1     0     0     1     0        -> 0.94 + 0.78

The first marked number has to be carried over everything that follows it, to the last step.
"""

import numpy as np


def adding_problem(rng, B, T):
    """B random sequences of the adding problem.

    rng  a numpy Generator
    T    steps, at least 2; one mark falls into the first half, the other into the second

    Returns x (B, T, 2), the values in 0 … 1 and the marks, and y (B,), the sum of the two marked
    values. Always answering 1 has a mean squared error of 1/6.
    """
    if T < 2:
        raise ValueError(f"T is {T}; wanted at least 2, one step for each mark")
    x, rows = np.zeros((B, T, 2)), np.arange(B)
    x[:, :, 0] = rng.random((B, T))
    x[rows, rng.integers(T // 2, size=B), 1] = 1
    x[rows, rng.integers(T // 2, T, size=B), 1] = 1
    return x, (x[:, :, 0] * x[:, :, 1]).sum(axis=1)
