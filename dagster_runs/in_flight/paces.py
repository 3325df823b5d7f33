"""The pace at which to look at each asset's runs, from how long its earlier ones took."""

from collections import deque

import dagster as dg

from dagster_runs.in_flight.definition import WatchedAsset
from dagster_runs.in_flight.flight import Flight
from dagster_runs.remote_run.ledger import EARLIER_RUNS, earlier_durations
from dagster_runs.remote_run.pacing import Pace
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.transport.clock import current_clock


class Paces:
    """Each asset's pace: read once, then kept up to date by the runs that end."""

    def __init__(self) -> None:
        self._durations: dict[WatchedAsset, deque[float]] = {}
        self._paces: dict[WatchedAsset, Pace] = {}

    def of(self, flight: Flight, resource: RemoteRunResource, instance: dg.DagsterInstance, until: float) -> Pace:
        """The pace for a run.

        Args:
            flight: The run.
            resource: Its resource.
            instance: Where the asset's earlier runs are known.
            until: Monotonic seconds after which no more are read: there is a query for each asset. Those left over have
                a first run's pace until the next tick.
        """
        asset = flight.asset
        if asset not in self._paces:
            if asset not in self._durations:
                if current_clock().monotonic() > until:
                    return Pace.after((), longest=resource.poll_interval)
                self._durations[asset] = deque(earlier_durations(instance, asset.keys[0]), maxlen=EARLIER_RUNS)
            self._paces[asset] = Pace.after(tuple(self._durations[asset]), longest=resource.poll_interval)
        return self._paces[asset]

    def learn(self, flight: Flight) -> None:
        """Take in how long a good run took."""
        seconds = flight.status.duration_seconds if flight.status is not None else None
        if seconds is not None and flight.asset in self._durations:
            self._durations[flight.asset].append(seconds)
            self._paces.pop(flight.asset, None)
