"""A cell as Jupyter takes it, made into plain Python: magics, shell lines, the indentation of the whole cell.

A line is changed only where Python's own parser stumbles over it, so that a `%` that continues an
expression stays what it is.
"""

import ast
import re

CELL_MAGIC = re.compile(r"\s*%%(\w+)[ \t]*([^\n]*)\n?")
RUN_IN_THE_NOTEBOOK = {"time", "capture", "prun", "memit", "mprun"}      # %%timeit and %%python define nothing in it
WRITE = {"writefile", "file"}
AUTOMAGIC = "pip|pip3|conda|mamba|cd|ls|mkdir|rm|cp|mv|cat|matplotlib|load_ext|autoreload"
LINE_MAGIC = re.compile(r"^(?P<indent>\s*)(?:"
                        r"(?:(?P<name>[\w, ]+?)\s*=\s*)?(?:%(?P<word>\w*)\s?(?P<rest>.*)|!.*|\?.*)"
                        rf"|[\w.]+\?{{1,2}}\s*|(?:{AUTOMAGIC})\s+\S.*)$")


def plain(source):
    """`%%time` is taken off, `%time f(x)` becomes `f(x)`, `%%writefile` writes; other magics do nothing."""
    while cell := CELL_MAGIC.match(source):
        word, rest = cell[1], cell[2].split()
        source = source[cell.end():]
        if word in WRITE and rest:
            mode = "a" if "-a" in rest[:-1] else "w"
            return (f"with open({rest[-1]!r}, {mode!r}) as _file:\n    _file.write({source!r})\n"
                    "__import__('importlib').invalidate_caches()\n")
        if word not in RUN_IN_THE_NOTEBOOK:
            return ""
    lines = dedented(source.split("\n"))
    for _ in range(len(lines)):
        try:
            ast.parse("\n".join(lines))
            break
        except SyntaxError as error:
            n = (error.lineno or 0) - 1
            magic = LINE_MAGIC.match(lines[n]) if 0 <= n < len(lines) else None
            if not magic:
                break
            line, name = lines[n], magic["name"]
            lines[n] = f"{magic['indent']}{f'{name} = ' if name else ''}{done(magic['word'], magic['rest'])}"
            while line.rstrip().endswith("\\") and n + 1 < len(lines):     # it goes on in the next line
                n += 1
                line, lines[n] = lines[n], ""
    return "\n".join(lines)


def done(word, rest):
    """The Python that a line magic comes to."""
    if word == "time" and rest:
        return rest
    if word == "run" and rest.split():
        return f"exec(compile(open({rest.split()[0]!r}).read(), {rest.split()[0]!r}, 'exec'), globals())"
    return "None"


def dedented(lines):
    """Without the indentation of the first line that holds anything, as in Jupyter."""
    first = next((line for line in lines if line.strip()), "")
    indent = first[:len(first) - len(first.lstrip(" \t"))]
    return [line.removeprefix(indent) for line in lines] if indent else lines
