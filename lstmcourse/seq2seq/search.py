"""Decoding: the trained model runs free, and what it wrote last is its next input."""

from numbers import Integral

import numpy as np

from lstmcourse.seq2seq.decoder import decoder_forward
from lstmcourse.seq2seq.model import read_source


def _next_logits(token, state, memory, params):
    """One step of the decoder: logits (B, V), the new state, alpha. FloatingPointError for NaN or infinity."""
    logits, state, alpha, _ = decoder_forward(token[:, None], state, memory, params)
    if not np.isfinite(logits).all():
        raise FloatingPointError("the logits hold NaN or infinity; wanted params that are finite (a training run that "
                                 "blew up?)")
    return logits[:, 0], state, alpha


def _check_at_least_one(**numbers):
    for name, n in numbers.items():
        if not isinstance(n, Integral) or n < 1:
            raise ValueError(f"{name} is {n!r}; wanted an integer, at least 1")


def greedy(source, lengths, params, model, bos, eos, max_length):
    """At each step the likeliest word, until <eos>.

    source, lengths  (B, T_src) and (B,)
    bos, eos         the tokens that start and end a sentence
    max_length       stop here at the latest

    Returns tokens (B, T), each row's words, its <eos> and then more <eos>, and alpha (B, T, T_src), None
    without attention.
    Raises ValueError for a max_length below 1, FloatingPointError for logits that are not finite.
    """
    _check_at_least_one(max_length=max_length)
    state, memory, _ = read_source(source, lengths, params, model)
    token, done = np.full(len(source), bos), np.zeros(len(source), bool)
    tokens, alphas = [], []
    while len(tokens) < max_length and not done.all():
        logits, state, alpha = _next_logits(token, state, memory, params)
        token = np.where(done, eos, logits.argmax(axis=1))
        done |= token == eos
        tokens.append(token)
        alphas.append(alpha)
    return np.stack(tokens, axis=1), None if memory is None else np.concatenate(alphas, axis=1)


def beam_search(source, params, model, bos, eos, max_length, width=4):
    """For one sentence: keeps the `width` likeliest beginnings at each step, not only the best one.

    source  (T_src,)  the tokens of one sentence, without padding
    width   how many beginnings are kept; 1 is `greedy`

    Returns a list of (tokens, log_p), the likeliest first, log_p in nats: each ends with <eos>, or was cut at
    max_length. Raises ValueError and FloatingPointError as `greedy`.
    """
    _check_at_least_one(width=width, max_length=max_length)
    source = np.asarray(source)[None]
    state, memory, _ = read_source(source, np.array([source.shape[1]]), params, model)
    beams, finished = [((), 0.0)], []
    for _ in range(max_length):
        n = len(beams)
        last = np.array([tokens[-1] if tokens else bos for tokens, _ in beams])
        memory_n = memory and memory._replace(**{name: np.repeat(getattr(memory, name), n, axis=0)
                                                 for name in ("keys", "values", "mask")})
        logits, state, _ = _next_logits(last, state, memory_n, params)
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        total = log_p + np.array([[p] for _, p in beams])              # log p(beginning, next word)
        best = np.argsort(-total, axis=None, kind="stable")[:width]
        rows, words = np.unravel_index(best, total.shape)
        longer = [((*beams[row][0], int(word)), float(total[row, word]), row)
                  for row, word in zip(rows, words, strict=True)]
        finished += [(tokens, p) for tokens, p, _ in longer if tokens[-1] == eos]
        alive = [beam for beam in longer if beam[0][-1] != eos]
        # a beginning can only lose probability: none that is behind the best end can still win
        if not alive or (finished and max(p for _, p in finished) >= alive[0][1]):
            beams = []
            break
        beams = [(tokens, p) for tokens, p, _ in alive]
        state = tuple(s[[row for _, _, row in alive]] for s in state)
    return sorted(finished + beams, key=lambda found: -found[1])
