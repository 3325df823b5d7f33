"""`python -m benchmarks`: figures of this package beside their limits, measured in one go, as medians."""

import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.table import Table

from benchmarks import amperity_burst, ledger, pacing


@dataclass(frozen=True)
class Figure:
    """One measured quantity; ``limit`` in the same unit."""

    name: str
    unit: str
    limit: float | None
    measure: Callable[[], list[float]]


def import_cost(statement: str) -> list[float]:
    """Milliseconds that the statement takes once `dagster` is imported, each in a fresh process."""
    code = (
        f"import time, dagster; begun = time.perf_counter(); {statement}; print(1000 * (time.perf_counter() - begun))"
    )
    # As for an installed package: compiled once, which the first of these processes does.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return [float(subprocess.check_output([sys.executable, "-c", code], env=environment)) for _ in range(10)][1:]


_EVERYTHING = "import dagster_runs; [getattr(dagster_runs, name) for name in dir(dagster_runs)]"
FIGURES = [
    Figure("import dagster_runs, after import dagster", "ms", 50, partial(import_cost, "import dagster_runs")),
    Figure("the same with every name in it", "ms", None, partial(import_cost, _EVERYTHING)),
    *(
        Figure(f"{name} ({storage})", "ms", limit, partial(measure, kind))
        for storage, kind in (("SQLite", "sqlite"), ("PostgreSQL", "postgres"))
        for name, limit, measure in (
            ("from the step's start to the vendor's POST", None, ledger.to_post),
            ("the ledger of one run: all its writes and reads", 30, ledger.in_ledger),
            ("for comparison: one bare event", None, ledger.bare),
        )
    ),
    Figure(
        "a burst of 100 status calls to Amperity: busiest second", "calls", 10, amperity_burst.calls_in_busiest_second
    ),
    Figure("the same burst: longer than the limit forces", "%", 5, amperity_burst.time_lost),
    Figure("pacing, foreseeable runs: delay, of a fixed 10 s pace's", "%", 20, pacing.delays(pacing.PREDICTABLE)),
    Figure("the same: calls", "%", 100, pacing.calls(pacing.PREDICTABLE)),
    Figure("pacing, all later runs: delay, of a fixed 10 s pace's", "%", None, pacing.delays(pacing.ASSETS)),
    Figure("the same: calls", "%", 100, pacing.calls(pacing.ASSETS)),
    # A look a tenth of a second earlier or later decides here: hence the two percent.
    Figure("pacing, first runs: delay, of a fixed 10 s pace's", "%", 102, pacing.delays(pacing.FIRST_RUNS)),
    Figure("the same: calls", "%", 102, pacing.calls(pacing.FIRST_RUNS)),
]


def main() -> None:
    """Measure everything, and print a table; exits with 1 if a median is beyond its limit."""
    table = Table("figure", "median", "min", "max", "limit")
    beyond = False
    for figure in FIGURES:
        values = figure.measure()
        median = statistics.median(values)
        too_much = figure.limit is not None and median > figure.limit
        beyond = beyond or too_much
        table.add_row(
            figure.name,
            f"{median:.1f} {figure.unit}",
            f"{min(values):.1f}",
            f"{max(values):.1f}",
            "" if figure.limit is None else f"{figure.limit:g} {figure.unit}{' EXCEEDED' if too_much else ''}",
        )
    Console().print(table)
    delays = Table("asset", "median", "p95", "calls a run", "fixed: median", "p95", "calls", title="pacing, simulated")
    for row in pacing.rows():
        delays.add_row(*row)
    Console().print(delays)
    sys.exit(1 if beyond else 0)


if __name__ == "__main__":
    main()
