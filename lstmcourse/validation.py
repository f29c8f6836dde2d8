"""The library's error messages: each names the argument, what came and what was wanted.

Called at the doors that a learner meets (sequence functions, layers, attention, training); the
one-step cells stay free of checks, so that they read as the equations do. All raise ValueError,
for values that are not finite FloatingPointError.
"""

import math
from numbers import Real

import numpy as np

FLOATS = (np.dtype("float64"), np.dtype("float32"))
RECURRENT_KEYS = ("W_ih", "W_hh", "b_ih", "b_hh")


def check_array(name, array, shape, dtype=None, note=""):
    """ValueError unless array is an array of this shape and dtype.

    shape  a tuple; None stands for any length, a leading ... for any leading axes
    dtype  the one wanted; None: float64 or float32
    note   ends the message about a shape: where the wanted one comes from
    """
    if isinstance(array, np.ndarray) and array.shape == shape and dtype is not None and array.dtype == dtype:
        return                            # the usual case, fast
    _check_shape(name, array, shape, note)
    if array.dtype not in (FLOATS if dtype is None else (dtype,)):
        raise ValueError(f"{name} has dtype {array.dtype}; wanted "
                         + ("float64 or float32" if dtype is None else np.dtype(dtype).name))


def check_mask(name, mask, shape):
    """ValueError unless mask holds True and False in this shape (see `check_array`); returns it as an array."""
    mask = np.asarray(mask)
    _check_shape(name, mask, shape)
    if mask.dtype != bool:
        raise ValueError(f"{name} has dtype {mask.dtype}; wanted bool, True where something counts")
    return mask


def check_tokens(name, tokens, V, mask=None):
    """ValueError unless tokens are integers in 0 … V-1; returns them as an array.

    mask  bool, of the shape that tokens must have; where it is False anything may be, and 0 is returned
    """
    tokens = np.asarray(tokens)
    if mask is not None:
        _check_shape(name, tokens, mask.shape)
        tokens = np.where(mask, tokens, 0)
    if not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(f"{name} has dtype {tokens.dtype}; wanted integers")
    if tokens.size and (tokens.min() < 0 or tokens.max() >= V):
        raise ValueError(f"{name} holds {tokens.min()} … {tokens.max()}; wanted 0 … {V - 1}")
    return tokens


def check_number(name, value, above=-math.inf):
    """ValueError unless value is one finite number greater than `above`; returns it as a Python float.

    A Python float takes the dtype of the array that it meets; a NumPy float64 turns float32 into float64.
    """
    if not isinstance(value, Real) or not math.isfinite(value) or not float(value) > above:
        raise ValueError(f"{name} is {value!r}; wanted a finite number" + f" above {above:g}" * math.isfinite(above))
    return float(value)


def check_keys(name, params, keys):
    """ValueError unless params is a dict with exactly these keys."""
    wanted = ", ".join(sorted(keys))
    if not isinstance(params, dict):
        raise ValueError(f"{name} is a {type(params).__name__}; wanted a dict with the keys {wanted}")
    for key in keys:
        if key not in params:
            raise ValueError(f"{name} has no {key!r}: it has {sorted(params)}; wanted {wanted}")
    if len(params) > len(keys):
        raise ValueError(f"{name} has {sorted(set(params) - set(keys))} besides; wanted {wanted} alone")


def check_params(name, params, shapes, dtype):
    """ValueError unless params is a dict with exactly the keys of shapes, each an array of this shape and dtype."""
    check_keys(name, params, shapes)
    for key, shape in shapes.items():
        check_array(f"{name}[{key!r}]", params[key], shape, dtype)


def check_gradients(grads, params, name="grads", finite=True):
    """Errors unless grads has the form of params: the same keys, shapes and dtypes, and only finite numbers.

    Raises ValueError for another form, FloatingPointError for NaN or infinity. Both name the array.
    """
    if isinstance(params, dict):
        check_keys(name, grads, params.keys())
        for key in params:
            check_gradients(grads[key], params[key], f"{name}[{key!r}]", finite)
        return
    check_array(f"what {name} belongs to", params, (...,))
    check_array(name, grads, params.shape, params.dtype)
    if finite and not np.isfinite(grads).all():
        raise FloatingPointError(f"{name} holds NaN or infinity; wanted finite gradients")


def check_sequence(x, states, params, gates, keys=RECURRENT_KEYS):
    """Check the arguments of a recurrent layer; returns B, T, D, H and the dtype.

    The params are held to one another first, then x and the states to the params: what is named
    is what does not fit.

    states  dict of the initial states by name, each (B, H)
    gates   blocks of H rows in the weights: 1 RNN, 3 GRU, 4 LSTM
    """
    check_array("x", x, (None, None, None))
    check_keys("params", params, keys)
    for key in ("W_ih", "W_hh"):
        check_array(f"params[{key!r}]", params[key], (None, None), x.dtype)
    (B, T, _), D, H, dtype = x.shape, params["W_ih"].shape[1], params["W_hh"].shape[1], x.dtype
    rows, blocks = gates * H, f": {gates} block{'s' * (gates > 1)} of H = {H} rows"
    for key in keys:
        shape = {"W_ih": (rows, D), "W_hh": (rows, H)}.get(key, (rows,))
        check_array(f"params[{key!r}]", params[key], shape, dtype, blocks)
        if not np.isfinite(params[key]).all():
            raise ValueError(f"params[{key!r}] holds NaN or infinity; wanted finite numbers "
                             "(a training run that blew up?)")
    check_array("x", x, (B, T, D), dtype, ", as wide as params['W_ih']")
    for name, state in states.items():
        check_array(name, state, (B, H), dtype)
    return B, T, D, H, dtype


def read_only(array):
    """The same array, not to be written to by the caller; a window onto it stays what it is.

    The backward pass reads this memory, so a stray `h *= mask` would spoil its gradients;
    as it is, NumPy refuses. `h.copy()` may be changed.
    """
    array.flags.writeable = False
    return array


def batch_first(states):
    """States 1 … T of (T + 1, B, H), as the caller sees them: (B, T, H), `read_only`."""
    return read_only(states[1:].swapaxes(0, 1))


def _check_shape(name, array, shape, note=""):
    free = shape[:1] == (...,)
    wanted = shape[1:] if free else shape
    text = ", ".join({None: "any", ...: "…"}.get(n, str(n)) for n in shape) + "," * (len(shape) == 1)
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} is a {type(array).__name__}; wanted an array of shape ({text})")
    got = array.shape
    if len(got) < len(wanted) or (len(got) > len(wanted) and not free) or any(
            w not in (None, g) for g, w in zip(got[len(got) - len(wanted):], wanted, strict=True)):
        raise ValueError(f"{name} has shape {got}; wanted ({text}){note}")
