"""Reads the ledgers of assets from the event log, with the index of the completion sensor."""

from collections.abc import Iterator, Sequence

import dagster as dg

from dagster_runs.cli.code_location import CodeLocation
from dagster_runs.cli.output import NegativeResult, Unusable, progress
from dagster_runs.remote_run.execution.ledger_entry import LedgerEntry
from dagster_runs.remote_run.execution.request_queue import partitions_of
from dagster_runs.sensors.completion.index import DeferredRunIndex
from dagster_runs.sensors.completion.step_runs import dagster_runs_of, is_repeated, starts_in_progress
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.transport.clock import current_clock

_REPORT_SECONDS = 2.0
"""Seconds between two lines about how far the reading is."""
_FROM_THE_BEGINNING = 1
"""The id in the event log after which to read everything."""


def read_index(
    assets: Sequence[WatchedAsset], instance: dg.DagsterInstance, *, everything: bool = False
) -> DeferredRunIndex:
    """Reads what is in flight for some assets.

    Args:
        assets: The assets.
        instance: The Dagster instance.
        everything: Whether to read the whole event log, not only as far back as an active run may have been started.
    """
    index = DeferredRunIndex(assets, instance, _FROM_THE_BEGINNING if everything else 0)
    clock = current_clock()
    index.catch_up(clock.monotonic() + _REPORT_SECONDS)
    while not index.is_complete:
        progress(f"Reading the event log of {len(assets)} assets …")
        index.catch_up(clock.monotonic() + _REPORT_SECONDS)
    return index


def assets_named(locations: Sequence[CodeLocation], name: str | None) -> list[tuple[CodeLocation, WatchedAsset]]:
    """Returns the assets of a name, each with its code location, or all assets without a name.

    Raises:
        Unusable: There is no such asset.
    """
    found = [(location, asset) for location in locations for asset in location.assets]
    if name is None:
        return found
    matching = [one for one in found if name in (key.to_user_string() for key in one[1].keys)]
    if not matching:
        names = sorted(key.to_user_string() for _, asset in found for key in asset.keys)
        raise Unusable(f"There is no asset {name!r} with remote runs; these assets have: {', '.join(names) or 'none'}")
    return matching


def concerns(entry: LedgerEntry, partition: str | None, asset: WatchedAsset, instance: dg.DagsterInstance) -> bool:
    """Whether a ledger entry is about a partition, or about a range that contains it. True without a partition."""
    if partition is None or partition == entry.partition:
        return True
    keys = partitions_of(entry, asset.definition.partitions_def, instance)
    return keys is not None and partition in keys


def uncertain_starts(
    index: DeferredRunIndex, instance: dg.DagsterInstance
) -> Iterator[tuple[WatchedAsset, LedgerEntry]]:
    """Yields the starts of Dagster runs that have ended without recording an outcome, and that none has followed."""
    runs = dagster_runs_of(index, instance)
    for asset, entry in starts_in_progress(index):
        run = runs.get(entry.dagster_run_id)
        has_ended = run is None or run.is_finished
        if has_ended and not is_repeated(entry, index, asset, instance):
            yield asset, entry


def only_one(entries: Sequence[LedgerEntry], what: str, how_to_choose: str) -> LedgerEntry:
    """Returns the only entry.

    Raises:
        NegativeResult: There is none, or there are several.
    """
    if not entries:
        raise NegativeResult(what)
    if len(entries) > 1:
        listed = "; ".join(
            f"Dagster run {one.dagster_run_id}" + (f", partition {one.partition}" if one.partition else "")
            for one in entries
        )
        raise NegativeResult(f"There are several: {listed}. {how_to_choose}")
    return entries[0]
