"""What Dagster's definitions refuse, and what is an error of code while a Dagster run is prepared."""

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
def test_an_error_of_code_shows_its_traceback_and_loses_no_end(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Odd(dg.StaticPartitionsDefinition):
        """Has a bug now and then."""

        broken = False

        def has_partition_key(self, *args: Any, **options: Any) -> bool:
            if Odd.broken:
                raise ZeroDivisionError("a bug in a partitions definition")
            return super().has_partition_key(*args, **options)

    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail", error="the warehouse broke"))
    odd, other = deferred(PROFILES, "odd", partitions_def=Odd(["a", "b"])), deferred(TESTS, "other")
    materialize([odd], sandbox, instance, partition_key="a")
    driver = completion([odd, other], sandbox, instance)
    Odd.broken = True
    materialize([other], sandbox, instance)
    capfd.readouterr()
    driver.ticks(clock, 10)
    said = capfd.readouterr().err
    assert said.count("a bug in a partitions definition") >= 1
    assert said.count("Traceback") == 1
    assert len(reported(instance, "other")) == 1  # it holds up no others
    assert observed_failures(instance, "odd") == []  # the end is not reported without an alert
    assert driver.failed  # an idle tick is red
    Odd.broken = False
    driver.ticks(clock, 5)
    [run] = driver.runs
    assert "the warehouse broke" in failure(run)
    assert entries(instance, "odd")[-1] == "ended"
    assert sandbox.starts(None) == 2
