"""A run worker of a queue group: a separate process that executes one Dagster run."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.execution.api import execute_run

from tests.chaos.worker import ATTEMPT_TAG, RESUME_TAG


@dataclass(frozen=True)
class QueueOrder:
    """The task of a run worker: one of a new request, a Dagster run that exists, or one to re-execute.

    Attributes:
        group: The number of the group.
        attempt: A name to find the Dagster run by.
        log: The file of the output.
        sabotages: What is broken in this process.
        asset: The asset that the request materializes.
        partition: Its partition.
        config: The config of its step.
        backfill: The id of the backfill that the Dagster run belongs to; empty for none.
        run_id: The Dagster run that the completion sensor has requested.
        parent: The Dagster run to re-execute from failure, as the UI does.
    """

    group: int
    attempt: str
    log: Path
    sabotages: tuple[str, ...] = ()
    asset: str = ""
    partition: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    backfill: str = ""
    run_id: str | None = None
    parent: str | None = None


def redirect_output(log: Path) -> None:
    """Starts a session of its own, so that all its processes can be killed at once, and writes to this file."""
    os.setsid()
    with log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)


def work_on_queue(order: QueueOrder) -> None:
    """Executes the order; the exit code is 0 if it succeeded."""
    redirect_output(order.log)
    from tests.chaos import sabotage

    with sabotage.applied(order.sabotages), dg.DagsterInstance.get() as instance:
        sys.exit(0 if _execute(order, instance) else 1)


def _execute(order: QueueOrder, instance: dg.DagsterInstance) -> bool:
    from tests.chaos.queue_location import job_of, reconstructable_job

    if order.run_id is not None:
        run = instance.get_run_by_id(order.run_id)
        assert run is not None
        return execute_run(reconstructable_job(order.group, run.job_name), run, instance).success
    tags = {ATTEMPT_TAG: order.attempt}
    if order.parent is not None:
        parent = instance.get_run_by_id(order.parent)
        assert parent is not None
        options = dg.ReexecutionOptions.from_failure(order.parent, instance)
        job = reconstructable_job(order.group, parent.job_name)
        tags = {**parent.tags, **tags, RESUME_TAG: "true"}  # as the UI copies them
        with dg.execute_job(job, instance=instance, tags=tags, reexecution_options=options) as result:
            return result.success
    tags["dagster/partition"] = order.partition
    if order.backfill:
        tags["dagster/backfill"] = order.backfill
    config = {"ops": {order.asset: {"config": order.config}}} if order.config else {}
    job = reconstructable_job(order.group, job_of(order.asset))
    with dg.execute_job(
        job, instance=instance, tags=tags, run_config=config, asset_selection=[dg.AssetKey(order.asset)]
    ) as result:
        return result.success
