"""A model, a batch and a loss, called again and again from one state: tensors, packed sequences, states, NumPy.

`Run.rows` brings any output to rows first: (B, …) or (B, T, …).
"""

import functools
import inspect
import random
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from lstmcourse.lab.checkup import reading
from lstmcourse.lab.checkup.reading import CannotTell, Packed, Refused, described, leaves, scalar, short

TOLERANCE = {torch.bfloat16: 2e-2, torch.float16: 5e-3, torch.float32: 2e-5, torch.float64: 1e-9}


class Leaf(NamedTuple):
    """One tensor of the input: what it is taken for, and which axes are rows and steps."""

    role: str  # "steps", "rows", "lengths", "mask", "state", "other"
    batch: int | None
    time: int | None
    pad: object = None  # the value that fills the ends, where there is one


class Run:
    """A model, a batch and a loss that can be called again and again, each time from the same state."""

    def __init__(self, kept, model, batch, loss, call, lengths, batch_axis):
        self.kept, self.model, self.loss_fn, self.given_call = kept, model, loss, call
        self.module = model if isinstance(model, torch.nn.Module) else None
        self.tree, self.target = reading.inputs_and_target(batch, model if loss is None else None)
        raw = leaves(self.tree)
        if not raw:
            raise Refused(f"batch is {type(batch).__name__} without a tensor; wanted (inputs, targets)")
        self.numpy = isinstance(raw[0], np.ndarray)
        self.graph_in_batch = any(isinstance(t, torch.Tensor) and t.grad_fn is not None for t in raw)
        self.inputs = [torch.as_tensor(leaf).detach().clone() for leaf in raw]
        if self.target is not None:
            self.target = reading.tensors_of(self.target)
        self.lengths = None if lengths is None else torch.as_tensor(lengths).detach().clone().long()
        self.with_lengths = self.whole = False
        self.steps_last = self._steps_last()
        if self.steps_last:
            self.inputs[0] = self.inputs[0].transpose(1, 2)
        self.batch_axis = self._batch_axis() if batch_axis is None else batch_axis
        self.B = self.inputs[0].shape[self.batch_axis] if self.inputs[0].ndim else 1
        self.leaves = [self._leaf(i) for i in range(len(self.inputs))]
        self._read_padding()
        self._first_call()

    @property
    def y(self):
        """The target, where it is one tensor."""
        return self.target if isinstance(self.target, torch.Tensor) else None

    def _batch_axis(self):
        """0, unless the batch itself shows that time comes first."""
        x, y = self.inputs[0], self.y
        if isinstance(self.tree, Packed) or x.ndim < 2 or x.shape[0] == 0 or x.shape[1] == 0:
            return 0
        rows, steps = x.shape[:2]
        if rows != steps:
            if self.lengths is not None:
                return int(len(self.lengths) == steps)
            if y is not None and y.ndim and y.shape[0] not in (rows, rows * steps):
                return int(y.shape[0] == steps and x.ndim > 1)
            states = [s for s in self.inputs[1:] if s.ndim == 3 and s.is_floating_point()]
            if any(s.shape[1] == steps and s.shape[0] not in x.shape[:2] for s in states):
                return 1
            vectors = [s for s in self.inputs[1:] if s.ndim == 1 and not s.is_floating_point()]
            if vectors and all(len(s) == steps for s in vectors):
                return 1
        if y is not None and y.ndim == 1 and y.numel() == x.numel():
            y = y.reshape(x.shape)
        for z in self.inputs if y is not None else ():  # the input, or a decoder's
            if z.ndim > 1 and y.shape[:2] == z.shape[:2]:
                along = [reading.is_next(z.transpose(0, axis), y.transpose(0, axis)) for axis in (0, 1)]
                if along[1] and not along[0]:
                    return 1
        if x.ndim == 2 and not x.is_floating_point() and not reading.edge_runs(x) and reading.edge_runs(x.T):
            return 1
        return 0

    def _steps_last(self):
        """Is the input (B, C, T), as the nn.Conv1d takes it that is the model's first layer? Kept as (B, T, C)."""
        x, layers = self.inputs[0], [m for m in self.kept.modules if any(True for _ in m.parameters(recurse=False))]
        first = layers[0] if layers and self.given_call is None else None
        if not isinstance(first, torch.nn.Conv1d) or x.ndim != 3 or len(leaves(self.tree)) > 1:
            return False
        return first.in_channels == x.shape[1] != x.shape[2] and self.lengths is None

    def _leaf(self, i):
        """What input i is."""
        x, first, y = self.inputs[i], self.inputs[0], self.y
        axes = [axis for axis in (self.batch_axis, 1 - self.batch_axis) if axis < x.ndim and x.shape[axis] == self.B]
        if x.ndim == 0 or not axes:
            return Leaf("other", None, None)
        batch = axes[0]
        if x.ndim == 1:
            whole = not x.is_floating_point() and i > 0 and x.min() >= 0 and x.max() <= max(first.shape)
            return Leaf("lengths" if whole else "rows", 0, None)
        if i > 0 and x.ndim == 3 and x.is_floating_point() and x.shape[1] == self.B:
            other = x.shape[0] != (first.shape[0] if self.batch_axis else self.B)
            if other or not self.batch_axis and self._nested():
                return Leaf("state", 1, None)
        flags = x.ndim == 2 and x.shape[:2] == first.shape[:2] and set(x.unique().tolist()) <= {0, 1}
        if i > 0 and (x.dtype == torch.bool or flags):
            return Leaf("mask", batch, 1 - batch)
        per_step = i == 0 and y is not None and y.ndim >= 2 and y.shape[:2] == x.shape[:2]
        if x.ndim == 2 and x.is_floating_point() and not per_step and self.lengths is None:
            return Leaf("rows", batch, None)
        return Leaf("steps", batch, 1 - batch)

    def _nested(self):
        return isinstance(self.tree, (tuple, list)) and any(isinstance(part, (tuple, list)) for part in self.tree)

    def _read_padding(self):
        """Lengths, from the argument, from the batch or from the ends of the rows."""
        self.side, self.guessed = "right", False
        main, steps = self.leaves[0], self.T or 0
        stated = self.lengths
        for x, leaf in zip(self.inputs, self.leaves, strict=True):
            if stated is None and leaf.role == "lengths" and steps and x.min() > 0 and x.max() <= steps:
                stated = x.long()
            if stated is None and leaf.role == "mask" and x.ndim == 2:
                stated = self._lengths_of_mask(x.movedim(leaf.batch, 0).bool())
        for i, (x, leaf) in enumerate(zip(self.inputs, self.leaves, strict=True)):
            found = reading.padding_of(x.movedim(leaf.batch, 0)) if leaf.role == "steps" else None
            if found:
                self.leaves[i] = leaf._replace(pad=found[2])
            if found and i == 0:
                self.side = found[1]
                if stated is None:
                    stated, self.guessed = found[0], True
        if main.time is None or stated is not None and (len(stated) != self.B or stated.max() > steps):
            stated = None
        self.lengths = stated

    def _lengths_of_mask(self, on):
        """The lengths that a mask shows, whether True means real or padding; None where it has holes."""
        on = on if on.sum() * 2 >= on.numel() or on[:, 0].all() else ~on
        lengths = on.sum(1)
        if (lengths == 0).any() or (lengths == on.shape[1]).all() or (on.int().diff(dim=1).abs().sum(1) > 1).any():
            return None
        self.side = "right" if on[:, 0].all() else "left"
        return lengths

    def _first_call(self):
        """Find the way in which the model takes the inputs and the loss the output, or refuse in a sentence."""
        try:
            self.raw = self.forward()
        except Exception as error:
            try:
                self.whole = self._takes_one(error)
                self.raw = self.forward() if self.whole or self._takes_lengths(error) else None
            except Exception:
                self.raw = None
            if self.raw is None:
                shapes = ", ".join(f"{tuple(x.shape)} {str(x.dtype).removeprefix('torch.')}" for x in self.inputs)
                came = f"model was called with inputs of shape {shapes} and raised {short(error)}"
                wanted = "inputs that it takes: pass call=lambda model, inputs: … that calls it"
                raise Refused(f"{came}; wanted {wanted}") from error
        if self.main(self.raw) is None:
            wanted = "a tensor of floats, or a tuple or dict with one: pass call=lambda model, inputs: … to return it"
            raise Refused(f"model returned {described(self.raw)}; wanted {wanted}")

    def _takes_one(self, error):
        """Does the model take its tuple of inputs as one argument?"""
        if not isinstance(self.tree, (tuple, list)) or "positional argument" not in str(error) or self.given_call:
            return False
        wanted = inspect.signature(getattr(self.model, "forward", self.model)).parameters.values()
        return sum(p.default is p.empty for p in wanted) == 1

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
            torch.manual_seed(seed), random.seed(seed), np.random.seed(seed)  # noqa: NPY002
        for root in self.kept.roots:
            root.train(train)
        new = [x if x.requires_grad else x.clone() for x in (self.inputs if inputs is None else inputs)]
        new[0] = new[0].transpose(1, 2) if self.steps_last else new[0]
        originals = leaves(self.tree)
        for i, old in enumerate(originals):
            new[i] = new[i].tolist() if isinstance(old, list) else new[i].numpy() if self.numpy else new[i]
        tree = reading.packed(reading.rebuilt(self.tree, iter(new)))
        if self.with_lengths:
            tree = (tree, self.lengths if lengths is None else lengths)
        with torch.set_grad_enabled(grad):
            return self._called(tree)

    def _called(self, tree):
        if self.given_call is not None:
            return self.given_call(self.model, tree)
        if isinstance(tree, dict):
            return self.model(**tree)
        several = isinstance(tree, (tuple, list)) and not isinstance(tree, PackedSequence) and not self.whole
        if several and not reading.is_numbers(tree):
            return self.model(*tree)
        return self.model(tree)

    def main(self, raw):
        """The tensor of the output that the loss is about."""
        if isinstance(raw, PackedSequence):
            return pad_packed_sequence(raw, batch_first=True)[0]
        if isinstance(raw, list) and len(raw) > 1 and all(isinstance(t, torch.Tensor) and t.ndim for t in raw):
            return torch.stack(raw, 1 - self.batch_axis) if len({t.shape for t in raw}) == 1 else raw[0]
        if isinstance(raw, torch.Tensor) and raw.is_floating_point() and raw.ndim:
            return raw
        if isinstance(raw, np.ndarray) and raw.dtype.kind == "f" and raw.ndim:
            return torch.from_numpy(raw)
        if hasattr(raw, "logits"):
            return self.main(raw.logits)
        if isinstance(raw, dict):
            raw = [raw[name] for name in reading.OUTPUT_NAMES if name in raw] + list(raw.values())
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
        y = self.y
        if y is not None and y.ndim >= 2:
            found |= {y.shape[1 - self.batch_axis]}
        return found

    @functools.cached_property
    def layout(self):
        """How the main output holds its rows: "rows", "steps" (time first), "flat", "flat steps", or None."""
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

    @functools.cached_property
    def classes_second(self):
        """Is the output (B, K, T), as nn.CrossEntropyLoss takes it, or as convolutions give it?"""
        shape, y = self.main(self.raw).shape, self.y
        if self.steps_last and len(shape) == 3 and shape[2] == self.T:
            return True
        whole = y is not None and y.ndim == 2 and not y.is_floating_point()
        return len(shape) == 3 and whole and self.layout == "rows" and shape[2] == y.shape[1] != shape[1]

    def rows(self, tensor, B=None):
        """A tensor laid out as the main output, with rows first and steps second."""
        B = B or self.B
        if self.layout is None:
            raise CannotTell(f"the output has the shape {tuple(tensor.shape)}: none of its axes is the batch of {B}")
        if self.layout in ("flat", "flat steps"):
            shape = (B, -1) if self.layout == "flat" else (-1, B)
            tensor = tensor.reshape(*shape, *tensor.shape[1:])
        if self.layout in ("steps", "flat steps"):
            tensor = tensor.transpose(0, 1)
        return tensor.transpose(1, 2) if self.classes_second else tensor

    @functools.cached_property
    def target_rows(self):
        """The target with rows first, or CannotTell."""
        return self.rows_of_target(self.y)

    def rows_of_target(self, y):
        """A view of a target tensor with rows first, and steps second where it has them."""
        if y is None or not y.ndim:
            raise CannotTell("the batch has no target tensor")
        if self.batch_axis == 1 and y.ndim >= 2 and y.shape[1] == self.B:
            return y.transpose(0, 1)
        if y.shape[0] == self.B:
            return y.transpose(1, 2) if self.steps_last and y.ndim == 3 and y.shape[2] == self.T else y
        if self.layout in ("flat", "flat steps") and y.shape[0] == self.main(self.raw).shape[0]:
            return self.rows(y)
        raise CannotTell(f"the target has the shape {tuple(y.shape)}: its first axis is not the batch of {self.B}")

    @functools.cached_property
    def one_class_a_row(self):
        """Is the target one class (or 0 or 1) for each row?"""
        y = self.y
        return y is not None and y.shape == (self.B,) and (not y.is_floating_point() or reading.is_binary(y))

    @functools.cached_property
    def per_step(self):
        """Does the output have a step axis that goes with the steps of an input?"""
        out = self.rows(self.main(self.raw))
        if self.layout != "rows":
            return True
        steps = {x.shape[leaf.time] for x, leaf in zip(self.inputs, self.leaves, strict=True) if leaf.role == "steps"}
        if out.ndim < 2 or out.shape[1] not in steps:
            return False
        y = self.y
        if y is None:
            return out.ndim >= 3
        return y.ndim >= 2 and self.target_rows.shape[1] == out.shape[1] and (out.ndim >= 3 or y.is_floating_point())

    @functools.cached_property
    def aligned(self):
        """Are the lengths those of the output's steps? Where source and target are inputs, they may be the other's."""
        one = [leaf.role for leaf in self.leaves].count("steps") == 1
        return self.lengths is not None and one and self.base.shape[1:2] == (self.T,)

    def changed(self, row=None, step=None, which=None, scale=1.0):
        """Inputs with other values in a row or at a step; padding stays padding."""
        generator = torch.Generator().manual_seed(1)
        new = []
        for i, (x, leaf) in enumerate(zip(self.inputs, self.leaves, strict=True)):
            if leaf.role not in ("steps", "rows") or (which is not None and i != which):
                new.append(x)
                continue
            view = x.movedim(leaf.batch, 0)
            mask = torch.zeros(view.shape[:2] if leaf.time is not None else view.shape[:1], dtype=torch.bool)
            rows, steps = (slice(None) if at is None else at for at in (row, step))
            if leaf.time is not None:
                mask[rows, steps] = True
            elif step is None:
                mask[rows] = True
            if leaf.time is not None and leaf.pad is not None:
                real = view != leaf.pad
                mask &= real if real.ndim == 2 else real.flatten(2).any(2)
            mask = mask.reshape(*mask.shape, *[1] * (view.ndim - mask.ndim))
            other = torch.where(mask, reading.other_values(view, leaf.pad, generator, scale), view)
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
        return self.out()

    def loss(self, raw, main=None, target=None):
        """The loss of an output; `main` replaces its main tensor, `target` the batch's target."""
        if main is not None and isinstance(raw, (torch.Tensor, np.ndarray, PackedSequence)):
            raw = main
        elif main is not None:
            raw = reading.replaced(raw, self.main(raw), main)
        return scalar(self.loss_way(raw, self.target if target is None else target))

    def slope(self, target=None):
        """The gradient of the loss for the main output in evaluation mode, rows first."""
        leaf = self.main(self.raw).detach().clone().requires_grad_()
        if self.numpy:
            raise CannotTell("needs autograd")
        value = self.loss(self.forward(), leaf, target)
        grad = torch.autograd.grad(value, leaf, allow_unused=True)[0] if value.requires_grad else None
        if grad is None:
            raise CannotTell("the loss doesn't take the output itself")
        return self.rows(grad)

    @functools.cached_property
    def loss_way(self):
        """A function from the raw output and the target to the loss: the first way of calling it that works."""
        loss, y = self.loss_fn, self.target
        raw = self.forward(train=True, grad=True)
        main = self.main(raw)
        if loss is None and reading.own_loss(raw) is not None:
            return lambda raw, _: reading.own_loss(raw)
        loss = reading.usual_loss(main, y) if loss is None else loss
        ways = [lambda raw, y: loss(raw, y), lambda raw, y: loss(self.main(raw), y)]
        if y is None:
            ways = [lambda raw, _: loss(raw), lambda raw, _: loss(self.main(raw))]
        if isinstance(y, torch.Tensor) and main.ndim == 3 and not y.is_floating_point():
            ways += [lambda raw, y: loss(self.main(raw).flatten(0, 1), y.reshape(-1))]
        if self.numpy:
            ways = [lambda raw, y: loss(raw, y.numpy()), *ways]
        error = None
        for way in ways:
            try:
                value = way(raw, y)
            except Exception as raised:
                error = error or raised
                continue
            if scalar(value) is not None:
                return way
            error = error or ValueError(f"it returned {described(value)}")
        came = f"an output {tuple(main.shape)} {main.dtype} and targets {described(y)}".replace("torch.", "")
        wanted = "a loss that takes them and returns one number"
        raise Refused(f"loss was called with {came} and raised {short(error)}; wanted {wanted}")
