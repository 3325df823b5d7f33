"""A run worker of the harness: a separate process that executes one Dagster run."""

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
    """The task of a run worker.

    Attributes:
        job: A function of the code location.
        partitions: The partition of the group, or its days.
        assets: Keys of the assets, for the first attempt.
        attempt: A name to find the Dagster run by.
        parent: The Dagster run to re-execute.
        from_failure: Whether to re-execute only failed steps instead of all.
        by_python: Whether to use the plain Python API, which omits a tag that the UI and the daemon set.
        log: The file of their output.
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
        """Returns the tags of the Dagster run."""
        first, last = self.partitions[0], self.partitions[-1]
        of_partition = {"dagster/partition": first}
        if first != last:
            of_partition = {
                "dagster/asset_partition_range_start": first,
                "dagster/asset_partition_range_end": last,
            }
        return {**of_partition, ATTEMPT_TAG: self.attempt}


def work(order: Order) -> None:
    """Executes the order; the exit code is 0 if it succeeded."""
    os.setsid()  # so that all its processes can be killed at once, like the loss of a machine
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
                    tags[RESUME_TAG] = "true"  # like the UI and the daemon
        assets = None if order.parent else [dg.AssetKey(asset) for asset in order.assets]
        job = dg.reconstructable(getattr(code_location, order.job))
        with dg.execute_job(
            job, instance=instance, tags=tags, asset_selection=assets, reexecution_options=options
        ) as result:
            sys.exit(0 if result.success else 1)
