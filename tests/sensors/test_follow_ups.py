"""Follow-ups: a job, or a function's run request, exactly once for each finished run."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import FinishedRun, build_completion_sensor
from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.sensors import limits
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, materialize
from tests.sensors.driving import DaemonKilled, completion, deferred, reported

pytestmark = pytest.mark.usefixtures("clock")


@dg.op
def log_follow_up(context: dg.OpExecutionContext) -> None:
    context.log.info("a follow-up ran")


@dg.job
def after_it() -> None:
    log_follow_up()


def jobs_run(driver: Any) -> list[tuple[str, str]]:
    tags = [(run.dagster_run.job_name, run.dagster_run.tags) for run in driver.runs]
    return [(name, own["dagster_runs/state"]) for name, own in tags if name == "after_it"]


def test_follow_up_job_runs_once_for_each_finished_run(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail"))
    good, bad = deferred(TESTS, key="good"), deferred(PROFILES, key="bad")
    materialize([good, bad], sandbox, instance)
    driver = completion([good, bad], sandbox, instance, job=after_it)
    driver.ticks(clock, 12)
    assert sorted(jobs_run(driver)) == [("after_it", "FAILED"), ("after_it", "SUCCEEDED")]


def test_function_chooses_the_follow_up(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    received: list[FinishedRun] = []

    def only_good(finished: FinishedRun) -> dg.RunRequest | None:
        received.append(finished)
        return dg.RunRequest(job_name="after_it", tags={"dagster_runs/state": "chosen"}) if finished.succeeded else None

    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail"))
    good, bad = deferred(TESTS, key="good"), deferred(PROFILES, key="bad")
    materialize([good, bad], sandbox, instance)
    driver = completion([good, bad], sandbox, instance, job=only_good, jobs=[after_it])
    driver.ticks(clock, 12)
    assert jobs_run(driver) == [("after_it", "chosen")]
    assert {finished_run.asset_keys for finished_run in received} == {(dg.AssetKey("good"),), (dg.AssetKey("bad"),)}


def test_function_that_raises_does_not_delay_reports(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    def broken(finished: FinishedRun) -> dg.RunRequest:
        raise KeyError(finished.run_id)

    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance, job=broken)
    driver.ticks(clock, 9)
    assert len(reported(instance, "it")) == 1


def test_function_may_omit_the_job_name_when_there_is_only_one_job(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance, job=lambda _: dg.RunRequest(), jobs=[after_it])
    driver.ticks(clock, 9)
    assert [run.dagster_run.job_name for run in driver.runs] == ["after_it"]


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["x"]))
def by_letter(context: dg.AssetExecutionContext) -> None:
    context.log.info("a follow-up ran")


@pytest.mark.parametrize(
    "requested_run",
    [
        dg.RunRequest(job_name="no_such_job"),
        dg.RunRequest(),
        dg.RunRequest(job_name="by_letter_job", partition_key="gone"),
        dg.RunRequest(job_name="after_it", partition_key="x"),
        dg.RunRequest(job_name="by_letter_job", asset_selection=[dg.AssetKey("gone")]),
        dg.RunRequest(job_name="after_it", run_config={"ops": {"gone": {}}}),
        "after_it",
    ],
    ids=[
        "unknown job",
        "no job",
        "unknown partition",
        "unpartitioned job",
        "unknown asset",
        "invalid config",
        "not a request",
    ],
)
@pytest.mark.covers("defer.follow-up-invalid")
def test_function_that_returns_an_invalid_request_does_not_delay_reports(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    requested_run: Any,
    capfd: pytest.CaptureFixture[str],
) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    jobs = [after_it, dg.define_asset_job("by_letter_job", selection=[by_letter])]
    driver = completion([asset], sandbox, instance, job=lambda _: requested_run, jobs=jobs, more_assets=[by_letter])
    driver.ticks(clock, 9)
    assert len(reported(instance, "it")) == 1
    assert not driver.runs
    assert "no run is requested" in capfd.readouterr().err


@pytest.mark.parametrize("same_process", [True, False], ids=["same code server", "new code server"])
def test_follow_up_is_requested_after_a_lost_tick(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, same_process: bool
) -> None:
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance, job=after_it)
    driver.tick()
    clock.sleep(300)
    with pytest.raises(DaemonKilled):
        driver.tick(lost_after=2)  # stores all events, and launches no run
    if not same_process:
        driver.sensor = build_completion_sensor([asset], job=after_it)
    driver.ticks(clock, 4)
    assert jobs_run(driver) == [("after_it", "SUCCEEDED")]
    assert len(reported(instance, "it")) == 1


@pytest.mark.parametrize(
    ("partitions", "requested"),
    [(dg.StaticPartitionsDefinition(["x", "y"]), ["y"]), (dg.StaticPartitionsDefinition(["z"]), []), (None, [None])],
    ids=["same partitions", "other partitions", "unpartitioned"],
)
def test_partitioned_follow_up_job_gets_the_partition_of_the_run(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, partitions: Any, requested: list[str | None]
) -> None:
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(["x", "y"]))

    @dg.asset(partitions_def=partitions)
    def other(context: dg.AssetExecutionContext) -> None:
        context.log.info("a follow-up ran")

    job = dg.define_asset_job("others", selection=[other])
    materialize([asset], sandbox, instance, partition_key="y")
    driver = completion([asset], sandbox, instance, job=job, more_assets=[other])
    driver.ticks(clock, 9)
    assert [run.dagster_run.tags.get("dagster/partition") for run in driver.runs] == requested
    assert len(reported(instance, "it")) == 1


def test_invalid_job_is_refused() -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="which is not a job"):
        build_completion_sensor([deferred(TESTS)], jobs=["after_it"])


def test_sensor_without_a_cursor_requests_no_follow_up_for_old_reports(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LATE_FOLLOW_UP", 0.0)  # Dagster's timestamps are from the machine's clock
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    completion([asset], sandbox, instance).ticks(clock, 9)
    driver = completion([deferred(TESTS)], sandbox, instance, name="renamed", job=after_it)
    driver.ticks(clock, 2)
    assert len(reported(instance, "it")) == 1
    assert jobs_run(driver) == []


def test_timed_out_run_requests_follow_up_with_unknown_state(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=10_000))
    asset = deferred(TESTS, timeout=60)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance, job=after_it)
    driver.ticks(clock, 9)
    assert jobs_run(driver) == [("after_it", "UNKNOWN")]
