"""`import` in a submission. Only Python and NumPy are there, and what the exercises offer as helpers.

Anything else raises ImportError, as in Python, so that a fallback runs. Where nobody catches it the
statement, or the call, is run once more with an `Absent` in place of the module: plots, PyTorch and
check(...) then neither hurt nor help.
"""

import builtins
import dis
import sys
import types

import numpy as np


class Absent:
    """Stands in for a module that is not there while grading, and for everything that comes from it.

    Whatever is done with it gives another one, which remembers where it came from: a plot draws
    nothing, `assert torch.allclose(...)` passes, and an answer computed with it is no answer.
    """

    def __init__(self, path):
        object.__setattr__(self, "absent", path)

    def __getattr__(self, name):
        if name == "__all__":
            return []
        if name == "__version__":
            return "0.0.0"
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self.absent}.{name}")

    def __setattr__(self, name, value):
        pass

    def __call__(self, *args, **kwargs):
        if self.absent.endswith(("tqdm", "trange", "track")) and args:      # a progress bar passes its items on
            return range(*args) if isinstance(args[0], int) else args[0]
        if len(args) == 1 and not kwargs and isinstance(args[0], (types.FunctionType, type)):
            return args[0]                                                  # used as a decorator
        return self

    def __iter__(self):
        """As many as the caller unpacks, `fig, (a, b, c) = plt.subplots(1, 3)`; else two."""
        caller = sys._getframe(1)
        op, n = caller.f_code.co_code[caller.f_lasti:caller.f_lasti + 2]
        return iter([self] * (n if dis.opname[op] == "UNPACK_SEQUENCE" else 2))

    def _itself(self, *args, **kwargs):
        return self

    __getitem__ = __enter__ = __array_ufunc__ = __array_function__ = _itself
    for _name in ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "divmod", "pow", "and", "or", "xor"):
        vars()[f"__{_name}__"] = vars()[f"__r{_name}__"] = _itself
    for _name in ("neg", "pos", "abs", "invert", "round", "eq", "ne", "lt", "le", "gt", "ge"):
        vars()[f"__{_name}__"] = _itself

    def __setitem__(self, key, value):
        pass

    def __exit__(self, *error):
        pass

    def __bool__(self):
        return True

    def __hash__(self):
        return id(self)

    def __contains__(self, item):
        return True

    def __instancecheck__(self, value):
        return isinstance(value, Absent)

    def __mro_entries__(self, bases):
        return ()

    def __repr__(self):
        return f"<{self.absent} is not there while grading>"

    def __format__(self, spec):
        return repr(self)

    def __array__(self, *args, **kwargs):
        raise TypeError(f"{self.absent} is not there while grading: only Python and NumPy are")

    def __float__(self):
        raise TypeError(f"{self.absent} is not there while grading: only Python and NumPy are")

    __int__ = __index__ = __len__ = __complex__ = __float__


class Course(types.ModuleType):
    """A module of the course as a submission sees it: the helpers that its exercises show; the rest is Absent."""

    def __getattr__(self, name):
        if name == "__all__":                  # `from lstmcourse.layers import *`: what is there
            raise AttributeError(name)
        return getattr(Absent(self.__name__), name)


def offer(helpers):
    """Make a module of the course from each (its name, the source of the helpers in it)."""
    for name, source in helpers:
        parts = name.split(".")
        for n in range(1, len(parts) + 1):
            whole = ".".join(parts[:n])
            if whole not in sys.modules:
                sys.modules[whole] = Course(whole)
                vars(sys.modules[whole])["__path__"] = []
                if n > 1:
                    setattr(sys.modules[".".join(parts[:n - 1])], parts[n - 1], sys.modules[whole])
        vars(sys.modules[name])["np"] = np
        exec(source, vars(sys.modules[name]))


tolerated = set()              # the modules that are stood in for just now


def submissions_import(name, globals=None, locals=None, fromlist=(), level=0):
    """The `__import__` of a submission."""
    try:
        module = builtins.__import__(name, globals, locals, fromlist, level)
        unknown = [wanted for wanted in fromlist or () if wanted != "*" and wanted not in vars(module)] if type(
            module) is Course and name not in tolerated else ()
        if unknown:
            raise ImportError(f"cannot import name {unknown[0]!r} from {name!r}", name=name)
        return module
    except ImportError as error:
        if not (is_absent(error) and error.name in tolerated):
            raise
    top = name.partition(".")[0]
    return Absent(name) if fromlist else sys.modules.get(top) or Absent(top)


def is_absent(error):
    """Is it about a module that is not there while grading? `from math import typo` is not."""
    return bool(error.name) and (isinstance(error, ModuleNotFoundError) or error.name.startswith("lstmcourse"))


def leniently(run, missed=None):
    """run(), and once more with an Absent in place of each module that it misses and does not do without.

    missed  the ImportError that a first try has ended with
    """
    tolerated.update([missed.name] if missed else [])
    try:
        while True:
            try:
                return run()
            except ImportError as error:
                if not is_absent(error) or error.name in tolerated:
                    raise
                tolerated.add(error.name)
    finally:
        tolerated.clear()
