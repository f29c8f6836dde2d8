"""A limit on the memory of a whole group of processes: a control group (cgroup), version 2 or 1.

One is made below or beside the group that the grader itself is in, where the system lets it:
root, or an ordinary user whose systemd session was given its own subtree.
"""

import contextlib
import itertools
import os
import sys
import time
from pathlib import Path

COUNTER = itertools.count()


class MemoryGroup:
    """A control group with a limit in bytes; a process joins by writing its id to `members`."""

    def __init__(self, limit, tasks):
        parent, version = place()
        for stale in parent.glob("lstmcourse-*"):        # of runs that were killed
            if not Path(f"/proc/{stale.name.split('-')[1]}").exists():
                with contextlib.suppress(OSError):
                    stale.rmdir()
        self.folder, self.version = parent / f"lstmcourse-{os.getpid()}-{next(COUNTER)}", version
        self.folder.mkdir()
        if version == 2:
            (self.folder / "memory.max").write_text(str(limit))
            self.members = self.folder / "cgroup.procs"
            optional = {"memory.swap.max": "0", "memory.oom.group": "0", "pids.max": str(tasks)}
        else:
            (self.folder / "memory.limit_in_bytes").write_text(str(limit))
            self.members = self.folder / "cgroup.procs"
            optional = {"memory.memsw.limit_in_bytes": str(limit), "memory.swappiness": "0"}
        for name, value in optional.items():
            with contextlib.suppress(OSError):
                (self.folder / name).write_text(value)

    def remove(self):
        """End what is still in it, and the group."""
        with contextlib.suppress(OSError):
            (self.folder / "cgroup.kill").write_text("1")
        for _ in range(100):
            with contextlib.suppress(OSError):
                self.folder.rmdir()
            if not self.folder.exists():
                return
            time.sleep(0.01)                             # the last process is still being taken down

    @staticmethod
    def unavailable():
        """Why there is none here, or None."""
        if sys.platform != "linux":
            return "Linux only"
        try:
            group = MemoryGroup(1 << 30, tasks=64)
        except (OSError, LookupError) as error:
            return f"no control group can be made here ({getattr(error, 'strerror', None) or error})"
        group.remove()
        return None


def place():
    """The folder in which a group can be made, and the version; LookupError if there is none."""
    mine = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        mine[controllers] = path.lstrip("/")
    if "memory" in mine:
        return Path("/sys/fs/cgroup/memory") / mine["memory"], 1
    root = Path("/sys/fs/cgroup")
    own = root / mine.get("", "")
    for folder in (own, *own.parents):
        if not folder.is_relative_to(root):
            break
        with contextlib.suppress(OSError):
            allowed = (folder / "cgroup.subtree_control").read_text().split()
            if "memory" in allowed and os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK):
                return folder, 2
    raise LookupError("none that this user may change, with the memory controller on")
