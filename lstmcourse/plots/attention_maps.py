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
    n, step = len(source), 1.06
    last, right = 0.65 + step * (n - 1), 0.65 + step * n + 0.75
    s = Diagram(right + 1.35, 4.75)
    word_at, state, score, weight, product, mean = 0.68, 1.45, 2.2, 2.87, 3.62, 4.32
    for k, word in enumerate(source):
        x = 0.65 + step * k
        s.text(x, 0.14, word, fontsize=10)
        s.line([(x, 0.28), (x, word_at - 0.18)], None)
        s.box(x, word_at, f"$x_{{{k + 1}}}$", None, width=0.52, height=0.36)
        s.line([(x - 0.1, word_at + 0.18), (x - 0.1, state - 0.18)], None)
        s.box(x - 0.1, state, f"$h_{{{k + 1}}}$", "h", width=0.5, height=0.36)
        if k:
            for height, way in ((0.08, 1), (-0.08, -1)):
                ends = [(x - step + 0.15, state + height), (x - 0.35, state + height)]
                s.line(ends[::way], "h", width=1.2)
        s.line([(x - 0.1, state + 0.18), (x - 0.1, score - 0.17)], None)
        s.dot(x - 0.1, score, "·", "i")
        s.line([(x - 0.1, score + 0.17), (x - 0.1, weight - 0.2)], "i")
        s.line([(x - 0.1, weight + 0.2), (x - 0.1, product - 0.17)], "f")
        s.text(x - 0.34, (weight + product) / 2 + 0.02, rf"$\alpha_{{{k + 1}}}$", "f", fontsize=10)
        s.line([(x + 0.26, word_at), (x + 0.36, word_at), (x + 0.36, product), (x + 0.07, product)], "o")
        s.dot(x - 0.1, product, "×", "f")
        s.line([(x - 0.1, product + 0.17), (x - 0.1, mean)], None, arrow=False)
        if k == 0:
            s.text(x - 0.36, 1.81, "key", fontsize=10)
            s.text(x + 0.64, 1.02, "value", "o", fontsize=10)
    s.box((0.55 + last - 0.1) / 2, weight, "masked softmax", "i", width=last - 0.65 + 0.72)
    s.line([(0.55, mean), (last + 0.33, mean)], None)
    s.dot(last + 0.5, mean, "+", None)
    s.line([(last + 0.67, mean), (right - 0.47, mean)], None)
    s.text(last + 0.98, mean + 0.17, "context", fontsize=10)
    s.box(right, state, "decoder", None, width=0.95)
    s.line([(right, state + 0.2), (right, mean - 0.2)], None)
    s.text(right + 0.24, (score + mean) / 2, "$h_t$")
    s.line([(right, score), (last + 0.07, score)], "i")
    s.line([(last - 0.27, score), (0.72, score)], "i", arrow=False)
    s.text(right - 0.45, score + 0.17, "query", "i", fontsize=10)
    s.box(right, mean, "tanh", None, width=0.9)
    s.line([(right + 0.45, mean), (right + 0.68, mean)], None)
    s.text(right + 0.74, mean, written, fontsize=10, ha="left")
    return s.fig
