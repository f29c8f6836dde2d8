"""Whatever the sandbox answers, the judge has a verdict: nothing a notebook returns is an error of the grader."""

import ast
import io
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmcourse.grading import scoring
from lstmcourse.grading.protocol import Closed, Late, ProtocolError, decode, encode
from lstmcourse.grading.scoring import Run, changed, cleaned, helpers, judged, outcome, tame
from lstmcourse.practice import EXERCISES, Outcome, judge
from lstmcourse.practice.values import copy_of
from tests.grading.test_protocol import values

FEW = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
ODD = [np.nan, np.inf, 1e308, 0, -1, 2**62, "text", None, True, [], {}, (), np.zeros(0), np.zeros((0, 3)), np.array(5),
       np.array("text"), np.zeros(3, bool), np.float16(1), np.ones((1,) * 8)]


def damaged(value, draw):
    """The right answer with something wrong somewhere in it."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(value)))
        rest = {k: v for k, v in value.items() if k != key}
        return draw(st.sampled_from([rest, rest | {"other": value[key]}, list(value), list(value.values())])) if draw(
            st.booleans()) else value | {key: damaged(value[key], draw)}
    if isinstance(value, tuple) and value and draw(st.booleans()):
        k = draw(st.integers(0, len(value) - 1))
        return (*value[:k], damaged(value[k], draw), *value[k + 1:])
    if isinstance(value, np.ndarray) and value.size and draw(st.booleans()):
        new = np.array(value, dtype=draw(st.sampled_from(["float64", "float32", "int64"])))
        new.flat[draw(st.integers(0, new.size - 1))] = 0 if new.dtype.kind == "i" else draw(
            st.sampled_from([np.nan, np.inf, -1e300 if new.dtype == "float64" else -1e30, 7]))
        return draw(st.sampled_from([new, new.T, new[None], new[:0], new.tolist()]))
    return draw(st.sampled_from(ODD))


@pytest.mark.parametrize("id", EXERCISES)
@FEW
@given(st.data())
def test_any_answer_gets_a_verdict(id, data):
    exercise, drawn = EXERCISES[id], np.random.default_rng(data.draw(st.integers(0, 5)))

    def call(args):
        if data.draw(st.booleans()):
            return Outcome(value=data.draw(values))
        return Outcome(value=damaged(exercise.reference(*copy_of(args)), data.draw))
    with np.errstate(all="ignore"):
        verdict = judge(exercise, call, drawn)
    assert isinstance(verdict.message, str)
    assert verdict.message
    assert verdict.passed in (True, False)


@settings(max_examples=200, deadline=None)
@given(st.tuples(st.sampled_from(["value", "late", "not started", "raised", "unusable", "missing", "score", ""]))
       .flatmap(lambda kind: st.lists(values, max_size=4).map(lambda rest: (*kind, *rest))))
def test_any_message_from_the_sandbox_is_an_outcome(message):
    exercise = EXERCISES["4.2"]
    found = outcome(message, exercise, exercise.cases(np.random.default_rng(0))[0], 5)
    assert isinstance(found, Outcome)
    assert found.error is None or isinstance(found.error, str)
    assert set(found.changed) <= set(exercise.arguments)


@given(st.text())
def test_what_comes_into_a_report_is_printable_and_bounded(text):
    clean = cleaned(text, 50)
    assert len(clean) <= 52
    assert [c for c in clean if not (c.isprintable() or c == "\n")] == []


ROOT = Path(__file__).parent.parent.parent
UPDATE = EXERCISES["4.2"]
ARGS = UPDATE.cases(np.random.default_rng(0))[0]


@pytest.mark.parametrize("id", EXERCISES)
def test_arguments_that_were_sent_and_came_back_count_as_unchanged(id):
    for args in EXERCISES[id].cases(np.random.default_rng(1)):
        assert changed(EXERCISES[id], args, decode(io.BytesIO(encode(args)).read)) == ()


def test_an_argument_that_was_written_into_is_named():
    after = copy_of(ARGS)
    after[2][0, 0] += 1
    assert changed(UPDATE, ARGS, after) == ("f",)


@pytest.mark.parametrize("after", [None, (), [1], ({},) * 4, ([[1]],) * 4, "text", (None,) * 3])
def test_arguments_that_do_not_come_back_count_as_changed(after):
    assert changed(UPDATE, ARGS, after) == tuple(UPDATE.arguments)


def test_a_key_taken_out_and_put_back_is_no_change():
    exercise = EXERCISES["4.1"]
    x, h, params = exercise.cases(np.random.default_rng(0))[0]
    assert changed(exercise, (x, h, params), (x, h, dict(reversed(params.items())))) == ()


@pytest.mark.parametrize(("value", "several", "wanted"), [
    ([["x" * 1900] * 3, [1]], False, [None, None]), ([1, [2, np.float32(3)]], False, [1, [2, np.float32(3)]]),
    (([["x"]], 1), False, ([None], 1)), ([["x"], "y"], True, [[None], "y"]),
    ({"a": [1, "x"]}, False, {"a": [None, None]}), ([None], False, [None]),
    ("text", False, "text"), ([{}], False, [None]), ([True], False, [True])])
def test_a_list_of_more_than_numbers_is_emptied_before_numpy_sees_it(value, several, wanted):
    assert tame(value, several) == wanted


def test_an_answer_over_which_the_judge_stumbles_is_wrong_and_no_fault_of_the_grader(capsys):
    def stumble(args, value):
        raise TypeError("odd")
    exercise = replace(UPDATE, accept=stumble)
    verdict = judged(exercise, lambda args: Outcome(value=UPDATE.reference(*args)), np.random.default_rng(0))
    assert not verdict.passed
    assert verdict.message.startswith("what your function returned cannot be read: TypeError")
    assert "TypeError: odd" in capsys.readouterr().err                  # the instructor sees it


@pytest.mark.parametrize("outcome", [Outcome(error="late"), None])
def test_a_fault_that_no_answer_has_caused_stays_the_graders(outcome, monkeypatch):
    def judge(exercise, call, rng):
        if outcome:
            call(())
        raise KeyError("a bug")
    monkeypatch.setattr(scoring, "judge", judge)
    with pytest.raises(KeyError):
        judged(UPDATE, lambda args: outcome, None)


def test_what_cannot_be_used_is_told_as_returned_and_what_was_raised_as_it_is():
    assert outcome(("unusable", "a set"), UPDATE, ARGS, 5).error == "It returned a set. Wanted arrays or numbers."
    assert outcome(("raised", "ValueError: a set"), UPDATE, ARGS, 5).error == "ValueError: a set"
    assert outcome(("missing",), UPDATE, ARGS, 5).error == "It is no function any more."
    assert outcome(("anything",), UPDATE, ARGS, 5).error == "It broke the connection."
    assert outcome(("not started",), UPDATE, ARGS, 5).not_started


class Sessions:
    """A sandbox whose sessions read as told, one after the other, and define these functions."""

    bounds = SimpleNamespace(total=100, cells=20, call=10)

    def __init__(self, reads, functions=()):
        self.reads, self.functions, self.closed, self.heading = list(reads), list(functions), 0, ""

    def session(self):
        return self

    def read(self, data):
        said = self.reads.pop(0)
        if isinstance(said, ProtocolError):
            raise said
        return said

    def run(self, skip, seconds, functions, helpers):
        yield "ready", [np.zeros(3), 7, *self.functions]

    def call(self, name, args, seconds):
        said = self.answers.pop(0)
        if isinstance(said, ProtocolError):
            raise said
        return said

    def close(self):
        self.closed += 1


def opened(sandbox):
    run = Run(b"", [UPDATE, EXERCISES["4.3"]], sandbox, scoring.time.monotonic() + 100)
    return run, run.defines("cell_update")


def test_a_notebook_that_cannot_be_read_once_is_read_again():
    run, defined = opened(Sessions([Closed("gone"), None], ["cell_update"]))
    assert defined
    assert not run.defines("lstm_cell_forward")


def test_a_notebook_that_cannot_be_read_twice_is_refused():
    with pytest.raises(scoring.Refused, match="within the limits"):
        opened(Sessions([Closed("gone"), Closed("gone")]))


@pytest.mark.parametrize(("ending", "told"), [(Late("slow"), "It took longer than 10 s and did not end"),
                                              (Closed("gone"), "It ended the process")])
def test_after_a_call_that_ends_the_session_the_next_has_a_new_one(ending, told):
    sandbox = Sessions([None, None], ["cell_update"])
    sandbox.answers = [ending, ("value", 1.0, ARGS)]
    run, _ = opened(sandbox)
    call = run.caller(UPDATE)
    assert call(ARGS).error.startswith(told)
    assert call(ARGS) == Outcome(value=1.0)
    assert sandbox.reads == []                                    # the cells have run twice


def test_a_session_that_refuses_is_closed():
    sandbox = Sessions(["no notebook"])
    with pytest.raises(scoring.Refused, match="no notebook"):
        opened(sandbox)
    assert sandbox.closed == 1


def test_a_lesson_defines_nothing():
    sandbox = Sessions([None], ["cell_update"])
    sandbox.heading = "# 04 · Build an LSTM cell, gate by gate"
    run, defined = opened(sandbox)
    assert not defined
    assert "04 · Build an LSTM cell" in run.remarks[0]
    assert sandbox.closed == 1


# What a submission may import from the course.

OFFERED = sorted({path for exercise in EXERCISES.values() for path in exercise.helpers})


@pytest.mark.parametrize("path", OFFERED)
def test_a_helper_gives_no_exercise_away(path):
    module, _, name = f"lstmcourse.{path}".rpartition(".")
    helper = getattr(import_module(module), name)
    for exercise in EXERCISES.values():
        def call(args):
            try:
                return Outcome(value=helper(*args))
            except Exception as error:
                return Outcome(error=str(error))
        with np.errstate(all="ignore"):
            assert not judge(exercise, call, np.random.default_rng(0)).passed, exercise.id


def helper_cell(lesson):
    """The functions that the exercise notebook of a lesson defines for the learner."""
    whole = nbformat.read(ROOT / "exercises" / f"{lesson}.ipynb", as_version=4)
    asked = {exercise.function for exercise in EXERCISES.values()}
    cells = [cell.source for cell in whole.cells if cell.cell_type == "code" and "import numpy" in cell.source]
    return {node.name for source in cells for node in ast.parse(source).body
            if isinstance(node, ast.FunctionDef) and node.name not in asked}


@pytest.mark.parametrize("lesson", sorted({exercise.lesson for exercise in EXERCISES.values()}))
def test_the_helpers_are_those_that_the_exercises_notebook_shows(lesson):
    offered = {path.rpartition(".")[2] for e in EXERCISES.values() if e.lesson == lesson for path in e.helpers}
    assert offered == helper_cell(lesson)


def test_a_helper_that_an_exercise_asks_for_is_not_offered():
    offered = frozenset(EXERCISES["4.1"].helpers)
    assert [module for module, _ in helpers(frozenset(["forget_gate"]), offered)] == ["lstmcourse.layers"]
    assert helpers(frozenset(["forget_gate", "sigmoid"]), offered) == []


@pytest.mark.parametrize("folder", ["notebooks", "exercises", "solutions"])
def test_the_first_heading_tells_a_lesson_from_all_other_notebooks(folder):
    paths = [path for path in sorted((ROOT / folder).glob("*.ipynb")) if path.stem[:2].isdigit()]
    assert paths
    for path in paths:
        whole = nbformat.read(path, as_version=4)
        heading = next(cell.source for cell in whole.cells if cell.cell_type == "markdown").split("\n")[0]
        assert bool(scoring.LESSON.match(heading)) == (folder == "notebooks"), heading
