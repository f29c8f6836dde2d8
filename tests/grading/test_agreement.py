"""What a student reads from `check` and what the grader pays agree, for every honest notebook of the corpus."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.grading.agreement import DIFFER, RUN

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each notebook runs in a copy of a process")
def test_check_and_the_grader_agree_on_every_honest_notebook():
    """`passed` of a case is what the grader pays: tests/grading/test_corpus.py. Here it is what `check` says."""
    done = subprocess.run([sys.executable, "-m", "tests.grading.agreement"], cwd=ROOT, capture_output=True, text=True,
                          env=os.environ | {"OPENBLAS_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    said = {entry["name"]: tuple(entry["passed"]) for entry in map(json.loads, done.stdout.splitlines())}
    paid = {case.name: tuple(case.passed) for case in RUN}
    differ = {name for name in said if said[name] != paid[name]}
    honest = {case.name for case in RUN if case.honest}
    print("liars that the kernel believes:", sorted(differ - honest))
    assert len(said) == len(RUN) - 1
    assert {name: (said[name], paid[name]) for name in differ & honest - {*DIFFER}} == {}
    for name in differ & honest:
        assert set(said[name]) < set(paid[name])             # never does the grader pay less
