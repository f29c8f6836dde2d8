"""Lesson 05, on trial: the cell state is a highway for the gradient, and so the LSTM takes care of long dependencies.

The adding problem over 50 steps (mean squared error; always answering 1 scores 1/6). Before and after training, how
much of the gradient at the last step is left 49 steps before? In an LSTM with its forget bias at 0, 1 and 3, a GRU with
its update bias at 3, and two RNNs of as many parameters: an orthogonal one (tanh), and an IRNN (Le et al. 2015:
ReLU, W_hh the identity). Float32. A run stops when it has solved the task.

The first count (commit 2a5b2f6, seeds 1000 to 1009) had ten networks of each kind. A run takes less than five seconds,
so now there are thirty: the same seeds, and those after them. The criterion is the same.
"""

import math

import numpy as np

from lstmcourse.data.adding import adding_problem
from lstmcourse.lab.gradients import gradient_norms_by_lag
from lstmcourse.lab.models import init_network, last_step_loss, network_forward
from lstmcourse.lab.trials import (
    by_budget,
    choose,
    median_interval,
    on_seeds,
    pilot_grid,
    reaches,
    relabelled,
    relabelled_within,
    remake,
    verdict_of,
    wilson,
)
from lstmcourse.train import train, tree_map

CRITERION = """
By the 95 % interval of the median over the networks; "left" is the fraction of the gradient at lag 49.
built in  the LSTM with forget bias 1 has 0.01 or more left before training
learned   it has 0.1 or more left after training, and the 95 % interval of the fraction solved is above 1/2
loses     the orthogonal RNN has at most a tenth left after training of what it had before
True: built in and learned. True if …: learned, and built in refuted. False: learned refuted. Open: otherwise.
That an RNN cannot do it is refuted by one IRNN that solves it. What the verdict says of an RNN holds as loses does.
"""
SETTINGS = {"T": 50, "B": 32, "solved": 0.01, "test": 500, "every": 100, "probed": 64, "built in": 0.01,
            "learned": 0.1, "loses": 10, "rates": [0.0003, 0.001, 0.004, 0.02, 0.1, 0.5], "tie": 0.1,
            "steps": [500, 1000], "pilot seeds": 2, "seeds": 30}
NETS = {  # kind, units, options of the initial weights
    "LSTM, bias 0": ("lstm", 32, {"forget_bias": 0.0}), "LSTM, bias 1": ("lstm", 32, {"forget_bias": 1.0}),
    "LSTM, bias 3": ("lstm", 32, {"forget_bias": 3.0}), "GRU, bias 3": ("gru", 37, {"update_bias": 3.0}),
    "RNN, orthogonal": ("rnn", 66, {"orthogonal": True}), "IRNN": ("rnn", 66, {"identity": True})}
RATE_OF = {"LSTM, bias 0": "LSTM, bias 1", "LSTM, bias 3": "LSTM, bias 1"}      # one rate for the LSTM
INPUT_SD = 0.1                                             # of the IRNN's W_ih
GUESS = 1 / 6                                              # mean squared error of always answering 1


def draw(rng, B):
    """A batch in float32."""
    return tuple(array.astype("float32") for array in adding_problem(rng, B, SETTINGS["T"]))


def initial(net, rng):
    """Initial weights of one of NETS, and the options of its layer."""
    kind, H, options = NETS[net]
    params = init_network(kind, 2, H, 1, rng, **options)
    if net == "IRNN":
        params["recurrent"]["W_ih"] = INPUT_SD * rng.standard_normal((H, 2))
    return tree_map(lambda array: array.astype("float32"), params), {"nonlinearity": "relu"} if net == "IRNN" else {}


def error(params, rng, options):
    """Mean squared error on fresh sequences."""
    x, y = draw(rng, SETTINGS["test"])
    return float(np.mean((network_forward(x, params, **options)[0][:, -1, 0] - y) ** 2))


def left(params, rng, options):
    """How much of the gradient at the last step is left at each lag (three digits), and the most open unit.

    The gradient is that of the output, so its direction is the output layer's row. The most open unit: the largest
    mean over steps and sequences of a unit's f (LSTM) or z (GRU); None in an RNN.
    """
    x, _ = draw(rng, SETTINGS["probed"])
    dh = np.tile(params["linear"]["W"][0], (len(x), 1))
    norms = gradient_norms_by_lag(x, dh, params["recurrent"], **options)
    cache = network_forward(x, params, **options)[2][0]
    gate = getattr(cache, "f", getattr(cache, "z", None))
    return [float(f"{norm:.3g}") for norm in norms], gate if gate is None else float(gate.mean(axis=(0, 1)).max())


def one(net, lr, steps, seed):
    """Train one network until it has solved the task; its gradient by lag before and after, and when it was solved.

    "errors" are those on fresh sequences at every test, "solved" the step of the first that is small enough or None.
    """
    rng = np.random.default_rng(seed)
    params, options = initial(net, rng)
    before, open_before = left(params, rng, options)
    latest, errors = {"params": params}, []

    def loss_and_grads(params, *batch):
        latest["params"] = params
        return last_step_loss(params, *batch, **options)

    def batches():
        for step in range(steps + 1):
            if step and step % SETTINGS["every"] == 0:
                errors.append(round(error(latest["params"], rng, options), 5))
                if errors[-1] <= SETTINGS["solved"]:
                    return
            yield draw(rng, SETTINGS["B"])

    try:
        train(loss_and_grads, params, batches(), lr=lr, progress=False)
    except FloatingPointError:                             # it blew up: not solved
        errors.append(math.inf)
    after, open_after = left(latest["params"], rng, options) if math.isfinite(errors[-1]) else (None, None)
    solved = len(errors) * SETTINGS["every"] if errors[-1] <= SETTINGS["solved"] else None
    return {"errors": [e if math.isfinite(e) else None for e in errors], "solved": solved,
            "before": before, "after": after, "open before": open_before, "open after": open_after}


def scored(pilot):
    """The pilot as `choose` wants it: the variance explained at each budget, -1 for a run that blew up."""
    def explained(run, tests):
        errors = run["errors"][:tests]
        return -1.0 if None in errors else max(-1.0, 1 - errors[-1] / GUESS)
    return by_budget(pilot, SETTINGS, explained)


def pilot_jobs():
    """Every rate at the larger budget; the LSTM with bias 1 alone."""
    return pilot_grid([{"net": net} for net in NETS if net not in RATE_OF], SETTINGS)


def chosen(pilot):
    """Rate and budget of each network, from the pilot."""
    found = choose(list(scored(pilot)), [net for net in NETS if net not in RATE_OF], SETTINGS["rates"],
                   SETTINGS["steps"], SETTINGS["tie"])
    return {net: found[RATE_OF.get(net, net)] for net in NETS}


def jobs(pilot, first):
    """The counting runs."""
    return on_seeds([{"net": net, **how} for net, how in chosen(pilot).items()], first, SETTINGS["seeds"])


def solved(records, net):
    """How many networks solve the task, and how many there are."""
    runs = [r for r in records if r["net"] == net]
    return sum(r["solved"] is not None for r in runs), len(runs)


def at_last_lag(records, net, when):
    """What is left of the gradient at lag 49, "before" or "after" training, a number for each network."""
    return [r[when][-1] for r in records if r["net"] == net and r["after"] is not None]


def parts(records):
    """Is each part of the criterion met? True, False, or None where the interval does not say."""
    low, high = wilson(*solved(records, "LSTM, bias 1"))
    after = reaches(at_last_lag(records, "LSTM, bias 1", "after"), SETTINGS["learned"])
    most = True if low > 0.5 else False if high < 0.5 else None
    ratio = [b / max(a, 1e-30) for b, a in zip(at_last_lag(records, "RNN, orthogonal", "before"),
                                               at_last_lag(records, "RNN, orthogonal", "after"), strict=True)]
    return {"built in": reaches(at_last_lag(records, "LSTM, bias 1", "before"), SETTINGS["built in"]),
            "learned": False if False in (after, most) else None if None in (after, most) else True,
            "loses": reaches(ratio, SETTINGS["loses"])}


def verdict(records):
    """Word, sentence and number, by the criterion."""
    met = parts(records)
    if met["learned"] is False:
        word = "False"
    elif met["learned"] and met["built in"] is not None:
        word = "True" if met["built in"] else "True if its gates learn to stay open"
    else:
        word = "Open"
    rnn = " The orthogonal RNN starts with more of it and loses it in training." if met["loses"] else ""
    irnn = (" That needs no gates: an RNN that starts from the identity with ReLU learns the task, too."
            if solved(records, "IRNN")[0] else "")
    before, after = (median_interval(at_last_lag(records, "LSTM, bias 1", when)) for when in ("before", "after"))
    return verdict_of(word, {
        "True": "The LSTM's highway is there before training and stays." + rnn + irnn,
        "True if its gates learn to stay open": "The LSTM's highway is not built in: with a forget bias of 1 next to "
        "nothing of the gradient arrives before training, and most of it after." + rnn + irnn,
        "False": "In the trained LSTM the gradient does not arrive, or it does not solve the task."},
        f"left at lag 49, LSTM with bias 1: {before[1]:.1g} before, {after[1]:.2f} [{after[0]:.2f}, {after[2]:.2f}] "
        f"after; solved by {'{} of {}'.format(*solved(records, 'LSTM, bias 1'))}")


def rival(records):
    """The orthogonal RNN's data in place of the LSTM's."""
    return [r for r in records if r["net"] != "LSTM, bias 1"] + [
        r | {"net": "LSTM, bias 1"} for r in records if r["net"] == "RNN, orthogonal"]


def shuffled(records, rng):
    """Which network it was, and what was measured before and what after training, is dealt anew."""
    return relabelled(relabelled_within([r for r in records if r["after"]], ["before", "after"], rng), "net", rng)


if __name__ == "__main__":
    remake(__file__, SETTINGS, one, pilot_jobs(), jobs)
