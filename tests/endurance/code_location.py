"""The code location: many deferred assets, the completion sensor, and a sensor that counts failures."""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_runs import QualityGate, build_completion_sensor, build_remote_run_asset
from dagster_runs.testing import sandbox_resources
from tests.chaos import kinds
from tests.endurance import names, queue_plan, sabotage
from tests.endurance.plan import FIRST_DAY, TIMEOUT, Plan, Slot
from tests.endurance.queue_plan import QueueSlot
from tests.endurance.timing import sandbox_time

_INTERVAL = 5

_for_ever = ExitStack()
_for_ever.enter_context(sandbox_time())
_for_ever.enter_context(sabotage.chosen())

_plan = Plan(*json.loads(os.environ[names.PLAN]))
_named = dg.StaticPartitionsDefinition(_plan.partitions)
_days = dg.DailyPartitionsDefinition(FIRST_DAY.isoformat())


def _asset(slot: Slot) -> dg.AssetsDefinition:
    def run(context: dg.AssetExecutionContext) -> Any:
        return slot.kind.of(_plan.deferred_runs[slot.asset, context.partition_keys[0]].target)

    run.__annotations__["return"] = slot.kind.run_class
    return build_remote_run_asset(
        run,
        key=slot.asset,
        partitions_def=_days if slot.is_daily else _named,
        backfill_policy=dg.BackfillPolicy.single_run() if slot.is_daily else None,
        gate=QualityGate(blocking=True) if slot.has_gate else None,
        wait="defer",
        timeout=TIMEOUT,
        on_timeout=slot.on_timeout,
    )


@dg.run_failure_sensor(
    name=names.ALERTING, default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=_INTERVAL
)
def alerting(context: dg.RunFailureSensorContext) -> None:
    """Writes one line each time the sensor fires."""
    with Path(os.environ[names.ALERTS]).open("a") as alerts:
        alerts.write(json.dumps([context.dagster_run.run_id, time.time()]) + "\n")


def _keys(*, is_daily: bool) -> list[dg.AssetKey]:
    return [dg.AssetKey(slot.asset) for slot in _plan.slots if slot.is_daily == is_daily]


def _queue_asset(slot: QueueSlot) -> dg.AssetsDefinition:
    def run(context: dg.AssetExecutionContext) -> Any:
        return kinds.PIPELINE.of(slot.target(context.partition_key))

    run.__annotations__["return"] = kinds.PIPELINE.run_class
    return build_remote_run_asset(
        run,
        key=slot.asset,
        partitions_def=dg.StaticPartitionsDefinition(slot.partitions),
        wait="defer",
        timeout=queue_plan.TIMEOUT,
        max_in_flight=slot.limit,
    )


_queue_assets = [_queue_asset(slot) for slot in queue_plan.SLOTS]
_assets = [_asset(slot) for slot in _plan.slots]
defs = dg.Definitions(
    assets=[*_assets, *_queue_assets],
    jobs=[
        dg.define_asset_job("defer", _keys(is_daily=False)),
        dg.define_asset_job("defer_days", _keys(is_daily=True)),
        *(
            dg.define_asset_job(f"request_{slot.asset}", dg.AssetSelection.assets(slot.asset))
            for slot in queue_plan.SLOTS
        ),
    ],
    sensors=[
        build_completion_sensor(
            [*_assets, *_queue_assets],
            name=names.COMPLETION,
            minimum_interval_seconds=_INTERVAL,
            default_status=dg.DefaultSensorStatus.RUNNING,
        ),
        alerting,
    ],
    executor=dg.in_process_executor,
    resources=sandbox_resources(os.environ[names.SANDBOX]),
)


def defer() -> dg.JobDefinition:
    """The job that defers one run for each asset with named partitions."""
    return defs.resolve_job_def("defer")


def defer_days() -> dg.JobDefinition:
    """The job that defers one run over several days for each asset with daily partitions."""
    return defs.resolve_job_def("defer_days")


def request_queue_0() -> dg.JobDefinition:
    """The job of a queue asset; each has partitions of its own."""
    return defs.resolve_job_def("request_queue_0")


def request_queue_1() -> dg.JobDefinition:
    """See `request_queue_0`."""
    return defs.resolve_job_def("request_queue_1")


def request_queue_2() -> dg.JobDefinition:
    """See `request_queue_0`."""
    return defs.resolve_job_def("request_queue_2")
