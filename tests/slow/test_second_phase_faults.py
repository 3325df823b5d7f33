"""Faults of the second phase: lost evaluations and follow-ups, false warnings, and clocks that differ."""

from __future__ import annotations

import logging
from typing import Any

import dagster as dg
import pytest

from dagster_runs import AmperityResource, AmperityWorkflowRun, build_observation_sensor
from dagster_runs.sandbox import Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.chaos.postgres import embedded_postgres
from tests.remote_run.materializing import PROFILING, TESTS, materialize
from tests.sensors.driving import Driver, completion, deferred, evaluations, observing, reported
from tests.sensors.test_follow_ups import after_it, jobs_run
from tests.sensors.test_several_vendors import UNSET, daemon_ticks

pytestmark = pytest.mark.usefixtures("clock")


def test_observed_run_is_evaluated_during_a_lasting_problem_of_another_vendor(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    run = AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS, workflow_name="Couriers")
    assets = [deferred(run, "couriers"), deferred(TESTS, "quality")]
    amperity = AmperityResource(
        tenant=well_known.AMPERITY_TENANT, access_token=dg.EnvVar(UNSET), base_url=f"{sandbox.url}/amperity"
    )
    driver = Driver(build_observation_sensor(assets), assets, sandbox, instance, resources={"amperity": amperity})
    daemon_ticks(driver, clock, 1)
    started = sandbox.start_run(TESTS.target)
    for _ in range(20):
        daemon_ticks(driver, clock, 1)
        clock.sleep(50)
    assert reported(instance, "quality") == [started.id]
    assert evaluations(instance, "quality")["tests_passed"] == (True, 1)


def test_deleted_dagster_run_causes_no_warning_about_checks(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, caplog: pytest.LogCaptureFixture
) -> None:
    asset = deferred(TESTS)
    driver = completion([asset], sandbox, instance)
    started = materialize([asset], sandbox, instance)
    driver.tick()
    instance.delete_run(started.run_id)
    caplog.set_level(logging.WARNING)
    driver.ticks(clock, 60)
    assert evaluations(instance, "it")["tests_passed"][0]
    assert "cannot be reported" not in caplog.text
    assert "Could not report the checks" not in caplog.text


def test_observed_run_without_a_record_does_not_delay_later_runs(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver = observing([deferred(TESTS)], sandbox, instance)
    first = sandbox.start_run(TESTS.target, source="ui")
    for _ in range(20):
        driver.ticks(clock, 1, every=60)
        if reported(instance, "it"):
            break
    # Its record is deleted between the two phases.
    sandbox.add_fault(Fault("status", method="GET", path=f"/testgen/api/v1/test-runs/{first.id}", status=404))
    second = sandbox.start_run(TESTS.target, source="ui")
    driver.ticks(clock, 60, every=600)
    assert reported(instance, "it") == [first.id, second.id]


def test_runs_are_evaluated_once_with_a_database_in_another_time_zone(
    sandbox: Sandbox, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("PGTZ", "America/New_York")
    with embedded_postgres() as url:
        storage = {"postgres": {"postgres_url": url.replace("postgresql://", "postgresql+psycopg2://")}}
        with dg.instance_for_test(temp_dir=str(tmp_path), overrides={"storage": storage}) as instance:
            asset = deferred(TESTS)
            driver = completion([asset], sandbox, instance)
            materialize([asset], sandbox, instance)
            driver.ticks(clock, 40)
            assert len(reported(instance, "it")) == 1
            assert evaluations(instance, "it")["tests_passed"] == (True, 1)


def test_follow_up_is_requested_when_the_result_of_the_run_was_deleted(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS)
    driver = completion([asset], sandbox, instance, job=after_it)
    materialize([asset], sandbox, instance)
    while not reported(instance, "it"):
        driver.ticks(clock, 1)
    # The code server is restarted between the two phases, and the run's record is deleted.
    sandbox.add_fault(Fault("status", method="GET", path="/testgen/api/v1/test-runs/", status=404))
    cursor = driver.cursor
    driver = completion([asset], sandbox, instance, job=after_it)
    driver.cursor = cursor
    driver.ticks(clock, 60)
    assert "No deferred run is in flight" in str(driver.skipped[-1])
    assert len(jobs_run(driver)) == 1


def test_fully_reported_run_of_an_earlier_run_class_causes_no_warning(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, capfd: pytest.CaptureFixture[str]
) -> None:
    asset = deferred(TESTS)
    driver = completion([asset], sandbox, instance)
    materialize([asset], sandbox, instance)
    driver.ticks(clock, 40)
    assert evaluations(instance, "it")["tests_passed"] == (True, 1)
    capfd.readouterr()
    completion([deferred(PROFILING)], sandbox, instance).ticks(clock, 3)
    assert "were not reported" not in capfd.readouterr().err
