"""After a restart, the sensor checks which runs were reported already, with few queries and fresh results."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.sensors import limits
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import TESTS, materialize
from tests.sensors.driving import DaemonKilled, completion, deferred, materializations, reported

pytestmark = pytest.mark.usefixtures("clock")
RUNS = 6


@pytest.mark.parametrize("is_partitioned", [False, True], ids=["unpartitioned", "a partition each"])
def test_reports_of_an_asset_are_read_once_regardless_of_the_number_of_finished_runs(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    monkeypatch: pytest.MonkeyPatch,
    is_partitioned: bool,
) -> None:
    monkeypatch.setattr(limits, "PARTITIONS_PER_QUERY", RUNS // 2)
    keys = [f"p{number}" for number in range(RUNS)] if is_partitioned else [None] * RUNS
    partitions_def = dg.StaticPartitionsDefinition(keys) if is_partitioned else None
    asset = deferred(TESTS, partitions_def=partitions_def, on_in_flight="start")
    for key in keys:
        materialize([asset], sandbox, instance, partition_key=key)
    clock.sleep(120)
    with pytest.raises(DaemonKilled):
        completion([asset], sandbox, instance).tick(lost_after=RUNS // 2)
    assert len(reported(instance, "it")) == (RUNS // 2 if is_partitioned else 1)
    fetch, calls = instance.fetch_materializations, []

    def counted(*args: Any, **options: Any) -> dg.EventRecordsResult:
        calls.append(args)
        return fetch(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(instance, "fetch_materializations", counted)
        driver = completion([asset], sandbox, instance)
        driver.tick()
    # One query for the active runs and one for the durations of earlier runs; one for each batch of reports; and two
    # for the checks: one to find the missing evaluations, and one to report them.
    assert len(calls) == 2 + (2 if is_partitioned else 1) + 2
    driver.ticks(clock, 1 if is_partitioned else RUNS)
    assert sorted(reported(instance, "it")) == sorted(run.id for run in sandbox.runs())
    assert {record.partition_key for record in materializations(instance, "it")} == set(keys)


def test_run_reported_by_another_process_between_two_ticks_is_not_reported_again(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS, on_in_flight="start")
    for _ in range(2):
        materialize([asset], sandbox, instance)
    [reported_id, other_id] = [run.id for run in sandbox.runs()]
    driver = completion([asset], sandbox, instance)
    driver.tick()  # reads all earlier reports
    materialization = dg.AssetMaterialization("it", metadata={"dagster_runs/run_id": reported_id})
    instance.report_runless_asset_event(materialization)
    clock.sleep(120)
    driver.ticks(clock, 2)
    assert sorted(reported(instance, "it")) == sorted([reported_id, other_id])
