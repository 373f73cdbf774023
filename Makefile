# Set-up and checks. Needs git, Python 3.11 or newer with its venv module, gcc, g++, make and perl;
# everything else comes as Python packages, in the versions and with the hashes of requirements.lock.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-long campaign prove signoff bench results lint lock clean distclean

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
SEED ?= 1
PARTS ?=
BIN := $(VENV)/bin

help:  ## what there is
	@echo "make TARGET, first run: several minutes for downloads and first starts"
	@perl -ne 'printf "  %-10s %s\n", $$1, $$2 if /^([a-z-]+):.*?## (.*)/' $(firstword $(MAKEFILE_LIST))
	@echo "variables: PYTHON=$(PYTHON) VENV=$(VENV) JOBS=$(JOBS) (workers)" \
	  "SEED=$(SEED) (campaign, signoff) PARTS (signoff)"

demo: $(VENV)/.warm  ## the bundled LSTM from ONNX file to a placed and routed, verified core
	@$(BIN)/gatewright demo

test: $(VENV)/.warm  ## the tests, without the long ones
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

test-long: $(VENV)/.warm  ## the long tests too
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "slow or not slow"

campaign: $(VENV)/.warm  ## 500 random networks against golden, 10 million steps (an hour or so)
	@$(BIN)/python -m tests.signoff campaign --seed $(SEED) --jobs $(JOBS)

prove: $(VENV)/.warm  ## prove the engine's modules (minutes)
	@$(BIN)/python -m tests.signoff proofs --jobs $(JOBS)

signoff: $(VENV)/.warm  ## every check behind docs/verification.md, or some PARTS of them (hours)
	@$(BIN)/python -m tests.signoff $(PARTS) --seed $(SEED) --jobs $(JOBS)

bench: $(VENV)/.warm  ## measure cycles, clocks and speeds, and rewrite docs/benchmarks.md (an hour)
	@$(BIN)/python -m bench --jobs $(JOBS)

lint: $(VENV)/.installed  ## ruff, as configured in pyproject.toml
	@$(BIN)/ruff check .

# The lock covers every extra but training (torch is for one script, and huge) and every Python from
# 3.11 on; it names no server, so that any mirror will do.
lock: $(VENV)/.installed  ## choose newer versions: rewrites requirements.lock
	@$(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/python -m pip install --quiet uv
	@{ echo "# Exact versions, with hashes; made by \`make lock\`."; \
	   $(VENV)/lock/bin/uv pip compile pyproject.toml --quiet --upgrade \
	     --extra all --group dev --group build --universal --python-version 3.11 \
	     --fork-strategy fewest --generate-hashes --no-header --no-annotate; } > requirements.new
	@mv requirements.new requirements.lock

results: $(VENV)/.warm  ## run all three examples and rewrite the README's results table
	@for name in lstm gru rnn; do \
	  dir=examples/digits_$$name; \
	  $(BIN)/gatewright run $$dir/model.onnx --calibration $$dir/calib_inputs.npy \
	    --inputs $$dir/inputs.npy --target ecp5-25f --out build/results/$$name --force; \
	  $(BIN)/gatewright run $$dir/model.onnx --calibration $$dir/calib_inputs.npy \
	    --inputs $$dir/inputs.npy --target up5k --out build/results/$$name-up5k --force; \
	done
	@$(BIN)/python -m gatewright.results README.md build/results/*

clean:  ## remove build/ with its output folders, and caches
	@rm -rf build dist .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path "./$(VENV)/*" -prune -exec rm -rf {} +

distclean: clean  ## remove the virtual environment too
	@rm -rf $(VENV)

$(VENV)/.python:
	@command -v $(PYTHON) > /dev/null || { \
	  echo "$(PYTHON) is missing: install Python 3.11 or newer, or name one: make PYTHON=python3.12"; \
	  exit 2; } >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) -V), 3.11 or newer is needed: make PYTHON=python3.12"; \
	  exit 2; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments: apt install python3-venv"; exit 2; } >&2
	@echo "Making $(VENV) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# Without --no-deps pip would look the extras up again; the build back end is in the lock as well,
# so the only packages that ever come are those of the lock.
$(VENV)/.installed: $(VENV)/.python requirements.lock pyproject.toml
	@echo "Installing the packages of requirements.lock (1.1 GB on disk)"
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes \
	  -r requirements.lock | perl -ne '$$| = 1; \
	  print "  $$1 $$2 $$3\n" if /^ *Downloading ([^-\s]+)-([^-\s]+)\S* (\(.*\))/; \
	  print "  unpacking\n" if /^Installing/'
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps \
	  --no-build-isolation --editable .
	@touch $@

$(VENV)/.warm: $(VENV)/.installed
	@echo "Starting each tool once: the first start compiles it, some minutes"
	@$(BIN)/gatewright doctor --warm
	@touch $@
