# `make demo` and `make test` set everything up by themselves; they need Python 3.10 or later, and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 3000

.PHONY: help install demo materialize test test-slow test-kills test-chaos chaos test-endurance endurance regressions test-real test-ui lint types check bench screenshots conformance clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# One stamp for the environment: made anew when the dependencies change.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@

install: $(VENV)/.installed  ## the environment in .venv, with the package and all tools

demo: install  ## the sandbox and the Dagster UI, with all assets ready to materialize
	$(BIN)/python -m demo --port $(PORT)

materialize: install  ## the same without a browser: materialize everything, and print what happened
	$(BIN)/python -m demo.materialize

test: install  ## unit and integration tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: install  ## what waits for real time, simulates much, or stores on disk
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/slow tests/regressions tests/recorded

test-kills: install  ## real processes of Dagster's executors, really killed
	$(BIN)/python -m pytest tests/kills

test-chaos: install  ## short campaigns of a fixed seed on SQLite and PostgreSQL, and the harness's own tests
	$(BIN)/python -m pytest tests/chaos

chaos: install  ## 1,100 materializations while vendors fail and processes are killed; SEED=n to have one again
	$(BIN)/python -m tests.chaos --materializations 700 --web-groups 3 $(if $(SEED),--seed $(SEED))
	$(BIN)/python -m tests.chaos --materializations 400 --web-groups 3 --storage postgres $(if $(SEED),--seed $(SEED))

test-endurance: install  ## a short campaign of deferred runs amid kills, and proof that it can fail
	$(BIN)/python -m pytest tests/endurance

endurance: install  ## 10,000 deferred runs, code server and daemon killed five times; SEED=n, RUNS=n, STORAGE=postgres
	$(BIN)/python -m tests.endurance --runs $(or $(RUNS),10000) --storage $(or $(STORAGE),sqlite) --kills 5 $(if $(SEED),--seed $(SEED))

regressions: install  ## the tests of reported faults: red with the package of commit BASE, green with this one
	$(BIN)/python -m tests.regressions --base $(or $(BASE),13aeda3)

test-real: install  ## the assets against a real TestGen server, which is installed, started and taken down
	$(BIN)/python -m pytest tests/real

test-ui: install  ## the demo in a browser; needs Chromium
	$(BIN)/python -m pytest tests/e2e

screenshots: install  ## the pictures in docs/, taken from the demo; needs Chromium
	$(BIN)/python -m tests.e2e.screenshots

lint: install  ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install  ## mypy, strict
	$(BIN)/mypy

check: lint types test  ## all that needs no server and no browser

# The peer that is measured beside, and what draws.
$(VENV)/.installed-bench: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,bench]"
	@touch $@

bench: $(VENV)/.installed-bench  ## figures beside the peer's and the limits, to docs/performance.md; QUICK=1 for a short one
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick,--write docs/performance.md)

conformance: install  ## docs/vendors.md anew: what of each vendor's API is used, and what proves it
	$(BIN)/python -m tests.conformance

clean:  ## forget the environment and everything that was started here
	rm -rf $(VENV) .testgen .demo .mypy_cache .ruff_cache
