"""A deferred run on its way: what the ledger handed over, and what looks at it have shown so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

import dagster as dg

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.ledger_entry import LedgerEntry
from dagster_runs.remote_run.execution.poll_schedule import PollSchedule, RunAge
from dagster_runs.remote_run.execution.provenance import Provenance, read_provenance
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.types import RunResult
from dagster_runs.sensors.registry import WatchedAsset

_WORD_WITHIN = 3600.0
"""Seconds within which the vendor is to say something of a run itself; longer for old ones."""


class Phase(Enum):
    """What is to be done about a deferred run."""

    ACTIVE = "going"
    """Look at it."""
    SUCCEEDED = "succeeded"
    """Report its result."""
    MATERIALIZED = "materialized"
    """Report its evaluations: the materialization that they judge is stored."""
    NEEDS_DAGSTER_RUN = "needs a step"
    """Have a Dagster run publish its end: a failure, a timeout, or what a step must decide."""
    RUN_REQUESTED = "requested"
    """Wait until the Dagster run that is to publish its end has begun."""
    DONE = "over"
    """Nothing more, once Dagster has stored what was made of it."""


@dataclass(slots=True, eq=False)
class DeferredRun:
    """One deferred run.

    Attributes:
        asset: The definition that it fills.
        record: Its entry in the ledger.
        storage_id: Of that entry, in the event log.
        run: What runs, as far as following it needs.
        age: How long it has been working.
        polled_at: Epoch seconds of the last look, which may be under way, or of a list of all ends without it; at first
            of the start, or 0 where nobody knows how it stands.
        last_response_at: Epoch seconds of the last look that the vendor answered.
        known_active_until: Epoch seconds up to which it has not ended without having been shown so.
        last_individual_update: Epoch seconds at which the vendor last reported this very run, at first its start; 0
            where no list of finished runs need show it: it was found, its end was shown already, or its result could
            not be fetched.
        phase: What is to be done about it.
        shown: What is to be done by what the last look has shown, until the tick takes it over: a look may outlive the
            tick that began it, and must not undo what that has decided.
        may_be_reported: Whether somebody else may have reported it already.
        is_materialized: Whether its materializations are reported.
        may_be_evaluated: Whether some evaluations may be stored already, by a process before this one or a tick before.
        is_superseded: Whether a Dagster run is to report its success, if there can be one.
        is_canceled: Whether a person had it cancelled by the job for that.
        status: What the last look has shown.
        result: What it brought, of one that succeeded.
        overdue_since: Epoch seconds since which it is seen to be beyond its deadline.
        not_found_since: Epoch seconds since which the vendor says that it does not know it.
        result_failing_since: Epoch seconds since which its result cannot be fetched.
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
    shown: Phase | None = None
    is_materialized: bool = False
    may_be_evaluated: bool = False
    is_superseded: bool = False
    is_canceled: bool = False
    status: RunStatus | None = None
    result: RunResult = field(default_factory=RunResult)
    overdue_since: float | None = None
    not_found_since: float | None = None
    result_failing_since: float | None = None

    @property
    def run_id(self) -> str:
        """The vendor's id."""
        return self.record.run_id or ""

    @property
    def is_of_kind(self) -> bool:
        """Whether it is of the kind that the asset has now; of another one the vendor's answers would mean nothing."""
        return self.record.run_class_name == self.asset.remote.run_class.__name__

    @property
    def keys(self) -> list[dg.AssetKey]:
        """The assets that the run fills, as far as they are still defined."""
        filled = [dg.AssetKey(path) for path in (self.record.deferred_payload or {}).get("assets", ())]
        return [key for key in filled if key in self.asset.keys]

    @property
    def partitions(self) -> Sequence[str]:
        """The partitions that it fills; empty for assets without partitions."""
        stored = (self.record.deferred_payload or {}).get("partitions") or ()
        if not isinstance(stored, Mapping):
            return stored
        return _keys_between(self.asset.definition.partitions_def, str(stored["first"]), str(stored["last"]))

    @property
    def asset_partitions(self) -> list[tuple[dg.AssetKey, str | None]]:
        """Assets and partitions, in the order in which they are reported."""
        return [(key, partition) for key in self.keys for partition in self.partitions or (None,)]

    @property
    def is_unevaluated(self) -> bool:
        """Whether its materializations are reported, and its evaluations are not."""
        return self.is_materialized and self.phase is not Phase.DONE

    @property
    def provenance(self) -> Mapping[str, Provenance]:
        """What each asset was made from, by key as the UI writes it; empty for runs of earlier versions."""
        return read_provenance(self.record.provenance)

    @property
    def partition(self) -> str | None:
        """Its partition, where there is exactly one."""
        return self.partitions[0] if len(self.partitions) == 1 else None

    @property
    def last_status(self) -> RunStatus:
        """The status that the last poll returned; UNKNOWN before the first."""
        return self.status or RunStatus(RunState.UNKNOWN, "")

    @property
    def deadline(self) -> float:
        """Epoch seconds at which waiting ends."""
        timeout = self.asset.remote.options.timeout or self.run.default_timeout
        return self.record.deadline if self.record.deadline is not None else self.record.at + timeout

    def take_over(self) -> None:
        """What the last look has shown counts from now on."""
        if self.phase is Phase.ACTIVE and self.shown is not None:
            self.phase = self.shown

    def needs_individual_poll(self, now: float) -> bool:
        """Whether not being among those that ended tells too little of it: the vendor may have forgotten it."""
        return now >= self.deadline or now - self.last_individual_update > max(_WORD_WITHIN, (now - self.record.at) / 2)

    def is_due(self, pace: PollSchedule, now: float) -> bool:
        """Whether it is worth a look."""
        return self.phase is Phase.ACTIVE and now >= min(
            self.deadline, self.polled_at + self.age.pause(pace, self.polled_at)
        )


@lru_cache(maxsize=64)
def _keys_between(definition: dg.PartitionsDefinition[Any] | None, first: str, last: str) -> Sequence[str]:
    """The partitions of a run that fills so many that only the ends were recorded.

    Without the definition, or with another one, these are the ends: a Dagster run then reports the end of the run.
    """
    try:
        if definition is not None:
            return list(definition.get_partition_keys_in_range(dg.PartitionKeyRange(first, last)))
    except dg.DagsterInvalidInvocationError:
        pass
    return [first, last]
