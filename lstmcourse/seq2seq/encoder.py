"""The encoder: embeds the source words and reads them with an LSTM or GRU, once.

Rows are padded at the end to a common length; `lengths` says where each one really ends. The
padded steps are computed too, but nobody looks at them: the final state is the one at the last
real word, and attention masks the rest. So more padding changes nothing.
"""

import numpy as np

from lstmcourse.gru import gru_backward, gru_forward
from lstmcourse.layers import embedding_backward, embedding_forward
from lstmcourse.lstm import lstm_backward, lstm_forward


def layer_forward(x, state, params):
    """An LSTM where state is (h_0, c_0), a GRU where it is (h_0,): (h, c) or (h,), and a cache."""
    if len(state) == 2:
        h, c, cache = lstm_forward(x, *state, params)
        return (h, c), cache
    h, cache = gru_forward(x, *state, params)
    return (h,), cache


def layer_backward(dstates, cache):
    """Backward of `layer_forward`: dx, the initial state's gradient (a tuple again), grads."""
    dx, *dstate, grads = (lstm_backward if len(dstates) == 2 else gru_backward)(*dstates, cache)
    return dx, tuple(dstate), grads


def last_states(h, lengths):
    """The state at the last real step of each row, h[b, lengths[b] - 1]: (B, H).

    Not h[:, -1]: that is a state after the padding, for every row but the longest.
    """
    return h[np.arange(len(h)), lengths - 1]


def last_states_backward(dlast, lengths, T):
    """Backward of `last_states`: dh (B, T, H), zero but at the last real step of each row."""
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
    """Reads each source sentence.   (eq. 7.1)

    source   (B, T_src)  tokens, padded at the end
    lengths  (B,)        how many of them are real, 1 … T_src
    params   source_embedding {W (V, E)}; encoder: weights of an LSTM or GRU from E to H; for both
             directions encoder_reverse too, which reads each sentence from its end to its start
    kind     "lstm" or "gru"

    Returns h (B, T_src, H), the hidden state at each word ((B, T_src, 2H) for both directions, side
    by side), last, a tuple: the states (B, H) after each sentence's last word, (h, c) or (h,);
    words (B, T_src, E), the embeddings; and the cache for `encoder_backward`.
    Raises ValueError for lengths out of range.
    """
    B, T = source.shape
    lengths = np.asarray(lengths)
    if lengths.shape != (B,) or not (lengths.min() >= 1 and lengths.max() <= T):
        raise ValueError(f"lengths is {lengths.tolist()}; wanted {B} numbers in 1 … {T}, one for each row of source")
    words, embedding_cache = embedding_forward(source, params["source_embedding"])
    zero = np.zeros((B, params["encoder"]["W_hh"].shape[1]), words.dtype)
    h, last, caches = [], [], {}
    for name in directions(params):
        turned = name == "encoder_reverse"
        states, caches[name] = layer_forward(reverse_sequences(words, lengths) if turned else words,
                                             (zero, zero) if kind == "lstm" else (zero,), params[name])
        h.append(reverse_sequences(states[0], lengths) if turned else states[0])
        last.append([last_states(state, lengths) for state in states])
    last = tuple(np.concatenate(both, axis=1) for both in zip(*last, strict=True))
    return np.concatenate(h, axis=2), last, words, (embedding_cache, lengths, caches, params)


def encoder_backward(dh, dlast, dwords, cache):
    """Backward of `encoder_forward`: grads, a dict keyed like its part of params.   (eq. 7.2)

    dh      (B, T_src, H)  dL/dh, or None where only the last state is used
    dlast   a tuple        dL/d(last)
    dwords  (B, T_src, E)  dL/d(words), or None
    """
    embedding_cache, lengths, caches, params = cache
    T, grads = embedding_cache[0].shape[1], {}
    dx = 0 if dwords is None else dwords
    for k, name in enumerate(directions(params)):
        turned = name == "encoder_reverse"
        H = params[name]["W_hh"].shape[1]
        part = slice(k * H, k * H + H)
        dstates = [last_states_backward(d[:, part], lengths, T) for d in dlast]
        if dh is not None:
            dstates[0] += reverse_sequences(dh[..., part], lengths) if turned else dh[..., part]
        dx_part, _, grads[name] = layer_backward(dstates, caches[name])
        dx = dx + (reverse_sequences(dx_part, lengths) if turned else dx_part)
    return {"source_embedding": embedding_backward(dx, embedding_cache), **grads}


def directions(params):
    return [name for name in ("encoder", "encoder_reverse") if name in params]
