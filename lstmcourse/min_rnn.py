"""The minimal GRU and LSTM (Feng et al. 2024): gates that see the input only, so all steps can be computed in parallel.

    minGRU    z = sigmoid(a_z)                          h_t = z * h_{t-1} + (1 - z) * n
    minLSTM   i, f = sigmoid(a_i), sigmoid(a_f)         h_t = f / (f + i) * h_{t-1} + i / (f + i) * n
              n = a_n, the candidate, no tanh           a_k = x_t W_ik^T + b_ik

Both are h_t = decay_t * h_{t-1} + update_t with decay and update known beforehand: a scan. Feng et al.
write z for what is 1 - z here, where it keeps the convention of gru.py.

Parameters: W_ih, b_ih with blocks of H rows, z, n for the minGRU and i, f, n for the minLSTM. No W_hh.
"""

from typing import NamedTuple

import numpy as np

from lstmcourse.layers import sigmoid
from lstmcourse.validation import check_array, check_keys, read_only


def sequential_scan(decay, update, h_0):
    """h_t = decay_t * h_{t-1} + update_t, one step after the other.   (eq. 9p)

    decay, update  (B, T, H)
    h_0            (B, H)

    Returns h (B, T, H).
    """
    h, h_t = np.empty_like(update), h_0
    for t in range(update.shape[1]):
        h_t = decay[:, t] * h_t + update[:, t]
        h[:, t] = h_t
    return h


def parallel_scan(decay, update, h_0):
    """The same as `sequential_scan` in log2(T) rounds, each over all steps at once (Hillis and Steele 1986).

    Two steps in a row are one step: decay = decay_2 * decay_1 and update = decay_2 * update_1 + update_2. After
    a round in which every step takes in the one `reach` before it, twice as many are taken in.   (eq. 9q, 9r)
    """
    decay, update = decay.copy(), update.copy()
    update[:, :1] += decay[:, :1] * h_0[:, None]
    reach = 1
    while reach < update.shape[1]:
        update[:, reach:] = decay[:, reach:] * update[:, :-reach] + update[:, reach:]
        decay[:, reach:] = decay[:, reach:] * decay[:, :-reach]
        reach *= 2
    return update


class MinimalCache(NamedTuple):
    x: np.ndarray        # (B, T, D)
    h_0: np.ndarray      # (B, H)
    h: np.ndarray        # (B, T, H), and so are the rest
    decay: np.ndarray    # what h_{t-1} is multiplied by, and
    write: np.ndarray    # what n is
    a: tuple             # pre-activations of i and f; none for the minGRU
    n: np.ndarray
    params: dict


def min_gru_forward(x, h_0, params, scan=parallel_scan):
    """The minimal GRU over a sequence.   (eq. 9m to 9o)

    x       (B, T, D)
    h_0     (B, H)
    params  W_ih (2H, D), b_ih (2H,), the blocks in the order z, n
    scan    `parallel_scan` or `sequential_scan`: the same numbers in another order

    Returns h (B, T, H), read-only, and the cache for `min_gru_backward`.
    Raises ValueError for a wrong shape, dtype or key.
    """
    a_z, a_n = _blocks(x, h_0, params, 2)
    z = sigmoid(a_z)
    h = read_only(scan(z, (1 - z) * a_n, h_0))
    return h, MinimalCache(x, h_0, h, z, 1 - z, (), a_n, params)


def min_gru_backward(dh, cache):
    """Backward pass of `min_gru_forward`. The gradient is a scan too, from the end.

    dh  (B, T, H)  for every t what reaches h_t from outside the recurrence

    Returns dx (B, T, D), dh_0 (B, H) and grads, keyed like params. Raises ValueError for a wrong shape or dtype.
    """
    dh, h_prev, dh_0 = _scan_backward(dh, cache)
    da_z = dh * (h_prev - cache.n) * cache.decay * cache.write         # sigmoid' = z (1 - z)
    return _through_input([da_z, dh * cache.write], cache, dh_0)


def min_lstm_forward(x, h_0, params, scan=parallel_scan):
    """The minimal LSTM over a sequence; arguments as `min_gru_forward`, params W_ih (3H, D): i, f, n.

    decay = f / (f + i) is computed as sigmoid(log f - log i): right also where both gates are 0 to the last bit.
    """
    a_i, a_f, a_n = _blocks(x, h_0, params, 3)
    difference = np.logaddexp(0, -a_i) - np.logaddexp(0, -a_f)         # log sigmoid(a) = -log(1 + exp(-a))
    decay, write = sigmoid(difference), sigmoid(-difference)           # 1 - decay would round a small one to 0
    h = read_only(scan(decay, write * a_n, h_0))
    return h, MinimalCache(x, h_0, h, decay, write, (a_i, a_f), a_n, params)


def min_lstm_backward(dh, cache):
    """Backward pass of `min_lstm_forward`; argument and results as `min_gru_backward`."""
    a_i, a_f = cache.a
    dh, h_prev, dh_0 = _scan_backward(dh, cache)
    ddifference = dh * (h_prev - cache.n) * cache.decay * cache.write  # sigmoid' = decay (1 - decay)
    da_i, da_f = -ddifference * sigmoid(-a_i), ddifference * sigmoid(-a_f)       # d(log sigmoid(a))/da
    return _through_input([da_i, da_f, dh * cache.write], cache, dh_0)


def _blocks(x, h_0, params, blocks):
    check_array("x", x, (None, None, None))
    B, _, D = x.shape
    check_array("h_0", h_0, (B, None), x.dtype)
    rows = blocks * h_0.shape[1]
    check_keys("params", params, ("W_ih", "b_ih"))
    check_array("params['W_ih']", params["W_ih"], (rows, D), x.dtype)
    check_array("params['b_ih']", params["b_ih"], (rows,), x.dtype)
    return np.split(x @ params["W_ih"].T + params["b_ih"], blocks, axis=2)


def _scan_backward(dh, cache):
    """Every dL/dh_t with what arrives from later steps; the states before each step; dL/dh_0."""
    check_array("dh", dh, cache.h.shape, cache.h.dtype)
    decay = cache.decay
    later = np.concatenate([decay[:, 1:], np.zeros_like(decay[:, :1])], axis=1)     # h_t meets decay_{t+1}
    dh = parallel_scan(later[:, ::-1], dh[:, ::-1], np.zeros_like(cache.h_0))[:, ::-1]
    h_prev = np.concatenate([cache.h_0[:, None], cache.h[:, :-1]], axis=1)
    return dh, h_prev, (dh[:, :1] * decay[:, :1]).sum(axis=1)          # zeros where T is 0


def _through_input(parts, cache, dh_0):
    da = np.concatenate(parts, axis=2)
    flat = da.reshape(-1, da.shape[2])
    grads = {"W_ih": flat.T @ cache.x.reshape(-1, cache.x.shape[2]), "b_ih": flat.sum(axis=0)}
    return da @ cache.params["W_ih"], dh_0, grads
