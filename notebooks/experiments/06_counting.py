"""Lesson 06: who learns to count? a^n b^n, trained on n from 1 to 20, tested on every n up to 200.

Written down before the first run of these seeds: an LSTM with H = 10 (593 parameters), a GRU with H = 10,
one with as many parameters as the LSTM (H = 12: 615) and an RNN with as many (H = 21: 591). The gate that
keeps, the LSTM's f and the GRU's z, starts with a bias of 1. Learning rate 0.01; the GRU of equal
parameters and the RNN get a second try at 0.03, and the rate with the larger median reach is taken. Five
seeds, 3000 steps of 32 strings. A string is right when the network says b after every b but the last, and
the end after the last. The reach of a network is the largest n up to which all strings are right. Its own
range is solved at a reach of at least 20; it counts when it reaches 30, half as far again as anything it has seen.
Asked for: most of the LSTMs count, and of each kind of GRU most solve their own range and stop before.

Three seeds were added later, to narrow the intervals (as many as time allowed). They are not counted: of
the LSTMs it was 3 of 5, with them it would be 4 of 8, and no longer most.
"""

import numpy as np

from lstmcourse.data.counting import SYMBOLS, a_n_b_n
from lstmcourse.lab.models import init_network, network_forward, one_hot, token_loss
from lstmcourse.lab.trials import run
from lstmcourse.train import train

SETTINGS = {"longest": 20, "counts": 30, "tested": 200, "B": 32, "steps": 3000}
MODELS = (("lstm", 10, 0.01), ("gru", 10, 0.01), ("gru", 12, 0.01), ("gru", 12, 0.03),
          ("rnn", 21, 0.01), ("rnn", 21, 0.03))
SEEDS = range(5)
ADDED_SEEDS = range(5, 8)                                  # after the first five; not counted


def right(params, n):
    """Which of the strings a^n b^n (n a list) does the network get right, every symbol after a b?"""
    tokens, targets, mask = a_n_b_n(n)
    y, _, _ = network_forward(one_hot(tokens, 2), params)
    return ((y.argmax(axis=-1) == targets) | ~mask).all(axis=1)


def trained(kind, H, lr, seed):
    """A network after training on strings with n from 1 to 20."""
    rng = np.random.default_rng(seed)
    options = {"forget_bias": 1.0} if kind == "lstm" else {}
    params = init_network(kind, 2, H, len(SYMBOLS), rng, **options)
    if kind == "gru":
        params["recurrent"]["b_ih"][H:2 * H], params["recurrent"]["b_hh"][H:2 * H] = 1, 0      # the same for z
    batches = (a_n_b_n(rng.integers(1, SETTINGS["longest"] + 1, SETTINGS["B"])) for _ in range(SETTINGS["steps"]))
    return train(token_loss, params, batches, lr=lr, progress=False)


def one(kind, H, lr, seed):
    """Train one network; its reach, and the loss over the last 50 steps."""
    params, losses = trained(kind, H, lr, seed)
    wrong = ~right(params, np.arange(1, SETTINGS["tested"] + 1))
    return {"reach": int(wrong.argmax()) if wrong.any() else SETTINGS["tested"], "loss": float(np.mean(losses[-50:]))}


def best(runs):
    """The runs of the learning rate with the larger median reach."""
    return max(([run for run in runs if run["lr"] == lr] for lr in sorted({run["lr"] for run in runs})),
               key=lambda at: np.median([run["reach"] for run in at]))


def counted(records):
    """The runs without the seeds that were added later."""
    return [run for run in records if run["seed"] in SEEDS]


def verdict(records):
    """The rule written down before: most LSTMs count; of each size most GRUs solve their own range and do not count."""
    lstm, *grus = ([run["reach"] for run in best([run for run in counted(records) if (run["kind"], run["H"]) == model])]
                   for model in (("lstm", 10), ("gru", 10), ("gru", 12)))
    counts, longest = SETTINGS["counts"], SETTINGS["longest"]
    return (sum(reach >= counts for reach in lstm) > len(lstm) / 2
            and all(sum(longest <= reach < counts for reach in gru) > len(gru) / 2 for gru in grus))


if __name__ == "__main__":
    run(__file__, SETTINGS, [{"kind": kind, "H": H, "lr": lr, "seed": seed}
                             for seed in (*SEEDS, *ADDED_SEEDS) for kind, H, lr in MODELS], one)
