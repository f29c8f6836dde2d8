"""Does a single unit follow a label? Compared with random directions and with a linear probe through all units."""

import numpy as np

from lstmcourse.validation import check_array


def r_squared(states, labels, directions):
    """Squared correlation of labels with the states as seen along each direction.

    states      (N, H)
    labels      (N, L)  what is to be followed, one column each
    directions  (H, K)  each column one weighted sum of the states; np.eye(H): each unit by itself

    Returns (K, L), R² from 0 (nothing) to 1: the fraction of the label's variance that the best straight line from
    that one number to the label explains, whatever its scale. 0 for a number that never changes.
    Raises ValueError for a wrong shape or dtype.
    """
    check_array("states", states, (None, None))
    check_array("directions", directions, (states.shape[1], None))
    with_labels, covariance, variance = _moments(states, labels)
    along = np.einsum("hk,hk->k", directions, covariance @ directions)
    explained = (directions.T @ with_labels) ** 2
    # what never changes is told by its range: rounding gives it a variance
    varies = np.outer((np.abs(directions.T) @ np.ptp(states, axis=0) > 0) & (along > 0), np.ptp(labels, axis=0) > 0)
    return np.where(varies, explained / np.where(varies, np.outer(along, variance), 1), 0)


def best_directions(states, labels, directions):
    """For each label the index of the direction that follows it best: integers (L,)."""
    return r_squared(states, labels, directions).argmax(axis=0)


def random_directions(states, K, rng):
    """K random weighted sums of the states (H, K). Half of them take the states as they are, half scale all
    units to the same standard deviation first, so that each has the same influence."""
    directions = rng.standard_normal((states.shape[1], K))
    directions[:, K // 2:] /= np.maximum(states.std(axis=0), 1e-3)[:, None]
    return directions


def fitted_directions(states, labels):
    """The weighted sums of all states (H, L) that follow each label best: least squares, a linear probe."""
    with_labels, covariance, _ = _moments(states, labels)
    return np.linalg.lstsq(covariance, with_labels, rcond=None)[0]


def _moments(states, labels):
    """Covariance of states and labels (H, L) and of the states (H, H), variance of the labels (L,)."""
    labels = np.asarray(labels)
    if labels.ndim != 2 or len(labels) != len(states):
        raise ValueError(f"labels has shape {labels.shape}; wanted ({len(states)}, any), a row for each of states")
    states = states - states.mean(axis=0)
    labels = (labels - labels.mean(axis=0)).astype(states.dtype)
    N = len(states)
    return states.T @ labels / N, states.T @ states / N, np.einsum("nl,nl->l", labels, labels) / N


def linear_probe(features, labels):
    """Can a linear map read the label from the features? Fitted on the first half, tested on the second.

    features  (N, K)
    labels    (N,)   integers

    Returns the accuracy on the second half (least squares on one-hot labels, with an intercept).
    """
    half = len(labels) // 2
    features = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    wanted = labels[:, None] == np.unique(labels)
    weights, *_ = np.linalg.lstsq(features[:half], wanted[:half].astype(float), rcond=None)
    guessed = (features[half:] @ weights).argmax(axis=1)
    return float(np.mean(wanted[half:][np.arange(len(guessed)), guessed]))
