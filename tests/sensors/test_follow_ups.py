"""A job, or a function's request, for each finished run: once."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import FinishedRun, build_completion_sensor
from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.sensors import limits
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, materialize
from tests.sensors.driving import Lost, completion, deferred, reported

pytestmark = pytest.mark.usefixtures("clock")


@dg.op
def tell(context: dg.OpExecutionContext) -> None:
    context.log.info("told")


@dg.job
def after_it() -> None:
    tell()


def jobs_run(driver: Any) -> list[tuple[str, str]]:
    tags = [(run.dagster_run.job_name, run.dagster_run.tags) for run in driver.runs]
    return [(name, own["dagster_runs/state"]) for name, own in tags if name == "after_it"]


def test_a_job_runs_once_for_each_finished_run(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail"))
    good, bad = deferred(TESTS, key="good"), deferred(PROFILES, key="bad")
    materialize([good, bad], sandbox, instance)
    driver = completion([good, bad], sandbox, instance, job=after_it)
    driver.ticks(clock, 12)
    assert sorted(jobs_run(driver)) == [("after_it", "FAILED"), ("after_it", "SUCCEEDED")]


def test_a_function_chooses_what_follows(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    heard: list[FinishedRun] = []

    def only_good(finished: FinishedRun) -> dg.RunRequest | None:
        heard.append(finished)
        return dg.RunRequest(job_name="after_it", tags={"dagster_runs/state": "chosen"}) if finished.succeeded else None

    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail"))
    good, bad = deferred(TESTS, key="good"), deferred(PROFILES, key="bad")
    materialize([good, bad], sandbox, instance)
    driver = completion([good, bad], sandbox, instance, job=only_good, jobs=[after_it])
    driver.ticks(clock, 12)
    assert jobs_run(driver) == [("after_it", "chosen")]
    assert {one.asset_keys for one in heard} == {(dg.AssetKey("good"),), (dg.AssetKey("bad"),)}


def test_a_function_that_fails_holds_nothing_up(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    def broken(finished: FinishedRun) -> dg.RunRequest:
        raise KeyError(finished.run_id)

    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance, job=broken)
    driver.ticks(clock, 9)
    assert len(reported(instance, "it")) == 1


def test_a_function_may_leave_out_the_name_of_the_only_job(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance, job=lambda _: dg.RunRequest(), jobs=[after_it])
    driver.ticks(clock, 9)
    assert [run.dagster_run.job_name for run in driver.runs] == ["after_it"]


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["x"]))
def by_letter(context: dg.AssetExecutionContext) -> None:
    context.log.info("told")


@pytest.mark.parametrize(
    "request_made",
    [
        dg.RunRequest(job_name="no_such_job"),
        dg.RunRequest(),
        dg.RunRequest(job_name="by_letter_job", partition_key="gone"),
        dg.RunRequest(job_name="after_it", partition_key="x"),
        dg.RunRequest(job_name="by_letter_job", asset_selection=[dg.AssetKey("gone")]),
        dg.RunRequest(job_name="after_it", run_config={"ops": {"gone": {}}}),
        "after_it",
    ],
    ids=["a job", "no job", "a partition", "a partition for none", "an asset", "config", "a request"],
)
@pytest.mark.covers("defer.follow-up-invalid")
def test_a_function_that_requests_what_is_not_there_holds_nothing_up(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    request_made: Any,
    capfd: pytest.CaptureFixture[str],
) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    jobs = [after_it, dg.define_asset_job("by_letter_job", selection=[by_letter])]
    driver = completion([asset], sandbox, instance, job=lambda _: request_made, jobs=jobs, more_assets=[by_letter])
    driver.ticks(clock, 9)
    assert len(reported(instance, "it")) == 1
    assert not driver.runs
    assert "no run is requested" in capfd.readouterr().err


@pytest.mark.parametrize("same_process", [True, False], ids=["same code server", "new code server"])
def test_what_follows_is_not_lost_with_a_tick(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, same_process: bool
) -> None:
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance, job=after_it)
    driver.tick()
    clock.sleep(300)
    with pytest.raises(Lost):
        driver.tick(lost_after=2)  # all events are stored, and no run is launched
    if not same_process:
        driver.sensor = build_completion_sensor([asset], job=after_it)
    driver.ticks(clock, 4)
    assert jobs_run(driver) == [("after_it", "SUCCEEDED")]
    assert len(reported(instance, "it")) == 1


@pytest.mark.parametrize(
    ("partitions", "requested"),
    [(dg.StaticPartitionsDefinition(["x", "y"]), ["y"]), (dg.StaticPartitionsDefinition(["z"]), []), (None, [None])],
    ids=["the same", "others", "none"],
)
def test_the_partition_of_a_partitioned_job_is_the_runs(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, partitions: Any, requested: list[str | None]
) -> None:
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(["x", "y"]))

    @dg.asset(partitions_def=partitions)
    def other(context: dg.AssetExecutionContext) -> None:
        context.log.info("told")

    job = dg.define_asset_job("others", selection=[other])
    materialize([asset], sandbox, instance, partition_key="y")
    driver = completion([asset], sandbox, instance, job=job, more_assets=[other])
    driver.ticks(clock, 9)
    assert [run.dagster_run.tags.get("dagster/partition") for run in driver.runs] == requested
    assert len(reported(instance, "it")) == 1


def test_what_is_no_job_is_refused() -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="which is not a job"):
        build_completion_sensor([deferred(TESTS)], jobs=["after_it"])


def test_a_sensor_without_a_cursor_requests_nothing_for_what_was_reported_long_before(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LATE_FOLLOW_UP", 0.0)  # Dagster stamps its events by the machine's own clock
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    completion([asset], sandbox, instance).ticks(clock, 9)
    driver = completion([deferred(TESTS)], sandbox, instance, name="renamed", job=after_it)
    driver.ticks(clock, 2)
    assert len(reported(instance, "it")) == 1
    assert jobs_run(driver) == []


def test_a_run_beyond_its_time_has_ended_nobody_knows_how(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=10_000))
    asset = deferred(TESTS, timeout=60)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance, job=after_it)
    driver.ticks(clock, 9)
    assert jobs_run(driver) == [("after_it", "UNKNOWN")]
