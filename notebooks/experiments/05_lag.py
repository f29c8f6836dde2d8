"""Lesson 05: how much of a gradient is left after 0 to 100 steps backwards, in networks that nobody has trained?

Written down before the first run: the sizes, inputs of standard normal numbers, a random direction of length 1 as
the gradient at the last step, five seeds, and what counts as arrived: at least a tenth at a lag of 100; as
vanished: less than a thousandth.
"""

import numpy as np

from lstmcourse.lab.gradients import gradient_norms_by_lag
from lstmcourse.lab.trials import run
from lstmcourse.train import init_recurrent

SETTINGS = {"H": 64, "D": 8, "B": 16, "lags": 100, "arrived": 0.1, "vanished": 0.001}
NETS = {"RNN": ("rnn", {}), "RNN, rotation": ("rnn", {"orthogonal": True})} | {
    f"LSTM, bias {bias}": ("lstm", {"forget_bias": float(bias)}) for bias in (0, 1, 3, 5)}
SEEDS = range(5)


def one(net, seed):
    """The share of the gradient that is left at each lag, three digits."""
    rng = np.random.default_rng(seed)
    kind, options = NETS[net]
    B, H, D = (SETTINGS[key] for key in "BHD")
    params = init_recurrent(kind, D, H, rng, **options)
    x, dh = rng.standard_normal((B, SETTINGS["lags"] + 1, D)), rng.standard_normal((B, H))
    dh /= np.linalg.norm(dh, axis=1, keepdims=True)
    return {"left": [float(f"{share:.3g}") for share in gradient_norms_by_lag(x, dh, params)]}


def middle(records, net):
    """The median over the seeds, an array over the lags."""
    return np.median([r["left"] for r in records if r["net"] == net], axis=0)


def verdict(records):
    """The gradient vanishes in the RNN and in the LSTM with a forget bias of 0 or 1; it arrives with 3 and 5."""
    return bool(all(middle(records, net)[-1] < SETTINGS["vanished"] for net in ("RNN", "LSTM, bias 0", "LSTM, bias 1"))
                and all(middle(records, net)[-1] >= SETTINGS["arrived"] for net in ("LSTM, bias 3", "LSTM, bias 5")))


if __name__ == "__main__":
    run(__file__, SETTINGS, [{"net": net, "seed": seed} for net in NETS for seed in SEEDS], one)
