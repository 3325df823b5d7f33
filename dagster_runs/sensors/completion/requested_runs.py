"""The Dagster runs that were requested to report the outcomes of deferred runs, and what became of them.

Dagster may abandon one before it begins, for example because the code server is not available just then: it marks the
run as failed and does nothing more, so the failure would never be reported. Or a run's worker dies before the run can
fail. Without run monitoring, Dagster never finishes such a run, so no alert fires. So the sensor watches each one until
it has finished.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from dagster_runs.remote_run.execution.dagster_step import FINISHES_TAG
from dagster_runs.remote_run.execution.reexecution import DEFERRED_BY_TAG
from dagster_runs.sensors import limits
from dagster_runs.sensors.completion.decisions import Phase, RequestedRun
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.grouping import group_by
from dagster_runs.transport.clock import machine_time

_WILL_RETRY_TAG = "dagster/will_retry"
_FAILURE, _CANCELED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED
_CANCELING = dg.DagsterRunStatus.CANCELING


@dataclass(frozen=True)
class ReportedEnd:
    """The ledger entry with which a Dagster run has recorded the outcome of a deferred run.

    Attributes:
        deferred_run: The deferred run.
        dagster_run_id: The Dagster run.
        at: Epoch seconds.
    """

    deferred_run: DeferredRun
    dagster_run_id: str
    at: float


def requested_runs(
    deferred_runs: Collection[DeferredRun], instance: dg.DagsterInstance
) -> Mapping[DeferredRun, Sequence[dg.RunRecord]]:
    """Returns the Dagster runs that were requested to report the outcome of each deferred run."""
    found: dict[DeferredRun, list[dg.RunRecord]] = {deferred_run: [] for deferred_run in deferred_runs}
    if not found:
        return found
    by_tags = group_by(deferred_runs, lambda one: (one.run_id, one.record.dagster_run_id))
    wanted = dg.RunsFilter(tags={FINISHES_TAG: [deferred_run.run_id for deferred_run in deferred_runs]})
    for record in instance.get_run_records(wanted):
        tags, keys = record.dagster_run.tags, record.dagster_run.asset_selection
        for deferred_run in by_tags.get((tags[FINISHES_TAG], tags.get(DEFERRED_BY_TAG, "")), ()):
            # Two vendors that number their runs may both have the same id.
            if keys is None or not keys.isdisjoint(deferred_run.keys):
                found[deferred_run].append(record)
    return found


def drop_timed_out(
    deferred_runs: Iterable[DeferredRun], instance: dg.DagsterInstance, now: float, has_time: Callable[[], bool]
) -> None:
    """Drops the success of a run whose timeout is already reported, which another process may have requested.

    Args:
        deferred_runs: The deferred runs. Each success is checked once.
        instance: The Dagster instance.
        now: Epoch seconds.
        has_time: Whether there is time for another query. The next tick checks the others.
    """
    late = [deferred_run for deferred_run in deferred_runs if deferred_run.may_be_timed_out(now)]
    for first in range(0, len(late), limits.RUNS_PER_QUERY):
        if first and not has_time():
            return
        for deferred_run, runs in requested_runs(late[first : first + limits.RUNS_PER_QUERY], instance).items():
            deferred_run.is_timeout_checked = True
            if any(is_over(run) for run in runs):
                deferred_run.phase = Phase.DONE
            elif any(has_begun(run) for run in runs):
                deferred_run.phase = Phase.RUN_REQUESTED


def requested_run_state(
    record: dg.RunRecord, deferred_run: DeferredRun, reported: ReportedEnd | None, now: float, begun_for: float
) -> RequestedRun:
    """Returns the state of a requested Dagster run.

    Args:
        record: The Dagster run.
        deferred_run: The deferred run whose outcome it was requested to report.
        reported: The entry with which this Dagster run, or an earlier one, has recorded the outcome.
        now: Epoch seconds.
        begun_for: Seconds for which this process has known that it has begun.
    """
    if is_over(record):
        return RequestedRun.ENDED
    if record.dagster_run.status is _FAILURE and not has_begun(record):
        return RequestedRun.NEVER_BEGAN
    if record.start_time is None:
        return RequestedRun.ACTIVE
    began_ago = max(begun_for, machine_time(now) - record.start_time)
    if reported is None:
        has_died = min(began_ago, now - deferred_run.deadline) > limits.DIED_UNRECORDED_AFTER
    else:
        has_died = min(began_ago, now - reported.at) > limits.DIED_AFTER + _max_retry_delay(deferred_run)
    return RequestedRun.DIED if has_died else RequestedRun.ACTIVE


def has_begun(record: dg.RunRecord) -> bool:
    """Whether it has begun, was terminated by a user, or is retried by Dagster."""
    status, tags = record.dagster_run.status, record.dagster_run.tags
    if status is _FAILURE:
        return record.start_time is not None or tags.get(_WILL_RETRY_TAG) == "true"
    return record.start_time is not None or status in (_CANCELING, _CANCELED)


def is_over(record: dg.RunRecord) -> bool:
    """Whether it has finished, was terminated by a user, or is retried by Dagster."""
    return has_begun(record) and (record.dagster_run.is_finished or record.dagster_run.status is _CANCELING)


def _max_retry_delay(deferred_run: DeferredRun) -> float:
    """Returns the maximum number of seconds between two attempts of a step that has recorded an outcome."""
    policy = deferred_run.asset.executed.op.retry_policy
    if policy is None or policy.delay is None:
        return 0.0
    growth = {None: 1, dg.Backoff.LINEAR: policy.max_retries, dg.Backoff.EXPONENTIAL: 2**policy.max_retries}
    return float(2 * policy.delay * growth[policy.backoff])  # jitter may double the delay
