"""Modules, optimizers and random numbers put back as they were, after an exception too."""

import copy
import functools
import inspect
import random
import warnings
from collections import defaultdict
from contextlib import contextmanager

import numpy as np
import torch
from torch.nn.parameter import is_lazy

from lstmcourse.lab.checkup.reading import leaves


def _copy_back(kept):
    for tensor, numbers, *_ in kept:
        if tensor.shape == numbers.shape and not torch.equal(tensor.detach(), numbers):
            tensor.data.copy_(numbers)


def _refill(container, value):
    """The same container object with its old content."""
    container.clear()
    container.extend(value) if isinstance(container, list) else container.update(value)


class Kept:
    """What `untouched` yields: the state of some modules, which can be put back in part or in whole."""

    def __init__(self, roots):
        self.roots = roots
        self.modules = list(dict.fromkeys(m for root in roots for m in root.modules()))
        self.classes = [type(module) for module in self.modules]
        held = dict, list, set
        self.containers = [{n: v for n, v in vars(m).items() if isinstance(v, held)} for m in self.modules]
        self.attributes = [
            {n: copy.copy(v) if isinstance(v, held) else v for n, v in vars(m).items()} for m in self.modules
        ]
        self.tensors = {}
        for attributes in self.attributes:
            for value in attributes.values():
                self.keep(leaves(list(value.values()) if isinstance(value, dict) else value))
        self.states = [kept for kept in self.tensors.values() if not isinstance(kept[0], torch.nn.Parameter)]

    def keep(self, values):
        """Remember the numbers, the gradient and the flag of tensors."""
        for tensor in values:
            if isinstance(tensor, torch.Tensor) and not is_lazy(tensor) and id(tensor) not in self.tensors:
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

    def fill_zeros(self):
        """Small numbers for the weights that are all zero."""
        generator = torch.Generator().manual_seed(0)
        for weight in (p for root in self.roots for p in root.parameters()):
            if weight.is_floating_point() and not weight.detach().any():
                weight.data.copy_(0.05 + 0.1 * torch.rand(weight.shape, generator=generator))

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


@contextmanager
def untouched(roots, optimizer=None):
    """Yields a `Kept` of the modules; whatever happens, they, the optimizer and the random state are put back."""
    kept = Kept(roots)
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    fast = torch.backends.mha.get_fastpath_enabled()  # another kernel in evaluation mode, where masks differ
    torch.backends.mha.set_fastpath_enabled(False)
    if optimizer is not None:
        kept.keep(p for group in optimizer.param_groups for p in group["params"])
        attributes, groups = dict(vars(optimizer)), [dict(group) for group in optimizer.param_groups]
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if optimizer is not None:
                states_of = {p: {k: copy.deepcopy(v) for k, v in s.items()} for p, s in optimizer.state.items()}
                optimizer.state = defaultdict(dict, states_of)
            kept.put_back_numbers()
            yield kept
    finally:
        kept.put_back()
        torch.backends.mha.set_fastpath_enabled(fast)
        if optimizer is not None:
            vars(optimizer).clear()
            vars(optimizer).update(attributes)
            for group, saved in zip(optimizer.param_groups, groups, strict=True):
                _refill(group, saved)
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def roots_of(*things):
    """The modules that the things are, or hold: functions in their closure, defaults and globals, methods in self."""
    found, seen, queue = [], set(), list(things)
    while queue:
        thing = queue.pop(0)  # the model first
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
