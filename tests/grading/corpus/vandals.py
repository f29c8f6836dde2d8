"""Vandals: they would change the results, the grader, or the machine."""

import zipfile

from tests.grading.corpus.parts import ALL, IMPORTS, NONE, RIGHT, SIGMOID, WRONG, Case, text, zipped


def vandal(name, kind, *cells, right=False, **fields):
    """Vandalism first, then right or wrong answers: they are worth what they are worth."""
    return Case(name, kind, (*cells, *(RIGHT if right else WRONG)), ALL if right else NONE, **fields)


def zeros(path, target):
    path.with_suffix(".zip").write_bytes(zipped(**{"04.ipynb": bytes(300_000_000)}))


def zeros_plain(path, target):
    with path.with_suffix(".ipynb").open("wb") as file:
        file.truncate(300_000_000)


def climbing_archive(path, target):
    path.with_suffix(".zip").write_bytes(zipped(**{
        "../../climbed.ipynb": text(RIGHT), "/absolute.ipynb": text(RIGHT), "a/../../climbed.txt": "out"}))


def many_files(path, target):
    path.with_suffix(".zip").write_bytes(zipped(**{f"{n}.txt": b"" for n in range(20_000)}))


SIGNALS = '''import os, fcntl
def send(pid):
    for number in (9, 15):
        reader, writer = os.pipe()
        for command, value in ((10, number), (8, pid), (4, 0x2000 | 0x800)):      # F_SETSIG, F_SETOWN, F_SETFL O_ASYNC
            try:
                fcntl.fcntl(reader, command, value)
            except OSError:
                pass
        os.write(writer, b'x')
        os.close(reader); os.close(writer)
for pid in (os.getppid(), -os.getppid(), *range(2, 5000)):
    if pid != os.getpid():
        send(pid)'''

LEFT_IN_THE_KERNEL = '''import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
def shared(size=4096):
    key = 0x5157
    kept = libc.shmget(key, size, 0o1666)
    libc.msgget(key, 0o1666), libc.semget(key, 4, 0o1666), libc.mq_open(b'/PWNED', 0o102, 0o666, None)
    for ring in (-3, -4, -5):                                     # KEY_SPEC_SESSION_KEYRING and the user's
        libc.syscall(248, b'user', b'PWNED', b'answers', 7, ring)
    place = libc.shmat(kept, None, 0) if kept >= 0 else -1
    return place if place and place > 0 else None
'''

INT_80 = '''import ctypes, mmap, os
code = mmap.mmap(-1, 4096, prot=7)
#          mov eax, 37; mov ebx, pid; mov ecx, 9; int 0x80; ret
code.write(b'\\xb8\\x25\\0\\0\\0\\xbb' + os.getppid().to_bytes(4, 'little') +
           b'\\xb9\\x09\\0\\0\\0\\xcd\\x80\\xc3')
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()'''

X32 = '''import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for door in (0x40000000, 0x200000000):
    for number, *args in ((62, os.getppid(), 9), (57,), (41, 1, 1, 0), (101, 16, os.getppid(), 0, 0), (425, 8, 0)):
        libc.syscall(ctypes.c_long(door | number), *args)'''

OTHERS_LIMITS = '''import os, resource
for pid in (os.getppid(), *range(1, 5000)):
    for what in (resource.RLIMIT_CPU, resource.RLIMIT_NOFILE, resource.RLIMIT_AS):
        try:
            pid == os.getpid() or resource.prlimit(pid, what, (1, 1))
        except (OSError, ValueError):
            pass'''

OTHERS_PRIORITY = '''import os, ctypes
libc = ctypes.CDLL(None, use_errno=True)
for pid in (os.getppid(), *range(1, 5000)):
    if pid != os.getpid():
        for ask in (lambda: os.setpriority(os.PRIO_PROCESS, pid, 19), lambda: os.sched_setaffinity(pid, {0}),
                    lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))):
            try:
                ask()
            except OSError:
                pass
libc.setpriority(2, os.getuid(), 19)                              # all processes of this user'''

SIGNAL_BY_IOCTL = '''import os, struct, ctypes
libc = ctypes.CDLL(None, use_errno=True)
for fd in range(3, 64):
    for owner in (os.getppid(), -os.getppid()):
        value = ctypes.c_int(owner)
        for request in (0x8901, 0x8902):                          # FIOSETOWN, SIOCSPGRP
            libc.ioctl(fd, request, ctypes.byref(value))
    libc.ioctl(fd, 0x5452, ctypes.byref(ctypes.c_int(1)))         # FIOASYNC'''


def encrypted(path, target):
    data = bytearray(zipped(**{"04.ipynb": text(RIGHT)}))
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(start) + flags] |= 1
    path.with_suffix(".zip").write_bytes(data)


def archive_that_lies(path, target):
    """300 MB that are announced as 1000 bytes."""
    data = bytearray(zipped(**{"04.ipynb": bytes(300_000_000)}))
    for start, size in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.index(start) + size
        data[place:place + 4] = (1000).to_bytes(4, "little")
    path.with_suffix(".zip").write_bytes(data)


def archive_of_links(path, target):
    with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
        for name, aim in (("04.ipynb", "/etc/passwd"), ("05.ipynb", "../checks-deleted.ipynb")):
            link = zipfile.ZipInfo(name)
            link.create_system, link.external_attr = 3, 0o120777 << 16
            archive.writestr(link, aim)


def archives_without_end(path, target):
    data = zipped(**{"04.ipynb": text(RIGHT)})
    for _ in range(12):
        data = zipped(**{f"{n}.zip": data for n in range(4)})
    path.with_suffix(".zip").write_bytes(data)


CASES = [
    vandal("kernel-left", "something left in the kernel", LEFT_IN_THE_KERNEL, '''place = shared()
if place:
    ctypes.memmove(place, SOURCE := b'def cell_update(c_prev, i, f, g): return f * c_prev + i * g', len(SOURCE))''',
           right=True, aims_at=("classmates",)),
    Case("kernel-left-b", "something left in the kernel", (IMPORTS, LEFT_IN_THE_KERNEL, '''import time
for _ in range(20):
    place = shared()
    if place:
        exec(ctypes.string_at(place).decode())
    time.sleep(0.1)'''), NONE, aims_at=("classmates",)),
    vandal("limits-of-others", "other processes' limits", OTHERS_LIMITS, right=True,
           aims_at=("processes", "classmates")),
    vandal("priority-of-others", "other processes' limits", OTHERS_PRIORITY, right=True,
           aims_at=("processes", "classmates")),
    vandal("calls-int-80", "system calls by another door", INT_80, right=True, aims_at=("processes", "classmates")),
    vandal("calls-x32", "system calls by another door", X32, right=True, aims_at=("processes", "network")),
    vandal("signal-by-ioctl", "a signal by fcntl", SIGNAL_BY_IOCTL, right=True, aims_at=("processes", "classmates")),
    vandal("pipe-closed", "the line to the grader", "import os\nos.closerange(3, 64)", right=True, aims_at=("limits",)),
    vandal("pipe-read", "the line to the grader", '''import os, threading
def listen(fd):
    try:
        while data := os.read(fd, 1 << 16):
            print(data)
    except OSError:
        pass
for fd in range(3, 64):
    threading.Thread(target=listen, args=(fd,), daemon=True).start()''', aims_at=("limits", "results")),
    Case("archive-encrypted", "archives that lie", passed=NONE, status="refused", says="password|encrypted",
         write=encrypted),
    Case("archive-size", "archives that lie", passed=NONE, status="refused", says="archive|large|JSON",
         write=archive_that_lies, aims_at=("limits",)),
    Case("archive-links", "archives that lie", passed=NONE, status="refused", says="JSON|link|notebook",
         write=archive_of_links, aims_at=("environment", "classmates")),
    Case("archive-nested", "archives that lie", passed=NONE, status="refused", says="archive|notebook",
         write=archives_without_end, aims_at=("limits",)),
    vandal("signal-by-fcntl", "a signal by fcntl", SIGNALS, right=True, aims_at=("processes", "classmates")),
    vandal("signal-by-fcntl-owner", "a signal by fcntl", SIGNALS.replace("(8, pid)", "(15, __import__('struct').pack("
           "'ii', 1, pid))").replace("(-os.getppid(), ", "("), right=True, aims_at=("processes", "classmates")),
    vandal("results-now", "rewriting results files",
           '''import os
for path in @RESULTS@:
    try:
        os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
        open(path, 'w').write('{"score": 1000, "PWNED": 1}')
    except OSError:
        pass''',
           aims_at=("results", "files")),
    vandal("results-at-exit", "rewriting results files",
           '''import atexit, os
def rewrite():
    for path in @RESULTS@:
        try:
            open(path, 'a').write('PWNED')
            os.remove(path)
        except OSError:
            pass
atexit.register(rewrite)
class Late:
    def __del__(self): rewrite()
late = Late()''',
           aims_at=("results", "files")),
    vandal("results-later", "rewriting results files",
           '''import threading, time
def rewrite():
    while True:
        for path in @RESULTS@:
            try:
                open(path, 'w').write('PWNED')
            except OSError:
                pass
        time.sleep(0.1)
threading.Thread(target=rewrite, daemon=True).start()''',
           right=True, aims_at=("results", "files", "processes")),
    vandal("package-rewritten", "changing the grader's package on disk",
           '''import os
for folder, _, files in os.walk('@PACKAGE@'):
    for file in files:
        try:
            open(os.path.join(folder, file), 'w').write('PWNED = 1')
        except OSError:
            pass
try:
    open('@PACKAGE@/grading/child.py', 'w').write('PWNED')
except OSError:
    pass''',
           aims_at=("files", "classmates")),
    vandal("package-shadowed", "changing the grader's package on disk",
           '''import os, sys
for folder in [*sys.path, os.getcwd(), '@PACKAGE@', '@PACKAGE@/..', os.path.dirname(os.__file__), '/usr/lib/python3',
               os.path.expanduser('~/.local/lib')]:
    for name in ('numpy.py', 'sitecustomize.py', 'usercustomize.py', 'lstmcourse.py', 'json.py', 'evil.pth'):
        try:
            open(os.path.join(folder or '.', name), 'w').write('raise SystemExit # PWNED')
        except OSError:
            pass''', right=True, aims_at=("files", "classmates")),
    vandal("grader-patched", "patching the grader in its process",
           '''import sys, gc, types
for name, module in list(sys.modules.items()):
    if name.startswith('lstmcourse') or name in ('protocol', 'child', '__main__', 'grading'):
        for key in list(vars(module)):
            if key[:2] != '__':
                try:
                    setattr(module, key, lambda *a, **k: True)
                except Exception:
                    pass
for o in gc.get_objects():
    if isinstance(o, types.FunctionType) and 'grading' in o.__code__.co_filename:
        try:
            o.__code__ = (lambda *a, **k: True).__code__
        except Exception:
            pass''', aims_at=("classmates", "limits")),
    vandal("grader-ptrace", "patching the grader in its process",
           '''import ctypes, os
try:
    libc = ctypes.CDLL(None, use_errno=True)
    for pid in (os.getppid(), 1, *range(2, 300)):
        libc.ptrace(16, pid, 0, 0)
        libc.process_vm_writev(pid, 0, 0, 0, 0, 0)
        try:
            open(f'/proc/{pid}/mem', 'r+b').write(b'PWNED')
        except (OSError, ValueError):
            pass
    libc.prctl(22, 0); libc.prctl(4, 1)
except Exception:
    pass''', aims_at=("classmates",)),
    vandal("pickle-returned", "a pickle that runs code in the parent",
           '''import pickle, os
class Evil:
    def __reduce__(self):
        return (os.system, ('touch @CANARY@/PWNED-pickle',))
evil = pickle.dumps(Evil())''', aims_at=("files",)),
    Case("pickle-array", "a pickle that runs code in the parent",
         (IMPORTS, '''import os
class Evil:
    def __reduce__(self):
        return (open, ('@CANARY@/PWNED-array', 'w'))
def forget_gate(x_t, h_prev, params):
    a = np.empty(h_prev.shape, dtype=object)
    a[:] = Evil()
    return a
def cell_update(c_prev, i, f, g):
    return {'c': Evil(), Evil: c_prev}
def lstm_cell_forward(x_t, h_prev, c_prev, params):
    return Evil(), [Evil()] * 3'''), NONE,
         aims_at=("files",)),
    vandal("outside-written", "writing outside the scratch",
           '''import os
for folder in ('@CANARY@', '@SUBMISSIONS@', '@OUT@', '/', '/tmp', '/var/tmp', '/dev/shm', '/usr', '/etc', '/root',
               '/home', '/run', os.path.expanduser('~'), '..'):
    for name in ('PWNED-file', 'PWNED-dir/x'):
        try:
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            open(path, 'w').write('PWNED')
        except OSError:
            pass''', right=True, aims_at=("files",)),
    vandal("outside-removed", "writing outside the scratch",
           '''import os, shutil
for path in ('@CANARY@', '@SUBMISSIONS@', '@OUT@', '@PACKAGE@'):
    shutil.rmtree(path, ignore_errors=True)
    for ask in (lambda: os.chmod(path, 0), lambda: os.rename(path, path + '-PWNED'),
                lambda: os.symlink('/etc', path + '/PWNED-link'), lambda: os.utime(path, (0, 0)),
                lambda: os.truncate(path + '/secret.txt', 0), lambda: os.link(path + '/secret.txt', 'mine')):
        try:
            ask()
        except OSError:
            pass''',
           right=True, aims_at=("files", "classmates")),
    vandal("outside-filled", "writing outside the scratch",
           '''import os
try:
    with open('fill', 'wb') as file:
        while True:
            file.write(bytes(10_000_000))
except OSError:
    pass
try:
    for n in range(200_000):
        open(f'f{n}', 'w').close()
except OSError:
    pass
try:
    for n in range(5000):
        os.mkdir('d'); os.chdir('d')
except OSError:
    pass''', right=True, aims_at=("limits", "classmates")),
    vandal("socket-tcp", "a local socket",
           '''import socket
try:
    with socket.create_connection(('127.0.0.1', @PORT@), timeout=1) as s:
        s.send(b'PWNED')
except OSError:
    pass''', right=True, aims_at=("network",)),
    vandal("socket-unix", "a local socket",
           r'''import socket
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    for name in ('@SOCKET@', '\0@SOCKET@'):
        try:
            s = socket.socket(socket.AF_UNIX, kind)
            s.connect(name)
            s.send(b'PWNED')
        except OSError:
            pass''',
           right=True, aims_at=("network",)),
    vandal("socket-server", "a local socket",
           '''import socket, urllib.request
try:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b'PWNED', ('127.0.0.1', @PORT@))
    urllib.request.urlopen('http://127.0.0.1:@PORT@/PWNED', timeout=1)
except OSError:
    pass
try:
    server = socket.create_server(('0.0.0.0', 0))
    server.listen()
except OSError:
    pass''', right=True, aims_at=("network",)),
    Case("script-in-error", "script in outputs and Markdown",
         (IMPORTS, SIGMOID, ("markdown", "<script>alert(1)</script><img src=x onerror=alert(1)>"),
          ("code", '''def forget_gate(x_t, h_prev, params):
    raise ValueError('<script>alert(1)</script><img src=x onerror=alert(1)>')''',
           [{"output_type": "display_data", "metadata": {}, "data": {"text/html": "<script>alert(2)</script>"}}]),
          '''class Bad(Exception): pass
Bad.__name__ = Bad.__qualname__ = '</style><script>alert(3)</script>'
def cell_update(c_prev, i, f, g):
    raise Bad('"><svg onload=alert(4)> &#x3c;script&#x3e;')''',
          '''def lstm_cell_forward(x_t, h_prev, c_prev, params):
    return '<script>alert(5)</script>', {'<iframe src=//evil>': x_t}'''), NONE, aims_at=("feedback",)),
    Case("script-in-type", "script in outputs and Markdown",
         (IMPORTS, r'''Evil = type('<script>alert(6)</script>', (), {'__repr__': lambda s: '<b onclick=x>'})
def forget_gate(x_t, h_prev, params):
    return Evil()
def cell_update(c_prev, i, f, g):
    return 'javascript:alert(7)\x1b[31m\x00\u202e\ud800'
def lstm_cell_forward(x_t, h_prev, c_prev, params):
    raise type('\u202eevil\x00</td>', (Exception,), {})('\x1b]0;title\x07 \r\n\n\n <a href=//evil>x</a>')'''),
         NONE, aims_at=("feedback",)),
    Case("zeros-archive", "an archive of zeros", passed=NONE, status="refused", says="large|big|MB", write=zeros,
         aims_at=("limits",)),
    Case("zeros-file", "an archive of zeros", passed=NONE, status="refused", says="large|big|MB", write=zeros_plain,
         aims_at=("limits",)),
    Case("archive-climbs", "an archive of zeros", passed=NONE, status="refused", says="outside|path",
         write=climbing_archive,
         aims_at=("files",)),
    Case("archive-many", "an archive of zeros", passed=NONE, status="refused", says="files|notebook", write=many_files,
         aims_at=("limits",)),
]
