"""A tick ends within its `tick_seconds`, in real time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import dagster as dg
import pytest

from dagster_runs import AmperityWorkflowRun, build_remote_run_asset
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.sensors import limits
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, materialize
from tests.sensors.driving import Driver, completion, deferred, materializations, observing, reported

WORKFLOW = AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS)
SECONDS = limits.MIN_TICK_SECONDS
DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2025-12-31")

# The vendor does not respond at all, or its response never ends. The second one does not block the server's end.
HANGS = pytest.mark.parametrize("kind", ["hang", "slow_body"])


@pytest.fixture
def hanging(sandbox: Sandbox) -> Iterator[Sandbox]:
    yield sandbox
    sandbox.clear_faults()


def seconds_of(driver: Driver) -> float:
    """Run one tick, and return how long the sensor took, without the storing of its events."""
    begun = time.monotonic()
    data = driver.evaluate()
    seconds = time.monotonic() - begun
    for event in data.asset_events or []:
        driver.instance.report_runless_asset_event(event)
    driver.cursor = data.cursor
    driver.skipped.append(data.skip_message)
    return seconds


@HANGS
@pytest.mark.covers("defer.tick-seconds")
def test_completion_tick_with_a_vendor_that_hangs(
    hanging: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, kind: str
) -> None:
    ill, well = deferred(PROFILES, key="ill"), deferred(TESTS, key="well")
    materialize([ill, well], hanging, instance)
    clock.sleep(60)
    hanging.add_fault(Fault(kind, method="GET", path="/runs/.*/status", seconds=30))  # type: ignore[arg-type]
    driver = completion([ill, well], hanging, instance, tick_seconds=SECONDS)
    durations = []
    for _ in range(3):
        durations.append(seconds_of(driver))
        clock.sleep(10)
    assert max(durations) < SECONDS + 1, durations
    assert durations[0] > SECONDS / 2, "the vendor did not hang"
    assert len(reported(instance, "well")) == 1


@HANGS
@pytest.mark.parametrize("path", ["/projects/.*/jobs", "/test-runs/"], ids=["list", "result"])
@pytest.mark.covers("defer.tick-seconds")
def test_observation_tick_with_a_vendor_that_hangs(
    hanging: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, kind: str, path: str
) -> None:
    driver = observing([build_remote_run_asset(TESTS, key="it")], hanging, instance, tick_seconds=SECONDS)
    for _ in range(3):
        hanging.start_run(TESTS.target, source="scheduler")
    clock.sleep(60)
    hanging.add_fault(Fault(kind, method="GET", path=path, seconds=30))  # type: ignore[arg-type]
    durations = []
    for _ in range(2):
        durations.append(seconds_of(driver))
        clock.sleep(60)
    assert max(durations) < SECONDS + 1, durations
    assert durations[0] > SECONDS / 4, "the vendor did not hang"
    hanging.clear_faults()
    for _ in range(8):
        driver.tick()
        clock.sleep(60)
    assert len(reported(instance, "it")) == 3


def test_completion_ticks_that_report_a_run_with_many_partitions_and_tasks(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    """Each partition would have 180 kB of tasks: 135 MB in all."""
    tasks = [{"label": f"Load table {n} of the warehouse into the tenant", "outcome": "succeeded"} for n in range(800)]
    sandbox.set_behavior(WORKFLOW.target, Behavior(tasks=tasks))
    asset = deferred(WORKFLOW, partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
    keys = DAYS.get_partition_keys()
    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    assert materialize([asset], sandbox, instance, tags=tags).success
    clock.sleep(60)
    driver = completion([asset], sandbox, instance, tick_seconds=SECONDS)
    durations: list[float] = []
    while not durations or driver.skipped[-1] != "No deferred run is in flight":
        durations.append(seconds_of(driver))
        clock.sleep(10)
    assert max(durations) < SECONDS + 1, durations
    assert sorted(str(record.partition_key) for record in materializations(instance, "it")) == keys
