"""Runs over many seeds: saved, resumed, loaded."""

import numpy as np
import pytest

from lstmcourse.lab import trials


@pytest.fixture
def script(tmp_path):
    return tmp_path / "99_demo.py"


JOBS = [{"lag": lag, "seed": seed} for lag in (1, 2) for seed in range(3)]


def test_experiments_run_saves_every_job_in_order(script):
    results = trials.run(script, {"solved": 0.5}, JOBS, lambda lag, seed: {"score": lag + seed / 10})
    assert [run["score"] for run in results["runs"]] == [1.0, 1.1, 1.2, 2.0, 2.1, 2.2]
    assert results == trials.load(script.with_suffix(".json"))
    assert results["solved"] == 0.5


def test_experiments_run_goes_on_after_an_interruption(script):
    done = []

    def one(lag, seed):
        if len(done) == 4 and "again" not in done:
            raise KeyboardInterrupt
        done.append((lag, seed))
        return {"score": 0}
    with pytest.raises(KeyboardInterrupt):
        trials.run(script, {}, JOBS, one)
    done.append("again")
    trials.run(script, {}, JOBS, one)
    assert done == [(1, 0), (1, 1), (1, 2), (2, 0), "again", (2, 1), (2, 2)]


def test_experiments_run_survives_a_half_written_line(script):
    trials.run(script, {}, JOBS[:2], lambda lag, seed: {"score": 0})
    progress = script.with_suffix(".progress")
    progress.write_text('{}\n{"lag": 1, "seed": 0, "score": 7}\n{"lag": 1, "see')
    results = trials.run(script, {}, JOBS[:2], lambda lag, seed: {"score": 8})
    assert [run["score"] for run in results["runs"]] == [7, 8]


def test_experiments_run_starts_again_when_the_settings_changed(script):
    script.with_suffix(".progress").write_text('{"old": 1}\n{"lag": 1, "seed": 0, "score": 7}\n')
    results = trials.run(script, {"old": 2}, JOBS[:1], lambda lag, seed: {"score": 8})
    assert results["runs"][0]["score"] == 8


def test_experiments_select_finds_the_records():
    results = {"runs": [{"lag": 1, "score": 2}, {"lag": 2, "score": 3}]}
    assert trials.select(results, lag=2) == [{"lag": 2, "score": 3}]


@pytest.mark.parametrize(("successes", "low", "high"), [(0, 0.0, 0.2775), (5, 0.2366, 0.7634), (10, 0.7225, 1.0)])
def test_wilson_matches_published_intervals(successes, low, high):
    got = trials.wilson(successes, 10)
    assert abs(got[0] - low) < 1e-4
    assert abs(got[1] - high) < 1e-4


def test_wilson_rejects_impossible_counts():
    with pytest.raises(ValueError, match="successes is 11 of n = 10"):
        trials.wilson(11, 10)


def test_save_weights_and_load_weights_undo_each_other_up_to_float32(tmp_path, rng):
    params = {"rnn": {"W": rng.standard_normal((3, 2))}, "b": np.arange(4.0)}
    trials.save_weights(tmp_path / "a.npz", params)
    trials.save_weights(tmp_path / "b.npz", {"b": np.ones(1)})
    loaded = trials.load_weights(tmp_path / "a.npz")
    assert loaded["rnn"]["W"].dtype == loaded["b"].dtype == "float64"
    np.testing.assert_allclose(loaded["rnn"]["W"], params["rnn"]["W"], rtol=1e-7)
    np.testing.assert_array_equal(loaded["b"], params["b"])


def test_load_weights_names_a_file_that_is_not_the_listed_one(tmp_path):
    trials.save_weights(tmp_path / "a.npz", {"b": np.ones(1)})
    np.savez(tmp_path / "a.npz", b=np.zeros(1, "float32"))
    with pytest.raises(ValueError, match=r"a\.npz is another file"):
        trials.load_weights(tmp_path / "a.npz")
