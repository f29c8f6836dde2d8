"""`make mutants MODULE=…`: the changes of the library, which are drawn, and how they are counted."""

import ast

import pytest

from . import mutants

SOURCE = '''
def f(x, y, scale=2):
    """Docstring 1."""
    if x is None or len(y) < 3:
        raise ValueError(f"x has {len(x) + 1} rows")
    z = np.sum(x @ y.T, axis=0)
    for k in range(4):
        if any(k in row for row in z):
            break
    return z * scale // 5
'''


@pytest.mark.parametrize("change", [
    "f +2: if x is None or len(y) < 3 -> True", "x is None or len(y) < 3 -> len(y) < 3", "x is None -> x is not None",
    "len(y) < 3 -> len(y) <= 3", "raise ValueError", "y.T -> y", "np.sum(x @ y.T, axis=0) -> without axis",
    "k in row -> k not in row", "break -> dropped", "2 -> 3", "z -> x", "any -> all"])
def test_library_changes_reach(change):
    assert change in "\n".join(mutants.mutants(SOURCE))


def test_library_changes_are_python_and_leave_docstrings_and_messages_alone():
    for text, change in mutants.mutants(SOURCE).items():
        code = mutants.changed(SOURCE, *change) or SOURCE
        ast.parse(code)
        assert "Docstring 1." in code
        assert "x has {len(x) + 1} rows" in code or "dropped" in text or "-> False" in text, text


def test_a_seed_draws_the_same_sample_and_another_seed_another():
    first, again, other = (mutants.drawn("gradcheck", 10, seed) for seed in (0, 0, 1))
    assert list(first) == list(again)
    assert len(first) == 10
    assert set(first) != set(other)


@pytest.mark.parametrize("name", mutants.modules())
def test_every_module_of_the_library_has_tests_to_mutate_against(name):
    assert mutants.tests_of(name)


def test_the_table_counts_what_behaves_the_same_as_neither_killed_nor_survived():
    found = {"a": {"1": True, "2": False, "3": False}, "b": {"1": True}}
    assert list(mutants.table(found, {"a": {"3": "the same"}}))[2:] == [
        "|a|3|1|2|1|50|", "|b|1|1|0|0|100|", "|all|4|2|2|1|67|"]


def test_a_result_belongs_to_these_files(monkeypatch, tmp_path):
    before = mutants.fingerprint()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text("")
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    assert mutants.fingerprint() != before
