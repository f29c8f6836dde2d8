"""`make mutants`: change each solution systematically; every change of behaviour must be rejected.

A mutant is one small change in the syntax tree of a solution: another operator, a sign, an axis, an
index, a constant, a swapped variable or key, a dropped call, transpose or line. The mutants that
survive are listed, with the reason why each behaves like the solution, in equivalent_mutants.json.

Why no library: mutmut and Cosmic Ray change files and start a test run for each change (a second or
more, for thousands of changes), and know operators, numbers and comparisons, but no axes, no
transposes, no swapped variables and no dropped lines. Here a mutant costs milliseconds.
"""

import ast
import contextlib
import copy
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
from tqdm import tqdm

from lstmcourse.practice import EXERCISES, judge
from lstmcourse.practice.observe import observe

ROOT = Path(__file__).resolve().parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.json")
OPERATORS = {ast.Add: (ast.Sub, ast.Mult), ast.Sub: (ast.Add,), ast.Mult: (ast.Div, ast.Add, ast.MatMult),
             ast.Div: (ast.Mult,), ast.MatMult: (ast.Mult,), ast.Pow: (ast.Mult,), ast.BitAnd: (ast.BitOr,)}
COMPARISONS = {ast.Gt: (ast.GtE, ast.Lt), ast.Lt: (ast.LtE, ast.Gt), ast.Eq: (ast.NotEq,), ast.GtE: (ast.Gt, ast.Lt)}
FUNCTIONS = {"tanh": "sin", "sigmoid": "abs", "exp": "tanh", "argmax": "argmin", "max": "min", "sum": "mean",
             "mean": "sum", "empty": "ones", "zeros": "ones", "eye": "ones"}


def solutions():
    """{id: (helpers' source, the solution's source)} from solutions/."""
    found = {}
    for path in sorted((ROOT / "solutions").glob("*.ipynb")):
        cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        helpers = cells[0]
        for exercise in EXERCISES.values():
            if exercise.lesson == path.stem:
                found[exercise.id] = helpers, next(c for c in cells if f"def {exercise.function}(" in c)
    return found


def build(helpers, source, name):
    """The function of that name, from source."""
    space = {}
    exec(helpers, space)
    exec(source, space)
    return space[name]


def passes(exercise, function, seed=0):
    exercise = replace(exercise, mistakes=())       # whether it passes, not which mistake it is
    with np.errstate(all="ignore"):
        return judge(exercise, lambda args: observe(exercise, function, args), np.random.default_rng(seed)).passed


def mutants(source):
    """Every mutant of a function: (what was changed, its source)."""
    tree = ast.parse(source)
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef))
    names = sorted({node.id for node in ast.walk(function) if isinstance(node, ast.Name)
                    and isinstance(node.ctx, ast.Store)} | {a.arg for a in function.args.args})
    keys = sorted({node.value for node in ast.walk(function) if isinstance(node, ast.Constant)
                   and isinstance(node.value, str) and node.value.isidentifier()})
    known = set()
    for position, node in enumerate(ast.walk(function)):
        for text, changed in changes(node, names, keys):
            mutant = copy.deepcopy(function)
            parent, field, index = place(mutant, position)
            if parent is None:
                continue
            if index is None:
                setattr(parent, field, changed)
            else:
                getattr(parent, field)[index] = changed
            code = ast.unparse(ast.fix_missing_locations(mutant))
            if code not in known and code != ast.unparse(function):
                known.add(code)
                yield f"{where(node, function)}: {text}", code


def where(node, function):
    """Line and column in the function, so that the same text in two places is told apart."""
    return f"{node.lineno - function.lineno}:{node.col_offset}" if hasattr(node, "lineno") else "-"


def place(tree, position):
    """Parent, field and index of the node that ast.walk meets at a position."""
    wanted = next(node for k, node in enumerate(ast.walk(tree)) if k == position)
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is wanted:
                return parent, field, None
            if isinstance(value, list) and any(entry is wanted for entry in value):
                return parent, field, next(k for k, entry in enumerate(value) if entry is wanted)
    return None, None, None


def changes(node, names, keys):
    """(text, new node) for every change of one node.

    names, keys  the function's variables and the keys of its dicts: what may be swapped for one another
    """
    for kind, variants in VARIANTS:
        if isinstance(node, kind):
            for new in variants(node, names, keys):
                yield f"{ast.unparse(node)} -> {ast.unparse(ast.fix_missing_locations(new))}", new
    if isinstance(node, ast.Call):
        for k, keyword in enumerate(node.keywords):
            new = with_fields(node, keywords=node.keywords[:k] + node.keywords[k + 1:])
            yield f"{ast.unparse(node)} -> without {keyword.arg}", new
    if isinstance(node, (ast.Assign, ast.AugAssign, ast.Expr, ast.If, ast.For)) and not is_docstring(node):
        yield f"{ast.unparse(node).splitlines()[0]} -> dropped", ast.Pass()


def with_fields(node, **fields):
    """A copy of the node with some of its parts replaced."""
    new = copy.deepcopy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def of_operation(node, names, keys):
    for operator in OPERATORS.get(type(node.op), ()):
        yield with_fields(node, op=operator())
    yield copy.deepcopy(node.left)                     # one side dropped
    yield copy.deepcopy(node.right)
    if isinstance(node.op, (ast.MatMult, ast.Sub, ast.Div)):
        yield with_fields(node, left=node.right, right=node.left)


def of_sign(node, names, keys):
    yield copy.deepcopy(node.operand)


def of_comparison(node, names, keys):
    for operator in COMPARISONS.get(type(node.ops[0]), ()):
        yield with_fields(node, ops=[operator()])


def of_condition(node, names, keys):
    yield copy.deepcopy(node.body)
    yield copy.deepcopy(node.orelse)


def of_constant(node, names, keys):
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node.value, (int, float)):
        for value in (node.value + 1, node.value - 1, -node.value, 2 * node.value):
            if value != node.value:
                yield ast.Constant(value)
    elif isinstance(node.value, str) and node.value in keys:
        for key in keys:
            if key != node.value:
                yield ast.Constant(key)


def of_name(node, names, keys):
    if isinstance(node.ctx, ast.Load) and node.id in names:
        for name in names:
            if name != node.id:
                yield ast.Name(name, ast.Load())
        yield ast.UnaryOp(ast.USub(), copy.deepcopy(node))
    if node.id == "sigmoid":
        yield ast.parse("np.tanh", mode="eval").body


def of_attribute(node, names, keys):
    if node.attr == "T":
        yield copy.deepcopy(node.value)
    if node.attr in FUNCTIONS:
        yield with_fields(node, attr=FUNCTIONS[node.attr])


def of_call(node, names, keys):
    if len(node.args) == 1 and not isinstance(node.args[0], ast.Starred):      # f(x) -> x
        yield copy.deepcopy(node.args[0])
    if len(node.args) > 1:
        yield with_fields(node, args=[node.args[1], node.args[0], *node.args[2:]])
    if isinstance(node.func, ast.Attribute) and not (isinstance(node.func.value, ast.Name)
                                                     and node.func.value.id == "np"):
        yield copy.deepcopy(node.func.value)           # x.f() -> x


def of_slice(node, names, keys):
    for bound, inner in (("lower", 1), ("upper", -1)):
        yield with_fields(node, **{bound: ast.Constant(inner) if getattr(node, bound) is None else None})


def of_index(node, names, keys):
    if isinstance(node.ctx, ast.Load):
        yield copy.deepcopy(node.value)


def of_tuple(node, names, keys):
    if isinstance(node.ctx, ast.Load):
        for k in range(len(node.elts) - 1):
            yield with_fields(node, elts=[*node.elts[:k], node.elts[k + 1], node.elts[k], *node.elts[k + 2:]])


VARIANTS = ((ast.BinOp, of_operation), (ast.UnaryOp, of_sign), (ast.Compare, of_comparison), (ast.IfExp, of_condition),
            (ast.Constant, of_constant), (ast.Name, of_name), (ast.Attribute, of_attribute), (ast.Call, of_call),
            (ast.Slice, of_slice), (ast.Subscript, of_index), (ast.Tuple, of_tuple))


def is_docstring(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@contextlib.contextmanager
def seconds(limit):
    """TimeoutError in what is still running then. (Unix, the main thread.)"""
    def late(*_):
        raise TimeoutError
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def run(ids=None, show=True):
    """{id: (number of mutants, [those that passed])}"""
    found = {}
    for id, (helpers, source) in tqdm(solutions().items(), desc="mutants", disable=not show):
        if ids and id not in ids:
            continue
        exercise, survivors, count = EXERCISES[id], [], 0
        for text, code in mutants(source):
            count += 1
            try:
                function = build(helpers, code, exercise.function)
            except Exception:
                continue                    # no longer Python: nobody would call it
            with contextlib.suppress(TimeoutError), seconds(5):       # an endless loop is rejected
                if passes(exercise, function):
                    survivors.append(text)
        found[id] = count, survivors
    return found


def unexplained(found):
    """Survivors without a reason in the list, and reasons whose mutant no longer survives."""
    reasons = json.loads(EQUIVALENT.read_text()) if EQUIVALENT.exists() else {}
    new = {id: [text for text in survivors if text not in reasons.get(id, {})] for id, (_, survivors) in found.items()}
    outdated = {id: [text for text in reasons.get(id, {}) if text not in found[id][1]] for id in found}
    return new, outdated


def main(ids):
    unknown = [id for id in ids if id not in EXERCISES]
    if unknown:
        print(f"there is no exercise {', '.join(unknown)}; there are: {', '.join(EXERCISES)}", file=sys.stderr)
        return 2
    found = run(ids)
    new, outdated = unexplained(found)
    print(f"{'exercise':10}{'mutants':>9}{'rejected':>10}{'equivalent':>12}{'unexplained':>13}")
    for id, (count, survivors) in found.items():
        print(f"{id:10}{count:9}{count - len(survivors):10}{len(survivors) - len(new[id]):12}{len(new[id]):13}")
    total = sum(count for count, _ in found.values())
    alive = sum(len(survivors) for _, survivors in found.values())
    print(f"{total} mutants, {total - alive} rejected; {alive} survive, {sum(map(len, new.values()))} of them "
          f"without a reason in {EQUIVALENT.name}")
    for id in found:
        for text in new[id]:
            print(f"  {id}  survives, why?  {text}")
        for text in outdated[id]:
            print(f"  {id}  in the list, but does not survive  {text}")
    return 1 if any(new.values()) or any(outdated.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
