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
    assert not list(progress.folder().glob("*.draft"))


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
    assert list(place.iterdir()) == []
    assert progress.load() == {}


def test_show_progress_lists_every_exercise_as_text_and_as_html():
    progress.save("4.3", True)
    progress.save("8.5", False)
    shown = show_progress()
    assert f"1 of {len(EXERCISES)} exercises passed" in str(shown)
    assert "[x] 4.3  the LSTM cell" in str(shown)
    assert "[~] 8.5" in str(shown)
    assert all(exercise.title in str(shown) for exercise in EXERCISES.values())
    html = shown._repr_html_()
    assert "4.3 the LSTM cell: <b style='color:#007d5a'>passed</b>" in html
    assert "<a href='../exercises/04_lstm.ipynb'>" in html


def test_files_of_exercises_that_no_longer_exist_are_passed_over(place):
    place.mkdir(parents=True)
    (place / "99.1.passed").write_text("")
    (place / "notes.txt").write_text("")
    assert progress.load() == {}
