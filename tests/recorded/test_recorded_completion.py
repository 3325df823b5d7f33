"""The completion sensor of today's version continues from the runs and cursors of earlier versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
import pytest

from dagster_runs import build_cancel_job, build_completion_sensor
from dagster_runs.sandbox import Behavior, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.recorded.code_location import DEFERRED, FOLLOW_UP, OTHER_PROFILES, asset, resources_for
from tests.recorded.events import HAS_PARTITIONED_CHECKS
from tests.recorded.reading import Events, events_since
from tests.recorded.replay import Player, Replay, replays
from tests.remote_run.materializing import failure
from tests.sensors.driving import Driver

CHECKS = ("run_status", "tests_passed", "quality_score")
RETRY = dg.RetryPolicy(max_retries=2)
SOON = Behavior(running_seconds=200)
"""A run that ends so is active at the recorded snapshot, and not for long."""


class Sensor:
    """A completion sensor that continues from a recorded cursor.

    Attributes:
        requests: The run keys of all Dagster runs that it requested.
    """

    def __init__(self, known: Replay, driver: Driver, clock: SandboxClock) -> None:
        self._known = known
        self._clock = clock
        self.driver = driver
        self.requests: list[str | None] = []
        driver.cursor = known.cursor
        driver.run_keys |= set(known.requested)

    def ticks(self, count: int, *, every: float = 20.0) -> None:
        """Tick several times, with a pause after each tick."""
        for _ in range(count):
            self.requests += [request.run_key for request in self.driver.tick().run_requests or ()]
            self._clock.sleep(every)

    @property
    def reported(self) -> Events:
        """What was reported since the recording."""
        return events_since(self.driver.instance, self._known.events)

    @property
    def reported_in_all(self) -> Events:
        """What was reported, by the earlier version or since."""
        return events_since(self.driver.instance, 0)


SensorOf = Callable[..., Sensor]


@pytest.fixture
def sensor_of(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> SensorOf:
    def make(known: Replay, *assets: dg.AssetsDefinition, more: Sequence[Any] = (), **options: Any) -> Sensor:
        jobs = [options["job"]] if "job" in options else []
        sensor = build_completion_sensor(assets, **options)
        defined = [*assets, *more]
        resources = resources_for(defined, sandbox.url)
        return Sensor(known, Driver(sensor, defined, None, instance, jobs=jobs, resources=resources), clock)

    return make


def deferred(name: str, **options: Any) -> dg.AssetsDefinition:
    return asset(name, wait="defer", **options)


@pytest.mark.parametrize("has_cursor", [True, False], ids=["cursor", "no cursor"])
@replays("deferred")
def test_each_run_in_flight_is_reported_once(
    player: Player, sensor_of: SensorOf, sandbox: Sandbox, scenario: str, has_cursor: bool
) -> None:
    fails = {well_known.PROPHECY_PIPELINE: Behavior(running_seconds=10, outcome="fail", error="no such column")}
    known = player.replay(scenario, ends=fails, cursor=has_cursor)
    starts = sandbox.starts()
    sensor = sensor_of(known, *map(deferred, DEFERRED))
    sensor.ticks(6, every=300)
    ids = {run.target_id: run.id for run in known.remote_runs}
    north, south = (run.id for run in known.remote_runs if run.target_id == well_known.SUITE_CLEAN)
    day, days = (run.id for run in known.remote_runs if run.target_id == well_known.AMPERITY_COURIERS)
    assert sensor.reported.materialized == {
        ("features", None, ids[well_known.PROFILES_FEATURES]): 1,
        ("quality", "north", north): 1,
        ("quality", "south", south): 1,
        ("customers", "2026-11-20", day): 1,
        ("customers", "2026-11-21", days): 1,
        ("customers", "2026-11-22", days): 1,
        ("customers", "2026-11-23", days): 1,
        ("orders", None, ids[well_known.SUITE_ORDERS]): 1,
        ("crm/journey", None, ids[well_known.SEGMENTFLOW_JOURNEY]): 1,
        ("stitched", None, ids[well_known.PROFILES_SNAKE_CASE]): 1,
        ("stitched_ids", None, ids[well_known.PROFILES_SNAKE_CASE]): 1,
    }
    if HAS_PARTITIONED_CHECKS:
        statuses = [(key, partition) for key, check, partition in sensor.reported.evaluated if check == "run_status"]
        places = [(key, partition) for key, partition, _ in sensor.reported.materialized]
        assert sorted(statuses, key=str) == sorted([*places, ("pipeline", None)], key=str)
        assert set(sensor.reported.evaluated.values()) == {1}
    [failed] = sensor.driver.runs
    assert not failed.success
    assert "no such column" in failure(failed)
    assert sandbox.starts() == starts


@replays("deferred")
def test_runs_are_known_by_the_cursor_however_old_they_are(player: Player, sensor_of: SensorOf, scenario: str) -> None:
    known = player.replay(scenario, age=5 * 86_400)
    # Without a cursor, the sensor reads the entries of the asset's timeout, which is one day, and of another day.
    sensor = sensor_of(known, deferred("features"))
    sensor.ticks(3)
    assert sensor.reported.materialized == {("features", None, known.remote_runs[0].id): 1}
    assert sensor.requests == []


@pytest.mark.parametrize("snapshot", ["lost", "after_a_tick", "reported"])
@replays("partly_reported")
def test_what_was_reported_is_not_reported_again(
    player: Player, sensor_of: SensorOf, scenario: str, snapshot: str
) -> None:
    known = player.replay(
        scenario, snapshot=snapshot, ends={well_known.SUITE_CLEAN: SOON, well_known.SUITE_ORDERS: SOON}
    )
    sensor = sensor_of(known, deferred("orders"), deferred("quality"))
    sensor.ticks(5, every=60)
    assert sensor.reported.materialized == {("quality", "south", known.remote_runs[1].id): 1}
    evaluated = sensor.reported_in_all.evaluated
    assert [evaluated["orders", check, None] for check in CHECKS] == [1, 1, 1]
    if HAS_PARTITIONED_CHECKS:  # 13aeda3 evaluated the asset as a whole
        assert [evaluated["quality", check, region] for check in CHECKS for region in ("north", "south")] == [1] * 6
    assert sensor.requests == []


@replays("half_a_tick")
def test_what_half_a_tick_left_out_is_reported(player: Player, sensor_of: SensorOf, scenario: str) -> None:
    known = player.replay(scenario)
    sensor = sensor_of(known, deferred("customers"))
    sensor.ticks(4)
    assert sensor.reported.materialized == {("customers", "2026-11-22", known.remote_runs[0].id): 1}
    assert set(sensor.reported.evaluated.values()) == {1}
    if HAS_PARTITIONED_CHECKS:
        assert {day for _, _, day in sensor.reported.evaluated} == {"2026-11-20", "2026-11-21", "2026-11-22"}


@replays("requested")
def test_a_dagster_run_in_the_queue_is_not_requested_again(player: Player, sensor_of: SensorOf, scenario: str) -> None:
    sensor = sensor_of(player.replay(scenario, snapshot="queued"), deferred("features"))
    sensor.ticks(4)
    assert sensor.requests == []
    assert sensor.reported.is_empty


@replays("requested")
def test_a_failure_is_published_under_the_run_key_that_dagster_knows(
    player: Player, sensor_of: SensorOf, scenario: str
) -> None:
    known = player.replay(scenario, snapshot="before")
    sensor = sensor_of(known, deferred("features"))
    sensor.ticks(1)
    assert sensor.requests == player.requested(scenario, "queued")


@replays("requested")
def test_a_failure_is_published_though_the_definition_has_changed(
    player: Player, sensor_of: SensorOf, scenario: str
) -> None:
    known = player.replay(scenario, snapshot="before")
    sensor = sensor_of(known, deferred("features", run=OTHER_PROFILES))
    sensor.ticks(3)
    [run] = sensor.driver.runs
    assert "no such column" in failure(run)


@replays("requested")
def test_a_failure_is_tried_again_as_it_was_launched(
    player: Player, sensor_of: SensorOf, sandbox: Sandbox, scenario: str
) -> None:
    known = player.replay(scenario, snapshot="before")
    sensor = sensor_of(known, deferred("features", retry_policy=RETRY))
    sensor.ticks(6)
    again = sandbox.runs()[-1]
    assert again.body == known.remote_runs[0].body == {"parameters": ["--rebase_incremental"]}
    assert sensor.reported.materialized == {("features", None, again.id): 1}


@pytest.mark.parametrize("up_to", [None, "ended", "PIPELINE_START"], ids=["published", "publishing", "begun"])
@replays("published")
def test_a_dagster_run_that_has_begun_is_not_requested_again(
    player: Player, sensor_of: SensorOf, scenario: str, up_to: str | None
) -> None:
    sensor = sensor_of(player.replay(scenario, up_to=up_to), deferred("features"))
    sensor.ticks(4)
    assert sensor.requests == []
    assert sensor.reported.is_empty


@replays("tried_again")
def test_a_run_that_was_started_after_a_failed_one_is_reported_once(
    player: Player, sensor_of: SensorOf, scenario: str
) -> None:
    known = player.replay(scenario, ends=SOON)
    sensor = sensor_of(known, deferred("features", retry_policy=RETRY))
    sensor.ticks(7, every=60)
    assert sensor.requests == []
    assert sensor.reported.materialized == {("features", None, known.remote_runs[1].id): 1}
    assert sensor.reported.evaluated == {("features", "run_status", None): 1}


@replays("canceling")
def test_a_run_that_a_person_canceled_neither_fails_nor_is_tried_again(
    player: Player, sensor_of: SensorOf, sandbox: Sandbox, scenario: str
) -> None:
    known = player.replay(scenario, ends=Behavior(running_seconds=60, outcome="cancel"))
    sensor = sensor_of(known, deferred("orders", retry_policy=RETRY))
    sensor.ticks(6)
    assert sandbox.runs()[0].state == "canceled"
    assert sensor.requests == []
    assert sensor.reported.is_empty


@replays("canceling")
def test_a_run_that_fails_though_a_person_canceled_it_is_not_tried_again(
    player: Player, sensor_of: SensorOf, sandbox: Sandbox, scenario: str
) -> None:
    known = player.replay(scenario, ends=Behavior(running_seconds=60, outcome="fail"))
    sensor = sensor_of(known, deferred("orders", retry_policy=RETRY))
    sensor.ticks(6)
    [run] = sensor.driver.runs
    assert not run.success
    assert sandbox.starts() == 1


@replays("canceled")
def test_a_run_that_has_ended_canceled_is_left_alone(
    player: Player, sensor_of: SensorOf, sandbox: Sandbox, scenario: str
) -> None:
    sensor = sensor_of(player.replay(scenario), deferred("orders", retry_policy=RETRY))
    sensor.ticks(3)
    assert sandbox.requests() == []
    assert sensor.requests == []
    assert sensor.reported.is_empty


@replays("overdue")
def test_the_deadline_is_that_of_the_start_not_of_the_definition(
    player: Player, sensor_of: SensorOf, sandbox: Sandbox, scenario: str
) -> None:
    sensor = sensor_of(player.replay(scenario), deferred("features"))
    sensor.ticks(2)
    assert sensor.driver.runs == []
    sensor.ticks(3)
    [run] = sensor.driver.runs
    assert "RunTimedOut" in failure(run)
    assert sandbox.runs()[0].state == "running"


@pytest.mark.parametrize(("snapshot", "age"), [("before", 0), ("lost", 7200), ("requested", 0)])
@replays("followed_up")
def test_a_job_follows_each_run_once(
    player: Player, sensor_of: SensorOf, scenario: str, snapshot: str, age: float
) -> None:
    orders = asset("orders")
    job = dg.define_asset_job(FOLLOW_UP, selection=[orders])
    known = player.replay(scenario, snapshot=snapshot, age=age)
    sensor = sensor_of(known, deferred("features"), more=[orders], job=job)
    sensor.ticks(4)
    wanted = player.requested(scenario, "requested")
    assert {*known.requested, *sensor.requests} == set(wanted)
    assert len(sensor.driver.runs) == len(wanted) - len(known.requested)


@replays("deferred")
def test_a_run_in_flight_can_be_canceled(
    player: Player, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, scenario: str
) -> None:
    known = player.replay(scenario)
    quality = deferred("quality")
    job, resources = build_cancel_job([quality]), resources_for([quality], sandbox.url)
    config = {"ops": {"cancel_remote_runs_op": {"config": {"asset": "quality", "partition": "north"}}}}
    assert job.execute_in_process(run_config=config, resources=resources, instance=instance).success
    canceled = [run.id for run in sandbox.runs() if run.cancel_requested_at is not None]
    assert canceled == [known.remote_runs[1].id]
