"""Grade the whole corpus with the real command and say what did not hold.

    python -m tests.grading.corpus.run        prints a table by class; exit status 1 if anything did not hold
"""

import contextlib
import csv
import hashlib
import html.parser
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import lstmcourse
from lstmcourse.grading.confine import resource
from tests.grading.corpus import CASES, Target, build

IDS = "4.1,4.2,4.3"
SECRET = "CANARY-d41f-IN-THE-FILE"
VARIABLE = "CANARY-77ab-IN-THE-ENVIRONMENT"
OUTSIDE = ("/", "/tmp", "/var/tmp", "/dev/shm", "/usr", "/etc", "/root", "/home", "/run", "/usr/lib/python3")


# The most memory of any process of the grader. Asked from a small process in between: after exec the kernel counts a
# process as being as large as the one that started it was, and this one builds submissions of 300 MB.
LAUNCH = """
import os, resource, subprocess, sys
status = subprocess.call([sys.executable, "-m", "lstmcourse.grading", *sys.argv[2:]])
os.write(int(sys.argv[1]), b"%d" % resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


@dataclass
class Findings:
    broken: dict = field(default_factory=dict)       # case -> what did not hold
    damage: list = field(default_factory=list)       # what changed that must not have
    seconds: float = 0.0
    memory: int = 0                                  # bytes, of the largest process
    isolation: str = ""

    def __str__(self):
        return "\n".join([*(f"{name}: {what}" for name, what in self.broken.items()), *self.damage])


def run(folder, cases=CASES, options=("--seconds", "8", "--jobs", "2"), user=None, path=None, patch=""):
    """Build the corpus below `folder`, grade it, compare with what each case deserves.

    user  grade as this user (only root can), who then owns all that the vandals aim at
    path  the PATH of the grader, to hide bwrap from it
    patch code at the end of the grader's confine.py: an older kernel
    """
    folder, findings = Path(folder), Findings()
    package, canary = lay_out(folder, patch)
    target = Target(folder / "submissions", folder / "out", package, canary, 0, folder / "socket")
    with Ears(target.socket) as ears:
        target = Target(**vars(target) | {"port": ears.port})
        build(target.submissions, target, cases)
        if user is not None:
            give(folder, user)
        before, loose = {p: digest(p) for p in (target.submissions, package, canary)}, strangers()
        done = launch(target, package.parent, options, user, path, findings)
        heard = ears.heard()
    if done.returncode not in (0, 1) or "Traceback" in done.stderr:
        findings.damage.append(f"exit status {done.returncode}: {done.stderr[-2000:]}")
        findings.broken = {case.name: "was not graded" for case in cases}
        return findings
    deserved(target.out, cases, findings)
    findings.damage += changed_or_new(folder, target, before)
    if heard:
        findings.damage.append(f"the network heard {heard}")
    if processes := left_behind(loose):
        findings.damage.append(f"processes are left: {processes}")
    return findings


def lay_out(folder, patch):
    """What the vandals aim at, below `folder`: a copy of the library, and a secret in a file. Both folders."""
    folder.chmod(0o755)
    package, canary = folder / "package" / "lstmcourse", folder / "canary"
    shutil.copytree(Path(lstmcourse.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    with (package / "grading" / "confine.py").open("a") as file:
        file.write(patch)
    canary.mkdir(mode=0o777)
    canary.chmod(0o777)
    (canary / "secret.txt").write_text(SECRET)
    (canary / "secret.txt").chmod(0o666)
    return package, canary


def launch(target, folder, options, user, path, findings):
    """Run the grader in a process of its own; its time and its memory go into the findings."""
    start = time.monotonic()
    reader, writer = os.pipe()
    environment = os.environ | {
        "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "LSTMCOURSE_CANARY": VARIABLE,
        "OPENBLAS_NUM_THREADS": "1", "PATH": os.environ["PATH"] if path is None else str(path)}
    done = subprocess.run(
        [sys.executable, "-c", LAUNCH, str(writer), "grade", str(target.submissions), "--out", str(target.out),
         "--exercises", IDS, *options], cwd=folder, capture_output=True, text=True, timeout=900,
        pass_fds=(writer,), env=environment, **as_user(user))
    findings.seconds = time.monotonic() - start
    os.close(writer)
    with os.fdopen(reader) as told:
        findings.memory = int(told.read() or 0) << (0 if sys.platform == "darwin" else 10)
    return done


def changed_or_new(folder, target, before):
    """What the submissions have changed or left outside their scratch, in words. before: {path: its digest}"""
    damage = [f"{path.name} was changed" for path, was in before.items() if digest(path) != was]
    known = {folder / "package", folder / "canary", target.submissions, target.out}
    if set(folder.iterdir()) - {target.socket} != known:
        damage.append(f"new files: {sorted(p.name for p in folder.iterdir())}")
    for outside in OUTSIDE:
        if os.access(outside, os.R_OK):
            damage += [f"{outside}/{name} is new" for name in os.listdir(outside)
                       if "PWNED" in name or name in ("a_left_for_b.py", "evil.pth", "sitecustomize.py")]
    return damage


def largest_process():
    """The most memory that an ended process of ours has had, in bytes; 0 where that cannot be known."""
    if resource is None:
        return 0
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << (0 if sys.platform == "darwin" else 10)


def give(folder, user):
    """All that is in the folder, and the folder, to another user."""
    for place, _, files in os.walk(folder):
        for name in (".", *files):
            os.chown(Path(place, name), user, user, follow_symlinks=False)


def as_user(user):
    """Arguments for subprocess.run that make it another user's process."""
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}


def deserved(out, cases, findings):
    """Compare every entry and page with its case."""
    grades = json.loads((out / "grades.json").read_text())
    findings.isolation = grades["isolation"]
    by_key = {Path(entry["file"] if isinstance(entry["file"], str) else entry["file"][0]).name: entry
              for entry in grades["submissions"]} | {entry["student"]: entry for entry in grades["submissions"]}
    pages = {page.stem: page.read_text() for page in (out / "feedback").iterdir()}
    if len(grades["submissions"]) != len(cases) or len(pages) != len(cases):
        findings.damage.append(f"{len(cases)} cases, {len(grades['submissions'])} entries, {len(pages)} pages")
    for case in cases:
        entry = by_key.get(case.name) or by_key.get(case.alias)
        if entry is None:
            findings.broken[case.name] = "has no entry"
            continue
        passed = tuple(e["id"] for e in entry["exercises"] if e["passed"])
        says = " ".join([entry["reason"] or "", *(e["message"] for e in entry["exercises"])])
        if entry["status"] != case.status:
            findings.broken[case.name] = f"is {entry['status']} ({entry['reason']}); deserved {case.status}"
        elif case.status == "graded" and passed != tuple(case.passed):
            findings.broken[case.name] = f"passed {passed}; deserved {case.passed}: {says[:600]}"
        elif (entry["score"] is None) != (case.status != "graded"):
            findings.broken[case.name] = f"has the score {entry['score']}"
        elif case.says and not re.search(case.says, says):
            findings.broken[case.name] = f"says {says[:600]!r}, not {case.says!r}"
    for name, page in pages.items():
        strange = Page(page).strange
        if strange:
            findings.damage.append(f"the page {name} holds {strange[:3]}")
    rows = list(csv.reader((out / "grades.csv").open(newline="")))
    if len(rows) != len(cases) + 1 or any(row[0][:1] in "=+-@" for row in rows):
        findings.damage.append("grades.csv has wrong rows")
    for path in out.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for forbidden in (SECRET, VARIABLE, "root:x:0", "HIDDEN-INPUT", "PWNED"):
                if forbidden.encode() in data:
                    findings.damage.append(f"{path.name} holds {forbidden}")
    files = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.parent.name != "feedback"}
    if files != {"feedback", "grades.json", "grades.csv", "journal.sqlite"}:
        findings.damage.append(f"the results hold {sorted(files)}")


class Page(html.parser.HTMLParser):
    """What a feedback page holds that it should not."""

    ALLOWED = {"html": {"lang"}, "head": set(), "meta": {"charset", "name", "content", "http-equiv"}, "title": set(),
               "style": set(), "body": set(), "h1": set(), "h2": set(), "p": set(), "strong": set(),
               "section": {"class"}, "footer": set(), "br": set()}

    def __init__(self, text):
        super().__init__()
        self.strange = []
        self.feed(text)
        if any(ord(c) < 32 and c != "\n" or c in "\u202e\u2066\x7f" for c in text):
            self.strange.append("control characters")

    def handle_starttag(self, tag, attributes):
        wrong = {name for name, _ in attributes} - self.ALLOWED.get(tag, set())
        if tag not in self.ALLOWED or wrong:
            self.strange.append(f"<{tag} {wrong}>")


class Ears:
    """Listeners on the loopback (TCP, UDP) and, on Linux, on local sockets (a path, an abstract name)."""

    def __init__(self, path):
        self.path, self.names = path, ["tcp", "udp"]

    def __enter__(self):
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        if sys.platform != "linux":
            return self
        self.names += ["local", "abstract"]
        self.local, self.abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        self.local.bind(str(self.path))
        self.path.chmod(0o777)
        self.abstract.bind(f"\0{self.path}")
        self.local.listen()
        self.abstract.listen()
        return self

    def heard(self):
        told = []
        for name in self.names:
            ear = getattr(self, name)
            ear.settimeout(0)
            with contextlib.suppress(OSError):
                told.append(f"{name}: {ear.recv(100) if name == 'udp' else ear.accept()}")
        return told

    def __exit__(self, *error):
        for name in self.names:
            getattr(self, name).close()


def digest(path):
    """What a folder holds, modes included."""
    found = []
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files + folders):
            item = Path(folder, name)
            state = item.lstat()
            content = hashlib.sha256(item.read_bytes()).hexdigest() if item.is_file() and not item.is_symlink() else ""
            found.append((str(item), state.st_mode, state.st_uid, content))
    return hashlib.sha256(repr(found).encode()).hexdigest()


def strangers():
    """Processes of a sandbox whose grader is gone: their line of parents ends at init."""
    found = set()
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if entry.name.isdigit():
            try:
                if b"child.py" in (entry / "cmdline").read_bytes() and not has_grader(int(entry.name)):
                    found.add(int(entry.name))
            except OSError:
                pass
    return found


def left_behind(before, seconds=30):
    """Strangers that are there now, were not there before, and stay. Others may come and go: tests beside this one."""
    left, end = strangers() - before, time.monotonic() + seconds
    while left and time.monotonic() < end:
        time.sleep(0.05)
        left &= strangers()
    return left


def has_grader(pid):
    while pid > 1:
        stat = Path(f"/proc/{pid}/stat").read_text()
        pid = int(stat.rpartition(")")[2].split()[1])
        line = Path(f"/proc/{pid}/cmdline").read_bytes() if pid else b""
        if b"python" in line and b"child.py" not in line:
            return True
    return False


def table(findings, cases=CASES):
    """Held / all, by class."""
    kinds = {}
    for case in cases:
        kinds.setdefault((not case.honest, case.kind), []).append(case.name not in findings.broken)
    lines = [f"{'hostile' if hostile else 'honest':8} {kind:44} {sum(held):3} of {len(held):3}"
             for (hostile, kind), held in sorted(kinds.items())]
    counts = Counter(case.honest for case in cases)
    held = Counter(case.honest for case in cases if case.name not in findings.broken)
    return "\n".join([*lines, "", f"honest  {held[True]} of {counts[True]} as deserved",
                      f"hostile {held[False]} of {counts[False]} as deserved",
                      f"damage: {'; '.join(findings.damage) or 'none'}",
                      f"{findings.seconds:.0f} s; the largest process took {findings.memory >> 20} MB; "
                      f"isolation: {findings.isolation}"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        result = run(place)
    print(table(result))
    print(result)
    raise SystemExit(1 if result.broken or result.damage else 0)
