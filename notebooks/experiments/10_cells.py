"""Lesson 10: does a single cell of a trained network follow something that a programmer would name?

Written down before the runs below: five networks, whose seeds also decide which files are read in which
order. The cell is chosen on the validation files and scored on the test files; so is the best of 1000
random directions, and the best cell of the same network before training. A cell *follows* a label if its
r_squared on the test files is at least 0.25, and at least twice that of the best random direction. Then
its cell for brackets is taken out: `harm` is what closing brackets cost without it.

Network, learning rate and rule are those of two earlier rounds on other texts: the standard library (seeds 1
to 5: 3 of 5 networks had a cell for brackets, 1 of 5 one for strings), and the whole of SymPy, half of which
is documentation (seeds 1000 to 1004: 1 of 5 had one for brackets). Before this round the verdict was, as
found there, that no label has a cell that follows it in 4 of 5 networks. That failed: here brackets have. The
verdict below says what was found. The weights of the first network are saved beside the results: the lesson
looks at that one.
"""

import pathlib

import numpy as np

from lstmcourse.data.python_source import ALPHABET, LABELS, encode, labelled, python_source
from lstmcourse.lab.char_lm import batchify, evaluate, init_char_lm, train_char_lm
from lstmcourse.lab.interventions import ablate_unit
from lstmcourse.lab.probing import best_directions, fitted_directions, r_squared, random_directions
from lstmcourse.lab.trials import run, save_weights

SETTINGS = {"D": 32, "H": 128, "B": 16, "T": 64, "steps": 2400, "lr": 0.01, "tested": 200_000, "directions": 1000,
            "follows": 0.25, "times": 2.0, "others": 12}
SEEDS = range(1005, 1010)
WEIGHTS = pathlib.Path(__file__).with_suffix(".npz")


def training_text(sets, rng):
    """As much of the training files, in random order, as one training reads: a string."""
    names = list(sets["training"])
    rng.shuffle(names)
    text = "".join(sets["training"][name] for name in names)
    return text[:SETTINGS["B"] * (SETTINGS["T"] * SETTINGS["steps"] + 1)]


def search(params, sets, rng):
    """For each label: the cell that follows it best, and the agreements on the test files. Also bits, cells.

    Returns a dict: label -> {"cell": number, "score": its r_squared, "random": that of the best random
    direction, "all": that of the best weighted sum of all cells}; and bits per character on the test files.
    """
    states, told = {}, {}
    for which in ("validation", "test"):
        tokens, values = labelled(sets[which].values(), SETTINGS["tested"])
        bits, cells = evaluate(tokens, params)
        states[which] = cells.reshape(-1, cells.shape[2])
        told[which] = np.stack([batchify(v, len(bits))[:, :-1].ravel() for v in values.T], axis=1)
    singles = np.eye(cells.shape[2])
    crowd = random_directions(states["validation"], SETTINGS["directions"], rng)
    fitted = fitted_directions(states["validation"], told["validation"])
    found = {}
    for name, directions in {"score": singles, "random": crowd}.items():
        chosen = best_directions(states["validation"], told["validation"], directions)
        found[name] = r_squared(states["test"], told["test"], directions[:, chosen]).diagonal()
        found.setdefault("cell", chosen)
    found["all"] = r_squared(states["test"], told["test"], fitted).diagonal()
    return {label: {name: round(values[k].item(), 4) for name, values in found.items()}
            for k, label in enumerate(LABELS)}, float(bits.mean())


def follows(found):
    """Does the cell follow the label? found: what `search` says about one label."""
    return found["score"] >= SETTINGS["follows"] and found["score"] >= SETTINGS["times"] * found["random"]


def harm(params, sets, cell):
    """What it costs to take a cell out, in bits per character on a piece of the test text.

    Returns [for a closing bracket, for any other character], and the first of the two for the loss of each
    of some other cells.
    """
    tokens, _ = labelled(sets["test"].values(), 24_000)
    closing = np.isin(batchify(tokens, 32)[:, 1:], encode(")]}"))

    def cost(params):
        bits, _ = evaluate(tokens, params)
        return np.array([bits[closing].mean(), bits[~closing].mean()])

    whole = cost(params)
    others = [k for k in range(0, SETTINGS["H"], 9) if k != cell][:SETTINGS["others"]]
    return {"cell": [round(x.item(), 4) for x in cost(ablate_unit(params, cell)) - whole],
            "others": [round((cost(ablate_unit(params, k)) - whole)[0].item(), 4) for k in others]}


def one(seed):
    """Train a network, search its cells and those it had before training, and take its best cell for brackets out."""
    sets, rng = python_source(), np.random.default_rng(seed)
    text = encode(training_text(sets, rng))
    untrained = init_char_lm(len(ALPHABET), SETTINGS["D"], SETTINGS["H"], rng)
    params, _ = train_char_lm(text, untrained, SETTINGS["steps"], SETTINGS["B"], SETTINGS["T"], SETTINGS["lr"],
                              progress=False)
    found, bits = search(params, sets, rng)
    before, _ = search(untrained, sets, rng)
    if seed == SEEDS[0]:
        save_weights(WEIGHTS, params)
    return {"found": found, "untrained": before, "bits": round(bits, 4),
            "harm": harm(params, sets, found["brackets"]["cell"])}


def count(records, label):
    """In how many networks a cell follows this label."""
    return sum(follows(record["found"][label]) for record in records)


def needed(record):
    """Does the loss of the bracket cell harm closing brackets more than other characters, and more than the loss
    of any of the other cells does?"""
    closing, rest = record["harm"]["cell"]
    return closing > rest and closing > max(record["harm"]["others"])


def verdict(records):
    """A cell follows the brackets in at least 4 of 5 networks, and in each the best one has more than twice the score
    of the best one before training; every other label has a cell that follows it in half of the networks at most."""
    counts = {label: count(records, label) for label in LABELS}
    learned = all(r["found"]["brackets"]["score"] > 2 * r["untrained"]["brackets"]["score"] for r in records)
    rest = max(n for label, n in counts.items() if label != "brackets")
    return learned and counts["brackets"] >= 0.8 * len(records) and rest <= len(records) / 2


if __name__ == "__main__":
    results = run(__file__, SETTINGS, [{"seed": seed} for seed in SEEDS], one)
    for label in LABELS:
        print(f"{label:12} a cell follows it in {count(results['runs'], label)} of {len(results['runs'])} networks")
    print("needed for closing brackets in", sum(map(needed, results["runs"])))
    print("verdict", verdict(results["runs"]))
