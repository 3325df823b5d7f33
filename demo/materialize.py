"""`python -m demo.materialize`: materializes all assets once, without the UI, and prints a table of the results.

Exits with 0 if every asset was either materialized or blocked by a failed blocking check: the sandbox's orders are bad
on purpose, and its pipeline `customer_360_broken` fails on purpose. Exits with 1 if an asset was not materialized for
any other reason.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NoReturn

import click
import dagster as dg

from demo.deferred import QUIET, deferred_outcomes
from demo.location import load_definitions
from demo.outcome import Outcome, outcomes
from demo.processes import DemoError, Stopped, raise_on_signals
from demo.report import console, report
from demo.sandbox import DEFAULT_PORT, sandbox

EXPECTED_FAILURES = {dg.AssetKey("churn_report")}


@click.command()
@click.option(
    "--speed",
    default=10.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    help="Simulated seconds of the sandbox per real second.",
)
@click.option(
    "--sandbox-port",
    default=DEFAULT_PORT,
    show_default=True,
    help="Port of the sandbox. If it is in use, a free port is used instead.",
)
def main(speed: float, sandbox_port: int) -> None:
    """Materialize every asset of definitions.py, and print the results."""
    out = console()
    started_at = time.monotonic()
    try:
        with (
            raise_on_signals(),
            tempfile.TemporaryDirectory(prefix="dagster-runs-") as directory,
            sandbox(sandbox_port, speed, Path(directory) / "sandbox.log", threading.Event()) as process,
            out.status("Materializing ..."),
        ):
            found = _materialize()
    except (Stopped, KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        raise click.ClickException("Interrupted.") from None
    except DemoError as error:
        raise click.ClickException(str(error)) from None
    out.print(report(found, width=out.width))
    seconds = time.monotonic() - started_at
    of_all = sum(not one.is_external for one in found)
    out.print(f"Materialized {sum(one.materialized for one in found)} of {of_all} assets in {seconds:.0f} s.")
    if process is not None:
        out.print(f"The sandbox simulates the vendors. Its time, and the column seconds, runs {speed:g} times as fast.")
    _exit(found)


def _materialize() -> list[Outcome]:
    defs = load_definitions()
    found: list[Outcome] = []
    with dg.DagsterInstance.ephemeral() as instance:
        for name in ("ingest", "everything"):
            job = defs.resolve_job_def(name)
            days = job.partitions_def
            result = job.execute_in_process(
                instance=instance,
                raise_on_error=False,
                partition_key=days.get_last_partition_key() if days is not None else None,
                run_config=QUIET,
            )
            if any(event.is_step_failure and _was_interrupted(event) for event in result.all_events):
                raise Stopped
            found += outcomes(job, result)
        found += deferred_outcomes(defs, instance)
    return found


def _was_interrupted(event: dg.DagsterEvent) -> bool:
    # Dagster turns a signal that arrives during a step into an ordinary failure.
    error = event.step_failure_data.error
    return error is not None and error.cls_name == dg.DagsterExecutionInterruptedError.__name__


def _exit(found: list[Outcome]) -> NoReturn:
    sys.exit(0 if all(one.is_as_expected or one.key in EXPECTED_FAILURES for one in found) else 1)


if __name__ == "__main__":
    main(prog_name="python -m demo.materialize")
