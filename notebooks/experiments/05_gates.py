"""Lesson 05: what do the gates of a trained LSTM do when the subject changes, and when it stays?

Written down before the first run: the sizes, 1000 steps at one learning rate, ten seeds on plain sentences and
ten on sentences in which "but" is filler as well, what is measured, the verdicts on claims 5 and 7, and
`asked_similar` on claim 6. "Most" is at least 8 of 10. The baseline is the same networks before their training.

The rule for claim 6 was not met: in most networks between 0.3 and 0.9 of the valves were to be above 0.95 at filler
words. They were in 6 of 10, the other four were below. `verdict_similar` says so, and what was seen.

`by_hand` was added later, without a rule: what a hand on one valve does, and on all of them, for one word and five.
"""

import numpy as np

from lstmcourse.data.context import SWITCH, context_switch
from lstmcourse.data.pizza import FILLER, FOODS, WORDS
from lstmcourse.lab.interventions import lstm_clamped
from lstmcourse.lab.models import init_network, network_forward, one_hot, token_loss
from lstmcourse.lab.probing import linear_probe
from lstmcourse.lab.trials import run
from lstmcourse.train import train

SETTINGS = {"H": 24, "forget_bias": 1.0, "lr": 0.01, "B": 32, "steps": 1000, "filler": 20, "test_sentences": 600,
            "open": 0.95, "hand_sentences": 200}
SEEDS = range(10)
V = len(WORDS)
TOKEN = {word: k for k, word in enumerate(WORDS)}
IDLE = [TOKEN[word] for word in FILLER]


def train_net(seed, control):
    """An LSTM before and after its training on the context switch, its losses, and the rng as it is then."""
    rng = np.random.default_rng(seed)
    first = init_network("lstm", V, SETTINGS["H"], V, rng, forget_bias=SETTINGS["forget_bias"])
    drawn = (context_switch(rng, SETTINGS["B"], SETTINGS["filler"], control) for _ in range(SETTINGS["steps"]))
    batches = ((d["tokens"], d["targets"], d["mask"]) for d in drawn)
    params, losses = train(token_loss, first, batches, lr=SETTINGS["lr"], progress=False)
    return first, params, losses, rng


def sentences(rng, B, inserted=0):
    """Stretches of ten filler words after NAME likes FOOD, the first words of a switch between them, a question.

    Returns tokens (B, 25 + inserted), the food before and the food after the switch, (B,) each.
    """
    drawn = context_switch(rng, B, 0)
    rows, starts = np.arange(B), drawn["starts"]
    old = drawn["foods"][:, 0]
    others = rng.integers(1, len(FOODS), size=B)                      # the new food is always another one
    new = TOKEN[FOODS[0]] + (old - TOKEN[FOODS[0]] + others) % len(FOODS)
    phrase = np.stack([drawn["tokens"][rows, starts + k] for k in range(4)] + [new], axis=1)
    idle = rng.choice(IDLE, size=(B, 20))
    question = np.tile([TOKEN["so"], TOKEN["orders"]], (B, 1))
    return np.concatenate([drawn["tokens"][:, :3], idle[:, :10], phrase[:, :inserted], idle[:, 10:], question],
                          axis=1), old, new


def answers(h, params):
    """The word with the largest score after the last step, (B,)."""
    return (h[:, -1] @ params["linear"]["W"].T + params["linear"]["b"]).argmax(axis=1)


def valves(tokens, params):
    """The forget gates (B, T, H) and what is written, i * g (B, T, H)."""
    _, _, (cache, _) = network_forward(one_hot(tokens, V), params)
    return cache.f, cache.i * cache.g


def memory(rng, params):
    """The writing while the topic stays: 20 filler words between the food and the question.

    Returns a dict: probe, how well a linear map reads the food from what is written at the 11th filler
    word; own and donor, the share answering the own food, or the other sentence's, when all that is written at
    filler words comes from another sentence; unwritten, the share right when nothing is written there.
    """
    tokens, food, _ = sentences(rng, SETTINGS["test_sentences"])
    _, _, (cache, _) = network_forward(one_hot(tokens, V), params)
    i, g, donor = cache.i, cache.g, np.roll(np.arange(len(food)), 1)

    def swap(t, gate, value):
        return {"i": i, "g": g}[gate][donor, t] if 3 <= t < 23 and gate in "ig" else value

    def silence(t, gate, value):
        return 0 * value if 3 <= t < 23 and gate == "i" else value

    different = food != food[donor]
    swapped, silent = (answers(lstm_clamped(one_hot(tokens, V), params["recurrent"], clamp)[0], params)
                       for clamp in (swap, silence))
    return {"probe": linear_probe((i * g)[:, 13], food), "own": float(np.mean((swapped == food)[different])),
            "donor": float(np.mean((swapped == food[donor])[different])), "unwritten": float(np.mean(silent == food))}


def by_hand(rng, params):
    """A hand on the forget gates while the subject changes: one gate or all, at the new food or over the whole phrase.

    Returns a dict: hands, for each of the four [share of second answers that stay, share naming the old food], where
    "worst" is the one gate that changes most answers; harmless, how many gates of one place change at most one answer
    in a hundred when held open at the new food. On sentences with two different foods that were answered rightly.
    """
    drawn = context_switch(rng, SETTINGS["hand_sentences"], SETTINGS["filler"])
    old, new = drawn["foods"].T
    last = drawn["mask"].shape[1] - 1 - drawn["mask"][:, ::-1].argmax(axis=1)
    x, rows, every = one_hot(drawn["tokens"], V), np.arange(len(old)), np.arange(SETTINGS["H"])

    def said(first, places):
        """Answers with the gates of these places at 1 from word `first` of the phrase to the new food."""
        def clamp(t, gate, value):
            if gate == "f":
                value[np.ix_((drawn["starts"] + first <= t) & (t <= drawn["starts"] + 4), places)] = 1
            return value
        h, _ = lstm_clamped(x, params["recurrent"], clamp)
        return answers(h[rows, last][:, None], params)

    right = (old != new) & (said(5, every) == new)                   # held at no word

    def shares(first, places):
        named = said(first, places)[right]
        return [float(np.mean(named == food[right])) for food in (new, old)]

    single = {first: [shares(first, [place]) for place in every] for first in (4, 0)}
    return {"hands": {"worst gate, the new food": min(single[4]), "worst gate, the whole phrase": min(single[0]),
                      "all gates, the new food": shares(4, every), "all gates, the whole phrase": shares(0, every)},
            "harmless": sum(stay >= 0.99 for stay, _ in single[4])}


def measure(params, rng, control):
    """Everything that the lesson reports about one network, on fresh sentences."""
    drawn = context_switch(rng, SETTINGS["test_sentences"], SETTINGS["filler"], control)
    tokens, mask, starts = drawn["tokens"], drawn["mask"], drawn["starts"]
    rows, step = np.arange(len(tokens)), np.arange(tokens.shape[1])
    logits, _, _ = network_forward(one_hot(tokens, V), params)
    f, _ = valves(tokens, params)
    idle = (step >= 3) & (step < starts[:, None] - 2) & np.isin(tokens, IDLE)      # filler, the topic stays
    idle_but = (step >= 3) & (step < starts[:, None] - 2) & (tokens == TOKEN["but"])
    food = f[rows, starts + 4].mean(axis=1)
    same = drawn["foods"][:, 0] == drawn["foods"][:, 1]
    kept, replaced = [], []
    for inserted in range(6):
        asked, old, new = sentences(rng, SETTINGS["test_sentences"], inserted)
        _, _, (cache, _) = network_forward(one_hot(asked, V), params)
        said = answers(cache.o * np.tanh(cache.c[1:].swapaxes(0, 1)), params)
        kept.append(float(np.mean(said == old)))
        replaced.append(float(np.mean(said == new)))
    return {"accuracy": float(np.mean((logits.argmax(axis=2) == drawn["targets"])[mask])),
            "filler": float(f[idle].mean()), "open": float(np.mean(f[idle] > SETTINGS["open"])),
            "switch": {word: float(f[rows, starts + k].mean()) for k, word in enumerate(SWITCH)},
            "idle_but": float(f[idle_but].mean()) if control else None,
            "same": float(food[same].mean()), "other": float(food[~same].mean()),
            "kept": kept, "replaced": replaced, **memory(rng, params), **by_hand(rng, params)}


def one(control, trained, seed):
    """Train one network, or leave it as it starts; then measure it."""
    if trained:
        _, params, _, rng = train_net(seed, control)
    else:
        rng = np.random.default_rng(seed)
        params = init_network("lstm", V, SETTINGS["H"], V, rng, forget_bias=SETTINGS["forget_bias"])
    return measure(params, rng, control)


def most(conditions):
    """True for at least 8 of 10."""
    conditions = list(conditions)
    return sum(conditions) >= 0.8 * len(conditions)


def dip(record, word):
    """How much lower the forget gates are at a word of the switch than at filler words."""
    return record["filler"] - record["switch"][word]


def verdict(records):
    """Claim 5: the gates dip at "but", but do not close; "but" alone erases nothing; where "but" may be filler,
    it has less than half of the dip of the word after it."""
    plain = [r for r in records if r["trained"] and not r["control"]]
    control = [r for r in records if r["trained"] and r["control"]]
    return bool(most(dip(r, "but") > 0.03 for r in plain) and most(r["switch"]["but"] > 0.5 for r in plain)
                and most(r["kept"][1] >= 0.9 for r in plain) and most(r["kept"][5] <= 0.1 for r in plain)
                and np.median([dip(r, "but") / dip(r, "friend") for r in plain]) >= 0.5
                and np.median([dip(r, "but") / dip(r, "friend") for r in control]) < 0.5)


def asked_similar(records):
    """The rule written down before the run, for claim 6: its parts, and whether each holds."""
    plain = [r for r in records if r["trained"] and not r["control"]]
    return {"8 of 10 networks with 0.3 to 0.9 of the valves near 1": most(0.3 <= r["open"] < 0.9 for r in plain),
            "8 of 10 with the gate the same at either food": most(abs(r["same"] - r["other"]) < 0.05 for r in plain)}


def verdict_similar(records):
    """Not shown by the rule, for the share of valves near 1. Seen: in most networks it is less than half; and at a
    food the gates fall below where they are at filler, by as much when it is the old food again."""
    plain = [r for r in records if r["trained"] and not r["control"]]
    return (list(asked_similar(records).values()) == [False, True] and most(r["open"] < 0.5 for r in plain)
            and most(r["filler"] - r["same"] > 0.05 for r in plain))


def verdict_written(records):
    """Claim 7: while nothing new is said, the old food can be read from what is written, and decides the answer."""
    plain = [r for r in records if r["trained"] and not r["control"]]
    return most(r["probe"] >= 0.9 for r in plain) and most(r["donor"] > r["own"] for r in plain)


if __name__ == "__main__":
    run(__file__, SETTINGS, [{"control": control, "trained": trained, "seed": seed} for control, trained in
                             ((False, True), (True, True), (False, False)) for seed in SEEDS], one)
