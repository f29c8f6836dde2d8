"""Exercises 12.1 to 12.3: windows of several features, the quantile loss, an error that can be compared."""

from functools import partial

import numpy as np

from lstmcourse.practice.exercise import Exercise, Mistake
from lstmcourse.practice.inputs import normal

# 12.1 windows


def _windows(values, past, horizon, target, first=0, gap=0, step=1, count=0, column=lambda values, target: target):
    """Windows, in which a part can be replaced by a wrong one."""
    N = len(values)
    starts = range(first, N - past - horizon - gap + 1 + count, step)
    y = values[:, column(values, target)]
    return (np.stack([values[s:s + past] for s in starts]),
            np.stack([y[s + past + gap:s + past + gap + horizon] for s in starts]))


def _time_last(values, past, horizon, target):
    x, y = _windows(values, past, horizon, target)
    return x.reshape(len(x), x.shape[2], past).swapaxes(1, 2), y


def _cases_windows(rng):
    return [(normal(rng, N, F), past, horizon, target) for N, F, past, horizon, target in
            ((19, 3, 5, 4, 1), (23, 2, 7, 3, 1), (17, 4, 6, 2, 2))]


make_windows = Exercise(
    id="12.1", title="windows of several features", lesson="12_time_series", points=2,
    function="make_windows", signature="(values (N, F), past, horizon, target) -> x (M, P, F), y (M, K)",
    cases=_cases_windows, reference=_windows,
    onward="Which of the other features would not be known yet when the forecast is made?",
    shortest="""\
x = np.lib.stride_tricks.sliding_window_view(values, past, axis=0)[:len(values) - past - horizon + 1].swapaxes(1, 2)
y = np.lib.stride_tricks.sliding_window_view(values[past:, target], horizon)
return x, y""",
    mistakes=(
        Mistake("the target begins inside the window",
                "Your targets begin with the last value of the window, which the network has just read. It learns to "
                "repeat it. The target begins one step later.", partial(_windows, gap=-1)),
        Mistake("a step is skipped",
                "Between the end of your window and the first target one step is left out.", partial(_windows, gap=1)),
        Mistake("the target is the first feature",
                "You always forecast the first column. The argument says which one.",
                partial(_windows, column=lambda values, target: 0)),
        Mistake("windows do not overlap",
                "Each of your windows starts where the last one ended. One window can start at every step: that is "
                "many times the data.", lambda values, past, horizon, target: _windows(
                    values, past, horizon, target, step=past)),
        Mistake("the last window is left out",
                "One more window fits: the one whose targets end with the very last value.",
                partial(_windows, count=-1)),
        Mistake("features and steps are mixed up",
                "The shape is right and the numbers are in other places: after a reshape, features have become "
                "steps. To exchange two axes, transpose them.", _time_last)))


# 12.2 the quantile loss

def _quantile_loss(y, forecast, q, weight=lambda over, q: np.where(over, q - 1, q), mean=np.mean, parts=lambda n: n,
                   sign=-1):
    """The loss and its gradient, in which a part can be replaced by a wrong one."""
    above = forecast > y
    slope = weight(above, q)
    return float(mean(slope * (y - forecast))), sign * slope / parts(y.size)


def _cases_quantile(rng):
    return [(3 * normal(rng, B, K), 3 * normal(rng, B, K), q) for B, K, q in ((4, 3, 0.9), (2, 5, 0.05), (3, 7, 0.5))]


quantile_loss = Exercise(
    id="12.2", title="the quantile loss", lesson="12_time_series", points=2,
    function="quantile_loss", signature="(y (B, K), forecast (B, K), q) -> loss, dforecast (B, K)",
    cases=_cases_quantile, reference=_quantile_loss,
    onward="Which constant has the lowest loss for q = 0.5, and which for q = 0.9? Try it on a thousand numbers.",
    shortest="""\
slope = q - (forecast > y)
return np.mean(slope * (y - forecast)), -slope / y.size""",
    mistakes=(
        Mistake("the weights are exchanged",
                "For q near 1 a forecast that is too *low* must cost most: only then is it pushed up until most values "
                "lie below it. Yours costs most when it is too high.",
                partial(_quantile_loss, weight=lambda over, q: np.where(over, -q, 1 - q))),
        Mistake("the gradient has the wrong sign",
                "The loss is right. Take a forecast that is too low and raise it a little: does the loss rise or fall?",
                partial(_quantile_loss, sign=1)),
        Mistake("the gradient of the sum",
                "The loss is the mean over all numbers; your gradient is that of the sum.",
                partial(_quantile_loss, parts=lambda n: 1)),
        Mistake("the sum in place of the mean",
                "You add up over all numbers. The loss is their mean, and its gradient that of the mean.",
                partial(_quantile_loss, mean=np.sum, parts=lambda n: 1)),
        Mistake("the absolute error",
                "Both sides cost the same in your loss, whatever q is: its best forecast is the median.",
                partial(_quantile_loss, weight=lambda over, q: np.where(over, -1.0, 1.0)),
                partial(_quantile_loss, weight=lambda over, q: np.where(over, -0.5, 0.5)))))


# 12.3 the scaled error

def _scaled_error(y, forecast, train, season, lag=lambda season: season, yardstick=lambda train, y: train,
                  power=1, together=lambda error, scale: error.mean() / scale.mean()):
    """The mean absolute scaled error, in which a part can be replaced by a wrong one."""
    known = yardstick(train, y)
    scale = np.abs(known[lag(season):] - known[:-lag(season)])**power
    return float(together(np.abs(y - forecast)**power, scale))


def _cases_scaled(rng):
    return [(np.cumsum(normal(rng, K)), np.cumsum(normal(rng, K)), np.cumsum(normal(rng, N)), season)
            for K, N, season in ((9, 31, 4), (11, 40, 5), (13, 26, 3))]


scaled_error = Exercise(
    id="12.3", title="an error that can be compared", lesson="12_time_series", points=1,
    function="scaled_error", signature="(y (K,), forecast (K,), train (N,), season) -> error",
    cases=_cases_scaled, reference=_scaled_error,
    onward="An error of 0.8 against sunspots and one of 0.8 against degrees: what do they have in common now?",
    shortest="return np.abs(y - forecast).mean() / np.abs(train[season:] - train[:-season]).mean()",
    mistakes=(
        Mistake("scaled by the last value's error",
                "Your yardstick is the last value, one step ago. The seasonal naive forecast goes back a whole season.",
                partial(_scaled_error, lag=lambda season: 1)),
        Mistake("scaled by the test part",
                "Your yardstick is made from the values that are to be forecast. It has to be known before: take the "
                "training part.", partial(_scaled_error, yardstick=lambda train, y: y)),
        Mistake("squared errors",
                "You square the errors. The task asks for absolute ones, above and below the line.",
                partial(_scaled_error, power=2)),
        Mistake("the root of squared errors",
                "You compare root mean squares. The task asks for mean absolute errors, above and below the line.",
                partial(_scaled_error, power=2, together=lambda error, scale: np.sqrt(error.mean() / scale.mean()))),
        Mistake("turned round",
                "Your number grows when the forecast gets better: the forecast's error belongs above the line.",
                partial(_scaled_error, together=lambda error, scale: scale.mean() / error.mean())),
        Mistake("scaled by the spread of the training values",
                "You divide by how widely the values spread. The yardstick is how wrong the seasonal naive forecast "
                "was on the training part.", lambda y, forecast, train, season: float(
                    np.abs(y - forecast).mean() / train.std()))))


EXERCISES = (make_windows, quantile_loss, scaled_error)
