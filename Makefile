# The course's commands. `make` alone lists them. Everything lives in .venv; nothing outside the
# project is changed: JupyterLab's settings, kernels and history stay in .venv/jupyter too.

PYTHON ?= python3
LAB_ARGS ?=
BROWSER_ARGS ?=
TRIALS ?= $(basename $(notdir $(wildcard notebooks/trials/[0-9]*.py)))
PIP_ARGS ?=
PY := .venv/bin/python
READY := .venv/ready
NBVAL := --nbval --nbval-cell-timeout=300 --nbval-sanitize-with tests/nbval_sanitize.cfg -p no:cacheprovider

export JUPYTER_CONFIG_DIR := $(CURDIR)/.venv/jupyter/config
export JUPYTER_DATA_DIR := $(CURDIR)/.venv/jupyter/data
export IPYTHONDIR := $(CURDIR)/.venv/jupyter/ipython
export JUPYTER_PREFER_ENV_PATH := 1

# One thread for the matrix products of a kernel. At the course's sizes a second one gains nothing, and
# where two notebooks run at once the threads wait for each other, several times as long.
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup lab test lint pytest nbval run-notebooks experiments trials figures exercises mutants bench bench-grading test-browser clean

help:            ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */  make \1|/' | awk -F'|' '{printf "%-22s %s\n", $$1, $$2}'

setup: $(READY)  ## make .venv and install what the course needs (lab and test do this by themselves)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit("This course needs Python 3.11, 3.12 or 3.13; \"$(PYTHON)\" is %d.%d. Name another: make lab PYTHON=python3.12" % v)'
	@test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --disable-pip-version-check -c constraints.txt $(PIP_ARGS) -e ".[test]"
	@mkdir -p .venv/share/jupyter/lab/settings .venv/jupyter
	@echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}' > .venv/share/jupyter/lab/settings/overrides.json
	@touch $@

lab: setup       ## open the course in JupyterLab (options: make lab LAB_ARGS="--no-browser --port 8899")
	$(PY) -m jupyterlab --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(LAB_ARGS)

test: lint pytest nbval  ## run every check: the linters, the tests, every notebook

lint: setup      ## only ruff, codespell, oxlint (JavaScript) and the workflow's schema
	$(PY) -m ruff check .
	.venv/bin/oxlint lstmcourse/widgets tests/js
	.venv/bin/codespell
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

pytest: setup    ## only the tests
	$(PY) -m pytest -q -n auto tests

nbval: setup     ## only the notebooks: run each, compare with what is saved
	$(PY) -m pytest -q -n auto --dist loadfile $(NBVAL) notebooks solutions exercises

run-notebooks: setup     ## run every lesson and solution again and save the results
	LSTMCOURSE_STILL=1 $(PY) -m jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False --ExecutePreprocessor.store_widget_state=False --log-level=WARN notebooks/*.ipynb notebooks/trials/[0-9]*.ipynb solutions/*.ipynb

experiments: setup       ## run every experiment over many seeds again (long; goes on where it was stopped)
	for script in notebooks/experiments/[0-9]*.py; do $(PY) $$script || exit 1; done

trials: setup            ## run the trials again, and their pages and index (long; goes on where it stopped; TRIALS="06_reset")
	for name in $(TRIALS); do $(PY) notebooks/trials/$$name.py || exit 1; done
	$(PY) -m jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False --log-level=WARN $(TRIALS:%=notebooks/trials/%.ipynb)
	$(PY) -m lstmcourse.lab.trial_pages

figures: setup   ## draw the picture of the README again
	$(PY) -c 'from lstmcourse import plots; open("docs/lstm_cell.svg", "wb").write(plots.save(plots.lstm_cell(), "svg"))'

exercises: setup ## write exercises/ from solutions/ (a notebook that somebody has worked in is left alone)
	$(PY) -m lstmcourse.practice.stubs

mutants: setup   ## change each solution in every systematic way: does the judge reject what differs?
	$(PY) tests/practice/mutants.py

bench: setup     ## the library against torch.nn, side by side (about ten minutes)
	$(PY) -m lstmcourse.bench $(BENCH_ARGS)

bench-grading: setup     ## `lstmcourse grade` against nbgrader and otter-grader, side by side (installs them apart)
	$(PY) -m tests.grading.bench $(BENCH_ARGS)

test-browser: setup      ## JupyterLab in Chromium: lessons run, live figures move; skips without a browser (LESSONS=all)
	$(PY) tests/browser/run.py $(BROWSER_ARGS)

clean:           ## remove .venv and caches; your notebooks stay
	rm -rf .venv .pytest_cache .ruff_cache
