"""The Dagster runs that publish the ends of deferred runs: what became of those that were requested.

Dagster may give one up before it begins, for example because the code server is away just then: Dagster marks it as
failed and forgets it, and nobody would ever tell how the remote run ended. So each is watched until it has begun.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import dagster as dg

from dagster_runs.in_flight.flight import Flight, Phase
from dagster_runs.remote_run.step import DEFERRED_BY_TAG, FINISHES_TAG

MOST_ATTEMPTS = 3
"""Dagster runs for the same end that never begin, until it is given up."""
AT_ONCE = 200
"""Of which one query asks."""
_WILL_RETRY_TAG = "dagster/will_retry"


def requested_runs(
    flights: Collection[Flight], instance: dg.DagsterInstance
) -> Mapping[Flight, Sequence[dg.RunRecord]]:
    """The Dagster runs that were requested to publish the ends of these."""
    found: dict[Flight, list[dg.RunRecord]] = {flight: [] for flight in flights}
    if not found:
        return found
    by_tags: dict[tuple[str, str], list[Flight]] = {}
    for flight in flights:
        by_tags.setdefault((flight.run_id, flight.record.dagster_run_id), []).append(flight)
    wanted = dg.RunsFilter(tags={FINISHES_TAG: [flight.run_id for flight in flights]})
    for record in instance.get_run_records(wanted):
        tags, keys = record.dagster_run.tags, record.dagster_run.asset_selection
        for flight in by_tags.get((tags[FINISHES_TAG], tags.get(DEFERRED_BY_TAG, "")), ()):
            # Of two vendors that count their runs, both may have the same.
            if keys is None or not keys.isdisjoint(flight.keys):
                found[flight].append(record)
    return found


def leave_out_timed_out(flights: Iterable[Flight], instance: dg.DagsterInstance, now: float) -> None:
    """Tell no success of a run whose timeout was told already: the process that requested that may be gone."""
    late = [
        flight
        for flight in flights
        if flight.phase is Phase.SUCCEEDED and flight.may_be_published and now >= flight.deadline
    ]
    for first in range(0, len(late), AT_ONCE):
        for flight, runs in requested_runs(late[first : first + AT_ONCE], instance).items():
            if any(has_begun(run) for run in runs):
                flight.phase = Phase.OVER


def has_begun(record: dg.RunRecord) -> bool:
    """Whether it has come, or was stopped by a person, or is tried again by Dagster: nothing more is to be done."""
    status, tags = record.dagster_run.status, record.dagster_run.tags
    if status is dg.DagsterRunStatus.FAILURE:
        return record.start_time is not None or tags.get(_WILL_RETRY_TAG) == "true"
    return record.start_time is not None or status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


def never_began(record: dg.RunRecord) -> bool:
    """Whether Dagster has given it up before any step of it could do something."""
    return record.dagster_run.status is dg.DagsterRunStatus.FAILURE and not has_begun(record)
