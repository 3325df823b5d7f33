"""Subsets of a definition (jobs without checks, some of its assets), and the order in which assets are reported."""

from typing import Any, ClassVar

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from dagster_runs import QualityGate, TestGenResource, TestGenTestRun, build_remote_run_asset
from dagster_runs.remote_run.data_checks import UNDECLARED_KEY
from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock
from dagster_runs.vendor_sdk import CheckOutcome, RunResult, RunStatus
from tests.remote_run.materializing import TESTS, checks, failure, materialize, metadata, resources_at
from tests.sensors.driving import evaluations

pytestmark = pytest.mark.usefixtures("clock")
fixes = pytest.mark.fixes("6.14")
each_wait = pytest.mark.parametrize("wait", [pytest.param("poll", marks=fixes), "defer"])
REGIONS = dg.StaticPartitionsDefinition(["eu", "us"])
ONE_AND_TWO = [dg.AssetSpec("one"), dg.AssetSpec("two")]


def job_of(selection: Any, asset: dg.AssetsDefinition, sandbox: Sandbox) -> dg.JobDefinition:
    definitions = dg.Definitions(
        assets=[asset], jobs=[dg.define_asset_job("part", selection)], resources=resources_at(sandbox.url)
    )
    dg.Definitions.validate_loadable(definitions)
    return definitions.resolve_job_def("part")


@pytest.mark.parametrize("partition", [None, "us"])
@each_wait
@pytest.mark.parametrize("keys", [["one"], ["one", "two"]], ids=["an asset", "assets"])
def test_job_without_checks_loads_and_runs(
    keys: list[str], wait: Any, partition: str | None, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    partitions_def = REGIONS if partition else None
    specs = [dg.AssetSpec(key) for key in keys]
    asset = build_remote_run_asset(TESTS, specs=specs, wait=wait, partitions_def=partitions_def)
    job = job_of(dg.AssetSelection.assets(*keys).without_checks(), asset, sandbox)
    result = job.execute_in_process(instance=instance, partition_key=partition)
    assert result.success
    assert sandbox.starts("testgen") == 1
    assert checks(result) == {}
    materialized = [event.asset_key.to_user_string() for event in result.get_asset_materialization_events()]
    assert sorted(materialized) == (keys if wait == "poll" else [])


def test_all_checks_are_still_reported_by_default(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    asset = build_remote_run_asset(TESTS, key="one")
    result = job_of(dg.AssetSelection.assets("one"), asset, sandbox).execute_in_process(instance=instance)
    assert set(checks(result)) == {"run_status", "tests_passed", "quality_score"}


@each_wait
@pytest.mark.covers("start.checks-alone")
def test_checks_alone_start_nothing(wait: Any, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    asset = build_remote_run_asset(TESTS, key="one", wait=wait)
    selection = dg.AssetSelection.checks_for_assets(asset)
    result = materialize([asset], sandbox, instance, selection=selection)
    assert "materialize the asset, not only its checks" in failure(result)
    assert sandbox.starts("testgen") == 0


@fixes
@pytest.mark.covers("start.partial-selection")
def test_selecting_one_of_several_assets_starts_one_run_and_warns(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    asset = build_remote_run_asset(TESTS, specs=ONE_AND_TWO)
    result = materialize([asset], sandbox, instance, selection=["two"])
    assert result.success
    assert [event.asset_key.to_user_string() for event in result.get_asset_materialization_events()] == ["two"]
    assert {check.asset_key.to_user_string() for check in result.get_asset_check_evaluations()} == {"two"}
    warnings = [entry.user_message for entry in instance.all_logs(result.run_id) if entry.level == 30]
    assert [line for line in warnings if "also materializes one, which this step does not select" in line]


@fixes
@pytest.mark.covers("retry.from-asset-failure")
def test_reexecution_of_the_remaining_assets_attaches_to_the_same_run(
    sandbox: Sandbox, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Like "re-execute from asset failure": only the assets that were not materialized.
    asset = build_remote_run_asset(TESTS, specs=ONE_AND_TWO)
    definitions = dg.Definitions([asset], resources=resources_at(sandbox.url), executor=dg.in_process_executor)
    job = definitions.resolve_implicit_global_asset_job_def()

    store = instance.handle_new_event

    def store_one(event: Any, **options: Any) -> None:
        store(event, **options)
        if event.is_dagster_event and event.dagster_event.is_step_materialization:
            raise dg.DagsterExecutionInterruptedError

    monkeypatch.setattr(instance, "handle_new_event", store_one)
    died = job.execute_in_process(instance=instance, raise_on_error=False)
    monkeypatch.undo()
    assert not died.success
    [left] = {"one", "two"} - {
        record.asset_key.to_user_string()
        for key in ("one", "two")
        for record in instance.fetch_materializations(dg.AssetKey(key), limit=1).records
    }
    subset = job.get_subset(asset_selection={dg.AssetKey(left)})
    tags = {
        "dagster/parent_run_id": died.run_id,
        "dagster/root_run_id": died.run_id,
        "dagster/is_asset_resume_retry": "true",
    }
    again = instance.create_run_for_job(
        subset,
        parent_run_id=died.run_id,
        root_run_id=died.run_id,
        tags=tags,
        asset_selection=frozenset({dg.AssetKey(left)}),
    )
    assert execute_run(InMemoryJob(subset), again, instance, raise_on_error=False).success
    [run] = sandbox.runs("testgen")
    assert metadata(instance, left)["dagster_runs/run_id"] == run.id


@each_wait
def test_assets_of_one_run_are_reported_in_dependency_order(
    wait: Any, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    specs = [dg.AssetSpec("a", deps=["b"]), dg.AssetSpec("b"), dg.AssetSpec("c", deps=["b"])]
    result = materialize([build_remote_run_asset(TESTS, specs=specs, wait=wait)], sandbox, instance)
    assert result.success
    reported = [event.asset_key.to_user_string() for event in result.get_asset_materialization_events()]
    assert reported == (["b", "a", "c"] if wait == "poll" else [])
    assert sandbox.starts("testgen") == 1


class ReportsTooLittle(TestGenTestRun):
    """A run whose vendor class does not report one of its checks, and reports one that it does not declare."""

    data_checks: ClassVar[dict[str, str]] = {**TestGenTestRun.data_checks, "rows_counted": "Whether rows were counted."}

    def fetch_result(
        self, resource: TestGenResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        result = super().fetch_result(resource, run_id, status, gate)
        return RunResult(result.metadata, [*result.checks, CheckOutcome("rows_cuonted", passed=True)])


@fixes
def test_unreported_check_fails_and_an_undeclared_one_is_left_out(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    asset = build_remote_run_asset(ReportsTooLittle(test_suite_id=TESTS.test_suite_id), key="one")
    result = materialize([asset], sandbox, instance)
    assert result.success
    [forgotten] = [one for one in result.get_asset_check_evaluations() if one.check_name == "rows_counted"]
    assert not forgotten.passed
    assert forgotten.severity is dg.AssetCheckSeverity.ERROR
    assert "ReportsTooLittle.fetch_result() returned no outcome for this check" in str(forgotten.description)
    assert str(metadata(instance, "one")[UNDECLARED_KEY]).startswith("rows_cuonted: not in data_checks")
    assert sandbox.starts("testgen") == 1


@fixes
@pytest.mark.parametrize(
    ("positional", "named", "message"),
    [
        (
            (TESTS, "orders"),
            {},
            r"Only run is a positional argument; pass the others .*`build_remote_run_asset\(run, key=",
        ),
        ((TESTS,), {"key": "a", "partition_def": REGIONS}, "Did you mean partitions_def instead of partition_def?"),
        ((TESTS,), {"key": "a", "xyzzy": 1}, "Its arguments are run, key, key_prefix, specs"),
        ((), {"key": "a"}, "missing a required argument: 'run'"),
    ],
)
def test_invalid_call_error_shows_the_signature(
    positional: tuple[Any, ...], named: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        build_remote_run_asset(*positional, **named)


@fixes
@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"key": ""}, "an asset key is a string"),
        ({"key": ["a", 1]}, "an asset key is a string"),
        ({"key": "marts/orders"}, r"as a list: \['marts', 'orders'\]"),
        ({"specs": dg.AssetSpec("a")}, "specs is AssetSpec.*must be a list"),
        ({"specs": ["a"]}, "each must be a dagster.AssetSpec"),
        ({"specs": [dg.AssetSpec("a"), dg.AssetSpec("a")]}, "specs contains a more than once"),
        ({"key": "a", "deps": "orders"}, "deps is 'orders'; it must be a list"),
        ({"key": "a", "gate": 0.95}, "must be a QualityGate"),
        ({"key": "a", "timeout": "60"}, "timeout is '60'; it must be a number of seconds"),
        ({"key": "a", "resource_key": 5}, "resource_key is a int; it must be the key of a resource, such as 'testgen'"),
    ],
)
def test_invalid_arguments_are_rejected_with_a_clear_message(named: dict[str, Any], message: str) -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=message):
        build_remote_run_asset(TESTS, **named)


@fixes
def test_run_class_instead_of_a_run_is_rejected() -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=r"pass a run: `TestGenTestRun\(...\)`"):
        build_remote_run_asset(TestGenTestRun, key="a")


@pytest.mark.covers("retry.from-asset-failure")
def test_reexecution_from_asset_failure_passes_every_check(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(TESTS.target, [Behavior(outcome="fail"), Behavior()])
    asset = build_remote_run_asset(TESTS, key="one")
    failed = materialize([asset], sandbox, instance)
    assert evaluations(instance, "one")["run_status"] == (False, 1)
    # Dagster then selects everything that the failed run did not report (`get_keys_to_reexecute`).
    left = [dg.AssetCheckKey(dg.AssetKey("one"), name) for name in ("tests_passed", "quality_score")]
    selection = dg.AssetSelection.assets("one").without_checks() | dg.AssetSelection.checks(*left)
    tags = {"dagster/is_asset_resume_retry": "true", "dagster/parent_run_id": failed.run_id}
    assert materialize([asset], sandbox, instance, selection=selection, tags=tags).success
    assert {name: passed for name, (passed, _) in evaluations(instance, "one").items()} == {
        "run_status": True,
        "tests_passed": True,
        "quality_score": True,
    }
