"""The scratch folder where there is no bubblewrap: honest work gets through, and nothing grows, stays or is read."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from lstmcourse.grading import sandbox as module
from lstmcourse.grading.protocol import ProtocolError
from lstmcourse.grading.sandbox import Bounds, Sandbox, ScratchFolder, unavailable
from tests.grading.corpus.parts import RIGHT, text

ROOT = Path(__file__).parent.parent.parent
LAYERS = ("landlock", "seccomp", "rlimits", "user")
MB = 1 << 20
BOUND = Bounds().scratch + 1024 * MB        # what it may hold, and what a fast writer adds, on a busy machine too

pytestmark = pytest.mark.skipif(bool({"landlock", "seccomp", "rlimits"} & {*unavailable()}),
                                reason=f"this takes Landlock, seccomp and rlimits: {unavailable()}")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Where the scratch folders of this test are."""
    for folder in (tmp_path, *tmp_path.parents):
        if os.geteuid() == folder.stat().st_uid == 0:             # so that another user can go through
            folder.chmod(folder.stat().st_mode | 0o1)
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextlib.contextmanager
def loaded(sandbox, source):
    """A session in which the functions of this notebook are there; its notes about cells in `.notes`."""
    notebook = json.dumps({"cells": [{"cell_type": "code", "source": textwrap.dedent(source)}]}).encode()
    with sandbox.session() as session:
        session.read(notebook)
        session.notes = [what[0] for kind, *what in session.run((), 20, []) if kind == "note"]
        yield session


def value(session, name, *args):
    """What a call returned, or the reason why it returned nothing."""
    kind, *rest = session.call(name, args, 20)
    return rest[0] if rest else kind


HONEST = """
import json, os, pathlib, pickle, shutil, tempfile
import numpy as np
w = np.arange(12.0).reshape(3, 4)

def plain():
    np.save("w.npy", w)
    np.savez("all.npz", w=w)
    np.savetxt("w.txt", w)
    pathlib.Path("notes.json").write_text(json.dumps(w.tolist()))
    with open("w.pickle", "wb") as file:
        pickle.dump(w, file)
    same = [np.load("w.npy"), np.load("all.npz")["w"], np.loadtxt("w.txt"),
            np.array(json.loads(pathlib.Path("notes.json").read_text())), pickle.load(open("w.pickle", "rb"))]
    return all((other == w).all() for other in same)

def over_again():
    for n in range(200):
        np.save("again.npy", np.full((500, 500), n))
    return float(np.load("again.npy").mean()) == 199

def folders():
    os.makedirs("runs/first", exist_ok=True)
    np.save("runs/first/w.npy", w)
    return os.listdir("runs/first") == ["w.npy"]

def removed():
    np.save("gone.npy", w)
    os.remove("gone.npy")
    pathlib.Path("notes.txt").write_text("x")
    pathlib.Path("notes.txt").unlink()
    os.mkdir("empty")
    os.rmdir("empty")
    return True

def temporary():
    with tempfile.TemporaryDirectory() as folder:
        np.save(folder + "/w.npy", w)
        first = np.load(folder + "/w.npy")
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file, w)
        file.seek(0)
        second = np.load(file)
    with tempfile.TemporaryFile() as file:
        np.save(file, w)
        file.seek(0)
        third = np.load(file)
    return bool((first == w).all() and (second == w).all() and (third == w).all())
"""


@pytest.mark.parametrize("way", ["plain", "over_again", "folders", "removed", "temporary"])
def test_honest_work_with_files_gets_through(way, place):
    with Sandbox(layers=LAYERS) as sandbox:
        with loaded(sandbox, HONEST) as session:
            assert session.notes == []
            assert value(session, way) is True
        assert not list(place.iterdir())                          # what was written is gone with its session


FILL = """
import ctypes, os, threading
import numpy as np
block = bytes(1 << 20)

def one_after_the_other(k=0):
    n = 0
    while True:
        n += 1
        with open(f"fill{k}-{n}", "wb") as file:
            for _ in range(8):
                file.write(block)

def many_threads():
    for k in range(12):
        threading.Thread(target=one_after_the_other, args=(k,)).start()
    threading.Event().wait()

def mapped():
    n = 0
    while True:
        n += 1
        np.memmap(f"fill{n}", np.uint8, "w+", shape=(16 << 20,))[:] = 1

def many_files():
    n = 0
    while True:
        n += 1
        open(f"fill{n}", "w").close()

def deep():
    while True:
        os.mkdir("d")
        os.chdir("d")

def hidden():
    os.mkdir("d", 0o300)
    os.chdir("d")
    one_after_the_other()

def files_without_a_mode():
    n = 0
    while True:
        n += 1
        fd = os.open(f"fill{n}", os.O_CREAT | os.O_WRONLY, 0)
        for _ in range(8):
            os.write(fd, block)
        os.close(fd)
"""


class Meter(threading.Thread):
    """The most that a folder has held, in bytes, seen from outside every two milliseconds."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder, self.most, self.on = folder, 0, True
        self.start()

    def run(self):
        while self.on:
            held, folders = 0, [self.folder]
            while folders:
                with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
                    for entry in entries:
                        with contextlib.suppress(OSError):
                            held += entry.stat(follow_symlinks=False).st_blocks * 512
                            if entry.is_dir(follow_symlinks=False):
                                folders.append(entry.path)
            self.most = max(self.most, held)
            time.sleep(0.002)


@pytest.mark.parametrize("way", ["one_after_the_other", "many_threads", "mapped", "many_files", "deep", "hidden",
                                 "files_without_a_mode"])
def test_what_fills_the_folder_is_ended_within_its_bound_and_leaves_nothing(way, place):
    meter = Meter(place)
    with Sandbox(layers=LAYERS) as sandbox:
        start = time.monotonic()
        with pytest.raises(ProtocolError), loaded(sandbox, FILL) as session:
            session.call(way, (), 20)
        assert time.monotonic() - start < 15                      # ended, and not by the clock
        assert not list(place.iterdir())
        with loaded(sandbox, HONEST) as session:                  # and the next one has a folder of its own
            assert value(session, "plain") is True
    meter.on = False
    print(f"{way}: {meter.most / MB:.0f} MB at most")
    assert meter.most < BOUND


HIDE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

def tried(function, *args):
    try:
        answer = function(*args)
        return "did it" if not isinstance(answer, int) or answer >= 0 else os.strerror(ctypes.get_errno())
    except OSError as error:
        return error.strerror

def hide():
    import posix
    open("seen", "w").write("x")
    os.makedirs("a/b")
    open("a/seen", "w").write("x")
    fd = os.open("seen", os.O_RDWR)
    return {
        "a name removed": tried(posix.unlink, "seen"),
        "a file without a name": tried(os.open, ".", os.O_TMPFILE | os.O_RDWR),
        "another put in its place": tried(posix.rename, "a/seen", "a/other"),
        "moved elsewhere": tried(posix.rename, "a/seen", "other"),
        "a folder removed": tried(posix.rmdir, "a/b"),
        "a second name": tried(posix.link, "seen", "link"),
        "a link": tried(posix.symlink, "/etc/passwd", "link"),
        "a pipe": tried(posix.mkfifo, "pipe"),
        "disk without size": tried(libc.fallocate, fd, 1, ctypes.c_long(0), ctypes.c_long(1 << 20)),
        "memory without a name": tried(libc.memfd_create, b"x", 0),
    }
"""


def test_nothing_that_is_written_can_be_hidden_from_the_watch():
    with Sandbox(layers=LAYERS) as sandbox, loaded(sandbox, HIDE) as session:
        assert {way: said for way, said in value(session, "hide").items()
                if said not in ("Permission denied", "Operation not permitted", "Invalid cross-device link")} == {}


def test_a_file_larger_than_the_bound_cannot_be_written():
    source = """
        def write():
            with open("large", "wb") as file:
                for _ in range(300):
                    file.write(bytes(1_000_000))
    """
    with Sandbox(layers=LAYERS) as sandbox, loaded(sandbox, source) as session:
        kind, said = session.call("write", (), 20)
        assert kind == "raised"
        assert "File too large" in said


SPY = """
import os

def here():
    open("answer.txt", "w").write("the answer")
    return os.getcwd()

def spy(folder):
    got = []
    for name, attack in (("list", lambda: os.listdir(folder)), ("read", lambda: open(folder + "/answer.txt").read()),
                         ("write", lambda: open(folder + "/answer.txt", "w")),
                         ("add", lambda: open(folder + "/new.txt", "w")), ("list all", lambda: os.listdir(".."))):
        try:
            got.append(f"{name}: {attack()}")
        except OSError:
            pass
    return got
"""


def test_a_classmates_folder_can_neither_be_read_nor_written():
    with Sandbox(layers=LAYERS) as one, Sandbox(layers=LAYERS) as other, loaded(one, SPY) as first, \
            loaded(other, SPY) as second:
        folders = value(first, "here"), value(second, "here")
        assert folders[0] != folders[1]
        assert value(second, "spy", folders[0]) == []
        assert value(first, "spy", folders[1]) == []
        assert "read: the answer" in value(first, "spy", folders[0])          # the spy can spy


def test_who_comes_after_finds_an_empty_folder(place):
    with Sandbox(layers=LAYERS) as sandbox:
        with loaded(sandbox, SPY) as session:
            before = value(session, "here")
        with loaded(sandbox, SPY) as session:
            assert value(session, "spy", before) == []
            assert not os.path.exists(before)


@pytest.mark.parametrize("whole", [False, True], ids=["the copy", "the template too"])
def test_a_killed_sandbox_leaves_no_folder(place, whole):
    with Sandbox(layers=LAYERS) as sandbox:
        with loaded(sandbox, SPY + "def pid():\n    return os.getpid()\n") as session:
            assert Path(value(session, "here")).parent == place
            os.kill(value(session, "pid"), signal.SIGKILL)
            if whole:
                os.kill(sandbox.process.pid, signal.SIGKILL)
            with pytest.raises(ProtocolError):
                session.call("here", (), 5)
        assert not list(place.iterdir())
        with loaded(sandbox, SPY) as session:
            assert Path(value(session, "here")).parent == place
    assert not list(place.iterdir())


GRADER = """
import json, sys, time
from lstmcourse.grading.sandbox import Sandbox
with Sandbox(layers=sys.argv[1:]) as sandbox, sandbox.session() as session:
    session.read(json.dumps({"cells": [{"cell_type": "code", "source": "open('left', 'w').write('x')"}]}).encode())
    list(session.run((), 20, []))
    print(sandbox.folder.path, flush=True)
    time.sleep(60)
"""


def test_a_class_graded_by_several_processes_leaves_no_folder(place, tmp_path_factory):
    folder, out, path = (tmp_path_factory.mktemp(name) for name in ("class", "out", "bin"))
    for n in range(4):
        (folder / f"student{n}.ipynb").write_text(text(RIGHT))
    subprocess.run([sys.executable, "-m", "lstmcourse.grading", "grade", str(folder), "--out", str(out),
                    "--exercises", "4.1", "--jobs", "2"], check=True, capture_output=True,
                   env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(place), "PATH": str(path)})
    assert not list(place.iterdir())


def test_what_a_killed_grader_has_left_is_removed_by_the_next(place):
    grader = subprocess.Popen([sys.executable, "-c", GRADER, *LAYERS], stdout=subprocess.PIPE, text=True,
                              env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(place)})
    folder = Path(grader.stdout.readline().strip())
    assert (folder / "left").exists()
    os.utime(folder, (1, 1))
    ScratchFolder.sweep()
    assert (folder / "left").exists()                             # its grader lives
    grader.kill()
    grader.wait()
    grader.stdout.close()
    os.utime(folder)
    ScratchFolder.sweep()
    assert (folder / "left").exists()                             # so new that another may be about to lock it
    os.utime(folder, (1, 1))
    fresh = ScratchFolder()
    assert [path.name for path in place.iterdir()] == [Path(fresh.path).name]
    fresh.remove()


def test_a_folder_is_removed_however_deep_and_whatever_its_modes(place):
    folder, here = ScratchFolder(), os.getcwd()
    os.chdir(folder.path)
    try:
        for n in range(3000):
            os.mkdir("d", 0o300 if n % 100 == 0 else 0o700)
            os.chdir("d")
        Path("file").touch(0)
    finally:
        os.chdir(here)
    folder.remove()
    assert not list(place.iterdir())


def test_landlock_without_seccomp_has_no_folder_to_write_to():
    with Sandbox(layers=("landlock", "rlimits")) as sandbox, loaded(sandbox, HONEST) as session:
        kind, said = session.call("plain", (), 20)
        assert kind == "raised"
        assert "Permission denied" in said


def test_where_no_folder_is_watched_what_may_not_be_removed_is_not_emptied(place):
    """Without Landlock the same calls reach files that are somebody's."""
    if os.geteuid() == 0:
        pytest.skip("root may remove everything")
    held = place / "held"
    held.mkdir()
    (held / "mine").write_text("x")
    held.chmod(0o500)
    source = "import os\n\ndef remove(path):\n    os.remove(path)\n"
    try:
        with Sandbox(layers=("rlimits",)) as sandbox, loaded(sandbox, source) as session:
            assert session.call("remove", (str(held / "mine"),), 20)[0] == "raised"
        assert (held / "mine").read_text() == "x"
    finally:
        held.chmod(0o700)
