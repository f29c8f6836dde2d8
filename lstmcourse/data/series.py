"""Three real series that statsmodels ships, in the public domain, and a made one.

co2       carbon dioxide in the air at Mauna Loa, parts per million, monthly means 1958 to 2001 (Keeling and Whorf)
elnino    temperature of the sea surface off Peru, °C, monthly 1950 to 2010 (NOAA, ERSST.V3B)
sunspots  sunspots, yearly 1700 to 2008 (NOAA); their cycle is about 11 years long
"""

import hashlib
import importlib.util
import pathlib

import numpy as np

SHA256 = {"co2": "16695fa2786e53414e5a6b54767a3fdf5de99cfbc68617f69d1362d92776a92f",
          "elnino": "b647be00e0fd264be9764e317e6b963f35030014ecca2b21b204521716e463ad",
          "sunspots": "f67889b1d9002cd5227f0e0ef54e35b419cdd85a31279adef6f73fb41e5c0a9b"}
SEASONS = {"co2": 12, "elnino": 12, "sunspots": 11}


def real_series(name):
    """(values (N,), season) of "co2", "elnino" or "sunspots".

    Raises ValueError for another name, and for a file that is not, to the byte, the one whose SHA-256 is listed here.
    """
    if name not in SEASONS:
        raise ValueError(f"name is {name!r}; wanted one of {sorted(SEASONS)}")
    folder = pathlib.Path(importlib.util.find_spec("statsmodels").origin).parent / "datasets"
    data = (folder / name / f"{name}.csv").read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256[name]:
        raise ValueError(f"{name}.csv of statsmodels is another file; wanted the one whose SHA-256 is {SHA256[name]}: "
                         "install the version that constraints.txt names")
    rows = [line.strip().replace('"', "").split(",") for line in data.decode().splitlines()[1:]]
    if name == "co2":
        return _monthly_means(rows), SEASONS[name]
    return np.array([float(cell) for row in rows for cell in row[1:]]), SEASONS[name]


def _monthly_means(rows):
    """Weekly values (date, number; missing ones empty) as means of months, a missing month on a straight line."""
    months = {}
    for day, value in rows:
        kept = months.setdefault(day[:6], [])
        if value:
            kept.append(float(value))
    means = np.array([np.mean(kept) if kept else np.nan for kept in months.values()])
    known = np.isfinite(means)
    return np.interp(np.arange(len(means)), np.flatnonzero(known), means[known])


def mackey_glass(N, rng, delay=17, every=3):
    """A chaotic series (Mackey and Glass 1977): dx/dt = 0.2 x(t - delay) / (1 + x(t - delay)^10) - 0.1 x.  (N,)

    From a random start, every third step of Euler's method with step 1; the first 300 values are left out.
    """
    steps = (N + 300) * every
    x = np.empty(steps + delay)
    x[:delay] = rng.uniform(0.8, 1.2, delay)
    for t in range(delay, steps + delay):
        x[t] = 0.9 * x[t - 1] + 0.2 * x[t - delay] / (1 + x[t - delay]**10)
    return x[delay + 300 * every::every][:N]
