"""A Transformer block (Vaswani et al. 2017), forward and backward: what surrounds attention, and the two together.

    layer normalization     (x - mean) / sqrt(variance + eps) * W + b, over the units of each step
    feed-forward block      relu(x W_1^T + b_1) W_2^T + b_2, each step by itself
    positional encoding     sines and cosines: attention alone does not see the order of its keys
    block                   x + attention(x), then x + feed_forward(x), with a layer normalization for each

Parameters have the names and shapes of torch.nn.TransformerEncoderLayer, a dict for each of its modules;
weight is W and bias is b, as everywhere. There is no dropout.

    self_attn  as `multi_head_attention_forward`      norm1, norm2  W (E,), b (E,)
    linear1    W (F, E), b (F,)                       linear2       W (E, F), b (E,)
"""

from typing import NamedTuple

import numpy as np

from lstmcourse.attention import MultiHeadCache, multi_head_attention_backward, multi_head_attention_forward
from lstmcourse.layers import linear_backward, linear_forward, relu
from lstmcourse.validation import check_array, check_keys, check_params

BLOCK = ("self_attn", "norm1", "linear1", "linear2", "norm2")


class LayerNormCache(NamedTuple):
    normalized: np.ndarray   # (..., D)  mean 0 and variance 1 over the last axis
    std: np.ndarray          # (..., 1)
    params: dict


def layer_norm_forward(x, params, eps=1e-5):
    """Layer normalization (Ba et al. 2016):  y = (x - mean) / std * W + b.

    Mean and variance are those of the D units at one step of one sequence; std = sqrt(variance + eps).

    x       (..., D)
    params  W (D,), b (D,), both learned: weight and bias of torch.nn.LayerNorm

    Returns y (..., D) and the cache for `layer_norm_backward`.
    """
    check_array("x", x, (..., None))
    D = x.shape[-1]
    check_params("params", params, {"W": (D,), "b": (D,)}, x.dtype)
    centred = x - x.mean(axis=-1, keepdims=True)
    std = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + x.dtype.type(eps))
    normalized = centred / std
    return normalized * params["W"] + params["b"], LayerNormCache(normalized, std, params)


def layer_norm_backward(dy, cache):
    """Backward pass of `layer_norm_forward`: dx (..., D) and grads {W, b}.

    The mean and the std depend on every unit, so each unit's gradient has three terms: its own, the one
    through the mean and the one through the std.
    """
    normalized, std, params = cache
    check_array("dy", dy, normalized.shape, normalized.dtype)
    dnormalized = dy * params["W"]
    through_mean = dnormalized.mean(axis=-1, keepdims=True)
    through_std = normalized * (dnormalized * normalized).mean(axis=-1, keepdims=True)
    dx = (dnormalized - through_mean - through_std) / std
    steps = tuple(range(dy.ndim - 1))                       # all leading axes are batch
    return dx, {"W": (dy * normalized).sum(axis=steps), "b": dy.sum(axis=steps)}


def feed_forward_forward(x, params):
    """The feed-forward block, the same for every step:  y = relu(x W_1^T + b_1) W_2^T + b_2.

    x       (..., E)
    params  linear1 {W (F, E), b (F,)}, linear2 {W (E, F), b (E,)}

    Returns y (..., E) and the cache for `feed_forward_backward`.
    """
    check_array("x", x, (..., None))
    check_keys("params", params, ("linear1", "linear2"))
    check_keys("params['linear1']", params["linear1"], ("W", "b"))
    E, F = x.shape[-1], np.size(params["linear1"]["b"])
    for name, rows, width in (("linear1", F, E), ("linear2", E, F)):
        check_params(f"params[{name!r}]", params[name], {"W": (rows, width), "b": (rows,)}, x.dtype)
    a, cache_1 = linear_forward(x, params["linear1"])
    hidden = relu(a)
    y, cache_2 = linear_forward(hidden, params["linear2"])
    return y, (hidden, cache_1, cache_2)


def feed_forward_backward(dy, cache):
    """Backward pass of `feed_forward_forward`: dx (..., E) and grads {linear1, linear2}."""
    hidden, cache_1, cache_2 = cache
    dhidden, grads_2 = linear_backward(dy, cache_2)
    da = dhidden * (hidden > 0)                             # relu'(a), from the output
    dx, grads_1 = linear_backward(da, cache_1)
    return dx, {"linear1": grads_1, "linear2": grads_2}


def positional_encoding(T, E, dtype="float64"):
    """Sinusoidal positional encoding (T, E), to be added to the input of the first block.

        P[t, 2j] = sin(t / 10000^(2j/E)),  P[t, 2j+1] = cos(t / 10000^(2j/E))

    It has a row for every t, also beyond the length of training. A constant has no backward pass: the gradient
    of x + P reaches x as it is. Learned positions are an embedding of t instead, `embedding_forward(np.arange(T),
    params)`, with `embedding_backward`: they end at the longest sequence they were made for.
    """
    angle = np.arange(T)[:, None] / 10000 ** (np.arange(0, E, 2) / E)
    P = np.empty((T, E), dtype)
    P[:, 0::2], P[:, 1::2] = np.sin(angle), np.cos(angle)[:, :E // 2]
    return P


class BlockCache(NamedTuple):
    attention: MultiHeadCache
    feed_forward: tuple
    norm1: LayerNormCache
    norm2: LayerNormCache
    norm_first: bool


def transformer_block_forward(x, mask, params, heads, norm_first=False):
    """One Transformer block: self-attention between the steps, then the feed-forward block within each.

        norm_first=False   x = norm1(x + attention(x));  y = norm2(x + feed_forward(x))      Vaswani et al. 2017
        norm_first=True    x = x + attention(norm1(x));  y = x + feed_forward(norm2(x))      as in GPT-2

    With norm_first, gradients have a path from y to x that no layer changes; the sums are normalized once,
    after the last block.

    x       (B, T, E)
    mask    as `masked_softmax_forward`; `causal_mask(T)` for a language model
    params  the five dicts that the top of this file lists
    heads   a divisor of E

    Returns y (B, T, E), alpha (B, heads, T, T) and the cache for `transformer_block_backward`.
    Raises ValueError for a wrong shape, dtype, key or number of heads, or a row of the mask with no True.
    """
    check_array("x", x, (None, None, None))
    check_keys("params", params, BLOCK)
    for name in ("norm1", "norm2"):
        check_params(f"params[{name!r}]", params[name], {"W": x.shape[2:], "b": x.shape[2:]}, x.dtype)
    linears = {name: params[name] for name in ("linear1", "linear2")}
    if norm_first:
        normed, norm1 = layer_norm_forward(x, params["norm1"])
        context, alpha, attention = multi_head_attention_forward(
            normed, normed, normed, mask, params["self_attn"], heads)
        x = x + context
        normed, norm2 = layer_norm_forward(x, params["norm2"])
        out, feed_forward = feed_forward_forward(normed, linears)
        y = x + out
    else:
        context, alpha, attention = multi_head_attention_forward(x, x, x, mask, params["self_attn"], heads)
        x, norm1 = layer_norm_forward(x + context, params["norm1"])
        out, feed_forward = feed_forward_forward(x, linears)
        y, norm2 = layer_norm_forward(x + out, params["norm2"])
    return y, alpha, BlockCache(attention, feed_forward, norm1, norm2, norm_first)


def transformer_block_backward(dy, cache):
    """Backward pass of `transformer_block_forward`, its lines in reverse order: dx (B, T, E) and grads as params.

    dy  (B, T, E)

    Each sum x + f(x) hands its gradient on twice: as it is, and through f.
    """
    attention, feed_forward, norm1, norm2, norm_first = cache
    if norm_first:
        dnormed, grads = feed_forward_backward(dy, feed_forward)
        through, grads["norm2"] = layer_norm_backward(dnormed, norm2)
        dx = dy + through
        *parts, grads["self_attn"] = multi_head_attention_backward(dx, attention)
        through, grads["norm1"] = layer_norm_backward(sum(parts), norm1)
        dx = dx + through
    else:
        dsum, grads_norm2 = layer_norm_backward(dy, norm2)
        through, grads = feed_forward_backward(dsum, feed_forward)
        dsum, grads["norm1"] = layer_norm_backward(dsum + through, norm1)
        *parts, grads["self_attn"] = multi_head_attention_backward(dsum, attention)
        dx, grads["norm2"] = dsum + sum(parts), grads_norm2
    return dx, {name: grads[name] for name in BLOCK}
