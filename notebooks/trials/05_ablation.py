"""Lesson 05b, on trial: the forget gate is the part of the LSTM that matters most.

LSTMs that do without one gate, which stays at 1 in training too, on three tasks: adding two marked numbers out of 30
(lesson 05), the context switch of lesson 05b with up to 10 filler words, and the stream of Reber strings. Adding has
two starts without a forget gate: the usual one, and input gates nearly shut, as Hochreiter and Schmidhuber (1997)
started theirs; the better one counts. Float32. A run stops when it has solved its task.

The rates were first to be chosen after 600 steps (commit 646d7b9). The pilot showed that without the input gate nothing
is learned by then, so that noise would choose. The counting run was stopped after five runs; now rates are chosen after
1200 steps, an arm that the pilot left unsolved gets 2400, and the counting seeds start at 2000. The count of commit
bc23daa read the streams at letters 250 to 500 (05_ablation.first.json), where 3 of 8 networks without a
forget gate do well, and was stopped. So they are read at letters 500 to 1000, as in 05_messy, by new networks,
seeds from 3000 on; those on adding and switch are the same.

That count (commit 48a76d0, 05_ablation.second.json) had ten networks of each kind on adding and sixteen on the stream,
and the interval of the stream without a forget gate ended at 0.49. Most runs take less than five seconds, so now there
are thirty of each: on adding the same seeds and those after them, on the stream, where the verdict hangs on the number,
new ones from 5000 on. The criterion is the same.
"""

import numpy as np

from lstmcourse.data.adding import adding_problem
from lstmcourse.data.context import context_switch
from lstmcourse.data.pizza import WORDS
from lstmcourse.data.reber import reber_stream
from lstmcourse.lab.interventions import clamp_gate
from lstmcourse.lab.models import init_network, last_step_loss, network_backward, network_forward, one_hot
from lstmcourse.lab.trials import by_budget, choose, on_seeds, pilot_grid, relabelled, remake, verdict_of, wilson
from lstmcourse.layers import cross_entropy_backward, cross_entropy_forward
from lstmcourse.train import Adam, clip_grads, tree_map

CRITERION = """
Solved: adding, mean squared error 0.01 or less; switch, 0.95 or more of the answers right; stream, 0.95 or more of the
far symbols right at letters 500 to 1000 of a fresh stream. By the 95 % interval of the fraction of networks that do:
needed      with the whole cell it is above 1/2, without the gate below 1/2
not needed  without the gate it is above 1/2
True: the forget gate is needed on every task, and no other gate is. False: it is needed on no task, or another gate is
needed wherever it is, and on one task more. Mixed: it is needed on one task or two, and not needed on another.
Open: otherwise.
"""
SETTINGS = {"T": 30, "filler": 10, "B": {"adding": 32, "switch": 32, "stream": 16}, "forget_bias": 1.0,
            "H": {"adding": 32, "switch": 24, "stream": 10}, "solved": {"adding": 0.94, "switch": 0.95, "stream": 0.95},
            "piece": 40, "test": 500, "test_streams": 16, "test_length": 1000, "late": 500, "every": 100,
            "rates": [0.003, 0.01, 0.03, 0.1, 0.3], "tie": 0.1, "steps": [600, 1200], "unsolved": 2400,
            "pilot seeds": 1, "seeds": {"adding": 30, "switch": 30, "stream": 30}}
FIRST = 2000                                               # the first counting seed, on the stream 3000 more
TASKS = ("adding", "switch", "stream")
ARMS = {"whole cell": None, "no input gate": 0, "no forget gate": 1, "no forget gate, input shut": 1,
        "no output gate": 3}                               # the gate that stays at 1, as a block of the weights
PAIRS = [(task, arm) for task in TASKS for arm in ARMS if task == "adding" or not arm.endswith("shut")]
WITHOUT = {"input": ["no input gate"], "forget": ["no forget gate", "no forget gate, input shut"],
           "output": ["no output gate"]}
SHUT = -3.0                                                # the input gates' first bias, where they start shut
GUESS = 1 / 6                                              # mean squared error of always answering 1
SIZES = {"adding": (2, 1), "switch": (len(WORDS), len(WORDS)), "stream": (7, 7)}       # inputs, outputs


def initial(task, arm, rng):
    """Initial weights of one network."""
    H, (D, V) = SETTINGS["H"][task], SIZES[task]
    params = init_network("lstm", D, H, V, rng, forget_bias=SETTINGS["forget_bias"])
    if arm.endswith("shut"):
        params["recurrent"]["b_ih"][:H], params["recurrent"]["b_hh"][:H] = SHUT, 0
    if ARMS[arm] is not None:
        clamp_gate(params["recurrent"], ARMS[arm], 60.0)   # 1 to the last bit
    return tree_map(lambda array: array.astype("float32"), params)


def batches(task, rng):
    """Without an end: inputs, targets, mask, and whether the state is handed on."""
    piece, B, T = SETTINGS["piece"], SETTINGS["B"][task], SETTINGS["T"]
    while True:
        if task == "adding":
            yield *adding_problem(rng, B, T), None, False
        elif task == "switch":
            d = context_switch(rng, B, SETTINGS["filler"])
            yield one_hot(d["tokens"], len(WORDS)), d["targets"], d["mask"], False
        else:
            tokens = reber_stream(rng, B, 100 * piece)["tokens"]
            for start in range(0, 100 * piece, piece):
                part = tokens[:, start:start + piece + 1]
                yield one_hot(part[:, :-1], 7), part[:, 1:], None, start > 0


def gradient(task, params, batch, states):
    """The gradients of the loss on one batch, and the last states."""
    x, targets, mask, on = batch
    x = x.astype("float32")
    if task == "adding":
        return last_step_loss(params, x, targets.astype("float32"))[1], None
    logits, states, cache = network_forward(x, params, states if on else None)
    _, loss_cache = cross_entropy_forward(logits, targets, mask)
    return network_backward(cross_entropy_backward(loss_cache), cache), states


def measure(task, params, rng):
    """How well a network does on fresh data: variance explained, accuracy, or fraction of far symbols right."""
    if task == "adding":
        x, y = adding_problem(rng, SETTINGS["test"], SETTINGS["T"])
        out = network_forward(x.astype("float32"), params)[0]
        return max(-1.0, 1 - float(np.mean((out[:, -1, 0] - y) ** 2)) / GUESS)
    if task == "switch":
        d = context_switch(rng, SETTINGS["test"], SETTINGS["filler"])
        logits = network_forward(one_hot(d["tokens"], len(WORDS)).astype("float32"), params)[0]
        return float((logits.argmax(axis=2) == d["targets"])[d["mask"]].mean())
    d = reber_stream(rng, SETTINGS["test_streams"], SETTINGS["test_length"])
    logits = network_forward(one_hot(d["tokens"][:, :-1], 7).astype("float32"), params)[0]
    late = np.arange(SETTINGS["test_length"]) >= SETTINGS["late"]
    return float((logits.argmax(axis=2) == d["tokens"][:, 1:])[d["long_range"] & late].mean())


def one(task, arm, lr, steps, seed):
    """Train one network until it has solved its task: what it scored at every test, and the step that solved it."""
    rng = np.random.default_rng(seed)
    params, adam, states, scores = initial(task, arm, rng), Adam(lr), None, []
    drawn = batches(task, rng)
    while len(scores) < steps // SETTINGS["every"]:
        try:
            for _ in range(SETTINGS["every"]):
                grads, states = gradient(task, params, next(drawn), states)
                params = adam.step(params, clip_grads(grads, 1.0)[0])
            scores.append(round(measure(task, params, rng), 4))
        except FloatingPointError:                         # it blew up: not solved
            scores.append(-1.0)
            break
        if scores[-1] >= SETTINGS["solved"][task]:
            return {"scores": scores, "solved": len(scores) * SETTINGS["every"]}
    return {"scores": scores, "solved": None}


def scored(pilot, steps):
    """The pilot as `choose` wants it, after so many steps."""
    named = [r | {"net": f"{r['task']}: {r['arm']}"} for r in pilot]
    return by_budget(named, SETTINGS, lambda run, tests: run["scores"][:tests][-1], steps=[steps])


def pilot_jobs():
    """Every rate at the larger budget."""
    return pilot_grid([{"task": task, "arm": arm} for task, arm in PAIRS], SETTINGS)


def chosen(pilot):
    """Rate and budget of each arm on each task, from the pilot: the larger budget, more if it did not do."""
    steps = SETTINGS["steps"][-1]
    records = list(scored(pilot, steps))
    found = choose(records, [f"{task}: {arm}" for task, arm in PAIRS], SETTINGS["rates"], [steps], SETTINGS["tie"])
    solved = {r["kind"] for r in records if r["score"] >= 1}
    return {kind: how if kind in solved else how | {"steps": SETTINGS["unsolved"]} for kind, how in found.items()}


def jobs(pilot, first):
    """The counting runs."""
    found = chosen(pilot)
    return [job for task, arm in PAIRS for job in on_seeds(
        [{"task": task, "arm": arm, **found[f"{task}: {arm}"]}], first + 3000 * (task == "stream"),
        SETTINGS["seeds"][task])]


def solved(records, task, arm):
    """How many networks solve the task, and how many there are."""
    runs = [r for r in records if (r["task"], r["arm"]) == (task, arm)]
    return sum(r["solved"] is not None for r in runs), len(runs)


def best(records, task, gate):
    """`solved` without this gate, at its better start."""
    counts = [solved(records, task, arm) for arm in WITHOUT[gate] if (task, arm) in PAIRS]
    return max((count for count in counts if count[1]), key=lambda count: count[0] / count[1])


def needed(records, task, gate):
    """Is the gate needed on this task? True, False, or None where the intervals do not say."""
    low, high = wilson(*best(records, task, gate))
    if low > 0.5:
        return False
    return True if high < 0.5 and wilson(*solved(records, task, "whole cell"))[0] > 0.5 else None


def parts(records):
    """For each gate, on which tasks it is needed: {gate: {task: True, False or None}}."""
    return {gate: {task: needed(records, task, gate) for task in TASKS} for gate in WITHOUT}


def verdict(records):
    """Word, sentence and number, by the criterion."""
    met = parts(records)
    on = {gate: {task for task, answer in met[gate].items() if answer} for gate in met}
    forget, others = on["forget"], [on["input"], on["output"]]
    if any(other > forget for other in others) or set(met["forget"].values()) == {False}:
        word = "False"
    elif forget == set(TASKS) and not any(others):
        word = "True"
    elif forget and False in met["forget"].values():
        word = "Mixed"
    else:
        word = "Open"
    names = {"adding": "adding", "switch": "the change of subject", "stream": "a stream without pauses"}
    lists = {gate: " and ".join(names[task] for task in TASKS if task in on[gate]) for gate in on}
    free = " and ".join(names[task] for task in TASKS if met["forget"][task] is False)
    spared = [gate for gate in ("input", "output") if set(met[gate].values()) == {False}]
    also = (f"the {' and the '.join(spared)} gate can each be spared in all three" if len(spared) == 2 else "; ".join(
        f"the {gate} gate is needed for {lists[gate]}" for gate in ("input", "output") if lists[gate]))
    return verdict_of(word, {
        "True": "Without its forget gate an LSTM solves none of the three tasks; each of the other gates it can spare.",
        "Mixed": f"In the steps given, the forget gate is needed for {lists['forget']}, not for {free}"
                 + (f"; {also}." if also else "."),
        "False": "Another gate is needed more often, or the forget gate is needed for none of the three tasks."},
        "solved without the forget gate: " + ", ".join(
            f"{task} {yes} of {n} [{low:.2f}, {high:.2f}]" for task in TASKS
            for (yes, n) in [best(records, task, "forget")] for low, high in [wilson(yes, n)]))


def rival(records):
    """The output gate's data in place of the forget gate's."""
    return [r for r in records if r["arm"] not in WITHOUT["forget"]] + [
        r | {"arm": arm} for r in records if r["arm"] == "no output gate" for arm in WITHOUT["forget"]
        if (r["task"], arm) in PAIRS]


def shuffled(records, rng):
    """Which gate was missing is dealt anew within each task."""
    return [r for task in TASKS for r in relabelled([r for r in records if r["task"] == task], "arm", rng)]


if __name__ == "__main__":
    remake(__file__, SETTINGS, one, pilot_jobs(), jobs, FIRST)
