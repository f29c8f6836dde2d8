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
TEXTS = (      # what the two popular texts say, and where each claim is tried: pages, or cells of lessons
    ("An RNN cannot follow the change of subject; that is why the LSTM is used", "01_subject"),
    ("An RNN keeps only short dependencies", "03_memory", "03_vanished"),
    ("Multiply the cell by ones and add zeros, and it is kept; it then acts as ResNet's skip connection", "04-36"),
    ("The × is a dot product of the two vectors", "04-08"),
    ("When the context changes, the forget gate's sigmoid goes towards 0", "05_but"),
    ("While input and memory are similar, it stays near 1", "05_but"),
    ("After sigmoid × tanh only the new context information is written", "05_written"),
    ("The LSTM takes care of long and short dependencies", "05_keeps", "05_copy"),
    ("A board of fixed size gets messy when one only writes", "05_messy", "07_one_vector"),
    ("The GRU is faster to train", "06_faster", "06_parameters"),
    ("The GRU is as powerful", "06_counting", "06_faster"),
    ("The LSTM needs more parameters, time and hardware because it has two memory cells", "06_parameters"),
    ("The reset gate drops past information when the candidate is made; the update gate decides how much of the "
     "candidate comes in, and combines the forget and input gates", "06_reset", "06-02"),
    ("The encoder's single vector cannot hold all of a sequence, so plain encoder-decoders fail", "07_one_vector"),
    ("For *I* attention puts 1 on *mai* and 0 elsewhere", "08_weights"),
    ("For *going* it puts ½ on *jaa* and ½ on *raha*", "08_weights"))
LESSONS = {"02": "02_bptt", "04": "04_lstm", "06": "06_gru"}
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
    texts = [f"| {claim} | {', '.join(map(link, places))} |" for claim, *places in TEXTS]
    return "\n".join(["# The claims on trial", "",
                      "One page for each claim: who says it, the design, every run, and the verdict. `make trials` "
                      "writes this table from the pages.", "",
                      "| lesson | claim | verdict | the number that decides |", "|---|---|---|---|", *rows, "",
                      "## The two popular texts, claim by claim", "",
                      "*notes on LSTM RNN and GRU* and *Intuition behind LSTM, GRU and Attention* say what this course "
                      "tries. Three claims have no page, since a few lines in a lesson decide them: the two about "
                      f"ones and zeros and about the ×, and \"just compare with autograd\" ({link('02-27')}).", "",
                      "| what they say | tried in |", "|---|---|", *texts])


def link(place):
    """A link from the index to a page ("06_reset") or to a cell of a lesson ("04-36")."""
    lesson = LESSONS.get(place.partition("-")[0])
    return f"[lesson {place[:2]}](../{lesson}.ipynb#cell-id={place})" if lesson else f"[{place}]({place}.ipynb)"


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
