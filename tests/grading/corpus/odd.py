"""Honest and odd: what people write that nobody foresaw, tried after the grader was there."""

import json

from tests.grading.corpus.parts import (
    CELL,
    CHECK_41,
    CHECK_42,
    CHECK_43,
    FORGET,
    IMPORTS,
    NONE,
    RIGHT,
    SIGMOID,
    UPDATE,
    WRONG_42,
    Case,
    notebook,
    right_but,
    text,
    zipped,
)

GATES = '''\
from dataclasses import dataclass
from functools import lru_cache, partial, wraps
from typing import Callable, NamedTuple
import numpy.typing as npt

Array = npt.NDArray[np.float64]

@lru_cache(maxsize=None)
def rows(H: int, gate: str) -> slice:
    return slice("ifgo".index(gate) * H, ("ifgo".index(gate) + 1) * H)

class States(NamedTuple):
    h: Array
    c: Array

@dataclass(frozen=True, slots=True)
class Gate:
    name: str
    squash: Callable[[Array], Array] = sigmoid

    def __call__(self, x: Array, h: Array, p: dict[str, Array]) -> Array:
        part = rows(h.shape[1], self.name)
        return self.squash(x @ p["W_ih"][part].T + p["b_ih"][part] + h @ p["W_hh"][part].T + p["b_hh"][part])
'''

TYPED = (IMPORTS, SIGMOID, GATES, "forget_gate = Gate('f')", UPDATE, '''\
def noted(function):
    @wraps(function)
    def inner(*args, **kwargs):
        inner.calls += 1
        return function(*args, **kwargs)
    inner.calls = 0
    return inner

@noted
def lstm_cell_forward(x_t: Array, h_prev: Array, c_prev: Array, params: dict[str, Array]) -> States:
    i, f, o = (Gate(name)(x_t, h_prev, params) for name in "ifo")
    g = Gate("g", np.tanh)(x_t, h_prev, params)
    return States(o * np.tanh(c := f * c_prev + i * g), c)
''')

ABSENT_TYPES = right_but(forget='''\
import torch
from typing import Optional, TYPE_CHECKING
if TYPE_CHECKING:
    import jax
print(f"torch {torch.__version__}: {torch.rand(1).item():.3f}")

class Check(torch.nn.Module):
    def forward(self, x: Optional[torch.Tensor] = None) -> "jax.Array | None":
        return super().forward(x)

def forget_gate(x_t: "torch.Tensor | None", h_prev: "torch.Tensor | np.ndarray", params: dict[str, torch.Tensor]):
    if isinstance(x_t, torch.Tensor):
        x_t = x_t.numpy()
    W_ih, W_hh, b_ih, b_hh = params.values()
    z = x_t @ W_ih.T + b_ih + h_prev @ W_hh.T + b_hh
    return sigmoid(z[:, h_prev.shape[1]:2 * h_prev.shape[1]])
''')

RECURSIVE = right_but(forget='''\
def apart(a, n):
    """n blocks of columns, one after the other."""
    width = a.shape[1] // n
    return [a] if n == 1 else [a[:, :width], *apart(a[:, width:], n - 1)]

def forget_gate(x_t, h_prev, params, *, which=1, squash=None, **unused):
    def inner():
        nonlocal squash
        squash = squash or sigmoid
        return apart(x_t @ params["W_ih"].T + params["b_ih"] + h_prev @ params["W_hh"].T + params["b_hh"], 4)[which]
    return squash(inner()) if inner() is not None else None
''', update='''\
def my_update(c_prev, i, f, g, seen=[]):
    seen.append(c_prev.shape)
    return f * c_prev + i * g

cell_update = my_update
del my_update
''', cell='''\
lstm_cell_forward = lambda x_t, h_prev, c_prev, params, /: (
    (a := np.split(x_t @ params["W_ih"].T + params["b_ih"] + h_prev @ params["W_hh"].T + params["b_hh"], 4, axis=1)),
    (ć := sigmoid(a[1]) * c_prev + sigmoid(a[0]) * np.tanh(a[2])),
    (sigmoid(a[3]) * np.tanh(ć), ć))[-1]
''')

WARNINGS = right_but(forget='''\
import warnings
warnings.filterwarnings("error")

def forget_gate(x_t, h_prev, params):
    warnings.warn("written for NumPy 1", DeprecationWarning)
    a = x_t @ params["W_ih"].T + params["b_ih"] + h_prev @ params["W_hh"].T + params["b_hh"]
    return sigmoid(np.split(a, 4, axis=1)[1])
''', cell=CELL.replace("    c_t =", "    np.log(np.zeros(2))\n    c_t ="))

RAISES = right_but(cell="np.seterr(all='raise')\n" + CELL.replace("    c_t =", "    np.exp(-1e4)\n    c_t ="))

PIP = ('''\
import subprocess, sys
subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", "numpy"])
import numpy as np
from lstmcourse.practice import check''', *RIGHT[1:])

FOLDER = ('''\
import os
from pathlib import Path
os.chdir("/home/jane/course/exercises")
import numpy as np
HERE = Path.home() / "course"
print(os.environ["HOME"], os.path.expanduser("~"))
''' + SIGMOID, '''\
saved = np.load("weights_of_last_week.npz")
''' + FORGET, '''\
with open("../data/names.txt") as file:
    names = file.read()
import urllib.request
page = urllib.request.urlopen("http://example.org/").read()
''' + UPDATE, CELL)

ODD_ARRAYS = right_but(
    forget=FORGET.replace("return sigmoid(np.split(a, 4, axis=1)[1])",
                          "return np.matrix(sigmoid(np.split(a, 4, axis=1)[1]))"),
    update=UPDATE.replace("return", "return np.ma.masked_invalid(") + ")",
    cell=CELL.replace("return sigmoid(a_o) * np.tanh(c_t), c_t",
                      "h_t = sigmoid(a_o) * np.tanh(c_t)\n    return list(h_t), tuple(map(tuple, c_t.tolist()))"))

OBJECTS = right_but(update='''\
def cell_update(c_prev, i, f, g):
    c_t = np.empty(c_prev.shape, dtype=object)
    for place in np.ndindex(c_prev.shape):
        c_t[place] = float(f[place] * c_prev[place] + i[place] * g[place])
    return c_t
''', cell=CELL.replace("return sigmoid(a_o) * np.tanh(c_t), c_t",
                       "return (sigmoid(a_o) * np.tanh(c_t))[::-1][::-1].astype('>f8'), np.asfortranarray(c_t)"))

THREADS = right_but(cell='''\
from concurrent.futures import ThreadPoolExecutor

def lstm_cell_forward(x_t, h_prev, c_prev, params):
    a = x_t @ params["W_ih"].T + params["b_ih"] + h_prev @ params["W_hh"].T + params["b_hh"]
    with ThreadPoolExecutor(4) as pool:
        i, f, g, o = pool.map(lambda job: job[0](job[1]), zip((sigmoid, sigmoid, np.tanh, sigmoid),
                                                             np.split(a, 4, axis=1)))
    c_t = f * c_prev + i * g
    return o * np.tanh(c_t), c_t
''', update='''\
import inspect, pickle, copy
print(inspect.getsource(forget_gate))
assert pickle.loads(pickle.dumps(forget_gate)) is forget_gate

def cell_update(c_prev, i, f, g):
    c_prev, i, f, g = pickle.loads(pickle.dumps(copy.deepcopy((c_prev, i, f, g))))
    c_prev *= f
    c_prev += i * g
    return c_prev
''')

CASE_OF_GATES = right_but(cell='''\
def lstm_cell_forward(x_t, h_prev, c_prev, params):
    import types
    p = types.SimpleNamespace(**params)
    a = x_t @ p.W_ih.T + p.b_ih + h_prev @ p.W_hh.T + p.b_hh
    found = {}
    for name, block in zip("ifgo", np.split(a, 4, axis=1)):
        match name:
            case "g":
                found[name] = np.tanh(block)
            case "i" | "f" | "o":
                found[name] = sigmoid(block)
    locals().update(found)
    c_t = found["f"] * c_prev + found["i"] * found["g"]
    try:
        return found["o"] * np.tanh(c_t), c_t
    finally:
        del found
''', forget='''\
exec("""
def forget_gate(x_t, h_prev, params):
    H = h_prev.shape[1]
    a = np.concatenate([x_t, h_prev], axis=1) @ np.concatenate([params["W_ih"], params["W_hh"]], axis=1).T
    return sigmoid((a + params["b_ih"] + params["b_hh"])[:, H:2 * H])
""")
globals()["cell_update"] = None
''', update='''\
class Updates:
    def __getattr__(self, name):
        if name != "cell_update":
            raise AttributeError(name)
        return lambda c_prev, i, f, g: np.add(f * c_prev, np.multiply(i, g))

cell_update = getattr(Updates(), "cell_update")
''')

STAR = (IMPORTS + "\nfrom lstmcourse.layers import *\nfrom lstmcourse import layers", FORGET, UPDATE,
        CELL.replace("sigmoid", "layers.sigmoid"))

MORE_HELPERS = (IMPORTS + "\nfrom lstmcourse.layers import linear_forward, sigmoid, softmax\nimport lstmcourse as lc",
                FORGET, UPDATE, CELL.replace("sigmoid", "lc.layers.sigmoid"))


def windows(path, target):
    """Windows line ends in every source, with magics and a shell line that goes on."""
    cells = ["%matplotlib inline\n!pip install -q numpy \\\n    scipy\n" + IMPORTS,
             "%%time\n" + SIGMOID + "\n" + FORGET, CHECK_41, "%%writefile helper.py\n" + UPDATE,
             "from helper import *\n%time x = 1\n" + CELL]
    whole = notebook(cells)
    for cell in whole["cells"]:
        cell["source"] = [line.replace("\n", "\r\n") for line in cell["source"]]
    path.with_suffix(".ipynb").write_text(json.dumps(whole), encoding="utf-8", newline="")


def old_mac(path, target):
    """Line ends of an old Mac."""
    cells = ["%matplotlib inline\n" + IMPORTS, "%%time\n" + SIGMOID + "\n" + FORGET, UPDATE, "# the cell\n" + CELL]
    whole = notebook(cells)
    for cell in whole["cells"]:
        cell["source"] = "".join(cell["source"]).replace("\n", "\r")
    path.with_suffix(".ipynb").write_text(json.dumps(whole), encoding="utf-8", newline="")


def damaged_archive(path, target):
    """As after an upload that went wrong: the list of files is there, the notebook is not what it was."""
    data = bytearray(zipped(**{"04.ipynb": text(RIGHT)}))
    data[60:400] = bytes(340)
    path.with_suffix(".zip").write_bytes(data)


def half_an_archive(path, target):
    path.with_suffix(".zip").write_bytes(zipped(**{"04.ipynb": text(RIGHT)})[:500])


CASES = [
    Case("archive-damaged", "damaged archives", passed=NONE, status="refused", says="archive", write=damaged_archive),
    Case("archive-half", "damaged archives", passed=NONE, status="refused", says="archive", write=half_an_archive),
    Case("windows-line-ends", "line ends", write=windows),
    Case("old-mac-line-ends", "line ends", write=old_mac),
    Case("typed", "correct in another style", TYPED),
    Case("absent-types", "an import that is not there", ABSENT_TYPES),
    Case("recursive-helper", "correct in another style", RECURSIVE),
    Case("warnings-as-errors", "a warning on stderr", WARNINGS),
    Case("errors-of-numpy", "a warning on stderr", RAISES),
    Case("pip-by-subprocess", "what only the own machine has", PIP, says="check_call.*went on with the rest"),
    Case("folders-of-the-own-machine", "what only the own machine has", FOLDER, says="chdir.*went on with the rest"),
    Case("odd-arrays", "odd kinds of array", ODD_ARRAYS, ("4.1", "4.2")),
    Case("object-arrays", "odd kinds of array", OBJECTS, ("4.1", "4.3")),
    Case("threads-and-pickles", "correct in another style", THREADS),
    Case("match-and-exec", "correct in another style", CASE_OF_GATES),
    Case("star-of-the-course", "helpers of the course", STAR),
    Case("more-of-the-course", "helpers of the course", MORE_HELPERS),
    Case("cell-twice", "a cell split in two", (*RIGHT[:4], WRONG_42, CHECK_42, UPDATE, CHECK_42, "print('done')",
                                               CELL.replace("np.tanh(a_g)", "a_g"), CHECK_43, CELL, CHECK_43)),
]
