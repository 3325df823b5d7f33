"""Scenarios: the vendor's list, and the sensors."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from dagster_runs.remote_run.types import ListedRun
from dagster_runs.sandbox import RecordedRequest
from dagster_runs.sensors.builders import build_completion_sensor, build_observation_sensor
from dagster_runs.testing.vendor_kit.calls import Call
from dagster_runs.testing.vendor_kit.case import Case, joined
from dagster_runs.testing.vendor_kit.materialized import Materialized, materializations
from dagster_runs.testing.vendor_kit.results import NotOfferedError, ScenarioFailedError, expect
from dagster_runs.testing.vendor_kit.sensor_daemon import SensorDaemon
from dagster_runs.testing.vendor_kit.subject import decoded, json_paths
from dagster_runs.transport.clock import current_clock

_LOOKBACK = 7200.0
_MAX_DIFFERENCE = 5.0
_UNREADABLE: tuple[Any, ...] = (7, {"kit": "not an entry"})


def list_runs(case: Case) -> str:
    """Runs that we started and others are listed with creation time and state; an unreadable entry hides no other."""
    if not case.run.recognizes_listed_runs():
        raise NotOfferedError("the class has no target_of_listed()")
    by_target = (_observed_target(case),)
    if case.resource.list_runs(current_clock().wall(), None, by_target) is None:
        raise NotOfferedError("list_runs() returns None")
    case.run_asset()
    case.behave(running_seconds=36_000.0)
    case.start_elsewhere()
    runs = {run.id: run for run in case.client.runs(case.subject.vendor)}
    before = case.subject.last_request()
    for targets in (by_target,) if case.resource.lists_by_target else ((), by_target):
        listed = {run.run_id: run for run in _listed(case, targets)}
        missing = runs.keys() - listed.keys()
        expect(not missing, f"list_runs() with targets={targets} leaves out {sorted(missing)}")
        for run in runs.values():
            entry = listed[run.id]
            expect(entry.created_at is not None, f"the entry of run {run.id} has no created_at")
            difference = abs((entry.created_at or 0.0) - run.created_at)
            expect(difference <= _MAX_DIFFERENCE, f"created_at of run {run.id} differs by {difference:.0f} s")
            ended = run.ended_at is not None
            expect(
                entry.state.is_final is ended and entry.state.value != "UNKNOWN",
                f"the entry of run {run.id} has the state {entry.state.value}; the vendor's is {run.state!r}",
            )
    hidden = _hide_entries(case, case.subject.requests(before), list(runs))
    return joined([f"{len(runs)} runs listed, one of them started elsewhere", hidden])


def _observed_target(case: Case) -> str:
    return case.run.observed_target


def _listed(case: Case, targets: tuple[str, ...]) -> list[ListedRun]:
    return list(case.resource.list_runs(current_clock().wall() - _LOOKBACK, None, targets) or ())


def _hide_entries(case: Case, records: list[RecordedRequest], run_ids: list[str]) -> str:
    """Makes one entry of the list unreadable, and expects that the other runs are still listed."""
    for record in records:
        body = decoded(case.subject.send_again(record))
        paths = {run_id: json_paths(body, run_id) for run_id in run_ids}
        if all(paths.values()):
            break
    else:
        return "the unreadable entry was not tried, because no response has the ids of all runs"
    call = Call.of(record)
    for run_id in run_ids:
        entry = paths[run_id][0].rpartition(".")[0]
        for value in _UNREADABLE:
            case.client.clear_faults()
            case.add_fault("wrong_type", call, field=entry, value=value)
            try:
                listed = {run.run_id for run in _listed(case, (_observed_target(case),))}
            except Exception as error:
                raise ScenarioFailedError(f"an entry that is {value!r} fails the whole list: {error}") from error
            expect(case.count_faults("wrong_type"), f"the fault did not change the entry {entry} of {record.path}")
            missing = set(run_ids) - {run_id} - listed
            expect(not missing, f"an entry that is {value!r} hides {', '.join(sorted(missing))}")
    case.client.clear_faults()
    return "an unreadable entry hides no other"


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


SCENARIOS = (list_runs, deferred, observation)
