"""The minimal GRU and LSTM (Feng et al. 2024): gates that see the input only, so all steps can be made at once.

    minGRU    z = sigmoid(a_z)                          h_t = z * h_{t-1} + (1 - z) * n
    minLSTM   i, f = sigmoid(a_i), sigmoid(a_f)         h_t = f / (f + i) * h_{t-1} + i / (f + i) * n
              n = a_n, the candidate, no tanh           a_k = x_t W_ik^T + b_ik

Both are h_t = keep_t * h_{t-1} + new_t with keep and new known beforehand: a scan. Feng et al. write
z for what is 1 - z here, where it keeps the sense that it has in gru.py.

Parameters: W_ih, b_ih with blocks of H rows, z, n for the minGRU and i, f, n for the minLSTM. No W_hh.
"""

from typing import NamedTuple

import numpy as np

from lstmcourse.layers import sigmoid
from lstmcourse.validation import check_array


def sequential_scan(keep, new, h_0):
    """h_t = keep_t * h_{t-1} + new_t, one step after the other.   (eq. 9.5)

    keep, new  (B, T, H)
    h_0        (B, H)

    Returns h (B, T, H).
    """
    h, h_t = np.empty_like(new), h_0
    for t in range(new.shape[1]):
        h_t = keep[:, t] * h_t + new[:, t]
        h[:, t] = h_t
    return h


def parallel_scan(keep, new, h_0):
    """The same as `sequential_scan` in log2(T) rounds, each over all steps at once (Hillis and Steele 1986).

    Two steps in a row are one step: keep = keep_2 * keep_1 and new = keep_2 * new_1 + new_2. After a
    round in which every step takes in the one `reach` before it, twice as many are taken in.   (eq. 9.6)
    """
    keep, new = keep.copy(), new.copy()
    new[:, 0] += keep[:, 0] * h_0
    reach = 1
    while reach < new.shape[1]:
        new[:, reach:] = keep[:, reach:] * new[:, :-reach] + new[:, reach:]
        keep[:, reach:] = keep[:, reach:] * keep[:, :-reach]
        reach *= 2
    return new


class MinimalCache(NamedTuple):
    x: np.ndarray        # (B, T, D)
    h_0: np.ndarray      # (B, H)
    h: np.ndarray        # (B, T, H), and so are the rest
    gates: tuple         # z, or i and f
    n: np.ndarray
    params: dict


def min_gru_forward(x, h_0, params, scan=parallel_scan):
    """The minimal GRU over a sequence.   (eq. 9.7)

    x       (B, T, D)
    h_0     (B, H)
    params  W_ih (2H, D), b_ih (2H,), the blocks in the order z, n
    scan    `parallel_scan` or `sequential_scan`: the same numbers in another order

    Returns h (B, T, H) and the cache for `min_gru_backward`.
    """
    a_z, a_n = _blocks(x, h_0, params, 2)
    z = sigmoid(a_z)
    h = scan(z, (1 - z) * a_n, h_0)
    return h, MinimalCache(x, h_0, h, (z,), a_n, params)


def min_gru_backward(dh, cache):
    """Backward of `min_gru_forward`: dx, dh_0 and grads. The gradient is a scan too, from the end.   (eq. 9.8)

    dh  (B, T, H): dL/d every h_t
    """
    (z,), n = cache.gates, cache.n
    dh, h_prev, dh_0 = _scan_back(dh, z, cache)
    dz, dn = dh * (h_prev - n), dh * (1 - z)
    return _through_input([dz * z * (1 - z), dn], cache, dh_0)


def min_lstm_forward(x, h_0, params, scan=parallel_scan):
    """The minimal LSTM over a sequence; arguments as `min_gru_forward`, params W_ih (3H, D): i, f, n.   (eq. 9.9)"""
    a_i, a_f, a_n = _blocks(x, h_0, params, 3)
    i, f = sigmoid(a_i), sigmoid(a_f)
    h = scan(f / (f + i), i / (f + i) * a_n, h_0)
    return h, MinimalCache(x, h_0, h, (i, f), a_n, params)


def min_lstm_backward(dh, cache):
    """Backward of `min_lstm_forward`: dx, dh_0 and grads.   (eq. 9.10)"""
    (i, f), n = cache.gates, cache.n
    keep = f / (f + i)
    dh, h_prev, dh_0 = _scan_back(dh, keep, cache)
    dkeep, dn = dh * (h_prev - n), dh * (1 - keep)              # 1 - keep is i / (f + i)
    di, df = -dkeep * keep / (f + i), dkeep * (1 - keep) / (f + i)
    return _through_input([di * i * (1 - i), df * f * (1 - f), dn], cache, dh_0)


def _blocks(x, h_0, params, blocks):
    check_array("x", x, (None, None, None))
    B, _, D = x.shape
    check_array("h_0", h_0, (B, None), x.dtype)
    rows = blocks * h_0.shape[1]
    check_array("params['W_ih']", params["W_ih"], (rows, D), x.dtype)
    check_array("params['b_ih']", params["b_ih"], (rows,), x.dtype)
    return np.split(x @ params["W_ih"].T + params["b_ih"], blocks, axis=2)


def _scan_back(dh, keep, cache):
    """Every dL/dh_t with what comes back from later steps; the states before each step; dL/dh_0."""
    check_array("dh", dh, cache.h.shape, cache.h.dtype)
    later = np.concatenate([keep[:, 1:], np.zeros_like(keep[:, :1])], axis=1)       # h_t meets keep_{t+1}
    dh = parallel_scan(later[:, ::-1], dh[:, ::-1], np.zeros_like(cache.h_0))[:, ::-1]
    h_prev = np.concatenate([cache.h_0[:, None], cache.h[:, :-1]], axis=1)
    return dh, h_prev, dh[:, 0] * keep[:, 0]


def _through_input(parts, cache, dh_0):
    da = np.concatenate(parts, axis=2)
    flat = da.reshape(-1, da.shape[2])
    grads = {"W_ih": flat.T @ cache.x.reshape(-1, cache.x.shape[2]), "b_ih": flat.sum(axis=0)}
    return da @ cache.params["W_ih"], dh_0, grads
