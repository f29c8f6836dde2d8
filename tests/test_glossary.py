"""The glossary: a page of Markdown, no lesson, in order of reading; and links to a cell of a notebook lead to one."""

import json
import pathlib
import re

import pytest

from tests.lesson_measures import cells

ROOT = pathlib.Path(__file__).parent.parent
GLOSSARY = ROOT / "notebooks" / "glossary.ipynb"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), *sorted((ROOT / "notebooks").glob("*.ipynb"))]


def text(path):
    """The Markdown of a page."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    return "\n".join(source for kind, source in cells(path) if kind == "markdown")


def rows():
    """The rows of the glossary's tables: symbol, in code, what it is, shape."""
    found = [re.split(r" \| ", line.strip("| \n")) for line in text(GLOSSARY).splitlines() if line.startswith("| ")]
    return [row for row in found if row[0] != "symbol"]


def test_glossary_is_markdown_only():
    assert {kind for kind, _ in cells(GLOSSARY)} == {"markdown"}


def test_glossary_goes_through_the_lessons_in_order():
    linked = re.findall(r"^## \[Lesson \d\d\]\((\d\d\w+)\.ipynb\)$", text(GLOSSARY), flags=re.MULTILINE)
    assert linked == sorted(linked)
    assert len(linked) == text(GLOSSARY).count("\n## ") + text(GLOSSARY).startswith("## ")


def test_glossary_explains_no_symbol_twice():
    symbols = [row[0] for row in rows() if row[0]]
    assert len(symbols) > 30
    assert len(set(symbols)) == len(symbols)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_a_cell_lead_to_one(path):
    missing = []
    for target, cell in re.findall(r"\]\(([\w./-]+\.ipynb)#cell-id=([\w-]+)\)", text(path)):
        found = json.loads((path.parent / target).read_text(encoding="utf-8"))["cells"]
        missing += [(target, cell)] if cell not in {one["id"] for one in found} else []
    assert missing == []
