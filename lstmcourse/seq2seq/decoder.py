"""The decoder: writes the target, each word from the ones before it and from the encoder.

    h       = LSTM or GRU over the embedded target words so far, from the encoder's last state
    context = attention, with h_t as the query                       (only with attention)
    mixed   = tanh(W [context_t, h_t] + b)                           (only with attention)
    logits  = W mixed_t + b, or without attention W h_t + b

This is the placement of Luong et al. 2015: the recurrence does not wait for the attention, so in
training, where all target words are known, each line is done for all steps at once.
"""

from typing import NamedTuple

import numpy as np

from lstmcourse.attention import (
    additive_attention_backward,
    additive_attention_forward,
    dot_attention_backward,
    dot_attention_forward,
)
from lstmcourse.layers import embedding_backward, embedding_forward, linear_backward, linear_forward
from lstmcourse.seq2seq.encoder import layer_backward, layer_forward


class Memory(NamedTuple):
    """What attention may look at: keys (B, T_src, H), values (B, T_src, M), mask (B, T_src)."""
    keys: np.ndarray
    values: np.ndarray
    mask: np.ndarray


class DecoderCache(NamedTuple):
    embedding: tuple
    layer: tuple
    attention: tuple | None
    mixed: np.ndarray | None       # (B, T_tgt, H)
    combine: tuple | None
    output: tuple
    states: int                    # 2 for an LSTM, 1 for a GRU


def decoder_forward(inputs, state, memory, params, scale=1.0):
    """All steps of the decoder, given the words before each.   (eq. 7.3, with attention 8.1)

    inputs  (B, T_tgt)  tokens: at step t the word before the one to be written, at first <bos>
    state   a tuple     the states to start from, (h_0, c_0) or (h_0,), each (B, H)
    memory  a Memory, or None: without attention
    params  target_embedding {W (V, E)}; decoder: weights of an LSTM or GRU from E to H; output {W (V, H), b (V,)};
            with attention combine {W (H, M + H), b (H,)}; for additive attention also attention {W_q, W_k, v}
    scale   of dot attention

    Returns logits (B, T_tgt, V), the states after the last step (to go on from, word by word), alpha
    (B, T_tgt, T_src) or None, and the cache for `decoder_backward`.
    """
    y, embedding_cache = embedding_forward(inputs, params["target_embedding"])
    states, layer_cache = layer_forward(y, state, params["decoder"])
    mixed, alpha, attention_cache, combine_cache = states[0], None, None, None
    if memory is not None:
        if "attention" in params:
            context, alpha, attention_cache = additive_attention_forward(states[0], *memory, params["attention"])
        else:
            context, alpha, attention_cache = dot_attention_forward(states[0], *memory, scale)
        a, combine_cache = linear_forward(np.concatenate([context, states[0]], axis=2), params["combine"])
        mixed = np.tanh(a)
    logits, output_cache = linear_forward(mixed, params["output"])
    cache = DecoderCache(embedding_cache, layer_cache, attention_cache, mixed, combine_cache, output_cache, len(states))
    return logits, tuple(s[:, -1] for s in states), alpha, cache


def decoder_backward(dlogits, cache):
    """Backward of `decoder_forward`, its lines in reverse order.   (eq. 7.4, with attention 8.9)

    dlogits  (B, T_tgt, V)

    Returns dstate (a tuple like state), dkeys and dvalues (None without attention) and grads, keyed
    like params.
    """
    grads, dkeys, dvalues = {}, None, None
    dh, grads["output"] = linear_backward(dlogits, cache.output)
    if cache.attention is not None:
        da = dh * (1 - cache.mixed**2)                     # tanh', from the output
        djoined, grads["combine"] = linear_backward(da, cache.combine)
        M = djoined.shape[2] - dh.shape[2]
        dcontext, dh = djoined[..., :M], djoined[..., M:]
        if cache.attention.params is not None:
            dquery, dkeys, dvalues, grads["attention"] = additive_attention_backward(dcontext, cache.attention)
        else:
            dquery, dkeys, dvalues = dot_attention_backward(dcontext, cache.attention)
        dh = dh + dquery                                   # h_t was used twice: as itself and as the query
    dy, dstate, grads["decoder"] = layer_backward((dh, None)[:cache.states], cache.layer)
    grads["target_embedding"] = embedding_backward(dy, cache.embedding)
    return dstate, dkeys, dvalues, grads
