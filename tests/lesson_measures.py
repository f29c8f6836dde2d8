"""What a lesson costs its reader, and the bounds that a lesson of the second edition keeps.

    python tests/lesson_measures.py [notebook …]        a table: cells, words, longest cell and paragraph, minutes

Words are those of Markdown cells, outside folded parts, without displayed equations, link targets, HTML, the
stated minutes and the captions that a cell below a figure opens with; an inline formula is one word. Lines of
code are not blank.
Minutes: words / 150 + lines of code / 15 + one for each prediction. A lesson states them rounded up to five,
each of its sections (## headings) to the nearest minute.
"""

import json
import math
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parent.parent
BOUNDS = {"cells": 40, "words": 1800, "longest code cell": 25, "longest paragraph": 90, "folded parts": 3,
          "words in a folded part": 200, "minutes": 60}
FOLDED = re.compile(r"<details>.*?</details>", re.DOTALL)
ALT = re.compile(r"\balt=")
STATED = re.compile(r"^\*about (\d+) minutes?\*$", re.MULTILINE)


def cells(path):
    """(kind, source) of every cell; captions below figures are left out."""
    found = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))["cells"]
    result = [(cell["cell_type"], "".join(cell["source"])) for cell in found]
    for k, (kind, source) in enumerate(result[1:], 1):
        if kind == "markdown" and result[k - 1][0] == "code":
            for caption in captions(result[k - 1][1], source):
                source = source.replace(caption, "", 1).lstrip("\n")
            result[k] = kind, source
    return result


def captions(code, below):
    """The captions that a Markdown cell opens with, one for each figure of the code cell above shown with alt=."""
    found = []
    for part in re.split(r"\n\s*\n", below)[:len(ALT.findall(code))]:
        if not re.fullmatch(r"\*[^*].*[^*]\*", part, flags=re.DOTALL):
            break
        found.append(part)
    return found


def words(text):
    """How many words a reader reads in a Markdown text, its folded parts included."""
    text = STATED.sub("", text)
    text = re.sub(r"\$\$.*?\$\$", " ", text, flags=re.DOTALL)
    text = re.sub(r"\$[^$\n]*\$", " formula ", text)
    text = re.sub(r"\]\([^)]*\)|<[^>]*>", " ", text)
    return sum(1 for token in text.split() if re.search(r"\w", token))


def lines(source):
    """Lines of code that are not blank."""
    return sum(1 for line in source.splitlines() if line.strip())


def paragraphs(text):
    """The paragraphs, list items and table rows of a Markdown text."""
    return [part for block in re.split(r"\n\s*\n", text) for part in re.split(r"\n(?=\s*(?:[-*>|]|\d+\.) ?)", block)]


def is_guess(source):
    return bool(re.match(r"guess\w* = None\b", source))


def minutes(parts):
    """The formula, not rounded, for some of a lesson's (kind, source)."""
    text = sum(words(FOLDED.sub("", source)) for kind, source in parts if kind == "markdown")
    code = sum(lines(source) for kind, source in parts if kind == "code")
    return text / 150 + code / 15 + sum(kind == "code" and is_guess(source) for kind, source in parts)


def sections(parts):
    """The parts under each ## heading, as (heading, stated minutes or None, parts); before the first: the title.

    A Markdown cell with a ## heading in its middle is shared out.
    """
    found = [("title", [])]
    for kind, source in parts:
        pieces = re.split(r"^(?=## )", source, flags=re.MULTILINE) if kind == "markdown" else [source]
        for piece in pieces:
            if kind == "markdown" and piece.startswith("## "):
                found.append((piece.splitlines()[0].removeprefix("## "), []))
            if piece.strip():
                found[-1][1].append((kind, piece))
    result = []
    for heading, part in found:
        stated = [int(match) for kind, piece in part if kind == "markdown" for match in STATED.findall(piece)]
        result.append((heading, stated[0] if stated else None, part))
    return result


def measure(path):
    """Everything that BOUNDS has a bound for, and the minutes by the formula and as stated."""
    parts = cells(path)
    text = [source for kind, source in parts if kind == "markdown"]
    code = [source for kind, source in parts if kind == "code"]
    folded = [part for source in text for part in FOLDED.findall(source)]
    plain = [FOLDED.sub("", source) for source in text]
    stated = re.search(r"\b(\d+) minutes", text[0])
    return {
        "cells": len(parts),
        "words": sum(map(words, plain)),
        "longest code cell": max(map(lines, code), default=0),
        "longest paragraph": max(words(part) for source in plain for part in paragraphs(source)),
        "folded parts": len(folded),
        "words in a folded part": max(map(words, folded), default=0),
        "code": sum(map(lines, code)),
        "predictions": sum(map(is_guess, code)),
        "minutes": 5 * math.ceil(minutes(parts) / 5),
        "minutes stated": int(stated[1]) if stated else None}


def main(paths):
    """Print the table, and for a single lesson its sections."""
    table = {path.stem: measure(path) for path in paths}
    names = list(next(iter(table.values())))
    width = max(map(len, table))
    print(" " * width, "  ".join(names))
    for stem, found in table.items():
        print(f"{stem:{width}}", "  ".join(f"{found[name]!s:>{len(name)}}" for name in names))
    if len(paths) == 1:
        for heading, stated, parts in sections(cells(paths[0])):
            print(f"{minutes(parts):6.1f} minutes, stated {stated}: {heading}")


if __name__ == "__main__":
    given = [pathlib.Path(name) for name in sys.argv[1:]]
    main(given or sorted(path for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")))
