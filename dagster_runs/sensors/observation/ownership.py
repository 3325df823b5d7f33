"""Tells which asset a listed run fills, and whether this Dagster instance started the run."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.ledger_entry import EntryKind
from dagster_runs.remote_run.execution.lost_starts import records_of
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.types import ListedRun
from dagster_runs.sensors import limits
from dagster_runs.sensors.observation.cursor import PendingRun
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import NotFoundError

NO_ASSET = ""
"""The asset of a run that fills none."""


@dataclass(frozen=True)
class Ownership:
    """Tells which asset a run of one resource fills, and who started the run.

    Attributes:
        assets: The observed assets, by key.
        resource: The resource.
        instance: The Dagster instance.
    """

    assets: Mapping[str, WatchedAsset]
    resource: RemoteRunResource
    instance: dg.DagsterInstance

    def asset_of(self, listed: ListedRun, created_at: float) -> str | None:
        """The asset that a listed run fills.

        Args:
            listed: The run.
            created_at: Epoch seconds at which the run was created.

        Returns:
            The asset, `NO_ASSET` if the run fills none, or ``None`` while the vendor does not say.
        """
        targets: dict[type, str | None] = {}
        for name, asset in self.assets.items():
            run = asset.fixed_run
            if type(run) not in targets:
                targets[type(run)] = self._target(run, listed)
            if targets[type(run)] == run.observed_target:
                return name
        is_untold = listed.state.is_final and current_clock().wall() - created_at > limits.TARGET_UNKNOWN_GRACE
        return None if None in targets.values() and not is_untold else NO_ASSET

    def started_by_their_assets(self, pending: Mapping[str, PendingRun], polled: Container[str]) -> Iterator[str]:
        """Find new runs in the ledgers of the assets that they fill, so that these runs need no status calls.

        Each ledger is read once. Whether another asset started a run is checked when the run has ended
        (`was_started_here`), because that reads the ledgers of all assets.

        Args:
            pending: The runs, by id.
            polled: Ids of runs that were polled before. If they are also old, their ledgers were read already.
        """
        now = current_clock().wall()
        new: dict[str, dict[str, float]] = {}
        for run_id, sighting in pending.items():
            is_new = run_id not in polled or now - sighting.created_at < limits.START_DECIDED_WITHIN
            if is_new and sighting.asset is not None and sighting.asset in self.assets:
                new.setdefault(sighting.asset, {})[run_id] = sighting.created_at
        for name, runs in new.items():
            since = min(runs.values()) - limits.START_RECORDED_WITHIN
            for record in records_of(self.instance, self.assets[name].keys[0], since):
                if record.run_id is not None and runs.pop(record.run_id, None) is not None:
                    yield record.run_id

    def was_started_here(self, run_id: str, created_at: float) -> bool | None:
        """Whether this Dagster instance started the run; ``None`` while a start is undecided that may be its own."""
        newest: dict[str, EntryKind] = {}
        for key in self.instance.get_asset_keys():
            for record in records_of(self.instance, key, created_at - limits.START_RECORDED_WITHIN):
                if record.run_id == run_id:
                    return True
                if record.at > created_at + limits.START_DECIDED_WITHIN:
                    break
                if record.kind is not EntryKind.PROGRESS and abs(record.at - created_at) <= limits.START_DECIDED_WITHIN:
                    newest[record.correlation_id] = record.kind
        is_open = (
            EntryKind.STARTING in newest.values() and current_clock().wall() - created_at < limits.START_DECIDED_WITHIN
        )
        return None if is_open else False

    def _target(self, run: RemoteRun[Any], listed: ListedRun) -> str | None:
        try:
            return run.target_of_listed(self.resource, listed)
        except NotFoundError:
            return None  # it has no record yet, or none any more
