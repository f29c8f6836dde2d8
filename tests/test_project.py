"""The project's own promises: one source for each thing, imports that point one way."""

import ast
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest
import yaml

ROOT = pathlib.Path(__file__).parent.parent
LIBRARY = ROOT / "lstmcourse"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"torch": "pytorch"}


def pins():
    """The lines of constraints.txt as name -> version."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def direct(*extras):
    """The direct dependencies, with those of the named extras."""
    return {name.split("[")[0] for name in
            sum((PROJECT["optional-dependencies"][extra] for extra in extras), PROJECT["dependencies"])}


def test_every_direct_dependency_is_pinned_and_nothing_else():
    assert set(pins()) == direct(*PROJECT["optional-dependencies"])


def test_environment_yml_is_in_step_with_pyproject():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    by_pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    assert by_pip[-1] == "-e ."                              # pip takes no other options in such a list
    listed += by_pip
    versions = dict(re.split(r" ?(?:==)", entry) for entry in listed if isinstance(entry, str) and "==" in entry)
    assert versions == {CONDA_NAMES.get(name, name): pins()[name] for name in direct("test")}
    python, = (entry for entry in listed if isinstance(entry, str) and entry.startswith("python "))
    assert python.removeprefix("python ") == PROJECT["requires-python"]


def imports(path):
    """Full names of what a module imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


@pytest.mark.parametrize(("package", "allowed"), [
    ("torch", {"torch_ref.py", "bench.py", "lab/checkup"}), ("matplotlib", {"plots"})])
def test_only_one_place_imports(package, allowed):
    users = {"/".join(path.relative_to(LIBRARY).parts[:1 + (path.parent.parent.name == "lab")])
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
    numerics = ["validation", "layers", "rnn", "lstm", "gru", "train", "gradcheck"]
    allowed = {"numpy", "tqdm.auto", "typing", *(f"lstmcourse.{name}" for name in numerics)}
    for name in numerics:
        assert set(imports(LIBRARY / f"{name}.py")) <= allowed


def test_library_imports_only_what_is_declared():
    names = {"PIL": "pillow", "IPython": "ipython"}
    used = {name.split(".")[0] for path in LIBRARY.rglob("*.py") for name in imports(path)}
    used -= {"confine", "notebook", "protocol"}     # grading/child.py runs as a script, beside these
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
    assert [name for _, name, *_ in rows] == sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))


def test_titles_and_minutes_of_the_table_are_those_of_the_lessons():
    import json
    for title, name, _, minutes in table_of_lessons(lesson_00()):
        first = "".join(json.loads((ROOT / "notebooks" / name).read_text())["cells"][0]["source"])
        assert first.startswith(f"# {title[:2]} · {title[3:]}\n")
        assert re.search(rf"\b{minutes} minutes", first)


def test_readme_has_a_row_for_every_trial_that_links_to_its_cell():
    import json
    trials = {(path.name, cell["id"]) for path in (ROOT / "notebooks").glob("*.ipynb")
              for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
              if cell["cell_type"] == "markdown"
              and re.search(r"^##+ On trial: ", "".join(cell["source"]), flags=re.MULTILINE)}
    linked = re.findall(r"\]\(notebooks/([\w.]+)#cell-id=([\w-]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert set(linked) == trials
    assert len(linked) == len(trials)


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
