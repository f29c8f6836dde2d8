"""Does a unit follow a label? On states in which the answer is known."""

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


def test_r_squared_is_the_squared_correlation(planted, rng):
    states, labels = planted
    directions = rng.standard_normal((7, 5))
    wanted = [[np.corrcoef(states @ directions[:, k], labels[:, m])[0, 1] ** 2 for m in range(3)] for k in range(5)]
    np.testing.assert_allclose(r_squared(states, labels, directions), wanted, rtol=1e-5, atol=1e-12)


def test_r_squared_is_0_for_a_cell_that_never_moves(planted):
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


def test_r_squared_in_float32_is_that_in_float64(planted):
    states, labels = planted
    both = r_squared(states, labels, np.eye(7)), r_squared(states.astype("float32"), labels, np.eye(7))
    assert np.abs(both[0] - both[1]).max() < 1e-4


@pytest.fixture
def labelled(rng):
    """Labels (600,), features from which they can be read, and features of noise."""
    labels = rng.integers(7, 11, size=600)
    there = np.eye(4)[labels - 7] @ rng.standard_normal((4, 5)) + 0.01 * rng.standard_normal((600, 5))
    return labels, there, rng.standard_normal((600, 5))


def test_linear_probe_reads_what_is_there(labelled):
    assert linear_probe(labelled[1], labelled[0]) == 1


def test_linear_probe_does_not_read_noise(labelled):
    assert linear_probe(labelled[2], labelled[0]) < 0.35


def test_linear_probe_is_fitted_on_the_first_half_and_tested_on_the_second(rng):
    labels = rng.integers(2, size=601)
    features = np.eye(2)[np.where(np.arange(601) < 300, labels, 1 - labels)]       # turned round from the middle on
    assert linear_probe(features, labels) == 0


def test_linear_probe_has_an_intercept(rng):
    labels = rng.integers(2, size=400)
    features = 10 + labels[:, None] + 0.01 * rng.standard_normal((400, 1))         # both clusters on one side of 0
    assert linear_probe(features, labels) == 1


@pytest.mark.parametrize("scale", [1e-12, 1e-7, 1e-3, 1e7, 1e12])
def test_r_squared_does_not_depend_on_the_scale_of_the_states(planted, scale):
    states, labels = planted
    assert np.allclose(r_squared(scale * states, labels, np.eye(7)), r_squared(states, labels, np.eye(7)), rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_r_squared_does_not_depend_on_the_scale_of_the_labels(planted, scale):
    states, labels = planted
    assert np.allclose(r_squared(states, scale * labels, np.eye(7)), r_squared(states, labels, np.eye(7)), rtol=1e-9)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-9, 1e9])
def test_r_squared_is_0_for_a_constant_that_rounding_moves(planted, value):
    states, labels = planted
    states = np.where(np.arange(7) == 2, value, states)
    assert (r_squared(states, labels, np.eye(7))[2] == 0).all()


def test_r_squared_is_0_for_a_label_that_never_changes(planted):
    states, labels = planted
    assert (r_squared(states, 0 * labels + 0.5, np.eye(7)) == 0).all()


@pytest.mark.parametrize(("labels", "directions", "message"), [
    (np.zeros((9, 1)), np.eye(7), r"^labels has shape \(9, 1\); wanted \(4000, any\)"),
    (np.zeros(4000), np.eye(7), r"^labels has shape \(4000,\); wanted \(4000, any\)"),
    (np.zeros((4000, 1)), np.eye(6), r"^directions has shape \(6, 6\); wanted \(7, any\)")])
def test_r_squared_names_a_wrong_shape(planted, labels, directions, message):
    with pytest.raises(ValueError, match=message):
        r_squared(planted[0], labels, directions)


@pytest.mark.parametrize(("half", "power"), [(0, 0), (1, 1)], ids=["as they are", "scaled"])
def test_random_directions_scale_the_units_of_the_second_half_only(half, power, rng):
    states = rng.standard_normal((500, 2)) * np.array([1.0, 1000.0])
    directions = random_directions(states, 400, rng)[:, 200 * half:200 * (half + 1)]
    ratio = directions[0].std() / directions[1].std()
    assert ratio == pytest.approx(1000.0**power, rel=0.25)


def test_random_directions_of_an_odd_number_scale_the_larger_half(rng):
    states = rng.standard_normal((500, 1)) * 1e6
    assert (np.abs(random_directions(states, 5, rng)[0]) < 1e-3).tolist() == [False, False, True, True, True]
