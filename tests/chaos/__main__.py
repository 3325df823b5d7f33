"""`python -m tests.chaos`: hundreds of materializations under faults and kills, and a reconciliation of the results."""

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

from tests.chaos import sabotage
from tests.chaos.campaign import Campaign, conduct
from tests.chaos.plan import plan, vendor_faults
from tests.chaos.queue_plan import queue_plan
from tests.chaos.reconcile import reconcile
from tests.chaos.report import show


@click.command()
@click.option("--materializations", default=100, show_default=True, help="The minimum number of materializations.")
@click.option("--seed", type=int, help="The seed of a campaign to replay; by default a new one.")
@click.option("--storage", type=click.Choice(["sqlite", "postgres"]), default="sqlite", show_default=True)
@click.option("--minutes", type=float, help="Start no group after this many minutes.")
@click.option("--web-groups", default=0, show_default=True, help="Groups that run through a Dagster web server.")
@click.option("--queue-groups", default=0, show_default=True, help="Groups of deferred materializations.")
@click.option("--at-once", default=10, show_default=True, help="Groups that run in parallel.")
@click.option("--group", "only", type=int, multiple=True, help="Only this group of the campaign.")
@click.option("--queue-group", "only_queue", type=int, multiple=True, help="Only this queue group of the campaign.")
@click.option("--calm", is_flag=True, help="No faults of whole vendors, and calm queue groups.")
@click.option(
    "--sabotage",
    "sabotaged",
    type=click.Choice(sorted(sabotage.CHOICES)),
    multiple=True,
    help="Break the package deliberately.",
)
@click.option(
    "--queue-sabotage",
    "queue_sabotaged",
    type=(int, click.Choice(sorted(sabotage.CHOICES))),
    multiple=True,
    metavar="GROUP NAME",
    help="Break the package deliberately for this queue group only.",
)
@click.option("--keep", is_flag=True, help="Keep the folder with the storage and the logs.")
def main(
    materializations: int,
    seed: int | None,
    storage: Any,
    minutes: float | None,
    web_groups: int,
    queue_groups: int,
    at_once: int,
    only: tuple[int, ...],
    only_queue: tuple[int, ...],
    calm: bool,
    sabotaged: tuple[str, ...],
    queue_sabotaged: tuple[tuple[int, str], ...],
    keep: bool,
) -> None:
    """Materializes through real Dagster processes while vendors fail and processes are killed; then reconciles."""
    console = Console(soft_wrap=True)
    seed = SystemRandom().randrange(10**6) if seed is None else seed
    replay = f"python -m tests.chaos --seed {seed} --materializations {materializations} --storage {storage}"
    replay += f" --web-groups {web_groups}" if web_groups else ""
    replay += f" --queue-groups {queue_groups}" if queue_groups else ""
    console.print(f"seed {seed}; replay: {replay}", markup=False)
    os.environ.pop(sabotage.VARIABLE, None)
    if sabotaged:
        os.environ[sabotage.VARIABLE] = ",".join(sabotaged)
    is_part = bool(only or only_queue)
    groups = [
        group for group in plan(seed, materializations, web_groups=web_groups) if not is_part or group.number in only
    ]
    queues = [group for group in queue_plan(seed, queue_groups, calm=calm) if not is_part or group.number in only_queue]
    broken: dict[int, tuple[str, ...]] = {}
    for number, name in queue_sabotaged:
        broken[number] = (*broken.get(number, ()), name)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    began, reported = time.monotonic(), [0]

    def progress(campaign: Campaign) -> None:
        if campaign.done // 50 == reported[0]:
            return
        reported[0] = campaign.done // 50
        console.print(f"{time.monotonic() - began:6.0f} s  {campaign.done} materializations", markup=False)

    for signal_number in (signal.SIGINT, signal.SIGTERM):  # a shell may have set it to be ignored
        signal.signal(signal_number, signal.default_int_handler)
    try:
        campaign = conduct(
            groups,
            queue_groups=queues,
            queue_sabotages=broken,
            storage=storage,
            folder=folder / "campaign",
            at_once=at_once,
            forecast=None if calm else vendor_faults(seed),
            seconds=minutes * 60 if minutes else float("inf"),
            progress=progress,
        )
    finally:
        if keep:
            console.print(f"kept: {folder}", markup=False)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    account = reconcile(campaign.facts, campaign.queues)
    took = time.monotonic() - began
    show(account, console, title=f"seed {seed}, {storage}, {took:.0f} s", replay=replay, ticks=campaign.ticks)
    for error in campaign.problems_text:
        console.print(error, style="red", markup=False)
    sys.exit(1 if account.findings or campaign.problems_text else 0)


if __name__ == "__main__":
    main()
