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

# lesson 05

def swap(key, tried, baseline):
    """A function of records: the runs with record[key] == tried now hold what the baseline's runs hold."""
    def swapped(records):
        others = [r for r in records if r[key] != tried]
        return others + [r | {key: tried} for r in records if r[key] == baseline]
    return swapped


# lesson 07

def exact_of(replaced, **baseline):
    """A function of records: those with the values `replaced` get the exact match of the baseline's, same seed."""
    def swapped(records):
        exact = {r["seed"]: r["exact"] for r in records if baseline.items() <= r.items()}
        return [r | {"exact": exact[r["seed"]]} if replaced.items() <= r.items() else r for r in records]
    return swapped


ATTENTION = {"attention": True, "most": 3, "slow": True}
ONE_VECTOR = {"attention": False, "H": 64, "most": 3, "epochs": 1, "forget_bias": None}
OPEN, SHORT = ONE_VECTOR | {"most": 2, "epochs": 2, "forget_bias": 2}, ONE_VECTOR | {"most": 1}


# (script, its function, what the baseline's data are put in place of)
TRIALS = [
    # lesson 05
    ("05_gates", "verdict", swap("control", False, True)),
    ("05_gates", "verdict_similar", swap("trained", True, False)),
    ("05_gates", "verdict_written", swap("trained", True, False)),
    ("05_ablation", "verdict", swap("gone", "output gate", "input gate")),
    # lesson 07
    ("07_one_vector", "verdict", exact_of(ATTENTION, **ONE_VECTOR)),
    ("07_one_vector", "verdict", exact_of(ONE_VECTOR, **ATTENTION)),
    ("07_one_vector", "verdict", exact_of(OPEN, **OPEN | {"forget_bias": None})),
    ("07_one_vector", "verdict", lambda records: [r | {"exact": [0.9, 0, 0]} if SHORT.items() <= r.items() else r
                                                  for r in records]),                 # the short case not solved
]


@pytest.mark.parametrize(("name", "function", "to_baseline"), TRIALS,
                         ids=[f"{t[0]}-{t[1]}-{k}" for k, t in enumerate(TRIALS)])
def test_verdict_holds_and_fails_on_the_baselines_data(name, function, to_baseline):
    verdict = runpy.run_path(str(EXPERIMENTS / f"{name}.py"))[function]
    records = load(EXPERIMENTS / f"{name}.json")["runs"]
    assert verdict(records) is True
    assert verdict(to_baseline(records)) is False


# Trials whose verdict or data come from the lesson's own cells.

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


# Each gives: the verdict, its arguments, and the same with the baseline's data in place of the trial's.
LIVE_TRIALS = [autograd_02]


@pytest.mark.parametrize("trial", LIVE_TRIALS, ids=lambda trial: trial.__name__)
def test_trial_verdict_holds_on_its_data_and_not_on_the_baselines(trial, monkeypatch):
    monkeypatch.chdir(NOTEBOOKS)
    verdict, its_own, baselines = trial()
    assert verdict(*its_own)
    assert not verdict(*baselines)
