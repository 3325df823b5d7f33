"""Dagster runs that were to publish an end, and that Dagster gave up before they began."""

from __future__ import annotations

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, failure, materialize
from tests.sensors.driving import Driver, completion, deferred

pytestmark = pytest.mark.usefixtures("clock")


class _Away:
    """The code server is away at the first launches: Dagster marks the runs as failed, as its queue does then."""

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


def failing(sandbox: Sandbox, instance: dg.DagsterInstance) -> Driver:
    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail", error="the warehouse broke"))
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance)
    return completion([asset], sandbox, instance)


def test_the_end_is_published_all_the_same_and_once(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver = failing(sandbox, instance)
    away = _Away(driver, times=1)
    driver.ticks(clock, 10)
    assert len(away.keys) == 2
    [run] = driver.runs
    assert not run.success
    assert "the warehouse broke" in failure(run)


def test_another_code_server_knows_of_it_too(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver = failing(sandbox, instance)
    away = _Away(driver, times=1)
    while not away.keys:
        driver.ticks(clock, 1)
    after = completion([deferred(PROFILES)], sandbox, instance)
    after.cursor = driver.cursor
    after.ticks(clock, 5)
    [run] = after.runs
    assert "the warehouse broke" in failure(run)


def test_what_never_begins_is_given_up(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, capfd: pytest.CaptureFixture[str]
) -> None:
    driver = failing(sandbox, instance)
    away = _Away(driver, times=100)
    driver.ticks(clock, 15)
    assert len(away.keys) == 3
    assert capfd.readouterr().err.count("is not reported") == 1
