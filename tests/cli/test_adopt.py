"""`dagster-runs adopt`: a user settles a start whose response was lost, and the next attempt continues from it."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from dagster_runs import (
    ProphecyPipelineRun,
    RemoteRun,
    RudderStackProfilesRun,
    RudderStackResource,
    StartOutcomeUnknown,
    TestGenResource,
    build_remote_run_asset,
    build_testgen_checks,
)
from dagster_runs.cli.adopt import Adopted, AdoptRequest, adopt_run
from dagster_runs.cli.output import NegativeResult, Unusable
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.cli.locating import location, printed_json
from tests.remote_run.materializing import PROFILES, TESTS, entries, failure, materialize, metadata, resources_at
from tests.remote_run.reexecuting import execute, job_with, reexecute
from tests.sensors.driving import completion, deferred, reported

pytestmark = pytest.mark.usefixtures("clock")

PIPELINE = ProphecyPipelineRun(
    fabric_id=well_known.PROPHECY_FABRIC,
    project_id=well_known.PROPHECY_PROJECT,
    pipeline_name=well_known.PROPHECY_PIPELINE,
)
both_vendors = pytest.mark.parametrize("run", [PROFILES, PIPELINE], ids=["RudderStack", "Prophecy"])


def lose_response(
    run: Any, sandbox: Sandbox, instance: dg.DagsterInstance, **options: Any
) -> tuple[dg.JobDefinition, str]:
    """Materializes the asset `it`, whose start's response is lost. Returns its job and the Dagster run's id."""
    sandbox.add_fault(Fault("lost_response", method="POST", times=1))
    job = job_with(run, sandbox, key="it", **options)
    result = execute(job, instance)
    assert not result.success
    message = failure(result)
    assert "it is unknown whether" in message
    assert "run `dagster-runs adopt it RUN_ID`" in message
    assert "run `dagster-runs adopt it --none`" in message
    return job, result.run_id


def adopt(
    run: Any,
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    run_id: str | None,
    *,
    wanted: dict[str, Any] | None = None,
    **options: Any,
) -> Adopted:
    with location([build_remote_run_asset(run, key="it", **options)], sandbox, instance) as place:
        return adopt_run([place], AdoptRequest("it", run_id, **(wanted or {})))


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


def test_failed_adopted_deferred_run_is_reported_by_a_dagster_run_that_fails(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=100, outcome="fail"))
    lose_response(PROFILES, sandbox, instance, wait="defer")
    driver = completion([deferred(PROFILES)], sandbox, instance)
    adopt(PROFILES, sandbox, instance, sandbox.runs()[0].id, wait="defer")
    clock.sleep(120)
    driver.ticks(clock, 4)
    [reporting] = driver.runs
    assert not reporting.success
    assert sandbox.runs()[0].id in failure(reporting)
    assert sandbox.starts() == 1


def test_deferred_start_that_created_no_run_is_started_by_a_reexecution(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.add_fault(Fault("status", method="POST", status=502, times=1))
    job = job_with(PROFILES, sandbox, key="it", wait="defer")
    parent = execute(job, instance).run_id
    adopt(PROFILES, sandbox, instance, None, wait="defer")
    assert reexecute(job, instance, parent).success
    driver = completion([deferred(PROFILES)], sandbox, instance)
    clock.sleep(600)
    driver.ticks(clock, 3)
    assert sandbox.starts() == 1
    assert reported(instance, "it") == [sandbox.runs()[0].id]


def test_partition_of_a_deferred_run_is_reported(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    options = {"wait": "defer", "partitions_def": dg.StaticPartitionsDefinition(["x", "y"])}
    asset = build_remote_run_asset(PROFILES, key="it", **options)
    for partition in ("x", "y"):
        sandbox.add_fault(Fault("lost_response", method="POST", times=1))
        materialize([asset], sandbox, instance, partition_key=partition)
        clock.sleep(600)
    ids = [run.id for run in sandbox.runs()]
    assert len(ids) == 2
    with pytest.raises(NegativeResult, match=r"There are several: Dagster run .*, partition x; .*, partition y"):
        adopt(PROFILES, sandbox, instance, ids[1], **options)
    adopt(PROFILES, sandbox, instance, ids[1], wanted={"partition": "y"}, **options)
    completion([asset], sandbox, instance).ticks(clock, 3)
    [record] = instance.fetch_materializations(dg.AssetKey("it"), limit=10).records
    assert (record.partition_key, reported(instance, "it")) == ("y", [ids[1]])


def test_range_of_partitions_is_reported(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    options = {
        "wait": "defer",
        "partitions_def": dg.StaticPartitionsDefinition(["w", "x", "y", "z"]),
        "backfill_policy": dg.BackfillPolicy.single_run(),
    }
    asset = build_remote_run_asset(PROFILES, key="it", **options)
    sandbox.add_fault(Fault("lost_response", method="POST", times=1))
    ends = {"dagster/asset_partition_range_start": "x", "dagster/asset_partition_range_end": "z"}
    materialize([asset], sandbox, instance, tags=ends)
    [started] = sandbox.runs()
    adopted = adopt(PROFILES, sandbox, instance, started.id, wanted={"partition": "y"}, **options)
    assert adopted.partition == "x...z"
    clock.sleep(600)
    completion([asset], sandbox, instance).ticks(clock, 3)
    found = instance.fetch_materializations(dg.AssetKey("it"), limit=10).records
    assert sorted(str(record.partition_key) for record in found) == ["x", "y", "z"]


def test_run_of_a_suite_of_checks_can_be_adopted(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    checks = build_testgen_checks(TESTS, tables={"orders": "orders"}, name="nightly", unmapped="ignore")
    no_project = TestGenResource(base_url=f"{sandbox.url}/testgen", access_token=well_known.TESTGEN_TOKEN)
    defs = dg.Definitions(
        assets=[checks.suite],
        asset_checks=[checks.checks],
        jobs=[dg.define_asset_job("check", selection=dg.AssetSelection.checks(*checks.checks.check_keys))],
        resources={"testgen": no_project},
        executor=dg.in_process_executor,
    )
    sandbox.add_fault(Fault("lost_response", method="POST", times=1))
    job = defs.resolve_job_def("check")
    parent = execute(job, instance).run_id
    [started] = sandbox.runs()
    with location([checks.suite], None, instance, resources={"testgen": no_project}, checks=[checks.checks]) as place:
        adopt_run([place], AdoptRequest("testgen/nightly", started.id))
    assert reexecute(job, instance, parent).success
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


def test_old_start_is_found_too(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    job, parent = lose_response(PROFILES, sandbox, instance)
    clock.sleep(40 * 86_400)
    assert adopt(PROFILES, sandbox, instance, sandbox.runs()[0].id).run_id == sandbox.runs()[0].id
    assert reexecute(job, instance, parent).success


def make_run(context: dg.AssetExecutionContext) -> RudderStackProfilesRun:
    return PROFILES


def test_run_that_a_function_creates_needs_its_fields(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    job, parent = lose_response(make_run, sandbox, instance)
    [started] = sandbox.runs()
    for fields, message in [
        ((), "Pass the fields that are needed to poll it, such as --field profiles_id=VALUE"),
        (("profiles_id=other",), "lead to RudderStackProfilesRun other, but the start was of"),
        (("region=eu",), "--field takes NAME=VALUE with a field of RudderStackProfilesRun: begin_time"),
    ]:
        with pytest.raises(Unusable, match=message):
            adopt(make_run, sandbox, instance, started.id, wanted={"fields": fields})
    adopt(make_run, sandbox, instance, started.id, wanted={"fields": [f"profiles_id={PROFILES.profiles_id}"]})
    assert reexecute(job, instance, parent).success
    assert sandbox.starts() == 1


def test_run_of_a_user_defined_asset_can_be_adopted(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    @dg.asset
    def it(context: dg.AssetExecutionContext, rudderstack: RudderStackResource) -> Iterator[Any]:
        yield from rudderstack.run(context, PROFILES)

    defs = dg.Definitions(assets=[it], resources=resources_at(sandbox.url), executor=dg.in_process_executor)
    job = defs.resolve_implicit_global_asset_job_def()
    sandbox.add_fault(Fault("lost_response", method="POST", times=1))
    parent = execute(job, instance).run_id
    wanted = AdoptRequest("it", sandbox.runs()[0].id, fields=[f"profiles_id={PROFILES.profiles_id}"])
    with location([it], sandbox, instance) as place:
        adopt_run([place], wanted)
    assert reexecute(job, instance, parent).success
    assert sandbox.starts() == 1


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
