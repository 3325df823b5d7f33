"""The Dagster step that a remote run belongs to: all access to Dagster that executing the run needs."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any
from uuid import uuid4

import dagster as dg

from dagster_runs import dagster_private
from dagster_runs.remote_run.execution.reexecution import ASSET_RESUME_TAG, BACKFILL_TAG, Ancestry
from dagster_runs.remote_run.execution.request_queue import (
    ADMISSION_TAG,
    REQUEST_TAG,
    SEVERAL_PARTITIONS,
    Admission,
)
from dagster_runs.transport.clock import current_clock

FINISHES_TAG = "dagster_runs/finishes"
"""Tag of a Dagster run that the completion sensor requests: the remote run whose outcome it reports."""
REPLACES_TAG = "dagster_runs/instead_of"
"""Tag of the same runs: earlier Dagster runs for the same outcome that started but never finished, comma-separated."""
_NEWEST_CHANGES = 1000
_TERMINATED_STATUSES = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
_TERMINATION_DELAY = 2.0
"""Seconds to wait for the status. Dagster marks a run CANCELING before it sends the signal, but a replica may lag."""


class OwnRunState(Enum):
    """The state of a Dagster run that has ended while its step is still running."""

    TERMINATED = "terminated"
    """A user or a limit terminated it."""
    MARKED_FAILED = "marked failed"
    """Run monitoring lost contact with it and marked it as failed."""


@dataclass(frozen=True)
class Step:
    """One execution of a step that materializes assets with one remote run.

    Attributes:
        context: The step's context.
        name: Distinguishes several remote runs in one step.
        filled: The assets that the run materializes, for a step that also has other assets.
    """

    context: dg.AssetExecutionContext
    name: str = ""
    filled: tuple[dg.AssetKey, ...] = ()

    @property
    def log(self) -> logging.Logger:
        """Dagster's logger of this step."""
        return self.context.log

    @property
    def instance(self) -> dg.DagsterInstance:
        """The Dagster instance."""
        instance: dg.DagsterInstance = self.context.instance
        return instance

    @property
    def dagster_run_id(self) -> str:
        """The id of the Dagster run."""
        return self.context.run.run_id

    @property
    def attempt(self) -> int:
        """The number of retries of this step so far in this Dagster run; 0 for the first attempt."""
        return self.context.op_execution_context.retry_number

    @property
    def definition(self) -> dg.AssetsDefinition:
        """The definition of the assets that the run materializes."""
        definition: dg.AssetsDefinition = self.context.assets_def
        return definition

    @property
    def definition_keys(self) -> Sequence[dg.AssetKey]:
        """All assets of the definition, selected or not."""
        return tuple(self.definition.node_keys_by_output_name.values())

    @cached_property
    def step_key(self) -> str | None:
        """Dagster's key of the step."""
        return dagster_private.step_key(self.context)

    @cached_property
    def execution_id(self) -> str:
        """An id of this execution. Two processes may execute the same step of the same Dagster run."""
        return uuid4().hex[:12]

    @cached_property
    def asset_keys(self) -> Sequence[dg.AssetKey]:
        """The assets that the run materializes, in a fixed order. The ledger is kept on the first one."""
        keys = self.filled or getattr(self.context, "selected_asset_keys", ())
        if not keys:
            raise dg.DagsterInvariantViolationError(
                "A remote run belongs to an asset: materialize the asset, not only its checks; and call run() inside "
                "an asset, with the asset's context"
            )
        return sorted(keys, key=lambda key: key.path)

    @cached_property
    def check_keys(self) -> frozenset[dg.AssetCheckKey]:
        """The checks that the step declares and was selected to report."""
        return frozenset(self.context.selected_asset_check_keys)

    @cached_property
    def declared_checks(self) -> Mapping[dg.AssetCheckKey, dg.AssetCheckSpec]:
        """All checks that the asset's definition declares, selected or not."""
        return {spec.key: spec for spec in self.definition.node_check_specs_by_output_name.values()}

    @cached_property
    def check_specs(self) -> Sequence[dg.AssetCheckSpec]:
        """The specs of the checks that the step reports.

        *Re-execute from asset failure* selects only what was not reported. That leaves out `run_status`, which the
        failed run reported as failed and which would otherwise stay failed.
        """
        is_left_out = self.context.run.tags.get(ASSET_RESUME_TAG) == "true"
        return [
            spec
            for key, spec in self.declared_checks.items()
            if key in self.check_keys or (is_left_out and key.asset_key in self.asset_keys)
        ]

    @property
    def fills_a_range(self) -> bool:
        """Whether the step fills a partition range and has partitioned checks. Dagster evaluates none for a range."""
        return (
            self.context.has_partition_key_range
            and not self.context.has_partition_key
            and any(map(dagster_private.is_partitioned, self.check_specs))
        )

    @cached_property
    def blocking_checks(self) -> frozenset[str]:
        """The names of the blocking checks. If one fails with ERROR, so does the step, and downstream assets wait."""
        return frozenset(spec.name for spec in self.check_specs if spec.blocking)

    @cached_property
    def _is_partitioned(self) -> bool:
        """Whether the step's assets have partitions. A job may have partitions although its asset has none."""
        return self.definition.partitions_def is not None

    @cached_property
    def partition(self) -> str | None:
        """The partition: ``first...last`` for a range, ``None`` for an asset without partitions."""
        if not self._is_partitioned:
            return None
        if self.single_partition is not None or not self.context.has_partition_key_range:
            return self.single_partition
        keys = self.context.partition_key_range
        return f"{keys.start}...{keys.end}"

    @cached_property
    def single_partition(self) -> str | None:
        """The partition, if the step has exactly one. A backfill may request it as a range of one partition."""
        if not self._is_partitioned:
            return None
        if self.context.has_partition_key:
            return str(self.context.partition_key)
        if not self.context.has_partition_key_range:
            return None
        keys = self.context.partition_key_range
        return str(keys.start) if keys.start == keys.end else None

    @property
    def partitions(self) -> list[str]:
        """All partitions that the step materializes; empty for an asset without partitions."""
        return [] if self.partition is None else list(self.context.partition_keys)

    @property
    def last_of_range(self) -> str | None:
        """The last partition, if the step materializes several."""
        return self.partitions[-1] if self.partition is not None and self.single_partition is None else None

    @property
    def fills_whole_range(self) -> bool:
        """Whether the step fills all partitions from the first to the last, and none can be added in between later."""
        definition = self.definition.partitions_def
        if not isinstance(definition, (dg.StaticPartitionsDefinition, dg.TimeWindowPartitionsDefinition)):
            return False
        keys = self.partitions
        return list(definition.get_partition_keys_in_range(dg.PartitionKeyRange(keys[0], keys[-1]))) == keys

    @property
    def max_step_retries(self) -> int:
        """The number of retries that the step's own retry policy allows."""
        policy = self.context.op_execution_context.op_def.retry_policy
        return policy.max_retries if policy is not None else 0

    @cached_property
    def ancestry(self) -> Ancestry:
        """This Dagster run, and the earlier ones whose remote runs it may attach to."""
        return Ancestry(self.instance, self.context.run, self.step_key)

    @cached_property
    def dagster_run_ids(self) -> Sequence[str]:
        """The ids of this Dagster run and of its ancestry, newest first."""
        return self.ancestry.run_ids

    @property
    def finishes(self) -> str | None:
        """The remote run whose outcome this Dagster run must report, if the completion sensor requested it."""
        run = self.context.run
        return run.tags.get(FINISHES_TAG) if run.parent_run_id is None else None

    @property
    def downstream_in_run(self) -> Sequence[dg.AssetKey]:
        """The assets downstream of this step in its Dagster run."""
        context = self.context
        return dagster_private.downstream_in_job(context.job_def, self.asset_keys, context.run.asset_selection)

    @property
    def is_in_backfill(self) -> bool:
        """Whether the Dagster run belongs to a backfill, which counts only what its own runs materialize."""
        return BACKFILL_TAG in self.context.run.tags

    @property
    def request_id(self) -> str | None:
        """The queued request that this Dagster run must start, if the completion sensor requested it."""
        run = self.context.run
        return run.tags.get(REQUEST_TAG) if run.parent_run_id is None else None

    @property
    def admission(self) -> Admission | None:
        """The admission of this request."""
        return Admission.from_text(self.context.run.tags.get(ADMISSION_TAG, ""))

    @cached_property
    def replaces(self) -> Sequence[str]:
        """The Dagster runs that should have reported the same outcome but never finished, as their workers died."""
        run = self.context.run
        ids = run.tags.get(REPLACES_TAG, "") if run.parent_run_id is None else ""
        found = [self.instance.get_run_by_id(run_id) for run_id in ids.split(",") if run_id]
        return [run.run_id for run in found if run is not None and not run.is_finished]

    @cached_property
    def begun_at(self) -> float:
        """The start time of the oldest Dagster run in the ancestry, in epoch seconds. No entry is older.

        This is not the run's creation time, which is the database's local time but is read as UTC.
        """
        oldest = self.dagster_run_ids[-1]
        record = self._first_record if oldest == self.dagster_run_id else self.instance.get_run_record_by_id(oldest)
        return (record.start_time or 0.0) if record else 0.0

    @cached_property
    def _first_record(self) -> dg.RunRecord | None:
        return self._record()

    def _record(self) -> dg.RunRecord | None:
        record: dg.RunRecord | None = self.instance.get_run_record_by_id(self.dagster_run_id)
        return record

    def was_terminated(self, *, after_signal: bool = False) -> bool:
        """Whether a user or a limit terminated the Dagster run. An eviction does not change its status.

        Args:
            after_signal: Whether a signal has arrived, so that a status that does not show the termination yet is read
                a second time.
        """
        if self.own_run_state() is OwnRunState.TERMINATED:
            return True
        if not after_signal:
            return False
        current_clock().sleep(_TERMINATION_DELAY)
        return self.own_run_state() is OwnRunState.TERMINATED

    def own_run_state(self) -> OwnRunState | None:
        """Returns what happened to the Dagster run while this step runs. Takes one query, unless the run failed."""
        return self._state_from(self._record())

    @cached_property
    def own_run_state_at_start(self) -> OwnRunState | None:
        """What had happened to the Dagster run at the first query, which also returns when the run began."""
        return self._state_from(self._first_record)

    def _state_from(self, record: dg.RunRecord | None) -> OwnRunState | None:
        status = record.dagster_run.status if record is not None else None
        if status in _TERMINATED_STATUSES:
            return OwnRunState.TERMINATED
        if status is not dg.DagsterRunStatus.FAILURE:
            return None
        # A run that exceeds its maximum runtime is marked as failed as soon as its termination has been requested.
        return OwnRunState.TERMINATED if self._was_cancel_requested() else OwnRunState.MARKED_FAILED

    def _was_cancel_requested(self) -> bool:
        changes = self.instance.fetch_run_status_changes(dg.DagsterEventType.RUN_CANCELING, limit=_NEWEST_CHANGES)
        return any(event.run_id == self.dagster_run_id for event in changes.records)

    def observe(
        self, keys: Sequence[dg.AssetKey], metadata: Mapping[str, Any], description: str, tags: Mapping[str, str]
    ) -> None:
        """Writes an observation of each asset to the event log immediately, so that it survives this process."""
        has_several = self.single_partition is None and self.partition is not None
        for key in keys:
            self.context.log_event(
                dg.AssetObservation(
                    asset_key=key,
                    description=description,
                    partition=SEVERAL_PARTITIONS if has_several else self.single_partition,
                    metadata=dict(metadata),
                    tags=dict(tags),
                )
            )

    @property
    def asset_keys_upstream_first(self) -> Sequence[dg.AssetKey]:
        """The assets that the run materializes, each after its dependencies. Dagster wants results in this order."""
        definition = self.definition
        deps = {key: {dep.asset_key for dep in definition.get_asset_spec(key).deps} for key in self.asset_keys}
        ordered = TopologicalSorter({key: (of & deps.keys()) - {key} for key, of in deps.items()})
        return list(ordered.static_order())
