"""`make exercises`: the notebooks in exercises/, made from those in solutions/.

Between `### BEGIN SOLUTION` and `### END SOLUTION` (nbgrader's markers) the code is taken out and a
line that raises is put in; hidden tests are taken out; everything else is copied. The result is
executed and saved with a fingerprint of its own cells. A file that no longer has the sources of its
fingerprint is somebody's work: it is never overwritten.

The solutions themselves are nbgrader assignments. What nbgrader needs, metadata and a hidden test in
every cell with check(...), follows from the exercise and is put in here too.
"""

import argparse
import ast
import copy
import hashlib
import json
import re
import sys
from pathlib import Path

import nbformat
from tqdm import tqdm

from lstmcourse.practice.registry import EXERCISES

SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?^ *### END SOLUTION$", re.DOTALL | re.MULTILINE)
HIDDEN = re.compile(r"\n### BEGIN HIDDEN TESTS\n.*?^### END HIDDEN TESTS$", re.DOTALL | re.MULTILINE)
CHECK = re.compile(r'^check\("([^"]*)", (\w+)\)', re.MULTILINE)


def marked(solution, lesson):
    """The solution notebook with what nbgrader needs: ids, points and hidden tests, as the exercises have them.

    lesson  its stem, "04_lstm"
    """
    whole = nbformat.from_dict(copy.deepcopy(solution))
    for cell in whole.cells:
        cell.metadata.pop("nbgrader", None)
        if cell.cell_type != "code":
            continue
        cell.source = HIDDEN.sub("", cell.source)
        check, solves = CHECK.search(cell.source), SOLUTION.search(cell.source)
        if check and check[1] not in EXERCISES:
            raise ValueError(f"a cell of {lesson} says {check[0]}; there is no such exercise")
        if check or solves:
            exercise = EXERCISES[check[1]] if check else exercise_in(cell.source, lesson)
            cell.metadata["nbgrader"] = {
                "schema_version": 3, "grade_id": f"{'check' if check else 'solution'}-{exercise.id.replace('.', '-')}",
                "grade": bool(check), "locked": bool(check), "solution": not check, "task": False,
                **({"points": exercise.points} if check else {})}
        if check:
            cell.source += (f'\n### BEGIN HIDDEN TESTS\nassert {check[0][:-1]}, quiet=True).passed'
                            '\n### END HIDDEN TESTS')
    return whole


def stub(solution, lesson):
    """The exercise notebook for a solution notebook, not yet executed.

    lesson  the stem of both, "04_lstm"
    """
    cells = []
    for cell in solution.cells:
        cell = nbformat.from_dict(cell)
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None, source=HIDDEN.sub("", cell.source))
            if SOLUTION.search(cell.source):
                exercise = exercise_in(cell.source, lesson)
                line = f'raise NotImplementedError("Exercise {exercise.id}")'
                cell.source = SOLUTION.sub(lambda found, line=line: found[1] + line, cell.source)
        cells.append(cell)
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def exercise_in(source, lesson):
    """The Exercise whose function a solution cell defines."""
    names = [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    found = [e for e in EXERCISES.values() if e.lesson == lesson and e.function in names]
    if len(found) != 1:
        functions = [e.function for e in EXERCISES.values() if e.lesson == lesson]
        where = "" if functions else " (is the lesson's module in LESSONS of lstmcourse/practice/registry.py?)"
        raise ValueError(f"a solution cell of {lesson} defines {names}; wanted the function of one exercise: "
                         f"{functions}{where}")
    return found[0]


def fingerprint(notebook, outputs=False):
    """A hash of the cells' sources; with outputs=True of everything that a reader sees in them."""
    seen = [[cell.cell_type, cell.source] + [cell.get("outputs"), cell.get("execution_count")] * outputs
            for cell in notebook.cells]
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


def is_untouched(path, outputs=False):
    """Is the notebook as `make exercises` wrote it? With outputs=True: not even run since then."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception:                      # half written, merged, no notebook any more: somebody's in any case
        return False
    kept = notebook.metadata.get("lstmcourse", {})
    return kept.get("outputs" if outputs else "sources") == fingerprint(notebook, outputs)


def write(notebook, path):
    """Execute the notebook where it will stand and save it with its fingerprints.

    A cell whose output is compared with nothing (a time, say) keeps the one that `make exercises` saved before.
    """
    from nbclient import NotebookClient
    NotebookClient(notebook, timeout=120, record_timing=False, resources={"metadata": {"path": path.parent}}).execute()
    saved = nbformat.read(path, as_version=4).cells if is_untouched(path, outputs=True) else ()
    before = {cell.source: cell for cell in saved}
    for cell in notebook.cells:
        if "nbval-ignore-output" in cell.metadata.get("tags", ()) and cell.source in before:
            cell.outputs = before[cell.source].outputs
    notebook.metadata.pop("language_info", None)
    notebook.metadata["lstmcourse"] = {"sources": fingerprint(notebook), "outputs": fingerprint(notebook, True)}
    nbformat.write(notebook, path)


def main(argv=None):
    """Write every exercise notebook that nobody has worked in; returns 1 where one was left alone."""
    parser = argparse.ArgumentParser(prog="make exercises", description=__doc__.split("\n")[0])
    parser.add_argument("root", nargs="?", type=Path, default=Path("."), help="the folder that holds solutions/")
    root = parser.parse_args(argv).root
    (root / "exercises").mkdir(exist_ok=True)
    kept = []
    for path in tqdm(sorted((root / "solutions").glob("*.ipynb")), desc="exercises", file=sys.stderr):
        target, saved = root / "exercises" / path.name, nbformat.read(path, as_version=4)
        solution = marked(saved, path.stem)
        if solution != saved:
            nbformat.write(solution, path)
        if target.exists() and not is_untouched(target):
            kept.append(target)
        else:
            write(stub(solution, path.stem), target)
    for target in kept:
        print(f"{target} was left as it is: somebody has worked in it. To get a fresh one, move it away first.")
    return 1 if kept else 0


if __name__ == "__main__":
    raise SystemExit(main())
