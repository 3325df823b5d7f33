"""Canceling deferred runs by a job, since they have no step to terminate."""

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
def slow(sandbox: Sandbox) -> None:
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
def test_cancels_at_the_vendor_and_nothing_fails_or_is_tried_again(
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
    assert "0 in flight" in str(driver.skipped[-1])


def test_of_several_only_those_that_are_named(
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
def test_all_are_asked_to_end_before_any_is_waited_for(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, confirms: bool
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=600, cancel_seconds=40 if confirms else 500))
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(["x", "y", "z"]))
    for key in ("x", "y", "z"):
        materialize([asset], sandbox, instance, partition_key=key)
    begun = sandbox.now()
    result = cancel(asset, sandbox, instance, asset="it")
    assert result.success is confirms
    assert [run.cancel_requested_at - begun < 20 for run in sandbox.runs()] == [True] * 3
    assert sandbox.now() - begun < 90
    if not confirms:
        assert failure(result).count("did not confirm") >= 3


@pytest.mark.covers("defer.cancel")
def test_a_run_that_fails_though_it_was_to_be_canceled_is_told_and_not_tried_again(
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
def test_says_plainly_where_the_vendor_cannot(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance)
    said = failure(cancel(asset, sandbox, instance, asset="it"))
    assert "through its API, so the run is still active" in said
    assert sandbox.runs()[0].id in said


def test_a_run_that_has_just_succeeded_is_reported_all_the_same(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    clock.sleep(700)
    assert cancel(asset, sandbox, instance, asset="it").success
    completion([asset], sandbox, instance).ticks(clock, 2)
    assert len(reported(instance, "it")) == 1


def test_a_cancellation_that_is_not_confirmed_fails_and_the_run_is_followed(
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
    ("config", "said"),
    [
        ({"asset": "that"}, "There is no deferred asset 'that'; the deferred assets are it"),
        ({"asset": "it", "partition": "x"}, "No matching run of it is active"),
        ({"asset": "it", "run_id": "x"}, "Active runs: "),
    ],
)
def test_says_what_there_is_if_nothing_fits(
    sandbox: Sandbox, instance: dg.DagsterInstance, config: dict[str, str], said: str
) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    assert said in failure(cancel(asset, sandbox, instance, **config))
    assert sandbox.runs()[0].cancel_requested_at is None
