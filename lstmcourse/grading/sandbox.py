"""The sandbox, seen from outside: which layers there are, how a process is put behind them, and how it ends.

    with Sandbox() as sandbox, sandbox.session() as session:
        session.read(data)                           # the notebook's bytes
        list(session.run((), 20, ["cell_update"]))   # its cells
        session.call("cell_update", args, 10)

Anything odd (silence, a broken message, a flood) ends the whole sandbox, all processes in it and
all files, and the next session gets a new one. SandboxError means the grader's own fault.
"""

import atexit
import contextlib
import functools
import importlib.util
import os
import shutil
import signal
import site
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lstmcourse.grading import confine
from lstmcourse.grading.memory import MemoryGroup

LAYERS = ("bubblewrap", "landlock", "seccomp", "rlimits", "memory group", "user")
FULL = ("bubblewrap", "landlock", "seccomp", "rlimits")      # what --require-isolation asks for
HERE = Path(__file__).resolve().parent
INSIDE = ("child.py", "confine.py", "imports.py", "magics.py", "notebook.py", "protocol.py")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
NOBODY = 65534
PREFIX = "lstmcourse-scratch-"
NOT_ROOT = "only root needs it"


class SandboxError(Exception):
    """The sandbox cannot do its work: never the student's fault."""


class LessIsolation(SandboxError):
    """A layer that is required cannot be had here."""


@dataclass(frozen=True)
class Bounds:
    """What one submission may use; times in seconds, sizes in bytes."""
    memory: int = 1 << 30
    scratch: int = 64 << 20
    scratch_files: int = 1000
    threads: int = 16
    file: int = 100 << 20            # one notebook
    cells: float = 20                # all cells of a notebook together
    call: float = 10                 # one call of a function, if the exercise does not ask for more
    total: float = 300               # everything


def unavailable():
    """layer -> why it cannot be used here, for those that cannot."""
    linux = sys.platform == "linux"
    reasons = {
        "bubblewrap": None if linux and shutil.which("bwrap") else "bwrap is not installed" if linux else "Linux only",
        "landlock": None if confine.landlock_abi() else "the kernel has no Landlock" if linux else "Linux only",
        "seccomp": None if confine.seccomp_available() else "the kernel has no seccomp" if linux else "Linux only",
        "rlimits": None if os.name == "posix" else "not on this system",
        "memory group": MemoryGroup.unavailable(),
        "user": None if os.name == "posix" and os.geteuid() == 0 else NOT_ROOT,
    }
    return {layer: reason for layer, reason in reasons.items() if reason}


class Sandbox:
    """One place to run submissions, one after the other. Not to be shared between threads.

    layers    those to use; None: all that there are. `held` and `missing` say what came of it.
    required  without these there is no session
    slot      which of several sandboxes on this machine it is: each has a processor core to itself, as far as they go;
              None: it may use all
    """

    def __init__(self, bounds=None, layers=None, required=(), slot=None):
        self.bounds, self.required, self.slot = bounds or Bounds(), tuple(required), slot
        wanted = LAYERS if layers is None else layers
        self.missing = unavailable() | {layer: "not asked for" for layer in LAYERS if layer not in wanted}
        self.layers = [layer for layer in LAYERS if layer not in self.missing]
        self.need_readable()
        self.held, self.standing = (), False
        self.process = self.sock = self.group = self.folder = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.kill()

    @property
    def template(self):
        """Copies share a parent: only where they can do nothing to it."""
        return "seccomp" in self.layers

    def need_readable(self):
        """Without bubblewrap's own root, another user may be unable to read Python (in /root, say): then no other."""
        closed = out_of_reach() if "user" in self.layers and "bubblewrap" not in self.layers else None
        if closed:
            self.layers.remove("user")
            self.missing["user"] = f"another user cannot read Python in {closed}; it is root without its rights"

    def launch(self):
        """Start the process that is copied for every submission (or is the submission's own); does not wait for it."""
        self.kill()
        windows = os.name == "nt"
        self.sock, theirs = socket.socketpair()
        if "bubblewrap" not in self.layers:
            self.folder = ScratchFolder(NOBODY if "user" in self.layers else None)
        if "memory group" in self.layers:
            self.group = MemoryGroup(self.bounds.memory + (256 << 20), tasks=self.bounds.threads + 16)
        environment = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        environment |= {"SYSTEMROOT": os.environ["SYSTEMROOT"]} if windows else {}
        try:
            self.process = subprocess.Popen(
                self.command(theirs.fileno()), env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, start_new_session=not windows, cwd=self.folder.path if self.folder else "/",
                pass_fds=() if windows else (theirs.fileno(),))
            if windows:
                self.process.stdin.write(theirs.share(self.process.pid))
            self.process.stdin.close()
        except OSError as error:
            raise SandboxError(f"the sandbox does not start: {error}") from error
        finally:
            theirs.close()

    def stand(self):
        """Wait until the process has put up what it puts up once; without bubblewrap if it does not start with it."""
        from lstmcourse.grading.protocol import Pipe, ProtocolError
        self.pipe = Pipe(self.sock)
        try:
            self.pipe.send(self.plan(), seconds=20)
            self.expect(self.pipe, 20, "standing")
            self.standing = True
        except (ProtocolError, SandboxError) as error:
            reason = self.last_words() or str(error)
            self.kill()
            if "bubblewrap" not in self.layers:
                raise SandboxError(reason) from error
            self.layers.remove("bubblewrap")          # seen where user namespaces are switched off
            self.missing["bubblewrap"] = f"it does not start: {reason}"
            self.need_readable()
            self.launch()
            self.stand()

    def last_words(self):
        """The last line that a process which did not start wrote to stderr."""
        os.killpg(self.process.pid, signal.SIGKILL) if os.name == "posix" else self.process.kill()
        lines = self.process.stderr.read(4000).decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""

    def session(self):
        """A new Session, which has said hello; SandboxError if none can be had."""
        from lstmcourse.grading.protocol import Pipe, ProtocolError
        from lstmcourse.grading.session import Session
        if self.process is None:
            self.launch()
        if not self.standing:
            self.stand()
        less = [f"{layer}: {self.missing[layer]}" for layer in self.required if layer in self.missing]
        if less:
            self.kill()
            raise LessIsolation(f"less isolation than required ({'; '.join(less)})")
        pipe = self.pipe
        try:
            if self.template:
                ours, theirs = socket.socketpair()
                with theirs:
                    socket.send_fds(self.sock, [b"f"], [theirs.fileno()])
                pipe = Pipe(ours)
            (held,) = self.expect(pipe, 20, "hello")
            if set(held) != set(self.layers):
                raise SandboxError(f"it has {', '.join(held)}; wanted {', '.join(self.layers)}")
        except (OSError, ProtocolError, SandboxError) as error:
            self.kill()
            raise SandboxError(f"the sandbox does not stand: {error}") from error
        self.held = tuple(layer for layer in LAYERS if layer in held)
        return Session(self, pipe)

    @staticmethod
    def expect(pipe, seconds, wanted):
        """The rest of the next message, which must be of the kind wanted: for what comes before any student's code."""
        message = pipe.receive(seconds)
        if not isinstance(message, tuple) or message[:1] != (wanted,):
            raise SandboxError(str(message[-1] if isinstance(message, tuple) and message else message))
        return message[1:]

    def finished(self):
        """After a session: the template ends the copy, whatever that is doing, and stays if the scratch is empty."""
        from lstmcourse.grading.protocol import ProtocolError
        clean = False
        if self.template and self.standing:
            with contextlib.suppress(ProtocolError, SandboxError, OSError):
                self.sock.settimeout(5)
                self.sock.send(b"e")
                (clean,) = self.expect(self.pipe, 5, "ended")
        if clean is not True:
            self.kill()

    def kill(self):
        """End every process of the sandbox and remove its files; the next session starts anew."""
        if self.process is not None:
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL) if os.name == "posix" else self.process.kill()
            self.process.wait()
            self.process.stderr.close()
        if self.sock is not None:
            self.sock.close()
        if self.group is not None:
            self.group.remove()
        if self.folder is not None:
            self.folder.remove()
        self.process = self.sock = self.group = self.folder = None
        self.standing = False

    # What the process is given.

    def plan(self):
        """What the inside needs to know to put up its layers."""
        readable, hidden = reading()
        bounds = self.bounds
        watched = "bubblewrap" not in self.layers and "landlock" in self.layers and self.template
        return {
            "layers": list(self.layers), "template": self.template, "uid": NOBODY, "core": self.core(),
            "folder": self.folder.path if self.folder else "/scratch", "watched": watched,
            "writable": watched or self.folder is None or "landlock" not in self.layers,
            "scratch": bounds.scratch, "scratch_files": bounds.scratch_files,
            "memory": bounds.memory, "cpu": int(bounds.total) + 10,
            "processes": self.processes(), "readable": readable, "hidden": hidden, "devices": DEVICES,
        }

    def processes(self):
        """RLIMIT_NPROC counts all of a user's threads: those there are now, and a few more if seccomp denies fork."""
        if "seccomp" not in self.layers:
            return 0
        if "bubblewrap" in self.layers and "user" not in self.layers:
            return self.bounds.threads                # a user namespace counts by itself
        return self.bounds.threads + threads_of(NOBODY if "user" in self.layers else os.geteuid())

    def core(self):
        if self.slot is None or not hasattr(os, "sched_getaffinity"):
            return None
        cores = sorted(os.sched_getaffinity(0))
        return cores[self.slot % len(cores)]

    def command(self, fd):
        python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
        child = HERE / "child.py" if "bubblewrap" not in self.layers else Path("/grader/child.py")
        command = [python, "-I", "-S", "-B", str(child), str(fd), packages()]
        if "bubblewrap" in self.layers:
            command = [*self.bubblewrap(python), "--", *command]
        if self.group is not None:                    # join the group first, so that nothing is ever outside it
            command = ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.group.members), *command]
        return command

    def bubblewrap(self, python):
        """A root of its own: the C library, Python and NumPy, read only; a small tmpfs; nothing else."""
        readable, hidden = reading()
        options = [shutil.which("bwrap"), "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts",
                   "--unshare-cgroup-try", "--die-with-parent", "--new-session", "--hostname", "sandbox",
                   "--cap-drop", "ALL", "--cap-add", "CAP_SYS_ADMIN"]        # for the scratch; given up at once
        root = "user" in self.layers
        options += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"] if root else ["--unshare-user"]
        for path in ("/lib", "/lib32", "/lib64", "/libx32"):
            if os.path.islink(path):
                options += ["--symlink", os.readlink(path), path]
        mounts = {path: path for path in (*readable, python, *libraries(), "/etc/ld.so.cache")
                  if os.path.exists(path) and (path in readable or not inside(path, readable))}
        mounts |= {f"/grader/{name}": str(HERE / name) for name in INSIDE}
        parents = {str(parent) for path in (*mounts, *DEVICES) for parent in Path(path).parents}
        for folder in sorted(parents - {"/"}, key=len):          # bubblewrap would make them for root alone
            if not inside(folder, readable):
                options += ["--perms", "0755", "--dir", folder]
        for path in sorted(mounts, key=len):
            options += ["--ro-bind", mounts[path], path]
            for other in hidden:
                if inside(other, [path]) and os.path.isdir(other):
                    options += ["--tmpfs", other]
        for path in readable:                                    # NumPy again, where its folder is one of the hidden
            if inside(path, hidden):
                options += ["--ro-bind", path, path]
        for folder in hidden:
            options += ["--remount-ro", folder]
        for device in DEVICES:
            options += ["--dev-bind", device, device]
        size = ["--size", str(self.bounds.scratch)] if "--size" in bubblewrap_help() else []
        return [*options, *size, "--tmpfs", "/scratch", "--remount-ro", "/", "--chdir", "/scratch"]


class ScratchFolder:
    """A private folder, locked as long as this process lives; those that killed graders have left are removed.

    uid  whose it is to be; None: this user's
    """

    def __init__(self, uid=None):
        self.sweep()
        self.path, self.lock = tempfile.mkdtemp(prefix=PREFIX), None
        if os.name == "posix":
            self.lock = locked(self.path)
        if uid is not None:
            os.chown(self.path, uid, uid)
        atexit.register(self.remove)                  # a worker of a pool just ends, with its sandbox

    def remove(self):
        """However deep it is, and whatever modes the folders in it have."""
        atexit.unregister(self.remove)
        end = time.monotonic() + 5
        while os.path.lexists(self.path) and time.monotonic() < end:     # who wrote in it may end a moment later
            with contextlib.suppress(RecursionError):
                shutil.rmtree(self.path, ignore_errors=True)
            if os.name == "posix" and os.path.lexists(self.path):
                for command in (("chmod", "-R", "u+rwx"), ("rm", "-rf")):
                    subprocess.run([*command, "--", self.path], stderr=subprocess.DEVNULL)
        if self.lock is not None:
            os.close(self.lock)

    @classmethod
    def sweep(cls):
        """Nobody holds the lock any more, and it was made more than a minute ago: not just now, by another grader."""
        for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if os.name == "posix" else ():
            with contextlib.suppress(OSError):
                state = path.lstat()
                if state.st_mtime < time.time() - 60 and state.st_uid in (os.geteuid(), NOBODY):
                    stale = cls.__new__(cls)
                    stale.path, stale.lock = str(path), locked(path)
                    stale.remove()


def locked(path):
    """A descriptor that locks a folder; OSError where another has it."""
    import fcntl
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


@functools.cache
def bubblewrap_help():
    return subprocess.run(["bwrap", "--help"], capture_output=True, text=True).stdout


# What the inside may read.

def packages():
    """The folder that holds NumPy, found without loading it: the sandbox starts while this process still does."""
    return str(Path(importlib.util.find_spec("numpy").origin).resolve().parent.parent)


def reading():
    """What the sandbox may read: (readable, hidden). Hidden wins, except for NumPy itself."""
    stdlib = os.path.dirname(os.path.realpath(os.__file__))
    dynload = f"{sys.base_exec_prefix}/{sys.platlibdir}/python{sys.version_info[0]}.{sys.version_info[1]}/lib-dynload"
    numpy = [str(path) for path in Path(packages()).glob("numpy*") if path.name in ("numpy", "numpy.libs")]
    system = {os.path.realpath(path) for path in ("/lib", "/lib32", "/lib64", "/libx32", "/usr/lib", "/usr/lib32",
                                                  "/usr/lib64", f"{sys.base_prefix}/lib") if os.path.isdir(path)}
    readable = system | {stdlib, os.path.realpath(dynload)}
    readable = {path for path in readable if not inside(path, readable - {path})}
    hidden = {os.path.realpath(path) for path in (
        *sys.path, *site.getsitepackages(), site.getusersitepackages(), packages(), str(HERE.parent.parent),
        "/usr/lib/python3/dist-packages", f"{stdlib}/site-packages", f"{stdlib}/dist-packages") if path}
    hidden = {path for path in hidden if os.path.isdir(path) and inside(path, readable)
              and not inside(stdlib, [path]) and not path.endswith("lib-dynload")}
    return sorted(readable) + sorted(numpy), sorted(hidden)


def out_of_reach():
    """The first folder above Python's or NumPy's files that only its owner may enter, or None."""
    stdlib = os.path.dirname(os.path.realpath(os.__file__))
    for path in (stdlib, os.path.realpath(sys.executable), f"{packages()}/numpy", str(HERE / "child.py")):
        for folder in reversed(Path(path).parents):
            if not folder.stat().st_mode & 0o001:
                return str(folder)
    return None


def libraries():
    """The shared libraries that this Python and NumPy have loaded, wherever they are."""
    with contextlib.suppress(OSError), open("/proc/self/maps") as maps:
        paths = {line.split(maxsplit=5)[5].strip() for line in maps if line.count(" /") and ".so" in line}
        return sorted(path for path in paths if os.path.isfile(path))
    return []


def inside(path, folders):
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def threads_of(uid):
    """How many threads a user has now."""
    count = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if entry.stat().st_uid == uid:
                    count += len(os.listdir(f"/proc/{entry.name}/task"))
    return count
