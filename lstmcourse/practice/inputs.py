"""Random inputs for the cases: large weights, non-zero states and biases, so that no mistake hides.

The sizes of a case are pairwise distinct (a swapped axis fails), T >= 3 and B >= 2.
"""

import numpy as np


def params(rng, gates, D, H):
    """Weights of a recurrent cell with so many gates, as in PyTorch, in ±1."""
    return {"W_ih": uniform(rng, gates * H, D), "W_hh": uniform(rng, gates * H, H),
            "b_ih": uniform(rng, gates * H), "b_hh": uniform(rng, gates * H)}


def uniform(rng, *shape):
    """Numbers in ±1: weights, states."""
    return rng.uniform(-1, 1, shape)


def normal(rng, *shape):
    """Standard normal numbers: inputs, upstream gradients."""
    return rng.standard_normal(shape)


def padding(lengths, T):
    """mask (B, T): True for the first lengths[b] of T positions."""
    return np.arange(T) < np.asarray(lengths)[:, None]


def weights_only(cache):
    """The params that a library's cache holds, from an exercise's flat cache."""
    return {"W_ih": cache["W_ih"], "W_hh": cache["W_hh"]}


LARGE = 10000.0          # times this, gradients exceed any limit at which somebody might clip them
ABOUT_LARGE = ("", "upstream gradients of about 10000")


def clip_by_value(value, limit):
    """Every array in value, its entries held to ±limit."""
    if isinstance(value, dict):
        return {key: clip_by_value(entry, limit) for key, entry in value.items()}
    return tuple(clip_by_value(entry, limit) for entry in value) if isinstance(value, tuple) else \
        np.clip(value, -limit, limit)
