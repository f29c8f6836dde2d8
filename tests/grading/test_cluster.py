"""--scheduler: a real Dask scheduler and two workers on the loopback, one of them killed in the middle."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lstmcourse.grading.grade import main
from lstmcourse.grading.sandbox import unavailable
from tests.grading.test_resume import arguments, grades, in_journal, make_class, undisturbed

pytest.importorskip("distributed", reason="Dask is not installed")
ROOT = Path(__file__).parent.parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}


@contextlib.contextmanager
def cluster(folder, workers=2):
    """(address, the workers' processes)."""
    file, started = folder / "scheduler.json", []

    def start(*command):
        with (folder / "dask.log").open("a") as log:
            started.append(subprocess.Popen([sys.executable, "-m", *command], cwd=folder, env=ENVIRONMENT, stdout=log,
                                            stderr=log))
    try:
        start("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
              "--scheduler-file", str(file))
        for _ in range(workers):
            start("distributed.cli.dask_worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-nanny",
                  "--no-dashboard", "--local-directory", str(folder))
        until(lambda: address_in(file))
        address = address_in(file)
        from distributed import Client
        with Client(address, timeout=60) as client:
            client.wait_for_workers(workers, timeout=60)
        yield address, started[1:]
    finally:
        for process in started:
            process.kill()
            process.wait()


def address_in(file):
    """None as long as the scheduler has not written it whole."""
    try:
        return json.loads(file.read_text())["address"]
    except (OSError, ValueError, KeyError):
        return None


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_killed_worker_of_a_cluster_loses_no_submission_and_grades_none_twice(tmp_path):
    folder, out = tmp_path / "class", tmp_path / "out"
    make_class(folder, 16)
    with cluster(tmp_path) as (address, workers):
        run = subprocess.Popen([sys.executable, "-m", "lstmcourse.grading", *arguments(folder, out, 1), "--scheduler",
                                address], cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
        until(lambda: in_journal(out) >= 2 or run.poll() is not None)
        workers[0].kill()
        stored_then = in_journal(out)
        shown, stderr = run.communicate(timeout=180)
    assert run.returncode == 0, stderr[-3000:]
    assert 2 <= stored_then < 16, "it was killed too late to prove anything"
    assert in_journal(out) == 16
    assert "16 graded, 0 refused, 0 error" in shown
    found = grades(out)
    wanted = undisturbed(folder, tmp_path / "undisturbed", found["seed"])
    assert found["submissions"] == wanted["submissions"]
    for layer in {"landlock", "seccomp", "rlimits"} - set(unavailable()):       # the isolation holds on the workers
        assert layer in found["isolation"].split("; missing")[0]


def test_a_scheduler_that_is_not_there_is_wrong_use(tmp_path, capsys, monkeypatch):
    import distributed

    def nobody(*args, **kwargs):
        raise OSError("Timed out")
    monkeypatch.setattr(distributed, "Client", nobody)
    make_class(tmp_path / "class", 2)
    assert main([*arguments(tmp_path / "class", tmp_path / "out", 1)[1:], "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "no Dask scheduler answers" in capsys.readouterr().err
