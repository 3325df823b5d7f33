"""The outcome of a finished remote run, as it is reported to Dagster without a step."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import dagster as dg

from dagster_runs.dagster_private import shows_success
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.data_checks import reported_on_failure
from dagster_runs.remote_run.execution.evaluations import AssetPartition, evaluation_target, evaluations
from dagster_runs.remote_run.execution.events import run_metadata, run_status_outcome
from dagster_runs.remote_run.execution.provenance import Provenance, version_tags
from dagster_runs.remote_run.metadata_order import in_page_order
from dagster_runs.remote_run.metadata_size import once_for_partitions
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.types import CheckOutcome, RunResult
from dagster_runs.sensors.registry import WatchedAsset

PRELIMINARY_KEY = "dagster_runs/preliminary"
"""Metadata of an evaluation that is reported again as soon as the materialization that it judges is stored."""
AssetEvent = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation


@dataclass(frozen=True)
class FinishedRun:
    """A finished remote run.

    Attributes:
        run_id: The vendor's id of the run.
        vendor: The vendor's name.
        state: The final state; ``UNKNOWN`` if a step must determine it.
        asset_keys: The assets that it materializes.
        partitions: The partitions that it materializes; empty for assets without partitions.
    """

    run_id: str
    vendor: str
    state: RunState
    asset_keys: tuple[dg.AssetKey, ...]
    partitions: tuple[str, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether the vendor reports that the run succeeded."""
        return self.state is RunState.SUCCEEDED


@dataclass(frozen=True)
class RunOutcome:
    """The outcome of a run, with everything that is known about it.

    Attributes:
        asset: The definition whose assets it materializes.
        asset_partitions: The assets and partitions to report.
        run: The remote run.
        run_id: The vendor's id of the run.
        resource: The vendor's resource.
        status: The final status.
        result: The result of the run.
        more: Further metadata.
        provenance: What each asset was made from, by key in the UI's spelling.
        newest: The newest materialization of each asset and partition, for a run that did not succeed.
        last_of: The last partition that the run materializes, by asset; ``None`` if ``asset_partitions`` has them all.
        has_current_run_class: Whether its run class is the asset's current one, so that ``run`` describes it.
    """

    asset: WatchedAsset
    asset_partitions: Sequence[AssetPartition]
    run: RemoteRun[Any]
    run_id: str
    resource: RemoteRunResource
    status: RunStatus
    result: RunResult
    more: Mapping[str, Any]
    provenance: Mapping[str, Provenance] = field(default_factory=dict)
    newest: Mapping[AssetPartition, dg.EventLogRecord] = field(default_factory=dict)
    last_of: Mapping[dg.AssetKey, str | None] | None = None
    has_current_run_class: bool = True

    @cached_property
    def _preliminary_evaluations(self) -> Sequence[dg.AssetCheckEvaluation]:
        marked = [
            replace(outcome, metadata={**outcome.metadata, PRELIMINARY_KEY: dg.MetadataValue.bool(True)})
            for outcome in self._outcomes
        ]
        return list(evaluations(self._specs, self.asset_partitions, marked, {}, self.last_of))

    def materializations(
        self, instance: dg.DagsterInstance, reported: Iterable[AssetEvent] = ()
    ) -> Iterator[AssetEvent]:
        """Yields a materialization of each asset and partition. Its `evaluations` follow once these are stored.

        Until then, Dagster assigns the newest evaluation of an asset without partitions to the new materialization, if
        neither has a run (measured on 1.13.27; 1.12.0 has the same code). If that evaluation passed and the check fails
        now, the failure is reported first. Otherwise, downstream assets could run on bad data.

        Args:
            instance: The Dagster instance.
            reported: Events that this tick already has.
        """
        is_partitioned = self.asset.definition.partitions_def is not None
        failed = () if is_partitioned else [one for one in self._preliminary_evaluations if not one.passed]
        yield from (one for one in failed if _shows_success(one.asset_check_key, reported, instance))
        for key, partition in self.asset_partitions:
            yield dg.AssetMaterialization(
                key,
                metadata=self._metadata_for(key, partition),
                partition=partition,
                tags={
                    **version_tags(self.run_id, key, self.provenance, self.asset.definition),
                    **self._dimension_tags(partition),
                },
            )

    def evaluations(
        self,
        judged: Mapping[AssetPartition, dg.EventLogRecord],
        stored: Collection[tuple[dg.AssetCheckKey, int]] = (),
    ) -> list[dg.AssetCheckEvaluation]:
        """Returns the check evaluations of a run that succeeded.

        Args:
            judged: The stored materialization of each asset and partition. If one was wiped, there is nothing to
                evaluate.
            stored: The evaluations that are already stored, as checks and storage ids of the materializations.
        """
        asset_partitions = [asset_partition for asset_partition in self.asset_partitions if asset_partition in judged]
        # If the materialization of the last partition was wiped, the last one that still exists replaces it.
        remaining, listed = dict(asset_partitions), set(self.asset_partitions)
        last_of = {
            key: remaining.get(key, last) if (key, last) in listed else last
            for key, last in (self.last_of or dict(self.asset_partitions)).items()
        }
        found = evaluations(self._specs, asset_partitions, self._outcomes, judged, last_of)
        return [one for one in found if evaluation_target(one) not in stored]

    def as_failure(self) -> list[AssetEvent]:
        """Returns the evaluations for a run that did not succeed, and an observation of each asset and partition."""
        reported = reported_on_failure(self.run, self.result.checks)
        return [
            # For the newest materialization, although an earlier run made it. Dagster does the same if a step fails.
            *evaluations(self._specs, self.asset_partitions, [self._run_status, *reported], self.newest, self.last_of),
            *self.observations(),
        ]

    def observations(self, more: str = "") -> list[dg.AssetObservation]:
        """Returns an observation of each asset and partition.

        Args:
            more: Further text for the description.
        """
        run_name = (
            f"{self.run.vendor} {self.run.label} of {self.run.target}"
            if self.has_current_run_class
            else f"run {self.run_id}"
        )
        return [
            dg.AssetObservation(
                key,
                description=f"The {run_name} {self.status.outcome_text}{more}",
                metadata=self._metadata_for(key, partition),
                partition=partition,
            )
            for key, partition in self.asset_partitions
        ]

    @property
    def _specs(self) -> list[dg.AssetCheckSpec]:
        return self.asset.check_specs

    @property
    def _run_status(self) -> CheckOutcome:
        return run_status_outcome(self.run, self.run_id, self.status)

    @property
    def _outcomes(self) -> list[CheckOutcome]:
        return [self._run_status, *self.result.checks]

    def _metadata_for(self, key: dg.AssetKey, partition: str | None) -> dict[str, Any]:
        """Returns the metadata for a partition. Big entries, such as tables, are only in that of the last one."""
        last = (self.last_of or dict(self.asset_partitions)).get(key)
        if partition == last:
            return self._metadata
        if last not in self._metadata_of_others:
            self._metadata_of_others[last] = once_for_partitions(self._metadata, last)
        return self._metadata_of_others[last]

    @cached_property
    def _metadata(self) -> dict[str, Any]:
        url = self.run.page_url(self.resource, self.run_id) if self.has_current_run_class else None
        known = run_metadata(self.run, self.run_id, url=url, attached=False, status=self.status)
        return in_page_order({**self.result.metadata, **known, **self.more})

    @cached_property
    def _metadata_of_others(self) -> dict[str | None, dict[str, Any]]:
        return {}

    def _dimension_tags(self, partition: str | None) -> dict[str, str]:
        """Returns the tags that Dagster sets on the materialization of a partition with several dimensions."""
        definition = self.asset.definition.partitions_def
        if partition is None or not isinstance(definition, dg.MultiPartitionsDefinition):
            return {}
        keys = definition.get_partition_key_from_str(partition).keys_by_dimension
        return {f"dagster/partition/{dimension}": key for dimension, key in keys.items()}


def _shows_success(check: dg.AssetCheckKey, reported: Iterable[AssetEvent], instance: dg.DagsterInstance) -> bool:
    """Whether a check shows a success, including the events that the tick has reported so far."""
    evaluated = [one for one in reported if isinstance(one, dg.AssetCheckEvaluation) and one.asset_check_key == check]
    return evaluated[-1].passed if evaluated else shows_success(instance, check)
