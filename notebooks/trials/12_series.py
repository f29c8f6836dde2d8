"""Lesson 12, on trial: an LSTM is the thing for time series.

Three real series, forecast one season ahead from every month (year) of their last fifth, and one made series on which
a network should win, as the positive control. The rival is the simple model that was best on the validation part.

The first count (commit 5499afc, seeds 1000 to 1009) had ten networks of each kind. A run takes less than five seconds,
so now there are thirty: the same seeds, and those after them. The criterion is the same.

`12_series.py horizon` trains LSTMs on the real series once more, with the first ten counting seeds, and keeps all of
their errors, by origin and by step ahead, in 12_series.npz; the counting run keeps their means. On another processor
they are other networks: training makes a last digit large.
"""

import functools
import pathlib
import sys

import numpy as np

from lstmcourse.data.series import SEASONS, mackey_glass, real_series
from lstmcourse.lab.forecasting import BASELINES, absolute_errors, ends
from lstmcourse.lab.torch_training import recurrent
from lstmcourse.lab.trials import choose, load, remake, save_weights, select, verdict_of

CRITERION = """
On each series: by what fraction is the LSTM's mean absolute error, over all test origins and steps ahead, below that
of the best simple model? Best: of last value, seasonal naive, linear autoregression and exponential smoothing the one
with the lowest error on the validation part. The LSTM wins where the 95 % interval over seeds and blocks of origins
lies above 0.
True: it wins on all three real series. Mixed: on one or two. False: on none. Open: it does not win on the made
series either, so the networks are at fault.
"""
SETTINGS = {"hidden": 32, "rates": [0.003, 0.01, 0.03, 0.1, 0.3], "epochs": [60, 120], "pilot seeds": 2, "seeds": 30,
            "control length": 900, "draws": 2000, "by horizon": 10}
FIRST = 1000
REAL, CONTROL = tuple(SEASONS), "mackey_glass"
KINDS = [*(f"{kind} on {series}" for series in REAL for kind in ("lstm", "gru")), f"lstm on {CONTROL}"]


@functools.cache
def data(series):
    """(values, season, horizon, train, validation, origins) of a series; the made one has a season of 17 steps."""
    if series == CONTROL:
        values, season = mackey_glass(SETTINGS["control length"], np.random.default_rng(0)), 17
    else:
        values, season = real_series(series)
    return values, season, season, *ends(len(values), season)


@functools.cache
def simple(series):
    """{name: (absolute errors at the test origins (N, horizon), mean error on the validation part)}."""
    values, season, horizon, train, validation, origins = data(series)
    before = np.arange(train, validation - horizon + 1)
    found = {}
    for name, fitted in BASELINES.items():
        on_validation = fitted(values, train, train, season, horizon)          # nothing later than train is used
        forecast = fitted(values, train, validation, season, horizon)
        found[name] = (absolute_errors(forecast, values, origins, horizon),
                       float(absolute_errors(on_validation, values, before, horizon).mean()))
    return found


def one(kind, lr, steps, seed):
    """Train one network on one series.

    errors and rival   mean absolute error at each test origin, of the network and of the best simple model
    by step …          mean absolute error by steps ahead, of the network and of every simple model
    score              by what fraction its validation error is below the seasonal naive one
    """
    cell, series = kind.split(" on ")
    values, season, horizon, train, validation, origins = data(series)
    fitted = recurrent(cell, seed, SETTINGS["hidden"], lr=lr, epochs=steps)
    forecast = fitted(values, train, validation, season, horizon)
    errors, known = absolute_errors(forecast, values, origins, horizon), simple(series)
    best = min(known, key=lambda name: known[name][1])
    before = np.arange(train, validation - horizon + 1)
    on_validation = absolute_errors(forecast, values, before, horizon).mean()
    return {"errors": errors.mean(axis=1).round(5).tolist(), "rival": known[best][0].mean(axis=1).round(5).tolist(),
            "best": best, "by step": errors.mean(axis=0).round(5).tolist(),
            "by step simple": {name: e.mean(axis=0).round(5).tolist() for name, (e, _) in known.items()},
            "score": float(1 - on_validation / known["seasonal naive"][1])}


def gain(records, kind):
    """(low, gain, high): the fraction by which the error is below the best simple model's, over seeds and origins."""
    runs = [r for r in records if r["kind"] == kind]
    errors, rival = (np.array([r[key] for r in runs]) for key in ("errors", "rival"))             # (seeds, origins)
    drawn = [1 - errors[s][:, r].mean() / rival[s][:, r].mean() for s, r in draws(*errors.shape, data_block(kind))]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(1 - errors.mean() / rival.mean()), float(high)


def draws(S, N, block):
    """Draws with replacement: (S seeds, N origins in blocks of neighbours), as often as the settings say."""
    rng = np.random.default_rng(0)
    starts = rng.integers(0, N - block + 1, (SETTINGS["draws"], -(-N // block)))
    rows = (starts[:, :, None] + np.arange(block)).reshape(len(starts), -1)[:, :N]
    return zip(rng.integers(0, S, (len(starts), S)), rows, strict=True)


def gain_by_step(errors, rival, block):
    """`gain` for each step ahead: (low, gain, high), each (K,). errors (S, N, K), rival (N, K)."""
    drawn = [1 - errors[s][:, r].mean(axis=(0, 1)) / rival[r].mean(axis=0)
             for s, r in draws(*errors.shape[:2], block)]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return low, 1 - errors.mean(axis=(0, 1)) / rival.mean(axis=0), high


def save_by_horizon():
    """All errors of LSTMs on the real series and of their rivals: {"lstm", "rival": {series: array}}, saved as .npz."""
    results, kept = load(pathlib.Path(__file__).with_suffix(".json")), {"lstm": {}, "rival": {}}
    for series in REAL:
        values, season, horizon, train, validation, origins = data(series)
        runs, found = select(results, kind=f"lstm on {series}")[:SETTINGS["by horizon"]], []
        for run in runs:
            fitted = recurrent("lstm", run["seed"], SETTINGS["hidden"], lr=run["lr"], epochs=run["steps"])
            found.append(absolute_errors(fitted(values, train, validation, season, horizon), values, origins, horizon))
        kept["lstm"][series], kept["rival"][series] = np.array(found), simple(series)[runs[0]["best"]][0]
    save_weights(pathlib.Path(__file__).with_suffix(".npz"), kept)


def data_block(kind):
    """One season of origins: so far apart two forecasts share no value."""
    return {**SEASONS, CONTROL: 17}[kind.split(" on ")[1]]


def verdict(records):
    """Word, sentence and number, by the criterion."""
    gains = {series: gain(records, f"lstm on {series}") for series in (*REAL, CONTROL)}
    won = [series for series in REAL if gains[series][0] > 0]
    word = "Open" if gains[CONTROL][0] <= 0 else "True" if len(won) == 3 else "Mixed" if won else "False"
    names = {"co2": "carbon dioxide", "elnino": "sea temperature", "sunspots": "sunspots"}
    return verdict_of(word, {
        "True": "On all three series the LSTM's error is below that of the best simple model.",
        "Mixed": f"It beats the best simple model on {' and '.join(names[s] for s in won)}, and not on "
                 f"{' and '.join(names[s] for s in REAL if s not in won)}; which one is best, only trying tells.",
        "False": "On none of the three series is its error shown to be below that of the best simple model, though on "
                 "a made nonlinear series it is.",
        "Open": "The networks do not beat a simple model on the made series either: they are at fault."},
        "; ".join(f"{names[s]} {gains[s][1]:+.2f} [{gains[s][0]:+.2f}, {gains[s][2]:+.2f}]" for s in REAL))


def rival(records):
    """The best simple model's errors in place of the network's."""
    return [r | {"errors": r["rival"]} for r in records]


def shuffled(records, rng):
    """Which errors are the network's and which the simple model's is dealt anew, run by run."""
    return [r | {"errors": r["rival"], "rival": r["errors"]} if rng.random() < 0.5 else r for r in records]


def pilot_jobs():
    """Every rate at the first budget, and the doubled budget at the three middle rates."""
    first, doubled = SETTINGS["epochs"]
    tried = [(lr, first) for lr in SETTINGS["rates"]] + [(lr, doubled) for lr in SETTINGS["rates"][1:4]]
    return [{"kind": kind, "lr": lr, "steps": steps, "seed": seed} for kind in KINDS for lr, steps in tried
            for seed in range(SETTINGS["pilot seeds"])]


def chosen(pilot):
    """Rate and budget of each kind on each series, from the pilot."""
    return choose(pilot, KINDS, SETTINGS["rates"], SETTINGS["epochs"])


def jobs(pilot, first):
    """The counting runs."""
    return [{"kind": kind, **how, "seed": seed} for kind, how in chosen(pilot).items()
            for seed in range(first, first + SETTINGS["seeds"])]


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    if sys.argv[1:] == ["horizon"]:
        save_by_horizon()
    else:
        remake(__file__, SETTINGS, one, pilot_jobs(), jobs, FIRST)
