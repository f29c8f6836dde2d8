"""Each layer alone and all together, proved by attacks, as this user and as an ordinary one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lstmcourse.grading import doctor, memory
from lstmcourse.grading.sandbox import LAYERS, Sandbox, SandboxError, unavailable
from tests.grading.corpus.run import as_user
from tests.grading.test_corpus import ANYBODY, other_user_or_skip

NEEDS_MORE = {"ask_the_kernel_for_more", "read_private_file", "read_the_environment"}    # not everybody gets that far
ROOT = Path(__file__).parent.parent.parent


def state_or_skip(findings, layer):
    finding = findings.get(layer) or {"state": "not here", "detail": unavailable().get(layer)}
    if finding["state"] == "not here":
        pytest.skip(f"{layer} is not here: {finding['detail']}")
    return finding["state"], finding["detail"]


@pytest.mark.parametrize("layer", [*LAYERS, doctor.TOGETHER])
def test_layer_stops_what_it_has_to_stop(layer):
    state, detail = state_or_skip(doctor.examine((layer,)), layer)
    assert state == "holds", detail
    for attack in doctor.STOPS.get(layer, doctor.stopped_by(set(LAYERS) - set(unavailable()))):
        told = attack.replace("_", " ")
        assert told in detail or attack in NEEDS_MORE, f"could not {told} without the layer either: that proves nothing"


@pytest.mark.parametrize("layer", ["landlock", "seccomp"])
def test_layer_holds_on_an_older_kernel(layer, tmp_path):
    """Landlock of version 5 knows no signals: seccomp alone has to stop those that the kernel sends by fcntl."""
    package = tmp_path / "lstmcourse"
    shutil.copytree(ROOT / "lstmcourse", package, ignore=shutil.ignore_patterns("__pycache__"))
    with (package / "grading" / "confine.py").open("a") as file:
        file.write("\nlandlock_abi = lambda: 5\n")
    program = f"import json; from lstmcourse.grading import doctor; print(json.dumps(doctor.examine(({layer!r},))))"
    done = subprocess.run([sys.executable, "-B", "-c", program], capture_output=True, text=True, cwd=tmp_path,
                          env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    state, detail = state_or_skip(json.loads(done.stdout), layer)
    assert state == "holds", detail
    assert ("signal another process by fcntl" in detail) == (layer == "seccomp")


FCNTL = """
import fcntl, os, struct
reader, writer = os.pipe()
file = os.open("x", os.O_CREAT | os.O_RDWR)
ASYNC, NONBLOCK = 0x2000, 0x800

def allowed(name):
    try:
        {"set owner": lambda: fcntl.fcntl(reader, 8, os.getpid()), "set signal": lambda: fcntl.fcntl(reader, 10, 9),
         "set owner by kind": lambda: fcntl.fcntl(reader, 15, struct.pack("ii", 1, os.getpid())),
         "lease": lambda: fcntl.fcntl(file, 1024, 1),
         "notify": lambda: fcntl.fcntl(os.open(".", 0), 1026, 2),
         "pipe size": lambda: fcntl.fcntl(writer, 1031, 1 << 20),
         "async": lambda: fcntl.fcntl(reader, 4, ASYNC),
         "async and more": lambda: fcntl.fcntl(reader, 4, ASYNC | NONBLOCK),
         "flags": lambda: fcntl.fcntl(reader, 4, fcntl.fcntl(reader, 3) | NONBLOCK),
         "duplicate": lambda: fcntl.fcntl(reader, 1030, 10), "inherit": lambda: fcntl.fcntl(reader, 2, 1),
         "lock": lambda: fcntl.lockf(file, fcntl.LOCK_EX)}[name]()
    except PermissionError:
        return False
    return True
"""


@pytest.mark.parametrize(("name", "passes"), [
    ("set owner", False), ("set signal", False), ("set owner by kind", False), ("lease", False), ("notify", False),
    ("pipe size", False), ("async", False), ("async and more", False), ("flags", True), ("duplicate", True),
    ("inherit", True), ("lock", True)])
def test_seccomp_lets_through_the_fcntl_that_names_no_process(name, passes):
    if "seccomp" in unavailable():
        pytest.skip(unavailable()["seccomp"])
    notebook = json.dumps({"cells": [{"cell_type": "code", "source": FCNTL}]}).encode()
    with Sandbox(layers=("seccomp",)) as sandbox, sandbox.session() as session:
        session.read(notebook)
        assert [what for kind, *what in session.run((), 20, ["allowed"]) if kind == "note"] == []
        assert session.call("allowed", (name,), 20)[:2] == ("value", passes)


def test_what_the_isolation_lacks_is_told_without_a_number_of_a_process(monkeypatch):
    def refuse(self, limit, tasks):
        raise OSError(30, "Read-only file system", "/sys/fs/cgroup/lstmcourse-26731-54")
    monkeypatch.setattr(memory.MemoryGroup, "__init__", refuse)
    monkeypatch.setattr(memory.sys, "platform", "linux")
    assert memory.MemoryGroup.unavailable() == "no control group can be made here (Read-only file system)"


@pytest.mark.parametrize("layer", [layer for layer in (*LAYERS, doctor.TOGETHER) if layer != "user"])
def test_layer_holds_for_an_ordinary_user(layer):
    other_user_or_skip()
    program = f"import json; from lstmcourse.grading import doctor; print(json.dumps(doctor.examine(({layer!r},))))"
    done = subprocess.run([sys.executable, "-B", "-c", program], capture_output=True, text=True, cwd="/",
                          env=os.environ | {"PYTHONPATH": str(ROOT)}, **as_user(ANYBODY))
    if "No module named 'lstmcourse" in done.stderr or "Permission" in done.stderr:
        pytest.skip("another user cannot read the course here")
    assert done.returncode == 0, done.stderr
    state, detail = state_or_skip(json.loads(done.stdout), layer)
    assert state == "holds", detail


def test_a_layer_that_does_not_hold_is_called_broken(monkeypatch, capsys):
    monkeypatch.setitem(doctor.STOPS, "rlimits", ("read_a_file",))
    findings = doctor.examine(("rlimits",))
    if os.name != "posix":
        pytest.skip("no rlimits here")
    assert findings["rlimits"]["state"] == "BROKEN"
    assert "read a file (a file outside" in findings["rlimits"]["detail"]
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    assert doctor.main([]) == 1
    assert "BROKEN" in capsys.readouterr().out


def test_a_missing_layer_is_listed_with_the_reason(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "unavailable", lambda: {"seccomp": "the kernel has no seccomp"})
    findings = doctor.examine(("seccomp",))
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    assert doctor.main([]) == 0
    out = capsys.readouterr().out
    assert "the kernel has no seccomp" in out
    assert "nothing on this machine stops: " in out
    assert "start a process" in out.split("nothing on this machine stops: ")[1]
    assert "not tested here: seccomp" in out


def test_what_all_layers_together_stop_is_not_said_to_get_through(monkeypatch, capsys):
    here = {"state": "holds", "detail": ""}
    findings = dict.fromkeys((*LAYERS, doctor.TOGETHER), here) | {"user": {"state": "not here", "detail": "why"}}
    monkeypatch.setattr(doctor, "unavailable", dict)
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    assert doctor.main([]) == 0
    assert "nothing on this machine stops" not in capsys.readouterr().out
    findings[doctor.TOGETHER] = {"state": "BROKEN", "detail": ""}
    assert doctor.main([]) == 1
    assert "nothing on this machine stops: read private file" in capsys.readouterr().out


def test_a_layer_that_was_not_put_up_is_never_reported_as_held():
    with Sandbox(layers=("rlimits",)) as sandbox, sandbox.session():
        assert set(sandbox.held) == {"rlimits"} - set(unavailable())
        assert sandbox.missing["seccomp"]


def test_required_layers_that_are_missing_are_an_error_before_any_session():
    with Sandbox(layers=("rlimits",), required=("rlimits", "seccomp")) as sandbox, pytest.raises(
            SandboxError, match="less isolation than required .*seccomp"):
        sandbox.session()


def test_a_sandbox_that_does_not_stand_is_the_graders_error(monkeypatch):
    monkeypatch.setattr(Sandbox, "command", lambda self, fd: [sys.executable, "-c", "raise SystemExit('no NumPy')"])
    with Sandbox(layers=("rlimits",)) as sandbox, pytest.raises(SandboxError, match="no NumPy"):
        sandbox.session()
