"""`dagster-runs adopt` for each kind of asset and partition."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from dagster_runs import (
    RudderStackProfilesRun,
    RudderStackResource,
    TestGenResource,
    build_remote_run_asset,
    build_testgen_checks,
)
from dagster_runs.cli.adopt import AdoptRequest, adopt_run
from dagster_runs.cli.output import NegativeResult, Unusable
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.cli.adopting import adopt, lose_response
from tests.cli.locating import location
from tests.remote_run.materializing import PROFILES, TESTS, failure, materialize, resources_at
from tests.remote_run.reexecuting import execute, job_with, reexecute
from tests.sensors.driving import completion, deferred, reported

pytestmark = pytest.mark.usefixtures("clock")


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
