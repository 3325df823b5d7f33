"""The code location that the harness runs: an asset for each slot, a partition for each group."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_runs import build_remote_run_asset
from dagster_runs.testing import sandbox_resources
from tests.chaos import sabotage
from tests.chaos.kinds import BRIEF, MOST_SLOTS, SLOTS, Slot
from tests.chaos.timing import fast_time

REQUEST_TIMEOUT = 6.0
"""Real seconds: HTTP is not faster here than elsewhere."""

_for_ever = ExitStack()
_for_ever.enter_context(fast_time())
_for_ever.enter_context(sabotage.chosen())

groups = dg.StaticPartitionsDefinition([str(number) for number in range(int(os.environ["CHAOS_GROUPS"]))])


def number_of(group: int, slot: int) -> int:
    """The number of a materialization."""
    return group * MOST_SLOTS + slot


def pid_file(number: int) -> Path:
    """Where a step that is about to materialize writes its process."""
    return Path(os.environ["CHAOS_STEPS"]) / f"{number}.pid"


def _asset(slot: Slot) -> dg.AssetsDefinition:
    def run(context: dg.AssetExecutionContext) -> Any:
        number = number_of(int(context.partition_key), slot.number)
        pid_file(number).write_text(str(os.getpid()))
        return slot.kind.of(slot.kind.target(number))

    run.__annotations__["return"] = slot.kind.run_class
    return build_remote_run_asset(
        run,
        key=slot.asset,
        partitions_def=groups,
        retry_policy=dg.RetryPolicy(max_retries=slot.retries) if slot.retries else None,
        timeout=BRIEF if slot.on_timeout else None,
        on_timeout=slot.on_timeout or "leave",
    )


_PROCESSES = dg.multiprocess_executor.configured(
    {"max_concurrent": 4, "start_method": {"forkserver": {"preload_modules": ["tests.chaos.code_location"]}}}
)


@cache
def definitions() -> dg.Definitions:
    return dg.Definitions(
        assets=[_asset(slot) for slot in SLOTS],
        jobs=[
            dg.define_asset_job("in_process", executor_def=dg.in_process_executor),
            dg.define_asset_job("in_processes", executor_def=_PROCESSES),
        ],
        resources=sandbox_resources(os.environ["CHAOS_SANDBOX"], request_timeout=REQUEST_TIMEOUT, connect_timeout=2.0),
    )


def in_process() -> dg.JobDefinition:
    return definitions().resolve_job_def("in_process")


def in_processes() -> dg.JobDefinition:
    return definitions().resolve_job_def("in_processes")
