"""Lesson 13, on trial: the loss goes down, so it works.

Small networks are trained with one fault each, and beside them the same networks without it. For each: does the
training loss fall, and does the network work on new rows, asked the way it would be used?
"""

import copy
import math

import numpy as np
import torch
from torch.nn import functional

from lstmcourse.lab.trials import choose, on_seeds, pilot_grid, relabelled, remake, verdict_of, wilson

CRITERION = """
A training loss goes down when its last value (the mean of the last 20 steps) is at most half of its first.
A network works when its loss on new rows, asked as in use, is at most half of what the best constant answer costs.
Intervals are 95 % intervals of a fraction of the networks.
Control: the interval of "works" lies above .5 for every sound network. A fault counts if that interval lies below .5
for its networks. Without the control, or with fewer than four faults that count, the verdict is Open.
False: for at least half of the faults that count, the interval of "goes down" lies above .5.
True: for all of them it lies below .5. Mixed: anything else.
Beside it: the same for "the training loss ends at most at half of the guess's".
"""
SETTINGS = {"B": 32, "T": 12, "letters": 6, "H": 24, "rows": 64, "tested": 512, "level": 2.0,
            "rates": [0.001, 0.003, 0.01, 0.03, 0.1], "steps": [200, 400], "settled": 0.1, "pilot seeds": 3,
            "seeds": 30}
SOUND = ("wave", "wave around 0", "first letter", "rare pair")
FAULTS = {  # the fault, and the task in which it is made
    "broadcast": "wave", "broadcast around 0": "wave around 0", "target in the window": "wave",
    "both directions": "wave", "batch for time": "wave", "batch for time, letters": "first letter",
    "batch for time, rare pair": "rare pair", "targets shuffled": "first letter"}


class Net(torch.nn.Module):
    """An LSTM, and a linear layer on its last output or on all of them."""

    def __init__(self, D, out, bidirectional=False, batch_first=True):
        super().__init__()
        self.lstm = torch.nn.LSTM(D, SETTINGS["H"], batch_first=batch_first, bidirectional=bidirectional)
        self.linear = torch.nn.Linear(SETTINGS["H"] * (1 + bidirectional), out)

    def forward(self, x, every_step=False):
        output = self.lstm(x)[0]
        return self.linear(output if every_step else output[:, -1])


def draw(task, n, rng):
    """n rows of a task: inputs (n, T, D), targets (n, 1) or classes (n,)."""
    if task.startswith("wave"):
        t = np.arange(SETTINGS["T"] + 1)
        wave = np.sin(rng.uniform(0.5, 1.5, (n, 1)) * t + rng.uniform(0, 2 * np.pi, (n, 1)))
        wave += 0.05 * rng.standard_normal(wave.shape) + (0 if task == "wave around 0" else SETTINGS["level"])
        wave = torch.tensor(wave, dtype=torch.float32)
        return wave[:, :-1, None], wave[:, -1:]
    letters = torch.tensor(rng.integers(4, size=(n, SETTINGS["letters"])))
    rare = (letters[:, 0] == 0) & (letters[:, 1] == 0)
    return functional.one_hot(letters, 4).float(), rare.long() if task == "rare pair" else letters[:, 0]


def loss_of(answer, y):
    """Squared error for numbers, cross-entropy for classes."""
    return functional.mse_loss(answer, y) if y.is_floating_point() else functional.cross_entropy(answer, y)


def guess_of(y):
    """What the best constant answer costs: the variance, or the entropy of the classes."""
    if y.is_floating_point():
        return y.var().item()
    share = torch.bincount(y).float() / len(y)
    return -(share * share.log()).nansum().item()


def training_loss(model, kind, x, y):
    """The loss that the faulty program minimizes and prints."""
    if kind.startswith("broadcast"):
        return ((model(x) - y[:, 0])**2).mean()                    # (B, 1) - (B,) is (B, B)
    if kind == "target in the window":
        return loss_of(model(torch.cat([x, y[:, None]], dim=1)[:, 1:]), y)
    if kind == "both directions":
        series = torch.cat([x, y[:, None]], dim=1)
        return loss_of(model(series, every_step=True)[:, :-1], series[:, 1:])
    return loss_of(model(x), y)


def one(kind, lr, steps, seed):
    """Train one network: its first and last training loss, its loss on new rows, and the guess's.

    score is minus the loss on new rows in units of the guess; half is the score after half of the steps.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng, task = np.random.default_rng(seed), FAULTS.get(kind, kind)
    x, y = draw(task, SETTINGS["rows"], rng)
    out = 1 if y.is_floating_point() else 2 if task == "rare pair" else 4
    model = Net(x.shape[2], out, kind == "both directions", not kind.startswith("batch for time"))
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    shuffled = y[torch.tensor(rng.permutation(len(y)))]
    tested = draw(task, SETTINGS["tested"], rng)
    losses, halfway = [], None
    for step in range(steps):
        batch = (x, shuffled) if kind == "targets shuffled" else draw(task, SETTINGS["B"], rng)
        loss = training_loss(model, kind, *batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if step + 1 == steps // 2:
            halfway = copy.deepcopy(model)
    first, last, guess = losses[0], float(np.mean(losses[-20:])), guess_of(tested[1])
    with torch.no_grad():
        new, half = (loss_of(m(tested[0]), tested[1]).item() for m in (model, halfway))
    if not all(map(math.isfinite, (last, new, half))):
        raise FloatingPointError(f"the losses are {last}, {new} and {half}; wanted finite ones")
    return {"score": -round(new / guess, 4), "half": -round(half / guess, 4), "first": round(first, 4),
            "last": round(last, 4), "new": round(new, 4), "guess": round(guess, 4)}


def pilot_jobs():
    """The sound networks at every rate, for the larger budget; the smaller one is measured on the way."""
    return pilot_grid([{"kind": kind} for kind in SOUND], SETTINGS)


def at_budget(pilot, steps):
    """The pilot's records as they are after so many steps."""
    return pilot if steps == SETTINGS["steps"][-1] else [r | {"score": r["half"], "steps": steps} for r in pilot]


def chosen(pilot):
    """Rate and budget of each sound network, which its faulty twins get, too: the fault alone is different."""
    records = [r for steps in SETTINGS["steps"] for r in at_budget(pilot, steps)]
    return choose(records, SOUND, SETTINGS["rates"], SETTINGS["steps"], SETTINGS["settled"])


def jobs(pilot, first):
    """The counting runs."""
    settings = chosen(pilot)
    return on_seeds([{"kind": kind, **settings[FAULTS.get(kind, kind)]} for kind in (*SOUND, *FAULTS)], first,
                    SETTINGS["seeds"])


def goes_down(run):
    """By the criterion."""
    return run["last"] <= run["first"] / 2


def works(run):
    """By the criterion."""
    return run["new"] <= run["guess"] / 2


def below_guess(run):
    """Does the training loss end at most at half of the guess's?"""
    return run["last"] <= run["guess"] / 2


def fraction(records, kind, holds):
    """(low, fraction, high) of the networks of one kind for which holds(run) is true."""
    found = [holds(run) for run in records if run["kind"] == kind]
    low, high = wilson(sum(found), len(found))
    return low, sum(found) / len(found), high


def verdict(records):
    """Word, sentence and number, by the criterion."""
    sound = all(fraction(records, kind, works)[0] > 0.5 for kind in SOUND)
    faults = [kind for kind in FAULTS if fraction(records, kind, works)[2] < 0.5]
    down = [fraction(records, kind, goes_down) for kind in faults]
    fell = sum(low > 0.5 for low, _, _ in down)
    word = ("Open" if not sound or len(faults) < 4 else "False" if 2 * fell >= len(faults) else
            "True" if all(high < 0.5 for _, _, high in down) else "Mixed")
    broken = [run for run in records if run["kind"] in faults]
    count, by_guess = sum(map(goes_down, broken)), sum(map(below_guess, broken))
    low, high = wilson(count, len(broken)) if broken else (0, 1)
    return verdict_of(word, {
        "True": "A training loss falls by half only where the network works.",
        "Mixed": "Some faults let the training loss fall, and others don't.",
        "False": "Most of the faults that we made let the training loss fall by half or more, and the network fails on "
                 "new rows."},
        f"with {fell} of {len(faults)} faults it falls; that is {count} of {len(broken)} faulty networks "
        f"[{low:.2f}, {high:.2f}]; {by_guess} end at half of the guess's loss or less")


def rival(records):
    """Sound networks in place of the faulty ones."""
    return [r for r in records if r["kind"] in SOUND] + [
        r | {"kind": kind} for kind, task in FAULTS.items() for r in records if r["kind"] == task]


def shuffled(records, rng):
    """Which network it was is dealt anew."""
    return relabelled(records, "kind", rng)


if __name__ == "__main__":
    remake(__file__, SETTINGS, one, pilot_jobs(), jobs)
