"""Forecasts of one series, several steps ahead: reading a CSV, splitting by time, baselines, errors by horizon.

A forecaster is fitted on the first values and then asked at origins:

    forecast = seasonal_naive(values, train, validation, season, horizon)
    forecast(values, origins)        (len(origins), horizon): at origin o it reads values[:o] and no more

train and validation are ends: values[:train] may be learned from, values[train:validation] decide when to stop.
"""

import csv
import pathlib
import re
import warnings
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

SHORTEST = 5                                     # seasons: with fewer there is nothing to learn a season from
LEVEL = 0.95                                     # of the intervals of `skill`


class Series(NamedTuple):
    """name, the dates as text, and values (N,), equally spaced and without gaps."""
    name: str
    dates: tuple
    values: np.ndarray


# Reading

def read_series(path, season, column=None, gaps=None, dates=None, decimal="."):
    """A series from a CSV file with a header: dates in its first column, numbers in another.

    season   steps in one season: 12 for months, 7 for days with a weekly rhythm, 24 for hours with a daily one, 1: none
    column   the name of the column with the numbers; None: the second one. All other columns are left out
    gaps     None: a missing step or value is an error; "interpolate": it is filled on a straight line
    dates    how a date is written, as in `datetime.strptime`: "%d.%m.%Y", "%m/%d/%Y %H:%M"; None: 2024-05-31,
             2024-05-31 13:00, 2024-05 or 2024
    decimal  "," where numbers are written 3,5

    Columns are parted by commas, semicolons or tabs. The step is the most frequent distance of two dates.
    Raises ValueError that names the line and what was wanted: no text, no header, no dates, a date twice or out of
    order, a gap, a value that is not a number, too few values.
    """
    header, *rows = _table(path)
    if len(header) < 2 or (column is not None and column not in header[1:]):
        raise ValueError(f"{path} has the columns {header}; wanted dates in the first one and "
                         f"{'numbers in the second' if column is None else repr(column)}")
    if _time(header[0], dates):
        raise ValueError(f"{path} begins with {header}; wanted the names of the columns in its first line")
    at = 1 if column is None else header.index(column)
    times, values = _dates_and_numbers(rows, at, path, gaps, dates, decimal)
    wanted = SHORTEST * season if season > 3 else 20
    series = Series(header[at], *_evenly_spaced(times, values, path, gaps)) if times else None
    if not times or len(series.values) < wanted:
        raise ValueError(f"{path} has {len(times)} values; wanted at least {wanted}"
                         + (f", {SHORTEST} seasons of {season}" if season > 3 else ""))
    return series


def _dates_and_numbers(rows, at, path, gaps, dates, decimal):
    """The first column as times, and column `at` as numbers."""
    times, values = [], []
    for number, row in enumerate(rows, 2):
        if not any(row):
            continue
        where = f"{path}, line {number}"
        times.append(_time(row[0], dates))
        if times[-1] is None:
            raise ValueError(f"{where}: {row[0]!r} is not a date; wanted " + (
                "2024-05-31, 2024-05-31 13:00, 2024-05 or 2024 in the first column, or its pattern: dates='%d/%m/%Y'"
                if dates is None else f"one written as {dates!r}"))
        if len(times) > 1 and times[-1] <= times[-2]:
            raise ValueError(f"{where}: {row[0]} comes {'twice' if times[-1] == times[-2] else 'after a later date'}"
                             "; wanted dates that rise from line to line")
        values.append(_number(row[at] if at < len(row) else "", decimal, gaps, where))
    return times, np.array(values)


def _table(path):
    """The rows of a CSV file, its header first."""
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text in UTF-8; wanted a CSV file: a spreadsheet program saves one as "
                         "'CSV UTF-8'") from None
    parted_by = max(",;\t", key=lines[0].count) if lines else ","
    return [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=parted_by)] or [[]]


def _time(text, pattern):
    """When: of a month or a year its first day, with a time zone in UTC; None where it is not a date."""
    short = re.fullmatch(r"(\d{4})(?:-(\d\d?))?(?:-(\d\d?))?", text)
    try:
        if pattern is None and short:
            return datetime(*(int(part or 1) for part in short.groups()))
        when = datetime.fromisoformat(text) if pattern is None else datetime.strptime(text, pattern)
    except ValueError:
        return None
    return when.astimezone(UTC).replace(tzinfo=None) if when.tzinfo else when


def _number(text, decimal, gaps, where):
    """The number in a cell; NaN for a missing one where gaps are filled."""
    missing = text.lower() in ("", "na", "n/a", "nan", "null")
    if missing and gaps == "interpolate":
        return np.nan
    try:
        value = np.nan if decimal != "." and "." in text else float(text.replace(decimal, "."))
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        example = "3.5" if decimal == "." else f"3{decimal}5"
        also = " (decimal=',' for 3,5)" if re.fullmatch(r"-?\d+,\d+", text) and decimal == "." else ""
        raise ValueError(f"{where}: {text!r} is not a number; wanted one like {example}" + (
            ", or gaps='interpolate' to fill it on a straight line" if missing else
            f", without a unit or a thousands separator{also}"))
    return value


def _evenly_spaced(times, values, path, gaps):
    """(dates as text, values), one for each step, the missing ones filled where gaps says so."""
    at, unit = np.array(times, "datetime64[s]"), "s"
    months = at.astype("datetime64[M]")                # months, quarters and years are not so many days
    if len(at) > 1 and np.median(np.diff(at)) > np.timedelta64(27, "D") and (np.diff(months).astype(int) > 0).all():
        at, unit = months, "M"
    elif (at == at.astype("datetime64[D]")).all():
        at, unit = at.astype("datetime64[D]"), "D"
    steps, counts = np.unique(np.diff(at), return_counts=True)
    step = steps[counts.argmax()] if len(steps) else np.timedelta64(1, unit)
    wanted = np.arange(at[0], at[-1] + step, step)
    fits = np.isin(at, wanted)
    if not fits.all():
        raise ValueError(f"{path}: {at[~fits][0]} does not fit; wanted one value every {step} from {at[0]} on: "
                         "resample the series first")
    missing = np.setdiff1d(wanted, at)
    if len(missing) and gaps != "interpolate":
        raise ValueError(f"{path} has a gap after {missing[0] - step} ({len(missing)} missing in all); wanted "
                         "none, or gaps='interpolate' to fill them on a straight line")
    known = np.isfinite(values)
    if not known.any():
        raise ValueError(f"{path} has no number in the column; wanted one on each line")
    filled = np.interp(wanted.astype(int), at[known].astype(int), values[known])
    return tuple(map(str, wanted)), filled


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
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(1 - ours.mean() / theirs.mean()), float(high)


class Comparison(NamedTuple):
    """What `compare` found, by model: mean absolute error by step (horizon,), `skill` against seasonal naive."""
    by_step: dict
    skill: dict
    sentence: str


def compare(series, season, horizon, models=None, seed=0):
    """Every model on one series: fitted on its first 0.6 (smoothing: 0.8), judged at every origin of the last 0.2.

    series  a `Series`, or values (N,)
    models  dict: name -> a forecaster such as `linear`; None: BASELINES

    Returns a `Comparison` with one sentence that says which models beat the seasonal naive forecast, and by how much.
    """
    values = _values(series)
    train, validation, origins = ends(len(values), horizon)
    if len(origins) < 2 * season:
        longest, enough = len(origins) + horizon - 2 * season, 5 * (2 * season + horizon - 1)
        raise ValueError(f"series has {len(values)} values, {len(origins)} of them test origins; wanted at least two "
                         f"seasons of {season}: {enough} values"
                         + (f", or a horizon of at most {longest} in place of {horizon}" if longest > 0 else ""))
    errors = {name: absolute_errors(fitted(values, train, validation, season, horizon), values, origins, horizon)
              for name, fitted in ({"seasonal naive": seasonal_naive} | (models or BASELINES)).items()}
    naive = errors["seasonal naive"]
    if not naive.any():
        raise ValueError(f"series repeats itself every {season} steps, so the seasonal naive forecast makes no error; "
                         "wanted one in which there is something to gain")
    rng = np.random.default_rng(seed)
    found = {name: skill(e, naive, max(season, horizon), rng) for name, e in errors.items() if name != "seasonal naive"}
    return Comparison({name: e.mean(axis=0) for name, e in errors.items()}, found,
                      f"{len(origins)} test origins, {horizon} steps ahead, {100 * LEVEL:.0f} % intervals in brackets: "
                      f"{_sentence(found)}")


def _values(series):
    return series.values if isinstance(series, Series) else np.asarray(series, float)


def _sentence(found):
    """Which models beat the seasonal naive forecast, by how much; and the others."""
    def listed(parts):
        return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))

    won, others = [], []
    for name, (low, middle, high) in sorted(found.items(), key=lambda item: -item[1][1]):
        gain = f"{100 * middle:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"
        if low > 0:
            won.append(f"{name} by {gain}" if won else f"{name} beats the seasonal naive forecast by {gain}")
        else:
            others.append(f"{name} ({gain})")
    if not won:
        return f"no model beats the seasonal naive forecast: {listed(others)}."
    return listed(won) + (f"; {listed(others)} {'does' if len(others) == 1 else 'do'} not." if others else ".")


class Ahead(NamedTuple):
    """The steps that come after a series: their dates as text, the forecast and its interval, (horizon,) each."""
    dates: tuple
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray


def next_steps(series, season, horizon, fitted, coverage=0.9):
    """The forecast of what comes after the series ends, by one of the models of `compare`.

    fitted    a forecaster such as `linear`, fitted as `compare` does it
    coverage  the interval holds this fraction of the model's errors at the test origins, at each step ahead

    Returns an `Ahead`; dates of values without dates are "+1", "+2", …
    """
    values = _values(series)
    train, validation, origins = ends(len(values), horizon)
    if len(origins) < 10:
        raise ValueError(f"series has {len(values)} values, {len(origins)} of them test origins; wanted at least 10 "
                         "for an interval: a longer series or a shorter horizon")
    forecast = fitted(values, train, validation, season, horizon)
    errors = values[origins[:, None] + np.arange(horizon)] - forecast(values, origins)
    ahead = forecast(values, [len(values)])[0]
    low, high = np.quantile(errors, [(1 - coverage) / 2, (1 + coverage) / 2], axis=0)
    if isinstance(series, Series):
        before, last = map(np.datetime64, series.dates[-2:])
        dates = tuple(str(last + (k + 1) * (last - before)) for k in range(horizon))
    else:
        dates = tuple(f"+{k + 1}" for k in range(horizon))
    return Ahead(dates, ahead, ahead + low, ahead + high)
