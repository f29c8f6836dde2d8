"""Does a single cell follow something? Compared with directions through all cells that nobody chose."""

import numpy as np


def r_squared(states, labels, directions):
    """Squared correlation of labels with the states as seen along each direction.

    states      (N, H)
    labels      (N, L)  what is to be followed, one column each
    directions  (H, K)  each column one weighted sum of the states; np.eye(H): each cell for itself

    Returns (K, L), from 0 (nothing) to 1: the share of the label's variance that the best straight line from
    that one number to the label explains. 0 for a number that never changes.
    """
    with_labels, covariance, variance = _moments(states, labels)
    along = np.einsum("hk,hk->k", directions, covariance @ directions)
    shared = (directions.T @ with_labels) ** 2
    return shared / np.maximum(np.outer(along, variance), 1e-12)


def best_directions(states, labels, directions):
    """For each label the number of the direction that follows it best: integers (L,)."""
    return r_squared(states, labels, directions).argmax(axis=0)


def random_directions(states, K, rng):
    """K random weighted sums of the states (H, K). Half of them take the states as they are, half bring all
    cells to the same scale first, so that each has the same say."""
    directions = rng.standard_normal((states.shape[1], K))
    directions[:, K // 2:] /= np.maximum(states.std(axis=0), 1e-3)[:, None]
    return directions


def fitted_directions(states, labels):
    """The weighted sums of all states (H, L) that follow each label best: least squares."""
    with_labels, covariance, _ = _moments(states, labels)
    return np.linalg.lstsq(covariance, with_labels, rcond=None)[0]


def _moments(states, labels):
    """Covariance of states and labels (H, L) and of the states (H, H), variance of the labels (L,)."""
    states = states - states.mean(axis=0)
    labels = (labels - labels.mean(axis=0)).astype(states.dtype)
    N = len(states)
    return states.T @ labels / N, states.T @ states / N, np.einsum("nl,nl->l", labels, labels) / N


def linear_probe(features, labels):
    """Can a linear map read the label from the features? Fitted on the first half, tested on the second.

    features  (N, K)
    labels    (N,)   integers

    Returns the share of the second half whose label comes out right (least squares on one-hot labels).
    """
    half = len(labels) // 2
    features = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    wanted = labels[:, None] == np.unique(labels)
    weights, *_ = np.linalg.lstsq(features[:half], wanted[:half].astype(float), rcond=None)
    guessed = (features[half:] @ weights).argmax(axis=1)
    return float(np.mean(wanted[half:][np.arange(len(guessed)), guessed]))
