"""The LSTM (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000), forward and backward.

    i = sigmoid(a_i)    input gate:  how much is written      c_t = f * c_{t-1} + i * g
    f = sigmoid(a_f)    forget gate: how much is kept         h_t = o * tanh(c_t)
    g = tanh(a_g)       candidate:   what is written
    o = sigmoid(a_o)    output gate: how much is read         a_k = x_t W_ik^T + b_ik + h_{t-1} W_hk^T + b_hk

Parameters as in torch.nn.LSTM: W_ih (4H, D), W_hh (4H, H), b_ih (4H,), b_hh (4H,); the four
blocks of H rows belong to i, f, g, o, in this order.
"""

from typing import NamedTuple

import numpy as np

from lstmcourse.layers import sigmoid
from lstmcourse.validation import batch_first, check_array, check_sequence, read_only


class LSTMCellCache(NamedTuple):
    x_t: np.ndarray      # (B, D)
    h_prev: np.ndarray   # (B, H), and so are the rest
    c_prev: np.ndarray
    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray
    c_t: np.ndarray
    params: dict


def lstm_cell_forward(x_t, h_prev, c_prev, params):
    """One step of an LSTM.   (eq. 4c, 4f to 4j)

    x_t     (B, D)   input at this step
    h_prev  (B, H)   hidden state from the step before: what the cell showed
    c_prev  (B, H)   cell state from the step before: what the cell holds
    params  W_ih (4H, D), W_hh (4H, H), b_ih (4H,), b_hh (4H,)

    Returns h_t and c_t (B, H), read-only, and the cache for `lstm_cell_backward`.
    """
    a_t = (x_t @ params["W_ih"].T + params["b_ih"]
           + h_prev @ params["W_hh"].T + params["b_hh"])
    a_i, a_f, a_g, a_o = np.split(a_t, 4, axis=1)
    i = sigmoid(a_i)                         # how much to write
    f = sigmoid(a_f)                         # how much to keep
    g = np.tanh(a_g)                         # what to write
    o = sigmoid(a_o)                         # how much to read
    c_t = f * c_prev + i * g
    h_t = o * np.tanh(c_t)
    return read_only(h_t), read_only(c_t), LSTMCellCache(x_t, h_prev, c_prev, i, f, g, o, c_t, params)


def lstm_cell_backward(dh_t, dc_t, cache):
    """Backward pass of `lstm_cell_forward`, its lines in reverse order.   (eq. 5a to 5f)

    dh_t  (B, H)  dL/dh_t, all of it: what the loss at t gives and what arrives from step t+1
    dc_t  (B, H)  dL/dc_t likewise, but for what flows through h_t: that is added here

    Returns dx_t (B, D), dh_prev (B, H), dc_prev (B, H) and grads, a dict keyed like params.
    """
    x_t, h_prev, c_prev, i, f, g, o, c_t, params = cache
    tanh_c = np.tanh(c_t)
    do = dh_t * tanh_c
    dc = dc_t + dh_t * o * (1 - tanh_c**2)   # c_t is used twice: by h_t and by c_{t+1}
    di, df, dg = dc * g, dc * c_prev, dc * i
    dc_prev = dc * f                         # the direct path: times f, and nothing else
    da_t = np.concatenate([
        di * i * (1 - i),                    # sigmoid' = s (1 - s), from the output
        df * f * (1 - f),
        dg * (1 - g**2),                     # tanh' = 1 - tanh^2, from the output
        do * o * (1 - o),
    ], axis=1)
    dx_t = da_t @ params["W_ih"]
    dh_prev = da_t @ params["W_hh"]
    grads = {
        "W_ih": da_t.T @ x_t,
        "W_hh": da_t.T @ h_prev,
        "b_ih": da_t.sum(axis=0),
        "b_hh": da_t.sum(axis=0),
    }
    return dx_t, dh_prev, dc_prev, grads


# The whole sequence, as in rnn.py: time first inside, and the loop keeps only the recursion. It is fused
# for speed: one matmul makes the four pre-activations from [h_{t-1}, x_t, 1], one tanh serves all gates
# (sigmoid(a) = (tanh(a/2) + 1) / 2: absolute error below 1e-16, so a gate below that may show as 0), and
# every result is written into memory that is there already. The test is the loop over cells.

class LSTMCache(NamedTuple):
    hx1: np.ndarray      # (T + 1, B, H + D + 1)  augmented input [h_{t-1}, x_t, 1]
    gates: np.ndarray    # (T, 4, B, H)
    c: np.ndarray        # (T + 1, B, H)  c_0 … c_T
    tanh_c: np.ndarray   # (T, B, H)
    params: dict
    i = property(lambda self: self.gates[:, 0].swapaxes(0, 1))     # each (B, T, H)
    f = property(lambda self: self.gates[:, 1].swapaxes(0, 1))
    g = property(lambda self: self.gates[:, 2].swapaxes(0, 1))
    o = property(lambda self: self.gates[:, 3].swapaxes(0, 1))


def lstm_forward(x, h_0, c_0, params):
    """`lstm_cell_forward` over a whole sequence.

    x         (B, T, D)
    h_0, c_0  (B, H)     the states before the first step
    params    as for the cell

    Returns h and c (B, T, H), read-only, and the cache for `lstm_backward`; cache.i, .f, .g and .o
    are the gates (B, T, H).
    Raises ValueError for a wrong shape, dtype or key, or parameters that are not finite.
    """
    B, T, D, H, dtype = check_sequence(x, {"h_0": h_0, "c_0": c_0}, params, gates=4)
    W = np.empty((4, H + D + 1, H), dtype)
    W[:, :H] = params["W_hh"].reshape(4, H, H).swapaxes(1, 2)
    W[:, H:-1] = params["W_ih"].reshape(4, H, D).swapaxes(1, 2)
    W[:, -1] = (params["b_ih"] + params["b_hh"]).reshape(4, H)
    half = np.array([0.5, 0.5, 1, 0.5], dtype).reshape(4, 1, 1)
    W *= half               # one tanh then serves all gates: sigmoid(a) = (tanh(a/2) + 1) / 2
    other_half = 1 - half

    hx1 = np.ones((T + 1, B, H + D + 1), dtype)
    hx1[:T, :, H:-1] = x.swapaxes(0, 1)
    h = hx1[:, :, :H]
    h[0] = h_0
    gates = np.empty((T, 4, B, H), dtype)
    c, tanh_c = np.empty((T + 1, B, H), dtype), np.empty((T, B, H), dtype)
    c[0] = c_0
    i_g = np.empty((B, H), dtype)
    for hx1_t, gates_t, i, f, g, o, c_prev, c_t, tanh_c_t, h_t in zip(
            hx1[:-1], gates, *gates.swapaxes(0, 1), c[:-1], c[1:], tanh_c, h[1:], strict=True):
        np.matmul(hx1_t, W, gates_t)                    # (B, K) times (4, K, H): the four gates
        np.tanh(gates_t, gates_t)
        gates_t *= half
        gates_t += other_half
        np.multiply(f, c_prev, c_t)                        # the last argument is where the result goes
        c_t += np.multiply(i, g, i_g)
        np.multiply(o, np.tanh(c_t, tanh_c_t), h_t)
    return batch_first(h), batch_first(c), LSTMCache(hx1, gates, c, tanh_c, params)


def lstm_backward(dh, dc, cache):
    """Backpropagation through time for `lstm_forward`.   (eq. 5a to 5f at every step)

    dh  (B, T, H)  for every t what reaches h_t from outside the recurrence (the loss at t), not what
                   arrives from step t+1: that is added here. `lstm_cell_backward` takes the sum of both
    dc  (B, T, H)  likewise for c_t; None where only h enters the loss

    Returns dx (B, T, D), dh_0 (B, H), dc_0 (B, H) and grads, a dict keyed like params.
    Raises ValueError for a dh or dc of another shape or dtype.
    """
    hx1, gates, c, tanh_c, params = cache
    T, _, B, H = gates.shape
    D, dtype = hx1.shape[2] - H - 1, gates.dtype
    check_array("dh", dh, (B, T, H), dtype)
    if dc is not None:
        check_array("dc", dc, (B, T, H), dtype)
    i, f, g, o = gates.swapaxes(0, 1)
    da = np.empty((T, B, 4, H), dtype)                     # first the local slopes, every step at once:
    np.multiply(i * g, 1 - i, out=da[:, :, 0])             # dc_t/da_i
    np.multiply(c[:-1] * f, 1 - f, out=da[:, :, 1])        # dc_t/da_f
    np.multiply(i, 1 - g * g, out=da[:, :, 2])             # dc_t/da_g
    np.multiply(tanh_c * o, 1 - o, out=da[:, :, 3])        # dh_t/da_o
    dh_dc = o * (1 - tanh_c * tanh_c)                      # dh_t/dc_t
    dh_next, dc_next = np.zeros((B, H), dtype), np.zeros((B, H), dtype)    # what arrives from t+1
    dc_from_h = np.empty((B, H), dtype)
    for t, dh_t, dh_dc_t, f_t, da_ifg, da_o, da_t in zip(
            range(T)[::-1], dh.swapaxes(0, 1)[::-1], dh_dc[::-1], f[::-1],
            da[::-1, :, :3], da[::-1, :, 3], da.reshape(T, B, 4 * H)[::-1], strict=True):
        dh_next += dh_t
        dc_next += np.multiply(dh_next, dh_dc_t, dc_from_h)
        if dc is not None:
            dc_next += dc[:, t]
        da_ifg *= dc_next[:, None]                         # then times what arrives
        da_o *= dh_next
        dc_next *= f_t
        da_t.dot(params["W_hh"], dh_next)

    da = da.reshape(T * B, 4 * H)
    dx = (da @ params["W_ih"]).reshape(T, B, D).swapaxes(0, 1)
    dW = da.T @ hx1[:T].reshape(T * B, H + D + 1)
    grads = {"W_ih": dW[:, H:-1], "W_hh": dW[:, :H], "b_ih": dW[:, -1], "b_hh": dW[:, -1].copy()}
    return dx, dh_next, dc_next, grads
