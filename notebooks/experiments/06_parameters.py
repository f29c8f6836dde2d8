"""Lesson 06: what do the parameters of a recurrent cell depend on, its blocks or its memories?

Nothing is random here. For two sizes, the parameters of four cells: RNN, GRU, LSTM, and an LSTM whose input
gate is 1 - f (Greff et al. 2017), which has the LSTM's two memories and the GRU's three blocks.
"""

import numpy as np

from lstmcourse.lab.trials import run
from lstmcourse.layers import sigmoid
from lstmcourse.train import count_parameters, init_recurrent

SETTINGS = {"sizes": [[24, 32], [8, 5]]}
CELLS = {"rnn": (1, 1), "gru": (3, 1), "lstm": (4, 2), "coupled lstm": (3, 2)}        # blocks, memories


def coupled_lstm(x, params):
    """An LSTM with i = 1 - f: two memories from three blocks f, g, o. It runs on a GRU's arrays.

    x (B, T, D); W_ih (3H, D), W_hh (3H, H), b_ih and b_hh (3H,). Returns the last h and c, (B, H) each.
    """
    H = params["W_hh"].shape[1]
    h = c = np.zeros((len(x), H))
    for t in range(x.shape[1]):
        a = x[:, t] @ params["W_ih"].T + params["b_ih"] + h @ params["W_hh"].T + params["b_hh"]
        a_f, a_g, a_o = np.split(a, 3, axis=1)
        c = sigmoid(a_f) * c + (1 - sigmoid(a_f)) * np.tanh(a_g)
        h = sigmoid(a_o) * np.tanh(c)
    return h, c


def one(cell, D, H):
    """How many parameters the cell has."""
    blocks, memories = CELLS[cell]
    params = init_recurrent("gru" if cell == "coupled lstm" else cell, D, H, np.random.default_rng(0))
    return {"blocks": blocks, "memories": memories, "parameters": count_parameters(params)}


def verdict(records):
    """Parameters go with the blocks, not with the memories.

    Cells with equal blocks have equal parameters, whatever their memories; all have the same number a block.
    """
    for D, H in SETTINGS["sizes"]:
        cells = [record for record in records if (record["D"], record["H"]) == (D, H)]
        if len({record["parameters"] / record["blocks"] for record in cells}) > 1:
            return False
        if len({record["parameters"] / record["memories"] for record in cells}) == 1:
            return False
    return True


if __name__ == "__main__":
    run(__file__, SETTINGS, [{"cell": cell, "D": D, "H": H} for cell in CELLS for D, H in SETTINGS["sizes"]], one)
