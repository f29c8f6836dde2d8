"""lab/forecasting.py: reading a CSV, forecasters that read no future, errors and their intervals."""

import numpy as np
import pytest

from lstmcourse.lab import forecasting as f
from lstmcourse.lab.torch_training import recurrent

MONTHS = [f"{2000 + k // 12}-{k % 12 + 1:02}" for k in range(60)]


def written(path, rows, header="month,sales"):
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return path


def monthly(values=range(60), months=MONTHS):
    return [list(row) for row in zip(months, values, strict=True)]


def test_a_csv_is_read_with_its_name_dates_and_numbers(tmp_path):
    series = f.read_series(written(tmp_path / "a.csv", monthly()), season=12)
    assert (series.name, series.dates[:2]) == ("sales", ("2000-01", "2000-02"))
    assert series.values.tolist() == list(range(60))


@pytest.mark.parametrize(("days", "season"), [
    ([f"2001-{1 + k // 28:02}-{1 + k % 28:02}" for k in range(28)], 4), ([str(1900 + k) for k in range(28)], 1),
    ([f"{2000 + k // 4}-{3 * (k % 4) + 1:02}" for k in range(28)], 4)])
def test_days_quarters_and_years_are_steps_too(tmp_path, days, season):
    assert len(f.read_series(written(tmp_path / "a.csv", monthly(range(28), days)), season).values) == 28


def test_another_column_is_read_by_its_name(tmp_path):
    rows = [[month, "x", k / 2] for k, month in enumerate(MONTHS)]
    series = f.read_series(written(tmp_path / "a.csv", rows, "month,shop,sales"), season=12, column="sales")
    assert series.values[3] == 1.5


@pytest.mark.parametrize(("change", "message"), [
    (lambda rows: rows.__setitem__(4, ["May 2000", 4]), r"line 6: 'May 2000' is no date; wanted 2024-05-31"),
    (lambda rows: rows.insert(5, list(rows[4])), r"line 7: 2000-05 comes twice; wanted dates that rise"),
    (lambda rows: rows.insert(9, list(rows[4])), r"line 11: 2000-05 comes too late"),
    (lambda rows: rows.pop(20), r"has a gap after 2001-08-01 \(1 missing values in all\); wanted none, or gaps="),
    (lambda rows: rows[7].__setitem__(1, "n/a"), r"line 9: 'n/a' is no number; wanted one like 3.5"),
    (lambda rows: rows[7].__setitem__(1, "inf"), r"line 9: 'inf' is no number"),
    (lambda rows: rows[7].__setitem__(1, ""), r"line 9: '' is no number.*gaps='interpolate'"),
    (lambda rows: rows.__delitem__(slice(30, None)), r"has 30 values; wanted at least 60, 5 seasons of 12")])
def test_bad_input_is_named_with_its_line(tmp_path, change, message):
    rows = monthly()
    change(rows)
    with pytest.raises(ValueError, match=message):
        f.read_series(written(tmp_path / "a.csv", rows), season=12)


def test_a_column_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"has the columns \['month', 'sales'\]; wanted dates .* and 'price'"):
        f.read_series(written(tmp_path / "a.csv", monthly()), season=12, column="price")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(ValueError, match=r"has the columns \[\]"):
        f.read_series(tmp_path / "a.csv", season=12)


def test_unequal_steps_are_refused(tmp_path):
    days = [f"2001-01-{k:02}" for k in range(1, 28, 2)] + [f"2001-02-{k:02}" for k in range(1, 28, 2)]
    with pytest.raises(ValueError, match=r"2001-02-01 does not fit|gap after"):
        f.read_series(written(tmp_path / "a.csv", monthly(range(28), days)), season=4)


def test_gaps_are_filled_on_a_straight_line(tmp_path):
    rows = monthly()
    rows[7][1] = ""
    rows.pop(20)
    series = f.read_series(written(tmp_path / "a.csv", rows), season=12, gaps="interpolate")
    assert np.allclose(series.values, range(60))


# Forecasters

def wave(N=200, season=12):
    t = np.arange(N)
    return 0.1 * t + np.sin(2 * np.pi * t / season) + 0.1 * np.random.default_rng(0).standard_normal(N)


FORECASTERS = f.BASELINES | {"GRU": recurrent("gru", 0, hidden=4, epochs=2), "LSTM": recurrent("lstm", 0, 4, epochs=2)}


@pytest.mark.parametrize("name", FORECASTERS)
def test_a_forecast_does_not_move_when_the_future_does(name):
    values, season, horizon = wave(), 12, 5
    train, validation, _ = f.ends(len(values), horizon)
    forecast = FORECASTERS[name](values, train, validation, season, horizon)
    other = values.copy()
    other[170:] += 100
    assert np.array_equal(forecast(values, [160, 170]), forecast(other, [160, 170]))


@pytest.mark.parametrize("name", FORECASTERS)
def test_a_forecaster_learns_nothing_from_the_test_part(name):
    values, horizon = wave(), 5
    train, validation, _ = f.ends(len(values), horizon)
    other = values.copy()
    other[validation:] += np.random.default_rng(1).standard_normal(len(values) - validation)
    one, two = (FORECASTERS[name](v, train, validation, 12, horizon) for v in (values, other))
    assert np.array_equal(one(values, [validation]), two(values, [validation]))


def test_the_simple_forecasts_are_what_they_are_called():
    values = np.arange(40.0)
    last, season = (fitted(values, 20, 30, 4, 6) for fitted in (f.last_value, f.seasonal_naive))
    assert last(values, [30]).tolist() == [[29] * 6]
    assert season(values, [30]).tolist() == [[26, 27, 28, 29, 26, 27]]


def test_the_linear_forecast_continues_a_line_and_a_season_outside_the_training_range():
    t = np.arange(300)
    values = 0.5 * t + 3 * np.sin(2 * np.pi * t / 12)
    forecast = f.linear(values, 150, 200, 12, 12)
    assert np.abs(forecast(values, [250])[0] - values[250:262]).max() < 1e-6


def test_exponential_smoothing_continues_a_season():
    t = np.arange(300)
    values = 5 + 3 * np.sin(2 * np.pi * t / 12)
    assert np.abs(f.exponential_smoothing(values, 150, 200, 12, 12)(values, [250])[0] - values[250:262]).max() < 0.01


# Windows and errors

def test_windows_are_relative_to_their_last_value():
    x, y, level = f.windows(np.array([1.0, 2.0, 4.0, 8.0, 16.0]), past=2, horizon=2)
    assert (x.tolist(), y.tolist(), level.tolist()) == ([[-1, 0], [-2, 0]], [[2, 6], [4, 12]], [2, 4])


def test_a_series_shorter_than_a_window_is_refused():
    with pytest.raises(ValueError, match="values has 3 numbers; wanted at least past \\+ horizon = 4"):
        f.windows(np.zeros(3), 2, 2)


def test_origins_begin_at_the_test_part_and_end_inside_the_series():
    train, validation, origins = f.ends(100, horizon=7)
    assert (train, validation, origins[0], origins[-1] + 7) == (60, 80, 80, 100)


def test_errors_are_those_of_each_origin_and_step():
    values = np.arange(10.0)
    errors = f.absolute_errors(f.last_value(values, 0, 0, 1, 3), values, [4, 6], 3)
    assert errors.tolist() == [[1, 2, 3], [1, 2, 3]]


def test_skill_is_the_fraction_by_which_the_error_is_lower():
    rng = np.random.default_rng(0)
    baseline = np.abs(rng.standard_normal((60, 3))) + 1
    low, middle, high = f.skill(0.75 * baseline, baseline, 6, rng)
    assert np.allclose([low, middle, high], 0.25)


def test_skill_of_noise_has_an_interval_around_zero_that_grows_with_the_block():
    rng = np.random.default_rng(0)
    slow = np.repeat(np.abs(rng.standard_normal((20, 1))), 12, axis=0) + 1       # neighbours share their error
    other = np.repeat(np.abs(rng.standard_normal((20, 1))), 12, axis=0) + 1
    narrow, wide = (f.skill(slow, other, block, np.random.default_rng(1)) for block in (1, 12))
    assert wide[0] < 0 < wide[2]
    assert wide[2] - wide[0] > 2 * (narrow[2] - narrow[0])


def test_compare_says_who_beats_the_seasonal_naive_forecast():
    values = 5 * np.sin(2 * np.pi * np.arange(200) / 12) + 0.3 * np.random.default_rng(0).standard_normal(200)
    found = f.compare(values, 12, 12, {"last value": f.last_value, "linear": f.linear})
    assert "29 test origins, 12 steps ahead. The seasonal naive forecast is beaten linear by" in found.sentence
    assert "last value" not in found.sentence
    assert list(found.by_step) == ["seasonal naive", "last value", "linear"]
    assert found.skill["last value"][1] < 0 < found.skill["linear"][0]


def test_compare_says_that_none_does():
    noise = np.random.default_rng(0).standard_normal(300)
    assert "None of them beats" in f.compare(noise, 1, 4, {"seasonal": f.last_value}).sentence


def test_compare_refuses_a_series_with_too_few_origins():
    with pytest.raises(ValueError, match="series has 60 values, 1 of them test origins"):
        f.compare(np.zeros(60), 12, 12)
