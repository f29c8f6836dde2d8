"""The figures of the lessons: arrays in, a matplotlib Figure out.

Every figure is shown by `show(fig, caption)`: the caption says in words what there is to see, and
is what a screen reader gets. Colours are Okabe and Ito's, safe for colour blindness, and always
come with a label, a marker or a dash. A figure brings its own light paper, so it reads the same
in the light and in the dark theme. A gate has one colour in the whole course: COLOR["f"].
"""

import io

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle
from PIL import Image

PAPER, INK, FAINT = "#fdfdfb", "#1f2328", "#c9cdd2"
COLOR = {"i": "#0072b2", "f": "#c25200", "g": "#007d5a", "o": "#a0558a", "c": "#1f2328", "h": "#4c78a8",
         "r": "#0072b2", "z": "#c25200", "n": "#007d5a", "encoder": "#0072b2", "decoder": "#c25200",
         "d": "#b3261e"}                                                            # d: a gradient
SERIES = ("#0072b2", "#c25200", "#007d5a", "#a0558a", "#8a6d00", "#4d4d4d")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)), (0, (1, 1)))
STYLE = {
    "figure.facecolor": PAPER, "axes.facecolor": PAPER, "savefig.facecolor": PAPER, "figure.dpi": 96,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": "#7d848b", "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e6e8eb",
    "font.size": 10, "axes.titlesize": 11, "axes.titlelocation": "left", "lines.linewidth": 1.8,
    "svg.hashsalt": "lstmcourse", "figure.constrained_layout.use": True,
}


def show(fig, caption, vector=False):
    """Display fig with its caption below, in the notebook.

    caption  one or two sentences: what the figure shows, in words
    vector   True for drawings: sharp at any zoom (SVG); where SVG is not shown, a PNG
    """
    from IPython.display import Markdown, display
    if not caption.strip():
        raise ValueError("caption is empty; wanted a sentence that says what the figure shows")
    bundle = {"text/plain": caption, "image/png": save(fig, "png", dpi=96 if vector else 160)}
    if vector:
        bundle["image/svg+xml"] = save(fig, "svg").decode()
    display(bundle, raw=True, metadata=png_size(fig))
    display(Markdown(f"*{caption}*"))


def png_size(fig):
    """Output metadata that shows a PNG of any resolution at the figure's own width."""
    return {"image/png": {"width": int(fig.get_size_inches()[0] * 96)}}


def save(fig, kind, dpi=96, letters="path"):
    """The figure as bytes of a PNG or SVG file; the same figure gives the same bytes.

    letters  of an SVG: "path" draws them, "none" writes them as text (smaller, in the reader's font)
    """
    buffer = io.BytesIO()
    with rc_context(STYLE | {"svg.fonttype": letters, "font.sans-serif": ["DejaVu Sans", "sans-serif"]}):
        fig.savefig(buffer, format=kind, dpi=dpi, metadata={"Date": None} if kind == "svg" else None)
    if kind == "png":                                      # 64 colours are enough: a third of the size
        image = Image.open(buffer).convert("RGB").quantize(64, dither=Image.Dither.NONE)
        buffer = io.BytesIO()
        image.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def new_figure(width=6.6, height=3.0, columns=1, **subplots):
    """A Figure in the course's style and its axes (an array of them where columns > 1)."""
    with rc_context(STYLE):
        fig = Figure(figsize=(width, height))
        axes = fig.subplots(1, columns, **subplots)
    return fig, axes


def curves(x, ys, xlabel, ylabel, logy=False, band=None, marker=None):
    """Lines over a common x, each named at its right end.

    x     (N,)
    ys    dict: name -> (N,)
    band  dict: name -> (low (N,), high (N,)), drawn as a shade behind the line of that name
    """
    fig, ax = new_figure()
    ends = []
    for k, (name, y) in enumerate(ys.items()):
        y = np.asarray(y, float)
        color = COLOR.get(name, SERIES[k % len(SERIES)])
        if band and name in band:
            ax.fill_between(x, *band[name], color=color, alpha=0.15, linewidth=0)
        ax.plot(x, y, color=color, linestyle=DASHES[k % len(DASHES)], label=name, marker=marker, markersize=4)
        seen = np.flatnonzero(np.isfinite(y) & ((y > 0) | (not logy)))
        if len(seen):
            ends.append((y[seen[-1]], name, color))
    ax.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if logy else "linear")
    if len(ys) > 1:
        _name_at_end(ax, ends, logy)
    return fig


def _name_at_end(ax, ends, logy):
    """Names to the right of the axes, at the heights of the line ends, pushed apart where they collide."""
    low, high = ax.get_ylim()
    scale = np.log10 if logy else (lambda v: v)
    spots = sorted(((scale(y) - scale(low)) / (scale(high) - scale(low)), name, color) for y, name, color in ends)
    at = -1.0
    for spot, name, color in spots:
        at = max(spot, at + 0.085)
        ax.annotate(name, (1, spot), xytext=(1.03, at), xycoords="axes fraction", textcoords="axes fraction",
                    color=color, va="center", annotation_clip=False)


def heatmap(values, rows, columns, label, symmetric=False, numbers=True):
    """A table of numbers as colours, the numbers printed in it.

    values     (len(rows), len(columns)); NaN is left blank
    label      what a number is, below the columns
    symmetric  True: colours run from -max to max, for values of both signs; a number: from minus it to it, and
               what is larger is as dark; else from 0 to 1
    """
    values = np.asarray(values, float)
    cell = 0.55 if max(map(len, columns)) < 5 else 0.72
    fig, ax = new_figure(width=max(3.2, 1.4 + cell * len(columns)), height=0.9 + 0.34 * len(rows))
    most = max(np.nanmax(np.abs(values)), 1e-12) if symmetric is True else symmetric
    top = 1.4 * most if symmetric else 1.0                  # no colour darker than need be
    ax.imshow(values, cmap="PuOr" if symmetric else "Blues", vmin=-top if symmetric else 0, vmax=top, aspect="auto")
    ax.set_xticks(range(len(columns)), columns, rotation=0 if max(map(len, columns)) < 9 else 30)
    ax.set_yticks(range(len(rows)), rows)
    ax.grid(False)
    ax.set_xlabel(label)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.tick_params(length=0)
    if numbers:
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                dark = abs(value) / top > 0.6
                ax.text(column, row, f"{round(value, 2) + 0.0:.2f}", ha="center", va="center", fontsize=8.5,
                        color="white" if dark else INK)
    return fig


def seeds(groups, ylabel, logy=False, threshold=None):
    """Every run of an experiment as a dot, the groups side by side, their medians as a bar.

    groups     dict: name -> values of its runs, in any order; groups have one colour whose names are the
               same up to the first comma
    threshold  a height to draw a line at, such as "solved"
    """
    fig, ax = new_figure(width=max(4.2, 0.9 + 1.05 * len(groups)))
    kinds = list(dict.fromkeys(name.split(",")[0] for name in groups))
    for k, (name, values) in enumerate(groups.items()):
        values, color = np.sort(np.asarray(values, float)), SERIES[kinds.index(name.split(",")[0]) % len(SERIES)]
        ax.plot(k + np.linspace(-0.16, 0.16, len(values)), values, "o", color=color, markersize=5)
        ax.plot([k - 0.28, k + 0.28], [np.median(values)] * 2, color=INK, linewidth=1.4)
    if threshold is not None:
        ax.axhline(threshold, color=INK, linewidth=1, linestyle=":")
    ax.set(ylabel=ylabel, yscale="log" if logy else "linear", xlim=(-0.6, len(groups) - 0.4))
    ax.set_xticks(range(len(groups)), [name.replace(", ", "\n") for name in groups], fontsize=8.5)
    ax.grid(False, axis="x")
    return fig


def over_words(words, ys, ylabel, band=None, marked=()):
    """Gates over the words of a sentence, from shut (0) to open (1); several lines are named at their ends.

    words   list of N words
    ys      dict: name -> (N,); named i, f, g or o it has the gate's colour
    band    as in `curves`
    marked  positions of words to stand on a shade
    """
    fig = curves(np.arange(len(words)), ys, "", ylabel, band=band, marker="o")
    fig.set_size_inches(max(5.0, 1.6 + 0.27 * len(words)), 2.9)
    ax, = fig.axes
    for position in marked:
        ax.axvspan(position - 0.5, position + 0.5, color="#e9ebee", zorder=0, linewidth=0)
    ax.set_ylim(0, 1)
    ax.set_xticks(range(len(words)), words, rotation=60, ha="right", rotation_mode="anchor", fontsize=8.5)
    return fig


# Drawings of the cells. Coordinates are in inches; boxes and arrows carry the names of the equations.

class _Sketch:
    """A blank sheet with boxes, dots and arrows; parts that are not `lit` are drawn faint."""

    def __init__(self, width, height, lit=None):
        self.fig, self.ax = new_figure(width, height)
        self.ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
        self.ax.axis("off")
        self.lit = lit

    def color(self, part):
        on = self.lit is None or part is None or part in self.lit
        return COLOR.get(part, INK) if on else FAINT

    def box(self, x, y, text, part, width=0.62, height=0.4):
        color = self.color(part)
        self.ax.add_patch(FancyBboxPatch((x - width / 2, y - height / 2), width, height, zorder=3,
                                         boxstyle="round,pad=0,rounding_size=0.08", fc=PAPER, ec=color, lw=1.8))
        self.ax.text(x, y, text, ha="center", va="center", color=color, fontsize=11, zorder=4)

    def dot(self, x, y, sign, part):
        color = self.color(part)
        self.ax.add_patch(Circle((x, y), 0.17, fc=PAPER, ec=color, lw=1.8, zorder=3))
        self.ax.text(x, y - 0.005, sign, ha="center", va="center", color=color, fontsize=13, zorder=4)

    def line(self, points, part, arrow=True, width=1.6, dash="-"):
        color = self.color(part)
        *start, last = points
        xs, ys = zip(*start, strict=True)
        self.ax.plot(xs, ys, color=color, lw=width, solid_capstyle="round", solid_joinstyle="round", zorder=2, ls=dash)
        self.ax.add_patch(FancyArrowPatch(start[-1], last, arrowstyle="-|>" if arrow else "-", mutation_scale=11,
                                          shrinkA=0, shrinkB=0, color=color, lw=width, zorder=2, ls=dash))

    def text(self, x, y, text, part=None, **kwargs):
        self.ax.text(x, y, text, color=self.color(part), **{"ha": "center", "va": "center", "fontsize": 11} | kwargs)


def rnn_cell():
    """The vanilla RNN cell: x_t and h_{t-1} meet in one sum, tanh makes h_t of it."""
    s = _Sketch(5.6, 2.5)
    s.text(0.45, 1.4, "$h_{t-1}$")
    s.line([(0.75, 1.4), (1.55, 1.4)], None)
    s.box(1.95, 1.4, "$W_{hh}$", None, width=0.8)
    s.line([(2.35, 1.4), (2.83, 1.4)], None)
    s.dot(3.0, 1.4, "+", None)
    s.line([(3.17, 1.4), (3.6, 1.4)], None)
    s.box(3.95, 1.4, "tanh", None, width=0.7)
    s.line([(4.3, 1.4), (5.0, 1.4)], None)
    s.text(5.25, 1.4, "$h_t$")
    s.line([(3.0, 0.22), (3.0, 0.4)], None, arrow=False)
    s.text(3.0, 0.12, "$x_t$")
    s.line([(3.0, 0.3), (3.0, 0.48)], None)
    s.box(3.0, 0.68, "$W_{ih}$", None, width=0.8)
    s.line([(3.0, 0.88), (3.0, 1.23)], None)
    s.line([(2.2, 2.1), (2.88, 1.55)], None)
    s.text(1.85, 2.22, "$b_{ih} + b_{hh}$")
    return s.fig


def rnn_unrolled(words):
    """The same RNN cell at every word of a sentence, the state handed from left to right.

    words  list of str; a box for each, and a prediction above it
    """
    n, step = len(words), 1.06
    s = _Sketch(step * n + 0.9, 2.2)
    for t, word in enumerate(words):
        x = 0.95 + step * t
        s.text(x, 0.15, word, fontsize=9.5)
        s.line([(x, 0.32), (x, 0.88)], None)
        s.box(x, 1.1, "RNN", "h", width=0.66, height=0.44)
        s.line([(x, 1.32), (x, 1.82)], None)
        s.text(x, 2.02, f"$p_{{{t + 1}}}$", fontsize=10)
        s.line([(x - step + 0.33 if t else x - 0.72, 1.1), (x - 0.33, 1.1)], "h")
        s.text(x - step / 2 - (0.03 if t else 0), 1.27, f"$h_{{{t}}}$", "h", fontsize=9)
    return s.fig


def lstm_cell(lit=None):
    """The LSTM cell: the belt on top, four gates below, the reading on the right.

    lit  names of the parts to draw in colour, of "f", "i", "g", "o", "c", "read", "h"; None: all
    """
    s = _Sketch(7.4, 3.75, lit)
    belt, gates, joined = 3.0, 1.25, 0.45
    xs = {"f": 1.75, "i": 2.85, "g": 3.75, "o": 4.85}
    s.line([(0.62, belt), (1.58, belt)], "c", width=3)                       # the belt
    s.dot(1.75, belt, "×", "f")
    s.line([(1.92, belt), (3.13, belt)], "c", width=3)
    s.dot(3.3, belt, "+", "i")
    s.line([(3.47, belt), (6.75, belt)], "c", width=3)
    s.text(0.32, belt, "$c_{t-1}$", "c")
    s.text(7.03, belt, "$c_t$", "c")
    s.line([(0.62, joined), (xs["o"], joined)], None, arrow=False)           # what every gate sees
    s.text(0.3, joined, "$h_{t-1}$")
    s.line([(1.05, 0.18), (1.05, joined)], None, arrow=False)
    s.text(1.05, 0.06, "$x_t$")
    for part, text in (("f", r"$\sigma$"), ("i", r"$\sigma$"), ("g", "tanh"), ("o", r"$\sigma$")):
        s.line([(xs[part], joined), (xs[part], gates - 0.2)], part)
        s.box(xs[part], gates, text, part)
        s.text(xs[part] + 0.17, gates + 0.42, f"${part}$", part, fontsize=12)
    s.line([(xs["f"], gates + 0.2), (xs["f"], belt - 0.17)], "f")
    s.dot(3.3, 2.15, "×", "i")
    s.line([(xs["i"], gates + 0.2), (xs["i"], 2.15), (3.13, 2.15)], "i")
    s.line([(xs["g"], gates + 0.2), (xs["g"], 2.15), (3.47, 2.15)], "g")
    s.line([(3.3, 2.32), (3.3, belt - 0.17)], "i")
    s.box(5.9, 2.4, "tanh", "read")
    s.line([(5.9, belt), (5.9, 2.6)], "read")
    s.dot(5.9, gates, "×", "o")
    s.line([(5.9, 2.2), (5.9, gates + 0.17)], "read")
    s.line([(xs["o"] + 0.31, gates), (5.73, gates)], "o")
    s.line([(5.9, gates - 0.17), (5.9, joined), (6.75, joined)], "h")
    s.text(7.03, joined, "$h_t$", "h")
    s.text(xs["f"], belt + 0.42, "keep", "f", fontsize=10)
    s.text(3.3, belt + 0.42, "write", "i", fontsize=10)
    s.text(6.25, 1.05, "read", "o", fontsize=10)
    return s.fig


def bptt(words, cut=()):
    """The unrolled RNN with both directions: forward arrows solid, gradients dashed and backward.

    words  list of str; a box for each, a loss above it
    cut    step numbers t (1 is the first word): the gradient from step t + 1 to step t is cut off there
    """
    n, step = len(words), 1.5
    s = _Sketch(step * n + 1.1, 2.75)
    for t, word in enumerate(words, 1):
        x = 1.35 + step * (t - 1)
        left = x - step + 0.33 if t > 1 else x - 0.95
        s.text(x, 0.15, word, fontsize=9.5)
        s.box(x, 1.4, "RNN", "h", width=0.66, height=0.5)
        s.text(x, 2.6, f"$L_{{{t}}}$", fontsize=11)
        s.line([(left, 1.53), (x - 0.33, 1.53)], "h")
        s.text((left + x - 0.33) / 2, 1.7, f"$h_{{{t - 1}}}$", "h", fontsize=9)
        s.line([(x - 0.12, 0.34), (x - 0.12, 1.15)], None)
        s.line([(x - 0.12, 1.65), (x - 0.12, 2.42)], "h")
        s.line([(x + 0.12, 2.42), (x + 0.12, 1.65)], "d", dash="--")
        s.text(x + 0.17, 2.03, f"$dh_{{{t}}}$", "d", fontsize=9, ha="left")
        s.line([(x + 0.12, 1.15), (x + 0.12, 0.34)], "d", dash="--")
        s.text(x + 0.17, 0.75, f"$dx_{{{t}}}$", "d", fontsize=9, ha="left")
        if t - 1 in cut:
            s.text((left + x - 0.33) / 2, 1.27, "✂", "d", fontsize=15)
        else:
            s.line([(x - 0.33, 1.27), (left, 1.27)], "d", dash="--")
            s.text((left + x - 0.33) / 2, 1.09, "$dh_{next}$" if t > 1 else "$dh_0$", "d", fontsize=9)
    return s.fig


def encoder_decoder(source, target, write=True):
    """The encoder over the source words, the decoder over the target words, one state between the two.

    source, target  lists of str; the decoder's inputs are <bos> and the target, its outputs the target and <eos>
    write           True: the decoder writes alone, each word goes back in as the next input; False: teacher
                    forcing, the inputs are the true words, whatever came out
    """
    step, y, n = 0.83, 1.25, len(source)
    s = _Sketch(step * (n + len(target) - 1) + 2.4, 2.75)
    inputs, outputs = ["<bos>", *target], [*target, "<eos>"]
    xs = [0.45 + step * k for k in range(n)]
    s.text((xs[0] + xs[-1]) / 2, y + 0.52, "encoder reads", "encoder", fontsize=10)
    for x, word in zip(xs, source, strict=True):
        s.text(x, 0.3, word, fontsize=9.5)
        s.line([(x, 0.48), (x, y - 0.22)], None)
        s.box(x, y, "LSTM", "encoder", width=0.6, height=0.44)
    ts = [xs[-1] + 1.5 + step * k for k in range(len(inputs))]
    s.text((xs[-1] + ts[0]) / 2, y + 0.24, "last state", "h", fontsize=9.5)
    for left, right in zip([*xs, *ts[:-1]], [*xs[1:], *ts], strict=True):
        s.line([(left + 0.3, y), (right - 0.3, y)], "h", width=3 if (left, right) == (xs[-1], ts[0]) else 1.6)
    for k, (x, word, out) in enumerate(zip(ts, inputs, outputs, strict=True)):
        s.text(x, 0.3, word, fontsize=9.5)
        s.line([(x, 0.48), (x, y - 0.22)], None)
        s.box(x, y, "LSTM", "decoder", width=0.6, height=0.44)
        s.line([(x, y + 0.22), (x, 2.05)], None)
        s.text(x, 2.22, out, fontsize=9.5)
        if write and k + 1 < len(ts):                      # what was written goes in at the next step
            half = x + step / 2
            s.line([(x + 0.28, 2.2), (half, 2.05), (half, 0.62), (ts[k + 1] - 0.3, 0.4)], None, width=0.9)
    s.text((ts[0] + ts[-1]) / 2, 2.58, "decoder writes: greedy, alone" if write else
           "decoder in training: given the true words", "decoder", fontsize=10)
    return s.fig


# Attention

def alignment(alpha, target, source, sure=frozenset(), possible=frozenset()):
    """Who looks at whom, as a table of weights, with the gold links framed.

    alpha           (len(target), len(source))  weights. The largest of a row is bold; in a table of more than
                    8 columns what is below 0.05 is not printed
    target, source  lists of words: rows (written) and columns (looked at)
    sure, possible  sets of (row, column): framed by a full line, and by a dashed one
    """
    alpha = np.asarray(alpha, float)
    fig = heatmap(alpha, target, source, "")
    ax = fig.axes[0]
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    wide = len(source) > 8
    if wide:
        fig.set_size_inches(1.4 + 0.47 * len(source), 1.1 + 0.34 * len(target))
        for label in ax.get_xticklabels():
            label.set(rotation=45, ha="left", rotation_mode="anchor")
    for text in list(ax.texts):
        column, row = map(int, text.get_position())
        if alpha[row, column] == alpha[row].max():
            text.set_fontweight("bold")
        elif wide and alpha[row, column] < 0.05:
            text.remove()
    for links, dash in ((possible - sure, (0, (2.5, 2))), (sure, "-")):
        for row, column in sorted(links):
            ax.add_patch(Rectangle((column - 0.44, row - 0.42), 0.88, 0.84, fill=False, ec=COLOR["f"], lw=1.8, ls=dash))
    return fig


def attention_step(source, written):
    """One step of attention: the decoder's state is compared with every source word, and looks back at them all.

    source   list of words; a column for each
    written  the word that comes out
    """
    n, step = len(source), 1.06
    last, right = 0.65 + step * (n - 1), 0.65 + step * n + 0.75
    s = _Sketch(right + 1.25, 4.1)
    state, score, weight, product, mean = 0.72, 1.5, 2.2, 3.0, 3.7
    for k, word in enumerate(source):
        x = 0.65 + step * k
        s.text(x, 0.14, word, fontsize=10)
        s.line([(x, 0.3), (x, state - 0.2)], None)
        s.box(x, state, f"$h_{{{k + 1}}}$", "h", width=0.56)
        s.line([(x - 0.14, state + 0.2), (x - 0.14, score - 0.17)], None)
        s.dot(x - 0.14, score, "·", "i")
        s.line([(x - 0.14, score + 0.17), (x - 0.14, weight - 0.2)], "i")
        s.line([(x - 0.14, weight + 0.2), (x - 0.14, product - 0.17)], "f")
        s.text(x - 0.34, (weight + product) / 2 + 0.02, rf"$\alpha_{{{k + 1}}}$", "f", fontsize=10)
        s.line([(x + 0.2, state + 0.2), (x + 0.2, product), (x + 0.03, product)], "h")
        s.dot(x - 0.14, product, "×", "f")
        s.line([(x - 0.14, product + 0.17), (x - 0.14, mean)], None, arrow=False)
        if k == 0:
            s.text(x - 0.36, 1.11, "key", fontsize=10)
            s.text(x + 0.46, 1.11, "value", "h", fontsize=10)
    s.box((0.65 + last) / 2 - 0.02, weight, "masked softmax", "i", width=last - 0.65 + 0.84)
    s.line([(0.51, mean), (last + 0.33, mean)], None)
    s.dot(last + 0.5, mean, "+", None)
    s.line([(last + 0.67, mean), (right - 0.35, mean)], None)
    s.text(last + 1.02, mean + 0.17, "context", fontsize=10)
    s.box(right, state, "decoder", None, width=0.95)
    s.line([(right, state + 0.2), (right, mean - 0.2)], None)
    s.text(right + 0.28, (score + mean) / 2, "$h_t$")
    s.line([(right, score), (last + 0.03, score)], "i")
    s.line([(last - 0.31, score), (0.68, score)], "i", arrow=False)
    s.text(right - 0.45, score + 0.17, "query", "i", fontsize=10)
    s.box(right, mean, "mix", None, width=0.7)
    s.line([(right + 0.35, mean), (right + 0.6, mean)], None)
    s.text(right + 0.66, mean, written, fontsize=10, ha="left")
    return s.fig


def gru_cell(lit=None, reset_after=True):
    """The GRU cell: one memory on top, kept by z and written by 1 - z; below, the candidate with its reset gate.

    lit          names of the parts to draw in colour, of "z", "n", "r", "h"; None: all
    reset_after  r stands behind the recurrent product (PyTorch) or, False, before it (Cho et al. 2014)
    """
    s = _Sketch(6.3, 3.75, lit)
    belt, mixing, making, h_rail, x_rail = 3.0, 2.35, 1.7, 0.62, 0.22
    z, r, past, n = 1.75, 2.75, 3.75, 4.75
    s.line([(0.62, belt), (z - 0.17, belt)], "h", width=3)                   # the memory
    s.dot(z, belt, "×", "z")
    s.line([(z + 0.17, belt), (n - 0.17, belt)], "h", width=3)
    s.dot(n, belt, "+", "z")
    s.line([(n + 0.17, belt), (5.75, belt)], "h", width=3)
    s.text(0.32, belt, "$h_{t-1}$", "h")
    s.text(6.0, belt, "$h_t$", "h")
    s.text(0.3, h_rail, "$h_{t-1}$")                                         # what the gates see
    s.text(0.3, x_rail, "$x_t$")
    s.line([(0.62, h_rail), (past, h_rail)], None, arrow=False)
    s.line([(0.62, x_rail), (n, x_rail)], None, arrow=False)
    for part, x in (("z", z), ("r", r)):
        s.line([(x - 0.12, h_rail), (x - 0.12, 1.05)], part)
        s.line([(x + 0.12, x_rail), (x + 0.12, 1.05)], part)
        s.box(x, 1.25, r"$\sigma$", part)
        s.text(x + 0.17 if part == "z" else x - 0.14, 1.62, f"${part}$", part, fontsize=12)
        for dx, rail in ((-0.12, h_rail), (0.12, x_rail)):
            s.ax.add_patch(Circle((x + dx, rail), 0.04, color=s.color(part), zorder=3))
    s.line([(z, 1.45), (z, belt - 0.17)], "z")
    s.line([(z, mixing), (2.44, mixing)], "z")
    s.box(r, mixing, "$1 - z$", "z")
    s.line([(3.06, mixing), (n - 0.17, mixing)], "z")
    s.dot(n, mixing, "×", "z")
    s.line([(n, mixing + 0.17), (n, belt - 0.17)], "z")
    product, reset = (1.15, making) if reset_after else (making, 1.2)
    first, last = (0.95, past + 0.17) if reset_after else (reset - 0.17, past + 0.33)
    s.line([(past, h_rail), (past, first)], "n")
    s.line([(past, product + 0.2), (past, reset - 0.17)] if reset_after else
           [(past, reset + 0.17), (past, product - 0.2)], "n")
    s.box(past, product, "$W_{hn}$", "n", width=0.66)
    s.dot(past, reset, "×", "r")
    s.line([(r + 0.31, 1.25), (past - 0.55, 1.25), (past - 0.55, reset), (past - 0.17, reset)]
           if reset_after else [(r + 0.31, 1.22), (past - 0.17, 1.22)], "r")
    s.line([(last, making), (n - 0.31, making)], "n")
    s.line([(n, x_rail), (n, making - 0.2)], "n")
    s.box(n, making, "tanh", "n")
    s.line([(n, making + 0.2), (n, mixing - 0.17)], "n")
    s.text(n + 0.17, making + 0.36, "$n$", "n", fontsize=12)
    s.text(z, belt + 0.42, "keep", "z", fontsize=10)
    s.text(n, belt + 0.42, "write", "z", fontsize=10)
    s.text(past - 0.42, making + 0.2 if reset_after else 1.42, "reset", "r", fontsize=10)
    return s.fig


# Text as a figure: what a cell held at each character.

def coloured_text(text, values, label):
    """Lines of text, a number behind every character: orange minus, purple plus, white zero.

    text    str of one or more lines
    values  (len(text),) from -1 to 1; those of line ends are not drawn
    label   what a number is, below the text
    """
    lines = text.split("\n")
    grid, at = np.full((len(lines), max(map(len, lines))), np.nan), 0
    for row, line in enumerate(lines):
        grid[row, :len(line)] = values[at:at + len(line)]
        at += len(line) + 1
    fig, ax = new_figure(width=0.3 + 0.084 * grid.shape[1], height=0.5 + 0.2 * len(lines))
    ax.imshow(grid, cmap="PuOr", vmin=-1.4, vmax=1.4, aspect="auto")
    for row, line in enumerate(lines):
        for column, character in enumerate(line):
            if character != " ":
                ax.text(column, row, character, ha="center", va="center", family="monospace", fontsize=8.5,
                        parse_math=False)
    ax.set(xticks=[], yticks=[], xlabel=label)
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return fig
