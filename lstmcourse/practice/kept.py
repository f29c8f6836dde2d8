"""Your own code carries on: the function of a passed exercise is kept as a file, and `mine` gives it back.

What is kept is source text, found from the function and from what it uses of its notebook. It is read and
run by `mine` alone, in the learner's own kernel; `lstmcourse progress` only looks whether it is there.
"""

import ast
import builtins
import dis
import inspect
import sys
import textwrap
from datetime import datetime
from types import CodeType, FunctionType, ModuleType

import numpy as np

from lstmcourse.practice import progress
from lstmcourse.practice.registry import EXERCISES

LARGEST = 1000               # numbers of an array that is kept with the function that uses it


def keep(id, function):
    """Keep the function of a passed exercise. Returns "" or the reason in words why it is not kept."""
    name = EXERCISES[id].function
    made, missing = parts_of(function, name)
    if missing:
        return _not_kept("; ".join(missing))
    today = datetime.now().isoformat(timespec="minutes")
    text = (f"# Exercise {id}, passed {today}, edition {progress.EDITION} of the course.\n"
            f'# mine("{id}") runs this and gives {name} back.\n\n' + "\n\n".join(made.values()) + "\n")
    _, problem = _run(id, text, "a test of what is kept")
    return _not_kept(problem) if problem else progress.write(progress.place(id, "py"), text)


def _not_kept(problem):
    """The note below the verdict: what is the matter, and what to do."""
    return (f"(Your function is not kept for later lessons: {problem}. "
            "Define it with def in one cell, with all it uses inside it, and check it again.)")


def mine(id, quiet=False):
    """Your function of an exercise, if you have passed it and it still works; else the library's, with a sentence.

    id     the exercise, "5.1"
    quiet  True: no sentence
    """
    id = str(id)
    if id not in EXERCISES:
        raise ValueError(f"id is {id!r}; wanted an exercise: {', '.join(EXERCISES)}")
    function, said = look(id)
    if not quiet:
        print(f"{id} {EXERCISES[id].title}: {said}")
    return function or EXERCISES[id].reference


def look(id):
    """(the learner's function or None, what there is to say)"""
    path = progress.place(id, "py")
    if not path.exists():
        return None, "the library's function, since yours is not there yet"
    function, problem = _run(id, path.read_text(encoding="utf-8", errors="replace"), str(path))
    return function, f"the library's function, since {problem}; check it again" if problem else "your function"


def _run(id, text, file):
    """(the function that is made by what was kept, "") or (None, why not in words)."""
    from lstmcourse.practice.check import verdict_on  # which keeps, by this module

    try:
        space = {"__name__": f"mine_{id.replace('.', '_')}"}
        exec(compile(text, file, "exec"), space)
        function = space[EXERCISES[id].function]
    except (Exception, SystemExit) as error:
        return None, f"yours does not run on its own ({type(error).__name__}: {error})"
    return (function, "") if verdict_on(id, function).passed else (None, "yours does not pass its check on its own")


def parts_of(function, name):
    """({name: its source} of a function and of all it needs, in an order that runs, [what cannot be kept])"""
    made, missing, home = {}, [], getattr(function, "__globals__", {})

    def take(name, value):
        if name in made:
            return
        made[name] = ""                                       # on the way: a function may call itself
        source, uses = _source(name, value, home)
        if source is None:
            missing.append(f"{name} {uses}")
        else:
            for other in sorted(uses):
                if other in home:
                    take(other, home[other])
                elif not hasattr(builtins, other):
                    missing.append(f"{other} has no value")
        made[name] = made.pop(name) or source                 # behind what it uses

    take(name, function)
    return made, missing


def _source(name, value, home):
    """(how to make value again under that name, the names that this uses), or (None, what is the matter)."""
    if isinstance(value, ModuleType):
        return f"import {value.__name__} as {name}", ()
    if isinstance(value, FunctionType) and value.__globals__ is home:
        return _definition(name, value)
    where, known_as = getattr(value, "__module__", None), getattr(value, "__name__", None)
    for module in ("numpy" if isinstance(value, np.ufunc) else where,):
        if module != "__main__" and known_as and getattr(sys.modules.get(module), known_as, None) is value:
            return f"from {module} import {known_as} as {name}", ()
    if isinstance(value, np.ndarray) and value.size <= LARGEST and value.dtype.kind in "iubf":
        return f"{name} = __import__('numpy').array({value.tolist()!r}, {str(value.dtype)!r})", ()
    try:
        plain = value.item() if isinstance(value, np.generic) else value
        if ast.literal_eval(repr(plain)) == plain:
            return f"{name} = {plain!r}", ()
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    return None, f"is a {type(value).__name__}, which cannot be written down"


def _definition(name, function):
    """The source of a function of the notebook, and the names that it takes from there."""
    if function.__closure__:
        return None, "is made inside another function"
    try:
        source = textwrap.dedent(inspect.getsource(function)).strip()
        node, = ast.parse(source).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return None, "has no source that can be found"
    if isinstance(node, ast.FunctionDef):
        outside = [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
        outside += [a.annotation for a in ast.walk(node.args) if isinstance(a, ast.arg) and a.annotation]
        outside += [node.returns] if node.returns else []
        if node.name != name:
            source += f"\n\n\n{name} = {node.name}"
    elif isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
        outside = [node.value] if not isinstance(node.value, ast.Lambda) else node.value.args.defaults
    else:
        return None, "has no source that can be found"
    uses = {leaf.id for part in outside for leaf in ast.walk(part) if isinstance(leaf, ast.Name)}
    return source, uses | set(_globals_of(function.__code__))


def _globals_of(code):
    """The names that a code object, and those inside it, take from outside."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield step.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals_of(constant)
