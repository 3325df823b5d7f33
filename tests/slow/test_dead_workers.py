"""Dagster runs that report an outcome, and whose worker dies: without run monitoring, they stay STARTED forever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from dagster_runs import AmperityWorkflowRun, RemoteRun
from dagster_runs.sandbox import Behavior, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, entries, failure, materialize
from tests.sensors.driving import Driver, completion, deferred

pytestmark = pytest.mark.usefixtures("clock")
RUNS = [PROFILES, TESTS, AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS)]
HOUR = 3600.0


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Kill the workers of the next reporting runs: their events are dropped from a given event on."""
    store = dg.DagsterInstance.handle_new_event
    dead: set[str] = set()
    remaining = [0]
    event_type = [""]

    def handle_unless_dead(instance: Any, event: Any, **options: Any) -> Any:
        kind = event.dagster_event.event_type_value if event.dagster_event is not None else ""
        if (
            remaining[0]
            and kind == event_type[0]
            and event.run_id not in dead
            and _is_reporting_run(instance, event.run_id)
        ):
            remaining[0] -= 1
            dead.add(event.run_id)
        return None if event.run_id in dead else store(instance, event, **options)

    monkeypatch.setattr(dg.DagsterInstance, "handle_new_event", handle_unless_dead)

    def kill_next(count: int = 1, event: str = "PIPELINE_FAILURE") -> None:
        remaining[0], event_type[0] = count, event

    return kill_next


def _is_reporting_run(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and "dagster_runs/finishes" in run.tags


def failed_run(run: RemoteRun, sandbox: Sandbox, instance: dg.DagsterInstance, **options: Any) -> Driver:
    sandbox.set_behavior(run.target.rpartition("/")[2], Behavior(outcome="fail", error="the warehouse broke"))
    asset = deferred(run, **options)
    materialize([asset], sandbox, instance)
    return completion([asset], sandbox, instance)


def statuses(driver: Driver) -> list[str]:
    runs = [driver.instance.get_run_by_id(run.run_id) for run in driver.runs]
    return [run.status.value for run in runs if run is not None]


@pytest.mark.fixes("6.17")
@pytest.mark.parametrize("run", RUNS, ids=lambda run: type(run).__name__)
@pytest.mark.parametrize("restarts", [False, True], ids=["same code server", "new code server"])
@pytest.mark.covers("defer.worker-dies")
def test_second_dagster_run_reports_the_failure_after_a_worker_died(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    kill: Callable[..., None],
    run: RemoteRun,
    restarts: bool,
) -> None:
    driver = failed_run(run, sandbox, instance)
    kill()
    while not driver.runs:
        driver.ticks(clock, 1)
    if restarts:
        restarted = completion([deferred(run)], sandbox, instance)
        restarted.cursor, restarted.run_keys, restarted.runs = driver.cursor, driver.run_keys, driver.runs
        driver = restarted
    driver.ticks(clock, 10, every=30)
    assert statuses(driver) == ["STARTED"]  # it may still be alive
    driver.ticks(clock, 15, every=60)
    assert statuses(driver) == ["STARTED", "FAILURE"]
    assert "the warehouse broke" in failure(driver.runs[1])
    assert entries(instance, "it")[-2:] == ["ended", "ended"]
    assert sandbox.starts(None) == 1
    driver.ticks(clock, 40, every=60)
    assert len(driver.runs) == 2


@pytest.mark.fixes("6.17")
def test_dagster_run_that_died_before_reporting_is_replaced_after_the_timeout(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, kill: Callable[..., None]
) -> None:
    driver = failed_run(PROFILES, sandbox, instance, timeout=HOUR)
    kill(event="STEP_START")
    driver.ticks(clock, 5)
    driver.ticks(clock, 30, every=300)
    assert statuses(driver) == ["STARTED", "FAILURE"]
    assert "the warehouse broke" in failure(driver.runs[1])
    assert sandbox.starts(None) == 1


def test_replacement_never_starts_a_remote_run(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, kill: Callable[..., None]
) -> None:
    policy = dg.RetryPolicy(max_retries=3, delay=0)
    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail", error="the warehouse broke"))
    asset = deferred(PROFILES, retry_policy=policy)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    kill(event="STEP_UP_FOR_RETRY")
    while not driver.runs:
        driver.ticks(clock, 1)
    # In process, the dead worker continues: it may start a run, but its ledger entries are not stored.
    starts_before = sandbox.starts(None)
    driver.ticks(clock, 30, every=60)
    assert statuses(driver) == ["STARTED", "FAILURE"]
    assert sandbox.starts(None) == starts_before


@pytest.mark.fixes("6.17")
def test_at_most_three_dagster_runs_are_requested(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    kill: Callable[..., None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    driver = failed_run(PROFILES, sandbox, instance)
    kill(100)
    driver.ticks(clock, 90, every=60)
    assert statuses(driver) == ["STARTED"] * 3
    assert capfd.readouterr().err.count("is not reported: each of 3 Dagster runs") == 1
    assert sandbox.starts(None) == 1


def test_dagster_run_that_dagster_marked_as_failed_is_not_replaced(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, kill: Callable[..., None]
) -> None:
    driver = failed_run(PROFILES, sandbox, instance)
    kill()
    while not driver.runs:
        driver.ticks(clock, 1)
    dead = instance.get_run_by_id(driver.runs[0].run_id)
    assert dead is not None
    # As run monitoring does, but through the storage, since this test drops the events of dead workers.
    instance.run_storage.handle_run_event(dead.run_id, dg.DagsterEvent("PIPELINE_FAILURE", dead.job_name), None)
    driver.ticks(clock, 30, every=60)
    assert statuses(driver) == ["FAILURE"]
