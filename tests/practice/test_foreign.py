"""An answer that needs what the grader does not have passes `check`, which says so in one sentence."""

import sys
import types

import numpy as np
import pytest

from lstmcourse.practice import EXERCISES, check
from lstmcourse.practice.foreign import foreign

from .mutants import build, solutions

SOLUTIONS = solutions()
CALLED = "\ndef gate(a):\n    return s(a)"
RIGHT = "def cell_update(c_prev, i, f, g):\n    return {}"


def made(source, name):
    """A function of a notebook with these cells."""
    space = {"__name__": "__main__"}
    exec(source, space)
    return space[name]


@pytest.mark.parametrize(("needs", "source"), [
    (["scipy"], "from scipy.special import expit as s" + CALLED),
    (["scipy"], "from scipy.special import logsumexp as s" + CALLED),
    (["scipy"], "import scipy.special\ndef gate(a):\n    return scipy.special.expit(a)"),
    (["scipy"], "from scipy.special import expit\ndef s(a):\n    return expit(a)" + CALLED),
    (["scipy"], "from scipy.special import expit\ndef gate(a, s=expit):\n    return s(a)"),
    (["torch"], "def gate(a):\n    import torch as t\n    return t.sigmoid(t.tensor(a)).numpy()\nimport torch"),
    (["torch"], "def gate(a):\n    return [t.sigmoid(b) for b in a]\nimport torch as t"),
    (["torch"], "import torch\nW = torch.ones(3)\ndef gate(a):\n    return (W * a).numpy()"),
    (["torch"], "import torch\nclass Gate(torch.nn.Module):\n    pass\ndef gate(a):\n    return Gate()(a)"),
    (["torch"], "def made(t):\n    def gate(a):\n        return t.sigmoid(a)\n    return gate\nimport torch\n"
                "gate = made(torch)"),
    (["scipy", "torch"], "import scipy, torch\ndef gate(a):\n    return torch.tensor(scipy.special.expit(a))"),
    (["lstmcourse.lstm.lstm_cell_forward"], "from lstmcourse.lstm import lstm_cell_forward as s" + CALLED),
    (["lstmcourse.lstm"], "from lstmcourse import lstm\ndef gate(a):\n    return lstm.lstm_cell_forward(a)"),
    (["lstmcourse.layers.softmax"], "def gate(a):\n    from lstmcourse.layers import sigmoid, softmax\n"
                                    "    return softmax(a)"),
    ([], "from lstmcourse.layers import sigmoid as s" + CALLED),
    ([], "import lstmcourse.layers as layers\ndef gate(a):\n    return layers.sigmoid(a)"),
    ([], "import numpy as np, math\nfrom functools import reduce\nk = np.ones(3)\ndef gate(a):\n    import itertools\n"
         "    return reduce(np.maximum, k * np.exp(a)) + math.pi + np.linalg.norm(a)"),
    ([], "import matplotlib.pyplot as plt\ndef gate(a):\n    plt.plot(a)\n    return 1 / (1 + abs(a))"),
    ([], "def gate(a):\n    import a_package_that_is_not_here"),
])
def test_what_the_grader_does_not_have_is_found(needs, source):
    assert foreign("4.1", made(source, "gate")) == needs


def test_a_function_of_another_package_that_is_handed_over_itself_is_found():
    from scipy.special import expit
    assert foreign("4.1", expit) == ["scipy"]
    assert foreign("4.1", np.exp) == []


def test_an_earlier_answer_that_was_brought_back_is_found():
    earlier = types.FunctionType((lambda a: a).__code__, {"__name__": "mine_4_1"}, "forget_gate")
    assert earlier.__module__ == "mine_4_1"
    for brought in (earlier, EXERCISES["4.2"].reference):
        space = {"__name__": "__main__", "s": brought}
        exec(CALLED, space)
        assert foreign("4.1", space["gate"]) == ["mine"]


def test_a_file_of_the_notebooks_own_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "my_helper.py").write_text("def s(a):\n    return a")
    monkeypatch.syspath_prepend(tmp_path)
    assert foreign("4.1", made("from my_helper import s" + CALLED, "gate")) == []
    del sys.modules["my_helper"]


@pytest.mark.parametrize("id", EXERCISES)
def test_no_solution_needs_what_the_grader_does_not_have(id):
    assert foreign(id, build(*SOLUTIONS[id], EXERCISES[id].function)) == []


@pytest.mark.parametrize(("cells", "passed", "names"), [
    ("import scipy.special\n" + RIGHT.format("f * c_prev + i * g + 0 * scipy.special.expit(g)"), True, "`scipy`"),
    ("import torch\n" + RIGHT.format("torch.tensor(f * c_prev + i * g).numpy()"), True, "`torch`"),
    ("import torch\n" + RIGHT.format("torch.tensor(f * c_prev - i * g).numpy()"), False, ""),
    (RIGHT.format("f * c_prev + i * g"), True, "")])
def test_check_says_in_one_sentence_what_is_not_paid(tmp_path, monkeypatch, cells, passed, names):
    monkeypatch.setenv("LSTMCOURSE_PROGRESS", str(tmp_path))
    said = check("4.2", made(cells, "cell_update"))
    notes = [line for line in said.message.split("\n") if "The grader has only Python, NumPy" in line]
    assert said.passed == passed
    assert len(notes) == bool(names)
    assert all(f"an answer that needs {names} earns no points there." in note for note in notes)
