"""Beyond the classes of ATTACKS.md: strange values, strange names, strange files."""

import json
import os
import sys

from tests.grading.corpus.liars import RETURNS
from tests.grading.corpus.parts import ALL, IMPORTS, NONE, RIGHT, STUBS, Case, aimed, notebook, text, zipped


def returns(name, value, setup="", **fields):
    return Case(name, "strange values", (IMPORTS, setup, RETURNS.format(value)), NONE, **fields)


def file(name, content, kind="strange files", passed=NONE, status="refused", **fields):
    def write(path, target):
        path.with_suffix(".ipynb").write_bytes(content() if callable(content) else content)
    return Case(name, kind, passed=passed, status=status, write=write, **fields)


def wrong_types():
    whole = notebook(RIGHT)
    whole["cells"][1]["source"] = {"not": ["a", "string"]}
    whole["cells"][2]["source"] = None
    whole["cells"] += [None, 7, "text", [], {"cell_type": ["code"]},
                       {"cell_type": "code", "source": [1, None, "x = 1"]}]
    return json.dumps(whole).encode()


def formula(path, target):
    path.with_name("=HYPERLINK(evil)+@SUM(A1)").with_suffix(".ipynb").write_text(text(RIGHT))


def markup(path, target):
    path.with_name("<img src=x onerror=alert(1)>").with_suffix(".ipynb").write_text(aimed(text(STUBS), target))


def no_notebook(path, target):
    path.mkdir()
    (path / "04_lstm_cell.py").write_text("print('I like scripts')")


def terminal(path, target):
    path.with_name("\u202egnp.x\x1b[2J\x1b]0;title\x07.ipynb").write_text(text(RIGHT))


def not_utf_8(path, target):
    """What a zip made on Windows unpacks to."""
    with open(os.fsencode(path.parent) + as_bytes("/José.ipynb"), "w", encoding="utf-8") as file:
        file.write(text(RIGHT))


def as_bytes(name):
    """Latin-1, where a file may be called so."""
    return name.encode("utf-8" if sys.platform in ("darwin", "win32") else "latin-1")


def folder_with_a_long_name(path, target):
    folder = os.fsencode(path.parent) + as_bytes("/" + 120 * "é")
    os.mkdir(folder)
    with open(folder + b"/04.ipynb", "w", encoding="utf-8") as file:
        file.write(text(RIGHT))


def archive_with_a_long_name(path, target):
    """Names that no folder could hold: three bytes for each of 120 letters."""
    path.with_suffix(".zip").write_bytes(zipped(**{"名" * 120 + "/" + "前" * 120 + ".ipynb": text(RIGHT)}))


def folder_not_utf_8(path, target):
    folder = os.fsencode(path.parent) + as_bytes("/Renée")
    os.mkdir(folder)
    for name in (as_bytes("/04 é.ipynb"), b"/05.ipynb"):
        with open(folder + name, "w", encoding="utf-8") as file:
            file.write(text(RIGHT))


def million_cells(source):
    cells = [json.dumps(cell) for cell in notebook(RIGHT)["cells"]]
    empty = json.dumps({"cell_type": "code", "source": source})
    return f'{{"cells": [{", ".join([*[empty] * 1_000_000, *cells])}]}}'.encode()


PADDED = "[['x' * 1900] * {0}] + [np.zeros({0}, 'i1')] * {0}"

CASES = [
    returns("value-padded", PADDED.format(500), aims_at=("limits",)),
    returns("value-padded-more", PADDED.format(3900), aims_at=("limits",)),
    returns("value-padded-inside", "{'a': " + PADDED.format(500) + "}, (" + PADDED.format(500) + ", 'x')",
            aims_at=("limits",)),
    Case("name-terminal", "strange names", write=terminal, alias="?gnp.x?[2J?]0;title?", aims_at=("feedback",)),
    file("cells-million-empty", lambda: million_cells(""), "very many cells", ALL, "graded", aims_at=("limits",)),
    file("cells-million-comments", lambda: million_cells("#"), "very many cells", NONE, "graded", says="used up",
         aims_at=("limits",)),
    Case("name-long", "strange names", write=folder_with_a_long_name, alias=120 * "é"),
    Case("name-long-in-archive", "strange names", write=archive_with_a_long_name),
    Case("name-not-utf-8", "strange names", write=not_utf_8, alias="José"),
    Case("folder-not-utf-8", "strange names", write=folder_not_utf_8, alias="Renée"),
    returns("value-huge", "np.zeros((20_000, 20_000))", aims_at=("limits",)),
    returns("value-broadcast", "np.broadcast_to(np.float64(0), (10**6, 10**6))", aims_at=("limits",)),
    returns("value-endless-list", "loop", '''loop = []
loop.append(loop)''', aims_at=("limits",)),
    returns("value-deep", "deep", '''deep = 0.0
for _ in range(100_000):
    deep = [deep]''', aims_at=("limits",)),
    returns("value-big-int", "10**4000 - 1 if False else 10**100_000", aims_at=("limits",)),
    returns("value-object-array", "np.array([None, print, {}], dtype=object)"),
    returns("value-structured", "np.zeros(3, dtype=[('a', 'f8'), ('b', 'O')])"),
    returns("value-odd-dtypes", "[np.zeros(2, 'g'), np.zeros(2, 'c16'), np.zeros(2, 'M8[s]'), np.array('x' * 9), "
            "np.void(b'1'), np.zeros((0, 3)), np.zeros((1,) * 32)]"),
    returns("value-generator", "(x for x in range(3))"),
    returns("value-lazy-mapping", "Endless()", '''import collections.abc
class Endless(dict):
    def items(self):
        while True:
            yield 'k', 1
    def __len__(self): return 2**60
    def __iter__(self):
        while True:
            yield 'k'
''', aims_at=("limits",)),
    Case("function-replaced", "strange values",
         (IMPORTS, '''class F:
    __name__ = 'forget_gate'
    def __call__(self, *a): return self
    def __getattr__(self, n): return self
forget_gate = F()
cell_update = None
lstm_cell_forward = 'def lstm_cell_forward'
'''), NONE),
    Case("namespace-lies", "strange values",
         (IMPORTS, '''class D(dict):
    def __getitem__(self, k): raise SystemExit
import sys, types
sys.modules['__main__'] = None
sys.modules.clear()
globals().clear()'''), NONE),
    file("file-utf-16", lambda: text(RIGHT).encode("utf-16"), passed=("4.1", "4.2", "4.3"), status="graded"),
    file("file-wrong-types", wrong_types, passed=("4.2",), status="graded"),
    file("file-deep", lambda: b'{"cells": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", aims_at=("limits",)),
    file("file-html", b"<!doctype html><html><body>Sign in to continue</body></html>", says="JSON|notebook"),
    file("file-list", b"[1, 2, 3]", says="notebook"),
    file("file-brackets", lambda: b'{"cells": [' + b"[]," * 25_000_000 + b"[]]}", aims_at=("limits",)),
    Case("name-formula", "strange names", write=formula, alias="=HYPERLINK(evil)+@SUM(A1)"),
    Case("name-markup", "strange names", passed=NONE, write=markup, aims_at=("feedback",),
         alias="<img src=x onerror=alert(1)>"),
    Case("folder-without", "strange files", passed=NONE, status="refused", says="no notebook", write=no_notebook),
]
