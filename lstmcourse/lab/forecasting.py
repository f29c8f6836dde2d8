"""Forecasts of one series, several steps ahead: reading a CSV, splitting by time, baselines, errors by horizon.

A forecaster is fitted on the first values and then asked at origins:

    forecast = seasonal_naive(values, train, validation, season, horizon)
    forecast(values, origins)        (len(origins), horizon): at origin o it reads values[:o] and no more

train and validation are ends: values[:train] may be learned from, values[train:validation] decide when to stop.
"""

import csv
import warnings
from datetime import date
from typing import NamedTuple

import numpy as np

SHORTEST = 5                                     # seasons: with fewer there is nothing to learn a season from


class Series(NamedTuple):
    """name, the dates as text, and values (N,), equally spaced and without gaps."""
    name: str
    dates: tuple
    values: np.ndarray


# Reading

def read_series(path, season, column=None, gaps=None):
    """A series from a CSV file with a header: dates in its first column, numbers in another.

    season  steps in one season: 12 for months, 7 for days with a weekly rhythm, 1 for none
    column  the name of the column with the numbers; None: the second one
    gaps    None: a missing step or value is an error; "interpolate": it is filled on a straight line

    Dates are 2024-05-31, 2024-05 or 2024. The step is the most frequent distance of two dates.
    Raises ValueError that names the line and what was wanted: no dates, a date twice or out of order, a gap, a
    value that is no number, too few values.
    """
    with open(path, encoding="utf-8-sig", newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if len(header) < 2 or (column is not None and column not in header[1:]):
        raise ValueError(f"{path} has the columns {header}; wanted dates in the first one and "
                         f"{'numbers in the second' if column is None else repr(column)}")
    at = 1 if column is None else header.index(column)
    days, values = [], []
    for number, row in enumerate(rows, 2):
        if not any(cell.strip() for cell in row):
            continue
        days.append(_day(row[0], path, number))
        if len(days) > 1 and days[-1] <= days[-2]:
            raise ValueError(f"{path}, line {number}: {row[0]} comes {'twice' if days[-1] == days[-2] else 'too late'}"
                             "; wanted dates that rise from line to line")
        values.append(_number(row[at] if at < len(row) else "", path, number, gaps))
    series = Series(header[at], *_evenly_spaced(days, np.array(values), path, gaps)) if days else None
    if not days or len(series.values) < SHORTEST * max(season, 4):
        raise ValueError(f"{path} has {len(days)} values; wanted at least {SHORTEST * max(season, 4)}, "
                         f"{SHORTEST} seasons of {max(season, 4)}")
    return series


def _day(text, path, line):
    """A date; of a month or a year its first day."""
    parts = text.strip()[:10].split("-")
    try:
        return date(*map(int, parts + ["1"] * (3 - len(parts))))
    except (ValueError, TypeError):
        raise ValueError(f"{path}, line {line}: {text!r} is no date; wanted 2024-05-31, 2024-05 or 2024") from None


def _number(text, path, line, gaps):
    """The number in a cell; NaN for an empty one where gaps are filled."""
    if not text.strip() and gaps == "interpolate":
        return np.nan
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ValueError(f"{path}, line {line}: {text!r} is no number; wanted one like 3.5"
                         + ("" if text.strip() else ", or gaps='interpolate' to fill it on a straight line"))
    return value


def _evenly_spaced(days, values, path, gaps):
    """(dates as text, values), one for each step, the missing ones filled where gaps says so."""
    apart = np.diff([day.toordinal() for day in days])
    by_month = len(apart) > 0 and np.median(apart) > 27        # months, quarters and years are not so many days
    at = np.array([12 * day.year + day.month if by_month else day.toordinal() for day in days])
    step = int(np.bincount(np.diff(at)).argmax()) if len(at) > 1 else 1
    wanted = np.arange(at[0], at[-1] + 1, step)
    if step == 0 or not np.isin(at, wanted).all():
        odd = next((k for k in range(1, len(at)) if step == 0 or (at[k] - at[0]) % step), 1)
        raise ValueError(f"{path}: {days[odd]} does not fit; wanted one value every {step} "
                         f"{'months' if by_month else 'days'} from {days[0]} on: resample the series first")
    missing = np.setdiff1d(wanted, at)
    if len(missing) and gaps != "interpolate":
        after = days[int(np.searchsorted(at, missing[0])) - 1]
        raise ValueError(f"{path} has a gap after {after} ({len(missing)} missing values in all); wanted none, or "
                         "gaps='interpolate' to fill them on a straight line")
    known = np.isfinite(values)
    filled = np.interp(wanted, at[known], values[known])
    names = [f"{(k - 1) // 12}-{(k - 1) % 12 + 1:02}" if by_month else str(date.fromordinal(int(k))) for k in wanted]
    return tuple(names), filled


# Forecasters: each is fitted on values[:train], and reads values[:origin]

def last_value(values, train, validation, season, horizon):
    """The last value, again and again."""
    return lambda values, origins: np.repeat(values[np.asarray(origins) - 1][:, None], horizon, axis=1)


def seasonal_naive(values, train, validation, season, horizon):
    """The value one season earlier: the baseline that the others are compared with."""
    ahead = np.arange(horizon) % season - season
    return lambda values, origins: values[np.asarray(origins)[:, None] + ahead]


def linear(values, train, validation, season, horizon, past=None):
    """A linear autoregression: each step ahead is a weighted sum of the last `past` values (None: three seasons).

    Each window is taken relative to its last value, so that a level outside the training range does not matter.
    """
    past = past or 3 * season
    x, y, _ = windows(values[:train], past, horizon)
    weights, *_ = np.linalg.lstsq(np.concatenate([x, np.ones((len(x), 1))], axis=1), y, rcond=1e-6)

    def forecast(values, origins):
        x, level = pasts(values, origins, past)
        return np.concatenate([x, np.ones((len(x), 1))], axis=1) @ weights + level
    return forecast


def exponential_smoothing(values, train, validation, season, horizon):
    """Holt and Winters' exponential smoothing with a damped trend and additive seasons, by statsmodels.

    Its smoothing parameters are fitted on values[:validation]; at each origin the state is computed anew.
    """
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    def model(known):
        return ExponentialSmoothing(known, trend="add", damped_trend=True, seasonal="add" if season > 1 else None,
                                    seasonal_periods=season if season > 1 else None,
                                    initialization_method="heuristic")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                        # it warns where the optimum is flat
        found = model(values[:validation]).fit().params
    fixed = {key: found[key] for key in ("smoothing_level", "smoothing_trend", "smoothing_seasonal", "damping_trend")
             if np.isfinite(found.get(key, np.nan))}
    return lambda values, origins: np.stack([model(values[:o]).fit(optimized=False, **fixed).forecast(horizon)
                                             for o in origins])


BASELINES = {"last value": last_value, "seasonal naive": seasonal_naive, "linear": linear,
             "exponential smoothing": exponential_smoothing}


# Windows

def windows(values, past, horizon):
    """Every window of a series: x (N, past) and y (N, horizon), relative to its last value; and that: level (N,).

    Raises ValueError for a series that is shorter than one window.
    """
    N = len(values) - past - horizon + 1
    if N < 1:
        raise ValueError(f"values has {len(values)} numbers; wanted at least past + horizon = {past + horizon}")
    rows = np.lib.stride_tricks.sliding_window_view(values, past + horizon)
    level = rows[:, past - 1]
    return rows[:, :past] - level[:, None], rows[:, past:] - level[:, None], level


def pasts(values, origins, past):
    """The last `past` values before each origin, relative to the very last one: x (N, past); and that: level (N, 1)."""
    x = values[np.asarray(origins)[:, None] + np.arange(-past, 0)]
    return x - x[:, -1:], x[:, -1:]


# Errors

def ends(N, horizon, parts=(0.6, 0.2)):
    """Where training and validation end, and the origins of the test part whose forecasts end inside the series."""
    train, validation = int(N * parts[0]), int(N * sum(parts))
    return train, validation, np.arange(validation, N - horizon + 1)


def absolute_errors(forecast, values, origins, horizon):
    """|forecast - truth| at every origin and step ahead: (len(origins), horizon)."""
    truth = values[np.asarray(origins)[:, None] + np.arange(horizon)]
    return np.abs(forecast(values, origins) - truth)


def skill(errors, baseline, block, rng, draws=1000):
    """By what fraction the mean error is below the baseline's: (low, skill, high), a 95 % interval over origins.

    errors, baseline  (N, horizon), at the same origins
    block             neighbouring origins share most of what they are judged by, so the bootstrap draws blocks of so
                      many of them (moving blocks; Künsch 1989)
    """
    ours, theirs = errors.mean(axis=1), baseline.mean(axis=1)
    N = len(ours)
    starts = rng.integers(0, max(1, N - block + 1), (draws, -(-N // block)))
    rows = (starts[:, :, None] + np.arange(min(block, N))).reshape(draws, -1)[:, :N]
    drawn = 1 - ours[rows].mean(axis=1) / theirs[rows].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(1 - ours.mean() / theirs.mean()), float(high)


class Comparison(NamedTuple):
    """What `compare` found, by model: mean absolute error by step (horizon,), `skill` against seasonal naive."""
    by_step: dict
    skill: dict
    sentence: str


def compare(series, season, horizon, models=None, seed=0):
    """Every model on one series: fitted on its first 0.8, judged at every origin of the last 0.2.

    series  a `Series`, or values (N,)
    models  dict: name -> a forecaster such as `linear`; None: BASELINES

    Returns a `Comparison` with one sentence that says which models beat the seasonal naive forecast, and by how much.
    """
    values = series.values if isinstance(series, Series) else np.asarray(series, float)
    train, validation, origins = ends(len(values), horizon)
    if len(origins) < 2 * season:
        raise ValueError(f"series has {len(values)} values, {len(origins)} of them test origins; wanted at least two "
                         f"seasons of {season}: a longer series, or a shorter horizon than {horizon}")
    errors = {name: absolute_errors(fitted(values, train, validation, season, horizon), values, origins, horizon)
              for name, fitted in ({"seasonal naive": seasonal_naive} | (models or BASELINES)).items()}
    rng = np.random.default_rng(seed)
    found = {name: skill(e, errors["seasonal naive"], max(season, horizon), rng) for name, e in errors.items()
             if name != "seasonal naive"}
    better = [f"{name} by {100 * middle:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"
              for name, (low, middle, high) in sorted(found.items(), key=lambda item: -item[1][1]) if low > 0]
    sentence = ("None of them beats the seasonal naive forecast." if not better else
                f"The seasonal naive forecast is beaten {'; '.join(better)}.")
    return Comparison({name: e.mean(axis=0) for name, e in errors.items()}, found,
                      f"{len(origins)} test origins, {horizon} steps ahead. {sentence}")
