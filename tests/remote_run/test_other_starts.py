"""Lost starts whose candidates may belong to another asset. Profiling runs do not have our correlation id."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import AmperityWorkflowRun, build_remote_run_asset
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock, fast_forward
from tests.remote_run.materializing import PROFILING, TESTS, entries, failure, materialize, metadata
from tests.vendors.amperity_assets import unlimited

pytestmark = pytest.mark.usefixtures("clock")

LOST = Fault("lost_response", method="POST", times=1)
NEVER_ARRIVED = Fault("reset", method="POST", times=1)
UNLISTED = Fault("status", status=403, path="/projects/")


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    """A sandbox whose time is far from real time, which Dagster's events have as their timestamps."""
    sandbox.advance(7200)
    return sandbox


def run(
    key: str, sandbox: Sandbox, instance: dg.DagsterInstance, remote_run: Any = PROFILING, **options: Any
) -> dg.ExecuteInProcessResult:
    return materialize([build_remote_run_asset(remote_run, key=key, **options)], sandbox, instance)


def leave_start_pending(sandbox: Sandbox, instance: dg.DagsterInstance, remote_run: Any = PROFILING) -> None:
    """Leaves another asset with a pending start, which the vendor accepted. The asset's ledger has no run for it."""
    sandbox.add_fault(LOST)
    sandbox.add_fault(UNLISTED)
    assert "unknown whether" in failure(run("neighbor", sandbox, instance, remote_run))
    assert entries(instance, "neighbor") == ["starting"]
    sandbox.clear_faults()


def run_ids(sandbox: Sandbox) -> list[str]:
    return [one.id for one in sandbox.runs("testgen")]


@pytest.mark.covers("lost-start.other-assets-run")
def test_run_in_another_assets_ledger_is_not_attached_to(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(PROFILING.target, Behavior(queued_seconds=0, running_seconds=1))
    assert run("neighbor", sandbox, instance).success
    sandbox.add_fault(NEVER_ARRIVED)
    assert run("ours", sandbox, instance).success
    assert [metadata(instance, key)["dagster_runs/run_id"] for key in ("neighbor", "ours")] == run_ids(sandbox)


@pytest.mark.covers("lost-start.other-assets-run")
def test_run_in_another_partitions_ledger_is_not_attached_to(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(PROFILING.target, Behavior(queued_seconds=0, running_seconds=1))
    partitions = dg.StaticPartitionsDefinition(["a", "b"])
    asset = build_remote_run_asset(PROFILING, key="ours", partitions_def=partitions)
    assert materialize([asset], sandbox, instance, partition_key="a").success
    sandbox.add_fault(NEVER_ARRIVED)
    assert materialize([asset], sandbox, instance, partition_key="b").success
    assert metadata(instance, "ours")["dagster_runs/run_id"] == run_ids(sandbox)[1]


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.covers("lost-start.other-assets-run")
def test_workflow_in_another_assets_ledger_is_not_attached_to(
    status: int, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    # Both assets are in one Dagster run. Amperity does not return which configuration a workflow runs.
    slow, couriers = well_known.AMPERITY_SLOW, well_known.AMPERITY_COURIERS
    sandbox.set_behavior(slow, Behavior(queued_seconds=0, running_seconds=2))
    sandbox.add_fault(Fault("status", status=status, method="POST", path="/runs$", skip=1, times=1))
    wanted = {"first": slow, "second": couriers}
    assets = [build_remote_run_asset(AmperityWorkflowRun(config_id=id_), key=key) for key, id_ in wanted.items()]
    assert materialize(assets, sandbox, instance, resources=unlimited(sandbox)).success
    runs = sandbox.runs("amperity")
    assert [one.target_id for one in runs] == [slow, couriers]
    assert [metadata(instance, key)["dagster_runs/run_id"] for key in wanted] == [one.id for one in runs]


@pytest.mark.parametrize("lost", [LOST, NEVER_ARRIVED], ids=["accepted", "never arrived"])
@pytest.mark.covers("lost-start.other-assets-lost-start")
def test_pending_start_of_another_asset_makes_the_outcome_unknown(
    lost: Fault, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    leave_start_pending(sandbox, instance)
    sandbox.add_fault(lost)
    message = failure(run("ours", sandbox, instance))
    assert "unknown whether" in message
    assert run_ids(sandbox)[-1] in message
    assert len(run_ids(sandbox)) == (2 if lost is LOST else 1)


@pytest.mark.covers("lost-start.other-asset-started-again")
def test_run_that_another_asset_abandoned_is_not_attached_to(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(LOST)
    sandbox.add_fault(UNLISTED)
    sandbox.add_fault(Fault("status", status=401, method="POST", times=1))
    assert "401" in failure(run("neighbor", sandbox, instance, on_uncertain_start="start_again"))
    assert entries(instance, "neighbor") == ["starting", "abandoned", "starting", "not_started"]
    sandbox.clear_faults()
    sandbox.add_fault(NEVER_ARRIVED)
    [abandoned] = run_ids(sandbox)
    assert f"unknown whether one of these runs is ours: {abandoned}" in failure(run("ours", sandbox, instance))


def test_pending_start_of_another_run_class_is_ignored(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    leave_start_pending(sandbox, instance, TESTS)
    sandbox.add_fault(LOST)
    assert run("ours", sandbox, instance).success
    assert len(run_ids(sandbox)) == 2


def test_old_pending_start_of_another_asset_is_ignored(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    leave_start_pending(sandbox, instance)
    sandbox.advance(1800)
    with fast_forward(sandbox):  # its clock is also half an hour ahead
        sandbox.add_fault(LOST)
        assert run("ours", sandbox, instance).success
    assert metadata(instance, "ours")["dagster_runs/run_id"] == run_ids(sandbox)[1]


def test_only_matching_run_is_attached_to_after_seven_seconds(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.add_fault(LOST)
    assert run("ours", sandbox, instance).success
    # Not after the first search: our own run may not be listed yet, or another asset's run not recorded yet.
    assert clock.pauses[:4] == [0.0, 1.0, 2.0, 4.0]
    assert [metadata(instance, "ours")["dagster_runs/run_id"]] == run_ids(sandbox)
