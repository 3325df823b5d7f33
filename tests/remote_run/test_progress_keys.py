"""The numbers that Dagster plots over time: each finished run adds one point, an active run adds none."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import RemoteRun, RudderStackProfilesRun, TestGenProfilingRun, TestGenTestRun, build_remote_run_asset
from dagster_runs.sandbox import Behavior, Sandbox, well_known
from tests.remote_run.materializing import materialize, metadata
from tests.remote_run.reexecuting import at_pause, execute, job_with, reexecute
from tests.sensors.driving import completion, deferred

pytestmark = pytest.mark.usefixtures("clock")
fixes = pytest.mark.fixes("6.11")

ORDERS = TestGenTestRun(test_suite_id=well_known.SUITE_ORDERS)
PROFILE = TestGenProfilingRun(table_group_id=well_known.TABLE_GROUP)
NUMBERS = (dg.IntMetadataValue, dg.FloatMetadataValue)


def plotted(instance: dg.DagsterInstance, key: str = "it") -> dict[str, list[float]]:
    """Returns the points of each line: the numbers that the asset's events have under the same key."""
    lines: dict[str, list[float]] = {}
    asset = dg.AssetKey(key)
    materializations = instance.fetch_materializations(asset, limit=100, ascending=True).records
    observations = instance.fetch_observations(asset, limit=100, ascending=True).records
    events = [
        *(one.asset_materialization for one in materializations),
        *(one.asset_observation for one in observations),
    ]
    for event in events:
        for name, value in event.metadata.items():
            if isinstance(value, NUMBERS):
                lines.setdefault(name, []).append(value.value)
    return lines


def result_lines(lines: dict[str, list[float]]) -> dict[str, list[float]]:
    return {name: points for name, points in lines.items() if "/progress/" not in name}


@fixes
@pytest.mark.parametrize("run", [ORDERS, PROFILE], ids=["tests", "profiling"])
def test_each_result_is_plotted_as_one_point(
    run: RemoteRun[Any], sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.set_behavior(run.target, Behavior(running_seconds=300))
    asset = build_remote_run_asset(run, key="it")
    for _ in range(2):
        assert materialize([asset], sandbox, instance).success
    lines = plotted(instance)
    results = result_lines(lines)
    assert {len(points) for points in results.values()} == {2}
    assert all(first == second for name, (first, second) in results.items() if name.startswith("testgen/"))
    assert "dagster_runs/duration_seconds" in results
    # The numbers of the active run have separate keys.
    progress = lines.keys() - results.keys()
    assert progress <= {name.replace("/", "/progress/", 1) for name in results}
    assert progress


@fixes
def test_table_of_an_active_run_is_shown_as_progress(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    run = RudderStackProfilesRun(profiles_id=well_known.PROFILES_FEATURES)
    sandbox.set_behavior(run.target, Behavior(running_seconds=300))
    materialize([build_remote_run_asset(run, key="it")], sandbox, instance)
    shown = [
        record.asset_observation.metadata.keys()
        for record in instance.fetch_observations(dg.AssetKey("it"), limit=100).records
    ]
    assert any("rudderstack/progress/tasks" in names for names in shown)
    assert not any("rudderstack/tasks" in names for names in shown)
    assert "rudderstack/tasks" in metadata(instance, "it")


@pytest.mark.parametrize(
    ("wait", "run"),
    [
        pytest.param("poll", ORDERS, marks=fixes, id="poll-tests"),
        pytest.param("poll", PROFILE, marks=fixes, id="poll-profiling"),
        pytest.param("defer", ORDERS, id="defer-tests"),
        pytest.param("defer", PROFILE, marks=fixes, id="defer-profiling"),
    ],
)
def test_unsuccessful_run_without_counts_reports_no_results(
    run: RemoteRun[Any], wait: Any, sandbox: Sandbox, instance: dg.DagsterInstance, clock: Any
) -> None:
    sandbox.set_behavior(run.target, Behavior(running_seconds=60, outcome="fail"))
    asset = deferred(run) if wait == "defer" else build_remote_run_asset(run, key="it")
    materialize([asset], sandbox, instance)
    if wait == "defer":
        completion([asset], sandbox, instance).ticks(clock, 10, every=30)
    lines = plotted(instance)
    assert [name for name in result_lines(lines) if name.startswith("testgen/")] == []
    assert len(lines["dagster_runs/duration_seconds"]) == 1


def test_run_canceled_halfway_reports_its_counts(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(ORDERS.target, Behavior(running_seconds=60, outcome="cancel"))
    materialize([build_remote_run_asset(ORDERS, key="it")], sandbox, instance)
    assert plotted(instance)["testgen/tests_passed"][0] > 0


@fixes
def test_attaching_to_a_finished_run_plots_its_duration_once(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    def crash() -> None:
        raise MemoryError

    job = job_with(ORDERS, sandbox, key="it")
    with at_pause(sandbox, crash, pause=2):
        first = execute(job, instance)
    assert not first.success
    sandbox.advance(3600)
    assert reexecute(job, instance, first.run_id).success
    assert len(plotted(instance)["dagster_runs/duration_seconds"]) == 1


def test_progress_keeps_the_vendors_prefix() -> None:
    from dagster_runs.remote_run.tables import as_progress

    shown = as_progress({"v/a": 1, "v/b/c": 2, "d": 3})
    assert shown == {"v/progress/a": 1, "v/progress/b/c": 2, "progress/d": 3}
