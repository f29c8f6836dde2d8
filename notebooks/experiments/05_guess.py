"""Lesson 05: tasks solved by throwing dice, without any training.

After Hochreiter and Schmidhuber 1997b: before a network is praised for a long lag, try random weights. Two tasks:
"latch", keep the sign of the first input over 500 steps of noise (Bengio et al. 1994); and the adding problem over
50 steps. Written down before the first run: weights uniform in ±100 for one hidden unit (latch), in ±2 for four
hidden units (adding), ten seeds, at most 2000 guesses, "solved" as all of 100 sequences right (latch) or a mean
squared error below 0.01 (adding).
"""

import numpy as np

from lstmcourse.data.adding import adding_problem
from lstmcourse.lab.models import init_network, network_forward
from lstmcourse.lab.trials import run
from lstmcourse.train import tree_map

SETTINGS = {"sequences": 100, "limit": 2000, "latch_steps": 500, "adding_steps": 50, "error": 0.01}
SIZES = {"latch": (1, 1, 100.0), "adding": (2, 4, 2.0)}                # inputs, hidden units, weights in ±
SEEDS = range(10)


def task(name, rng):
    """Inputs (B, T, D), and a function of the outputs at the last step (B,) that tells whether they solve it."""
    B = SETTINGS["sequences"]
    if name == "adding":
        x, y = adding_problem(rng, B, SETTINGS["adding_steps"])
        return x, lambda out: np.mean((out - y) ** 2) < SETTINGS["error"]
    x = rng.normal(0, np.sqrt(0.2), (B, SETTINGS["latch_steps"], 1))
    x[:, 0, 0] = sign = np.where(np.arange(B) % 2, 1.0, -1.0)
    return x, lambda out: (np.sign(out) == sign).all()


def one(name, seed):
    """Draw random RNNs until one solves the task: the number of guesses, None where none of them did."""
    rng = np.random.default_rng(seed)
    x, solves = task(name, rng)
    D, H, scale = SIZES[name]
    shapes = init_network("rnn", D, H, 1, rng)
    for guesses in range(1, SETTINGS["limit"] + 1):
        params = tree_map(lambda a: rng.uniform(-scale, scale, a.shape), shapes)
        if name == "latch":                                            # read the only unit as it is
            params["linear"] = {"W": np.ones((1, 1)), "b": np.zeros(1)}
        if solves(network_forward(x, params)[0][:, -1, 0]):
            return {"guesses": guesses}
    return {"guesses": None}


def verdict(records):
    """Latch over 500 steps is guessed within the limit by every seed; the adding problem over 50 steps by none."""
    found = {name: [r["guesses"] is not None for r in records if r["name"] == name] for name in SIZES}
    return all(found["latch"]) and not any(found["adding"])


if __name__ == "__main__":
    run(__file__, SETTINGS, [{"name": name, "seed": seed} for name in SIZES for seed in SEEDS], one)
