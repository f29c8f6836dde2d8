"""Lesson 01: how many words later can a vanilla RNN still answer the pizza sentence?

Written down before the first run: the sizes, the learning rates, ten seeds, and "solved" as at
least 95 % of 1000 fresh sentences answered. Three rounds:

    friend, 1000 steps   the friend is asked for, always: the last food has to be kept
    friend, 5000 steps   the same with five times the training, for the lags that were not solved
    both, 5000 steps     either person is asked for: who likes what has to be known

The second and third round were added after the first was known, with the same threshold and seeds.
Where even 0 filler words are not solved, nothing can be said about longer lags.
"""

import numpy as np

from lstmcourse.data.pizza import WORDS, pizza_sentences
from lstmcourse.lab.trials import run
from lstmcourse.layers import cross_entropy_backward, cross_entropy_forward, linear_backward, linear_forward
from lstmcourse.rnn import rnn_backward, rnn_forward
from lstmcourse.train import init_linear, init_recurrent, train

SETTINGS = {"H": 32, "B": 32, "solved": 0.95, "test_sentences": 1000}
ROUNDS = [  # ask, steps, filler words, learning rates
    ("friend", 1000, (0, 4, 8, 12, 16, 20, 24, 32), (0.003, 0.01, 0.03)),
    ("friend", 5000, (16, 20), (0.003, 0.01)),
    ("both", 5000, (0, 4, 8), (0.003, 0.01)),
]
SEEDS = range(10)
ONE_HOT = np.eye(len(WORDS))


def logits_of(params, tokens):
    """Scores of the next word at every position: (B, T, V), and the caches."""
    x = ONE_HOT[tokens]
    h, rnn_cache = rnn_forward(x, np.zeros((len(x), SETTINGS["H"])), params["rnn"])
    logits, linear_cache = linear_forward(h, params["linear"])
    return logits, (rnn_cache, linear_cache)


def loss_and_grads(params, tokens):
    """Next-word loss of a batch of sentences, in nats per word, and its gradients."""
    logits, (rnn_cache, linear_cache) = logits_of(params, tokens[:, :-1])
    loss, cache = cross_entropy_forward(logits, tokens[:, 1:])
    dh, linear_grads = linear_backward(cross_entropy_backward(cache), linear_cache)
    _, _, rnn_grads = rnn_backward(dh, rnn_cache)
    return loss, {"rnn": rnn_grads, "linear": linear_grads}


def one(ask, steps, filler, lr, seed):
    """Train one network on one lag; the share of fresh sentences whose last word it names."""
    rng = np.random.default_rng(seed)
    V, H = len(WORDS), SETTINGS["H"]
    params = {"rnn": init_recurrent("rnn", V, H, rng), "linear": init_linear(H, V, rng)}
    batches = ((pizza_sentences(rng, SETTINGS["B"], filler, ask),) for _ in range(steps))
    params, losses = train(loss_and_grads, params, batches, lr=lr, progress=False)
    test = pizza_sentences(rng, SETTINGS["test_sentences"], filler, ask)
    logits, _ = logits_of(params, test[:, :-1])
    return {"accuracy": float(np.mean(logits[:, -1].argmax(axis=1) == test[:, -1])), "loss": losses[-1]}


def solved(records, **which):
    """How many of the seeds solve what is named in `which` (ask, steps, filler), at the best of the learning rates."""
    runs = [r for r in records if which.items() <= r.items()]
    rates = {r["lr"] for r in runs}
    return max(sum(r["accuracy"] >= SETTINGS["solved"] for r in runs if r["lr"] == lr) for lr in rates)


def verdict(records):
    """Most follow the change of subject at no distance, none over 4 words; the last food alone is carried further."""
    friend = {filler: solved(records, ask="friend", steps=1000, filler=filler) for filler in (0, 8, 20)}
    both = {filler: solved(records, ask="both", steps=5000, filler=filler) for filler in (0, 4)}
    longer = solved(records, ask="friend", steps=5000, filler=20)
    return both[0] >= 5 and both[4] == 0 and friend[0] == 10 and friend[8] >= 5 and friend[20] == 0 and longer > 0


if __name__ == "__main__":
    run(__file__, SETTINGS, [{"ask": ask, "steps": steps, "filler": filler, "lr": lr, "seed": seed}
                             for ask, steps, fillers, rates in ROUNDS
                             for filler in fillers for lr in rates for seed in SEEDS], one)
