"""`python -m benchmarks`: measures this package and dagster-rudderstack, and compares the medians with the limits."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TextIO

import click
from rich.console import Console

from benchmarks import document, figures, poll_simulation
from benchmarks.in_flight import InFlight
from benchmarks.table import Figure, as_table


@click.command()
@click.option("--quick", is_flag=True, help="Measure fewer runs, to check that the benchmarks work.")
@click.option(
    "--write", "page", type=click.Path(path_type=Path), help="Write the results to this page, and the chart next to it."
)
@click.option(
    "--rows", multiple=True, type=click.Choice(list(figures.ROWS)), help="Measure only these rows. May be repeated."
)
def main(quick: bool, page: Path | None, rows: tuple[str, ...]) -> None:
    """Measure everything, and print the table. Exits with 1 if a median exceeds its limit.

    With `--rows`, the page keeps its other rows.
    """
    size = figures.QUICK if quick else figures.Size()
    begun = time.monotonic()
    measured: list[Figure] = []
    found: list[InFlight] = []
    with _quiet() as progress:

        def measure(of: Iterable[Figure]) -> None:
            for figure in of:
                measured.append(figure)
                print(f"{time.monotonic() - begun:4.0f} s: {figure.name}", file=progress, flush=True)

        if not rows:
            measure(chain(figures.of_runs(size), figures.small(size)))
            for one in figures.in_flights(size):
                found.append(one)
                print(f"{time.monotonic() - begun:4.0f} s: {one.case}, {one.storage}", file=progress, flush=True)
            measured += figures.of_ticks(found)
        for name in rows or figures.ROWS:
            measure(figures.ROWS[name](size))
    if page is not None and rows:
        document.replace_rows(rows, measured, page)
    elif page is not None:
        document.write(size, measured, found, page, time.monotonic() - begun)
    console = Console(width=None if sys.stdout.isatty() else 180)
    console.print(as_table(measured))
    if not rows:
        console.print(poll_simulation.as_table())
    sys.exit(1 if any(figure.is_beyond for figure in measured) else 0)


@contextmanager
def _quiet() -> Iterator[TextIO]:
    """Suppresses stderr, because Dagster's runs log thousands of lines. Yields a stream that still reaches it."""
    with os.fdopen(os.dup(2), "w") as kept, open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
        try:
            yield kept
        finally:
            os.dup2(kept.fileno(), 2)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
