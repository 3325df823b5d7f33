"""The current completion sensor continues from the runs and cursors of earlier versions."""

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
"""A run with this behavior is active at the recorded snapshot, and ends soon after."""


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


MakeSensor = Callable[..., Sensor]


@pytest.fixture
def make_sensor(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> MakeSensor:
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
def test_each_deferred_run_is_reported_once(
    player: Player, make_sensor: MakeSensor, sandbox: Sandbox, scenario: str, has_cursor: bool
) -> None:
    fails = {well_known.PROPHECY_PIPELINE: Behavior(running_seconds=10, outcome="fail", error="no such column")}
    known = player.replay(scenario, ends=fails, cursor=has_cursor)
    starts = sandbox.starts()
    sensor = make_sensor(known, *map(deferred, DEFERRED))
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
def test_old_runs_are_known_from_the_cursor(player: Player, make_sensor: MakeSensor, scenario: str) -> None:
    known = player.replay(scenario, age=5 * 86_400)
    # Without a cursor, the sensor reads only the entries of the asset's timeout (one day) plus one day.
    sensor = make_sensor(known, deferred("features"))
    sensor.ticks(3)
    assert sensor.reported.materialized == {("features", None, known.remote_runs[0].id): 1}
    assert sensor.requests == []


@pytest.mark.parametrize("snapshot", ["lost", "after_a_tick", "reported"])
@replays("partly_reported")
def test_reported_runs_are_not_reported_again(
    player: Player, make_sensor: MakeSensor, scenario: str, snapshot: str
) -> None:
    known = player.replay(
        scenario, snapshot=snapshot, ends={well_known.SUITE_CLEAN: SOON, well_known.SUITE_ORDERS: SOON}
    )
    sensor = make_sensor(known, deferred("orders"), deferred("quality"))
    sensor.ticks(5, every=60)
    assert sensor.reported.materialized == {("quality", "south", known.remote_runs[1].id): 1}
    evaluated = sensor.reported_in_all.evaluated
    assert [evaluated["orders", check, None] for check in CHECKS] == [1, 1, 1]
    if HAS_PARTITIONED_CHECKS:  # 13aeda3 evaluated the asset as a whole
        assert [evaluated["quality", check, region] for check in CHECKS for region in ("north", "south")] == [1] * 6
    assert sensor.requests == []


@replays("half_a_tick")
def test_partitions_missing_after_an_interrupted_tick_are_reported(
    player: Player, make_sensor: MakeSensor, scenario: str
) -> None:
    known = player.replay(scenario)
    sensor = make_sensor(known, deferred("customers"))
    sensor.ticks(4)
    assert sensor.reported.materialized == {("customers", "2026-11-22", known.remote_runs[0].id): 1}
    assert set(sensor.reported.evaluated.values()) == {1}
    if HAS_PARTITIONED_CHECKS:
        assert {day for _, _, day in sensor.reported.evaluated} == {"2026-11-20", "2026-11-21", "2026-11-22"}


@replays("requested")
def test_queued_dagster_run_is_not_requested_again(player: Player, make_sensor: MakeSensor, scenario: str) -> None:
    sensor = make_sensor(player.replay(scenario, snapshot="queued"), deferred("features"))
    sensor.ticks(4)
    assert sensor.requests == []
    assert sensor.reported.is_empty


@replays("requested")
def test_dagster_run_for_a_failure_is_requested_with_the_known_run_key(
    player: Player, make_sensor: MakeSensor, scenario: str
) -> None:
    known = player.replay(scenario, snapshot="before")
    sensor = make_sensor(known, deferred("features"))
    sensor.ticks(1)
    assert sensor.requests == player.requested(scenario, "queued")


@replays("requested")
def test_recorded_failure_is_reported_after_the_definition_changed(
    player: Player, make_sensor: MakeSensor, scenario: str
) -> None:
    known = player.replay(scenario, snapshot="before")
    sensor = make_sensor(known, deferred("features", run=OTHER_PROFILES))
    sensor.ticks(3)
    [run] = sensor.driver.runs
    assert "no such column" in failure(run)


@replays("requested")
def test_failed_run_is_retried_with_its_launch_config(
    player: Player, make_sensor: MakeSensor, sandbox: Sandbox, scenario: str
) -> None:
    known = player.replay(scenario, snapshot="before")
    sensor = make_sensor(known, deferred("features", retry_policy=RETRY))
    sensor.ticks(6)
    again = sandbox.runs()[-1]
    assert again.body == known.remote_runs[0].body == {"parameters": ["--rebase_incremental"]}
    assert sensor.reported.materialized == {("features", None, again.id): 1}


@pytest.mark.parametrize("up_to", [None, "ended", "PIPELINE_START"], ids=["reported", "reporting", "started"])
@replays("published")
def test_started_dagster_run_is_not_requested_again(
    player: Player, make_sensor: MakeSensor, scenario: str, up_to: str | None
) -> None:
    sensor = make_sensor(player.replay(scenario, up_to=up_to), deferred("features"))
    sensor.ticks(4)
    assert sensor.requests == []
    assert sensor.reported.is_empty


@replays("tried_again")
def test_recorded_retry_of_a_failed_run_is_reported_once(
    player: Player, make_sensor: MakeSensor, scenario: str
) -> None:
    known = player.replay(scenario, ends=SOON)
    sensor = make_sensor(known, deferred("features", retry_policy=RETRY))
    sensor.ticks(7, every=60)
    assert sensor.requests == []
    assert sensor.reported.materialized == {("features", None, known.remote_runs[1].id): 1}
    assert sensor.reported.evaluated == {("features", "run_status", None): 1}


@replays("canceling")
def test_run_being_canceled_is_not_reported_or_retried(
    player: Player, make_sensor: MakeSensor, sandbox: Sandbox, scenario: str
) -> None:
    known = player.replay(scenario, ends=Behavior(running_seconds=60, outcome="cancel"))
    sensor = make_sensor(known, deferred("orders", retry_policy=RETRY))
    sensor.ticks(6)
    assert sandbox.runs()[0].state == "canceled"
    assert sensor.requests == []
    assert sensor.reported.is_empty


@replays("canceling")
def test_run_that_fails_after_a_recorded_cancel_request_is_not_retried(
    player: Player, make_sensor: MakeSensor, sandbox: Sandbox, scenario: str
) -> None:
    known = player.replay(scenario, ends=Behavior(running_seconds=60, outcome="fail"))
    sensor = make_sensor(known, deferred("orders", retry_policy=RETRY))
    sensor.ticks(6)
    [run] = sensor.driver.runs
    assert not run.success
    assert sandbox.starts() == 1


@replays("canceled")
def test_already_canceled_run_is_not_polled(
    player: Player, make_sensor: MakeSensor, sandbox: Sandbox, scenario: str
) -> None:
    sensor = make_sensor(player.replay(scenario), deferred("orders", retry_policy=RETRY))
    sensor.ticks(3)
    assert sandbox.requests() == []
    assert sensor.requests == []
    assert sensor.reported.is_empty


@replays("overdue")
def test_deadline_is_read_from_the_start_not_from_the_definition(
    player: Player, make_sensor: MakeSensor, sandbox: Sandbox, scenario: str
) -> None:
    sensor = make_sensor(player.replay(scenario), deferred("features"))
    sensor.ticks(2)
    assert sensor.driver.runs == []
    sensor.ticks(3)
    [run] = sensor.driver.runs
    assert "RunTimedOut" in failure(run)
    assert sandbox.runs()[0].state == "running"


@pytest.mark.parametrize(("snapshot", "age"), [("before", 0), ("lost", 7200), ("requested", 0)])
@replays("followed_up")
def test_follow_up_job_is_requested_once_for_each_run(
    player: Player, make_sensor: MakeSensor, scenario: str, snapshot: str, age: float
) -> None:
    orders = asset("orders")
    job = dg.define_asset_job(FOLLOW_UP, selection=[orders])
    known = player.replay(scenario, snapshot=snapshot, age=age)
    sensor = make_sensor(known, deferred("features"), more=[orders], job=job)
    sensor.ticks(4)
    wanted = player.requested(scenario, "requested")
    assert {*known.requested, *sensor.requests} == set(wanted)
    assert len(sensor.driver.runs) == len(wanted) - len(known.requested)


@replays("deferred")
def test_recorded_deferred_run_can_be_canceled(
    player: Player, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, scenario: str
) -> None:
    known = player.replay(scenario)
    quality = deferred("quality")
    job, resources = build_cancel_job([quality]), resources_for([quality], sandbox.url)
    config = {"ops": {"cancel_remote_runs_op": {"config": {"asset": "quality", "partition": "north"}}}}
    assert job.execute_in_process(run_config=config, resources=resources, instance=instance).success
    canceled = [run.id for run in sandbox.runs() if run.cancel_requested_at is not None]
    assert canceled == [known.remote_runs[1].id]
