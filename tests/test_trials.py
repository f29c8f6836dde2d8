"""Trials whose verdict or data come from the lesson's own cells: it holds on them, and fails on the baseline's."""

import ast
import json
import pathlib
import symtable

import pytest

NOTEBOOKS = pathlib.Path(__file__).parent.parent / "notebooks"


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
