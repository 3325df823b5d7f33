# `make demo` and `make test` set everything up themselves; they need Python 3.10 or later, and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 3000

.PHONY: help install demo materialize test test-slow test-kills test-chaos chaos test-endurance endurance regressions test-real test-ui lint types check bench screenshots conformance clean
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# One stamp for the environment, which is updated when the dependencies change.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@

install: $(VENV)/.installed  ## create the environment in .venv, with the package and all tools

demo: install  ## start the sandbox and the Dagster UI, with all assets ready to materialize
	$(BIN)/python -m demo --port $(PORT)

materialize: install  ## materialize everything without the UI, and print the results
	$(BIN)/python -m demo.materialize

test: install  ## run the unit and integration tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: install  ## run the tests that wait in real time, simulate a lot, or store data on disk
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/slow tests/regressions tests/recorded

test-kills: install  ## run the tests that kill real processes of Dagster's executors
	$(BIN)/python -m pytest tests/kills

test-chaos: install  ## run short chaos campaigns with a fixed seed on SQLite and PostgreSQL, and the harness's own tests
	$(BIN)/python -m pytest tests/chaos

chaos: install  ## run 1,100 materializations while vendors fail and processes are killed; SEED=n repeats a campaign
	$(BIN)/python -m tests.chaos --materializations 700 --web-groups 3 $(if $(SEED),--seed $(SEED))
	$(BIN)/python -m tests.chaos --materializations 400 --web-groups 3 --storage postgres $(if $(SEED),--seed $(SEED))

test-endurance: install  ## run a short campaign of deferred runs with kills, and check that it can fail
	$(BIN)/python -m pytest tests/endurance

endurance: install  ## run 10,000 deferred runs and kill code server and daemon five times; SEED=n, RUNS=n, STORAGE=postgres
	$(BIN)/python -m tests.endurance --runs $(or $(RUNS),10000) --storage $(or $(STORAGE),sqlite) --kills 5 $(if $(SEED),--seed $(SEED))

regressions: install  ## run the tests of reported faults: they fail with the package of commit BASE and pass with this one
	$(BIN)/python -m tests.regressions --base $(or $(BASE),13aeda3)

test-real: install  ## run the assets against a real TestGen server, which is installed, started and removed
	$(BIN)/python -m pytest tests/real

test-ui: install  ## test the demo in a browser; needs Chromium
	$(BIN)/python -m pytest tests/e2e

screenshots: install  ## take the screenshots in docs/ from the demo; needs Chromium
	$(BIN)/python -m tests.e2e.screenshots

lint: install  ## run ruff: lint and format check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install  ## run mypy in strict mode
	$(BIN)/mypy

check: lint types test  ## run everything that needs neither a server nor a browser

# The peer package for comparison, and the packages that draw the charts.
$(VENV)/.installed-bench: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,bench]"
	@touch $@

bench: $(VENV)/.installed-bench  ## run the benchmarks and write the results to docs/performance.md; QUICK=1 for a short run
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick,--write docs/performance.md)

conformance: install  ## regenerate docs/vendors.md: which parts of each vendor's API are used, and the tests for them
	$(BIN)/python -m tests.conformance

clean:  ## delete the environment and the data of the demo, TestGen and the linters
	rm -rf $(VENV) .testgen .demo .mypy_cache .ruff_cache .pytest_cache
