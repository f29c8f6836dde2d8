"""One submission, from its bytes to its grade. The seed, the references and the score stay here, outside.

    graded    the notebook was run; every exercise has its verdict
    refused   the file is no notebook, or none that can be read: no score
    error     the grader's own fault: no score
"""

import functools
import inspect
import re
import threading
import time
import traceback
import zlib
from importlib import import_module
from numbers import Number

import numpy as np

from lstmcourse.grading.protocol import Late, ProtocolError
from lstmcourse.grading.sandbox import LAYERS, NOT_ROOT, Sandbox, SandboxError
from lstmcourse.grading.submissions import Refused
from lstmcourse.practice import EXERCISES, Outcome, Verdict, judge
from lstmcourse.practice.values import unchanged

LESSON = re.compile(r"# \d\db? · ")        # so begins the first heading of every lesson, and of no exercise notebook
RESTARTS = 5                   # of one notebook, leaving out the cell that ended the process each time


def grade(submission, ids, seed, sandbox):
    """The entry of one submission in grades.json, as a dict."""
    start = time.monotonic()
    exercises = [EXERCISES[id] for id in ids]
    result = {"student": submission.student, "file": submission.file, "sha256": submission.sha256, "status": "graded",
              "reason": None, "score": None, "max_score": sum(e.points for e in exercises), "seconds": 0.0,
              "exercises": []}
    try:
        if submission.refused:
            raise Refused(submission.refused)
        verdicts, remarks = verdicts_on(submission, exercises, seed, sandbox)
    except Refused as reason:
        result |= {"status": "refused", "reason": cleaned(str(reason))}
    except SandboxError as error:
        result |= {"status": "error", "reason": cleaned(str(error))}
    except Exception as error:
        sandbox.kill()
        traceback.print_exc()
        result |= {"status": "error", "reason": cleaned(f"the grader failed: {type(error).__name__}: {error}")}
    else:
        result["exercises"] = [
            {"id": e.id, "score": e.points if v.passed else 0, "max_score": e.points, "passed": v.passed,
             "message": cleaned(v.message if v.started else f"Not started. {v.message}"), "mistake": v.mistake}
            for e, v in zip(exercises, verdicts, strict=True)]
        result["score"] = sum(entry["score"] for entry in result["exercises"])
        result["reason"] = cleaned("\n".join(remarks)) or None
    result["seconds"] = round(time.monotonic() - start, 3)
    return result


def verdicts_on(submission, exercises, seed, sandbox):
    """The best verdict on every exercise over all notebooks, and remarks about cells that were left out."""
    end = time.monotonic() + sandbox.bounds.total
    best = {e.id: Verdict(e.id, False, f"Wanted a function {e.function}; there is none.", started=False)
            for e in exercises}
    remarks, refusals = [], []
    for name, data in submission.notebooks:
        run = Run(data, exercises, sandbox, end)
        try:
            for exercise in exercises:
                if not best[exercise.id].passed and run.defines(exercise.function):
                    # drawn only now, when the student's code is loaded
                    numbers = [zlib.crc32(text.encode("utf-8", "replace")) for text in (submission.key, exercise.id)]
                    rng = np.random.default_rng([seed, *numbers])
                    verdict = judged(exercise, run.caller(exercise), rng)
                    if verdict.passed or verdict.started or not best[exercise.id].started:
                        best[exercise.id] = verdict
        except Refused as reason:
            refusals.append(str(reason) if len(submission.notebooks) == 1 else f"{name}: {reason}")
        finally:
            run.close()
        remarks += run.remarks if len(submission.notebooks) == 1 else [f"{name}: {remark}" for remark in run.remarks]
    if len(refusals) == len(submission.notebooks):
        raise Refused("\n".join(refusals))
    return [best[e.id] for e in exercises], refusals + remarks


def judged(exercise, call, rng):
    """`judge`; an answer over which it stumbles is a wrong answer, as for `check`, and no fault of the grader."""
    answered = []

    def noted(args):
        answered.append(call(args))
        return answered[-1]
    try:
        return judge(exercise, noted, rng)
    except (SandboxError, Refused, MemoryError):
        raise
    except Exception as error:
        if not answered or answered[-1].error:
            raise
        traceback.print_exc()
        return Verdict(exercise.id, False, f"what your function returned cannot be read: {type(error).__name__}. "
                       f"Wanted: {exercise.signature.split('->')[1].strip()}.")


class Run:
    """A notebook that has been run in the sandbox, and is run again where its code ended the process.

    A cell that ends the process, or cannot be stopped, is left out the next time.
    """

    def __init__(self, data, exercises, sandbox, end):
        self.data, self.sandbox, self.end = data, sandbox, end
        self.functions = [e.function for e in exercises]
        self.helpers = helpers(frozenset(self.functions), frozenset(path for e in exercises for path in e.helpers))
        self.session, self.found = None, None
        self.skip, self.left_out, self.remarks = [], [], []

    def defines(self, function):
        """Is there such a function once the cells have run? Raises Refused where the file is no notebook."""
        if self.found is None:
            self.open()
        return function in self.found

    def caller(self, exercise):
        """The `call` that `judge` wants: a tuple of arguments in, an Outcome out."""
        bounds = self.sandbox.bounds

        def call(args):
            seconds = min(max(exercise.seconds, bounds.call), self.seconds_left())
            if seconds <= 0:
                return Outcome(error=f"The time for the whole notebook, {bounds.total:.0f} s, was used up.")
            if self.session is None and not self.open():
                return Outcome(error="The notebook's cells end the process whenever they are run again.")
            try:
                return outcome(self.session.call(exercise.function, args, seconds), exercise, args, seconds)
            except Late:
                self.session = None
                return Outcome(error=f"It took longer than {seconds:.0f} s and did not end when it was told to.")
            except ProtocolError:
                self.session = None
                return Outcome(error="It ended the process (or broke the connection) before it returned anything.")
        return call

    def open(self):
        """Run the cells in a new session; False if they do not come to an end, however many are left out."""
        self.found, notes, unread = self.found or [], [], 0
        for _ in range(RESTARTS + 1):
            session, notes = self.sandbox.session(), []
            try:
                refused = session.read(self.data)
            except ProtocolError:                                # no student's code has run yet: it is the file
                unread += 1
                if unread == 2:
                    raise Refused("The file cannot be read within the limits of time and memory.") from None
                continue
            if refused:
                session.close()
                raise Refused(refused)
            if LESSON.match(session.heading):
                session.close()
                self.remarks = [f'This is a lesson of the course ("{session.heading.strip("# ")}"): what it defines is '
                                "not the student's work, and does not count."]
                return False
            if self.run_cells(session, notes) or self.seconds_left() <= 0:
                break
        self.remarks = [*self.left_out, *notes][:20]
        return self.session is not None

    def run_cells(self, session, notes):
        """Is the session ready to be called? If a cell ended it, that cell is left out from now on.

        notes  list that gets what the inside says about cells that failed
        """
        cell, line = None, ""
        seconds = min(self.sandbox.bounds.cells, max(1, self.seconds_left()))
        try:
            for kind, what, *more in session.run(self.skip, seconds, self.functions, self.helpers):
                if kind == "cell":
                    cell, line = what, more[0]
                elif kind == "note":
                    notes.append(what)
                else:
                    names = {name for name in what if isinstance(name, str)}
                    self.found = [name for name in self.functions if name in names]
        except ProtocolError as error:
            if cell is None:
                raise SandboxError(f"the sandbox broke down before the first cell: {error}") from error
            self.skip.append(cell)
            how = "could not be stopped" if isinstance(error, Late) else "ended the process"
            self.left_out.append(f'Cell {cell + 1} ("{line}") {how} and was left out.')
            return False
        self.session = session
        return True

    def seconds_left(self):
        return self.end - time.monotonic()

    def close(self):
        if self.session is not None:
            self.session.close()
            self.session = None


@functools.cache
def helpers(asked, offered):
    """[(module, source)] of what may be imported from the course: what the exercises offer, less what they ask for."""
    modules = {}
    for path in sorted(offered):
        module, _, name = f"lstmcourse.{path}".rpartition(".")
        if name not in asked:
            modules.setdefault(module, []).append(inspect.getsource(getattr(import_module(module), name)))
    return [(module, "\n\n".join(sources)) for module, sources in modules.items()]


def outcome(message, exercise, args, seconds):
    """The Outcome in a message from the sandbox, which may say anything."""
    kind, *rest = message
    if kind == "value" and len(rest) == 2:
        return Outcome(value=tame(rest[0], len(exercise.returns) > 1), changed=changed(exercise, args, rest[1]))
    if kind == "late":
        return Outcome(error=f"It took longer than {seconds:.0f} s and was stopped.")
    if kind == "not started":
        return Outcome(not_started=True)
    if kind in ("raised", "unusable") and len(rest) == 1 and isinstance(rest[0], str):
        text = cleaned(rest[0], 600)
        return Outcome(error=text if kind == "raised" else f"It returned {text}. Wanted arrays or numbers.")
    return Outcome(error="It is no function any more." if kind == "missing" else "It broke the connection.")


def changed(exercise, args, after):
    """The names of the arguments that are no longer what was sent, by the rule of `check`."""
    after = after if isinstance(after, tuple) and len(after) == len(args) else (None,) * len(args)

    def kept(before, now):
        try:
            return unchanged(before, now)
        except Exception:                # a list in place of a dict, say
            return False
    return tuple(name for name, before, now in zip(exercise.arguments, args, after, strict=True)
                 if not kept(before, now))


def tame(value, several=False):
    """A list that does not hold numbers alone loses what it holds: NumPy would pad every number to its longest text.

    several  the exercise wants several results, of which each is looked at by itself
    """
    if isinstance(value, dict):
        return {key: tame(entry) for key, entry in value.items()}
    if isinstance(value, tuple) or (several and isinstance(value, list)):
        return type(value)(tame(entry) for entry in value)
    return [None] * len(value) if isinstance(value, list) and not numbers_alone(value) else value


def numbers_alone(value):
    if isinstance(value, (list, tuple)):
        return all(map(numbers_alone, value))
    return isinstance(value, (np.ndarray, np.generic, Number))


def cleaned(text, most=4000):
    """Text that may come from a student, fit for a report: printable, of bounded length."""
    text = text if len(text) <= most else text[:most] + " …"
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text).strip()


# In a worker process or thread: one sandbox each, kept for the next submission.

kept, slot = threading.local(), None


def grade_here(submission, ids, seed, bounds, required=()):
    """`grade` with this thread's own sandbox: (result, isolation that was used)."""
    sandbox = getattr(kept, "sandbox", None)
    if sandbox is None or (sandbox.bounds, sandbox.required) != (bounds, required):
        sandbox = kept.sandbox = Sandbox(bounds, required=required, slot=slot)
    return grade(submission, ids, seed, sandbox), isolation(sandbox)


def isolation(sandbox):
    """In words: the layers that held, and those that are missing, with the reason."""
    missing = [f"{layer} ({sandbox.missing[layer]})" for layer in LAYERS
               if layer in sandbox.missing and sandbox.missing[layer] != NOT_ROOT]
    held = ", ".join(sandbox.held) or "none: time limits only"
    return f"{held}; missing: {', '.join(missing)}" if missing else held
