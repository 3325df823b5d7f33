"""Dagster runs that were requested to report an outcome, and that Dagster marked as failed before they started."""

from __future__ import annotations

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, failure, materialize
from tests.sensors.driving import Driver, completion, deferred

pytestmark = pytest.mark.usefixtures("clock")


class _UnreachableCodeServer:
    """The code server is unreachable at the first launches, so Dagster's run queue marks the runs as failed."""

    def __init__(self, driver: Driver, times: int) -> None:
        self._driver = driver
        self._launch = driver.launch
        self._times = times
        self.keys: list[str | None] = []
        driver.launch = self.launch  # type: ignore[method-assign]

    def launch(self, request: dg.RunRequest) -> None:
        if request.run_key in self.keys:
            return
        self.keys.append(request.run_key)
        if len(self.keys) > self._times:
            self._launch(request)
            return
        instance = self._driver.instance
        job = self._driver.definitions.resolve_job_def(request.job_name or "")
        run = instance.create_run_for_job(
            job, tags=dict(request.tags), asset_selection=frozenset(request.asset_selection or ())
        )
        instance.report_run_failed(run)


def failing_run(sandbox: Sandbox, instance: dg.DagsterInstance) -> Driver:
    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail", error="the warehouse broke"))
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance)
    return completion([asset], sandbox, instance)


def test_outcome_is_still_reported_exactly_once(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver = failing_run(sandbox, instance)
    code_server = _UnreachableCodeServer(driver, times=1)
    driver.ticks(clock, 10)
    assert len(code_server.keys) == 2
    [run] = driver.runs
    assert not run.success
    assert "the warehouse broke" in failure(run)


def test_new_code_server_requests_the_run_again(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver = failing_run(sandbox, instance)
    code_server = _UnreachableCodeServer(driver, times=1)
    while not code_server.keys:
        driver.ticks(clock, 1)
    restarted = completion([deferred(PROFILES)], sandbox, instance)
    restarted.cursor = driver.cursor
    restarted.ticks(clock, 5)
    [run] = restarted.runs
    assert "the warehouse broke" in failure(run)


def test_sensor_stops_requesting_runs_that_never_start(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, capfd: pytest.CaptureFixture[str]
) -> None:
    driver = failing_run(sandbox, instance)
    code_server = _UnreachableCodeServer(driver, times=100)
    driver.ticks(clock, 15)
    assert len(code_server.keys) == 3
    assert capfd.readouterr().err.count("is not reported") == 1
