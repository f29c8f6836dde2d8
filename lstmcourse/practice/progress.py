"""What the learner has done, across notebooks: one small file an exercise in their own data folder.

A file is written beside its place and then moved there, which is atomic; it is never changed
afterwards. So a crash leaves no half file, and two kernels at once cannot undo each other: there
is nothing to lock and nothing to merge.
"""

import argparse
import contextlib
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path

from platformdirs import user_data_path

from lstmcourse.practice.registry import EXERCISES

FOLDER = "LSTMCOURSE_PROGRESS"             # an environment variable: another folder than the usual one


def folder():
    """Where the progress is kept: the data folder that this platform gives every program."""
    return Path(os.environ[FOLDER]) if os.environ.get(FOLDER) else user_data_path("lstmcourse", False) / "progress"


def save(id, passed):
    """Keep that exercise id was tried, or passed. Returns "" or, where that cannot be, the reason in words."""
    place = folder() / f"{id}.{'passed' if passed else 'tried'}"
    if place.exists():
        return ""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=place.parent, suffix=".draft")
        try:
            with os.fdopen(handle, "w") as file:
                file.write(datetime.now().isoformat(timespec="minutes"))
            os.replace(draft, place)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(draft)
            raise
    except OSError as error:
        return f"(Your progress was not saved in {place.parent}: {error.strerror or error}.)"
    return ""


def load():
    """{"4.3": "passed" or "tried"} for every exercise that was begun."""
    done = {}
    for state in ("tried", "passed"):
        done |= {id: state for id in EXERCISES if (folder() / f"{id}.{state}").exists()}
    return done


@dataclass(frozen=True)
class Progress:
    """A picture of the progress at one moment, as text and as HTML."""
    done: dict

    @property
    def lessons(self):
        """lesson -> its exercises, in order."""
        found = {}
        for exercise in EXERCISES.values():
            found.setdefault(exercise.lesson, []).append(exercise)
        return found

    @property
    def summary(self):
        passed = sum(state == "passed" for state in self.done.values())
        return f"{passed} of {len(EXERCISES)} exercises passed"

    def __str__(self):
        marks = {"passed": "[x]", "tried": "[~]", None: "[ ]"}
        lines = [f"{self.summary}   [x] passed  [~] tried"]
        for lesson, exercises in self.lessons.items():
            lines += ["", lesson] + [f"  {marks[self.done.get(e.id)]} {e.id}  {e.title}" for e in exercises]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self):
        colors = {"passed": "#007d5a", "tried": "#b05a00", "not started": "#7d848b"}
        rows = ""
        for lesson, exercises in self.lessons.items():
            cells = ""
            for e in exercises:
                state = self.done.get(e.id, "not started")
                cells += (f"<li style='margin:.1em 0'>{escape(e.id)} {escape(e.title)}: "
                          f"<b style='color:{colors[state]}'>{state}</b></li>")
            link = f"<a href='../exercises/{lesson}.ipynb'>{lesson}</a>"
            rows += f"<p style='margin:.6em 0 .1em'>{link}</p><ul style='margin:0'>{cells}</ul>"
        return f"<p><b>{self.summary}</b></p>{rows}"


def show_progress():
    """What you have done so far: for the last cell of lesson 00. Run it again to bring it up to date."""
    return Progress(load())


def main(argv=None):
    """`lstmcourse progress`"""
    parser = argparse.ArgumentParser(prog="lstmcourse progress", description="Show which exercises you have passed.")
    parser.parse_args(argv)
    print(show_progress())
    print(f"\nkept in {folder()}")
    return 0
