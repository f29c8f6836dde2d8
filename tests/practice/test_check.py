"""`check` never raises for what a learner does: each slip gets a plain message of its own."""

import subprocess
import sys
import threading
import time
from dataclasses import replace

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from lstmcourse.practice import EXERCISES, check, progress
from lstmcourse.practice.check import with_time_limit
from tests.kernels import start_again

RIGHT = EXERCISES["4.2"].reference


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    """Progress of these tests goes to a folder of their own; nothing takes long."""
    monkeypatch.setenv("LSTMCOURSE_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.setitem(EXERCISES, "4.2", replace(EXERCISES["4.2"], seconds=0.3))
    return tmp_path / "progress"


def endless(c_prev, i, f, g):
    while True:
        pass


def endless_and_deaf(c_prev, i, f, g):
    end = time.monotonic() + 2

    def loop():
        while time.monotonic() < end:
            pass

    while time.monotonic() < end:
        try:
            loop()                             # a call: Python 3.13 lets an exception out of a bare loop inside try
        except BaseException:
            continue


def slow(c_prev, i, f, g):
    time.sleep(0.1)
    return RIGHT(c_prev, i, f, g)


def misspelt(c_prev, i, f, g):
    return f * c_prew + i * g                  # noqa: F821


def deep(c_prev, i, f, g):
    return deep(c_prev, i, f, g)


def changing(c_prev, i, f, g):
    g *= i
    c_prev *= f
    return c_prev + g


def itself(c_prev, i, f, g):
    nested = []
    nested.append(nested)
    return nested


def leaves(c_prev, i, f, g):
    sys.exit("enough")


class Odd:
    def __array__(self, *args, **kwargs):
        raise RuntimeError("no array today")

    def __eq__(self, other):
        raise RuntimeError("no comparison today")

    __hash__ = None


SLIPS = {
    "an exception": (misspelt, "NameError: name 'c_prew' is not defined"),
    "the line of the exception": (misspelt, "It arose in your line:  return f * c_prew + i * g"),
    "an endless loop": (endless, "no answer after 0.3 seconds"),
    "an endless loop that nothing ends": (endless_and_deaf, "restart the kernel"),
    "endless recursion": (deep, "RecursionError"),
    "sys.exit": (leaves, "SystemExit: enough"),
    "None": (lambda c_prev, i, f, g: None, "Does its last line say `return`?"),
    "a string": (lambda c_prev, i, f, g: "42", "c_t is a str; wanted an array of floats"),
    "a function": (lambda c_prev, i, f, g: print, "c_t is a builtin_function_or_method"),
    "two results": (lambda c_prev, i, f, g: (f * c_prev, i * g), "returned 2 things; wanted one: c_t"),
    "integers": (lambda c_prev, i, f, g: RIGHT(c_prev, i, f, g).astype(int), "int64 numbers; wanted floats"),
    "float16": (lambda c_prev, i, f, g: RIGHT(c_prev, i, f, g).astype("float16"), "an array of dtype float16"),
    "complex": (lambda c_prev, i, f, g: RIGHT(c_prev, i, f, g) + 0j, "an array of dtype complex128"),
    "objects": (lambda c_prev, i, f, g: RIGHT(c_prev, i, f, g).astype(object), "an array of dtype object"),
    "a ragged list": (lambda c_prev, i, f, g: [[1.0], [2.0, 3.0]], "do not have one shape"),
    "a list in itself": (itself, "cannot be read: RecursionError. Wanted: c_t (B, H)."),
    "an odd object": (lambda c_prev, i, f, g: Odd(), "c_t is an Odd"),
    "a dict": (lambda c_prev, i, f, g: {"c_t": f}, "c_t is a dict"),
    "one number": (lambda c_prev, i, f, g: 1.0, "c_t is a single number; wanted shape (3, 5) = (B, H)"),
    "another shape": (lambda c_prev, i, f, g: (f * c_prev).T, "c_t has shape (5, 3) = (H, B); wanted shape (3, 5)"),
    "arguments changed": (changing, "wrote into its argument c_prev and g"),
    "too few arguments": (lambda c_prev, i, f: c_prev, "Your function takes (c_prev, i, f); wanted (c_prev, i, f, g)"),
    "a call in place of the function": (RIGHT(*np.ones((4, 2, 3))), "with no brackets behind the name"),
    "a class": (Odd, "wanted (c_prev, i, f, g)"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_every_slip_gets_a_message_of_its_own(slip):
    function, words = SLIPS[slip]
    verdict = check("4.2", function)
    assert not verdict.passed
    assert words in verdict.message, verdict.message


def test_whole_numbers_may_be_integers():
    right = EXERCISES["9.2"].reference                          # 1, 0 and -1
    assert check("9.2", lambda tokens: tuple(part.astype(int) for part in right(tokens))).passed
    wrong = check("9.2", lambda tokens: tuple(part.astype(int) + 1 for part in right(tokens)))
    assert "keep[0, 0] is" in wrong.message
    assert "wanted floats" in check("9.2", lambda tokens: tuple(part > 0 for part in right(tokens))).message


def test_a_right_answer_that_takes_its_time_passes_and_nothing_is_waited_for():
    start = time.monotonic()
    assert check("4.2", slow).passed
    assert 0.2 <= time.monotonic() - start < 2                  # two cases, 0.1 s each


def test_a_call_that_has_returned_is_waited_for_no_longer():
    start = time.monotonic()
    assert with_time_limit(20)(lambda: 7, ()) == (7, None)
    assert time.monotonic() - start < 10                        # however long the limit


def test_an_endless_loop_ends_at_the_limit_and_leaves_no_thread():
    before, start = set(threading.enumerate()), time.monotonic()
    verdict = check("4.2", endless)
    assert 0.3 <= time.monotonic() - start < 2
    assert not [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]
    assert "restart" not in verdict.message


def test_a_call_that_does_not_let_itself_be_stopped_is_given_up_after_a_second():
    start = time.monotonic()
    assert "could not be stopped and still runs" in check("4.2", endless_and_deaf).message
    assert time.monotonic() - start >= 1.2


def test_a_thread_that_is_told_that_its_time_is_up_ends_quietly():
    code = ("import threading\nfrom lstmcourse.practice.check import TimeUp\ndef late():\n    raise TimeUp\n"
            "thread = threading.Thread(target=late)\nthread.start()\nthread.join()")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_verdict_carries_the_id_and_the_known_mistake():
    verdict = check("4.2", lambda c_prev, i, f, g: c_prev + i * g)
    assert (verdict.id, verdict.passed, verdict.mistake) == ("4.2", False, "no forget gate")
    assert (check("4.2", RIGHT(*np.ones((4, 2, 3)))).id, check("4.2", Odd).id) == ("4.2", "4.2")


def test_a_function_without_source_passes_and_is_progress(own_progress):
    space = {}
    exec("def cell_update(c_prev, i, f, g):\n    return f * c_prev + i * g", space)
    assert check("4.2", space["cell_update"]).passed
    assert list(own_progress.rglob("4.2.passed"))


def test_printing_a_verdict_prints_once(capsys):
    print(check("4.2", RIGHT))
    assert capsys.readouterr().out.count("Exercise 4.2") == 1


def test_a_pass_takes_the_learner_on_and_folds_the_shortest_answer():
    verdict, exercise = check("4.2", RIGHT), EXERCISES["4.2"]
    assert verdict.onward == exercise.onward
    assert exercise.onward in verdict._repr_html_()
    assert "<details" in verdict._repr_html_()
    assert exercise.shortest in verdict._repr_html_()
    failed = check("4.2", lambda c_prev, i, f, g: f)
    assert (failed.onward, failed.shortest) == ("", "")
    assert "<details" not in failed._repr_html_()


def test_an_unknown_exercise_is_answered_with_those_that_exist():
    assert "There is no exercise '4.9'. There are: 1.1, 1.2" in check("4.9", RIGHT).message


def test_the_id_may_be_a_number():
    assert check(4.2, RIGHT).passed


def test_what_the_function_printed_is_told():
    def talks(c_prev, i, f, g):
        print("f is", f.shape)
        return RIGHT(c_prev, i, f, g)
    verdict = check("4.2", talks)
    assert verdict.passed
    assert "Your function printed: f is (4, 2)" in verdict.message.splitlines()


def test_long_output_is_shortened():
    def talks(c_prev, i, f, g):
        print("word " * 10000)
    assert len(check("4.2", talks).message) < 1200


def test_warnings_are_told_and_do_not_reach_the_notebook(recwarn):
    def divides(c_prev, i, f, g):
        return f * c_prev / np.zeros_like(f)
    assert "RuntimeWarning: divide by zero" in check("4.2", divides).message
    assert not recwarn.list


def test_the_learner_cannot_change_what_the_next_case_gets():
    calls = []

    def grows(c_prev, i, f, g):
        calls.append(f.copy())
        f[:] = 0
        return f
    check("4.2", grows)
    first = calls.copy()
    calls.clear()
    check("4.2", grows)
    for a, b in zip(first, calls, strict=True):
        np.testing.assert_array_equal(b, a)


def test_an_untouched_stub_is_not_started_and_no_progress(own_progress):
    def stub(c_prev, i, f, g):
        raise NotImplementedError("Exercise 4.2")
    verdict = check("4.2", stub)
    assert verdict.state == "not started"
    assert not own_progress.exists()


def test_a_solution_of_the_course_is_no_progress_of_the_learner(own_progress):
    def cell_update(c_prev, i, f, g):
        ### BEGIN SOLUTION
        return f * c_prev + i * g
        ### END SOLUTION
    assert check("4.2", cell_update).passed
    assert not own_progress.exists()


def test_a_quiet_check_shows_nothing_and_keeps_nothing(own_progress, capsys):
    assert check("4.2", RIGHT, quiet=True).passed
    assert not check("4.2", misspelt, quiet=True).passed
    assert capsys.readouterr().out == ""
    assert not list(own_progress.glob("*"))


def test_a_verdict_shows_what_the_learner_wrote_as_text_not_as_html():
    def shouts(c_prev, i, f, g):
        raise ValueError("<b>bold</b>")
    assert "&lt;b&gt;bold&lt;/b&gt;" in check("4.2", shouts)._repr_html_()


CELLS = ["""
from dataclasses import replace
from lstmcourse.practice import EXERCISES, check, progress
EXERCISES["4.2"] = replace(EXERCISES["4.2"], seconds=0.3)
""", """
def cell_update(c_prev, i, f, g):
    while True:
        pass
check("4.2", cell_update)
""", """
def cell_update(c_prev, i, f, g):
    return f * c_prev + i * g
verdict = check("4.2", cell_update)
print("after the check")
""", """
verdict
""", """
print(check("4.2", cell_update))
""", """
print(verdict)
"""]


def test_check_works_in_a_kernel(own_progress, monkeypatch):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    start_again(NotebookClient(notebook, timeout=60).execute)
    endless_cell, right_cell, again = (cell.outputs for cell in notebook.cells[1:4])
    assert len(endless_cell) == 1                                   # once, though it stands last in its cell
    assert "no answer after 0.3 seconds" in endless_cell[0]["data"]["text/html"]
    assert ["4.2: passed" in out.get("data", {}).get("text/plain", "") for out in right_cell] == [True, False]
    assert len(again) == 1
    assert (own_progress / progress.EDITION / "4.2.passed").exists()
    assert [len(cell.outputs) for cell in notebook.cells[4:]] == [2, 1]
    shown, printed = notebook.cells[4].outputs
    assert "4.2: passed" in shown["data"]["text/plain"]
    assert printed["text"].strip() == ""                            # print(check(...)) shows it once
    assert "4.2: passed" in notebook.cells[5].outputs[0]["text"]    # and a later cell prints it when asked to
