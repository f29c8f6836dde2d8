"""Adapters: each has the signature of a function of the library and makes that of an exercise from it.

So a learner's function can take the place of the library's. Caches are the library's own, so that a forward pass
of the one goes with a backward pass of the other.
"""

from time import thread_time

import numpy as np

from lstmcourse import attention, lstm, train
from lstmcourse.layers import cross_entropy_backward, cross_entropy_forward, sigmoid
from lstmcourse.seq2seq import decoder_forward, greedy, read_source
from lstmcourse.train import leaves, tree_map


def _sequence(cell, x, h_0, c_0, params):
    """`lstm_forward` by a cell of exercise 4.3. The cache needs the gates, which that does not return."""
    h, c, x = [h_0], [c_0], x.swapaxes(0, 1)
    for x_t in x:
        h_t, c_t = cell(x_t, h[-1], c[-1], params)
        h.append(h_t)
        c.append(c_t)
    h, c = np.stack(h), np.stack(c)
    a = x @ params["W_ih"].T + params["b_ih"] + h[:-1] @ params["W_hh"].T + params["b_hh"]
    gates = np.stack([np.tanh(a_k) if k == 2 else sigmoid(a_k) for k, a_k in enumerate(np.split(a, 4, axis=2))], axis=1)
    hx1 = np.ones((*h.shape[:2], h.shape[2] + x.shape[2] + 1), h.dtype)
    hx1[..., :h.shape[2]], hx1[:-1, :, h.shape[2]:-1] = h, x
    return h[1:].swapaxes(0, 1), c[1:].swapaxes(0, 1), lstm.LSTMCache(hx1, gates, c, np.tanh(c[1:]), params)


def _opened(cache):
    """What an LSTMCache holds, under the names of exercise 5.2."""
    H = cache.c.shape[2]
    hx1 = cache.hx1.swapaxes(0, 1)
    return {"x": hx1[:, :-1, H:-1], "h_0": hx1[:, 0, :H], "c_0": cache.c[0], "h": hx1[:, 1:, :H],
            "c": cache.c[1:].swapaxes(0, 1), **{gate: getattr(cache, gate) for gate in "ifgo"},
            **{key: cache.params[key] for key in ("W_ih", "W_hh")}}


def _through_time(backward, dh, dc, cache):
    """`lstm_backward` by exercise 5.2."""
    return backward(dh, np.zeros_like(dh) if dc is None else dc, _opened(cache))


def _step_by_step(backward, dh, dc, cache):
    """`lstm_backward` by exercise 5.1, one step at a time."""
    k, dx, grads = _opened(cache), [], None
    h_prev, c_prev = (np.concatenate([k[f"{s}_0"][:, None], k[s][:, :-1]], axis=1) for s in "hc")
    dh_next, dc_next = np.zeros_like(dh[:, 0]), np.zeros_like(dh[:, 0])
    for t in reversed(range(dh.shape[1])):
        step = {"x_t": k["x"][:, t], "h_prev": h_prev[:, t], "c_prev": c_prev[:, t], "c_t": k["c"][:, t],
                **{gate: k[gate][:, t] for gate in "ifgo"}, "W_ih": k["W_ih"], "W_hh": k["W_hh"]}
        dx_t, dh_next, dc_next, new = backward(dh[:, t] + dh_next, dc_next if dc is None else dc[:, t] + dc_next, step)
        dx.append(dx_t)
        grads = new if grads is None else tree_map(np.add, grads, new)
    return np.stack(dx[::-1], axis=1), dh_next, dc_next, grads


def _loss(logits, targets, mask=None):
    loss, cache = cross_entropy_forward(logits, targets, mask)
    return loss, cross_entropy_backward(cache)


def _loss_alone(loss, logits, targets, mask=None):
    """The loss by exercise 1.3, its gradient by the library."""
    return _loss_and_gradient(loss, logits, targets, mask), _loss(logits, targets, mask)[1]


def _loss_and_gradient(loss, logits, targets, mask=None):
    return loss(logits, targets, np.ones(targets.shape, bool) if mask is None else mask)


def _weights(softmax, scores, mask):
    """Exercise 8.1: its mask has one row a sentence; given a row for each word, each word is a sentence."""
    if mask.ndim == 2 or mask.shape[1] == 1:
        return softmax(scores, np.broadcast_to(mask.reshape(-1, mask.shape[-1]), (len(scores), scores.shape[2])))
    mask = np.broadcast_to(mask, scores.shape).reshape(-1, scores.shape[2])
    return softmax(scores.reshape(-1, 1, scores.shape[2]), mask).reshape(scores.shape)


def _back_through_attention(backward, dcontext, cache):
    """Exercise 8.4 divides the scores by the root of H; here their scale is that of the cache."""
    factor = cache.scale * np.sqrt(cache.query.shape[2])
    dquery, dkeys, dvalues = backward(dcontext, {key: getattr(cache, key) for key in cache._fields[:4]})
    return dquery * factor, dkeys * factor, dvalues


def _clipped(clip, grads, max_norm):
    """Exercise 3.1 has one dict of arrays, a network has dicts of dicts: here each array gets a number as its key."""
    flat = leaves(grads)
    new, keys = clip(dict(enumerate(flat)), max_norm), iter(range(len(flat)))
    return tree_map(lambda g: new[next(keys)], grads), float(np.sqrt(sum(np.vdot(g, g) for g in flat)))


def _written(loop, source, lengths, params, model, bos, eos, max_length):
    """`greedy` by exercise 7.6, whose step of an LSTM becomes a whole step of this decoder, attention included.

    The loop looks up what it reads, hands its two states on, and reads a word from the first. So the words stand for
    themselves, the first state is the logits, and the second holds the decoder's own states side by side.
    """
    if "lstm_step" not in getattr(loop, "__globals__", {}):
        raise ValueError("it does not call lstm_step, so attention has no place in it")
    state, memory, _ = read_source(source, lengths, params, model)
    V, n, alphas, lstm_step = len(params["output"]["b"]), len(state), [], loop.__globals__["lstm_step"]

    def step(word, states, _):
        own = tuple(np.split(states[1], n, axis=1))
        logits, own, alpha, _ = decoder_forward(word.astype(int), own, memory, params)
        alphas.append(alpha)
        return logits[:, 0], np.concatenate(own, axis=1)
    loop.__globals__["lstm_step"] = step
    try:
        tokens = loop(np.zeros((len(source), V)), np.concatenate(state, axis=1),
                      {"embedding": np.arange(V)[:, None], "W": np.eye(V), "b": np.zeros(V)}, bos, eos, max_length)
    finally:
        loop.__globals__["lstm_step"] = lstm_step
    return tokens, None if memory is None else np.concatenate(alphas, axis=1)


ADAPTERS = {            # part of `progress.TRANSLATOR` -> (the library's function, {exercise: adapter})
    "cell": (lstm.lstm_forward, {"4.3": _sequence}),
    "backward pass": (lstm.lstm_backward, {"5.2": _through_time, "5.1": _step_by_step}),
    "loss": (_loss, {"7.3": _loss_and_gradient, "1.3": _loss_alone}),
    "attention, weights": (lambda scores, mask: attention.masked_softmax_forward(scores, mask)[0], {"8.1": _weights}),
    "attention, context": (np.matmul, {"8.3": lambda attend, alpha, values: attend(alpha, values)}),
    "attention, backward pass": (attention.dot_attention_backward, {"8.4": _back_through_attention}),
    "clipping": (train.clip_grads, {"3.1": _clipped}),
    "decoding": (greedy, {"7.6": _written})}


def seconds_of(function, calls=(((), None),)):
    """The seconds of all calls, [(arguments, result), …], together; the best of three rounds.

    Of this thread alone: what else the computer does meanwhile does not count.
    """
    rounds = []
    for _ in range(3):
        start = thread_time()
        for args, _ in calls:
            function(*args)
        rounds.append(thread_time() - start)
    return min(rounds)


def same(got, wanted):
    """Are the two the same, down into tuples and dicts, up to rounding?"""
    if wanted is None:
        return got is None
    if isinstance(wanted, dict):
        return isinstance(got, dict) and got.keys() == wanted.keys() and all(same(got[k], wanted[k]) for k in wanted)
    if isinstance(wanted, (tuple, list)):
        return len(got) == len(wanted) and all(map(same, got, wanted))
    return np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, rtol=1e-6, atol=1e-9)
