"""What an exercise is, as data: its cases, its reference and the mistakes people make in it.

Adding an exercise is one `Exercise` in the module of its lesson and one cell in solutions/.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import numpy as np


class Mistake:
    """A mistake that people really make: small wrong implementations of it and the hint that explains it.

    name        short, in words; several Mistakes may share one name (the same thought, another hint)
    hint        the line of thought to change, from which a newcomer can mend it; no code
    functions   the wrong implementation, or several with different outcomes, with the exercise's own arguments
    convention  True: valid elsewhere, and not what this exercise asks for
    """
    def __init__(self, name, hint, *functions, convention=False):
        self.name, self.hint, self.functions, self.convention = name, hint, functions, convention


PARTS = ("cell", "backward pass", "loss", "attention", "decoding", "clipping")


@dataclass(frozen=True)
class Exercise:
    """One exercise. The text, the hints, the minutes and the solution stand in solutions/.

    id, title  "4.3", "the LSTM cell"
    lesson     the stem of its notebooks, "04_lstm"
    points     what it counts when graded, all or nothing
    function   the name the learner defines
    signature  its arguments and results with their shapes: "(c_prev (B, H), f (B, H)) -> c_t (B, H)"
    cases      called with a numpy Generator; returns a list of argument tuples
    reference  the right answer, with the same arguments
    mistakes   the known mistakes, each of which `judge` rejects and names
    seconds    the time limit of one call
    accept     for an exercise judged by a property: called as accept(args, value), returns the problem
               in words or None. A known mistake is then one whose own value has the same problem.
    about      what is special in a case, "" where nothing is; in the order of cases
    helpers    what a submission may import from the library while it is graded, "layers.sigmoid": what the
               exercise's notebook shows in its helper cell. Every other name raises ImportError there
    part       the part of a network that the function can serve as, one of PARTS; "" where none
    onward     one sentence that takes the learner on, once it has passed
    shortest   the shortest or fastest answer that we know, as code
    """
    id: str
    title: str
    lesson: str
    points: int
    function: str
    signature: str
    cases: Callable
    reference: Callable
    mistakes: tuple[Mistake, ...] = ()
    seconds: float = 5.0
    accept: Callable | None = None
    about: tuple[str, ...] = ()
    helpers: tuple[str, ...] = ()
    part: str = ""
    onward: str = ""
    shortest: str = ""

    @property
    def arguments(self):
        """The arguments in order: name -> shape ("B", "T", "D"), dict of shapes, or None."""
        return shapes_in(self.signature.split("->")[0].strip()[1:-1])

    @property
    def returns(self):
        """The results in order, as `arguments`."""
        return shapes_in(self.signature.split("->")[1])


@dataclass(frozen=True)
class Outcome:
    """What one call of the learner's function came to.

    value        what it returned
    error        why it returned nothing, in words: "ValueError: …", the time limit, …
    changed      names of the arguments that it changed in place
    printed      what it printed
    not_started  True: it is still the stub
    warned       NumPy's warnings on the way
    """
    value: object = None
    error: str | None = None
    changed: tuple[str, ...] = ()
    printed: str = ""
    not_started: bool = False
    warned: str = ""


@dataclass(frozen=True)
class Verdict:
    """What `judge` and `check` say: passed or not, why, and the known mistake it was (or None).

    onward and shortest are those of the Exercise; `check` adds them where it has passed.
    """
    id: str
    passed: bool
    message: str
    mistake: str | None = None
    started: bool = True
    onward: str = ""
    shortest: str = ""

    @property
    def state(self):
        return "passed" if self.passed else "not yet" if self.started else "not started"

    def __str__(self):
        return "\n".join(filter(None, [f"Exercise {self.id}: {self.state}", self.message, self.onward]))

    def _repr_html_(self):
        color = {"passed": "#007d5a", "not yet": "#d55e00", "not started": "#7d848b"}[self.state]
        lines = "".join(f"<div style='margin-top:.4em; white-space:pre-wrap'>{marked_up(line)}</div>"
                        for line in "\n".join(filter(None, [self.message, self.onward])).split("\n"))
        if self.shortest:
            lines += (f"<details style='margin-top:.4em'><summary>The shortest answer that we know</summary>"
                      f"<pre style='margin:.4em 0'>{escape(self.shortest)}</pre></details>")
        return (f"<div style='border-left:4px solid {color}; padding:.2em .9em; max-width:52em'>"
                f"<b>Exercise {escape(self.id)}: {self.state}</b>{lines}</div>")


def marked_up(text):
    """A line as HTML: `code` and *stress* as such, everything else as the text it is."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
    return re.sub(r"(?<![\w*])\*(\w[\w ]*\w)\*(?![\w*])", r"<em>\1</em>", text)


def shapes_in(text):
    """"x (B, D), params {b (H,)}, V" -> {"x": ("B", "D"), "params": {"b": ("H",)}, "V": None}"""
    found = {}
    for name, shape in re.findall(r"(\w+)(?:\s*(\([^()]*\)|\{[^{}]*\}))?", text):
        if shape.startswith("{"):
            found[name] = shapes_in(shape[1:-1])
        else:
            found[name] = tuple(n.strip() for n in shape[1:-1].split(",") if n.strip()) if shape else None
    return found


def sizes_of(exercise, args):
    """What the letters of the signature stand for in this case: {"B": 3, "T": 4, …}."""
    sizes = {}

    def collect(name, shape, value):
        if isinstance(shape, dict):
            for key in shape:
                collect(key, shape[key], value[key])
        elif shape is not None:
            sizes.update({letter: n for letter, n in zip(shape, np.shape(value), strict=True) if letter.isidentifier()})
        elif name[0].isupper():
            sizes[name] = int(value)

    for (name, shape), value in zip(exercise.arguments.items(), args, strict=True):
        collect(name, shape, value)
    return sizes


def in_letters(shape, sizes):
    """A shape as the signature would write it, "(B, T, 4H)"; None where a size is nobody's."""
    names = {n + 1: f"{letter} + 1" for letter, n in sizes.items() if letter.startswith("T")}
    names |= {k * n: f"{k}{letter}" for letter, n in sizes.items() if letter == "H" for k in (3, 4, 2)}
    names |= {n: letter for letter, n in sizes.items()}
    names[1] = "1"
    letters = [names.get(n) for n in shape]
    return None if None in letters else f"({', '.join(letters)}{',' * (len(letters) == 1)})"
