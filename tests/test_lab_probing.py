"""Does a cell follow a label? On states in which the answer is known."""

import numpy as np
import pytest

from lstmcourse.lab.probing import best_directions, fitted_directions, linear_probe, r_squared, random_directions


@pytest.fixture
def planted(rng):
    """States of 7 cells; label 0 is cell 4 with some noise, label 1 is spread over all, label 2 is nowhere."""
    states = rng.standard_normal((4000, 7)) * rng.uniform(0.1, 3, 7)
    spread = (states / states.std(axis=0)).sum(axis=1)
    labels = np.stack([3 - 2 * states[:, 4] / states[:, 4].std() + rng.standard_normal(4000), spread,
                       rng.standard_normal(4000)], axis=1)
    return states, labels


def test_agreement_is_the_squared_correlation(planted, rng):
    states, labels = planted
    directions = rng.standard_normal((7, 5))
    wanted = [[np.corrcoef(states @ directions[:, k], labels[:, m])[0, 1] ** 2 for m in range(3)] for k in range(5)]
    np.testing.assert_allclose(r_squared(states, labels, directions), wanted, rtol=1e-5, atol=1e-12)


def test_agreement_is_0_for_a_cell_that_never_moves(planted):
    states, labels = planted
    states = states * (np.arange(7) != 2)
    assert (r_squared(states, labels, np.eye(7))[2] == 0).all()


def test_search_finds_the_cell_that_was_planted(planted):
    states, labels = planted
    assert best_directions(states, labels, np.eye(7))[0] == 4
    assert abs(r_squared(states, labels, np.eye(7))[4, 0] - 0.8) < 0.03


def test_random_directions_do_not_find_a_single_cell_but_a_fit_does(planted, rng):
    states, labels = planted
    crowd = r_squared(states, labels, random_directions(states, 20, rng))[:, 0].max()
    assert crowd < r_squared(states, labels, np.eye(7))[4, 0] - 0.1
    fitted = r_squared(states, labels, fitted_directions(states, labels))
    assert abs(fitted[0, 0] - 0.8) < 0.03
    assert fitted[1, 1] > 0.999


def test_no_direction_follows_what_is_nowhere(planted, rng):
    states, labels = planted
    assert r_squared(states, labels, random_directions(states, 20, rng))[:, 2].max() < 0.01


def test_agreement_in_float32_is_that_in_float64(planted):
    states, labels = planted
    both = r_squared(states, labels, np.eye(7)), r_squared(states.astype("float32"), labels, np.eye(7))
    assert np.abs(both[0] - both[1]).max() < 1e-4


def test_linear_probe_reads_what_is_there_and_nothing_else(rng):
    labels = rng.integers(7, 11, size=600)
    there = np.eye(4)[labels - 7] @ rng.standard_normal((4, 5)) + 0.01 * rng.standard_normal((600, 5))
    assert linear_probe(there, labels) == 1
    assert linear_probe(rng.standard_normal((600, 5)), labels) < 0.35
