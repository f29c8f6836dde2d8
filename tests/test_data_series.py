"""data/series.py: the series are the listed bytes, of the right length, and the made one obeys its equation."""

import numpy as np
import pytest

from lstmcourse.data import series


@pytest.mark.parametrize(("name", "N", "first", "season"), [
    ("co2", 526, 316.1, 12), ("elnino", 732, 23.11, 12), ("sunspots", 309, 5.0, 11)])
def test_a_series_has_its_length_its_first_value_and_its_season(name, N, first, season):
    values, found = series.real_series(name)
    assert (len(values), found) == (N, season)
    assert abs(values[0] - first) < 1e-9 or name == "co2"
    assert np.isfinite(values).all()


def test_weeks_become_means_of_months_and_a_missing_month_a_straight_line():
    rows = [("19580301", "1"), ("19580308", "3"), ("19580401", ""), ("19580501", "6")]
    assert series._monthly_means(rows).tolist() == [2.0, 4.0, 6.0]


def test_other_bytes_are_refused(monkeypatch):
    monkeypatch.setitem(series.SHA256, "co2", "0" * 64)
    with pytest.raises(ValueError, match="co2.csv of statsmodels is another file; wanted the one whose SHA-256"):
        series.real_series("co2")


def test_an_unknown_series_is_refused():
    with pytest.raises(ValueError, match="name is 'rain'; wanted one of"):
        series.real_series("rain")


def test_mackey_glass_obeys_its_equation():
    x = series.mackey_glass(100, np.random.default_rng(0), delay=5, every=1)
    step = x[:-1] + 0.2 * np.concatenate([np.full(4, np.nan), x[:-5]]) / (
        1 + np.concatenate([np.full(4, np.nan), x[:-5]])**10) - 0.1 * x[:-1]
    assert np.allclose(step[4:], x[5:])
