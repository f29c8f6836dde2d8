"""The library's error messages: each names the argument, what came and what was wanted.

Called at the doors that a learner meets (sequence functions, layers, attention); the
one-step cells stay free of checks, so that they read as the equations do.
"""

import numpy as np

FLOATS = (np.float64, np.float32)


def check_array(name, array, shape, dtype=None, integers=False):
    """ValueError that names the argument, what came and what was wanted; else nothing.

    shape     a tuple; None stands for any length, a leading ... for any leading axes
    dtype     the one wanted; None: float64 or float32
    integers  only the shape is checked, any dtype will do
    """
    if getattr(array, "shape", None) == shape and array.dtype == dtype and dtype is not None:
        return                            # the usual case, fast
    got = np.shape(array)
    free = shape[:1] == (...,)
    wanted = shape[1:] if free else shape
    if len(got) < len(wanted) or (len(got) > len(wanted) and not free) or any(
            w not in (None, g) for g, w in zip(got[len(got) - len(wanted):], wanted, strict=True)):
        text = ", ".join({None: "any", ...: "…"}.get(n, str(n)) for n in shape)
        raise ValueError(f"{name} has shape {got}; wanted ({text}{',' * (len(shape) == 1)})")
    if not integers and getattr(array, "dtype", None) not in (FLOATS if dtype is None else (dtype,)):
        raise ValueError(f"{name} has dtype {getattr(array, 'dtype', type(array).__name__)}; wanted "
                         + ("float64 or float32" if dtype is None else np.dtype(dtype).name))


def check_tokens(name, tokens, V):
    """ValueError unless tokens are integers in 0 … V-1."""
    tokens = np.asarray(tokens)
    if not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(f"{name} has dtype {tokens.dtype}; wanted integers")
    if tokens.size and (tokens.min() < 0 or tokens.max() >= V):
        raise ValueError(f"{name} holds {tokens.min()} … {tokens.max()}; wanted 0 … {V - 1}")


def check_keys(params, wanted, name="params"):
    """ValueError unless the dict params, called name in the message, has all the keys of wanted."""
    for key in wanted:
        if key not in params:
            raise ValueError(f"{name} has no {key!r}: it has {sorted(params)}; wanted {', '.join(sorted(wanted))}")


def check_params(params, shapes, dtype, name="params"):
    """ValueError unless params holds an array of this shape and dtype for each key of the dict shapes."""
    check_keys(params, shapes, name)
    for key, shape in shapes.items():
        check_array(f"{name}[{key!r}]", params[key], shape, dtype)


def check_sequence(x, states, params, gates):
    """Check the arguments of a recurrent layer; returns B, T, D, H and the dtype.

    states  dict of the initial states by name, each (B, H)
    gates   blocks of H rows in the weights: 1 RNN, 3 GRU, 4 LSTM
    """
    check_array("x", x, (None, None, None))
    (B, T, D), dtype = x.shape, x.dtype
    H = np.shape(states["h_0"])[-1] if np.ndim(states["h_0"]) else None
    for name, state in states.items():
        check_array(name, state, (B, H), dtype)
    rows = gates * H
    for key, shape in (("W_ih", (rows, D)), ("W_hh", (rows, H)), ("b_ih", (rows,)), ("b_hh", (rows,))):
        value = params.get(key)
        if value is None:
            raise ValueError(f"params has no {key!r}: it has {sorted(params)}; wanted W_hh, W_ih, b_hh, b_ih")
        if np.shape(value)[:1] != (rows,):
            raise ValueError(f"params[{key!r}] has shape {np.shape(value)}; wanted {shape}: "
                             f"{gates} block{'s' * (gates > 1)} of H = {H} rows")
        check_array(f"params[{key!r}]", value, shape, dtype)
        if not np.isfinite(value).all():
            raise ValueError(f"params[{key!r}] holds NaN or infinity; wanted finite numbers "
                             "(a training run that blew up?)")
    return B, T, D, H, dtype


def read_only(states):
    """States 1 … T of (T + 1, B, H), as the caller sees them: (B, T, H), not to be written to.

    The backward reads the same memory, so a stray `h *= mask` would spoil its gradients;
    as it is, NumPy refuses. `h.copy()` may be changed.
    """
    view = states[1:].swapaxes(0, 1)
    view.flags.writeable = False
    return view
