"""The pages of notebooks/trials/: what they show, and the index that is written from it.

    python -m lstmcourse.lab.trial_pages     writes notebooks/trials/index.ipynb, after `make trials` has run the pages
"""

import json
import pathlib
import re
import sys
from typing import NamedTuple

import nbformat

from lstmcourse.lab.trials import Verdict

SECTIONS = ("The claim", "Predict", "The design", "The runs", "Verdict", "What would change our mind", "Run it again")
SHOWN = re.compile(r"\*\*(.+?)\.\*\* (.+)\n\n\((.+)\)", re.DOTALL)


class Page(NamedTuple):
    path: pathlib.Path
    claim: str                  # the title, without "On trial:"
    verdict: Verdict            # as its last run has shown it


def pages(folder):
    """The pages of a folder in the order of their names, as `Page`s. ValueError for one that shows no verdict."""
    return [read_page(path) for path in sorted(pathlib.Path(folder).glob("[0-9]*.ipynb"))]


def read_page(path):
    """Claim and verdict of one page."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    claim = "".join(cells[0]["source"]).split("\n")[0].removeprefix("# ").removeprefix("On trial: ")
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    results = [output["data"] for output in outputs if output["output_type"] == "execute_result"]
    shown = ["".join(data["text/markdown"]) for data in results if "text/markdown" in data]
    found = [match for text in shown if (match := SHOWN.fullmatch(text))]
    if len(found) != 1:
        raise ValueError(f"{path.name} shows {len(found)} verdicts; wanted 1, as the result of a cell")
    return Page(path, claim, Verdict(*found[0].groups()))


def index(found):
    """The table of all trials, Markdown. found: `Page`s."""
    rows = [f"| {page.path.stem[:2]} | [{page.claim}]({page.path.name}) | **{page.verdict.word}** | "
            f"{page.verdict.number} |" for page in found]
    return "\n".join(["# The claims on trial", "",
                      "One page for each claim: who says it, the design, every run, and the verdict. `make trials` "
                      "writes this table from the pages.", "",
                      "| lesson | claim | verdict | the number that decides |", "|---|---|---|---|", *rows])


def readme_row(page):
    """One row of the README's table: the claim, linked, and the verdict in the page's own words."""
    return (f"| [{page.claim}](notebooks/trials/{page.path.name}) | **{page.verdict.word}.** {page.verdict.sentence} |")


def main(folder="notebooks/trials"):
    """Write the index of a folder."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(index(pages(folder)), id="trials")])
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(notebook, pathlib.Path(folder) / "index.ipynb")


if __name__ == "__main__":
    main(*sys.argv[1:])
