"""Reads the events that concern remote runs from Dagster's event log: materializations and observations."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg

RUN_ID_KEY = "dagster_runs/run_id"
STARTED_AT_KEY = "dagster_runs/started_at"
"""The start by the vendor's clock."""
FINISHED_AT_KEY = "dagster_runs/finished_at"
"""The end by the vendor's clock."""
OBSERVED_KEY = "dagster_runs/observed"
"""Metadata of the reports of runs that were started elsewhere."""
ATTACHED_KEY = "dagster_runs/attached"
_PAGE = 100
EARLIER_RUNS = 20
"""The number of earlier runs whose durations are used to predict the duration of the next run of an asset."""


def reports_of_run(
    instance: dg.DagsterInstance, wanted: dg.AssetRecordsFilter, run_id: str
) -> Iterator[dg.EventLogRecord]:
    """Yields the wanted materializations that report the remote run, newest first."""
    found = events(instance.fetch_materializations, wanted)
    return (event for event in found if reported_run(event) == run_id)


def events(
    fetch: Callable[..., dg.EventRecordsResult],
    wanted: dg.AssetRecordsFilter,
    *,
    ascending: bool = False,
    page_size: int = _PAGE,
) -> Iterator[dg.EventLogRecord]:
    """Yields the wanted events page by page, newest first unless ``ascending``.

    Args:
        fetch: The instance's `fetch_observations` or `fetch_materializations`.
        wanted: The filter for the events.
        ascending: Whether to yield the oldest event first.
        page_size: The number of events to read at once.
    """
    cursor: str | None = None
    while True:
        page = fetch(wanted, limit=page_size, cursor=cursor, ascending=ascending)
        yield from page.records
        if not page.has_more:
            return
        cursor = page.cursor


def reported_run(event: dg.EventLogRecord) -> str | None:
    """Returns the id of the remote run that a materialization reports; ``None`` if it reports none."""
    materialization = event.asset_materialization
    return _run_in(materialization.metadata) if materialization is not None else None


def observed_run(event: dg.EventLogRecord) -> str | None:
    """Returns the id of the remote run that an observation is about; ``None`` if it is about none."""
    observation = event.event_log_entry.asset_observation
    return _run_in(observation.metadata) if observation is not None else None


def _run_in(metadata: Mapping[str, dg.MetadataValue[Any]]) -> str | None:
    known = metadata.get(RUN_ID_KEY)
    return known.value if isinstance(known, dg.TextMetadataValue) else None


def is_attached(event: dg.EventLogRecord) -> bool:
    """Whether a ledger entry is about a run that an earlier attempt started, or that was found after a lost start."""
    observation = event.event_log_entry.asset_observation
    attached = observation.metadata.get(ATTACHED_KEY) if observation is not None else None
    return isinstance(attached, dg.BoolMetadataValue) and bool(attached.value)


def earlier_durations(instance: dg.DagsterInstance, key: dg.AssetKey) -> list[float]:
    """Returns the durations in seconds of the asset's latest successful runs of any partition, oldest first."""
    page = instance.fetch_materializations(key, limit=EARLIER_RUNS)
    return [
        entry.value
        for event in reversed(page.records)
        if event.asset_materialization is not None
        and isinstance(
            entry := event.asset_materialization.metadata.get("dagster_runs/duration_seconds"), dg.FloatMetadataValue
        )
        and entry.value is not None
    ]
