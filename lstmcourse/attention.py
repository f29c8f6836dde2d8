"""Attention: for each query, a weighted mean of the values, weighted by how well its key fits.

    scores[t, s] = query_t . key_s * scale               dot (Luong et al. 2015); scale 1/sqrt(H): Vaswani et al. 2017
    scores[t, s] = v . tanh(W_q query_t + W_k key_s)     additive (Bahdanau et al. 2015)
    alpha[t]     = softmax(scores[t]) over s, 0 where the mask is False
    context_t    = sum over s of alpha[t, s] * value_s

A mask is bool, True where a query may look: (B, T_src), one row for all queries of a sentence, or a row for
each query, (B, T_tgt, T_src). Where B = T_tgt = T_src a (B, T_src) mask could be meant either way (causal
masks are (T, T)), so there it has to have its third axis: mask[:, None] or mask[None].
"""

from typing import NamedTuple

import numpy as np

from lstmcourse.layers import linear_backward, linear_forward, softmax, softmax_backward
from lstmcourse.validation import check_array, check_keys, check_mask, check_number, check_params, read_only


def masked_softmax_forward(scores, mask):
    """Softmax over the last axis, where the mask is True; elsewhere alpha is exactly 0.   (eq. 8e)

    scores  (B, T_tgt, T_src)
    mask    (B, T_src), (B, T_tgt, T_src), or with one of its first two axes 1; True = may be looked at

    Returns alpha (B, T_tgt, T_src), read-only, whose rows sum to 1, and the cache for `masked_softmax_backward`.
    Raises ValueError for a wrong shape or dtype, and for a row with no True: there is nothing to share the
    weight among.
    """
    check_array("scores", scores, (None, None, None))
    mask = _mask_3d(mask, *scores.shape)
    alpha = read_only(softmax(np.where(mask, scores, -np.inf)))        # exp(-inf) is 0
    return alpha, alpha


def _mask_3d(mask, B, T_tgt, T_src):
    """The mask with an axis for the queries, (B or 1, T_tgt or 1, T_src), every row with a True in it."""
    mask = np.asarray(mask)
    if mask.ndim == 2:
        if B == T_tgt == T_src > 1:
            raise ValueError(f"mask has shape {mask.shape}, which is (B, T_src) and (T_tgt, T_src) at once; wanted "
                             "three axes: mask[:, None] for a row a sentence, mask[None] for a row a query")
        check_mask("mask", mask, (B, T_src))
    else:
        leading = [1 if mask.shape[axis:axis + 1] == (1,) else n for axis, n in enumerate((B, T_tgt))]
        check_mask("mask", mask, (*leading, T_src))                    # an axis of length 1 holds for all
    if not mask.any(axis=-1).all():
        row = tuple(int(n) for n in np.argwhere(~mask.any(axis=-1))[0])
        raise ValueError(f"mask has no True in row {row}; wanted at least one position to look at in every row")
    return mask[:, None] if mask.ndim == 2 else mask            # the same for every query


def masked_softmax_backward(dalpha, cache):
    """Backward pass of `masked_softmax_forward`.   (eq. 8h)

    dalpha  (B, T_tgt, T_src)

    Returns dscores (B, T_tgt, T_src), 0 where the mask is False. Raises ValueError for a wrong shape or dtype.
    """
    check_array("dalpha", dalpha, cache.shape, cache.dtype)
    return softmax_backward(dalpha, cache)                  # alpha is 0 there, and so is the gradient


class AttentionCache(NamedTuple):
    query: np.ndarray        # (B, T_tgt, H)
    keys: np.ndarray         # (B, T_src, H)
    values: np.ndarray       # (B, T_src, M)
    alpha: np.ndarray        # (B, T_tgt, T_src)
    scale: float = 1.0
    hidden: np.ndarray | None = None     # additive only: the tanh, (B, T_tgt, T_src, U)
    params: dict | None = None


def dot_attention_forward(query, keys, values, mask, scale=1.0):
    """Scores by a dot product:  context = softmax(query keys^T * scale) values.   (eq. 8a to 8c)

    query   (B, T_tgt, H)  what is looked for, one row per target position
    keys    (B, T_src, H)  what is offered, one row per source position
    values  (B, T_src, M)  what is handed over
    mask    (B, T_src) or (B, T_tgt, T_src)
    scale   a number; 1 / sqrt(H) keeps the scores' spread at about 1 for wide queries

    Returns context (B, T_tgt, M), alpha (B, T_tgt, T_src), read-only, and the cache for `dot_attention_backward`.
    Raises ValueError for a wrong shape or dtype, a row of the mask with no True, or a scale that is not a number.
    """
    check_array("query", query, (None, None, None))
    _check_memory(query, keys, values, query.shape[2])
    scale = check_number("scale", scale)
    scores = scale * (query @ keys.swapaxes(1, 2))
    alpha, _ = masked_softmax_forward(scores, mask)
    context = alpha @ values
    return context, alpha, AttentionCache(query, keys, values, alpha, scale)


def dot_attention_backward(dcontext, cache):
    """Backward pass of `dot_attention_forward`, its lines in reverse order.   (eq. 8f to 8j)

    dcontext  (B, T_tgt, M)

    Returns dquery, dkeys, dvalues. Raises ValueError for a wrong shape or dtype.
    """
    query, keys, values, alpha, scale = cache[:5]
    check_array("dcontext", dcontext, (*alpha.shape[:2], values.shape[2]), values.dtype)
    dalpha, dvalues = dcontext @ values.swapaxes(1, 2), alpha.swapaxes(1, 2) @ dcontext
    dscores = scale * masked_softmax_backward(dalpha, alpha)
    return dscores @ keys, dscores.swapaxes(1, 2) @ query, dvalues


def additive_attention_forward(query, keys, values, mask, params):
    """Scores by a small network:  scores[t, s] = v . tanh(W_q query_t + W_k key_s).   (eq. 8k)

    query   (B, T_tgt, H)
    keys    (B, T_src, d)  may have another width than the queries
    values  (B, T_src, M)
    mask    (B, T_src) or (B, T_tgt, T_src)
    params  W_q (U, H), W_k (U, d), v (U,)

    Returns context (B, T_tgt, M), alpha (B, T_tgt, T_src), read-only, and the cache for `additive_attention_backward`.
    Raises ValueError for a wrong shape, dtype or key, or a row of the mask with no True.
    """
    check_array("query", query, (None, None, None))
    _check_memory(query, keys, values)
    check_keys("params", params, ("W_q", "W_k", "v"))
    check_array("params['v']", params["v"], (None,), query.dtype)
    U = len(params["v"])
    check_array("params['W_q']", params["W_q"], (U, query.shape[2]), query.dtype)
    check_array("params['W_k']", params["W_k"], (U, keys.shape[2]), query.dtype)
    projected_query = (query @ params["W_q"].T)[:, :, None]          # (B, T_tgt, 1, U)
    projected_keys = (keys @ params["W_k"].T)[:, None]               # (B, 1, T_src, U)
    hidden = np.tanh(projected_query + projected_keys)               # every query with every key
    scores = hidden @ params["v"]
    alpha, _ = masked_softmax_forward(scores, mask)
    context = alpha @ values
    return context, alpha, AttentionCache(query, keys, values, alpha, hidden=hidden, params=params)


def additive_attention_backward(dcontext, cache):
    """Backward pass of `additive_attention_forward`, its lines in reverse order.

    dcontext  (B, T_tgt, M)

    Returns dquery, dkeys, dvalues and grads, keyed like params. Raises ValueError for a wrong shape or dtype.
    """
    query, keys, values, alpha, _, hidden, params = cache
    check_array("dcontext", dcontext, (*alpha.shape[:2], values.shape[2]), values.dtype)
    dalpha, dvalues = dcontext @ values.swapaxes(1, 2), alpha.swapaxes(1, 2) @ dcontext
    dscores = masked_softmax_backward(dalpha, alpha)
    dv = np.tensordot(dscores, hidden, 3)                            # summed over b, t and s
    da = dscores[..., None] * params["v"] * (1 - hidden**2)          # tanh', from the output
    dprojected_query, dprojected_keys = da.sum(axis=2), da.sum(axis=1)
    dW_q = np.tensordot(dprojected_query, query, ((0, 1), (0, 1)))
    dW_k = np.tensordot(dprojected_keys, keys, ((0, 1), (0, 1)))
    return (dprojected_query @ params["W_q"], dprojected_keys @ params["W_k"], dvalues,
            {"W_q": dW_q, "W_k": dW_k, "v": dv})


def _check_memory(query, keys, values, keys_width=None):
    B, dtype = len(query), query.dtype
    check_array("keys", keys, (B, None, keys_width), dtype)
    check_array("values", values, (B, keys.shape[1], None), dtype)


def causal_mask(T):
    """Mask (1, T, T) of sequences that look at themselves: step t may look at the steps up to t, not at later ones.

    With padding: `causal_mask(T) & mask[:, None]`, for a mask (B, T) that is True at the real steps.
    """
    return np.tri(T, dtype=bool)[None]


class MultiHeadCache(NamedTuple):
    projections: tuple           # what linear_backward needs for q, k, v and o
    attention: AttentionCache    # of all heads, as batch rows: alpha is (heads * B, T_tgt, T_src)
    heads: int


def multi_head_attention_forward(query, keys, values, mask, params, heads):
    """Several dot attentions at once, each in a projection of its own.   (Vaswani et al. 2017, section 3.2.2)

        q, k, v  = query W_q^T + b_q,  keys W_k^T + b_k,  values W_v^T + b_v
        head_n   = softmax(q_n k_n^T / sqrt(E / heads)) v_n       q_n: the n-th block of E / heads units; k_n, v_n too
        context  = (head_1, head_2, …) W_o^T + b_o

    query   (B, T_tgt, E)
    keys    (B, T_src, d)  self-attention: query, keys and values are the same array
    values  (B, T_src, M)
    mask    as `masked_softmax_forward`, the same for every head
    params  W_q (E, E), W_k (E, d), W_v (E, M), W_o (E, E) and b_q, b_k, b_v, b_o (E,): those of
            torch.nn.MultiheadAttention, whose in_proj_weight is W_q, W_k, W_v one above the other
    heads   a divisor of E

    Returns context (B, T_tgt, E), alpha (B, heads, T_tgt, T_src) and the cache for `multi_head_attention_backward`.
    Raises ValueError for a wrong shape, dtype, key or number of heads, or a row of the mask with no True.
    """
    check_array("query", query, (None, None, None))
    _check_memory(query, keys, values)
    (B, T_tgt, E), T_src = query.shape, keys.shape[1]
    if heads < 1 or E % heads:
        raise ValueError(f"heads is {heads}; wanted a divisor of {E}, the width of query")
    mask = _mask_3d(mask, B, T_tgt, T_src)
    d, M = keys.shape[2], values.shape[2]
    check_params("params", params, {"W_q": (E, E), "W_k": (E, d), "W_v": (E, M), "W_o": (E, E),
                                    "b_q": (E,), "b_k": (E,), "b_v": (E,), "b_o": (E,)}, query.dtype)
    (q, cache_q), (k, cache_k), (v, cache_v) = (
        linear_forward(given, {"W": params[f"W_{name}"], "b": params[f"b_{name}"]})
        for name, given in (("q", query), ("k", keys), ("v", values)))
    mask = np.tile(np.broadcast_to(mask, (B, *mask.shape[1:])), (heads, 1, 1))      # a head: another row of the batch
    q, k, v = (_split_heads(a, heads) for a in (q, k, v))
    context, alpha, attention = dot_attention_forward(q, k, v, mask, scale=float(E // heads) ** -0.5)
    context, cache_o = linear_forward(_join_heads(context, heads), {"W": params["W_o"], "b": params["b_o"]})
    alpha = alpha.reshape(heads, B, T_tgt, T_src).swapaxes(0, 1).copy()
    return context, alpha, MultiHeadCache((cache_q, cache_k, cache_v, cache_o), attention, heads)


def multi_head_attention_backward(dcontext, cache):
    """Backward pass of `multi_head_attention_forward`: dquery, dkeys, dvalues and grads, keyed like params.

    dcontext  (B, T_tgt, E)

    In self-attention all three are gradients of one array: dx = dquery + dkeys + dvalues.
    Raises ValueError for a wrong shape or dtype.
    """
    (*inward, cache_o), attention, heads = cache
    check_array("dcontext", dcontext, cache_o[0].shape, cache_o[0].dtype)
    dcontext, grads_o = linear_backward(dcontext, cache_o)
    dqkv = dot_attention_backward(_split_heads(dcontext, heads), attention)
    (dquery, grads_q), (dkeys, grads_k), (dvalues, grads_v) = (
        linear_backward(_join_heads(d, heads), cache_d) for d, cache_d in zip(dqkv, inward, strict=True))
    return dquery, dkeys, dvalues, {
        f"{key}_{name}": grads[key] for key in "Wb"
        for name, grads in (("q", grads_q), ("k", grads_k), ("v", grads_v), ("o", grads_o))}


def _split_heads(x, heads):
    """(B, T, E) as (heads * B, T, E / heads): first every row of the batch for head 1, then for head 2 …"""
    B, T, E = x.shape
    return x.reshape(B, T, heads, E // heads).transpose(2, 0, 1, 3).reshape(heads * B, T, E // heads)


def _join_heads(x, heads):
    """The inverse of `_split_heads`: (heads * B, T, E / heads) as (B, T, E)."""
    rows, T, width = x.shape
    return x.reshape(heads, rows // heads, T, width).transpose(1, 2, 0, 3).reshape(rows // heads, T, heads * width)
