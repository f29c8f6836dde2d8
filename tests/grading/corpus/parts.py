"""What the notebooks are made of, and how they are written to disk."""

import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

ALL = ("4.1", "4.2", "4.3")
NONE = ()


@dataclass(frozen=True)
class Target:
    """What an attack may aim at. Real attackers guess these; the corpus is told."""
    submissions: Path
    out: Path
    package: Path          # lstmcourse/
    canary: Path           # a folder outside; holds secret.txt
    port: int              # somebody listens there, on the loopback
    socket: Path           # and there


@dataclass(frozen=True)
class Case:
    name: str                              # the student; the file is name.ipynb
    kind: str                              # the class in ATTACKS.md
    cells: tuple = ()                      # code; or (type, source), or (type, source, outputs)
    passed: tuple = ALL                    # the exercises that deserve their points
    status: str = "graded"
    says: str = ""                         # a regular expression that the student's page must match
    aims_at: tuple = ()                    # what the attack would change; must not have changed
    write: object = None                   # write(path without suffix, target): instead of cells
    notebook: dict = field(default_factory=dict)    # fields of the notebook that are not the usual ones

    alias: str = ""                        # the student's name, where it is not the case's
    honest: bool = False


# The parts that most notebooks are made of.

IMPORTS = "import numpy as np\nfrom lstmcourse.practice import check"

SIGMOID = "def sigmoid(a):\n    return 1 / (1 + np.exp(-a))"

FORGET = '''\
def forget_gate(x_t, h_prev, params):
    a = x_t @ params["W_ih"].T + params["b_ih"] + h_prev @ params["W_hh"].T + params["b_hh"]
    return sigmoid(np.split(a, 4, axis=1)[1])
'''

UPDATE = '''\
def cell_update(c_prev, i, f, g):
    return f * c_prev + i * g
'''

CELL = '''\
def lstm_cell_forward(x_t, h_prev, c_prev, params):
    a = x_t @ params["W_ih"].T + params["b_ih"] + h_prev @ params["W_hh"].T + params["b_hh"]
    a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)
    c_t = sigmoid(a_f) * c_prev + sigmoid(a_i) * np.tanh(a_g)
    return sigmoid(a_o) * np.tanh(c_t), c_t
'''

CHECK_41 = 'check("4.1", forget_gate)'
CHECK_42 = 'check("4.2", cell_update)'
CHECK_43 = 'check("4.3", lstm_cell_forward)'

WRONG_41 = "def forget_gate(x_t, h_prev, params):\n    return np.ones_like(h_prev)"
WRONG_42 = "def cell_update(c_prev, i, f, g):\n    return c_prev"
WRONG_43 = "def lstm_cell_forward(x_t, h_prev, c_prev, params):\n    return h_prev, c_prev"

RIGHT = (IMPORTS, SIGMOID, FORGET, CHECK_41, UPDATE, CHECK_42, CELL, CHECK_43)
WRONG = (IMPORTS, SIGMOID, WRONG_41, CHECK_41, WRONG_42, CHECK_42, WRONG_43, CHECK_43)
STUBS = (
    IMPORTS, SIGMOID,
    'def forget_gate(x_t, h_prev, params):\n    raise NotImplementedError("Exercise 4.1")', CHECK_41,
    'def cell_update(c_prev, i, f, g):\n    raise NotImplementedError("Exercise 4.2")', CHECK_42,
    'def lstm_cell_forward(x_t, h_prev, c_prev, params):\n    raise NotImplementedError("Exercise 4.3")', CHECK_43,
)


def right_but(**functions):
    """The right notebook with some cells replaced: forget=, update=, cell=."""
    parts = {"forget": FORGET, "update": UPDATE, "cell": CELL} | functions
    return (IMPORTS, SIGMOID, parts["forget"], CHECK_41, parts["update"], CHECK_42, parts["cell"], CHECK_43)


def notebook(cells, **fields):
    """The notebook as nbformat 4.5 stores it; a str is a code cell."""
    stored = []
    for n, cell in enumerate(cells):
        kind, source, *outputs = ("code", cell) if isinstance(cell, str) else cell
        entry = {"cell_type": kind, "id": f"cell-{n}", "metadata": {}, "source": source.splitlines(keepends=True)}
        if kind == "code":
            entry |= {"execution_count": None, "outputs": outputs[0] if outputs else []}
        stored.append(entry)
    title = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": ["# Exercises of lesson 04"]}
    whole = {"cells": [title, *stored], "nbformat": 4, "nbformat_minor": 5,
             "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}}
    return whole | fields


def text(cells, **fields):
    return json.dumps(notebook(cells, **fields), ensure_ascii=False, indent=1)


def zipped(**files):
    """A zip archive as bytes: name -> content."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return memory.getvalue()


def build(folder, target, cases):
    """Write every submission into `folder`; the placeholders @OUT@, @CANARY@, … name the targets."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases:
        if case.write:
            case.write(folder / case.name, target)
        else:
            path = folder / f"{case.name}.ipynb"
            path.write_text(aimed(text(case.cells, **case.notebook), target), encoding="utf-8")


RESULTS = ["@OUT@/grades.json", "@OUT@/grades.csv", "@OUT@/journal.sqlite", "@OUT@/results.json",
           "@OUT@/feedback/untouched.html", "grades.json", "../grades.json"]


def aimed(source, target):
    source = source.replace("@RESULTS@", str(RESULTS))
    for name in ("submissions", "out", "package", "canary", "port", "socket"):
        source = source.replace(f"@{name.upper()}@", str(getattr(target, name)))
    return source
