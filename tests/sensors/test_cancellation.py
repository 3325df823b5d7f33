"""The cancel job for deferred runs, which have no step that a user could terminate."""

from __future__ import annotations

import dagster as dg
import pytest

from dagster_runs import build_cancel_job
from dagster_runs.sandbox import Behavior, Fault, Sandbox
from dagster_runs.testing import SandboxClock, sandbox_resources
from tests.remote_run.materializing import PROFILES, TESTS, entries, failure, materialize
from tests.sensors.driving import completion, deferred, reported

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture(autouse=True)
def long_runs(sandbox: Sandbox) -> None:
    for run in (TESTS, PROFILES):
        sandbox.set_behavior(run.target, Behavior(running_seconds=600))


def cancel(
    deferred_asset: dg.AssetsDefinition, sandbox: Sandbox, instance: dg.DagsterInstance, **config: str
) -> dg.ExecuteInProcessResult:
    job = build_cancel_job([deferred_asset])
    return job.execute_in_process(
        run_config={"ops": {"cancel_remote_runs_op": {"config": config}}},
        resources=sandbox_resources(sandbox.url),
        instance=instance,
        raise_on_error=False,
    )


@pytest.mark.covers("defer.cancel")
def test_cancel_job_cancels_at_the_vendor_without_a_failure_or_a_retry(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS, retry_policy=dg.RetryPolicy(max_retries=3))
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 2)
    assert cancel(asset, sandbox, instance, asset="it").success
    assert [run.state for run in sandbox.runs()] == ["canceled"]
    driver.ticks(clock, 5)
    assert not driver.runs
    assert reported(instance, "it") == []
    assert entries(instance, "it")[-1] == "ended"
    assert "No deferred run is in flight" in str(driver.skipped[-1])


def test_cancel_job_cancels_only_the_selected_runs(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(["x", "y", "z"]))
    for key in ("x", "y", "z"):
        materialize([asset], sandbox, instance, partition_key=key)
    ids = [run.id for run in sandbox.runs()]
    assert cancel(asset, sandbox, instance, asset="it", partition="y").success
    assert cancel(asset, sandbox, instance, asset="it", run_id=ids[2]).success
    clock.sleep(30)
    assert [run.state for run in sandbox.runs()] == ["running", "canceled", "canceled"]


@pytest.mark.parametrize("confirms", [True, False])
def test_cancel_job_requests_all_cancels_before_it_waits_for_any(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, confirms: bool
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=600, cancel_seconds=40 if confirms else 500))
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(["x", "y", "z"]))
    for key in ("x", "y", "z"):
        materialize([asset], sandbox, instance, partition_key=key)
    started_at = sandbox.now()
    result = cancel(asset, sandbox, instance, asset="it")
    assert result.success is confirms
    assert [run.cancel_requested_at - started_at < 20 for run in sandbox.runs()] == [True] * 3
    assert sandbox.now() - started_at < 90
    if not confirms:
        assert failure(result).count("did not confirm") >= 3


@pytest.mark.covers("defer.cancel")
def test_run_that_fails_after_a_cancel_request_is_reported_but_not_retried(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(instance), "run_retries_enabled", True)
    monkeypatch.setattr(type(instance), "run_retries_max_retries", 2)
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=600, outcome="fail"))
    asset = deferred(TESTS, retry_policy=dg.RetryPolicy(max_retries=3))
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    driver.tick()
    sandbox.add_fault(Fault("status", path="/cancel", status=500, times=1000))
    assert "did not confirm" in failure(cancel(asset, sandbox, instance, asset="it"))
    clock.sleep(600)
    driver.ticks(clock, 9)
    [run] = driver.runs
    assert not run.success
    assert sandbox.starts(None) == 1
    assert instance.get_run_by_id(run.run_id).tags["dagster/max_retries"] == "0"


@pytest.mark.covers("defer.cancel")
def test_cancel_job_fails_with_a_hint_when_the_vendor_cannot_cancel(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance)
    message = failure(cancel(asset, sandbox, instance, asset="it"))
    assert "through its API, so the run is still active" in message
    assert sandbox.runs()[0].id in message


def test_run_that_succeeds_just_before_the_cancel_is_still_reported(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    clock.sleep(700)
    assert cancel(asset, sandbox, instance, asset="it").success
    completion([asset], sandbox, instance).ticks(clock, 2)
    assert len(reported(instance, "it")) == 1


def test_unconfirmed_cancel_fails_the_job_and_the_run_is_still_polled(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    sandbox.add_fault(Fault("status", path="/cancel", status=500, times=1000))
    assert "did not confirm" in failure(cancel(asset, sandbox, instance, asset="it"))
    driver = completion([asset], sandbox, instance)
    driver.tick()
    assert "1 in flight" in str(driver.skipped[-1])


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"asset": "that"}, "There is no deferred asset 'that'; the deferred assets are it"),
        ({"asset": "it", "partition": "x"}, "No matching run of it is active"),
        ({"asset": "it", "run_id": "x"}, "Active runs: "),
    ],
)
def test_cancel_job_lists_the_choices_when_nothing_matches(
    sandbox: Sandbox, instance: dg.DagsterInstance, config: dict[str, str], expected: str
) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    assert expected in failure(cancel(asset, sandbox, instance, **config))
    assert sandbox.runs()[0].cancel_requested_at is None
