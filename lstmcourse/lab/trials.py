"""Experiments over many seeds: run them, save them, load them into a lesson.

A script in notebooks/experiments/ states its settings and seeds at its top and calls `run`; the
results stand beside it as JSON. `make experiments` runs every script again. A run that was
interrupted goes on where it stopped.
"""

import hashlib
import json
import math
import os
import pathlib

import numpy as np
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
