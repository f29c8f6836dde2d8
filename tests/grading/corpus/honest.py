"""Honest work, and what it deserves."""

import base64
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
    STUBS,
    UPDATE,
    WRONG,
    WRONG_42,
    Case,
    aimed,
    notebook,
    right_but,
    text,
    zipped,
)

LOOPS = right_but(
    forget='''\
def forget_gate(x_t, h_prev, params):
    B, H = h_prev.shape
    f = np.zeros((B, H))
    for b in range(B):
        for j in range(H):
            row = H + j
            a = params["b_ih"][row] + params["b_hh"][row]
            for d in range(x_t.shape[1]):
                a += params["W_ih"][row][d] * x_t[b][d]
            for k in range(H):
                a += params["W_hh"][row][k] * h_prev[b][k]
            f[b, j] = 1 / (1 + np.exp(-a))
    return f
''',
    update='''\
def cell_update(c_prev, i, f, g):
    c = []
    for row in zip(c_prev, i, f, g):
        c.append([ff * cc + ii * gg for cc, ii, ff, gg in zip(*row)])
    return np.array(c)
''')

EINSUM = right_but(
    forget='''\
def forget_gate(x_t, h_prev, params):
    H = h_prev.shape[-1]
    part = slice(H, 2 * H)
    a = np.einsum("bd,hd->bh", x_t, params["W_ih"][part]) + np.einsum("bk,hk->bh", h_prev, params["W_hh"][part])
    return 0.5 * (1 + np.tanh(0.5 * (a + (params["b_ih"] + params["b_hh"])[part])))
''',
    cell='''\
def lstm_cell_forward(x_t, h_prev, c_prev, params):
    B, H = h_prev.shape
    W_x, W_h = (params[k].reshape(4, H, -1) for k in ("W_ih", "W_hh"))
    b = (params["b_ih"] + params["b_hh"]).reshape(4, 1, H)
    i, f, g, o = np.einsum("bd,khd->kbh", x_t, W_x) + np.einsum("bj,khj->kbh", h_prev, W_h) + b
    s = lambda v: 1 / (1 + np.exp(-v))
    c = s(f) * c_prev + s(i) * np.tanh(g)
    return s(o) * np.tanh(c), c
''')

JOINED = right_but(cell='''\
def lstm_cell_forward(x_t, h_prev, c_prev, params):
    W = np.hstack([params["W_ih"], params["W_hh"], (params["b_ih"] + params["b_hh"])[:, None]])
    z = np.hstack([x_t, h_prev, np.ones((len(x_t), 1))])
    H = h_prev.shape[1]
    a = (W @ z.T).T
    i, f, o = (sigmoid(a[:, n * H:(n + 1) * H]) for n in (0, 1, 3))
    c_t = np.add(np.multiply(f, c_prev), np.multiply(i, np.tanh(a[:, 2 * H:3 * H])))
    h_t = np.multiply(o, np.tanh(c_t))
    return h_t, c_t
''')

SLEEPS = right_but(update='''\
import time

def cell_update(c_prev, i, f, g):
    time.sleep(3)
    return f * c_prev + i * g
''')

COMPUTES = right_but(update='''\
import time

def cell_update(c_prev, i, f, g):
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < 3:
        n += sum(range(1000))
    return f * c_prev + i * g
''')

ONE_ROW = right_but(forget='''\
def forget_gate(x_t, h_prev, params):
    a = params["W_ih"] @ x_t[0] + params["b_ih"] + params["W_hh"] @ h_prev[0] + params["b_hh"]
    return sigmoid(np.split(a, 4)[1])[None]
''')

ONE_ROW_ERROR = right_but(cell='''\
def lstm_cell_forward(x_t, h_prev, c_prev, params):
    D, H = x_t.shape[1], h_prev.shape[1]
    x, h, c = x_t.reshape(D), h_prev.reshape(H), c_prev.reshape(H)
    a = params["W_ih"].dot(x) + params["b_ih"] + params["W_hh"].dot(h) + params["b_hh"]
    i, f, o = sigmoid(a[:H]), sigmoid(a[H:2 * H]), sigmoid(a[3 * H:])
    c = f * c + i * np.tanh(a[2 * H:3 * H])
    return (o * np.tanh(c))[None], c[None]
''')

MAGICS = (
    '''%matplotlib inline
%load_ext autoreload
%autoreload 2
import numpy as np
from lstmcourse.practice import check''',
    "%%time\n" + SIGMOID + "\n" + FORGET,
    '''!ls -la
!pip install nothing-at-all
files = !ls
''' + UPDATE,
    '''%timeit np.ones(10)
np.dot?
?np.split
''' + CELL + '''
%timeit -n 10 lstm_cell_forward(1, 2, 3, 4)''',
    CHECK_41, CHECK_42, CHECK_43,
)

MORE_MAGICS = (
    "%%capture output\n" + IMPORTS + "\n" + SIGMOID,
    '''%%bash
echo it's a cell of another language; exit 3''',
    '''%%html
<b>bold</b>''',
    "get_ipython().run_line_magic('matplotlib', 'inline')\n" + FORGET + '''
%time bias = np.zeros(4)
bias.shape''',
    '''if True:
    %config InlineBackend.figure_format = "svg"
    !echo it's done
''' + UPDATE,
    '''rest = (17
        % 5)
assert rest == 2
''' + CELL + '''
%%timeit
this is no magic but a mistake''',
    CELL,
    '''%who
%history -n
%debug
started = %timeit -o -q -n 1 -r 1 sum(range(10))
print(started)''',
)

WARNS = right_but(forget='''\
import warnings

def forget_gate(x_t, h_prev, params):
    warnings.warn("this is only a warning")
    np.log(np.zeros(3)); np.array([1e300]) * 1e300; np.array([0.0]) / 0
    a = x_t @ params["W_ih"].T + params["b_ih"] + h_prev @ params["W_hh"].T + params["b_hh"]
    return sigmoid(np.split(a, 4, axis=1)[1])
''')

STDERR = right_but(update='''\
import logging, os, sys

def cell_update(c_prev, i, f, g):
    print("shapes", c_prev.shape, file=sys.stderr)
    sys.stderr.write("Error: not really\\n")
    logging.getLogger("me").error("nor this")
    os.write(2, b"Traceback (most recent call last):\\n")
    return f * c_prev + i * g
''')

PRINTS = right_but(
    forget=FORGET.replace("    return", '''    print('a is', a, sigmoid)
    return'''),
    cell=CELL.replace("    return", '''    print(c_t.shape); display(c_t); print('FAILED'); print('0 of 3')
    return'''))

PLOTS = (
    '''import numpy as np
import matplotlib.pyplot as plt
import torch
import ipywidgets as widgets
from tqdm.auto import tqdm
from torch import nn
from lstmcourse.practice import check, compare
from lstmcourse import plots
from IPython.display import display, HTML, SVG
''' + SIGMOID,
    '''fig, ax = plt.subplots(1, 2)
ax[0].plot(np.arange(3), label="x")
for a in ax:
    a.set_title("t")
plt.tight_layout(); plt.show()
torch.manual_seed(0)
with torch.no_grad():
    y = nn.LSTM(3, 4)(torch.zeros(1, 3))
assert torch.allclose(y[0], y[0])
''' + FORGET,
    '''guess = 0.25
compare(guess, 0.5)
for t in tqdm(range(3)):
    last = t
assert last == 2
''' + UPDATE,
    '''@widgets.interact(x=(0, 1))
def draw(x=0):
    plt.plot([x])
''' + CELL,
    "display(HTML('<b>hi</b>')); plots.lstm_cell(); print(f'{torch.rand(1).item():.3f}')",
    CHECK_41, CHECK_42, CHECK_43 + ".passed",
)

STREAM = [{"output_type": "stream", "name": "stdout", "text": ["x" * 99 + "\n"] * 500_000}]
FIGURES = [{"output_type": "display_data", "metadata": {}, "data": {
    "image/png": base64.b64encode(bytes(range(256)) * 80_000).decode(), "text/plain": ["<Figure>"],
    "application/vnd.plotly.v1+json": {"data": [{"x": [n / 7 for n in range(1_000_000)], "y": ["é"] * 1_000_000}]}}}]

BIG_STREAM = (*RIGHT[:2], ("code", FORGET, STREAM), *RIGHT[3:])
BIG_FIGURES = (*RIGHT[:2], ("code", FORGET, FIGURES), *RIGHT[3:])


def truncated(path, target):
    path.with_suffix(".ipynb").write_text(text(RIGHT)[:1500], encoding="utf-8")


def empty(path, target):
    path.with_suffix(".ipynb").write_bytes(b"")


def stripped(path, target):
    cells = [{"cell_type": "code", "source": source} for source in RIGHT if not source.startswith("check")]
    whole = {"cells": cells, "metadata": {"kernelspec": {"name": "julia-1.9", "language": "julia"}}, "nbformat": 4,
             "nbformat_minor": 2}
    path.with_suffix(".ipynb").write_text(json.dumps(whole), encoding="utf-8")


def old_format(path, target):
    cells = [{"cell_type": "code", "language": "python", "input": s.splitlines(True), "outputs": [], "collapsed": False,
              "metadata": {}} for s in RIGHT]
    whole = {"metadata": {"name": "old"}, "nbformat": 3, "nbformat_minor": 0,
             "worksheets": [{"cells": cells, "metadata": {}}]}
    path.with_suffix(".ipynb").write_text(json.dumps(whole), encoding="utf-8")


def other_encodings(path, target):
    path.with_suffix(".ipynb").write_bytes(text([*RIGHT, "name = 'Zoë'"]).encode("latin-1"))


def byte_order_mark(path, target):
    path.with_suffix(".ipynb").write_bytes(b"\xef\xbb\xbf" + text(RIGHT).encode())


def folder_of_two(path, target):
    path.mkdir()
    (path / "04_lstm_cell.ipynb").write_text(text([IMPORTS, SIGMOID, FORGET, UPDATE]), encoding="utf-8")
    (path / "05_lstm_learns.ipynb").write_text(text([IMPORTS, SIGMOID, CELL]), encoding="utf-8")
    (path / "notes.txt").write_text("nothing to see")


def folder_with_leftovers(path, target):
    """Checkpoints, a Mac's shadow file, a stub of the same exercises beside the finished one."""
    (path / ".ipynb_checkpoints").mkdir(parents=True)
    (path / ".ipynb_checkpoints" / "04-checkpoint.ipynb").write_text(text(STUBS), encoding="utf-8")
    (path / "._04.ipynb").write_bytes(b"\x00\x05\x16\x07")
    (path / "04.ipynb").write_text(text(RIGHT), encoding="utf-8")
    (path / "04-copy.ipynb").write_text(aimed(text(STUBS), target), encoding="utf-8")


def from_colab(path, target):
    """No cell ids, sources as one string, attachments, raw cells, Windows line ends."""
    cells = [{"cell_type": "code", "metadata": {"id": f"x{n}", "colab": {}}, "execution_count": 7, "outputs": [],
              "source": source.replace("\n", "\r\n")} for n, source in enumerate(RIGHT)]
    cells += [{"cell_type": "raw", "source": "raw"}, {"cell_type": "markdown", "source": "![a](attachment:a.png)",
              "attachments": {"a.png": {"image/png": "aGVsbG8="}}}]
    whole = {"cells": cells, "metadata": {"colab": {"name": "x"}, "accelerator": "GPU"}, "nbformat": 4,
             "nbformat_minor": 0}
    path.with_suffix(".ipynb").write_text(json.dumps(whole), encoding="utf-8", newline="")


def accented_name(path, target):
    path.with_name("Zoë Ünlü (late), 2nd try").with_suffix(".ipynb").write_text(text(RIGHT), encoding="utf-8")


def folder_in_folder(path, target):
    (path / "submission" / "week 4").mkdir(parents=True)
    (path / "submission" / "week 4" / "04 lstm.ipynb").write_text(text(RIGHT), encoding="utf-8")


def students_own_archive(path, target):
    path.with_suffix(".zip").write_bytes(zipped(**{
        "exercises/04.ipynb": text(RIGHT), "__MACOSX/exercises/._04.ipynb": b"\0"}))


def lesson(*cells):
    whole = notebook(cells)
    whole["cells"][0]["source"] = ["# 04 · Build an LSTM cell, gate by gate\n", "\n", "Text."]
    return json.dumps(whole)


def whole_course(path, target):
    (path / "notebooks").mkdir(parents=True)
    (path / "exercises").mkdir()
    (path / "notebooks" / "04_lstm.ipynb").write_text(lesson(*RIGHT), encoding="utf-8")
    (path / "exercises" / "04_lstm.ipynb").write_text(text((*STUBS[:4], *RIGHT[4:6], *STUBS[6:])), encoding="utf-8")


def lesson_alone(path, target):
    path.with_suffix(".ipynb").write_text(lesson(*RIGHT), encoding="utf-8")


def ending(name):
    def write(path, target):
        path.with_name(path.name + name).write_text(text(RIGHT), encoding="utf-8")
    return write


def archive_in_archive(path, target):
    path.with_suffix(".zip").write_bytes(zipped(**{"week 4/hw.zip": zipped(**{"04.ipynb": text(RIGHT)})}))


def archive_of_windows(path, target):
    path.with_suffix(".zip").write_bytes(zipped(**{"hw\\": b"", "hw\\04_lstm.ipynb": text(RIGHT[:4]),
                                                   "hw\\more\\04_lstm.ipynb": text((*RIGHT[:2], *RIGHT[4:]))}))


CASES = [
    Case("style-loops", "correct in another style", LOOPS),
    Case("style-einsum", "correct in another style", EINSUM),
    Case("style-joined", "correct in another style", JOINED),
    Case("slow-sleeps", "correct but slow", SLEEPS),
    Case("slow-computes", "correct but slow", COMPUTES),
    Case("one-row", "right for a batch of one only", ONE_ROW, ("4.2", "4.3")),
    Case("one-row-error", "right for a batch of one only", ONE_ROW_ERROR, ("4.1", "4.2"), says="reshape"),
    Case("untouched", "untouched", STUBS, NONE, says="[Nn]ot started"),
    Case("untouched-text-only", "untouched", (("markdown", "I did not get to it. Sorry!"),), NONE),
    Case("missing-cell", "one exercise missing", (*RIGHT[:4], *RIGHT[6:]), ("4.1", "4.3"), says="cell_update"),
    Case("missing-renamed", "one exercise missing", right_but(forget=FORGET.replace("forget_gate", "my_gate")),
         ("4.2", "4.3"), says="forget_gate"),
    Case("scratch-syntax", "a scratch cell that fails", ('''x = = 3
def broken(:
''', *RIGHT, "still [ open")),
    Case("scratch-raises", "a scratch cell that fails", ("1 / 0", "undefined_name", *RIGHT, "assert False, 'why?'")),
    Case("scratch-raises-after", "a scratch cell that fails",
         right_but(forget=FORGET + '''
print(forget_gate(1, 2, 3))''', cell=CELL + '''
raise RuntimeError('later')''')),
    Case("reordered", "cells reordered", (CELL, UPDATE, FORGET, SIGMOID, IMPORTS, CHECK_43, CHECK_41)),
    Case("reordered-checks-first", "cells reordered",
         (CHECK_41, CHECK_42, CHECK_43, UPDATE, CELL, IMPORTS, FORGET, SIGMOID)),
    Case("checks-deleted", "check cells deleted", (IMPORTS, SIGMOID, FORGET, UPDATE, CELL)),
    Case("checks-deleted-and-metadata", "check cells deleted", write=stripped),
    Case("helper-elsewhere", "a helper in another cell",
         (IMPORTS, '''def gates(x, h, p):
    a = x @ p['W_ih'].T + p['b_ih'] + h @ p['W_hh'].T + p['b_hh']
    return np.split(a, 4, axis=1)''', SIGMOID,
          '''def forget_gate(x_t, h_prev, params):
    return sigmoid(gates(x_t, h_prev, params)[1])''', UPDATE,
          '''def lstm_cell_forward(x_t, h_prev, c_prev, params):
    i, f, g, o = gates(x_t, h_prev, params)
    c = cell_update(c_prev, sigmoid(i), sigmoid(f), np.tanh(g))
    return sigmoid(o) * np.tanh(c), c''')),
    Case("helper-later", "a helper in another cell",
         (FORGET, UPDATE, "import functools, dataclasses, typing", CELL.replace("sigmoid", "Squash.logistic"), IMPORTS,
          '''@dataclasses.dataclass
class Squash:
    slope: float = 1.0
    @staticmethod
    def logistic(a):
        return np.exp(-np.logaddexp(0, -a))''', "sigmoid = functools.partial(Squash.logistic)")),
    Case("magics", "magics and shell lines", MAGICS),
    Case("magics-more", "magics and shell lines", MORE_MAGICS),
    Case("warning", "a warning on stderr", WARNS),
    Case("stderr", "a warning on stderr", STDERR),
    Case("prints", "leftover prints", PRINTS),
    Case("prints-in-function", "leftover prints", right_but(update='''def cell_update(c_prev, i, f, g):
    import pprint, sys
    pprint.pprint({"c_prev": c_prev, "f": f})
    sys.stdout.write(f"{i[0, 0]:.3f}\\n")
    sys.stdout.buffer.write(b"bytes") if hasattr(sys.stdout, "buffer") else print(g, end="", flush=True)
    return f * c_prev + i * g''')),
    Case("plots", "plots and imports of the course", PLOTS),
    Case("plots-in-function", "plots and imports of the course", right_but(update='''import matplotlib.pyplot as plt
import lstmcourse.plots as plots
from lstmcourse.lstm import lstm_cell_forward as reference
def cell_update(c_prev, i, f, g):
    fig, axes = plt.subplots(2, 2)
    for ax, gate in zip(axes.flat, (i, f, g)):
        ax.imshow(gate)
    plots.show(fig, "the gates")
    plt.close("all")
    return f * c_prev + i * g''')),
    Case("outputs-stream", "50 MB of stored output", BIG_STREAM),
    Case("outputs-figures", "50 MB of stored output", BIG_FIGURES),
    Case("truncated", "truncated JSON and a 0-byte file", passed=NONE, status="refused", says="JSON|notebook",
         write=truncated),
    Case("empty", "truncated JSON and a 0-byte file", passed=NONE, status="refused", says="empty", write=empty),
    Case("float32-result", "float32 answers", right_but(
        forget=FORGET.replace("return sigmoid(np.split(a, 4, axis=1)[1])",
                              "return sigmoid(np.split(a, 4, axis=1)[1]).astype(np.float32)"),
        update='''def cell_update(c_prev, i, f, g):
    return np.float32(f * c_prev + i * g)''')),
    Case("float32-throughout", "float32 answers", right_but(
        cell=CELL.replace("    a =", '''    x_t, h_prev, c_prev = (np.float32(v) for v in (x_t, h_prev, c_prev))
    params = {k: np.float32(v) for k, v in params.items()}
    a ='''))),
    Case("list-for-tuple", "a tuple where a list was meant",
         right_but(cell=CELL.replace("return sigmoid(a_o) * np.tanh(c_t), c_t",
                                     "return [sigmoid(a_o) * np.tanh(c_t), c_t]"))),
    Case("named-tuple", "a tuple where a list was meant",
         right_but(cell='''from collections import namedtuple
States = namedtuple('States', 'h c')
''' +
                   CELL.replace("return sigmoid(a_o) * np.tanh(c_t), c_t",
                                "return States(np.asfortranarray(sigmoid(a_o) * np.tanh(c_t)), c_t)"))),
    Case("old-format", "other forms of the file", write=old_format),
    Case("latin-1", "other forms of the file", write=other_encodings),
    Case("byte-order-mark", "other forms of the file", write=byte_order_mark),
    Case("folder-of-two", "several notebooks", write=folder_of_two),
    Case("folder-with-leftovers", "several notebooks", write=folder_with_leftovers),
    Case("folder-in-folder", "several notebooks", write=folder_in_folder),
    Case("own-archive", "several notebooks", write=students_own_archive),
    Case("colab", "other forms of the file", write=from_colab),
    Case("accented-name", "other forms of the file", write=accented_name, alias="Zoë Ünlü (late), 2nd try"),

    Case("names-imported", "correct in another style", right_but(
        forget='''from numpy import *
import numpy
''' + FORGET.replace("np.", "numpy."),
        update="cell_update = lambda kept, i, f, g: multiply(f, kept) + multiply(i, g)")),
    Case("method-of-a-class", "correct in another style", right_but(update='''class Belt:
    """A conveyor belt."""
    count = 0

    def move(self, c_prev: np.ndarray, i, f, g, /) -> "np.ndarray":
        Belt.count += 1
        σ = f * c_prev
        σ += i * g
        return σ

cell_update = Belt().move''')),
    Case("defined-twice", "correct in another style", (*WRONG, "# a second try", FORGET, UPDATE, CELL)),
    Case("main-guard", "correct in another style", (
        IMPORTS, SIGMOID, 'if __name__ == "__main__":\n    ' + UPDATE.replace("\n", "\n    "), "", "# nothing", FORGET,
        "   ", CELL.replace("    ", "\t"))),

    Case("half-done", "partly right", (*RIGHT[:4], *STUBS[4:]), ("4.1",), says="[Nn]ot started"),
    Case("spoiled-later", "partly right", (*RIGHT, WRONG_42), ("4.1", "4.3")),
    Case("gates-swapped", "partly right", right_but(
        forget=FORGET.replace("[1])", "[0])"), cell=CELL.replace("a_i, a_f, a_g, a_o", "a_f, a_i, a_g, a_o")),
         ("4.2",)),
    Case("sigmoid-candidate", "partly right", right_but(cell=CELL.replace("np.tanh(a_g)", "sigmoid(a_g)")),
         ("4.1", "4.2")),
    Case("printed-only", "partly right", right_but(
        update='''def cell_update(c_prev, i, f, g):
    print(f * c_prev + i * g)'''), ("4.1", "4.3"), says="None|nothing"),
    Case("one-output", "partly right", right_but(cell=CELL.replace("np.tanh(c_t), c_t", "np.tanh(c_t)")),
         ("4.1", "4.2")),
    Case("transposed", "partly right", right_but(update='''def cell_update(c_prev, i, f, g):
    return (f * c_prev + i * g).T'''),
         ("4.1", "4.3"), says="shape"),

    Case("jax", "an import that is not there", right_but(
        forget="from jax.nn import sigmoid as expit\n" + FORGET.replace("sigmoid", "expit")), ("4.2", "4.3"),
        says="jax"),
    Case("scipy-unused", "an import that is not there",
         ('''import scipy.stats, pandas as pd
from sklearn.metrics import accuracy_score
import seaborn as sns; sns.set()
table = pd.DataFrame({'a': [1]})
table['b'] = table.a * 2
table.head()''', *RIGHT)),

    Case("long-training", "correct but slow", (IMPORTS, SIGMOID, FORGET, '''losses = []
for epoch in range(10**9):
    losses.append(float(np.tanh(epoch)))
    if epoch % 1000 == 0:
        print(f"epoch {epoch}: loss {losses[-1]:.3f}", end="\\r")''', UPDATE, CELL)),
    Case("asks-for-input", "a scratch cell that fails", ("name = input('your name? ')", "await something()", *RIGHT,
                                                         "x = np.linalg.inv(np.zeros((2, 2)))")),
    Case("saves-and-loads", "files in the working folder", (
        *RIGHT[:2], '''np.save('w.npy', np.eye(3))
assert np.load('w.npy').shape == (3, 3)
with open('notes.txt', 'w') as file:
    file.write('x' * 1_000_000)
''' + FORGET, *RIGHT[4:])),
    Case("needs-some-memory", "files in the working folder", (
        '''import numpy as np
big = np.ones((300, 1000, 125))
assert big.sum() == 37_500_000
''' + SIGMOID, *RIGHT[2:])),

    Case("fallback-cupy", "a fallback for what is not there", ('''try:
    import cupy as np
except ImportError:
    import numpy as np
''', *RIGHT[1:])),
    Case("fallback-scipy", "a fallback for what is not there", right_but(forget='''try:
    from scipy.special import expit
except ModuleNotFoundError:
    def expit(a): return 1 / (1 + np.exp(-a))
''' + FORGET.replace("sigmoid", "expit"))),
    Case("fallback-colab", "a fallback for what is not there", ('''import importlib.util, contextlib
try:
    import google.colab
    here = "colab"
except Exception:
    here = "jupyter"
assert here == "jupyter"
assert importlib.util.find_spec("cupy") is None
with contextlib.suppress(ImportError):
    import cupy
    np = None
import numpy as np
''', *RIGHT[1:])),
    Case("fallback-in-caller", "a fallback for what is not there", right_but(update='''def fast():
    import cupy
    return cupy.fuse

def cell_update(c_prev, i, f, g):
    try:
        add = fast()(np.add)
    except ImportError:
        add = np.add
    return add(f * c_prev, i * g)''', cell='''import matplotlib.pyplot as plt
try:
    import cupy
    sigmoid = cupy.sigmoid
except ImportError:
    plt.figure()
''' + CELL)),
    Case("sigmoid-of-the-course", "helpers of the course", right_but(
        forget="from lstmcourse.layers import sigmoid as squash\n" + FORGET.replace("sigmoid", "squash"),
        cell="import lstmcourse.layers as layers\n" + CELL.replace("sigmoid", "layers.sigmoid"))),
    Case("sigmoid-of-the-course-only", "helpers of the course", (IMPORTS, "from lstmcourse.layers import sigmoid",
                                                                 *RIGHT[2:])),
    Case("course-otherwise", "helpers of the course", right_but(update='''try:
    from lstmcourse.lstm import lstm_cell_forward as theirs
    from lstmcourse.layers import cross_entropy_forward
except ImportError:
    theirs = None
import lstmcourse
from lstmcourse import plots
print(lstmcourse.layers, plots.lstm_cell)
''' + UPDATE)),
    Case("course-asked-for", "helpers of the course", right_but(
        cell="from lstmcourse.lstm import lstm_cell_forward"), ("4.1", "4.2"), says="lstm_cell_forward"),
    Case("magics-elsewhere", "magics and shell lines", (
        '''!pip install -q numpy \\
    scipy --upgrade
%pip install another
import numpy as np''', "pip install nothing-at-all", *RIGHT[1:],
        "%%script false\n" + WRONG_42, "%%timeit\n" + WRONG_42, "%%python3\n" + WRONG_42,
        "%%javascript\nalert(1)")),
    Case("magics-writefile", "magics and shell lines", (
        IMPORTS, "%%writefile helper.py\nimport numpy as np\n" + SIGMOID, "%%file more.py\n" + UPDATE,
        "from helper import sigmoid", FORGET, "%run more.py", CELL)),
    Case("magics-stacked", "magics and shell lines", ("  %%time\n  %%capture out\n  import numpy as np",
                                                      "    " + SIGMOID.replace("\n", "\n    "), *RIGHT[2:])),
    Case("key-put-back", "arguments as they were", right_but(forget='''def forget_gate(x_t, h_prev, params):
    W = params.pop("W_ih")
    a = x_t @ W.T + params["b_ih"] + h_prev @ params["W_hh"].T + params["b_hh"]
    params["W_ih"] = W
    return sigmoid(np.split(a, 4, axis=1)[1])''')),
    Case("number-put-back", "arguments as they were", right_but(update='''def cell_update(c_prev, i, f, g):
    c_prev *= 1.0
    i[0] = i[0] + 0
    return f * c_prev + i * g''', cell='''def lstm_cell_forward(x_t, h_prev, c_prev, params):
    params["extra"] = 1
    h_prev += 1
''' + CELL.partition("\n")[2]), ("4.1", "4.2"), says="wrote into its argument"),
    Case("jupyter-help", "as Jupyter does it", right_but(forget="help(np.split)\n" + FORGET, update='''exit
quit()
''' + UPDATE)),
    Case("jupyter-future", "as Jupyter does it", ("from __future__ import annotations\n" + IMPORTS, SIGMOID, FORGET,
         UPDATE.replace("(c_prev, i, f, g)", "(c_prev: Cell, i: Gate, f: Gate, g: Gate) -> Cell"), CELL)),
    Case("jupyter-await", "as Jupyter does it", (IMPORTS, '''import asyncio
async def answer():
    await asyncio.sleep(0.01)
    return 42
assert await answer() == 42
''' + SIGMOID, *RIGHT[2:4], '''results = await asyncio.gather(answer(), answer())
async for_none = None''', '''async with asyncio.timeout(5):
    await answer()
''' + UPDATE, *RIGHT[5:])),
    Case("stub-below", "a stub below the solution", (*RIGHT, *STUBS), says="unfinished"),
    Case("stub-between", "a stub below the solution", (*STUBS[:3], *RIGHT[2:], STUBS[2], WRONG_42, STUBS[4]),
         ("4.1", "4.3")),
    Case("split-in-two", "a cell split in two", (*RIGHT[:2], *FORGET.split("\n", 1), *RIGHT[4:]), ("4.2", "4.3"),
         says="def forget_gate.*SyntaxError|IndentationError"),
    Case("split-after-return", "a cell split in two", (*RIGHT[:6], CELL.replace("    c_t =", "\x00").split("\x00")[0],
                                                       "    c_t = 1\n    return c_t"), ("4.1", "4.2"),
         says='Cell 8 .*"c_t = 1"'),
    Case("whole-course", "lessons handed in", write=whole_course, passed=("4.2",), says="is a lesson"),
    Case("lesson-alone", "lessons handed in", write=lesson_alone, passed=NONE, says="is a lesson"),
    Case("ending-txt", "endings of downloads", write=ending(".ipynb.txt")),
    Case("ending-json", "endings of downloads", write=ending(".ipynb.json")),
    Case("ending-copy", "endings of downloads", write=ending(".ipynb (1)")),
    Case("ending-capitals", "endings of downloads", write=ending(".IPYNB")),
    Case("archive-in-archive", "several notebooks", write=archive_in_archive),
    Case("archive-of-windows", "several notebooks", write=archive_of_windows),
]
