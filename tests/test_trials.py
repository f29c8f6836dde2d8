"""Trials: each verdict holds on the trial's own data, and fails when that data is the baseline's."""

import ast
import json
import pathlib
import runpy
import symtable

import pytest

from lstmcourse.lab.trials import load

NOTEBOOKS = pathlib.Path(__file__).parent.parent / "notebooks"
EXPERIMENTS = NOTEBOOKS / "experiments"


# Trials over many seeds: the verdict is a function of the saved records.

# lesson 09

def parity_like(net, baseline):
    """A function of records: on the parity, this network is right as often as the baseline."""
    def swapped(records):
        right = {(r["lr"], r["seed"]): r["right"] for r in records if (r["task"], r["net"]) == ("parity", baseline)}
        return [r | {"right": right[r["lr"], r["seed"]]} if (r["task"], r["net"]) == ("parity", net) else r
                for r in records]
    return swapped


# lesson 10

def cells_like(name):
    """A function of records: every best cell scores as the best random direction, or as all cells together."""
    def swapped(records):
        return [r | {"found": {label: f | {"score": f[name]} for label, f in r["found"].items()}} for r in records]
    return swapped


# (script, its function, what the baseline's data are put in place of)
TRIALS = [
    # lesson 09
    ("09_parity", "verdict", parity_like("LSTM", "minGRU")),
    ("09_parity", "verdict", parity_like("minGRU, 2 layers", "LSTM")),
    # lesson 10
    ("10_cells", "verdict", cells_like("random")),
    ("10_cells", "verdict", cells_like("all")),
]


@pytest.mark.parametrize(("name", "function", "to_baseline"), TRIALS,
                         ids=[f"{t[0]}-{t[1]}-{k}" for k, t in enumerate(TRIALS)])
def test_verdict_holds_and_fails_on_the_baselines_data(name, function, to_baseline):
    verdict = runpy.run_path(str(EXPERIMENTS / f"{name}.py"))[function]
    records = load(EXPERIMENTS / f"{name}.json")["runs"]
    assert verdict(records) is True
    assert verdict(to_baseline(records)) is False


# Trials whose verdict or data come from the lesson's own cells.

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


# Each gives: the verdict, its arguments, and the same with the baseline's data in place of the trial's.
LIVE_TRIALS = [autograd_02]


@pytest.mark.parametrize("trial", LIVE_TRIALS, ids=lambda trial: trial.__name__)
def test_trial_verdict_holds_on_its_data_and_not_on_the_baselines(trial, monkeypatch):
    monkeypatch.chdir(NOTEBOOKS)
    verdict, its_own, baselines = trial()
    assert verdict(*its_own)
    assert not verdict(*baselines)
