"""Charts of measurements: curves, heatmaps, dots of single runs, gates over words, coloured text."""

import numpy as np

from lstmcourse.plots.style import COLOR, DASHES, INK, SERIES, new_figure


def curves(x, ys, xlabel, ylabel, logy=False, band=None, marker=None, threshold=None):
    """Lines over a common x, each named at its right end; a line of a single point is a cross.

    x          (N,)
    ys         dict: name -> (N,)
    band       dict: name -> (low (N,), high (N,)), drawn as a shade behind the line of that name
    threshold  a height to draw a line at, such as 1
    """
    fig, ax = new_figure()
    if threshold is not None:
        ax.axhline(threshold, color=INK, linewidth=1, linestyle=":", zorder=1.6)
    ends = []
    for k, (name, y) in enumerate(ys.items()):
        y = np.asarray(y, float)
        color = COLOR.get(name, SERIES[k % len(SERIES)])
        if band and name in band:
            ax.fill_between(x, *band[name], color=color, alpha=0.15, linewidth=0)
        drawn = np.flatnonzero(np.isfinite(y) & ((y > 0) | (not logy)))
        line, = ax.plot(x, y, color=color, linestyle=DASHES[k % len(DASHES)], label=name, marker=marker, markersize=4)
        if len(drawn) == 1:
            line.set(marker="x", markersize=9, markeredgewidth=2)
        if len(drawn):
            ends.append((y[drawn[-1]], name, color))
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


def panels(groups, xlabel, ylabel, thresholds=None, columns=3):
    """Small charts side by side, each with its title and its lines; a cross marks where a line ends in NaN.

    groups      dict: title -> dict: name -> (N,), drawn over 1 to N
    thresholds  dict: title -> a height to draw a line at, such as the guess's loss
    """
    rows = -(-len(groups) // columns)
    fig, axes = new_figure(width=2.9 * columns, height=0.3 + 2.1 * rows, columns=columns, rows=rows)
    for ax in np.ravel(axes)[len(groups):]:
        ax.remove()
    for k, (ax, (title, ys)) in enumerate(zip(np.ravel(axes), groups.items(), strict=False)):
        for n, (name, y) in enumerate(ys.items()):
            y, color = np.asarray(y, float), COLOR.get(name, SERIES[n % len(SERIES)])
            ax.plot(np.arange(1, len(y) + 1), y, color=color, linestyle=DASHES[n % len(DASHES)], label=name)
            if not np.isfinite(y[-1]):
                end = np.flatnonzero(np.isfinite(y))[-1]
                ax.plot(end + 1, y[end], "x", color=color, markersize=9, markeredgewidth=2, clip_on=False)
            if len(ys) > 1:
                ax.text(0.97, 0.65 - 0.12 * n, name, color=color, ha="right", va="top", transform=ax.transAxes)
        if thresholds and title in thresholds:
            ax.axhline(thresholds[title], color=INK, linewidth=1, linestyle=":", zorder=1.6)
        longest = max(map(len, ys.values()))
        ax.set(xlim=(0, longest + 1), ylim=(0, None))
        ax.set_title(title, loc="left", fontsize=9.5)
        if k >= len(groups) - columns:
            ax.set_xlabel(xlabel)
        if k % columns == 0:
            ax.set_ylabel(ylabel)
    return fig


def scatter(groups, xlabel, ylabel, across, up):
    """Every run as a dot by two measurements, both logarithmic, with a line at one threshold of each.

    groups      dict: name -> (x (N,), y (N,))
    across, up  the thresholds of x and of y
    """
    fig, ax = new_figure(width=5.4, height=3.6)
    for k, (name, (x, y)) in enumerate(groups.items()):
        ax.plot(x, y, "o^s"[k % 3], color=SERIES[k], markersize=5, alpha=0.6, markeredgewidth=0)
        ax.text(1.02, 0.6 - 0.1 * k, name, color=SERIES[k], transform=ax.transAxes)
    ax.axvline(across, color=INK, linewidth=1, linestyle=":")
    ax.axhline(up, color=INK, linewidth=1, linestyle=":")
    ax.set(xlabel=xlabel, ylabel=ylabel, xscale="log", yscale="log")
    return fig


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
                ax.text(column, row, f"{round(float(value), 2) + 0.0:.2f}", ha="center", va="center", fontsize=8.5,
                        color="white" if dark else INK)
    return fig


def dot_plot(groups, ylabel, logy=False, threshold=None):
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


def paths_on_surface(x, y, heights, paths, xlabel, ylabel, label):
    """A surface from above, dark where it is high, and the paths that steps take on it.

    x, y     (X,), (Y,)  the frame
    heights  (Y, X)
    paths    dict: name -> (N, 2), the places (x, y) in order; where a path leaves the frame an arrow points out
    label    what a height is
    """
    fig, ax = new_figure(width=6.2, height=4.0)
    surface = ax.contourf(x, y, heights, levels=8, cmap="Greys", vmax=1.8 * np.max(heights))
    fig.colorbar(surface, ax=ax, label=label).outline.set_visible(False)
    low, high = np.array([x[0], y[0]]), np.array([x[-1], y[-1]])
    for k, (name, path) in enumerate(paths.items()):
        path, color = np.asarray(path, float), SERIES[k % len(SERIES)]
        inside = np.all((path >= low) & (path <= high), axis=1)
        stop = len(path) if inside.all() else int(inside.argmin())        # the first place outside
        drawn = path[:stop]
        ax.plot(*drawn.T, "o-", color=color, markersize=4, linewidth=1.4, label=name)
        end, offset = drawn[-1], (8, -4)
        if stop < len(path):                               # to the frame and no further, in the step's own direction
            step = path[stop] - end
            reach = np.where(step > 0, high - end, low - end)
            end = end + step * np.min(np.divide(reach, step, out=np.full(2, np.inf), where=step != 0))
            ax.annotate("", end, drawn[-1], arrowprops={"arrowstyle": "->", "color": color, "linewidth": 1.6})
            offset = (-12, -14)
        ax.annotate(name, end, xytext=offset, textcoords="offset points", color=color, va="center",
                    ha="left" if offset[0] > 0 else "right")
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    ax.grid(False)
    return fig


def gates_over_words(words, ys, ylabel, band=None, marked=()):
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


def coloured_text(text, values, label, limit=1.0):
    """Lines of text, a number behind every character: orange minus, purple plus, white zero, and a colour bar.

    text    str of one or more lines
    values  (len(text),) from -limit to limit; those of line ends are not drawn
    label   what a number is, below the text
    """
    lines = text.split("\n")
    grid, at = np.full((len(lines), max(map(len, lines))), np.nan), 0
    for row, line in enumerate(lines):
        grid[row, :len(line)] = values[at:at + len(line)]
        at += len(line) + 1
    fig, ax = new_figure(width=1.0 + 0.084 * grid.shape[1], height=max(1.0, 0.5 + 0.2 * len(lines)))
    image = ax.imshow(grid, cmap="PuOr", vmin=-1.4 * limit, vmax=1.4 * limit, aspect="auto")
    bar = fig.colorbar(image, fraction=0.6 / fig.get_figwidth(), pad=0.02, ticks=[-limit, 0, limit])
    bar.ax.set_ylim(-limit, limit)
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


def intervals(groups, xlabel, threshold=None):
    """A line a group, from its low to its high end, with a dot in the middle: read from top to bottom.

    groups     dict: name -> (low, middle, high); groups have one colour whose names are the same up to the first comma
    threshold  a value to draw a line at, such as "no better"
    """
    fig, ax = new_figure(height=0.9 + 0.3 * len(groups))
    kinds = list(dict.fromkeys(name.split(",")[0] for name in groups))
    for k, (name, (low, middle, high)) in enumerate(groups.items()):
        color = SERIES[kinds.index(name.split(",")[0]) % len(SERIES)]
        ax.plot([low, high], [k, k], color=color, linewidth=1.6)
        ax.plot(middle, k, "o", color=color, markersize=6)
    if threshold is not None:
        ax.axvline(threshold, color=INK, linewidth=1, linestyle=":")
    ax.set(xlabel=xlabel, ylim=(len(groups) - 0.4, -0.6))
    ax.set_yticks(range(len(groups)), groups)
    ax.grid(False, axis="y")
    return fig
