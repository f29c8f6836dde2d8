"""The sandbox's inside: arrays in, arrays out. Holds no reference, no seed, no score, no secret.

    python child.py FD PACKAGES     FD: one end of a socket pair, the grader holds the other;
                                    PACKAGES: the folder that holds NumPy

It loads NumPy, then either waits as a template that is copied (fork) for every submission
before any student's code has run, or serves the one submission itself. Each copy confines
itself, says "hello" with the layers that hold, and only then is sent a notebook. From its first
cell on, nothing that this process says is believed to be more than an answer.
"""

import codecs
import contextlib
import gc
import os
import select
import signal
import socket
import sys
import time
import warnings

sys.dont_write_bytecode = True
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), sys.argv[2]]
import confine  # noqa: E402
import imports  # noqa: E402
import notebook  # noqa: E402
import numpy as np  # noqa: E402
import protocol  # noqa: E402

# Where the scratch folder is watched nothing can be removed from it. A notebook that cleans up after itself has to
# get through all the same: what it removes is emptied. This stands before the imports below, since tempfile keeps the
# os.unlink that it finds.

emptying = False


def unlink(path, *, dir_fd=None, really=os.unlink):
    try:
        really(path, dir_fd=dir_fd)
    except PermissionError:
        if not emptying:
            raise
        os.close(os.open(path, os.O_WRONLY | os.O_TRUNC, dir_fd=dir_fd))


def rmdir(path, *, dir_fd=None, really=os.rmdir):
    try:
        really(path, dir_fd=dir_fd)
    except PermissionError:
        if not emptying:
            raise
        fd = os.open(path, os.O_RDONLY, dir_fd=dir_fd)
        full = any(entry.is_file() and entry.stat().st_size for entry in os.scandir(fd))
        os.close(fd)
        if full:
            raise


os.remove, os.unlink, os.rmdir = unlink, unlink, rmdir

# What notebooks import anyway: once here, so that it costs no copy anything.
for name in ("numpy.linalg", "numpy.random", "numpy.testing", "abc", "collections", "contextlib", "copy", "dataclasses",
             "enum", "functools", "inspect", "io", "itertools", "json", "logging", "math", "operator", "random", "re",
             "string", "tempfile", "textwrap", "threading", "timeit", "traceback", "typing", "warnings"):
    __import__(name)
for name in ("utf-8-sig", "utf-16", "latin-1"):
    codecs.lookup(name)
del sys.path[:2]
for name in ("confine", "imports", "magics", "notebook", "protocol"):      # nothing that a submission could import
    del sys.modules[name]
gc.freeze()


def main():
    global emptying
    if sys.platform == "win32":
        sock = socket.fromshare(sys.stdin.buffer.read())
        pipe = protocol.Pipe(sock)
    else:
        sock = socket.socket(fileno=int(sys.argv[1]))
        pipe = protocol.FilePipe(sock.fileno())
    plan = pipe.receive()
    emptying = plan["watched"]
    try:
        tools = prepare(plan)
    except Exception as error:
        return pipe.send(("failed", f"{type(error).__name__}: {error}"))
    pipe.send(("standing",))
    if not plan["template"]:
        one_submission(pipe, plan, tools)
    while True:
        data, fds, _, _ = socket.recv_fds(sock, 1, 1)
        if not data:
            return                                    # the grader is gone
        if not fds:
            continue                                  # the end of a session whose copy has ended by itself
        pid = os.fork()
        if pid == 0:
            sock.close()
            one_submission(protocol.FilePipe(fds[0]), plan, tools)
        os.close(fds[0])
        wait(pid, sock, plan)
        pipe.send(("ended", not os.listdir(plan["folder"])))


def wait(pid, sock, plan):
    """Until a copy has ended. It is ended when the grader says so, or its scratch folder comes to hold too much."""
    copy = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(copy, select.POLLIN)
    poll.register(sock, select.POLLIN)
    while True:
        ready = dict(poll.poll(5 if plan["watched"] else None))
        if copy in ready:
            break
        if ready or plan["watched"] and too_much(plan["folder"], plan["scratch"], plan["scratch_files"]):
            os.kill(pid, signal.SIGKILL)
            if ready:
                poll.unregister(sock)
    os.waitpid(pid, 0)
    os.close(copy)


def too_much(folder, size, files):
    """Does a folder hold more bytes or files than it may, or something that cannot be looked into?"""
    folders = [folder]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    size, files = size - entry.stat(follow_symlinks=False).st_size, files - 1
                    if size < 0 or files < 0:
                        return True
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except OSError:
            return True
    return False


def one_submission(pipe, plan, tools):
    """Confine this process, serve one submission, end: threads and exit handlers are not waited for."""
    try:
        if sys.platform == "linux":
            confine.die_with_parent()
        serve(pipe, confined(plan, tools))
    except Exception as error:
        with contextlib.suppress(Exception):
            pipe.send(("failed", f"{type(error).__name__}: {error}"))
    finally:
        os._exit(0)


def prepare(plan):
    """The layers that are set up before the copy; returns what the copy needs for the rest."""
    layers, tools = plan["layers"], {}
    if "bubblewrap" in layers:
        with contextlib.suppress(OSError):            # if not: bubblewrap's own tmpfs, without a bound on the files
            confine.mount_scratch(plan["folder"], plan["scratch"], plan["scratch_files"])
    os.chdir(plan["folder"])
    if sys.platform == "linux":
        if plan["core"] is not None:                  # many threads then slow down nobody else
            os.sched_setaffinity(0, {plan["core"]})
        confine.drop_privileges(plan["uid"] if "user" in layers else 0)
        confine.die_with_parent()
    if "landlock" in layers:
        tools["landlock"] = confine.landlock_rules(plan["readable"], set(plan["hidden"]), plan["devices"],
                                                   plan["folder"] if plan["writable"] else None, not plan["watched"])
    if "seccomp" in layers:
        tools["seccomp"] = confine.seccomp_filter()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    return tools


def confined(plan, tools):
    """The layers that each copy puts on itself; returns all that hold, those from outside included."""
    held = [layer for layer in plan["layers"] if layer in ("bubblewrap", "memory group", "user")]
    if "rlimits" in plan["layers"]:
        confine.set_rlimits(plan["memory"], plan["scratch"], plan["cpu"], plan["processes"])
        held.append("rlimits")
    if "landlock" in tools:
        confine.landlock_restrict(tools["landlock"])
        held.append("landlock")
    if "seccomp" in tools:
        confine.seccomp_restrict(tools["seccomp"])
        held.append("seccomp")
    return held


def serve(pipe, held):
    """One submission: read the notebook, run its cells, answer the calls."""
    pipe.send(("hello", held))
    data = pipe.receive(limits=protocol.Limits(size=1 << 28)).tobytes()
    gc.disable()                                      # of no use while JSON is parsed, and slow
    try:
        cells, heading = notebook.contents(data)
    except notebook.Refused as reason:
        return pipe.send(("refused", str(reason)))
    except MemoryError:
        return pipe.send(("refused", "The file is too large to be read."))
    del data
    gc.enable()
    pipe.send(("read", len(cells), heading))
    skip, seconds, functions, helpers = pipe.receive()
    sys.stdout, sys.stderr, sys.argv = Discard(), Discard(), [""]
    os.environ.clear()
    os.environ.update(HOME=os.getcwd(), USER="student", PATH="/usr/bin:/bin")      # what a first cell may ask for
    if any("lstmcourse" in source for source in cells):
        imports.offer(helpers)
    scope, skip, end = notebook.namespace(), set(skip), time.monotonic() + seconds
    for number, source in enumerate(cells):
        if number in skip or not source.strip():
            continue
        seconds_left = end - time.monotonic()
        if seconds_left <= 0:
            pipe.send(("note", f"The time for all cells together, {seconds:.0f} s, was used up: cell {number + 1} "
                       "and those below it were left out."))
            break
        pipe.send(("cell", number, notebook.first_line(source)))
        # a cell may use half of what is left: the last one has some too
        for remark in notebook.run_cell(source, number, scope, max(seconds_left / 2, 0.1)):
            pipe.send(("note", remark))
    pipe.send(("ready", [name for name in functions if usable(scope.get(name))]))
    while True:
        reply = answer(scope, *pipe.receive())
        try:
            pipe.send(reply)
        except protocol.Unsendable as error:
            pipe.send(instead(reply, error))


def answer(scope, name, args, seconds):
    """Call one function: what it gave and its arguments as they are then, or what went wrong.

    As `check` calls it: a warning is no error, and NumPy's errors are what they are in a thread of its own.
    """
    function = scope.get(name)
    if not usable(function):
        return ("missing",)
    try:
        with notebook.alarm(seconds), warnings.catch_warnings(), np.errstate(all="warn", under="ignore"):
            warnings.simplefilter("ignore")
            value = imports.leniently(lambda: function(*args))
    except notebook.TooLong:
        return ("late",)
    except NotImplementedError:
        return ("not started",)
    except BaseException as error:
        return ("raised", notebook.described(error))
    return ("value", value, args)


def instead(reply, error):
    """What is sent in place of a reply that cannot be: the value without the arguments, or why not even that."""
    _, value, _ = reply
    try:
        protocol.encode(value)
        return ("value", value, ())                   # an argument holds something that no argument holds
    except protocol.Unsendable as found:
        parts = value if isinstance(value, (tuple, list)) else [value]
        absent = [part.absent for part in parts if isinstance(part, imports.Absent)]
        text = f"something made with {absent[0]}, which is not there while grading" if absent else str(found)
        return ("unusable", text[:400])


def usable(function):
    return callable(function) and not isinstance(function, imports.Absent)


class Discard:
    """stdout and stderr: what is written is forgotten."""

    encoding, errors, closed, newlines, mode, name = "utf-8", "replace", False, None, "w", "<discarded>"

    def write(self, text):
        return len(text)

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def flush(self):
        pass

    def isatty(self):
        return False

    def fileno(self):
        return 1

    def close(self):
        pass


if __name__ == "__main__":
    main()
