# Everything runs in .venv, made on first use with the versions of constraints.txt (build isolation included).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help quickstart test bench format docs slow clean

help: ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

quickstart: $(VENV)/.installed ## install, train on digits, print the test accuracy, save a plot of the curves
	$(BIN)/python examples/quickstart.py

test: $(VENV)/.dev ## format check, lint, types, import layers, unit tests, doctests, examples
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -m "not slow"

slow: $(VENV)/.dev ## the tests that take long
	$(BIN)/python -m pytest -m slow

bench: $(VENV)/.installed ## measure fit beside hand-written loops, and the time of the import
	$(BIN)/python benchmarks/loops.py
	$(BIN)/python benchmarks/import_time.py

format: $(VENV)/.dev ## put the code in shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.docs ## build the site into site/, strictly; the tutorials' code runs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean: ## remove what was made
	rm -rf $(VENV) site .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable '.[plot]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)/.docs: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable '.[docs,plot]'
	touch $@
