"""`python -m tests.endurance`: thousands of deferred runs, polled by one sensor whose process is killed."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom
from typing import Any

import click
from rich.console import Console

from tests.endurance import sabotage
from tests.endurance.campaign import conduct
from tests.endurance.plan import Plan
from tests.endurance.reconcile import reconcile
from tests.endurance.report import show


@click.command()
@click.option("--runs", default=10_000, show_default=True, help="The minimum number of deferred runs.")
@click.option("--seed", type=int, help="The seed of a campaign to replay; by default a new one.")
@click.option("--storage", type=click.Choice(["sqlite", "postgres"]), default="sqlite", show_default=True)
@click.option("--kills", default=5, show_default=True, help="Kills of both the code server and the daemon.")
@click.option("--ends-per-second", default=6.0, show_default=True, help="Remote runs that end per real second.")
@click.option("--haste", default=1.0, show_default=True, help="A factor for the pauses around kills.")
@click.option(
    "--sabotage", "sabotaged", type=click.Choice(sorted(sabotage.CHOICES)), help="Break the package deliberately."
)
@click.option("--keep", is_flag=True, help="Keep the folder with the storage and the logs.")
def main(
    runs: int,
    seed: int | None,
    storage: Any,
    kills: int,
    ends_per_second: float,
    haste: float,
    sabotaged: str | None,
    keep: bool,
) -> None:
    """Defers runs at all vendors, kills the code server and the daemon meanwhile, and reconciles both logs."""
    console = Console(soft_wrap=True)
    seed = SystemRandom().randrange(10**6) if seed is None else seed
    os.environ.pop(sabotage.VARIABLE, None)
    if sabotaged:
        os.environ[sabotage.VARIABLE] = sabotaged
    folder = Path(tempfile.mkdtemp(prefix="endurance-", dir=_memory()))
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - began:6.0f} s  {text}", markup=False)

    say(f"seed {seed}, {storage}, in {folder}")
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell may have set it to be ignored
        signal.signal(number, signal.default_int_handler)
    try:
        outcome = conduct(
            Plan(seed, runs),
            storage=storage,
            folder=folder / "campaign",
            kills=kills,
            ends_per_second=ends_per_second,
            say=say,
            haste=haste,
        )
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    findings = reconcile(outcome.facts)
    is_good = show(outcome, findings, console, title=f"seed {seed}, {storage}, {time.monotonic() - began:.0f} s")
    sys.exit(0 if is_good else 1)


def _memory() -> Path | None:
    """Returns an in-memory folder if there is one, because no data has to survive."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and os.access(shared, os.W_OK) else None


if __name__ == "__main__":
    main()
