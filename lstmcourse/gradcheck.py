"""Is a hand-derived backward pass right? Compare it with finite differences.

The idea: for any upstream gradients d, the scalar L = sum(outputs * d) has a derivative that
two forward calls give, (L(a + eps) - L(a - eps)) / (2 eps), and that the backward pass must equal.
"""

import copy
import inspect

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
    """Largest difference, divided by the largest magnitude of the two arrays (0 where both are 0).

    Raises ValueError for two shapes: NumPy would repeat the smaller one.
    """
    if np.shape(a) != np.shape(b):
        raise ValueError(f"b has shape {np.shape(b)}; wanted that of a, {np.shape(a)}")
    scale = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
    return float(np.abs(a - b).max(initial=0) / scale) if scale else 0.0


def assert_gradients(forward, backward, inputs, rng, tol=1e-6):
    """AssertionError unless backward is the gradient of forward and neither changes its arguments.

    forward   called as forward(*inputs); returns outputs (one or more arrays), then a cache
    backward  called as backward(*d_outputs, cache); returns one gradient per input, in order
    inputs    a list of float64 arrays, or dicts of them (params), or dicts of such dicts
    rng       draws the upstream gradients: random, since ones or zeros hide mistakes
    tol       largest allowed `relative_error`

    The message names the argument of forward whose gradient is wrong, and by how much.
    Raises ValueError for an input that is not float64: finite differences need all its digits.
    """
    names = _names(forward, len(inputs))
    arrays = _flatten(dict(zip(names, inputs, strict=True)))
    for name, array in arrays.items():
        if getattr(array, "dtype", None) != np.float64:
            raise ValueError(f"{name} is {getattr(array, 'dtype', type(array).__name__)}; wanted a float64 array")
    before = copy.deepcopy(inputs)
    *outputs, cache = forward(*inputs)
    _assert_same(before, inputs, "forward", names)
    upstream = [rng.standard_normal(np.shape(out)) for out in outputs]
    given = [*inputs, *upstream, cache]
    before = copy.deepcopy(given)
    grads = backward(*upstream, cache)
    _assert_same(before, given, "backward", [*names, *(f"d_outputs[{n}]" for n in range(len(upstream))), "cache"])
    grads = _gradients_by_name(grads if isinstance(grads, tuple) else (grads,), inputs, names)

    def loss(name, array):
        moved = _replaced(dict(zip(names, inputs, strict=True)), name, array)
        *results, _ = forward(*moved.values())
        return sum(float(np.sum(out * d)) for out, d in zip(results, upstream, strict=True))

    for name, array in arrays.items():
        if np.shape(grads[name]) != array.shape:
            raise AssertionError(f"{name}: gradient of shape {np.shape(grads[name])}; wanted {array.shape}")
        error = relative_error(grads[name], numerical_gradient(lambda a, name=name: loss(name, a), array))
        if not error < tol:              # also catches NaN
            raise AssertionError(f"{name}: backward differs from finite differences by {error:.1e} "
                                 f"(allowed {tol:.0e})")
    _assert_same(before[:len(names)], inputs, "forward", names)


def _names(forward, n):
    """What forward calls its first n arguments; "input 0" … where it does not say."""
    names = [p.name for p in inspect.signature(forward).parameters.values() if p.kind <= p.POSITIONAL_OR_KEYWORD][:n]
    return names if len(names) == n else [f"input {position}" for position in range(n)]


def _gradients_by_name(grads, inputs, names):
    """What backward returned, as the arrays by their names; AssertionError if one is missing or too many."""
    if len(grads) != len(inputs):
        raise AssertionError(f"backward returned {len(grads)} gradients for {len(inputs)} inputs")
    for name, one, grad in zip(names, inputs, grads, strict=True):
        if set(_flatten(one)) != set(_flatten(grad)):
            raise AssertionError(f"{name}: grads has keys {sorted(_flatten(grad))}; wanted {sorted(_flatten(one))}")
    return _flatten(dict(zip(names, grads, strict=True)))


def _flatten(tree, path=""):
    """The arrays of a dict of arrays or of dicts, by their names: "params['W_hh']"."""
    if not isinstance(tree, dict):
        return {path: tree}
    return {name: leaf for key, value in tree.items()
            for name, leaf in _flatten(value, f"{path}[{key!r}]" if path else key).items()}


def _replaced(tree, name, array, path=""):
    """The same dict with the array of this name replaced."""
    if not isinstance(tree, dict):
        return array if path == name else tree
    return {key: _replaced(value, name, array, f"{path}[{key!r}]" if path else key) for key, value in tree.items()}


def _assert_same(before, after, who, names):
    """AssertionError that names the first argument that is not as before: its numbers, shape or keys."""
    for name, one, other in zip(names, before, after, strict=True):
        if not _same(one, other):
            raise AssertionError(f"{who} changed one of its arguments in place: {name}")


def _same(before, after):
    if isinstance(before, np.ndarray):
        return np.array_equal(before, after, equal_nan=before.dtype.kind == "f")
    if isinstance(before, dict):
        return list(before) == list(after) and all(_same(before[key], after[key]) for key in before)
    if isinstance(before, (list, tuple)):
        return len(before) == len(after) and all(map(_same, before, after))
    return True
