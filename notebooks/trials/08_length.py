"""Lesson 08, on trial: with attention, length no longer matters.

Translators with attention (both directions, dot product, word embeddings as values) learn sentences of up to 3 clauses,
or of up to 4, and translate held-out sentences of 1 to 6. So sentences of 4 clauses are longer than any in training for
the first, and not for the second.

A first run (commit 2b7fa4d, seeds from 1000 on, two passes over 5,000 sentences of each length) was stopped when four
networks were there: one had 0.86 of the sentences of 3 clauses right, so training had not settled. Now there are 10,000
sentences of each length, and the seeds are new.
"""

import pathlib

import numpy as np

from lstmcourse.data import hindi
from lstmcourse.lab.translation import split_clauses, train_translator, write
from lstmcourse.lab.trials import load, median_interval, reaches, remake, verdict_of
from lstmcourse.seq2seq import Model

CRITERION = """
Exact: fraction of the held-out sentences that are written without a mistake; medians over the networks with their 95 %
intervals.
within     trained on up to 3 clauses, 0.9 or more of the sentences of 1, of 2 and of 3 clauses are exact
reachable  trained on up to 4 clauses, 0.9 or more of the sentences of 4 clauses are exact
beyond     one clause more than in training: 0.9 or more are exact; refuted if it is less than 0.5, for both kinds
True: within and beyond. True if the length occurs in training: within and reachable, beyond is refuted. False: within
is refuted. Open: otherwise.
"""
SETTINGS = {"sentences": 10_000, "test": 200, "test_clauses": [1, 2, 3, 4, 5, 6], "exact": 0.9, "collapse": 0.5,
            "passes": 1, "seeds": {"up to 3": 10, "up to 4": 6}}
FIRST = 2000                               # the first counting seed: other settings have new seeds
MODEL = Model("lstm", bidirectional=True, attention="dot", values="words")
KINDS = {"up to 3": [1, 2, 3], "up to 4": [1, 2, 3, 4]}


def one(kind, lr, steps, seed):
    """Train one network. By number of clauses of the test sentences, 1 to 6:

    exact   fraction written without a mistake
    starts  fractions with the first 1, 2, … clauses right
    counts  how many sentences are written with 0, 1, 2, … clauses
    """
    params = train_translator(MODEL, np.random.default_rng(seed), SETTINGS["sentences"], KINDS[kind], lr, steps,
                              dtype="float32")
    found = {"exact": [], "starts": [], "counts": []}
    for k in SETTINGS["test_clauses"]:
        pairs = hindi.sentences(np.random.default_rng(3000 + k), SETTINGS["test"], k, held_out=True)
        written = [split_clauses(text) for text in write(params, MODEL, pairs)]
        wanted = [split_clauses(pair.english) for pair in pairs]
        found["exact"].append(float(np.mean([a == b for a, b in zip(written, wanted, strict=True)])))
        found["starts"].append([float(np.mean([a[:n] == b[:n] for a, b in zip(written, wanted, strict=True)]))
                                for n in range(1, k + 1)])
        found["counts"].append(np.bincount([len(a) for a in written], minlength=k + 1).tolist())
    return found


def exact_at(records, kind, clauses):
    """Fractions exact, one for each network of this kind."""
    return [r["exact"][clauses - 1] for r in records if r["kind"] == kind]


def parts(records):
    """Is each part of the criterion met? True, False, or None where the interval does not say."""
    within = [reaches(exact_at(records, "up to 3", k), SETTINGS["exact"]) for k in (1, 2, 3)]
    further = [exact_at(records, "up to 3", 4), exact_at(records, "up to 4", 5)]
    beyond = [reaches(values, SETTINGS["exact"]) for values in further]
    fails = [reaches(values, SETTINGS["collapse"]) is False for values in further]
    return {"within": False if False in within else True if all(within) else None,
            "reachable": reaches(exact_at(records, "up to 4", 4), SETTINGS["exact"]),
            "beyond": True if all(beyond) else False if all(fails) else None}


def verdict(records):
    """Word, sentence and number, by the criterion."""
    met = parts(records)
    trained, longer, given = (median_interval(exact_at(records, kind, k))
                              for kind, k in (("up to 3", 3), ("up to 3", 4), ("up to 4", 4)))
    if met["within"] is False:
        word = "False"
    elif met["within"] and met["beyond"]:
        word = "True"
    elif met["within"] and met["reachable"] and met["beyond"] is False:
        word = "True if the length occurs in training"
    else:
        word = "Open"
    return verdict_of(word, {
        "True": "Sentences longer than any in training are translated as well as short ones.",
        "True if the length occurs in training":
            "Up to the longest sentences of training, length is harmless; with one clause more, hardly a sentence "
            "comes out right, although a network that has seen such sentences translates them.",
        "False": "Even within the lengths of training, longer sentences fail."},
        f"exact, trained on up to 3 clauses: {trained[1]:.2f} [{trained[0]:.2f}, {trained[2]:.2f}] at 3, "
        f"{longer[1]:.2f} [{longer[0]:.2f}, {longer[2]:.2f}] at 4; trained on up to 4: {given[1]:.2f} "
        f"[{given[0]:.2f}, {given[2]:.2f}] at 4")


def rival(records):
    """The networks that have seen 4 clauses, in place of those that have not."""
    return [r | {"kind": kind} for r in records if r["kind"] == "up to 4" for kind in KINDS]


def shuffled(records, rng):
    """What was measured at each length is dealt anew within each network."""
    return [r | {"exact": [r["exact"][k] for k in rng.permutation(len(r["exact"]))]} for r in records]


def pilot_jobs():
    """None of its own: the rate is that of 08_weights, whose networks are of the same kind."""
    return []


def jobs(pilot, first):
    """The counting runs."""
    runs = load(pathlib.Path(__file__).with_name("08_weights.json"))["runs"]
    lr = next(r["lr"] for r in runs if r.get("kind") == "words")
    return [{"kind": kind, "lr": lr, "steps": SETTINGS["passes"], "seed": seed} for kind in KINDS
            for seed in range(first, first + SETTINGS["seeds"][kind])]


if __name__ == "__main__":
    remake(__file__, SETTINGS, one, pilot_jobs(), jobs, FIRST)
