"""The bridge to nbgrader: where nbgrader is, the whole way from solutions/ to gradebook and feedback."""

import csv
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import nbformat
import pytest

from lstmcourse.grading import nbgrader as bridge
from lstmcourse.grading import scoring
from lstmcourse.grading.nbgrader import graded
from lstmcourse.practice import EXERCISES
from lstmcourse.practice.stubs import HIDDEN, stub

ROOT = Path(__file__).parent.parent.parent
LESSON = "04_lstm"
SOLUTION = nbformat.read(ROOT / "solutions" / f"{LESSON}.ipynb", as_version=4)
EXERCISE = stub(SOLUTION, LESSON)               # what is in exercises/, also where somebody has worked there
POINTS = {id: exercise.points for id, exercise in EXERCISES.items() if exercise.lesson == LESSON}
NBGRADER = Path(os.environ.get("LSTMCOURSE_NBGRADER") or ROOT / ".venv" / "graders" / "nbgrader" / "bin" / "python")


def test_the_test_cells_of_a_notebook_never_reach_the_sandbox():
    notebook = nbformat.from_dict(SOLUTION)
    assert {id: entry for id, entry in graded(notebook, list(POINTS)).items() if not entry["passed"]} == {}
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.metadata["nbgrader"] |= {"solution": False, "grade": True}
    assert not any(entry["passed"] for entry in graded(notebook, list(POINTS)).values())


# Without nbgrader: a package that has the three names of it that the bridge uses.

@pytest.fixture
def stub(monkeypatch):
    """configure(c) with the stub; gives the steps that `nbgrader autograde` would take."""
    class Execute:
        pass

    class Other:
        pass

    class Autograde:
        class autograde_preprocessors:
            default_args = ([Other, Execute, Other],)

    for name, contents in {"nbgrader": {}, "nbgrader.converters": {}, "nbgrader.converters.autograde": {
            "Autograde": Autograde}, "nbgrader.preprocessors": {
            "Execute": Execute, "NbGraderPreprocessor": object}}.items():
        module = types.ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    config = types.SimpleNamespace(Autograde=types.SimpleNamespace())
    bridge.configure(config)
    steps = config.Autograde.autograde_preprocessors
    assert [step is Other for step in steps] == [True, False, True]
    assert steps[1] is not Execute
    return steps[1]()


def error_of(cell):
    """The message in a test cell's outputs; None where it passed."""
    return "\n".join(line for output in cell.outputs for line in output["traceback"]) if cell.outputs else None


def test_the_bridge_leaves_the_test_cells_of_right_exercises_empty_and_tells_why_the_others_are_wrong(stub):
    whole = handed_in(EXERCISE, WRONG)
    whole.cells.append(nbformat.v4.new_markdown_cell("mine"))
    for cell in whole.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [nbformat.v4.new_output("stream", text="old")], 7
    extra = nbformat.v4.new_code_cell("assert True", metadata={"nbgrader": {"grade": True}})
    written = nbformat.v4.new_markdown_cell("an essay", metadata={"nbgrader": {"grade": True}})
    whole.cells += [extra, written]
    resources = object()
    result, same = stub.preprocess(whole, resources)
    assert (result is whole, same is resources) == (True, True)
    told = {cell.metadata["nbgrader"]["grade_id"]: error_of(cell) for cell in whole.cells
            if cell.metadata.get("nbgrader", {}).get("grade") and "grade_id" in cell.metadata["nbgrader"]}
    assert {id for id, message in told.items() if message is None} == {"check-4-1", "check-4-4"}
    assert "Case 1 of" in told["check-4-2"]
    assert error_of(extra) == "This cell holds no check(...) of the course."
    error, = next(cell for cell in whole.cells
                  if cell.metadata.get("nbgrader", {}).get("grade_id") == "check-4-2").outputs
    assert (error["output_type"], error["ename"]) == ("error", "NotPassed")
    assert error["evalue"] == error["traceback"][0] != ""
    for cell in whole.cells:
        if cell.cell_type == "code":
            assert cell.execution_count is None
            assert {output["output_type"] for output in cell.outputs} <= {"error"}


def test_the_bridge_passes_no_cell_without_a_check_and_no_unknown_exercise(stub):
    cells = [nbformat.v4.new_code_cell(source, metadata={"nbgrader": {"grade": True}})
             for source in ("assert True", 'check("77.7", f)', "# check")]
    stub.preprocess(nbformat.v4.new_notebook(cells=cells), {})
    assert [error_of(cell) for cell in cells] == ["This cell holds no check(...) of the course."] * 3


@pytest.mark.parametrize("status", ["error", "refused"])
def test_the_graders_failure_gives_nbgrader_no_zeros(monkeypatch, status):
    monkeypatch.setattr(scoring, "grade", lambda *args: {"status": status, "reason": "why", "exercises": []})
    with pytest.raises(RuntimeError, match="no score given: why"):
        graded(nbformat.from_dict(SOLUTION), ["4.1"])


CONFIG = """\
c = get_config()
c.CourseDirectory.course_id = "course"
from lstmcourse.grading.nbgrader import configure
configure(c)
"""

HOSTILE = """\
import os
for name in ("gradebook.db", "../gradebook.db", "@COURSE@/gradebook.db"):
    try:
        open(name, "w").write("PWNED")
    except OSError:
        pass
def check(*args):
    class Passed:
        passed = True
    return Passed()
os._exit(0)
"""


WRONG = ("f * c_prev + i * g", "f * c_prev - i * g")


def handed_in(notebook, change=("", ""), first=""):
    """The notebook with every solution in it, as a student hands it in: the metadata as it was, no markers.

    change  (old, new) in the solutions
    first   a cell that comes before all others
    """
    whole = nbformat.from_dict(notebook)
    for cell, solution in zip(whole.cells, SOLUTION.cells, strict=True):
        if "BEGIN SOLUTION" in solution.source:
            cell.source = re.sub(" *### (BEGIN|END) SOLUTION\n?", "", solution.source).replace(*change)
    if first:
        whole.cells.insert(1, nbformat.v4.new_code_cell(first))
    return whole


def without(notebook, grade_id):
    """The notebook without this cell."""
    whole = nbformat.from_dict(notebook)
    whole.cells = [cell for cell in whole.cells if cell.metadata.get("nbgrader", {}).get("grade_id") != grade_id]
    return whole


def unmarked(notebook):
    """The notebook without nbgrader's metadata."""
    whole = nbformat.from_dict(notebook)
    for cell in whole.cells:
        cell.metadata = {}
    return whole


def forged(notebook):
    """As no honest notebook is: other points, and tests that are never wrong."""
    whole = nbformat.from_dict(notebook)
    for cell in whole.cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            cell.metadata["nbgrader"]["points"] = 100
            cell.source = "pass"
    return whole


def without_stub(source):
    """A cell without the line that stands for a solution: the course's and nbgrader's own differ."""
    return re.sub(r"( *# YOUR CODE HERE\n)? *raise NotImplementedError\(.*\)", "(the solution)", source)


@pytest.fixture
def nbgrader(tmp_path):
    """A call runs a command of the real nbgrader in a course that has the solution of lesson 04 as its assignment."""
    if not NBGRADER.exists():
        pytest.skip("nbgrader is not installed here (make bench-grading installs it apart)")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{NBGRADER.parent}{os.pathsep}{os.environ['PATH']}",
                                "PYTHONDONTWRITEBYTECODE": "1", "JUPYTER_PREFER_ENV_PATH": "1",
                                "LSTMCOURSE_PROGRESS": str(tmp_path / "progress")}

    def run(*command):
        done = subprocess.run(("nbgrader", *command), cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    (tmp_path / "source" / "ps1").mkdir(parents=True)
    shutil.copy(ROOT / "solutions" / f"{LESSON}.ipynb", tmp_path / "source" / "ps1")
    return run


def scores(nbgrader, course, notebooks):
    """student -> (score, most), as nbgrader exports them."""
    for student, notebook in notebooks.items():
        folder = course / "submitted" / student / "ps1"
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / f"{LESSON}.ipynb")
    nbgrader("autograde", "ps1")
    nbgrader("generate_feedback", "ps1")
    nbgrader("export")
    with (course / "grades.csv").open(newline="") as file:
        return {row["student_id"]: (float(row["score"]), float(row["max_score"])) for row in csv.DictReader(file)}


def test_the_real_nbgrader_gets_grades_and_feedback_from_the_sandbox(nbgrader, tmp_path):
    (tmp_path / "nbgrader_config.py").write_text(CONFIG)
    nbgrader("generate_assignment", "ps1")
    released = nbformat.read(tmp_path / "release" / "ps1" / f"{LESSON}.ipynb", as_version=4)
    assert [(cell.cell_type, without_stub(cell.source)) for cell in released.cells] == \
        [(cell.cell_type, without_stub(cell.source)) for cell in EXERCISE.cells]
    assert not any("checksum" in cell.metadata.get("nbgrader", {}) for cell in EXERCISE.cells)

    most = sum(POINTS.values())
    cases = {                                                    # student -> (notebook, the score it deserves)
        "released-right": (handed_in(released), most),
        "released-untouched": (released, 0),
        "released-wrong": (handed_in(released, WRONG), most - POINTS["4.2"] - POINTS["4.3"]),
        "course-right": (handed_in(EXERCISE), most),             # from exercises/: nbgrader's checksums are not in it
        "course-untouched": (EXERCISE, 0),
        "course-wrong": (handed_in(EXERCISE, WRONG), most - POINTS["4.2"] - POINTS["4.3"]),
        "solutions": (SOLUTION, most),                           # copied whole: nobody is kept from that
        "no-test": (without(handed_in(EXERCISE), "check-4-3"), most - POINTS["4.3"]),
        "no-answer": (without(handed_in(EXERCISE), "solution-4-3"), most - POINTS["4.3"]),
        "unmarked": (unmarked(handed_in(EXERCISE)), 0),          # nbgrader finds no cell of its own in it
        "twice": (handed_in(EXERCISE, first='check("4.1", None)\n'), most),
        "forged": (forged(handed_in(EXERCISE, WRONG)), most - POINTS["4.2"] - POINTS["4.3"]),
        "hostile": (handed_in(released, WRONG, HOSTILE.replace("@COURSE@", str(tmp_path))),
                    most - POINTS["4.2"] - POINTS["4.3"]),
    }
    assert scores(nbgrader, tmp_path, {student: notebook for student, (notebook, _) in cases.items()}) == \
        {student: (score, most) for student, (_, score) in cases.items()}
    page = (tmp_path / "feedback" / "course-wrong" / "ps1" / f"{LESSON}.html").read_text()
    assert "Case 1 of" in page
    assert "PWNED" not in "".join(path.read_text(errors="replace") for path in tmp_path.glob("*.db"))


def test_the_hidden_tests_grade_by_themselves_where_nbgrader_has_its_own_executor(nbgrader, tmp_path):
    (tmp_path / "nbgrader_config.py").write_text("c = get_config()\nc.CourseDirectory.course_id = 'course'\n")
    nbgrader("generate_assignment", "ps1")
    most = sum(POINTS.values())
    found = scores(nbgrader, tmp_path, {"right": handed_in(EXERCISE), "wrong": handed_in(EXERCISE, WRONG),
                                        "untouched": EXERCISE})
    less = most - POINTS["4.2"] - POINTS["4.3"]
    assert found == {"right": (most, most), "wrong": (less, most), "untouched": (0, most)}


def test_a_hidden_test_fails_where_the_answer_is_wrong_and_shows_nothing(capsys):
    cell, = (cell for cell in SOLUTION.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == "check-4-2")
    hidden, = HIDDEN.findall(cell.source)
    from lstmcourse.practice import check
    exec(hidden, {"check": check, "cell_update": lambda c_prev, i, f, g: f * c_prev + i * g})
    with pytest.raises(AssertionError):
        exec(hidden, {"check": check, "cell_update": lambda c_prev, i, f, g: f * c_prev})
    assert capsys.readouterr().out == ""
