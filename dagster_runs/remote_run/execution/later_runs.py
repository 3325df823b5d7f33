"""Finds out whether the result of a run would replace that of a later one.

A run may be reported late: the vendor's own schedule started it, or a step attached to it again. The times of all runs
at one vendor are those of the vendor's clock, so the clocks of two machines are not compared. If two runs test data,
the one that started later has seen the newer data. If two runs make data, the one that finished later has made the
newer data.
"""

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

import dagster as dg

from dagster_runs.dagster_private import newest_evaluations
from dagster_runs.remote_run.execution.event_log import (
    FINISHED_AT_KEY,
    OBSERVED_KEY,
    RUN_ID_KEY,
    STARTED_AT_KEY,
    events,
)

_NEWEST = 5
"""The number of newest reports to read."""


def time_in(metadata: Mapping[str, Any], name: str) -> float | None:
    """Returns a time of a run by the vendor's clock, in epoch seconds; ``None`` if the metadata does not have it."""
    entry = metadata.get(name)
    return entry.value if isinstance(entry, dg.TimestampMetadataValue) else None


def has_later_materialization(
    instance: dg.DagsterInstance, keys: Collection[dg.AssetKey], run_id: str, finished_at: float | None
) -> bool:
    """Whether another run that Dagster started and that finished later has materialized one of the assets.

    Runs that were started elsewhere are not compared with each other: each of them is reported, in the order in which
    they are found.

    Args:
        instance: The Dagster instance.
        keys: The assets.
        run_id: The run.
        finished_at: Its end by the vendor's clock; ``None`` if it is unknown. Then no other run is known to be later.
    """
    return any(
        record.asset_materialization is not None
        and OBSERVED_KEY not in record.asset_materialization.metadata
        and _is_later(record.asset_materialization.metadata, FINISHED_AT_KEY, run_id, finished_at)
        for key in keys
        for record in islice(events(instance.fetch_materializations, dg.AssetRecordsFilter(key)), _NEWEST)
    )


def has_later_evaluation(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, run_id: str, started_at: float | None
) -> bool:
    """Whether another run that started later has evaluated a check.

    Args:
        instance: The Dagster instance.
        check: The check.
        run_id: The run.
        started_at: Its start by the vendor's clock; ``None`` if it is unknown. Then no other run is known to be later.
    """
    return any(
        _is_later(evaluated.metadata, STARTED_AT_KEY, run_id, started_at)
        for evaluated in islice(newest_evaluations(instance, check, 0.0), _NEWEST)
    )


def _is_later(metadata: Mapping[str, Any], name: str, run_id: str, time: float | None) -> bool:
    other, entry = time_in(metadata, name), metadata.get(RUN_ID_KEY)
    if time is None or other is None or entry is None:
        return False
    return entry.value != run_id and other > time
