"""A blocking gate on a partitioned asset: it blocks the partitions that fail it, and no others."""

import inspect
import warnings
from collections.abc import Iterator
from typing import Any, Literal

import dagster as dg
import pytest

from dagster_runs import QualityGate, TestGenResource, build_remote_run_asset
from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock, sandbox_resources
from tests.remote_run.materializing import TESTS, failure, materialize
from tests.sensors.driving import completion, materializations

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.fixes("6.1")]

partitioned_checks = pytest.mark.skipif(
    "partitions_def" not in inspect.signature(dg.AssetCheckSpec.__new__).parameters,
    reason="this version of Dagster has no partitioned checks",
)
NONE = {"warning": 0, "error": 0, "log": 0, "dismissed": 0}
BAD = Behavior(running_seconds=20, counts={"passed": 0, "failed": 7, **NONE})
GOOD = Behavior(running_seconds=20, counts={"passed": 7, "failed": 0, **NONE})
# Like `eager()`, but for all partitions, not only those of the latest time window.
UPDATED = dg.AutomationCondition.any_deps_updated().since_last_handled() & ~dg.AutomationCondition.in_progress()
CONDITION = UPDATED & dg.AutomationCondition.all_deps_blocking_checks_passed()
KINDS: dict[str, tuple[dg.PartitionsDefinition[Any], str, str]] = {
    "static": (dg.StaticPartitionsDefinition(["north", "south"]), "north", "south"),
    "dynamic": (dg.DynamicPartitionsDefinition(name="regions"), "north", "south"),
    "days": (
        dg.DailyPartitionsDefinition(start_date="2026-01-01", end_date="2026-01-03"),
        "2026-01-01",
        "2026-01-02",
    ),
    "multi": (
        dg.MultiPartitionsDefinition(
            {
                "day": dg.DailyPartitionsDefinition(start_date="2026-01-01", end_date="2026-01-02"),
                "region": dg.StaticPartitionsDefinition(["north", "south"]),
            }
        ),
        "2026-01-01|north",
        "2026-01-01|south",
    ),
}


class Project:
    """A gated asset, a report downstream of it, and Dagster's automation."""

    def __init__(
        self,
        sandbox: Sandbox,
        instance: dg.DagsterInstance,
        partitions: dg.PartitionsDefinition[Any] | None,
        wait: Literal["poll", "defer"],
        **options: Any,
    ) -> None:
        self.sandbox, self.instance = sandbox, instance
        self.asset = build_remote_run_asset(
            TESTS, key="tested", wait=wait, partitions_def=partitions, gate=QualityGate(blocking=True), **options
        )

        @dg.asset(deps=[self.asset], partitions_def=partitions, automation_condition=CONDITION)
        def report() -> None: ...

        self._report = report
        self._definitions = dg.Definitions(assets=[self.asset, report], resources=sandbox_resources(sandbox.url))
        self._cursor: Any = None
        self.driver = completion([self.asset], sandbox, instance) if wait == "defer" else None
        self.requested(), self.requested()

    def run(self, partition: str | None, behavior: Behavior, **options: Any) -> dg.ExecuteInProcessResult:
        self.sandbox.set_behavior(TESTS.target, behavior)
        return materialize([self.asset], self.sandbox, self.instance, partition_key=partition, **options)

    def requested(self) -> list[str]:
        """Return what automation requests for the report now."""
        found = dg.evaluate_automation_conditions(self._definitions, self.instance, cursor=self._cursor)
        self._cursor = found.cursor
        subsets = [item.true_subset for item in found.results if item.key == self._report.key and item.true_subset.size]
        if self.asset.partitions_def is None:
            return ["report"] * len(subsets)
        return sorted(key for subset in subsets for key in subset.expensively_compute_partition_keys())


@pytest.fixture(params=["poll", "defer"])
def wait(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[*KINDS])
def kind(request: pytest.FixtureRequest, instance: dg.DagsterInstance) -> Iterator[Any]:
    instance.add_dynamic_partitions("regions", ["north", "south"])
    yield KINDS[request.param]
    for key in ("north", "south"):
        instance.delete_dynamic_partition("regions", key)


@partitioned_checks
@pytest.mark.parametrize("bad_comes_first", [True, False])
@pytest.mark.covers("end.blocking-gate-partition")
def test_failed_gate_blocks_only_its_own_partition(
    bad_comes_first: bool, kind: Any, wait: Any, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    partitions, bad, good = kind
    project = Project(sandbox, instance, partitions, wait)
    for partition in (bad, good) if bad_comes_first else (good, bad):
        result = project.run(partition, BAD if partition == bad else GOOD)
        assert result.success == (wait == "defer" or partition == good)
    if project.driver is not None:
        project.driver.ticks(clock, 8)
    assert project.requested() == [good]


@partitioned_checks
@pytest.mark.covers("end.blocking-gate-partition")
def test_partition_is_blocked_while_its_latest_run_fails_the_gate(
    wait: Any, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    project = Project(sandbox, instance, KINDS["static"][0], wait)
    for behavior, expected in ((GOOD, ["north"]), (BAD, []), (GOOD, ["north"])):
        project.run("north", behavior)
        if project.driver is not None:
            project.driver.ticks(clock, 6)
        assert project.requested() == expected


@partitioned_checks
@pytest.mark.parametrize(("behavior", "is_good"), [(BAD, False), (GOOD, True)])
@pytest.mark.covers("end.blocking-gate-range")
def test_each_partition_of_a_range_has_an_evaluation_of_its_materialization(
    behavior: Behavior,
    is_good: bool,
    wait: Any,
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
) -> None:
    project = Project(sandbox, instance, KINDS["days"][0], wait, backfill_policy=dg.BackfillPolicy.single_run())
    tags = {
        "dagster/asset_partition_range_start": "2026-01-01",
        "dagster/asset_partition_range_end": "2026-01-02",
    }
    result = project.run(None, behavior, tags=tags)
    assert sandbox.starts("testgen") == 1
    assert result.success == (wait == "defer" or is_good)
    if project.driver is not None:
        project.driver.ticks(clock, 6)
    elif not is_good:
        assert "blocking" in failure(result)
    found = evaluated(instance, "tests_passed")
    assert {partition: passed for partition, passed, _ in found} == {
        "2026-01-01": is_good,
        "2026-01-02": is_good,
    }
    stored = {record.partition_key: record.storage_id for record in materializations(instance, "tested")}
    assert [target for _, _, target in found] == [stored[partition] for partition, _, _ in found]
    assert len(found) == 2
    assert project.requested() == (["2026-01-01", "2026-01-02"] if is_good else [])


@partitioned_checks
@pytest.mark.parametrize(("behavior", "is_good"), [(BAD, False), (GOOD, True)])
@pytest.mark.covers("end.blocking-gate-range")
def test_failed_gate_of_a_range_blocks_downstream_in_the_same_dagster_run(
    behavior: Behavior, is_good: bool, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    days = KINDS["days"][0]
    single = dg.BackfillPolicy.single_run()
    sandbox.set_behavior(TESTS.target, behavior)
    tested = build_remote_run_asset(
        TESTS, key="tested", partitions_def=days, backfill_policy=single, gate=QualityGate(blocking=True)
    )

    @dg.asset(deps=[tested], partitions_def=days, backfill_policy=single)
    def after() -> None: ...

    tags = {
        "dagster/asset_partition_range_start": "2026-01-01",
        "dagster/asset_partition_range_end": "2026-01-02",
    }
    materialize([tested, after], sandbox, instance, tags=tags)
    assert len(materializations(instance, "tested")) == 2
    assert len(materializations(instance, "after")) == (2 if is_good else 0)


@partitioned_checks
@pytest.mark.covers("end.failed-range")
def test_failed_run_of_a_range_fails_the_run_status_of_each_partition(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    project = Project(sandbox, instance, KINDS["days"][0], "poll", backfill_policy=dg.BackfillPolicy.single_run())
    tags = {
        "dagster/asset_partition_range_start": "2026-01-01",
        "dagster/asset_partition_range_end": "2026-01-02",
    }
    assert not project.run(None, Behavior(outcome="fail"), tags=tags).success
    assert [(partition, passed) for partition, passed, _ in evaluated(instance, "run_status")] == [
        ("2026-01-01", False),
        ("2026-01-02", False),
    ]


@pytest.mark.covers("start.no-partitioned-checks")
def test_blocking_gate_is_refused_when_dagster_has_no_partitioned_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster_runs.remote_run.execution import events

    monkeypatch.setattr(events, "HAS_PARTITIONED_CHECKS", False)
    options: dict[str, Any] = {"key": "tested", "partitions_def": KINDS["static"][0]}
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=r"Upgrade to Dagster 1\.13 or later, or use"):
        build_remote_run_asset(TESTS, gate=QualityGate(blocking=True), **options)
    assert build_remote_run_asset(TESTS, gate=QualityGate(), **options).check_keys


@partitioned_checks
def test_partitioned_checks_cause_no_preview_warning(recwarn: pytest.WarningsRecorder) -> None:
    warnings.simplefilter("always")
    asset = build_remote_run_asset(TESTS, key="tested", partitions_def=KINDS["static"][0])
    dg.Definitions(assets=[asset], resources=sandbox_resources("http://127.0.0.1:1")).resolve_asset_graph()
    assert not [item for item in recwarn if "preview" in str(item.message)]
    assert all(spec.partitions_def is not None for spec in asset.check_specs)


@partitioned_checks
@pytest.mark.fixes("6.4")
@pytest.mark.parametrize("has_partitions", [True, False])
@pytest.mark.covers("start.undeclared-partitions")
def test_user_defined_asset_needs_partitioned_checks_for_a_blocking_gate(
    has_partitions: bool, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    regions, gate = KINDS["static"][0], QualityGate(blocking=True)
    specs = TestGenResource.check_specs(TESTS, "tested", gate, partitions_def=regions if has_partitions else None)

    @dg.asset(key="tested", partitions_def=regions, check_specs=specs)
    def tested(context: dg.AssetExecutionContext, testgen: TestGenResource):
        yield from testgen.run(context, TESTS, gate=gate)

    sandbox.set_behavior(TESTS.target, GOOD)
    result = materialize([tested], sandbox, instance, partition_key="north")
    assert result.success == has_partitions
    assert sandbox.starts("testgen") == (1 if has_partitions else 0)
    if has_partitions:
        assert [partition for partition, _, _ in evaluated(instance, "tests_passed")] == ["north"]
    else:
        assert "partitions_def=...)" in failure(result)


def evaluated(instance: dg.DagsterInstance, check: str) -> list[tuple[str | None, bool, int | None]]:
    """Return the partition, outcome and evaluated materialization of each evaluation, sorted by partition."""
    records = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey("tested"), check), limit=100
    )
    found = [record.evaluation for record in records if record.status.value in ("SUCCEEDED", "FAILED")]
    return sorted(
        (
            item.partition,
            item.passed,
            item.target_materialization_data.storage_id if item.target_materialization_data else None,
        )
        for item in found
        if item is not None
    )
