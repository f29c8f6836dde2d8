"""A class as an instructor has it: odd names, downloads of Moodle and Canvas, late work, one student graded again."""

import contextlib
import csv
import io
import json
import os
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lstmcourse.cli import main
from lstmcourse.grading import cohort
from lstmcourse.practice import EXERCISES
from tests.grading.corpus.parts import RIGHT, STUBS, WRONG_42, right_but, text, zipped

EXAMPLES = Path(__file__).parent / "examples"
IDS = ["4.1", "4.2", "4.3"]
MOST = sum(EXERCISES[id].points for id in IDS)
LESS = MOST - EXERCISES["4.2"].points
ODD_NAMES = ["ada", "Zoë Ünlü", "O'Neill, Pat", "李 小龙", "a.b.c", "-rf", "=cmd|' C'!A0", "CON", "ada (2)", "ADA ",
             "x" * 120, "%s %d {0}", "<b>bo", "dee;=1+1", "e\u0301mile", "émile", "no_12_34_name", "tab\there", "#1"]


def grade(submissions, out, *options, ids=IDS):
    """The command, and the entries of grades.json by student."""
    status = main(["grade", str(submissions), "--out", str(out), "--exercises", ",".join(ids), "--jobs", "1", *options])
    found = json.loads((out / "grades.json").read_text())["submissions"]
    return status, {entry["student"]: entry for entry in found}


@pytest.fixture
def graded(monkeypatch):
    """The students that the sandbox has been asked for."""
    asked, real = [], cohort.grade
    monkeypatch.setattr(cohort, "grade", lambda submission, *rest: asked.append(submission.student) or real(
        submission, *rest))
    return asked


def scores(entries):
    return {student: entry["score"] for student, entry in entries.items()}


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
def test_a_class_of_twenty_with_odd_names_is_graded_whole(tmp_path, capsys):
    folder, out = tmp_path / "class", tmp_path / "out"
    folder.mkdir()
    for name in ODD_NAMES:
        (folder / f"{name}.ipynb").write_text(text(RIGHT))
    if sys.platform != "darwin":
        with open(os.fsencode(folder) + b"/Jos\xe9.ipynb", "w") as file:
            file.write(text(RIGHT))
        with open(os.fsencode(folder) + b"/note\xe9\x1b[2J.txt", "w") as file:
            file.write("nobody's")
    status, found = grade(folder, out)
    assert status == 0
    assert len(found) == len(list(folder.glob("*.ipynb"))) >= 19
    assert set(scores(found).values()) == {MOST}
    assert len(list((out / "feedback").iterdir())) == len(found)
    assert len(list(csv.reader((out / "grades.csv").open(newline="", encoding="utf-8")))) == len(found) + 1
    shown = capsys.readouterr().out
    assert [c for c in shown if not (c.isprintable() or c == "\n")] == []


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="there every name is UTF-8")
def test_a_terminal_that_cannot_show_a_name_ends_no_run(tmp_path):
    import subprocess
    folder = tmp_path / "class"
    folder.mkdir()
    for name in (b"/Zo\xc3\xab.ipynb", b"/Jos\xe9.ipynb", b"/n\xe9.txt"):
        with open(os.fsencode(folder) + name, "w") as file:
            file.write(text(RIGHT))
    done = subprocess.run([sys.executable, "-m", "lstmcourse", "grade", str(folder), "--out", str(tmp_path / "out"),
                           "--exercises", "4.2", "--jobs", "1"], capture_output=True, text=True, encoding="ascii",
                          env=os.environ | {"PYTHONIOENCODING": "ascii:strict"})
    assert done.returncode == 0, done.stderr
    assert "2 graded" in done.stdout


MOODLE = {                     # as Moodle's download has it: name in the zip -> content
    "Jane Doe_101_assignsubmission_file/04_lstm.ipynb": text(RIGHT),
    "Jane Doe_101_assignsubmission_onlinetext/onlinetext.html": "<p>done!</p>",
    "Jane Doe_117_assignsubmission_file_/hw.zip": zipped(**{"hw/04_lstm.ipynb": text(right_but(update=WRONG_42))}),
    "Zoë Ünlü_120_assignsubmission_file_04_lstm.ipynb": text(RIGHT[:4]),
    "Zoë Ünlü_120_assignsubmission_file_more.ipynb": text((*RIGHT[:2], *RIGHT[4:6])),
    "Cy Text_140_assignsubmission_onlinetext/onlinetext.html": "<p>I could not do it</p>",
    "Participant_150_assignsubmission_file/04 lstm.ipynb": text(STUBS),
    "Group A_7_assignsubmission_file/04_lstm.ipynb": text(RIGHT),
}
MOODLE_SCORES = {"Jane Doe (101)": MOST, "Jane Doe (117)": LESS, "Zoë Ünlü": 2, "Cy Text": None, "Participant": 0,
                 "Group A": MOST}


def moodle(place, unpacked):
    path = place / ("moodle" if unpacked else "moodle.zip")
    if not unpacked:
        path.write_bytes(zipped(**MOODLE))
        return path
    for name, content in MOODLE.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("unpacked", [False, True])
def test_moodles_download_is_graded_student_by_student(tmp_path, unpacked):
    status, found = grade(moodle(tmp_path, unpacked), tmp_path / "out")
    assert scores(found) == MOODLE_SCORES
    assert status == 1
    assert "onlinetext.html" in found["Cy Text"]["reason"]


def test_moodles_worksheet_is_filled_in_and_otherwise_unchanged(tmp_path, capsys):
    given = EXAMPLES / "moodle_worksheet.csv"
    grade(moodle(tmp_path, False), tmp_path / "out", "--moodle", str(given))
    before, after = (list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
                     for path in (given, tmp_path / "out" / given.name))
    assert [row[4] for row in after] == ["Grade", "100", f"{100 * LESS / MOST:g}", f"{200 / MOST:g}", ""]
    feedback = [row.pop(9) for row in after]
    assert feedback[1].startswith(f"{MOST} of {MOST} points<br>4.1 the forget gate: passed")
    assert "4.2" in feedback[2]
    assert "not passed" in feedback[2]
    assert feedback[4] == ""
    assert [row[:4] + row[5:] for row in after] == [row[:4] + row[5:9] for row in before]
    shown = capsys.readouterr().out
    assert "not in it: Cy Text, Group A, Participant" in shown


def test_markup_and_formulas_of_a_student_reach_no_worksheet(tmp_path):
    folder = tmp_path / "Jane Doe_101_assignsubmission_file"
    folder.mkdir(parents=True)
    evil = 'def cell_update(c_prev, i, f, g):\n    raise ValueError("<script>alert(1)</script>;=cmd()")'
    (folder / "04.ipynb").write_text(text(right_but(update=evil)))
    (tmp_path / "class").mkdir()
    folder.rename(tmp_path / "class" / folder.name)
    grade(tmp_path / "class", tmp_path / "out", "--moodle", str(EXAMPLES / "moodle_worksheet.csv"))
    filled = (tmp_path / "out" / "moodle_worksheet.csv").read_text(encoding="utf-8")
    assert "&lt;script&gt;" in filled
    assert "<script" not in filled
    assert ";=cmd" not in filled


def test_a_zip_made_on_windows_is_graded_student_by_student(tmp_path):
    """Backslashes, a folder of the class around all, a student's own zip in it, leftovers of the system."""
    (tmp_path / "class.zip").write_bytes(zipped(**{
        "4a\\": b"", "4a\\Müller, Jörg\\04_lstm.ipynb": text(RIGHT), "4a\\Müller, Jörg\\more\\05.ipynb": text(()),
        "4a\\bo\\hw.zip": zipped(**{"hw\\04_lstm.ipynb": text(right_but(update=WRONG_42))}), "4a\\bo\\Thumbs.db": b"x",
        "4a\\cy\\notes.pdf": b"%PDF"}))
    status, found = grade(tmp_path / "class.zip", tmp_path / "out")
    assert (status, scores(found)) == (1, {"Müller, Jörg": MOST, "bo": LESS, "cy": None})


CANVAS = {"doejane_1234_5678_04_lstm.ipynb": text(RIGHT), "poebo_LATE_1235_5679_04_lstm-1.ipynb": text(STUBS),
          "poebo_LATE_1235_5680_more.ipynb": text((*RIGHT[:2], *RIGHT[4:6])), "anon_77_5681_essay.pdf": "%PDF"}


def test_canvas_download_is_graded_and_its_gradebook_filled_in(tmp_path):
    (tmp_path / "canvas.zip").write_bytes(zipped(**CANVAS))
    given = EXAMPLES / "canvas_gradebook.csv"
    _, found = grade(tmp_path / "canvas.zip", tmp_path / "out", "--canvas", str(given))
    assert scores(found) == {"doejane": MOST, "poebo": 1, "anon": None}
    filled = (tmp_path / "out" / given.name).read_bytes()
    expected = given.read_bytes().replace(b"Sec 1,,88.1", b"Sec 1,6,88.1").replace(
        b"Sec 1,2,70", f"Sec 1,{6 / MOST:.2f}".rstrip("0").rstrip(".").encode() + b",70")
    assert filled == expected


@pytest.mark.parametrize(("option", "content", "says"), [
    ("--canvas", "Student,ID,A (1),B (2)\n", "2 assignments"), ("--canvas", "Student,A (1)\n", "no column 'ID'"),
    ("--moodle", "Kennung,Bewertung\n", "--column"), ("--moodle", b"\xff\xfe", "UTF-8"), ("--moodle", "", "no column"),
    ("--moodle", None, "cannot be read")])
def test_a_gradebook_that_cannot_be_filled_in_is_wrong_use_before_anything_is_graded(tmp_path, capsys, option, content,
                                                                                     says):
    (tmp_path / "ada.ipynb").write_text(text(RIGHT))
    path = tmp_path / "book.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["grade", str(tmp_path / "ada.ipynb"), "--out", str(tmp_path / "out"), option, str(path)]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_columns_of_a_worksheet_in_another_language_are_named(tmp_path):
    book = tmp_path / "book.csv"
    book.write_text('Kennung;Name;Bewertung;Bestwertung;Kommentar\n"Teilnehmer/in 101";Jane;;10,00;\n',
                    encoding="utf-8")
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "Jane_101_assignsubmission_file_04.ipynb").write_text(text(RIGHT))
    grade(tmp_path / "class", tmp_path / "out", "--moodle", str(book), "--column", "Bewertung", "--feedback-column",
          "Kommentar")
    assert "101;Jane;10;10,00;" in (tmp_path / "out" / "book.csv").read_text(encoding="utf-8").replace('"', "")


def make_class(folder, students=20):
    folder.mkdir()
    for n in range(students):
        (folder / f"student{n:02}.ipynb").write_text(text(STUBS))


def test_late_work_of_three_leaves_the_grades_of_the_others(tmp_path, graded, capsys):
    make_class(tmp_path / "class")
    _, first = grade(tmp_path / "class", tmp_path / "out")
    late = tmp_path / "late"
    late.mkdir()
    for n in (3, 7, 11):
        (late / f"student{n:02}.ipynb").write_text(text(RIGHT))
    graded.clear()
    _, second = grade(late, tmp_path / "out")
    assert graded == ["student03", "student07", "student11"]
    assert second == first | {name: second[name] for name in graded}
    assert [student for student, score in scores(second).items() if score == MOST] == graded
    assert len(list(csv.reader((tmp_path / "out" / "grades.csv").open(newline="")))) == 21
    assert "17 of these are not among SUBMISSIONS" in capsys.readouterr().out


def test_late_work_in_moodle_is_the_same_students(tmp_path, graded):
    grade(moodle(tmp_path, False), tmp_path / "out")
    late = tmp_path / "late"
    late.mkdir()
    (late / "Jane Doe_117_assignsubmission_file_other name.ipynb").write_text(text(RIGHT))
    graded.clear()
    _, found = grade(late, tmp_path / "out")
    assert graded == ["Jane Doe"]
    assert scores(found) == MOODLE_SCORES | {"Jane Doe (117)": MOST}


def test_one_student_is_graded_again_with_the_seed_of_the_run(tmp_path, graded):
    make_class(tmp_path / "class", 4)
    (tmp_path / "class" / "student02.ipynb").write_text(text(right_but(update=WRONG_42)))
    _, first = grade(tmp_path / "class", tmp_path / "out")
    graded.clear()
    _, second = grade(tmp_path / "class", tmp_path / "out", "--regrade", "student02")
    assert graded == ["student02"]
    for entry in (*first.values(), *second.values()):
        del entry["seconds"]
    assert second == first


def older_and_newer(place):
    """Three students' first download, and a later one in which two of them have handed in another file."""
    for name, files in (("first", (STUBS, STUBS, RIGHT)), ("later", (RIGHT, right_but(update=WRONG_42), RIGHT))):
        (place / name).mkdir()
        for student, cells in zip(("ada", "bo", "cy"), files, strict=True):
            (place / name / f"{student}.ipynb").write_text(text(cells))
    return place / "first", place / "later", place / "out"


LATER_SCORES = {"ada": MOST, "bo": LESS, "cy": MOST}


def test_an_older_download_takes_nobodys_grade_back(tmp_path, graded, capsys):
    first, later, out = older_and_newer(tmp_path)
    grade(first, out)
    capsys.readouterr()
    _, found = grade(later, out)
    assert scores(found) == LATER_SCORES
    assert f"another file than before: ada {MOST} of {MOST}, before 0 of {MOST}; bo {LESS} of {MOST}, before 0 of" in \
        capsys.readouterr().out
    for options in ((), ("--regrade", "cy")):
        graded.clear()
        status, again = grade(first, out, *options)
        shown = capsys.readouterr().out
        assert (status, scores(again), graded) == (0, LATER_SCORES, ["cy"] if options else [])
        assert again | {"cy": None} == found | {"cy": None}
        assert f"that grade stays: ada {MOST} of {MOST}; bo {LESS} of {MOST} (--older NAME" in shown
        assert (f"graded again: cy {MOST} of {MOST}, before {MOST} of {MOST}" in shown) == bool(options)


def test_a_student_with_a_newer_file_is_not_graded_again_from_an_older_download(tmp_path, graded, capsys):
    first, later, out = older_and_newer(tmp_path)
    grade(first, out)
    grade(later, out)
    written = (out / "grades.json").read_bytes()
    graded.clear()
    command = ["grade", str(first), "--out", str(out), "--exercises", ",".join(IDS), "--jobs", "1"]
    assert main([*command, "--regrade", "bo", "--regrade", "cy"]) == 2
    said = capsys.readouterr().err
    assert f"a newer file than the one here is graded in {out}, of bo." in said
    assert "--older NAME" in said
    assert (graded, (out / "grades.json").read_bytes()) == ([], written)
    _, found = grade(later, out, "--regrade", "bo")                       # the way that it names
    assert scores(found) == LATER_SCORES


def test_an_older_file_counts_where_that_is_asked_for_and_what_it_replaces_stays(tmp_path, capsys):
    first, later, out = older_and_newer(tmp_path)
    grade(first, out)
    _, found = grade(later, out)
    _, back = grade(first, out, "--older", "bo")
    assert scores(back) == LATER_SCORES | {"bo": 0}
    assert f"another file than before: bo 0 of {MOST}, before {LESS} of {MOST} (what was before stays" in \
        capsys.readouterr().out
    db = sqlite3.connect(out / "journal.sqlite")
    with contextlib.closing(db):
        kept = [json.loads(entry)["score"] for entry, in db.execute(
            "SELECT entry FROM history WHERE key = 'bo.ipynb' ORDER BY rowid")]
    assert kept == [0, LESS, 0]
    _, again = grade(later, out)                                          # the newer file counts again
    assert scores(again) == LATER_SCORES
    for entry in (again["bo"], found["bo"]):
        del entry["seconds"]
    assert again["bo"] == found["bo"]


def test_the_same_file_again_after_one_that_was_refused_is_graded(tmp_path):
    """A refused file can be handed in again: it is no newer grade."""
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "cy.ipynb").write_text(text(RIGHT))
    found = []
    for content in (text(RIGHT), '{"cells": [', text(RIGHT)):
        (tmp_path / "class" / "ada.ipynb").write_text(content)
        found.append(scores(grade(tmp_path / "class", tmp_path / "out")[1])["ada"])
    assert found == [MOST, None, MOST]


def test_results_of_before_there_was_a_history_keep_their_order(tmp_path):
    first, later, out = older_and_newer(tmp_path)
    grade(first, out)
    db = sqlite3.connect(out / "journal.sqlite")
    with contextlib.closing(db):
        db.execute("DROP TABLE history")
    grade(later, out)
    assert scores(grade(first, out)[1]) == LATER_SCORES


def test_one_student_is_graded_again_after_an_exercise_was_mended(tmp_path, graded, monkeypatch, capsys):
    """4.2 wanted something else by mistake; once it is mended, who was hit by it is graded again."""
    make_class(tmp_path / "class", 3)
    (tmp_path / "class" / "student01.ipynb").write_text(text(RIGHT))
    broken = replace(EXERCISES["4.2"], reference=lambda c_prev, i, f, g: f * c_prev - i * g)
    with monkeypatch.context() as patch:
        patch.setitem(EXERCISES, "4.2", broken)
        _, first = grade(tmp_path / "class", tmp_path / "out")
    graded.clear()
    capsys.readouterr()
    _, second = grade(tmp_path / "class", tmp_path / "out", "--regrade", "student01")
    assert (first["student01"]["score"], second["student01"]["score"], graded) == (LESS, MOST, ["student01"])
    assert second == first | {"student01": second["student01"]}
    assert f"graded again: student01 {MOST} of {MOST}, before {LESS} of {MOST}" in capsys.readouterr().out


def test_a_student_that_is_not_there_cannot_be_graded_again(tmp_path, capsys):
    make_class(tmp_path / "class", 2)
    assert main(["grade", str(tmp_path / "class"), "--out", str(tmp_path / "out"), "--regrade", "nobody"]) == 2
    assert "student00, student01" in capsys.readouterr().err


def test_other_exercises_in_the_same_folder_are_another_run_and_the_first_is_not_lost(tmp_path, graded):
    (tmp_path / "ada.ipynb").write_text(text(right_but(update=WRONG_42)))
    ada, out = tmp_path / "ada.ipynb", tmp_path / "out"
    _, first = grade(ada, out, ids=["4.1"])
    seed = json.loads((out / "grades.json").read_text())["seed"]
    _, second = grade(ada, out, ids=["4.2"])
    assert [[e["id"] for e in entry["exercises"]] for entry in second.values()] == [["4.2"]]
    assert (first["ada"]["score"], second["ada"]["score"]) == (EXERCISES["4.1"].points, 0)
    assert json.loads((out / "grades.json").read_text())["seed"] != seed
    graded.clear()
    _, again = grade(ada, out, ids=["4.1"])
    assert graded == []
    assert again == first


def test_a_score_is_the_sum_of_what_was_passed_each_counted_once(tmp_path):
    """Two notebooks that both pass an exercise, and one id that is named twice."""
    (tmp_path / "ada.zip").write_bytes(zipped(**{"a.ipynb": text(RIGHT), "b.ipynb": text(RIGHT)}))
    (tmp_path / "class").mkdir()
    (tmp_path / "ada.zip").rename(tmp_path / "class" / "ada.zip")
    _, found = grade(tmp_path / "class", tmp_path / "out", ids=["4.1", "4", "4.1", "4.2"])
    entry = found["ada"]
    passed = [e["id"] for e in entry["exercises"] if e["passed"]]
    assert passed == IDS
    assert entry["score"] == MOST
    assert entry["max_score"] == sum(e.points for id, e in EXERCISES.items() if id.startswith("4."))


def test_what_somebody_handed_in_and_is_no_notebook_is_in_the_table(tmp_path):
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "ada.ipynb").write_text(text(RIGHT))
    (tmp_path / "class" / "bo.pdf").write_text("%PDF")
    (tmp_path / "class" / "cy").mkdir()
    (tmp_path / "class" / "cy" / "lstm.py").write_text("x = 1")
    _, found = grade(tmp_path / "class", tmp_path / "out")
    assert scores(found) == {"ada": MOST, "bo": None, "cy": None}
    assert "bo.pdf" in found["bo"]["reason"]
    assert "lstm.py" in found["cy"]["reason"]
