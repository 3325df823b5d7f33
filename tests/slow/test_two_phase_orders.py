"""Sequences of events in which an evaluation could be lost, or be attributed to another run's materialization."""

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
    DaemonKilled,
    Driver,
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
ASSET_KEY = dg.AssetKey("it")


def newest_evaluation(instance: dg.DagsterInstance) -> tuple[str, bool]:
    """Return the remote run of the newest tests_passed evaluation, and whether it passed."""
    check = dg.AssetCheckKey(ASSET_KEY, "tests_passed")
    [record] = instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
    one = record.event.dagster_event.event_specific_data
    judged = {record.storage_id: record.asset_materialization for record in materializations(instance, "it")}
    return str(judged[one.target_materialization_data.storage_id].metadata["dagster_runs/run_id"].value), one.passed


def tick_until_reported(driver: Driver, clock: SandboxClock, count: int, ticks: int = 60) -> None:
    for _ in range(ticks):
        driver.tick()
        if len(reported(driver.instance, "it")) == count:
            return
        clock.sleep(10)
    raise AssertionError(reported(driver.instance, "it"))


@pytest.mark.parametrize("is_partitioned", [False, True], ids=["unpartitioned", "a partition"])
@pytest.mark.covers("defer.killed-between-phases")
def test_new_code_server_between_the_phases_keeps_the_order(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, is_partitioned: bool
) -> None:
    """The bad run starts first and finishes last; the code server is replaced between the good run's phases."""
    sandbox.set_behavior(
        TESTS.target, [Behavior(running_seconds=300, counts=BAD), Behavior(running_seconds=30, counts={"passed": 5})]
    )
    asset = deferred(
        TESTS,
        partitions_def=dg.StaticPartitionsDefinition(["p"]) if is_partitioned else None,
        on_in_flight="start",
    )
    for _ in range(2):
        materialize([asset], sandbox, instance, partition_key="p" if is_partitioned else None)
    bad, good = sandbox.runs()
    driver = completion([asset], sandbox, instance)
    tick_until_reported(driver, clock, 1)
    assert reported(instance, "it") == [good.id]
    driver.sensor = build_completion_sensor([asset])
    clock.sleep(400)
    driver.ticks(clock, 6)
    assert reported(instance, "it") == [good.id, bad.id]
    assert newest_evaluation(instance) == (bad.id, False)


@pytest.mark.covers("defer.one-after-another")
def test_evaluations_beyond_the_tick_limit_keep_the_order(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With follow-up jobs, a tick evaluates only as many runs as it may request, but materializes more."""
    monkeypatch.setattr(limits, "MAX_TICK_REQUESTS", 1)
    short, long = Behavior(running_seconds=20), Behavior(running_seconds=70)
    sandbox.set_behavior(TESTS.target, [short] * 6 + [long, Behavior(running_seconds=20, counts=BAD)])
    asset, other = deferred(TESTS, on_in_flight="start"), deferred(TESTS, "other", on_in_flight="start")
    for one in [other] * 6 + [asset] * 2:
        materialize([one], sandbox, instance)
    good, bad = sandbox.runs()[-2:]
    driver = completion([other, asset], sandbox, instance, job=after_it)
    tick_until_reported(driver, clock, 1)
    assert reported(instance, "it") == [bad.id]
    driver.ticks(clock, 40)
    assert reported(instance, "it") == [bad.id, good.id]
    assert newest_evaluation(instance) == (good.id, True)


@pytest.mark.covers("defer.attached-between-phases")
def test_checks_are_reported_after_an_attempt_attached_between_the_phases(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    """The sensor reports the run while an attempt attaches to it; then the code server is replaced."""
    asset = deferred(TESTS, on_in_flight="start")
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
def test_active_run_is_reported_when_its_asset_is_wiped_after_another_report(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(TESTS.target, [Behavior(running_seconds=30), Behavior(running_seconds=300)])
    asset = deferred(TESTS, on_in_flight="start")
    for _ in range(2):
        materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    tick_until_reported(driver, clock, 1)
    instance.wipe_assets([ASSET_KEY])
    driver.ticks(clock, 60)
    assert reported(instance, "it") == [sandbox.runs()[1].id]


@pytest.mark.covers("defer.killed-between-phases-outage")
def test_checks_are_reported_after_an_outage_and_a_restart_between_the_phases(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS, timeout=300)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    tick_until_reported(driver, clock, 1)
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
    tick_until_reported(driver, clock, 2)
    assert reported(instance, "it") == [bad.id, good.id]
    sandbox.add_fault(Fault("status", path=bad.id, status=503, times=100_000))
    driver.tick()
    sandbox.clear_faults()
    driver.ticks(clock, 4, every=60)
    assert newest_evaluation(instance) == (good.id, True)


@pytest.mark.parametrize("is_lost", [False, True], ids=["stored", "lost"])
def test_follow_up_of_a_failure_without_a_dagster_run_is_requested_after_a_lost_tick(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, is_lost: bool
) -> None:
    def partitions(*keys: str) -> Any:
        return dg.StaticPartitionsDefinition(keys)

    sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=5, outcome="fail"))
    materialize([deferred(PROFILES, partitions_def=partitions("a", "b"))], sandbox, instance, partition_key="a")
    driver = completion([deferred(PROFILES, partitions_def=partitions("b"))], sandbox, instance, job=after_it)
    clock.sleep(60)
    if is_lost:
        with pytest.raises(DaemonKilled):
            driver.tick(lost_after=100)
    driver.ticks(clock, 6)
    assert jobs_run(driver) == [("after_it", "FAILED")]


def test_partition_that_is_run_twice_is_reported_twice(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    """A partition that is run again is reported again, with no other events in between."""
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(["p"]), on_in_flight="start")
    driver = completion([asset], sandbox, instance)
    driver.tick()
    for _ in range(2):
        materialize([asset], sandbox, instance, partition_key="p")
        driver.ticks(clock, 8, every=30)
    assert len(reported(instance, "it")) == 2
    assert evaluations(instance, "it")["run_status"] == (True, 2)


@pytest.mark.covers("defer.superseded-evaluation")
def test_runs_of_one_partition_that_finish_in_another_order_are_all_reported(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    """Dagster stores the evaluations of a Dagster run in the rows of its planned checks, and uses the newest row."""
    sandbox.set_behavior(TESTS.target, [Behavior(running_seconds=300), Behavior(running_seconds=30)])
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(["p"]), on_in_flight="start")
    for _ in range(2):
        materialize([asset], sandbox, instance, partition_key="p")
    slow, quick = sandbox.runs()
    completion([asset], sandbox, instance).ticks(clock, 60)
    assert reported(instance, "it") == [quick.id, slow.id]
    assert newest_evaluation(instance) == (slow.id, True)


@pytest.mark.covers("defer.killed-between-phases")
def test_new_code_server_does_not_evaluate_partitions_again(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row of an evaluation has the time of its plan. For a long run, that is long before the materialization."""
    monkeypatch.setattr(second_phase_module, "MAX_HOST_CLOCK_SKEW", 0.0)  # the storage uses the machine's clock
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(["p"]), on_in_flight="start")
    for _ in range(2):  # the first is evaluated without a Dagster run, the second as part of its Dagster run
        materialize([asset], sandbox, instance, partition_key="p")
        completion([asset], sandbox, instance).ticks(clock, 12)

    def stored() -> int:
        kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return len(instance.get_event_records(dg.EventRecordsFilter(kind)))

    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 12)
    requests_before, events_before = len(sandbox.requests()), stored()
    assert events_before == 6
    driver.sensor, driver.cursor = build_completion_sensor([asset]), None
    driver.ticks(clock, 4)
    assert stored() == events_before
    assert len(sandbox.requests()) == requests_before
