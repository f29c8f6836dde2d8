"""Where no known mistake fits: what can be said from the pattern of the wrong numbers.

Each pattern is a small function (label, got, want, axes, sizes) -> a sentence or None; the first
that has something to say is heard. got and want have one shape, except in `_axes_swapped`.
"""

import itertools
import re

import numpy as np

from lstmcourse.practice.values import close


def pattern(rows, sizes):
    """A sentence on the first wrong result, or "".

    rows   [(label, the learner's array, the right one, its axes)], every result of one case
    sizes  {"B": 3, …}
    """
    for _, got, want, _ in rows:
        if got.shape != want.shape:
            return _axes_swapped(got, want) or _not_summed(got, want) or ""
    wrong = [row for row in rows if not close(row[1], row[2]).all()]
    for label, got, want, _ in wrong:
        said = _not_finite(label, got, want) or _other_result(label, got, want, rows)
        if said:
            return said
    for label, got, want, axes in wrong:
        for find in (_factor, _transposed, _offset, _blocks, _steps, _rows, _signs):
            said = find(label, got, want, axes, sizes)
            if said:
                return said + _only(wrong, rows)
    return _only(wrong, rows).strip()


NUMPY_NAMES = {               # what is called so in another library, and what to take here
    "infty": "it is np.inf.",
    "sigmoid": "where an exercise needs one, it is in a cell at the top of the notebook.",
    "softmax": "it takes three lines: subtract the largest, np.exp, divide by the sum.",
    "relu": "it is np.maximum with 0.",
    "permute": "it is called transpose.",
    "unsqueeze": "a new axis is written None among the indices, or made by np.expand_dims.",
    "masked_fill": "np.where chooses between two arrays by a mask.",
    "view": "it is called reshape.",
    "cat": "it is called np.concatenate.",
    "mm": "the matrix product is written @.",
    "bmm": "the matrix product is written @, also for a batch of matrices.",
    "clone": "it is called copy.",
    "detach": "nothing has to be detached: an array keeps no graph.",
    "numpy": "an array is one already.",
    "float": "it is astype(float).",
}


def error_pattern(error, args):
    """A sentence on an error that NumPy or Python words for experts, or ""."""
    first = error.splitlines()[0]
    if "core dimension" in first or "not aligned" in first:
        return ("The two sides of a matrix product do not fit: the last axis of the left one must be as long as the "
                "first axis of the right one (the last but one, where it has three). The sizes above say which is "
                "which.")
    if "broadcast" in first:
        return ("Two arrays are combined entry by entry, and their shapes do not fit. Write the shape behind each "
                "line of yours; the sizes above say which axis is which.")
    if "equal division" in first:
        return ("np.split cuts along axis 0, the batch, unless it is told another. The gates are side by side, along "
                "axis 1.")
    if "inhomogeneous" in first:
        return "Arrays of different shapes cannot be put into one array. Take them one after the other."
    if "same number of dimensions" in first:
        return "Arrays that are joined must have the same number of axes. Print the shape of each."
    if any(isinstance(value, dict) for value in args) and ("unpack" in first or "'str'" in first or "<U" in first):
        name = next(next(iter(value)) for value in args if isinstance(value, dict))
        return ("Walking through a dict, or taking it apart, gives its keys, which are strings. A key gives "
                f'its array: name_of_the_dict["{name}"].')
    if "axes don't match array" in first:
        return ("In NumPy transpose wants *all* axes in their new order. PyTorch's, which takes two and exchanges "
                "them, is called swapaxes here.")
    name = re.search(r"has no attribute '(\w+)'", first) or re.search(r"`np\.(\w+)` was removed", first)
    if name:
        there = NUMPY_NAMES.get(name[1])
        return f"NumPy has no {name[1]}: {there}" if there else ""
    if first.startswith("KeyError"):
        keys = [", ".join(map(str, value)) for value in args if isinstance(value, dict)]
        return f"There is no such key. These are there: {'; '.join(keys)}."
    if first.startswith(("NameError", "UnboundLocalError")):
        return "A name is used before it has a value. Is it spelt as above, and did you run the cell that defines it?"
    if first.startswith("IndexError"):
        return "An index points past the end of an axis. Python counts from 0: the last of n has the index n - 1."
    return ""


def _right(a, b):
    return a.shape == b.shape and bool(close(a, b).all())


def _axes_swapped(got, want):
    for order in itertools.permutations(range(got.ndim)):
        if sorted(got.shape) == sorted(want.shape) and got.ndim == want.ndim and _right(got.transpose(order), want):
            return "The numbers are right, the axes are in another order: it looks transposed."
    if sorted(got.shape) == sorted(want.shape) and got.shape != want.shape:
        return "The sizes are right, in another order: two axes are swapped."
    if got.size == want.size and _right(got.reshape(want.shape), want):
        return "The numbers are right; only the shape is another one."
    return None


def _not_summed(got, want):
    for axis in range(got.ndim):
        for keep in (False, True):
            if _right(got.sum(axis=axis, keepdims=keep), want):
                return f"Summed over axis {axis} it would be right: one sum is missing."
    return None


def _not_finite(label, got, want):
    bad = ~np.isfinite(got) & np.isfinite(want)
    if not bad.any():
        return None
    kind = "NaN" if np.isnan(got[bad]).any() else "infinity"
    cause = ("0/0, inf - inf or the logarithm of a negative number" if kind == "NaN"
             else "the exp of a large number, the logarithm of 0, or a division by 0")
    return f"{label} holds {kind} ({bad.sum()} of {got.size}). That comes from {cause}: look for where one can occur."


def _other_result(label, got, want, rows):
    for other, theirs, right, _ in rows:
        if other != label and not _right(right, want) and _right(got, right):
            if _right(theirs, right):
                return f"What you return as {label} is what {other} should be: the two are not the same."
            return f"What you return as {label} is right for {other}: are two results in each other's place?"
    return None


def _factor(label, got, want, axes, sizes):
    if want.size < 2 and want.ndim or not np.any(want) or not want.ndim and want.dtype.kind == "i":
        return None                                        # an index is no number times another
    factor = float((got * want).sum() / (want * want).sum())
    if factor == 0:
        return f"{label} is zero everywhere: something is multiplied by 0, or the array is never filled."
    if not _right(got, factor * want):
        return None
    if np.isclose(factor, -1, rtol=1e-4):
        return f"{label} has the wrong sign{' everywhere, and is right otherwise' if want.ndim else ''}."
    name = _named(factor, sizes)
    if want.ndim == 0:                     # one number is always "off by a factor": worth saying only if it has a name
        return name and f"{label} is {factor:.4g} times what it should be{name}."
    return f"{label} is right but for one constant factor: it is {factor:.4g} times what it should be{name}."


def _named(factor, sizes):
    """" (that is 1/B)": where a factor is a size or made of two sizes."""
    known = {1.0: ""}
    for letter, n in sizes.items():
        known |= {float(n): letter, n ** 0.5: f"the root of {letter}"}
    known |= {float(m * n): f"{a} times {b}" for (a, m), (b, n) in itertools.combinations(sizes.items(), 2)}
    for value, name in known.items():
        if name and np.isclose(factor, value, rtol=1e-4):
            return f" (that is {name} here)"
        if name and np.isclose(factor, 1 / value, rtol=1e-4):
            return f" (that is 1 over {name} here)"
    return ""


def _transposed(label, got, want, axes, sizes):
    for first, second in itertools.combinations(range(got.ndim), 2):
        if got.shape[first] == got.shape[second] and _right(got.swapaxes(first, second), want):
            return f"{label} is the transpose of what it should be."
    return None


def _offset(label, got, want, axes, sizes):
    gap = float((got - want).mean())
    if want.ndim and want.size > 2 and gap and _right(got, want + gap):
        return (f"{label} is off by the same amount everywhere: {gap:+.4g}. Something is added once too often, or not "
                "at all.")
    return None


def _blocks(label, got, want, axes, sizes):
    """Are the blocks of a stacked axis (3H or 4H rows) right, but in another order?"""
    for axis, letters in enumerate(axes):
        match = re.fullmatch(r"(\d)\w", letters)
        if not match:
            continue
        theirs, ours = (np.split(a, int(match[1]), axis=axis) for a in (got, want))
        right = [k for k, block in enumerate(ours) if _right(theirs[k], block)]
        if right and len(right) < len(ours):
            wrong = [k for k in range(len(ours)) if k not in right]
            return (f"Of the {len(ours)} blocks of {letters[1:]} in {label} {_numbers(right)} {_is(right)} right, "
                    f"{_numbers(wrong)} {_is(wrong)} wrong, counted from 0: look at the gates that these belong to.")
        order = [next((j for j, ours_j in enumerate(ours) if _right(block, ours_j)), None) for block in theirs]
        if None not in order:
            return f"The blocks of {label} are right but in another order: {order} where [0, 1, …] is wanted."
    return None


def _steps(label, got, want, axes, sizes):
    """Along time: right at one end only, shifted, reversed."""
    for axis, letter in enumerate(axes):
        if not letter.startswith("T") or got.shape[axis] < 3:
            continue
        theirs, ours = np.moveaxis(got, axis, 0), np.moveaxis(want, axis, 0)
        right = np.array([close(theirs, ours)[t].all() for t in range(len(ours))])
        if letter != "T":                                  # words that are looked at or looking, no steps
            for place, at in (("last", -1), ("first", 0)):
                if right[at] and right.sum() == 1:
                    return f"{label} is right at the {place} position of its axis {letter} only."
            continue
        if right[-1] and not right[:-1].any():
            return (f"{label} is right at the last step only: going back from it, the link through time is cut or "
                    "changed.")
        if right[0] and not right[1:].any():
            return f"{label} is right at the first step only: what is handed on to the next step is wrong."
        if not right.any():
            if _right(theirs[::-1], ours):
                return f"{label} runs backwards in time: its first step is where the last should be."
            if _right(theirs[1:], ours[:-1]):
                return f"{label} comes one step late: what is at step t + 1 belongs to step t."
            if _right(theirs[:-1], ours[1:]):
                return f"{label} comes one step early: what is at step t belongs to step t + 1."
        elif right.any() and not right.all():
            return f"{label} is right at the steps {_numbers(np.flatnonzero(right))} of 0 … {len(right) - 1} only."
    return None


def _rows(label, got, want, axes, sizes):
    """Along the batch: right for some rows only, or rows in another order."""
    if not axes or axes[0] != "B":
        return None
    if want.ndim == 1 and (want == np.round(want)).all():  # one whole number a row: some are right by chance
        return None
    right = [b for b in range(len(want)) if _right(got[b], want[b])]
    if right and len(right) < len(want):
        which = "batch row 0" if right == [0] else f"the batch rows {_numbers(right)}"
        return (f"{label} is right for {which} only, of {len(want)}: rows must not touch each other, and every row "
                "counts.")
    return None


def _signs(label, got, want, axes, sizes):
    if _right(np.abs(got), np.abs(want)):
        return f"The magnitudes of {label} are right, some signs are not."
    return None


def _only(wrong, rows):
    """Is just one of several results wrong?"""
    return (f" Everything else is right, so the mistake is in the line that makes {wrong[0][0]}."
            if len(wrong) == 1 and len(rows) > 1 else "")


def _numbers(found):
    return ", ".join(map(str, found))


def _is(found):
    return "is" if len(found) == 1 else "are"
