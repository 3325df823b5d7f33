"""Errors in a user's code while the sensor prepares a Dagster run."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, entries, failure, materialize
from tests.sensors.driving import completion, deferred, observed_failures, reported

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.fixes("6.8")
@pytest.mark.covers("defer.request-error")
def test_code_error_is_logged_with_its_traceback_and_the_failure_is_reported_later(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class BuggyPartitions(dg.StaticPartitionsDefinition):
        """A partitions definition with an intermittent bug."""

        broken = False

        def has_partition_key(self, *args: Any, **options: Any) -> bool:
            if BuggyPartitions.broken:
                raise ZeroDivisionError("a bug in a partitions definition")
            return super().has_partition_key(*args, **options)

    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail", error="the warehouse broke"))
    buggy, other = deferred(PROFILES, "odd", partitions_def=BuggyPartitions(["a", "b"])), deferred(TESTS, "other")
    materialize([buggy], sandbox, instance, partition_key="a")
    driver = completion([buggy, other], sandbox, instance)
    BuggyPartitions.broken = True
    materialize([other], sandbox, instance)
    capfd.readouterr()
    driver.ticks(clock, 10)
    output = capfd.readouterr().err
    assert output.count("a bug in a partitions definition") >= 1
    assert output.count("Traceback") == 1
    assert len(reported(instance, "other")) == 1  # other runs are not delayed
    assert observed_failures(instance, "odd") == []  # the failure is not reported without an alert
    assert driver.failed  # an idle tick fails
    BuggyPartitions.broken = False
    driver.ticks(clock, 5)
    [run] = driver.runs
    assert "the warehouse broke" in failure(run)
    assert entries(instance, "odd")[-1] == "ended"
    assert sandbox.starts(None) == 2
