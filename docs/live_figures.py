"""The numbers of the lessons' live figures, for the website: `make site-figures`.

    python docs/live_figures.py                              every lesson that has a live figure
    python docs/live_figures.py notebooks/03_forgetting.ipynb

Runs a lesson up to its last live figure and writes what each figure was given to docs/live/NN_name.json, by the
cell's id. The website has no kernel. A figure whose own code has changed since is shown as its picture; a test says
when any code before it has.
"""

import hashlib
import json
import pathlib
import sys

import nbformat

ROOT = pathlib.Path(__file__).parent.parent
LIVE = ROOT / "docs" / "live"
MIME = "application/vnd.lstmcourse.figure+json"
SEND = f"""
import sys
sys.path.insert(0, {str(ROOT / "docs")!r})
import live_figures
from lstmcourse import widgets
widgets._Explorer._ipython_display_ = live_figures.send
"""


def given(widget):
    """What a live figure was given, without what every widget has."""
    import anywidget
    names = set(widget.trait_names(sync=True)) - set(anywidget.AnyWidget.class_trait_names())
    return {name: getattr(widget, name) for name in sorted(names) if not name.startswith("_")}


def send(widget):
    """In the kernel: the numbers of a live figure in place of the figure."""
    from IPython.display import display
    display({MIME: {"figure": type(widget).__name__, "sentence": widget.sentence, "traits": given(widget)}}, raw=True)


def is_figure(cell):
    """Does this cell end in a live figure?"""
    return cell["cell_type"] == "code" and "_explorer(" in "".join(cell["source"])


def source(cell):
    """A cell's code as one string, however the notebook was read."""
    return "".join(cell["source"])


def short(value):
    """Floats with seven significant digits; a figure shows two."""
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, list):
        return [short(one) for one in value]
    return {name: short(one) for name, one in value.items()} if isinstance(value, dict) else value


def before(cells, cell_id):
    """A hash of all code of a notebook up to a cell: the numbers of a live figure belong to it."""
    code = [(cell["id"], source(cell)) for cell in cells if cell["cell_type"] == "code"]
    last = [one for one, _ in code].index(cell_id)
    return hashlib.sha256("\n".join(text for _, text in code[:last + 1]).encode()).hexdigest()[:16]


def run(path):
    """What each live figure of a lesson was given: {cell id: {"figure", "sentence", "traits", "source", "before"}}."""
    from nbclient import NotebookClient
    notebook = nbformat.read(path, as_version=4)
    last = max(k for k, cell in enumerate(notebook.cells) if is_figure(cell))
    cells = notebook.cells[:last + 1]
    notebook.cells = [nbformat.v4.new_code_cell(SEND), *cells]
    NotebookClient(notebook, timeout=None, kernel_name="python3", record_timing=False,
                   resources={"metadata": {"path": str(path.parent)}}).execute()
    return {cell["id"]: short(output["data"][MIME]) | {"source": source(cell), "before": before(cells, cell["id"])}
            for cell in notebook.cells if cell.cell_type == "code"
            for output in cell.outputs if MIME in output.get("data", {})}


def figures_of(path, cells):
    """The kept numbers of a notebook's live figures, for the cells whose code is still the same.
    {cell id: {"figure", "sentence", "traits", "source", "before"}}"""
    kept = LIVE / f"{pathlib.Path(path).stem}.json"
    found = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    return {cell["id"]: found[cell["id"]] for cell in cells
            if is_figure(cell) and cell["id"] in found and found[cell["id"]]["source"] == source(cell)}


def main(names):
    paths = [pathlib.Path(name) for name in names] or sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    for path in paths:
        if any(map(is_figure, nbformat.read(path, as_version=4).cells)):
            figures = run(path)
            LIVE.mkdir(exist_ok=True)
            kept = LIVE / f"{path.stem}.json"
            kept.write_text(json.dumps(figures, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
            print(f"docs/live/{kept.name}: {len(figures)} live figures, {kept.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
