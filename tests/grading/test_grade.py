"""`lstmcourse grade` from outside: exit statuses, results, feedback; what happens when the disk is full."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lstmcourse.cli import main
from lstmcourse.grading import cohort, grade, report, sandbox
from lstmcourse.grading.journal import Journal
from lstmcourse.grading.sandbox import Sandbox, unavailable
from lstmcourse.grading.submissions import WrongUse
from lstmcourse.practice import EXERCISES, check
from lstmcourse.practice.stubs import is_untouched
from tests.grading.corpus.parts import RIGHT, WRONG_42, right_but, text, zipped
from tests.grading.corpus.run import Page

ROOT = Path(__file__).parent.parent.parent
IDS = ["4.1", "4.2", "4.3"]


@pytest.fixture
def folder(tmp_path):
    """A class of four: all right, one wrong, a file that is no notebook, and two notebooks with nothing in them."""
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "ada.ipynb").write_text(text(RIGHT))
    (folder / "bo.ipynb").write_text(text(right_but(update=WRONG_42)))
    (folder / "cy.ipynb").write_text('{"cells": [')
    (folder / "dee.zip").write_bytes(zipped(**{"04.ipynb": text(()), "05.ipynb": text(())}))
    return folder


def run(folder, out, *options):
    """The command in this process; returns (exit status, grades)."""
    status = main(["grade", str(folder), "--out", str(out), "--exercises", "4.1,4.2,4.3", "--jobs", "1", *options])
    return status, json.loads((out / "grades.json").read_text()) if (out / "grades.json").exists() else None


def test_every_submission_is_in_the_results_with_what_it_deserves(folder, tmp_path, capsys):
    out = tmp_path / "out"
    status, grades = run(folder, out)
    assert status == 1                                    # one could not be graded
    assert list(grades) == ["schema", "isolation", "seed", "submissions"]
    assert grades["schema"] == 1
    ada, bo, cy, dee = grades["submissions"]
    for entry in grades["submissions"]:
        assert list(entry) == ["student", "file", "sha256", "status", "reason", "score", "max_score", "seconds",
                               "exercises"]
        for exercise in entry["exercises"]:
            assert list(exercise) == ["id", "score", "max_score", "passed", "message", "mistake"]
    most = sum(EXERCISES[id].points for id in IDS)
    assert (ada["score"], ada["max_score"], ada["file"], ada["status"]) == (most, most, "ada.ipynb", "graded")
    assert re.fullmatch("[0-9a-f]{64}", ada["sha256"])
    assert bo["score"] == most - EXERCISES["4.2"].points
    assert [e["passed"] for e in bo["exercises"]] == [True, False, True]
    assert (cy["status"], cy["score"], cy["exercises"]) == ("refused", None, [])
    assert "not complete JSON" in cy["reason"]
    assert (dee["file"], dee["score"]) == (["04.ipynb", "05.ipynb"], 0)

    rows = list(csv.reader((out / "grades.csv").open(newline="")))
    assert rows[0] == ["student", *IDS, "total"]
    assert rows[1] == ["ada", *(str(EXERCISES[id].points) for id in IDS), str(most)]
    assert rows[3] == ["cy", "", "", "", ""]
    assert {path.name for path in (out / "feedback").iterdir()} == {"ada.html", "bo.html", "cy.html", "dee.html"}
    assert "can be handed in again" in (out / "feedback" / "cy.html").read_text()
    shown = capsys.readouterr().out
    assert "3 graded, 1 refused, 0 error" in shown
    assert grades["isolation"] in shown


@pytest.mark.parametrize(("course", "share"), [("solutions", 1), ("exercises", 0)])
def test_the_courses_own_notebooks_get_all_points_as_solved_and_none_as_handed_out(tmp_path, course, share):
    """All of the folder as one student's work. What a learner has worked in is left out."""
    notebooks = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / course).glob("*.ipynb")
                 if course == "solutions" or is_untouched(path)}
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "ada.zip").write_bytes(zipped(**notebooks))
    out = tmp_path / "out"
    assert main(["grade", str(tmp_path / "class"), "--out", str(out), "--jobs", "1"]) == 0
    entry, = json.loads((out / "grades.json").read_text())["submissions"]
    assert entry["max_score"] == sum(exercise.points for exercise in EXERCISES.values())
    wrong = {e["id"]: e["message"] for e in entry["exercises"] if e["score"] != share * e["max_score"]}
    assert wrong == {}


def test_all_graded_is_exit_status_0(folder, tmp_path):
    assert run(folder / "ada.ipynb", tmp_path / "out")[0] == 0


@pytest.mark.parametrize("options", [
    ["nowhere"], ["class"], ["class", "--out", "out", "--exercises", "77"], ["class", "--out", "out", "--jobs", "0"],
    ["class", "--out", "class/out"], ["class", "--out", "out", "--require-isolation", "magic"], ["notes.txt"],
    ["class", "--out", "out", "--seconds", "-1"]])
def test_wrong_use_is_exit_status_2_and_no_results(folder, tmp_path, monkeypatch, capsys, options):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("no submission")
    arguments = options if "--out" in options or options == ["class"] else [*options, "--out", "out"]
    try:
        status = main(["grade", *arguments])
    except SystemExit as error:                           # argparse
        status = error.code
    assert status == 2
    assert capsys.readouterr().err
    assert not (tmp_path / "out" / "grades.json").exists()


def test_the_graders_own_fault_is_an_error_and_never_a_zero(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Sandbox, "command", lambda self, fd: [sys.executable, "-c", "raise SystemExit('no NumPy')"])
    status, grades = run(folder / "ada.ipynb", tmp_path / "out", "--gradescope")
    assert status == 1
    entry, = grades["submissions"]
    assert (entry["status"], entry["score"], entry["exercises"]) == ("error", None, [])
    assert "not your fault" in (tmp_path / "out" / "feedback" / "ada.html").read_text()
    assert not (tmp_path / "out" / "results.json").exists()      # Gradescope would take one for a zero


def test_an_error_is_graded_in_the_next_run(folder, tmp_path, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(Sandbox, "command", lambda self, fd: [sys.executable, "-c", "raise SystemExit('no NumPy')"])
        run(folder, tmp_path / "out")
    _, grades = run(folder, tmp_path / "out")
    assert [entry["status"] for entry in grades["submissions"]] == ["graded", "graded", "refused", "graded"]


def test_nothing_is_graded_with_less_isolation_than_required(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sandbox, "unavailable", lambda: unavailable() | {"seccomp": "the kernel has no seccomp"})
    status, grades = run(folder, tmp_path / "out", "--require-isolation")
    assert (status, grades) == (1, None)
    assert "seccomp: the kernel has no seccomp" in capsys.readouterr().err
    if "rlimits" not in unavailable():
        assert run(folder / "ada.ipynb", tmp_path / "out", "--require-isolation", "rlimits")[0] == 0


def test_the_layers_that_were_missing_are_in_the_results(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "unavailable", lambda: unavailable() | {"memory group": "none here"})
    _, grades = run(folder / "ada.ipynb", tmp_path / "out")
    assert "missing: " in grades["isolation"]
    assert "memory group (none here)" in grades["isolation"]
    assert "memory group (none here)" in (tmp_path / "out" / "feedback" / "ada.html").read_text()


def test_the_message_is_the_one_that_check_gives(tmp_path):
    """Up to the numbers: grading draws its own."""
    (tmp_path / "ada.ipynb").write_text(text(("import numpy as np\n" + WRONG_42,)))
    _, grades = run(tmp_path / "ada.ipynb", tmp_path / "out")
    scope = {}
    exec("import numpy as np\n" + WRONG_42, scope)
    verdict = check("4.2", scope["cell_update"])
    entry = next(e for e in grades["submissions"][0]["exercises"] if e["id"] == "4.2")
    assert entry["mistake"] == verdict.mistake
    without_numbers = [re.sub(r"-?[\d.]+", "#", message) for message in (entry["message"], verdict.message)]
    assert without_numbers[0] == without_numbers[1]


HOSTILE = {"student": "<img src=x onerror=alert(1)>=cmd", "file": '"><script>alert(2)</script>', "sha256": None,
           "status": "graded", "reason": "<svg onload=alert(3)>", "score": 0, "max_score": 1, "seconds": 0.1,
           "exercises": [{"id": "4.2", "score": 0, "max_score": 1, "passed": False,
                          "message": "</p></section><script>alert(4)</script> <a href='javascript:x'>$student ${body}",
                          "mistake": None}]}


def test_feedback_escapes_all_that_comes_from_a_student():
    page = report.page(HOSTILE, "<b>none</b>", {"4.2": "<i>title</i>"})
    assert Page(page).strange == []
    assert "<script" not in page
    assert "&lt;script&gt;alert(4)" in page
    assert "$student ${body}" in page
    for outside in ("http:", "https:", "src=", "url(", "@import"):
        assert outside not in page.replace("src=x onerror", "")


def test_no_two_students_share_a_page_and_no_name_leaves_the_folder():
    names = ["../../up", "a/b", "a_b", "A_B", "", "...", "CON", "x" * 300, "ada", "ada "]
    pages = report.page_names([{"student": name} for name in names])
    assert len({name.casefold() for name in pages}) == len(names)
    assert [name for name in pages if name.startswith(".") or not re.fullmatch(r"[^/\\]{1,70}", name)] == []


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\uff1dcmd", "\uff20SUM(A1)"])
def test_a_name_that_a_spreadsheet_would_compute_stays_text(name):
    rows = list(csv.reader(report.table([HOSTILE | {"student": name}], ["4.2"]).splitlines()))
    assert rows[1][0] == "'" + name


def test_a_name_that_another_program_would_split_stays_text_in_every_part():
    text = report.table([HOSTILE | {"student": "Bob;=HYPERLINK(1)|\uff0b1"}], ["4.2"])
    for sign in ";|":
        for part in text.splitlines()[1].split(sign):
            assert part[:1] not in "=+-@\uff0b", part


# Gradescope's published format: keys, and the values that some of them may have.
SEEN = {"hidden", "after_due_date", "after_published", "visible"}
FORMS = {"text", "html", "simple_format", "md", "ansi"}
RESULT = {"score": (int, float), "execution_time": (int, float), "output": str, "output_format": FORMS,
          "test_output_format": FORMS, "test_name_format": FORMS, "visibility": SEEN, "stdout_visibility": SEEN,
          "extra_data": dict, "tests": list, "leaderboard": list}
TEST = {"score": (int, float), "max_score": (int, float), "status": {"passed", "failed"}, "name": str,
        "name_format": FORMS, "number": str, "output": str, "output_format": FORMS, "tags": list, "visibility": SEEN,
        "extra_data": dict}


def assert_form(thing, form):
    assert set(thing) <= set(form)
    for key, value in thing.items():
        assert value in form[key] if isinstance(form[key], set) else isinstance(value, form[key]), key


def test_gradescope_gets_what_its_format_asks_for(folder, tmp_path):
    status, grades = run(folder / "bo.ipynb", tmp_path / "out", "--gradescope")
    result = json.loads((tmp_path / "out" / "results.json").read_text())
    assert status == 0
    assert_form(result, RESULT)
    for test in result["tests"]:
        assert_form(test, TEST)
    assert result["score"] == sum(test["score"] for test in result["tests"]) == grades["submissions"][0]["score"]
    assert [test["status"] for test in result["tests"]] == ["passed", "failed", "passed"]


def test_gradescope_hears_why_a_file_was_refused(folder, tmp_path):
    status, _ = run(folder / "cy.ipynb", tmp_path / "out", "--gradescope")
    result = json.loads((tmp_path / "out" / "results.json").read_text())
    assert_form(result, RESULT)
    assert (status, result["score"], result["tests"]) == (1, 0, [])
    assert "handed in again" in result["output"]


def test_a_second_run_at_the_same_time_is_told_so(folder, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    with Journal(out / "journal.sqlite", IDS) as journal:
        journal.db.execute("BEGIN EXCLUSIVE")
        assert run(folder, out)[0] == 2
    assert "another run" in capsys.readouterr().err


def test_a_submission_that_has_changed_is_graded_again_and_the_others_are_not(folder, tmp_path, monkeypatch):
    run(folder, tmp_path / "out")
    graded = []
    real = cohort.grade
    monkeypatch.setattr(cohort, "grade", lambda submission, *rest: graded.append(submission.student) or real(
        submission, *rest))
    (folder / "bo.ipynb").write_text(text(RIGHT))
    _, grades = run(folder, tmp_path / "out")
    assert graded == ["bo", "cy"]                          # cy is refused every time: that is no grade
    assert grades["submissions"][1]["score"] == grades["submissions"][1]["max_score"]


def test_files_are_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "grades.json"
    report.write(path, "old")

    def full(fd):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(report.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        report.write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


FULL_DISK = """\
import os, sys
from pathlib import Path
out, folder = Path(sys.argv[1]), sys.argv[2]
from lstmcourse.cli import main
arguments = ["grade", folder, "--out", str(out), "--exercises", "4.1,4.2,4.3", "--jobs", "1"]
assert main(arguments) == 1
def state():
    return {p.name: p.read_bytes() for p in out.rglob("*") if p.is_file() and "journal" not in p.name}
before = state()
os.replace(os.path.join(folder, "ada.ipynb"), os.path.join(folder, "zoe.ipynb"))    # something new to write
fill = open(out.parent / "fill", "wb", buffering=0)
try:
    while True:
        fill.write(bytes(512))
except OSError:
    pass
assert main(arguments) == 1
assert state() == before, "the last good results were changed"
fill.close()
os.remove(fill.name)
assert main(arguments) == 1
import json
submissions = json.loads((out / "grades.json").read_text())["submissions"]
assert [entry["student"] for entry in submissions] == ["ada", "bo", "cy", "dee", "zoe"]     # ada keeps her grade
print("as it should be")
"""


def test_a_full_disk_leaves_the_last_good_results(folder, tmp_path):
    mount = tmp_path / "disk"
    mount.mkdir()
    script = f'mount -t tmpfs -o size=256k none "{mount}" && exec "$0" "$@"'
    unshare = shutil.which("unshare")
    options = ["-m"] if hasattr(os, "geteuid") and os.geteuid() == 0 else ["-rm"]
    if not unshare or subprocess.run([unshare, *options, "sh", "-c", script, "true"], capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    done = subprocess.run(
        [unshare, *options, "sh", "-c", script, sys.executable, "-c", FULL_DISK, str(mount / "out"), str(folder)],
        capture_output=True, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.stdout.endswith("as it should be\n"), done.stderr
    assert "What was there before is unchanged" in done.stderr


def test_grading_loads_neither_torch_nor_matplotlib_nor_jupyter(folder, tmp_path):
    program = ("import sys; from lstmcourse.cli import main; status = main(sys.argv[1:]); "
               "print(status, [m for m in ('torch', 'matplotlib', 'IPython', 'nbformat', 'distributed') "
               "if m in sys.modules])")
    done = subprocess.run(
        [sys.executable, "-c", program, "grade", str(folder / "ada.ipynb"), "--out", str(tmp_path / "out")],
        capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_a_single_notebook_shows_no_progress_bar_and_a_class_does(folder, monkeypatch):
    with grade.progress_bar(1) as tick:
        assert tick is None
    with grade.progress_bar(3) as tick:
        tick(None)


@pytest.mark.parametrize(("asked", "unknown"), [("4.1,77", "77"), (",", "none named"), ("", "none named"),
                                                ("4.9", "4.9"), ("4.1,lstm", "lstm")])
def test_an_exercise_that_does_not_exist_is_wrong_use(asked, unknown):
    with pytest.raises(WrongUse, match=f"there is no exercise .*{unknown}"):
        grade.chosen(asked, EXERCISES)


def test_exercises_are_named_by_id_or_by_lesson_and_come_once_in_the_courses_order():
    assert grade.chosen(None, EXERCISES) == list(EXERCISES)
    assert grade.chosen("4.2, 4.1,4.2", EXERCISES) == ["4.1", "4.2"]
    assert grade.chosen("3", EXERCISES) == [id for id in EXERCISES if id.startswith("3.")]


def test_a_file_is_whole_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    path, seen = tmp_path / "grades.json", []

    def fsync(fd, real=os.fsync):
        seen.append(((tmp_path / "grades.json.part").read_text(), path.exists()))
        real(fd)
    monkeypatch.setattr(report.os, "fsync", fsync)
    report.write(path, "new")
    assert seen == [("new", False)]
    assert path.read_text() == "new"


def test_the_summary_gives_a_score_or_the_reason_why_there_is_none():
    refused = HOSTILE | {"student": "bo", "status": "refused", "score": None, "reason": "No notebook.\nmore"}
    lines = report.summary([HOSTILE | {"student": "ada"}, refused, refused | {"reason": ""}]).splitlines()
    assert lines[1].split() == ["ada", "0", "/", "1", "graded"]
    assert lines[2].split() == ["bo", "refused:", "No", "notebook."]
    assert lines[-1] == "1 graded, 2 refused, 0 error"


def test_a_page_shows_no_control_character_wherever_it_comes_from():
    page = report.page(HOSTILE | {"file": ["a\x1b[2J\u202e.ipynb", "b\x07"], "student": "x\u202ey"}, "none\x00", {})
    assert Page(page).strange == []


def test_a_thread_that_goes_on_after_the_end_costs_no_time(tmp_path):
    lingers = ("import os, threading, time\nos._exit = lambda *a: None\n"
               "threading.Thread(target=time.sleep, args=(99,)).start()")
    seconds = []
    with Sandbox() as sandbox:
        if not sandbox.template:
            pytest.skip("without seccomp every session has a process of its own, which is killed")
        for cells in ([], [lingers], []):
            session = sandbox.session()
            session.read(text(cells).encode())
            list(session.run((), 20, []))
            process, start = sandbox.process.pid, time.monotonic()
            session.close()
            seconds.append(time.monotonic() - start)
            assert sandbox.process.pid == process                 # the template stays
    assert seconds[1] < seconds[0] + seconds[2] + 3               # it was 5 s


def test_every_new_folder_of_the_sandbox_is_read_by_the_documentation():
    """The map in the package's docstring names every module."""
    import lstmcourse.grading
    told = lstmcourse.grading.__doc__
    for path in Path(lstmcourse.grading.__file__).parent.glob("[a-z]*.py"):
        assert f"    {path.stem} " in told, path.stem
