"""Runs over many seeds: do them, save them, load them into a page or a lesson.

A script in notebooks/trials/ states criterion, settings and seeds at its top. It calls `run` twice, on the
pilot seeds (0 to 9) and on the counting seeds (from 1000 on); the results are beside it as JSON.
`make trials` runs every script again. A run that was interrupted goes on where it stopped, unless the
code has changed.
"""

import hashlib
import json
import math
import multiprocessing
import os
import pathlib
import runpy
import statistics
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

NO_NUMBERS = ("plots/", "widgets/", "practice/", "grading/", "cli.py", "bench.py", "lab/trials.py")


COUNTING = 1000                    # the first counting seed; pilot seeds are 0 to 9
DOUBLED = 6                        # how many of them show what a doubled budget changes: the fewest with an interval
RESERVED = {"runs", "code", "commit", "cpu_minutes"}        # what `run` writes itself


def run(script, settings, jobs, one, part=None, workers=1):
    """Do every job once and save the results beside the script, as its name with .json.

    script    __file__ of the calling script
    settings  dict: thresholds, sizes, whatever was fixed before the run; saved with the results
    jobs      list of dicts, each the arguments of one run (a seed among them), no two alike
    one       called as one(**job); returns a dict of plain numbers and lists
    part      a name, such as "pilot": saved as NAME.pilot.json
    workers   processes; more than 1 need a `one` of the script's top level

    What is done so far is kept in a .progress file until all is done. Each line of it says to which job it
    belongs, under which settings and with which code (`fingerprint`) it was made: only what was made by this
    very version is used again. The result says by which code all of its runs were made, under "code", which
    commit holds the script, under "commit" (`commit_of`), and what the runs took, under "cpu_minutes".

    Returns what `load` returns.
    Raises ValueError for jobs that are alike and for settings with a name of RESERVED; at the first record
    for one that JSON cannot hold, or that gives an argument of its job another value.
    """
    target = pathlib.Path(script).with_suffix(f".{part}.json" if part else ".json")
    progress = target.with_suffix(".progress")
    if reserved := RESERVED & set(settings):
        raise ValueError(f"settings has {sorted(reserved)}; these are written by run itself")
    keys = _keys(jobs)
    code, commit = fingerprint(script), commit_of(script)
    version = hashlib.sha256(json.dumps([settings, code], sort_keys=True).encode()).hexdigest()[:16]
    done = _done_before(progress, version)
    to_do = [(one, key, job) for key, job in zip(keys, jobs, strict=True) if key not in done]
    with open(progress, "a", encoding="utf-8") as file, _mapped(workers) as mapped:
        for key, record, seconds in tqdm(mapped(_timed, to_do), desc=target.stem, unit="run",
                                         initial=len(jobs) - len(to_do), total=len(jobs)):
            done[key] = record, seconds
            file.write("\n" + json.dumps([version, key, *done[key]]))    # after a line that was cut off, too
            file.flush()
    minutes = round(sum(done[key][1] for key in keys) / 60, 1)
    _save(target, settings | {"code": code, "commit": commit, "cpu_minutes": minutes}, [done[key][0] for key in keys])
    progress.unlink()
    return load(target)


def remake(script, settings, one, pilot_jobs, counting_jobs, first=COUNTING):
    """What a trial's script does when it is run: the pilot, then the counting runs, on all processors.

    pilot_jobs     list, as `run` takes them
    counting_jobs  called as counting_jobs(pilot records, first seed); returns such a list
    first          the first counting seed; a later one where a criterion was changed

    A pilot that this very code has made is used again. With an argument, the counting jobs are run with other seeds
    at the rates of the saved pilot, and the result is saved apart:

    03_memory.py 2000     seeds from 2000 on, 03_memory.2000.json: does a second run give the same word?
    05_keeps.py doubled   twice the steps on the first DOUBLED pilot seeds (another number may follow),
                          05_keeps.doubled.json: would a larger budget change the word?
    """
    workers, (what, *number) = os.cpu_count() or 1, sys.argv[1:] or [None]
    pilot = pathlib.Path(script).with_suffix(".pilot.json")
    if pilot_jobs and not (pilot.exists() and (what or load(pilot)["code"] == fingerprint(script))):
        run(script, settings, pilot_jobs, one, "pilot", workers)
    start = 0 if what == "doubled" else int(what or first)
    jobs = counting_jobs(load(pilot)["runs"] if pilot_jobs else [], start)
    if what == "doubled":
        seeds = int(number[0]) if number else DOUBLED
        jobs = [job | {"steps": 2 * job["steps"]} for job in jobs if job["seed"] < seeds]
    return run(script, settings, jobs, one, what, workers)


def _keys(jobs):
    """Each job as text, by which its record is found again; ValueError for two that are alike."""
    keys = [json.dumps(job, sort_keys=True) for job in jobs]
    if len(set(keys)) < len(keys):
        raise ValueError(f"jobs has {max(keys, key=keys.count)} twice; wanted each once")
    return keys


def _timed(task):
    """One job: its key, its record, and the CPU seconds that it took."""
    (one, key, job), start = task, time.process_time()
    return key, _record(job, one(**job)), round(time.process_time() - start, 2)


class _mapped:
    """With this number of workers, a map that gives each result as soon as it is there."""

    def __init__(self, workers):
        self.pool = multiprocessing.Pool(workers) if workers > 1 else None

    def __enter__(self):
        return self.pool.imap_unordered if self.pool else map

    def __exit__(self, *_):
        if self.pool:
            self.pool.terminate()


def commit_of(script):
    """The commit that holds the script as it is: its short hash; "not committed" where there is none.

    Criterion and seeds are fixed by committing the script before its counting run; the page names the commit.
    """
    script = pathlib.Path(script).resolve()

    def git(*command):
        done = subprocess.run(["git", *command, "--", script.name], cwd=script.parent, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None
    try:
        changed, commit = git("status", "--porcelain"), git("log", "-1", "--format=%h")
    except OSError:                                        # no git on this machine
        return "not committed"
    return commit if commit and changed == "" else "not committed"


def fingerprint(script):
    """Which code a run uses: 16 letters of a hash over the text of the script and of the modules it has imported.

    Counted are the modules beside the script and those of `lstmcourse`, but for figures, exercises and
    grading, on which no number depends.
    """
    script, folder = pathlib.Path(script).resolve(), pathlib.Path(__file__).resolve().parent.parent
    files = {pathlib.Path(module.__file__).resolve() for module in list(sys.modules.values())
             if str(getattr(module, "__file__", None)).endswith(".py")}
    names = {path: path.relative_to(folder).as_posix() for path in files if path.is_relative_to(folder)}
    used = {name: path for path, name in names.items() if not name.startswith(NO_NUMBERS)}
    used |= {path.name: path for path in (files | {script}) if path.parent == script.parent and path.exists()}
    digest = hashlib.sha256()
    for name in sorted(used):
        digest.update(name.encode() + b"\0" + used[name].read_bytes())
    return digest.hexdigest()[:16]


def _done_before(progress, version):
    """What an interrupted run of this version has left: the key of each job -> its record and its seconds."""
    done = {}
    for line in progress.read_text(encoding="utf-8").splitlines() if progress.exists() else []:
        try:
            made_by, key, record, seconds = json.loads(line)
        except ValueError:                                 # empty, or being written when the run was stopped
            continue
        if made_by == version:
            done[key] = record, seconds
    return done


def _record(job, result):
    """Job and result as one record, as JSON will give it back."""
    if not isinstance(result, dict):
        raise ValueError(f"one({job}) returned a {type(result).__name__}; wanted a dict")
    if changed := [key for key in result if key in job and result[key] != job[key]]:
        raise ValueError(f"one({job}) returned {changed} with another value; wanted the job's, or another name")
    try:
        return json.loads(json.dumps(job | result))
    except TypeError as error:
        raise ValueError(f"one({job}) returned what JSON cannot hold: {error}") from None


def _save(target, head, records):
    """Write head and records as JSON, one record a line. The file is there as a whole or not at all."""
    text = (json.dumps(head | {"runs": []}).removesuffix("]}") + "\n"
            + ",\n".join(map(json.dumps, records)) + "\n]}\n")
    unfinished = target.with_suffix(".json.new")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, target)


def load(path):
    """The saved results: a dict of the settings, and under "runs" a list of records."""
    return json.loads(pathlib.Path(path).read_text())


def open_trial(name, folder="."):
    """A trial of notebooks/trials/: all that its script defines, and `results`, `runs`, and `pilot` if there is one."""
    script = pathlib.Path(folder) / f"{name}.py"
    pilot = script.with_suffix(".pilot.json")
    results = load(script.with_suffix(".json"))
    return SimpleNamespace(**runpy.run_path(str(script)), results=results, runs=results["runs"],
                           pilot=load(pilot)["runs"] if pilot.exists() else [])


def protocol(trial):
    """What was fixed before the counting runs, as text. trial: as `open_trial` returns it."""
    seeds = sorted({run["seed"] for run in trial.runs if "seed" in run})
    lines = [trial.CRITERION.strip(), ""]
    if trial.pilot:
        pilot = sorted({run["seed"] for run in trial.pilot})
        lines.append(f"rates and budgets, chosen on the pilot seeds {pilot[0]} to {pilot[-1]}: "
                     f"{trial.chosen(trial.pilot)}")
    if seeds:
        lines.append(f"counting seeds: {seeds[0]} to {seeds[-1]}")
    return "\n".join([*lines, f"script as of commit {trial.results['commit']}; {len(trial.runs)} counting runs, "
                               f"{trial.results['cpu_minutes']} CPU minutes"])


def select(results, **values):
    """The records of results["runs"] in which every named value is as given."""
    return [record for record in results["runs"] if values.items() <= record.items()]


def wilson(successes, n, z=1.96):
    """95 % interval of a proportion (Wilson 1927): (low, high), right for small n too.

    Raises ValueError for impossible counts.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"successes is {successes} of n = {n}; wanted 0 <= successes <= n, n > 0")
    proportion, extra = successes / n, z * z / n
    middle = (proportion + extra / 2) / (1 + extra)
    half = z * math.sqrt(proportion * (1 - proportion) / n + extra / (4 * n)) / (1 + extra)
    return max(0.0, middle - half), min(1.0, middle + half)


def median_interval(values, level=0.95):
    """(low, median, high): the median and its interval from the ranks alone, whatever the distribution.

    The interval runs from the k-th smallest to the k-th largest value, with the largest k that holds the median
    with probability `level` (0.978 with the 2nd and 9th of 10 values). Values may be infinite, not NaN.
    """
    values, n = sorted(map(float, values)), len(values)
    if n < 6 or any(math.isnan(value) for value in values):
        raise ValueError(f"values are {n} numbers, {sum(map(math.isnan, values))} of them NaN; "
                         "wanted at least 6 and no NaN")
    below, k = 0.0, 0
    while 2 * (below + math.comb(n, k) / 2**n) <= 1 - level:
        below, k = below + math.comb(n, k) / 2**n, k + 1
    middle = (values[(n - 1) // 2] + values[n // 2]) / 2
    return values[k - 1], middle, values[n - k]


def reaches(values, threshold):
    """Is the median of the values at least this? True or False where its 95 % interval says so, else None."""
    low, _, high = median_interval(values)
    return True if low >= threshold else False if high < threshold else None


class Verdict(NamedTuple):
    """What a trial comes to: one word and one plain sentence, and the number that decides, for the index."""
    word: str
    sentence: str
    number: str

    def _repr_markdown_(self):
        return f"**{self.word}.** {self.sentence}\n\n({self.number})"


WORDS = ("True", "False", "True if", "Mixed", "Open")


def relabelled(records, key, rng):
    """The records with record[key] dealt anew: data of arms whose names mean nothing."""
    return [record | {key: records[k][key]} for record, k in zip(records, rng.permutation(len(records)), strict=True)]


def relabelled_within(records, keys, rng):
    """The records with the values of these keys dealt anew within each, for arms that are measured in one run."""
    return [record | {key: record[keys[k]] for key, k in zip(keys, rng.permutation(len(keys)), strict=True)}
            for record in records]


def verdict(word, sentence, number):
    """A `Verdict`; ValueError for a word that is none of WORDS ("True if" goes on with its condition)."""
    if not any(word == allowed or (allowed == "True if" and word.startswith("True if ")) for allowed in WORDS):
        raise ValueError(f"word is {word!r}; wanted one of {', '.join(WORDS)}")
    return Verdict(word, sentence, number)


def verdict_of(word, sentences, number):
    """The `verdict` with the sentence of its word; an undecided one says what it would take."""
    sentences = {"Open": "The intervals do not decide; more networks would."} | sentences
    return verdict(word, sentences[word], number)


def on_seeds(arms, first, n):
    """Jobs: each arm, a dict of what is fixed for it, on n seeds from `first` on."""
    return [arm | {"seed": seed} for arm in arms for seed in range(first, first + n)]


def pilot_grid(arms, settings, doubled=None):
    """The jobs of a pilot: each arm at every rate of the grid.

    arms      dicts, such as {"net": "LSTM"}
    settings  of the script: "rates", "steps" (the smaller and the larger budget) and "pilot seeds", their number
    doubled   None: all for the larger budget, with the smaller one measured on the way. A number: all for the smaller
              budget, and at the rate of this number for the larger one as well
    """
    rates, (first, *_, last) = settings["rates"], settings["steps"]
    tried = ([(lr, last) for lr in rates] if doubled is None else
             [*((lr, first) for lr in rates), (rates[doubled], last)])
    return on_seeds([arm | {"lr": lr, "steps": steps} for arm in arms for lr, steps in tried], 0,
                    settings["pilot seeds"])


def by_budget(pilot, settings, score, solved="solved", more=0.5, steps=None):
    """The pilot as `choose` wants it: a record for each budget, since a run with the larger has passed the smaller.

    pilot     records of runs that are tested every settings["every"] steps and stop when they have solved their task
    score     score(record, tests): what a run has reached after so many tests
    solved    where in a record the step that solved the task is, or None; its score is then 1, and more the sooner
    more      how much more: of a run that would have solved it at once
    steps     the budgets; None: those of settings
    """
    for r in pilot:
        for n in steps or settings["steps"]:
            reached = score(r, n // settings["every"])
            if r[solved] and r[solved] <= n:
                reached = 1 + more * (1 - r[solved] / settings["steps"][-1])
            yield {"kind": r["net"], "lr": r["lr"], "steps": n, "seed": r["seed"], "score": reached}


def choose(records, kinds, rates, steps, settled=0.02):
    """The learning rate and the budget of each kind, from its pilot runs alone.

    records  pilot runs: dicts with kind, lr, steps, seed and score, larger is better
    kinds    names; rates and steps: the grid, each rate at steps[0] and, where it was run, at more steps
    settled  a doubled budget that changes the median score by no more than this is not needed

    Returns {kind: {"lr": …, "steps": …}}. The rate is the one with the best median at steps[0]; the budget the
    smallest that doubling does not change.
    Raises ValueError if the best rate is at the edge of the grid and no tie inside is as good: widen it.
    """
    found = {}
    for kind in kinds:
        def median(lr, n, kind=kind):
            scores = [r["score"] for r in records if (r["kind"], r["lr"], r["steps"]) == (kind, lr, n)]
            return statistics.median(scores) if scores else None
        medians = [median(lr, steps[0]) for lr in rates]
        best = max(medians)
        inside = [lr for lr, score in zip(rates[1:-1], medians[1:-1], strict=True) if score >= best - settled]
        if not inside:
            raise ValueError(f"the best rate of {kind} is at the edge of the grid: "
                             f"{dict(zip(rates, medians, strict=True))}")
        lr = max(inside, key=lambda rate: median(rate, steps[0]))
        budget = steps[0]
        for more in steps[1:]:
            if median(lr, more) is None or abs(median(lr, more) - median(lr, budget)) <= settled:
                break
            budget = more
        found[kind] = {"lr": lr, "steps": budget}
    return found


def save_weights(file, params):
    """Save trained params in float32 as a .npz beside their script, and the file's hash in weights.sha256 there."""
    file = pathlib.Path(file)
    np.savez(file, **{path: array.astype("float32") for path, array in _flat(params)})
    listed = file.with_name("weights.sha256")
    lines = listed.read_text().splitlines() if listed.exists() else []
    lines = [line for line in lines if not line.endswith(f"  {file.name}")]
    listed.write_text("\n".join(sorted([*lines, f"{_sha256(file)}  {file.name}"], key=lambda line: line[66:])) + "\n")


def load_weights(file, dtype="float64"):
    """What `save_weights` saved. Raises ValueError if the file is another than the one saved then."""
    file = pathlib.Path(file)
    if f"{_sha256(file)}  {file.name}" not in file.with_name("weights.sha256").read_text().splitlines():
        raise ValueError(f"{file.name} is another file than the one that weights.sha256 beside it lists")
    params = {}
    with np.load(file, allow_pickle=False) as arrays:
        for path in arrays:
            *outer, name = path.split("/")
            inside = params
            for key in outer:
                inside = inside.setdefault(key, {})
            inside[name] = arrays[path].astype(dtype)
    return params


def _flat(params, path=""):
    """(path, array) of every array in a dict of arrays, or of dicts of arrays."""
    for key, value in params.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{key}/")
        else:
            yield f"{path}{key}", value


def _sha256(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()
