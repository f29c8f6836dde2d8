"""Looking into a network: how far a gradient reaches, what a state holds, what happens if a gate is moved."""

import numpy as np

from lstmcourse.gru import gru_cell_backward, gru_cell_forward
from lstmcourse.layers import sigmoid
from lstmcourse.lstm import lstm_cell_backward, lstm_cell_forward
from lstmcourse.rnn import rnn_cell_backward, rnn_cell_forward

CELLS = {1: (rnn_cell_forward, rnn_cell_backward), 3: (gru_cell_forward, gru_cell_backward)}


def share_by_lag(x, dh_last, params):
    """How much of a gradient at the last step is left, lag steps before.   (eq. 5.3)

    x        (B, T, D)  inputs; the states start at zero
    dh_last  (B, H)     dL/dh_T
    params   of an RNN, a GRU or an LSTM

    Returns an array (T,): at index lag the norm of dL/dc_{T-lag} (LSTM) or dL/dh_{T-lag} (RNN, GRU),
    root mean square over the batch, divided by the value at lag 0.
    """
    (B, T, _), H = x.shape, dh_last.shape[1]
    caches, norms, zeros = [], [], np.zeros((B, H), x.dtype)
    if len(params["W_hh"]) == 4 * H:
        h, c = zeros, zeros
        for t in range(T):
            h, c, cache = lstm_cell_forward(x[:, t], h, c, params)
            caches.append(cache)
        dh, dc = dh_last, zeros
        for cache in reversed(caches):
            arrived = dc + dh * cache.o * (1 - np.tanh(cache.c_t) ** 2)      # by the belt and through h_t
            norms.append(np.sqrt(np.mean((arrived**2).sum(axis=1))))
            _, dh, dc, _ = lstm_cell_backward(dh, dc, cache)
    else:
        forward, backward = CELLS[len(params["W_hh"]) // H]
        h = zeros
        for t in range(T):
            h, cache = forward(x[:, t], h, params)
            caches.append(cache)
        dh = dh_last
        for cache in reversed(caches):
            norms.append(np.sqrt(np.mean((dh**2).sum(axis=1))))
            _, dh, _ = backward(dh, cache)
    return np.array(norms) / norms[0]


def lstm_edited(x, params, edit):
    """An LSTM in which somebody's hand is on the gates. Zero states before the first step.

    x     (B, T, D)
    edit  called at every step as edit(t, {"i": …, "f": …, "g": …, "o": …}), each (B, H); returns the
          gates to go on with, so that what happens then can be seen

    Returns h (B, T, H) and c (B, T, H). With an edit that changes nothing, what `lstm_forward` returns.
    """
    H = params["W_hh"].shape[1]
    h_t = c_t = np.zeros((len(x), H), x.dtype)
    h, c = [], []
    for t in range(x.shape[1]):
        a_i, a_f, a_g, a_o = np.split(x[:, t] @ params["W_ih"].T + params["b_ih"]
                                      + h_t @ params["W_hh"].T + params["b_hh"], 4, axis=1)
        gates = edit(t, {"i": sigmoid(a_i), "f": sigmoid(a_f), "g": np.tanh(a_g), "o": sigmoid(a_o)})
        c_t = gates["f"] * c_t + gates["i"] * gates["g"]
        h_t = gates["o"] * np.tanh(c_t)
        h.append(h_t)
        c.append(c_t)
    return np.stack(h, axis=1), np.stack(c, axis=1)


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
