"""A run worker of the harness: a process of its own that executes one Dagster run."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

ATTEMPT_TAG = "chaos/attempt"
RESUME_TAG = "dagster/is_resume_retry"


@dataclass(frozen=True)
class Order:
    """What a run worker is to execute.

    Attributes:
        job: A function of the code location.
        partitions: One of the group; or its days.
        assets: Keys of the assets, for a first attempt.
        attempt: A name by which the Dagster run is found.
        parent: The Dagster run that is executed again.
        from_failure: Only what failed of it; else all its steps.
        by_python: By the Python API as it is, which leaves out a tag that the UI and the daemon set.
        log: What the processes print.
    """

    job: str
    partitions: tuple[str, ...]
    assets: tuple[str, ...]
    attempt: str
    log: Path
    parent: str | None = None
    from_failure: bool = True
    by_python: bool = False

    @property
    def tags(self) -> dict[str, str]:
        """Of the Dagster run."""
        first, last = self.partitions[0], self.partitions[-1]
        of_partition = {"dagster/partition": first}
        if first != last:
            of_partition = {
                "dagster/asset_partition_range_start": first,
                "dagster/asset_partition_range_end": last,
            }
        return {**of_partition, ATTEMPT_TAG: self.attempt}


def work(order: Order) -> None:
    """Execute the order; the exit code tells whether it succeeded."""
    os.setsid()  # so that all its processes can be killed at once, as when a machine is lost
    with order.log.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    from tests.chaos import code_location

    tags = order.tags
    options = None
    with dg.DagsterInstance.get() as instance:
        if order.parent is not None:
            options = dg.ReexecutionOptions(order.parent)
            if order.from_failure:
                options = dg.ReexecutionOptions.from_failure(order.parent, instance)
                if not order.by_python:
                    tags[RESUME_TAG] = "true"  # as the UI and the daemon do
        assets = None if order.parent else [dg.AssetKey(asset) for asset in order.assets]
        job = dg.reconstructable(getattr(code_location, order.job))
        with dg.execute_job(
            job, instance=instance, tags=tags, asset_selection=assets, reexecution_options=options
        ) as result:
            sys.exit(0 if result.success else 1)
