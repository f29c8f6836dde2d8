"""Figures of attention: the map of weights with its gold links, and one step as a diagram."""

import numpy as np
from matplotlib.patches import Rectangle

from lstmcourse.plots.cell_diagrams import Diagram
from lstmcourse.plots.charts import heatmap
from lstmcourse.plots.style import COLOR


def attention_map(alpha, target, source, sure=frozenset(), possible=frozenset()):
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
    """One step of attention as the course's translator does it: keys are encoder states, values are word embeddings.

    source   list of words; a column for each
    written  the word that comes out
    """
    first, step = 0.65, 1.06
    last, decoder = first + step * (len(source) - 1), first + step * len(source) + 0.75
    s = Diagram(decoder + 1.35, 4.75)
    for k, word in enumerate(source):
        _source_column(s, first + step * k, step, k + 1, word)
    s.box((first - 0.1 + last - 0.1) / 2, WEIGHT, "masked softmax", "i", width=last - first + 0.72)
    _query_and_context(s, last, decoder, written)
    return s.fig


WORD, STATE, SCORE, WEIGHT, PRODUCT, MEAN = 0.68, 1.45, 2.2, 2.87, 3.62, 4.32       # heights in `attention_step`


def _source_column(s, x, step, number, word):
    """From a source word up: its embedding, its key (the encoder's state), score, weight, weighted value."""
    s.text(x, 0.14, word, fontsize=10)
    s.line([(x, 0.28), (x, WORD - 0.18)], None)
    s.box(x, WORD, f"$x_{{{number}}}$", None, width=0.52, height=0.36)
    s.line([(x - 0.1, WORD + 0.18), (x - 0.1, STATE - 0.18)], None)
    s.box(x - 0.1, STATE, f"$k_{{{number}}}$", "h", width=0.5, height=0.36)
    for height, order in ((0.08, 1), (-0.08, -1)) if number > 1 else ():       # the encoder reads in both directions
        s.line([(x - step + 0.15, STATE + height), (x - 0.35, STATE + height)][::order], "h", width=1.2)
    s.line([(x - 0.1, STATE + 0.18), (x - 0.1, SCORE - 0.17)], None)
    s.dot(x - 0.1, SCORE, "·", "i")
    s.line([(x - 0.1, SCORE + 0.17), (x - 0.1, WEIGHT - 0.2)], "i")
    s.line([(x - 0.1, WEIGHT + 0.2), (x - 0.1, PRODUCT - 0.17)], "f")
    s.text(x - 0.34, (WEIGHT + PRODUCT) / 2 + 0.02, rf"$\alpha_{{{number}}}$", "f", fontsize=10)
    s.line([(x + 0.26, WORD), (x + 0.36, WORD), (x + 0.36, PRODUCT), (x + 0.07, PRODUCT)], "o")
    s.dot(x - 0.1, PRODUCT, "×", "f")
    s.line([(x - 0.1, PRODUCT + 0.17), (x - 0.1, MEAN)], None, arrow=False)
    if number == 1:
        s.text(x - 0.36, 1.81, "key", fontsize=10)
        s.text(x + 0.64, 1.02, "value", "o", fontsize=10)


def _query_and_context(s, last, x, written):
    """The decoder at x: its state is the query, and goes with the context into the word that is written."""
    s.line([(0.55, MEAN), (last + 0.33, MEAN)], None)
    s.dot(last + 0.5, MEAN, "+", None)
    s.line([(last + 0.67, MEAN), (x - 0.47, MEAN)], None)
    s.text(last + 0.98, MEAN + 0.17, "context", fontsize=10)
    s.box(x, STATE, "decoder", None, width=0.95)
    s.line([(x, STATE + 0.2), (x, MEAN - 0.2)], None)
    s.text(x + 0.24, (SCORE + MEAN) / 2, "$h_t$")
    s.line([(x, SCORE), (last + 0.07, SCORE)], "i")
    s.line([(last - 0.27, SCORE), (0.72, SCORE)], "i", arrow=False)
    s.text(x - 0.45, SCORE + 0.17, "query", "i", fontsize=10)
    s.box(x, MEAN, "tanh", None, width=0.9)
    s.line([(x + 0.45, MEAN), (x + 0.68, MEAN)], None)
    s.text(x + 0.74, MEAN, written, fontsize=10, ha="left")
