"""A function that passed is kept with what it needs, and comes back in another kernel; else the library's stands in."""

import linecache
import re
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from lstmcourse.practice import EXERCISES, check, mine, progress
from lstmcourse.practice.kept import parts_of


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("LSTMCOURSE_PROGRESS", str(tmp_path / "progress"))
    return tmp_path / "progress" / progress.EDITION


cells = iter(range(1000))


def notebook(*sources):
    """The names of a notebook after its cells have run; as in a kernel, the source of each cell can be found."""
    space = {"__name__": "__main__"}
    for source in sources:
        name = f"<cell {next(cells)}>"
        linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
        exec(compile(source, name, "exec"), space)
    return space


GATE = """
def forget_gate(x_t, h_prev, params):
    H = h_prev.shape[1]
    a = affine(x_t, params["W_ih"], params["b_ih"]) + affine(h_prev, params["W_hh"], params["b_hh"])
    return sigmoid(a[:, H:2 * H])
"""
HELPERS = """
import numpy as np
from math import exp
ONE, HALF = 1.0, np.float64(0.5)
table = np.array([1.0, 2.0])

def affine(v, W, b):
    return v @ W.T + b

sigmoid = lambda a: ONE / (ONE + np.exp(-a) * table[1] * HALF)

def unused():
    return nobody
"""


def test_a_function_comes_back_with_its_helpers_in_another_kernel():
    assert check("4.1", notebook(HELPERS, GATE)["forget_gate"]).passed
    code = ("import numpy as np\nfrom lstmcourse.practice import EXERCISES, mine\nf = mine('4.1')\n"
            "args = EXERCISES['4.1'].cases(np.random.default_rng(0))[0]\n"
            "print(np.allclose(f(*args), EXERCISES['4.1'].reference(*args)), f.__name__, f.__module__)")
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == "4.1 the forget gate: your function\nTrue forget_gate mine_4_1\n"


def test_only_what_the_function_needs_is_kept(own_progress):
    check("4.1", notebook(HELPERS, GATE)["forget_gate"])
    text = (own_progress / "4.1.py").read_text()
    assert "def affine" in text
    assert "ONE = 1.0" in text
    assert "unused" not in text
    assert "from math" not in text


def test_what_is_kept_says_of_which_exercise_it_is_and_when_it_passed(own_progress):
    check("4.1", notebook(HELPERS, GATE)["forget_gate"])
    first, second, *_ = (own_progress / "4.1.py").read_text().splitlines()
    assert re.fullmatch(r"# Exercise 4\.1, passed 20\d\d-\d\d-\d\dT\d\d:\d\d, edition \d+ of the course\.", first)
    assert second == '# mine("4.1") runs this and gives forget_gate back.'


def test_without_one_the_library_s_function_stands_in_and_is_named(capsys):
    assert mine("4.1") is EXERCISES["4.1"].reference
    assert capsys.readouterr().out == ("4.1 the forget gate: the library's function, since yours is not there yet\n")
    assert mine(4.1, quiet=True) is EXERCISES["4.1"].reference
    assert capsys.readouterr().out == ""


def test_an_exercise_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"id is '4.9'; wanted an exercise: 1.1"):
        mine("4.9")


IN_ANOTHER_WAY = """
def forget_gate(x_t, h_prev, params):
    a = x_t @ params["W_ih"].T + h_prev @ params["W_hh"].T + params["b_ih"] + params["b_hh"]
    return sigmoid(np.split(a, 4, axis=1)[1])
"""
WRONG = """
def forget_gate(x_t, h_prev, params):
    return 0 * h_prev
"""


def test_the_last_one_that_passed_is_kept(own_progress):
    for source, passed in ((GATE, True), (IN_ANOTHER_WAY, True), (WRONG, False)):
        assert check("4.1", notebook(HELPERS, source)["forget_gate"]).passed == passed
    assert "np.split" in (own_progress / "4.1.py").read_text()


def test_a_quiet_check_and_a_solution_keep_nothing(own_progress):
    check("4.1", notebook(HELPERS, GATE)["forget_gate"], quiet=True)
    marked = GATE.replace("    H =", "    ### BEGIN SOLUTION\n    H =")
    check("4.1", notebook(HELPERS, marked)["forget_gate"])
    assert not own_progress.exists()


BROKEN = {
    "no Python": ("def forget_gate(", "yours does not run on its own (SyntaxError: "),
    "a name that is gone": ("import a_module_that_is_gone", "yours does not run on its own (ModuleNotFoundError: "),
    "an exit": ("raise SystemExit(3)", "yours does not run on its own (SystemExit: 3)"),
    "no such function": ("x = 1", "yours does not run on its own (KeyError: 'forget_gate')"),
    "a wrong answer": (WRONG, "yours does not pass its check on its own"),
    "no text": (b"\xff\xfe\xff", "yours does not run on its own (SyntaxError"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_what_no_longer_works_is_left_out_with_a_sentence(own_progress, fault, capsys):
    kept, said = BROKEN[fault]
    own_progress.mkdir(parents=True)
    (own_progress / "4.1.py").write_bytes(kept if isinstance(kept, bytes) else kept.encode())
    assert mine("4.1") is EXERCISES["4.1"].reference
    told = capsys.readouterr().out
    assert said in told
    assert told.endswith("; check it again\n")


def test_a_function_that_cannot_be_kept_is_said_and_replaces_nothing(own_progress):
    check("4.1", notebook(HELPERS, GATE)["forget_gate"])
    before = (own_progress / "4.1.py").read_text()
    odd = HELPERS.replace("table = np.array([1.0, 2.0])", "table = {1: np.float64(2), 2: object()}")
    verdict = check("4.1", notebook(odd, GATE)["forget_gate"])
    assert verdict.passed
    assert "(Your function is not kept for later lessons: table is a dict, which cannot be written down. Define it" \
        in verdict.message
    assert (own_progress / "4.1.py").read_text() == before


def test_the_note_says_what_to_do_and_doing_it_helps(own_progress):
    counting = GATE.replace("    H =", "    calls.append(1)\n    H =").replace(
        "return sigmoid(", "return (len(calls) <= ONCE) * sigmoid(")
    space = notebook(HELPERS, "calls, ONCE = [], 10**9", counting)
    assert check("4.1", space["forget_gate"], quiet=True).passed
    space.update(ONCE=len(space["calls"]))
    space["calls"].clear()
    verdict = check("4.1", space["forget_gate"])              # what is kept starts with the calls already made
    assert verdict.passed
    assert verdict.message.endswith("yours does not pass its check on its own. Define it with def in one cell, with "
                                    "all it uses inside it, and check it again.)")
    assert not (own_progress / "4.1.py").exists()
    inside = counting.replace("    calls.append(1)", "    calls, ONCE = [], 1\n    calls.append(1)")
    assert check("4.1", notebook(HELPERS, inside)["forget_gate"]).passed
    assert (own_progress / "4.1.py").exists()


def made_inside(H=1):
    def forget_gate(x_t, h_prev, params):
        return EXERCISES["4.1"].reference(x_t, h_prev, params) * H
    return forget_gate


@pytest.mark.parametrize(("function", "words"), [
    (made_inside(), "is made inside another function"),
    (eval("lambda x_t, h_prev, params: 0"), "has no source that can be found"),
    (partial(print, "x"), "is a partial, which cannot be written down"),
])
def test_what_stands_in_the_way_is_named(function, words):
    assert words in "; ".join(parts_of(function, "forget_gate")[1])


def test_functions_may_call_each_other_and_have_defaults_and_decorators():
    space = notebook("""
import numpy as np
import functools as ft
START = 3

def even(n=START):
    return True if n == 0 else odd(n - 1)

@ft.lru_cache
def plain(n):
    return n

def odd(n, *, other: "START" = None):
    return [even(k) for k in (n - 1,)][0] if n else False
""")
    made, missing = parts_of(space["even"], "even")
    assert missing == []
    fresh = {}
    exec("\n\n".join(made.values()), fresh)
    assert fresh["even"](4) is True
    assert fresh["even"]() is False


def test_a_draft_is_never_read_in_place_of_what_was_kept(own_progress, monkeypatch):
    import os
    check("4.1", notebook(HELPERS, GATE)["forget_gate"])
    before = (own_progress / "4.1.py").read_text()

    def full(*args):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(os, "replace", full)
    verdict = check("4.1", notebook(HELPERS, GATE.replace("    H =", "    # again\n    H ="))["forget_gate"])
    assert "No space left on device" in verdict.message
    assert (own_progress / "4.1.py").read_text() == before


@pytest.mark.parametrize("id", EXERCISES)
def test_every_solution_of_the_course_can_be_kept(id):
    from .mutants import solutions
    helpers, source = solutions()[id]
    bare = source.replace("    ### BEGIN SOLUTION\n", "").replace("    ### END SOLUTION", "")
    function = notebook(helpers, bare)[EXERCISES[id].function]
    assert check(id, function).message.endswith("cases.")
    assert mine(id) is not EXERCISES[id].reference
    args = EXERCISES[id].cases(np.random.default_rng(1))[0]
    assert EXERCISES[id].accept or np.array_equal(repr(mine(id)(*args)), repr(function(*args)))
