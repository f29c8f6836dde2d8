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
    move = Mover(seed)
    names = [name for name in vars(train) if name.startswith("init_")]
    for module, functions in ((train, names), (gradients, ["init_orthogonal", "scale_to_spectral_radius"])):
        for name in functions:
            setattr(module, name, move.result_of(getattr(module, name), train.tree_map))
    move_at_first_step(train.Adam, move, train.tree_map)
    when_imported("torch.optim.optimizer", lambda optimizer: move_torch_parameters(optimizer.Optimizer, move))
    return lambda: move.count


class Mover:
    """Moves arrays in place, each once."""

    def __init__(self, seed):
        self.rng, self.count = np.random.default_rng(seed), 0
        self.moved, self.running = weakref.WeakValueDictionary(), []

    def __call__(self, array):
        if not self.has_moved(array):
            array *= (1 + SIZES[str(array.dtype)] * self.rng.standard_normal(array.shape)).astype(array.dtype)
            self.moved[id(array)] = array
            self.count += 1
        return array

    def has_moved(self, array):
        return self.moved.get(id(array)) is array

    def result_of(self, init, tree_map):
        """The init function, whose arrays are moved before anybody gets them."""
        @functools.wraps(init)
        def wrapped(*args, **kwargs):
            self.running.append(init)                      # one init function may call another: moved once
            try:
                made = init(*args, **kwargs)
            finally:
                self.running.pop()
            return made if self.running else tree_map(self, made)
        return wrapped


def move_at_first_step(optimizer, move, tree_map):
    """Parameters that no init function made are moved when our optimizer gets them."""
    step = optimizer.step

    @functools.wraps(step)
    def wrapped(self, params, grads):
        if self.t == 0:
            params = tree_map(lambda w: w if move.has_moved(w) else move(w.copy()), params)
        return step(self, params, grads)
    optimizer.step = wrapped


def move_torch_parameters(optimizer, move):
    """Parameters of PyTorch are moved when one of its optimizers is made for them."""
    made = optimizer.__init__

    @functools.wraps(made)
    def wrapped(self, *args, **kwargs):
        made(self, *args, **kwargs)
        for group in self.param_groups:
            for parameter in group["params"]:
                move(parameter.detach().numpy())           # the same memory
    optimizer.__init__ = wrapped


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
