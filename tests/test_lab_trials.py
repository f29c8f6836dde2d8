"""Runs over many seeds: saved, resumed, loaded."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from lstmcourse.lab import trials


@pytest.fixture
def script(tmp_path):
    return tmp_path / "99_demo.py"


JOBS = [{"lag": lag, "seed": seed} for lag in (1, 2) for seed in range(3)]


def test_trials_run_saves_every_job_in_order(script):
    results = trials.run(script, {"solved": 0.5}, JOBS, lambda lag, seed: {"score": lag + seed / 10})
    assert [run["score"] for run in results["runs"]] == [1.0, 1.1, 1.2, 2.0, 2.1, 2.2]
    assert results == trials.load(script.with_suffix(".json"))
    assert results["solved"] == 0.5


def test_trials_run_goes_on_after_an_interruption(script):
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


def interrupted(script, settings, jobs, after, score):
    """Start a run that is stopped after some jobs, as the power cut would."""
    done = []

    def one(lag, seed):
        if len(done) == after:
            raise KeyboardInterrupt
        done.append((lag, seed))
        return {"score": score}
    with pytest.raises(KeyboardInterrupt):
        trials.run(script, settings, jobs, one)


def scores(script, settings, jobs, score):
    """The scores of a run whose own are all `score`."""
    return [run["score"] for run in trials.run(script, settings, jobs, lambda lag, seed: {"score": score})["runs"]]


def test_trials_run_survives_a_half_written_line(script):
    interrupted(script, {}, JOBS[:2], 1, 7)
    with open(script.with_suffix(".progress"), "a") as file:
        file.write('\n["0123", "{\\"lag')
    interrupted(script, {}, JOBS[:3], 1, 8)
    assert scores(script, {}, JOBS[:3], 9) == [7, 8, 9]


def test_trials_run_writes_each_record_at_once(script):
    def one(lag, seed):
        lines = script.with_suffix(".progress").read_text().split() if script.with_suffix(".progress").exists() else []
        return {"before": sum("score" in line or "before" in line for line in lines)}
    assert [run["before"] for run in trials.run(script, {}, JOBS[:3], one)["runs"]] == [0, 1, 2]


def test_trials_run_starts_again_when_the_settings_changed(script):
    interrupted(script, {"old": 1}, JOBS[:2], 1, 7)
    assert scores(script, {"old": 2}, JOBS[:2], 8) == [8, 8]


def test_trials_run_starts_again_when_the_script_changed(script):
    script.write_text("old")
    interrupted(script, {}, JOBS[:2], 1, 7)
    script.write_text("new")
    assert scores(script, {}, JOBS[:2], 8) == [8, 8]


def test_trials_run_uses_again_what_its_own_version_has_left(script):
    script.write_text("old")
    interrupted(script, {}, JOBS[:2], 1, 7)
    script.write_text("new")
    interrupted(script, {}, JOBS[:2], 1, 8)
    script.write_text("old")
    assert scores(script, {}, JOBS[:2], 9) == [7, 9]


def test_trials_run_tells_a_job_from_one_that_says_more(script):
    jobs = [{"lag": 1, "seed": 0}, {"lag": 1}]
    results = trials.run(script, {}, jobs, lambda lag, seed=5: {"score": seed})
    assert [run["score"] for run in results["runs"]] == [0, 5]


def test_trials_run_does_not_take_another_jobs_record(script):
    interrupted(script, {}, [{"lag": 1, "seed": 0}, {"lag": 2, "seed": 0}], 1, 7)
    assert scores(script, {}, [{"lag": 1, "seed": 1}, {"lag": 1, "seed": 0}], 8) == [8, 7]


@pytest.mark.parametrize(("result", "message"), [
    ({"H": 64}, r"^one\(\{'H': None\}\) returned \['H'\] with another value"),
    (3, r"^one\(\{'H': None\}\) returned a int; wanted a dict"),
    ({"score": {1, 2}}, r"^one\(\{'H': None\}\) returned what JSON cannot hold")])
def test_trials_run_names_a_record_that_it_cannot_keep_at_once(result, message, script):
    calls = []

    def one(H):
        calls.append(H)
        return result
    with pytest.raises(ValueError, match=message):
        trials.run(script, {}, [{"H": None}, {"H": 1}], one)
    assert calls == [None]


def test_trials_run_names_jobs_that_are_alike(script):
    with pytest.raises(ValueError, match=r'^jobs has \{"lag": 1, "seed": 0\} twice'):
        trials.run(script, {}, [JOBS[0], JOBS[1], dict(reversed(JOBS[0].items()))], lambda lag, seed: {})


@pytest.mark.parametrize("name", sorted(trials.RESERVED))
def test_trials_run_names_settings_that_it_writes_itself(name, script):
    with pytest.raises(ValueError, match=rf"^settings has \['{name}'\]"):
        trials.run(script, {name: 1}, JOBS, lambda lag, seed: {})


def test_trials_run_says_with_which_code_it_was_made(script):
    script.write_text("print()")
    assert trials.run(script, {}, JOBS[:1], lambda lag, seed: {"score": 0})["code"] == trials.fingerprint(script)


def test_fingerprint_is_of_the_script(script):
    script.write_text("one")
    before = trials.fingerprint(script)
    script.write_text("two")
    assert trials.fingerprint(script) != before


def test_fingerprint_is_of_the_library(script, monkeypatch, tmp_path):
    before = trials.fingerprint(script)
    copy = tmp_path / "lstmcourse" / "lab"
    copy.mkdir(parents=True)
    (copy.parent / "layers.py").write_text("changed")
    monkeypatch.setattr(trials, "__file__", str(copy / "trials.py"))
    monkeypatch.setattr("lstmcourse.layers.__file__", str(copy.parent / "layers.py"))
    assert trials.fingerprint(script) != before


def test_trials_select_takes_records_in_which_every_value_is_right():
    results = {"runs": [{"lag": 1, "seed": 0}, {"lag": 1, "seed": 1}]}
    assert trials.select(results, lag=1, seed=1) == [{"lag": 1, "seed": 1}]


def test_trials_select_takes_a_record_that_has_nothing_else():
    assert trials.select({"runs": [{"lag": 1}]}, lag=1) == [{"lag": 1}]


def test_trials_select_finds_the_records():
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


def test_wilson_rejects_no_runs_at_all():
    with pytest.raises(ValueError, match="successes is 0 of n = 0"):
        trials.wilson(0, 0)


@pytest.mark.parametrize(("n", "low", "high"), [(6, 1, 6), (10, 2, 9), (20, 6, 15), (30, 10, 21)])
def test_median_interval_has_the_ranks_of_the_sign_test(n, low, high):
    assert trials.median_interval(range(1, n + 1)) == (low, (n + 1) / 2, high)


def test_median_interval_holds_the_median_in_95_of_100_samples():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        low, _, high = trials.median_interval(rng.exponential(size=17))
        inside += low <= np.log(2) <= high
    assert 0.945 < inside / 2000 < 0.985


def test_median_interval_rejects_five_values():
    with pytest.raises(ValueError, match="5 numbers"):
        trials.median_interval([1, 2, 3, 4, 5])


def test_verdict_rejects_a_word_that_decides_nothing():
    assert trials.verdict("True if the gate is open", "It holds.", "3 of 3").word.startswith("True if")
    with pytest.raises(ValueError, match="word is 'not shown'"):
        trials.verdict("not shown", "", "")


def pilots(scores, kind="rnn"):
    """Records with three seeds around each score: {(lr, steps): score}."""
    return [{"kind": kind, "lr": lr, "steps": steps, "seed": seed, "score": score + 0.001 * (seed - 1)}
            for (lr, steps), score in scores.items() for seed in range(3)]


GRID = {"rates": [0.1, 0.01], "steps": [100, 200], "pilot seeds": 2}


def test_pilot_grid_runs_every_rate_for_the_larger_budget():
    jobs = trials.pilot_grid([{"net": "a"}, {"net": "b"}], GRID)
    assert len(jobs) == 8
    assert {job["steps"] for job in jobs} == {200}
    assert jobs[:2] == [{"net": "a", "lr": 0.1, "steps": 200, "seed": seed} for seed in (0, 1)]


def test_pilot_grid_doubles_the_budget_at_the_named_rate():
    jobs = trials.pilot_grid([{"net": "a"}], GRID, doubled=1)
    assert [(job["lr"], job["steps"]) for job in jobs[::2]] == [(0.1, 100), (0.01, 100), (0.01, 200)]
    assert [job["seed"] for job in jobs] == [0, 1] * 3


def test_on_seeds_counts_from_the_first_seed():
    assert trials.on_seeds([{"net": "a"}, {"net": "b"}], 1000, 2) == [
        {"net": net, "seed": seed} for net in "ab" for seed in (1000, 1001)]


def test_choose_takes_the_best_rate_and_the_budget_that_settles():
    records = pilots({(0.1, 100): 0.4, (0.01, 100): 0.7, (0.001, 100): 0.2, (0.01, 200): 0.9, (0.01, 400): 0.905})
    assert trials.choose(records, ["rnn"], [0.1, 0.01, 0.001], [100, 200, 400]) == {"rnn": {"lr": 0.01, "steps": 200}}


def test_choose_refuses_a_best_rate_at_the_edge():
    with pytest.raises(ValueError, match="edge of the grid"):
        trials.choose(pilots({(0.1, 9): 0.9, (0.01, 9): 0.7, (0.001, 9): 0.2}), ["rnn"], [0.1, 0.01, 0.001], [9])


def test_choose_takes_a_tie_inside_the_grid():
    records = pilots({(0.1, 9): 1.0, (0.01, 9): 1.0, (0.001, 9): 0.2})
    assert trials.choose(records, ["rnn"], [0.1, 0.01, 0.001], [9])["rnn"]["lr"] == 0.01


def test_by_budget_scores_a_run_at_each_budget_and_a_solved_one_more_the_sooner():
    runs = [{"net": "rnn", "lr": 0.1, "seed": 0, "found": [0.2, 0.4, 0.6, 0.7], "solved": None},
            {"net": "rnn", "lr": 0.1, "seed": 1, "found": [0.5, 0.9, 1.0], "solved": 30}]
    settings = {"every": 10, "steps": [20, 40]}
    scores = [r["score"] for r in trials.by_budget(runs, settings, lambda run, tests: run["found"][:tests][-1])]
    assert scores == [0.4, 0.7, 0.9, 1 + 0.5 * 0.25]


def test_by_budget_takes_other_budgets_and_another_reward():
    runs = [{"net": "rnn", "lr": 0.1, "seed": 1, "found": [1.0], "learned": 10}]
    record, = trials.by_budget(runs, {"every": 10, "steps": [20, 40]}, lambda run, tests: run["found"][:tests][-1],
                               solved="learned", more=1, steps=[30])
    assert record == {"kind": "rnn", "lr": 0.1, "steps": 30, "seed": 1, "score": 1.75}


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


def squared(seed):
    """A job of the script's top level, for several processes."""
    return {"square": seed**2}


def test_trials_run_gives_the_same_with_two_workers(script):
    jobs = [{"seed": seed} for seed in range(7)]
    results = trials.run(script, {}, jobs, squared, workers=2)
    assert results["runs"] == trials.run(script, {}, jobs, squared)["runs"]


def test_trials_run_saves_a_part_apart(script):
    trials.run(script, {}, JOBS[:1], lambda lag, seed: {"score": 1}, "pilot")
    assert trials.load(script.with_suffix(".pilot.json"))["runs"] == [JOBS[0] | {"score": 1}]


def git(folder, *command):
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *command], cwd=folder, check=True,
                   capture_output=True)


def test_commit_of_names_the_commit_of_an_unchanged_script_alone(script):
    script.write_text("SEEDS = 1")
    assert trials.commit_of(script) == "not committed"
    git(script.parent, "init")
    git(script.parent, "add", script.name)
    git(script.parent, "commit", "-m", "criterion")
    assert re.fullmatch("[0-9a-f]{7,}", trials.commit_of(script))
    script.write_text("SEEDS = 2")
    assert trials.commit_of(script) == "not committed"


SCRIPT = """
from lstmcourse.lab.trials import remake


def one(seed):
    return {"score": seed}


def jobs(pilot, first):
    return [{"seed": first + max(run["score"] for run in pilot)}]


if __name__ == "__main__":
    remake(__file__, {}, one, [{"seed": 3}, {"seed": 4}], jobs)
"""


@pytest.mark.parametrize(("first", "saved"), [([], "99_demo.json"), (["2000"], "99_demo.2000.json")])
def test_remake_chooses_by_the_pilot_and_counts_from_the_first_seed(script, first, saved):
    script.write_text(SCRIPT)
    subprocess.run([sys.executable, script, *first], check=True, capture_output=True)
    seed = int(first[0] if first else trials.COUNTING) + 4
    assert trials.load(script.parent / saved)["runs"] == [{"seed": seed, "score": seed}]


def test_remake_with_other_seeds_counts_at_the_rates_of_the_saved_pilot(script):
    script.write_text(SCRIPT)
    saved = script.with_suffix(".pilot.json")
    saved.write_text(json.dumps({"code": "of an older library", "runs": [{"seed": 0, "score": 7}]}))
    subprocess.run([sys.executable, script, "2000"], check=True, capture_output=True)
    assert trials.load(script.with_suffix(".2000.json"))["runs"] == [{"seed": 2007, "score": 2007}]
    assert trials.load(saved)["code"] == "of an older library"


DOUBLED = """
from lstmcourse.lab.trials import remake


def one(steps, seed):
    return {"score": steps}


def jobs(pilot, first):
    return [{"steps": steps, "seed": first + k} for steps in (100, 200) for k in range(30)]


if __name__ == "__main__":
    remake(__file__, {}, one, [], jobs)
"""


@pytest.mark.parametrize(("more", "seeds"), [([], 6), (["3"], 3)])
def test_remake_doubled_runs_each_arm_for_twice_the_steps_on_pilot_seeds(script, more, seeds):
    script.write_text(DOUBLED)
    subprocess.run([sys.executable, script, "doubled", *more], check=True, capture_output=True)
    runs = trials.load(script.with_suffix(".doubled.json"))["runs"]
    assert [(run["steps"], run["seed"]) for run in runs] == [(n, k) for n in (200, 400) for k in range(seeds)]


def test_relabelled_deals_the_values_of_a_key_among_the_records():
    records = [{"net": str(k), "score": k} for k in range(20)]
    dealt = trials.relabelled(records, "net", np.random.default_rng(0))
    assert [r["score"] for r in dealt] == list(range(20))
    assert sorted(int(r["net"]) for r in dealt) == list(range(20))
    assert dealt != records


def test_relabelled_within_deals_the_values_inside_a_record():
    dealt = trials.relabelled_within([{"a": 1, "b": 2, "c": 3}] * 20, ["a", "b"], np.random.default_rng(0))
    assert {(r["a"], r["b"], r["c"]) for r in dealt} == {(1, 2, 3), (2, 1, 3)}


@pytest.mark.parametrize(("shift", "answer"), [(1, True), (-1, False), (0, None)])
def test_reaches_says_what_the_interval_says(shift, answer):
    assert trials.reaches([k / 100 + shift for k in range(-10, 10)], 0) is answer


def test_verdict_of_takes_the_sentence_of_its_word():
    assert trials.verdict_of("False", {"True": "It is.", "False": "It is not."}, "0 of 3").sentence == "It is not."
    assert "more" in trials.verdict_of("Open", {}, "1 of 3").sentence


def test_open_trial_gives_the_script_and_its_runs(script):
    script.write_text("CRITERION = 'x'\n" + SCRIPT)
    subprocess.run([sys.executable, script], check=True, capture_output=True)
    trial = trials.open_trial("99_demo", script.parent)
    assert [run["seed"] for run in trial.pilot] == [3, 4]
    assert trial.runs == trial.results["runs"] == [{"seed": 1004, "score": 1004}]
    assert trial.one(2) == {"score": 2}


def test_protocol_names_criterion_seeds_and_commit(script):
    trials.run(script, {}, JOBS, lambda lag, seed: {"score": 0})
    script.write_text("CRITERION = 'at least a half'")
    told = trials.protocol(trials.open_trial("99_demo", script.parent))
    assert told.startswith("at least a half")
    assert "counting seeds: 0 to 2" in told
    assert "commit not committed; 6 counting runs" in told
