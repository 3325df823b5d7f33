# Every target installs what it needs into .venv. Needs Python 3.10 or later.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 3000

.PHONY: help install demo materialize test test-slow test-kills test-chaos test-chaos-queues chaos test-endurance endurance regressions test-real test-docs test-ui test-ui-smoke test-versions test-lowest test-newest vendor-kit docs docs-serve dist lint types check bench screenshots conformance clean
.DEFAULT_GOAL := help

help:  ## show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# These mark the environment as installed, and are updated when the dependencies change. The demo needs only a part of it.
$(VENV)/.installed-demo: pyproject.toml | $(BIN)/python
	@echo "Installing Dagster and what the demo needs into $(VENV). This takes about half a minute, once ..."
	$(PIP_INSTALL) --editable ".[demo]"
	@touch $@

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "Installing the package and all tools for working on it into $(VENV). This takes one or two minutes, once ..."
	$(PIP_INSTALL) --editable ".[dev]"
	@touch $(VENV)/.installed-demo $@

install: $(VENV)/.installed  ## install the package and all tools into .venv

demo: $(VENV)/.installed-demo  ## start a Dagster UI with all assets, connected to a local sandbox; PORT=n (the sandbox uses the next port)
	$(BIN)/python -m demo --port $(PORT)

materialize: $(VENV)/.installed-demo  ## materialize the demo's assets without the UI, and print the results
	$(BIN)/python -m demo.materialize

test: install  ## run the unit and integration tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: install  ## run the tests that wait in real time, run long simulations, try many combinations, or store data on disk
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/slow tests/regressions tests/recorded

test-kills: install  ## run the tests that kill real processes of Dagster's executors
	$(BIN)/python -m pytest tests/kills

test-chaos: install  ## run short chaos campaigns with a fixed seed (SQLite and PostgreSQL), and the tests of the harness
	$(BIN)/python -m pytest tests/chaos --ignore tests/chaos/test_queue_chaos.py

test-chaos-queues: install  ## run short chaos campaigns of deferred runs that queue behind limits, and check that the harness detects failures of the queue
	$(BIN)/python -m pytest tests/chaos/test_queue_chaos.py

chaos: install  ## run 1,100 materializations, and 16 groups of deferred ones that queue, while vendors fail and processes are killed; SEED=n repeats a campaign
	$(BIN)/python -m tests.chaos --materializations 700 --web-groups 3 --queue-groups 10 $(if $(SEED),--seed $(SEED))
	$(BIN)/python -m tests.chaos --materializations 400 --web-groups 3 --queue-groups 6 --storage postgres $(if $(SEED),--seed $(SEED))

test-endurance: install  ## run a short endurance campaign, and check that the harness detects failures
	$(BIN)/python -m pytest tests/endurance

endurance: install  ## run 10,000 deferred runs, and kill the code server and the daemon five times; SEED=n, RUNS=n, STORAGE=postgres
	$(BIN)/python -m tests.endurance --runs $(or $(RUNS),10000) --storage $(or $(STORAGE),sqlite) --kills 5 $(if $(SEED),--seed $(SEED))

regressions: install  ## check that the tests of reported bugs fail with the package of commit BASE and pass with this one
	$(BIN)/python -m tests.regressions --base $(or $(BASE),13aeda3)

test-real: install  ## run the TestGen assets against a real server, which is installed, started and removed
	$(BIN)/python -m pytest tests/real

test-docs: install  ## run the blocks of docs/getting-started.md, docs/testgen-in-ten-minutes.md, and those for all vendors of docs/components.md, in new projects with the built wheel
	$(BIN)/python -m pytest tests/docs_project

test-ui: install  ## test the demo in a browser (needs Chromium)
	$(BIN)/python -m pytest tests/e2e

test-ui-smoke: install  ## test the most important pages of the demo in a browser: a run in flight, a terminated one, and one of a colleague
	$(BIN)/python -m pytest tests/e2e -m smoke

# Without VERSIONS, all combinations.
test-versions: install  ## run the unit and integration tests with the wheel, on the lowest and newest versions; VERSIONS="3.10-lowest 3.13-newest" selects
	$(BIN)/python -m tests.versions $(VERSIONS)

test-lowest: VERSION := 3.10-lowest
test-newest: VERSION := 3.13-newest
test-lowest test-newest: install  # one end with one process, for CI
	$(BIN)/python -m tests.versions --workers 1 $(VERSION)

# Each line is a function that returns the report of prove_vendor, or several reports.
VENDORS_TO_PROVE := \
	tests.testing.vendors_to_prove:built_in \
	tests.testing.vendors_to_prove:examples \
	examples.prove_your_own_vendor:prove

vendor-kit: install  ## prove all vendors with the kit for authors of vendors, and print the tables
	$(BIN)/python -m dagster_runs.testing.vendor_kit $(VENDORS_TO_PROVE)

# Not part of `dev`: the site needs Python 3.11, and the packages that check a release are many.
$(VENV)/.installed-docs: pyproject.toml | $(BIN)/python
	@$(BIN)/python -m website --can-build
	$(PIP_INSTALL) --quiet --editable ".[docs]"
	@touch $@

$(VENV)/.installed-dist: pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) --quiet --editable ".[dist]"
	@touch $@

docs: $(VENV)/.installed-docs  ## build the documentation site into site/, and fail for each dead link, missing picture or page (needs Python 3.11)
	$(BIN)/python -m website

docs-serve: $(VENV)/.installed-docs  ## the same, then serve it at http://127.0.0.1:3000/; PORT=n
	$(BIN)/python -m website --serve $(PORT)

dist: $(VENV)/.installed-dist  ## build the wheel and the source distribution into dist/, and check them and the workflows; TAG=v0.1.0 for a release
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m release $(addprefix --tag=,$(TAG))

screenshots: install  ## take the screenshots in docs/ from the demo (needs Chromium)
	$(BIN)/python -m tests.e2e.screenshots

lint: install  ## run ruff (lint and format check)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install  ## run mypy in strict mode
	$(BIN)/mypy

check: lint types test  ## run lint, types and test

# Installs dagster-rudderstack for comparison, and the packages that draw the charts.
$(VENV)/.installed-bench: $(VENV)/.installed
	$(PIP_INSTALL) --quiet --editable ".[dev,bench]"
	@touch $@

bench: $(VENV)/.installed-bench  ## run the benchmarks, and write docs/performance.md; QUICK=1 only prints a short run; ROWS=tables, ROWS=testing or ROWS=yaml measures only these rows
	$(BIN)/python -m benchmarks $(addprefix --rows=,$(ROWS)) $(if $(QUICK),--quick,--write docs/performance.md)

conformance: install  ## regenerate docs/vendors.md, docs/troubleshooting.md, and the last column of docs/what-happens-when.md
	$(BIN)/python -m tests.conformance

clean:  ## delete .venv and .versions, what was built, and the data of the demo, TestGen and the linters
	rm -rf $(VENV) .versions .testgen .demo .mypy_cache .ruff_cache .pytest_cache build dist site
