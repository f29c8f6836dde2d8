"""The GRU (Cho et al. 2014), forward and backward, in both places people put the reset gate.

    r = sigmoid(a_r)    reset gate             h_t = (1 - z) * n + z * h_{t-1}
    z = sigmoid(a_z)    update gate
    n = tanh(...)       candidate              a_k = x_t W_ik^T + b_ik + h_{t-1} W_hk^T + b_hk

    reset_after=True    n = tanh(x_t W_in^T + b_in + r * (h_{t-1} W_hn^T + b_hn))   torch.nn.GRU
    reset_after=False   n = tanh(x_t W_in^T + b_in + (r * h_{t-1}) W_hn^T + b_hn)   Cho et al. 2014

Parameters as in torch.nn.GRU: W_ih (3H, D), W_hh (3H, H), b_ih (3H,), b_hh (3H,); the three
blocks of H rows belong to r, z, n, in this order. Chung et al. 2014 write z for what is 1 - z here.
"""

from typing import NamedTuple

import numpy as np

from lstmcourse.layers import sigmoid
from lstmcourse.validation import batch_first, check_array, check_sequence, read_only


class GRUCellCache(NamedTuple):
    x_t: np.ndarray      # (B, D)
    h_prev: np.ndarray   # (B, H), and so are the rest
    r: np.ndarray
    z: np.ndarray
    n: np.ndarray
    u_n: np.ndarray      # h_prev W_hn^T + b_hn, what r multiplies (used where reset_after)
    params: dict
    reset_after: bool


def gru_cell_forward(x_t, h_prev, params, reset_after=True):
    """One step of a GRU.   (eq. 6a to 6d)

    x_t          (B, D)   input at this step
    h_prev       (B, H)   hidden state from the step before
    params       W_ih (3H, D), W_hh (3H, H), b_ih (3H,), b_hh (3H,)
    reset_after  r multiplies the recurrent product (PyTorch) or, False, h_prev itself (Cho)

    Returns h_t (B, H), read-only, and the cache for `gru_cell_backward`.
    """
    H = h_prev.shape[1]
    W_hn, b_hn = params["W_hh"][2 * H:], params["b_hh"][2 * H:]
    a_r, a_z, a_n = np.split(x_t @ params["W_ih"].T + params["b_ih"], 3, axis=1)
    u_r, u_z = np.split(h_prev @ params["W_hh"][:2 * H].T + params["b_hh"][:2 * H], 2, axis=1)
    r = sigmoid(a_r + u_r)
    z = sigmoid(a_z + u_z)
    u_n = (h_prev if reset_after else r * h_prev) @ W_hn.T + b_hn
    n = np.tanh(a_n + (r * u_n if reset_after else u_n))
    h_t = (1 - z) * n + z * h_prev
    return read_only(h_t), GRUCellCache(x_t, h_prev, r, z, n, u_n, params, reset_after)


def gru_cell_backward(dh_t, cache):
    """Backward pass of `gru_cell_forward`, its lines in reverse order.   (eq. 6g)

    dh_t  (B, H)  dL/dh_t, all of it: what the loss at t gives and what arrives from step t+1

    Returns dx_t (B, D), dh_prev (B, H) and grads, a dict keyed like params.
    """
    x_t, h_prev, r, z, n, u_n, params, reset_after = cache
    H = h_prev.shape[1]
    W_hn = params["W_hh"][2 * H:]
    dn, dz, dh_prev = dh_t * (1 - z), dh_t * (h_prev - n), dh_t * z
    da_n = dn * (1 - n**2)
    if reset_after:
        du_n, dr = da_n * r, da_n * u_n
        dh_prev = dh_prev + du_n @ W_hn
        dW_hn = du_n.T @ h_prev
    else:
        du_n = da_n
        drh = du_n @ W_hn                    # dL/d(r * h_prev)
        dr = drh * h_prev
        dh_prev = dh_prev + drh * r
        dW_hn = du_n.T @ (r * h_prev)
    da_rz = np.concatenate([dr * r * (1 - r), dz * z * (1 - z)], axis=1)
    da_x = np.concatenate([da_rz, da_n], axis=1)      # what meets x_t ...
    da_h = np.concatenate([da_rz, du_n], axis=1)      # ... and what meets h_prev
    dx_t = da_x @ params["W_ih"]
    dh_prev = dh_prev + da_rz @ params["W_hh"][:2 * H]
    grads = {
        "W_ih": da_x.T @ x_t,
        "W_hh": np.concatenate([da_rz.T @ h_prev, dW_hn]),
        "b_ih": da_x.sum(axis=0),
        "b_hh": da_h.sum(axis=0),                     # not the same: b_hn stands inside the reset
    }
    return dx_t, dh_prev, grads


# The whole sequence, as in rnn.py: time first inside, and the loop keeps only the recursion. It is fused
# for speed: one matmul makes both gates' pre-activations from [x_t, 1, h_{t-1}], one tanh serves both
# (sigmoid(a) = (tanh(a/2) + 1) / 2: absolute error below 1e-16, so a gate below that may show as 0), the
# input's part of n is made for all steps at once, and every result is written into memory that is there
# already. The test is the loop over cells.

class GRUCache(NamedTuple):
    x1h: np.ndarray      # (T + 1, B, D + 1 + H)  augmented input [x_t, 1, h_{t-1}]
    gates: np.ndarray    # (T, 2, B, H)  r and z
    n: np.ndarray        # (T, B, H)
    u_n: np.ndarray      # (T, B, H)
    params: dict
    reset_after: bool
    r = property(lambda self: self.gates[:, 0].swapaxes(0, 1))     # (B, T, H)
    z = property(lambda self: self.gates[:, 1].swapaxes(0, 1))     # (B, T, H)


def gru_forward(x, h_0, params, reset_after=True):
    """`gru_cell_forward` over a whole sequence.

    x    (B, T, D)
    h_0  (B, H)     the state before the first step
    params, reset_after  as for the cell

    Returns h (B, T, H), read-only, and the cache for `gru_backward`; cache.r and .z are the gates (B, T, H).
    Raises ValueError for a wrong shape, dtype or key, or parameters that are not finite.
    """
    B, T, D, H, dtype = check_sequence(x, {"h_0": h_0}, params, gates=3)
    W_x, W_h = params["W_ih"].reshape(3, H, D), params["W_hh"].reshape(3, H, H)
    b_x, b_h = params["b_ih"].reshape(3, H, 1), params["b_hh"].reshape(3, H, 1)
    half = np.array(0.5, dtype)                            # sigmoid(a) = (tanh(a/2) + 1) / 2
    W_rz = np.concatenate([W_x, b_x + b_h, W_h], axis=2)[:2] * half
    W_rz = np.ascontiguousarray(W_rz.swapaxes(1, 2))
    W_x1_n = np.concatenate([W_x[2], b_x[2]], axis=1).T                             # meets x_t, 1
    W_1h_n = np.ascontiguousarray(np.concatenate([b_h[2], W_h[2]], axis=1).T)       # meets 1, h_{t-1}

    x1h = np.ones((T + 1, B, D + 1 + H), dtype)
    x1h[:T, :, :D] = x.swapaxes(0, 1)
    h = x1h[:, :, D + 1:]
    h[0] = h_0
    n = (x1h[:T].reshape(T * B, D + 1 + H)[:, :D + 1] @ W_x1_n).reshape(T, B, H)
    gates, u_n = np.empty((T, 2, B, H), dtype), np.empty((T, B, H), dtype)
    change = np.empty((B, H), dtype)
    for x1h_t, gates_t, r, z, u_t, n_t, h_prev, h_t in zip(
            x1h[:-1], gates, *gates.swapaxes(0, 1), u_n, n, h[:-1], h[1:], strict=True):
        np.matmul(x1h_t, W_rz, gates_t)                 # (B, K) times (2, K, H): both gates
        np.tanh(gates_t, gates_t)
        gates_t *= half
        gates_t += half
        if reset_after:
            n_t += np.multiply(r, x1h_t[:, D:].dot(W_1h_n, u_t), change)
        else:
            n_t += W_1h_n[0] + (r * h_prev).dot(W_1h_n[1:])
        np.tanh(n_t, n_t)
        np.subtract(h_prev, n_t, change)
        change *= z
        np.add(n_t, change, h_t)                           # n + z (h_{t-1} - n) = (1 - z) n + z h_{t-1}
    return batch_first(h), GRUCache(x1h, gates, n, u_n, params, reset_after)


def gru_backward(dh, cache):
    """Backpropagation through time for `gru_forward`.

    dh  (B, T, H)  for every t what reaches h_t from outside the recurrence (the loss at t), not what
                   arrives from step t+1: that is added here. `gru_cell_backward` takes the sum of both

    Returns dx (B, T, D), dh_0 (B, H) and grads, a dict keyed like params.
    Raises ValueError for a dh of another shape or dtype.
    """
    x1h, gates, n, u_n, params, reset_after = cache
    (T, B, H), dtype, W_hh = n.shape, n.dtype, params["W_hh"]
    check_array("dh", dh, (B, T, H), dtype)
    (r, z), h_prev = gates.swapaxes(0, 1), x1h[:T, :, -H:]
    da_n = (1 - z) * (1 - n * n)                           # first the local slopes: dh_t/da_n,
    da_h = np.empty((T, B, 3, H), dtype)                   # and of what meets h_{t-1}:
    np.multiply((h_prev - n) * z, 1 - z, out=da_h[:, :, 1])        # dh_t/da_z
    if reset_after:
        np.multiply(da_n, r, out=da_h[:, :, 2])                    # dh_t/du_n
        np.multiply(da_n * u_n * r, 1 - r, out=da_h[:, :, 0])      # dh_t/da_r
    else:
        np.multiply(h_prev * r, 1 - r, out=da_h[:, :, 0])          # d(r h_{t-1})/da_r
    dh_next = np.zeros((B, H), dtype)                      # arriving from step t+1
    dh_direct = np.empty((B, H), dtype)                    # over z * h_{t-1}, past the weights
    for dh_t, r_t, z_t, da_n_t, da_h_t, flat_t in zip(
            dh.swapaxes(0, 1)[::-1], r[::-1], z[::-1], da_n[::-1], da_h[::-1],
            da_h.reshape(T, B, 3 * H)[::-1], strict=True):
        dh_next += dh_t
        da_n_t *= dh_next                                  # then times what arrives
        np.multiply(dh_next, z_t, dh_direct)
        if reset_after:
            da_h_t *= dh_next[:, None]
            flat_t.dot(W_hh, dh_next)
        else:
            drh = da_n_t.dot(W_hh[2 * H:])                 # dL/d(r * h_{t-1})
            da_h_t[:, 0] *= drh
            da_h_t[:, 1] *= dh_next
            dh_direct += drh * r_t
            flat_t[:, :2 * H].dot(W_hh[:2 * H], dh_next)
        dh_next += dh_direct

    dx, grads = _weight_gradients(da_n, da_h, cache)
    return dx, dh_next, grads


def _weight_gradients(da_n, da_h, cache):
    """The rest of `gru_backward`, one matmul over all steps each: dx and grads, from dL/da of every step.

    da_n  (T, B, H)     of n
    da_h  (T, B, 3, H)  of what meets h_{t-1}, the blocks r, z and, where reset_after, u_n
    """
    x1h, gates, _, _, params, reset_after = cache
    T, B, H = da_n.shape
    D = x1h.shape[2] - 1 - H
    da_x = da_h.copy()                                     # what meets x_t: the same for r and z
    da_x[:, :, 2] = da_n
    if not reset_after:
        da_h = da_x
    da_x, da_h = da_x.reshape(T * B, 3 * H), da_h.reshape(T * B, 3 * H)
    dx = (da_x @ params["W_ih"]).reshape(T, B, D).swapaxes(0, 1)
    flat = x1h[:T].reshape(T * B, D + 1 + H)
    dW_x1, dW_1h = da_x.T @ flat[:, :D + 1], da_h.T @ flat[:, D:]
    dW_hh = dW_1h[:, 1:]
    if not reset_after:                                    # there r * h_{t-1} meets W_hn
        dW_hh[2 * H:] = da_h[:, 2 * H:].T @ (gates[:, 0] * x1h[:T, :, -H:]).reshape(T * B, H)
    grads = {"W_ih": dW_x1[:, :D], "W_hh": dW_hh, "b_ih": dW_x1[:, D], "b_hh": dW_1h[:, 0]}
    return dx, grads
