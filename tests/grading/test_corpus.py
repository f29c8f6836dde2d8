"""The whole corpus through the real command; then, without the slow ones, with layers missing and as another user."""

import functools
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lstmcourse.grading import confine
from lstmcourse.grading.sandbox import FULL, Bounds, Sandbox, out_of_reach
from tests.grading.corpus import CASES
from tests.grading.corpus.run import as_user, run

ROOT = Path(__file__).parent.parent.parent
SLOW = {"an endless loop", "correct but slow", "50 MB of stored output", "3 GB touched", "a flood of output",
        "an archive of zeros", "200 child processes", "strange files", "a thread that will not end", "very many cells",
        "an exception that never speaks", "the line to the grader", "archives that lie"}
QUICK = [case for case in CASES if case.kind not in SLOW]
# For a machine with fewer layers, or another user: every hostile one, and an honest one of each kind.
FEWER = list({case.kind if case.honest else case.name: case for case in QUICK}.values())
ANYBODY = 54321                # a user that nobody is


@functools.cache
def missing():
    """layer -> why it is not here, as a sandbox finds that has really been started."""
    with Sandbox() as sandbox, sandbox.session():
        return {layer: reason for layer, reason in sandbox.missing.items() if layer in FULL}


def contained():
    """May hostile code run here? Something must keep it from the files, and something from processes and network."""
    return "bubblewrap" not in missing() or not {"landlock", "seccomp"} & {*missing()}


def assert_as_deserved(findings):
    assert not str(findings), f"{len(findings.broken)} not as deserved\n{findings}"


def test_every_submission_gets_what_it_deserves_and_changes_nothing(tmp_path):
    cases = CASES if contained() else [case for case in CASES if case.honest]
    findings = run(tmp_path, cases)
    second_chance(findings, tmp_path / "again")
    assert_as_deserved(findings)
    assert findings.memory <= Bounds().memory
    if not contained():
        pytest.skip(f"the {len(CASES) - len(cases)} hostile submissions were left out: too little keeps them from this "
                    f"machine ({missing()})")


def second_chance(findings, folder):
    """Honest work that a busy machine was too slow for is graded once more: alone, with the usual limits."""
    late = [case for case in CASES if case.honest and re.search("took longer|limits of time",
                                                                findings.broken.get(case.name, ""))]
    if late:
        folder.mkdir()
        again = run(folder, late, ("--jobs", "1"))
        for case in late:
            del findings.broken[case.name]
        findings.broken |= again.broken
        findings.damage += again.damage


def no_bwrap(path):
    """As in a container without bubblewrap."""


def bwrap_that_fails(path):
    """As in a container, or a system, that allows no user namespaces."""
    file = path / "bwrap"
    file.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    file.chmod(0o755)


@pytest.mark.parametrize("bwrap", [no_bwrap, bwrap_that_fails])
def test_quick_submissions_get_what_they_deserve_without_bubblewrap(tmp_path, tmp_path_factory, bwrap):
    if {"landlock", "seccomp"} & {*missing()}:
        pytest.skip(f"without bubblewrap this takes Landlock and seccomp: {missing()}")
    path = tmp_path_factory.mktemp("bin")
    bwrap(path)
    findings = run(tmp_path, FEWER if bwrap is no_bwrap else FEWER[::4], path=path)
    assert_as_deserved(findings)
    assert "missing: bubblewrap" in findings.isolation


def landlock(version):
    """What goes to the end of confine.py for Landlock as this version has it. 5: no signals yet; 6: those, too."""
    if confine.landlock_abi() < version:
        pytest.skip(f"this kernel has Landlock {confine.landlock_abi()}, not {version}")
    return f"\nlandlock_abi = lambda: {version}\n"


@pytest.mark.parametrize("version", [5, 7])
def test_quick_submissions_get_what_they_deserve_with_each_landlock(tmp_path, tmp_path_factory, version):
    if {"landlock", "seccomp"} & {*missing()}:
        pytest.skip(f"without bubblewrap this takes Landlock and seccomp: {missing()}")
    findings = run(tmp_path, [case for case in FEWER if "signal" in case.name or case in FEWER[::3]],
                   path=tmp_path_factory.mktemp("bin"), patch=landlock(version))
    assert_as_deserved(findings)


@pytest.mark.parametrize(("bwrap", "version"), [(None, None), (no_bwrap, None), (no_bwrap, 5), (no_bwrap, 7)])
def test_quick_submissions_get_what_they_deserve_as_an_ordinary_user(tmp_path, tmp_path_factory, bwrap, version):
    if not contained() or bwrap and {"landlock", "seccomp"} & {*missing()}:
        pytest.skip(f"too little isolation: {missing()}")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and folder.stat().st_mode & 0o5 != 0o5 and os.geteuid() == 0:
            folder.chmod(folder.stat().st_mode | 0o5)
    other_user_or_skip()
    cases = [case for case in FEWER if "signal" in case.name or case in FEWER[::3]] if version else FEWER
    patch = landlock(version) if version else ""
    findings = run(tmp_path, cases, user=ANYBODY, path=bwrap and tmp_path_factory.mktemp("bin"), patch=patch)
    assert_as_deserved(findings)
    assert "user" not in findings.isolation
    assert bwrap is None or "missing: bubblewrap" in findings.isolation


def other_user_or_skip():
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can become another user; this is one already, so the other tests have tested it")
    try:
        subprocess.run([sys.executable, "-c", "import numpy"], cwd="/", capture_output=True, check=True,
                       **as_user(ANYBODY))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"another user cannot read this Python or its NumPy ({out_of_reach() or sys.prefix})")


def test_a_wrong_grade_is_noticed(tmp_path):
    right, = (case for case in CASES if case.name == "style-loops")
    findings = run(tmp_path, [right, replace(right, name="overrated", passed=("4.1",)),
                              replace(right, name="unrefused", status="refused", passed=())], ())
    assert set(findings.broken) == {"overrated", "unrefused"}
    assert not findings.damage


def test_damage_is_noticed(tmp_path, monkeypatch):
    import tests.grading.corpus.run as runner
    real = subprocess.run

    def vandal(*args, **kwargs):
        done = real(*args, **kwargs)
        (tmp_path / "canary" / "secret.txt").write_text("changed")
        (tmp_path / "package" / "lstmcourse" / "evil.py").touch()
        (tmp_path / "new").touch()
        (tmp_path / "out" / "feedback" / "style-loops.html").write_text("<script>" + runner.SECRET)
        return done
    monkeypatch.setattr(runner.subprocess, "run", vandal)
    findings = run(tmp_path, [case for case in CASES if case.name == "style-loops"], ())
    told = "\n".join(findings.damage)
    for what in ("canary was changed", "lstmcourse was changed", "new files", "style-loops holds", "holds CANARY"):
        assert what in told


def test_there_are_two_submissions_of_every_class_and_a_third_is_honest():
    kinds = {}
    for case in CASES:
        kinds.setdefault((case.honest, case.kind), []).append(case.name)
    assert min(map(len, kinds.values())) >= 2
    assert 3 * sum(case.honest for case in CASES) >= len(CASES)


def test_the_documentation_tells_the_size_of_the_corpus():
    told = " ".join((ROOT / "docs" / "grading.md").read_text(encoding="utf-8").split())
    assert f"{len(CASES)} submissions, of which {sum(case.honest for case in CASES)} honest" in told
