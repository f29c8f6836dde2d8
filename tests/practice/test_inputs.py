"""What the cases of the exercises, and some of their known mistakes, are made from."""

import numpy as np

from lstmcourse.practice.inputs import clip_by_value, padding, params


def test_params_of_a_cell_have_a_row_for_every_unit_of_every_gate():
    drawn = params(np.random.default_rng(0), gates=3, D=2, H=5)
    assert {key: array.shape for key, array in drawn.items()} == {
        "W_ih": (15, 2), "W_hh": (15, 5), "b_ih": (15,), "b_hh": (15,)}


def test_padding_is_true_for_the_first_positions_of_each_row():
    assert padding([2, 0, 3], 3).tolist() == [[True, True, False], [False] * 3, [True] * 3]


def test_clip_by_value_holds_every_entry_to_the_limit_and_keeps_the_structure():
    values = np.array([-3.0, -1, 0.5, 2])
    clipped = clip_by_value((values, {"W": 2 * values, "b": (values,)}), 1.5)
    assert isinstance(clipped, tuple)
    assert clipped[0].tolist() == [-1.5, -1, 0.5, 1.5]
    assert clipped[1]["W"].tolist() == [-1.5, -1.5, 1, 1.5]
    assert clipped[1]["b"][0].tolist() == [-1.5, -1, 0.5, 1.5]
