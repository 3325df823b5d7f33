"""Finds out whether the result of a run would replace that of a later one.

A run may be reported late: the vendor's own schedule started it, or a step attached to it again. The times of all runs
at one vendor are those of the vendor's clock, so the clocks of two machines are not compared. If two runs test data,
the one that started later has seen the newer data. If two runs make data, the one that finished later has made the
newer data.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import dagster as dg

from dagster_runs.dagster_private import CheckRecord, check_records_after, newest_check_records
from dagster_runs.remote_run.execution.event_log import (
    OBSERVED_KEY,
    RUN_ID_KEY,
    STARTED_AT_KEY,
    events,
)

_MAX_REPORTS = 100
"""The number of newest reports to read until one of them says when its run was active."""
_FIRST_PAGE = 5
"""The number of materializations to read at first: mostly, the newest one decides."""


def time_in(metadata: Mapping[str, Any], name: str) -> float | None:
    """Returns a time of a run by the vendor's clock, in epoch seconds; ``None`` if the metadata does not have it."""
    entry = metadata.get(name)
    return entry.value if isinstance(entry, dg.TimestampMetadataValue) else None


def has_later_materialization(
    instance: dg.DagsterInstance, keys: Collection[dg.AssetKey], run_id: str, time: float | None, name: str
) -> bool:
    """Whether another run that Dagster started and that is later has materialized one of the assets.

    Runs that were started elsewhere are not compared with each other: each of them is reported, in the order in which
    they are found.

    Args:
        instance: The Dagster instance.
        keys: The assets.
        run_id: The run.
        time: Its start or its end by the vendor's clock, in epoch seconds; ``None`` if it is unknown. Then no other run
            is known to be later.
        name: Which of the two: ``STARTED_AT_KEY`` or ``FINISHED_AT_KEY``.
    """
    if time is None:
        return False
    for key in keys:
        records = events(instance.fetch_materializations, dg.AssetRecordsFilter(key), page_size=_FIRST_PAGE)
        reports = (
            record.asset_materialization.metadata
            for record in islice(records, _MAX_REPORTS)
            if record.asset_materialization is not None and OBSERVED_KEY not in record.asset_materialization.metadata
        )
        if _is_first_later(reports, name, run_id, time):
            return True
    return False


def later_evaluated(
    instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey], run_id: str, started_at: float | None
) -> frozenset[dg.AssetCheckKey]:
    """Returns the checks that another run has evaluated which started later.

    Args:
        instance: The Dagster instance.
        checks: The checks.
        run_id: The run.
        started_at: Its start by the vendor's clock; ``None`` if it is unknown. Then no other run is known to be later.
    """
    if started_at is None or not checks:
        return frozenset()
    newest = newest_check_records(instance, checks)
    return frozenset(
        check
        for check, record in newest.items()
        if _is_first_later(_reports(instance, check, record), STARTED_AT_KEY, run_id, started_at)
    )


def _reports(instance: dg.DagsterInstance, check: dg.AssetCheckKey, newest: CheckRecord) -> Iterable[Mapping[str, Any]]:
    """Yields the metadata of the evaluations of a check, newest first."""
    if newest.evaluated is not None:
        yield newest.evaluated.evaluation.metadata
    for record in islice(check_records_after(instance, check, 0), _MAX_REPORTS):
        if record.evaluated is not None:
            yield record.evaluated.evaluation.metadata


def _is_first_later(reports: Iterable[Mapping[str, Any]], name: str, run_id: str, time: float) -> bool:
    """Whether the newest report of another run that says when the run was active is that of a later run."""
    for metadata in reports:
        other, entry = time_in(metadata, name), metadata.get(RUN_ID_KEY)
        if other is not None and entry is not None and entry.value != run_id:
            return other > time
    return False
