"""`make stability`: it finds a claim that hangs on the last digit, and says how many arrays it moved."""

import nbformat
import pytest
from nbclient import NotebookClient

from . import stability
from .kernels import start_again

CELLS = {      # name: (source, tags); each last digit below hangs on the initial weights of one kind
    "library": ("""import numpy as np
from lstmcourse.train import Adam, init_embedding
W = init_embedding(50, 50, np.random.default_rng(0))["W"]
print(repr(W.sum()))""", []),
    "adam": ("""model = {"w": np.random.default_rng(0).standard_normal(100)}
print(repr(Adam(0.1).step(model, {"w": np.ones(100)})["w"].sum()))""", []),
    "torch": ("""import torch
torch.manual_seed(0)
layer = torch.nn.Linear(50, 50, dtype=torch.float64)
torch.optim.SGD(layer.parameters(), 0.1)
print(layer.weight.sum().item())""", []),
    "rounded": ("print(f'{W.sum():.3f}')", []),
    "tagged": ("print(repr(W.sum()))", ["nbval-ignore-output"]),
    "assert": ("first = np.random.default_rng(0).standard_normal((50, 50))\nassert W.sum() == first.sum()",
               ["nbval-ignore-output"])}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A notebook of these cells, saved as executed and then run with its weights moved."""
    path = tmp_path_factory.mktemp("planted") / "planted.ipynb"
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source, metadata={"tags": tags}, id=name)
                                           for name, (source, tags) in CELLS.items()])
    start_again(NotebookClient(made, startup_timeout=600).execute)
    nbformat.write(made, path)
    return stability.run(path, seed=1)


def test_stability_moves_what_the_library_initializes_what_adam_trains_and_what_torch_trains(run):
    assert run.moved == 1 + 1 + 2


def test_stability_finds_every_claim_that_hangs_on_the_last_digit_and_no_other(run):
    found = {name: [sentence for sentence in run.broken if f"({name})" in sentence] for name in CELLS}
    assert {name for name, sentences in found.items() if sentences} == {"library", "adam", "torch", "assert"}
    assert "prints otherwise: now" in found["library"][0]
    assert "raises AssertionError" in found["assert"][0]


def test_table_counts_broken_runs_and_moved_arrays(tmp_path):
    runs = [stability.Run(tmp_path / "01_rnn.ipynb", 6, 2.0, []),
            stability.Run(tmp_path / "01_rnn.ipynb", 6, 4.0, ["cell 3 (x) raises E"])]
    row, sentence, total = stability.table(runs).splitlines()[1:]
    assert row.split()[1:] == ["2", "1", "6", "3.0"]
    assert sentence.strip() == "1 x cell 3 (x) raises E"
    assert total.endswith("3 CPU seconds together")
