"""Lesson 09: which networks can track a state? Parity: after every bit, is the number of ones so far odd?

Written down before the first full run (a pilot with seed 100 chose the sizes): the networks, two
learning rates, five seeds, and "tracks" as at least 99 % of all answers right on 200 fresh sequences
of 256 bits, sixteen times the length that was trained.

So that a network which fails cannot be said to be badly trained, each one also learns "any", with the
same code: after every bit, has there been a one so far? (Ones are rare there: one a sequence on average.)
The rule of before the run is `asked`: at least 4 of 5 of every network are right on "any" at 256 bits too.
It was not met: 3 of 5 RNNs and no one-layer minGRU are. `verdict` says so, and what was seen: at the trained
length, where the control tells whether a network learns at all, all of them are right.
"""

import numpy as np

from lstmcourse.lab.trials import run
from lstmcourse.layers import cross_entropy_backward, cross_entropy_forward, linear_backward, linear_forward
from lstmcourse.min_rnn import min_gru_backward, min_gru_forward, min_lstm_backward, min_lstm_forward
from lstmcourse.recurrent import KINDS
from lstmcourse.train import init_linear, init_recurrent, train

SETTINGS = {"trained": 16, "tested": [16, 64, 256], "B": 32, "steps": 2000, "tracks": 0.99, "sequences": 200}
NETS = {  # kind of each layer, hidden units: at least as many parameters for those that are expected to fail
    "RNN": (("rnn",), 16), "GRU": (("gru",), 16), "LSTM": (("lstm",), 16),
    "minGRU": (("min_gru",), 64), "minGRU, 2 layers": (("min_gru", "min_gru"), 64),
    "minLSTM, 2 layers": (("min_lstm", "min_lstm"), 64),
}
RATES = (0.003, 0.01)
SEEDS = range(5)
MINIMAL = {"min_gru": (2, min_gru_forward, min_gru_backward), "min_lstm": (3, min_lstm_forward, min_lstm_backward)}


def sequences(rng, task, B, T):
    """B sequences of T bits as one-hot (B, T, 2), and the answer after each bit (B, T)."""
    bits = (rng.random((B, T)) < (1 / 2 if task == "parity" else 1 / T)).astype(int)
    ones = np.cumsum(bits, axis=1)
    return np.eye(2)[bits], ones % 2 if task == "parity" else (ones > 0).astype(int)


def init(kinds, H, rng):
    """First weights: layers under "0", "1" …, then "linear"."""
    params, D = {}, 2
    for k, kind in enumerate(kinds):
        if kind in MINIMAL:
            rows, bound = MINIMAL[kind][0] * H, 1 / np.sqrt(D)
            params[str(k)] = {"W_ih": rng.uniform(-bound, bound, (rows, D)), "b_ih": rng.uniform(-bound, bound, rows)}
        else:
            params[str(k)] = init_recurrent(kind, D, H, rng)
        D = H
    return params | {"linear": init_linear(H, 2, rng)}


def forward(params, x, kinds):
    """logits (B, T, 2), and the caches of the layers."""
    caches = []
    for k, kind in enumerate(kinds):
        layer = params[str(k)]
        H = len(layer["b_ih"]) // (MINIMAL[kind][0] if kind in MINIMAL else len(KINDS[kind].gates))
        states = [np.zeros((len(x), H))] * (len(KINDS[kind].states) if kind in KINDS else 1)
        step = MINIMAL[kind][1] if kind in MINIMAL else KINDS[kind].forward
        x, *_, cache = step(x, *states, layer)
        caches.append(cache)
    logits, cache = linear_forward(x, params["linear"])
    return logits, [*caches, cache]


def loss_and_grads(params, x, targets, kinds):
    """Cross-entropy in nats per bit, and its gradients."""
    logits, caches = forward(params, x, kinds)
    loss, cache = cross_entropy_forward(logits, targets)
    dx, linear = linear_backward(cross_entropy_backward(cache), caches.pop())
    grads = {"linear": linear}
    for k, kind in reversed(list(enumerate(kinds))):
        back = MINIMAL[kind][2] if kind in MINIMAL else KINDS[kind].backward
        given = (dx, *(None for _ in KINDS[kind].states[1:])) if kind in KINDS else (dx,)
        dx, *_, grads[str(k)] = back(*given, caches[k])
    return loss, {key: grads[key] for key in params}


def one(task, net, lr, seed):
    """Train one network; the share of right answers at each tested length."""
    kinds, H = NETS[net]
    rng = np.random.default_rng(seed)
    params = init(kinds, H, rng)
    batches = (sequences(rng, task, SETTINGS["B"], SETTINGS["trained"]) for _ in range(SETTINGS["steps"]))
    params, losses = train(lambda p, x, y: loss_and_grads(p, x, y, kinds), params, batches, lr=lr, progress=False)
    right = []
    for T in SETTINGS["tested"]:
        x, targets = sequences(rng, task, SETTINGS["sequences"], T)
        right.append(float(np.mean(forward(params, x, kinds)[0].argmax(axis=2) == targets)))
    return {"right": right, "loss": float(np.mean(losses[-50:]))}


def tracking(records, task, net, length=256):
    """How many seeds of this network are right on sequences of this length, at its best rate."""
    k = SETTINGS["tested"].index(length)
    runs = [r for r in records if (r["task"], r["net"]) == (task, net)]
    rates = {r["lr"] for r in runs}
    return max(sum(r["right"][k] >= SETTINGS["tracks"] for r in runs if r["lr"] == lr) for lr in rates)


def asked(records):
    """The rule written down before the run: its parts, and whether each holds."""
    minimal = [net for net in NETS if net.startswith("min")]
    return {"most networks with W_hh track": all(tracking(records, "parity", net) >= 3
                                                 for net in NETS if net not in minimal),
            "no minimal one does": all(tracking(records, "parity", net) == 0 for net in minimal),
            "any, 256 bits: 4 of 5 of each": all(tracking(records, "any", net) >= 4 for net in NETS)}


def verdict(records):
    """Not shown by the rule, for the control at 256 bits alone. Seen: all learn it at the trained length."""
    return ([part for part, met in asked(records).items() if not met] == ["any, 256 bits: 4 of 5 of each"]
            and all(tracking(records, "any", net, SETTINGS["trained"]) >= 4 for net in NETS))


if __name__ == "__main__":
    run(__file__, SETTINGS, [{"task": task, "net": net, "lr": lr, "seed": seed}
                             for task, rates in (("parity", RATES), ("any", RATES[-1:]))
                             for net in NETS for lr in rates for seed in SEEDS], one)
