"""A run that is killed at any moment and started again gives the same grades, and grades nobody twice."""

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lstmcourse.grading.grade import main
from lstmcourse.grading.journal import Journal
from tests.grading.corpus.parts import RIGHT, STUBS, WRONG, WRONG_42, right_but, text
from tests.grading.corpus.run import left_behind, strangers

ROOT = Path(__file__).parent.parent.parent
IDS = ["4.1", "4.2", "4.3"]
MOMENTS = 20
SLOW = right_but(update="import time\ndef cell_update(c_prev, i, f, g):\n    time.sleep(0.02)\n"
                 "    return f * c_prev + i * g")


def make_class(folder, students):
    folder.mkdir()
    for n in range(students):
        cells = (RIGHT, right_but(update=WRONG_42), WRONG, STUBS, SLOW)[n % 5]
        (folder / f"student{n:02}.ipynb").write_text(text(cells))


def grades(out):
    """grades.json without the times."""
    found = json.loads((out / "grades.json").read_text())
    for entry in found["submissions"]:
        assert entry.pop("seconds") >= 0
    return found


def arguments(folder, out, jobs):
    return ["grade", str(folder), "--out", str(out), "--exercises", ",".join(IDS), "--jobs", str(jobs)]


def undisturbed(folder, out, seed):
    """The grades of a run with this seed that nobody kills."""
    out.mkdir()
    with Journal(out / "journal.sqlite", IDS) as journal:
        journal.db.execute("UPDATE run SET seed = ?", (seed,))
    assert main(arguments(folder, out, 1)[1:]) == 0
    return grades(out)


def noting():
    """Let the journal keep a list of the results that were stored, in the transaction that stores each."""
    def begin(self, *args, real=Journal.__init__):
        real(self, *args)
        self.db.execute("CREATE TABLE IF NOT EXISTS stored (key TEXT)")
        self.db.execute("CREATE TRIGGER IF NOT EXISTS note AFTER INSERT ON grade "
                        "BEGIN INSERT INTO stored VALUES (new.key); END")
    Journal.__init__ = begin


def stored(out):
    """The list that `noting` keeps: who is graded twice is in it twice."""
    db = sqlite3.connect(out / "journal.sqlite")
    with contextlib.closing(db):
        return [key for key, in db.execute("SELECT key FROM stored ORDER BY key")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="killing a copy of a process takes fork")
def test_killed_at_random_moments_it_ends_with_the_same_grades(tmp_path):
    folder, out, before = tmp_path / "class", tmp_path / "out", strangers()
    make_class(folder, 15)
    # in a process of its own, which has one thread: copies of one with several may wait for ever
    done = subprocess.run([sys.executable, "-m", "tests.grading.test_resume", str(tmp_path)], cwd=ROOT, timeout=300,
                          env=os.environ | {"OPENBLAS_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"killed at {MOMENTS} moments\n"
    assert stored(out) == [f"student{n:02}.ipynb" for n in range(15)]
    found = grades(out)
    assert found == undisturbed(folder, tmp_path / "undisturbed", found["seed"])
    for page in (tmp_path / "undisturbed" / "feedback").iterdir():
        assert (out / "feedback" / page.name).read_text() == page.read_text()
    assert not left_behind(before)


def kill_at_random_moments(place):
    """Start the run in place/out again and again, kill it MOMENTS times, and let it end."""
    from lstmcourse.grading import report  # noqa: F401  loaded before the copies are made
    args, chance, killed = arguments(place / "class", place / "out", 1), random.Random(6), 0
    start = time.monotonic()
    assert run_copy(arguments(place / "class", place / "timed", 1), 60) == 0
    whole = time.monotonic() - start
    noting()
    while killed < MOMENTS:
        # half of the moments lie soon after the start, the others later; once all is graded, in the reports
        graded = (place / "out" / "grades.json").exists()
        latest = 0.1 if graded else whole / 10 if killed % 2 else whole / 4
        status = run_copy(args, chance.uniform(0, latest))
        killed += status is None
        if (place / "out" / "grades.json").exists():
            json.loads((place / "out" / "grades.json").read_text())
    assert run_copy(args, 60) == 0
    print(f"killed at {killed} moments")


def run_copy(args, moment):
    """Run the command in a copy of this process and kill it after `moment` s; its exit status, None if killed."""
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 1)
            os.dup2(null, 2)
            status = main(args[1:])
        finally:
            os._exit(status)
    end = time.monotonic() + moment
    while time.monotonic() < end:
        done, code = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(code)
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def test_killed_with_several_jobs_it_leaves_no_process_and_ends_with_the_same_grades(tmp_path):
    if os.name != "posix":
        pytest.skip("no signals here")
    folder, out, before = tmp_path / "class", tmp_path / "out", strangers()
    make_class(folder, 12)
    command = [sys.executable, "-m", "lstmcourse.grading", *arguments(folder, out, 2)]
    for stored in (1, 5):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   start_new_session=True)
        while in_journal(out) < stored and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.wait()
    assert in_journal(out) >= 1
    assert not left_behind(before)
    assert main(arguments(folder, out, 1)[1:]) == 0
    found = grades(out)
    isolation = {found.pop("isolation")}
    wanted = undisturbed(folder, tmp_path / "undisturbed", found["seed"])
    assert isolation == {wanted.pop("isolation")}
    assert found == wanted


def in_journal(out):
    """How many results are stored: read by size alone, since the run holds the lock."""
    try:
        db = sqlite3.connect(f"file:{out / 'journal.sqlite'}?mode=ro&immutable=1", uri=True)
        return db.execute("SELECT count(*) FROM grade").fetchone()[0]
    except sqlite3.DatabaseError:
        return 0


def test_a_worker_that_dies_takes_nobodys_grade_with_it(tmp_path):
    """One of two worker processes is killed; the run goes on and ends with everybody graded."""
    if not Path("/proc").is_dir():
        pytest.skip("the worker is found in /proc")
    folder, out = tmp_path / "class", tmp_path / "out"
    make_class(folder, 12)
    process = subprocess.Popen([sys.executable, "-m", "lstmcourse.grading", *arguments(folder, out, 2)], cwd=ROOT,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while in_journal(out) < 2 and process.poll() is None:
        time.sleep(0.01)
    victims = [pid for pid in children(process.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(victims[0], signal.SIGKILL)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert [entry["status"] for entry in grades(out)["submissions"]] == ["graded"] * 12


def children(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


if __name__ == "__main__":
    kill_at_random_moments(Path(sys.argv[1]))
