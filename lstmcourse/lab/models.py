"""The model of the trials: one recurrent layer, and a linear layer that reads it at every step.

params is {"recurrent": {"W_ih": …}, "linear": {"W": …, "b": …}}. `recurrent.kind_of` tells the kind by the
number of blocks in W_hh: (H, H) in an RNN, (3H, H) in a GRU, (4H, H) in an LSTM.
"""

import numpy as np

from lstmcourse.layers import cross_entropy_backward, cross_entropy_forward, linear_backward, linear_forward
from lstmcourse.recurrent import KINDS, kind_of
from lstmcourse.train import init_linear, init_recurrent
from lstmcourse.validation import check_array, check_keys, check_tokens


def init_network(kind, D, H, V, rng, **options):
    """Initial weights of a network from D inputs over H hidden units to V outputs; options as `init_recurrent`."""
    return {"recurrent": init_recurrent(kind, D, H, rng, **options), "linear": init_linear(H, V, rng)}


def network_forward(x, params, states=None, **options):
    """Outputs y (B, T, V) for inputs x (B, T, D).

    states  the states before the first step, h_0 and for an LSTM c_0, each (B, H); None: zeros
    options  of the layer: nonlinearity="relu" of the RNN, reset_after=False of the GRU

    Returns y, the states after the last step, and the cache for `network_backward`; cache[0] is the
    recurrent layer's own, with its gates.
    Raises ValueError for a wrong shape, dtype or key, and for more or fewer states than the kind has.
    """
    check_keys("params", params, ("recurrent", "linear"))
    kind = KINDS[kind_of(params["recurrent"])]
    if states is None:
        states = [np.zeros((len(x), params["recurrent"]["W_hh"].shape[1]), x.dtype) for _ in kind.states]
    if len(states) != len(kind.states):
        raise ValueError(f"states has {len(states)} arrays; wanted {' and '.join(kind.states)}")
    *states, recurrent_cache = kind.forward(x, *states, params["recurrent"], **options)
    y, linear_cache = linear_forward(states[0], params["linear"])
    return y, [state[:, -1] for state in states], (recurrent_cache, linear_cache)


def network_backward(dy, cache):
    """Backward pass of `network_forward`: grads, keyed like params. No gradient flows into the states before x."""
    recurrent_cache, linear_cache = cache
    dh, linear_grads = linear_backward(dy, linear_cache)
    kind = KINDS[kind_of(recurrent_cache.params)]
    *_, grads = kind.backward(dh, *(None for _ in kind.states[1:]), recurrent_cache)
    return {"recurrent": grads, "linear": linear_grads}


def one_hot(tokens, D):
    """Tokens (...) as one-hot vectors (..., D): a single 1, at the index of the token."""
    check_tokens("tokens", tokens, D)
    return np.eye(D)[tokens]


def token_loss(params, tokens, targets, mask=None, **options):
    """Cross-entropy in nats per token where mask is True, and its gradients. tokens, targets, mask (B, T).

    options  as `network_forward`; for `train`: functools.partial(token_loss, nonlinearity="relu")
    """
    logits, _, cache = network_forward(one_hot(tokens, params["recurrent"]["W_ih"].shape[1]), params, **options)
    loss, loss_cache = cross_entropy_forward(logits, targets, mask)
    return loss, network_backward(cross_entropy_backward(loss_cache), cache)


def last_step_loss(params, x, y, **options):
    """Mean squared error of the output at the last step, and its gradients. x (B, T, D), y (B,); options as above."""
    check_array("y", y, (len(x),))
    out, _, cache = network_forward(x, params, **options)
    error = out[:, -1, 0] - y
    d_out = np.zeros_like(out)
    d_out[:, -1, 0] = 2 * error / len(y)
    return float(np.mean(error**2)), network_backward(d_out, cache)
