"""A deferred run: the payload in its ledger entry, and what polling has shown so far. Also a queued one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import dagster as dg

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.evaluations import AssetPartition
from dagster_runs.remote_run.execution.ledger_entry import LedgerEntry
from dagster_runs.remote_run.execution.poll_schedule import PollSchedule, RunAge
from dagster_runs.remote_run.execution.provenance import Provenance, read_provenance
from dagster_runs.remote_run.execution.request_queue import QueuedRequest
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.types import RunResult
from dagster_runs.sensors import limits
from dagster_runs.sensors.completion.decisions import Phase, phase_after_poll
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.sensors.tick_summary import asset_names, describe
from dagster_runs.transport.errors import NotFoundError


class RecordedRun:
    """A run as its ledger entry describes it.

    Attributes:
        asset: The definition whose assets it materializes.
        record: Its ledger entry.
    """

    __slots__ = ()

    asset: WatchedAsset
    record: LedgerEntry

    @property
    def keys(self) -> list[dg.AssetKey]:
        """The assets that the run materializes, without those that are no longer defined."""
        filled = [dg.AssetKey(path) for path in (self.record.deferred_payload or {}).get("assets", ())]
        return [key for key in filled if key in self.asset.keys]

    @property
    def partitions(self) -> Sequence[str]:
        """The partitions that it materializes; empty for assets without partitions."""
        stored = (self.record.deferred_payload or {}).get("partitions") or ()
        if not isinstance(stored, Mapping):
            return stored
        return _keys_between(self.asset.definition.partitions_def, str(stored["first"]), str(stored["last"]))

    @property
    def asset_partitions(self) -> list[AssetPartition]:
        """The assets and partitions that it materializes, in the order in which they are reported."""
        return [(key, partition) for key in self.keys for partition in self.partitions or (None,)]

    @property
    def last_asset_partition(self) -> AssetPartition | None:
        """The one that is reported last; ``None`` if none of its assets is defined any longer."""
        keys = self.keys
        return (keys[-1], (self.partitions or (None,))[-1]) if keys else None

    @property
    def partition(self) -> str | None:
        """The partition that it materializes, if there is exactly one."""
        return self.partitions[0] if len(self.partitions) == 1 else None


@dataclass(slots=True, eq=False)
class DeferredRun(RecordedRun):
    """One deferred run. Only the tick's thread changes it.

    Attributes:
        asset: The definition whose assets it materializes.
        record: Its ledger entry.
        storage_id: The entry's id in the event log.
        run: The remote run, with the fields that are needed to poll it and to fetch its result.
        age: How long it has been running.
        polled_at: Epoch seconds of the last status call that has ended, or of a complete list of finished runs without
            the run. Initially the time of the start, or 0 if the state of the run is unknown.
        last_response_at: Epoch seconds of the last status call that the vendor responded to.
        known_active_until: Epoch seconds up to which the run is known not to have finished.
        last_individual_update: Epoch seconds at which the vendor last reported this particular run, initially the time
            of its start. 0 if the list of finished runs may not show it: the run was found, or its last poll failed.
        phase: What to do about it.
        may_be_reported: Whether another process may have reported it already.
        is_timeout_checked: Whether it is known that no other process has reported its timeout, for one that succeeded.
        is_materialized: Whether its materializations are reported.
        unmaterialized: The assets and partitions whose materializations this process has not reported yet; ``None``
            before it has reported any.
        observed: The assets and partitions for which a failure is reported without a Dagster run.
        not_superseded: The number of assets and partitions for which its evaluations are known not to be superseded.
        evaluated: The number of assets and partitions whose evaluations this process has reported.
        evaluated_checks: The checks of tables that are reported, for a run of a suite.
        may_be_evaluated: Whether some evaluations may already be stored, by an earlier process or an earlier tick.
        is_superseded: Whether a Dagster run must report its success, if one can be requested.
        is_cancel_requested: Whether a user requested its cancellation with the cancel job.
        status: The status that the last status call returned.
        result: The result of a run that succeeded.
        overdue_since: Epoch seconds at which this process first saw that it is past its deadline.
        not_found_since: Epoch seconds since which the vendor has reported that it does not know the run.
        result_failing_since: Epoch seconds since which its result could not be fetched.
    """

    asset: WatchedAsset
    record: LedgerEntry
    storage_id: int
    run: RemoteRun[Any]
    age: RunAge
    polled_at: float
    phase: Phase
    may_be_reported: bool
    known_active_until: float
    last_individual_update: float = 0.0
    last_response_at: float = 0.0
    is_timeout_checked: bool = False
    is_materialized: bool = False
    unmaterialized: Sequence[AssetPartition] | None = None
    observed: set[AssetPartition] = field(default_factory=set)
    not_superseded: int = 0
    evaluated: int = 0
    evaluated_checks: set[dg.AssetCheckKey] = field(default_factory=set)
    may_be_evaluated: bool = False
    is_superseded: bool = False
    is_cancel_requested: bool = False
    status: RunStatus | None = None
    result: RunResult = field(default_factory=RunResult)
    overdue_since: float | None = None
    not_found_since: float | None = None
    result_failing_since: float | None = None

    def __str__(self) -> str:
        return f"{self.run.vendor} run {self.run_id}"

    @property
    def phrase(self) -> str:
        """The run, its assets, and how it ended, for the text of a tick."""
        run = self.run if self.has_current_run_class else None
        return describe(self.keys, run, self.run_id, self.status, self.partitions)

    @property
    def run_id(self) -> str:
        """The vendor's id of the run."""
        return self.record.run_id or ""

    @property
    def has_current_run_class(self) -> bool:
        """Whether its run class is the asset's current one. Otherwise, the vendor's responses cannot be interpreted."""
        return self.record.run_class_name == self.asset.remote.run_class.__name__

    def may_be_timed_out(self, now: float) -> bool:
        """Whether it succeeded, but another process may have reported its timeout before."""
        is_late = self.may_be_reported and now >= self.deadline
        return self.phase is Phase.SUCCEEDED and is_late and not self.is_timeout_checked

    @property
    def is_unevaluated(self) -> bool:
        """Whether some of its materializations are reported, but not all of its evaluations."""
        return (self.is_materialized or self.unmaterialized is not None) and self.phase is not Phase.DONE

    @property
    def next_to_evaluate(self) -> Sequence[AssetPartition]:
        """The assets and partitions whose evaluations are reported next. Their materializations are read at once."""
        return self.asset_partitions[self.evaluated :][: limits.EVALUATED_AT_ONCE]

    @property
    def provenance(self) -> Mapping[str, Provenance]:
        """What each asset was made from, by key in the UI's spelling; empty for runs of earlier versions."""
        return read_provenance(self.record.provenance)

    @property
    def last_status(self) -> RunStatus:
        """The status that the last status call returned; UNKNOWN before the first."""
        return self.status or RunStatus(RunState.UNKNOWN, "")

    @property
    def deadline(self) -> float:
        """Epoch seconds of the deadline."""
        timeout = self.asset.remote.options.timeout or self.run.default_timeout
        return self.record.deadline if self.record.deadline is not None else self.record.at + timeout

    def apply_poll(
        self, polled_at: float, status: RunStatus | None, result: RunResult | None, error: Exception | None
    ) -> None:
        """Applies the result of a status call.

        Args:
            polled_at: Epoch seconds.
            status: The status of the run; ``None`` if the call failed.
            result: The result of a run that succeeded; ``None`` if it could not be fetched.
            error: Why the status or the result could not be fetched.
        """
        self.polled_at = max(self.polled_at, polled_at)
        self.result = result or self.result
        if status is not None:
            self.not_found_since, self.status = None, status
            self.last_response_at = self.last_individual_update = self.known_active_until = polled_at
            self.age.update(status, polled_at)
            if error is not None:
                self.result_failing_since = self.result_failing_since or polled_at
        elif isinstance(error, NotFoundError):
            self.last_response_at = polled_at
            self.not_found_since = self.not_found_since or polled_at
        if error is not None:
            self.last_individual_update = 0.0  # the list of finished runs may have shown it, and need not do so again
        if self.phase is Phase.ACTIVE:  # a call may outlive its tick, and must not undo a later decision
            self.phase = phase_after_poll(
                status,
                error,
                has_result=result is not None,
                not_found_for=polled_at - (self.not_found_since or polled_at),
                result_failing_for=polled_at - (self.result_failing_since or polled_at),
                is_cancel_requested=self.is_cancel_requested,
            )

    def needs_individual_poll(self, now: float) -> bool:
        """Whether its absence from the list of finished runs is not enough, as the vendor may have lost the run."""
        silence = max(limits.MAX_SILENCE, (now - self.record.at) / 2)
        return now >= self.deadline or now - self.last_individual_update > silence

    def is_due(self, schedule: PollSchedule, now: float) -> bool:
        """Whether it is time to poll it."""
        due_at = self.polled_at + self.age.pause(schedule, self.polled_at)
        return self.phase is Phase.ACTIVE and now >= min(self.deadline, due_at)


@dataclass(frozen=True, eq=False)
class QueuedRun(RecordedRun):
    """A queued request: nothing has been started for it.

    Attributes:
        asset: The definition whose assets it materializes.
        request: The request.
    """

    asset: WatchedAsset
    request: QueuedRequest

    def __str__(self) -> str:
        return f"request {self.request.request_id}"

    @property
    def record(self) -> LedgerEntry:  # type: ignore[override]
        """Its ledger entry."""
        return self.request.entry

    @property
    def phrase(self) -> str:
        """The request and its assets, for the text of a tick."""
        return f"{asset_names(self.keys, self.partitions)}: request {self.request_id[:8]}"

    @property
    def request_id(self) -> str:
        """The id of the request."""
        return self.request.request_id


@lru_cache(maxsize=64)
def _keys_between(definition: dg.PartitionsDefinition[Any] | None, first: str, last: str) -> Sequence[str]:
    """Returns the partitions of a run that materializes so many that only the ends were recorded.

    If the definition is missing or was changed, returns only the ends. A Dagster run then reports the outcome.
    """
    try:
        if definition is not None:
            return list(definition.get_partition_keys_in_range(dg.PartitionKeyRange(first, last)))
    except dg.DagsterInvalidInvocationError:
        pass
    return [first, last]
