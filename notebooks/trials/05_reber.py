"""Lesson 05, on trial: the embedded Reber grammar takes an LSTM.

An LSTM, a plain RNN with fewer parameters (tanh, the usual random weights), and the same RNN without memory: it sees
one symbol at a time and always starts from a zero state. A run is tested every 100 steps and stops when it has solved
the task as Hochreiter and Schmidhuber 1997 count it: at every symbol of every test string
each legal next symbol has a larger score than each illegal one.

The first count (commit 7adc632, seeds 1000 to 1009, 05_reber.first.json) had LSTMs of 8 units with a forget bias of 1,
as many parameters as the RNN. None of ten solved the task: the control had failed. On pilot seeds a bias of 3, which
suits a lag of about ten, and 16 units mend it. So the LSTM has these now, and there are thirty of each network, on
seeds from 2000 on. The RNNs and the criterion are the same.
"""

import numpy as np

from lstmcourse.data.reber import reber_strings
from lstmcourse.lab.models import init_network, network_forward, one_hot, token_loss
from lstmcourse.lab.trials import by_budget, choose, on_seeds, relabelled, remake, verdict_of, wilson
from lstmcourse.train import train

CRITERION = """
"It takes an LSTM" is an existence claim: one RNN that solves the task within the budget refutes it.
can     at least one RNN solves it
memory  no network without memory solves it: the control
lstm    the 95 % interval of the fraction of LSTMs that solve it lies above 1/2
False: can and memory. True: no RNN solves it, memory and lstm. Open: otherwise.
"""
SETTINGS = {"B": 4, "test": 256, "every": 100, "rates": [0.003, 0.01, 0.03, 0.1, 0.3], "steps": [2000, 4000],
            "tie": 0.1, "pilot seeds": 2, "seeds": 30}
FIRST = 2000                                               # the first counting seed
NETS = {"LSTM": ("lstm", 16, {"forget_bias": 3.0}), "RNN": ("rnn", 18, {}),      # 1719 and 619 parameters
        "RNN, no memory": ("rnn", 18, {})}
RATE_OF = {"RNN, no memory": "RNN"}
TRIED = {"LSTM": SETTINGS["rates"], "RNN": SETTINGS["rates"][:4]}                # of the grid


def read(params, tokens, net):
    """The scores (B, T, 7) of a network of NETS."""
    parts = tokens.reshape(-1, 1) if net in RATE_OF else tokens
    return network_forward(one_hot(parts, 7), params)[0].reshape(*tokens.shape, 7)


def passes(params, rng, net):
    """Fractions, on fresh strings: of symbols with every legal one above every illegal one; of far symbols right."""
    test = reber_strings(rng, SETTINGS["test"])
    logits = read(params, test["tokens"][:, :-1], net)
    legal = np.where(test["allowed_next"], logits, np.inf).min(axis=2)
    right = legal > np.where(test["allowed_next"], -np.inf, logits).max(axis=2)
    far = logits.argmax(axis=2) == test["tokens"][:, 1:]
    return float(right[test["mask"]].mean()), float(far[test["long_range"]].mean())


def one(net, lr, steps, seed):
    """Train one network until it has solved the task: how many strings that took (None: not solved), and its score."""
    rng = np.random.default_rng(seed)
    kind, H, options = NETS[net]
    params = init_network(kind, 7, H, 7, rng, **options)
    latest, found = {"params": params}, []

    def loss_and_grads(params, *batch):
        latest["params"] = params
        return token_loss(params, *(part.reshape(-1, 1) if net in RATE_OF else part for part in batch))

    def batches():
        for step in range(steps + 1):
            if step and step % SETTINGS["every"] == 0:
                found.append(passes(latest["params"], rng, net))
                if found[-1][0] == 1:
                    return
            d = reber_strings(rng, SETTINGS["B"])
            yield d["tokens"][:, :-1], d["tokens"][:, 1:], d["mask"]

    try:
        train(loss_and_grads, params, batches(), lr=lr, progress=False)
    except FloatingPointError:                             # it blew up: not solved
        found.append((0.0, 0.0))
    return {"legal": [round(legal, 4) for legal, _ in found], "far": found[-1][1],
            "strings": len(found) * SETTINGS["every"] * SETTINGS["B"] if found[-1][0] == 1 else None}


def scored(pilot):
    """The pilot as `choose` wants it: what is legal at each budget; of a run that has solved it, more the sooner."""
    solved = [r | {"solved": r["strings"] and r["strings"] // SETTINGS["B"]} for r in pilot]
    return by_budget(solved, SETTINGS, lambda run, tests: run["legal"][:tests][-1], more=1)


def pilot_jobs():
    """Each network at its rates and the larger budget."""
    return [{"net": net, "lr": lr, "steps": SETTINGS["steps"][-1], "seed": seed} for net in TRIED
            for lr in TRIED[net] for seed in range(SETTINGS["pilot seeds"])]


def chosen(pilot):
    """The rate of each network, from the pilot, and the larger budget."""
    found = {net: choose(list(scored(pilot)), [net], rates, SETTINGS["steps"][-1:], SETTINGS["tie"])[net]
             for net, rates in TRIED.items()}
    return {net: found[RATE_OF.get(net, net)] for net in NETS}


def jobs(pilot, first):
    """The counting runs."""
    return on_seeds([{"net": net, **how} for net, how in chosen(pilot).items()], first, SETTINGS["seeds"])


def solved(records, net, steps=SETTINGS["steps"][-1]):
    """How many networks solve the task within so many steps, and how many there are."""
    strings = [r["strings"] for r in records if r["net"] == net]
    return sum(n is not None and n <= steps * SETTINGS["B"] for n in strings), len(strings)


def verdict(records, steps=SETTINGS["steps"][-1]):
    """Word, sentence and number, by the criterion; with a smaller budget, what it would have been."""
    lstm, rnn = solved(records, "LSTM", steps), solved(records, "RNN", steps)
    blind = solved(records, "RNN, no memory", steps)
    word = "Open" if blind[0] else "False" if rnn[0] else "True" if wilson(*lstm)[0] > 0.5 else "Open"
    return verdict_of(word, {
        "True": "Of the plain RNNs none learns the embedded Reber grammar, and most of the LSTMs do.",
        "False": "A plain RNN with fewer parameters can learn the embedded Reber grammar, too."},
        f"solved by {rnn[0]} of {rnn[1]} RNNs, {lstm[0]} of {lstm[1]} LSTMs and "
        f"{blind[0]} of {blind[1]} without memory")


def rival(records):
    """No RNN has solved it, as was published of Elman's networks."""
    return [r | {"strings": None} if r["net"] == "RNN" else r for r in records]


def shuffled(records, rng):
    """Which network it was is dealt anew."""
    return relabelled(records, "net", rng)


if __name__ == "__main__":
    remake(__file__, SETTINGS, one, pilot_jobs(), jobs, FIRST)
