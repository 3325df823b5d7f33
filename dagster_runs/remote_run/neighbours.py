"""What else this Dagster instance has started at the vendor: whose run is it that a lost start may have begun?"""

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from dagster_runs.remote_run.contract import (
    CLOCKS_DIFFER,
    CLOCKS_OF_MACHINES_DIFFER,
    START_TAKES_AT_MOST,
    StartAttempt,
)
from dagster_runs.remote_run.following import Following
from dagster_runs.remote_run.ledger import Entry, Record, events
from dagster_runs.transport.clock import current_clock, is_same_clock, machine_time

_LOOKED_BACK = 3600.0


@dataclass(frozen=True)
class Neighbours:
    """Starts of the same kind by other steps, assets and partitions, from around the same time.

    Attributes:
        run_ids: The runs that they are known to have begun.
        are_starting: Whether one of them does not know yet, or cannot know, what it has begun.
    """

    run_ids: frozenset[str]
    are_starting: bool


def neighbours_of(following: Following, attempt: StartAttempt) -> Neighbours:
    """Look into the ledgers of all assets; only a lost start makes this worth its many queries."""
    run_ids: set[str] = set()
    ours = following.ledger.starts()
    newest: dict[str, Entry] = {}
    kind = following.target.partition(" ")[0]
    for key in following.step.instance.get_asset_keys():
        for record in records_of(following.step.instance, key, attempt.starting_at - _LOOKED_BACK):
            if record.correlation_id in ours or record.kind != kind:
                continue
            newest[record.correlation_id] = record.entry
            if record.run_id is not None:
                run_ids.add(record.run_id)
            if abs(record.at - attempt.starting_at) > START_TAKES_AT_MOST + _clocks_differ(record, attempt):
                newest[record.correlation_id] = Entry.NOT_STARTED  # too long ago, or too late, to be mistaken for ours
    return Neighbours(frozenset(run_ids), not {Entry.STARTING, Entry.ABANDONED}.isdisjoint(newest.values()))


def _clocks_differ(record: Record, attempt: StartAttempt) -> float:
    """How far the times of a neighbour's entry and of our start may be from each other, in seconds."""
    is_one_clock = attempt.by_this_process and is_same_clock(record.host, current_clock().host())
    return CLOCKS_DIFFER if is_one_clock else CLOCKS_OF_MACHINES_DIFFER


def records_of(instance: dg.DagsterInstance, key: dg.AssetKey, since: float) -> Iterator[Record]:
    """The asset's ledger entries since then, oldest first."""
    wanted = dg.AssetRecordsFilter(asset_key=key, after_timestamp=machine_time(since))
    yield from filter(None, map(Record.of, events(instance.fetch_observations, wanted, ascending=True)))
