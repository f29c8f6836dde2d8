"""Endless and greedy: the run must end by itself, and the rest of the work must count."""

from tests.grading.corpus.parts import CELL, FORGET, RIGHT, UPDATE, Case, right_but

STUBBORN = '''while True:
    try:
        while True:
            pass
    except BaseException:
        pass'''


def in_function(source, body):
    """`source` with `body` as the first lines of its function."""
    head, rest = source.split("\n", 1)
    return head + "\n" + "".join(f"    {line}\n" for line in body.splitlines()) + rest


def also(case_name, kind, *cells, **fields):
    return Case(case_name, kind, (*cells, *RIGHT), **fields)


CASES = [
    also("loop-in-cell", "an endless loop", '''while True:
    pass''', aims_at=("limits",)),
    also("loop-in-cell-stubborn", "an endless loop", STUBBORN, aims_at=("limits",)),
    also("loop-in-cell-alarm-off", "an endless loop",
         '''import signal, time
signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGALRM, signal.SIG_IGN)
while True:
    time.sleep(0.1)''', aims_at=("limits",)),
    Case("loop-in-function", "an endless loop", right_but(forget=in_function(FORGET, '''while True:
    pass''')),
         ("4.2", "4.3"), says="took longer|did not end", aims_at=("limits",)),
    Case("loop-in-function-stubborn", "an endless loop", right_but(update=in_function(UPDATE, STUBBORN)),
         ("4.1", "4.3"), says="took longer|did not end", aims_at=("limits",)),
    Case("loop-in-c", "an endless loop",
         right_but(cell="import itertools\n" + in_function(CELL, "sum(itertools.repeat(0))")),
         ("4.1", "4.2"), says="took longer|did not end", aims_at=("limits",)),

    also("children-fork", "200 child processes", '''import os, time
for _ in range(200):
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)''', aims_at=("processes", "limits")),
    also("children-bomb", "200 child processes", '''import os
while True:
    try:
        os.fork()
    except OSError:
        break''', aims_at=("processes", "limits")),
    Case("children-subprocess", "200 child processes", right_but(forget="import subprocess, sys\n" + in_function(
         FORGET, '''for _ in range(200):
    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])''')),
         ("4.2", "4.3"), aims_at=("processes", "limits")),
    also("children-pool", "200 child processes", '''import multiprocessing
pool = multiprocessing.Pool(200)
pool.map(abs, range(1000))''', aims_at=("processes", "limits")),
    also("children-daemon", "200 child processes", '''import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            time.sleep(1)
    os._exit(0)''',
         aims_at=("processes",)),

    also("memory-array", "3 GB touched", '''import numpy as np
big = np.ones(3 * 2**27)''', aims_at=("limits",)),
    also("memory-mmap", "3 GB touched", '''import mmap
maps = []
while True:
    maps.append(mmap.mmap(-1, 2**26))
    for n in range(0, 2**26, 4096):
        maps[-1][n] = 1''', aims_at=("limits",)),
    Case("memory-in-function", "3 GB touched", right_but(forget=in_function(
         FORGET, '''hoard = []
while True:
    hoard.append(bytearray(b'x' * 10_000_000))''')), ("4.2", "4.3"),
         aims_at=("limits",)),

    also("flood-print", "a flood of output", '''for _ in range(300_000):
    print('x' * 1000)''', aims_at=("limits",)),
    Case("flood-raw", "a flood of output", right_but(forget="import os\n" + in_function(
         FORGET, '''for fd in (1, 2):
    for _ in range(500):
        os.write(fd, b'y' * 65536)''')),
         aims_at=("limits", "results")),
    Case("flood-error-message", "a flood of output", right_but(update=in_function(
         UPDATE, "raise ValueError('z' * 50_000_000)")), ("4.1", "4.3"), says="ValueError",
         aims_at=("limits", "results")),

    also("exit-sys", "exits", '''import sys
sys.exit(0)''', "exit()", "quit(1)"),
    also("exit-os", "exits", '''import os
os._exit(0)'''),
    also("exit-os-twice", "exits", '''import os
os._exit(0)''', '''import os, signal
os.kill(os.getpid(), signal.SIGKILL)''',
         '''import ctypes
ctypes.string_at(0)'''),
    also("exit-system-exit", "exits", "raise SystemExit", "raise SystemExit(0)"),
    also("exit-keyboard-interrupt", "exits", "raise KeyboardInterrupt", "raise GeneratorExit"),
    Case("exit-sys-in-function", "exits", right_but(forget="import sys\n" + in_function(FORGET, "sys.exit(0)")),
         ("4.2", "4.3"), says="SystemExit"),
    Case("exit-os-in-function", "exits", right_but(update="import os\n" + in_function(UPDATE, "os._exit(0)")),
         ("4.1", "4.3"), says="ended the process|process ended"),
    Case("exit-interrupt-in-function", "exits", right_but(cell=in_function(CELL, "raise KeyboardInterrupt")),
         ("4.1", "4.2"), says="KeyboardInterrupt"),
    Case("exit-segfault-in-function", "exits", right_but(cell="import ctypes\n" + in_function(
         CELL, "ctypes.string_at(0)")), ("4.1", "4.2"), says="ended the process|process ended|not available|ctypes"),
    Case("exit-recursion", "exits", right_but(update=in_function(UPDATE, "return cell_update(c_prev, i, f, g)")),
         ("4.1", "4.3"), says="RecursionError"),

    also("error-endless", "an exception that never speaks", '''class Mute(Exception):
    def __str__(self):
        while True:
            pass
raise Mute''', aims_at=("limits",)),
    Case("error-endless-in-function", "an exception that never speaks", right_but(forget='''import time
class Mute(Exception):
    def __str__(self):
        while True:
            try:
                time.sleep(100)
            except BaseException:
                pass
''' + in_function(FORGET, "raise Mute")), ("4.2", "4.3"), aims_at=("limits",)),
    also("os-errors", "an exception that never speaks", "raise OSError\n" * 20_000, aims_at=("limits",)),

    also("thread-endless", "a thread that will not end", '''import threading
def spin():
    while True:
        pass
threading.Thread(target=spin).start()''', aims_at=("processes", "limits")),
    Case("thread-in-function", "a thread that will not end", right_but(update="import threading, time\n" + in_function(
         UPDATE, '''t = threading.Thread(target=time.sleep, args=(10_000,))
t.start()''')),
         aims_at=("processes", "limits")),
    also("thread-at-exit", "a thread that will not end", '''import atexit, time
atexit.register(time.sleep, 10_000)
import concurrent.futures
pool = concurrent.futures.ThreadPoolExecutor(4)
work = [pool.submit(time.sleep, 10_000) for _ in range(4)]''', aims_at=("processes", "limits")),

    also("thread-and-no-exit", "a thread that will not end", '''import os, threading, time
os._exit = lambda *a: None
threading.Thread(target=time.sleep, args=(10_000,)).start()''', aims_at=("processes", "limits")),

    also("shutdown-kernel", "kernel.do_shutdown", "get_ipython().kernel.do_shutdown(False)",
         '''from ipykernel.kernelapp import IPKernelApp
IPKernelApp.instance().kernel.do_shutdown(True)'''),
    also("shutdown-parent", "kernel.do_shutdown",
         '''import os, signal
for pid in (os.getppid(), 1, -1, 0):
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
for pid in range(2, 5000):
    try:
        os.kill(pid, signal.SIGTERM)
    except OSError:
        pass''', aims_at=("processes", "classmates")),
]
