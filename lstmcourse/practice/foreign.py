"""What a function takes from modules that are not there while it is graded: SciPy, PyTorch, most of the course.

`check` runs in the learner's own kernel, where they are there. The grader has Python, NumPy and the helpers that an
exercise's notebook shows.
"""

import dis
import sys
from types import CodeType, FunctionType, MethodType, ModuleType

import numpy as np

from lstmcourse.practice.registry import EXERCISES

BESIDE = ("matplotlib", "IPython", "ipywidgets", "tqdm", "lstmcourse.plots", "lstmcourse.practice")   # nobody misses it


def note_on(id, function):
    """One sentence about what the grader does not have; "" where the function needs nothing of it."""
    names = foreign(id, function)
    if not names:
        return ""
    return ("(The grader has only Python, NumPy and the helpers that this exercise's notebook shows: an answer that "
            f"needs {' or '.join(f'`{name}`' for name in names)} earns no points there.)")


def foreign(id, function):
    """What the grader does not have, by name: "scipy", "lstmcourse.lstm.lstm_cell_forward", or "mine"."""
    offered = {f"lstmcourse.{path}" for exercise in EXERCISES.values()
               if exercise.lesson == EXERCISES[id].lesson for path in exercise.helpers}
    found = set()
    for name in sources(function):
        top = name.split(".")[0]
        if name.startswith(("mine_", "lstmcourse.practice.lesson_")) and name not in offered:
            found.add("mine")
        elif top == "lstmcourse":
            if not name.startswith(BESIDE) and not any(f"{path}.".startswith(f"{name}.") for path in offered):
                found.add(name)
        elif installed(top) and top not in ("numpy", *BESIDE):
            found.add(top)
    return sorted(found)


def installed(name):
    """Is it a module of an installed package: no part of Python, and no file that the notebook has written?"""
    return "-packages" in str(getattr(sys.modules.get(name), "__file__", ""))


def sources(function):
    """Where all that a function uses comes from, as "module" or "module.name"; its own notebook is left out."""
    found, seen, waiting = set(), set(), [function]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, MethodType):
            value = value.__func__
        home = getattr(function, "__globals__", {})
        if isinstance(value, FunctionType) and value.__globals__ is home:
            names, imported = parts(value.__code__)
            found |= imported
            waiting += [home[name] for name in names if name in home]
            waiting += [cell.cell_contents for cell in value.__closure__ or () if cell != type(cell)()]
            waiting += [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        elif isinstance(value, type) and value.__module__ == home.get("__name__"):
            waiting += [*value.__bases__, *vars(value).values()]
        else:
            found.add(origin(value))
    return found - {"", getattr(function, "__module__", "")}


def parts(code):
    """The global names in a code object and those inside it, and what they import, as in `sources`."""
    names, imported, module = set(), set(), ""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            names.add(step.argval)
        elif step.opname == "IMPORT_NAME":
            module = step.argval
            imported.add(module)
        elif step.opname == "IMPORT_FROM":
            imported -= {module}
            imported.add(f"{module}.{step.argval}")
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names, imported = (a | b for a, b in zip((names, imported), parts(constant), strict=True))
    return names, imported


def origin(value):
    """Where a value was made: "scipy.special", "lstmcourse.layers.sigmoid"; "" where nobody knows."""
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, np.ufunc):                     # SciPy's do not say where they come from
        return next((name for name, module in [*sys.modules.items()]
                     if installed(name) and vars(module).get(value.__name__) is value), "")
    module = getattr(value, "__module__", None) or type(value).__module__
    if not isinstance(module, str):
        return ""
    return f"{module}.{value.__name__}" if hasattr(value, "__name__") else module
