"""What one materialization left in Dagster: events, checks, errors, log lines."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg

_MANY = 1000


@dataclass(frozen=True)
class Materialized:
    """The Dagster run of an asset, and what it left in the instance.

    Attributes:
        key: The key of the asset.
        result: The result of the Dagster run.
        instance: The instance.
    """

    key: dg.AssetKey
    result: dg.ExecuteInProcessResult
    instance: dg.DagsterInstance

    @property
    def success(self) -> bool:
        """Whether the Dagster run succeeded."""
        return self.result.success

    @property
    def retries(self) -> int:
        """The number of times that Dagster retried the step."""
        return sum(event.is_step_up_for_retry for event in self.result.all_events)

    @cached_property
    def errors(self) -> list[str]:
        """The errors of the step's attempts, each with its causes, classes and metadata."""
        return ["\n".join(_texts_of(event)) for event in self.result.all_events if _has_failed(event)]

    @property
    def error(self) -> str:
        """The last error; empty if there is none."""
        return self.errors[-1] if self.errors else ""

    @property
    def short_error(self) -> str:
        """The beginning of the last error, for a row of the report."""
        text = " ".join(self.error.split())
        return text[:300] or "no error"

    @cached_property
    def log(self) -> str:
        """All events and log lines of the Dagster run, as text."""
        return "\n".join(str(entry) for entry in self.instance.all_logs(self.result.run_id))

    @cached_property
    def messages(self) -> str:
        """The messages of all events and log lines."""
        entries = self.instance.all_logs(self.result.run_id)
        return "\n".join(f"{entry.user_message} {entry.message}" for entry in entries)

    @cached_property
    def checks(self) -> dict[str, list[dg.AssetCheckEvaluation]]:
        """The evaluations of each check."""
        found: dict[str, list[dg.AssetCheckEvaluation]] = {}
        for evaluation in self.result.get_asset_check_evaluations():
            found.setdefault(evaluation.check_name, []).append(evaluation)
        return found

    @property
    def materializations(self) -> list[dict[str, Any]]:
        """The metadata of the asset's materializations, oldest first."""
        return materializations(self.instance, self.key)


def materializations(instance: dg.DagsterInstance, key: dg.AssetKey) -> list[dict[str, Any]]:
    """Returns the metadata of an asset's materializations, oldest first."""
    records = instance.fetch_materializations(key, limit=_MANY, ascending=True).records
    found = [record.asset_materialization for record in records]
    return [{name: value.value for name, value in one.metadata.items()} for one in found if one is not None]


def stored_text(instance: dg.DagsterInstance) -> str:
    """Returns all that is stored in the instance about runs and assets, as text."""
    return "\n".join(_stored(instance))


def _stored(instance: dg.DagsterInstance) -> Iterator[str]:
    for run in instance.get_runs():
        yield str(run)
        yield from (str(entry) for entry in instance.all_logs(run.run_id))
    for key in instance.get_asset_keys():
        for fetch in (instance.fetch_materializations, instance.fetch_observations):
            yield from (str(record.event_log_entry) for record in fetch(key, limit=_MANY).records)


def _has_failed(event: dg.DagsterEvent) -> bool:
    return event.is_step_failure or event.is_step_up_for_retry


def _texts_of(event: dg.DagsterEvent) -> Iterator[str]:
    data = event.event_specific_data
    failure = getattr(data, "user_failure_data", None)
    if failure is not None:
        yield f"{failure.description} {failure.metadata}"
    error = getattr(data, "error", None)
    while error is not None:
        yield f"{error.cls_name}: {error.message}"
        error = error.cause
