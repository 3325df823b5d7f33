"""`dagster-runs cancel`: runs and requests of an asset are canceled, and the confirmation is waited for."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import build_remote_run_asset
from dagster_runs.cli.cancel import CancelResult, cancel_runs
from dagster_runs.cli.output import NegativeResult, Unusable
from dagster_runs.sandbox import Behavior, Fault, Sandbox
from dagster_runs.testing import SandboxClock
from tests.cli.locating import location, printed_json
from tests.remote_run.materializing import PROFILES, TESTS, entries, materialize
from tests.remote_run.reexecuting import at_pause, execute, job_with, reexecute
from tests.sensors.driving import completion, deferred

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture(autouse=True)
def long_runs(sandbox: Sandbox) -> None:
    for run in (TESTS, PROFILES):
        sandbox.set_behavior(run.target, Behavior(running_seconds=3600))


def cancel(asset: Any, sandbox: Sandbox, instance: dg.DagsterInstance, **options: Any) -> list[CancelResult]:
    with location([asset], sandbox, instance) as place:
        return cancel_runs([place], "it", **options)


def test_deferred_run_is_canceled_and_neither_reported_nor_retried(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, capsys: pytest.CaptureFixture[str]
) -> None:
    asset = deferred(TESTS, retry_policy=dg.RetryPolicy(max_retries=3))
    materialize([asset], sandbox, instance)
    capsys.readouterr()
    [result] = cancel(asset, sandbox, instance)
    assert (result.id, result.ok) == (sandbox.runs()[0].id, True)
    assert [run.state for run in sandbox.runs()] == ["canceled"]
    captured = capsys.readouterr()
    assert captured.out == f"{result.message}\n"
    assert captured.err == f"Canceling {result.id} …\n"
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 4)
    assert driver.runs == []
    assert entries(instance, "it") == ["starting", "started", "cancel_requested", "ended"]


def test_only_the_wanted_partition_or_run_is_canceled(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = deferred(TESTS, partitions_def=dg.StaticPartitionsDefinition(["x", "y", "z"]))
    for key in ("x", "y", "z"):
        materialize([asset], sandbox, instance, partition_key=key)
    ids = [run.id for run in sandbox.runs()]
    assert [one.id for one in cancel(asset, sandbox, instance, partition="y")] == [ids[1]]
    assert [one.id for one in cancel(asset, sandbox, instance, run_id=ids[2])] == [ids[2]]
    assert [run.state for run in sandbox.runs()] == ["running", "canceled", "canceled"]


def test_queued_request_is_canceled(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, capsys: pytest.CaptureFixture[str]
) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    materialize([asset], sandbox, instance)
    results = cancel(asset, sandbox, instance)
    assert [one.message.partition(" ")[0] for one in results] == ["Canceled", "test"]
    assert results[0].message.endswith("nothing was started")
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 4)
    assert sandbox.starts() == 1


def test_orphan_is_canceled_and_a_reexecution_starts_another_run(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    job = job_with(TESTS, sandbox, key="it", timeout=5)
    parent = execute(job, instance).run_id
    asset = build_remote_run_asset(TESTS, key="it", timeout=5)
    [result] = cancel(asset, sandbox, instance)
    assert result.ok
    assert [run.state for run in sandbox.runs()] == ["canceled"]
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=1))
    assert reexecute(job, instance, parent).success
    assert sandbox.starts() == 2
    with pytest.raises(NegativeResult, match="No run of it is active or queued"):
        cancel(asset, sandbox, instance)


def test_run_that_a_step_waits_for_is_left_to_its_dagster_run(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=30))
    asset = build_remote_run_asset(TESTS, key="it")
    messages: list[str] = []

    def try_to_cancel() -> None:
        with pytest.raises(NegativeResult) as refused:
            cancel(asset, sandbox, instance)
        messages.append(str(refused.value))

    with at_pause(sandbox, try_to_cancel):
        result = materialize([asset], sandbox, instance)
    assert result.success
    assert messages == [f"A step waits for run {sandbox.runs()[0].id}: terminate Dagster run {result.run_id}."]


def test_vendor_that_cannot_cancel_is_reported(
    sandbox: Sandbox, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance)
    capsys.readouterr()
    with location([asset], sandbox, instance) as place, pytest.raises(NegativeResult, match="1 of 1 runs may still be"):
        cancel_runs([place], "it", as_json=True)
    [found] = printed_json(capsys)
    assert not found["ok"]
    assert "RudderStack cannot cancel" in found["message"]


def test_unconfirmed_cancellation_is_a_negative_result(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    sandbox.add_fault(Fault("status", path="/cancel", status=500, times=1000))
    with pytest.raises(NegativeResult, match="1 of 1 runs may still be active"):
        cancel(asset, sandbox, instance)


def test_nothing_to_cancel_is_a_negative_result(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    with pytest.raises(NegativeResult, match="No run of it is active or queued"):
        cancel(deferred(TESTS), sandbox, instance)
    with pytest.raises(NegativeResult, match="No run of it that matches is active or queued"):
        cancel(deferred(TESTS), sandbox, instance, run_id="x")
    with pytest.raises(Unusable, match="There is no asset 'it'"):
        cancel(deferred(TESTS, key="that"), sandbox, instance)
