"""Spies: wrong answers by somebody who looks for the right ones, or for other people's secrets."""

import os

from tests.grading.corpus.parts import CELL, FORGET, IMPORTS, NONE, RIGHT, SIGMOID, UPDATE, WRONG, Case, right_but

STOLEN = """\
def forget_gate(x_t, h_prev, params):
    return found("forget_gate", x_t, h_prev, params)

def cell_update(c_prev, i, f, g):
    return found("cell_update", c_prev, i, f, g)

def lstm_cell_forward(x_t, h_prev, c_prev, params):
    return found("lstm_cell_forward", x_t, h_prev, c_prev, params)
"""


def steals(name, kind, found, **fields):
    """Every answer is whatever `found(name, *args)` can find."""
    return Case(name, kind, (IMPORTS, SIGMOID, found, STOLEN), NONE, **fields)


def link_to_passwd(path, target):
    os.symlink("/etc/passwd", path.with_suffix(".ipynb"))


def link_to_classmate(path, target):
    os.symlink(target.submissions / "checks-deleted.ipynb", path.with_suffix(".ipynb"))


def folder_of_links(path, target):
    path.mkdir()
    os.symlink("/etc/passwd", path / "04.ipynb")
    os.symlink(target.submissions, path / "more")


def linked_folder(path, target):
    os.symlink(target.canary, path)


def named_pipe(path, target):
    os.mkfifo(path.with_suffix(".ipynb"))


CASES = [
    steals("frames", "walking caller frames",
           '''import sys, inspect
def found(name, *args):
    frame = sys._getframe()
    while frame:
        for scope in (frame.f_locals, frame.f_globals):
            for key, value in list(scope.items()):
                if key in ('expected', 'want', 'wanted', 'reference', 'answer', 'truth', 'exercise'):
                    return value(*args) if callable(value) else getattr(value, 'reference', value)
        frame = frame.f_back
    return args[-1]'''),
    steals("garbage", "walking caller frames",
           '''import gc, sys
import numpy as np
def found(name, *args):
    mine = {id(a) for a in args}
    for o in gc.get_objects():
        if (callable(o) and getattr(o, '__name__', '') in (name, 'reference', 'judge')
                and 'lstmcourse' in str(getattr(o, '__module__', ''))):
            return o(*args)
        if isinstance(o, dict):
            for v in list(o.values()):
                if isinstance(v, np.ndarray) and id(v) not in mine and v.shape == args[0].shape:
                    return v
    return args[0] * 0.9'''),
    steals("library", "importing the course's library or solutions",
           '''try:
    from lstmcourse.lstm import lstm_cell_forward as cell
except ImportError:
    cell = None
def found(name, *args):
    h, c, cache = cell(*args) if len(args) == 4 else cell(*args[:2], args[1], args[2])
    return (h, c) if name.startswith('lstm') else cache.f'''),
    steals("library-by-path", "importing the course's library or solutions",
           '''import sys, importlib, importlib.util
sys.path[:0] = ['@PACKAGE@/..', '@PACKAGE@', '/lstmcourse', '.']
def load(path):
    spec = importlib.util.spec_from_file_location('stolen', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
def found(name, *args):
    try:
        cell = load('@PACKAGE@/lstm.py').lstm_cell_forward
    except Exception:
        cell = importlib.import_module('lstmcourse.lstm').lstm_cell_forward
    h, c, cache = cell(*args) if len(args) == 4 else cell(*args[:2], args[1], args[2])
    return (h, c) if name.startswith('lstm') else cache.f'''),
    steals("library-exercises", "importing the course's library or solutions",
           '''def found(name, *args):
    from lstmcourse.practice import EXERCISES
    for e in EXERCISES.values():
        if e.function == name:
            return e.reference(*args)'''),
    steals("torch", "importing the course's library or solutions",
           '''import torch
layer = torch.nn.LSTMCell(3, 5)
def found(name, *args):
    with torch.no_grad():
        return layer(torch.tensor(args[0]))[0].numpy()'''),
    steals("disk-search", "reading hidden checks from disk",
           '''import os
def found(name, *args):
    for top in ('@PACKAGE@', '@SUBMISSIONS@', '@OUT@', '.', '/home', '/root', '/proc/self/cwd'):
        for folder, _, files in os.walk(top):
            for file in files:
                path = os.path.join(folder, file)
                source = open(path, errors='ignore').read()
                if f'def {name}' in source and 'lstmcourse' in source:
                    scope = {}
                    exec(source, scope)
                    return scope[name](*args)
    raise LookupError('nothing')'''),
    steals("disk-journal", "reading hidden checks from disk",
           '''import glob, json, sqlite3
def found(name, *args):
    for path in glob.glob('@OUT@/*') + glob.glob('@OUT@/**/*', recursive=True):
        if path.endswith('json'):
            return json.load(open(path))['seed']
        for row in sqlite3.connect(path).execute('select * from run'):
            return row
    raise LookupError('no journal')'''),
    steals("disk-proc", "reading hidden checks from disk",
           '''import os
def found(name, *args):
    text = b''
    for pid in ['self', '1', str(os.getppid())]:
        for what in ('environ', 'cmdline', 'maps', 'mem', 'fd/3', 'cwd', 'root/etc/passwd'):
            try:
                text += open(f'/proc/{pid}/{what}', 'rb').read(4096)
            except OSError:
                pass
    raise ValueError(text.decode('latin-1')[:3000])''',
           aims_at=("environment",)),
    Case("print-secret", "printing into the feedback",
         right_but(forget='''def forget_gate(x_t, h_prev, params):
    text = open('@CANARY@/secret.txt').read()
    print(text)
    raise ValueError(text)'''), ("4.2", "4.3"), aims_at=("environment",)),
    Case("print-inputs", "printing into the feedback",
         right_but(update='''def cell_update(c_prev, i, f, g):
    print('HIDDEN-INPUT', c_prev)
    display('HIDDEN-INPUT')
    return f * c_prev + i * g + 'HIDDEN-INPUT'.count('x')'''),
         aims_at=("feedback",)),
    Case("print-everything", "printing into the feedback",
         (IMPORTS, SIGMOID, '''import os, glob
found = []
for pattern in ('@CANARY@/*', '@OUT@/*', '/etc/passwd', '/etc/hostname', '/root/*', '/home/*/*'):
    for path in glob.glob(pattern):
        try:
            found.append(open(path).read(2000))
        except OSError as e:
            pass
print(found)''', FORGET.replace("    return", '''    print(found)
    return'''),
          '''def cell_update(c_prev, i, f, g):
    raise ValueError(repr(found))''', CELL), ("4.1", "4.3"),
         aims_at=("environment",)),
    Case("classmate-read", "reading another student's submission",
         (IMPORTS, SIGMOID, '''import json, glob
def steal():
    for path in ['@SUBMISSIONS@/checks-deleted.ipynb', *glob.glob('@SUBMISSIONS@/*.ipynb'), *glob.glob('../*.ipynb')]:
        try:
            for cell in json.load(open(path))['cells']:
                exec(''.join(cell['source']), globals())
        except Exception:
            pass
''', WRONG[2], WRONG[4],
          WRONG[6], "steal()"), NONE),
    Case("classmate-leave", "reading another student's submission",
         (IMPORTS, SIGMOID, """import os, tempfile
source = '''""" + FORGET + UPDATE + """'''
for folder in ('.', '/tmp', '/dev/shm', '/scratch', '/var/tmp', tempfile.gettempdir(), os.getcwd(),
               os.path.expanduser('~')):
    try:
        open(os.path.join(folder, 'a_left_for_b.py'), 'w').write(source)
    except OSError:
        pass""", *RIGHT[2:]), aims_at=("files", "classmates")),
    Case("classmate-leave-b", "reading another student's submission",
         (IMPORTS, SIGMOID, '''import os, sys, tempfile
for folder in ('.', '/tmp', '/dev/shm', '/scratch', '/var/tmp', tempfile.gettempdir(), os.path.expanduser('~')):
    try:
        exec(open(os.path.join(folder, 'a_left_for_b.py')).read())
    except OSError:
        pass'''), NONE),
    Case("environment-dump", "dumping the environment",
         right_but(forget='''import os
def forget_gate(x_t, h_prev, params):
    print(os.environ)
    raise RuntimeError(repr(dict(os.environ)))'''), ("4.2", "4.3"), aims_at=("environment",)),
    Case("environment-home", "dumping the environment",
         right_but(update='''import os, sys, socket, platform, getpass
def cell_update(c_prev, i, f, g):
    facts = []
    for ask in (os.getcwd, lambda: sys.argv, lambda: sys.path, platform.node, getpass.getuser, socket.gethostname,
                lambda: open('/proc/self/environ').read()):
        try:
            facts.append(str(ask()))
        except BaseException as e:
            pass
    raise RuntimeError(' '.join(facts))'''), ("4.1", "4.3"), aims_at=("environment",)),
    Case("link-passwd", "a submission that is a link", passed=NONE, status="refused", says="link",
         write=link_to_passwd, aims_at=("environment",)),
    Case("link-classmate", "a submission that is a link", passed=NONE, status="refused", says="link",
         write=link_to_classmate),
    Case("link-in-folder", "a submission that is a link", passed=NONE, status="refused", says="link",
         write=folder_of_links, aims_at=("environment",)),
    Case("link-folder", "a submission that is a link", passed=NONE, status="refused", says="link",
         write=linked_folder),
    Case("link-pipe", "a submission that is a link", passed=NONE, status="refused", says="regular file",
         write=named_pipe, aims_at=("limits",)),
]
