"""Lesson 05, on trial: the LSTM remembers, so it is the better choice where something has to be remembered.

Copy memory: read five symbols, wait, say them again. LSTMs with their forget bias at 0, 1 and 3, and an orthogonal RNN
(tanh) of as many parameters. A run is tested every 100 steps and stops when it has solved the task.
"""

import math

import numpy as np

from lstmcourse.data.copying import copy_memory
from lstmcourse.lab.models import init_network, network_forward, one_hot, token_loss
from lstmcourse.lab.trials import choose, median_interval, relabelled, remake, verdict_of, wilson
from lstmcourse.train import train

CRITERION = """
Steps until the task is solved, by the 95 % intervals of the medians; never solved counts as infinity.
better   the interval of the LSTM with forget bias 3 lies below that of the orthogonal RNN
worse    it lies above
arrives  the 95 % interval of the fraction of these LSTMs that solve the task lies above 1/2 (True) or below (False)
True: better. False: worse. Open: otherwise. What the verdict says beyond that holds as arrives does.
"""
SETTINGS = {"length": 5, "delay": 20, "B": 16, "solved": 0.99, "test": 200, "every": 100,
            "rates": [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1], "steps": [1000, 2000], "tie": 0.1, "pilot seeds": 2,
            "seeds": 10}
NETS = {  # kind, units, options of the initial weights: near 5,900 parameters each
    "LSTM, bias 0": ("lstm", 32, {"forget_bias": 0.0}), "LSTM, bias 1": ("lstm", 32, {"forget_bias": 1.0}),
    "LSTM, bias 3": ("lstm", 32, {"forget_bias": 3.0}), "RNN, orthogonal": ("rnn", 67, {"orthogonal": True})}
RATE_OF = {"LSTM, bias 0": "LSTM, bias 3", "LSTM, bias 1": "LSTM, bias 3"}      # one rate for the LSTM
TRIED = {"lstm": SETTINGS["rates"][2:], "rnn": SETTINGS["rates"][:4]}           # of the grid; the rest is hopeless
GUESS = 1 / 8                                              # accuracy of naming one of the eight symbols


def draw(rng, B):
    """A batch of the task."""
    return copy_memory(rng, B, SETTINGS["length"], SETTINGS["delay"])


def accuracy(params, rng):
    """Fraction of symbols said again rightly, on fresh sequences."""
    tokens, targets, mask = draw(rng, SETTINGS["test"])
    logits, _, _ = network_forward(one_hot(tokens, 10), params)
    return float(np.mean((logits.argmax(axis=2) == targets)[mask]))


def one(net, lr, steps, seed):
    """Train one network until it has solved the task: its accuracy at every test, and when it was solved, or None."""
    rng = np.random.default_rng(seed)
    kind, H, options = NETS[net]
    params = init_network(kind, 10, H, 8, rng, **options)
    latest, found = {"params": params}, []

    def loss_and_grads(params, *batch):
        latest["params"] = params
        return token_loss(params, *batch)

    def batches():
        for step in range(steps + 1):
            if step and step % SETTINGS["every"] == 0:
                found.append(round(accuracy(latest["params"], rng), 4))
                if found[-1] >= SETTINGS["solved"]:
                    return
            yield draw(rng, SETTINGS["B"])

    try:
        train(loss_and_grads, params, batches(), lr=lr, progress=False)
    except FloatingPointError:                             # it blew up: not solved
        found.append(0.0)
    return {"accuracies": found, "solved": len(found) * SETTINGS["every"] if found[-1] >= SETTINGS["solved"] else None}


def scored(pilot):
    """The pilot as `choose` wants it: the accuracy at each budget; of a run that has solved it, more the sooner."""
    for r in pilot:
        for steps in SETTINGS["steps"]:
            score = r["accuracies"][:steps // SETTINGS["every"]][-1]
            if r["solved"] and r["solved"] <= steps:
                score = 2 - r["solved"] / SETTINGS["steps"][-1]
            yield {"kind": r["net"], "lr": r["lr"], "steps": steps, "seed": r["seed"], "score": score}


def pilot_jobs():
    """Each kind at four rates and the larger budget; the LSTM with bias 3 alone."""
    return [{"net": net, "lr": lr, "steps": SETTINGS["steps"][-1], "seed": seed} for net in NETS if net not in RATE_OF
            for lr in TRIED[NETS[net][0]] for seed in range(SETTINGS["pilot seeds"])]


def chosen(pilot):
    """The rate of each network, from the pilot, and the larger budget."""
    found = {net: choose(list(scored(pilot)), [net], TRIED[NETS[net][0]], SETTINGS["steps"][-1:], SETTINGS["tie"])[net]
             for net in NETS if net not in RATE_OF}
    return {net: found[RATE_OF.get(net, net)] for net in NETS}


def jobs(pilot, first):
    """The counting runs."""
    return [{"net": net, **chosen(pilot)[net], "seed": seed} for net in NETS
            for seed in range(first, first + SETTINGS["seeds"])]


def needed(records, net, budget=None):
    """The steps that each network of a kind needs; infinity where it does not solve the task within the budget."""
    steps = [r["solved"] or math.inf for r in records if r["net"] == net]
    return steps if budget is None else [n if n <= budget else math.inf for n in steps]


def solved(records, net, budget=None):
    """How many networks solve the task within the budget, and how many there are."""
    steps = needed(records, net, budget)
    return sum(map(math.isfinite, steps)), len(steps)


def parts(records, budget=None):
    """better, worse, arrives: True or False; arrives None where the interval does not say."""
    lstm, rnn = (median_interval(needed(records, net, budget)) for net in ("LSTM, bias 3", "RNN, orthogonal"))
    low, high = wilson(*solved(records, "LSTM, bias 3", budget))
    return {"better": lstm[2] < rnn[0], "worse": lstm[0] > rnn[2],
            "arrives": True if low > 0.5 else False if high < 0.5 else None}


def verdict(records, budget=None):
    """Word, sentence and number, by the criterion; with a smaller budget, what it would have been."""
    met = parts(records, budget)
    ending = {True: ", which gets there too when its forget bias starts at 3.",
              False: ", which with any of the forget biases mostly does not get there at all.",
              None: ", of which with a forget bias of 3 some get there and some do not."}[met["arrives"]]
    low, middle, high = median_interval(needed(records, "RNN, orthogonal", budget))
    steps = median_interval(needed(records, "LSTM, bias 3", budget))
    return verdict_of("True" if met["better"] else "False" if met["worse"] else "Open", {
        "True": "To copy five symbols, the LSTM with a forget bias of 3 needs fewer steps than the orthogonal RNN.",
        "False": "To copy five symbols, an orthogonal RNN needs fewer steps than an LSTM of as many parameters"
                 + ending},
        f"steps until solved: RNN {middle:.0f} [{low:.0f}, {high:.0f}], LSTM with bias 3 "
        f"{steps[1]:.0f} [{steps[0]:.0f}, {steps[2]:.0f}]; solved by {solved(records, 'RNN, orthogonal', budget)[0]} "
        f"and {solved(records, 'LSTM, bias 3', budget)[0]} of {SETTINGS['seeds']}")


def rival(records):
    """The RNN's runs in place of those of the LSTM with bias 3, and the other way round."""
    names = {"LSTM, bias 3": "RNN, orthogonal", "RNN, orthogonal": "LSTM, bias 3"}
    return [r | {"net": names.get(r["net"], r["net"])} for r in records]


def shuffled(records, rng):
    """Which network it was is dealt anew."""
    return relabelled(records, "net", rng)


if __name__ == "__main__":
    remake(__file__, SETTINGS, one, pilot_jobs(), jobs)
