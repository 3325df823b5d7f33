"""`dagster-runs adopt`: a user settles a start whose response was lost, and the next attempt continues from it."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import (
    ProphecyPipelineRun,
    RemoteRun,
    StartOutcomeUnknown,
    build_remote_run_asset,
)
from dagster_runs.cli.adopt import AdoptRequest, adopt_run
from dagster_runs.cli.output import NegativeResult, Unusable
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.cli.adopting import adopt, lose_response
from tests.cli.locating import location, printed_json
from tests.remote_run.materializing import PROFILES, entries, materialize, metadata
from tests.remote_run.reexecuting import execute, job_with, reexecute
from tests.sensors.driving import completion, deferred, reported

pytestmark = pytest.mark.usefixtures("clock")

PIPELINE = ProphecyPipelineRun(
    fabric_id=well_known.PROPHECY_FABRIC,
    project_id=well_known.PROPHECY_PROJECT,
    pipeline_name=well_known.PROPHECY_PIPELINE,
)
both_vendors = pytest.mark.parametrize("run", [PROFILES, PIPELINE], ids=["RudderStack", "Prophecy"])


@pytest.mark.covers("lost-start.rudderstack")
@both_vendors
def test_reexecution_from_failure_attaches_to_the_adopted_run(
    run: RemoteRun[Any], sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    job, parent = lose_response(run, sandbox, instance)
    [started] = sandbox.runs()
    adopted = adopt(run, sandbox, instance, started.id)
    assert (adopted.run_id, adopted.dagster_run_id) == (started.id, parent)
    assert adopted.next_step == f"Re-execute Dagster run {parent} from failure to attach to it."
    assert reexecute(job, instance, parent).success
    assert sandbox.starts() == 1
    assert metadata(instance, "it")["dagster_runs/run_id"] == started.id
    assert metadata(instance, "it")["dagster_runs/attached"] is True
    assert entries(instance, "it") == ["starting", "started", "started"]


@pytest.mark.covers("lost-start.rudderstack")
@both_vendors
def test_reexecution_from_failure_starts_a_run_when_none_was_started(
    run: RemoteRun[Any], sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.add_fault(Fault("status", method="POST", status=502, times=1))  # nothing was started
    job = job_with(run, sandbox, key="it")
    parent = execute(job, instance).run_id
    assert sandbox.starts() == 0
    assert not reexecute(job, instance, parent).success, "without adopt, it remains uncertain"
    adopted = adopt(run, sandbox, instance, None)
    assert adopted.next_step == f"Re-execute Dagster run {parent} from failure to start a run."
    assert reexecute(job, instance, parent).success
    assert sandbox.starts() == 1
    assert entries(instance, "it") == ["starting", "not_started", "starting", "started"]


@both_vendors
def test_completion_sensor_reports_an_adopted_deferred_run(
    run: RemoteRun[Any], sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(run.target.rpartition("/")[2], Behavior(running_seconds=100))
    lose_response(run, sandbox, instance, wait="defer")
    [started] = sandbox.runs()
    driver = completion([deferred(run)], sandbox, instance)
    driver.ticks(clock, 2)
    assert reported(instance, "it") == []
    adopted = adopt(run, sandbox, instance, started.id, wait="defer")
    assert adopted.next_step == "The completion sensor reports it; there is nothing else to do."
    clock.sleep(120)
    driver.ticks(clock, 4)
    assert reported(instance, "it") == [started.id]
    assert driver.runs == []
    assert sandbox.starts() == 1


def test_run_that_the_vendor_does_not_know_is_refused(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    lose_response(PROFILES, sandbox, instance)
    with pytest.raises(NegativeResult, match=r"does not know run nonsense: .* Nothing was recorded"):
        adopt(PROFILES, sandbox, instance, "nonsense")
    sandbox.add_fault(Fault("down", method="GET", seconds=600))
    with pytest.raises(NegativeResult, match=r"could not be checked: .* Nothing was recorded"):
        adopt(PROFILES, sandbox, instance, sandbox.runs()[0].id)
    assert entries(instance, "it") == ["starting"]


def test_run_of_another_start_is_refused(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    other = build_remote_run_asset(PROFILES, key="other")
    assert materialize([other], sandbox, instance).success
    lose_response(PROFILES, sandbox, instance)
    with pytest.raises(NegativeResult, match=r"was started by Dagster run .* for other"):
        adopt(PROFILES, sandbox, instance, sandbox.runs()[0].id)


def test_run_that_began_before_the_start_is_refused(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    earlier = sandbox.start_run(PROFILES.target)
    clock.sleep(3600)
    lose_response(PROFILES, sandbox, instance)
    with pytest.raises(NegativeResult, match=r"began (59 min|1 h \d min) before the start"):
        adopt(PROFILES, sandbox, instance, earlier.id)


@pytest.mark.parametrize("case", ["nothing", "settled", "active"])
def test_without_an_uncertain_start_nothing_is_recorded(
    case: str, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    if case == "settled":
        lose_response(PROFILES, sandbox, instance)
        adopt(PROFILES, sandbox, instance, None)
    before = entries(instance, "it")
    with pytest.raises(NegativeResult, match="No start of it is uncertain"):
        adopt(PROFILES, sandbox, instance, None)
    assert entries(instance, "it") == before


def test_unknown_asset_and_unusable_resource_are_reported(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    lose_response(PROFILES, sandbox, instance)
    asset = build_remote_run_asset(PROFILES, key="it")
    no_asset = pytest.raises(Unusable, match="no asset 'that' with remote runs; these assets have: it")
    with location([asset], sandbox, instance) as place, no_asset:
        adopt_run([place], AdoptRequest("that", "x"))
    none = {"rudderstack": dg.ResourceDefinition.none_resource()}
    unusable = pytest.raises(Unusable, match="The resource 'rudderstack' cannot be used")
    with location([asset], None, instance, resources=none) as place, unusable:
        adopt_run([place], AdoptRequest("it", "x"))


def test_result_can_be_printed_as_json(
    sandbox: Sandbox, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    lose_response(PROFILES, sandbox, instance)
    with location([build_remote_run_asset(PROFILES, key="it")], sandbox, instance) as place:
        adopt_run([place], AdoptRequest("it", sandbox.runs()[0].id), as_json=True)
    assert printed_json(capsys)["run_id"] == sandbox.runs()[0].id


def test_docstring_of_the_error_names_the_command() -> None:
    assert "dagster-runs adopt" in (StartOutcomeUnknown.__doc__ or "")
