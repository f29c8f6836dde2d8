"""Interventions: clamp a gate of a trained network, or ablate a unit, and see what changes.

    rnn_clamped, gru_clamped, lstm_clamped: a batch, with a function that may change any gate at any step
    run_clamped     one sentence, with chosen gates of chosen units set to numbers
    clamp_gate      a gate that stays at one value, in training too
    ablate_unit     a unit that stays at zero
"""

import numpy as np

from lstmcourse.layers import sigmoid
from lstmcourse.recurrent import KINDS, kind_of
from lstmcourse.rnn import rnn_cell_forward
from lstmcourse.validation import check_array


def lstm_clamped(x, params, clamp):
    """`lstm_forward` from zero states, with `clamp` applied to each gate before it is used.

    x      (B, T, D)
    clamp  called at every step as clamp(t, gate, value), gate one of "i", "f", "g", "o" in this order,
           value (B, H); returns the value to go on with. Later steps see what follows from it.

    Returns h (B, T, H) and c (B, T, H). With a clamp that returns its value, what `lstm_forward` returns.
    """
    h_t = c_t = np.zeros((len(x), params["W_hh"].shape[1]), x.dtype)
    h, c = [], []
    for t in range(x.shape[1]):
        a_i, a_f, a_g, a_o = np.split(x[:, t] @ params["W_ih"].T + params["b_ih"]
                                      + h_t @ params["W_hh"].T + params["b_hh"], 4, axis=1)
        i, f = clamp(t, "i", sigmoid(a_i)), clamp(t, "f", sigmoid(a_f))
        g, o = clamp(t, "g", np.tanh(a_g)), clamp(t, "o", sigmoid(a_o))
        c_t = f * c_t + i * g
        h_t = o * np.tanh(c_t)
        h.append(h_t)
        c.append(c_t)
    return np.stack(h, axis=1), np.stack(c, axis=1)


def gru_clamped(x, params, clamp):
    """`gru_forward` from a zero state, with `clamp` applied to each gate before it is used.

    x      (B, T, D)
    clamp  as for `lstm_clamped`, gate one of "r", "z", "n" in this order: a clamped r changes the candidate n

    Returns h (B, T, H). With a clamp that returns its value, what `gru_forward` returns.
    """
    h_t, h = np.zeros((len(x), params["W_hh"].shape[1]), x.dtype), []
    for t in range(x.shape[1]):
        a_r, a_z, a_n = np.split(x[:, t] @ params["W_ih"].T + params["b_ih"], 3, axis=1)
        u_r, u_z, u_n = np.split(h_t @ params["W_hh"].T + params["b_hh"], 3, axis=1)
        r, z = clamp(t, "r", sigmoid(a_r + u_r)), clamp(t, "z", sigmoid(a_z + u_z))
        n = clamp(t, "n", np.tanh(a_n + r * u_n))
        h_t = (1 - z) * n + z * h_t
        h.append(h_t)
    return np.stack(h, axis=1)


def rnn_clamped(x, params, clamp):
    """`rnn_forward` from a zero state, with `clamp` applied to each state, called "h" as a gate, before it is used.

    Arguments as for `lstm_clamped`. Returns h (B, T, H). With a clamp that returns its value, what `rnn_forward`
    returns.
    """
    h_t, h = np.zeros((len(x), params["W_hh"].shape[1]), x.dtype), []
    for t in range(x.shape[1]):
        h_t = clamp(t, "h", rnn_cell_forward(x[:, t], h_t, params)[0])
        h.append(h_t)
    return np.stack(h, axis=1)


CLAMPED = {"rnn": rnn_clamped, "gru": gru_clamped, "lstm": lstm_clamped}


def run_clamped(x, params, clamped=None):
    """Run one sentence through a cell from zero states, with chosen gates of chosen units clamped.

    x        (T, D)   one word a row
    params   of an RNN, a GRU or an LSTM
    clamped  dict: (step, gate, unit) -> value, for example {(5, "f", 0): 1.0}; all later steps see
             what follows from it. Gates are i, f, g, o (LSTM), r, z, n (GRU), h (RNN: the state itself)

    Returns a dict of arrays (T, H): h, and for an LSTM c, i, f, g, o, for a GRU r, z, n.
    Raises ValueError for a step, gate or unit that does not exist.
    """
    kind, clamped = kind_of(params), clamped or {}
    if kind not in CLAMPED:
        raise ValueError(f"params are of kind {kind!r}; wanted one whose gates can be clamped here: {sorted(CLAMPED)}")
    T, H, gates = len(x), params["W_hh"].shape[1], KINDS[kind].gates
    check_array("x", x, (None, params["W_ih"].shape[1]))
    for t, gate, unit in clamped:
        if t not in range(T) or gate not in tuple(gates) or unit not in range(H):
            raise ValueError(f"clamped has {(t, gate, unit)}; wanted (step 0 to {T - 1}, one of "
                             f"{', '.join(gates)}, unit 0 to {H - 1})")
    values = {gate: np.zeros((T, H)) for gate in gates}

    def clamp(t, gate, value):
        value = value.copy()
        for (step, name, unit), wanted in clamped.items():
            if (step, name) == (t, gate):
                value[0, unit] = wanted
        values[gate][t] = value[0]
        return value

    outputs = CLAMPED[kind](x[None], params, clamp)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return values | {name: output[0] for name, output in zip(KINDS[kind].states, outputs, strict=True)}


def clamp_gate(params, block, bias):
    """Clamp a gate for good (params is changed in place): block 0, 1, 2 … sees nothing and stays at sigmoid(bias).

    At bias 60 a sigmoid is 1 to the last bit and its slope is 0, so that no training moves it.
    Raises ValueError for a block that params does not have.
    """
    rows, H = params["W_hh"].shape
    if block not in range(rows // H):
        raise ValueError(f"block is {block}; wanted 0 to {rows // H - 1}: W_hh has {rows // H} blocks of {H} rows")
    for key in params:
        params[key][block * H:(block + 1) * H] = 0
    params["b_ih"][block * H:(block + 1) * H] = bias


def ablate_unit(params, k):
    """The params of the same language model with unit k ablated: input gate and forget gate 0, so its cell state is 0.

    Raises ValueError for a unit that does not exist.
    """
    H = params["lstm"]["W_hh"].shape[1]
    if k not in range(H):
        raise ValueError(f"k is {k}; wanted a unit, 0 to {H - 1}")
    lstm = {name: array.copy() for name, array in params["lstm"].items()}
    for gate in (0, 1):
        lstm["W_ih"][gate * H + k] = lstm["W_hh"][gate * H + k] = 0
        lstm["b_ih"][gate * H + k] = -60
    return params | {"lstm": lstm}
