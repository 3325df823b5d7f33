"""The Dagster runs that publish the ends of deferred runs: what became of those that were requested.

Dagster may give one up before it begins, for example because the code server is away just then: Dagster marks it as
failed and forgets it, and the failure would never be reported. Or its worker dies before the run could
fail, and without run monitoring Dagster never ends such a run, so that no alert fires. So each is watched until it has
ended.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from dagster_runs.remote_run.execution.dagster_step import FINISHES_TAG
from dagster_runs.remote_run.execution.reexecution import DEFERRED_BY_TAG
from dagster_runs.sensors.completion.deferred_run import DeferredRun, Phase
from dagster_runs.transport.clock import machine_time

MAX_ATTEMPTS = 3
"""Dagster runs for the same end that never begin or whose worker dies, until it is given up."""
DIED_AFTER = 600.0
"""Seconds after its step has published an end for which a Dagster run may still fail: that takes seconds, and run
monitoring, which looks every two minutes, ends the run if its worker has died."""
DIED_UNPUBLISHED_AFTER = 3600.0
"""Seconds after its start, and after the remote run's deadline, for which a Dagster run may still publish the end: its
step waits as long as a vendor is down, but not longer than until the deadline."""
AT_ONCE = 200
"""Of which one query asks."""
_WILL_RETRY_TAG = "dagster/will_retry"
_CANCELING = dg.DagsterRunStatus.CANCELING


def requested_runs(
    deferred_runs: Collection[DeferredRun], instance: dg.DagsterInstance
) -> Mapping[DeferredRun, Sequence[dg.RunRecord]]:
    """The Dagster runs that were requested to publish the ends of these."""
    found: dict[DeferredRun, list[dg.RunRecord]] = {deferred_run: [] for deferred_run in deferred_runs}
    if not found:
        return found
    by_tags: dict[tuple[str, str], list[DeferredRun]] = {}
    for deferred_run in deferred_runs:
        by_tags.setdefault((deferred_run.run_id, deferred_run.record.dagster_run_id), []).append(deferred_run)
    wanted = dg.RunsFilter(tags={FINISHES_TAG: [deferred_run.run_id for deferred_run in deferred_runs]})
    for record in instance.get_run_records(wanted):
        tags, keys = record.dagster_run.tags, record.dagster_run.asset_selection
        for deferred_run in by_tags.get((tags[FINISHES_TAG], tags.get(DEFERRED_BY_TAG, "")), ()):
            # Of two vendors that count their runs, both may have the same.
            if keys is None or not keys.isdisjoint(deferred_run.keys):
                found[deferred_run].append(record)
    return found


@dataclass(frozen=True)
class ReportedEnd:
    """The ledger entry with which a Dagster run has published the end of a deferred run.

    Attributes:
        deferred_run: The deferred run.
        dagster_run_id: The Dagster run.
        at: Epoch seconds.
    """

    deferred_run: DeferredRun
    dagster_run_id: str
    at: float


def drop_timed_out(deferred_runs: Iterable[DeferredRun], instance: dg.DagsterInstance, now: float) -> None:
    """Tell no success of a run whose timeout was told already: the process that requested that may be gone."""
    late = [
        deferred_run
        for deferred_run in deferred_runs
        if deferred_run.phase is Phase.SUCCEEDED and deferred_run.may_be_reported and now >= deferred_run.deadline
    ]
    for first in range(0, len(late), AT_ONCE):
        for deferred_run, runs in requested_runs(late[first : first + AT_ONCE], instance).items():
            if any(is_over(run) for run in runs):
                deferred_run.phase = Phase.DONE
            elif any(has_begun(run) for run in runs):
                deferred_run.phase = Phase.RUN_REQUESTED


def has_begun(record: dg.RunRecord) -> bool:
    """Whether it has come, or was stopped by a person, or is tried again by Dagster: nothing more is to be done."""
    status, tags = record.dagster_run.status, record.dagster_run.tags
    if status is dg.DagsterRunStatus.FAILURE:
        return record.start_time is not None or tags.get(_WILL_RETRY_TAG) == "true"
    return record.start_time is not None or status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


def is_over(record: dg.RunRecord) -> bool:
    """Whether the run has ended, was stopped by a person, or is tried again by Dagster: nothing more is to be done."""
    return has_begun(record) and (record.dagster_run.is_finished or record.dagster_run.status is _CANCELING)


def has_died(
    record: dg.RunRecord, deferred_run: DeferredRun, noted: ReportedEnd | None, now: float, seen_for: float
) -> bool:
    """Whether its worker must have died: it has begun, and would have ended by now.

    Args:
        record: The Dagster run.
        deferred_run: The deferred run whose end it was requested to publish.
        noted: What it, or an earlier one, has published.
        now: Epoch seconds.
        seen_for: Seconds since when this process knows that it has begun.
    """
    if record.start_time is None or is_over(record):
        return False
    began_ago = max(seen_for, machine_time(now) - record.start_time)
    if noted is None:
        return min(began_ago, now - deferred_run.deadline) > DIED_UNPUBLISHED_AFTER
    return min(began_ago, now - noted.at) > DIED_AFTER + _longest_retry_delay(deferred_run)


def _longest_retry_delay(deferred_run: DeferredRun) -> float:
    """Seconds for which a step that has published an end may wait before its next attempt, at most."""
    policy = deferred_run.asset.definition.op.retry_policy
    if policy is None or policy.delay is None:
        return 0.0
    grows = {None: 1, dg.Backoff.LINEAR: policy.max_retries, dg.Backoff.EXPONENTIAL: 2**policy.max_retries}
    return float(2 * policy.delay * grows[policy.backoff])  # a jitter may double it


def never_began(record: dg.RunRecord) -> bool:
    """Whether Dagster has given it up before any step of it could do something."""
    return record.dagster_run.status is dg.DagsterRunStatus.FAILURE and not has_begun(record)
