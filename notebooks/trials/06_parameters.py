"""Lesson 06, on trial: a GRU has fewer parameters because it has one memory cell instead of two.

Nothing is random here. Parameters are counted in five cells: RNN, GRU and LSTM, and two that take the two explanations
apart, since in the GRU and the LSTM memories and blocks of weights change together: a cell with two memories and three
blocks, and one with one memory and four.
"""

import numpy as np

from lstmcourse.lab.trials import relabelled, remake, verdict_of
from lstmcourse.layers import sigmoid
from lstmcourse.recurrent import KINDS
from lstmcourse.train import count_parameters, init_recurrent

CRITERION = """
At every size:
by blocks    all cells have the same number of parameters for each block of weights
by memories  all cells have the same number of parameters for each memory
True: by memories. False: by blocks and not by memories. Open: neither or both.
"""
SETTINGS = {"sizes": [[24, 32], [8, 5]], "B": 2, "T": 3}


def coupled_lstm(x, params):
    """An LSTM with i = 1 - f (Greff et al. 2017): two memories from three blocks f, g, o. It runs on a GRU's arrays.

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


def uncoupled_gru(x, params):
    """A GRU with an input gate of its own in place of 1 - z: one memory from four blocks r, z, i, n. An LSTM's arrays.

    x (B, T, D); W_ih (4H, D), W_hh (4H, H), b_ih and b_hh (4H,). Returns a tuple of one: the last h (B, H).
    """
    H = params["W_hh"].shape[1]
    h = np.zeros((len(x), H))
    for t in range(x.shape[1]):
        a_r, a_z, a_i, a_n = np.split(x[:, t] @ params["W_ih"].T + params["b_ih"], 4, axis=1)
        u_r, u_z, u_i, u_n = np.split(h @ params["W_hh"].T + params["b_hh"], 4, axis=1)
        n = np.tanh(a_n + sigmoid(a_r + u_r) * u_n)
        h = sigmoid(a_z + u_z) * h + sigmoid(a_i + u_i) * n
    return h,


def last_states(kind):
    """A function of x and params that returns the last states of one of `recurrent.KINDS`."""
    def run_cell(x, params):
        states = [np.zeros((len(x), params["W_hh"].shape[1])) for _ in KINDS[kind].states]
        return [state[:, -1] for state in KINDS[kind].forward(x, *states, params)[:-1]]
    return run_cell


CELLS = {  # the kind whose arrays it runs on, and the cell
    "RNN": ("rnn", last_states("rnn")), "GRU": ("gru", last_states("gru")), "LSTM": ("lstm", last_states("lstm")),
    "LSTM with i = 1 - f": ("gru", coupled_lstm), "GRU with an input gate": ("lstm", uncoupled_gru)}


def one(cell, D, H):
    """Run the cell once, and count: its blocks of weights, its memories, its parameters."""
    arrays, run_cell = CELLS[cell]
    rng = np.random.default_rng(0)
    params = init_recurrent(arrays, D, H, rng)
    states = run_cell(rng.standard_normal((SETTINGS["B"], SETTINGS["T"], D)), params)
    return {"blocks": len(params["W_hh"]) // H, "memories": len(states), "parameters": count_parameters(params)}


def verdict(records):
    """Word, sentence and number, by the criterion."""
    def same_for_each(name):
        return all(len({r["parameters"] / r[name] for r in records if [r["D"], r["H"]] == size}) == 1
                   for size in SETTINGS["sizes"])

    blocks, memories = same_for_each("blocks"), same_for_each("memories")
    word = "Open" if blocks == memories else "True" if memories else "False"
    count = {r["cell"]: r["parameters"] for r in records if [r["D"], r["H"]] == SETTINGS["sizes"][0]}
    return verdict_of(word, {
        "True": "Parameters go with the memories.",
        "False": "A GRU has fewer parameters because it has three blocks of weights and an LSTM has four; a second "
                 "memory adds not one parameter."},
        f"two memories, three blocks: {count['LSTM with i = 1 - f']} parameters, as the GRU's {count['GRU']}; "
        f"one memory, four blocks: {count['GRU with an input gate']}, as the LSTM's {count['LSTM']}")


def rival(records):
    """Parameters as the claim has them: so many for each memory."""
    return [r | {"parameters": 1000 * r["memories"]} for r in records]


def shuffled(records, rng):
    """Which cell has how many parameters is dealt anew."""
    return relabelled(records, "parameters", rng)


def jobs(pilot, first):
    """Every cell at every size; nothing is random, so there is no pilot and there are no seeds."""
    return [{"cell": cell, "D": D, "H": H} for cell in CELLS for D, H in SETTINGS["sizes"]]


if __name__ == "__main__":
    remake(__file__, SETTINGS, one, [], jobs)
