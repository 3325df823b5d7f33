"""Runs the command line: ``python -m dagster_runs.cli``."""

from dagster_runs.cli.main import main

if __name__ == "__main__":
    main(prog_name="dagster-runs")
