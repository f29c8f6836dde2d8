"""How the parts of a batch are read: nested inputs, padding, the next token, a loss that fits."""

import copy
import inspect
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

OUTPUT_NAMES = ("logits", "output", "outputs", "prediction", "predictions")
TARGET_NAMES = ("labels", "label", "targets", "target", "y")


class Refused(Exception):
    """The model, the batch or the loss can't be called; the message is the sentence that says so."""


class CannotTell(Exception):
    """A measurement doesn't apply; the message says what is missing."""


class Packed(NamedTuple):
    """A packed sequence, unpacked: it is packed again just before the model is called."""

    data: torch.Tensor
    lengths: torch.Tensor
    batch_first: bool = True


def leaves(tree):
    """All tensors of nested tuples, lists and dicts, in order; lists of numbers and arrays count as tensors."""
    if isinstance(tree, (torch.Tensor, np.ndarray)) or is_numbers(tree):
        return [tree]
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (tuple, list)) else ()
    return [leaf for part in parts for leaf in leaves(part)]


def mapped(tree, change, whole=()):
    """The tree with change(part) for every part that is no tuple, list or dict, or is one of the types `whole`."""
    if isinstance(tree, dict):
        return {key: mapped(value, change, whole) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)) and not isinstance(tree, whole) and not is_numbers(tree):
        values = [mapped(value, change, whole) for value in tree]
        return type(tree)(*values) if hasattr(tree, "_fields") else type(tree)(values)
    return change(tree)


def rebuilt(tree, new):
    """The tree with its tensors replaced, in order, by those of the iterator `new`."""
    return mapped(tree, lambda part: next(new) if leaves(part) else part)


def is_numbers(tree):
    return isinstance(tree, list) and tree != [] and all(isinstance(n, (int, float, np.number)) for n in tree)


def unpacked(tree):
    """The tree with every PackedSequence replaced by a padded tensor and its lengths."""

    def change(part):
        return Packed(*pad_packed_sequence(part, batch_first=True)) if isinstance(part, PackedSequence) else part

    return mapped(tree, change, PackedSequence)


def packed(tree):
    """And back."""

    def change(part):
        if not isinstance(part, Packed):
            return part
        return pack_padded_sequence(part.data, part.lengths.cpu(), batch_first=True, enforce_sorted=False)

    return mapped(tree, change, Packed)


def edge_runs(tokens):
    """Lengths of rows (B, T) whose ends (or beginnings) are filled with one value that stands nowhere else.

    Returns the lengths (B,), the side and the value, or None where the rows give no clear sign of padding.
    """
    for side in ("right", "left"):
        x = tokens if side == "right" else tokens.flip(1)
        value = x[:, -1].mode().values
        runs = (x == value).flip(1).cumprod(1).sum(1)
        lengths = x.shape[1] - runs
        interior = (x == value).sum() - runs.sum()
        clear = (runs >= 2).sum() >= 2 or (runs >= 4).any()
        if clear and interior == 0 and len(set(lengths.tolist())) > 1 and (lengths > 0).all():
            return lengths, side, value
    return None


def padding_of(rows):
    """`edge_runs` of tokens (B, T), or of features (B, T, D) whose padded steps are zeros."""
    if rows.ndim == 2:
        return edge_runs(rows)
    if rows.ndim != 3 or not rows.is_floating_point():
        return None
    found = edge_runs(rows.ne(0).any(2).long())
    return (*found[:2], 0.0) if found and found[2] == 0 else None


def other_values(x, pad, generator, scale):
    """Values of the same kind, different everywhere: the next token that occurs, or the old number and noise."""
    if not x.is_floating_point():
        known = x.unique() if pad is None else x[x != pad].unique()
        if len(known) < 2:
            return x
        at = torch.searchsorted(known, x.clamp(known[0], known[-1]))
        return known[(at + 1) % len(known)].to(x.dtype)
    finite = x[x.isfinite()]
    size = finite.double().std().item() if finite.numel() > 1 else 1.0
    return x + (scale * max(size, 1e-3) * torch.randn(x.shape, generator=generator, dtype=torch.float64)).to(x.dtype)


def is_next(x, y):
    """Is the target (B, T) the next token of the input?"""
    if x.shape[:2] != y.shape[:2] or x.shape[1] < 3 or x.shape != y.shape:
        return False
    return (x[:, 1:] == y[:, :-1]).double().mean().item() > 0.95


def is_binary(y):
    return bool(((y == 0) | (y == 1)).all())


def tensors_of(tree):
    return rebuilt(tree, iter([torch.as_tensor(leaf).detach().clone() for leaf in leaves(tree)]))


def inputs_and_target(batch, model=None):
    """(inputs, targets): the last of a tuple is the target; of a dict, the entry with a target's name.

    A model (without a loss beside it) that takes the targets by that name makes the loss itself: they stay inputs.
    """
    batch = unpacked(batch)
    if isinstance(batch, dict):
        name = next((name for name in TARGET_NAMES if name in batch), None)
        if name in inspect.signature(getattr(model, "forward", lambda: None)).parameters:
            return batch, None
        return {key: value for key, value in batch.items() if key != name}, batch.get(name)
    if isinstance(batch, Packed) or not isinstance(batch, (tuple, list)) or is_numbers(batch) or len(batch) < 2:
        return batch[0] if isinstance(batch, (tuple, list)) and len(batch) == 1 else batch, None
    return batch[0] if len(batch) == 2 else tuple(batch[:-1]), batch[-1]


def usual_loss(main, y):
    if isinstance(y, torch.Tensor) and not y.is_floating_point() and main.ndim >= 2 and y.ndim < main.ndim:
        return F.cross_entropy
    if isinstance(y, torch.Tensor) and y.is_floating_point() and y.shape == main.shape:
        return F.mse_loss
    raise CannotTell("no loss was given, and the shapes of output and target don't say which one is meant")


def own_loss(raw):
    """The loss that a model returned itself."""
    if hasattr(raw, "loss"):
        return raw.loss
    parts = list(raw.values()) if isinstance(raw, dict) else raw if isinstance(raw, (tuple, list)) else [raw]
    return next((t for t in parts if isinstance(t, torch.Tensor) and t.ndim == 0 and t.requires_grad), None)


def scalar(loss):
    """A loss as a tensor of one number; of the tuple that the course's functions return, its first."""
    if isinstance(loss, tuple) and loss:
        loss = loss[0]
    if isinstance(loss, (float, int, np.number)):
        loss = torch.tensor(float(loss))
    return loss.reshape(()) if isinstance(loss, torch.Tensor) and loss.numel() == 1 else None


def replaced(tree, old, new):
    """The output `tree` with the tensor `old` replaced by `new`."""
    if getattr(tree, "logits", None) is old and not isinstance(tree, tuple):
        tree = copy.copy(tree)
        tree.logits = new
        return tree
    return mapped(tree, lambda part: new if part is old else part)


@contextmanager
def hooked(modules, look, **options):
    """While it is on, `look` is a forward hook of the modules."""
    hooks = [module.register_forward_hook(look, **options) for module in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def short(error):
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:160] if lines else ''}"


def described(value):
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return f"{type(value).__name__} {tuple(value.shape)} {value.dtype}"
    if isinstance(value, (tuple, list)):
        return f"{type(value).__name__} of ({', '.join(described(part) for part in value)})"
    return type(value).__name__
