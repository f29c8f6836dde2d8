"""A handed-in notebook: its code cells, and how they are run. Works inside the sandbox.

Only the code counts: no metadata, outputs, ids or order of checks. A cell that fails is left out.
"""

import __future__

import ast
import builtins
import inspect
import json
import linecache
import signal
import sys
import types

if __package__:                # in the tests; inside the sandbox there is no package
    from lstmcourse.grading import magics
    from lstmcourse.grading.imports import Absent, is_absent, leniently, submissions_import
else:
    import magics
    from imports import Absent, is_absent, leniently, submissions_import


class Refused(Exception):
    """This file is no notebook; str() says why, for the student."""


def code_cells(data):
    """The sources of the code cells, in order."""
    return contents(data)[0]


def contents(data):
    """The sources of the code cells, in order, and the first heading. Takes nbformat 3 and 4, and any encoding that
    people use."""
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
    sources, heading = [], ""
    for cell in (cell for some in cells for cell in some):
        if isinstance(cell, dict) and cell.get("cell_type") in ("code", "markdown"):
            source = cell.get("source", cell.get("input"))
            if isinstance(source, list):
                source = "".join(line for line in source if isinstance(line, str))
            if isinstance(source, str) and cell["cell_type"] == "code":
                sources.append(source.replace("\r\n", "\n").replace("\r", "\n") if "\r" in source else source)
            elif isinstance(source, str) and not heading:
                heading = next((line for line in source.splitlines() if line.startswith("#")), "")[:200]
    return sources, heading


def namespace():
    """Where the cells run: a module of their own, with Jupyter's names beside the builtins."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.path.insert(0, "")                    # a module that `%%writefile` has written is found
    nothing = lambda *args, **kwargs: None    # noqa: E731
    module.__builtins__ = vars(builtins) | {
        "__import__": submissions_import, "get_ipython": Absent("get_ipython"),
        **dict.fromkeys(("display", "help", "exit", "quit"), nothing)}
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


future = 0                     # `from __future__ import annotations` holds for all later cells


def run_cell(source, number, scope, seconds):
    """Run one cell; sentences about what went wrong."""
    name, remarks, elsewhere = f"<cell {number + 1}>", [], []
    try:
        with alarm(seconds):
            code = as_it_stands(source, name)
            source = source if code else magics.plain(source)
            linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
            body = source
            if "NotImplementedError" in source:
                code = None
                whole = statements(source, name)
                body = [node for node in whole if not would_undo(node, scope)]
                remarks += [f"{called(number, source)}: the unfinished {node.name} in it was not taken, since another "
                            "cell has a finished one." for node in whole if node not in body]
            execute(body, name, scope, code, elsewhere)
    except TooLong:
        remarks.append(f"{called(number, source)} took longer than {seconds:.0f} s and was stopped.")
    except BaseException as error:
        remarks.append(f"{called(number, source)} stopped with {described(error)}")
    if elsewhere:
        remarks.insert(0, f"{called(number, source)} asks for what is not there while grading ({elsewhere[0]}); the "
                       "grader went on with the rest of the cell.")
    return remarks


def called(number, source):
    """What a remark calls a cell: its number among the code cells, and how it begins."""
    return f'Cell {number + 1} ("{first_line(source)}")'


def first_line(source):
    line = next((line.strip() for line in source.split("\n") if line.strip()), "")
    return line if len(line) <= 60 else line[:60] + " …"


def would_undo(node, scope):
    """Is it an untouched stub, `def f(...): raise NotImplementedError`, of a function that is already there?"""
    if not isinstance(node, ast.FunctionDef) or not isinstance(node.body[-1], ast.Raise):
        return False
    raised = node.body[-1].exc
    raised = raised.func if isinstance(raised, ast.Call) else raised
    known = scope.get(node.name)
    return (getattr(raised, "id", None) == "NotImplementedError" and callable(known) and not isinstance(known, Absent)
            and "NotImplementedError" not in getattr(getattr(known, "__code__", None), "co_names", ()))


def as_it_stands(source, name):
    """The code of a cell that is plain Python, as most are; None where Jupyter would change it first."""
    if source[:1] in (" ", "\t", "\n", "%"):
        return None
    try:
        return compiled(source, name)
    except SyntaxError:
        return None


def execute(body, name, scope, code=None, elsewhere=()):
    """Run a cell's source, or statements (code: the same, compiled); after one that misses a module nobody does
    without, go on with it stood in for.

    elsewhere  a list to which goes what a statement has said that asks for something only the student's machine has,
               a folder, a file, a program, an answer: the cell goes on behind it
    """
    global future
    while body:
        code = code or compiled(body, name)
        future |= code.co_flags & __future__.annotations.compiler_flag
        try:
            return run(code, scope)
        except ImportError as error:
            if not is_absent(error):
                raise
            body = statements(body, name) if isinstance(body, str) else body
            n, missed = statement(error, body, name), error
            if n is None:
                raise
        except (OSError, EOFError) as error:
            body = statements(body, name) if isinstance(body, str) else body
            n, missed = statement(error, body, name), None
            if n is None or n + 1 == len(body):
                raise
            elsewhere.append(described(error))
        if missed:
            code = compiled(body[n:n + 1], name)
            leniently(lambda code=code: run(code, scope), missed)
        body, code = body[n + 1:], None
    return None


def compiled(body, name):
    return compile(body if isinstance(body, str) else ast.Module(body, []), name, "exec",
                   ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | future, dont_inherit=True)


def statements(source, name):
    return compile(source, name, "exec", ast.PyCF_ONLY_AST, dont_inherit=True).body


def run(code, scope):
    if code.co_flags & inspect.CO_COROUTINE:
        event_loop().run_until_complete(eval(code, scope))
    else:
        exec(code, scope)


def event_loop(made=[]):       # noqa: B006  one for all cells
    """For `await` in a cell. It wakes itself by no pair of sockets, which seccomp denies."""
    import asyncio
    import selectors

    class Loop(asyncio.SelectorEventLoop):
        _csock = None

        def _make_self_pipe(self):
            pass

        def _close_self_pipe(self):
            pass
    if not made:
        made.append(Loop(selectors.SelectSelector()))
    return made[0]


def statement(error, body, name):
    """Which of the statements an exception has come out of, or None."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name:
            return next((n for n, node in enumerate(body) if node.lineno <= trace.tb_lineno <= node.end_lineno), None)
        trace = trace.tb_next
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
