"""Progress survives what happens to notebooks: restarts, crashes, two kernels at once."""

import os
import subprocess
import sys

import pytest

from lstmcourse.practice import EXERCISES, progress, show_progress


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A progress folder that is not there yet."""
    monkeypatch.setenv("LSTMCOURSE_PROGRESS", str(tmp_path / "a folder" / "progress"))
    return tmp_path / "a folder" / "progress"


def in_another_process(program, check=True):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=check)


def test_progress_is_empty_before_the_first_exercise(place):
    assert progress.load() == {}
    assert show_progress().summary == f"0 of {len(EXERCISES)} exercises passed"
    assert not place.exists()                               # looking leaves nothing behind


def test_progress_survives_a_restart_of_the_kernel():
    assert progress.save("4.3", True) == ""
    assert progress.save("4.4", False) == ""
    told = in_another_process("from lstmcourse.practice.progress import load; print(load())").stdout
    assert eval(told) == {"4.3": "passed", "4.4": "tried"}


def test_a_later_failure_does_not_take_back_what_was_passed():
    progress.save("4.3", True)
    progress.save("4.3", False)
    assert progress.load() == {"4.3": "passed"}


@pytest.mark.parametrize("moment", ["os.replace", "os.fdopen", "tempfile.mkstemp"])
def test_a_crash_during_the_write_loses_nothing_that_was_there(moment):
    progress.save("4.3", True)
    module, name = moment.split(".")
    crash = (f"import os, tempfile\nfrom lstmcourse.practice import progress\n"
             f"{module}.{name} = lambda *args, **kwargs: os._exit(9)\nprogress.save('4.4', True)")
    assert in_another_process(crash, check=False).returncode == 9
    assert progress.load() == {"4.3": "passed"}
    assert progress.save("4.4", True) == ""
    assert progress.load() == {"4.3": "passed", "4.4": "passed"}


def test_two_kernels_at_once_do_not_undo_each_other():
    ids = list(EXERCISES)
    program = ("import sys\nfrom lstmcourse.practice import progress\nsys.stdin.readline()\n"
               "for id in sys.argv[1:]: progress.save(id, False); progress.save(id, True)")
    kernels = [subprocess.Popen([sys.executable, "-c", program, *some], stdin=subprocess.PIPE, text=True)
               for some in (ids[::2] + ids[:6], ids[1::2] + ids[:6])]       # six of them by both
    for kernel in kernels:
        kernel.stdin.write("go\n")
        kernel.stdin.flush()
    assert [kernel.wait(60) for kernel in kernels] == [0, 0]
    for kernel in kernels:
        kernel.stdin.close()
    assert progress.load() == dict.fromkeys(EXERCISES, "passed")
    assert not list(progress.folder().rglob("*.draft"))


def test_a_folder_that_cannot_be_written_is_told_and_stops_nothing(place):
    place.parent.mkdir()
    place.write_text("a file where the folder should be")
    note = progress.save("4.3", True)
    assert note.startswith("(Your progress was not saved in")
    assert progress.load() == {}


def test_a_full_disk_is_told_and_leaves_no_half_file(place, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(os, "replace", full)
    assert "No space left on device" in progress.save("4.3", True)
    assert [path for path in place.rglob("*") if path.is_file()] == []
    assert progress.load() == {}


def test_show_progress_lists_every_exercise_as_text_and_as_html():
    progress.save("4.3", True)
    progress.save("8.5", False)
    shown = show_progress()
    assert f"1 of {len(EXERCISES)} exercises passed" in str(shown)
    assert "[x] 4.3  the LSTM cell" in str(shown)
    assert "[~] 8.5" in str(shown)
    assert [exercise.title for exercise in EXERCISES.values() if exercise.title not in str(shown)] == []
    html = shown._repr_html_()
    assert "4.3 the LSTM cell: <b style='color:#007d5a'>passed</b>" in html
    assert "<a href='../exercises/04_lstm.ipynb'>" in html


def test_files_of_exercises_that_no_longer_exist_are_passed_over(place):
    (place / progress.EDITION).mkdir(parents=True)
    (place / progress.EDITION / "99.1.passed").write_text("")
    (place / progress.EDITION / "notes.txt").write_text("")
    assert progress.load() == {}


def test_what_an_older_edition_left_is_neither_counted_nor_deleted(place, monkeypatch):
    place.mkdir(parents=True)
    (place / "4.3.passed").write_text("2025-01-01T10:00")                 # the first edition had no folder of its own
    assert progress.load() == {}
    progress.save("4.3", True)
    monkeypatch.setattr("builtins.input", lambda prompt: "yes")
    assert progress.main(["--all"]) == 0
    assert (place / "4.3.passed").read_text() == "2025-01-01T10:00"
    assert progress.load() == {}


def test_the_usual_folder_is_the_course_s_own(monkeypatch):
    monkeypatch.delenv("LSTMCOURSE_PROGRESS")
    assert progress.folder().parts[-2:] == ("lstmcourse", "progress")


def test_forgetting_asks_first(place, monkeypatch, capsys):
    progress.save("4.3", True)
    asked = []
    monkeypatch.setattr("builtins.input", lambda prompt: asked.append(prompt) or "no")
    assert progress.main(["--forget", "4.3"]) == 1
    assert "Forget 4.3" in asked[0]
    assert progress.load() == {"4.3": "passed"}
    assert "Nothing was moved." in capsys.readouterr().out


def test_forgetting_without_anybody_to_ask_moves_nothing(monkeypatch):
    def nobody(prompt):
        raise EOFError
    progress.save("4.3", True)
    monkeypatch.setattr("builtins.input", nobody)
    assert progress.main(["--all"]) == 1
    assert progress.load() == {"4.3": "passed"}


def test_what_is_forgotten_is_moved_and_not_deleted(place, monkeypatch, capsys):
    for id in ("4.3", "5.1"):
        progress.save(id, False)
        progress.save(id, True)
        progress.write(progress.place(id, "py"), f"# {id}")
    monkeypatch.setattr("builtins.input", lambda prompt: " Yes ")
    assert progress.main(["--forget", "4.3"]) == 0
    assert progress.load() == {"5.1": "passed"}
    moved = sorted(path.name for path in (place / "forgotten").rglob("4.3.*"))
    assert moved == ["4.3.passed", "4.3.py", "4.3.tried"]
    assert "moved to" in capsys.readouterr().out
    assert progress.main(["--all"]) == 0
    assert progress.load() == {}
    assert len(list((place / "forgotten").iterdir())) == 2


def test_nothing_to_forget_is_said(capsys):
    assert progress.main(["--forget", "4.3"]) == 0
    assert "Nothing is kept of exercise 4.3." in capsys.readouterr().out


def test_an_exercise_that_does_not_exist_cannot_be_forgotten(capsys):
    with pytest.raises(SystemExit):
        progress.main(["--forget", "4.9"])
    assert "there is no exercise 4.9" in capsys.readouterr().err


def test_the_parts_that_are_the_learner_s_are_named():
    progress.write(progress.place("4.3", "py"), "")
    shown = show_progress()
    assert "  cell: yours (4.3)" in str(shown)
    assert "  clipping: the library's" in str(shown)
    assert "cell: yours (4.3); backward pass: the library&#x27;s" in shown._repr_html_()


def test_progress_looks_at_what_is_kept_and_does_not_run_it(tmp_path):
    progress.write(progress.place("4.3", "py"), f"open({str(tmp_path / 'ran')!r}, 'w')")
    told = in_another_process("import sys; from lstmcourse import cli; sys.exit(cli.main(['progress']))").stdout
    assert "cell: yours (4.3)" in told
    assert not (tmp_path / "ran").exists()
