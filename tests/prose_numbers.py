"""Every number in a lesson's prose has one place that it comes from: a number that a cell prints, or a setting.

number_sources.json names the place of each, as the line it stands in with all numbers left out ("05-13 prints
LSTM, bias [#] # # # #"), never its value. So a number is wrong as soon as the prose or the cell changes alone.
The places are looked for in the section and the cells around, the words beside the number first; "k of n" comes
from one line. A coincidence can be bound, so read what `--bind` prints: it is the reason why the number is true.

    python tests/prose_numbers.py                 what has no source, and the share of changed digits that is noticed
    python tests/prose_numbers.py --bind          look for the sources of new numbers, in the cells around
    python tests/prose_numbers.py --bind 05_lstm_learns trials/06_reset

A number that no cell can print (a scale, the choices of a question) has "free: " and the reason in its place.
"""

import ast
import difflib
import functools
import json
import pathlib
import re
import sys
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).parent.parent
LEDGER = pathlib.Path(__file__).with_name("number_sources.json")
AROUND = 5                              # a number comes from its section (##), or from so many cells around it
UNITS = (-3, -2, -1, 1, 2, 3)           # changes of the last digit, for the share that is noticed

NOT_A_RESULT = re.compile(
    r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$"                        # code and formulas
    r"|\]\([^)]*\)|<[^>]*>|^#[^\n]*$|^ *\d+\. "                          # link targets, tags, headings, numbered points
    r"|\[\d\db?(?=[ \]])|\? \| \d+ \||\bSHA-256\b"                   # a lesson's number, the minutes in its row
    r"|\b(?:19|20)\d\d[ab]?\b"                                        # years
    r"|\(\d+\.\d+[a-z]?(?: to \d+\.\d+)?\)"                           # equation numbers
    r"|(?i:\b(?:lessons?|exercises?|section|sections|chapter|figure|table|algorithm|equations?|eq\.)\b:?\**"
    r"(?:[\s\[(]|and|to|,|\d+(?:\.\d+)*)*)"                           # lesson 04, Exercises: [4.1 to 4.4
    r"|\b\d+ minutes\b|\b\d+-bit\b",
    re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"(?<![\w.,/])[-−+]?\d+(?:[\d_,]*\d)?(?:\.\d+)?(?:e[-+]?\d+)?(?![\w/])")
PRINTED = re.compile(r"(?<![\w.])[-−+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])")
PAIR = re.compile(r"(\d+) of (?:the |all )?(\d+)")
WORD = re.compile(r"[A-Za-z]{2,}")
COMMON = frozenset(WORD.findall("""
the of to in on at is it its and or with for by as be are was that this not no than from one two
three each every after all more most so but they there can which has have only where when here
if into out up print def return for range np rng"""))


@dataclass(frozen=True)
class Number:
    """A number as it is written; `pair` tells that it is half of "k of n"."""
    start: int
    text: str
    pair: int | None = None

    @property
    def plain(self):
        return self.text.replace("−", "-").replace(",", "").replace("_", "")

    @property
    def decimals(self):
        return len(self.plain.partition("e")[0].partition(".")[2])

    def fits(self, value):
        """Is it the value, as precisely as it is written? 7 may stand for 0.07, 2 for -2."""
        if "e" in self.plain:
            return f"{value:.{self.decimals}e}" == f"{float(self.plain):.{self.decimals}e}"
        return any(round(value * scale, self.decimals) == float(self.plain) for scale in (1, 100, -1))

    def moved(self, units):
        """The text with its last digit moved by so many units; None where that would pass zero."""
        if "e" in self.plain or float(self.plain) * (float(self.plain) + units * 10**-self.decimals) < 0:
            return None
        new = f"{abs(float(self.plain) + units * 10**-self.decimals):.{self.decimals}f}"
        return (self.text[0] if self.text[0] in "-−+" else "") + new


def numbers(text):
    """The numbers of a text that may be results."""
    text = NOT_A_RESULT.sub(lambda match: " " * len(match[0]), text)
    pairs = {start: k for k, match in enumerate(PAIR.finditer(text)) for start in (match.start(1), match.start(2))}
    return [Number(match.start(), match[0], pairs.get(match.start())) for match in NUMBER.finditer(text)]


# Where a number may come from

@dataclass(frozen=True)
class Source:
    """A number that a cell prints, or that stands in its code."""
    name: str               # 05-13 prints LSTM, bias [#] # # # #
    line: tuple             # the same for all numbers of one line
    value: float
    words: frozenset        # what the line is about
    beside: frozenset       # the words right beside the number


def stems(text):
    """What a text is about: its words, without their endings."""
    found = {word.lower() for word in WORD.findall(text.replace("_", " "))} - COMMON
    return frozenset(re.sub(r"(?:ing|ed|es|s|e)$", "", word)[:7] for word in found)


def beside(text, start, end):
    """The words right before and after a number."""
    return stems(" ".join(re.split(r"[\s=(\[,]+", text[:start])[-3:] + text[end:].split()[:1]))


def label(line, start, end):
    """A line without its numbers; the place in question is [#]."""
    before, after = (PRINTED.sub("#", part).split() for part in (line[:start], line[end:]))
    return " ".join([*before[-6:], "[#]", *after[:4]])


def constants(source):
    """(line number, column, end, value) of the settings in a cell's code: no index, no axis, nothing in a string."""
    tree = ast.parse(source)
    skip = {id(node) for outer in ast.walk(tree) for node in ast.walk(outer)
            if isinstance(outer, ast.JoinedStr) or (isinstance(outer, ast.keyword) and outer.arg == "axis")}
    skip |= {id(outer.slice) for outer in ast.walk(tree) if isinstance(outer, ast.Subscript)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float) and id(node) not in skip:
            yield node.lineno - 1, node.col_offset, node.end_col_offset, float(node.value)


def printed(cell):
    """The lines that a code cell prints, its figures and their captions left out."""
    for out in cell.get("outputs", []):
        data = out.get("data", {})
        if not {"image/png", "image/svg+xml", "text/markdown"} & set(data):
            yield from "".join(out.get("text", data.get("text/plain", ""))).splitlines()


def sources(cell, prose=False):
    """Every source in a cell; of a Markdown cell its numbers, if prose counts."""
    found = []
    if cell["cell_type"] == "markdown":
        for at, line in enumerate(cell["source"].splitlines() if prose else ()):
            found += [("says", at, label(line, n.start, n.start + len(n.text)), float(n.plain),
                       stems(line[max(0, n.start - 60):n.start + 60]), beside(line, n.start, n.start + len(n.text)))
                      for n in numbers(line)]
    else:
        lines = cell["source"].splitlines()
        found += [("sets", at, label(lines[at], start, end), value, stems(lines[at]), beside(lines[at], start, end))
                  for at, start, end, value in constants(cell["source"])]
        lines = list(printed(cell))
        found += [("prints", at, label(line, match.start(), match.end()), float(Number(0, match[0]).plain),
                   stems(line) | stems(lines[0]), beside(line, match.start(), match.end()))
                  for at, line in enumerate(lines) for match in PRINTED.finditer(line)]
    seen, result = {}, []
    for verb, at, text, *rest in found:
        name = f"{cell['id']} {verb} {text}"
        seen[name] = seen.get(name, 0) + 1
        name += f" ({seen[name]})" * (seen[name] > 1)
        result.append(Source(name, (cell["id"], verb, at), *rest))
    return result


def flat(value, key=""):
    """(key, number) of every number in settings: a list's are counted, a dict's have their keys; runs are left out."""
    if type(value) in (int, float):
        yield key, value
    elif isinstance(value, dict):
        for name, entry in value.items():
            if name not in ("runs", "cpu_minutes"):
                yield from flat(entry, f"{key} {name}".strip())
    elif isinstance(value, list):
        for k, entry in enumerate(value):
            yield from flat(entry, f"{key} ({k + 1})")


def settings(cell):
    """The settings of the trials whose saved runs a code cell names: what was fixed before the run."""
    found = []
    for trial in sorted(set(re.findall(r"\b\d\d_\w+", cell["source"]))) if cell["cell_type"] == "code" else ():
        path = ROOT / "notebooks" / "trials" / f"{trial}.json"
        for key, entry in flat(json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}):
            line = trial, key.split(" ")[0]
            found.append(Source(f"{trial} fixes {key}", line, float(entry), stems(key), stems(key)))
    return found


# What a reader reads

@dataclass(frozen=True)
class Passage:
    """A Markdown cell, the captions under a code cell; and what the cells around it offer."""
    id: str
    text: str
    offered: tuple


def cells(path):
    """The cells of a notebook, their source as one string."""
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell | {"source": "".join(cell["source"])} for cell in found]


def lesson(path):
    """The passages of a lesson."""
    found = cells(path)
    offers = [sources(cell) + settings(cell) for cell in found]
    for k, cell in enumerate(found):
        text = cell["source"] if cell["cell_type"] == "markdown" else "\n".join(
            "".join(out["data"].get("text/markdown", "")) for out in cell["outputs"]
            if out["output_type"] == "display_data")
        section, end = k, k + 1
        while section and not found[section]["source"].startswith("## "):
            section -= 1
        while end < len(found) and not found[end]["source"].startswith("## "):
            end += 1
        near = {*range(section, end), *range(k - AROUND, k + AROUND + 1)} & {*range(len(found))}
        nearest = sorted(near, key=lambda j: (abs(j - k), j))
        yield Passage(cell["id"], text, tuple(source for j in nearest for source in offers[j]))


@functools.cache
def pages():
    """{name: its passages}"""
    lessons = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    trials = sorted((ROOT / "notebooks" / "trials").glob("[0-9]*.ipynb"))
    return {path.stem: list(lesson(path)) for path in lessons} | {
        f"trials/{path.stem}": list(lesson(path)) for path in trials}


# The rule

def faults(passage, bound):
    """What is wrong with the numbers of a passage: a list of sentences."""
    found = numbers(passage.text)
    bound = bound.get(passage.id, [])
    if len(found) != len(bound):
        return [f"{passage.id} holds {len(found)} numbers ({', '.join(n.text for n in found)}), of which "
                f"{len(bound)} have a source: {HELP}"] if found or bound else []
    by_name, wrong = {source.name: source for source in passage.offered}, []
    for number, name in zip(found, bound, strict=True):
        where = f"{passage.id}: {number.text!r} in {quoted(passage.text, number)!r}"
        if name is None:
            wrong.append(f"{where} is printed by no cell around it")
        elif name not in by_name and not name.startswith("free: "):
            wrong.append(f"{where}: its source {name!r} is gone: {HELP}")
        elif name in by_name and not number.fits(by_name[name].value):
            wrong.append(f"{where}, but its source {name!r} has {by_name[name].value:g}: {HELP}")
    return wrong


HELP = "mend the prose, or, if it is right, `make numbers BIND=1`"


def quoted(text, number):
    return " ".join(text[max(0, number.start - 30):number.start + len(number.text) + 15].split())


def bind(passage, old=()):
    """The name of a source for each number of a passage, None where the cells around have none."""
    found, offered, chosen = numbers(passage.text), passage.offered, []
    by_name = {source.name: source for source in offered}
    old = list(old)
    for k, number in enumerate(found):
        kept = [name for name in ([old[k]] if len(old) == len(found) else []) if name]
        if len(old) != len(found):
            kept = [name for name in old if name in by_name and name not in chosen]
        kept = [name for name in kept if name.startswith("free: ") or (name in by_name
                                                                       and number.fits(by_name[name].value))]
        if kept:
            chosen.append(kept[0])
            continue
        partners = [other for other in found if other.pair == number.pair is not None and other is not number]
        halves = {by_name[name].line for other, name in zip(found, chosen, strict=False)
                  if other in partners and name in by_name}
        about = stems(passage.text[max(0, number.start - 45):number.start + 45])
        here = beside(passage.text, number.start, number.start + len(number.text))
        fitting = [source for source in offered if number.fits(source.value) and all(
            any(other.fits(s.value) for s in offered if s.line == source.line and s != source)
            for other in partners)]
        best = max(fitting, default=None, key=lambda source: (      # among equals the nearest, which stands first
            source.line in halves and source.name != chosen[-1],
            len(source.words & about) + 2 * len(source.beside & here),
            float(number.plain) == source.value,
            " prints " in source.name))
        chosen.append(best and best.name)
    return chosen


def noticed(passages, bound, unbound=True):
    """Of all changes of a last digit: (how many, how many break the rule, how many nothing around would bear out)."""
    count = fails = unborn = 0
    for passage in passages:
        for number in numbers(passage.text):
            for units in UNITS:
                moved = number.moved(units)
                if moved is None:
                    continue
                text = passage.text[:number.start] + moved + passage.text[number.start + len(number.text):]
                changed = Passage(passage.id, text, passage.offered)
                count += 1
                fails += len(faults(changed, bound)) > len(faults(passage, bound))
                unborn += unbound and None in bind(changed)
    return count, fails, unborn


def main(arguments):
    ledger = json.loads(LEDGER.read_text(encoding="utf-8")) if LEDGER.exists() else {}
    names = [name for name in arguments if name != "--bind"]
    if "--bind" in arguments:
        before = json.dumps(ledger, indent=1, ensure_ascii=False).splitlines()
        for page, passages in pages().items():
            if not names or {page, page.rpartition("/")[2]} & set(names):
                new = {p.id: bind(p, ledger.get(page, {}).get(p.id, ())) for p in passages}
                ledger[page] = {id: list_ for id, list_ in new.items() if list_}
        text = json.dumps(ledger, indent=1, ensure_ascii=False, sort_keys=True)
        LEDGER.write_text(text + "\n", encoding="utf-8")
        print(*(line for line in difflib.unified_diff(before, text.splitlines(), "before", "after", n=1, lineterm="")),
              sep="\n")
    wrong, total = [], [0, 0, 0]
    print(f"{'page':22}{'numbers':>9}{'changes':>9}{'noticed':>9}{'before it is bound':>20}")
    for page, passages in pages().items():
        if not names or {page, page.rpartition("/")[2]} & set(names):
            bound = ledger.get(page, {})
            wrong += [f"{page} {fault}" for p in passages for fault in faults(p, bound)]
            counts = noticed(passages, bound)
            total = [a + b for a, b in zip(total, counts, strict=True)]
            if counts[0]:
                print(f"{page:22}{sum(len(numbers(p.text)) for p in passages):9}{counts[0]:9}"
                      f"{counts[1] / counts[0]:9.0%}{counts[2] / counts[0]:20.0%}")
    print(f"{'all':22}{'':9}{total[0]:9}{total[1] / max(1, total[0]):9.1%}{total[2] / max(1, total[0]):20.1%}")
    print(*wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
