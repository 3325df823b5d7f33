"""What a tick returns is small enough for Dagster: a run that is too large for one tick is reported by several."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs import AmperityWorkflowRun
from dagster_runs.dagster_private import HAS_PARTITIONED_CHECKS, partition_of
from dagster_runs.sandbox import Behavior, Sandbox, well_known
from dagster_runs.sensors import limits
from dagster_runs.sensors.tick import TickOutput
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, materialize
from tests.sensors.driving import DaemonKilled, completion, deferred, materializations, reported

WORKFLOW = AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS)
DAYS = dg.DailyPartitionsDefinition("2026-11-01", end_date="2026-11-11")
KEYS = DAYS.get_partition_keys()
CHECKS = ("run_status", "tasks_succeeded")


@pytest.fixture
def backfill(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> dg.AssetsDefinition:
    """An asset whose ten partitions are materialized by one deferred run with 800 tasks, which has succeeded."""
    tasks = [{"label": f"Load table {number} of the warehouse", "outcome": "succeeded"} for number in range(800)]
    sandbox.set_behavior(WORKFLOW.target, Behavior(tasks=tasks))
    asset = deferred(WORKFLOW, partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
    tags = {"dagster/asset_partition_range_start": KEYS[0], "dagster/asset_partition_range_end": KEYS[-1]}
    assert materialize([asset], sandbox, instance, tags=tags).success
    clock.sleep(60)
    return asset


def partitions_reported(instance: dg.DagsterInstance) -> list[str | None]:
    return sorted((record.partition_key for record in materializations(instance, "it")), key=str)


def evaluated(instance: dg.DagsterInstance) -> list[tuple[str, str | None]]:
    """Return the check and the partition of each stored evaluation of a materialization."""
    found = []
    for check in CHECKS:
        records = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey("it"), check), limit=1000
        )
        for record in records:
            event = record.event.dagster_event.event_specific_data if record.event else None  # type: ignore[union-attr]
            if isinstance(event, dg.AssetCheckEvaluation) and event.target_materialization_data is not None:
                found.append((check, partition_of(event)))
    return sorted(found, key=str)


EVERY_CHECK = sorted((check, key) for check in CHECKS for key in (KEYS if HAS_PARTITIONED_CHECKS else [None]))


def size(data: Any) -> int:
    return sum(len(dg.serialize_value(one)) for one in [*(data.asset_events or []), *(data.run_requests or [])])


@pytest.mark.covers("defer.many-partitions")
def test_partitions_of_a_run_are_reported_by_several_ticks(
    backfill: dg.AssetsDefinition,
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_TICK_EVENTS", 4)
    driver = completion([backfill], sandbox, instance)
    counts = []
    for _ in range(12):
        data = driver.tick()
        kinds = {type(event) for event in data.asset_events or []}
        counts.append((len(data.asset_events or []), len(kinds)))
        if dg.AssetCheckEvaluation in kinds:
            assert partitions_reported(instance) == KEYS, "evaluations follow when all materializations are stored"
        clock.sleep(10)
    evaluating = [(4, 1)] * 5 if HAS_PARTITIONED_CHECKS else [(2, 1)]
    assert counts == [(4, 1), (4, 1), (2, 1), *evaluating, *[(0, 0)] * (9 - len(evaluating))]
    assert partitions_reported(instance) == KEYS
    assert evaluated(instance) == EVERY_CHECK
    assert driver.skipped[-1] == "No deferred run is in flight"


# The other ticks are in tests/slow/test_lost_ticks.py.
@pytest.mark.parametrize("lost_tick", [1, 5], ids=["materializations", "evaluations"])
def test_each_partition_is_reported_once_although_a_tick_is_lost(
    backfill: dg.AssetsDefinition,
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    monkeypatch: pytest.MonkeyPatch,
    lost_tick: int,
) -> None:
    report_although_a_tick_is_lost(backfill, sandbox, instance, clock, monkeypatch, lost_tick)


def report_although_a_tick_is_lost(
    backfill: dg.AssetsDefinition,
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    monkeypatch: pytest.MonkeyPatch,
    lost_tick: int,
) -> None:
    """Report ten partitions in several ticks, of which one is lost."""
    monkeypatch.setattr(limits, "MAX_TICK_EVENTS", 4)
    driver = completion([backfill], sandbox, instance)
    for number in range(14):
        if number == lost_tick:
            with pytest.raises(DaemonKilled):
                driver.tick(lost_after=2)
        else:
            driver.tick()
        clock.sleep(10)
    assert partitions_reported(instance) == KEYS
    assert evaluated(instance) == EVERY_CHECK
    assert driver.runs == []


def test_new_code_server_continues_with_the_other_partitions(
    backfill: dg.AssetsDefinition,
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_TICK_EVENTS", 4)
    cursor = None
    for _ in range(14):
        driver = completion([backfill], sandbox, instance)
        driver.cursor = cursor
        driver.tick()
        cursor = driver.cursor
        clock.sleep(10)
    assert partitions_reported(instance) == KEYS
    assert evaluated(instance) == EVERY_CHECK


def test_a_tick_is_bounded_by_its_size(
    backfill: dg.AssetsDefinition,
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_EVENT_BYTES", 40_000)
    monkeypatch.setattr(limits, "MAX_TICK_BYTES", 45_000)
    driver = completion([backfill], sandbox, instance)
    sizes = []
    for _ in range(15):
        sizes.append(size(driver.tick()))
        clock.sleep(10)
    assert max(sizes) < 45_000
    assert sum(one > 0 for one in sizes) > 4
    assert partitions_reported(instance) == KEYS
    assert evaluated(instance) == EVERY_CHECK


def test_only_the_last_partition_has_the_table(
    backfill: dg.AssetsDefinition, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver = completion([backfill], sandbox, instance)
    data = driver.tick()
    assert len(data.asset_events) == len(KEYS)
    assert size(data) < 60_000
    *others, last = [record.asset_materialization.metadata for record in materializations(instance, "it")]
    assert len(last["amperity/tasks"].value.records) == 100
    assert {str(one["amperity/tasks"].value) for one in others} == {
        f"See partition {KEYS[-1]}, which has it for all partitions of the run"
    }


def test_a_run_with_many_partitions_does_not_delay_others(
    backfill: dg.AssetsDefinition,
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_TICK_EVENTS", 4)
    other = deferred(PROFILES, key="other")
    driver = completion([backfill, other], sandbox, instance)
    driver.tick()
    materialize([other], sandbox, instance)
    clock.sleep(60)
    driver.tick()
    assert len(reported(instance, "other")) == 1
    driver.ticks(clock, 12)
    assert partitions_reported(instance) == KEYS


@pytest.mark.parametrize("lost_tick", [None, 1])
def test_failure_that_no_dagster_run_can_report_is_reported_by_several_ticks(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    monkeypatch: pytest.MonkeyPatch,
    lost_tick: int | None,
) -> None:
    report_failure_although_a_tick_is_lost(sandbox, instance, clock, monkeypatch, lost_tick)


def report_failure_although_a_tick_is_lost(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    monkeypatch: pytest.MonkeyPatch,
    lost_tick: int | None,
) -> None:
    """Report the failure of ten partitions, of which the asset has lost one, while a tick may be lost."""
    monkeypatch.setattr(limits, "MAX_TICK_EVENTS", 4)
    monkeypatch.setattr(limits, "EVALUATED_AT_ONCE", 3)
    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail"))
    keys = [f"p{number}" for number in range(10)]
    single = dg.BackfillPolicy.single_run()
    asset = deferred(PROFILES, partitions_def=dg.StaticPartitionsDefinition(keys), backfill_policy=single)
    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    assert materialize([asset], sandbox, instance, tags=tags).success
    clock.sleep(60)
    changed = deferred(PROFILES, partitions_def=dg.StaticPartitionsDefinition(keys[:-1]), backfill_policy=single)
    driver = completion([changed], sandbox, instance)
    for number in range(8):
        if number == lost_tick:
            with pytest.raises(DaemonKilled):
                driver.tick(lost_after=5)
        else:
            assert len(driver.tick().asset_events or []) < len(keys)
        clock.sleep(10)
    observed = instance.fetch_observations(dg.AssetKey("it"), limit=100, ascending=True).records
    assert [
        record.partition_key for record in observed if record.run_id == "" and record.asset_observation.metadata
    ] == keys
    assert driver.runs == []
    assert driver.skipped[-1] == "No deferred run is in flight"


def test_size_covers_events_evaluations_and_requests() -> None:
    output = TickOutput(until=0.0)
    assert output.size == 0
    output.events.append(dg.AssetMaterialization("it", metadata={"text": "x" * 1000}))
    first = output.size
    assert first == len(dg.serialize_value(output.events[0]))
    output.requests.append(dg.RunRequest(run_key="it", run_config={"it": "x" * 1000}))
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("it"), check_name="it", passed=True, metadata={"text": "x" * 1000}
    )
    output.evaluate(evaluation)
    assert output.size > first + 2000


def test_full_output_has_no_room() -> None:
    output = TickOutput(until=0.0)
    while not output.is_full:
        assert output.has_room_for_events
        assert output.has_room_for_requests
        output.events.append(dg.AssetMaterialization("it", metadata={"text": "x" * 500_000}))
    assert not output.has_room_for_events
    assert not output.has_room_for_requests
    assert limits.MAX_TICK_BYTES - 600_000 < output.size <= limits.MAX_TICK_BYTES
