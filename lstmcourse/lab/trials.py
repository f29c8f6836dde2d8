"""Experiments over many seeds: run them, save them, load them into a lesson.

A script in notebooks/experiments/ states its settings and seeds at its top and calls `run`; the
results stand beside it as JSON. `make experiments` runs every script again. A run that was
interrupted goes on where it stopped.
"""

import json
import math
import os
import pathlib
import statistics
from typing import NamedTuple

from tqdm.auto import tqdm


def run(script, settings, jobs, one):
    """Do every job once and save the results beside the script, as its name with .json.

    script    __file__ of the calling script
    settings  dict: thresholds, sizes, whatever was fixed before the run; saved with the results
    jobs      list of dicts, each the arguments of one run (a seed among them)
    one       called as one(**job); returns a dict of plain numbers and lists

    What is done so far is kept in a .progress file until all is done.
    Returns what `load` returns.
    """
    target = pathlib.Path(script).with_suffix(".json")
    progress = target.with_suffix(".progress")
    header = json.dumps(settings, sort_keys=True)
    lines = progress.read_text().splitlines() if progress.exists() else []
    done = []
    if lines and lines[0] == header:                       # other settings: start again
        done = [json.loads(line) for line in lines[1:] if line.endswith("}")]
    with open(progress, "w") as file:
        file.writelines(line + "\n" for line in [header, *map(json.dumps, done)])
        file.flush()
        for job in tqdm(jobs, desc=target.stem, unit="run"):
            if not any(job.items() <= record.items() for record in done):
                done.append(job | one(**job))
                file.write(json.dumps(done[-1]) + "\n")
                file.flush()
    runs = [next(record for record in done if job.items() <= record.items()) for job in jobs]
    head = json.dumps(settings | {"runs": []}).removesuffix("]}")            # one run a line
    text = head + "\n" + ",\n".join(map(json.dumps, runs)) + "\n]}\n"
    unfinished = target.with_suffix(".json.new")
    unfinished.write_text(text)
    os.replace(unfinished, target)
    progress.unlink()
    return load(target)


def load(path):
    """The saved results: a dict of the settings, and under "runs" a list of records."""
    return json.loads(pathlib.Path(path).read_text())


def select(results, **values):
    """The records of results["runs"] in which every named value is as given."""
    return [record for record in results["runs"] if values.items() <= record.items()]


def wilson(successes, n, z=1.96):
    """95 % interval of a share of successes (Wilson 1927): (low, high), right for small n too."""
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"successes is {successes} of n = {n}; wanted 0 <= successes <= n, n > 0")
    share, extra = successes / n, z * z / n
    middle = (share + extra / 2) / (1 + extra)
    half = z * math.sqrt(share * (1 - share) / n + extra / (4 * n)) / (1 + extra)
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


class Verdict(NamedTuple):
    """What a trial comes to: one word and one plain sentence, and the number that decides, for the index."""
    word: str
    sentence: str
    number: str

    def _repr_markdown_(self):
        return f"**{self.word}.** {self.sentence}"


WORDS = ("True", "False", "True if", "Mixed", "Open")


def verdict(word, sentence, number):
    """A `Verdict`; ValueError for a word that is none of WORDS ("True if" goes on with its condition)."""
    if not any(word == allowed or (allowed == "True if" and word.startswith("True if ")) for allowed in WORDS):
        raise ValueError(f"word is {word!r}; wanted one of {', '.join(WORDS)}")
    return Verdict(word, sentence, number)


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
