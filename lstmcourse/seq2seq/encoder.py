"""The encoder: embeds the source words and reads them with a recurrent layer, once.

Rows are padded at the end to a common length; `lengths` says where each one really ends. The
padded steps are computed too, and not used: the final state is the one at the last
real word, and attention masks the rest. So more padding changes nothing.
"""

import numpy as np

from lstmcourse.layers import embedding_backward, embedding_forward
from lstmcourse.recurrent import KINDS, kind_of


def layer_forward(x, state, params):
    """The recurrent layer that params belongs to: the states of every step, (h, c) or (h,), and a cache.

    state  a tuple  the states before the first step, each (B, H)

    Raises ValueError for more or fewer states than the kind has.
    """
    kind = KINDS[kind_of(params)]
    if len(state) != len(kind.states):
        raise ValueError(f"state has {len(state)} arrays; wanted {' and '.join(kind.states)}: params are of kind "
                         f"{kind_of(params)!r}")
    *states, cache = kind.forward(x, *state, params)
    return tuple(states), cache


def layer_backward(dstates, cache):
    """Backward pass of `layer_forward`: dx, the initial states' gradients (a tuple again), grads."""
    dx, *dstate, grads = KINDS[kind_of(cache.params)].backward(*dstates, cache)
    return dx, tuple(dstate), grads


def last_states(h, lengths):
    """The state at the last real step of each row, h[b, lengths[b] - 1]: (B, H).

    Not h[:, -1]: that is a state after the padding, for every row but the longest.
    """
    return h[np.arange(len(h)), lengths - 1]


def last_states_backward(dlast, lengths, T):
    """Backward pass of `last_states`: dh (B, T, H), zero but at the last real step of each row."""
    dh = np.zeros((len(dlast), T, dlast.shape[1]), dlast.dtype)
    dh[np.arange(len(dlast)), lengths - 1] = dlast
    return dh


def reverse_sequences(x, lengths):
    """Each row's real part back to front, its padding left where it is.

    Twice gives x again; and a permutation's backward is its inverse: the same function once more.
    """
    t, lengths = np.arange(x.shape[1]), lengths[:, None]
    return x[np.arange(len(x))[:, None], np.where(t < lengths, lengths - 1 - t, t)]


def encoder_forward(source, lengths, params, kind="lstm"):
    """Reads each source sentence.   (eq. 7a)

    source   (B, T_src)  tokens, padded at the end
    lengths  (B,)        how many of them are real, 1 … T_src
    params   source_embedding {W (V, E)}; encoder: weights of an LSTM or GRU from E to H; for both
             directions encoder_reverse too, which reads each sentence from its end to its start
    kind     "lstm" or "gru" (any of `recurrent.KINDS`): the one that params was made for

    Returns h (B, T_src, H), the hidden state at each word ((B, T_src, 2H) for both directions, side
    by side), last, a tuple: the states (B, H) after each sentence's last word, (h, c) or (h,);
    words (B, T_src, E), the embeddings; and the cache for `encoder_backward`.
    Raises ValueError for lengths that are not integers in 1 … T_src, and for params of another kind.
    """
    source, lengths = np.asarray(source), np.asarray(lengths)
    if source.ndim != 2:
        raise ValueError(f"source has shape {source.shape}; wanted (B, T_src)")
    B, T = source.shape
    if (lengths.shape != (B,) or (B and not np.issubdtype(lengths.dtype, np.integer))
            or not ((lengths >= 1) & (lengths <= T)).all()):
        raise ValueError(f"lengths is {lengths.tolist()}; wanted {B} integers in 1 … {T}, one for each row of source")
    for part in ("encoder", "encoder_reverse"):
        if part in params and kind_of(params[part]) != kind:
            raise ValueError(f"kind is {kind!r}; params[{part!r}] are of kind {kind_of(params[part])!r}")
    words, embedding_cache = embedding_forward(source, params["source_embedding"])
    zero = (np.zeros((B, params["encoder"]["W_hh"].shape[1]), words.dtype),) * len(KINDS[kind].states)
    caches = {}

    states, caches["encoder"] = layer_forward(words, zero, params["encoder"])
    h, last = states[0], tuple(last_states(state, lengths) for state in states)
    if "encoder_reverse" in params:
        states, caches["encoder_reverse"] = layer_forward(reverse_sequences(words, lengths), zero,
                                                          params["encoder_reverse"])
        h = np.concatenate([h, reverse_sequences(states[0], lengths)], axis=2)
        last = tuple(np.concatenate([one, last_states(state, lengths)], axis=1)
                     for one, state in zip(last, states, strict=True))
    return h, last, words, (embedding_cache, lengths, caches)


def encoder_backward(dh, dlast, dwords, cache):
    """Backward pass of `encoder_forward`: grads, a dict keyed like its part of params.   (eq. 7i, 7j)

    dh      (B, T_src, H)  dL/dh, or 0 where only the last state is used
    dlast   a tuple        dL/d(last)
    dwords  (B, T_src, E)  dL/d(words), or 0
    """
    embedding_cache, lengths, caches = cache
    T, H, grads = embedding_cache[0].shape[1], dlast[0].shape[1] // len(caches), {}
    dh = np.zeros((len(lengths), T, len(caches) * H), dlast[0].dtype) + dh

    def through(name, dh, dlast):
        dstates = [last_states_backward(d, lengths, T) for d in dlast]
        dstates[0] += dh
        dx, _, grads[name] = layer_backward(dstates, caches[name])
        return dx

    dx = dwords + through("encoder", dh[..., :H], [d[:, :H] for d in dlast])
    if "encoder_reverse" in caches:
        dx = dx + reverse_sequences(through("encoder_reverse", reverse_sequences(dh[..., H:], lengths),
                                            [d[:, H:] for d in dlast]), lengths)
    return {"source_embedding": embedding_backward(dx, embedding_cache), **grads}
