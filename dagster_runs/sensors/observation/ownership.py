"""Determines which asset a listed run materializes, and whether this Dagster instance started the run."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.ledger_entry import EntryKind
from dagster_runs.remote_run.execution.lost_starts import records_of
from dagster_runs.remote_run.execution.request_queue import queue_field
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.types import ListedRun
from dagster_runs.sensors import limits
from dagster_runs.sensors.observation.cursor import PendingRun
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import NotFoundError

NO_ASSET = ""
"""The asset of a run that materializes none."""


@dataclass(frozen=True)
class Ownership:
    """Determines which asset a run of one resource materializes, and who started the run.

    Attributes:
        assets: The observed assets, by key.
        resource: The resource.
        instance: The Dagster instance.
    """

    assets: Mapping[str, WatchedAsset]
    resource: RemoteRunResource
    instance: dg.DagsterInstance

    def asset_of(self, listed: ListedRun, created_at: float) -> str | None:
        """Returns the asset that a listed run materializes.

        Args:
            listed: The run.
            created_at: Epoch seconds at which the run was created.

        Returns:
            The asset, `NO_ASSET` if the run materializes none, or ``None`` while the vendor does not report the target.
        """
        targets: dict[type, str | None] = {}
        for name, asset in self.assets.items():
            run = asset.fixed_run
            if type(run) not in targets:
                targets[type(run)] = self._target(run, listed)
            if targets[type(run)] == run.observed_target:
                return name
        is_given_up = listed.state.is_final and current_clock().wall() - created_at > limits.TARGET_UNKNOWN_GRACE
        return None if None in targets.values() and not is_given_up else NO_ASSET

    def started_by_their_assets(self, pending: Mapping[str, PendingRun], polled: Container[str]) -> Iterator[str]:
        """Yields new runs that are in the ledgers of the assets that they materialize, and so need no status calls.

        Each ledger is read once. Whether another asset started a run is checked only when the run has finished
        (`was_started_here`), because that check reads the ledgers of all assets.

        Args:
            pending: The runs, by id.
            polled: The ids of runs that were polled before. If they are also old, their ledgers were read already.
        """
        now = current_clock().wall()
        new: dict[str, dict[str, float]] = {}
        for run_id, pending_run in pending.items():
            is_new = run_id not in polled or now - pending_run.created_at < limits.START_DECIDED_WITHIN
            if is_new and pending_run.asset is not None and pending_run.asset in self.assets:
                new.setdefault(pending_run.asset, {})[run_id] = pending_run.created_at
        for name, runs in new.items():
            since = min(runs.values()) - limits.START_RECORDED_WITHIN
            for record in records_of(self.instance, self.assets[name].keys[0], since):
                if record.run_id is not None and runs.pop(record.run_id, None) is not None:
                    yield record.run_id

    def was_started_here(self, run_id: str, created_at: float) -> bool | None:
        """Whether this Dagster instance started the run; ``None`` while one of its starts is undecided."""
        newest: dict[str, EntryKind] = {}
        for key in self.instance.get_asset_keys():
            for record in records_of(self.instance, key, created_at - limits.START_RECORDED_WITHIN):
                if record.run_id == run_id:
                    return True
                if record.at > created_at + limits.START_DECIDED_WITHIN:
                    break
                if record.kind is not EntryKind.PROGRESS and abs(record.at - created_at) <= limits.START_DECIDED_WITHIN:
                    newest[record.correlation_id] = record.kind
                if record.kind is EntryKind.QUEUED:
                    newest[str(queue_field(record, "attempt"))] = EntryKind.NOT_STARTED
        is_open = (
            EntryKind.STARTING in newest.values() and current_clock().wall() - created_at < limits.START_DECIDED_WITHIN
        )
        return None if is_open else False

    def _target(self, run: RemoteRun[Any], listed: ListedRun) -> str | None:
        try:
            return run.get_target_of_listed(self.resource, listed)
        except NotFoundError:
            return None  # it has no record yet, or no longer has one
