"""Lesson 05, on trial: when the context changes, the forget gate goes towards 0.

    NAME likes FOOD [filler] so NAME orders FOOD    but friend NAME likes FOOD [filler] so WHO orders FOOD

Two tasks with the same words. "last": WHO is always "friend", so the old food is no longer needed after the change.
"both": WHO is the first person or "friend", half and half, so that both foods are needed. LSTMs and GRUs, trained and
untrained. What is measured on 500 fresh sentences is said in `measure`.
"""

import numpy as np

from lstmcourse.data.context import SWITCH
from lstmcourse.data.pizza import FILLER, FOODS, PEOPLE, WORDS
from lstmcourse.lab.interventions import CLAMPED
from lstmcourse.lab.models import init_network, one_hot, token_loss
from lstmcourse.lab.trials import choose, median_interval, pilot_grid, reaches, relabelled_within, remake, verdict_of
from lstmcourse.train import train

CRITERION = """
f is the mean forget gate of the eight units that carry most of the old food. Of the LSTMs that learn the task "last",
by the 95 % interval of the median:
dips    f is lower at "but" than at filler words by 0.1 or more
closes  f is below 0.25 at "but"
needed  with all forget gates clamped to 1 at "but" the second answer is the old food in half of the sentences or more
True: all three. False: dips refuted. Mixed: dips is met and one of the others is refuted. Open: otherwise.
spread (for the sentence): with all forget gates clamped to 1 over the phrase from "but" to FOOD it is the old food in
more sentences by 0.2 or more than with "but" alone.
"""
SETTINGS = {"H": 24, "carriers": 8, "filler": 5, "B": 32, "test": 500, "solved": 0.95, "dips": 0.1, "closes": 0.25,
            "needed": 0.5, "spread": 0.2, "rates": [0.003, 0.01, 0.03], "steps": [400, 800], "pilot seeds": 2,
            "untrained": 10, "seeds": {"lstm last": 30, "lstm both": 10, "gru last": 10, "gru both": 10}}
V = len(WORDS)
TOKEN = {word: k for k, word in enumerate(WORDS)}
IDLE = [TOKEN[word] for word in FILLER]
GATE = {"lstm": "f", "gru": "z"}                           # the gate that keeps the state where it is 1
T = 14 + 2 * SETTINGS["filler"]


def sentences(rng, B, task):
    """B sentences: a dict of tokens (B, T), targets, mask, starts (B,) of "but", old and new food (B,), "asked old"."""
    rows, gaps = np.arange(B), rng.integers(SETTINGS["filler"] + 1, size=(B, 2))
    tokens = rng.choice(IDLE, size=(B, T))
    people = rng.permuted(np.tile([TOKEN[name] for name in PEOPLE], (B, 1)), axis=1)[:, :2]
    first = rng.integers(len(FOODS), size=B)
    old, new = (TOKEN[FOODS[0]] + k % len(FOODS) for k in (first, first + rng.integers(1, len(FOODS), B)))
    asked_old = rng.random(B) < (0.5 if task == "both" else 0)
    starts = 6 + gaps[:, 0]

    def put(at, *words):
        for k, word in enumerate(words):
            tokens[rows, at + k] = word

    put(np.zeros(B, int), people[:, 0], TOKEN["likes"], old)
    put(3 + gaps[:, 0], TOKEN["so"], people[:, 0], TOKEN["orders"])
    put(starts, TOKEN["but"], TOKEN["friend"], people[:, 1], TOKEN["likes"], new)
    last = starts + 5 + gaps[:, 1]
    put(last, TOKEN["so"], np.where(asked_old, people[:, 0], TOKEN["friend"]), TOKEN["orders"])
    targets, mask = np.zeros((B, T), int), np.zeros((B, T), bool)
    for at, food in ((starts - 1, old), (last + 2, np.where(asked_old, old, new))):
        targets[rows, at], mask[rows, at] = food, True
    return {"tokens": tokens, "targets": targets, "mask": mask, "starts": starts, "old": old, "new": new,
            "asked old": asked_old}


def initial(kind, seed):
    """Initial weights, and the rng after them."""
    rng = np.random.default_rng(seed)
    options = {"forget_bias": 1.0} if kind == "lstm" else {"update_bias": 1.0}
    return init_network(kind, V, SETTINGS["H"], V, rng, **options), rng


def trained(kind, task, lr, steps, seed):
    """A trained network, and its rng."""
    params, rng = initial(kind, seed)
    drawn = (sentences(rng, SETTINGS["B"], task) for _ in range(steps))
    params, _ = train(token_loss, params, ((d["tokens"], d["targets"], d["mask"]) for d in drawn), lr=lr, total=steps,
                      progress=False)
    return params, rng


def run_with_gate(tokens, params, kind, clamped=None):
    """h (B, T, H), the state that carries (c or h), and the keeping gate; it is 1 where `clamped` (B, T) is True."""
    gates = []

    def clamp(t, gate, value):
        if gate != GATE[kind]:
            return value
        gates.append(value if clamped is None else np.where(clamped[:, t, None], 1.0, value))
        return gates[-1]

    out = CLAMPED[kind](one_hot(tokens, V), params["recurrent"], clamp)
    h, state = out if kind == "lstm" else (out, out)
    return h, state, np.stack(gates, axis=1)


def answers(tokens, params, kind, mask, clamped=None):
    """The foods that the network says at the two questions: (B, 2)."""
    rows, at = np.nonzero(mask)
    h, _, _ = run_with_gate(tokens, params, kind, clamped)
    return (h[rows, at] @ params["linear"]["W"].T + params["linear"]["b"]).argmax(axis=1).reshape(-1, 2)


def changed(d, rng, words):
    """The sentences with some words of the phrase (numbers 0 to 4) replaced by filler."""
    tokens, rows = d["tokens"].copy(), np.arange(len(d["starts"]))
    for k in words:
        tokens[rows, d["starts"] + k] = rng.choice(IDLE, size=len(rows))
    return tokens


def deleted(d):
    """The sentences without "but", a filler word at the end instead; and the mask."""
    keep = np.arange(T) != d["starts"][:, None]
    tokens = np.concatenate([d["tokens"][keep].reshape(-1, T - 1), d["tokens"][:, -1:]], axis=1)
    end = np.concatenate([d["mask"][keep].reshape(-1, T - 1), np.zeros((len(tokens), 1), bool)], axis=1)
    return tokens, end


def measure(params, rng, kind, task):
    """One network, on fresh sentences: a dict.

    accuracy       at the first and at the second question
    carriers, all  mean keeping gate of the eight units in which the state before "but" moves most when the first food
                   is another one, and of all units: at filler before the first question, at the words of the phrase,
                   and at the FOOD of the first clause, where there is nothing to drop
    new …          fraction of second answers about the friend that are the new food: with "but" "deleted" or
                   "replaced" by filler, with all of the phrase but FOOD replaced ("food alone")
    old …          fraction of second answers (about the friend) that are the old food: with FOOD replaced by filler
                   ("no food"), with the gate clamped to 1 at "but", at FOOD, over the phrase, or at five words of
                   filler before the first question ("filler open")
    inserted       fraction of first answers that stay right with "but" put in place of a filler word before them
    """
    d = sentences(rng, SETTINGS["test"], task)
    tokens, starts, mask = d["tokens"], d["starts"], d["mask"]
    rows, step = np.arange(len(tokens)), np.arange(T)
    other = tokens.copy()
    further = rng.integers(1, len(FOODS), len(rows))
    other[:, 2] = TOKEN[FOODS[0]] + (d["old"] - TOKEN[FOODS[0]] + further) % len(FOODS)
    _, state, gate = run_with_gate(tokens, params, kind)
    moved = np.abs(state - run_with_gate(other, params, kind)[1])[rows, starts - 1].mean(axis=0)
    carriers = np.argsort(-moved)[:SETTINGS["carriers"]]
    filler = (step > 2) & (step < starts[:, None] - 3)
    friend = ~d["asked old"]
    about = {name: array[friend] if isinstance(array, np.ndarray) else array for name, array in d.items()}
    after = step >= about["starts"][:, None]
    phrase = after & (step < about["starts"][:, None] + len(SWITCH))

    def by_word(units):
        at = {word: gate[rows, starts + k] for k, word in enumerate(SWITCH)}
        at = {"filler": gate[filler], "first FOOD": gate[:, 2], **at}
        return {word: float(values[:, units].mean()) for word, values in at.items()}

    def said(food, tokens, mask=about["mask"], clamped=None, question=1):
        return float(np.mean(answers(tokens, params, kind, mask, clamped)[:, question] == about[food]))

    short, short_mask = deleted(about)
    with_but, gap = about["tokens"].copy(), about["starts"] > 6
    with_but[gap, 3] = TOKEN["but"]
    own = about["tokens"]
    return {"accuracy": [float(np.mean(a == b)) for a, b in zip(
                answers(tokens, params, kind, mask).T, d["targets"][mask].reshape(-1, 2).T, strict=True)],
            "share": float(np.sort(moved)[::-1][:SETTINGS["carriers"]].sum() / moved.sum()),
            "carriers": by_word(carriers), "all": by_word(slice(None)),
            "new": {"as it is": said("new", own), "deleted": said("new", short, short_mask),
                    "replaced": said("new", changed(about, rng, (0,))),
                    "food alone": said("new", changed(about, rng, (0, 1, 2, 3)))},
            "old": {"no food": said("old", changed(about, rng, (4,))),
                    "but open": said("old", own, clamped=step == about["starts"][:, None]),
                    "food open": said("old", own, clamped=step == about["starts"][:, None] + 4),
                    "phrase open": said("old", own, clamped=phrase),
                    "filler open": said("old", own, clamped=np.tile((step > 2) & (step < 8), (len(own), 1)) & ~after)},
            "inserted": float(np.mean((answers(with_but, params, kind, about["mask"])[:, 0] == about["old"])[gap]))}


def one(kind, task, lr, steps, seed):
    """Train one network (lr None: leave it as it starts), and measure it."""
    params, rng = initial(kind, seed) if lr is None else trained(kind, task, lr, steps, seed)
    result = measure(params, rng, kind, task)
    return result | {"score": min(result["accuracy"])}


def pilot_jobs():
    """Every rate at the first budget, the doubled budget at the middle rate."""
    return pilot_grid([{"kind": kind, "task": "last"} for kind in GATE], SETTINGS, doubled=1)


def chosen(pilot):
    """Rate and budget of each kind on "last", from the pilot; on "both", which is harder, the larger budget."""
    found = choose(pilot, list(GATE), SETTINGS["rates"], SETTINGS["steps"])
    return {f"{kind} last": how for kind, how in found.items()} | {
        f"{kind} both": how | {"steps": SETTINGS["steps"][-1]} for kind, how in found.items()}


def jobs(pilot, first):
    """The counting runs, and of the task "last" untrained networks, too."""
    rates, n = chosen(pilot), SETTINGS["untrained"]
    arms = [(name, rates[name], seeds) for name, seeds in SETTINGS["seeds"].items()]
    arms += [(f"{kind} last", {"lr": None, "steps": 0}, n) for kind in GATE]
    return [dict(zip(("kind", "task"), name.split(), strict=True)) | how | {"seed": seed}
            for name, how, seeds in arms for seed in range(first, first + seeds)]


def networks(records, kind, task, trained=True):
    """The networks of one kind on one task: those that have learned it, or the untrained ones."""
    return [r for r in records if (r["kind"], r["task"], r["lr"] is not None) == (kind, task, trained)
            and (not trained or r["score"] >= SETTINGS["solved"])]


def effects(record):
    """What the criterion asks of one network: a dict of numbers; closes: how much of the gate is closed."""
    f, old = record["carriers"], record["old"]
    return {"dips": f["filler"] - f["but"], "closes": 1 - f["but"], "needed": old["but open"],
            "spread": old["phrase open"] - old["but open"]}


def parts(records):
    """Is each part of the criterion met? True, False, or None where the interval does not say."""
    found = [effects(r) for r in networks(records, "lstm", "last")]
    thresholds = SETTINGS | {"closes": 1 - SETTINGS["closes"]}
    return {name: reaches([f[name] for f in found], thresholds[name]) for name in found[0]}


def verdict(records):
    """Word, sentence and number, by the criterion."""
    met, nets = parts(records), networks(records, "lstm", "last")
    if met["dips"] is False:
        word = "False"
    elif met["dips"] and met["closes"] and met["needed"]:
        word = "True"
    elif met["dips"] and False in (met["closes"], met["needed"]):
        word = "Mixed"
    else:
        word = "Open"
    closes = {False: ", without closing", True: " and closes", None: ""}[met["closes"]]
    clamped = {False: "; with it clamped open there, the network still gives the new food", None: "",
               True: "; with it clamped open there, the network goes back to the old food"}[met["needed"]]
    spread = "; the old food is dropped over the whole phrase" if met["spread"] else ""
    f = median_interval([r["carriers"]["but"] for r in nets])
    dip = median_interval([effects(r)["dips"] for r in nets])
    return verdict_of(word, {
        "True": "In the units that carry the old food the forget gate closes at *but*; with it clamped open there, the "
                "network goes back to the old food.",
        "Mixed": f"In the units that carry the old food the forget gate dips at *but*{closes}{clamped}{spread}.",
        "False": "In the units that carry the old food the forget gate is as open at *but* as at filler words."},
        f"f of the units that carry the old food: {f[1]:.2f} [{f[0]:.2f}, {f[2]:.2f}] at *but*, lower than at filler "
        f"by {dip[1]:.2f} [{dip[0]:.2f}, {dip[2]:.2f}]; {len(nets)} networks")


def rival(records):
    """The untrained networks in place of the trained ones."""
    return [r | {"lr": 0.0, "score": 1.0} for r in records if r["lr"] is None]


def shuffled(records, rng):
    """What the gates do at filler and at the words of the phrase is dealt anew."""
    gates = relabelled_within([r["carriers"] for r in records], ["filler", "first FOOD", *SWITCH], rng)
    return [r | {"carriers": found} for r, found in zip(records, gates, strict=True)]


if __name__ == "__main__":
    remake(__file__, SETTINGS, one, pilot_jobs(), jobs)
