"""What the learner has done, across notebooks: small files in their own data folder, a folder an edition.

A file is written beside its place and then moved there, which is atomic. So a crash leaves no half file,
and two kernels at once cannot undo each other: there is nothing to lock and nothing to merge. What an
older edition left is never deleted and never counted.
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
EDITION = "2"                              # exercises of another edition are other exercises
TRANSLATOR = {                             # part of the translator of lesson 14 -> exercises for it, the best first
    "cell": ("4.3",), "backward pass": ("5.2", "5.1"), "loss": ("7.3", "1.3"), "attention, weights": ("8.1",),
    "attention, context": ("8.3",), "attention, backward pass": ("8.4",), "clipping": ("3.1",), "decoding": ("7.6",)}
KINDS = ("tried", "passed", "py")          # "4.3.passed"; "4.3.py" is the function that passed


def folder():
    """Where the progress is kept: the data folder that this platform gives every program."""
    return Path(os.environ[FOLDER]) if os.environ.get(FOLDER) else user_data_path("lstmcourse", False) / "progress"


def place(id, kind):
    """The file of one exercise."""
    return folder() / EDITION / f"{id}.{kind}"


def save(id, passed):
    """Keep that exercise id was tried, or passed. Returns "" or, where that cannot be, the reason in words."""
    target = place(id, "passed" if passed else "tried")
    return "" if target.exists() else write(target, datetime.now().isoformat(timespec="minutes"))


def write(target, text):
    """Write a file, whole or not at all. Returns "" or, where that cannot be, the reason in words."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=target.parent, suffix=".draft")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(draft, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(draft)
            raise
    except OSError as error:
        return f"(Your progress was not saved in {target.parent}: {error.strerror or error}.)"
    return ""


def load():
    """{"4.3": "passed" or "tried"} for every exercise that was begun."""
    done = {}
    for state in ("tried", "passed"):
        done |= {id: state for id in EXERCISES if place(id, state).exists()}
    return done


def parts():
    """{"cell": "4.3", "clipping": None, …}: the exercise whose kept function is each part, None: the library's."""
    return {part: next((id for id in ids if place(id, "py").exists()), None) for part, ids in TRANSLATOR.items()}


def in_words(parts):
    """part -> yours, with its exercise, or the library's."""
    return {part: f"yours ({id})" if id else "the library's" for part, id in parts.items()}


def forget(ids):
    """Move what is kept of these exercises out of the way; returns the folder in which it is now, or None."""
    files = [place(id, kind) for id in ids for kind in KINDS if place(id, kind).exists()]
    if not files:
        return None
    target = folder() / "forgotten" / datetime.now().isoformat().replace(":", "-")
    target.mkdir(parents=True)
    for file in files:
        os.replace(file, target / file.name)
    return target


@dataclass(frozen=True)
class Progress:
    """A picture of the progress at one moment, as text and as HTML."""
    done: dict
    parts: dict

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
        lines += ["", "parts of a network"] + [f"  {part}: {whose}" for part, whose in in_words(self.parts).items()]
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
        whose = "; ".join(f"{part}: {whose}" for part, whose in in_words(self.parts).items())
        return f"<p><b>{self.summary}</b></p>{rows}<p>parts of a network: {escape(whose)}</p>"


def show_progress():
    """What you have done so far: for the last cell of lesson 00. Run it again to bring it up to date."""
    return Progress(load(), parts())


def main(argv=None):
    """`lstmcourse progress`"""
    parser = argparse.ArgumentParser(
        prog="lstmcourse progress", description="Show which exercises you have passed, and which parts of a network "
        "are your own functions.")
    parser.add_argument("--forget", nargs="+", metavar="ID", default=[], help="start these exercises afresh, for "
                        "example 5.1: what is kept of them is moved away, not deleted")
    parser.add_argument("--all", action="store_true", help="the same for all exercises")
    args = parser.parse_args(argv)
    unknown = [id for id in args.forget if id not in EXERCISES]
    if unknown:
        parser.error(f"there is no exercise {unknown[0]}; there are: {', '.join(EXERCISES)}")
    if args.forget or args.all:
        return ask_and_forget(list(EXERCISES) if args.all else args.forget)
    print(show_progress())
    print(f"\nkept in {folder() / EDITION}")
    return 0


def ask_and_forget(ids):
    """Forget after a "yes"; the exit status."""
    begun = [id for id in ids if any(place(id, kind).exists() for kind in KINDS)]
    if not begun:
        print("Nothing is kept of " + ("these exercises." if len(ids) > 1 else f"exercise {ids[0]}."))
        return 0
    try:
        answer = input(f"Forget {', '.join(begun)}, with your functions? Nothing is deleted, it is moved. [yes/no] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        print("Nothing was moved.")
        return 1
    print(f"moved to {forget(begun)}")
    return 0
