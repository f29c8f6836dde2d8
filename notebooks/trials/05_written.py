"""Lesson 05, on trial: after sigmoid times tanh, only the new context information is written.

The context switch with up to ten filler words: one food, filler, a question; "but friend NAME likes FOOD", filler, a
second question. What does an LSTM write into its cell state at filler words, where nothing new is said?
"""

import numpy as np

from lstmcourse.data.context import context_switch
from lstmcourse.data.pizza import FILLER, FOODS, PEOPLE, WORDS
from lstmcourse.lab.interventions import lstm_clamped
from lstmcourse.lab.models import init_network, network_forward, one_hot, token_loss
from lstmcourse.lab.trials import choose, median_interval, pilot_grid, reaches, relabelled_within, remake, verdict_of
from lstmcourse.train import train

CRITERION = """
Of the LSTMs that learn the task, by the 95 % interval of the median:
written  at a filler word 0.1 or more of what is written at FOOD is written (the sum of |i g| over the units)
old      when i and g at the filler words come from the same sentence with another food, the answer is that other food
         in half of the sentences or more
needed   with i = 0 at the filler words the answer is wrong in a tenth of the sentences or more
True: written refuted. False: written, and old or needed. Mixed: written, and both others refuted. Open: otherwise.
"""
SETTINGS = {"H": 24, "filler": 10, "forget_bias": 1.0, "B": 32, "test": 500, "solved": 0.95, "written": 0.1,
            "old": 0.5, "needed": 0.1, "rates": [0.003, 0.01, 0.03], "steps": [400, 800], "pilot seeds": 2,
            "seeds": 30, "untrained": 10}
V = len(WORDS)
IDLE = slice(3, 3 + SETTINGS["filler"])                    # the filler words of `sentences`


def sentences(rng, B):
    """NAME likes FOOD, ten filler words, so orders: tokens (B, T); the food (B,); the same with other foods; theirs."""
    def drawn(words, size):
        return np.array([WORDS.index(word) for word in words])[rng.integers(len(words), size=size)]

    tokens = np.concatenate([drawn(PEOPLE, (B, 1)), drawn(["likes"], (B, 1)), drawn(FOODS, (B, 1)),
                             drawn(FILLER, (B, SETTINGS["filler"])), drawn(["so"], (B, 1)), drawn(["orders"], (B, 1))],
                            axis=1)
    first, food = WORDS.index(FOODS[0]), tokens[:, 2]
    other = tokens.copy()
    other[:, 2] = first + (food - first + rng.integers(1, len(FOODS), B)) % len(FOODS)
    return tokens, food, other, other[:, 2]


def measure(params, rng):
    """One network, on fresh sentences: a dict.

    accuracy  on the context switch, smaller of the two questions
    plain     on the sentences of `sentences`
    written   sum of |i g| over the units at each word, relative to that at FOOD, the mean over sentences
    size      mean |c| over units after each word
    old, own  fraction of answers that are the other food, and the own food, when i and g at filler are those of the
              other sentence
    silent    fraction of answers that are right with i = 0 at filler; "closed": with f = 1 there as well
    """
    d = context_switch(rng, SETTINGS["test"], SETTINGS["filler"])
    right = (network_forward(one_hot(d["tokens"], V), params)[0].argmax(axis=2) == d["targets"])[d["mask"]]
    tokens, food, other, other_food = sentences(rng, SETTINGS["test"])
    caches = [network_forward(one_hot(words, V), params)[2][0] for words in (tokens, other)]
    steps = range(tokens.shape[1])[IDLE]

    def answers(clamp):
        h, _ = lstm_clamped(one_hot(tokens, V), params["recurrent"], clamp)
        return (h[:, -1] @ params["linear"]["W"].T + params["linear"]["b"]).argmax(axis=1)

    def donor(t, gate, value):
        return {"i": caches[1].i, "g": caches[1].g}[gate][:, t] if t in steps and gate in "ig" else value

    def silent(t, gate, value):
        return 0 * value if t in steps and gate == "i" else value

    def closed(t, gate, value):
        return np.ones_like(value) if t in steps and gate == "f" else silent(t, gate, value)

    written = np.abs(caches[0].i * caches[0].g).sum(axis=2).mean(axis=0)
    size, swapped = np.abs(caches[0].c[1:]).mean(axis=(1, 2)), answers(donor)
    return {"accuracy": float(right.reshape(-1, 2).mean(axis=0).min()),
            "plain": float(np.mean(answers(lambda t, gate, value: value) == food)),
            "written": (written / written[2]).tolist(), "size": size.tolist(),
            "old": float(np.mean(swapped == other_food)), "own": float(np.mean(swapped == food)),
            "silent": float(np.mean(answers(silent) == food)), "closed": float(np.mean(answers(closed) == food))}


def one(lr, steps, seed):
    """Train one network (lr None: leave it as it starts), and measure it."""
    rng = np.random.default_rng(seed)
    params = init_network("lstm", V, SETTINGS["H"], V, rng, forget_bias=SETTINGS["forget_bias"])
    if lr is not None:
        drawn = (context_switch(rng, SETTINGS["B"], SETTINGS["filler"]) for _ in range(steps))
        params, _ = train(token_loss, params, ((d["tokens"], d["targets"], d["mask"]) for d in drawn), lr=lr,
                          progress=False)
    result = measure(params, rng)
    return result | {"score": result["accuracy"]}


def pilot_jobs():
    """Every rate at the first budget, the doubled budget at the middle rate."""
    return pilot_grid([{}], SETTINGS, doubled=1)


def chosen(pilot):
    """Rate and budget, from the pilot."""
    return choose([r | {"kind": "lstm"} for r in pilot], ["lstm"], SETTINGS["rates"], SETTINGS["steps"])["lstm"]


def jobs(pilot, first):
    """The counting runs, and untrained networks."""
    arms = (chosen(pilot), SETTINGS["seeds"]), ({"lr": None, "steps": 0}, SETTINGS["untrained"])
    return [{**how, "seed": seed} for how, seeds in arms for seed in range(first, first + seeds)]


def solved(records):
    """The networks that learn the task."""
    return [r for r in records if r["score"] >= SETTINGS["solved"]]


def effects(record):
    """What the criterion asks of one network: a dict of numbers."""
    return {"written": float(np.mean(record["written"][IDLE])), "old": record["old"],
            "needed": record["plain"] - record["silent"]}


def parts(records):
    """Is each part of the criterion met? True, False, or None where the interval does not say."""
    found = [effects(r) for r in solved(records)]
    return {name: reaches([f[name] for f in found], SETTINGS[name]) for name in found[0]}


def verdict(records):
    """Word, sentence and number, by the criterion."""
    met, nets = parts(records), solved(records)
    others = (met["old"], met["needed"])
    word = ("True" if met["written"] is False else "Open" if met["written"] is None
            else "False" if True in others else "Mixed" if others == (False, False) else "Open")
    found = [" given another sentence's writing there, it answers with that sentence's food" if met["old"] else "",
             " without it answers get lost" if met["needed"] else ""]
    written, old = (median_interval([effects(r)[name] for r in nets]) for name in ("written", "old"))
    return verdict_of(word, {
        "True": "At filler words next to nothing is written.",
        "False": "While nothing new is said, the LSTM goes on writing the old food:"
                 + ", and".join(filter(None, found)) + ".",
        "Mixed": "The LSTM writes at filler words, too, but the answer does not depend on it."},
        f"written at a filler word: {written[1]:.2f} [{written[0]:.2f}, {written[2]:.2f}] of what is written at FOOD; "
        f"the answer follows it in {old[1]:.2f} [{old[0]:.2f}, {old[2]:.2f}]; {len(nets)} networks")


def rival(records):
    """Networks as the claim has them: what is written at filler words changes no answer."""
    return [r | {"old": r["own"], "silent": r["plain"]} for r in records]


def shuffled(records, rng):
    """Which answers are the own food and which the other one, and which are with nothing written, is dealt anew."""
    return relabelled_within(relabelled_within(records, ["old", "own"], rng), ["plain", "silent"], rng)


if __name__ == "__main__":
    remake(__file__, SETTINGS, one, pilot_jobs(), jobs)
