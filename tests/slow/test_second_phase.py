"""An outcome is reported in two phases: first materializations, then the evaluations that refer to them."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs import QualityGate
from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import TESTS, materialize
from tests.sensors.driving import DaemonKilled, Driver, completion, deferred, materializations, observing
from tests.slow.test_partitioned_gate import BAD, GOOD, partitioned_checks

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.fixes("6.1")]

REGIONS = dg.StaticPartitionsDefinition(["north", "south"])
CHECKS = ("run_status", "tests_passed", "quality_score")
GATE = QualityGate(blocking=True)
PARTITIONS = pytest.mark.parametrize(
    "partitions",
    [pytest.param(None, id="unpartitioned"), pytest.param(REGIONS, id="partitioned", marks=partitioned_checks)],
)


def evaluated_materializations(instance: dg.DagsterInstance, check: str) -> list[tuple[str | None, int | None]]:
    """Return the partition and evaluated materialization of each evaluation of a check, oldest first."""
    records = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey("it"), check), limit=1000
    )
    found = [record.event.dagster_event.event_specific_data for record in records if record.status.value != "PLANNED"]
    return [
        (
            evaluation.partition,
            evaluation.target_materialization_data.storage_id
            if evaluation.target_materialization_data is not None
            else None,
        )
        for evaluation in reversed(found)
    ]


def stored(instance: dg.DagsterInstance) -> list[tuple[str | None, int]]:
    return [(record.partition_key, record.storage_id) for record in materializations(instance, "it")]


def assert_each_is_evaluated_once(instance: dg.DagsterInstance) -> None:
    for check in CHECKS:
        assert sorted(evaluated_materializations(instance, check), key=str) == sorted(stored(instance), key=str)


@PARTITIONS
@pytest.mark.parametrize("lost_at", [0, 1, 2, 3])
@pytest.mark.parametrize("lost_after", [0, 1, 2, 3])
@pytest.mark.parametrize("is_killed", [False, True], ids=["lost tick", "killed process"])
@pytest.mark.covers("defer.killed-between-phases")
def test_events_are_reported_exactly_once_after_a_lost_tick(
    partitions: Any,
    lost_at: int,
    lost_after: int,
    is_killed: bool,
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
) -> None:
    sandbox.set_behavior(TESTS.target, GOOD)
    asset = deferred(TESTS, partitions_def=partitions, gate=GATE)
    for partition in partitions.get_partition_keys() if partitions else (None, None):
        materialize([asset], sandbox, instance, partition_key=partition)
    driver = completion([asset], sandbox, instance)
    clock.sleep(30)
    for _ in range(lost_at):
        driver.tick()
        clock.sleep(10)
    with pytest.raises(DaemonKilled):
        driver.tick(lost_after=lost_after)
    if is_killed:
        cursor = driver.cursor
        driver = completion([deferred(TESTS, partitions_def=partitions, gate=GATE)], sandbox, instance)
        driver.cursor = cursor
    driver.ticks(clock, 5)
    assert len(stored(instance)) == 2
    assert_each_is_evaluated_once(instance)


@PARTITIONS
@pytest.mark.covers("defer.one-after-another")
def test_each_of_several_runs_in_a_row_is_evaluated(
    partitions: Any, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS, partitions_def=partitions, gate=GATE)
    driver = completion([asset], sandbox, instance)
    for behavior in (GOOD, BAD, BAD, GOOD):
        sandbox.set_behavior(TESTS.target, behavior)
        materialize([asset], sandbox, instance, partition_key="north" if partitions else None)
        driver.ticks(clock, 5)
    assert len(stored(instance)) == 4
    assert_each_is_evaluated_once(instance)


@pytest.mark.parametrize("outcomes", [[GOOD, BAD], [BAD, GOOD], [GOOD, BAD, GOOD, BAD], [BAD, BAD]])
@pytest.mark.parametrize("is_observed", [False, True], ids=["deferred", "observed"])
@pytest.mark.covers("defer.one-after-another")
def test_new_data_is_never_shown_with_the_evaluation_of_an_earlier_success(
    outcomes: list[Behavior],
    is_observed: bool,
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
) -> None:
    """Several runs of an unpartitioned asset finish together, and automation is evaluated after each stored event."""
    asset = deferred(TESTS, gate=GATE, on_in_flight="start")
    driver = observing([asset], sandbox, instance) if is_observed else completion([asset], sandbox, instance)
    is_good: dict[str, bool] = {}
    for behavior in outcomes:
        sandbox.set_behavior(TESTS.target, behavior)
        if is_observed:
            sandbox.start_run(TESTS.target, source="scheduler")
        else:
            materialize([asset], sandbox, instance)
        is_good[sandbox.runs()[-1].id] = behavior is GOOD
    clock.sleep(60)
    for _ in range(14):
        data = driver.evaluate()
        for event in data.asset_events or []:
            instance.report_runless_asset_event(event)
            newest = materializations(instance, "it")[-1:]
            run_ids = [record.asset_materialization.metadata["dagster_runs/run_id"].value for record in newest]
            if run_ids and not is_good[str(run_ids[0])]:
                assert not allows_downstream(driver, instance)
        driver.cursor = data.cursor
        clock.sleep(60)
    assert len(stored(instance)) == len(outcomes)
    targets = [target for _, target in evaluated_materializations(instance, "tests_passed") if target is not None]
    assert sorted(targets) == sorted(storage_id for _, storage_id in stored(instance))


def allows_downstream(driver: Driver, instance: dg.DagsterInstance) -> bool:
    """Whether `all_deps_blocking_checks_passed` is true for a downstream asset."""

    @dg.asset(deps=["it"], automation_condition=dg.AutomationCondition.all_deps_blocking_checks_passed())
    def after() -> None: ...

    definitions = dg.Definitions.merge(driver.definitions, dg.Definitions(assets=[after]))
    found = dg.evaluate_automation_conditions(definitions, instance)
    return found.get_num_requested(dg.AssetKey("after")) > 0


def test_later_materialization_without_checks_does_not_inherit_an_earlier_evaluation(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds regardless of clocks: the machine that materializes the asset has a clock that is an hour behind."""
    sandbox.set_behavior(TESTS.target, GOOD)
    asset = deferred(TESTS, gate=GATE)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 5)
    assert allows_downstream(driver, instance)

    @dg.op
    def other(context) -> None:  # type: ignore[no-untyped-def] - the annotation would be a string here
        context.log_event(dg.AssetMaterialization("it"))

    @dg.job
    def materialize_behind() -> None:
        other()

    import time

    now = time.time
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: now() - 3600)
        materialize_behind.execute_in_process(instance=instance)
    assert len(materializations(instance, "it")) == 2
    assert not allows_downstream(driver, instance)


@pytest.mark.covers("defer.wiped-between-phases")
def test_wiped_materialization_is_not_evaluated(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(TESTS.target, GOOD)
    asset = deferred(TESTS, gate=GATE)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    clock.sleep(30)
    driver.tick()
    assert len(stored(instance)) == 1
    instance.wipe_assets([dg.AssetKey("it")])
    driver.ticks(clock, 4)
    assert stored(instance) == []
    assert evaluated_materializations(instance, "tests_passed") == []
