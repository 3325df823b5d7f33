"""Deferred runs of a vendor whose responses take longer than a tick, in real time."""

from __future__ import annotations

import time

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Fault, Sandbox
from dagster_runs.sensors import limits
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, materialize
from tests.sensors.driving import completion, deferred, reported
from tests.vendors.prophecy_runs import pipeline

pytestmark = pytest.mark.usefixtures("clock")


def polls_until(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each tick begin status calls until this second, and wait for one second more."""
    monkeypatch.setattr(limits, "TICK_POLL_SHARE", seconds / limits.TICK_SECONDS)
    monkeypatch.setattr(limits, "TICK_WAIT_SHARE", (seconds + 1) / limits.TICK_SECONDS)


@pytest.mark.covers("defer.outage")
def test_vendor_that_hangs_delays_only_one_tick(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hanging vendor uses up one tick's time for polling; later ticks report other vendors' runs without it."""
    polls_until(1.5, monkeypatch)
    ill, well = deferred(PROFILES, key="ill"), deferred(TESTS, key="well")
    materialize([ill], sandbox, instance)
    clock.sleep(60)
    sandbox.add_fault(Fault("hang", method="GET", path="/runs/.*/status", seconds=4))
    driver = completion([ill, well], sandbox, instance)
    durations = []
    for _ in range(3):
        started_at = time.monotonic()
        driver.tick()
        durations.append(time.monotonic() - started_at)
        clock.sleep(10)
        materialize([well], sandbox, instance)
        clock.sleep(60)
    assert durations[0] > 1.4
    assert max(durations[1:]) < 1.0
    assert len(reported(instance, "well")) == 2
    assert reported(instance, "ill") == [], "the vendor did not hang"
    sandbox.clear_faults()
    time.sleep(4)
    driver.ticks(clock, 4)
    assert len(reported(instance, "ill")) == 1


def test_overdue_successes_beyond_one_tick_are_reported_by_later_ticks(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # For example after a night without a code server. There should not be a Dagster run for each success.
    partitions = dg.StaticPartitionsDefinition([f"p{number}" for number in range(30)])
    asset = deferred(pipeline(), partitions_def=partitions, timeout=1000)
    for key in partitions.get_partition_keys():
        materialize([asset], sandbox, instance, partition_key=key)
    clock.sleep(7200)
    sandbox.add_fault(Fault("hang", method="GET", seconds=0.5))
    polls_until(1.2, monkeypatch)
    driver = completion([asset], sandbox, instance)
    driver.tick()
    assert len(reported(instance, "it")) < 30, "one tick had time for all runs"
    for _ in range(60):  # two ticks are enough on an idle machine
        driver.ticks(clock, 1)
        if len(reported(instance, "it")) == 30:
            break
    assert len(reported(instance, "it")) == 30
    assert driver.runs == []


def test_poll_that_outlasts_its_tick_is_used_by_the_next(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is past its timeout, and the poll that is still in progress finds that it succeeded."""
    polls_until(0.1, monkeypatch)
    sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=50))
    asset = deferred(PROFILES, timeout=100)
    driver = completion([asset], sandbox, instance)
    driver.tick()
    materialize([asset], sandbox, instance)
    clock.sleep(110)
    sandbox.add_fault(Fault("slow_body", method="GET", path="/status", seconds=2, times=1))
    driver.tick()
    assert reported(instance, "it") == []
    time.sleep(2.5)
    driver.ticks(clock, 3)
    assert len(reported(instance, "it")) == 1
    assert driver.runs == []
