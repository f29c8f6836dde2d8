"""Lesson 06, on trial: a GRU is faster to train than an LSTM.

Two tasks of lesson 05: the adding problem over 20 steps, and the context switch with up to 10 filler words. How many
training steps until the task is solved? Tested every 10 steps on fresh sequences. An LSTM with 24 units, a GRU with 24
units, and a GRU with as many parameters as the LSTM. Learning rate and the bias of the gate that keeps (forget gate 1
or 3, update gate 0 or 1) are chosen on the pilot seeds, for each network and task.

Two pilots came before. In the first (rates from 0.01 to 0.3, no choice of the GRU's bias, two seeds) a best rate was at
the edge of its grid; this grid is wider. In the second, on this grid, the best rate of the bias that was not chosen was
at the edge, and the script stopped; now only the rate of the chosen bias has to be inside. Nothing was counted.
"""

import numpy as np

from lstmcourse.data.adding import adding_problem
from lstmcourse.data.context import context_switch
from lstmcourse.data.pizza import WORDS
from lstmcourse.lab.models import init_network, last_step_loss, network_forward, one_hot, token_loss
from lstmcourse.lab.trials import choose, median_interval, relabelled, remake, verdict_of
from lstmcourse.train import train

CRITERION = """
Of each task and each size of GRU, compared with the LSTM, each with its better bias, by the 95 % interval of the median
number of training steps; a run that does not solve the task counts as infinitely many:
faster   the interval of the GRU lies below that of the LSTM
slower   it lies above
True: faster, in both tasks and at both sizes. False: in neither task faster at any size. Mixed: faster in some and
decided in all. Open: otherwise.
"""
SETTINGS = {"B": 32, "every": 10, "test": 200, "mse": 0.01, "both": 0.95, "length": {"adding": 20, "switch": 10},
            "rates": [0.003, 0.01, 0.03, 0.1, 0.3], "pilot budget": 400, "budget": 800, "pilot seeds": 3, "seeds": 30}
NETS = {  # kind, units in each task: the larger GRU has as many parameters as the LSTM, within 2 %; its gate's biases
    "LSTM": ("lstm", {"adding": 24, "switch": 24}, "forget_bias", (1.0, 3.0)),
    "GRU, equal units": ("gru", {"adding": 24, "switch": 24}, "update_bias", (0.0, 1.0)),
    "GRU, equal parameters": ("gru", {"adding": 28, "switch": 29}, "update_bias", (0.0, 1.0))}
GRUS = list(NETS)[1:]


def draw(task, rng, B):
    """A batch of the task: the arguments of its loss after params."""
    if task == "adding":
        return adding_problem(rng, B, SETTINGS["length"][task])
    d = context_switch(rng, B, SETTINGS["length"][task])
    return d["tokens"], d["targets"], d["mask"]


def solves(task, params, rng):
    """Does the network pass the test on fresh sequences?"""
    inputs, wanted, *mask = draw(task, rng, SETTINGS["test"])
    if task == "adding":
        return np.mean((network_forward(inputs, params)[0][:, -1, 0] - wanted) ** 2) <= SETTINGS["mse"]
    y, _, _ = network_forward(one_hot(inputs, len(WORDS)), params)
    return np.mean(((y.argmax(axis=-1) == wanted) | ~mask[0]).all(axis=1)) >= SETTINGS["both"]


def initial(task, net, bias, rng):
    """Initial weights of one of NETS for a task."""
    kind, H, gate, _ = NETS[net]
    D, V = (2, 1) if task == "adding" else (len(WORDS), len(WORDS))
    return init_network(kind, D, H[task], V, rng, **{gate: bias})


def one(task, net, bias, lr, budget, seed):
    """Train one network until it passes the test: after how many steps, None if never."""
    rng = np.random.default_rng(seed)
    latest = {"params": initial(task, net, bias, rng), "steps": None}

    def loss_and_grads(params, *batch):
        latest["params"] = params
        return (last_step_loss if task == "adding" else token_loss)(params, *batch)

    def batches():
        for step in range(budget + 1):
            if step and step % SETTINGS["every"] == 0 and solves(task, latest["params"], rng):
                latest["steps"] = step
                return
            yield draw(task, rng, SETTINGS["B"])

    train(loss_and_grads, latest["params"], batches(), lr=lr, progress=False)
    return {"steps": latest["steps"]}


def pilot_jobs():
    """Every network with each bias, at every rate."""
    return [{"task": task, "net": net, "bias": bias, "lr": lr, "budget": SETTINGS["pilot budget"], "seed": seed}
            for task in SETTINGS["length"] for net, (*_, biases) in NETS.items() for bias in biases
            for lr in SETTINGS["rates"] for seed in range(SETTINGS["pilot seeds"])]


def chosen(pilot):
    """For each task and network: the bias that was best at any rate, and the best rate inside the grid with it."""
    found = {}
    for task in SETTINGS["length"]:
        records = [r | {"kind": (r["net"], r["bias"]), "steps": 0, "score": -(r["steps"] or 2 * r["budget"])}
                   for r in pilot if r["task"] == task]
        for net, (*_, biases) in NETS.items():
            def best(bias, net=net, records=records):
                return max(np.median([r["score"] for r in records if (r["kind"], r["lr"]) == ((net, bias), lr)])
                           for lr in SETTINGS["rates"])
            bias = max(biases, key=best)
            rate = choose(records, [(net, bias)], SETTINGS["rates"], [0])[net, bias]["lr"]
            found[f"{task}: {net}"] = {"task": task, "net": net, "bias": bias, "lr": rate}
    return found


def jobs(pilot, first):
    """The counting runs."""
    return [settings | {"budget": SETTINGS["budget"], "seed": seed} for settings in chosen(pilot).values()
            for seed in range(first, first + SETTINGS["seeds"])]


def runs_of(records, task, net):
    """The records of one network on one task."""
    return [r for r in records if (r["task"], r["net"]) == (task, net)]


def needed(records, task, net):
    """(low, median, high) of the training steps that a network needs."""
    return median_interval([r["steps"] or np.inf for r in runs_of(records, task, net)])


def verdict(records):
    """Word, sentence and number, by the criterion."""
    faster, slower, ratios = [], [], []
    for task in SETTINGS["length"]:
        lstm = needed(records, task, "LSTM")
        for net in GRUS:
            gru = needed(records, task, net)
            faster.append(gru[2] < lstm[0])
            slower.append(gru[0] > lstm[2])
            ratios.append(f"{task}, {net.removeprefix('GRU, ')}: {gru[1] / lstm[1]:.2f}")
    word = ("True" if all(faster) else "False" if not any(faster) else
            "Mixed" if all(f or s for f, s in zip(faster, slower, strict=True)) else "Open")
    return verdict_of(word, {
        "True": "On both tasks, at equal size and at equal parameters, a GRU needs fewer training steps than an LSTM "
                "with the right forget bias.",
        "Mixed": "A GRU needs fewer training steps than an LSTM with the right forget bias in some of the cases, and "
                 "more in others.",
        "False": "A GRU needs no fewer training steps than an LSTM with the right forget bias."},
        f"training steps of the GRU, divided by the LSTM's (medians): {'; '.join(ratios)}")


def rival(records):
    """The LSTM's data in place of the GRUs'."""
    lstm = [r for r in records if r["net"] == "LSTM"]
    return lstm + [r | {"net": net} for r in lstm for net in GRUS]


def shuffled(records, rng):
    """Which network it was is dealt anew, within each task."""
    return [r for task in SETTINGS["length"]
            for r in relabelled([r for r in records if r["task"] == task], "net", rng)]


if __name__ == "__main__":
    remake(__file__, SETTINGS, one, pilot_jobs(), jobs)
