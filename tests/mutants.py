"""`make mutants MODULE=gradcheck`: change a module of the library; does a test of that module notice?

    make mutants MODULE=gradcheck                    25 changes, drawn with SEED=0
    make mutants MODULE="rnn lab/probing" SAMPLE=50 SEED=7
    make mutants MODULE=all SAMPLE=1 SEED=2026-48    one change of every module: what CI draws each week

A change is one of those of practice/mutants.py, or of `more` below. The tests of the module run against it in a copy
of the project; a change that no test fails on is named. What stands in equivalent_library_mutants.json with a reason
behaves as the original does. Results are kept in build/mutants, under a fingerprint of the library and the tests:
an interrupted run goes on where it stopped, and nothing old is counted after a change of either.

Why no library: Cosmic Ray and mutmut were looked at. Both know operators, comparisons, numbers and keywords, Cosmic
Ray variables, mutmut arguments. Neither drops a transpose, a call or a line or swaps two arguments or keys, which are
the mistakes that an equation invites; and neither draws a sample by a seed, without which there is no run of a minute
and none that differs each week.
"""

import argparse
import ast
import copy
import hashlib
import json
import os
import pathlib
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from tqdm import tqdm

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from tests.practice.mutants import changes, is_docstring, place  # noqa: E402

EQUIVALENT = pathlib.Path(__file__).with_name("equivalent_library_mutants.json")
RESULTS = ROOT / "build" / "mutants"
LEFT_OUT = {"__init__", "__main__", "bench", "child"}          # maps, starts, measurements; child runs in the sandbox
# Where a module's tests stand under another name; else tests/test_x.py, tests/test_lab_x.py, tests/practice/test_x.py.
MORE_TESTS = dict.fromkeys(["rnn", "lstm", "gru", "layers", "validation"], ["test_recurrent"]) | {
    **dict.fromkeys(["train", "torch_ref"], ["test_recurrent", "test_attention", "test_transformer"]),
    "cli": ["practice/test_cli"],
    "grading/cohort": ["grading/test_grade", "grading/test_resume"],
    "grading/confine": ["grading/test_doctor", "grading/test_scoring"],
    "grading/gradebooks": ["grading/test_class"],
    "grading/imports": ["grading/test_agreement", "grading/test_submissions"],
    "grading/journal": ["grading/test_resume", "grading/test_grade"],
    "grading/magics": ["grading/test_submissions"],
    "grading/memory": ["grading/test_doctor"],
    "grading/names": ["grading/test_submissions", "grading/test_class"],
    "grading/notebook": ["grading/test_submissions", "grading/test_scoring"],
    "grading/report": ["grading/test_grade"],
    "grading/sandbox": ["grading/test_scoring", "grading/test_scratch"],
    "grading/session": ["grading/test_scoring", "grading/test_protocol"],
    "lab/trial_pages": ["test_trial_pages"],
    "practice/adapters": ["practice/test_capstone"],
    "practice/exercise": ["practice/test_judging", "practice/test_exercises"],
    "practice/inputs": ["practice/test_exercises"],
    "practice/judging": ["practice/test_patterns"],
    "practice/observe": ["practice/test_judging", "practice/test_check"],
    "practice/table": ["practice/test_cli"]}


def modules():
    """{name: path} of the library's modules: "gradcheck", "lab/probing"."""
    found = {str(path.relative_to(ROOT / "lstmcourse").with_suffix("")): path
             for path in sorted((ROOT / "lstmcourse").rglob("*.py"))}
    return {name: path for name, path in found.items() if name.split("/")[-1] not in LEFT_OUT}


def tests_of(name):
    """The test files of a module, from the project's folder; in practice/ those of all where it has none of its own."""
    *folder, stem = name.split("/")
    tests = ROOT / "tests"
    names = [f"{folder[0]}/test_{stem}"] if folder else []
    names += ["_".join(["test", *folder, stem]), *(f"test_{part}" for part in folder),
              *("_".join(["test", *folder[:end]]) for end in range(2, len(folder) + 1)), *MORE_TESTS.get(name, [])]
    found = [tests / f"{one}.py" for one in names if (tests / f"{one}.py").exists()]
    if folder == ["practice"] and not found:
        found = sorted(set((tests / "practice").glob("test_*.py")) - {tests / "practice" / "test_mutants.py"})
    return [str(path.relative_to(ROOT)) for path in found]


def more(node):
    """(text, new node) for changes that the solutions of exercises hardly need: conditions, defaults, a raise."""
    def to(new):
        return f"{ast.unparse(node).splitlines()[0]} -> {ast.unparse(ast.fix_missing_locations(new))}", new

    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        for value in (True, False):
            new = copy.deepcopy(node)
            new.test = ast.Constant(value)
            yield f"if {ast.unparse(node.test)} -> {value}", new
    if isinstance(node, ast.BoolOp):
        for k in range(len(node.values)):
            rest = [copy.deepcopy(value) for value in node.values[:k] + node.values[k + 1:]]
            yield to(rest[0] if len(rest) == 1 else ast.BoolOp(copy.deepcopy(node.op), rest))
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn, ast.Is, ast.IsNot)):
        other = {ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is}[type(node.ops[0])]
        new = copy.deepcopy(node)
        new.ops[0] = other()
        yield to(new)
    if isinstance(node, ast.Name) and node.id in ("any", "all", "min", "max"):
        yield to(ast.Name({"any": "all", "all": "any", "min": "max", "max": "min"}[node.id], ast.Load()))
    if isinstance(node, (ast.Raise, ast.Continue, ast.Break)):
        yield f"{ast.unparse(node).splitlines()[0]} -> dropped", ast.Pass()
    if isinstance(node, ast.FloorDiv):
        yield "// -> /", ast.Div()


def mutants(source):
    """Every change of a module's functions: {what was changed: (the number of the node, the new node)}."""
    tree, found = ast.parse(source), {}
    inside = {}                                               # node -> the function around it
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside.update((id(node), function) for node in ast.walk(function))
    words = {id(node) for outer in ast.walk(tree) if isinstance(outer, ast.JoinedStr) for node in ast.walk(outer)}
    for position, node in enumerate(ast.walk(tree)):
        function = inside.get(id(node))
        if function is None or function is node or id(node) in words or is_docstring(node):
            continue
        names = sorted({n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
                       | {argument.arg for argument in function.args.args})
        keys = sorted({n.value for n in ast.walk(function) if isinstance(n, ast.Constant)
                       and isinstance(n.value, str) and n.value.isidentifier()})
        where = f"{function.name} +{getattr(node, 'lineno', function.lineno) - function.lineno}"
        for text, changed in [*changes(node, names, keys), *more(node)]:
            found.setdefault(f"{where}: {text}", (position, changed))
    return found


def changed(source, position, node):
    """The source of a module in which the node of this number is another; None where that changes nothing."""
    tree = ast.parse(source)
    before = ast.unparse(tree)
    parent, field, index = place(tree, position)
    if parent is None:
        return None
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node
    after = ast.unparse(ast.fix_missing_locations(tree))
    return after if after != before else None


def drawn(name, sample, seed):
    """{what was changed: the module's source}, a sample that the seed and the module's name decide."""
    source = modules()[name].read_text(encoding="utf-8")
    found, chosen = mutants(source), {}
    for text in random.Random(f"{seed} {name}").sample(sorted(found), len(found)):
        code = changed(source, *found[text]) if len(chosen) < sample else None
        if code is not None:
            chosen[text] = code
    return chosen


def fingerprint():
    """Of the library and its tests: a result is one of these files, or none."""
    seen = hashlib.sha256()
    for path in sorted([*(ROOT / "lstmcourse").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]):
        seen.update(path.read_bytes())
    return seen.hexdigest()[:16]


# Waits in a copy of the project, with what is slow to import, for one line of JSON at a time: [seconds, test files].
# Each is run in a fork of its own; the answer is its status, or -1 after so many seconds.
WAITING = """
import json, os, signal, sys, time
import hypothesis, matplotlib.pyplot, nbformat, nbval.plugin, numpy, pytest, torch, xdist.plugin
for line in sys.stdin:
    seconds, tests = json.loads(line)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os._exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))
    end, status = time.monotonic() + seconds, None
    while status is None and time.monotonic() < end:
        done, code = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if done else time.sleep(0.05)
    if status is None:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    print(-1 if status is None else status, flush=True)
"""


class Copy:
    """A copy of the project, in which a module can be changed, and the process that runs its tests."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".venv", ".git", "build", ".*_cache", "*.progress"))
        settings = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1",
                                 "OPENBLAS_NUM_THREADS": "1", "LSTMCOURSE_PROGRESS": str(folder / "progress")}
        self.process = subprocess.Popen([sys.executable, "-c", WAITING], cwd=folder, env=settings, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def fails(self, tests, seconds):
        """Does one of the tests fail? A hang is a failure, too."""
        self.process.stdin.write(json.dumps([seconds, tests]) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline()) != 0

    def close(self):
        """End the process: it has nothing more to read."""
        self.process.stdin.close()
        self.process.wait()


def run(names, sample, seed, workers):
    """{module: {change: killed}}; what is done already is read from build/mutants."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    record = RESULTS / f"{fingerprint()}.jsonl"
    known = {(r["module"], r["change"]): r["killed"] for r in map(json.loads, record.read_text().splitlines())
             } if record.exists() else {}
    jobs = [(name, text, code) for name in names for text, code in drawn(name, sample, seed).items()]
    found, waiting = {}, queue.Queue()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool, open(record, "a") as file:
        copies = [Copy(pathlib.Path(folder) / str(k)) for k in range(workers)]
        for copied in copies:
            waiting.put(copied)

        def limit(tests):                                     # they pass without a change
            copied, start = waiting.get(), time.monotonic()
            failed, seconds = copied.fails(tests, 1200), time.monotonic() - start
            waiting.put(copied)
            if failed:
                raise SystemExit(f"{', '.join(tests)}: a test fails without any change")
            return 30 + 5 * seconds

        sets = sorted({tuple(tests_of(name)) for name, text, _ in jobs if (name, text) not in known})
        limits = dict(zip(sets, pool.map(limit, sets), strict=True))

        def one(job):
            name, text, code = job
            if (name, text) not in known:
                copied, tests = waiting.get(), tuple(tests_of(name))
                path = copied.folder / modules()[name].relative_to(ROOT)
                original = path.read_bytes()
                try:
                    path.write_text(code, encoding="utf-8")
                    known[name, text] = copied.fails(tests, limits[tests])
                finally:
                    path.write_bytes(original)
                    waiting.put(copied)
                file.write(json.dumps({"module": name, "change": text, "killed": known[name, text]}) + "\n")
                file.flush()
            return name, text, known[name, text]

        for name, text, killed in tqdm(pool.map(one, jobs), total=len(jobs), unit="mutant"):
            found.setdefault(name, {})[text] = killed
        for copied in copies:
            copied.close()
    return found


def table(found, reasons):
    """The rows of the table, as in review/mutation.md: score = killed / (mutants - equivalent)."""
    yield "|module|mutants|killed|survived|equivalent|score|"
    yield "|-|-|-|-|-|-|"
    rows = {name: (len(one), sum(one.values()), sum(text in reasons.get(name, {}) for text, killed in one.items()
                                                    if not killed)) for name, one in found.items()}
    rows["all"] = tuple(map(sum, zip(*rows.values(), strict=True)))
    for name, (count, killed, equivalent) in rows.items():
        yield f"|{name}|{count}|{killed}|{count - killed}|{equivalent}|{100 * killed / max(1, count - equivalent):.0f}|"


def main(arguments):
    parser = argparse.ArgumentParser(description="Change modules of the library; do their tests notice?")
    parser.add_argument("modules", nargs="+", help="names as gradcheck or lab/probing, a folder (core, lab, …), or all")
    parser.add_argument("--sample", type=int, default=25, help="changes drawn for each module")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args(arguments)
    names = [name for name in modules() if any(
        wanted in ("all", name, name.split("/")[0] if "/" in name else "core") for wanted in options.modules)]
    if not names:
        parser.error(f"no such module: {' '.join(options.modules)}; wanted one of {', '.join(modules())}")
    found = run(names, options.sample, options.seed, options.workers)
    reasons = json.loads(EQUIVALENT.read_text(encoding="utf-8"))
    print(*table(found, reasons), sep="\n")
    alive = [f"{name} {text}" for name, one in found.items() for text, killed in one.items()
             if not killed and text not in reasons.get(name, {})]
    print(f"{len(alive)} survive without a reason in {EQUIVALENT.name}", *alive, sep="\n  ")
    return 1 if alive else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
