"""Networks whose weights are set by hand, not learned, for the pizza sentence: lesson 04's LSTM, and what
a GRU and an RNN can do of it with less machinery. Each function returns params and the names of the units."""

import numpy as np

from lstmcourse.data.pizza import WORDS, encode

SURE = np.tanh(3.0)          # what a unit holds after a word has written plus three


def lstm_by_hand():
    """Lesson 04's three units: who, his food, friend's food."""
    V, H = len(WORDS), 3
    W_ih, W_hh, b = np.zeros((4, H, V)), np.zeros((4, H, H)), np.zeros((4, H))
    i, f, g, o = range(4)
    b[[i, f, o]] = np.array([[-12, -36, -36], [12, 36, 36], [12, -36, -36]])
    for word, sign, units in (("nishchal", 3, [0]), ("friend", -3, [0]), ("pizza", 3, [1, 2]), ("burger", -3, [1, 2])):
        k = encode(word)[0]
        W_ih[g, units, k], W_ih[i, units, k], W_ih[f, units, k] = sign, 24, -24
    for unit, person in ((1, 1), (2, -1)):                # the food goes to the one we are talking about
        W_hh[[i, f, o], unit, 0] = np.array([24, -24, 24]) * person / np.tanh(SURE)
        W_ih[o, unit, encode("orders")[0]] = 24
    return _params(W_ih, W_hh, b), ["who", "his food", "friend's food"]


def gru_by_hand():
    """Three units as in lesson 04: who, his food, friend's food. Without an output gate, h shows all of it."""
    V, H = len(WORDS), 3
    W_ih, W_hh, b = np.zeros((3, H, V)), np.zeros((3, H, H)), np.zeros((3, H))
    z, n = 1, 2
    b[z] = 12, 36, 36                                      # kept, unless a word (and the person) says otherwise
    for word, sign in (("nishchal", 3), ("friend", -3)):
        W_ih[n, 0, encode(word)[0]], W_ih[z, 0, encode(word)[0]] = sign, -24
    for unit, person in ((1, 1), (2, -1)):
        W_hh[z, unit, 0] = -24 * person / SURE
        for word, sign in (("pizza", 3), ("burger", -3)):
            W_ih[n, unit, encode(word)[0]], W_ih[z, unit, encode(word)[0]] = sign, -24
    return _params(W_ih, W_hh, b), ["who", "his food", "friend's food"]


def rnn_by_hand():
    """Two units, who and food. Each keeps itself through the tanh; a new food overwrites the old one."""
    V, H = len(WORDS), 2
    W_ih = np.zeros((1, H, V))
    for unit, word, sign in ((0, "nishchal", 6), (0, "friend", -6), (1, "pizza", 6), (1, "burger", -6)):
        W_ih[0, unit, encode(word)[0]] = sign
    return _params(W_ih, 3 * np.eye(H)[None], np.zeros((1, H))), ["who", "food"]


def _params(W_ih, W_hh, b):
    k, H, V = W_ih.shape
    return {"W_ih": W_ih.reshape(k * H, V), "W_hh": W_hh.reshape(k * H, H), "b_ih": b.reshape(k * H),
            "b_hh": np.zeros(k * H)}
