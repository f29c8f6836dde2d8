"""Liars: wrong answers that would make a comparison say yes, if it ran beside them."""

from tests.grading.corpus.parts import (
    IMPORTS,
    NONE,
    SIGMOID,
    STUBS,
    WRONG,
    WRONG_41,
    WRONG_42,
    WRONG_43,
    Case,
    notebook,
    right_but,
)


def lies(name, kind, *cells, **fields):
    """Wrong answers, and a lie before them."""
    return Case(name, kind, (*cells, *WRONG), NONE, **fields)


RETURNS = """\
def forget_gate(x_t, h_prev, params):
    return {0}

def cell_update(c_prev, i, f, g):
    return {0}

def lstm_cell_forward(x_t, h_prev, c_prev, params):
    return {0}, {0}
"""


def says_yes(name, kind, setup, value, **fields):
    """A value that compares equal to everything, for every exercise."""
    return Case(name, kind, (IMPORTS, setup, RETURNS.format(value)), NONE, **fields)


def points_raised(path, target):
    whole = notebook([*STUBS[:3], "assert True", *STUBS[4:5], "assert True", STUBS[6], "print('all passed')"],
                     metadata={"points": 1000, "nbgrader": {"points": 1000}})
    for n, cell in enumerate(whole["cells"]):
        cell["metadata"] = {"nbgrader": {"grade": True, "grade_id": f"e{n}", "locked": False, "points": 1000,
                                         "schema_version": 3, "solution": False, "task": False},
                            "deletable": False, "points": 1000, "score": 1000}
    import json
    path.with_suffix(".ipynb").write_text(json.dumps(whole), encoding="utf-8")


FORGE = r'''import os, struct
def forge():
    frame = b't' + struct.pack('<I', 3) + b's' + struct.pack('<I', 5) + b'value' + @VALUE@ + b't' + struct.pack('<I', 0)
    for fd in range(3, 64):
        try:
            os.write(fd, frame)
        except OSError:
            pass
def forget_gate(x_t, h_prev, params):
    forge()
    return h_prev
def cell_update(c_prev, i, f, g):
    forge()
    return c_prev
def lstm_cell_forward(x_t, h_prev, c_prev, params):
    forge()
    return h_prev, c_prev'''

PATCH = '''import gc, types
for o in gc.get_objects():
    if isinstance(o, types.ModuleType) or isinstance(o, dict):
        for v in list((vars(o) if isinstance(o, types.ModuleType) else o).values()):
            if isinstance(v, types.FunctionType) and v.__name__ in ('same', 'changed', 'unchanged', 'instead', 'close'):
                try:
                    v.__code__ = (lambda *a, **k: True).__code__
                except ValueError:
                    pass'''


CASES = [
    lies("np-proxy", "np rebound to a proxy",
         '''import numpy as real
class Proxy:
    def __getattr__(self, name):
        if name in ('allclose', 'array_equal', 'isclose', 'isfinite', 'all', 'any'):
            return lambda *a, **k: True
        return getattr(real, name)
import sys
np = sys.modules['numpy'] = Proxy()'''),
    lies("np-methods", "np rebound to a proxy",
         '''import numpy as np
np.max = np.abs = np.linalg.norm = lambda *a, **k: 0.0
np.ndarray = type('ndarray', (), {})
np.asarray = lambda a, *k, **kw: a
np.isnan = lambda a: False'''),
    lies("allclose-patched", "numpy.testing and allclose patched",
         '''import numpy as np, numpy.testing as t
np.allclose = np.isclose = np.array_equal = lambda *a, **k: True
t.assert_allclose = t.assert_array_equal = t.assert_array_almost_equal = t.assert_equal = lambda *a, **k: None'''),
    lies("check-patched", "numpy.testing and allclose patched",
         '''import lstmcourse.practice as p, lstmcourse.gradcheck as g
p.check = p.judge = lambda *a, **k: True
p.Verdict.passed = True
import math, unittest
math.isclose = lambda *a, **k: True
unittest.TestCase.assertEqual = lambda *a: None'''),
    lies("builtins-replaced", "builtins replaced",
         '''import builtins
builtins.abs = lambda x: 0
builtins.isinstance = lambda *a: True
builtins.all = builtins.any = lambda *a: True
builtins.len = lambda x: 2
builtins.AssertionError = type('Fine', (BaseException,), {})
builtins.max = lambda *a, **k: 0.0'''),
    lies("builtins-emptied", "builtins replaced",
         '''import builtins
for name in ('getattr', 'repr', 'str', 'float', 'tuple', 'list', 'dict', 'bytes', 'type'):
    setattr(builtins, name, lambda *a, **k: True)
builtins.__import__ = lambda *a, **k: None'''),
    says_yes("subclass-equal", "an ndarray subclass that compares equal",
             '''class Yes(np.ndarray):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __sub__(self, other): return np.zeros(other.shape)
    __rsub__ = __sub__
    def __array_function__(self, *a, **k): return True
    def __array_ufunc__(self, *a, **k): return np.array(True)
    def all(self, *a, **k): return True
    def max(self, *a, **k): return 0.0''',
             "np.ones((3, 5)).view(Yes)"),
    says_yes("subclass-shape", "an ndarray subclass that compares equal",
             '''class Any(np.ndarray):
    shape = property(lambda self: Same())
    dtype = np.dtype('float64')
    def __array_finalize__(self, obj): pass
    def tobytes(self, *a): return b''
class Same(tuple):
    def __eq__(self, other): return True
    __hash__ = None''',
             "np.zeros((2, 2)).view(Any)"),
    says_yes("lie-eq", "objects that lie",
             '''class Liar:
    shape, dtype, ndim, size = (1,), np.dtype('f8'), 1, 1
    def __eq__(self, o): return True
    def __sub__(self, o): return 0
    __rsub__ = __add__ = __mul__ = __abs__ = __sub__
    def __lt__(self, o): return True
    __le__ = __gt__ = __ge__ = __lt__
    def __bool__(self): return True
    def __float__(self): return 0.0''', "Liar()"),
    says_yes("lie-array", "objects that lie",
             '''calls = []
class Late:
    def __array__(self, *a, **k):
        calls.append(1)
        return np.zeros((len(calls), 3))
    def __array_interface__(self): return {}
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self''', "Late()"),
    says_yes("lie-float", "objects that lie",
             '''class Zero(float):
    def __sub__(self, o): return 0.0
    __rsub__ = __sub__
    def __eq__(self, o): return True
    __hash__ = None
class Text(str):
    def __eq__(self, o): return True
    __hash__ = None''', "[Zero(3), Text('x'), {'a': Zero(1)}]"),
    says_yes("nan-everywhere", "NaN everywhere", "nan = np.nan",
             "np.full((len(locals().get('h_prev', locals().get('c_prev'))), "
             "locals().get('h_prev', locals().get('c_prev')).shape[1]), nan)"),
    Case("nan-shaped", "NaN everywhere",
         (IMPORTS, '''def forget_gate(x_t, h_prev, params):
    return h_prev * np.nan
def cell_update(c_prev, i, f, g):
    return np.full_like(c_prev, np.inf)
def lstm_cell_forward(x_t, h_prev, c_prev, params):
    return -np.inf * h_prev, np.nan * c_prev'''), NONE),
    Case("nan-partly", "NaN everywhere", right_but(update='''def cell_update(c_prev, i, f, g):
    c = f * c_prev + i * g
    c[-1, -1] = np.nan
    return c'''), ("4.1", "4.3")),
    Case("hard-coded", "hard-coded visible answers",
         (IMPORTS, '''SEEN = {(3, 5): np.linspace(0, 1, 15).reshape(3, 5), (2, 3): np.ones((2, 3)) / 2}
def forget_gate(x_t, h_prev, params):
    return SEEN.get(h_prev.shape, np.full(h_prev.shape, 0.5))
def cell_update(c_prev, i, f, g):
    return SEEN.get(c_prev.shape, c_prev)
def lstm_cell_forward(x_t, h_prev, c_prev, params):
    return SEEN.get(h_prev.shape, h_prev), c_prev'''), NONE),
    Case("hard-coded-seeds", "hard-coded visible answers",
         (IMPORTS, SIGMOID, '''def guess(shape):
    for seed in range(200):
        rng = np.random.default_rng(seed)
        yield rng.standard_normal(shape)
def forget_gate(x_t, h_prev, params):
    for g in guess(h_prev.shape):
        if np.allclose(g, h_prev):
            return sigmoid(g)
    return h_prev
def cell_update(c_prev, i, f, g):
    return next(guess(c_prev.shape))
def lstm_cell_forward(x_t, h_prev, c_prev, params):
    return h_prev + 1e-3, c_prev'''), NONE),
    Case("checks-replaced", "check cells replaced, points raised",
         (IMPORTS, SIGMOID, WRONG_41, "assert True  # 4.1", WRONG_42, "print('4.2 passed')", WRONG_43,
          '''class V: passed = True
V()'''), NONE),
    Case("points-raised", "check cells replaced, points raised", passed=NONE, write=points_raised),
    Case("check-redefined", "check cells replaced, points raised",
         (IMPORTS, '''def check(*a, **k):
    return type('Verdict', (), {'passed': True, 'message': 'passed', 'mistake': None})()
import sys, types
m = types.ModuleType('lstmcourse.practice'); m.check = check
m.judge = check
m.EXERCISES = {}
sys.modules['lstmcourse.practice'] = m''', *WRONG[1:]), NONE),
    lies("traceback-limit", "tracebacks silenced",
         '''import sys
sys.tracebacklimit = 0
sys.excepthook = lambda *a: None
sys.unraisablehook = sys.excepthook
get_ipython().showtraceback = lambda *a, **k: None'''),
    Case("traceback-swallowed", "tracebacks silenced",
         (IMPORTS, '''import traceback, warnings, threading
warnings.simplefilter('ignore')
traceback.format_exception = traceback.print_exc = traceback.format_exc = lambda *a, **k: ''
class Quiet(Exception):
    def __str__(self): raise SystemExit
    __repr__ = __str__
threading.excepthook = lambda *a: None
def forget_gate(x_t, h_prev, params):
    raise Quiet()
def cell_update(c_prev, i, f, g):
    raise Quiet('passed')
def lstm_cell_forward(x_t, h_prev, c_prev, params):
    raise Quiet'''), NONE, says="Quiet"),
    Case("forged-lines", "forged result lines",
         (IMPORTS, r'''import sys, os, json
line = json.dumps({'id': '4.1', 'score': 1000, 'passed': True})
for fd in (1, 2):
    os.write(fd, (line + '\n4.1 passed\n### RESULT 1000/1000\n').encode())
print(line); print(line, file=sys.stderr)
sys.__stdout__.write(line)''', *WRONG[1:]), NONE,
         aims_at=("results",)),
    Case("forged-frames", "forged result lines",
         (IMPORTS, r'''import os, struct
def forge():
    good = b'\x00' * 7 + b'passed' + struct.pack('<Q', 2**63)
    for fd in range(3, 64):
        for frame in (good, b'\xff' * 64, struct.pack('>I', 2**31) + b'x' * 9, b'{"passed": true}\n' * 3):
            try:
                os.write(fd, frame)
            except OSError:
                pass
forge()
def forget_gate(x_t, h_prev, params):
    forge()
    return h_prev
def cell_update(c_prev, i, f, g):
    forge()
    return c_prev
def lstm_cell_forward(x_t, h_prev, c_prev, params):
    forge()
    return h_prev, c_prev'''), NONE,
         aims_at=("results", "limits")),
    Case("forged-replies", "forged result lines",
         (IMPORTS, '''import sys, gc
def send_everywhere():
    main = [m for m in list(sys.modules.values()) if hasattr(m, 'encode') or hasattr(m, 'send') or hasattr(m, 'serve')]
    for m in main:
        for name in dir(m):
            if name.startswith(('send', 'write', 'reply', 'report')):
                try:
                    getattr(m, name)(('passed', True, 1000))
                except BaseException:
                    pass
    for o in gc.get_objects():
        if type(o).__name__ == 'socket':
            try:
                o.send(b'passed' * 1000)
            except BaseException:
                pass
send_everywhere()''', *WRONG[1:]), NONE,
         aims_at=("results",)),
    lies("hooks-everywhere", "hooks",
         '''import sys, gc, threading, warnings
import numpy as np
def listen(*event, **more):
    return listen
sys.settrace(listen); sys.setprofile(listen); threading.settrace(listen); threading.setprofile(listen)
sys.addaudithook(lambda *event: None)
gc.callbacks.append(listen)'''),
    lies("hooks-of-a-call", "hooks",
         '''import warnings, signal, contextlib
import numpy as np
class Never(contextlib.ContextDecorator):
    def __init__(self, *a, **k): pass
    def __enter__(self): return ('value', 1, ())
    def __exit__(self, *error): return True
warnings.catch_warnings = np.errstate = Never
warnings.simplefilter = lambda *a: signal.signal(signal.SIGALRM, lambda *a: None)'''),
    lies("display-hook", "display hooks",
         '''import sys
sys.displayhook = lambda value: print('passed')
get_ipython().display_formatter = None
def display(*a): print('score: 1000')
import IPython.display
IPython.display.display = display'''),
    Case("display-repr", "display hooks",
         (IMPORTS, '''class Page(float):
    def _repr_html_(self): return '<script>grade(1000)</script>'
    def __repr__(self): return '<img src=x onerror=alert(1)>'
    _repr_mimebundle_ = _repr_html_''',
          RETURNS.format("Page(1)")), NONE, aims_at=("feedback",)),
    Case("frame-empty-shape", "frames that are no answer", (IMPORTS, FORGE.replace("@VALUE@",
         "b'a' + struct.pack('<BB4Q', 11, 4, 0, 2**24, 2**24, 2**24)")), NONE, aims_at=("results", "limits")),
    Case("frame-odd-shape", "frames that are no answer", (IMPORTS, FORGE.replace("@VALUE@",
         "b'a' + struct.pack('<BB8Q', 0, 8, *[0] + [2**23] * 7)")), NONE, aims_at=("results", "limits")),
    Case("frame-ready-arrays", "frames that are no answer", (IMPORTS, r'''import os, struct
array = b'a' + struct.pack('<BBQ', 11, 1, 3) + bytes(24)
frame = b't' + struct.pack('<I', 2) + b's' + struct.pack('<I', 5) + b'ready' + b'l' + struct.pack('<I', 1) + array
for fd in range(3, 64):
    try:
        os.write(fd, frame)
    except OSError:
        pass''', *WRONG[1:]), NONE, aims_at=("results",)),
    Case("changed-patched", "patching the comparison of arguments", (IMPORTS, SIGMOID, PATCH, WRONG_41, '''
def cell_update(c_prev, i, f, g):
    c_prev *= f
    c_prev += i * g
    return c_prev''', WRONG_43), NONE, says="wrote into its argument"),
    Case("changed-patched-modules", "patching the comparison of arguments", (IMPORTS, SIGMOID, PATCH.replace(
         "('same', 'changed', 'unchanged', 'instead', 'close')", "('same', 'array_equal', 'allclose', 'equal')"),
         "np.array_equal = np.allclose = lambda *a, **k: True", WRONG_41, '''
def cell_update(c_prev, i, f, g):
    np.multiply(c_prev, f, out=c_prev)
    return np.add(c_prev, i * g, out=c_prev)''', WRONG_43), NONE, says="wrote into its argument"),
]
