"""Is a hand-derived backward right? Compare it with finite differences.

The idea: for any upstream gradients d, the scalar L = sum(outputs * d) has a derivative that
two forward calls give, (L(a + eps) - L(a - eps)) / (2 eps), and that the backward must equal.
"""

import numpy as np


def numerical_gradient(f, array, eps=1e-5):
    """Central differences of the scalar function f at array (float64).

    f      called with an array of the same shape; returns a float
    array  any shape; not changed

    Returns an array of array's shape: (f(a + eps) - f(a - eps)) / (2 eps), entry by entry.
    """
    grad = np.empty(array.shape)
    for index in np.ndindex(array.shape):
        moved = array.copy()
        moved[index] += eps
        above = f(moved)
        moved[index] = array[index] - eps
        grad[index] = (above - f(moved)) / (2 * eps)
    return grad


def relative_error(a, b):
    """Largest difference, divided by the largest magnitude of the two arrays (0 where both are 0)."""
    scale = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
    return float(np.abs(a - b).max(initial=0) / scale) if scale else 0.0


def assert_gradients(forward, backward, inputs, rng, tol=1e-6):
    """AssertionError unless backward is the gradient of forward and neither changes its arguments.

    forward   called as forward(*inputs); returns outputs (one or more arrays), then a cache
    backward  called as backward(*d_outputs, cache); returns one gradient per input, in order
    inputs    a list of float64 arrays, or dicts of them (params)
    rng       draws the upstream gradients: random, since ones or zeros hide mistakes
    tol       largest allowed `relative_error`

    The message names the input whose gradient is wrong and by how much.
    """
    *outputs, cache = forward(*inputs)
    upstream = [rng.standard_normal(np.shape(out)) for out in outputs]
    before = _copy([inputs, upstream, cache])
    grads = backward(*upstream, cache)
    _assert_same(before, [inputs, upstream, cache], "backward")
    grads = grads if isinstance(grads, tuple) else (grads,)
    if len(grads) != len(inputs):
        raise AssertionError(f"backward returned {len(grads)} gradients for {len(inputs)} inputs")

    def loss(position, key, array):
        moved = list(inputs)
        moved[position] = array if key is None else {**inputs[position], key: array}
        return sum(float(np.sum(out * d)) for out, d in zip(forward(*moved), upstream, strict=False))

    for position, (given, grad) in enumerate(zip(inputs, grads, strict=True)):
        if isinstance(given, dict) and set(given) != set(grad):
            raise AssertionError(f"input {position}: grads has keys {sorted(grad)}; wanted {sorted(given)}")
        for key in given if isinstance(given, dict) else [None]:
            array, got = (given, grad) if key is None else (given[key], grad[key])
            name = f"input {position}" + (f"[{key!r}]" if key is not None else "")
            if np.shape(got) != array.shape:
                raise AssertionError(f"{name}: gradient of shape {np.shape(got)}; wanted {array.shape}")
            wanted = numerical_gradient(lambda a, p=position, k=key: loss(p, k, a), array)
            error = relative_error(got, wanted)
            if not error < tol:          # also catches NaN
                raise AssertionError(f"{name}: backward differs from finite differences by {error:.1e} "
                                     f"(allowed {tol:.0e})")
    _assert_same(before, [inputs, upstream, cache], "forward")


def _copy(tree):
    if isinstance(tree, np.ndarray):
        return tree.copy()
    if isinstance(tree, dict):
        return {key: _copy(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_copy(value) for value in tree]
    return tree


def _assert_same(before, after, who):
    if isinstance(before, np.ndarray):
        if not np.array_equal(before, after, equal_nan=True):
            raise AssertionError(f"{who} changed one of its arguments in place")
    elif isinstance(before, dict):
        for key in before:
            _assert_same(before[key], after[key], who)
    elif isinstance(before, list):
        for one, other in zip(before, after, strict=True):
            _assert_same(one, other, who)
