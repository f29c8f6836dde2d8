"""Real text that everybody has: part of the Python source of SymPy, which PyTorch brings along.

python_source.sha256 beside this file lists what is read, each file with its hash: the same bytes on every
machine and in every version of Python. Files go to training, validation or test as a whole, and by a hash
of their name. The list is made from an installed SymPy by

    python -m lstmcourse.data.python_source > lstmcourse/data/python_source.sha256
"""

import hashlib
import importlib.util
import io
import pathlib
import tokenize

import numpy as np

PACKAGE = "sympy"
SKIPPED = {"tests", "test-examples", "benchmarks", "_antlr",               # the last: written by a program
           "common.py", "matrices.py", "theanocode.py"}                     # older copies of files that are read
LONGEST = 60_000                                          # characters: a longer file would be most of the test text
IN_STRINGS = 0.35                                         # a file with more than this in strings is documentation
LISTED = pathlib.Path(__file__).with_suffix(".sha256")
ALPHABET = "\n" + "".join(map(chr, range(32, 127)))       # line end and printable ASCII
SETS = {"training": 8, "validation": 1, "test": 1}        # tenths of the files
LABELS = ("brackets", "string", "indentation", "position")
_TOKEN_OF = {character: token for token, character in enumerate(ALPHABET)}


def encode(text):
    """The tokens (integers) of a text: positions in ALPHABET. Raises ValueError for any other character."""
    unknown = set(text) - set(ALPHABET)
    if unknown:
        raise ValueError(f"text has the character {min(unknown)!r}; wanted line ends and printable ASCII (see `clean`)")
    return np.array([_TOKEN_OF[character] for character in text], np.int64)


def decode(tokens):
    """The text of a sequence of tokens."""
    return "".join(ALPHABET[token] for token in tokens)


def clean(text):
    """The text in ALPHABET: tabs become spaces, form feeds go, any other character becomes "_"."""
    text = text.expandtabs().replace("\f", "").replace("\r\n", "\n")
    return "".join(character if character in _TOKEN_OF else "_" for character in text)


def set_of(name):
    """Which set a file belongs to, by a hash of its name: "training", "validation" or "test"."""
    place = int(hashlib.sha256(name.encode()).hexdigest(), 16) % sum(SETS.values())
    for which, tenths in SETS.items():
        if place < tenths:
            return which
        place -= tenths


def python_source(folder=None, listed=LISTED):
    """The texts by set: {"training": {name: text}, "validation": …, "test": …}.

    folder  where the package lies; None: where it is installed. Names are paths below it.
    listed  the file that lists them, a SHA-256 and a name in each line

    Raises ValueError for a file that is not the listed one, to the byte, or not there.
    """
    folder, sets = pathlib.Path(folder or _package()), {which: {} for which in SETS}
    for line in listed.read_text().splitlines():
        wanted, name = line.split("  ")
        data = (folder / name).read_bytes() if (folder / name).is_file() else b""
        if hashlib.sha256(data).hexdigest() != wanted:
            raise ValueError(f"{name} of {PACKAGE} is {'another file' if data else 'missing'}; wanted the one whose "
                             f"SHA-256 is {wanted}: install the version of {PACKAGE} that constraints.txt names")
        sets[set_of(name)][name] = clean(data.decode())
    return sets


def _package():
    """The folder of the installed package, found without importing it."""
    return pathlib.Path(importlib.util.find_spec(PACKAGE).origin).parent


def labels(text):
    """What stands where in a Python text, told by Python's own tokenizer; each an array (len(text),) of integers.

    brackets     how many brackets are open; those in strings and comments do not count
    string       1 inside a string, 0 outside
    indentation  spaces at the beginning of this line, as far as they are read
    position     characters of this line, as far as they are read

    Each says what is true once a character has been read: after "(" one more bracket is open, after a
    closing quote the string is over, after a line end a new line has begun and both counts are 0.
    Raises SyntaxError or tokenize.TokenError for a text that is not Python.
    """
    lines = text.splitlines(keepends=True)
    starts = np.cumsum([0, *map(len, lines)])
    brackets, string = np.zeros(len(text), np.int64), np.zeros(len(text), np.int64)
    f_strings = 0                                          # from Python 3.12 on an f-string is many tokens
    for kind, token, (row, column), (last_row, last_column), _ in tokenize.generate_tokens(io.StringIO(text).readline):
        first, last = starts[row - 1] + column, starts[last_row - 1] + last_column - 1
        name = tokenize.tok_name[kind]
        f_strings -= name == "FSTRING_END"
        if f_strings == 0 and name == "OP" and token in "()[]{}":
            brackets[first] = 1 if token in "([{" else -1
        elif f_strings == 0 and name == "STRING":
            string[first + _opening(token):last] = 1
        elif f_strings == 0 and name == "FSTRING_START":
            opened = first + _opening(token)
        elif f_strings == 0 and name == "FSTRING_END":
            string[opened:last] = 1
        f_strings += name == "FSTRING_START"
    lengths = [len(line) for line in lines]
    position = np.arange(len(text)) - np.repeat(starts[:-1], lengths) + 1
    margin = np.repeat([len(line) - len(line.lstrip(" ")) for line in lines], lengths)
    ends = np.array([character == "\n" for character in text])
    position[ends] = 0
    return {"brackets": np.cumsum(brackets), "string": string,
            "indentation": np.where(ends, 0, np.minimum(position, margin)), "position": position}


def labelled(texts, N):
    """The first N characters of some texts: tokens (N,), and their labels (N, 4) in the order of LABELS."""
    found, length = [], 0
    for text in texts:
        told = labels(text)
        found.append(np.stack([told[name] for name in LABELS], axis=1))
        length += len(text)
        if length >= N:
            break
    return encode("".join(texts)[:N]), np.concatenate(found)[:N]


def _opening(token):
    """Place of the first quote in a string's token."""
    return min(place for place in map(token.find, "\"'") if place >= 0)


if __name__ == "__main__":
    root, lines = _package(), []
    for path in root.rglob("*.py"):
        text, name = clean(path.read_text(encoding="utf-8")), path.relative_to(root)
        if 0 < len(text) < LONGEST and not SKIPPED & set(name.parts) and labels(text)["string"].mean() < IN_STRINGS:
            lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name.as_posix()}")
    print("\n".join(sorted(lines)))                       # by hash: a mixed order, so that any part is of all kinds
