"""The decoder: writes the target, each word from the ones before it and from the encoder.

    h        = LSTM or GRU over the embedded target words so far, from the encoder's last state
    context  = attention, with h_t as the query                      (only with attention)
    h_attn   = tanh(W [context_t, h_t] + b)                          (only with attention)
    logits   = W h_attn_t + b, or without attention W h_t + b

h_attn is the attentional hidden state of Luong et al. 2015, and so is the placement: the recurrence does
not wait for the attention, so in training, where all target words are known, each line is done for all
steps at once.
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
    """What attention may look at, as its functions take it."""
    keys: np.ndarray       # (B, T_src, H)
    values: np.ndarray     # (B, T_src, M)
    mask: np.ndarray       # (B, T_src)  True at real words; or a row for each target word, (B, T_tgt, T_src)
    scale: float = 1.0     # of dot attention


def decoder_forward(inputs, state, memory, params):
    """All steps of the decoder, given the words before each.   (eq. 7.3, with attention 8d)

    inputs  (B, T_tgt)  tokens: at step t the word before the one to be written, at first <bos>
    state   a tuple     the states to start from, (h_0, c_0) or (h_0,), each (B, H)
    memory  a Memory, or None: without attention
    params  target_embedding {W (V, E)}; decoder: weights of an LSTM or GRU from E to H; output {W (V, H), b (V,)};
            with attention combine {W (H, M + H), b (H,)}; for additive attention also attention {W_q, W_k, v}

    Returns logits (B, T_tgt, V), the states after the last step (to go on from, word by word), alpha
    (B, T_tgt, T_src) or None, and the cache for `decoder_backward`.
    Raises ValueError where params are made for attention and memory is None, or the other way round.
    """
    if ("combine" in params) != (memory is not None):
        raise ValueError(f"memory is {'None' if memory is None else 'given'}; wanted "
                         f"{'one, since params has' if memory is None else 'None, since params has no'} 'combine'")
    y, embedding_cache = embedding_forward(inputs, params["target_embedding"])
    states, layer_cache = layer_forward(y, state, params["decoder"])
    h, alpha, attention_cache, combine_cache = states[0], None, None, None
    if memory is not None:
        looked_at = memory.keys, memory.values, memory.mask if memory.mask.ndim == 3 else memory.mask[:, None]
        if "attention" in params:
            context, alpha, attention_cache = additive_attention_forward(h, *looked_at, params["attention"])
        else:
            context, alpha, attention_cache = dot_attention_forward(h, *looked_at, memory.scale)
        a, combine_cache = linear_forward(np.concatenate([context, h], axis=2), params["combine"])
        h = np.tanh(a)                                     # h_attn above
    logits, output_cache = linear_forward(h, params["output"])
    caches = embedding_cache, layer_cache, attention_cache, combine_cache, output_cache
    return logits, tuple(s[:, -1] for s in states), alpha, (caches, h, len(states))


def decoder_backward(dlogits, cache):
    """Backward pass of `decoder_forward`, its lines in reverse order.   (eq. 7.4)

    dlogits  (B, T_tgt, V)

    Returns dstate (a tuple like state), dkeys and dvalues (0 without attention) and grads, keyed
    like params.
    """
    (embedding_cache, layer_cache, attention_cache, combine_cache, output_cache), h_attn, n_states = cache
    grads, dkeys, dvalues = {}, 0, 0
    dh, grads["output"] = linear_backward(dlogits, output_cache)
    if attention_cache is not None:
        da = dh * (1 - h_attn**2)                          # tanh', from the output
        dcombined, grads["combine"] = linear_backward(da, combine_cache)
        dcontext, dh = np.split(dcombined, [dcombined.shape[2] - dh.shape[2]], axis=2)
        if attention_cache.params is not None:
            dquery, dkeys, dvalues, grads["attention"] = additive_attention_backward(dcontext, attention_cache)
        else:
            dquery, dkeys, dvalues = dot_attention_backward(dcontext, attention_cache)
        dh = dh + dquery                                   # h_t was used twice: as itself and as the query
    dy, dstate, grads["decoder"] = layer_backward((dh, *(n_states - 1) * [None]), layer_cache)
    grads["target_embedding"] = embedding_backward(dy, embedding_cache)
    return dstate, dkeys, dvalues, grads
