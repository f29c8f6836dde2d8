"""`make run-notebooks`: run notebooks again and save what came out, and nothing that did not change.

    make run-notebooks NOTEBOOKS=notebooks/05_lstm_learns.ipynb

nbconvert writes every file it runs: text that a kernel happened to send in two pieces, the Python's patch version,
a time. Here pieces are joined, the version is left out, and a file stays as it is where nothing else differs. Of a
cell that is tagged `nbval-ignore-output` the saved output, where there is one, stays as long as its code does.
"""

import configparser
import copy
import json
import os
import pathlib
import re
import sys

import nbformat
from nbclient import NotebookClient
from tqdm import tqdm

from tests.kernels import start_again

TIMES = configparser.RawConfigParser()
TIMES.read(pathlib.Path(__file__).with_name("nbval_sanitize.cfg"), encoding="utf-8")


def joined(outputs):
    """The outputs, with neighbouring pieces of one stream as one."""
    found = []
    for out in outputs:
        if found and out["output_type"] == "stream" == found[-1]["output_type"] and out["name"] == found[-1]["name"]:
            found[-1]["text"] += out["text"]
        else:
            found.append(copy.deepcopy(out))
    return found


def tidy(new, old):
    """The notebook that ran, as it is saved: pieces joined, and the ignored outputs of the old one kept."""
    new = copy.deepcopy(new)
    new.metadata.pop("language_info", None)
    saved = {cell.get("id"): cell for cell in old.cells}
    for cell in new.cells:
        if cell.cell_type != "code":
            continue
        cell.outputs = [nbformat.from_dict(out) for out in joined(cell.outputs)]
        before = saved.get(cell.get("id"), {})
        kept = "nbval-ignore-output" in cell.metadata.get("tags", []) and before.get("source") == cell.source
        if kept and before.outputs:
            cell.outputs = before.outputs
    return new


def same(new, old):
    """Do two notebooks differ in nothing but pieces of a stream, the Python's version, addresses and times?"""
    def seen(notebook):
        text = json.dumps([[cell.cell_type, cell.get("id"), cell.source, cell.metadata, cell.get("execution_count"),
                            joined(cell.get("outputs", []))] for cell in notebook.cells], sort_keys=True)
        for section in TIMES.values():
            if "regex" in section:
                text = re.sub(section["regex"], section["replace"], text)
        return text, {key: value for key, value in notebook.metadata.items() if key != "language_info"}
    return seen(new) == seen(old)


def run(path):
    """Run a notebook and save it; returns whether the file changed."""
    old = nbformat.read(path, as_version=4)
    new = copy.deepcopy(old)
    client = NotebookClient(new, timeout=None, kernel_name="python3", record_timing=False, store_widget_state=False,
                            resources={"metadata": {"path": str(path.parent)}})
    start_again(client.execute)
    new = tidy(new, old)
    if same(new, old):
        return False
    unfinished = path.with_suffix(".ipynb.new")
    nbformat.write(new, unfinished)
    os.replace(unfinished, path)
    return True


def main(names):
    changed = [name for name in tqdm(names, unit="notebook") if run(pathlib.Path(name))]
    print(f"{len(names)} run, {len(changed)} changed:", *changed)


if __name__ == "__main__":
    main(sys.argv[1:])
