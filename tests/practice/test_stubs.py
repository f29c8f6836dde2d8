"""exercises/ is made from solutions/: in step with them, runs untouched, and a learner's work is never lost."""

import copy
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest

from lstmcourse.practice import EXERCISES, stubs
from lstmcourse.practice.stubs import is_untouched, stub

from .mutants import ROOT

CAPSTONE = "14_capstone"                           # a notebook without a lesson and without exercises of its own
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
    names = {exercise.lesson for exercise in EXERCISES.values()} | {CAPSTONE}
    assert {path.stem for path in SOLUTIONS} == names
    assert {path.stem for path in (ROOT / "exercises").glob("*.ipynb")} >= names


@every_solution
def test_exercises_are_up_to_date(path):
    """If not: `make exercises`."""
    target = exercise_notebook(path)
    now, wanted = read(target), stub(read(path), path.stem)
    assert [(cell.cell_type, cell.source, cell.metadata) for cell in now.cells] == \
        [(cell.cell_type, cell.source, cell.metadata) for cell in wanted.cells]
    assert is_untouched(target, outputs=True)               # run since? `git checkout` it


@every_solution
def test_an_exercise_notebook_holds_no_solution(path):
    target = read(exercise_notebook(path))
    assert "SOLUTION" not in text_of(target.cells)
    assert "HIDDEN" not in text_of(target.cells)
    assert "assert" not in text_of(cell for cell in target.cells if cell.source.startswith("check("))
    bodies = re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", text_of(read(path).cells), re.DOTALL)
    assert len(bodies) == len(exercises_of(path))
    for body, exercise in zip(bodies, exercises_of(path), strict=True):
        assert f'raise NotImplementedError("Exercise {exercise.id}")' in text_of(target.cells)
        assert body.strip() not in text_of(target.cells)


@every_solution
@pytest.mark.parametrize(("folder", "state"), [("solutions", "passed"), ("exercises", "not started")])
def test_saved_verdicts_are_those_of_the_folder(path, folder, state):
    """If not: `make exercises`, then `make run-notebooks NOTEBOOKS=solutions/…`."""
    notebook = read(path if folder == "solutions" else exercise_notebook(path))
    shown = [out["data"]["text/plain"].splitlines()[0] for cell in notebook.cells if cell.cell_type == "code"
             for out in cell.outputs if path.stem != CAPSTONE]
    assert shown == [f"Exercise {exercise.id}: {state}" for exercise in exercises_of(path)]


@every_solution
def test_every_exercise_has_its_header_its_check_and_two_folded_hints(path):
    cells = read(path).cells
    for exercise in exercises_of(path):
        start, = (k for k, cell in enumerate(cells) if cell.source.startswith(f"## Exercise {exercise.id}: "))
        text, code, check, hints = cells[start:start + 4]
        assert re.match(r"## .+\ndifficulty ●+○* · \d+ min · after lesson " + path.stem[:2] + "\n\n", text.source)
        assert [cell.cell_type for cell in (text, code, check, hints)] == ["markdown", "code", "code", "markdown"]
        assert check.source.splitlines()[0] == f'check("{exercise.id}", {exercise.function})'
        assert re.findall(r"<details><summary>(Hint \d): ", hints.source) == ["Hint 1", "Hint 2"]
        assert hints.source.count("</details>") == 2
        assert "```" not in hints.source                    # ideas and equations, no code
        first, second = re.findall(r"</summary>\s*(.*?)\s*</details>", hints.source, re.DOTALL)
        assert min(len(first), len(second)) > 40
        assert first != second


def faults(notebook, lesson):
    """What is wrong for nbgrader in a notebook of solutions/, or, if it has no solutions, of exercises/."""
    found, kinds = [], [cell.metadata.nbgrader for cell in notebook.cells if "nbgrader" in cell.metadata]
    exercises = [exercise for exercise in EXERCISES.values() if exercise.lesson == lesson]
    solved = "BEGIN SOLUTION" in text_of(notebook.cells)
    wanted = [f"{kind}-{e.id.replace('.', '-')}" for e in exercises for kind in ("solution", "check")]
    if [kind.grade_id for kind in kinds] != wanted:
        found.append(f"grade_ids {[kind.grade_id for kind in kinds]}")
    for exercise in exercises:
        number = exercise.id.replace(".", "-")
        answer = [cell for cell in notebook.cells if f"def {exercise.function}(" in cell.source]
        test = [cell for cell in notebook.cells if cell.source.startswith(f'check("{exercise.id}"')]
        if (len(answer), len(test)) != (1, 1):
            found.append(f"{exercise.id} has {len(answer)} solution cells and {len(test)} check cells")
            continue
        for cell, grade, more in ((answer[0], False, {"grade_id": f"solution-{number}"}),
                                  (test[0], True, {"grade_id": f"check-{number}", "points": exercise.points})):
            if cell.metadata.get("nbgrader") != {"schema_version": 3, "grade": grade, "locked": grade,
                                                 "solution": not grade, "task": False} | more:
                found.append(f"{exercise.id} has the metadata {cell.metadata}")
        call = f'check("{exercise.id}", {exercise.function}'
        hidden = ["### BEGIN HIDDEN TESTS", f"assert {call}, quiet=True).passed", "### END HIDDEN TESTS"]
        if test[0].source.splitlines() != [f"{call})", *(hidden if solved else [])]:
            found.append(f"{exercise.id} is tested by {test[0].source}")
    return found


@every_solution
@pytest.mark.parametrize("folder", ["solutions", "exercises"])
def test_every_exercise_has_one_solution_and_one_test_for_nbgrader(path, folder):
    """If not: `make exercises`."""
    notebook = read(path if folder == "solutions" else exercise_notebook(path))
    assert faults(notebook, path.stem) == []
    nbformat.validate(notebook)


def kind_of(cells, grade_id):
    return next(cell for cell in cells if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


PLANTED = {                                    # what somebody may do by accident -> what is said of it
    "other points": (lambda cells: kind_of(cells, "check-3-1").metadata.nbgrader.update(points=7), "3.1 has the meta"),
    "an open test": (lambda cells: kind_of(cells, "check-3-1").metadata.nbgrader.update(locked=False), "3.1 has the m"),
    "no metadata": (lambda cells: kind_of(cells, "solution-3-2").metadata.pop("nbgrader"), "grade_ids ['solution-3-1"),
    "an id twice": (lambda cells: kind_of(cells, "check-3-2").metadata.nbgrader.update(grade_id="check-3-1"),
                    "'check-3-1', 'solution-3-2', 'check-3-1'"),
    "a cell twice": (lambda cells: cells.append(kind_of(cells, "solution-3-1")), "3.1 has 2 solution cells"),
    "a test twice": (lambda cells: cells.append(kind_of(cells, "check-3-1")), "2 check cells"),
    "a test lost": (lambda cells: cells.remove(kind_of(cells, "check-3-2")), "3.2 has 1 solution cells and 0 check"),
    "a hidden test lost": (lambda cells: edit(kind_of(cells, "check-3-1"), stubs.HIDDEN.pattern, ""), "3.1 is tested"),
    "another exercise tested": (lambda cells: edit(kind_of(cells, "check-3-1"), r'assert check\("3.1"',
                                                   'assert check("3.2"'), "3.1 is tested by"),
    "another function tested": (lambda cells: edit(kind_of(cells, "check-3-1"), r"assert (.*), \w+,", r"assert \1, f,"),
                                "3.1 is tested by"),
}


def edit(cell, old, new):
    cell.source, count = re.subn(old, new, cell.source, flags=re.DOTALL | re.MULTILINE)
    assert count == 1


@pytest.mark.parametrize("fault", PLANTED)
def test_what_is_wrong_for_nbgrader_is_noticed(fault):
    plant, said = PLANTED[fault]
    notebook = read(ROOT / "solutions" / "03_forgetting.ipynb")
    plant(notebook.cells)
    assert said in "\n".join(faults(notebook, "03_forgetting"))


@pytest.mark.parametrize("fault", [name for name in PLANTED if not name.endswith(("twice", "a test lost"))])
def test_make_exercises_puts_right_what_follows_from_the_exercises(fault):
    right = read(ROOT / "solutions" / "03_forgetting.ipynb")
    notebook = read(ROOT / "solutions" / "03_forgetting.ipynb")
    PLANTED[fault][0](notebook.cells)
    assert notebook != right
    assert stubs.marked(notebook, "03_forgetting") == right


def test_a_check_of_no_exercise_is_refused():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell('check("3.9", nobody)')])
    with pytest.raises(ValueError, match="says check.*3.9.*there is no such exercise"):
        stubs.marked(notebook, "03_forgetting")


def test_a_cell_of_text_that_names_a_check_is_no_test_for_nbgrader():
    text = nbformat.v4.new_markdown_cell('check("3.1", clip_grads)')
    cell, = stubs.marked(nbformat.v4.new_notebook(cells=[text]), "03_forgetting").cells
    assert cell == text


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A folder of its own with one short solution, and the exercise made from it."""
    root = tmp_path_factory.mktemp("a course")
    (root / "solutions").mkdir()
    short = read(ROOT / "solutions" / "03_forgetting.ipynb")
    short.cells = short.cells[:5]
    for cell in short.cells:                               # as somebody writes a new one: check(...) and no more
        cell.metadata, cell.source = {}, stubs.HIDDEN.sub("", cell.source)
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


def test_a_stub_leaves_the_solution_as_it_was(course):
    solution = read(course / "solutions" / "03_forgetting.ipynb")
    before = copy.deepcopy(solution)
    stubs.stub(solution, "03_forgetting")
    assert solution == before


def test_make_exercises_writes_what_nbgrader_needs_into_the_solution(course):
    made, whole = read(course / "solutions" / "03_forgetting.ipynb"), read(ROOT / "solutions" / "03_forgetting.ipynb")
    assert made.cells == whole.cells[:5]
    path, before = course / "solutions" / "03_forgetting.ipynb", os.stat(course / "solutions" / "03_forgetting.ipynb")
    stubs.main([str(course)])
    assert os.stat(path).st_mtime_ns == before.st_mtime_ns                 # in step: not written again


def test_make_exercises_again_changes_no_byte_though_a_cell_tells_the_time(course):
    path, target = (course / folder / "03_forgetting.ipynb" for folder in ("solutions", "exercises"))
    solution = read(path)
    clock = nbformat.v4.new_code_cell("import time\ntime.perf_counter()", metadata={"tags": ["nbval-ignore-output"]})
    solution.cells.append(clock)
    nbformat.write(solution, path)
    stubs.main([str(course)])
    first = target.read_bytes()
    stubs.main([str(course)])
    assert target.read_bytes() == first
    target.write_bytes(first.replace(b'"text/plain": [', b'"text/plain": ["mine ",'))         # run by a learner
    stubs.main([str(course)])
    assert b'"mine ' not in target.read_bytes()


def test_make_exercises_runs_as_a_module(course):
    target = course / "exercises" / "03_forgetting.ipynb"
    target.unlink()
    command = [sys.executable, "-m", "lstmcourse.practice.stubs", str(course)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, target.exists()) == (0, True)
    target.write_text(WORK["an answer"](target.read_text()))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1


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
