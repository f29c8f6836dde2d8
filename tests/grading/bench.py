"""`lstmcourse grade` side by side with nbgrader and otter-grader: the same assignment, the same submissions, one run.

    python -m tests.grading.bench [--tools FOLDER] [--class 200] [--others 20] [--json FILE]

Every tool grades notebooks that are right in three exercises of lesson 04; nbgrader and otter run the
same checks as cells of asserts. They are installed by pip, each in its own environment in FOLDER
(default: .venv/graders); one that cannot be installed is listed as not measured.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.grading.corpus.parts import CELL, FORGET, SIGMOID, UPDATE, text
from tests.grading.corpus.run import largest_process

ROOT = Path(__file__).parent.parent.parent
PINS = {"nbgrader": ["nbgrader==0.9.6", "ipykernel", "numpy", "tqdm", "platformdirs"],
        "otter": ["otter-grader==7.0.0", "ipykernel", "numpy"]}
IDS = "4.1,4.2,4.3"
CELLS = ("import numpy as np", SIGMOID, FORGET, UPDATE, CELL)

CHECK = """\
rng = np.random.default_rng(0)
x, h, c = rng.normal(size=(2, 3)), rng.normal(size=(2, 4)), rng.normal(size=(2, 4))
params = dict(W_ih=rng.normal(size=(16, 3)), W_hh=rng.normal(size=(16, 4)))
params.update(b_ih=rng.normal(size=16), b_hh=rng.normal(size=16))
a = x @ params["W_ih"].T + params["b_ih"] + h @ params["W_hh"].T + params["b_hh"]
i, f, g = 1 / (1 + np.exp(-a[:, :4])), 1 / (1 + np.exp(-a[:, 4:8])), np.tanh(a[:, 8:12])
assert np.allclose("""
CHECKS = {"forget": CHECK + "forget_gate(x, h, params), f)",
          "update": CHECK + "cell_update(c, i, f, g), f * c + i * g)",
          "cell": CHECK + "lstm_cell_forward(x, h, c, params)[1], f * c + i * g)"}


def main(argv=None):
    parser = argparse.ArgumentParser(prog="tests.grading.bench", description=__doc__.split("\n")[0])
    parser.add_argument("--tools", type=Path, default=ROOT / ".venv" / "graders")
    parser.add_argument("--class", dest="students", type=int, default=200)
    parser.add_argument("--others", type=int, default=20, help="students for nbgrader and otter")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--install", choices=PINS, help="only install this tool, for the tests that use it")
    args = parser.parse_args(argv)
    if args.install:
        return 0 if installed(args.tools, args.install) else 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{os.cpu_count()} cores, load {load:.1f} before the run\n")
    print(f"{'grader':12} {'students':>8} {'seconds':>8} {'per second':>10} {'one alone, s':>12}  all right")
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, measure, students in (("lstmcourse", ours, args.students), ("nbgrader", nbgrader, args.others),
                                        ("otter", otter, args.others)):
            python = sys.executable if measure is ours else installed(args.tools, name)
            if python is None:
                print(f"{name:12} not measured: it could not be installed")
                continue
            place = Path(folder, name)
            place.mkdir()
            row = rows[name] = measure(place, students, python)
            print(f"{name:12} {students:8} {row['seconds']:8.1f} {students / row['seconds']:10.2f} {row['one']:12.2f}  "
                  f"{row['right']} of {students}", flush=True)
    own = rows["lstmcourse"]
    print(f"\nlstmcourse, one submission inside a run: {own['inside']:.3f} s (median of {args.students}); "
          f"isolation: {own['isolation']}\nlargest process: {own['memory'] >> 20} MB")
    if args.json:
        args.json.write_text(json.dumps({"load": load, "rows": rows}, indent=2))
    return 0


def installed(tools, name):
    """The Python of the environment that has the tool, made if need be; None if it cannot be made."""
    python = tools / name / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", tools / name], check=True)
        done = subprocess.run([python, "-m", "pip", "install", "-q", *PINS[name]])
        if done.returncode:
            shutil.rmtree(tools / name)
            return None
    return python.absolute()


def timed(*command, folder, python=None):
    """Seconds of a command; CalledProcessError with its words if it fails."""
    path = f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}" if python else os.environ["PATH"]
    start = time.perf_counter()
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, env=os.environ | {
        "PATH": path, "OPENBLAS_NUM_THREADS": "1", "JUPYTER_PREFER_ENV_PATH": "1"})
    if done.returncode:
        raise SystemExit(f"{command[:4]} failed:\n{done.stderr[-3000:]}")
    return time.perf_counter() - start


def ours(place, students, python):
    for folder, n in ((place / "class", students), (place / "one", 1)):
        folder.mkdir()
        for k in range(n):
            (folder / f"student{k:03}.ipynb").write_text(text(CELLS))
    command = (python, "-m", "lstmcourse", "grade")
    one = min(timed(*command, place / "one", "--out", place / f"out{k}", "--exercises", IDS, folder=ROOT)
              for k in range(3))
    seconds = timed(*command, place / "class", "--out", place / "out", "--exercises", IDS, folder=ROOT)
    grades = json.loads((place / "out" / "grades.json").read_text())
    done = grades["submissions"]
    return {"seconds": seconds, "one": one, "right": sum(entry["score"] == entry["max_score"] for entry in done),
            "inside": statistics.median(entry["seconds"] for entry in done), "isolation": grades["isolation"],
            "memory": largest_process()}


def nbgrader(place, students, python):
    def with_metadata(cells):
        whole = json.loads(text(cells))
        for cell in whole["cells"]:
            source = "".join(cell["source"])
            kind = "test" if source in CHECKS.values() else "solution" if source in (FORGET, UPDATE, CELL) else None
            if kind:
                cell["metadata"]["nbgrader"] = {
                    "schema_version": 3, "grade": kind == "test", "solution": kind == "solution", "task": False,
                    "locked": kind == "test", "grade_id": cell["id"]} | ({"points": 1} if kind == "test" else {})
        return json.dumps(whole)
    cells = ("import numpy as np", SIGMOID, FORGET, CHECKS["forget"], UPDATE, CHECKS["update"], CELL, CHECKS["cell"])
    source = place / "source" / "ps1"
    source.mkdir(parents=True)
    (source / "04.ipynb").write_text(with_metadata(cells))
    (place / "nbgrader_config.py").write_text("c = get_config()\nc.CourseDirectory.course_id = 'bench'\n")
    run = (python.parent / "nbgrader",)
    timed(*run, "generate_assignment", "ps1", folder=place, python=python)
    for k in range(students + 1):
        folder = place / "submitted" / f"student{k:03}" / "ps1"
        folder.mkdir(parents=True)
        (folder / "04.ipynb").write_text(with_metadata(cells))
    one = timed(*run, "autograde", "ps1", "--student", f"student{students:03}", folder=place, python=python)
    shutil.rmtree(place / "submitted" / f"student{students:03}")
    seconds = timed(*run, "autograde", "ps1", folder=place, python=python)
    timed(*run, "export", folder=place, python=python)
    import csv
    with (place / "grades.csv").open(newline="") as file:
        right = sum(float(row["score"] or 0) == 3 and not row["student_id"].endswith(f"{students:03}")
                    for row in csv.DictReader(file))
    return {"seconds": seconds, "one": one, "right": right}


def otter(place, students, python):
    tests = place / "tests"
    tests.mkdir()
    for name, check in CHECKS.items():
        code = "\n".join((">>> " if n == 0 or not line[0].isspace() else "... ") + line
                         for n, line in enumerate(check.splitlines()))
        suite = {"cases": [{"code": code, "hidden": False, "locked": False}], "scored": True, "setup": "",
                 "teardown": "", "type": "doctest"}
        test = {"name": name, "points": 1, "suites": [suite]}
        (tests / f"{name}.py").write_text(f"OK_FORMAT = True\ntest = {test!r}\n")
    run = (python.parent / "otter",)
    timed(*run, "generate", "-t", "tests", "-o", "autograder.zip", "--no-environment", "--no-requirements",
          folder=place, python=python)
    (place / "student.ipynb").write_text(text(CELLS))
    seconds, right = [], 0
    for k in range(students):                    # otter run takes one at a time
        out = place / f"out{k}"
        out.mkdir()
        seconds.append(timed(*run, "run", "student.ipynb", "-a", "autograder.zip", "-o", out, "--no-logo", folder=place,
                             python=python))
        result = json.loads((out / "results.json").read_text())
        right += sum(test.get("score", 0) for test in result["tests"]) == 3
    return {"seconds": sum(seconds), "one": statistics.median(seconds), "right": right}


if __name__ == "__main__":
    raise SystemExit(main())
