"""The project's own promises: one source for each thing, imports that point one way."""

import ast
import importlib.util
import io
import pathlib
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib

import pytest
import yaml

ROOT = pathlib.Path(__file__).parent.parent
LIBRARY = ROOT / "lstmcourse"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def direct(*extras):
    """The direct dependencies, with those of the named extras."""
    return {name.split("[")[0] for name in
            sum((PROJECT["optional-dependencies"][extra] for extra in extras), PROJECT["dependencies"])}


def imports(path):
    """Full names of what a module imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


@pytest.mark.parametrize(("package", "allowed"), [
    ("torch", {"torch_ref.py", "bench.py", "lab/checkup", "lab/torch_training.py"}), ("matplotlib", {"plots"})])
def test_only_one_place_imports(package, allowed):
    users = {"/".join(path.relative_to(LIBRARY).parts[:1 + (path.relative_to(LIBRARY).parts[0] == "lab")])
             for path in LIBRARY.rglob("*.py")
             if package in {name.split(".")[0] for name in imports(path)}}
    assert users <= allowed


@pytest.mark.parametrize("module", [
    "lstmcourse", "lstmcourse.layers", "lstmcourse.rnn", "lstmcourse.lstm", "lstmcourse.gru",
    "lstmcourse.data.pizza", "lstmcourse.gradcheck", "lstmcourse.practice"])
def test_numerics_and_practice_load_neither_torch_nor_matplotlib(module):
    program = f"import {module}, sys; print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_numerics_import_nothing_but_numpy_tqdm_and_each_other():
    numerics = ["validation", "layers", "rnn", "lstm", "gru", "recurrent", "train", "gradcheck"]
    standard = {"collections.abc", "copy", "inspect", "math", "numbers", "typing"}
    allowed = {"numpy", "tqdm.auto", "lstmcourse", *standard, *(f"lstmcourse.{name}" for name in numerics)}
    for name in numerics:
        assert set(imports(LIBRARY / f"{name}.py")) <= allowed


def test_library_imports_only_what_is_declared():
    names = {"PIL": "pillow", "IPython": "ipython"}
    used = {name.split(".")[0] for path in LIBRARY.rglob("*.py") for name in imports(path)}
    used -= {"confine", "imports", "magics", "notebook", "protocol"}     # grading/child.py runs beside these
    outside = {names.get(name, name) for name in used - set(sys.stdlib_module_names) - {"lstmcourse"}}
    assert outside <= direct(*(set(PROJECT["optional-dependencies"]) - {"test"}))


def table_of_lessons(text):
    """Rows (file, question, minutes) of the table of lessons in a Markdown text."""
    rows = re.findall(r"^\| \[([^\]]+)\]\((?:notebooks/)?([\w.]+)\) \| ([^|]+) \| (\d+) \|$", text, flags=re.MULTILINE)
    return [(title, name, question.strip(), minutes) for title, name, question, minutes in rows]


def lesson_00():
    """The text of lesson 00."""
    import json
    cells = json.loads((ROOT / "notebooks" / "00_start_here.ipynb").read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells)


def test_readme_has_the_table_of_lesson_00():
    rows = table_of_lessons((ROOT / "README.md").read_text())
    assert rows == table_of_lessons(lesson_00())
    assert [name for _, name, *_ in rows] == sorted(path.name for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))


def test_titles_and_minutes_of_the_table_are_those_of_the_lessons():
    import json
    for title, name, _, minutes in table_of_lessons(lesson_00()):
        first = "".join(json.loads((ROOT / "notebooks" / name).read_text())["cells"][0]["source"])
        number, _, name_of_lesson = title.partition(" ")
        assert first.startswith(f"# {number} · {name_of_lesson}\n")
        assert re.search(rf"\b{minutes} minutes", first)


def test_every_trial_page_is_linked_from_a_lesson():
    lessons = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
    pages = {path.name for path in (ROOT / "notebooks" / "trials").glob("[0-9]*.ipynb")}
    assert set(re.findall(r"\]\(trials/([\w.]+)", lessons)) - {"index.ipynb"} == pages


def test_readme_picture_is_what_plots_draws():
    from lstmcourse import plots
    assert (ROOT / "docs" / "lstm_cell.svg").read_bytes() == plots.save(plots.lstm_cell(), "svg")


def test_every_make_target_is_listed_by_make_help():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(" ".join(re.findall(r"^\.PHONY:(.*)$", makefile, flags=re.MULTILINE)).split())
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert targets == set(re.findall(r"make ([\w-]+)", listed))


def test_citation_has_the_version_of_the_package():
    assert str(yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]) == PROJECT["version"]


def in_the_map(path):
    """The name of a file at the top of lstmcourse/, or of its folder."""
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


# The core: the files at the top of lstmcourse/ but for the map, the command and the benchmark, and seq2seq/.
AROUND = {"__init__.py", "__main__.py", "cli.py", "bench.py"}
MAP = re.findall(r"^    (\w+)  ", (LIBRARY / "__init__.py").read_text(encoding="utf-8"), flags=re.MULTILINE)
CORE = sorted(path for path in [*LIBRARY.glob("*.py"), *LIBRARY.glob("seq2seq/*.py")]
              if path.name not in AROUND or path.parent.name == "seq2seq")
CORE.sort(key=lambda path: [*MAP, in_the_map(path)].index(in_the_map(path)))


def lines_of_code(path):
    """Lines that are neither blank nor comment nor docstring."""
    text = path.read_text(encoding="utf-8")
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
               tokenize.ENCODING}
    code = {line for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in skipped
            for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            code -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(code)


def table_of_the_core():
    """README's table: file, the first line of its docstring, lines of code. This file, run, prints it."""
    rows = ["| file | what is in it | lines of code |", "|---|---|---|"]
    for path in CORE:
        name = path.relative_to(LIBRARY).as_posix()
        what = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        what = what.splitlines()[0].rstrip(".:")
        rows.append(f"| [{name}](lstmcourse/{name}) | {what} | {lines_of_code(path)} |")
    return "\n".join([*rows, f"| together | | {sum(map(lines_of_code, CORE)):,} |"])


def test_core_is_in_the_map():
    assert [path.name for path in CORE if in_the_map(path) not in MAP] == []


def test_core_has_fewer_than_1300_lines_of_code():
    assert sum(map(lines_of_code, CORE)) < 1300


def test_core_is_listed_in_the_readme_with_its_lines_of_code():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert table_of_the_core() in readme, "python tests/test_project.py prints the table"


def test_core_has_no_type_errors():
    """pyright on what [tool.pyright] in pyproject.toml includes; it needs node, and is left out where there is none."""
    if not shutil.which("node") or importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright or node is not here")
    done = subprocess.run([sys.executable, "-m", "pyright"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


if __name__ == "__main__":
    print(table_of_the_core())
