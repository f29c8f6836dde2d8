"""File names as they come, from browsers, Windows, Moodle and Canvas: whose is it, and is it a notebook?"""

import re
from pathlib import PurePosixPath
from typing import NamedTuple

# what browsers and mail programs make of a download: .ipynb.txt, .ipynb.json, ".ipynb (1)", .IPYNB
NOTEBOOK = re.compile(r"\.ipynb(?:[ _.-]?(?:\(\d+\)|\d+|copy|txt|json|download))*$", re.IGNORECASE)
SOMEBODYS = (".py", ".pdf", ".doc", ".docx", ".odt", ".rtf", ".html", ".htm", ".rar", ".7z", ".gz", ".tgz", ".tar",
             ".jpg", ".jpeg", ".png")       # no notebook, and yet what somebody handed in
MOODLE = re.compile(r"^(?P<student>.+)_(?P<id>\d+)_assignsubmission_[a-z]+(?:_(?P<rest>.*))?$", re.DOTALL)
CANVAS = re.compile(r"^(?P<student>[^\W_]+)(?:_LATE)?_(?P<id>\d+)_\d+_(?P<rest>.+)$", re.DOTALL)


class Owner(NamedTuple):
    """Whose a file or folder is."""
    student: str               # as it is shown
    key: str                   # what tells the student's work from all others', in this run and the next
    id: str | None             # in Moodle or Canvas
    rest: str                  # the file's own name


def owner(name, canvas=False):
    """From the name of a file or folder at the top. canvas: all names there have the form that Canvas gives them."""
    if found := MOODLE.match(name):
        return Owner(readable(found["student"]), storable(f"{found['student']}_{found['id']}_assignsubmission"),
                     found["id"], found["rest"] or name)
    if canvas:
        found = CANVAS.match(name)
        return Owner(readable(found["student"]), storable(f"{found['student']}_{found['id']}"), found["id"],
                     found["rest"])
    return Owner(readable(stem(name)), storable(name), None, name)


def from_canvas(names):
    """Do all names of a flat folder have the form doejane_LATE_1234_5678_04_lstm.ipynb?"""
    found = [CANVAS.match(name) for name in names]
    return bool(found) and all(match and match["student"] == match["student"].lower() for match in found)


def moodle_id(key):
    found = re.search(r"_(\d+)_assignsubmission$", key)
    return found and found[1]


def moodle_name(key):
    found = re.match(r"(.+)_\d+_assignsubmission$", key, re.DOTALL)
    return found and readable(found[1])


def canvas_id(key):
    found = re.search(r"_(\d+)$", key)
    return found and found[1]


def is_notebook(name):
    return bool(NOTEBOOK.search(name))


def is_archive(name):
    return name.lower().endswith(".zip")


def stem(name):
    """The name without what makes it a notebook, an archive or another kind of file."""
    if found := NOTEBOOK.search(name):
        return name[:found.start()]
    return name[:-len(PurePosixPath(name).suffix)] if name.lower().endswith((".zip", *SOMEBODYS)) else name


def hidden(name):
    """Checkpoints, and what systems leave behind."""
    return name.startswith((".", "__MACOSX")) and name != ".." or name.lower() in ("thumbs.db", "desktop.ini")


def readable(name):
    """A file name as text: what is not UTF-8 is read as Latin-1, what is not printable becomes a question mark."""
    text = "".join(chr(ord(c) - 0xDC00) if "\udc80" <= c <= "\udcff" else c for c in name)
    return "".join(c if c.isprintable() else "?" for c in text)[:200] or "?"


def storable(name):
    """A file name as text that can be stored, and no other name comes to."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def unique(found):
    """Two students of one name are told apart by their number in Moodle or Canvas, else they get a number each."""
    counts = {}
    for entry in found:
        counts[entry.student.casefold()] = counts.get(entry.student.casefold(), 0) + 1
    taken, result = set(), []
    for entry in found:
        base = name = f"{entry.student} ({entry.id})" if entry.id and counts[entry.student.casefold()] > 1 else \
            entry.student
        n = 1
        while name.casefold() in taken:
            n += 1
            name = f"{base} ({n})"
        taken.add(name.casefold())
        result.append(entry._replace(student=name))
    return result
