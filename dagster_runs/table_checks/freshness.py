"""Decides whether a run of a suite has seen the newest data of a table.

For a run that Dagster started, the order of the event log decides: the run's ``starting`` entry is stored before the
request, and a materialization after its data. So if the newest materialization has a smaller storage id than the entry,
the run has seen its data. No clock is involved.

For a run that was started elsewhere, there is no such entry. Then the times are compared, with a margin.

An evaluation names the materialization that it judges, so it never counts for a later one. The evaluation of a table
without any materialization names an event that is not one (see `Freshness.marker`). If it named nothing, Dagster would
compare times, and could assign it to a materialization that is stored in the same moment.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import dagster as dg

from dagster_runs.remote_run.execution.event_log import events
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.remote_run.types import MAX_HOST_CLOCK_SKEW, MAX_VENDOR_CLOCK_SKEW
from dagster_runs.transport.clock import machine_time

STARTED_BEFORE = "the run started before its newest materialization"


@dataclass(frozen=True)
class Freshness(ABC):
    """What is known about the start of a run.

    Attributes:
        marker: The event that an evaluation names for a table without materializations; ``None`` for none.
    """

    marker: dg.EventLogRecord | None

    @abstractmethod
    def problem(self, newest: dg.EventLogRecord | None) -> str | None:
        """Returns why the run's results may be older than the newest data of a table; ``None`` if they are not.

        Args:
            newest: The newest materialization of the table; ``None`` if it has none.
        """


@dataclass(frozen=True)
class StartedHere(Freshness):
    """The start of a run that Dagster started: the marker is its ``starting`` entry, or ``None`` if that is lost."""

    def problem(self, newest: dg.EventLogRecord | None) -> str | None:
        """See `Freshness`."""
        if self.marker is None:
            return "the event log no longer has the entry about the start of the run"
        if newest is not None and newest.storage_id >= self.marker.storage_id:
            return STARTED_BEFORE
        return None


@dataclass(frozen=True)
class StartedElsewhere(Freshness):
    """The start of a run that was started elsewhere.

    Attributes:
        started_at: Epoch seconds by our clock, which is corrected by the difference to the vendor's clock; ``None`` if
            the vendor does not report the start.
    """

    started_at: float | None = None

    def problem(self, newest: dg.EventLogRecord | None) -> str | None:
        """See `Freshness`."""
        if self.started_at is None:
            return "the vendor does not report when the run started"
        if newest is not None and newest.timestamp >= machine_time(self.started_at - MAX_VENDOR_CLOCK_SKEW):
            return STARTED_BEFORE
        return None


def start_of(
    instance: dg.DagsterInstance, key: dg.AssetKey, correlation_id: str, started_at: float
) -> dg.EventLogRecord | None:
    """Returns the ``starting`` entry of a start; ``None`` if the event log no longer has it.

    Args:
        instance: The Dagster instance.
        key: The asset with the ledger.
        correlation_id: The correlation id of the start.
        started_at: Epoch seconds of an entry about the start, which limits what is read.
    """
    since = machine_time(started_at - _LOOKBACK)
    for event in events(instance.fetch_observations, dg.AssetRecordsFilter(key, after_timestamp=since)):
        entry = LedgerEntry.from_event(event)
        if entry is not None and entry.kind is EntryKind.STARTING and entry.correlation_id == correlation_id:
            return event
    return None


_LOOKBACK = 86_400.0 + MAX_HOST_CLOCK_SKEW
"""The maximum number of seconds between the ``starting`` entry of a run and a later entry about the same start."""
