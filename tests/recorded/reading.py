"""Counts the events that were written after a recording was loaded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import dagster as dg


@dataclass
class Events:
    """The number of events.

    Attributes:
        materialized: Materializations by asset, partition and remote run.
        evaluated: Check evaluations by asset, check and partition.
        failed: Observations that the observation sensor reported, by asset and remote run.
    """

    materialized: Counter[tuple[str, str | None, str]] = field(default_factory=Counter)
    evaluated: Counter[tuple[str, str, str | None]] = field(default_factory=Counter)
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was reported."""
        return not (self.materialized or self.evaluated or self.failed)


def events_since(instance: dg.DagsterInstance, last: int) -> Events:
    """Counts the events after the one with this storage id."""
    found = Events()
    for entry in instance.event_log_storage.get_logs_for_all_runs_by_log_id(after_cursor=last).values():
        event = entry.dagster_event
        data = event.event_specific_data if event is not None else None
        materialization, observation = entry.asset_materialization, entry.asset_observation
        if materialization is not None:
            key = materialization.asset_key.to_user_string()
            found.materialized[key, materialization.partition, _run_id(materialization)] += 1
        elif observation is not None and not entry.run_id and observation.metadata:  # not a ledger entry
            found.failed[observation.asset_key.to_user_string(), _run_id(observation)] += 1
        elif isinstance(data, dg.AssetCheckEvaluation):
            found.evaluated[data.asset_key.to_user_string(), data.check_name, getattr(data, "partition", None)] += 1
    return found


def _run_id(event: dg.AssetMaterialization | dg.AssetObservation) -> str:
    return str(event.metadata["dagster_runs/run_id"].value)
