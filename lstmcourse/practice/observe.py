"""One call of a learner's function, observed: its own copies of the arguments, errors caught."""

import contextlib
import io
import traceback
import warnings

from lstmcourse.practice.exercise import Outcome
from lstmcourse.practice.values import copy_of, unchanged


def straight(function, args):
    """The result of the call and the exception that ended it; one of the two is None."""
    try:
        return function(*args), None
    except Exception as error:
        return None, error


def observe(exercise, function, args, run=straight):
    """Outcome of function on copies of args.

    run  calls it: run(function, args) returns (value, exception or None)
    """
    given, caught = copy_of(tuple(args)), io.StringIO()
    with warnings.catch_warnings(record=True) as warned, contextlib.redirect_stdout(caught):
        warnings.simplefilter("always")
        value, error = run(function, given)
    lines = dict.fromkeys(f"{w.category.__name__}: {w.message}" for w in warned)
    changed = tuple(name for name, before, after in zip(exercise.arguments, args, given, strict=True)
                    if not unchanged(before, after))
    return Outcome(copy_of(value), error and error_in_words(error, function), changed,
                   caught.getvalue(), isinstance(error, NotImplementedError), "\n".join(lines))


def error_in_words(error, function):
    """An exception in words: its type, what it says, and the learner's line in which it arose."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    own_file = getattr(getattr(function, "__code__", None), "co_filename", None)
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__)
             if frame.filename == own_file and frame.line]
    return text + (f"\nIt arose in your line:  {lines[-1]}" if lines else "")
