"""Warns of active deferred runs whose asset was wiped: wiping deletes the ledger, so only this process knows them."""

import logging

import dagster as dg

from dagster_runs.in_flight.definition import WatchedAsset
from dagster_runs.in_flight.flight import Flight, Phase
from dagster_runs.in_flight.flights import Flights
from dagster_runs.transport.clock import current_clock

_EVERY = 60.0
"""Seconds between two checks."""
_ASSETS = 20
"""Assets that one check covers, at one query each; others have their turn."""
_RUNS = 200
"""Runs of one asset that one check covers."""


class WipedRuns:
    """Finds active runs whose ledger entry is no longer in the event log."""

    def __init__(self) -> None:
        self._checked_at = 0.0
        self._turn = 0
        self._warned: set[Flight] = set()

    def warn(self, flights: Flights, instance: dg.DagsterInstance, log: logging.Logger) -> None:
        """Log a warning for each, once. They are polled and reported like all others."""
        now = current_clock().wall()
        if now - self._checked_at < _EVERY:
            return
        self._checked_at = now
        active: dict[WatchedAsset, list[Flight]] = {}
        for flight in flights:
            if flight.phase is Phase.GOING:
                active.setdefault(flight.asset, []).append(flight)
        assets = list(active)
        first = self._turn % len(assets) if assets else 0
        self._turn += _ASSETS
        for asset in (assets[first:] + assets[:first])[:_ASSETS]:
            some = [flight for flight in active[asset] if flight not in self._warned][-_RUNS:]
            there = _entries(some, instance) if some else set()
            for flight in some:
                if flight.storage_id not in there:
                    self._warned.add(flight)
                    log.warning(
                        "%s run %s of %s is active, but the asset was wiped after the run was started, and the record "
                        "of the run with it. This process still follows the run to its end; after a restart of the "
                        "code server nothing does. Started by Dagster run %s",
                        flight.run.vendor,
                        flight.run_id,
                        flight.keys[0].to_user_string() if flight.keys else "an asset",
                        flight.record.dagster_run_id,
                    )
        self._warned &= set(flights)


def _entries(flights: list[Flight], instance: dg.DagsterInstance) -> set[int]:
    """The storage ids of those entries that are still there. A run that fills several assets may have its on any."""
    found: set[int] = set()
    ids = [flight.storage_id for flight in flights]
    for key in flights[0].asset.keys:
        wanted = dg.AssetRecordsFilter(key, storage_ids=ids)
        found.update(event.storage_id for event in instance.fetch_observations(wanted, limit=len(ids)).records)
    return found
