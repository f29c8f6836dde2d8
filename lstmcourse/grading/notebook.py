"""A handed-in notebook: its code cells, and how they are run. Works inside the sandbox.

Only the code counts: no metadata, outputs, ids or order of checks. A cell that fails is left
out. What is not there while grading (the course, Matplotlib, PyTorch, Jupyter) is stood in for
by `Absent`, which does nothing, so that imports, plots and check(...) neither hurt nor help.
"""

import ast
import builtins
import dis
import json
import linecache
import re
import signal
import sys
import types


class Refused(Exception):
    """This file is no notebook; str() says why, for the student."""


def code_cells(data):
    """The sources of the code cells, in order. Takes nbformat 3 and 4, and any encoding that people use."""
    if not data.strip():
        raise Refused("The file is empty.")
    for encoding in ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "latin-1"):
        try:
            whole = json.loads(data.decode(encoding))
            break
        except UnicodeDecodeError:
            continue
        except RecursionError:
            raise Refused("The file is nested too deeply to be a notebook.") from None
        except MemoryError:
            raise Refused("The file is too large to be read.") from None
        except ValueError as error:
            raise Refused(f"The file is not a notebook: it is not complete JSON ({error}).") from None
    else:
        raise Refused("The file is not a notebook: it is not text.")

    sheets = whole.get("worksheets") if isinstance(whole, dict) else None
    holders = [whole] if not isinstance(sheets, list) else [sheet for sheet in sheets if isinstance(sheet, dict)]
    cells = [h["cells"] for h in holders if isinstance(h, dict) and isinstance(h.get("cells"), list)]
    if not cells:
        raise Refused("The file is JSON, but not a notebook: it has no list of cells.")
    sources = []
    for cell in (cell for some in cells for cell in some):
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            source = cell.get("source", cell.get("input"))
            if isinstance(source, list):
                source = "".join(line for line in source if isinstance(line, str))
            if isinstance(source, str):
                sources.append(source)
    return sources


# Magics and shell lines. A line is changed only where Python's own parser stumbles over it, so that a
# `%` that continues an expression stays what it is.

CELL_MAGIC = re.compile(r"\s*%%(\w+)[^\n]*\n?")
RUNS_PYTHON = {"time", "timeit", "capture", "prun", "memit", "mprun", "python", "python3", "script"}
LINE_MAGIC = re.compile(r"^(\s*)(?:([\w, ]+?)\s*=\s*)?(?:%(\w*)\s?(.*)|!.*|\?.*)$|^(\s*)[\w.]+\?{1,2}\s*$")


def without_magics(source):
    """The cell as plain Python: `%%time` is taken off, `%time f(x)` becomes `f(x)`, other magics do nothing."""
    cell = CELL_MAGIC.match(source)
    if cell:
        if cell[1] not in RUNS_PYTHON:
            return ""
        source = source[cell.end():]
    lines = source.split("\n")
    for _ in range(len(lines)):
        try:
            ast.parse("\n".join(lines))
            break
        except SyntaxError as error:
            n = (error.lineno or 0) - 1
            magic = LINE_MAGIC.match(lines[n]) if 0 <= n < len(lines) else None
            if not magic:
                break
            indent, name, word, rest, help_indent = magic.groups()
            does = rest if word == "time" and rest else "None"
            lines[n] = f"{indent or help_indent or ''}{f'{name} = ' if name else ''}{does}"
    return "\n".join(lines)


# What is not there.

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


def lenient_import(name, globals=None, locals=None, fromlist=(), level=0):
    """`import` for the notebook: what cannot be found is Absent."""
    top = name.partition(".")[0]
    try:
        return builtins.__import__(name, globals, locals, fromlist, level)
    except ModuleNotFoundError:
        pass
    except ImportError:                       # `from math import typo` stays an error
        if top in sys.stdlib_module_names or top == "numpy":
            raise
    return Absent(name if fromlist else top)


def namespace():
    """Where the cells run: a module of their own, with Jupyter's names beside the builtins."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    module.__builtins__ = vars(builtins) | {
        "__import__": lenient_import, "get_ipython": Absent("get_ipython"), "display": lambda *args, **kwargs: None}
    return vars(module)


# Running.

class TooLong(BaseException):
    """Raised by the alarm clock in the middle of a cell or a call."""


class alarm:
    """`with alarm(seconds):` raises TooLong inside when the time is up, again and again, where signals exist.

    Code that will not listen is ended from outside.
    """

    def __init__(self, seconds):
        self.seconds = seconds

    def __enter__(self):
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, self.ring)
            signal.setitimer(signal.ITIMER_REAL, self.seconds, 0.2)

    def __exit__(self, *error):
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            signal.setitimer(signal.ITIMER_REAL, 0)

    def ring(self, number, frame):
        raise TooLong


def run_cell(source, number, scope, seconds):
    """Run one cell; a sentence about what went wrong, or None."""
    name = f"<cell {number + 1}>"
    try:
        with alarm(seconds):
            source = without_magics(source)
            linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
            exec(compile(source, name, "exec", dont_inherit=True), scope)
    except TooLong:
        return f"Cell {number + 1} took longer than {seconds:.0f} s and was stopped."
    except BaseException as error:
        return f"Cell {number + 1} stopped with {described(error)}"
    return None


def described(error):
    """`IndexError: index 5 is out of bounds, at: f = a[5]`; never fails, whatever the exception's methods do."""
    text = "an exception"
    try:
        text = str.__str__(type(error).__name__)
        text = f"{text[:100]}: {str(error)[:300]}".removesuffix(": ")
        line, trace = "", error.__traceback__
        while trace is not None:
            file = trace.tb_frame.f_code.co_filename
            line = linecache.getline(file, trace.tb_lineno).strip() if file.startswith("<cell ") else line
            trace = trace.tb_next
        text = f"{text[:300]}, at: {line[:100]}" if line else text
    except BaseException:
        pass
    return text[:400]
