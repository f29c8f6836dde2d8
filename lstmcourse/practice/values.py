"""Arrays, numbers and dicts of arrays as they come from a learner: copied, read, compared."""

import re
from numbers import Number

import numpy as np

TOLERANCE = {"float64": 1e-6, "float32": 1e-4}      # of the largest magnitude in the array


def copy_of(value):
    """An own copy of everything in value; what is no array, dict, list or tuple stays as it is."""
    if isinstance(value, np.ndarray):
        return np.array(value)                       # a plain array, also where it was a subclass
    if isinstance(value, dict):
        return {key: copy_of(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [copy_of(entry) for entry in value]
    if isinstance(value, tuple):
        return tuple(copy_of(entry) for entry in value)
    return value


def soil(value):
    """Leave rubbish in the memory that arrays of value's sizes will get next.

    Else an np.empty that is never filled may show the right answer of an earlier call, and pass.
    """
    for entry in value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ():
        soil(entry)
    if isinstance(value, np.ndarray):
        _ = [np.full_like(value, 1 if value.dtype == bool else 77777) for _ in range(16)]


def as_array(value):
    """value as an array of numbers, or None: an array, a number, or a regular list of these."""
    if isinstance(value, tuple) and not all(isinstance(entry, Number) for entry in value):
        return None                                  # several results, not one
    if not isinstance(value, (np.ndarray, np.generic, Number, list, tuple)):
        return None
    try:
        array = np.asarray(value)
    except ValueError:                               # ragged
        return None
    return array if array.dtype.kind in "iubf" and array.dtype != np.float16 else None


def tolerance(*values):
    """To what part of their magnitude two arrays can be expected to agree; float32 is coarser.

    A lone number counts as float32: float(loss) forgets in which precision the loss was computed.
    """
    coarse = any(v.dtype == np.float32 or (v.ndim == 0 and v.dtype.kind == "f") for v in values)
    return TOLERANCE["float32" if coarse else "float64"]


def close(a, b):
    """Entry by entry: True where two arrays of one shape agree; NaN agrees with NaN."""
    with np.errstate(all="ignore"):
        if a.dtype.kind in "iub" and b.dtype.kind in "iub":
            return a == b
        scale = np.abs(b[np.isfinite(b)]).max(initial=0)
        return np.isclose(a, b, rtol=0, atol=tolerance(a, b) * scale, equal_nan=True)


def same(a, b):
    """Is a what b is, in structure, shape and numbers? b: arrays, dicts and tuples of arrays."""
    if isinstance(b, dict):
        return isinstance(a, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in b)
    if isinstance(b, tuple):
        return isinstance(a, (tuple, list)) and len(a) == len(b) and all(map(same, a, b))
    a, b = as_array(a), as_array(b)
    return a is not None and b is not None and a.shape == b.shape and bool(close(a, b).all())


def unchanged(before, after):
    """Is an argument, after the call, exactly what it was before it?"""
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(unchanged(before[key], after[key]) for key in before)
    if isinstance(before, np.ndarray):
        return (isinstance(after, np.ndarray) and before.dtype == after.dtype
                and np.array_equal(before, after, equal_nan=before.dtype.kind == "f"))
    return before == after


def gist(error):
    """What identifies an error: its type and the sizes that did not fit; np.dot and @ word it differently."""
    first = error.splitlines()[0]
    product = re.search(r"(?P<right>\d+) is different from (?P<left>\d+)", first) or \
        re.search(r"(?P<left>\d+) \(dim \d+\) != (?P<right>\d+) \(dim", first)
    if product:
        return first.split(":")[0], product["left"], product["right"]
    sizes = re.findall(r"\(\d[\d,]*\)", first) if "broadcast" in first else \
        [n for n in map(int, re.findall(r"\d+", first)) if n > 1]
    return first.split(":")[0], frozenset(sizes)
