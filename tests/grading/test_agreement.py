"""What a student reads from `check` and what the grader pays agree, for every honest notebook of the corpus."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lstmcourse.cli import main
from lstmcourse.practice import EXERCISES, check
from tests.grading.agreement import DIFFER, RUN
from tests.grading.corpus.parts import text

ROOT = Path(__file__).parent.parent.parent
NEEDY = [                      # right in the student's own kernel: what it needs is not there while it is graded
    ("4.2", "`scipy`", "from scipy.special import expit\ndef cell_update(c_prev, i, f, g):\n"
                       "    return f * c_prev + i * g + 0 * expit(g)"),
    ("4.2", "`torch`", "import torch\ndef cell_update(c_prev, i, f, g):\n"
                       "    return (torch.tensor(f) * torch.tensor(c_prev) + torch.tensor(i * g)).numpy()"),
    ("4.3", "`lstmcourse.lstm.lstm_cell_forward`",
     "from lstmcourse.lstm import lstm_cell_forward as whole\ndef lstm_cell_forward(x_t, h_prev, c_prev, params):\n"
     "    return whole(x_t, h_prev, c_prev, params)[:2]"),
]


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


@pytest.mark.parametrize(("id", "needs", "cell"), NEEDY)
def test_where_check_passes_what_the_grader_does_not_pay_it_says_so(tmp_path, monkeypatch, id, needs, cell):
    monkeypatch.setenv("LSTMCOURSE_PROGRESS", str(tmp_path))
    space = {"__name__": "__main__"}
    exec(cell, space)
    said = check(id, space[EXERCISES[id].function])
    assert said.passed
    assert f"an answer that needs {needs} earns no points there" in said.message
    (tmp_path / "ada.ipynb").write_text(text((cell,)))
    main(["grade", str(tmp_path / "ada.ipynb"), "--out", str(tmp_path / "out"), "--exercises", id])
    entry, = json.loads((tmp_path / "out" / "grades.json").read_text())["submissions"]
    assert (entry["status"], entry["score"]) == ("graded", 0)
