"""`check`: the verdict in the notebook. It calls the learner's function with a time limit and never raises."""

import ctypes
import inspect
import sys
import threading
import time
from dataclasses import replace

import numpy as np

from lstmcourse.practice import foreign, kept, progress
from lstmcourse.practice.exercise import Verdict
from lstmcourse.practice.judging import judge
from lstmcourse.practice.observe import observe, straight
from lstmcourse.practice.registry import EXERCISES

SEED = 5                    # the same cases every time, so that a message can be compared with the one before it
GRACE = 1.0                 # seconds in which a call that overran must end before it is left to itself


def check(id, function, quiet=False):
    """Show the verdict on your function and return it; keep the progress.

    id        the exercise, "4.3"
    function  your function itself, without brackets behind it
    quiet     True: show nothing and keep nothing, for a test that only asks whether it passed

    The Verdict has passed (bool), message (str) and mistake: the name of the known mistake, or None.
    """
    verdict = verdict_on(str(id), function)
    if quiet:
        return verdict
    if verdict.started and verdict.id in EXERCISES and not _is_solution(function):
        note = progress.save(verdict.id, verdict.passed) or (verdict.passed and kept.keep(verdict.id, function))
        notes = filter(None, [verdict.message, verdict.passed and foreign.note_on(verdict.id, function), note])
        verdict = replace(verdict, message="\n".join(notes))
    return _show(verdict)


def verdict_on(id, function):
    """The Verdict on a function, not shown, nothing kept."""
    if id not in EXERCISES:
        return Verdict(id, False, f"There is no exercise {id!r}. There are: {', '.join(EXERCISES)}.", started=False)
    exercise = EXERCISES[id]
    if not callable(function):
        return Verdict(id, False, f"check wants the function itself: check({id!r}, {exercise.function}), with no "
                       f"brackets behind the name. What came is a {type(function).__name__}.")
    try:
        inspect.signature(function).bind(*exercise.arguments)
    except TypeError:
        return Verdict(id, False, f"Your function takes {inspect.signature(function)}; wanted "
                       f"({', '.join(exercise.arguments)}).")
    except ValueError:
        pass                                            # no signature to be had: a NumPy function, say
    run = with_time_limit(exercise.seconds)
    try:
        verdict = judge(exercise, lambda args: observe(exercise, function, args, run), np.random.default_rng(SEED),
                        pairs=True)
        return replace(verdict, onward=exercise.onward, shortest=exercise.shortest) if verdict.passed else verdict
    except Exception as error:                          # a list that holds itself, an object that refuses to be read
        return Verdict(id, False, f"what your function returned cannot be read: {type(error).__name__}. Wanted: "
                       f"{exercise.signature.split('->')[1].strip()}.")


TimeUp = SystemExit         # ends a call that takes too long. No subclass: only SystemExit itself ends a thread quietly


def with_time_limit(seconds):
    """A `run` for `observe` that ends a call after so many seconds.

    The call runs in a thread, and TimeUp is raised in it: the one way that works in the kernel, on
    Linux, macOS and Windows alike. It arrives between two lines of Python; a call that is inside
    one long NumPy or C function, or that swallows every exception, is left to itself after GRACE.
    """
    def run(function, args):
        result = []

        def target():
            try:
                result.append(straight(function, args))
            except BaseException as error:              # sys.exit() and the like; TimeUp, which nobody reads
                result.append((None, error))

        thread = threading.Thread(target=target, daemon=True)
        thread.start()
        problem = None
        try:
            _join(thread, seconds)
            if thread.is_alive():
                problem = TimeoutError(f"no answer after {seconds:g} seconds. Is there a loop that never ends?")
        except KeyboardInterrupt:
            problem = InterruptedError("you stopped it.")
        deadline = time.monotonic() + GRACE
        while thread.is_alive() and time.monotonic() < deadline:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(TimeUp))
            _join(thread, 0.1)
        if problem and thread.is_alive():
            problem = type(problem)(f"{problem} It could not be stopped and still runs: restart the kernel before you "
                                    "go on (menu Kernel, Restart Kernel).")
        return (None, problem) if problem or not result else result[0]
    return run


def _join(thread, seconds):
    """thread.join in small steps: where a join cannot be interrupted (Windows), the stop button still works."""
    deadline = time.monotonic() + seconds
    while thread.is_alive() and time.monotonic() < deadline:
        thread.join(min(0.05, max(0, deadline - time.monotonic())))


def _is_solution(function):
    """Is it the course's own solution, run in solutions/? That is not the learner's progress."""
    try:
        return "### BEGIN SOLUTION" in inspect.getsource(function)
    except (OSError, TypeError):
        return False


def _show(verdict):
    """Show verdict, once, whether or not check(...) stands last in its cell or is printed; returns it."""
    shown = ShownVerdict(**vars(verdict))
    if _shell() is None:
        print(verdict)
        shown._is_shown()
    else:
        shown._ipython_display_()
    return shown


def _shell():
    """IPython's shell where there is one; IPython is not imported to find out."""
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


class ShownVerdict(Verdict):
    """A Verdict that `check` has shown. In the same cell it shows nothing more: print(check(...)) shows it once."""

    _shown_in = None                                    # a class's attribute: no field of the dataclass

    def _is_shown(self):
        object.__setattr__(self, "_shown_in", self._cell())

    def _cell(self):
        return getattr(_shell(), "execution_count", "no cell")

    def __str__(self):
        return "" if self._shown_in == self._cell() else super().__str__()

    def _ipython_display_(self):
        from IPython.display import display
        if self._shown_in != self._cell():
            text = str(self)
            self._is_shown()
            display({"text/plain": text, "text/html": self._repr_html_()}, raw=True)
