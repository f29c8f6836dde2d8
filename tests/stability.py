"""`make stability`: does a notebook say the same when the last digit of its initial weights is another?

Another processor, BLAS or Python changes the last digit of a sum, and a long training run amplifies it. Here
every notebook runs REPEATS times, each time with all initial weights moved at random by one part in 1e15
(1e-7 in float32; moved_weights.py). A run is broken if a cell raises, or if the text below a cell without the tag
nbval-ignore-output is not the saved one. Pictures may differ.

    make stability                                             20 runs each of all lessons and solutions
    make stability REPEATS=2 NOTEBOOKS="notebooks/01*.ipynb"   two runs of lesson 01
"""

import argparse
import os
import re
import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm import tqdm

from tests.kernels import start_again

ROOT = Path(__file__).resolve().parents[1]
BEFORE = """import sys as _sys
_sys.path.insert(0, {tests!r})
from moved_weights import move_initial_weights as _move
_moved = _move({seed})
_sys.path.remove({tests!r})"""
AFTER = """import time as _time
print(_moved(), _time.process_time())"""
VARIES = re.compile(r"0x[0-9a-f]{6,16}")           # an address


@dataclass
class Run:
    """One run of a notebook."""
    path: Path
    moved: int
    seconds: float                                # processor time of the kernel, its start included
    broken: list                                  # of sentences, one a cell


def text_of(cell):
    """What a reader can read below a cell: printed text, results and captions, but no pictures and no widgets."""
    found = []
    for out in cell.outputs:
        data = out.get("data", {})
        if out.output_type == "stream" and out.name == "stdout":
            found.append(out.text)
        elif data and "application/vnd.jupyter.widget-view+json" not in data:
            found += [data[kind] for kind in ("text/markdown", "text/plain") if kind in data]
    return VARIES.sub("ADDRESS", "".join(found))


def first_difference(saved, now):
    """The first line in which the two texts differ."""
    for before, after in zip(saved.splitlines() + [""], now.splitlines() + [""], strict=False):
        if before != after:
            return f"now {after!r}, saved {before!r}"
    return f"{len(now.splitlines())} lines, saved {len(saved.splitlines())}"


def run(path, seed, timeout=600):
    """Run a notebook once with the weights moved."""
    notebook = nbformat.read(path, 4)
    saved = {k: text_of(cell) for k, cell in enumerate(notebook.cells, 1) if cell.cell_type == "code"}
    before = nbformat.v4.new_code_cell(BEFORE.format(tests=str(ROOT / "tests"), seed=seed))
    after = nbformat.v4.new_code_cell(AFTER)
    notebook.cells = [before, *notebook.cells, after]
    client = NotebookClient(notebook, timeout=timeout, startup_timeout=timeout, allow_errors=True,
                            resources={"metadata": {"path": str(path.parent)}})
    try:
        start_again(client.execute)
    except (CellExecutionError, RuntimeError, TimeoutError) as error:         # the kernel ended, or took too long
        return Run(path, 0, 0.0, [str(error)])
    moved, seconds = text_of(after).split()[-2:]                # a line may come in pieces
    broken = []
    for k, text in saved.items():
        cell = notebook.cells[k]
        errors = [f"{out.ename}: {out.evalue}".strip(": ") for out in cell.outputs if out.output_type == "error"]
        where = f"cell {k - 1} ({cell.get('id', '')})"
        if errors:
            broken.append(f"{where} raises {errors[0]}")
        elif "nbval-ignore-output" not in cell.metadata.get("tags", []) and text_of(cell) != text:
            broken.append(f"{where} prints otherwise: {first_difference(text, text_of(cell))}")
    return Run(path, int(moved), float(seconds), broken)


def table(runs):
    """One line for each notebook, and below it what broke and how often."""
    lines = ["notebook                            runs  broken  arrays moved  CPU seconds"]
    for path in sorted({run.path for run in runs}):
        own = [run for run in runs if run.path == path]
        lines.append(f"{path.parent.name + '/' + path.stem:36}{len(own):4}{sum(bool(run.broken) for run in own):8}"
                     f"{max(run.moved for run in own):14}{statistics.median(run.seconds for run in own):13.1f}")
        sentences = [sentence for run in own for sentence in run.broken]
        first = {re.split(" raises| prints", sentence)[0]: sentence for sentence in reversed(sentences)}
        lines += [f"    {sum(s.startswith(cell + ' ') for s in sentences)} x {sentence[:200]}"
                  for cell, sentence in sorted(first.items())]
    for folder in sorted({run.path.parent.name for run in runs}):
        seconds = {run.path: [] for run in runs if run.path.parent.name == folder}
        for each in runs:
            if each.path in seconds:
                seconds[each.path].append(each.seconds)
        lines.append(f"{folder}: {sum(map(statistics.median, seconds.values())):.0f} CPU seconds together")
    return "\n".join(lines)


def stability(paths, repeats, jobs=None):
    """Run each notebook so many times, in parallel. Returns the runs, those done so far when interrupted."""
    os.environ["LSTMCOURSE_STILL"] = "1"
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(jobs or os.cpu_count()) as pool:
        os.environ["LSTMCOURSE_PROGRESS"] = folder          # of a new learner
        waiting = [pool.submit(run, path, seed) for seed in range(repeats) for path in paths]
        done = []
        try:
            for future in tqdm(as_completed(waiting), total=len(waiting), unit="run"):
                done.append(future.result())
                for sentence in done[-1].broken:
                    tqdm.write(f"{done[-1].path.name}: {sentence}", file=sys.stderr)
        except KeyboardInterrupt:                           # say what is known so far
            pool.shutdown(wait=False, cancel_futures=True)
        return done


def main():
    parser = argparse.ArgumentParser(description="Run notebooks with the last digit of all initial weights moved.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="all lessons and solutions, if none is named")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--jobs", type=int, help="how many at once; all processors, if not given")
    arguments = parser.parse_args()
    paths = [path.resolve() for path in arguments.notebooks]
    paths = paths or [path for folder in ("notebooks", "solutions") for path in sorted((ROOT / folder).glob("*.ipynb"))]
    runs = stability(paths, arguments.repeats, arguments.jobs)
    print(table(runs))
    broken = sum(bool(run.broken) for run in runs)
    print(f"{broken} of {len(runs)} runs broken")
    sys.exit(broken > 0)


if __name__ == "__main__":
    main()
