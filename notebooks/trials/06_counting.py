"""Lesson 06, on trial: the GRU is as powerful as the LSTM.

Counting: strings a^n b^n, some a, then as many b, then the end. Weiss, Goldberg and Yahav 2018 argue that in finite
precision the LSTM and the ReLU RNN can count, the GRU and the tanh RNN cannot. Four networks with about as many
parameters each are trained on n from 1 to 10 and asked for every n up to 60: how far do they go on?
"""

import numpy as np

from lstmcourse.data.counting import SYMBOLS, a_n_b_n
from lstmcourse.lab.models import init_network, network_forward, one_hot, token_loss
from lstmcourse.lab.trials import choose, median_interval, on_seeds, pilot_grid, relabelled, remake, verdict_of
from lstmcourse.train import train

CRITERION = """
A string is right when the network says b after every b but the last, and the end after the last. The generalization
length of a network is the largest n up to which all strings are right. By the 95 % interval of the median over the
networks:
False: the interval of the GRU lies below that of the LSTM. True: both its ends are at most one string below those of
the LSTM, or above. Open: otherwise.
Beside it, for the argument of Weiss et al.: the same interval for the tanh RNN and for the ReLU RNN.
"""
SETTINGS = {"longest": 10, "tested": 60, "B": 16, "rates": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3], "steps": [500, 1000],
            "settled": 1, "margin up to": 30, "pilot seeds": 6, "seeds": 30}
NETS = {  # kind, units, options of its initial weights, of its layer: 593, 615, 591 and 591 parameters
    "LSTM": ("lstm", 10, {"forget_bias": 3.0}, {}),
    "GRU": ("gru", 12, {"update_bias": 1.0}, {}),
    "tanh RNN": ("rnn", 21, {"orthogonal": True}, {}),
    "ReLU RNN": ("rnn", 21, {"identity": True}, {"nonlinearity": "relu"})}


def trained(kind, lr, steps, seed, at=(), progress=False):
    """A network after training on strings with n from 1 to `longest`, and what it was after the steps in `at`."""
    cell, H, options, layer = NETS[kind]
    rng = np.random.default_rng(seed)
    latest, kept = init_network(cell, len(SYMBOLS) - 1, H, len(SYMBOLS), rng, **options), []
    if options.get("identity"):
        latest["recurrent"]["W_ih"] = rng.normal(0, 0.1, latest["recurrent"]["W_ih"].shape)

    def loss(params, *batch):
        nonlocal latest
        latest = params
        return token_loss(params, *batch, **layer)

    def batches():
        for step in range(steps):
            if step in at:
                kept.append(latest)
            yield a_n_b_n(rng.integers(1, SETTINGS["longest"] + 1, SETTINGS["B"]))

    params, _ = train(loss, latest, batches(), lr=lr, total=steps, progress=progress)
    return params, kept


def margins(kind, params, n):
    """How clearly each string a^n b^n (n a list) is right: the smallest lead of the right symbol after any b."""
    tokens, targets, mask = a_n_b_n(n)
    y, _, _ = network_forward(one_hot(tokens, 2), params, **NETS[kind][3])
    wanted = np.arange(len(SYMBOLS)) == targets[..., None]
    lead = y.max(axis=-1, where=wanted, initial=-np.inf) - y.max(axis=-1, where=~wanted, initial=-np.inf)
    return np.where(mask, lead, np.inf).min(axis=1)


def length(kind, params):
    """The generalization length."""
    wrong = margins(kind, params, np.arange(1, SETTINGS["tested"] + 1)) <= 0
    return int(wrong.argmax()) if wrong.any() else SETTINGS["tested"]


def one(kind, lr, steps, seed):
    """Train one network: its generalization length, also after half the steps, and its margin by n.

    One whose training breaks down (a loss or a gradient that is not finite) gets no string right.
    """
    try:
        params, (half,) = trained(kind, lr, steps, seed, at=(steps // 2,))
    except FloatingPointError:
        return {"score": 0, "half": 0, "margins": []}
    shown = margins(kind, params, np.arange(1, SETTINGS["margin up to"] + 1))
    return {"score": length(kind, params), "half": length(kind, half), "margins": [round(float(m), 2) for m in shown]}


def pilot_jobs():
    """Every network at every rate, for the larger budget; the smaller one is measured on the way."""
    return pilot_grid([{"kind": kind} for kind in NETS], SETTINGS)


def at_budget(pilot, steps):
    """The pilot's records as they are after so many steps."""
    return pilot if steps == SETTINGS["steps"][-1] else [r | {"score": r["half"], "steps": steps} for r in pilot]


def chosen(pilot):
    """Rate and budget of each network: the best rate, and the budget that doubling does not change."""
    records = [r for steps in SETTINGS["steps"] for r in at_budget(pilot, steps)]
    return choose(records, NETS, SETTINGS["rates"], SETTINGS["steps"], SETTINGS["settled"])


def jobs(pilot, first):
    """The counting runs."""
    return on_seeds([{"kind": kind, **how} for kind, how in chosen(pilot).items()], first, SETTINGS["seeds"])


def reach(records, kind):
    """(low, median, high) of the generalization length of one kind of network."""
    return median_interval([r["score"] for r in records if r["kind"] == kind])


def verdict(records):
    """Word, sentence and number, by the criterion."""
    lstm, gru = reach(records, "LSTM"), reach(records, "GRU")
    word = ("False" if gru[2] < lstm[0] else
            "True" if gru[0] >= lstm[0] - 1 and gru[2] >= lstm[2] - 1 else "Open")
    return verdict_of(word, {
        "True": "A GRU that has learned to count goes on as far as an LSTM.",
        "False": "Trained to count up to ten, a GRU stops almost at once beyond ten, where an LSTM goes on."},
        "trained on n up to 10, right up to " + ", ".join(
            f"{median:g} [{low:g}, {high:g}] ({kind})"
            for kind, (low, median, high) in ((kind, reach(records, kind)) for kind in NETS))
        + ": medians of " + f"{SETTINGS['seeds']} networks each")


def rival(records):
    """The LSTM's data in place of the GRU's."""
    return [r for r in records if r["kind"] != "GRU"] + [r | {"kind": "GRU"} for r in records if r["kind"] == "LSTM"]


def shuffled(records, rng):
    """Which network it was is dealt anew."""
    return relabelled(records, "kind", rng)


if __name__ == "__main__":
    remake(__file__, SETTINGS, one, pilot_jobs(), jobs)
