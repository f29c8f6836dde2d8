# The course's commands. `make` alone lists them. Everything lives in .venv; nothing outside the
# project is changed: JupyterLab's settings, kernels and history stay in .venv/jupyter too.

PYTHON ?= python3
LAB_ARGS ?=
BROWSER_ARGS ?=
REPEATS ?= 20
TRIALS ?= $(basename $(notdir $(wildcard notebooks/trials/[0-9]*.py)))
PY := .venv/bin/python
# Not in `make quick`: what is neither numerics nor data nor figures.
SLOW := $(patsubst %,tests/test_%.py,bench lab_checkup lab_trials mutants notebooks project run_notebooks setup stability trial_pages trials widgets)
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

# Compiled modules are kept, also where the environment says otherwise: without them every kernel compiles
# PyTorch and Matplotlib anew, three seconds each time.
unexport PYTHONDONTWRITEBYTECODE

# The checks and the saved notebooks are those of a new learner: their progress starts empty, and what they
# pass is not counted as passed by whoever typed `make`.
NEWCOMER = rm -rf .venv/progress/$@ && LSTMCOURSE_PROGRESS="$(CURDIR)/.venv/progress/$@"

# How packages are installed: by uv (the one on the PATH, else pip puts one into .venv), and where uv cannot
# do it, by pip. On Linux torch comes in a step of its own from PyTorch's index of CPU builds, and nothing else
# comes from there: that index holds old copies of other packages too. `make lab CUDA=1` takes PyPI's build.
# uv reads no PIP_…; where pip is told to look for wheels, uv is told too.
CUDA ?=
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)
READY := .venv/ready$(if $(filter 1,$(CUDA)),-cuda)
UV = $(firstword $(shell for uv in uv .venv/bin/uv; do $$uv --version >/dev/null 2>&1 && echo $$uv; done; true) .venv/bin/uv)
comma := ,
FIND_LINKS := $(if $(UV_FIND_LINKS),,$(if $(PIP_FIND_LINKS),UV_FIND_LINKS="$(subst $() ,$(comma),$(strip $(PIP_FIND_LINKS)))"))
# $(call install,what to install,the only index to take it from)
install = { $(FIND_LINKS) $(UV) pip install --python $(PY) $(if $(2),--default-index "$(2)") $(1) || \
	{ echo 'uv could not do it. pip tries:'; $(PY) -m pip install $(if $(2),--index-url "$(2)") $(1); }; }
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup lab lock test lint pytest nbval quick run-notebooks stability trials figures numbers exercises mutants bench bench-grading test-browser site site-figures test-site clean

help:            ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */  make \1|/' | awk -F'|' '{printf "%-22s %s\n", $$1, $$2}'

setup: $(READY)  ## make .venv and install what the course needs (lab and test do this by themselves)

# Any Python can read these lines, so that one that is too old can say so. The range stands in pyproject.toml.
define SUPPORTED
import os, re, sys
low, high = map(int, re.search(r'requires-python = ">=3.(\d+),<3.(\d+)"', open("pyproject.toml", "rb").read().decode("utf-8")).groups())
if not (3, low) <= sys.version_info[:2] < (3, high):
    names = ["python3.%d" % minor for minor in range(high - 1, low - 1, -1)]
    here = [name for name in names if any(os.access(os.path.join(folder, name), os.X_OK) for folder in os.environ["PATH"].split(os.pathsep))]
    way = "This machine has another: " if here else "Install one, then: "
    sys.exit('This course needs Python 3.%d to 3.%d; "%s" is %d.%d. %smake $(or $(MAKECMDGOALS),lab) PYTHON=%s'
             % ((low, high - 1, sys.argv[1]) + sys.version_info[:2] + (way, (here or names)[0])))
endef
export SUPPORTED

# Does an index answer? Ten seconds at most, whatever its name server and its many addresses do.
define ANSWERS
import sys, threading, urllib.request
def ask():
    urllib.request.urlopen(sys.argv[1], timeout=5)
    answered.set()
answered = threading.Event()
asking = threading.Thread(target=ask, daemon=True)
asking.start()
asking.join(10)
sys.exit(not answered.is_set())
endef
export ANSWERS

$(READY): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null || { echo 'There is no "$(PYTHON)" here. Name the Python that you have: make lab PYTHON=/path/to/python3' >&2; exit 1; }
	@"$(PYTHON)" -c "$$SUPPORTED" "$(PYTHON)"
	@$(PY) -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear .venv
	@$(UV) --version >/dev/null 2>&1 || $(PY) -m pip install -q -c constraints.txt uv 2>/dev/null || echo 'uv cannot be had here: pip does its work, more slowly.'
ifeq ($(CUDA),1)
	@$(PY) -m pip uninstall -q -y torch 2>/dev/null
else ifeq ($(shell uname -s),Linux)
	@ls -d .venv/lib/python3.*/site-packages/torch-$(TORCH)[.+]* >/dev/null 2>&1 \
		|| { $(PY) -c "$$ANSWERS" "$(TORCH_INDEX)/torch/" 2>/dev/null && $(call install,-c constraints.txt --no-deps torch,$(TORCH_INDEX)); } \
		|| echo "No CPU build from PyTorch's index ($(TORCH_INDEX)): torch comes from where pip finds it. PyPI's has CUDA in it, 3 GB to download."
endif
	@$(call install,-c constraints.txt -e ".[test]")
	@mkdir -p .venv/share/jupyter/lab/settings .venv/jupyter
	@echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}' > .venv/share/jupyter/lab/settings/overrides.json
	@$(PY) -c 'import matplotlib.font_manager' 2>/dev/null || true    # finds the fonts now, so that no first cell has to
	@touch .venv/ready $@

lock:            ## pin every package, the indirect ones too, for all systems and Pythons, in constraints.txt (UPGRADE=1: newer ones)
	@$(UV) --version >/dev/null 2>&1 || { test -x $(PY) || "$(PYTHON)" -m venv .venv; $(PY) -m pip install -q uv; }
	env -u UV_FIND_LINKS $(UV) pip compile -q --universal --python-version $(shell sed -n 's/^requires-python = ">=\([0-9.]*\),.*/\1/p' pyproject.toml) --fork-strategy fewest --all-extras --strip-extras --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade) -o constraints.txt pyproject.toml

lab: setup       ## open the course in JupyterLab (CUDA=1: with PyTorch for NVIDIA; LAB_ARGS="--no-browser --port 8899"; OPEN=notebooks/04_lstm.ipynb)
	$(PY) -m jupyterlab --LabApp.default_url=/lab/tree/$(or $(OPEN),notebooks/00_start_here.ipynb) $(LAB_ARGS)

test: lint pytest nbval  ## run every check: the linters, the tests, every notebook

lint: setup      ## only ruff, codespell, oxlint (JavaScript) and the workflow's schema
	$(PY) -m ruff check .
	.venv/bin/oxlint lstmcourse/widgets tests/js
	.venv/bin/codespell
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

quick: lint      ## while you work: the linters and the tests of the numerics, the data and the figures
	$(PY) -m pytest -q -n auto --dist worksteal $(filter-out $(SLOW),$(wildcard tests/test_*.py))

pytest: setup    ## only the tests
	$(NEWCOMER) $(PY) -m pytest -q -n auto --dist worksteal tests

nbval: setup     ## only the notebooks: run each, compare with what is saved (NOTEBOOKS=solutions/04_lstm.ipynb)
	$(NEWCOMER) $(PY) -m pytest -q -n auto --dist loadfile $(NBVAL) $(or $(NOTEBOOKS),notebooks solutions exercises)

run-notebooks: setup     ## run every lesson and solution again and save what changed (NOTEBOOKS=notebooks/05_lstm_learns.ipynb)
	$(NEWCOMER) LSTMCOURSE_STILL=1 $(PY) -m tests.run_notebooks $(or $(NOTEBOOKS),notebooks/*.ipynb notebooks/trials/*.ipynb solutions/*.ipynb)

stability: setup ## run every lesson and solution with its initial weights moved by a last digit (REPEATS=20 NOTEBOOKS=…)
	$(NEWCOMER) $(PY) -m tests.stability --repeats $(REPEATS) $(NOTEBOOKS)

trials: setup            ## run the trials again, and their pages and index (long; goes on where it stopped; TRIALS="06_reset")
	for name in $(TRIALS); do $(PY) notebooks/trials/$$name.py || exit 1; done
	LSTMCOURSE_STILL=1 $(PY) -m tests.run_notebooks $(TRIALS:%=notebooks/trials/%.ipynb)
	$(PY) -m lstmcourse.lab.trial_pages

figures: setup   ## draw the picture of the README again
	$(PY) -c 'from lstmcourse import plots; open("docs/lstm_cell.svg", "wb").write(plots.save(plots.lstm_cell(), "svg"))'

numbers: setup   ## the numbers in the prose against the cells they come from (BIND=1: find the sources of new ones)
	$(PY) tests/prose_numbers.py $(if $(BIND),--bind) $(basename $(notdir $(NOTEBOOKS)))

exercises: setup ## write exercises/ from solutions/ (a notebook that somebody has worked in is left alone)
	$(PY) -m lstmcourse.practice.stubs

mutants: setup   ## change the solutions: does the judge notice? (MODULE=gradcheck: the library, and do its tests? SAMPLE= SEED=)
	$(PY) $(if $(MODULE),tests/mutants.py --sample $(or $(SAMPLE),25) --seed $(or $(SEED),0) $(MODULE),tests/practice/mutants.py $(IDS))

bench: setup     ## the library against torch.nn, side by side (about ten minutes)
	$(PY) -m lstmcourse.bench $(BENCH_ARGS)

bench-grading: setup     ## `lstmcourse grade` against nbgrader and otter-grader, side by side (installs them apart)
	$(PY) -m tests.grading.bench $(BENCH_ARGS)

test-browser: setup      ## JupyterLab in Chromium: lessons run, live figures move; skips without a browser (LESSONS=all)
	$(PY) tests/browser/run.py $(BROWSER_ARGS)

# The website's packages are an extra: `make lab` needs none of them.
.venv/site: $(READY)
	@$(call install,-c constraints.txt -e ".[site]")
	@touch $@

site: .venv/site ## the course as a website, in build/site (SERVE=1: shown on this machine, PORT=8000; SOLUTIONS=0: without them)
	@rm -rf build/site         # a page is made of many files; nothing old is left in it
	$(NEWCOMER) $(PY) -m sphinx -q -j auto -E -W --keep-going -b html -c docs -d build/doctrees -D course_solutions=$(or $(SOLUTIONS),1) . build/site
	@echo "The website is in build/site: open build/site/index.html"
	$(if $(filter 1,$(SERVE)),$(PY) -m http.server --bind 127.0.0.1 --directory build/site $(or $(PORT),8000))

site-figures: setup      ## the numbers of the website's live figures, from the lessons that show them (minutes; NOTEBOOKS=…)
	$(NEWCOMER) $(PY) docs/live_figures.py $(NOTEBOOKS)

test-site: site          ## the website in Chromium: links, search, live figures, predictions, accessibility; skips without a browser
	$(PY) tests/browser/run.py tests/site $(BROWSER_ARGS)

clean:           ## remove .venv and caches; your notebooks stay
	rm -rf .venv .pytest_cache .ruff_cache
