"""Figures as data: what is drawn is what was given."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch

from lstmcourse import plots
from lstmcourse.plots import style
from lstmcourse.plots.cell_diagrams import EMPTY, MINUS, PLUS


def drawn(fig):
    """Every text in a figure."""
    return {text.get_text() for ax in fig.axes for text in ax.texts}


def test_curves_draw_the_given_points(rng):
    x, y = np.arange(7), rng.standard_normal(7)
    line, = plots.curves(x, {"one": y}, "steps", "value").axes[0].lines
    assert np.array_equal(line.get_xdata(), x)
    assert np.array_equal(line.get_ydata(), y)


def labels(ax):
    """The words on the axes: below, at the left, and on the ticks of both."""
    return [ax.get_xlabel(), ax.get_ylabel(), *([text.get_text() for text in ticks]
                                                for ticks in (ax.get_xticklabels(), ax.get_yticklabels()))]


def test_curves_put_each_label_on_its_own_axis():
    assert labels(plots.curves([0, 1], {"one": [2, 3]}, "steps", "loss").axes[0])[:2] == ["steps", "loss"]


def test_curves_name_every_line_when_there_are_several():
    fig = plots.curves([0, 1], {"a": [0, 1], "b": [1, 0]}, "x", "y")
    assert {"a", "b"} <= drawn(fig)


def test_curves_differ_in_dash_as_well_as_in_colour():
    lines = plots.curves([0, 1], {k: [0, k] for k in range(4)}, "x", "y").axes[0].lines
    assert len({line.get_linestyle() for line in lines}) == len({line.get_color() for line in lines}) == 4


def test_curves_mark_a_line_of_a_single_point():
    lines = plots.curves([0, 1, 2], {"a": [1, np.nan, np.nan], "b": [1, 2, np.nan]}, "x", "y").axes[0].lines
    assert [line.get_marker() for line in lines] == ["x", "None"]


def test_curves_names_do_not_overlap():
    fig = plots.curves([0, 1], {k: [0, 0.5] for k in "abc"}, "x", "y")
    heights = sorted(text.xyann[1] for text in fig.axes[0].texts)
    assert min(np.diff(heights)) > 0.08


def test_curves_show_the_band_of_the_named_line():
    fig = plots.curves([0, 1], {"a": [0.5, 0.5]}, "x", "y", band={"a": ([0.2, 0.3], [0.8, 0.7])})
    heights = fig.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert {0.2, 0.3, 0.7, 0.8} <= set(heights.round(6))


def test_curves_draw_the_threshold_across():
    line = plots.curves([0, 1], {"a": [3.0, 4.0]}, "x", "y", threshold=2.5).axes[0].lines[0]
    assert line.get_ydata() == [2.5, 2.5]


def test_heatmap_prints_its_numbers():
    fig = plots.heatmap([[0.25, -0.001], [1.0, np.nan]], ["r1", "r2"], ["c1", "c2"], "value", symmetric=True)
    assert drawn(fig) == {"0.25", "0.00", "1.00"}


def test_heatmap_colours_the_given_values(rng):
    values = rng.uniform(-1, 1, (2, 3))
    image, = plots.heatmap(values, ["a", "b"], ["c", "d", "e"], "value", symmetric=True).axes[0].images
    assert np.array_equal(image.get_array(), values)


def test_heatmap_of_a_square_table_is_not_turned_over():
    ax, = plots.heatmap([[0.1, 0.2], [0.3, 0.4]], ["r1", "r2"], ["c1", "c2"], "weight").axes
    assert ax.images[0].get_array().tolist() == [[0.1, 0.2], [0.3, 0.4]]
    assert {(text.get_text(), *text.get_position()) for text in ax.texts} == {
        ("0.10", 0, 0), ("0.20", 1, 0), ("0.30", 0, 1), ("0.40", 1, 1)}
    assert labels(ax) == ["weight", "", ["c1", "c2"], ["r1", "r2"]]


def test_heatmap_without_numbers_has_colours_only():
    assert drawn(plots.heatmap([[0.1, 0.2]], ["r"], ["c", "d"], "value", numbers=False)) == set()


def test_a_wide_table_fills_its_figure():
    assert plots.heatmap(np.zeros((2, 9)), ["r", "s"], list("abcdefghi"), "value").axes[0].get_aspect() == "auto"


def test_gates_over_words_are_wider_for_a_longer_sentence():
    short, long = (plots.gates_over_words(["word"] * n, {"f": [0.5] * n}, "gate").get_size_inches() for n in (5, 30))
    assert long[0] > short[0] + 3
    assert long[1] == short[1]


def test_heatmap_of_a_given_range_does_not_follow_one_large_number():
    image, = plots.heatmap([[0.5, 11.0]], ["a"], ["b", "c"], "value", symmetric=1.0).axes[0].images
    assert -image.norm.vmin == image.norm.vmax < 2


def test_lstm_cell_names_the_parts_of_the_equations():
    gates, states = {"$f$", "$i$", "$g$", "$o$"}, {"$c_{t-1}$", "$c_t$", "$h_{t-1}$", "$h_t$", "$x_t$"}
    assert gates | states | {"×", "+"} <= drawn(plots.lstm_cell())


def test_lstm_cell_backward_names_every_gradient_and_every_factor():
    gradients = {"$dc_{next}$", "$dc_t$", "$dc_{t-1}$", "$dh_t$", "$dh_{t-1}$", "$dx_t$"}
    factors = {"$× f_t$", "$× c_{t-1}$", "$× g_t$", "$× i_t$", "$× o_t$", r"$× \tanh c_t$"}
    assert gradients | factors <= drawn(plots.lstm_cell_backward())


def test_lstm_cell_dims_what_is_not_lit():
    colors = {text.get_text(): text.get_color() for text in plots.lstm_cell(lit=("f", "c")).axes[0].texts}
    assert colors["$f$"] == plots.COLOR["f"]
    assert colors["$o$"] == style.FAINT


@pytest.fixture
def over_words():
    """The drawing of two units over three words, and its axes."""
    c = np.array([[1.0, 0.0], [1.0, -1.0], [-1.0, -1.0]])
    f, i, o = np.array([[0, 1], [1, 0], [0, 1]]), np.array([[1, 0], [0, 1], [1, 0]]), np.array([[0, 0], [0, 0], [0, 1]])
    return plots.cell_state_over_words(["a", "b", "c"], ["who", "food"], c, f, i, o).axes[0]


def test_cell_state_over_words_names_words_and_units_and_what_is_held_last(over_words):
    assert [text.get_text() for text in over_words.texts][:7] == ["who", "-1", "food", "-1", "a", "b", "c"]


def test_cell_state_over_words_colours_the_line_by_the_sign_of_the_cell_state(over_words):
    lines = [line.get_color() for line in over_words.lines if line.get_color() in (MINUS, PLUS, EMPTY)]
    assert lines[:4] == [EMPTY, PLUS, PLUS, MINUS]          # before each word, and after the last
    assert lines[4:8] == [EMPTY, EMPTY, MINUS, MINUS]


def test_cell_state_over_words_shuts_the_line_where_the_forget_gate_is_shut(over_words):
    bars = [line.get_xdata()[0] for line in over_words.lines if line.get_color() == plots.COLOR["f"]][:3]
    first, last, middle = bars                             # unit who: a and c; unit food: b
    assert first < middle < last


def test_cell_state_over_words_draws_an_arrow_for_each_open_input_and_output_gate(over_words):
    arrows = [patch.get_edgecolor() for patch in over_words.patches if isinstance(patch, FancyArrowPatch)]
    drawn = [to_hex(color) for color in arrows]
    assert (drawn.count(plots.COLOR["i"]), drawn.count(plots.COLOR["o"])) == (3 + 1, 1 + 1)      # and one in the legend


def test_rnn_cell_names_the_parts_of_the_equation():
    assert {"$W_{hh}$", "$W_{ih}$", "tanh", "$h_{t-1}$", "$h_t$", "$x_t$"} <= drawn(plots.rnn_cell())


def test_sequence_tasks_has_an_input_and_an_output_where_the_kind_has_one():
    texts = [text.get_text() for text in plots.sequence_tasks().axes[0].texts]
    assert (texts.count("$x$"), texts.count("$p$")) == (3 + 3 + 1 + 2, 1 + 3 + 3 + 3)


def test_sequence_tasks_gives_each_kind_a_name_of_its_own():
    assert {"one answer", "an answer at each step", "one input", "read, then write"} <= drawn(plots.sequence_tasks())


def test_rnn_unrolled_has_a_cell_for_every_word():
    words = ["nishchal", "likes", "pizza"]
    texts = [text.get_text() for text in plots.rnn_unrolled(words).axes[0].texts]
    assert texts.count("RNN") == 3
    assert set(words) <= set(texts)


def test_bptt_sends_a_gradient_back_from_every_step_and_none_over_a_cut():
    texts = [text.get_text() for text in plots.bptt(["a", "b", "c", "d"], cut=(2,)).axes[0].texts]
    assert [texts.count(rf"$\partial \ell_{{{t}}} / \partial h_{{{t}}}$") for t in (1, 2, 3, 4)] == [1, 1, 1, 1]
    assert texts.count("$dh_{next}$") == 2                  # from 2 to 1 and from 4 to 3
    assert texts.count("✂") == texts.count("$dh_0$") == 1


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_save_gives_the_same_bytes_twice(kind):
    assert plots.save(plots.rnn_cell(), kind) == plots.save(plots.rnn_cell(), kind)


def luminance(color):
    """Relative luminance as in WCAG 2."""
    channels = [int(color[k:k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("color", sorted({style.INK, *style.COLOR.values(), *style.SERIES}))
def test_every_colour_is_readable_on_the_paper(color):
    assert (luminance(style.PAPER) + 0.05) / (luminance(color) + 0.05) >= 3.9


def test_show_displays_picture_and_caption(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *objects, **kwargs: shown.append((objects, kwargs)))
    plots.show(plots.rnn_cell(), "A cell with two arrows.", vector=True)
    bundle = shown[0][0][0]
    assert set(bundle) == {"image/png", "image/svg+xml", "text/plain"}
    assert bundle["text/plain"] == "A cell with two arrows."
    assert shown[1][0][0].data == "*A cell with two arrows.*"


def test_show_with_alt_leaves_the_caption_to_the_cell_below(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *objects, **kwargs: shown.append(objects[0]))
    plots.show(plots.rnn_cell(), alt="an RNN cell")
    assert [bundle["text/plain"] for bundle in shown] == ["an RNN cell"]


@pytest.mark.parametrize(("words", "message"), [
    ({"caption": " "}, "caption is empty and so is alt"), ({}, "caption is empty"),
    ({"caption": "A cell.", "alt": "a cell"}, "caption is given and so is alt")])
def test_show_wants_a_caption_or_an_alt(words, message):
    with pytest.raises(ValueError, match=message):
        plots.show(plots.rnn_cell(), **words)


def test_encoder_decoder_has_a_cell_for_every_word_read_and_written():
    source, target = ["mai", "ghar", "jaa", "raha", "hu"], ["i", "am", "going", "home"]
    texts = [text.get_text() for text in plots.encoder_decoder(source, target).axes[0].texts]
    assert texts.count("LSTM") == len(source) + len(target) + 1                  # one more for <eos>
    assert texts.count("<bos>") == texts.count("<eos>") == 1
    assert {word: texts.count(word) for word in source} == dict.fromkeys(source, 1)
    assert {word: texts.count(word) for word in target} == dict.fromkeys(target, 2)    # written, and the next input


def test_encoder_decoder_feeds_words_back_only_when_it_writes_alone():
    source, target = ["mai", "hu"], ["i", "am", "here"]
    alone, taught = (len(plots.encoder_decoder(source, target, write).axes[0].lines) for write in (True, False))
    assert alone - taught == len(target)


def test_attention_map_frames_sure_links_full_and_possible_ones_dashed():
    alpha = np.array([[0.7, 0.2, 0.1], [0.25, 0.35, 0.4]])
    fig = plots.attention_map(alpha, ["t0", "t1"], ["s0", "s1", "s2"], {(0, 0)}, {(0, 0), (1, 2)})
    frames = {(p.get_x() + 0.44, p.get_y() + 0.42): p.get_linestyle() for p in fig.axes[0].patches}
    assert {(round(x), round(y)): dash == "-" for (x, y), dash in frames.items()} == {(0, 0): True, (2, 1): False}


def test_attention_map_prints_the_largest_weight_of_each_row_bold():
    alpha = np.array([[0.7, 0.2, 0.1], [0.25, 0.35, 0.4]])
    texts = plots.attention_map(alpha, ["t0", "t1"], ["s0", "s1", "s2"]).axes[0].texts
    assert {t.get_text() for t in texts} == {"0.70", "0.20", "0.10", "0.25", "0.35", "0.40"}
    assert {t.get_text() for t in texts if t.get_fontweight() == "bold"} == {"0.70", "0.40"}


def test_attention_map_colours_the_given_weights_under_the_words(rng):
    alpha = rng.dirichlet(np.ones(9), 2)
    ax = plots.attention_map(alpha, ["t0", "t1"], list("abcdefghi")).axes[0]
    assert np.array_equal(ax.images[0].get_array(), alpha)
    assert [label.get_text() for label in ax.get_xticklabels()] == list("abcdefghi")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["t0", "t1"]


def test_attention_step_names_every_word_and_the_parts_of_the_equations():
    words = ["mai", "ghar", "jaa"]
    texts = [text.get_text() for text in plots.attention_step(words, "going").axes[0].texts]
    assert {*words, "going", "key", "value", "query", "context", "masked softmax", "tanh", "$h_t$"} <= set(texts)
    assert {"$x_{3}$", "$k_{3}$", r"$\alpha_{3}$"} <= set(texts)
    assert texts.count("×") == texts.count("·") == 3


def test_gru_cell_names_the_parts_of_the_equations():
    parts = {"$z$", "$r$", "$n$", "$1 - z$", "$W_{hn}$", "$h_{t-1}$", "$h_t$", "$x_t$", "×", "+", "tanh"}
    assert parts <= drawn(plots.gru_cell())
    assert parts <= drawn(plots.gru_cell(reset_after=False))


def test_gru_cell_dims_what_is_not_lit():
    colors = {text.get_text(): text.get_color() for text in plots.gru_cell(lit=("z", "h")).axes[0].texts}
    assert colors["$z$"] == plots.COLOR["z"]
    assert colors["$r$"] == colors["$n$"] == style.FAINT


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_cell_puts_the_reset_on_the_side_it_says(reset_after):
    ax = plots.gru_cell(reset_after=reset_after).axes[0]
    product, = (text.get_position() for text in ax.texts if text.get_text() == "$W_{hn}$")
    reset, = (text.get_position() for text in ax.texts
              if text.get_text() == "×" and text.get_color() == plots.COLOR["r"])
    assert abs(product[0] - reset[0]) < 1e-9                # on the way from h at the bottom to tanh above
    assert (reset[1] > product[1]) == reset_after


def test_intervals_draws_each_group_from_low_to_high_and_a_line_at_the_threshold():
    ax, = plots.intervals({"LSTM": (-0.5, 0.25, 1.0), "RNN": (2.0, 3.0, 3.5)}, "gain", threshold=0.0).axes
    spans, dots = ax.lines[0:4:2], ax.lines[1:4:2]
    assert [line.get_xdata().tolist() for line in spans] == [[-0.5, 1.0], [2.0, 3.5]]
    assert [line.get_xdata()[0] for line in dots] == [0.25, 3.0]
    assert set(ax.lines[4].get_xdata()) == {0.0}
    assert ax.get_xlabel() == "gain"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["LSTM", "RNN"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]                      # the first one on top


def test_dot_plot_draws_every_run_and_the_median():
    runs = {"one": [3.0, 1.0, 2.0], "two": [5.0, 4.0]}
    lines = plots.dot_plot(runs, "error", threshold=2.5).axes[0].lines
    assert [sorted(line.get_ydata()) for line in lines[0:4:2]] == [[1, 2, 3], [4, 5]]
    assert [line.get_ydata()[0] for line in lines[1:4:2]] == [2, 4.5]
    assert lines[4].get_ydata()[0] == 2.5


def test_dot_plot_names_the_groups_and_what_is_measured():
    ax, = plots.dot_plot({"LSTM, long": [1.0], "RNN": [2.0]}, "error").axes
    assert labels(ax)[:3] == ["", "error", ["LSTM\nlong", "RNN"]]


def test_panels_draw_every_line_and_mark_where_one_ends_in_nan():
    nan = float("nan")
    fig = plots.panels({"A": {"one": [3.0, 2.0], "two": [1.0, 1.0]}, "B": {"one": [4.0, 5.0, nan]}}, "steps", "loss",
                       {"A": 1.5}, columns=2)
    a, b = fig.axes
    assert [line.get_ydata()[0] for line in a.lines] == [3.0, 1.0, 1.5]
    assert [text.get_text() for text in a.texts] == ["one", "two"]
    assert not b.texts
    assert (b.lines[1].get_xdata()[0], b.lines[1].get_ydata()[0], b.lines[1].get_marker()) == (2, 5.0, "x")


def test_panels_name_both_axes_and_leave_no_empty_one():
    axes = plots.panels(dict.fromkeys("ABC", {"one": [1.0, 2.0]}), "steps", "loss", columns=2).axes
    assert [(ax.get_title(loc="left"), ax.get_xlabel(), ax.get_ylabel()) for ax in axes] == [
        ("A", "", "loss"), ("B", "steps", ""), ("C", "steps", "loss")]


def test_scatter_draws_each_group_with_its_name_and_both_thresholds():
    ax, = plots.scatter({"sound": ([0.1, 0.2], [1.0, 2.0]), "faulty": ([0.3], [3.0])}, "seen", "new", 0.5, 0.4).axes
    assert [list(line.get_xdata()) for line in ax.lines[:2]] == [[0.1, 0.2], [0.3]]
    assert (ax.lines[2].get_xdata()[0], ax.lines[3].get_ydata()[0]) == (0.5, 0.4)
    assert [text.get_text() for text in ax.texts] == ["sound", "faulty"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("seen", "new")


def test_gates_over_words_and_coloured_text_say_what_a_number_is():
    assert labels(plots.gates_over_words(["he", "it"], {"f": [0, 1]}, "forget gate").axes[0])[:2] == ["", "forget gate"]
    assert labels(plots.coloured_text("ab", [0, 1], "cell state").axes[0]) == ["cell state", "", [], []]


def test_over_words_stands_on_the_words_and_marks_some():
    ax, = plots.gates_over_words(["he", "likes", "it"], {"f": [0.1, 0.2, 0.3]}, "gate", marked=[1]).axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["he", "likes", "it"]
    assert ax.lines[0].get_ydata().tolist() == [0.1, 0.2, 0.3]
    assert [patch.get_x() for patch in ax.patches] == [0.5]


def test_coloured_text_puts_each_value_behind_its_character(rng):
    text, values = "f(a,\n  b)", rng.uniform(-1, 1, 9)
    ax = plots.coloured_text(text, values, "cell").axes[0]
    grid = ax.images[0].get_array()
    assert np.array_equal(grid[0, :4], values[:4])
    assert np.array_equal(grid[1, :4], values[5:])
    assert {(t.get_text(), *t.get_position()) for t in ax.texts} == {
        ("f", 0, 0), ("(", 1, 0), ("a", 2, 0), (",", 3, 0), ("b", 2, 1), (")", 3, 1)}


def test_coloured_text_takes_a_dollar_for_a_dollar():
    texts = plots.coloured_text("$a$", np.zeros(3), "cell").axes[0].texts
    assert [text.get_text() for text in texts] == ["$", "a", "$"]


def test_paths_on_surface_draw_the_steps_inside_and_an_arrow_out_of_the_frame():
    x, y = np.linspace(0, 1, 5), np.linspace(0, 2, 4)
    heights = np.add.outer(y, x)
    paths = {"stays": [[0.2, 0.2], [0.4, 1.0]], "leaves": [[0.5, 0.5], [0.6, 0.7], [5.0, 0.7], [0.5, 0.5]]}
    fig = plots.paths_on_surface(x, y, heights, paths, "w", "b", "loss")
    ax = fig.axes[0]
    assert [line.get_xydata().tolist() for line in ax.lines] == [paths["stays"], paths["leaves"][:2]]
    assert {"stays", "leaves"} <= drawn(fig)
    arrow, = (text for text in ax.texts if text.arrow_patch is not None)
    assert np.allclose(arrow.xy, (1, 0.7))
    assert labels(ax)[:2] == ["w", "b"]
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 1), (0, 2))
    surface = ax.collections[0]
    assert (surface.zmin, surface.zmax) == (heights.min(), heights.max())


def test_the_translator_lights_the_parts_that_are_the_learner_s():
    parts = ("loss", "backward pass", "attention, context", "attention, backward pass", "clipping", "decoding")
    whose = {"cell": "4.3", "attention, weights": "8.1", **dict.fromkeys(parts)}
    drawn = plots.translator(whose).axes[0].texts
    assert [text.get_text() for text in drawn if text.get_color() == plots.COLOR["yours"]] == [
        "LSTM cell", "yours (4.3)", "LSTM cell", "yours (4.3)", "weights", "yours (8.1)"]
    assert sum(text.get_text() == "the library's" for text in drawn) == 6
