"""Trials: each verdict holds on the trial's own data, and fails when that data is the baseline's."""

import ast
import json
import pathlib
import runpy
import symtable

import pytest

NOTEBOOKS = pathlib.Path(__file__).parent.parent / "notebooks"


def script(name):
    """What notebooks/experiments/NAME.py defines."""
    return runpy.run_path(str(NOTEBOOKS / "experiments" / f"{name}.py"))


def saved(name):
    """The records of notebooks/experiments/NAME.json."""
    return json.loads((NOTEBOOKS / "experiments" / f"{name}.json").read_text())["runs"]


def used(table):
    """Names that a symbol table, or a function inside it, takes from the module."""
    names = {symbol.get_name() for symbol in table.get_symbols()
             if symbol.is_referenced() and (table.get_type() == "module" or symbol.is_global())}
    return names.union(*map(used, table.get_children()))


def lesson(stem, *names):
    """What a lesson's cells give these names; of the notebook only the statements that they need are run."""
    cells = json.loads((NOTEBOOKS / f"{stem}.ipynb").read_text(encoding="utf-8"))["cells"]
    statements = [ast.unparse(node) for cell in cells if cell["cell_type"] == "code"
                  for node in ast.parse("".join(cell["source"])).body]
    tables = [symtable.symtable(source, stem, "exec") for source in statements]
    given = [{symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
             for table in tables]
    wanted, before = set(names), set()
    while wanted != before:
        before = set(wanted)
        wanted.update(*(used(table) for table, gives in zip(tables, given, strict=True) if gives & wanted))
    space = {"__name__": stem}
    for source, gives in zip(statements, given, strict=True):
        if gives & wanted:
            exec(source, space)
    return [space[name] for name in names]


def autograd_02():
    verdict, times_found, wrong = lesson("02_bptt", "verdict_autograd", "times_found", "WRONG")
    usual, full = ({name: times_found(lines, check) for name, lines in wrong.items()}
                   for check in ("one step, zero state", "full"))
    return verdict, (usual, full), (usual, usual)


def latch_03():
    verdict, latch = lesson("03_forgetting", "verdict_latch", "latch")
    ordinary = latch(0.9)
    return verdict, (latch(2.0), ordinary), (ordinary, ordinary)


def what_helps_03():
    baseline = [run for run in saved("01_rnn_lag") if run["ask"] == "friend" and run["steps"] == 1000]
    return script("03_what_helps")["verdict"], (saved("03_what_helps"),), (baseline,)


# Each gives: the verdict, its arguments, and the same with the baseline's data in place of the trial's.
TRIALS = [autograd_02, latch_03, what_helps_03]


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.__name__)
def test_trial_verdict_holds_on_its_data_and_not_on_the_baselines(trial, monkeypatch):
    monkeypatch.chdir(NOTEBOOKS)
    verdict, its_own, baselines = trial()
    assert verdict(*its_own)
    assert not verdict(*baselines)
