"""Lesson 05: embedded Reber strings one after the other without a pause, with and without forget gates.

After Gers, Schmidhuber and Cummins 2000. Without forget gates means f = 1, as in the LSTM of 1997. Written down
before the first run: the sizes, 1500 steps at one learning rate, three seeds; a stream of 6000 symbols a row, read
ten times, is cut into pieces of 40 symbols, the state is handed on from piece to piece, never set to zero. "Works"
is at least 95 % of the far symbols right (the one that repeats the second symbol of its string; guessing: 50 %),
counted over symbols 1000 to 2000 of a fresh stream. The single strings, where every string starts from zero, are the
check that both can learn it.
"""

import numpy as np

from lstmcourse.data.reber import reber_stream, reber_strings
from lstmcourse.lab.interventions import clamp_gate
from lstmcourse.lab.models import init_network, network_backward, network_forward, one_hot, token_loss
from lstmcourse.lab.trials import run
from lstmcourse.layers import cross_entropy_backward, cross_entropy_forward
from lstmcourse.train import Adam, clip_grads

SETTINGS = {"H": 10, "forget_bias": 1.0, "lr": 0.01, "B": 16, "steps": 1500, "piece": 40, "train_length": 6000,
            "works": 0.95, "test_streams": 32, "test_length": 2000, "test_strings": 1000}
SEEDS = range(3)


def train_net(forget, stream, seed):
    """Train one LSTM, with or without forget gates, on a stream or on single strings."""
    rng = np.random.default_rng(seed)
    params = init_network("lstm", 7, SETTINGS["H"], 7, rng, forget_bias=SETTINGS["forget_bias"])
    if not forget:
        clamp_gate(params["recurrent"], 1, 60.0)                           # f = 1 to the last bit, and stays there
    adam, piece, states = Adam(SETTINGS["lr"]), SETTINGS["piece"], None
    if stream:
        tokens = reber_stream(rng, SETTINGS["B"], SETTINGS["train_length"])["tokens"]
    for step in range(SETTINGS["steps"]):
        if stream:
            start = step * piece % SETTINGS["train_length"]
            part = tokens[:, start:start + piece + 1]
            logits, states, cache = network_forward(one_hot(part[:, :-1], 7), params, states)
            _, loss_cache = cross_entropy_forward(logits, part[:, 1:])
            grads = network_backward(cross_entropy_backward(loss_cache), cache)
        else:
            drawn = reber_strings(rng, SETTINGS["B"])
            _, grads = token_loss(params, drawn["tokens"][:, :-1], drawn["tokens"][:, 1:], drawn["mask"])
        params = adam.step(params, clip_grads(grads, 1.0)[0])
    return params, rng


def one(forget, stream, seed):
    """Train one network; the share of far symbols right, early and late in a stream, and the size of its cell."""
    params, rng = train_net(forget, stream, seed)
    test = (reber_stream(rng, SETTINGS["test_streams"], SETTINGS["test_length"]) if stream
            else reber_strings(rng, SETTINGS["test_strings"]))
    logits, _, (cache, _) = network_forward(one_hot(test["tokens"][:, :-1], 7), params)
    right, late = logits.argmax(axis=2) == test["tokens"][:, 1:], np.arange(logits.shape[1]) >= 1000
    far = test["long_range"]
    size = np.abs(cache.c[1:]).mean(axis=(1, 2))
    if not stream:
        return {"far": float(right[far].mean())}
    return {"far": float(right[far & late].mean()), "early": float(right[far & ~late].mean()),
            "size": [float(size[t]) for t in (9, 99, 999, 1999)]}


def works(records, forget, stream):
    """One True or False for each seed."""
    return [r["far"] >= SETTINGS["works"] for r in records if (r["forget"], r["stream"]) == (forget, stream)]


def verdict(records):
    """Claim 9: on a stream all three work with forget gates and none without; on single strings at least two of
    three of both."""
    return bool(all(works(records, True, True)) and not any(works(records, False, True))
                and all(sum(works(records, forget, False)) >= 2 for forget in (True, False)))


if __name__ == "__main__":
    run(__file__, SETTINGS, [{"forget": forget, "stream": stream, "seed": seed} for stream in (True, False)
                             for forget in (True, False) for seed in SEEDS], one)
