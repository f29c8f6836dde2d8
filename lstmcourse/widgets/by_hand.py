"""Networks whose weights are written down, not learned, for the pizza sentence: lesson 04's LSTM, and what
a GRU and an RNN can do of it with less machinery. Each function returns params and the names of the places."""

import numpy as np

from lstmcourse.data.pizza import WORDS, encode

SURE = np.tanh(3.0)          # what a place holds after a word has said plus three


def lstm_by_hand():
    """Lesson 04's three places: who, his food, friend's food."""
    V, H = len(WORDS), 3
    W_ih, W_hh, b = np.zeros((4, H, V)), np.zeros((4, H, H)), np.zeros((4, H))
    i, f, g, o = range(4)
    b[[i, f, o]] = np.array([[-12, -36, -36], [12, 36, 36], [12, -36, -36]])
    for word, sign, places in (("nishchal", 3, [0]), ("friend", -3, [0]), ("pizza", 3, [1, 2]), ("burger", -3, [1, 2])):
        k = encode(word)[0]
        W_ih[g, places, k], W_ih[i, places, k], W_ih[f, places, k] = sign, 24, -24
    for place, person in ((1, 1), (2, -1)):                # the food goes to the one we are talking about
        W_hh[[i, f, o], place, 0] = np.array([24, -24, 24]) * person / np.tanh(SURE)
        W_ih[o, place, encode("orders")[0]] = 24
    return _params(W_ih, W_hh, b), ["who", "his food", "friend's food"]


def gru_by_hand():
    """Three places as in lesson 04: who, his food, friend's food. A GRU shows all that it holds."""
    V, H = len(WORDS), 3
    W_ih, W_hh, b = np.zeros((3, H, V)), np.zeros((3, H, H)), np.zeros((3, H))
    z, n = 1, 2
    b[z] = 12, 36, 36                                      # kept, unless a word (and the person) says otherwise
    for word, sign in (("nishchal", 3), ("friend", -3)):
        W_ih[n, 0, encode(word)[0]], W_ih[z, 0, encode(word)[0]] = sign, -24
    for place, person in ((1, 1), (2, -1)):
        W_hh[z, place, 0] = -24 * person / SURE
        for word, sign in (("pizza", 3), ("burger", -3)):
            W_ih[n, place, encode(word)[0]], W_ih[z, place, encode(word)[0]] = sign, -24
    return _params(W_ih, W_hh, b), ["who", "his food", "friend's food"]


def rnn_by_hand():
    """Two places, who and food. Each keeps itself through the tanh; a new food overwrites the old one."""
    V, H = len(WORDS), 2
    W_ih = np.zeros((1, H, V))
    for place, word, sign in ((0, "nishchal", 6), (0, "friend", -6), (1, "pizza", 6), (1, "burger", -6)):
        W_ih[0, place, encode(word)[0]] = sign
    return _params(W_ih, 3 * np.eye(H)[None], np.zeros((1, H))), ["who", "food"]


def _params(W_ih, W_hh, b):
    k, H, V = W_ih.shape
    return {"W_ih": W_ih.reshape(k * H, V), "W_hh": W_hh.reshape(k * H, H), "b_ih": b.reshape(k * H),
            "b_hh": np.zeros(k * H)}
