"""What was handed in: a notebook, a folder, or a zip of either, read as data and within bounds.

Regular files only, never through a link, none larger than its bound, no path that leads outside.
The bytes are not looked into here: they are parsed inside the sandbox.
"""

import contextlib
import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from lstmcourse.grading.names import (
    MOODLE,
    SOMEBODYS,
    from_canvas,
    hidden,
    is_archive,
    is_notebook,
    owner,
    readable,
    unique,
)

FILE = 100 << 20               # bytes of one notebook
NOTEBOOKS = 20                 # of one student
ENTRIES = 10_000               # in one student's folder or archive
DEPTH = 2                      # a student's archive, and one in it
DIRECTORY = 50 << 20           # bytes of an archive's table of contents; one of 100,000 files has 10 MB


class Refused(Exception):
    """This cannot be graded; str() says why, for the student."""


class WrongUse(Exception):
    """SUBMISSIONS is not what it should be; str() says why, for the instructor."""


@dataclass(frozen=True)
class Submission:
    """One student's work: notebooks (name, bytes), or why it is refused."""
    student: str
    key: str                   # what tells it from all others, and is the same in the next run
    notebooks: tuple = ()
    sha256: str | None = None
    refused: str | None = None

    @property
    def file(self):
        """The one name, or the list of names, as grades.json has it."""
        names = [name for name, _ in self.notebooks]
        return names[0] if len(names) == 1 else names or readable(self.key)


class Entry(NamedTuple):
    """A student's place in SUBMISSIONS; nothing of it is read before `load`."""
    student: str
    key: str
    id: str | None             # in Moodle or Canvas
    parts: tuple               # of functions: part(reading) adds what is there; they may raise Refused

    def load(self):
        try:
            notebooks = tuple(sorted(Reading().of(self.parts)))
        except Refused as reason:
            return Submission(self.student, self.key, refused=str(reason))
        except OSError as error:
            return Submission(self.student, self.key, refused=f"The file cannot be read: {error.strerror}.")
        digest = hashlib.sha256(notebooks[0][1] if len(notebooks) == 1 else b"")
        if len(notebooks) > 1:
            for name, data in notebooks:
                digest.update(hashlib.sha256(name.encode()).digest() + hashlib.sha256(data).digest())
        return Submission(self.student, self.key, notebooks, digest.hexdigest())


class Item(NamedTuple):
    """What lies at the top of SUBMISSIONS."""
    name: str
    part: Callable             # as in Entry
    folder: bool


def entries(path, whole=False):
    """(entries, names of the files that are none), of a notebook, a folder or a zip; WrongUse if it is none of these.

    whole  the folder or zip is one student's, as on Gradescope
    """
    path = Path(path)
    if not path.exists():
        raise WrongUse(f"there is no {readable(str(path))}")
    archive, one = is_archive(path.name), whole or is_notebook(path.name) and not path.is_dir()
    if path.is_dir() and not whole:
        items = of_folder(path)
    elif archive and not whole:
        items = of_zip(path)
    elif one:
        items = [Item(path.name, in_folder(path) if path.is_dir() else in_file(path, path.name, whole), False)]
    else:
        raise WrongUse(f"{readable(str(path))} is no notebook, folder or zip")
    if one:
        return [Entry(owner(path.name).student, owner(path.name).key, None, (items[0].part,))], []
    return grouped([item for item in items if not hidden(item.name)], readable(str(path)))


def grouped(items, path):
    """Each student's entry, of all that is there of the student; and what seems to be nobody's."""
    canvas = from_canvas([item.name for item in items if not item.folder]) and not any(item.folder for item in items)
    groups, ignored, gradable = {}, [], False
    for item in items:
        whose = owner(item.name, canvas)
        works = item.folder or is_notebook(item.name) or is_archive(item.name)
        if works or whose.id or item.name.lower().endswith(SOMEBODYS):
            groups.setdefault(whose.key, (whose, []))[1].append(item.part)
            gradable = gradable or works
        else:
            ignored.append(readable(item.name))
    if not gradable:
        raise WrongUse(f"{path} holds no submission: wanted a notebook or a folder for each student")
    found = [Entry(whose.student, whose.key, whose.id, tuple(parts)) for whose, parts in groups.values()]
    return unique(found), ignored


def of_folder(path):
    return [Item(item.name, in_folder(item) if item.is_dir() or item.is_symlink() else in_file(item, item.name),
                 item.is_dir() or item.is_symlink() and not is_notebook(item.name))
            for item in sorted(path.iterdir())]


def of_zip(path):
    """A zip of notebooks, of folders, of zips, or of one folder that holds these."""
    with open_zip(opened(path), wrong=WrongUse) as archive:
        files = [parts for parts in map(parts_of, archive.infolist()) if parts and not any(map(hidden, parts))]
    tops = {parts[0] for parts in files}
    inner = int(len(tops) == 1 and len(files) > 1 and all(len(parts) > 1 for parts in files)
                and not MOODLE.match(files[0][0]))
    members = {}
    for parts in files:
        members.setdefault(parts[inner], set()).add(parts)
    return [Item(top, in_zip(path, inner, parts), any(len(own) > inner + 1 for own in parts))
            for top, parts in sorted(members.items())]


def parts_of(info):
    """The path of an archive's file; () of a folder. Windows writes backslashes; some write UTF-8 and do not say so."""
    name = info.filename
    if not info.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    name = name.replace("\\", "/")
    return () if name.endswith("/") else PurePosixPath(name).parts


class Reading:
    """The notebooks of one student, as they are found, and the bounds on all of it together."""

    def __init__(self):
        self.notebooks, self.others, self.problems, self.entries, self.total = [], [], [], 0, 0

    def of(self, parts):
        """[(name, bytes)]; Refused if there are none or too many."""
        for part in parts:
            part(self)
        if not self.notebooks:
            others = f", but {', '.join(self.others[:5])}{' …' if len(self.others) > 5 else ''}" if self.others else ""
            raise Refused(self.problems[0] if self.problems else f"There is no notebook (.ipynb) in it{others}.")
        return self.notebooks

    def count(self, more, what):
        self.entries += more
        if self.entries > ENTRIES:
            raise Refused(f"The {what} holds more than {ENTRIES} files. Hand in the notebooks alone.")

    def file(self, name, read, depth=0):
        """A file that was found; read() gives its bytes."""
        if is_notebook(name):
            if len(self.notebooks) == NOTEBOOKS:
                raise Refused(f"There are more than {NOTEBOOKS} notebooks in it; no more can be graded.")
            self.notebooks.append((readable(name), self.bytes(read)))
        elif is_archive(name) and depth < DEPTH:
            try:
                self.archive(io.BytesIO(self.bytes(read)), f"{name}/", depth + 1)
            except Refused as reason:                 # there may be a notebook beside it
                self.problems.append(str(reason))
        else:
            self.others.append(readable(name))

    def bytes(self, read):
        data = read()
        self.total += len(data)
        if self.total > 2 * FILE:
            raise Refused(f"The notebooks are larger than {2 * FILE >> 20} MB together.")
        return data

    def archive(self, file, prefix="", depth=1, members=None, inner=0):
        """What is in a zip; members: only these paths, without their first `inner` folders."""
        with open_zip(file) as archive:
            infos = [(parts_of(info), info) for info in archive.infolist()]
            infos = [(parts, info) for parts, info in infos if parts and (members is None or parts in members)]
            self.count(len(infos), "archive")
            for parts, _ in infos:
                if ".." in parts or parts[0] == "/" or ":" in parts[0][:3]:
                    raise Refused("The archive holds a path that leads outside. Hand in the notebook itself.")
            for parts, info in infos:
                if not any(map(hidden, parts)):
                    self.file(prefix + "/".join(parts[inner:]), lambda info=info: read_member(archive, info), depth)


def in_file(path, name, whole=False):
    def part(reading):
        if is_archive(name):
            reading.archive(opened(path))
        elif whole:                                   # Gradescope may have given it another name
            reading.notebooks.append((readable(name), reading.bytes(lambda: read_file(path))))
        else:
            reading.file(name, lambda: read_file(path))
    return part


def in_folder(path):
    """The notebooks anywhere in a folder."""
    def part(reading):
        if path.is_symlink():
            raise Refused("The submission is a link, not a folder. Hand in the notebook itself.")
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if not hidden(name))
            reading.count(len(folders) + len(files), "folder")
            for name in sorted(files):
                if not hidden(name):
                    file = Path(folder, name)
                    reading.file(file.relative_to(path).as_posix(), lambda file=file: read_file(file))
    return part


def in_zip(path, inner, members):
    """One student's files in the zip of a class."""
    def part(reading):
        alone = [parts for parts in members if len(parts) == inner + 1]
        reading.archive(opened(path), depth=0, members=members, inner=inner if alone else inner + 1)
    return part


def opened(path):
    """A regular file, open; never through a link, never waiting for a pipe."""
    if path.is_symlink():
        raise Refused("The submission is a link, not a file. Hand in the notebook itself.")
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    fd = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Refused("The submission is not a regular file. Hand in the notebook itself.")
    return os.fdopen(fd, "rb")


def read_file(path):
    with opened(path) as file:
        return capped(file)


def capped(file):
    data = file.read(FILE + 1)
    if len(data) > FILE:
        raise Refused(f"The notebook is larger than {FILE >> 20} MB. Clear its outputs and hand it in again.")
    return data


def read_member(archive, info):
    if stat.S_ISLNK(info.external_attr >> 16):
        raise Refused("The archive holds a link in place of a notebook. Hand in the notebook itself.")
    if info.flag_bits & 1:
        raise Refused("The archive is protected by a password. Hand in the notebook itself.")
    if info.file_size > FILE:
        raise Refused(f"The notebook is larger than {FILE >> 20} MB. Clear its outputs and hand it in again.")
    try:
        with archive.open(info) as file:
            return capped(file)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError, ValueError) as error:
        raise Refused(f"The archive cannot be unpacked ({type(error).__name__}).") from None
    except Exception as error:                # zlib.error, lzma.LZMAError: whatever the packers raise
        raise Refused(f"The archive is damaged ({type(error).__name__}).") from None


def open_zip(file, wrong=Refused):
    """The archive in an open file, if its table of contents is small enough to be read at all."""
    try:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - (1 << 16) - 22))
        tail = file.read()
        place, sizes = tail.find(b"PK\5\6"), []
        while place >= 0:                     # every place that a reader might take for the table's end
            sizes.append(int.from_bytes(tail[place + 12:place + 16], "little"))
            place = tail.find(b"PK\5\6", place + 1)
        limit = DIRECTORY if wrong is WrongUse else ENTRIES * 200
        if b"PK\6\7" in tail or max(sizes, default=0) > limit:
            raise wrong("The archive holds too many files, or is too large. Unpack it, and hand in the notebooks.")
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError, IndexError, NotImplementedError) as error:
        file.close()
        raise wrong(f"The archive cannot be read ({type(error).__name__}).") from None
    except BaseException:
        file.close()
        raise
