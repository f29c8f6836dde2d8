"""Live figures: gates, gradients and attention of the lessons, to be moved by the learner.

    gate_explorer       a sentence word by word through a cell; every gate can be clamped
    gradient_explorer   what fraction of a gradient survives, by lag, as a setting of the network changes
    attention_explorer  which words of the source a written word looks at, for your own sentences too

Python computes, with the library's own functions; the drawing is JavaScript (`*.mjs` here, plain modules,
held to Python's numbers by the tests) and asks Python for nothing while you move. Where no widget
runs (a printed page, GitHub), the picture and the sentence that come along are shown instead.
"""

import os
import pathlib
import re

import anywidget
import numpy as np
import traitlets

from lstmcourse import plots
from lstmcourse.data.pizza import WORDS, encode
from lstmcourse.lab.interventions import run_clamped
from lstmcourse.recurrent import kind_of

FOLDER = pathlib.Path(__file__).parent


def _module(*names):
    """The files of an explorer as one JavaScript module, since a widget is sent as one."""
    joined = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)
    return re.sub(r"^import .*$", "", joined, flags=re.MULTILINE)


class _Explorer(anywidget.AnyWidget):
    """A live figure that brings a still one along, for where nothing is live."""

    _css = (FOLDER / "explorers.css").read_text(encoding="utf-8")

    def _repr_mimebundle_(self, **kwargs):
        bundle = {"text/plain": self.sentence, "image/svg+xml": plots.save(self.still, "svg", letters="none").decode(),
                  "image/png": plots.save(self.still, "png")}          # JupyterLab shows no SVG that it does not trust
        if os.environ.get("LSTMCOURSE_STILL"):           # for saved notebooks: a widget lives in one session only
            return bundle
        live, _ = super()._repr_mimebundle_(**kwargs)
        return live | bundle

    def _ipython_display_(self):
        from IPython.display import Markdown, display
        display(self._repr_mimebundle_(), raw=True, metadata=plots.png_size(self.still))
        display(Markdown(f"*{self.sentence}*"))


class GateExplorer(_Explorer):
    """See `gate_explorer`. The traits follow what the learner does: word, unit, clamped."""

    _esm = _module("cells.mjs", "page.mjs", "gates.mjs")
    words = traitlets.List().tag(sync=True)
    networks = traitlets.List().tag(sync=True)
    answer_at = traitlets.List().tag(sync=True)
    network = traitlets.Int(0).tag(sync=True)
    word = traitlets.Int(0).tag(sync=True)
    unit = traitlets.Int(0).tag(sync=True)
    clamped = traitlets.Dict().tag(sync=True)            # "step gate unit" -> value


class GradientExplorer(_Explorer):
    """See `gradient_explorer`. The traits follow what the learner does: family, setting, lag."""

    _esm = _module("page.mjs", "gradient.mjs")
    knob = traitlets.Unicode().tag(sync=True)
    xlabel = traitlets.Unicode().tag(sync=True)
    families = traitlets.List().tag(sync=True)
    family = traitlets.Int(0).tag(sync=True)
    setting = traitlets.Int(0).tag(sync=True)
    lag = traitlets.Int(0).tag(sync=True)


class AttentionExplorer(_Explorer):
    """See `attention_explorer`. A typed sentence is the one thing that asks Python: `request`, then `response`."""

    _esm = _module("page.mjs", "attention.mjs")
    examples = traitlets.List().tag(sync=True)
    request = traitlets.Dict().tag(sync=True)
    response = traitlets.Dict().tag(sync=True)

    @traitlets.observe("request")
    def _translate(self, change):
        text, number = " ".join(change["new"]["text"].lower().split()), change["new"]["number"]
        try:
            if not text:
                raise ValueError("type a sentence first")
            self.response = {"number": number, "shown": self.look(text)}
        except ValueError as error:                      # an unknown word, said in the words of the vocabulary
            self.response = {"number": number, "error": str(error)}


def gate_explorer(words, x=None, answer_at=(), **networks):
    """A sentence word by word through a cell, with sliders that clamp its gates: of one unit, or of all of them.

    words      the sentence, as a string or a list of T words
    x          (T, D)   what the networks get; left out: one-hot rows of the words in data.pizza.WORDS
    answer_at  indices of the words at which the answer of a trained network is shown
    networks   name=(params, units): an LSTM, a GRU or an RNN, or a trained network as `init_network`
               makes it, whose outputs are the words in data.pizza.WORDS; and a name for each of its
               H units, or a dict {unit: name} of those to be shown

    Returns a widget; `.runs` holds for each name what `run_clamped` returns. Put it last in a cell to see it.
    Raises ValueError for no network; for units, outputs or rows of x that are not as many as they
    should be; for a unit or a word that does not exist.
    """
    words = words.split() if isinstance(words, str) else list(words)
    x = np.eye(len(WORDS))[encode(" ".join(words))] if x is None else np.asarray(x, float)
    if x.ndim != 2 or len(x) != len(words):
        raise ValueError(f"x has the shape {x.shape}; wanted a row for each of the {len(words)} words")
    if not networks:
        raise ValueError("no network given; wanted for example LSTM=(params, units)")
    if not set(answer_at) <= set(range(len(words))):
        raise ValueError(f"answer_at is {tuple(answer_at)}; wanted indices of words, 0 to {len(words) - 1}")
    described = [_described(name, params, units, x) for name, (params, units) in networks.items()]
    runs = {name: run_clamped(x, params.get("recurrent", params)) for name, (params, _) in networks.items()}
    first = described[0]
    widget = GateExplorer(words=words, networks=described, answer_at=[int(t) for t in answer_at],
                          unit=first["shown"][0])
    widget.runs = runs
    widget.sentence = (f"Gate explorer: the states of {_listed(networks)} after each word of "
                       f"'{' '.join(words)}'. Live in JupyterLab: step through the words and clamp the gates.")
    widget.still = _state_heatmap(described, runs, words)
    return widget


def _listed(names):
    """Networks by name: "the LSTM, the GRU and the RNN"."""
    *others, last = (f"the {name}" for name in names)
    return f"{', '.join(others)} and {last}" if others else last


def _described(name, params, units, x):
    """One network of a gate explorer as plain lists, as the JavaScript takes it; ValueError where it does not fit."""
    params, linear = params.get("recurrent", params), params.get("linear")
    H = params["W_hh"].shape[1]
    if not isinstance(units, dict):
        if len(units) != H:
            raise ValueError(f"{name} has {len(units)} units named; wanted {H}, the columns of W_hh")
        units = dict(enumerate(units))
    if not units or not set(units) <= set(range(H)):
        raise ValueError(f"{name} has the units {list(units)}; wanted at least one, of 0 to {H - 1}")
    if linear and len(linear["W"]) != len(WORDS):
        raise ValueError(f"{name} has {len(linear['W'])} outputs; wanted {len(WORDS)}, the words in data.pizza")
    return {"name": name, "kind": kind_of(params), "size": H,
            "units": list(units.values()), "shown": [int(unit) for unit in units],
            "a": (x @ params["W_ih"].T + params["b_ih"]).tolist(), "W_hh": params["W_hh"].tolist(),
            "b_hh": params["b_hh"].tolist(),
            "linear": linear and {"W": linear["W"].tolist(), "b": linear["b"].tolist(), "names": list(WORDS)}}


def _state_heatmap(described, runs, words):
    """The still figure of a gate explorer: the states of every network over the words, of its first four units."""
    labels, values = [], []
    for network in described:
        units = list(zip(network["shown"], network["units"], strict=True))[:4]
        run = runs[network["name"]]
        for state in ("c", "h"):
            if state in run:
                labels += [f"{network['name']} {state}: {name}" for _, name in units]
                values += [run[state][:, unit] for unit, _ in units]
    return plots.heatmap(values, labels, list(words), "state after each word", symmetric=1.0)


def gradient_explorer(families, knob, xlabel="lag (steps back)"):
    """Gradient norm by lag, on a log scale, as a setting of the network changes.

    families  dict: name of a network -> dict: setting of the knob -> curve (L,), the fraction of the gradient
              left at lag 0 … L - 1, from the library's own backward
    knob      what is turned, for example "spectral radius"

    Returns a widget; put it last in a cell to see it.
    Raises ValueError for curves of unequal length, or values that are negative or not finite.
    """
    curves = [np.asarray(curve, float) for family in families.values() for curve in family.values()]
    if not curves:
        raise ValueError("families is empty; wanted at least one network with at least one curve")
    shapes = sorted({curve.shape for curve in curves})
    if len(shapes) > 1 or curves[0].ndim != 1:
        raise ValueError(f"families has curves of the shapes {shapes}; wanted one (L,)")
    if not all(np.isfinite(curve).all() and (curve >= 0).all() for curve in curves):
        raise ValueError("families has a curve with a negative number, an infinity or a NaN; wanted fractions")
    widget = GradientExplorer(knob=knob, xlabel=xlabel, lag=(len(curves[0]) - 1) // 2, families=[
        {"name": name, "settings": list(family),
         "curves": [[float(f"{fraction:.4g}") for fraction in curve] for curve in family.values()]}
        for name, family in families.items()])
    widget.sentence = (f"Gradient explorer: the fraction of a gradient that survives, by lag, for each {knob}. "
                       "Live in JupyterLab: move the sliders to read any lag.")
    some, chosen = max(1, 6 // len(families)), {}
    for name, family in families.items():
        settings = list(family)
        for k in np.unique(np.linspace(0, len(settings) - 1, some).round().astype(int)):
            chosen[f"{name}, {settings[k]}" if len(families) > 1 else str(settings[k])] = family[settings[k]]
    widget.still = plots.curves(np.arange(len(curves[0])), chosen, xlabel, "fraction left", logy=True)
    return widget


def attention_explorer(translate, sentences, gold=None):
    """A translated sentence: for each written word, the source words it looks at, gold links beside them.

    translate  function: sentence (str) -> words (list of T_tgt str), alpha (T_tgt, T_src); a ValueError,
               for example for an unknown word, is shown to the learner who typed the sentence
    sentences  list of str: what can be chosen without typing
    gold       function: sentence -> something with .english, .sure and .possible, as data.hindi has; a
               ValueError: no gold alignment is known. Links are shown where the translation is the gold one

    Returns a widget; put it last in a cell to see it.
    Raises ValueError for no sentences, or an alpha of the wrong shape.
    """
    def look(sentence):
        target, alpha = translate(sentence)
        source, alpha = sentence.split(), np.asarray(alpha, float)
        if alpha.shape != (len(target), len(source)):
            raise ValueError(f"alpha has the shape {alpha.shape}; wanted {(len(target), len(source))}, "
                             "a row for each written word and a column for each source word")
        shown = {"source": source, "target": list(target), "alpha": alpha.round(4).tolist(), "gold": False,
                 "sure": [], "possible": []}
        try:
            pair = gold(sentence) if gold else None
        except ValueError:
            pair = None
        if pair is not None and pair.english.split() == shown["target"]:
            shown |= {"gold": True, "sure": sorted(map(list, pair.sure)), "possible": sorted(map(list, pair.possible))}
        return shown

    if not sentences:
        raise ValueError("sentences is empty; wanted at least one")
    widget = AttentionExplorer(examples=[look(sentence) for sentence in sentences])
    widget.look = look
    first = widget.examples[0]
    widget.sentence = (f"Attention explorer: for each word of '{' '.join(first['target'])}', its weight on each "
                       f"word of '{' '.join(first['source'])}'. Live in JupyterLab: choose a word, or type your own "
                       "sentence.")
    widget.still = plots.heatmap(first["alpha"], [_with_gold(first, k) for k in range(len(first["target"]))],
                                 first["source"], "attention weight")
    return widget


def _with_gold(shown, k):
    """The k-th written word of a translated sentence, with the source words that gold links it to."""
    sure = [shown["source"][s] for target, s in shown["sure"] if target == k]
    return f"{shown['target'][k]} (gold: {', '.join(sure)})" if sure else shown["target"][k]
