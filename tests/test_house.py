"""The layout of the library: the core at the top, the folders around it, imports that point one way, short functions.

`python tests/test_house.py` prints who imports whom, as a table.
"""

import ast
import pathlib
import sys
from collections import Counter

import pytest

LIBRARY = pathlib.Path(__file__).parent.parent / "lstmcourse"
TOOLS = {"bench", "cli", "__main__", "__init__"}                     # at the top, but not the core

# What each part may import of the library. "core" is every file at the top and the folder seq2seq.
ALLOWED = {
    "core": set(),
    "data": set(),
    "lab": {"core", "data"},
    "plots": set(),
    "widgets": {"core", "data", "lab", "plots"},
    "practice": {"core", "data", "lab"},
    "grading": {"core", "practice"},
    "bench": {"core"},
    "cli": {"practice", "grading"},
    "__main__": {"cli"},
    "__init__": set(),
}


def part_of(path):
    """The part of the library that a file, given relative to it, belongs to."""
    top = path.parts[0].removesuffix(".py")
    return top if top in ALLOWED else "core"


def imported_files(path):
    """The files of the library that a file imports, relative to the library."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lstmcourse":
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "lstmcourse"]
        for name in names:
            parts = name.split(".")[1:]
            for end in range(len(parts), 0, -1):
                target = LIBRARY.joinpath(*parts[:end])
                if target.with_suffix(".py").exists() or (target / "__init__.py").exists():
                    yield (target.with_suffix(".py") if target.with_suffix(".py").exists()
                           else target / "__init__.py").relative_to(LIBRARY)
                    break


def arrows():
    """How many imports lead from one part to another: Counter of (from, to)."""
    found = Counter()
    for path in LIBRARY.rglob("*.py"):
        importer = part_of(path.relative_to(LIBRARY))
        found.update((importer, part) for part in map(part_of, imported_files(path)) if part != importer)
    return found


def names_twice(paths):
    """File names that more than one of the paths has, `__init__.py` and `__main__.py` left out."""
    counts = Counter(path.name for path in paths)
    return sorted(name for name, n in counts.items() if n > 1 and not name.startswith("__"))


LONGEST = 40                                                         # lines of a function, from its def to its end
# The fast loops may be longer: what they fuse, and why, stands above them. A part of a loop taken out would cost speed.
FUSED = {"lstm.lstm_backward", "gru.gru_forward", "gru.gru_backward"}


def long_functions(source):
    """The names of functions with more than LONGEST lines, docstring, comments and blank lines counted."""
    functions = [node for node in ast.walk(ast.parse(source))
                 if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return [node.name for node in functions if node.end_lineno - node.lineno + 1 > LONGEST]


def test_imports_point_one_way():
    assert {(importer, part) for importer, part in arrows() if part not in ALLOWED[importer]} == set()


def test_arrows_are_found():
    assert arrows()["practice", "core"] > 0
    assert arrows()["widgets", "plots"] > 0


def test_no_two_library_files_share_a_name():
    assert names_twice(LIBRARY.rglob("*.py")) == []


def test_names_twice_finds_a_planted_pair():
    assert names_twice([pathlib.Path("a/judge.py"), pathlib.Path("b/judge.py"), pathlib.Path("b/x.py")]) == ["judge.py"]


def test_no_function_is_long():
    found = {f"{'.'.join(path.relative_to(LIBRARY).with_suffix('').parts)}.{name}" for path in LIBRARY.rglob("*.py")
             for name in long_functions(path.read_text(encoding="utf-8"))}
    assert found == FUSED


def test_long_functions_finds_a_planted_one():
    body = "    x = 1\n" * (LONGEST - 1)
    source = f"def just_short_enough():\n{body}\nclass A:\n  def too_long(self):\n{body}    return x\n"
    assert long_functions(source) == ["too_long"]


@pytest.mark.parametrize("old", ["cells", "checks", "counts", "experiments", "jacobian", "minimal", "network", "plots",
                                 "probes", "reader"])
def test_old_module_is_gone(old):
    assert not (LIBRARY / f"{old}.py").exists()


def main():
    """Print the arrows as a table: a row for who imports, a column for what is imported."""
    found, parts = arrows(), [part for part in ALLOWED if part != "__init__"]
    print(f"{'imports':>10} →" + "".join(f"{part:>10}" for part in parts))
    for importer in parts:
        print(f"{importer:>12}" + "".join(f"{found[importer, part] or '·':>10}" for part in parts))


if __name__ == "__main__":
    sys.exit(main())
