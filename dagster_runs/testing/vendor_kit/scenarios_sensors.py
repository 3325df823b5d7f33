"""Scenarios: the sensors."""

from collections.abc import Callable

import dagster as dg

from dagster_runs.sensors.builders import build_completion_sensor, build_observation_sensor
from dagster_runs.testing.vendor_kit.case import Case, joined
from dagster_runs.testing.vendor_kit.materialized import Materialized, materializations
from dagster_runs.testing.vendor_kit.results import NotOfferedError, expect
from dagster_runs.testing.vendor_kit.sensor_daemon import SensorDaemon


def deferred(case: Case) -> str:
    """A deferred run's success is reported without a Dagster run, any other outcome by a Dagster run that fails."""
    seen = []
    for outcome in ("succeed", "fail"):
        case.begin(outcome=outcome)
        asset = case.asset(wait="defer")
        materialized = case.materialize(asset)
        expect(materialized.success, f"{outcome}: the step failed: {materialized.short_error}")
        expect(not materialized.materializations, f"{outcome}: materialized before the run had ended")
        daemon = SensorDaemon(case, build_completion_sensor([asset]), asset)
        is_done = _is_reported(case, materialized, daemon)
        expect(daemon.tick_until(is_done), f"{outcome}: {case.starts}; the sensor reported no outcome")
        [run] = case.started()
        found = [shown.get("dagster_runs/run_id") for shown in materialized.materializations]
        results = [result.success for result in daemon.runs]
        if outcome == "succeed":
            expect(found == [run.id], f"{outcome}: materializations of {found}; expected one of {run.id}")
            expect(not results, f"{outcome}: {len(results)} Dagster runs were requested; expected none")
            seen.append(f"success: {case.starts}, reported without a Dagster run")
        else:
            expect(not found, f"{outcome}: the asset was materialized")
            expect(results == [False], f"{outcome}: requested Dagster runs succeeded: {results}; expected one failure")
            seen.append(f"failure: {case.starts}, reported by a Dagster run that failed")
    return joined(seen)


def _is_reported(case: Case, materialized: Materialized, daemon: SensorDaemon) -> Callable[[], bool]:
    return lambda: bool(daemon.runs or materialized.materializations)


def observation(case: Case) -> str:
    """A run that was started elsewhere is reported once, our own run never; or the sensor is refused with a reason."""
    asset = case.asset()
    problem = case.run.observation_problem()
    try:
        sensor = build_observation_sensor([asset])
    except dg.DagsterInvalidDefinitionError as error:
        expect(problem is not None, f"the sensor was refused, although observation_problem() is None: {error}")
        raise NotOfferedError(f"refused: {problem}") from None
    expect(problem is None, f"the sensor was accepted, although there is a problem: {problem}")
    daemon = SensorDaemon(case, sensor, asset)
    daemon.tick()  # a first tick reports no earlier runs
    other = case.start_elsewhere()
    expect(
        daemon.tick_until(lambda: bool(materializations(case.instance, asset.key))),
        f"the run that was started elsewhere ({other.id}) was not reported",
    )
    ours = case.materialize(asset)
    expect(ours.success, f"our own run failed: {ours.short_error}")
    daemon.tick_until(lambda: False, ticks=6)
    counts: dict[str, int] = {}
    for shown in materializations(case.instance, asset.key):
        counts[shown["dagster_runs/run_id"]] = counts.get(shown["dagster_runs/run_id"], 0) + 1
    [own_run] = case.started()
    expect(counts.get(other.id) == 1, f"the run that was started elsewhere was reported {counts.get(other.id)} times")
    expect(counts.get(own_run.id) == 1, f"our own run was reported {counts.get(own_run.id)} times, by step and sensor")
    return "a run that was started elsewhere: reported once; our own: never by the sensor"


SCENARIOS = (deferred, observation)
