"""What a script says is what the runs of an asset do, for every kind of run, without HTTP."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import (
    AmperityWorkflowRun,
    ObservedAsset,
    ProphecyPipelineRun,
    ProphecyResource,
    RemoteRun,
    RudderStackProfilesRun,
    RudderStackRETLSyncRun,
    SegmentflowJourneyRun,
    TestGenProfilingRun,
    TestGenResource,
    TestGenTestGenerationRun,
    TestGenTestRun,
    build_remote_run_asset,
    build_testgen_checks,
)
from dagster_runs.sandbox import Behavior, Fault, well_known
from dagster_runs.testing import CodeLocation, ScriptedVendors
from tests.remote_run.materializing import checks, failure, metadata

SUITE = "8a4f1c7e-2b39-4e2e-a8c3-1d5e9f2a7b4c"
TESTS = TestGenTestRun(test_suite_id=SUITE)
RECIPIENT = {"email": "ada@example.com"}
# None of these is in the sandbox.
RUNS: dict[str, RemoteRun[Any]] = {
    "profiles": RudderStackProfilesRun(profiles_id="3aBcDeFgHiJkLmNoPqRsTuVwXyZ"),
    "retl": RudderStackRETLSyncRun(connection_id="3aBcDeFgHiJkLmNoPqRsTuVwXyZ"),
    "courier": AmperityWorkflowRun(config_id="cg-7tEsTkItA"),
    "orchestration": AmperityWorkflowRun(config_id="og-7tEsTkItA"),
    "campaign": AmperityWorkflowRun(config_id="cc-7tEsTkItA"),
    "journey by key": SegmentflowJourneyRun(journey_key="come-back", recipient=RECIPIENT),
    "journey by id": SegmentflowJourneyRun(journey_id="7b1f9a52-0d8a-4a55-8a39-0f6a8f0f1d11", recipient=RECIPIENT),
    "pipeline": ProphecyPipelineRun(fabric_id=7, project_id="99", pipeline_name="churn"),
    "tests": TESTS,
    "profiling": TestGenProfilingRun(table_group_id=SUITE),
    "generation": TestGenTestGenerationRun(test_suite_id=SUITE),
}


@pytest.fixture
def vendors(dagster_runs_vendors: ScriptedVendors) -> ScriptedVendors:
    return dagster_runs_vendors


@pytest.fixture
def quality() -> dg.AssetsDefinition:
    return build_remote_run_asset(TESTS, key="quality")


@pytest.fixture
def materialize(vendors: ScriptedVendors, instance: dg.DagsterInstance) -> Any:
    def materialize(*assets: Any, **options: Any) -> dg.ExecuteInProcessResult:
        resources = options.pop("resources", vendors.resources)
        return dg.materialize(assets, resources=resources, instance=instance, raise_on_error=False, **options)

    return materialize


@pytest.mark.parametrize("name", RUNS)
def test_every_kind_of_run_ends_as_scripted(vendors: ScriptedVendors, materialize: Any, name: str) -> None:
    asset = build_remote_run_asset(RUNS[name], key="it")
    vendors.script(asset, "succeed", "fail", error="no such table")
    assert materialize(asset).success
    failed = materialize(asset)
    assert not failed.success
    assert "no such table" in failure(failed)
    assert len(vendors.started(asset)) == len(vendors.started()) == 2


def test_run_takes_the_scripted_time(
    vendors: ScriptedVendors, materialize: Any, quality: Any, instance: dg.DagsterInstance
) -> None:
    vendors.script(quality, after=600)
    begin = vendors.now()
    assert materialize(quality).success
    assert 600 <= vendors.now() - begin < 700
    [run] = vendors.started(quality)
    assert run.ended_at is not None
    assert run.ended_at - run.created_at == 600
    assert metadata(instance, "quality")["dagster_runs/run_id"] == run.id


def test_options_are_what_the_vendor_reports(vendors: ScriptedVendors, materialize: Any, quality: Any) -> None:
    vendors.script(quality, counts={"passed": 3, "failed": 1})
    assert not checks(materialize(quality))["tests_passed"].passed
    vendors.script(quality, results=[{"table_name": "orders", "result_status": "failed"}])
    assert not checks(materialize(quality))["tests_passed"].passed
    vendors.script(quality)
    assert checks(materialize(quality))["tests_passed"].passed


def test_behavior_in_place_of_an_outcome(vendors: ScriptedVendors, materialize: Any, quality: Any) -> None:
    vendors.script(quality, Behavior(hold="paused", hold_seconds=600, counts={"passed": 1}))
    assert materialize(quality).success
    [run] = vendors.started(quality)
    assert run.ended_at is not None
    assert run.ended_at - run.created_at > 600


def test_one_target_of_the_sandbox_can_be_scripted_too(vendors: ScriptedVendors, materialize: Any) -> None:
    clean = TestGenTestRun(test_suite_id=well_known.SUITE_CLEAN)
    vendors.script(clean, "fail")
    assert not materialize(build_remote_run_asset(clean, key="clean")).success


def test_unknown_id_is_refused_like_by_the_vendor(materialize: Any, quality: Any) -> None:
    assert "404" in failure(materialize(quality))


def test_scripts_and_runs_are_forgotten_between_tests(vendors: ScriptedVendors) -> None:
    assert vendors.runs() == []
    with pytest.raises(ValueError, match="there is no target"):
        vendors.set_behavior(SUITE, Behavior())


def test_function_that_creates_the_run_is_scripted_by_the_run(vendors: ScriptedVendors, materialize: Any) -> None:
    def chosen(context: dg.AssetExecutionContext) -> TestGenTestRun:
        return TESTS

    asset = build_remote_run_asset(chosen, key="it")
    with pytest.raises(ValueError, match="Pass the run that it returns"):
        vendors.script(asset)
    vendors.script(TESTS, "fail")
    assert not materialize(asset).success


def test_only_what_has_a_run_can_be_scripted(vendors: ScriptedVendors) -> None:
    @dg.asset
    def plain() -> None: ...

    for what in (plain, "quality", None):
        with pytest.raises(ValueError, match="has no remote run that the test kit knows"):
            vendors.script(what)


def test_observed_assets_and_checks_of_suites_can_be_scripted(vendors: ScriptedVendors) -> None:
    vendors.start_elsewhere(ObservedAsset(dg.AssetSpec("seen"), TESTS))
    suite = build_testgen_checks(TESTS, tables={"orders": "stg_orders"})
    for what in (suite, suite.checks):
        vendors.script(what, "fail")
        vendors.start_elsewhere(what)
    assert {run.target_id for run in vendors.runs()} == {SUITE}
    assert len(vendors.runs()) == 3
    assert vendors.started() == []


def test_unknown_option_names_the_options_of_the_vendor(vendors: ScriptedVendors, quality: Any) -> None:
    with pytest.raises(ValueError, match="testgen does not support rows; the supported options are"):
        vendors.script(quality, rows=3)


def test_request_to_a_real_vendor_is_refused_and_says_what_to_pass(
    vendors: ScriptedVendors, materialize: Any, quality: Any
) -> None:
    real = TestGenResource(base_url="https://testgen.example.com", access_token="secret-token-1")
    error = failure(materialize(quality, resources={"testgen": real}))
    assert "nothing was sent to testgen.example.com" in error
    assert "dagster_runs_vendors.connect()" in error
    assert "secret-token-1" not in error


def test_faults_apply(vendors: ScriptedVendors, materialize: Any, quality: Any) -> None:
    vendors.script(quality)
    vendors.add_fault(Fault("lost_response", method="POST", times=1))
    vendors.add_fault(Fault("down", path="/jobs/", seconds=600))
    assert materialize(quality).success
    assert len(vendors.started(quality)) == 1
    assert sum(vendors.clock.pauses) > 500


def test_connected_resources_keep_their_settings_but_not_their_account(vendors: ScriptedVendors) -> None:
    class OurResource(TestGenResource):
        team: str = ""

    defs = dg.Definitions(
        resources={
            "ours": OurResource(
                base_url=dg.EnvVar("UNSET_URL"),
                access_token=dg.EnvVar("UNSET_TOKEN"),
                project_code="SALES",
                poll_interval=7,
                max_in_flight=3,
                requests_per_second=1,
                team="sales",
            ),
            "other": "a resource of another kind",
        }
    )
    resources = vendors.connect(defs).resources or {}
    ours = resources["ours"]
    assert isinstance(ours, OurResource)
    assert (ours.poll_interval, ours.max_in_flight, ours.team) == (7, 3, "sales")
    assert ours.base_url == f"{vendors.url}/testgen"
    assert ours.requests_per_second is None
    assert ours.project_code == well_known.TESTGEN_PROJECT
    assert resources["other"] == "a resource of another kind"


def test_connected_definitions_are_otherwise_the_same(
    vendors: ScriptedVendors, instance: dg.DagsterInstance, quality: dg.AssetsDefinition
) -> None:
    suite = build_testgen_checks(TestGenTestRun(test_suite_id=well_known.SUITE_SLOW), tables={"orders": "stg_orders"})

    @dg.asset
    def stg_orders() -> None: ...

    job = dg.define_asset_job("nightly", [quality])
    real = TestGenResource(base_url="https://testgen.example.com", access_token=dg.EnvVar("UNSET_TOKEN"))
    own = dg.Definitions(
        assets=[quality, stg_orders],
        jobs=[job],
        schedules=[dg.ScheduleDefinition(job=job, cron_schedule="@daily")],
        resources={"testgen": real, "prophecy": ProphecyResource(access_token=dg.EnvVar("UNSET_TOKEN"))},
        metadata={"team": "sales"},
    )
    connected = vendors.connect(suite.merged_with(own))
    dg.Definitions.validate_loadable(connected)
    assert [one.name for one in connected.schedules or ()] == ["nightly_schedule"]
    assert connected.metadata == own.metadata
    location = CodeLocation(connected, instance)
    assert location.materialize(quality).success  # without a script
    assert location.materialize("stg_orders").success
    assert {run.target_id for run in vendors.started()} == {SUITE, well_known.SUITE_SLOW}
