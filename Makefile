# Everything runs in .venv, made on first use with the versions of constraints.txt (build isolation included).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := benchmarks/.venv
FOREIGN := .venv-foreign
FOREIGN_TESTS ?= not slow
EXAMPLES ?= 300
BENCH_TASKS := tiny-32 tiny-256 dense conv evaluate predict predict-one metrics import first-epoch
BENCH_OWN := naive expert expert-channels-last kerastorch kerastorch-compiled
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Small models do not gain from more threads, and each of the two workers of pytest has a core of its own.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
PYTEST := $(ONE_THREAD) $(BIN)/python -m pytest

.PHONY: help quickstart test test-foreign slow distributed faults fuzz bench bench-guard bench-curves bench-peers format docs check-site clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

quickstart: $(VENV)/.installed ## install, train on digits, print the test accuracy, save a plot of the curves
	@echo "Training a small network on scans of digits: a few seconds."
	$(BIN)/python examples/quickstart.py
	@echo "The curves are in digits.png. Next: examples/ and docs/tutorials/first-model.md"

test: $(VENV)/.dev ## format check, lint, types, import layers, unit tests, doctests, examples
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -m "not slow and not faults and not site and not distributed" -n 2 --dist worksteal --durations 10

test-foreign: $(FOREIGN)/.installed ## models and data of other packages: transformers, peft, torch_geometric, monai, ...
	$(ONE_THREAD) $(FOREIGN)/bin/python -m pytest tests/foreign -m "$(FOREIGN_TESTS)" -n 2 --dist loadscope --durations 10

slow: $(VENV)/.dev ## the tests that take long
	$(PYTEST) -m slow --timeout 1200

distributed: $(VENV)/.dev ## all cases in two and three processes on this machine; the table is in docs/distributed.md
	$(PYTEST) tests/distributed -m "distributed or not distributed" --timeout 1200 --distributed-table docs/distributed.md

faults: $(VENV)/.dev ## break it on purpose, with the full numbers; the table goes into docs/reliability.md
	$(PYTEST) -m "faults or not faults" tests/faults --faults-table docs/reliability.md

fuzz: $(VENV)/.dev ## random models, losses, data and options beside hand-written loops, many times; EXAMPLES=300 each
	$(PYTEST) tests/fuzz -n 2 --timeout 3600 --fuzz-examples $(EXAMPLES)

bench: $(VENV)/.installed ## measure it beside hand-written loops, in a few minutes
	$(BIN)/python benchmarks/run.py --rounds 5 --tasks $(BENCH_TASKS) --contenders $(BENCH_OWN) --json bench.json

bench-guard: $(VENV)/.installed ## compare the speed with the last release, and fail if it is 5% slower: ten minutes
	$(BIN)/python benchmarks/guard.py

bench-curves: $(VENV)/.installed ## measure how costs grow with batches, outputs, layers, metrics, epochs: five minutes
	$(BIN)/python benchmarks/curves.py

bench-peers: $(PEERS)/.installed ## measure everything beside other libraries too, in about an hour
	$(PEERS)/bin/python benchmarks/run.py --json bench-peers.json

format: $(VENV)/.dev ## put the code in shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.docs ## build the site into site/, strictly; the tutorials' code runs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

check-site: $(VENV)/.dev ## open every page of the built site in headless Chromium; skipped without it
	$(PYTEST) tests/test_site.py -m site -rs

clean: ## remove what was made
	rm -rf $(VENV) $(PEERS) $(FOREIGN) bench.json bench-peers.json site .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing kerastorch with PyTorch into .venv: some hundred MB to download, two to five minutes, once."
	$(BIN)/pip install --editable '.[plot]'
	touch $@

$(PEERS)/.installed: benchmarks/requirements.txt pyproject.toml constraints.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --requirement benchmarks/requirements.txt --editable .
	touch $@

$(FOREIGN)/.installed: pyproject.toml constraints.txt
	@echo "Installing transformers and the other packages that tests/foreign uses: a few minutes, once."
	test -x $(FOREIGN)/bin/python || $(PYTHON) -m venv $(FOREIGN)
	$(FOREIGN)/bin/pip install --quiet --editable '.[examples]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing the packages that the checks need into .venv: a few minutes, once."
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)/.docs: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing the packages that the site needs into .venv: a few minutes, once."
	$(BIN)/pip install --quiet --editable '.[docs]'
	touch $@
