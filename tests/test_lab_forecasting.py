"""lab/forecasting.py: reading a CSV, forecasters that read no future, errors and their intervals."""

from datetime import date, datetime, timedelta

import numpy as np
import pytest

from lstmcourse.lab import forecasting as f
from lstmcourse.lab.torch_training import Forecaster, recurrent

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
    (lambda rows: rows.__setitem__(4, ["May 2000", 4]), r"line 6: 'May 2000' is not a date; wanted 2024-05-31"),
    (lambda rows: rows.insert(5, list(rows[4])), r"line 7: 2000-05 comes twice; wanted dates that rise"),
    (lambda rows: rows.insert(9, list(rows[4])), r"line 11: 2000-05 comes after a later date"),
    (lambda rows: rows.pop(20), r"has a gap after 2001-08 \(1 missing in all\); wanted none, or gaps="),
    (lambda rows: rows[7].__setitem__(1, "n/a"), r"line 9: 'n/a' is not a number; wanted one like 3.5"),
    (lambda rows: rows[7].__setitem__(1, "inf"), r"line 9: 'inf' is not a number"),
    (lambda rows: rows[7].__setitem__(1, ""), r"line 9: '' is not a number.*gaps='interpolate'"),
    (lambda rows: rows.__delitem__(slice(30, None)), r"has 30 values; wanted at least 60, 5 seasons of 12")])
def test_bad_input_is_named_with_its_line(tmp_path, change, message):
    rows = monthly()
    change(rows)
    with pytest.raises(ValueError, match=message):
        f.read_series(written(tmp_path / "a.csv", rows), season=12)


def daily(N=40, write="{:%Y-%m-%d}"):
    return [[write.format(datetime(2023, 1, 1) + timedelta(k)), f"{k}.5"] for k in range(N)]


def read_text(path, text, **options):
    path.write_text(text, encoding="utf-8")
    return f.read_series(path, season=7, **options)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_semicolons_or_tabs_with_day_first_dates_and_decimal_commas(tmp_path, separator):
    rows = [["Datum", "Umsatz", "Kunden"], *([day, number.replace(".", ","), "1"]
                                             for day, number in daily(write="{:%d.%m.%Y}"))]
    series = read_text(tmp_path / "a.csv", "\n".join(map(separator.join, rows)), dates="%d.%m.%Y", decimal=",")
    assert series.dates[:2] == ("2023-01-01", "2023-01-02")
    assert (series.name, series.values[3]) == ("Umsatz", 3.5)


def test_hours_are_steps_and_a_time_zone_is_counted_in(tmp_path):
    summer = ["2023-10-29T00:30+02:00", "2023-10-29T01:30+02:00", "2023-10-29T02:30+02:00", "2023-10-29T02:30+01:00",
              "2023-10-29T03:30+01:00"]                         # the clock is put back, and 02:30 comes twice
    late = [f"2023-10-{29 + (k + 4) // 24} {(k + 4) % 24:02}:30+01:00" for k in range(20)]
    rows = [f"{when},{k}" for k, when in enumerate(summer + late)]
    series = f.read_series(written(tmp_path / "a.csv", [row.split(",") for row in rows]), season=4)
    assert len(series.values) == 25
    assert series.dates[:4] == tuple(f"2023-10-{day}:30:00" for day in ("28T22", "28T23", "29T00", "29T01"))


def test_every_fourth_week_is_no_month(tmp_path):
    days = [str(date(2001, 1, 1) + timedelta(28 * k)) for k in range(30)]
    series = f.read_series(written(tmp_path / "a.csv", monthly(range(30), days)), season=1)
    assert (series.dates[1], len(series.values)) == ("2001-01-29", 30)


@pytest.mark.parametrize(("change", "message"), [
    (lambda text: text.replace("2023-01-09", "09/01/2023"), r"line 10: '09/01/2023' is not a date.*dates='%d/%m/%Y'"),
    (lambda text: text.replace("8.5", '"8,5"'), r"line 10: '8,5' is not a number.*\(decimal=',' for 3,5\)"),
    (lambda text: text.replace("8.5", "8.5 kg"), r"line 10: '8.5 kg' is not a number; .*without a unit or"),
    (lambda text: text.replace("8.5", "closed"), r"line 10: 'closed' is not a number"),
    (lambda text: text.replace("8.5", "NA"), r"line 10: 'NA' is not a number.*gaps='interpolate'"),
    (lambda text: text.removeprefix("day,sales\n"), r"begins with \['2023-01-01', '0.5'\]; wanted the names of the"),
    (lambda text: "\n".join(line.split(",")[0] for line in text.splitlines()), r"has the columns \['day'\]"),
    (lambda text: text.replace("2023-01-09", "2023-01-09 07:00"), r"2023-01-09T07:00:00 does not fit")])
def test_what_spoils_a_daily_file_is_named(tmp_path, change, message):
    text = "\n".join(["day,sales", *map(",".join, daily())])
    with pytest.raises(ValueError, match=message):
        read_text(tmp_path / "a.csv", change(text))


def test_a_date_or_number_that_is_not_written_as_told_is_named(tmp_path):
    text = "\n".join(["day;sales", *map(";".join, daily(write="{:%d.%m.%Y}"))])
    with pytest.raises(ValueError, match=r"line 14: '13.01.2023' is not a date; wanted one written as '%m.%d.%Y'"):
        read_text(tmp_path / "a.csv", "\n".join(["day;sales", *(f"{d:%d.%m.%Y};1" for d in (
            datetime(2023, month, 1) for month in range(1, 13))), "13.01.2023;1"]), dates="%m.%d.%Y")
    with pytest.raises(ValueError, match=r"line 2: '0.5' is not a number; wanted one like 3,5, without a unit"):
        read_text(tmp_path / "a.csv", text, dates="%d.%m.%Y", decimal=",")


def test_a_file_that_is_no_utf8_text_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes("day,Verkäufe".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a.csv is not text in UTF-8; wanted a CSV file.*'CSV UTF-8'"):
        f.read_series(tmp_path / "a.csv", season=7)


def test_a_short_series_without_a_season_is_told_how_many_values_it_needs(tmp_path):
    with pytest.raises(ValueError, match=r"has 12 values; wanted at least 20$"):
        f.read_series(written(tmp_path / "a.csv", daily(12)), season=1)


def test_a_column_without_a_number_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no number in the column"):
        f.read_series(written(tmp_path / "a.csv", [[day, ""] for day, _ in daily()]), season=7, gaps="interpolate")


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


def test_compare_says_who_beats_the_seasonal_naive_forecast_and_who_does_not():
    values = 5 * np.sin(2 * np.pi * np.arange(200) / 12) + 0.3 * np.random.default_rng(0).standard_normal(200)
    found = f.compare(values, 12, 12, {"last value": f.last_value, "linear": f.linear})
    (low, middle, high), (_, worse, _) = found.skill["linear"], found.skill["last value"]
    assert found.sentence.startswith("29 test origins, 12 steps ahead, 95 % intervals in brackets: linear beats the "
                                     f"seasonal naive forecast by {100 * middle:.0f} % "
                                     f"[{100 * low:.0f}, {100 * high:.0f}]; last value "
                                     f"({100 * worse:.0f} % [")
    assert found.sentence.endswith("]) does not.")
    assert list(found.by_step) == ["seasonal naive", "last value", "linear"]
    assert worse < 0 < low


def test_the_sentence_lists_several_models():
    one, two = (0.1, 0.2, 0.3), (-0.1, 0.0, 0.1)
    assert f._sentence({"a": one, "b": one}) == ("a beats the seasonal naive forecast by 20 % [10, 30] and b by 20 % "
                                                 "[10, 30].")
    assert f._sentence({"a": one, "b": two, "c": two}).endswith("[10, 30]; b (0 % [-10, 10]) and c (0 % [-10, 10]) "
                                                                "do not.")


def test_compare_says_that_none_does():
    noise = np.random.default_rng(0).standard_normal(300)
    assert "no model beats the seasonal naive forecast: seasonal (0 % [" in f.compare(
        noise, 1, 4, {"seasonal": f.last_value}).sentence


@pytest.mark.parametrize(("N", "season", "horizon", "message"), [
    (60, 12, 12, "series has 60 values, 1 of them test origins; wanted at least two seasons of 12: 175 values$"),
    (100, 7, 12, "9 of them test origins; .*: 125 values, or a horizon of at most 7 in place of 12")])
def test_compare_refuses_a_series_with_too_few_origins(N, season, horizon, message):
    values = np.random.default_rng(0).standard_normal(N)
    with pytest.raises(ValueError, match=message):
        f.compare(values, season, horizon)
    enough = np.random.default_rng(0).standard_normal(5 * (2 * season + horizon - 1))
    assert f.compare(enough, season, horizon, {"last": f.last_value}).sentence


def test_compare_refuses_a_series_that_repeats_itself():
    with pytest.raises(ValueError, match="series repeats itself every 7 steps.*something to gain"):
        f.compare(np.tile(np.arange(7.0), 40), 7, 7)


# The next steps

def test_the_next_steps_have_the_dates_that_follow_and_the_models_forecast(tmp_path):
    series = f.read_series(written(tmp_path / "a.csv", monthly(np.arange(60) % 12)), season=12)
    found = f.next_steps(series, 12, 3, f.seasonal_naive)
    assert found.dates == ("2005-01", "2005-02", "2005-03")
    assert found.values.tolist() == found.low.tolist() == found.high.tolist() == [0, 1, 2]


def test_the_interval_of_the_next_steps_holds_the_fraction_of_errors_that_was_asked_for():
    values = np.cumsum(np.random.default_rng(0).standard_normal(3000))
    found = f.next_steps(values, 1, 2, f.last_value, coverage=0.8)
    origins = f.ends(3000, 2)[2]
    errors = values[origins[:, None] + np.arange(2)] - values[origins - 1][:, None]
    inside = (errors >= found.low - found.values) & (errors <= found.high - found.values)
    assert np.allclose(inside.mean(axis=0), 0.8, atol=0.01)
    assert (found.dates, found.values.tolist()) == (("+1", "+2"), [values[-1]] * 2)


def test_the_next_steps_of_a_short_series_are_refused():
    with pytest.raises(ValueError, match="6 of them test origins; wanted at least 10 for an interval"):
        f.next_steps(np.arange(40.0), 4, 3, f.last_value)


# A network of one's own

def test_a_class_of_ones_own_is_trained_as_ours_is():
    class Own(Forecaster):
        def __init__(self, hidden, horizon):
            super().__init__("gru", hidden, horizon)

    values = wave()
    own, ours = (recurrent(kind, 0, hidden=4, epochs=2)(values, 120, 160, 12, 5) for kind in (Own, "gru"))
    assert np.array_equal(own(values, [170]), ours(values, [170]))
