"""Whose run is it that fits a lost start by its kind and time? Profiling runs bear no mark of ours."""

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
    """Its time is far from the real one, by which Dagster stamps the events that tell of neighbors."""
    sandbox.advance(7200)
    return sandbox


def run(
    key: str, sandbox: Sandbox, instance: dg.DagsterInstance, what: Any = PROFILING, **options: Any
) -> dg.ExecuteInProcessResult:
    return materialize([build_remote_run_asset(what, key=key, **options)], sandbox, instance)


def leave_starting(sandbox: Sandbox, instance: dg.DagsterInstance, what: Any = PROFILING) -> None:
    """A neighbor whose start was carried out, and who does not know of it."""
    sandbox.add_fault(LOST)
    sandbox.add_fault(UNLISTED)
    assert "unknown whether" in failure(run("neighbor", sandbox, instance, what))
    assert entries(instance, "neighbor") == ["starting"]
    sandbox.clear_faults()


def run_ids(sandbox: Sandbox) -> list[str]:
    return [one.id for one in sandbox.runs("testgen")]


@pytest.mark.covers("lost-start.other-assets-run")
def test_a_run_that_a_neighbor_knows_is_the_neighbors(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(PROFILING.target, Behavior(queued_seconds=0, running_seconds=1))
    assert run("neighbor", sandbox, instance).success
    sandbox.add_fault(NEVER_ARRIVED)
    assert run("ours", sandbox, instance).success
    assert [metadata(instance, key)["dagster_runs/run_id"] for key in ("neighbor", "ours")] == run_ids(sandbox)


@pytest.mark.covers("lost-start.other-assets-run")
def test_a_run_of_another_partition_is_the_other_partitions(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(PROFILING.target, Behavior(queued_seconds=0, running_seconds=1))
    partitions = dg.StaticPartitionsDefinition(["a", "b"])
    asset = build_remote_run_asset(PROFILING, key="ours", partitions_def=partitions)
    assert materialize([asset], sandbox, instance, partition_key="a").success
    sandbox.add_fault(NEVER_ARRIVED)
    assert materialize([asset], sandbox, instance, partition_key="b").success
    assert metadata(instance, "ours")["dagster_runs/run_id"] == run_ids(sandbox)[1]


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.covers("lost-start.other-assets-run")
def test_a_workflow_of_another_asset_is_the_other_assets(
    status: int, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    # Both in one Dagster run. Amperity does not even tell which configuration a workflow runs.
    slow, couriers = well_known.AMPERITY_SLOW, well_known.AMPERITY_COURIERS
    sandbox.set_behavior(slow, Behavior(queued_seconds=0, running_seconds=2))
    sandbox.add_fault(Fault("status", status=status, method="POST", path="/runs$", skip=1, times=1))
    wanted = {"first": slow, "second": couriers}
    assets = [build_remote_run_asset(AmperityWorkflowRun(config_id=id_), key=key) for key, id_ in wanted.items()]
    assert materialize(assets, sandbox, instance, resources=unlimited(sandbox)).success
    runs = sandbox.runs("amperity")
    assert [one.target_id for one in runs] == [slow, couriers]
    assert [metadata(instance, key)["dagster_runs/run_id"] for key in wanted] == [one.id for one in runs]


@pytest.mark.parametrize("lost", [LOST, NEVER_ARRIVED], ids=["carried out", "never arrived"])
@pytest.mark.covers("lost-start.other-assets-lost-start")
def test_while_a_neighbor_is_starting_nobody_can_tell(
    lost: Fault, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    leave_starting(sandbox, instance)
    sandbox.add_fault(lost)
    said = failure(run("ours", sandbox, instance))
    assert "unknown whether" in said
    assert run_ids(sandbox)[-1] in said
    assert len(run_ids(sandbox)) == (2 if lost is LOST else 1)


@pytest.mark.covers("lost-start.other-asset-started-again")
def test_a_run_that_a_neighbor_has_abandoned_is_not_taken(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(LOST)
    sandbox.add_fault(UNLISTED)
    sandbox.add_fault(Fault("status", status=401, method="POST", times=1))
    assert "401" in failure(run("neighbor", sandbox, instance, on_uncertain_start="start_again"))
    assert entries(instance, "neighbor") == ["starting", "abandoned", "starting", "not_started"]
    sandbox.clear_faults()
    sandbox.add_fault(NEVER_ARRIVED)
    [abandoned] = run_ids(sandbox)
    assert f"unknown whether one of these runs is ours: {abandoned}" in failure(run("ours", sandbox, instance))


def test_a_neighbor_of_another_kind_is_in_nobodys_way(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    leave_starting(sandbox, instance, TESTS)
    sandbox.add_fault(LOST)
    assert run("ours", sandbox, instance).success
    assert len(run_ids(sandbox)) == 2


def test_a_neighbor_of_long_ago_is_in_nobodys_way(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    leave_starting(sandbox, instance)
    sandbox.advance(1800)
    with fast_forward(sandbox):  # whose clock is half an hour further too
        sandbox.add_fault(LOST)
        assert run("ours", sandbox, instance).success
    assert metadata(instance, "ours")["dagster_runs/run_id"] == run_ids(sandbox)[1]


def test_where_nothing_else_is_in_the_instance_the_one_that_fits_is_ours(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.add_fault(LOST)
    assert run("ours", sandbox, instance).success
    # Not at the first look: our own may still be under way, or a neighbor's not noted.
    assert clock.pauses[:4] == [0.0, 1.0, 2.0, 4.0]
    assert [metadata(instance, "ours")["dagster_runs/run_id"]] == run_ids(sandbox)
