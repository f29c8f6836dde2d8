"""For courses that run nbgrader: the same sandbox and the same verdicts, in nbgrader's gradebook and feedback.

    python -m lstmcourse.grading.nbgrader solutions/04_lstm.ipynb source/lesson04/04_lstm.ipynb

writes an assignment for `nbgrader generate_assignment`: a solution notebook with nbgrader's metadata
and, in every cell with check(...), a hidden test. In nbgrader_config.py:

    from lstmcourse.grading.nbgrader import configure
    configure(c)

Then `nbgrader autograde` runs no student's code itself: a notebook's own cells go into the sandbox,
and its test cells, which nbgrader fills with the hidden tests, never do.
"""

import hashlib
import json
import re
import secrets
import sys
from pathlib import Path

CHECK = re.compile(r"^check\(\"([\d.]+)\", (\w+)\)", re.MULTILINE)
HIDDEN = '\n### BEGIN HIDDEN TESTS\nassert check("{0}", {1}).passed\n### END HIDDEN TESTS'


def assignment(solution):
    """The notebook (a dict as JSON has it) as an assignment for nbgrader."""
    from lstmcourse.practice import EXERCISES
    whole = json.loads(json.dumps(solution))
    for cell in whole["cells"]:
        source = "".join(cell["source"])
        check = CHECK.search(source)
        solves = "### BEGIN SOLUTION" in source
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
        if check or solves:
            cell["metadata"]["nbgrader"] = {
                "schema_version": 3, "grade": not solves, "locked": not solves, "solution": solves, "task": False,
                "grade_id": f"check-{check[1].replace('.', '-')}" if check else f"solution-{digest(source)}",
                **({"points": EXERCISES[check[1]].points} if check else {})}
        if check:
            cell["source"] = source + HIDDEN.format(*check.groups())
    return whole


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def configure(config):
    """Let `nbgrader autograde` hand the grading to the sandbox. config: `c` of nbgrader_config.py."""
    from nbgrader.converters.autograde import Autograde
    from nbgrader.preprocessors import Execute
    usual = Autograde.autograde_preprocessors.default_args[0]
    config.Autograde.autograde_preprocessors = [executor() if step is Execute else step for step in usual]


def executor():
    """The class that stands in for nbgrader's Execute."""
    from nbgrader.preprocessors import NbGraderPreprocessor

    class GradeInSandbox(NbGraderPreprocessor):
        """Fills the outputs of the test cells: nothing where the exercise is right, else an error with the message."""

        def preprocess(self, nb, resources):
            tests = [cell for cell in nb.cells if cell.metadata.get("nbgrader", {}).get("grade")]
            verdicts = graded(nb, [found[1] for cell in tests if (found := CHECK.search(cell.source))])
            for cell in nb.cells:
                if cell.cell_type == "code":
                    cell.outputs, cell.execution_count = [], None
            for cell in tests:
                found = CHECK.search(cell.source)
                if cell.cell_type == "code" and not (found and verdicts[found[1]]["passed"]):
                    message = verdicts[found[1]]["message"] if found else "This cell holds no check(...) of the course."
                    cell.outputs = [type(cell)(output_type="error", ename="NotPassed", evalue=message.split("\n")[0],
                                               traceback=message.split("\n"))]
            return nb, resources
    return GradeInSandbox


def graded(nb, ids):
    """id -> its entry, as in grades.json. RuntimeError where the grader failed: nbgrader then keeps no grade."""
    from lstmcourse.grading.judge import grade
    from lstmcourse.grading.reader import Submission
    from lstmcourse.grading.sandbox import Sandbox
    cells = [{"cell_type": "code", "source": cell.source} for cell in nb.cells
             if cell.cell_type == "code" and not cell.metadata.get("nbgrader", {}).get("grade")]
    data = json.dumps({"cells": cells}).encode()
    submission = Submission("student", "notebook", (("notebook.ipynb", data),), hashlib.sha256(data).hexdigest())
    with Sandbox() as sandbox:
        entry = grade(submission, list(dict.fromkeys(ids)), secrets.randbits(48), sandbox)
    if entry["status"] != "graded":
        raise RuntimeError(f"not graded, and no score given: {entry['reason']}")
    return {exercise["id"]: exercise for exercise in entry["exercises"]}


def main(argv=None):
    paths = [Path(name) for name in (sys.argv[1:] if argv is None else argv)]
    if len(paths) != 2:
        print("usage: python -m lstmcourse.grading.nbgrader SOLUTION.ipynb ASSIGNMENT.ipynb", file=sys.stderr)
        return 2
    paths[1].parent.mkdir(parents=True, exist_ok=True)
    paths[1].write_text(json.dumps(assignment(json.loads(paths[0].read_text(encoding="utf-8"))), indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
