"""`make run-notebooks` saves what changed, and leaves alone what did not."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from .run_notebooks import run, same, tidy

KERNEL = {"name": "python3", "display_name": "Python 3"}
PYTHON = {"name": "python", "version": "3.11.0"}


def notebook(*texts, source="print(1)", tags=(), **metadata):
    """A notebook of one cell that printed these pieces."""
    cell = new_code_cell(source, id="one", execution_count=1, metadata={"tags": list(tags)} if tags else {},
                         outputs=[new_output("stream", name="stdout", text=text) for text in texts])
    return new_notebook(cells=[cell], metadata={"kernelspec": KERNEL} | metadata)


@pytest.mark.parametrize(("new", "unchanged"), [
    (notebook("a\n", "b\n"), True),                          # the same text in two pieces
    (notebook("a\nb\n", language_info=PYTHON), True),
    (notebook("a\nc\n"), False),
    (notebook("a\nb\n", source="print(2)"), False),
    (notebook("a\nb\n", authors=["x"]), False)])
def test_same_passes_over_pieces_and_versions_only(new, unchanged):
    assert same(new, notebook("a\nb\n")) == unchanged


def test_same_passes_over_times():
    assert same(notebook("took 3.2 s"), notebook("took 4.1 s"))
    assert not same(notebook("took 3.2 steps"), notebook("took 4.1 steps"))


def test_tidy_keeps_the_ignored_output_of_a_cell_that_did_not_change():
    old = notebook("mine", tags=["nbval-ignore-output"])
    assert tidy(notebook("yours", tags=["nbval-ignore-output"]), old).cells[0].outputs[0].text == "mine"
    assert tidy(notebook("yours", tags=["nbval-ignore-output"], source="x"), old).cells[0].outputs[0].text == "yours"
    assert tidy(notebook("yours"), old).cells[0].outputs[0].text == "yours"
    none = notebook(tags=["nbval-ignore-output"])
    assert tidy(notebook("yours", tags=["nbval-ignore-output"]), none).cells[0].outputs[0].text == "yours"


def test_run_writes_only_what_changed(tmp_path):
    path = tmp_path / "small.ipynb"
    nbformat.write(notebook("1\n", language_info=PYTHON), path)
    before = path.read_bytes()
    assert not run(path)
    assert path.read_bytes() == before
    nbformat.write(notebook("2\n", language_info=PYTHON), path)
    assert run(path)
    assert nbformat.read(path, as_version=4) == notebook("1\n")
