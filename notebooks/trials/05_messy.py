"""Lesson 05, on trial: a board that is only written on gets messy.

Embedded Reber strings one after the other without a pause, and the state is handed on (Gers, Schmidhuber and Cummins
2000). LSTMs with forget gates, and without them: f = 1, as in 1997. As a control, LSTMs without forget gates on single
strings: somebody wipes the board after each.

The first count (commit 8e59b5a, seeds from 1000 on, 05_messy.first.json) had ten networks of each kind, and its verdict
was True. A second run, ten others of each (seeds from 2000 on, 05_messy.second.json), left the control open: two of
the ten that are wiped had not learned the single strings. So then there were thirty of each (seeds from 3000 on,
05_messy.third.json): True again. In all three the rate of those with forget gates was used for all. A pilot of their
own chose another for those without, so they were counted once more, on seeds from 4000 on. The criterion is the same.
"""

import numpy as np

from lstmcourse.data.reber import reber_stream, reber_strings
from lstmcourse.lab.interventions import clamp_gate
from lstmcourse.lab.models import init_network, network_backward, network_forward, one_hot, token_loss
from lstmcourse.lab.trials import choose, median_interval, on_seeds, pilot_grid, reaches, relabelled, remake, verdict_of
from lstmcourse.layers import cross_entropy_backward, cross_entropy_forward
from lstmcourse.train import Adam, clip_grads

CRITERION = """
Far symbols are those that repeat the second of their string; guessing between T and P gets half. By the 95 % interval
of the median of the networks:
works  with forget gates 0.95 or more of the far symbols are right late in a fresh stream (letters 500 to 1000)
fails  without them fewer are
wiped  without them, too, 0.95 or more are right on single strings, each from a zero state: the control
True: all three. False: works, and fails refuted. Open: otherwise.
"""
SETTINGS = {"H": 10, "forget_bias": 1.0, "B": 16, "piece": 40, "length": 4000, "works": 0.95, "test_streams": 16,
            "test_length": 1000, "late": 500, "read": [10, 30, 100, 300, 1000], "test_strings": 300,
            "rates": [0.003, 0.01, 0.03], "tie": 0.1, "steps": [1000, 2000], "pilot seeds": 2, "seeds": 30}
FIRST = 4000                                               # the first counting seed
WITHOUT = {"rates": [0.001, 0.003, 0.01, 0.03, 0.1], "pilot seeds": 3}       # the pilot of those without forget gates
NETS = {"with": (True, True), "without": (False, True), "without, wiped": (False, False)}     # forget gates, a stream


def far_right(logits, d, where=True):
    """Fraction of far symbols that have the largest score."""
    right = logits.argmax(axis=2) == d["tokens"][:, 1:]
    return float(right[d["long_range"] & where].mean())


def measure(params, stream, rng):
    """Fractions of far symbols that are right, and in a stream the mean size of the cell state after some letters."""
    if not stream:
        d = reber_strings(rng, SETTINGS["test_strings"])
        return {"far": far_right(network_forward(one_hot(d["tokens"][:, :-1], 7), params)[0], d)}
    d = reber_stream(rng, SETTINGS["test_streams"], SETTINGS["test_length"])
    logits, _, (cache, _) = network_forward(one_hot(d["tokens"][:, :-1], 7), params)
    late = np.arange(SETTINGS["test_length"]) >= SETTINGS["late"]
    size = np.abs(cache.c[1:]).mean(axis=(1, 2))
    return {"far": far_right(logits, d, late), "early": far_right(logits, d, ~late),
            "size": [float(size[t - 1]) for t in SETTINGS["read"]]}


def one(net, lr, steps, seed):
    """Train one LSTM and measure it."""
    rng, (forget, stream) = np.random.default_rng(seed), NETS[net]
    params = init_network("lstm", 7, SETTINGS["H"], 7, rng, forget_bias=SETTINGS["forget_bias"])
    if not forget:
        clamp_gate(params["recurrent"], 1, 60.0)           # f = 1 to the last bit, in training too
    adam, piece, states = Adam(lr), SETTINGS["piece"], None
    tokens = reber_stream(rng, SETTINGS["B"], SETTINGS["length"])["tokens"] if stream else None
    for step in range(steps):
        if stream:
            start = step * piece % SETTINGS["length"]
            part = tokens[:, start:start + piece + 1]
            logits, states, cache = network_forward(one_hot(part[:, :-1], 7), params, states)
            _, loss_cache = cross_entropy_forward(logits, part[:, 1:])
            grads = network_backward(cross_entropy_backward(loss_cache), cache)
        else:
            d = reber_strings(rng, SETTINGS["B"])
            _, grads = token_loss(params, d["tokens"][:, :-1], d["tokens"][:, 1:], d["mask"])
        params = adam.step(params, clip_grads(grads, 1.0)[0])
    result = measure(params, stream, rng)
    return result | {"score": result["far"]}


def pilot_jobs():
    """Every rate at the first budget; with forget gates the doubled budget at the middle rate, too."""
    arms = [{"net": net, "lr": lr, "steps": SETTINGS["steps"][0]} for net in NETS if net != "with"
            for lr in WITHOUT["rates"]]
    return pilot_grid([{"net": "with"}], SETTINGS, doubled=1) + on_seeds(arms, 0, WITHOUT["pilot seeds"])


def chosen(pilot):
    """Rate and budget of each network, from the pilot.

    Without forget gates the budget is that of those with them. So is the rate, unless another is better by more than
    the tie: where all rates guess, there is nothing to choose by.
    """
    with_gates = choose([r | {"kind": r["net"]} for r in pilot], ["with"], SETTINGS["rates"], SETTINGS["steps"],
                        SETTINGS["tie"])["with"]
    found = {"with": with_gates}
    for net in ("without", "without, wiped"):
        median = {lr: np.median([r["far"] for r in pilot if (r["net"], r["lr"]) == (net, lr)])
                  for lr in WITHOUT["rates"]}
        best = max(median, key=median.get)
        found[net] = with_gates | ({"lr": best} if median[best] > median[with_gates["lr"]] + SETTINGS["tie"] else {})
    return found


def jobs(pilot, first):
    """The counting runs."""
    return on_seeds([{"net": net, **how} for net, how in chosen(pilot).items()], first, SETTINGS["seeds"])


def far(records, net):
    """The fraction of far symbols right, of each network of a kind."""
    return [r["far"] for r in records if r["net"] == net]


def parts(records):
    """Is each part of the criterion met? True, False, or None where the interval does not say."""
    works, without, wiped = (reaches(far(records, net), SETTINGS["works"]) for net in NETS)
    return {"works": works, "fails": None if without is None else not without, "wiped": wiped}


def verdict(records):
    """Word, sentence and number, by the criterion."""
    met = parts(records)
    word = ("True" if all(met.values()) else "False" if met["works"] and met["fails"] is False else "Open")
    shown = {net: "{1:.2f} [{0:.2f}, {2:.2f}]".format(*median_interval(far(records, net))) for net in NETS}
    return verdict_of(word, {
        "True": "On a stream of strings an LSTM without forget gates fails; with them, or with its state set to zero "
        "after every string, it works.",
        "False": "Without forget gates an LSTM learns the stream, too."},
        f"far symbols right, late in a stream: with forget gates {shown['with']}, without {shown['without']}; without, "
        f"on single strings: {shown['without, wiped']}")


def rival(records):
    """Networks without forget gates that do as well as those with them."""
    return [{**r, "far": other["far"]} if r["net"] == "without" else r for r, other in zip(
        records, [r for r in records if r["net"] == "with"] * len(NETS), strict=True)]


def shuffled(records, rng):
    """Which network it was is dealt anew."""
    return relabelled(records, "net", rng)


if __name__ == "__main__":
    remake(__file__, SETTINGS, one, pilot_jobs(), jobs, FIRST)
