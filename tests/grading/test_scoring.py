"""Whatever the sandbox answers, the judge has a verdict: nothing a notebook returns is an error of the grader."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmcourse.grading.scoring import cleaned, outcome
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
    found = outcome(message, ["x", "h"], 5)
    assert isinstance(found, Outcome)
    assert found.error is None or isinstance(found.error, str)
    assert set(found.changed) <= {"x", "h"}


@given(st.text())
def test_what_comes_into_a_report_is_printable_and_bounded(text):
    clean = cleaned(text, 50)
    assert len(clean) <= 52
    assert all(c.isprintable() or c == "\n" for c in clean)
