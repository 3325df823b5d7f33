"""Orders of events in which an evaluation could be lost, or count for another run's materialization."""

from __future__ import annotations

import warnings
from typing import Any

import dagster as dg
import pytest

from dagster_runs import build_completion_sensor
from dagster_runs.remote_run.execution.ledger import Ledger
from dagster_runs.sandbox import Behavior, Fault, Sandbox
from dagster_runs.sensors import limits
from dagster_runs.sensors.completion import second_phase as second_phase_module
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, materialize
from tests.remote_run.reexecuting import execute, reexecute
from tests.sensors.driving import (
    Driver,
    Lost,
    completion,
    deferred,
    evaluations,
    materializations,
    observing,
    reported,
)
from tests.sensors.test_follow_ups import after_it, jobs_run
from tests.sensors.test_observation import suite

pytestmark = pytest.mark.usefixtures("clock")
BAD = {"passed": 3, "failed": 2}
IT = dg.AssetKey("it")


def newest_judges(instance: dg.DagsterInstance) -> tuple[str, bool]:
    """The remote run that the newest evaluation of tests_passed judges, and whether it passed."""
    check = dg.AssetCheckKey(IT, "tests_passed")
    [record] = instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
    one = record.event.dagster_event.event_specific_data
    judged = {record.storage_id: record.asset_materialization for record in materializations(instance, "it")}
    return str(judged[one.target_materialization_data.storage_id].metadata["dagster_runs/run_id"].value), one.passed


def until_reported(driver: Driver, clock: SandboxClock, count: int, ticks: int = 60) -> None:
    for _ in range(ticks):
        driver.tick()
        if len(reported(driver.instance, "it")) == count:
            return
        clock.sleep(10)
    raise AssertionError(reported(driver.instance, "it"))


@pytest.mark.parametrize("partitioned", [False, True], ids=["one place", "a partition"])
@pytest.mark.covers("defer.killed-between-phases")
def test_a_new_code_server_between_the_phases_keeps_the_order(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, partitioned: bool
) -> None:
    """The bad run was started first and ends last; the code server is replaced when the good one is half reported."""
    sandbox.set_behavior(
        TESTS.target, [Behavior(running_seconds=300, counts=BAD), Behavior(running_seconds=30, counts={"passed": 5})]
    )
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(["p"]) if partitioned else None)
    for _ in range(2):
        materialize([asset], sandbox, instance, partition_key="p" if partitioned else None)
    bad, good = sandbox.runs()
    driver = completion([asset], sandbox, instance)
    until_reported(driver, clock, 1)
    assert reported(instance, "it") == [good.id]
    driver.sensor = build_completion_sensor([asset])
    clock.sleep(400)
    driver.ticks(clock, 6)
    assert reported(instance, "it") == [good.id, bad.id]
    assert newest_judges(instance) == (bad.id, False)


@pytest.mark.covers("defer.one-after-another")
def test_evaluations_that_wait_for_room_keep_the_order(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With follow-up jobs a tick evaluates as many runs as it may request; materializations have more room."""
    monkeypatch.setattr(limits, "MAX_TICK_REQUESTS", 1)
    soon, later = Behavior(running_seconds=20), Behavior(running_seconds=70)
    sandbox.set_behavior(TESTS.target, [soon] * 6 + [later, Behavior(running_seconds=20, counts=BAD)])
    asset, other = deferred(TESTS), deferred(TESTS, "other")
    for one in [other] * 6 + [asset] * 2:
        materialize([one], sandbox, instance)
    good, bad = sandbox.runs()[-2:]
    driver = completion([other, asset], sandbox, instance, job=after_it)
    until_reported(driver, clock, 1)
    assert reported(instance, "it") == [bad.id]
    driver.ticks(clock, 40)
    assert reported(instance, "it") == [bad.id, good.id]
    assert newest_judges(instance) == (good.id, True)


@pytest.mark.covers("defer.attached-between-phases")
def test_an_attempt_that_attached_between_the_phases_costs_no_checks(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    """The sensor reports the run while an attempt attaches to it; then the code server is replaced."""
    asset = deferred(TESTS)
    nightly = dg.define_asset_job("nightly", selection=[asset], executor_def=dg.in_process_executor)
    driver = completion([asset], sandbox, instance, jobs=[nightly])
    driver.tick()
    first = execute(driver.job("nightly"), instance)
    clock.sleep(120)

    def not_yet(ledger: Ledger, run_id: str) -> bool:
        driver.tick()
        return False

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Ledger, "was_reported_before", not_yet)
        assert reexecute(driver.job("nightly"), instance, first.run_id).success
    assert len(reported(instance, "it")) == 1
    assert not evaluations(instance, "it")
    driver.sensor = build_completion_sensor([asset], jobs=[nightly])
    driver.ticks(clock, 4)
    assert len(reported(instance, "it")) == 1
    assert set(evaluations(instance, "it")) == {"run_status", "tests_passed", "quality_score"}


@pytest.mark.covers("defer.wiped-between-phases")
def test_an_asset_wiped_right_after_a_report_loses_no_active_run(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(TESTS.target, [Behavior(running_seconds=30), Behavior(running_seconds=300)])
    asset = deferred(TESTS)
    for _ in range(2):
        materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    until_reported(driver, clock, 1)
    instance.wipe_assets([IT])
    driver.ticks(clock, 60)
    assert reported(instance, "it") == [sandbox.runs()[1].id]


@pytest.mark.covers("defer.killed-between-phases-outage")
def test_an_outage_after_a_restart_between_the_phases_costs_no_checks(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS, timeout=300)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    until_reported(driver, clock, 1)
    driver.sensor = build_completion_sensor([asset])
    sandbox.add_fault(Fault("status", path="^/testgen/", status=503, times=100_000))
    driver.ticks(clock, 40, every=60)
    sandbox.clear_faults()
    driver.ticks(clock, 10, every=60)
    assert set(evaluations(instance, "it")) == {"run_status", "tests_passed", "quality_score"}


@pytest.mark.covers("observe.run-ends")
def test_observed_runs_keep_the_order_when_a_call_fails(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(TESTS.target, [Behavior(running_seconds=20, counts=BAD), Behavior(running_seconds=20)])
    driver = observing([suite()], sandbox, instance)
    bad, good = (sandbox.start_run(TESTS.target, source="ui") for _ in range(2))
    clock.sleep(900)
    until_reported(driver, clock, 2)
    assert reported(instance, "it") == [bad.id, good.id]
    sandbox.add_fault(Fault("status", path=bad.id, status=503, times=100_000))
    driver.tick()
    sandbox.clear_faults()
    driver.ticks(clock, 4, every=60)
    assert newest_judges(instance) == (good.id, True)


@pytest.mark.parametrize("lost", [False, True], ids=["stored", "lost"])
def test_a_lost_tick_keeps_what_follows_an_end_that_no_dagster_run_publishes(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, lost: bool
) -> None:
    def parts(*keys: str) -> Any:
        return dg.StaticPartitionsDefinition(keys)

    sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=5, outcome="fail"))
    materialize([deferred(PROFILES, partitions_def=parts("a", "b"))], sandbox, instance, partition_key="a")
    driver = completion([deferred(PROFILES, partitions_def=parts("b"))], sandbox, instance, job=after_it)
    clock.sleep(60)
    if lost:
        with pytest.raises(Lost):
            driver.tick(lost_after=100)
    driver.ticks(clock, 6)
    assert jobs_run(driver) == [("after_it", "FAILED")]


def test_a_partition_can_be_reported_twice(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    """Each partition that is run again: nothing else has to happen."""
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(["p"]))
    driver = completion([asset], sandbox, instance)
    driver.tick()
    for _ in range(2):
        materialize([asset], sandbox, instance, partition_key="p")
        driver.ticks(clock, 8, every=30)
    assert len(reported(instance, "it")) == 2
    assert evaluations(instance, "it")["run_status"] == (True, 2)


@pytest.mark.covers("defer.superseded-evaluation")
def test_runs_of_one_partition_that_finish_in_another_order_than_they_started(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    """Dagster keeps the evaluations of a Dagster run in the rows of its plan, and takes the newest row."""
    sandbox.set_behavior(TESTS.target, [Behavior(running_seconds=300), Behavior(running_seconds=30)])
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(["p"]))
    for _ in range(2):
        materialize([asset], sandbox, instance, partition_key="p")
    slow, quick = sandbox.runs()
    completion([asset], sandbox, instance).ticks(clock, 60)
    assert reported(instance, "it") == [quick.id, slow.id]
    assert newest_judges(instance) == (slow.id, True)


@pytest.mark.covers("defer.killed-between-phases")
def test_a_new_code_server_evaluates_no_partition_again(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row of an evaluation bears the time of its plan: of a long run, that is long before the materialization."""
    monkeypatch.setattr(second_phase_module, "MAX_HOST_CLOCK_SKEW", 0.0)  # storage stamps by the machine's clock
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(["p"]))
    for _ in range(2):  # the first one is evaluated without a run, the second one as one of its Dagster run
        materialize([asset], sandbox, instance, partition_key="p")
        completion([asset], sandbox, instance).ticks(clock, 12)

    def stored() -> int:
        kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return len(instance.get_event_records(dg.EventRecordsFilter(kind)))

    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 12)
    asked, before = len(sandbox.requests()), stored()
    assert before == 6
    driver.sensor, driver.cursor = build_completion_sensor([asset]), None
    driver.ticks(clock, 4)
    assert stored() == before
    assert len(sandbox.requests()) == asked
