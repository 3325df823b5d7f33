"""The code location of the harness: an asset for each slot, a partition for each group."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_runs import QualityGate, build_remote_run_asset
from dagster_runs.testing import sandbox_resources
from tests.chaos import sabotage
from tests.chaos.kinds import BRIEF, MAX_SLOTS, SLOTS, Slot
from tests.chaos.plan import FIRST_DAY, group_of_day
from tests.chaos.timing import fast_time

REQUEST_TIMEOUT = 6.0
"""Real seconds: HTTP is not faster here than elsewhere."""

_for_ever = ExitStack()
_for_ever.enter_context(fast_time())
_for_ever.enter_context(sabotage.chosen())

groups = dg.StaticPartitionsDefinition([str(number) for number in range(int(os.environ["CHAOS_GROUPS"]))])
days = dg.DailyPartitionsDefinition(FIRST_DAY.isoformat())


def number_of(group: int, slot: int) -> int:
    """Returns the number of a materialization."""
    return group * MAX_SLOTS + slot


def pid_file(number: int) -> Path:
    """Returns the file in which a step stores its process id before it materializes."""
    return Path(os.environ["CHAOS_STEPS"]) / f"{number}.pid"


def _asset(slot: Slot) -> dg.AssetsDefinition:
    def run(context: dg.AssetExecutionContext) -> Any:
        partition = context.partition_keys[0]
        number = number_of(group_of_day(partition) if slot.is_daily else int(partition), slot.number)
        pid_file(number).write_text(str(os.getpid()))
        return slot.kind.of(slot.kind.target(number))

    run.__annotations__["return"] = slot.kind.run_class
    return build_remote_run_asset(
        run,
        key=slot.asset,
        partitions_def=days if slot.is_daily else groups,
        backfill_policy=dg.BackfillPolicy.single_run() if slot.is_daily else None,
        gate=QualityGate(blocking=True) if slot.has_gate else None,
        retry_policy=dg.RetryPolicy(max_retries=slot.retries) if slot.retries else None,
        timeout=BRIEF if slot.on_timeout else None,
        on_timeout=slot.on_timeout or "leave",
    )


_PROCESSES = dg.multiprocess_executor.configured(
    {"max_concurrent": 4, "start_method": {"forkserver": {"preload_modules": ["tests.chaos.code_location"]}}}
)


def _keys(*, is_daily: bool) -> list[dg.AssetKey]:
    return [dg.AssetKey(slot.asset) for slot in SLOTS if slot.is_daily == is_daily]


@cache
def definitions() -> dg.Definitions:
    return dg.Definitions(
        assets=[_asset(slot) for slot in SLOTS],
        jobs=[
            dg.define_asset_job("in_process", _keys(is_daily=False), executor_def=dg.in_process_executor),
            dg.define_asset_job("in_processes", _keys(is_daily=False), executor_def=_PROCESSES),
            dg.define_asset_job("days_in_process", _keys(is_daily=True), executor_def=dg.in_process_executor),
            dg.define_asset_job("days_in_processes", _keys(is_daily=True), executor_def=_PROCESSES),
        ],
        resources=resources(),
    )


def resources() -> dict[str, Any]:
    """Returns resources for the sandbox that the environment names."""
    return sandbox_resources(
        os.environ["CHAOS_SANDBOX"],
        request_timeout=REQUEST_TIMEOUT,
        connect_timeout=2.0,
        requests_per_second=None,  # like the sandbox: runs take a tenth of their time here, but the limit is real
    )


def in_process() -> dg.JobDefinition:
    return definitions().resolve_job_def("in_process")


def in_processes() -> dg.JobDefinition:
    return definitions().resolve_job_def("in_processes")


def days_in_process() -> dg.JobDefinition:
    return definitions().resolve_job_def("days_in_process")


def days_in_processes() -> dg.JobDefinition:
    return definitions().resolve_job_def("days_in_processes")
