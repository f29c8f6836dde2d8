"""Rules that every committed notebook keeps; nbval runs them, these tests read them."""

import ast
import json
import pathlib
import re
import sys
import tomllib

import pytest

from lstmcourse.practice.stubs import is_untouched

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
    assert counts == list(range(1, len(counts) + 1))        # without a count nbval compares nothing


@every_notebook
def test_notebook_has_no_stored_error(path):
    assert not [out for cell in code(path) for out in cell["outputs"] if out["output_type"] == "error"]


@every_notebook
def test_notebook_saves_the_picture_of_an_explorer_and_not_the_widget(path):
    """A saved widget is dead when the notebook is opened: run it with LSTMCOURSE_STILL=1, as `make run-notebooks`."""
    assert "anywidget" not in json.dumps(json.loads(path.read_text())["metadata"])
    outputs = [out for cell in code(path) if re.search(r"\b\w+_explorer\(", cell["source"]) for out in cell["outputs"]]
    assert not [out for out in outputs if "application/vnd.jupyter.widget-view+json" in out.get("data", {})]


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


# Numbers in the prose: each must be printed by a cell, or stand in the code as a setting.

NOT_A_RESULT = re.compile(
    r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$"                        # code and formulas
    r"|\]\([^)]*\)|<[^>]*>|^#.*$"                                     # link targets, tags, headings
    r"|\b(?:19|20)\d\d[ab]?\b"                                        # years
    r"|\(\d+\.\d+[a-z]?(?: to \d+\.\d+)?\)"                           # equation numbers
    r"|(?i:\b(?:lessons?|exercises?|section|sections|chapter|figure|table|algorithm|equations?|eq\.)\b:?\**"
    r"(?:[\s\[(]|and|to|,|\d+(?:\.\d+)*)*)"                           # lesson 04, Exercises: [4.1 to 4.4
    r"|\b\d+ minutes\b|\b\d+-bit\b",
    re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"(?<![\w.,/])[-−+]?\d+(?:[\d_,]*\d)?(?:\.\d+)?(?:e[-+]?\d+)?(?![\w/])")


def numbers(text):
    """(value, decimals) of every number in a text."""
    for match in NUMBER.findall(text):
        plain = match.replace("−", "-").replace(",", "").replace("_", "")
        yield float(plain), len(plain.partition(".")[2]) if "e" not in plain else 3


def prose(path):
    """What a reader reads: Markdown cells and figure captions, without formulas, years and references."""
    captions = ["".join(out["data"].get("text/markdown", "")) for cell in code(path) for out in cell["outputs"]
                if out["output_type"] == "display_data"]
    texts = [cell["source"] for cell in cells(path, "markdown")] + captions
    return "\n".join(NOT_A_RESULT.sub(" ", text) for text in texts)


def evidence(path):
    """Every number that a cell prints, or that stands in the code."""
    texts = [cell["source"] for cell in code(path)]
    for cell in code(path):
        for out in cell["outputs"]:
            data = out.get("data", {})
            if not {"image/png", "text/markdown"} & set(data):
                texts.append("".join(out.get("text", data.get("text/plain", ""))))
    return [value for text in texts for value, _ in numbers(re.sub(r"[^\w.+\-−]", " ", text).replace("_", ""))]


def unproven(text, values):
    """The numbers of a text that are none of the values, as precisely as they are written; 7 may stand for 0.07."""
    return [number for number, decimals in numbers(text) if not any(
        round(value * scale, decimals) == number for value in values for scale in (1, 100, -1))]


@pytest.mark.parametrize("path", LESSONS + PAGES, ids=lambda path: path.stem)
def test_numbers_in_the_prose_are_printed_by_a_cell(path):
    assert unproven(prose(path), evidence(path)) == []


def test_prose_rule_finds_a_number_that_nothing_prints():
    values = [0.9534, 42.0, 1e-12]
    assert unproven("accuracy is 0.95 of 42 runs, 95 percent", values) == []
    assert unproven("accuracy is 0.96 after 43 runs", values) == [0.96, 43.0]


def test_prose_rule_passes_over_formulas_years_and_references():
    text = "Gers 2000, `x[3]`, $f^{77}$, equation (4.5), lesson 04, Exercises: [4.1 to 4.4](x), section 5, 30 minutes"
    assert list(numbers(NOT_A_RESULT.sub(" ", text))) == []
