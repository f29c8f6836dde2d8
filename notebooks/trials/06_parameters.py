"""Lesson 06, on trial: a GRU has fewer parameters because it has one memory cell instead of two.

Parameters are counted in five cells: RNN, GRU and LSTM, and two that take the two explanations apart, since in the GRU
and the LSTM memories and blocks of weights change together: a cell with two memories and three blocks, and one with
one memory and four. Nothing of that is random.

Time and hardware are measured in GRUs and LSTMs: the processor time of a training step (forward and full backward
pass), with the course's functions and with PyTorch's, at equal units and at equal parameters; and the bytes that the
course's functions keep for the backward pass. All are timed in one process, in turn, round by round.
"""

import os
import time

import numpy as np

from lstmcourse.bench import contenders
from lstmcourse.lab.trials import median_interval, reaches, relabelled, remake, verdict_of
from lstmcourse.layers import sigmoid
from lstmcourse.recurrent import KINDS
from lstmcourse.train import count_parameters, init_recurrent

CRITERION = """
At every size:
by blocks    all cells have the same number of parameters for each block of weights
by memories  all cells have the same number of parameters for each memory
True: by memories. False: by blocks and not by memories. Open: neither or both.
For the sentence, by the 95 % interval of the median ratio over the rounds, the GRU's processor time for a training step
divided by the LSTM's:
less      of the course's functions, at equal units, it is below 0.95 at every size timed
no less   of the course's functions, at equal parameters, it is 0.9 or more at every size timed
kernels   of PyTorch's, at equal units, it is 1.2 or more at the smallest size
"""
SETTINGS = {"sizes": [[24, 32], [8, 5]], "B": 2, "T": 3, "timed": [[50, 16, 32], [100, 32, 64], [100, 64, 128]],
            "rounds": 61, "less": 0.95, "no less": 0.9, "kernels": 1.2}
LIBRARIES = ("NumPy", "PyTorch")                           # the course's own functions, and torch.nn
ARMS = ("LSTM", "GRU, equal units", "GRU, equal parameters")


def coupled_lstm(x, params):
    """An LSTM with i = 1 - f (Greff et al. 2017): two memories from three blocks f, g, o. It runs on a GRU's arrays.

    x (B, T, D); W_ih (3H, D), W_hh (3H, H), b_ih and b_hh (3H,). Returns the last h and c, (B, H) each.
    """
    H = params["W_hh"].shape[1]
    h = c = np.zeros((len(x), H))
    for t in range(x.shape[1]):
        a = x[:, t] @ params["W_ih"].T + params["b_ih"] + h @ params["W_hh"].T + params["b_hh"]
        a_f, a_g, a_o = np.split(a, 3, axis=1)
        c = sigmoid(a_f) * c + (1 - sigmoid(a_f)) * np.tanh(a_g)
        h = sigmoid(a_o) * np.tanh(c)
    return h, c


def uncoupled_gru(x, params):
    """A GRU with an input gate of its own in place of 1 - z: one memory from four blocks r, z, i, n. An LSTM's arrays.

    x (B, T, D); W_ih (4H, D), W_hh (4H, H), b_ih and b_hh (4H,). Returns a tuple of one: the last h (B, H).
    """
    H = params["W_hh"].shape[1]
    h = np.zeros((len(x), H))
    for t in range(x.shape[1]):
        a_r, a_z, a_i, a_n = np.split(x[:, t] @ params["W_ih"].T + params["b_ih"], 4, axis=1)
        u_r, u_z, u_i, u_n = np.split(h @ params["W_hh"].T + params["b_hh"], 4, axis=1)
        n = np.tanh(a_n + sigmoid(a_r + u_r) * u_n)
        h = sigmoid(a_z + u_z) * h + sigmoid(a_i + u_i) * n
    return h,


def last_states(kind):
    """A function of x and params that returns the last states of one of `recurrent.KINDS`."""
    def run_cell(x, params):
        states = [np.zeros((len(x), params["W_hh"].shape[1])) for _ in KINDS[kind].states]
        return [state[:, -1] for state in KINDS[kind].forward(x, *states, params)[:-1]]
    return run_cell


CELLS = {  # the kind whose arrays it runs on, and the cell
    "RNN": ("rnn", last_states("rnn")), "GRU": ("gru", last_states("gru")), "LSTM": ("lstm", last_states("lstm")),
    "LSTM with i = 1 - f": ("gru", coupled_lstm), "GRU with an input gate": ("lstm", uncoupled_gru)}


def count(cell, D, H):
    """Run the cell once, and count: its blocks of weights, its memories, its parameters."""
    arrays, run_cell = CELLS[cell]
    rng = np.random.default_rng(0)
    params = init_recurrent(arrays, D, H, rng)
    states = run_cell(rng.standard_normal((SETTINGS["B"], SETTINGS["T"], D)), params)
    return {"blocks": len(params["W_hh"]) // H, "memories": len(states), "parameters": count_parameters(params)}


def gru_units(H):
    """Units of the GRU that has as many parameters as an LSTM of H units, both with H inputs, as nearly as it can."""
    rng = np.random.default_rng(0)
    wanted = count_parameters(init_recurrent("lstm", H, H, rng))
    return min(range(H, 2 * H), key=lambda units: abs(count_parameters(init_recurrent("gru", H, units, rng)) - wanted))


def kept_bytes(kind, T, B, D, H):
    """Bytes of the arrays that the forward pass keeps for the backward pass, beside the parameters; float32."""
    params = init_recurrent(kind, D, H, np.random.default_rng(0), dtype="float32")
    states = [np.zeros((B, H), "float32") for _ in KINDS[kind].states]
    *_, cache = KINDS[kind].forward(np.zeros((B, T, D), "float32"), *states, params)
    return sum(part.nbytes for part in cache if isinstance(part, np.ndarray))


def seconds(step):
    """Processor time of one call, the mean of as many as last 20 ms, after one that is not timed."""
    step()
    start, calls = time.process_time(), 0
    while time.process_time() - start < 0.02:
        step()
        calls += 1
    return (time.process_time() - start) / calls


def timed(sizes, rounds):
    """Time every arm in both libraries at every size (T, B, H), H inputs; one sample of each a round, in turn."""
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        raise SystemExit("One thread is wanted for the timing: make trials TRIALS=06_parameters")
    import torch
    torch.set_num_threads(1)
    found = []
    for T, B, H in sizes:
        arms = dict(zip(ARMS, (("lstm", H), ("gru", H), ("gru", gru_units(H))), strict=True))
        steps = {(library, arm): step for arm, (kind, units) in arms.items() for library, step in zip(
            LIBRARIES, contenders(kind, "float32", (T, B, H, units))["step"], strict=True)}
        times = {key: [] for key in steps}
        for turn in range(rounds):
            for key in list(steps)[::1 if turn % 2 else -1]:
                times[key].append(round(seconds(steps[key]), 7))
        found += [{"T": T, "B": B, "H": H, "library": library, "arm": arm, "units": arms[arm][1],
                   "kept": kept_bytes(arms[arm][0], T, B, H, arms[arm][1]), "seconds": values}
                  for (library, arm), values in times.items()]
    return {"times": found}


def one(what, **how):
    """One count, or all of the timing: it is one job, so that nothing else of this script runs beside it."""
    return {"count": count, "time": timed}[what](**how)


def counted(records):
    """The records of the counts."""
    return [r for r in records if r["what"] == "count"]


def ratios(records, library, arm, size):
    """Time of an arm divided by the LSTM's, one for each round, in one library at one size (T, B, H)."""
    times = {t["arm"]: t["seconds"] for r in records if r["what"] == "time" for t in r["times"]
             if t["library"] == library and [t["T"], t["B"], t["H"]] == size}
    return np.divide(times[arm], times["LSTM"])


def parts(records):
    """Is each part of the criterion met? True, False, or of the times None where the interval does not say."""
    def same_for_each(name):
        return all(len({r["parameters"] / r[name] for r in counted(records) if [r["D"], r["H"]] == size}) == 1
                   for size in SETTINGS["sizes"])

    def at_least(arm, threshold, library="NumPy"):
        return [reaches(ratios(records, library, arm, size), threshold) for size in SETTINGS["timed"]]

    below, above = at_least(ARMS[1], SETTINGS["less"]), at_least(ARMS[2], SETTINGS["no less"])
    smallest, *_ = at_least(ARMS[1], SETTINGS["kernels"], "PyTorch")
    return {"by blocks": same_for_each("blocks"), "by memories": same_for_each("memories"),
            "less": all(reached is False for reached in below), "no less": all(above), "kernels": smallest is True}


def verdict(records):
    """Word, sentence and number, by the criterion."""
    met = parts(records)
    word = "Open" if met["by blocks"] == met["by memories"] else "True" if met["by memories"] else "False"
    time_too = (" With our functions its training step takes less time at equal units, not at equal parameters; "
                "with PyTorch's, a small GRU takes more even at equal units.")
    parameters = {r["cell"]: r["parameters"] for r in counted(records) if [r["D"], r["H"]] == SETTINGS["sizes"][0]}
    shown = {arm: [median_interval(ratios(records, "NumPy", arm, size))[1] for size in SETTINGS["timed"]]
             for arm in ARMS[1:]}
    return verdict_of(word, {
        "True": "Parameters go with the memories.",
        "False": "A GRU has fewer parameters because it has three blocks of weights and an LSTM has four; a second "
                 "memory adds not one parameter." + time_too * (met["less"] and met["no less"] and met["kernels"])},
        f"two memories, three blocks: {parameters['LSTM with i = 1 - f']} parameters, as the GRU's "
        f"{parameters['GRU']}; one memory, four blocks: {parameters['GRU with an input gate']}, as the LSTM's "
        f"{parameters['LSTM']}; time of a GRU's step, divided by the LSTM's: " + "; ".join(
            f"{arm.removeprefix('GRU, ')} {min(values):.2f} to {max(values):.2f}" for arm, values in shown.items()))


def rival(records):
    """Parameters as the claim has them, so many for each memory; and a GRU that takes half of the LSTM's time."""
    changed = [r | {"parameters": 1000 * r["memories"]} if r["what"] == "count" else r for r in records]
    return [r | {"times": [t | {"seconds": [(1 if t["arm"] == "LSTM" else 0.5)] * len(t["seconds"])}
                           for t in r["times"]]} if r["what"] == "time" else r for r in changed]


def shuffled(records, rng):
    """Which cell has how many parameters is dealt anew, and which arm took how long, within each size and library."""
    def dealt(times):
        return [t for k in range(0, len(times), len(ARMS)) for t in relabelled(times[k:k + len(ARMS)], "seconds", rng)]

    return [*relabelled(counted(records), "parameters", rng),
            *(r | {"times": dealt(sorted(r["times"], key=lambda t: (t["H"], t["library"], ARMS.index(t["arm"]))))}
              for r in records if r["what"] == "time")]


def jobs(pilot, first):
    """Every cell at every size, then the timing; nothing is random, so there is no pilot and there are no seeds."""
    return [*({"what": "count", "cell": cell, "D": D, "H": H} for cell in CELLS for D, H in SETTINGS["sizes"]),
            {"what": "time", "sizes": SETTINGS["timed"], "rounds": SETTINGS["rounds"]}]


if __name__ == "__main__":
    remake(__file__, SETTINGS, one, [], jobs)
