"""For courses that run nbgrader: the same sandbox and the same verdicts, in nbgrader's gradebook and feedback.

The notebooks in solutions/ are assignments as they stand: copy one to source/ASSIGNMENT/ and run
`nbgrader generate_assignment`. In nbgrader_config.py:

    from lstmcourse.grading.nbgrader import configure
    configure(c)

Then `nbgrader autograde` runs no student's code itself: a notebook's own cells go into the sandbox,
and its test cells, which nbgrader fills with the hidden tests, never do.
"""

import hashlib
import json
import secrets

from lstmcourse.practice import EXERCISES
from lstmcourse.practice.stubs import CHECK


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
            ids = [found[1] if (found := CHECK.search(cell.source)) else None for cell in tests]
            verdicts = graded(nb, [id for id in dict.fromkeys(ids) if id in EXERCISES])
            for cell in nb.cells:
                if cell.cell_type == "code":
                    cell.outputs, cell.execution_count = [], None
            for cell, id in zip(tests, ids, strict=True):
                verdict = verdicts.get(id, {"passed": False, "message": "This cell holds no check(...) of the course."})
                if cell.cell_type == "code" and not verdict["passed"]:
                    message = verdict["message"]
                    cell.outputs = [type(cell)(output_type="error", ename="NotPassed", evalue=message.split("\n")[0],
                                               traceback=message.split("\n"))]
            return nb, resources
    return GradeInSandbox


def graded(nb, ids):
    """id -> its entry, as in grades.json. RuntimeError where the grader failed: nbgrader then keeps no grade."""
    from lstmcourse.grading.sandbox import Sandbox
    from lstmcourse.grading.scoring import grade
    from lstmcourse.grading.submissions import Submission
    cells = [{"cell_type": "code", "source": cell.source} for cell in nb.cells
             if cell.cell_type == "code" and not cell.metadata.get("nbgrader", {}).get("grade")]
    data = json.dumps({"cells": cells}).encode()
    submission = Submission("student", "notebook", (("notebook.ipynb", data),), hashlib.sha256(data).hexdigest())
    with Sandbox() as sandbox:
        entry = grade(submission, ids, secrets.randbits(48), sandbox)
    if entry["status"] != "graded":
        raise RuntimeError(f"not graded, and no score given: {entry['reason']}")
    return {exercise["id"]: exercise for exercise in entry["exercises"]}
