"""Provenance of a run: data version, code version and input versions, as after any Dagster run."""

from __future__ import annotations

import time
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from dagster_runs import build_remote_run_asset
from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock, sandbox_resources
from tests.remote_run.materializing import TESTS, materialize
from tests.remote_run.reexecuting import execute, job_with, reexecute
from tests.sensors.driving import completion, materializations, observing

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.fixes("6.3")]

CHANGED = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed())


@dg.asset
def orders() -> None: ...


class Project:
    """An upstream asset, an asset with remote runs, and a downstream asset."""

    def __init__(self, sandbox: Sandbox, instance: dg.DagsterInstance, wait: Any, *, observed: bool = False) -> None:
        self.sandbox, self.instance = sandbox, instance
        spec = dg.AssetSpec("it", deps=[orders], code_version="v1")
        self.asset = build_remote_run_asset(TESTS, specs=[spec], wait=wait)

        @dg.asset(deps=[self.asset], automation_condition=CHANGED)
        def report() -> None: ...

        self.definitions = dg.Definitions(assets=[orders, self.asset, report], resources=sandbox_resources(sandbox.url))
        self.driver = None
        if observed:
            self.driver = observing([self.asset], sandbox, instance)
        elif wait == "defer":
            self.driver = completion([self.asset], sandbox, instance)
        self._cursor: Any = None
        self.requested(), self.requested()

    def run(self, clock: SandboxClock, **options: Any) -> dg.ExecuteInProcessResult:
        result = materialize([self.asset], self.sandbox, self.instance, **options)
        self.wait(clock)
        return result

    def wait(self, clock: SandboxClock, *, every: float = 10.0) -> None:
        if self.driver is not None:
            self.driver.ticks(clock, 6, every=every)

    def requested(self) -> int:
        found = dg.evaluate_automation_conditions(self.definitions, self.instance, cursor=self._cursor)
        self._cursor = found.cursor
        return found.get_num_requested(dg.AssetKey("report"))

    def status(self) -> str:
        """Returns the status that the UI shows: FRESH, STALE (*Unsynced*) or MISSING."""
        graph, loading = self.definitions.resolve_asset_graph(), LoadingContextForTest(self.instance)
        return CachingStaleStatusResolver(self.instance, graph, loading).get_status(dg.AssetKey("it")).value

    def tags(self) -> dict[str, str]:
        [*_, newest] = materializations(self.instance, "it")
        return dict(newest.asset_materialization.tags or {})


@pytest.fixture(params=["poll", "defer"])
def wait(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_each_run_gives_downstream_assets_a_new_data_version(
    wait: str, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    project = Project(sandbox, instance, wait)
    for _ in range(3):
        project.run(clock)
        assert project.tags()["dagster/data_version"] == sandbox.runs()[-1].id
        assert project.requested() == 1
        assert project.requested() == 0


@pytest.mark.covers("defer.success")
def test_materialization_has_the_same_tags_for_poll_and_defer(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    dg.materialize([orders], instance=instance)
    found = []
    for wait in ("poll", "defer"):
        project = Project(sandbox, instance, wait)
        project.run(clock)
        tags = project.tags()
        assert tags.pop("dagster/data_version") == sandbox.runs()[-1].id
        found.append(tags)
    [upstream] = materializations(instance, "orders")
    assert (
        found[0]
        == found[1]
        == {
            "dagster/code_version": "v1",
            "dagster/data_version_is_user_provided": "true",
            "dagster/input_data_version/orders": upstream.asset_materialization.tags["dagster/data_version"],
            "dagster/input_event_pointer/orders": str(upstream.storage_id),
        }
    )


@pytest.mark.covers("end.upstream-updated")
def test_asset_is_stale_only_after_an_upstream_update(
    wait: str, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    dg.materialize([orders], instance=instance)
    project = Project(sandbox, instance, wait)
    assert project.status() == "MISSING"
    project.run(clock)
    assert project.status() == "FRESH"
    dg.materialize([orders], instance=instance)
    assert project.status() == "STALE"
    project.run(clock)
    assert project.status() == "FRESH"


@pytest.mark.covers("end.upstream-updated")
def test_upstream_update_during_the_run_makes_the_asset_stale(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    dg.materialize([orders], instance=instance)
    project = Project(sandbox, instance, "defer")
    materialize([project.asset], sandbox, instance)
    dg.materialize([orders], instance=instance)
    project.wait(clock)
    assert len(materializations(instance, "it")) == 1
    assert project.status() == "STALE"


@pytest.mark.covers("end.upstream-updated")
def test_attached_run_keeps_the_input_versions_of_its_start(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    dg.materialize([orders], instance=instance)
    job = job_with(TESTS, sandbox, key="it", timeout=5, deps=[orders.key])
    first = execute(job, instance)
    assert not first.success
    [seen_at_start] = materializations(instance, "orders")
    dg.materialize([orders], instance=instance)
    clock.sleep(3600)
    assert reexecute(job, instance, first.run_id).success
    assert sandbox.starts("testgen") == 1
    [record] = materializations(instance, "it")
    assert record.asset_materialization.tags["dagster/input_event_pointer/orders"] == str(seen_at_start.storage_id)


@pytest.mark.covers("observe.run-ends")
def test_observed_run_reports_a_new_data_version(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    project = Project(sandbox, instance, "poll", observed=True)
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=30))
    run = sandbox.start_run(TESTS.target, source="scheduler")
    project.wait(clock, every=60)
    assert project.tags()["dagster/data_version"] == run.id
    assert project.tags()["dagster/code_version"] == "v1"
    assert project.requested() == 1


def test_observed_run_uses_input_versions_from_before_its_start(instance: dg.DagsterInstance) -> None:
    from dagster_runs.remote_run.execution.provenance import InputVersion, current_provenance

    dg.materialize([orders], instance=instance)
    [seen] = materializations(instance, "orders")
    between = seen.timestamp + 0.001
    while time.time() <= between:
        time.sleep(0.001)
    dg.materialize([orders], instance=instance)
    asset = build_remote_run_asset(TESTS, key="it", deps=[orders])

    def inputs(before: float | None) -> InputVersion:
        made = current_provenance(instance, asset, asset.keys, default_code_version="run", before=before)
        return made["it"].inputs["orders"]

    assert inputs(seen.timestamp - 1) == InputVersion("INITIAL", None)
    assert inputs(between).storage_id == seen.storage_id
    assert inputs(None).storage_id == materializations(instance, "orders")[-1].storage_id
