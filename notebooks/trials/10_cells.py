"""Lesson 10, on trial: single cells are interpretable.

Character-level language models read the Python source of lesson 10; a seed decides the order of the files and the
initial weights. For each of four labels that Python's tokenizer gives (open brackets, in a string, indentation,
position in the line) the unit whose tanh(c) follows it best is chosen on the validation files and scored on the test
files. The same is done to the network before training, to random directions, and to a linear probe through all units.
Then the unit for brackets is clamped; so are other units, as the control.

Three earlier rounds (2400 steps, five networks each, on three texts) found a unit for brackets in 3, 1 and 5 of 5
networks. They compared with random directions alone in their rule, and ablated with zero alone. Ten networks with the
criterion below, trained for 1100 steps, did not decide it: 7 of 10 (seeds 1000 to 1009, 10_cells.first.json). Their
pilot had shown that the doubled budget saves 0.2 bits. So this run takes the doubled budget, more networks, and new
seeds; the criterion is the same.
"""

import functools
import pathlib

import numpy as np

from lstmcourse.data.python_source import ALPHABET, LABELS, encode, labelled, python_source
from lstmcourse.lab.char_lm import batchify, evaluate, init_char_lm, train_char_lm
from lstmcourse.lab.probing import best_directions, fitted_directions, r_squared, random_directions
from lstmcourse.lab.trials import (
    choose,
    median_interval,
    reaches,
    remake,
    save_weights,
    verdict_of,
    wilson,
)
from lstmcourse.layers import sigmoid, softmax

CRITERION = """
A unit follows a label if on the test files its R² is 0.25 or more, and at least twice that of the best of 1000 random
directions and twice that of the best unit of the same network before training. For each label:
found     more than half of the networks have such a unit (95 % interval of the fraction, Wilson)
True: found for every label. False: refuted for every label. Mixed: found for some, refuted for the others.
Open: otherwise.
For the best unit for brackets, by the 95 % interval of the median over all networks:
needed    where brackets are open, and the unit is clamped to its mean where none is, a closing bracket costs more by
          0.5 bits or more than with any of four other units clamped in the same way
enough    where none is open, and the unit is clamped to its mean where some are, a closing bracket is likelier by a
          factor of 2^0.5 or more than with any of the four clamped in the same way
"""
SETTINGS = {"D": 32, "H": 128, "B": 16, "T": 64, "rates": [0.003, 0.01, 0.03], "steps": [1100, 2200],
            "pilot seeds": 2, "seeds": 16, "tested": 100_000, "directions": 1000, "follows": 0.25, "times": 2.0,
            "half": 0.5, "rows": 32, "warm": 100, "read": 300, "others": 4, "needed": 0.5, "enough": 0.5}
FIRST = 2000
WEIGHTS = pathlib.Path(__file__).with_suffix(".npz")       # the network of the lesson: pilot seed 0, doubled budget
CLOSING = encode(")]}")


@functools.cache
def text_and_labels(which, N=SETTINGS["tested"]):
    """The first N characters of the "validation" or "test" files, and their labels (N, 4)."""
    return labelled(python_source()[which].values(), N)


def training_text(rng, steps):
    """As much of the training files, in random order, as a training of so many steps reads: tokens."""
    texts = python_source()["training"]
    names = list(texts)
    rng.shuffle(names)
    return encode("".join(texts[name] for name in names)[:SETTINGS["B"] * (SETTINGS["T"] * steps + 1)])


def trained(lr, steps, seed):
    """A network before and after training, and its rng."""
    rng = np.random.default_rng(seed)
    text = training_text(rng, steps)
    untrained = init_char_lm(len(ALPHABET), SETTINGS["D"], SETTINGS["H"], rng)
    params, _ = train_char_lm(text, untrained, steps, SETTINGS["B"], SETTINGS["T"], lr, progress=False)
    return untrained, params, rng


def read(params, which):
    """Bits of each character, the states tanh(c) (N, H) and the labels (N, 4) on one set of files."""
    tokens, values = text_and_labels(which)
    bits, states = evaluate(tokens, params)
    told = np.stack([batchify(v, len(bits))[:, :-1].ravel() for v in values.T], axis=1)
    return bits, states.reshape(-1, states.shape[2]), told


def search(params, rng):
    """For each label the unit that follows it best, chosen on the validation files, and R² on the test files.

    Returns {label: {"unit": number, "one": its R², "random": that of the best random direction, "probe": that of a
    linear probe through all units, "auc": for a string, how well the unit tells inside from outside}}.
    """
    (_, states, told), (_, test_states, test_told) = read(params, "validation"), read(params, "test")
    units, crowd = np.eye(states.shape[1]), random_directions(states, SETTINGS["directions"], rng)
    found = {label: {} for label in LABELS}
    for name, directions in (("one", units), ("random", crowd)):
        best = best_directions(states, told, directions)
        scores = r_squared(test_states, test_told, directions[:, best]).diagonal()
        for k, label in enumerate(LABELS):
            found[label] |= {name: round(float(scores[k]), 4)} | ({"unit": int(best[k])} if name == "one" else {})
    scores = r_squared(test_states, test_told, fitted_directions(states, told)).diagonal()
    for k, label in enumerate(LABELS):
        found[label]["probe"] = round(float(scores[k]), 4)
    string = LABELS.index("string")
    found["string"]["auc"] = round(auc(test_states[:, found["string"]["unit"]], test_told[:, string] > 0), 4)
    return found


def auc(values, inside):
    """The area under the ROC curve, 0.5 for a coin: how often a value inside and one outside are told apart."""
    rank = np.empty(len(values))
    rank[np.argsort(values, kind="stable")] = np.arange(1, len(values) + 1)
    n = int(inside.sum())
    area = (rank[inside].sum() - n * (n + 1) / 2) / (n * (len(values) - n))
    return float(max(area, 1 - area))


def follows(record, label):
    """Does a unit of this network follow the label, by the criterion?"""
    found = record["found"][label]
    rivals = max(found["random"], record["untrained"][label]["one"])
    return found["one"] >= SETTINGS["follows"] and found["one"] >= SETTINGS["times"] * rivals


def clamped(text, params, versions):
    """Read text once for each version, a unit clamped at every step.

    text      (B, T + 1)
    versions  list of (unit, value): tanh(c) of this unit is set to value, and what follows sees it; None: as trained

    Returns two arrays (versions, B, T): bits of the character that came, and log2 of the probability of a closing
    bracket.
    """
    lstm, linear, n = params["lstm"], params["linear"], len(versions)
    rows = np.flatnonzero(np.repeat([version is not None for version in versions], len(text)))
    unit = np.repeat([version[0] for version in versions if version], len(text))
    value = np.arctanh(np.repeat([version[1] for version in versions if version], len(text)))
    a_x = params["embedding"]["W"][text[:, :-1]] @ lstm["W_ih"].T + lstm["b_ih"] + lstm["b_hh"]
    h = c = np.zeros((n * len(text), lstm["W_hh"].shape[1]), a_x.dtype)
    bits, closing = [], []
    for t in range(text.shape[1] - 1):
        i, f, g, o = np.split(np.tile(a_x[:, t], (n, 1)) + h @ lstm["W_hh"].T, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        c[rows, unit] = value
        h = sigmoid(o) * np.tanh(c)
        p = softmax(h @ linear["W"].T + linear["b"])
        bits.append(-np.log2(p[np.arange(len(p)), np.tile(text[:, t + 1], n)] + 1e-12))
        closing.append(np.log2(p[:, CLOSING].sum(axis=1) + 1e-12))
    return (np.stack(found, axis=1).reshape(n, len(text), -1) for found in (bits, closing))


def means(states, told, unit):
    """Mean of a unit's tanh(c): over all characters, where no bracket is open, and where some are."""
    value, is_open = states[:, unit], told[:, LABELS.index("brackets")] > 0
    return [float(np.clip(v.mean(), -0.999, 0.999)) for v in (value, value[~is_open], value[is_open])]


def interventions(params, unit, rng):
    """What clamping this unit, and some others, does to closing brackets on pieces of the test text: a dict.

    zero, mean   ablation: what a closing bracket and any other character cost more, with the unit at 0, at its mean
    needed       bits more for a closing bracket where some are open, the unit clamped to its mean where none is
    enough       log2 of the factor by which a closing bracket gets likelier where none is open, the unit clamped to
                 its mean where some are
    others …     the same for other units; closing: how many closing brackets there are
    """
    _, states, told = read(params, "validation")
    tokens, values = text_and_labels("test")
    start, stop = SETTINGS["warm"], SETTINGS["warm"] + SETTINGS["read"]
    text = batchify(tokens, SETTINGS["rows"])[:, :stop + 1]
    is_open = batchify(values[:, LABELS.index("brackets")], SETTINGS["rows"])[:, start:stop] > 0
    closes = np.isin(text[:, start + 1:], CLOSING)
    others = rng.choice(np.setdiff1d(np.arange(states.shape[1]), [unit]), SETTINGS["others"], replace=False).tolist()
    versions = [None, (unit, 0.0), (unit, means(states, told, unit)[0])]
    for k in (unit, *others):
        _, shut, opened = means(states, told, k)
        versions += [(k, shut), (k, opened)]
    bits, closing = (found[:, :, start:] for found in clamped(text, params, versions))
    more, likelier = bits - bits[0], closing - closing[0]
    needed = more[3::2, closes & is_open].mean(axis=1)
    enough = likelier[4::2, ~is_open].mean(axis=1)
    result = {name: [float(more[k, closes].mean()), float(more[k, ~closes].mean())]
              for k, name in ((1, "zero"), (2, "mean"))}
    result |= {"needed": float(needed[0]), "others needed": needed[1:].tolist(), "enough": float(enough[0]),
               "others enough": enough[1:].tolist(), "closing": int((closes & is_open).sum())}
    return {name: np.round(value, 4).tolist() for name, value in result.items()}


def one(lr, steps, seed):
    """Train one network and measure it."""
    untrained, params, rng = trained(lr, steps, seed)
    found = search(params, rng)
    if (seed, lr, steps) == (0, SETTINGS["rates"][1], SETTINGS["steps"][1]):
        save_weights(WEIGHTS, params)
    bits = float(read(params, "test")[0].mean())
    return {"kind": "LSTM", "score": -float(read(params, "validation")[0].mean()), "bits": round(bits, 4),
            "found": found, "untrained": search(untrained, rng),
            "clamped": interventions(params, found["brackets"]["unit"], rng)}


def count(records, label):
    """In how many networks a unit follows this label."""
    return sum(follows(record, label) for record in records)


def found(records):
    """{label: True, False, or None where the interval does not say}: do more than half of the networks have a unit?"""
    told = {}
    for label in LABELS:
        low, high = wilson(count(records, label), len(records))
        told[label] = True if low > SETTINGS["half"] else False if high < SETTINGS["half"] else None
    return told


def beyond(record, name):
    """How far the bracket unit's effect, "needed" or "enough", is beyond the largest of the other units'."""
    return record["clamped"][name] - max(record["clamped"][f"others {name}"])


def parts(records):
    """Is each part of the criterion met? True, False, or None where the interval does not say."""
    return found(records) | {name: reaches([beyond(r, name) for r in records], SETTINGS[name])
                             for name in ("needed", "enough")}


def named(labels):
    """Labels as a list in words."""
    return " or ".join([", ".join(labels[:-1]), labels[-1]] if len(labels) > 2 else labels)


def verdict_word(records):
    """The word, by the criterion."""
    told = found(records).values()
    return ("Open" if None in told else "True" if all(told) else "Mixed" if any(told) else "False")


def verdict_sentence(records):
    """What was found, in words."""
    told, met = found(records), parts(records)
    words = {"brackets": "the open brackets", "string": "strings", "indentation": "the indentation",
             "position": "the position in the line"}
    groups = {value: named([words[label] for label in LABELS if told[label] is value]) for value in (True, False, None)}
    says = {True: "in most networks a unit follows {}", False: "in few networks a unit follows {}",
            None: "for {} these networks do not decide"}
    sentence = "; ".join(says[value].format(labels) for value, labels in groups.items() if labels)
    causal = {"needed": {True: "Closing brackets need the bracket unit", False: "Closing brackets do not need the unit",
                         None: "Whether closing brackets need the unit differs from network to network"},
              "enough": {True: "setting it is enough to make one likelier",
                         False: "setting it is not enough to make one likelier",
                         None: "whether setting it is enough to make one likelier differs from network to network"}}
    told = "; ".join(causal[name][met[name]] for name in causal)
    return f"{sentence[0].upper()}{sentence[1:]}. {told}."


def verdict(records):
    """Word, sentence and number, by the criterion."""
    n = len(records)
    numbers = [f"{label} {count(records, label)} of {n}" for label in LABELS]
    for name in ("needed", "enough"):
        low, middle, high = median_interval([beyond(r, name) for r in records])
        numbers.append(f"{name} {middle:.1f} bits beyond the control [{low:.1f}, {high:.1f}]")
    word = verdict_word(records)
    return verdict_of(word, {word: verdict_sentence(records)}, "; ".join(numbers))


def rival(records):
    """The networks before training, in place of the trained ones."""
    return [r | {"found": {label: r["found"][label] | {"one": r["untrained"][label]["one"]} for label in LABELS}}
            for r in records]


def shuffled(records, rng):
    """In each network, the best unit before and after training and the best random direction are dealt anew, and so
    are the effects of clamping the unit and each of the others."""
    result = []
    for r in records:
        found, untrained, clamped = {}, {}, dict(r["clamped"])
        for label in LABELS:
            arms = [r["found"][label]["one"], r["found"][label]["random"], r["untrained"][label]["one"]]
            one, random, before = rng.permutation(arms)
            found[label] = r["found"][label] | {"one": one, "random": random}
            untrained[label] = r["untrained"][label] | {"one": before}
        for name in ("needed", "enough"):
            clamped[name], *clamped[f"others {name}"] = rng.permutation([clamped[name], *clamped[f"others {name}"]])
        result.append(r | {"found": found, "untrained": untrained, "clamped": clamped})
    return result


def pilot_jobs():
    """Every rate at the first budget, and the doubled budget at the middle rate."""
    (first, doubled), rates = SETTINGS["steps"], SETTINGS["rates"]
    budgets = [(rates[1], doubled), *((lr, first) for lr in rates)]
    return [{"lr": lr, "steps": steps, "seed": seed}
            for lr, steps in budgets for seed in range(SETTINGS["pilot seeds"])]


def chosen(pilot):
    """Rate and budget, from the pilot: the fewest bits on the validation files."""
    return choose(pilot, ["LSTM"], SETTINGS["rates"], SETTINGS["steps"])["LSTM"]


def jobs(pilot, first):
    """The counting runs."""
    return [{**chosen(pilot), "seed": seed} for seed in range(first, first + SETTINGS["seeds"])]


if __name__ == "__main__":
    remake(__file__, SETTINGS, one, pilot_jobs(), jobs, FIRST)
