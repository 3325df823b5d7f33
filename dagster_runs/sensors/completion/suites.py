"""Reports the checks of a deferred run of a suite, after the run itself: those of its asset, then those of tables."""

from collections.abc import Callable
from functools import partial

import dagster as dg

from dagster_runs.remote_run.types import MAX_HOST_CLOCK_SKEW
from dagster_runs.sensors.completion.context import TickContext
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.completion.second_phase import SecondPhase, report_evaluations
from dagster_runs.sensors.table_suites import (
    TableSuite,
    completed,
    evaluated_by,
    evaluation_metadata,
    is_completed,
    missing_observations,
)
from dagster_runs.transport.clock import machine_time


def evaluate_suite(
    deferred_run: DeferredRun, suite: TableSuite, tick: TickContext, phase: SecondPhase, has_room: Callable[[int], bool]
) -> bool:
    """Reports the evaluations of a run, or as many of them as this tick has room for, but at least one of a table.

    Args:
        deferred_run: The run, whose materialization is stored.
        suite: The suite.
        tick: The tick.
        phase: What is stored about the run.
        has_room: Whether there is room for another evaluation, after this number of evaluations.

    Returns:
        Whether all of them are reported.
    """
    instance, output, log = tick.context.instance, tick.output, tick.context.log
    run_id, done = deferred_run.run_id, deferred_run.evaluated_checks
    since = machine_time(deferred_run.record.at - MAX_HOST_CLOCK_SKEW)
    stored = set[dg.AssetCheckKey]()
    if deferred_run.may_be_evaluated and not done:
        stored = evaluated_by(instance, suite.table_checks, run_id, since)
        done |= stored
    outcome = tick.outcome_of(deferred_run, deferred_run.asset_partitions)
    if not deferred_run.evaluated:
        of_asset = outcome.evaluations(phase.judged(deferred_run), phase.stored(deferred_run))
        report_evaluations(of_asset, deferred_run, tick)
        deferred_run.evaluated = len(deferred_run.asset_partitions)
    shown = evaluation_metadata(outcome)
    report = suite.report_deferred(instance, deferred_run.record, deferred_run.result, shown, reported=frozenset(done))
    reported = 0
    for one in report.evaluations():
        if one.asset_check_key in stored:
            output.events += missing_observations(report, one, instance, since)
        if one.asset_check_key in done:
            continue
        if reported and not has_room(reported):
            return False
        output.evaluate(one)
        output.events += report.observations_with(one)
        done.add(one.asset_check_key)
        reported += 1
    for message in report.messages:
        log.warning("%s", message)
    output.events.append(completed(suite, run_id, deferred_run.last_status, report, len(done)))
    output.was_stored = partial(is_completed, suite, run_id, since)
    return True
