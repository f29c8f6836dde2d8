"""No exercise is solved by pasting: neither its lesson's cells nor one function of the library hold its solution.

What is compared is code, not letters: every statement of a solution without names of variables, weighed by how
many nodes its syntax tree has. `python -m tests.practice.test_paste` prints how much of each solution stands where.
"""

import ast
import json
import pathlib
import re

import pytest

from lstmcourse.practice.registry import EXERCISES

ROOT = pathlib.Path(__file__).parents[2]
MOST = 0.7                                             # more of a solution than this, in one place, is a paste
START = {                                              # {exercise: why it may be read off}; at most one a lesson
    "1.3": "the loss that the capstone trains with; the library's is stable and masked, which the exercise is about",
    "4.3": "the LSTM cell itself: the capstone is built on it, and whoever reads the library's will meet it anyway",
    "5.1": "its backward pass, which the capstone trains with"}
PENDING = {"7.2"}                                      # is rewritten with its lesson


def statements(source):
    """[(a statement without its variables' names, its weight)] of a piece of code, its functions taken apart."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.stmt) or isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Import,
                                                               ast.ImportFrom)):
            continue
        own = [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue                                   # a docstring
        found.append((" ".join([type(node).__name__, *plain(own)]), sum(1 for part in own for _ in ast.walk(part))))
    return found


def plain(nodes):
    """The syntax trees as text, each variable by the order in which it comes; names of called functions stay.

    An entry of a dict under a fixed key and a field of a cache are variables, too: k["h_prev"], cache.h_prev.
    """
    known = {}
    called = {id(part.func) for node in nodes for part in ast.walk(node) if isinstance(part, ast.Call)}

    class Rename(ast.NodeTransformer):
        def known_as(self, node):
            return ast.Name(known.setdefault(ast.unparse(node), f"v{len(known)}"))

        def visit_Name(self, node):
            return node if id(node) in called or node.id == "np" else self.known_as(node)

        def visit_Subscript(self, node):
            fixed = isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)
            return self.known_as(node) if fixed else self.generic_visit(node)

        def visit_Attribute(self, node):
            field = isinstance(node.value, ast.Name) and node.value.id != "np" and id(node) not in called
            field = field and node.attr not in ("T", "shape", "dtype")
            return self.known_as(node) if field else self.generic_visit(node)

    return [re.sub(r", ctx=\w+\(\)", "", ast.dump(Rename().visit(node))) for node in nodes]


def held(solution, place):
    """What fraction of a solution, by weight, stands in a place: both are lists of `statements`."""
    there = {text for text, _ in place}
    return sum(weight for text, weight in solution if text in there) / max(1, sum(weight for _, weight in solution))


def code_cells(path):
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == "code"]


def solutions():
    """{exercise: its solution's source}, by hand, between the markers."""
    found, by_name = {}, {(key.split(".")[0], exercise.function): key for key, exercise in EXERCISES.items()}
    for path in sorted((ROOT / "solutions").glob("[0-9]*.ipynb")):
        for cell in code_cells(path):
            for body in re.findall(r"### BEGIN SOLUTION\n(.*?)\n *### END SOLUTION", cell, flags=re.DOTALL):
                key = by_name.get((str(int(path.stem[:2])), re.search(r"def (\w+)", cell)[1]))
                if key:
                    found[key] = "def solution():\n" + body
    return found


def places(key):
    """{where: statements} that a learner at this exercise can copy from: the lesson, and every library function."""
    lesson = f"{int(key.split('.')[0]):02}"
    found = {path.stem: [s for cell in code_cells(path) for s in statements(cell)]
             for path in (ROOT / "notebooks").glob(f"{lesson}*.ipynb")}
    return found | LIBRARY


def library():
    """{module.function: its statements}, of the core and of lab/."""
    paths = [*(ROOT / "lstmcourse").glob("*.py"), *(ROOT / "lstmcourse" / "seq2seq").glob("*.py"),
             *(ROOT / "lstmcourse" / "lab").rglob("*.py")]
    return {f"{path.stem}.{node.name}": statements(ast.unparse(node)) for path in paths
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)}


LIBRARY, SOLUTIONS = library(), solutions()


def most_held(key):
    """(fraction, where): the place that holds most of an exercise's solution."""
    solution = statements(SOLUTIONS[key])
    return max((held(solution, place), name) for name, place in places(key).items())


def test_every_exercise_has_a_solution_to_compare():
    assert set(SOLUTIONS) == set(EXERCISES)


@pytest.mark.parametrize("key", [pytest.param(key, marks=pytest.mark.xfail(strict=True)) if key in PENDING else key
                                 for key in SOLUTIONS])
def test_a_paste_does_not_solve_the_exercise(key):
    fraction, where = most_held(key)
    assert key in START or fraction <= MOST, f"{fraction:.0%} of the solution stands in {where}"


@pytest.mark.parametrize("key", START)
def test_what_may_be_read_off_still_can_be(key):
    assert most_held(key)[0] > MOST
    assert len(START[key]) > 20


def test_at_most_one_exercise_of_a_lesson_may_be_read_off():
    lessons = [key.split(".")[0] for key in START]
    assert len(lessons) == len(set(lessons))


# The comparison itself

def test_a_paste_with_other_names_and_spaces_is_found():
    place = statements("h_t = np.tanh(cache.x_t @ V.T + c)\nz = h_t")
    assert held(statements("a = np.tanh( k['x']@W.T+b )\nb = a"), place) == 1


def test_another_operation_or_constant_is_not_found():
    place = statements("h = np.tanh(x @ W.T + b)\ny = 2 * h")
    assert held(statements("h = np.tanh(x @ W.T - b)"), place) == held(statements("y = 3 * h"), place) == 0


def test_a_body_is_found_line_by_line_in_its_loop():
    place = statements("for t in range(T):\n    h = f(h)\n    out.append(h)")
    assert held(statements("for k in range(n):\n    state = f(state)"), place) == 1


if __name__ == "__main__":
    for key in SOLUTIONS:
        fraction, where = most_held(key)
        print(f"{key:5} {fraction:4.0%}  {where}")
