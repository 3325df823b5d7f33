"""How much a tick reports: as much as Dagster stores in time, and of each kind by itself."""

from __future__ import annotations

import time
from typing import Any

import dagster as dg
import pytest

from dagster_runs.sandbox import Behaviour, Sandbox
from dagster_runs.sensors import limits
from dagster_runs.sensors.tick import EventBudget
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, materialize
from tests.sensors.driving import completion, deferred, reported
from tests.sensors.test_follow_ups import after_it

KEY = dg.AssetKey("it")


def stored(
    storing: EventBudget, instance: dg.DagsterInstance, count: int, *, apart: float = 0.0, partitioned: bool = True
) -> None:
    """A tick that reports so many events, one a partition if there are some, each taking so long to be stored."""
    places = [(KEY, str(number) if partitioned else None) for number in range(count)]
    storing.remember([(place, number + 1) for number, place in enumerate(places)])
    for key, partition in places:
        instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition))
        time.sleep(apart)
    storing.learn(instance)


@pytest.mark.parametrize("partitioned", [True, False], ids=["partitions", "none"])
def test_a_slow_storage_gets_less(instance: dg.DagsterInstance, partitioned: bool) -> None:
    storing = EventBudget()
    stored(storing, instance, 12, apart=0.1, partitioned=partitioned)
    assert storing.max_events <= limits.STORE_SECONDS / 0.1


def test_a_quick_storage_gets_more_but_not_at_once() -> None:
    storing = EventBudget()
    storing.adapt(20, seconds=0.01)
    assert storing.max_events == 2 * limits.FIRST_TICK_EVENTS
    storing.adapt(20, seconds=0.01)
    assert storing.max_events == 4 * limits.FIRST_TICK_EVENTS


def test_the_slowest_storage_still_gets_something() -> None:
    storing = EventBudget()
    storing.adapt(20, seconds=1000)
    assert storing.max_events > 1


def test_a_few_events_tell_nothing(instance: dg.DagsterInstance) -> None:
    storing = EventBudget()
    stored(storing, instance, 2, apart=0.1)
    storing.learn(instance)
    assert storing.max_events == limits.FIRST_TICK_EVENTS


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("options", [{}, {"job": after_it}], ids=["alone", "with a job after each"])
def test_many_failures_do_not_hold_successes_back(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
) -> None:
    monkeypatch.setattr(limits, "MAX_TICK_REQUESTS", 2)
    failures = 4
    partitions = dg.StaticPartitionsDefinition([str(number) for number in range(failures)])
    sandbox.set_behaviour(PROFILES.target, Behaviour(outcome="fail"))
    bad = deferred(PROFILES, "bad", partitions_def=partitions)
    good = deferred(TESTS, "good")
    for number in range(failures):
        materialize([bad], sandbox, instance, partition_key=str(number))
        clock.sleep(60)  # else the next start would meet a run that is going
    materialize([good], sandbox, instance)
    clock.sleep(60)
    driver = completion([bad, good], sandbox, instance, **options)
    requested = [request for request in driver.tick().run_requests if request.job_name != "after_it"]
    assert len(requested) < failures, "the rest has to wait"
    assert len(reported(instance, "good")) == 1
