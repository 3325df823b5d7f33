"""Deferred runs of a vendor whose answers take longer than a tick: in real time."""

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


@pytest.mark.covers("defer.outage")
def test_a_vendor_that_hangs_is_waited_for_once(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the whole time for looks of one tick; the next ones tell the others' ends without it."""
    monkeypatch.setattr(limits, "TICK_POLL_UNTIL", 1.5)
    ill, well = deferred(PROFILES, key="ill"), deferred(TESTS, key="well")
    materialize([ill], sandbox, instance)
    clock.sleep(60)
    sandbox.add_fault(Fault("hang", method="GET", path="/runs/.*/status", seconds=4))
    driver = completion([ill, well], sandbox, instance)
    took = []
    for _ in range(3):
        begun = time.monotonic()
        driver.tick()
        took.append(time.monotonic() - begun)
        clock.sleep(10)
        materialize([well], sandbox, instance)
        clock.sleep(60)
    assert took[0] > 1.4
    assert max(took[1:]) < 1.0
    assert len(reported(instance, "well")) == 2
    assert reported(instance, "ill") == [], "else it did not hang"
    sandbox.clear_faults()
    time.sleep(4)
    driver.ticks(clock, 4)
    assert len(reported(instance, "ill")) == 1


def test_more_ends_than_a_tick_can_look_at_wait_for_the_next_though_their_time_is_over(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # After a night without a code server, say. A Dagster run for each good end is what nobody wants.
    partitions = dg.StaticPartitionsDefinition([f"p{number}" for number in range(30)])
    asset = deferred(pipeline(), partitions_def=partitions, timeout=1000)
    for key in partitions.get_partition_keys():
        materialize([asset], sandbox, instance, partition_key=key)
    clock.sleep(7200)
    sandbox.add_fault(Fault("hang", method="GET", seconds=0.5))
    monkeypatch.setattr(limits, "TICK_POLL_UNTIL", 1.2)
    driver = completion([asset], sandbox, instance)
    driver.tick()
    assert len(reported(instance, "it")) < 30, "there was time for all at once"
    for _ in range(60):  # two do, on a machine with nothing else to do
        driver.ticks(clock, 1)
        if len(reported(instance, "it")) == 30:
            break
    assert len(reported(instance, "it")) == 30
    assert driver.runs == []


def test_a_look_that_outlives_its_tick_is_waited_for(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's time is over; and the look that is under way then shows that it has succeeded."""
    monkeypatch.setattr(limits, "TICK_POLL_UNTIL", 0.1)
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
