"""Assets that only the vendor materializes: plain specs, whose runs the observation sensor reports."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import (
    AmperityWorkflowRun,
    ObservedAsset,
    QualityGate,
    RudderStackProfilesRun,
    build_check_failure_sensor,
    build_observation_sensor,
    build_remote_run_asset,
)
from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock, sandbox_resources
from tests.remote_run.materializing import PROFILING, TESTS, materialize
from tests.sensors.driving import (
    DaemonKilled,
    Driver,
    evaluations,
    materializations,
    observed_failures,
    observing,
    reported,
)

pytestmark = pytest.mark.usefixtures("clock")

SPEC = dg.AssetSpec("it", kinds={"testgen"}, deps=["orders"])
STRICT = ObservedAsset(SPEC, TESTS, gate=QualityGate(min_score=0.5))


@pytest.mark.covers("observe.plain-spec")
def test_successful_run_is_reported_as_a_materialization_of_the_spec(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    driver = observing([(SPEC, TESTS)], sandbox, instance, defined=[SPEC])
    run = sandbox.start_run(TESTS.target, source="scheduler")
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "it") == [run.id]
    [record] = materializations(instance, "it")
    assert record.asset_materialization is not None
    assert "testgen/score" in record.asset_materialization.metadata
    assert record.asset_materialization.tags["dagster/data_version"] == run.id
    assert "dagster/input_data_version/orders" in record.asset_materialization.tags
    assert evaluations(instance, "it") == {}  # Dagster would show them nowhere
    assert not driver.definitions.resolve_asset_graph().get(SPEC.key).is_executable


@pytest.mark.covers("observe.plain-spec")
def test_failed_run_is_reported_as_an_observation(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(outcome="fail"))
    driver = observing([(SPEC, TESTS)], sandbox, instance, defined=[SPEC])
    run = sandbox.start_run(TESTS.target, source="scheduler")
    driver.ticks(clock, 6, every=60)
    assert (reported(instance, "it"), observed_failures(instance, "it")) == ([], [run.id])


@pytest.mark.covers("observe.plain-spec")
@pytest.mark.parametrize("outcome", ["succeed", "fail"])
def test_declared_checks_are_reported(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, outcome: Any
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(outcome=outcome))
    driver = observing([STRICT], sandbox, instance, defined=[SPEC, STRICT.build_checks()])
    sandbox.start_run(TESTS.target, source="scheduler")
    driver.ticks(clock, 6, every=60)
    success = {"run_status": (True, 1), "tests_passed": (True, 1), "quality_score": (True, 1)}
    assert evaluations(instance, "it") == (success if outcome == "succeed" else {"run_status": (False, 1)})


def test_only_declared_checks_are_reported(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    @dg.multi_asset_check(specs=[dg.AssetCheckSpec("tests_passed", asset="it"), dg.AssetCheckSpec("mine", asset="it")])
    def own():  # type: ignore[no-untyped-def]
        yield from ()

    driver = observing([(SPEC, TESTS)], sandbox, instance, defined=[SPEC, own])
    sandbox.start_run(TESTS.target, source="scheduler")
    driver.ticks(clock, 6, every=60)
    assert evaluations(instance, "it") == {"tests_passed": (True, 1)}


def test_failed_checks_can_request_a_job(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    @dg.op
    def send() -> None: ...

    @dg.job
    def notify() -> None:
        send()

    checks = STRICT.build_checks()
    bad = {"passed": 0, "failed": 7, "warning": 0, "error": 0, "log": 0, "dismissed": 0}
    sandbox.set_behavior(TESTS.target, Behavior(counts=bad))
    alerts = Driver(build_check_failure_sensor([checks], job=notify), [SPEC, checks], sandbox, instance, jobs=[notify])
    alerts.tick()
    driver = observing([STRICT], sandbox, instance, defined=[SPEC, checks])
    sandbox.start_run(TESTS.target, source="scheduler")
    driver.ticks(clock, 6, every=60)
    alerts.tick()
    failed = {run.dagster_run.tags["dagster_runs/failed_check"] for run in alerts.runs}
    assert "it:tests_passed" in failed


def test_executing_the_checks_evaluates_the_last_run_again(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    stricter = ObservedAsset(SPEC, TESTS, gate=QualityGate(max_failures=0))
    definitions = dg.Definitions(
        assets=[SPEC], asset_checks=[stricter.build_checks()], resources=sandbox_resources(sandbox.url)
    )
    job = definitions.resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=instance).get_asset_check_evaluations() == []  # nothing is reported yet
    driver = observing([(SPEC, TESTS)], sandbox, instance, defined=[SPEC])
    sandbox.start_run(TESTS.target, source="scheduler")
    driver.ticks(clock, 6, every=60)
    found = job.execute_in_process(instance=instance).get_asset_check_evaluations()
    assert {one.check_name: one.passed for one in found} == {
        "run_status": True,
        "tests_passed": True,
        "quality_score": True,
    }
    [record] = materializations(instance, "it")
    assert {one.target_materialization_data.storage_id for one in found} == {record.storage_id}


@pytest.mark.parametrize("wait", ["poll", "defer"])
def test_runs_that_another_asset_of_this_instance_started_are_not_reported(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, wait: Any
) -> None:
    driver = observing([(SPEC, TESTS)], sandbox, instance, defined=[SPEC])
    materialize([build_remote_run_asset(TESTS, key="ours", wait=wait)], sandbox, instance)
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "it") == []
    assert "No new run to report" in str(driver.skipped[-1])


def test_specs_and_executable_assets_can_be_mixed(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    executable = build_remote_run_asset(PROFILING, key="profile")
    driver = observing([executable, (SPEC, TESTS)], sandbox, instance, defined=[executable, SPEC])
    runs = [sandbox.start_run(run.target, source="ui").id for run in (PROFILING, TESTS)]
    driver.ticks(clock, 6, every=60)
    assert [*reported(instance, "profile"), *reported(instance, "it")] == runs


def test_resource_key_selects_the_resource(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    other = {
        "quality": sandbox_resources(sandbox.url)["testgen"],
        "testgen": dg.ResourceDefinition.hardcoded_resource(1),
    }
    driver = observing(
        [ObservedAsset(SPEC, TESTS, resource_key="quality")], sandbox, instance, defined=[SPEC], resources=other
    )
    run = sandbox.start_run(TESTS.target, source="scheduler")
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "it") == [run.id]


@pytest.mark.parametrize("stored", range(5))
def test_runs_are_reported_exactly_once_after_a_lost_tick(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, stored: int
) -> None:
    driver = observing([STRICT], sandbox, instance, defined=[SPEC, STRICT.build_checks()])
    run = sandbox.start_run(TESTS.target, source="ui")
    clock.sleep(300)
    with pytest.raises(DaemonKilled):
        driver.tick(lost_after=stored)
    driver.sensor = build_observation_sensor([STRICT])
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "it") == [run.id]
    assert set(evaluations(instance, "it").values()) == {(True, 1)}


@pytest.mark.covers("observe.plain-spec-undefined")
@pytest.mark.parametrize("defined", [[], [dg.AssetSpec(["prefix", "it"])]])
def test_spec_that_is_not_in_the_code_location_fails_the_tick(
    sandbox: Sandbox, instance: dg.DagsterInstance, defined: list[Any]
) -> None:
    @dg.asset(deps=["it"])  # Dagster shows a stub for it
    def downstream() -> None: ...

    with pytest.raises(dg.DagsterInvalidDefinitionError, match="it is not defined in this code location"):
        observing([(SPEC, TESTS)], sandbox, instance, defined=[*defined, downstream])


def test_gate_without_declared_checks_fails_the_tick(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="does not declare quality_score, tests_passed"):
        observing([STRICT], sandbox, instance, defined=[SPEC])


def test_definitions_can_be_loaded(sandbox: Sandbox) -> None:
    @dg.op
    def refresh() -> None: ...

    @dg.job
    def after() -> None:
        refresh()

    for job in (None, after):
        sensor = build_observation_sensor([STRICT], job=job)
        definitions = dg.Definitions(
            assets=[SPEC],
            asset_checks=[STRICT.build_checks()],
            sensors=[sensor],
            jobs=[after],
            resources=sandbox_resources(sandbox.url),
        )
        dg.Definitions.validate_loadable(definitions)
        assert [target.job_name for target in sensor.targets] == ([] if job is None else ["after"])


class TestArgumentsAreRefused:
    def test_spec_alone(self) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match=r"pass it together with the run, as the pair"):
            build_observation_sensor([SPEC])  # type: ignore[list-item]

    @pytest.mark.parametrize(
        ("item", "message"),
        [
            (("it", TESTS), "spec is 'it'; it must be a dagster.AssetSpec"),
            ((SPEC, "suite"), "The run of it is 'suite'; it must be a run"),
            ((SPEC, type(TESTS)), "it must be a run"),
            ((SPEC, TESTS, "quality"), "a pair is an AssetSpec and a run"),
            ((SPEC, RudderStackProfilesRun(profiles_id="x")), "it cannot be observed: .* offers no way to list"),
            ((SPEC, AmperityWorkflowRun(config_id="cg-1")), "it cannot be observed: .*workflow_name"),
            (
                (dg.AssetSpec("it", partitions_def=dg.StaticPartitionsDefinition(["x"])), TESTS),
                "it cannot be observed: it has partitions",
            ),
        ],
    )
    def test_pair(self, item: Any, message: str) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match=message):
            build_observation_sensor([item])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"gate": 0.95}, "it must be a QualityGate"),
            ({"resource_key": 1}, "The resource_key of it is 1"),
            ({"run": RudderStackProfilesRun(profiles_id="x"), "gate": QualityGate()}, "does not support a QualityGate"),
        ],
    )
    def test_observed_asset(self, options: Any, message: str) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match=message):
            ObservedAsset(SPEC, **{"run": TESTS, **options})

    def test_duplicates(self) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="it is given twice"):
            build_observation_sensor([(SPEC, TESTS), build_remote_run_asset(PROFILING, key="it")])

    def test_two_assets_for_the_same_runs(self) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="it and ours cannot both be observed"):
            build_observation_sensor([(SPEC, TESTS), build_remote_run_asset(TESTS, key="ours")])
