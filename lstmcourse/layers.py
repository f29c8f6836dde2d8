"""Layers every lesson uses: sigmoid, softmax, linear, embedding, cross-entropy.

Each `..._forward` returns its result and a cache; the `..._backward` beside it takes
dL/d(result) and that cache. Parameters are dicts, and grads has the same keys.
Leading axes are free: (B, D) and (B, T, D) both work.
"""

import numpy as np

from lstmcourse.validation import check_array, check_keys, check_mask, check_tokens


def sigmoid(a):
    """Logistic function  1 / (1 + exp(-a)), for a < 0 written as exp(a) / (1 + exp(a)).  (eq. 4f)

    exp is only ever taken of a negative number: it cannot overflow, and small results keep all their digits.
    """
    with np.errstate(under="ignore"):                # exp(-1000) is 0, and so is sigmoid(-1000)
        e = np.exp(-np.abs(a))
        return np.where(a >= 0, 1, e) / (1 + e)


def relu(a, out=None):
    """max(a, 0), the rectified linear unit; its slope is 1 where the result is positive, else 0."""
    return np.maximum(a, 0, out=out)


def softmax(logits):
    """exp(logits) / sum of exp(logits) over the last axis.  (eq. 1c)

    The largest logit is subtracted first: the result is the same, exp cannot overflow.
    """
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_backward(dp, p):
    """Backward pass of `p = softmax(logits)`:  dlogits = p * (dp - sum(dp * p)).  (eq. 8h)

    dp, p  (..., V); so is dlogits
    """
    return p * (dp - (dp * p).sum(axis=-1, keepdims=True))


def linear_forward(x, params):
    """y = x W^T + b, as torch.nn.Linear.  (eq. 1b)

    x       (..., D)
    params  W (V, D), b (V,)

    Returns y (..., V) and the cache for `linear_backward`.
    Raises ValueError for a wrong shape, dtype or key.
    """
    check_keys("params", params, ("W", "b"))
    check_array("params['W']", params["W"], (None, None))
    V, D = params["W"].shape
    check_array("params['b']", params["b"], (V,), params["W"].dtype)
    check_array("x", x, (..., D), params["W"].dtype)
    return x @ params["W"].T + params["b"], (x, params)


def linear_backward(dy, cache):
    """Backward pass of `linear_forward`.

    dy  (..., V)

    Returns dx (..., D) and grads, keyed like params. Raises ValueError for a wrong shape or dtype.
    """
    x, params = cache
    check_array("dy", dy, (*x.shape[:-1], len(params["W"])), x.dtype)
    dx = dy @ params["W"]
    dy, x = dy.reshape(-1, dy.shape[-1]), x.reshape(-1, x.shape[-1])     # all leading axes are batch
    return dx, {"W": dy.T @ x, "b": dy.sum(axis=0)}


def embedding_forward(tokens, params):
    """Row lookup  x = W[tokens]: the same as a one-hot vector times W.

    tokens  (...)   integers 0 … V-1
    params  W (V, D)

    Returns x (..., D) and the cache for `embedding_backward`.
    Raises ValueError for a wrong shape, dtype or key, and for tokens out of range.
    """
    check_keys("params", params, ("W",))
    check_array("params['W']", params["W"], (None, None))
    tokens = check_tokens("tokens", tokens, len(params["W"]))
    return params["W"][tokens], (tokens, params)


def embedding_backward(dx, cache):
    """Backward pass of `embedding_forward`: grads {W (V, D)}. Tokens have no gradient.

    dx  (..., D)

    A token that occurs more than once collects the sum of its gradients.
    Raises ValueError for a wrong shape or dtype.
    """
    tokens, params = cache
    check_array("dx", dx, (*tokens.shape, params["W"].shape[1]), params["W"].dtype)
    dW = np.zeros_like(params["W"])
    np.add.at(dW, tokens, dx)            # not dW[tokens] += dx: that keeps one of the repeats
    return {"W": dW}


def cross_entropy_forward(logits, targets, mask=None):
    """Mean of -log softmax(logits)[target] over the real tokens, in nats per token.  (eq. 1d)

    logits   (..., V)  scores before the softmax
    targets  (...)     integers 0 … V-1; what is where the mask is False is not read, nor are the logits there
    mask     (...)     bool, True where a token counts; None: everywhere

    Returns the loss (a float) and the cache for `cross_entropy_backward`.
    Raises ValueError for a wrong shape or dtype, targets out of range, and a mask with no True.
    """
    check_array("logits", logits, (..., None))
    mask = check_mask("mask", np.ones(logits.shape[:-1], bool) if mask is None else mask, logits.shape[:-1])
    if not mask.any():
        raise ValueError("mask: no True in it; the mean over no tokens is not defined")
    if not mask.all():
        logits = np.where(mask[..., None], logits, 0)
    targets = check_tokens("targets", targets, logits.shape[-1], mask)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    log_p_target = np.take_along_axis(log_p, targets[..., None], axis=-1)[..., 0]
    loss = -log_p_target[mask].sum() / mask.sum()
    return float(loss), (log_p, targets, mask)


def cross_entropy_backward(cache):
    """Backward pass of `cross_entropy_forward`:  dlogits = (softmax - one_hot) / tokens.  (eq. 2f)

    Returns dlogits (..., V), 0 where the mask is False.
    """
    log_p, targets, mask = cache
    dlogits = np.exp(log_p)
    at_target = np.take_along_axis(dlogits, targets[..., None], axis=-1) - 1
    np.put_along_axis(dlogits, targets[..., None], at_target, axis=-1)
    return dlogits * (mask[..., None] / mask.sum()).astype(dlogits.dtype)
