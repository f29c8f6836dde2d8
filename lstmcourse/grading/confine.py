"""The layers that a process puts on itself, for good: rlimits, Landlock, seccomp, another user.

Linux system calls by ctypes, so that nothing has to be compiled or installed. Runs inside the
sandbox, before any of the student's code; imports nothing but the standard library. Every
function raises OSError when the kernel refuses, so a layer is either in force or reported.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

try:
    import resource
except ImportError:              # Windows
    resource = None

MACHINE = {"x86_64": 0, "aarch64": 1, "arm64": 1}.get(platform.machine())
AUDIT_ARCH = (0xC000003E, 0xC00000B7)

# What Python and NumPy need once they have started: (x86_64, aarch64); None where it does not exist.
# Not here, and so denied: sockets, fork and exec, signals to others, ptrace, mounts, namespaces,
# chmod, chown and utime (Landlock does not cover them), fallocate (disk without size), shared memory, and all newer.
ALLOWED = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "lseek": (8, 62), "pread64": (17, 67), "pwrite64": (18, 68),
    "readv": (19, 65), "writev": (20, 66), "fsync": (74, 82), "fdatasync": (75, 83), "ftruncate": (77, 46),
    "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "pipe": (22, None),
    "pipe2": (293, 59), "poll": (7, None), "ppoll": (271, 73), "select": (23, None),
    "pselect6": (270, 72),
    "stat": (4, None), "lstat": (6, None), "fstat": (5, 80), "newfstatat": (262, 79), "statx": (332, 291),
    "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439), "getdents64": (217, 61),
    "getcwd": (79, 17), "chdir": (80, 49), "fchdir": (81, 50), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None), "unlink": (87, None),
    "unlinkat": (263, 35), "readlink": (89, None), "readlinkat": (267, 78), "umask": (95, 166),
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "mremap": (25, 216), "madvise": (28, 233),
    "brk": (12, 214),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132),
    "getitimer": (36, 102), "setitimer": (38, 103), "alarm": (37, None),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153),
    "futex": (202, 98), "set_robust_list": (273, 99), "rseq": (334, 293), "set_tid_address": (218, 96),
    "membarrier": (324, 283), "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "getcpu": (309, 168),
    "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "getgroups": (115, 158), "getrlimit": (97, 163),
    "getrusage": (98, 165), "sysinfo": (99, 179), "uname": (63, 160), "getrandom": (318, 278),
    "exit": (60, 93), "exit_group": (231, 94), "restart_syscall": (219, 128),
}
OPENAT, PRLIMIT, CLONE, CLONE3, CAPSET, IOCTL = (257, 56), (302, 261), (56, 220), (435, 435), (126, 91), (16, 29)
FCNTL, F_SETFL, O_ASYNC = (72, 25), 4, 0x2000
# duplicates, flags, locks; nothing that names another process (F_SETOWN, F_SETSIG, leases, notices of changes)
FCNTL_ALLOWED = (0, 1, 2, 3, 5, 6, 7, 36, 37, 38, 1030, 1032)
CLONE_THREAD = 0x10000

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38


def libc():
    return ctypes.CDLL(None, use_errno=True)


def checked(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def prctl(option, *arguments):
    words = [ctypes.c_ulong(a) for a in (*arguments, 0, 0, 0, 0)[:4]]
    return checked(libc().prctl(option, *words), f"prctl {option}")


def syscall(number, *arguments):
    return checked(libc().syscall(ctypes.c_long(number), *arguments), f"system call {number}")


def die_with_parent():
    """SIGKILL for this process when the one that started it is gone."""
    parent = os.getppid()
    prctl(PR_SET_PDEATHSIG, 9)
    if os.getppid() != parent:
        os._exit(1)


def drop_privileges(uid):
    """Become user `uid` if this is root; give up every capability, also in a namespace."""
    if os.geteuid() == 0 and uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    header, data = struct.pack("Ii", 0x20080522, 0), bytes(24)
    syscall(CAPSET[MACHINE], header, data)
    prctl(PR_SET_DUMPABLE, 0)              # nobody of the same user may ptrace it or open its memory


def mount_scratch(path, size, files):
    """A tmpfs of its own: bounded in bytes and in files. Needs CAP_SYS_ADMIN, which bubblewrap lends."""
    options = f"size={size},nr_inodes={files},mode=777".encode()
    checked(libc().mount(b"tmpfs", path.encode(), b"tmpfs", ctypes.c_ulong(2 | 4), options), "mount")


# rlimits

def set_rlimits(memory, file_size, cpu_seconds, processes, open_files=64):
    """Hard limits of this process. macOS has no RLIMIT_AS to speak of: the report says so."""
    for name, value in (("RLIMIT_AS", memory), ("RLIMIT_FSIZE", file_size), ("RLIMIT_CPU", cpu_seconds),
                        ("RLIMIT_NOFILE", open_files), ("RLIMIT_CORE", 0), ("RLIMIT_NPROC", processes),
                        ("RLIMIT_STACK", 1 << 26), ("RLIMIT_MSGQUEUE", 0), ("RLIMIT_MEMLOCK", 0)):
        if hasattr(resource, name) and value is not None:
            _, hard = resource.getrlimit(getattr(resource, name))
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            try:
                resource.setrlimit(getattr(resource, name), (value, value))
            except (OSError, ValueError):
                if sys.platform == "linux":
                    raise


# Landlock: https://docs.kernel.org/userspace-api/landlock.html

READ_FILE, READ_DIR, WRITE_FILE, TRUNCATE = 1 << 2, 1 << 3, 1 << 1, 1 << 14
REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_FILE, MOVE = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 13
ADD_FILES = WRITE_FILE | TRUNCATE | MAKE_DIR | MAKE_FILE
CHANGE_FILES = ADD_FILES | REMOVE_DIR | REMOVE_FILE | MOVE
RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}          # ABI -> how many rights there are about files; all are handled


def landlock_abi():
    """The version that this kernel has; 0: none."""
    if sys.platform != "linux" or MACHINE is None:
        return 0
    return max(0, libc().syscall(ctypes.c_long(444), None, ctypes.c_size_t(0), ctypes.c_uint32(1)))


def landlock_rules(readable, hidden, devices, scratch, remove=True):
    """A rule set: read below `readable` except below `hidden`; write in `scratch` and to `devices`.

    remove  False: what is in `scratch` keeps its name, so that everything in it can be seen and counted

    Nothing else of the file system may be opened; no TCP (ABI 4), no signals to processes outside
    and no abstract sockets (ABI 6). Returns a descriptor for `landlock_restrict`.
    """
    abi = landlock_abi()
    handled = (1 << max(count for since, count in RIGHTS.items() if since <= abi)) - 1
    net, scope = (3 if abi >= 4 else 0), (3 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    rules = syscall(444, struct.pack("=QQQ", handled, net, scope)[:size], ctypes.c_size_t(size), ctypes.c_uint32(0))
    for top in readable:
        for path in without_hidden(top, hidden):
            landlock_allow(rules, path, (READ_FILE | READ_DIR) & handled)
    for path in devices:
        landlock_allow(rules, path, (READ_FILE | WRITE_FILE) & handled)
    if scratch:
        rights = (CHANGE_FILES if remove else ADD_FILES) | READ_FILE | READ_DIR
        landlock_allow(rules, scratch, rights & handled)
    return rules


def landlock_allow(rules, path, rights):
    """Add to the rule set: these rights for a file, or for all that is below a folder; nothing for no such path."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return
    if not os.path.isdir(path):
        rights &= READ_FILE | WRITE_FILE | TRUNCATE
    syscall(445, ctypes.c_int(rules), ctypes.c_int(1), struct.pack("=Qi", rights, fd), ctypes.c_uint32(0))
    os.close(fd)


def without_hidden(path, hidden):
    """The path itself where nothing hidden is in it; else, entry by entry, the paths in it that are not hidden."""
    if path in hidden:
        return
    if any(other.startswith(path + "/") for other in hidden) and os.path.isdir(path):
        for entry in os.scandir(path):
            if not entry.is_symlink():
                yield from without_hidden(entry.path, hidden)
    else:
        yield path


def landlock_restrict(rules):
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    syscall(446, ctypes.c_int(rules), ctypes.c_uint32(0))
    os.close(rules)


# seccomp

def seccomp_filter():
    """A BPF program: the calls in ALLOWED pass; of openat, prlimit64, clone and fcntl some forms; else EPERM.

    openat   not "read only, but truncate", which old kernels let through Landlock; not a file without a name
    prlimit  only on itself
    clone    only threads; clone3 "does not exist", then the C library falls back to clone
    fcntl    not to have the kernel send a signal, to another process at that, when a pipe has something to read
    ioctl    never, and so said that Python then takes fcntl (a temporary file asks for that)
    """
    allow, deny = 0x7FFF0000, 0x00050000 | errno.EPERM
    load = lambda offset: (0x20, 0, 0, offset)                    # noqa: E731  the word at `offset` of seccomp_data
    give = lambda action: (0x06, 0, 0, action)                    # noqa: E731
    equal, any_bit, number, argument = 0x15, 0x45, 0, lambda n: 16 + 8 * n

    program = [load(4), (equal, 1, 0, AUDIT_ARCH[MACHINE]), give(0x80000000), load(number)]
    for call, checks in (
            (CLONE3, [give(0x00050000 | errno.ENOSYS)]),
            (IOCTL, [give(0x00050000 | errno.ENOTTY)]),
            (CLONE, [load(argument(0)), (any_bit, 0, 1, CLONE_THREAD), give(allow), give(deny)]),
            (PRLIMIT, [load(argument(0)), (equal, 0, 1, 0), give(allow), give(deny)]),
            (FCNTL, [load(argument(1)), (equal, 0, 4, F_SETFL), load(argument(2)), (any_bit, 1, 0, O_ASYNC),
                     give(allow), give(deny), *((equal, len(FCNTL_ALLOWED) - n, 0, command)
                                   for n, command in enumerate(FCNTL_ALLOWED)), give(deny), give(allow)]),
            (OPENAT, [load(argument(2)), (any_bit, 2, 0, 0x400000), (any_bit, 0, 2, os.O_TRUNC), (any_bit, 1, 0, 3),
                      give(deny), give(allow)])):
        program += [(equal, 0, len(checks), call[MACHINE]), *checks]
    calls = [numbers[MACHINE] for numbers in ALLOWED.values() if numbers[MACHINE] is not None]
    program += [(equal, len(calls) - n, 0, call) for n, call in enumerate(calls)]
    program += [give(deny), give(allow)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def seccomp_restrict(program):
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    code = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("HP", len(program) // 8, ctypes.addressof(code))
    checked(libc().prctl(PR_SET_SECCOMP, ctypes.c_ulong(2), fprog, ctypes.c_ulong(0), ctypes.c_ulong(0)), "seccomp")


def seccomp_available():
    if sys.platform != "linux" or MACHINE is None:
        return False
    return libc().prctl(21, 0, 0, 0, 0) >= 0           # PR_GET_SECCOMP
