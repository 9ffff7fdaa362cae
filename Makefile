# Every target does all the set-up it needs on a fresh machine with Python >= 3.11 and git.
PYTHON ?= python3
# `make setup LOCK=` installs the newest releases within the bounds instead of the exact set that CI passed on.
LOCK ?= requirements.lock
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.requirements-installed
DEMO ?= datamount/demo

export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup test test-fast test-cluster lint bench demo learning lock figures

help:  ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(STAMP)  ## a virtual environment in .venv, redone only when the requirements change

$(STAMP): requirements.txt requirements_ngc.txt requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is $$($(PYTHON) -V 2>&1); Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt $(if $(LOCK),-c $(LOCK))
	@touch $@

# Side by side, a module's tests together, as they share what is slow to make; in order, as whole commands come early.
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadscope --no-loadscope-reorder

test: setup  ## all tests
	$(PYTEST)

test-fast: setup  ## tests but those marked slow: whole commands, a browser, whole phantoms
	$(PYTEST) -m "not slow"

test-cluster: setup  ## the graph on a SLURM of two nodes that is started here; needs root and Debian's packages
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements_slurm.txt $(if $(LOCK),-c $(LOCK))
	$(BIN)/python -m pytest tests/cluster

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup  ## the benchmarks, on a phantom made for them
	$(BIN)/python benchmarks/run_all.py

GRAPH := $(BIN)/snakemake --quiet all --configfile configs/workflow_demo.yaml

demo: setup  ## everything on a synthetic competition: data, all configs, ensemble, prediction, reports; goes on if killed
	$(GRAPH) --config data=$(DEMO) weights=$(DEMO)/weights reports=$(DEMO) submission=$(DEMO)/submission.csv

learning: setup  ## the demo with more time per config: the figures of README.md
	$(GRAPH) configs/workflow_learning.yaml --config data=$(DEMO)_learning weights=$(DEMO)_learning/weights \
	  reports=$(DEMO)_learning submission=$(DEMO)_learning/submission.csv

figures: setup  ## redraw the pictures of README.md and docs/
	$(BIN)/python scripts/draw_pipeline.py
	$(BIN)/python scripts/draw_phantom_figure.py
	$(BIN)/python scripts/draw_plan.py

lock: setup  ## write the exact set of installed packages to requirements.lock
	$(BIN)/python -m pip freeze --exclude-editable > requirements.lock
