"""Rules that every committed notebook keeps; nbval runs them, these tests read them."""

import ast
import json
import pathlib
import re
import sys
import tomllib

import pytest

from lstmcourse.practice.registry import EXERCISES
from lstmcourse.practice.stubs import is_untouched

from . import prose_numbers

ROOT = pathlib.Path(__file__).parent.parent
NOTEBOOKS = sorted(path for folder in ("notebooks", "notebooks/trials", "solutions", "exercises")
                   for path in (ROOT / folder).glob("*.ipynb")
                   if folder != "exercises" or is_untouched(path, outputs=True))     # else it is a learner's own
LESSONS = [path for path in NOTEBOOKS if path.parent.name == "notebooks" and path.stem[0].isdigit()]
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
PAGES = [path for path in NOTEBOOKS if path.parent.name == "trials"]
every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def cells(path, kind=None):
    """The cells of a notebook, their source as one string."""
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell | {"source": "".join(cell["source"])} for cell in found if kind in (None, cell["cell_type"])]


def code(path):
    """The code cells that hold something."""
    return [cell for cell in cells(path, "code") if cell["source"].strip()]


def python(cell):
    """The syntax tree of a code cell."""
    return ast.parse(cell["source"])


def imported(tree):
    """Top names of what a syntax tree imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def declared():
    """Import names of the dependencies in pyproject.toml that a learner gets."""
    names = {"pillow": "PIL", "ipython": "IPython"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {names.get(name, name) for name in project["dependencies"]}


@every_notebook
def test_notebook_counts_run_from_1_to_n(path):
    counts = [cell["execution_count"] for cell in code(path)]
    assert counts == list(range(1, len(counts) + 1)), (     # without a count nbval compares nothing
        f"{path.stem} was not run from top to bottom: make run-notebooks NOTEBOOKS={path.relative_to(ROOT)}")


NUMBERED = [path for path in LESSONS if path.stem[:2].isdigit()]


NUMBERS = sorted({int(path.stem[:2]) for path in NUMBERED})    # 05 and 05b are two halves of one lesson


def test_lessons_are_numbered_without_a_gap():
    assert list(range(len(NUMBERS))) == NUMBERS
    second = [path.stem for path in NUMBERED if path.stem[2] != "_"]
    assert [stem for stem in second if not re.match(r"\d\db_", stem)] == []
    assert {stem[:2] for stem in second} <= {path.stem[:2] for path in NUMBERED if path.stem[2] == "_"}


def test_readme_counts_the_lessons():
    words = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    assert f"{words.split()[len(NUMBERS)].capitalize()} lessons in JupyterLab" in (ROOT / "README.md").read_text()


def test_saved_progress_is_that_of_a_new_learner_and_has_every_exercise():
    """To save it again: delete the outputs of that cell, then `make run-notebooks NOTEBOOKS=…` with lesson 00."""
    cells = json.loads((ROOT / "notebooks" / "00_start_here.ipynb").read_text(encoding="utf-8"))["cells"]
    shown = next(cell for cell in cells if "".join(cell["source"]).strip() == "show_progress()")
    text = "".join(shown["outputs"][0]["data"]["text/plain"])
    assert text.startswith(f"0 of {len(EXERCISES)} exercises passed")
    assert [exercise.title for exercise in EXERCISES.values() if exercise.title not in text] == []


@pytest.mark.parametrize("path", NUMBERED, ids=lambda path: path.stem)
def test_lesson_links_to_all_of_its_exercises(path):
    ids = [id for id, exercise in EXERCISES.items() if exercise.lesson == path.stem]
    text = "\n".join(cell["source"] for cell in cells(path, "markdown"))
    named = re.findall(r"^\*\*Exercises:\*\* \[(.*?)\]", text, re.MULTILINE)
    assert named == ([f"{ids[0]} {'and' if len(ids) == 2 else 'to'} {ids[-1]}"] if ids else [])


@every_notebook
def test_notebook_has_no_stored_error(path):
    assert not [out for cell in code(path) for out in cell["outputs"] if out["output_type"] == "error"]


@every_notebook
def test_notebook_saves_the_picture_of_an_explorer_and_not_the_widget(path):
    """A saved widget is dead when the notebook is opened: run it with LSTMCOURSE_STILL=1, as `make run-notebooks`."""
    assert "anywidget" not in json.dumps(json.loads(path.read_text())["metadata"])
    for cell in code(path):
        if re.search(r"^(?!def )\w+_explorer\(", cell["source"], re.MULTILINE):
            kinds = {kind for out in cell["outputs"] for kind in out.get("data", {})}
            assert "image/png" in kinds
            assert "application/vnd.jupyter.widget-view+json" not in kinds


@every_notebook
def test_notebook_names_only_the_plain_kernel(path):
    assert json.loads(path.read_text())["metadata"]["kernelspec"]["name"] == "python3"


@every_notebook
def test_notebook_imports_only_what_is_declared(path):
    names = {name for cell in code(path) for name in imported(python(cell))}
    assert names <= declared() | set(sys.stdlib_module_names) | {"lstmcourse"}


NETWORK = re.compile(r"https?://|ftp://|\burllib|\brequests\b|\bsocket\b|\bhttpx?\b|torch\.hub|download|"
                     r"^\s*[!%]\s*(pip|conda|wget|curl|git|apt)", re.MULTILINE)


@every_notebook
def test_notebook_does_not_reach_for_the_network(path):
    assert [cell["source"] for cell in code(path) if NETWORK.search(cell["source"])] == []


@pytest.mark.parametrize("source", ["import urllib.request", "!pip install x", "torch.hub.load('a')", "open('https://a')"])
def test_network_rule_finds_planted_calls(source):
    assert NETWORK.search(source)


@every_notebook
def test_notebook_holds_no_path_of_the_machine(path):
    assert not re.search(r"/home/\w|/Users/\w|/root/|/work/|/tmp/|[A-Z]:\\\\Users", path.read_text())


def links(text):
    """Targets of the Markdown links and images in a text, web addresses left out."""
    targets = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL))
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


MARKDOWN = [*NOTEBOOKS, *sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("*/README.md"))]


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_local_links_lead_somewhere(path):
    parts = [c["source"] for c in cells(path, "markdown")] if path.suffix == ".ipynb" else [path.read_text()]
    files = [link.split("#")[0] for part in parts for link in links(part)]
    assert [file for file in files if file and not (path.parent / file).exists()] == []


# Numbers in the prose: each has one place that it comes from, see prose_numbers.py.

SOURCES = json.loads(prose_numbers.LEDGER.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", prose_numbers.pages())
def test_numbers_in_the_prose_are_those_of_their_sources(page):
    bound = SOURCES.get(page, {})
    wrong = [fault for passage in prose_numbers.pages()[page] for fault in prose_numbers.faults(passage, bound)]
    assert not wrong, "\n" + "\n".join(wrong)


def test_no_source_is_kept_for_prose_that_is_gone():
    assert {page: set(SOURCES[page]) for page in SOURCES} == {
        page: {passage.id for passage in passages if prose_numbers.numbers(passage.text)}
        for page, passages in prose_numbers.pages().items() if page in SOURCES}


def test_a_number_without_a_source_says_why():
    names = [name for page in SOURCES.values() for passage in page.values() for name in passage]
    assert [name for name in names if name.startswith("free: ") and len(name.split()) < 4] == []


def passage(text, printed="LSTM, bias 3: solved 4 of 5, error 0.034\nLSTM, bias 5: solved 2 of 5, error 0.2",
            code="steps = 1000"):
    """A passage after a cell with this code, which prints these lines."""
    cell = {"id": "a-1", "cell_type": "code", "source": code, "outputs": [{"text": printed}]}
    return prose_numbers.Passage("a-2", text, tuple(prose_numbers.sources(cell)))


@pytest.mark.parametrize(("text", "sources"), [
    ("with a bias of 5 it fails", ["LSTM, bias [#] : solved # of"]),
    ("after 1000 steps", ["steps = [#]"]),
    ("an error of 3 percent", ["#: solved # of #, error [#]"]),
    ("4 of 5 solve it", ["LSTM, bias #: solved [#] of #, error #", "LSTM, bias #: solved # of [#] , error #"]),
    ("2 of 4 solve it", [None, None]),
    ("7 solve it", [None])])
def test_a_number_is_bound_to_the_line_that_speaks_of_it(text, sources):
    bound = prose_numbers.bind(passage(text))
    assert [name and re.sub(r"^a-1 (prints|sets) | \(2\)$", "", name) for name in bound] == sources


@pytest.mark.parametrize(("before", "text", "printed", "fault"), [
    ("bias 5", "bias 3", None, "'3' in 'bias 3', but its source .* has 5"),
    ("bias 5", "bias 5", "LSTM, bias 3: a\nLSTM, bias 6: a", "is gone|has 6"),
    ("bias 5", "bias 5 and 3", None, "holds 2 numbers .5, 3., of which 1 have a source"),
    ("bias 5", "no number", None, "holds 0 numbers")])
def test_a_number_that_leaves_its_source_is_named(before, text, printed, fault):
    bound = {"a-2": prose_numbers.bind(passage(before))}
    assert prose_numbers.faults(passage(before), bound) == []
    found, = prose_numbers.faults(passage(text, **{"printed": printed} if printed else {}), bound)
    assert re.search(fault, found)


def test_a_setting_in_a_string_a_comment_an_index_or_an_axis_is_no_source():
    code = 'x = y[7]; z = x.sum(axis=6)  # 5\nshow(fig, "falls to 4 in 3 steps")\nprint(f"{x:8.2f}", 9)'
    assert [source.value for source in passage("", "", code).offered] == [9]


def test_nine_in_ten_changes_of_a_last_digit_are_noticed():
    counts = [prose_numbers.noticed(passages, SOURCES.get(page, {}), unbound=False)
              for page, passages in prose_numbers.pages().items()]
    changes, seen, _ = map(sum, zip(*counts, strict=True))
    assert seen > 0.9 * changes > 1000


def test_prose_rule_passes_over_formulas_years_and_references():
    text = ("Gers 2000, `x[3]`, $f^{77}$, equation (4.5), lesson 04, Exercises: [4.1 to 4.4](x), section 5, 30 minutes"
            "\n\n1. The first point.")
    assert prose_numbers.numbers(text) == []
