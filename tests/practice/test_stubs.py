"""exercises/ is made from solutions/: in step with them, runs untouched, and a learner's work is never lost."""

import importlib.util
import os
import re
import shutil
from types import SimpleNamespace

import nbformat
import pytest

from lstmcourse.practice import EXERCISES, stubs
from lstmcourse.practice.stubs import is_untouched, stub

from .mutants import ROOT

SOLUTIONS = sorted((ROOT / "solutions").glob("*.ipynb"))
every_solution = pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def exercises_of(path):
    return [exercise for exercise in EXERCISES.values() if exercise.lesson == path.stem]


def exercise_notebook(path):
    """The notebook in exercises/ for a solution; skipped where a learner has worked in it, but never in CI."""
    target = ROOT / "exercises" / path.name
    if target.exists() and not is_untouched(target) and not os.environ.get("CI"):
        pytest.skip(f"somebody has worked in {target.name}")
    return target


def text_of(cells):
    return "\n".join(cell.source for cell in cells)


def test_solutions_and_exercises_have_the_same_names():
    names = {exercise.lesson for exercise in EXERCISES.values()}
    assert {path.stem for path in SOLUTIONS} == names
    assert {path.stem for path in (ROOT / "exercises").glob("*.ipynb")} >= names


@every_solution
def test_exercises_are_up_to_date(path):
    """If not: `make exercises`."""
    target = exercise_notebook(path)
    now, wanted = read(target), stub(read(path), path.stem)
    assert [(cell.cell_type, cell.source) for cell in now.cells] == \
        [(cell.cell_type, cell.source) for cell in wanted.cells]
    assert is_untouched(target, outputs=True)               # run since? `git checkout` it


@every_solution
def test_an_exercise_notebook_holds_no_solution(path):
    target = read(exercise_notebook(path))
    assert "SOLUTION" not in text_of(target.cells)
    bodies = re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", text_of(read(path).cells), re.DOTALL)
    assert len(bodies) == len(exercises_of(path))
    for body, exercise in zip(bodies, exercises_of(path), strict=True):
        assert f'raise NotImplementedError("Exercise {exercise.id}")' in text_of(target.cells)
        assert body.strip() not in text_of(target.cells)


@every_solution
@pytest.mark.parametrize(("folder", "state"), [("solutions", "passed"), ("exercises", "not started")])
def test_saved_verdicts_are_those_of_the_folder(path, folder, state):
    notebook = read(path if folder == "solutions" else exercise_notebook(path))
    shown = [out["data"]["text/plain"].splitlines()[0] for cell in notebook.cells if cell.cell_type == "code"
             for out in cell.outputs]
    assert shown == [f"Exercise {exercise.id}: {state}" for exercise in exercises_of(path)]


@every_solution
def test_every_exercise_has_its_header_its_check_and_two_folded_hints(path):
    cells = read(path).cells
    for exercise in exercises_of(path):
        start, = (k for k, cell in enumerate(cells) if cell.source.startswith(f"## Exercise {exercise.id}: "))
        text, code, check, hints = cells[start:start + 4]
        assert re.match(r"## .+\ndifficulty ●+○* · \d+ min · after lesson " + path.stem[:2] + "\n\n", text.source)
        assert [cell.cell_type for cell in (text, code, check, hints)] == ["markdown", "code", "code", "markdown"]
        assert check.source == f'check("{exercise.id}", {exercise.function})'
        assert re.findall(r"<details><summary>(Hint \d): ", hints.source) == ["Hint 1", "Hint 2"]
        assert hints.source.count("</details>") == 2
        assert "```" not in hints.source                    # ideas and equations, no code


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A folder of its own with one short solution, and the exercise made from it."""
    root = tmp_path_factory.mktemp("a course")
    (root / "solutions").mkdir()
    short = read(ROOT / "solutions" / "03_forgetting.ipynb")
    short.cells = short.cells[:5]
    nbformat.write(short, root / "solutions" / "03_forgetting.ipynb")
    assert stubs.main([str(root)]) == 0
    return root


@pytest.fixture
def course(workshop, tmp_path):
    return shutil.copytree(workshop, tmp_path / "course")


def test_make_exercises_writes_an_executed_notebook(course):
    made = read(course / "exercises" / "03_forgetting.ipynb")
    assert [cell.execution_count for cell in made.cells if cell.cell_type == "code"] == [1, 2, 3]
    assert "not started" in made.cells[4].outputs[0]["data"]["text/plain"]


WORK = {
    "an answer": lambda text: text.replace("raise NotImplementedError(\\\"Exercise 3.1\\\")", "return grads"),
    "a note": lambda text: text.replace("# Exercises 03", "# My exercises 03"),
    "half a file": lambda text: text[:len(text) // 2],
    "no notebook at all": lambda text: "dear diary",
    "the fingerprint lost": lambda text: text.replace('"sources"', '"other"'),
}


@pytest.mark.parametrize("work", WORK)
def test_make_exercises_never_overwrites_what_a_learner_did(course, work, capsys):
    target = course / "exercises" / "03_forgetting.ipynb"
    worked = WORK[work](target.read_text())
    assert worked != target.read_text()
    target.write_text(worked)
    assert stubs.main([str(course)]) == 1
    assert target.read_text() == worked
    assert "03_forgetting.ipynb was left as it is" in capsys.readouterr().out


def test_a_notebook_that_was_only_run_has_no_work_in_it(course):
    target = course / "exercises" / "03_forgetting.ipynb"
    notebook = read(target)
    notebook.cells[4].execution_count = 7
    nbformat.write(notebook, target)
    assert is_untouched(target)
    assert not is_untouched(target, outputs=True)


def test_nbval_leaves_out_what_a_learner_has_worked_in(course):
    spec = importlib.util.spec_from_file_location("settings", ROOT / "conftest.py")
    settings = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(settings)
    config, target = SimpleNamespace(rootpath=course), course / "exercises" / "03_forgetting.ipynb"
    assert settings.pytest_ignore_collect(target, config) is None
    target.write_text(WORK["an answer"](target.read_text()))
    assert settings.pytest_ignore_collect(target, config) is True
    assert settings.pytest_ignore_collect(course / "solutions" / "03_forgetting.ipynb", config) is None


def test_a_solution_cell_of_no_exercise_is_refused():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(
        "def nobody(x):\n    ### BEGIN SOLUTION\n    return x\n    ### END SOLUTION")])
    with pytest.raises(ValueError, match=r"03_forgetting defines \['nobody'\]; wanted the function of one exercise"):
        stub(notebook, "03_forgetting")
