"""The Dagster step that a remote run belongs to: everything that `life` asks of Dagster."""

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
from dagster_runs.remote_run.execution.reexecution import ASSET_RESUME_TAG, Ancestry
from dagster_runs.transport.clock import current_clock

FINISHES_TAG = "dagster_runs/finishes"
"""On a Dagster run that the completion sensor requests: the remote run whose end it publishes."""
INSTEAD_OF_TAG = "dagster_runs/instead_of"
"""On the same: earlier Dagster runs for the same end that have begun and never ended, separated by commas."""
_NEWEST_CHANGES = 1000
_ENDED_BY_A_PERSON = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
_TERMINATION_SETTLES = 2.0
"""Seconds. Dagster marks a run as CANCELING before it signals, but a replica of its database may lag."""


class OwnRunState(Enum):
    """What became of a Dagster run whose step goes on."""

    TERMINATED = "terminated"
    """A person or a limit ended it."""
    MARKED_FAILED = "written off"
    """It counts as failed: run monitoring lost sight of it."""


@dataclass(frozen=True)
class Step:
    """One execution of a step that materializes assets by one remote run.

    Attributes:
        context: The step's context.
        name: Tells several remote runs in one step apart.
        filled: The assets that the run fills, for a step that has others too.
    """

    context: dg.AssetExecutionContext
    name: str = ""
    filled: tuple[dg.AssetKey, ...] = ()

    @property
    def log(self) -> logging.Logger:
        """Dagster's log of this step."""
        return self.context.log

    @property
    def instance(self) -> dg.DagsterInstance:
        """The Dagster instance."""
        instance: dg.DagsterInstance = self.context.instance
        return instance

    @property
    def dagster_run_id(self) -> str:
        """The Dagster run's id."""
        return self.context.run.run_id

    @property
    def attempt(self) -> int:
        """How often this step was retried in this Dagster run, from 0."""
        return self.context.op_execution_context.retry_number

    @cached_property
    def step_key(self) -> str | None:
        """Dagster's key of the step."""
        return dagster_private.step_key(self.context)

    @cached_property
    def execution_id(self) -> str:
        """An id of this execution of the step: two processes may execute the same step of the same Dagster run."""
        return uuid4().hex[:12]

    @cached_property
    def asset_keys(self) -> Sequence[dg.AssetKey]:
        """The assets that the run fills, in a fixed order. The ledger is kept on the first."""
        keys = self.filled or getattr(self.context, "selected_asset_keys", ())
        if not keys:
            raise dg.DagsterInvariantViolationError(
                "A remote run belongs to an asset: materialize the asset, not its checks alone; and call run() inside "
                "an asset, with the asset's context"
            )
        return sorted(keys, key=lambda key: key.path)

    @cached_property
    def check_keys(self) -> frozenset[dg.AssetCheckKey]:
        """The checks that the step declares and is asked to report."""
        return frozenset(self.context.selected_asset_check_keys)

    @cached_property
    def declared_checks(self) -> Mapping[dg.AssetCheckKey, dg.AssetCheckSpec]:
        """All checks that the asset's definition declares, selected or not."""
        return {spec.key: spec for spec in self.context.assets_def.node_check_specs_by_output_name.values()}

    @cached_property
    def check_specs(self) -> Sequence[dg.AssetCheckSpec]:
        """The checks that the step reports, as they are declared.

        *Re-execute from asset failure* selects only what was not reported. That leaves out `run_status`, which the
        failed run reported as failed, and which would stay so.
        """
        is_left_out = self.context.run.tags.get(ASSET_RESUME_TAG) == "true"
        return [
            spec
            for key, spec in self.declared_checks.items()
            if key in self.check_keys or (is_left_out and key.asset_key in self.asset_keys)
        ]

    @property
    def fills_a_range(self) -> bool:
        """Whether it fills a range of partitions and has partitioned checks, which Dagster evaluates for no range."""
        return (
            self.context.has_partition_key_range
            and not self.context.has_partition_key
            and any(map(dagster_private.is_partitioned, self.check_specs))
        )

    @cached_property
    def blocking_checks(self) -> frozenset[str]:
        """The names of those that hold back what is downstream, and fail the step, where they fail with ERROR."""
        return frozenset(spec.name for spec in self.check_specs if spec.blocking)

    @cached_property
    def partition(self) -> str | None:
        """The partition, ``first...last`` for a range, ``None`` for an asset without partitions."""
        if self.single_partition is not None or not self.context.has_partition_key_range:
            return self.single_partition
        keys = self.context.partition_key_range
        return f"{keys.start}...{keys.end}"

    @cached_property
    def single_partition(self) -> str | None:
        """The partition, where the step has exactly one; backfills may ask for it as a range from it to itself."""
        if self.context.has_partition_key:
            return str(self.context.partition_key)
        if not self.context.has_partition_key_range:
            return None
        keys = self.context.partition_key_range
        return str(keys.start) if keys.start == keys.end else None

    @property
    def partitions(self) -> list[str]:
        """All partitions that the step fills; empty for an asset without partitions."""
        return [] if self.partition is None else list(self.context.partition_keys)

    @property
    def fills_whole_range(self) -> bool:
        """Whether its partitions are all those from the first to the last, and stay so: none can be added between."""
        definition = self.context.assets_def.partitions_def
        if not isinstance(definition, (dg.StaticPartitionsDefinition, dg.TimeWindowPartitionsDefinition)):
            return False
        keys = self.partitions
        return list(definition.get_partition_keys_in_range(dg.PartitionKeyRange(keys[0], keys[-1]))) == keys

    @property
    def max_step_retries(self) -> int:
        """How often the step's own policy tries it again."""
        policy = self.context.op_execution_context.op_def.retry_policy
        return policy.max_retries if policy is not None else 0

    @cached_property
    def ancestry(self) -> Ancestry:
        """This Dagster run, and those whose remote runs it may attach to."""
        return Ancestry(self.instance, self.context.run, self.step_key)

    @cached_property
    def dagster_run_ids(self) -> Sequence[str]:
        """The ids of these Dagster runs, newest first."""
        return self.ancestry.run_ids

    @property
    def finishes(self) -> str | None:
        """The remote run whose end this Dagster run was requested to publish, if the completion sensor did so."""
        run = self.context.run
        return run.tags.get(FINISHES_TAG) if run.parent_run_id is None else None

    @cached_property
    def instead_of(self) -> Sequence[str]:
        """The Dagster runs that were to publish the same end and have not ended, as their workers died."""
        run = self.context.run
        ids = run.tags.get(INSTEAD_OF_TAG, "") if run.parent_run_id is None else ""
        found = [self.instance.get_run_by_id(run_id) for run_id in ids.split(",") if run_id]
        return [run.run_id for run in found if run is not None and not run.is_finished]

    @cached_property
    def begun_at(self) -> float:
        """Epoch seconds before which nothing of this run, or of the runs that it resumes, can have happened.

        Not by the time of its creation, which is the database's local time and yet read as UTC.
        """
        oldest = self.dagster_run_ids[-1]
        record = self._at_first if oldest == self.dagster_run_id else self.instance.get_run_record_by_id(oldest)
        return (record.start_time or 0.0) if record else 0.0

    @cached_property
    def _at_first(self) -> dg.RunRecord | None:
        return self._record()

    def _record(self) -> dg.RunRecord | None:
        record: dg.RunRecord | None = self.instance.get_run_record_by_id(self.dagster_run_id)
        return record

    def was_terminated(self, *, after_signal: bool = False) -> bool:
        """Whether a person or a limit ended the Dagster run; an eviction leaves its status alone.

        Args:
            after_signal: A signal has come, so the status is worth a second look if it does not tell yet.
        """
        if self.own_run_state() is OwnRunState.TERMINATED:
            return True
        if not after_signal:
            return False
        current_clock().sleep(_TERMINATION_SETTLES)
        return self.own_run_state() is OwnRunState.TERMINATED

    def own_run_state(self) -> OwnRunState | None:
        """What became of the Dagster run while this step goes on; one query for both, unless it failed."""
        return self._verdict_by(self._record())

    @cached_property
    def own_run_state_at_start(self) -> OwnRunState | None:
        """What had become of it when this was first asked; the same query tells when the run began."""
        return self._verdict_by(self._at_first)

    def _verdict_by(self, record: dg.RunRecord | None) -> OwnRunState | None:
        status = record.dagster_run.status if record is not None else None
        if status in _ENDED_BY_A_PERSON:
            return OwnRunState.TERMINATED
        if status is not dg.DagsterRunStatus.FAILURE:
            return None
        # A run beyond its maximum runtime is marked as failed as soon as it has been asked to end.
        return OwnRunState.TERMINATED if self._was_asked_to_end() else OwnRunState.MARKED_FAILED

    def _was_asked_to_end(self) -> bool:
        changes = self.instance.fetch_run_status_changes(dg.DagsterEventType.RUN_CANCELING, limit=_NEWEST_CHANGES)
        return any(event.run_id == self.dagster_run_id for event in changes.records)

    def observe(
        self, keys: Sequence[dg.AssetKey], metadata: Mapping[str, Any], description: str, tags: Mapping[str, str]
    ) -> None:
        """Write an observation of each asset into the event log, at once, so that it outlives this process."""
        for key in keys:
            self.context.log_event(
                dg.AssetObservation(
                    asset_key=key,
                    description=description,
                    partition=self.single_partition,
                    metadata=dict(metadata),
                    tags=dict(tags),
                )
            )

    @property
    def asset_keys_upstream_first(self) -> Sequence[dg.AssetKey]:
        """The assets that the run fills, each after those that it depends on: Dagster wants their results so."""
        definition = self.context.assets_def
        deps = {key: {dep.asset_key for dep in definition.get_asset_spec(key).deps} for key in self.asset_keys}
        ordered = TopologicalSorter({key: (of & deps.keys()) - {key} for key, of in deps.items()})
        return list(ordered.static_order())
