"""Real text that everybody has: the source of Python's own standard library, as it lies on this machine.

Files go to training, validation or test as a whole, and by a hash of their name: the same file falls
into the same set on every machine and in every version of Python.
"""

import hashlib
import io
import pathlib
import sysconfig
import tokenize

import numpy as np

ALPHABET = "\n" + "".join(map(chr, range(32, 127)))       # line end and printable ASCII
SETS = {"training": 8, "validation": 1, "test": 1}        # tenths of the files
SKIPPED = {"test", "tests", "idlelib", "lib2to3", "tkinter", "turtledemo", "ensurepip", "encodings", "pydoc_data",
           "entities.py", "site-packages", "dist-packages", "__phello__"}
LABELS = ("brackets", "string", "indentation", "position")
_TOKEN_OF = {character: token for token, character in enumerate(ALPHABET)}


def encode(text):
    """The tokens (integers) of a text: places in ALPHABET. Raises ValueError for any other character."""
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


def stdlib_text(folder=None):
    """The texts of the standard library, by set: {"training": {name: text}, "validation": …, "test": …}.

    folder  where the library lies; None: that of the Python that runs. Names are paths below it, sorted.

    Left out: tests and parts that are not installed everywhere, tables of data, what cannot be read,
    and every file whose text is in another file too. Raises ValueError if a set stays empty.
    """
    folder = pathlib.Path(folder or sysconfig.get_path("stdlib"))
    sets, seen = {which: {} for which in SETS}, set()
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        if any(part in SKIPPED or part.startswith(("config-", "_sysconfigdata")) for part in name.split("/")):
            continue
        try:
            with tokenize.open(path) as file:
                text = clean(file.read())
        except (OSError, SyntaxError, UnicodeError):
            continue
        if text.strip() and text not in seen:
            seen.add(text)
            sets[set_of(name)][name] = text
    if not all(sets.values()):
        raise ValueError(f"folder is {str(folder)!r}, and there is too little Python source in it for three sets")
    return sets


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
