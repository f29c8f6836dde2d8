"""How `checkup` calls a model that it doesn't know, and leaves it as it was.

`untouched` puts back weights, gradients, modes, hooks, buffers, attributes, optimizer and random state.
`Run` reads a batch (tensors, tuples, dicts, packed sequences, states, NumPy arrays) and calls the model with copies;
`Run.rows` brings any output to rows first: (B, …) or (B, T, …).
"""

import copy
import functools
import inspect
import random
import warnings
from collections import defaultdict
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

TARGET_NAMES = ("labels", "label", "targets", "target", "y")
OUTPUT_NAMES = ("logits", "output", "outputs", "prediction", "predictions")
TOLERANCE = {torch.bfloat16: 2e-2, torch.float16: 5e-3, torch.float32: 2e-5, torch.float64: 1e-9}


class Refused(Exception):
    """The model, the batch or the loss can't be called; the message is the sentence that says so."""


class CannotTell(Exception):
    """A measurement doesn't apply; the message says what is missing."""


class _Packed(NamedTuple):
    """A packed sequence, unpacked: it is packed again just before the model is called."""

    data: torch.Tensor
    lengths: torch.Tensor
    batch_first: bool = True


def leaves(tree):
    """All tensors of nested tuples, lists and dicts, in order; lists of numbers and arrays count as tensors."""
    if isinstance(tree, (torch.Tensor, np.ndarray)) or _is_numbers(tree):
        return [tree]
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in leaves(value)]
    if isinstance(tree, (tuple, list)):
        return [leaf for value in tree for leaf in leaves(value)]
    return []


def rebuilt(tree, new):
    """The tree with its tensors replaced, in order, by those of the iterator `new`."""
    if isinstance(tree, (torch.Tensor, np.ndarray)) or _is_numbers(tree):
        return next(new)
    if isinstance(tree, dict):
        return {key: rebuilt(value, new) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)):
        values = [rebuilt(value, new) for value in tree]
        return type(tree)(*values) if hasattr(tree, "_fields") else type(tree)(values)
    return tree


def _is_numbers(tree):
    return isinstance(tree, list) and tree != [] and all(isinstance(n, (int, float, np.number)) for n in tree)


def _unpacked(tree):
    """The tree with every PackedSequence replaced by a padded tensor and its lengths, and states' graphs as they are."""
    if isinstance(tree, PackedSequence):
        return _Packed(*pad_packed_sequence(tree, batch_first=True))
    if isinstance(tree, dict):
        return {key: _unpacked(value) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)) and not _is_numbers(tree):
        values = [_unpacked(value) for value in tree]
        return type(tree)(*values) if hasattr(tree, "_fields") else type(tree)(values)
    return tree


def _packed(tree):
    if isinstance(tree, _Packed):
        return pack_padded_sequence(tree.data, tree.lengths.cpu(), batch_first=True, enforce_sorted=False)
    if isinstance(tree, dict):
        return {key: _packed(value) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)) and not _is_numbers(tree):
        values = [_packed(value) for value in tree]
        return type(tree)(*values) if hasattr(tree, "_fields") else type(tree)(values)
    return tree


def roots_of(*things):
    """The modules that the things are, or hold: functions in their closure, defaults and globals, methods in self."""
    found, seen, queue = [], set(), list(things)
    while queue:
        thing = queue.pop(0)                  # the model first
        if thing is None or id(thing) in seen or len(seen) > 500:
            continue
        seen.add(id(thing))
        if isinstance(thing, torch.nn.Module):
            found.append(thing)
        elif isinstance(thing, functools.partial):
            queue += [thing.func, *thing.args, *thing.keywords.values()]
        elif inspect.ismethod(thing):
            queue += [thing.__self__, thing.__func__]
        elif inspect.isfunction(thing):
            cells = inspect.getclosurevars(thing)
            queue += [*cells.nonlocals.values(), *cells.globals.values(), *(thing.__defaults__ or ())]
        elif isinstance(thing, (list, tuple)) and len(thing) < 100:
            queue += thing
        elif isinstance(thing, dict) and len(thing) < 100:
            queue += thing.values()
        elif hasattr(thing, "__dict__") and not inspect.isclass(thing) and not inspect.ismodule(thing):
            queue += vars(thing).values()
    return found


class Kept:
    """What `untouched` yields: the state of some modules, which can be put back in part or in whole."""

    def __init__(self, roots):
        self.roots = roots
        self.modules = list(dict.fromkeys(m for root in roots for m in root.modules()))
        self.classes = [type(module) for module in self.modules]
        self.attributes = [{name: copy.copy(value) if isinstance(value, (dict, list, set)) else value
                            for name, value in vars(module).items()} for module in self.modules]
        self.containers = [{name: value for name, value in vars(module).items()
                            if isinstance(value, (dict, list, set))} for module in self.modules]
        self.tensors = {}
        for attributes in self.attributes:
            for value in attributes.values():
                self.keep(leaves(list(value.values()) if isinstance(value, dict) else value))
        self.states = [kept for kept in self.tensors.values() if not isinstance(kept[0], torch.nn.Parameter)]

    def keep(self, values):
        """Remember the numbers, the gradient and the flag of tensors."""
        for tensor in values:
            if isinstance(tensor, torch.Tensor) and id(tensor) not in self.tensors:
                grad = tensor.grad if tensor.is_leaf else None
                self.tensors[id(tensor)] = tensor, tensor.detach().clone(), grad, tensor.requires_grad

    def put_back_attributes(self, hooks=False):
        """What a forward pass may leave in a module: states, counters, buffers; hooks only if asked for."""
        for module, attributes, containers in zip(self.modules, self.attributes, self.containers, strict=True):
            for name in set(vars(module)) - set(attributes):
                del module.__dict__[name]
            for name, value in attributes.items():
                if "hooks" in name and not hooks:
                    continue
                if name in containers:
                    _refill(containers[name], value)
                    value = containers[name]
                module.__dict__[name] = value
        _copy_back(self.states)

    def put_back_numbers(self):
        """Weights and buffers, and no gradients."""
        _copy_back(self.tensors.values())
        for tensor, _, _, requires_grad in self.tensors.values():
            if tensor.is_leaf:
                tensor.grad = None
                tensor.requires_grad_(requires_grad)

    def put_back(self):
        """Everything."""
        for module, kind in zip(self.modules, self.classes, strict=True):
            if type(module) is not kind:
                module.__class__ = kind
        self.put_back_attributes(hooks=True)
        self.put_back_numbers()
        for tensor, _, grad, _ in self.tensors.values():
            if grad is not None:
                tensor.grad = grad


def _copy_back(kept):
    for tensor, numbers, *_ in kept:
        if tensor.shape == numbers.shape and not torch.equal(tensor.detach(), numbers):
            tensor.data.copy_(numbers)


def _refill(container, value):
    """The same container object with its old content."""
    container.clear()
    container.extend(value) if isinstance(container, list) else container.update(value)


@contextmanager
def untouched(roots, optimizer=None):
    """Yields a `Kept` of the modules; whatever happens inside, they, the optimizer and the random state are put back."""
    kept = Kept(roots)
    states = random.getstate(), np.random.get_state()
    if optimizer is not None:
        kept.keep(p for group in optimizer.param_groups for p in group["params"])
        attributes, groups = dict(vars(optimizer)), [dict(group) for group in optimizer.param_groups]
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if optimizer is not None:
                optimizer.state = defaultdict(dict, {p: {k: copy.deepcopy(v) for k, v in state.items()}
                                                     for p, state in optimizer.state.items()})
            kept.put_back_numbers()
            yield kept
    finally:
        kept.put_back()
        if optimizer is not None:
            vars(optimizer).clear()
            vars(optimizer).update(attributes)
            for group, saved in zip(optimizer.param_groups, groups, strict=True):
                _refill(group, saved)
        random.setstate(states[0])
        np.random.set_state(states[1])


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


class Leaf(NamedTuple):
    """One tensor of the input: what it is taken for, and which axes are rows and steps."""

    role: str               # "steps", "rows", "lengths", "mask", "state", "other"
    batch: int | None
    time: int | None
    pad: object = None      # the value that fills the ends, where there is one


class Run:
    """A model, a batch and a loss that can be called again and again, each time from the same state."""

    def __init__(self, kept, model, batch, loss, call, lengths, batch_axis):
        self.kept, self.model, self.loss_fn, self.given_call = kept, model, loss, call
        self.module = model if isinstance(model, torch.nn.Module) else None
        self.tree, self.target = _inputs_and_target(batch)
        raw = leaves(self.tree)
        if not raw:
            raise Refused(f"batch is {type(batch).__name__} without a tensor; wanted (inputs, targets)")
        self.numpy = isinstance(raw[0], np.ndarray)
        self.graph_in_batch = any(isinstance(t, torch.Tensor) and t.grad_fn is not None for t in raw)
        self.inputs = [torch.as_tensor(leaf).detach().clone() for leaf in raw]
        if self.target is not None:
            self.target = _tensors(self.target)
        self.lengths = None if lengths is None else torch.as_tensor(lengths).detach().clone().long()
        self.with_lengths = False
        self.batch_axis = self._batch_axis() if batch_axis is None else batch_axis
        self.B = self.inputs[0].shape[self.batch_axis] if self.inputs[0].ndim else 1
        self.leaves = [self._leaf(i) for i in range(len(self.inputs))]
        self._read_padding()
        self._first_call()

    def _y(self):
        return self.target if isinstance(self.target, torch.Tensor) else None

    def _batch_axis(self):
        """0, unless the batch itself shows that time comes first."""
        x, y = self.inputs[0], self._y()
        if isinstance(self.tree, _Packed) or x.ndim < 2 or x.shape[0] == 0 or x.shape[1] == 0:
            return 0
        rows, steps = x.shape[:2]
        if rows != steps:
            if self.lengths is not None:
                return int(len(self.lengths) == steps)
            if y is not None and y.ndim and y.shape[0] not in (rows, rows * steps):
                return int(y.shape[0] == steps and x.ndim > 1)
            if any(s.ndim == 3 and s.is_floating_point() and s.shape[1] == steps and s.shape[0] not in x.shape[:2]
                   for s in self.inputs[1:]):
                return 1
            vectors = [s for s in self.inputs[1:] if s.ndim == 1 and not s.is_floating_point()]
            if vectors and all(len(s) == steps for s in vectors):
                return 1
        if y is not None and y.ndim == 1 and y.numel() == x.numel():
            y = y.reshape(x.shape)
        if y is not None and y.shape[:2] == x.shape[:2]:
            along = [_shifted(x.transpose(0, axis), y.transpose(0, axis)) for axis in (0, 1)]
            if along[1] and not along[0]:
                return 1
        if x.ndim == 2 and not x.is_floating_point() and not edge_runs(x) and edge_runs(x.T):
            return 1
        return 0

    def _leaf(self, i):
        """What input i is."""
        x, first = self.inputs[i], self.inputs[0]
        axes = [axis for axis in (self.batch_axis, 1 - self.batch_axis) if axis < x.ndim and x.shape[axis] == self.B]
        if x.ndim == 0 or not axes:
            return Leaf("other", None, None)
        batch = axes[0]
        if x.ndim == 1:
            whole = not x.is_floating_point() and i > 0 and x.min() >= 0 and x.max() <= max(first.shape)
            return Leaf("lengths" if whole else "rows", 0, None)
        if i > 0 and x.ndim == 3 and x.is_floating_point() and x.shape[1] == self.B and (
                self.batch_axis == 0 and (x.shape[0] != self.B or self._nested())
                or self.batch_axis == 1 and x.shape[0] != first.shape[0]):
            return Leaf("state", 1, None)
        like_first = first.ndim >= 2 and x.shape[:2] == first.shape[:2]
        if i > 0 and x.dtype == torch.bool or like_first and i > 0 and x.ndim == 2 and set(x.unique().tolist()) <= {0, 1}:
            return Leaf("mask", batch, 1 - batch)
        y = self._y()
        series = x.ndim == 2 and x.is_floating_point() and not (
            i == 0 and y is not None and y.ndim >= 2 and y.shape[:2] == x.shape[:2] or self.lengths is not None)
        return Leaf("rows", batch, None) if series else Leaf("steps", batch, 1 - batch)

    def _nested(self):
        return isinstance(self.tree, (tuple, list)) and any(isinstance(part, (tuple, list)) for part in self.tree)

    def _read_padding(self):
        """Lengths, from the argument, from the batch or from the ends of the rows."""
        self.side, self.guessed = "right", False
        main = self.leaves[0]
        stated = self.lengths
        for x, leaf in zip(self.inputs, self.leaves, strict=True):
            if stated is None and leaf.role == "lengths" and main.time is not None and x.min() > 0 \
                    and x.max() <= self.inputs[0].shape[main.time]:
                stated = x.long()
            if stated is None and leaf.role == "mask" and leaf.batch is not None and x.ndim == 2:
                on = x.movedim(leaf.batch, 0).bool()
                on = on if on.sum() * 2 >= on.numel() or on[:, 0].all() else ~on
                if (on.sum(1) > 0).all() and (on.sum(1) < on.shape[1]).any() and (on.int().diff(dim=1).abs().sum(1) < 2).all():
                    stated, self.side = on.sum(1), "right" if on[:, 0].all() else "left"
        for i, leaf in enumerate(self.leaves):
            x = self.inputs[i]
            if leaf.role == "steps":
                found = _padding_of(x.movedim(leaf.batch, 0))
                if found:
                    self.leaves[i] = leaf._replace(pad=found[2])
                    if i == 0 and stated is None:
                        stated, self.side, self.guessed = found[0], found[1], True
                    elif i == 0:
                        self.side = found[1]
        if stated is not None and (main.time is None or len(stated) != self.B
                                   or stated.max() > self.inputs[0].shape[main.time]):
            stated = None
        self.lengths = stated

    def _first_call(self):
        """Find the way in which the model takes the inputs and the loss the output, or refuse in a sentence."""
        try:
            self.raw = self.forward()
        except Exception as error:
            if not self._takes_lengths(error):
                shapes = ", ".join(f"{tuple(x.shape)} {str(x.dtype).removeprefix('torch.')}" for x in self.inputs)
                raise Refused(f"model was called with inputs of shape {shapes} and raised {_short(error)}; wanted "
                              "inputs that it takes: pass call=lambda model, inputs: … that calls it") from error
            self.raw = self.forward()
        if self.main(self.raw) is None:
            raise Refused(f"model returned {_kind(self.raw)}; wanted a tensor of floats, or a tuple or dict with one: "
                          "pass call=lambda model, inputs: … that returns it")

    def _takes_lengths(self, error):
        if self.lengths is None or not isinstance(error, TypeError) or self.given_call or len(self.inputs) > 1:
            return False
        self.with_lengths = True
        return True

    def forward(self, inputs=None, *, train=False, grad=False, seed=0, fresh=True, lengths=None):
        """The model's output as it comes; from the same attributes and random numbers each time, unless told not to."""
        if fresh:
            self.kept.put_back_attributes()
        if seed is not None:
            torch.manual_seed(seed), random.seed(seed), np.random.seed(seed)
        for root in self.kept.roots:
            root.train(train)
        new = [x if x.requires_grad else x.clone() for x in (self.inputs if inputs is None else inputs)]
        originals = leaves(self.tree)
        new = [x.tolist() if isinstance(old, list) else x.numpy() if isinstance(old, np.ndarray) else x
               for x, old in zip(new, originals, strict=True)]
        tree = _packed(rebuilt(self.tree, iter(new)))
        if self.with_lengths:
            tree = (tree, self.lengths if lengths is None else lengths)
        with torch.set_grad_enabled(grad):
            return self._called(tree)

    def _called(self, tree):
        if self.given_call is not None:
            return self.given_call(self.model, tree)
        if isinstance(tree, dict):
            return self.model(**tree)
        if isinstance(tree, (tuple, list)) and not isinstance(tree, PackedSequence) and not _is_numbers(tree):
            return self.model(*tree)
        return self.model(tree)

    def main(self, raw):
        """The tensor of the output that the loss is about."""
        if isinstance(raw, PackedSequence):
            return pad_packed_sequence(raw, batch_first=True)[0]
        if isinstance(raw, list) and len(raw) > 1 and all(isinstance(t, torch.Tensor) for t in raw) \
                and len({t.shape for t in raw}) == 1 and raw[0].ndim:
            return torch.stack(raw, 1 - self.batch_axis)
        if isinstance(raw, torch.Tensor) and raw.is_floating_point() and raw.ndim:
            return raw
        if isinstance(raw, np.ndarray) and raw.dtype.kind == "f" and raw.ndim:
            return torch.from_numpy(raw)
        if hasattr(raw, "logits"):
            return self.main(raw.logits)
        if isinstance(raw, dict):
            raw = [raw[name] for name in OUTPUT_NAMES if name in raw] + list(raw.values())
            return next((t for t in map(self.main, raw) if t is not None), None)
        if isinstance(raw, (tuple, list)):
            return next((t for t in map(self.main, raw) if t is not None), None)
        return None

    def out(self, inputs=None, **options):
        """The main output, rows first, in double precision."""
        return self.rows(self.main(self.forward(inputs, **options)).detach()).double()

    @property
    def T(self):
        """Number of steps of the first input."""
        leaf = self.leaves[0]
        return None if leaf.time is None else self.inputs[0].shape[leaf.time]

    def lengths_of_steps(self):
        """All numbers of steps that inputs and targets have."""
        found = {x.shape[leaf.time] for x, leaf in zip(self.inputs, self.leaves, strict=True) if leaf.role == "steps"}
        y = self._y()
        if y is not None and y.ndim >= 2:
            found |= {y.shape[1 - self.batch_axis]}
        return found

    @functools.cached_property
    def layout(self):
        """How the main output holds its rows: "rows", "steps" (time first), "flat" or "flat steps"; None: not at all."""
        shape, B = self.main(self.raw).shape, self.B
        steps = self.lengths_of_steps()
        if self.batch_axis == 1 and len(shape) >= 2 and shape[1] == B and shape[0] in steps:
            return "steps"
        if shape[0] == B:
            return "rows"
        if len(shape) >= 2 and shape[1] == B and shape[0] in steps:
            return "steps"
        for T in steps:
            if shape[0] == B * T and T > 1:
                return self._flat_layout(T)
        return None

    def _flat_layout(self, T):
        """Rows of a flattened output in the order in which they depend on one row of the input alone."""
        base = self.main(self.raw).detach()
        change = (self.main(self.forward(self.changed(row=0))).detach() != base).flatten(1).any(1).reshape(-1)
        if self.batch_axis == 1:
            return "flat steps"
        by_rows, by_steps = change.reshape(self.B, T)[1:].sum(), change.reshape(T, self.B)[:, 1:].sum()
        return "flat" if by_rows <= by_steps else "flat steps"

    def rows(self, tensor):
        """A tensor laid out as the main output, with rows first and steps second."""
        layout = self.layout
        if layout is None:
            raise CannotTell(f"the output has the shape {tuple(tensor.shape)}: none of its axes is the batch of {self.B}")
        if layout in ("flat", "flat steps"):
            T = tensor.shape[0] // self.B
            shape = (self.B, T) if layout == "flat" else (T, self.B)
            tensor = tensor.reshape(*shape, *tensor.shape[1:])
        if layout in ("steps", "flat steps"):
            tensor = tensor.transpose(0, 1)
        y = self._y()
        if tensor.ndim == 3 and y is not None and y.ndim == 2 and not y.is_floating_point() and layout == "rows" \
                and tensor.shape[2] == y.shape[1] != tensor.shape[1]:
            tensor = tensor.transpose(1, 2)                    # (B, K, T), as nn.CrossEntropyLoss takes it
        return tensor

    @functools.cached_property
    def target_rows(self):
        """The target with rows first, or CannotTell."""
        return self.rows_of_target(self._y())

    def rows_of_target(self, y):
        """A view of a target tensor with rows first, and steps second where it has them."""
        if y is None or not y.ndim:
            raise CannotTell("the batch has no target tensor")
        if self.batch_axis == 1 and y.ndim >= 2 and y.shape[1] == self.B:
            return y.transpose(0, 1)
        if y.shape[0] == self.B:
            return y
        if self.layout in ("flat", "flat steps") and y.shape[0] == self.main(self.raw).shape[0]:
            return self.rows(y)
        raise CannotTell(f"the target has the shape {tuple(y.shape)}: its first axis is not the batch of {self.B}")

    @functools.cached_property
    def per_step(self):
        """Does the output have a step axis that goes with the steps of an input?"""
        out = self.rows(self.main(self.raw))
        if self.layout != "rows":
            return True
        steps = {x.shape[leaf.time] for x, leaf in zip(self.inputs, self.leaves, strict=True) if leaf.role == "steps"}
        if out.ndim < 2 or out.shape[1] not in steps:
            return False
        y = self._y()
        if y is None:
            return out.ndim >= 3
        return y.ndim >= 2 and self.target_rows.shape[1] == out.shape[1] and (out.ndim >= 3 or y.is_floating_point())

    def changed(self, row=None, step=None, where=None, which=None, scale=1.0):
        """Inputs with other values in a row, at a step, or where a mask (B, T) is true; padding stays padding."""
        generator = torch.Generator().manual_seed(1)
        new = []
        for i, (x, leaf) in enumerate(zip(self.inputs, self.leaves, strict=True)):
            if leaf.role not in ("steps", "rows") or (which is not None and i != which):
                new.append(x)
                continue
            view = x.movedim(leaf.batch, 0)
            mask = torch.zeros(view.shape[:2] if leaf.time is not None else view.shape[:1], dtype=torch.bool)
            if leaf.time is None:
                if step is None and where is None:
                    mask[row if row is not None else slice(None)] = True
            elif where is not None:
                mask |= where if where.shape == mask.shape else False
            else:
                mask[row if row is not None else slice(None), step if step is not None else slice(None)] = True
            if leaf.time is not None and leaf.pad is not None:
                real = view != leaf.pad
                mask &= real if real.ndim == 2 else real.flatten(2).any(2)
            mask = mask.reshape(*mask.shape, *[1] * (view.ndim - mask.ndim))
            other = torch.where(mask, _other_values(view, leaf.pad, generator, scale), view)
            new.append(other.movedim(0, leaf.batch).contiguous())
        return new

    def difference(self, base, other):
        """Largest change of each row, or of each row and step, relative to the size of the output."""
        scale = base[base.isfinite()].abs().max().item() if base.isfinite().any() else 1.0
        delta = (other - base).abs().nan_to_num(float("inf")) / max(scale, 1e-30)
        keep = 2 if self.per_step else 1
        return delta.reshape(*delta.shape[:keep], -1).amax(-1) if delta.numel() else delta

    @functools.cached_property
    def tolerance(self):
        """What rounding may do to an output, relative to its size."""
        return TOLERANCE.get(self.main(self.raw).dtype, 1e-5)

    @functools.cached_property
    def base(self):
        """The main output in evaluation mode, rows first."""
        return self.rows(self.main(self.raw).detach()).double()

    def loss(self, raw, main=None, target=None):
        """The loss of an output; `main` replaces its main tensor, `target` the batch's target."""
        if main is not None:
            raw = main if isinstance(raw, (torch.Tensor, np.ndarray, PackedSequence)) else _replaced(
                raw, self.main(raw), main)
        return _scalar(self.loss_way(raw, self.target if target is None else target))

    @functools.cached_property
    def loss_way(self):
        """A function from the raw output and the target to the loss: the first way of calling it that works."""
        loss, y = self.loss_fn, self.target
        raw = self.forward(train=True, grad=True)
        main = self.main(raw)
        if loss is None:
            own = _own_loss(raw)
            if own is not None:
                return lambda raw, _: _own_loss(raw)
            loss = _usual_loss(main, y)
        ways = [lambda raw, y: loss(raw, y), lambda raw, y: loss(self.main(raw), y)]
        if y is None:
            ways = [lambda raw, _: loss(raw), lambda raw, _: loss(self.main(raw))]
        if isinstance(y, torch.Tensor) and main.ndim == 3:
            ways += [lambda raw, y: loss(self.main(raw).flatten(0, 1), y.reshape(-1))]
        if self.numpy:
            ways = [lambda raw, y: loss(raw, y.numpy()), *ways]
        error = None
        for way in ways:
            try:
                value = _scalar(way(raw, y))
            except Exception as raised:
                error = error or raised
                continue
            if value is not None:
                return way
            error = error or ValueError(f"it returned {_kind(way(raw, y))}")
        shapes = f"an output {tuple(main.shape)} {main.dtype} and targets {_kind(y)}"
        raise Refused(f"loss was called with {shapes} and raised {_short(error)}; wanted a loss that takes them and "
                      "returns one number".replace("torch.", ""))


def _tensors(tree):
    return rebuilt(tree, iter([torch.as_tensor(leaf).detach().clone() for leaf in leaves(tree)]))


def _inputs_and_target(batch):
    """(inputs, targets): the last of a tuple is the target; of a dict, the entry with a target's name."""
    batch = _unpacked(batch)
    if isinstance(batch, dict):
        name = next((name for name in TARGET_NAMES if name in batch), None)
        return {key: value for key, value in batch.items() if key != name}, batch.get(name)
    if isinstance(batch, _Packed) or not isinstance(batch, (tuple, list)) or _is_numbers(batch) or len(batch) < 2:
        return batch[0] if isinstance(batch, (tuple, list)) and len(batch) == 1 else batch, None
    return batch[0] if len(batch) == 2 else tuple(batch[:-1]), batch[-1]


def _padding_of(rows):
    """`edge_runs` of tokens (B, T), or of features (B, T, D) whose padded steps are zeros."""
    if rows.ndim == 2:
        return edge_runs(rows)
    if rows.ndim != 3 or not rows.is_floating_point():
        return None
    found = edge_runs(rows.ne(0).any(2).long())
    return (*found[:2], 0.0) if found and found[2] == 0 else None


def _other_values(x, pad, generator, scale):
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


def _shifted(x, y):
    """Is the target (B, T) the next token of the input?"""
    if x.shape[:2] != y.shape[:2] or x.shape[1] < 3 or x.shape != y.shape:
        return False
    return (x[:, 1:] == y[:, :-1]).double().mean().item() > 0.95


def _usual_loss(main, y):
    if isinstance(y, torch.Tensor) and not y.is_floating_point() and main.ndim >= 2 and y.ndim < main.ndim:
        return F.cross_entropy
    if isinstance(y, torch.Tensor) and y.is_floating_point() and y.shape == main.shape:
        return F.mse_loss
    raise CannotTell("no loss was given, and the shapes of output and target don't say which one is meant")


def _own_loss(raw):
    """The loss that a model returned itself."""
    if hasattr(raw, "loss"):
        return raw.loss
    parts = list(raw.values()) if isinstance(raw, dict) else raw if isinstance(raw, (tuple, list)) else [raw]
    return next((t for t in parts if isinstance(t, torch.Tensor) and t.ndim == 0 and t.requires_grad), None)


def _scalar(loss):
    """A loss as a tensor of one number; of the tuple that the course's functions return, its first."""
    if isinstance(loss, tuple) and loss:
        loss = loss[0]
    if isinstance(loss, (float, int, np.number)):
        loss = torch.tensor(float(loss))
    return loss.reshape(()) if isinstance(loss, torch.Tensor) and loss.numel() == 1 else None


def _replaced(tree, old, new):
    if tree is old:
        return new
    if isinstance(tree, dict):
        return {key: _replaced(value, old, new) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)):
        values = [_replaced(value, old, new) for value in tree]
        return type(tree)(*values) if hasattr(tree, "_fields") else type(tree)(values)
    return tree


def _short(error):
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:160] if lines else ''}"


def _kind(value):
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return f"{type(value).__name__} {tuple(value.shape)} {value.dtype}"
    if isinstance(value, (tuple, list)):
        return f"{type(value).__name__} of ({', '.join(_kind(part) for part in value)})"
    return type(value).__name__
