"""The vanilla RNN (Elman 1990), forward and backward: the cell to read, the sequence to train.

    h_t = tanh(x_t W_ih^T + b_ih + h_{t-1} W_hh^T + b_hh)

or, with nonlinearity="relu", max(…, 0) in place of tanh(…). Parameters as in torch.nn.RNN:
W_ih (H, D), W_hh (H, H), b_ih (H,), b_hh (H,).
"""

from typing import NamedTuple

import numpy as np

from lstmcourse.layers import relu
from lstmcourse.validation import batch_first, check_array, check_sequence, read_only

# name -> the activation and its slope, computed from its output h
NONLINEARITIES = {"tanh": (np.tanh, lambda h: 1 - h**2), "relu": (relu, lambda h: (h > 0).astype(h.dtype))}


def nonlinearity_of(name):
    """The activation and its slope for "tanh" or "relu"; ValueError for another name."""
    if name not in NONLINEARITIES:
        raise ValueError(f"nonlinearity is {name!r}; wanted one of {sorted(NONLINEARITIES)}")
    return NONLINEARITIES[name]


class RNNCellCache(NamedTuple):
    x_t: np.ndarray      # (B, D)
    h_prev: np.ndarray   # (B, H)
    h_t: np.ndarray      # (B, H)
    params: dict
    nonlinearity: str = "tanh"


def rnn_cell_forward(x_t, h_prev, params, nonlinearity="tanh"):
    """One step of a vanilla RNN:  h_t = tanh(a_t).   (eq. 1a)

        a_t = x_t W_ih^T + b_ih + h_prev W_hh^T + b_hh

    x_t     (B, D)   input at this step
    h_prev  (B, H)   hidden state from the step before
    params  W_ih (H, D), W_hh (H, H), b_ih (H,), b_hh (H,)
    nonlinearity  "tanh", or "relu" for max(a_t, 0)

    Returns h_t (B, H), read-only, and the cache for `rnn_cell_backward`.
    """
    activation, _ = nonlinearity_of(nonlinearity)
    a_t = (x_t @ params["W_ih"].T + params["b_ih"]
           + h_prev @ params["W_hh"].T + params["b_hh"])
    h_t = activation(a_t)
    return read_only(h_t), RNNCellCache(x_t, h_prev, h_t, params, nonlinearity)


def rnn_cell_backward(dh_t, cache):
    """Backward pass of `rnn_cell_forward`, its lines in reverse order.   (eq. 2a)

    dh_t  (B, H)  dL/dh_t, all of it: what the loss at t gives and what arrives from step t+1

    Returns dx_t (B, D), dh_prev (B, H) and grads, a dict keyed like params.
    """
    x_t, h_prev, h_t, params, nonlinearity = cache
    _, slope = nonlinearity_of(nonlinearity)
    da_t = dh_t * slope(h_t)                 # activation'(a_t), from the output: 1 - h_t**2 for tanh
    dx_t = da_t @ params["W_ih"]
    dh_prev = da_t @ params["W_hh"]
    grads = {
        "W_ih": da_t.T @ x_t,                # the batch axis is summed out
        "W_hh": da_t.T @ h_prev,
        "b_ih": da_t.sum(axis=0),
        "b_hh": da_t.sum(axis=0),            # the same: the two biases are redundant
    }
    return dx_t, dh_prev, grads


# The whole sequence. Inside, arrays are (T, B, ...): step t is then one block of memory.
# What needs no recursion (the input product, all weight gradients) is one matmul over all
# steps; the loop keeps only what must wait for the step before.

class RNNCache(NamedTuple):
    x1: np.ndarray       # (T, B, D + 1)  augmented input [x_t, 1]: the weight of the 1 is the bias
    h: np.ndarray        # (T + 1, B, H)  h_0 … h_T
    params: dict
    nonlinearity: str = "tanh"


def rnn_forward(x, h_0, params, nonlinearity="tanh"):
    """`rnn_cell_forward` over a whole sequence.

    x       (B, T, D)
    h_0     (B, H)     the state before the first step
    params, nonlinearity  as for the cell

    Returns h (B, T, H), every hidden state, read-only, and the cache for `rnn_backward`.
    Raises ValueError for a wrong shape, dtype, key or nonlinearity, or parameters that are not finite.
    """
    activation, _ = nonlinearity_of(nonlinearity)
    B, T, D, H, dtype = check_sequence(x, {"h_0": h_0}, params, gates=1)
    x1 = np.ones((T, B, D + 1), dtype)
    x1[:, :, :D] = x.swapaxes(0, 1)
    W_x1 = np.concatenate([params["W_ih"].T, [params["b_ih"] + params["b_hh"]]])
    W_hh_T = np.ascontiguousarray(params["W_hh"].T)        # BLAS is faster on this order

    h = np.empty((T + 1, B, H), dtype)
    h[0] = h_0
    np.dot(x1.reshape(T * B, D + 1), W_x1, out=h[1:].reshape(T * B, H))
    recurrent = np.empty((B, H), dtype)
    for h_prev, h_t in zip(h[:-1], h[1:], strict=True):    # h_t holds the input product; add the rest
        h_t += h_prev.dot(W_hh_T, recurrent)               # .dot: a small product starts sooner than with @
        activation(h_t, h_t)                               # the second argument is where the result goes
    return batch_first(h), RNNCache(x1, h, params, nonlinearity)


def rnn_backward(dh, cache):
    """Backpropagation through time for `rnn_forward`.   (eq. 2e)

    dh  (B, T, H)  for every t what reaches h_t from outside the recurrence (the loss at t), not what
                   arrives from step t+1: that is added here. `rnn_cell_backward` takes the sum of both

    Returns dx (B, T, D), dh_0 (B, H) and grads, a dict keyed like params.
    Raises ValueError for a dh of another shape or dtype.
    """
    x1, h, params, nonlinearity = cache
    _, slope = nonlinearity_of(nonlinearity)
    T, B, D, H = x1.shape[0], x1.shape[1], x1.shape[2] - 1, h.shape[2]
    check_array("dh", dh, (B, T, H), h.dtype)
    da = slope(h[1:])                                      # activation'(a_t), every step at once,
    dh_next = np.zeros((B, H), h.dtype)
    for dh_t, da_t in zip(dh.swapaxes(0, 1)[::-1], da[::-1], strict=True):
        dh_next += dh_t
        da_t *= dh_next                                    # times what arrives
        da_t.dot(params["W_hh"], dh_next)

    da = da.reshape(T * B, H)
    dx = (da @ params["W_ih"]).reshape(T, B, D).swapaxes(0, 1)
    dW_x1 = da.T @ x1.reshape(T * B, D + 1)
    grads = {
        "W_ih": dW_x1[:, :D],
        "W_hh": da.T @ h[:-1].reshape(T * B, H),
        "b_ih": dW_x1[:, D],
        "b_hh": dW_x1[:, D].copy(),
    }
    return dx, dh_next, grads
