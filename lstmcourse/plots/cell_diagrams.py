"""Diagrams of the networks: cells and unrolled networks as boxes and arrows.

Coordinates are in inches; boxes and arrows carry the names of the equations.
"""

import functools

from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

from lstmcourse.plots.style import COLOR, FAINT, INK, PAPER, new_figure


class Diagram:
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
    s = Diagram(5.6, 2.5)
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
    s = Diagram(step * n + 0.9, 2.2)
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


def sequence_tasks():
    """Four kinds of tasks, by the steps that get an input and those that give an output."""
    kinds = (("one answer", "class of a text", "111", "001"), ("an answer at each step", "next word", "111", "111"),
             ("one input", "caption of a picture", "100", "111"), ("read, then write", "translation", "11000", "00111"))
    gap, step = 0.55, 0.52
    s = Diagram(0.2 + sum(step * len(ins) for _, _, ins, _ in kinds) + gap * len(kinds), 2.45)
    left = 0.2 + gap / 2
    for name, example, ins, outs in kinds:
        xs = [left + step * (k + 0.5) for k in range(len(ins))]
        middle = (xs[0] + xs[-1]) / 2
        s.text(middle, 2.28, name, fontsize=10.5)
        s.text(middle, 0.1, example, fontsize=9.5)
        for k, x in enumerate(xs):
            s.box(x, 1.15, "", "h", width=0.3, height=0.3)
            if k:
                s.line([(xs[k - 1] + 0.15, 1.15), (x - 0.15, 1.15)], "h")
            if ins[k] == "1":
                s.text(x, 0.43, "$x$", fontsize=10)
                s.line([(x, 0.58), (x, 1.0)], None)
            if outs[k] == "1":
                s.line([(x, 1.3), (x, 1.72)], None)
                s.text(x, 1.9, "$p$", fontsize=10)
        left = xs[-1] + step / 2 + gap
    return s.fig


def lstm_cell(lit=None):
    """The LSTM cell: the cell state on top, three gates and the candidate below, the reading on the right.

    lit  names of the parts to draw in colour, of "f", "i", "g", "o", "c", "read", "h"; None: all
    """
    s = Diagram(7.4, 3.75, lit)
    state, gates, joined = 3.0, 1.25, 0.45
    xs = {"f": 1.75, "i": 2.85, "g": 3.75, "o": 4.85}
    s.line([(0.62, state), (1.58, state)], "c", width=3)                       # the cell state
    s.dot(1.75, state, "×", "f")
    s.line([(1.92, state), (3.13, state)], "c", width=3)
    s.dot(3.3, state, "+", "i")
    s.line([(3.47, state), (6.75, state)], "c", width=3)
    s.text(0.32, state, "$c_{t-1}$", "c")
    s.text(7.03, state, "$c_t$", "c")
    s.line([(0.62, joined), (xs["o"], joined)], None, arrow=False)           # what every gate reads
    s.text(0.3, joined, "$h_{t-1}$")
    s.line([(1.05, 0.18), (1.05, joined)], None, arrow=False)
    s.text(1.05, 0.06, "$x_t$")
    for part, text in (("f", r"$\sigma$"), ("i", r"$\sigma$"), ("g", "tanh"), ("o", r"$\sigma$")):
        s.line([(xs[part], joined), (xs[part], gates - 0.2)], part)
        s.box(xs[part], gates, text, part)
        s.text(xs[part] + 0.17, gates + 0.42, f"${part}$", part, fontsize=12)
    s.line([(xs["f"], gates + 0.2), (xs["f"], state - 0.17)], "f")
    s.dot(3.3, 2.15, "×", "i")
    s.line([(xs["i"], gates + 0.2), (xs["i"], 2.15), (3.13, 2.15)], "i")
    s.line([(xs["g"], gates + 0.2), (xs["g"], 2.15), (3.47, 2.15)], "g")
    s.line([(3.3, 2.32), (3.3, state - 0.17)], "i")
    s.box(5.9, 2.4, "tanh", "read")
    s.line([(5.9, state), (5.9, 2.6)], "read")
    s.dot(5.9, gates, "×", "o")
    s.line([(5.9, 2.2), (5.9, gates + 0.17)], "read")
    s.line([(xs["o"] + 0.31, gates), (5.73, gates)], "o")
    s.line([(5.9, gates - 0.17), (5.9, joined), (6.75, joined)], "h")
    s.text(7.03, joined, "$h_t$", "h")
    s.text(xs["f"], state + 0.42, "keep", "f", fontsize=10)
    s.text(3.3, state + 0.42, "write", "i", fontsize=10)
    s.text(6.25, 1.05, "read", "o", fontsize=10)
    return s.fig


def lstm_cell_backward():
    """The backward pass of the LSTM cell: the same boxes, and the gradients dashed, against the forward direction.

    At each crossing stands what the gradient is multiplied by on the way that leads away from it.
    """
    s = Diagram(7.4, 3.75)
    state, gates, joined = 3.0, 1.25, 0.45
    xs = {"f": 1.75, "i": 2.85, "g": 3.75, "o": 4.85}
    for left, right in ((6.75, 6.0), (5.8, 3.47), (3.13, 1.92), (1.58, 0.72)):       # along the cell state
        s.line([(left, state), (right, state)], "d", width=3, dash="--")
    s.line([(6.75, joined), (5.9, joined), (5.9, gates - 0.17)], "d", dash="--")     # from h_t: read
    s.line([(5.9, gates + 0.17), (5.9, 2.2)], "d", dash="--")
    s.line([(5.9, 2.6), (5.9, state - 0.1)], "d", dash="--")
    s.line([(5.73, gates), (xs["o"] + 0.31, gates)], "d", dash="--")
    s.line([(1.75, state - 0.17), (1.75, gates + 0.2)], "d", dash="--")               # into the gates
    s.line([(3.3, state - 0.17), (3.3, 2.32)], "d", dash="--")
    s.line([(3.13, 2.15), (xs["i"], 2.15), (xs["i"], gates + 0.2)], "d", dash="--")
    s.line([(3.47, 2.15), (xs["g"], 2.15), (xs["g"], gates + 0.2)], "d", dash="--")
    for part, text in (("f", r"$\sigma$"), ("i", r"$\sigma$"), ("g", "tanh"), ("o", r"$\sigma$")):
        s.box(xs[part], gates, text, part)
        s.line([(xs[part], gates - 0.2), (xs[part], joined + 0.03)], "d", dash="--")
    s.line([(xs["o"], joined), (0.72, joined)], "d", dash="--")
    s.line([(1.2, joined), (1.2, 0.2)], "d", dash="--")
    s.box(5.9, 2.4, "tanh", "read")
    for x, y, sign, part in ((1.75, state, "×", "f"), (3.3, state, "+", "i"), (3.3, 2.15, "×", "i"),
                             (5.9, gates, "×", "o")):
        s.dot(x, y, sign, part)
    s.ax.add_patch(Circle((5.9, state), 0.07, color=COLOR["d"], zorder=4))            # the two uses of c_t meet
    for x, y, text in ((7.07, state, "$dc_{next}$"), (4.6, state + 0.24, "$dc_t$"), (0.36, state, "$dc_{t-1}$"),
                       (7.07, joined, "$dh_t$"), (0.36, joined, "$dh_{t-1}$"), (1.2, 0.06, "$dx_t$")):
        s.text(x, y, text, "d", fontsize=12)
    for x, y, text, part in ((1.24, state + 0.22, "$× f_t$", "f"), (2.1, 2.1, "$× c_{t-1}$", None),
                             (2.5, 1.85, "$× g_t$", "g"), (4.07, 1.85, "$× i_t$", "i"),
                             (6.22, 1.75, "$× o_t$", "o"), (5.36, gates - 0.42, r"$× \tanh c_t$", None)):
        s.text(x, y, text, part, fontsize=10)
    return s.fig


MINUS, PLUS, EMPTY = "#eba947", "#8d7cb8", "#d5d8dc"           # orange and purple, as in a heatmap of both signs


def cell_state_over_words(words, units, c, f, i, o):
    """Several steps of an LSTM: each unit's cell state as a line through the words, with its gates, open or shut.

    words    list of T words
    units    list of H names, a line for each
    c        (T, H)  cell state after each word; its sign is the colour of the line, 0 is thin and grey
    f, i, o  (T, H)  the gates; drawn open above 0.5: f on the line, i below it, o above it
    """
    step, lane, left, right = 0.68, 0.8, 1.75, 0.45
    s = Diagram(left + step * len(words) + right, lane * len(units) + 1.05)
    end = left + step * len(words)
    for u, unit in enumerate(units):
        y = 1.22 + lane * (len(units) - 1 - u)
        s.text(left - 0.62, y, unit, ha="right", fontsize=10.5)
        before, x_before = 0.0, left - 0.5
        for t in range(len(words)):
            x = left + step * t
            _state_line(s, x_before, x, y, before)
            _gate_on_line(s, x, y, f[t, u] > 0.5)
            _gate_beside_line(s, x + 0.2, y - 0.27, i[t, u] > 0.5, "i")
            _gate_beside_line(s, x + 0.38, y + 0.1, o[t, u] > 0.5, "o")
            before, x_before = c[t, u], x
        _state_line(s, x_before, end, y, before)
        s.text(end + 0.12, y, f"{before:+.0f}" if abs(before) > 0.5 else "0", ha="left", fontsize=10.5)
    for t, word in enumerate(words):
        s.text(left + step * t + 0.12, 0.62, word, fontsize=9.5)
    legend = 0.2
    for x, value, name in ((left - 1.6, 1, "+1"), (left - 0.5, -1, "−1"), (left + 0.6, 0, "empty")):
        _state_line(s, x, x + 0.4, legend, value)
        s.text(x + 0.48, legend, name, ha="left", fontsize=9.5)
    for x, part, name in ((left + 2.0, "f", "keep, erase"), (left + 3.75, "i", "write"), (left + 5.0, "o", "read")):
        if part == "f":
            _gate_on_line(s, x, legend, True)
            _gate_on_line(s, x + 0.25, legend, False)
        else:
            _gate_beside_line(s, x + 0.2, legend - 0.09, True, part)
        s.text(x + 0.4, legend, f"${part}$: {name}", part, ha="left", fontsize=9.5)
    return s.fig


def _state_line(s, x, x_end, y, value):
    empty = abs(value) <= 0.5
    color = EMPTY if empty else PLUS if value > 0 else MINUS
    s.ax.plot([x, x_end], [y, y], color=color, lw=1.6 if empty else 5, solid_capstyle="butt", zorder=2)


def _gate_on_line(s, x, y, is_open):
    if is_open:
        s.ax.add_patch(Circle((x, y), 0.075, fc=PAPER, ec=COLOR["f"], lw=1.6, zorder=4))
    else:
        s.ax.plot([x, x], [y - 0.17, y + 0.17], color=COLOR["f"], lw=4, solid_capstyle="butt", zorder=4)


def _gate_beside_line(s, x, y, is_open, part):
    if is_open:
        s.line([(x, y), (x, y + 0.19)], part, width=2.2)
    else:
        s.ax.plot([x - 0.05, x + 0.05], [y + 0.1, y + 0.1], color=FAINT, lw=1.4, zorder=2)


def bptt(words, cut=()):
    """The unrolled RNN with both directions: forward arrows solid, gradients dashed and backward.

    At each state two gradients meet: that from the loss at this step alone, and dh_next from the step after.

    words  list of str; a box for each, a loss above it
    cut    step numbers t (1 is the first word): the gradient from step t + 1 to step t is cut off there
    """
    n, step = len(words), 1.5
    s = Diagram(step * n + 1.1, 2.75)
    for t, word in enumerate(words, 1):
        x = 1.35 + step * (t - 1)
        left = x - step + 0.33 if t > 1 else x - 0.95
        s.text(x, 0.15, word, fontsize=9.5)
        s.box(x, 1.4, "RNN", "h", width=0.66, height=0.5)
        s.text(x, 2.6, rf"$\ell_{{{t}}}$", fontsize=11)
        s.line([(left, 1.53), (x - 0.33, 1.53)], "h")
        s.text((left + x - 0.33) / 2, 1.7, f"$h_{{{t - 1}}}$", "h", fontsize=9)
        s.line([(x - 0.12, 0.34), (x - 0.12, 1.15)], None)
        s.line([(x - 0.12, 1.65), (x - 0.12, 2.42)], "h")
        s.line([(x + 0.12, 2.42), (x + 0.12, 1.65)], "d", dash="--")
        s.text(x + 0.17, 2.03, rf"$\partial \ell_{{{t}}} / \partial h_{{{t}}}$", "d", fontsize=9, ha="left")
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
    write           True: the decoder runs free, each word goes back in as the next input; False: teacher
                    forcing, the inputs are the reference words, whatever came out
    """
    step, y, n = 0.83, 1.25, len(source)
    s = Diagram(step * (n + len(target) - 1) + 2.4, 2.75)
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
            s.line([(x, 1.75), (half, 1.75), (half, 0.3), (ts[k + 1] - 0.25, 0.3)], None, width=0.9)
    s.text((ts[0] + ts[-1]) / 2, 2.58, "decoder writes: greedy, free-running" if write else
           "decoder in training: given the reference", "decoder", fontsize=10)
    return s.fig


def translator(whose):
    """The translator of lesson 08 in training and in use, with the parts that are the learner's lit.

    whose  {part: the exercise whose function it is, or None: the library's}, as of a capstone's `Machine`
    """
    s = Diagram(8.6, 4.3, lit={"yours"})
    part = functools.partial(_translator_part, s, whose)
    s.text(0.45, 1.1, "source\nwords", fontsize=10)
    s.line([(0.8, 1.1), (1.1, 1.1)], None)
    part(1.75, 1.1, "LSTM cell", "cell")
    s.text(1.75, 0.42, "encoder, both directions", fontsize=9.5)
    s.line([(2.4, 1.1), (3.75, 1.1)], None)
    s.text(3.1, 0.95, "last state", fontsize=9.5)
    part(4.4, 1.1, "LSTM cell", "cell")
    s.text(4.4, 0.42, "decoder, target words so far", fontsize=9.5)
    s.line([(2.2, 1.35), (2.2, 1.95)], None)
    s.text(2.13, 1.68, "keys, values", fontsize=9.5, ha="right")
    s.line([(3.9, 1.35), (3.9, 1.6), (2.75, 1.6), (2.75, 1.95)], None)
    s.text(3.35, 1.72, "query", fontsize=9.5)
    part(2.4, 2.2, "weights", "attention, weights", width=1.2)
    s.line([(3.0, 2.2), (3.5, 2.2)], None)
    part(4.1, 2.2, "context", "attention, context", width=1.2)
    s.line([(4.7, 2.2), (5.1, 2.2)], None)
    s.box(5.55, 2.2, "output", None, width=0.9, height=0.5)
    s.line([(5.05, 1.1), (5.55, 1.1), (5.55, 1.95)], None)
    s.line([(6.0, 2.2), (6.3, 2.2), (6.3, 1.1), (6.85, 1.1)], None)
    part(7.5, 1.1, "decoding", "decoding")
    s.line([(6.3, 2.2), (6.85, 2.2)], None)
    part(7.5, 2.2, "loss", "loss")
    _translator_gradients(s, part)
    return s.fig


def _translator_part(s, whose, x, y, text, name, width=1.3):
    """A box of the translator, and beside it whose function it is."""
    drawn = "yours" if whose[name] else "the library's"
    s.box(x, y, text, drawn, width=width, height=0.5)
    s.text(x, y + (0.38 if y > 2 else -0.38), f"{drawn} ({whose[name]})" if whose[name] else drawn,
           drawn if whose[name] else None, fontsize=8.5)


def _translator_gradients(s, part):
    """From the loss back through attention and LSTM to clipping, dashed."""
    gradient = {"dash": "--", "width": 1.4}
    s.line([(7.5, 2.72), (7.5, 3.7), (6.2, 3.7)], None, **gradient)
    part(5.3, 3.7, "attention, backward", "attention, backward pass", width=1.8)
    s.line([(4.4, 3.7), (3.8, 3.7)], None, **gradient)
    part(3.05, 3.7, "LSTM, backward", "backward pass", width=1.5)
    s.line([(2.3, 3.7), (1.75, 3.7)], None, **gradient)
    part(1.1, 3.7, "clipping", "clipping")
    s.text(7.57, 3.2, "gradients", fontsize=9.5, ha="left")


def gru_cell(lit=None, reset_after=True):
    """The GRU cell: its one state on top, kept by z and written by 1 - z; below, the candidate with its reset gate.

    lit          names of the parts to draw in colour, of "z", "n", "r", "h"; None: all
    reset_after  r stands behind the recurrent product (PyTorch) or, False, before it (Cho et al. 2014)
    """
    s = Diagram(6.3, 3.75, lit)
    state, mixing, making, h_rail, x_rail = 3.0, 2.35, 1.7, 0.62, 0.22
    z, r, past, n = 1.75, 2.75, 3.75, 4.75
    s.line([(0.62, state), (z - 0.17, state)], "h", width=3)                   # the memory
    s.dot(z, state, "×", "z")
    s.line([(z + 0.17, state), (n - 0.17, state)], "h", width=3)
    s.dot(n, state, "+", "z")
    s.line([(n + 0.17, state), (5.75, state)], "h", width=3)
    s.text(0.32, state, "$h_{t-1}$", "h")
    s.text(6.0, state, "$h_t$", "h")
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
    s.line([(z, 1.45), (z, state - 0.17)], "z")
    s.line([(z, mixing), (2.44, mixing)], "z")
    s.box(r, mixing, "$1 - z$", "z")
    s.line([(3.06, mixing), (n - 0.17, mixing)], "z")
    s.dot(n, mixing, "×", "z")
    s.line([(n, mixing + 0.17), (n, state - 0.17)], "z")
    _gru_candidate(s, r, past, n, making, mixing, rails=(h_rail, x_rail), reset_after=reset_after)
    s.text(z, state + 0.42, "keep", "z", fontsize=10)
    s.text(n, state + 0.42, "write", "z", fontsize=10)
    return s.fig


def _gru_candidate(s, r, past, n, making, mixing, rails, reset_after):
    """The part of `gru_cell` that makes the candidate: the recurrent product, the reset gate and the tanh."""
    h_rail, x_rail = rails
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
    s.text(past - 0.42, making + 0.2 if reset_after else 1.42, "reset", "r", fontsize=10)
