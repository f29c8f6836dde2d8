"""Lesson 08, on trial: "i" looks at "mai" with weight 1, "going" at "jaa" and at "raha" with ½ each.

Three kinds of translator learn sentences of 1 to 3 clauses. Then, in every held-out clause with "i" or "going", where
does that word look? Beside them, the alignment error rate of the networks and of aligners that need no network.
"""

import numpy as np

from lstmcourse.data import hindi
from lstmcourse.lab.alignment import alignment_error_rate, hmm_model, hmm_posterior, ibm_model_1
from lstmcourse.lab.translation import exact, teacher_forced, train_translator
from lstmcourse.lab.trials import choose, median_interval, reaches, remake, verdict_of, wilson
from lstmcourse.seq2seq import Model

CRITERION = """
Of each network the mean weight over all held-out clauses with that word. Intervals are at 95 %.
weight 1    "i" gives mai 0.9 or more; met if the interval of the fraction of such networks is above ½, for every kind
½ and ½     "going" gives both jaa and raha between 0.35 and 0.65; met if the interval of the fraction of such networks,
            all kinds together, is above ½, refuted if it is below
one word    "going" gives jaa 0.8 or more: the interval of the median over all networks
True: weight 1 and ½ and ½. False: ½ and ½ is refuted and one word is met. Mixed: ½ and ½ is met, weight 1 is not.
Open: otherwise.
"""
SETTINGS = {"E": 32, "H": 64, "B": 32, "sentences": 5000, "clauses": [1, 2, 3], "test": 300, "one": 0.9,
            "half": [0.35, 0.65], "one word": 0.8, "rates": [0.003, 0.01, 0.03], "epochs": [1, 2],
            "pilot seeds": 6, "seeds": 10}
KINDS = {"words": Model("lstm", bidirectional=True, attention="dot", values="words"),
         "states": Model("lstm", bidirectional=True, attention="dot", values="states"),
         "one way": Model("lstm", bidirectional=False, attention="dot", values="states")}
PILOT = {"kinds": ["states", "one way"], "seeds": 2}          # the pilot of the two kinds that came later
ALIGNERS = ("chance", "diagonal", "IBM model 1", "HMM", "best possible")


def held_out(first=1000):
    """Held-out sentences of every length of training, the same for every network."""
    return [pair for k in SETTINGS["clauses"]
            for pair in hindi.sentences(np.random.default_rng(first + k), SETTINGS["test"], k, held_out=True)]


def error_rate(alpha, pairs):
    """Alignment error rate of weights (B, T_tgt, T_src) on these pairs."""
    sure, possible = hindi.gold(pairs)
    *_, targets, mask = hindi.batch(pairs)
    return alignment_error_rate(alpha, sure, possible, mask & (targets != hindi.EOS))


def looks(params, model):
    """Mean weights that "i" and "going" give to mai, to the verb, to raha, to hu and to the rest, held-out clauses."""
    found = {}
    for name in ("i", "going"):
        pairs = [pair for pair in hindi.clauses_of(True) if name in pair.english.split()]
        rows = []
        for weights, pair in zip(teacher_forced(params, model, pairs)[1], pairs, strict=True):
            n, row = len(pair.hindi.split()), weights[pair.english.split().index(name)]
            rows.append([row[0], row[n - 3], row[n - 2], row[n - 1], row[1:n - 3].sum()])
        found[name] = np.mean(rows, axis=0).round(4).tolist()
    return found


def aligned(aligner, seed):
    """Something like alpha for the test sentences, without a network that translates."""
    pairs, rng = held_out(), np.random.default_rng(seed)
    source, lengths, _, targets, mask = hindi.batch(pairs)
    real = (np.arange(source.shape[1]) < lengths[:, None])[:, None]
    if aligner == "chance":
        return np.where(real, rng.random((*targets.shape, source.shape[1])), -1)
    if aligner == "diagonal":
        here = (np.arange(targets.shape[1]) + 0.5) / (mask.sum(axis=1, keepdims=True) - 1)
        there = (np.arange(source.shape[1]) + 0.5) / lengths[:, None]
        return np.where(real, -np.abs(here[:, :, None] - there[:, None]), -9)
    if aligner == "best possible":
        sure, possible = hindi.gold(pairs)
        return 2.0 * sure + possible
    training = [pair for k in SETTINGS["clauses"] for pair in hindi.sentences(rng, SETTINGS["sentences"], k)]
    batches = [(source, lengths, targets, mask & (targets != hindi.EOS))
               for source, lengths, _, targets, mask in hindi.batches(training, 200, rng)]
    table = ibm_model_1(batches, *map(len, hindi.vocabularies()))
    if aligner == "HMM":
        table, jumps = hmm_model(batches, table)
        return hmm_posterior(table, jumps, source, lengths, targets, mask & (targets != hindi.EOS))
    return np.where(real, table[targets[:, :, None], source[:, None]], -1)


def one(seed, kind=None, lr=None, steps=None, aligner=None):
    """Train and measure one network (steps: passes over the sentences); or align without one."""
    if aligner is not None:
        return {"aer": error_rate(aligned(aligner, seed), held_out())}
    model = KINDS[kind]
    params = train_translator(model, np.random.default_rng(seed), SETTINGS["sentences"], SETTINGS["clauses"], lr, steps,
                              dtype="float32")
    alpha = teacher_forced(params, model, held_out())[1]
    return {"score": exact(params, model, held_out(500 if seed < 10 else 1000)),
            "aer": error_rate(alpha, held_out()), "looks": looks(params, model)}


def networks(records):
    """The records of networks, not of aligners."""
    return [r for r in records if r.get("kind")]


def weight_one(records):
    """For each kind: in how many networks "i" gives mai weight 1, and of how many."""
    return {kind: (sum(r["looks"]["i"][0] >= SETTINGS["one"] for r in networks(records) if r["kind"] == kind),
                   sum(r["kind"] == kind for r in networks(records)))
            for kind in KINDS if any(r["kind"] == kind for r in networks(records))}


def halves(records):
    """In how many networks "going" gives ½ to the verb and ½ to raha, and of how many."""
    low, high = SETTINGS["half"]
    return (sum(low <= r["looks"]["going"][1] <= high and low <= r["looks"]["going"][2] <= high
                for r in networks(records)), len(networks(records)))


def majority(successes, n):
    """True or False where the interval of the fraction is above or below ½, else None."""
    low, high = wilson(successes, n)
    return True if low > 0.5 else False if high < 0.5 else None


def verdict(records):
    """Word, sentence and number, by the criterion."""
    ones, half = weight_one(records), majority(*halves(records))
    jaa = [r["looks"]["going"][1] for r in networks(records)]
    every = all(majority(*count) for count in ones.values())
    low, middle, high = median_interval(jaa)
    counted = ", ".join(f"{yes} of {n} ({kind})" for kind, (yes, n) in ones.items())
    word = "True" if half and every else "Mixed" if half else \
        "False" if half is False and reaches(jaa, SETTINGS["one word"]) else "Open"
    sentence = ("*going* looks at *jaa* alone, never half at *raha*; and whether *i* looks at *mai* with weight 1 "
                "depends on how the network is built, and on the seed.")
    if every:
        sentence = "*i* does look at *mai* with weight 1; but *going* looks at *jaa* alone, never half at *raha*."
    return verdict_of(word, {
        "True": "Trained networks look as the picture says.",
        "Mixed": "*going* shares its look between *jaa* and *raha*; but not every kind looks from *i* at *mai* alone.",
        "False": sentence},
        f"weight 1 on mai in {counted} networks; ½ and ½ in {halves(records)[0]} of {halves(records)[1]}, weight of "
        f"going on jaa {middle:.2f} [{low:.2f}, {high:.2f}]")


def rival(records):
    """Networks that look everywhere alike."""
    return [r | {"looks": {name: [0.2] * 5 for name in r["looks"]}} if r.get("kind") else r for r in records]


def shuffled(records, rng):
    """The weights of "going" are dealt anew among the source words."""
    def dealt(r):
        return r | {"looks": r["looks"] | {"going": [r["looks"]["going"][k] for k in rng.permutation(5)]}}
    return [dealt(r) if r.get("kind") else r for r in records]


def pilot_jobs():
    """Every kind: every rate for one pass; the kind with words as values the doubled budget at the middle rate, too."""
    (once, twice), rates = SETTINGS["epochs"], SETTINGS["rates"]
    return [{"kind": "words", "lr": lr, "steps": steps, "seed": seed}
            for lr, steps, seeds in ((rates[1], once, SETTINGS["pilot seeds"]), (rates[0], once, 3),
                                     (rates[2], once, 3), (rates[1], twice, SETTINGS["pilot seeds"]))
            for seed in range(seeds)] + \
        [{"kind": kind, "lr": lr, "steps": once, "seed": seed} for kind in PILOT["kinds"] for lr in rates
         for seed in range(PILOT["seeds"])]


def chosen(pilot):
    """Rate and passes of each kind, from the pilot; whether the passes are enough, the first kind alone has shown."""
    words = choose(pilot, ["words"], SETTINGS["rates"], SETTINGS["epochs"])
    return words | choose(pilot, PILOT["kinds"], SETTINGS["rates"], [words["words"]["steps"]])


def jobs(pilot, first):
    """The counting runs."""
    return [{"kind": kind, **how, "seed": seed} for kind, how in chosen(pilot).items()
            for seed in range(first, first + SETTINGS["seeds"])] + \
        [{"aligner": aligner, "seed": first} for aligner in ALIGNERS]


if __name__ == "__main__":
    remake(__file__, SETTINGS, one, pilot_jobs(), jobs)
