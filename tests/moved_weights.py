"""Inside a notebook's kernel: move every initial weight by about its last digit, as another machine would.

Moved are what the library's init functions return, the random matrices of lesson 03, what an optimizer of
ours gets for its first step, and the parameters that one of PyTorch's is made for. The library itself
knows nothing of it. Used by stability.py.
"""

import functools
import importlib.util
import sys
import weakref

import numpy as np

SIZES = {"float64": 1e-15, "float32": 1e-7}


def move_initial_weights(seed):
    """From now on each new weight is w (1 + size ε), ε standard normal. Returns a function: arrays moved so far."""
    from lstmcourse import train
    from lstmcourse.lab import gradients
    rng, moved, inside = np.random.default_rng(seed), weakref.WeakValueDictionary(), []
    count = 0

    def move(array):
        """The array, moved in place; one that has been moved already stays."""
        nonlocal count
        if moved.get(id(array)) is not array:
            array *= (1 + SIZES[str(array.dtype)] * rng.standard_normal(array.shape)).astype(array.dtype)
            moved[id(array)] = array
            count += 1
        return array

    def moving(init):
        @functools.wraps(init)
        def wrapped(*args, **kwargs):
            inside.append(init)                            # one init function may call another: moved once
            try:
                made = init(*args, **kwargs)
            finally:
                inside.pop()
            return made if inside else train.tree_map(move, made)
        return wrapped

    for module, names in ((train, [name for name in vars(train) if name.startswith("init_")]),
                          (gradients, ["init_orthogonal", "scale_to_spectral_radius"])):
        for name in names:
            setattr(module, name, moving(getattr(module, name)))

    step = train.Adam.step

    @functools.wraps(step)
    def first_step_moves(self, params, grads):
        if self.t == 0:
            params = train.tree_map(lambda w: w if moved.get(id(w)) is w else move(w.copy()), params)
        return step(self, params, grads)

    train.Adam.step = first_step_moves

    def move_torch(optimizer):
        made = optimizer.Optimizer.__init__

        @functools.wraps(made)
        def wrapped(self, *args, **kwargs):
            made(self, *args, **kwargs)
            for group in self.param_groups:
                for parameter in group["params"]:
                    move(parameter.detach().numpy())       # the same memory
        optimizer.Optimizer.__init__ = wrapped

    when_imported("torch.optim.optimizer", move_torch)
    return lambda: count


def when_imported(name, then):
    """Call then(module) as soon as that module has been imported."""
    if name in sys.modules:
        then(sys.modules[name])
        return

    class Finder:
        def find_spec(self, asked, path=None, target=None):
            if asked != name:
                return None
            sys.meta_path.remove(self)
            spec = importlib.util.find_spec(name)
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: (execute(module), then(module))
            return spec

    sys.meta_path.insert(0, Finder())
