"""The current observation sensor continues from the cursors of earlier versions."""

from __future__ import annotations

import dagster as dg
import pytest

from dagster_runs import build_observation_sensor
from dagster_runs.sandbox import Behavior, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.recorded.code_location import asset, resources_for
from tests.recorded.reading import Events, events_since
from tests.recorded.replay import Player, Replay, replays
from tests.sensors.driving import Driver


class Sensor:
    """An observation sensor that continues from a recorded cursor."""

    def __init__(self, instance: dg.DagsterInstance, sandbox: Sandbox, clock: SandboxClock) -> None:
        self._instance = instance
        self._sandbox = sandbox
        self._clock = clock

    def continue_from(self, known: Replay, *names: str) -> None:
        """Tick until all runs of these assets are reported."""
        assets = [asset(name, partitions_def=None, backfill_policy=None) for name in names]
        resources = resources_for(assets, self._sandbox.url)
        driver = Driver(build_observation_sensor(assets), assets, None, self._instance, resources=resources)
        driver.cursor = known.cursor
        driver.tick()
        self._clock.sleep(600)
        driver.ticks(self._clock, 5, every=60)


@pytest.fixture
def sensor(instance: dg.DagsterInstance, sandbox: Sandbox, clock: SandboxClock) -> Sensor:
    return Sensor(instance, sandbox, clock)


def run_ids(events: Events) -> set[str]:
    return {run_id for _, _, run_id in events.materialized}


@pytest.mark.parametrize("snapshot", ["lost", "after_a_tick", "reported"])
@replays("observed")
def test_each_observed_run_is_reported_once(
    player: Player, sensor: Sensor, instance: dg.DagsterInstance, scenario: str, snapshot: str
) -> None:
    couriers_fail = {well_known.AMPERITY_COURIERS: Behavior(running_seconds=300, outcome="fail")}
    known = player.replay(scenario, snapshot=snapshot, ends=couriers_fail)
    sensor.continue_from(known, "orders", "customers")
    good, bad, ours, active, couriers, delayed = (run.id for run in known.remote_runs)
    assert run_ids(events_since(instance, known.events)) == {active, delayed}
    in_all = events_since(instance, 0)
    assert in_all.materialized == {("orders", None, run_id): 1 for run_id in (good, ours, active, delayed)}
    assert in_all.failed == {("orders", bad): 1, ("customers", couriers): 1}
    assert in_all.evaluated == {
        ("orders", "run_status", None): 5,
        ("orders", "tests_passed", None): 4,
        ("orders", "quality_score", None): 4,
        ("customers", "run_status", None): 1,
        ("customers", "tasks_succeeded", None): 1,
    }


@replays("observed")
def test_processed_runs_in_the_cursor_are_not_reported_after_the_assets_were_wiped(
    player: Player, sensor: Sensor, instance: dg.DagsterInstance, scenario: str
) -> None:
    known = player.replay(scenario, snapshot="reported", events=False)
    sensor.continue_from(known, "orders")
    _, _, _, active, _, delayed = (run.id for run in known.remote_runs)
    reported = events_since(instance, known.events)
    assert run_ids(reported) == {active, delayed}
    assert not reported.failed


@replays("observed")
def test_old_pending_runs_are_reported(
    player: Player, sensor: Sensor, instance: dg.DagsterInstance, scenario: str
) -> None:
    known = player.replay(scenario, snapshot="reported", age=1200)
    sensor.continue_from(known, "orders")
    _, _, _, active, _, delayed = (run.id for run in known.remote_runs)
    assert run_ids(events_since(instance, known.events)) == {active, delayed}
