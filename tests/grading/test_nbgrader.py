"""The bridge to nbgrader: the assignment it makes; and, where nbgrader is, the whole way to gradebook and feedback."""

import csv
import json
import os
import subprocess
from pathlib import Path

import pytest

from lstmcourse.grading.nbgrader import CHECK, assignment, main
from lstmcourse.practice import EXERCISES

ROOT = Path(__file__).parent.parent.parent
SOLUTION = json.loads((ROOT / "solutions" / "04_lstm.ipynb").read_text(encoding="utf-8"))
NBGRADER = Path(os.environ.get("LSTMCOURSE_NBGRADER") or ROOT / ".venv" / "graders" / "nbgrader" / "bin" / "python")


def kinds(whole):
    return [cell["metadata"]["nbgrader"] for cell in whole["cells"] if "nbgrader" in cell["metadata"]]


def test_the_assignment_has_a_solution_and_a_test_with_its_points_for_every_exercise():
    whole = assignment(SOLUTION)
    ids = [id for id, exercise in EXERCISES.items() if exercise.lesson == "04_lstm"]
    tests = [kind for kind in kinds(whole) if kind["grade"]]
    assert [kind["grade_id"] for kind in tests] == [f"check-{id.replace('.', '-')}" for id in ids]
    assert [kind["points"] for kind in tests] == [EXERCISES[id].points for id in ids]
    assert sum(kind["solution"] for kind in kinds(whole)) == len(ids)
    assert len({kind["grade_id"] for kind in kinds(whole)}) == len(kinds(whole))


def test_hidden_tests_assert_that_check_has_passed():
    cells = [cell for cell in assignment(SOLUTION)["cells"] if cell["metadata"].get("nbgrader", {}).get("grade")]
    for cell in cells:
        id, function = CHECK.search(cell["source"]).groups()
        hidden = cell["source"].split("### BEGIN HIDDEN TESTS\n")[1]
        assert hidden == f'assert check("{id}", {function}).passed\n### END HIDDEN TESTS'


def test_wrong_use_is_exit_status_2():
    assert main([]) == 2


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


def solved(change=lambda source: source, first=""):
    """The solution as a student hands it in: without the markers; nbgrader's metadata kept."""
    whole = assignment(SOLUTION)
    for cell in whole["cells"]:
        source = "".join(cell["source"]).split("\n### BEGIN HIDDEN TESTS")[0]
        cell["source"] = change(source).replace("### BEGIN SOLUTION", "").replace("### END SOLUTION", "")
    if first:
        whole["cells"].insert(1, {"cell_type": "code", "metadata": {}, "source": first, "outputs": [],
                                  "execution_count": None, "id": "first"})
    return json.dumps(whole)


def test_the_real_nbgrader_gets_grades_and_feedback_from_the_sandbox(tmp_path):
    if not NBGRADER.exists():
        pytest.skip("nbgrader is not installed here (make bench-grading installs it apart)")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{NBGRADER.parent}{os.pathsep}{os.environ['PATH']}",
                                "PYTHONDONTWRITEBYTECODE": "1", "JUPYTER_PREFER_ENV_PATH": "1"}

    def run(*command):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done.returncode, done.stderr
    (tmp_path / "nbgrader_config.py").write_text(CONFIG)
    assert main([str(ROOT / "solutions" / "04_lstm.ipynb"), str(tmp_path / "source" / "ps1" / "04_lstm.ipynb")]) == 0
    status, stderr = run("nbgrader", "generate_assignment", "ps1")
    assert status == 0, stderr[-3000:]
    released = (tmp_path / "release" / "ps1" / "04_lstm.ipynb").read_text()
    assert "HIDDEN TESTS" not in released
    assert "BEGIN SOLUTION" not in released

    wrong = {"ada": solved(), "bo": released,
             "cy": solved(lambda source: source.replace("f * c_prev + i * g", "f * c_prev - i * g")),
             "dee": solved(lambda source: source.replace("f * c_prev + i * g", "c_prev"),
                           HOSTILE.replace("@COURSE@", str(tmp_path)))}
    for student, notebook in wrong.items():
        folder = tmp_path / "submitted" / student / "ps1"
        folder.mkdir(parents=True)
        (folder / "04_lstm.ipynb").write_text(notebook)
    for step in ("autograde", "generate_feedback"):
        status, stderr = run("nbgrader", step, "ps1")
        assert status == 0, stderr[-3000:]
    status, stderr = run("nbgrader", "export")
    assert status == 0, stderr[-3000:]
    with (tmp_path / "grades.csv").open(newline="") as file:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    most = sum(e.points for e in EXERCISES.values() if e.lesson == "04_lstm")
    assert scores["ada"] == most
    assert scores["bo"] == 0
    assert 0 < scores["cy"] < most
    assert scores["dee"] <= scores["cy"]
    page = (tmp_path / "feedback" / "cy" / "ps1" / "04_lstm.html").read_text()
    assert "Case 1 of" in page
    assert "PWNED" not in "".join(path.read_text(errors="replace") for path in tmp_path.glob("*.db"))

