"""The figures of the lessons: arrays in, a matplotlib Figure out. The only folder that imports matplotlib.

    style           colours, saving, and `show(fig, caption)`, by which every figure is shown
    charts          measurements: curves, heatmaps, dots of single runs, gates over words, coloured text
    cell_diagrams   cells and unrolled networks as boxes and arrows
    attention_maps  attention weights with their gold links; one step of attention as a diagram
"""

from lstmcourse.plots.attention_maps import attention_map, attention_step
from lstmcourse.plots.cell_diagrams import (
    bptt,
    cell_state_over_words,
    encoder_decoder,
    gru_cell,
    lstm_cell,
    lstm_cell_backward,
    rnn_cell,
    rnn_unrolled,
    sequence_tasks,
    translator,
)
from lstmcourse.plots.charts import (
    coloured_text,
    curves,
    dot_plot,
    gates_over_words,
    heatmap,
    intervals,
    panels,
    paths_on_surface,
    scatter,
)
from lstmcourse.plots.style import COLOR, new_figure, png_size, save, show

__all__ = ["COLOR", "attention_map", "attention_step", "bptt", "cell_state_over_words", "coloured_text", "curves",
           "dot_plot", "encoder_decoder", "gates_over_words", "gru_cell", "heatmap", "intervals", "lstm_cell",
           "lstm_cell_backward", "new_figure", "panels", "paths_on_surface", "png_size", "rnn_cell", "rnn_unrolled",
           "save", "scatter", "sequence_tasks", "show", "translator"]
