"""What was handed in: a notebook, a folder, or a zip of either, read as data and within bounds.

Regular files only, never through a link, none larger than its bound, no path that leads outside.
The bytes are not looked into here: they are parsed inside the sandbox.
"""

import hashlib
import os
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

FILE = 100 << 20               # bytes of one notebook
NOTEBOOKS = 20                 # of one student
ENTRIES = 10_000               # in one student's folder or archive
DIRECTORY = 50 << 20           # bytes of an archive's table of contents; one of 100,000 files has 10 MB


class Refused(Exception):
    """This cannot be graded; str() says why, for the student."""


class WrongUse(Exception):
    """SUBMISSIONS is not what it should be; str() says why, for the instructor."""


@dataclass(frozen=True)
class Submission:
    """One student's work: notebooks (name, bytes), or why it is refused."""
    student: str
    key: str                   # the path inside SUBMISSIONS: what tells it from all others
    notebooks: tuple = ()
    sha256: str | None = None
    refused: str | None = None

    @property
    def file(self):
        """The one name, or the list of names, as grades.json has it."""
        names = [name for name, _ in self.notebooks]
        return names[0] if len(names) == 1 else names or self.key


@dataclass(frozen=True)
class Entry:
    """A student's place in SUBMISSIONS; nothing of it is read before `load`."""
    student: str
    key: str
    notebooks: Callable        # () -> [(name, bytes)]; raises Refused

    def load(self):
        try:
            notebooks = tuple(sorted(self.notebooks()))
        except Refused as reason:
            return Submission(self.student, self.key, refused=str(reason))
        except OSError as error:
            return Submission(self.student, self.key, refused=f"The file cannot be read: {error.strerror}.")
        digest = hashlib.sha256(notebooks[0][1] if len(notebooks) == 1 else b"")
        if len(notebooks) > 1:
            for name, data in notebooks:
                digest.update(hashlib.sha256(name.encode()).digest() + hashlib.sha256(data).digest())
        return Submission(self.student, self.key, notebooks, digest.hexdigest())


def entries(path, whole=False):
    """(entries, names of the files that are none), of a notebook, a folder or a zip; WrongUse if it is none of these.

    whole  the folder or zip is one student's, as on Gradescope
    """
    path = Path(path)
    if not path.exists():
        raise WrongUse(f"there is no {path}")
    if path.suffix == ".ipynb" or (whole and not path.is_dir() and path.suffix != ".zip"):
        return [Entry(readable(path.stem), path.name, lambda: [(path.name, read_file(path))])], []
    if whole:
        notebooks = of_folder(path) if path.is_dir() else of_zip(path)
        found, ignored = [Entry(readable(path.stem), path.name, notebooks)], []
    elif path.is_dir():
        found, ignored = in_folder(path)
    elif path.suffix == ".zip":
        found, ignored = in_zip(path)
    else:
        raise WrongUse(f"{path} is no notebook, folder or zip")
    if not found:
        raise WrongUse(f"{path} holds no submission: wanted a notebook or a folder for each student")
    return unique(found), ignored


def in_folder(path):
    found, ignored = [], []
    for item in sorted(path.iterdir()):
        if hidden(item.name):
            continue
        student = readable(item.stem if item.suffix in (".ipynb", ".zip") else item.name)
        if item.suffix == ".ipynb":
            found.append(Entry(student, item.name, lambda item=item: [(item.name, read_file(item))]))
        elif item.suffix == ".zip":
            found.append(Entry(student, item.name, of_zip(item)))
        elif item.is_dir() or item.is_symlink():
            found.append(Entry(student, item.name, of_folder(item)))
        else:
            ignored.append(item.name)
    return found, ignored


def in_zip(path):
    """A zip of notebooks, of folders, or of one folder that holds these."""
    with open_zip(path, wrong=WrongUse) as archive:
        names = [info.filename for info in archive.infolist() if not hidden_path(info.filename) and not info.is_dir()]
    tops = {PurePosixPath(name).parts[:1] for name in names}
    inner = 1 if len(tops) == 1 and all(len(PurePosixPath(name).parts) > 1 for name in names) and not (
        all(len(PurePosixPath(name).parts) == 2 for name in names) and len(names) == 1) else 0
    groups, ignored = {}, []
    for name in names:
        parts = PurePosixPath(name).parts[inner:]
        if len(parts) > 1 or parts[0].endswith(".ipynb"):
            groups.setdefault(parts[0], []).append(name)
        else:
            ignored.append(name)
    found = [Entry(readable(top.removesuffix(".ipynb")), top, of_zip(path, set(members)))
             for top, members in sorted(groups.items())]
    return found, ignored


def of_folder(path):
    """() -> the notebooks anywhere in a folder."""
    def notebooks():
        if path.is_symlink():
            raise Refused("The submission is a link, not a folder. Hand in the notebook itself.")
        found, seen = [], 0
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if not hidden(name))
            seen += len(folders) + len(files)
            if seen > ENTRIES:
                raise Refused(f"The folder holds more than {ENTRIES} files. Hand in the notebooks alone.")
            for name in sorted(files):
                if name.endswith(".ipynb") and not hidden(name):
                    file = Path(folder, name)
                    found.append((readable(file.relative_to(path).as_posix()), file))
        return bounded((name, lambda file=file: read_file(file)) for name, file in found)
    return notebooks


def of_zip(path, members=None):
    """() -> the notebooks in an archive; members: only these."""
    def notebooks():
        with open_zip(path) as archive:
            infos = [info for info in archive.infolist() if members is None or info.filename in members]
            if len(infos) > ENTRIES:
                raise Refused(f"The archive holds more than {ENTRIES} files. Hand in the notebooks alone.")
            for info in infos:
                parts = PurePosixPath(info.filename.replace("\\", "/")).parts
                if ".." in parts or parts[:1] == ("/",) or ":" in info.filename[:3]:
                    raise Refused("The archive holds a path that leads outside. Hand in the notebook itself.")
            return bounded((readable(info.filename), lambda info=info: read_member(archive, info)) for info in infos
                           if info.filename.endswith(".ipynb") and not hidden_path(info.filename))
    return notebooks


def bounded(files):
    """[(name, bytes)] from (name, read); Refused if there are none or too many."""
    files = list(files)
    if not files:
        raise Refused("There is no notebook (.ipynb) in it.")
    if len(files) > NOTEBOOKS:
        raise Refused(f"There are {len(files)} notebooks in it; at most {NOTEBOOKS} can be graded.")
    found, total = [], 0
    for name, read in files:
        found.append((name, read()))
        total += len(found[-1][1])
        if total > 2 * FILE:
            raise Refused(f"The notebooks are larger than {2 * FILE >> 20} MB together.")
    return found


def opened(path):
    """A descriptor of a regular file; never through a link, never waiting for a pipe."""
    if path.is_symlink():
        raise Refused("The submission is a link, not a file. Hand in the notebook itself.")
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    fd = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Refused("The submission is not a regular file. Hand in the notebook itself.")
    return fd


def read_file(path):
    with os.fdopen(opened(path), "rb") as file:
        return capped(file)


def capped(file):
    data = file.read(FILE + 1)
    if len(data) > FILE:
        raise Refused(f"The notebook is larger than {FILE >> 20} MB. Clear its outputs and hand it in again.")
    return data


def read_member(archive, info):
    if stat.S_ISLNK(info.external_attr >> 16):
        raise Refused("The archive holds a link in place of a notebook. Hand in the notebook itself.")
    if info.file_size > FILE:
        raise Refused(f"The notebook is larger than {FILE >> 20} MB. Clear its outputs and hand it in again.")
    try:
        with archive.open(info) as file:
            return capped(file)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError, ValueError) as error:
        raise Refused(f"The archive cannot be unpacked ({type(error).__name__}).") from None
    except Exception as error:                # zlib.error, lzma.LZMAError: whatever the packers raise
        raise Refused(f"The archive is damaged ({type(error).__name__}).") from None


def open_zip(path, wrong=Refused):
    """The archive, if its table of contents is small enough to be read at all."""
    file = os.fdopen(opened(path), "rb")
    try:
        size = os.fstat(file.fileno()).st_size
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


# Names.

def hidden(name):
    """Checkpoints, and what systems leave behind."""
    return name.startswith((".", "__MACOSX"))


def hidden_path(name):
    return any(hidden(part) and part != ".." for part in PurePosixPath(name).parts)


def readable(name):
    """A file name as text: what is not printable becomes a question mark."""
    text = name.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() else "?" for c in text)[:200] or "?"


def unique(found):
    """Two students of one name get a number each."""
    seen, result = set(), []
    for entry in found:
        name, n = entry.student, 1
        while name.casefold() in seen:
            n += 1
            name = f"{entry.student} ({n})"
        seen.add(name.casefold())
        result.append(Entry(name, entry.key, entry.notebooks))
    return result
