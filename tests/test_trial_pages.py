"""notebooks/trials/: each page agrees with its script and its runs, and each verdict can fail."""

import ast
import json
import pathlib
import re
import subprocess

import numpy as np
import pytest

from lstmcourse.lab import trials
from lstmcourse.lab.trial_pages import LESSONS, SECTIONS, TEXTS, index, link, pages, read_page, readme_row

ROOT = pathlib.Path(__file__).parent.parent
FOLDER = ROOT / "notebooks" / "trials"
NAMES = sorted(path.stem for path in FOLDER.glob("[0-9]*.py"))
every_trial = pytest.mark.parametrize("name", NAMES)


def cells(name, kind):
    """The sources of a page's cells of one kind."""
    found = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == kind]


def word_on(trial, records):
    """The word of the verdict on these records."""
    return trial.verdict(records).word


def told_on(trial, records):
    """The same; of an open verdict the sentence, which says what is open and what is not."""
    told = trial.verdict(records)
    return told.sentence if told.word == "Open" else told.word


def test_every_script_has_its_page_and_its_runs():
    assert NAMES
    for ending in ("*.ipynb", "*.json"):
        assert sorted({path.name.split(".")[0] for path in FOLDER.glob(f"[0-9]{ending}")}) == NAMES


@every_trial
def test_page_has_its_sections_in_order(name):
    headings = re.findall(r"^## (.+)$", "\n".join(cells(name, "markdown")), flags=re.MULTILINE)
    assert headings == list(SECTIONS)


@every_trial
def test_page_quotes_its_claim_in_the_title(name):
    assert re.match(r'# On trial: "[^"]+"\n', cells(name, "markdown")[0])


@every_trial
def test_page_has_a_prediction_a_design_table_and_a_picture(name):
    assert "**Predict:**" in "\n".join(cells(name, "markdown"))
    assert "|---" in "\n".join(cells(name, "markdown"))
    assert "show(" in "\n".join(cells(name, "code"))


@every_trial
def test_page_says_how_to_run_it_again(name):
    assert f"make trials TRIALS={name}" in cells(name, "markdown")[-1]


@every_trial
def test_page_asserts_the_word_that_it_shows(name):
    word = read_page(FOLDER / f"{name}.ipynb").verdict.word
    assert f'assert told.word == "{word}"' in "\n".join(cells(name, "code"))


@every_trial
def test_page_shows_the_verdict_of_its_script(name):
    trial = trials.open_trial(name, FOLDER)
    assert read_page(FOLDER / f"{name}.ipynb").verdict == trial.verdict(trial.runs)


@every_trial
def test_page_trains_nothing(name):
    assert not re.search(r"\btrain\w*\(|\.one\(|\brun\(", "\n".join(cells(name, "code")))


@every_trial
def test_verdict_fails_on_the_rivals_data(name):
    trial = trials.open_trial(name, FOLDER)
    assert word_on(trial, trial.rival(trial.runs)) != word_on(trial, trial.runs)


@every_trial
def test_verdict_fails_when_the_arms_are_dealt_anew(name):
    trial = trials.open_trial(name, FOLDER)
    words = {told_on(trial, trial.shuffled(trial.runs, np.random.default_rng(seed))) for seed in range(10)}
    assert told_on(trial, trial.runs) not in words


@every_trial
def test_counting_runs_are_those_of_the_script(name):
    trial = trials.open_trial(name, FOLDER)
    jobs = trial.jobs(trial.pilot, getattr(trial, "FIRST", trials.COUNTING))
    assert [{key: run[key] for key in job} for run, job in zip(trial.runs, jobs, strict=True)] == jobs
    assert [run["seed"] for run in trial.runs if run.get("seed", trials.COUNTING) < trials.COUNTING] == []


@every_trial
def test_pilot_runs_have_pilot_seeds(name):
    assert {run["seed"] for run in trials.open_trial(name, FOLDER).pilot} <= set(range(10))


def constants(source):
    """CRITERION and SETTINGS as a script's text gives them."""
    return {name: ast.literal_eval(node.value) for node in ast.parse(source).body if isinstance(node, ast.Assign)
            and (name := ast.unparse(node.targets[0])) in ("CRITERION", "SETTINGS")}


@every_trial
def test_criterion_was_committed_before_the_counting_run(name):
    commit = trials.load(FOLDER / f"{name}.json")["commit"]
    assert re.fullmatch(r"[0-9a-f]{7,40}", commit)
    shown = subprocess.run(["git", "show", f"{commit}:notebooks/trials/{name}.py"], cwd=ROOT, capture_output=True,
                           text=True)
    if shown.returncode:
        pytest.skip(f"commit {commit} is not in this copy")
    assert constants(shown.stdout) == constants((FOLDER / f"{name}.py").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("[0-9]*.[0-9]*.json")), ids=lambda path: path.stem)
def test_second_run_with_other_seeds_gives_the_same_word(path):
    trial = trials.open_trial(path.name.split(".")[0], FOLDER)
    runs = trials.load(path)["runs"]
    assert not {run["seed"] for run in runs} & {run["seed"] for run in trial.runs}
    assert word_on(trial, runs) == word_on(trial, trial.runs)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("[0-9]*.doubled.json")), ids=lambda path: path.stem)
def test_doubled_run_has_pilot_seeds_and_is_shown_on_its_page(path):
    assert {run["seed"] for run in trials.load(path)["runs"]} <= set(range(10))
    assert f'"{path.name}"' in "\n".join(cells(path.name.split(".")[0], "code"))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("[0-9]*.[0-9]*.json")), ids=lambda path: path.stem)
def test_second_run_is_shown_on_its_page(path):
    assert f'"{path.name}"' in "\n".join(cells(path.name.split(".")[0], "code"))


def test_index_is_written_from_the_pages():
    cell, = json.loads((FOLDER / "index.ipynb").read_text(encoding="utf-8"))["cells"]
    assert "".join(cell["source"]) == index(pages(FOLDER))


def test_index_says_of_each_claim_of_the_two_texts_where_it_is_tried():
    assert len(TEXTS) == 16
    for _, *places in TEXTS:
        assert places
        for place in places:
            lesson = LESSONS.get(place.partition("-")[0])
            if lesson:
                assert f'"id": "{place}"' in (ROOT / "notebooks" / f"{lesson}.ipynb").read_text(encoding="utf-8")
            else:
                assert place in NAMES


def test_link_leads_to_a_page_or_to_a_cell_of_a_lesson():
    assert link("06_reset") == "[06_reset](06_reset.ipynb)"
    assert link("04-36") == "[lesson 04](../04_lstm.ipynb#cell-id=04-36)"


def test_readme_has_eight_verdicts_in_the_words_of_their_pages():
    rows = [line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
            if re.match(r"\| \[[^|]*\]\(notebooks/trials/\d", line)]
    assert len(rows) == 8
    assert set(rows) <= {readme_row(page) for page in pages(FOLDER)}


def test_read_page_rejects_a_page_without_a_verdict(tmp_path):
    page = tmp_path / "99_demo.ipynb"
    page.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": ['# On trial: "x"\n']}]}))
    with pytest.raises(ValueError, match="99_demo.ipynb shows 0 verdicts"):
        read_page(page)
