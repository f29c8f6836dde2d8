"""Lesson 06, on trial: the reset gate drops past information when the candidate is made.

The context switch with up to 10 filler words (lesson 05): one food, a question, "but friend NAME likes FOOD", a second
question. GRUs as they are ("free"), and two kinds whose reset gate is fixed in training too: r = 1 ("open") and
r = 0 ("shut"). What is measured on 500 fresh sentences is said in `measure`.

A first criterion (commit 34e9a6a, seeds 1000 to 1029, 06_reset.first.json) asked under "needed" for accuracy: r = 1
over the phrase was to cost 0.3 more than r = 1 over the first clause. It costs less, because clamping hurts in both
places; but an answer that is lost is not yet the old food. This criterion asks for the old food itself, on seeds from
2000 on.
"""

import numpy as np

from lstmcourse.data.context import SWITCH, context_switch
from lstmcourse.data.pizza import FOODS, WORDS
from lstmcourse.lab.interventions import clamp_gate, gru_clamped
from lstmcourse.lab.models import init_network, one_hot, token_loss
from lstmcourse.lab.trials import choose, median_interval, pilot_grid, reaches, relabelled_within, remake, verdict_of
from lstmcourse.train import train

CRITERION = """
Of the free networks, by the 95 % interval of the median:
drops     the candidate's sensitivity to the old food is lower by 0.2 or more at the change than over filler
needed    with r = 1 over the phrase of the change the second answer is the old food in 0.5 or more of the sentences
          with two different foods, with r = 1 over the filler instead in fewer than 0.1
enough    r = 0 over the phrase costs less than 0.1
at the change   r is lower by 0.1 or more at NAME likes FOOD of the change than at NAME likes FOOD of the first
          clause, where there is nothing to drop
True: all four. Mixed: drops and needed are met and one of the others is refuted. False: drops or needed is
refuted. Open: otherwise.
"""
SETTINGS = {"H": 24, "filler": 10, "B": 32, "test": 500, "solved": 0.95, "drops": 0.2, "needed": 0.5,
            "control": 0.1, "enough": 0.1, "at the change": 0.1, "first criterion": 0.3, "rates": [0.003, 0.01, 0.03],
            "steps": [400, 800], "pilot seeds": 6, "seeds": {"free": 30, "open": 10, "shut": 10}}
FIRST = 2000                                               # the first counting seed: a new criterion has new seeds
KINDS = {"free": None, "open": 60.0, "shut": -60.0}        # what the reset gate is fixed at: sigmoid of this
V = len(WORDS)


def trained(kind, lr, steps, seed, progress=False):
    """A trained GRU of this kind, and its rng."""
    rng = np.random.default_rng(seed)
    params = init_network("gru", V, SETTINGS["H"], V, rng)
    if KINDS[kind] is not None:
        clamp_gate(params["recurrent"], 0, KINDS[kind])

    def batches():
        for _ in range(steps):
            d = context_switch(rng, SETTINGS["B"], SETTINGS["filler"])
            yield d["tokens"], d["targets"], d["mask"]

    params, _ = train(token_loss, params, batches(), lr=lr, total=steps, progress=progress)
    return params, rng


def run_with_reset(x, params, clamped=None, value=1.0):
    """A GRU from a zero state, its reset gate clamped where `clamped` says so.

    x        (B, T, D)
    clamped  (B, T)  True where all reset gates are set to value; None: nowhere

    Returns a dict of arrays (B, T, H): h, r, z, n, and "n open", the candidate had r been 1 at this word only.
    """
    H, gates = params["W_hh"].shape[1], {"r": [], "z": [], "n": []}

    def clamp(t, gate, gate_value):
        if gate == "r" and clamped is not None:
            gate_value = np.where(clamped[:, t, None], value, gate_value)
        gates[gate].append(gate_value)
        return gate_value

    h = gru_clamped(x, params, clamp)
    h_prev = np.concatenate([np.zeros_like(h[:, :1]), h[:, :-1]], axis=1)
    n_open = np.tanh(x @ params["W_ih"][2 * H:].T + params["b_ih"][2 * H:]
                     + h_prev @ params["W_hh"][2 * H:].T + params["b_hh"][2 * H:])
    return {"h": h, **{name: np.stack(values, axis=1) for name, values in gates.items()}, "n open": n_open}


def said(h, params, d):
    """The word that the network says at the first and at the second question: (B, 2)."""
    rows, at = np.nonzero(d["mask"])
    return (h[rows, at] @ params["linear"]["W"].T + params["linear"]["b"]).argmax(axis=1).reshape(-1, 2)


def says_old(words, d):
    """Fraction of the sentences with two different foods in which the second answer is the old food."""
    old, new = d["foods"].T
    return float(np.mean((words[:, 1] == old)[old != new]))


def positions(d):
    """Filler before the first question, first clause, phrase of the change, its NAME likes FOOD: each (B, T)."""
    step, but = np.arange(d["tokens"].shape[1]), d["starts"][:, None]
    filler = (step > 2) & (step < but - 2)                  # after NAME likes FOOD, before "so orders"
    first = np.tile(step < 3, (len(but), 1))
    phrase = (step >= but) & (step < but + len(SWITCH))
    return filler, first, phrase, phrase & (step >= but + 2)


def other_food(d, rng):
    """The same sentences with another first food: tokens (B, T)."""
    tokens, foods = d["tokens"].copy(), np.array([WORDS.index(food) for food in FOODS])
    index = (tokens[:, 2, None] == foods).argmax(axis=1)
    tokens[:, 2] = foods[(index + rng.integers(1, len(FOODS), len(tokens))) % len(FOODS)]
    return tokens


def measure(params, rng):
    """One network, on fresh sentences: a dict.

    r, z …        mean of the gate over units, at the filler words before the first question ("filler"), at
                  NAME likes FOOD of the first clause ("first") and of the change ("change")
    sensitivity … to the old food: the first food is replaced by another one, and the candidate moves by |n - n'|;
                  divided by the same with r = 1 at that one word. 1: r drops nothing; 0: it drops everything
    correlation   of mean r with mean z over the units, at filler words
    accuracy      on both questions, as trained; and under the interventions: the second question with r = 1 over
                  the phrase ("open"), with r = 0 there ("shut"); the first question with r = 1 over the first
                  clause ("control"), with r = 0 over the filler ("filler shut")
    old food …    fraction of second answers that are the old food with r = 1 over the phrase ("phrase"), and with
                  r = 1 over the filler before the first question ("filler")
    """
    d = context_switch(rng, SETTINGS["test"], SETTINGS["filler"])
    filler, first, phrase, change = positions(d)
    x, x_other = one_hot(d["tokens"], V), one_hot(other_food(d, rng), V)
    seen, other = (run_with_reset(inputs, params["recurrent"]) for inputs in (x, x_other))
    moved, moved_open = (np.linalg.norm(seen[name] - other[name], axis=-1) for name in ("n", "n open"))

    def answers(clamped=None, value=1.0):
        return said(run_with_reset(x, params["recurrent"], clamped, value)["h"], params, d)

    as_trained, opened = answers(), answers(phrase)
    right = {"as trained": as_trained, "open": opened, "shut": answers(phrase, 0.0), "control": answers(first),
             "filler shut": answers(filler, 0.0)}
    right = {name: (words == d["foods"]).mean(axis=0).tolist() for name, words in right.items()}
    by_unit = [seen[gate][filler].mean(axis=0) for gate in "rz"]
    return {f"{gate} {name}": float(seen[gate][at].mean()) for gate in "rz"
            for name, at in (("filler", filler), ("first", first), ("change", change))} | {
        f"sensitivity {name}": float(moved[at].mean() / moved_open[at].mean())
        for name, at in (("filler", filler), ("change", change))} | {
        "correlation": float(np.corrcoef(*by_unit)[0, 1]) if min(map(np.std, by_unit)) > 0 else None,
        "accuracy": right["as trained"], "open": right["open"][1], "shut": right["shut"][1],
        "control": right["control"][0], "filler shut": right["filler shut"][0],
        "old food phrase": says_old(opened, d), "old food filler": says_old(answers(filler), d)}


def one(kind, lr, steps, seed):
    """Train one network and measure it."""
    result = measure(*trained(kind, lr, steps, seed))
    return result | {"score": min(result["accuracy"])}


def effects(record):
    """What the criterion asks of one network: a dict of numbers."""
    return {"drops": record["sensitivity filler"] - record["sensitivity change"],
            "needed": record["old food phrase"], "control": record["old food filler"],
            "enough": record["accuracy"][1] - record["shut"],
            "at the change": record["r first"] - record["r change"]}


def solved(records, kind):
    """The networks of one kind that answer both questions."""
    return [r for r in records if r["kind"] == kind and r["score"] >= SETTINGS["solved"]]


def parts(records):
    """Is each part of the criterion met? True, False, or None where the interval does not say."""
    found = [effects(r) for r in solved(records, "free")]
    met = {name: reaches([f[name] for f in found], SETTINGS[name]) for name in found[0]}
    control, enough = (None if met[name] is None else not met[name] for name in ("control", "enough"))
    needed = False if False in (met["needed"], control) else None if None in (met["needed"], control) else True
    return {"drops": met["drops"], "needed": needed, "enough": enough, "at the change": met["at the change"]}


def first_needed(records):
    """What the first criterion asked under "needed": what r = 1 over the phrase costs beyond the control's cost."""
    return [(r["accuracy"][1] - r["open"]) - (r["accuracy"][0] - r["control"]) for r in solved(records, "free")]


def verdict(records):
    """Word, sentence and number, by the criterion."""
    met, free = parts(records), solved(records, "free")
    drops, needed = (median_interval([effects(r)[name] for r in free]) for name in ("drops", "needed"))
    if False in (met["drops"], met["needed"]):
        word = "False"
    elif all(met.values()):
        word = "True"
    elif met["drops"] and met["needed"] and False in (met["enough"], met["at the change"]):
        word = "Mixed"
    else:
        word = "Open"
    return verdict_of(word, {
        "True": "The reset gate closes at the change of subject and keeps the old food out of the candidate; with it "
                "clamped open there, the network answers with the old food.",
        "Mixed": "The reset gate does keep the old food out of the candidate, and with it clamped open at the change "
                 "of subject the network answers with the old food; but it closes just as far at *NAME likes FOOD* of "
                 "the first clause, where there is nothing to drop: it follows the words, not the change.",
        "False": "The candidate is as open to the old food at the change of subject as elsewhere, or the old food does "
                 "not come back when the gate is clamped open."},
        f"sensitivity to the old food lower by {drops[1]:.2f} [{drops[0]:.2f}, {drops[2]:.2f}], clamped open it "
        f"answers with the old food in {needed[1]:.2f} [{needed[0]:.2f}, {needed[2]:.2f}]; {len(free)} networks")


def rival(records):
    """The networks that have no reset gate to close, in place of the free ones."""
    return [r | {"kind": "free"} for r in records if r["kind"] == "open"]


def shuffled(records, rng):
    """What was measured at filler, or clamped there, and what at the change, is dealt anew."""
    records = relabelled_within(records, ["sensitivity filler", "sensitivity change"], rng)
    return relabelled_within(records, ["old food filler", "old food phrase"], rng)


def pilot_jobs():
    """The free kind: every rate at the first budget, and the doubled budget at the middle rate."""
    return pilot_grid([{"kind": "free"}], SETTINGS, doubled=1)


def chosen(pilot):
    """Rate and budget, from the pilot. The other two kinds, asked only whether they learn the task, get the same."""
    return choose(pilot, ["free"], SETTINGS["rates"], SETTINGS["steps"])["free"]


def jobs(pilot, first):
    """The counting runs."""
    return [{"kind": kind, **chosen(pilot), "seed": seed} for kind in KINDS
            for seed in range(first, first + SETTINGS["seeds"][kind])]


if __name__ == "__main__":
    remake(__file__, SETTINGS, one, pilot_jobs(), jobs, FIRST)
