"""The ledger: what was done at the vendor, kept in Dagster's own event log as observations of the asset.

The event log is append-only, works on every storage, and is visible in the UI while the run is active. Run tags are not
suitable: adding a tag reads, changes and writes the whole Dagster run, so parallel steps overwrite each other's tags.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg

from dagster_runs.remote_run.execution.dagster_step import Step
from dagster_runs.remote_run.execution.event_log import events, reports_of_run
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry

_CLOCK_MARGIN = 3600.0
"""The margin in seconds: entries are read from this long before the Dagster run's start, because the clocks of several
machines may differ."""
_KINDS_NOT_ABOUT_STARTS = frozenset(
    {EntryKind.PROGRESS, EntryKind.STEP_CANCELS, EntryKind.STEP_KEEPS, EntryKind.ADMITTED}
)
"""Entries that say nothing about the outcome of a start."""


@dataclass(frozen=True)
class LedgerState:
    """The state of one step's ledger: queries on entries that were already read.

    The newest of several entries is determined by the order of the event log, not by the clocks.

    Attributes:
        entries: All entries of the asset, partition, step and name, of any Dagster run, newest first.
        dagster_run_ids: The step's Dagster run and those whose remote runs it may attach to, newest first.
        execution_id: The step's execution.
    """

    entries: Sequence[LedgerEntry]
    dagster_run_ids: Sequence[str]
    execution_id: str

    @property
    def newest_start(self) -> LedgerEntry | None:
        """The newest entry about the newest start.

        This is usually the newest entry of all. But a process whose Dagster run was marked as failed may still record
        the outcome of its start after the next attempt has begun a new one.
        """
        newest: dict[str, LedgerEntry] = {}
        for entry in self._of_this_step():
            newest.setdefault(entry.correlation_id, entry)
            if entry.kind in (EntryKind.STARTING, EntryKind.QUEUED):
                return newest[entry.correlation_id]
        return next(iter(newest.values()), None)

    def newest_about(self, run_id: str) -> LedgerEntry | None:
        """Returns the newest entry about one remote run, of this step's Dagster runs."""
        return next((entry for entry in self._of_this_step() if entry.run_id == run_id), None)

    def newest_of_all_about(self, run_id: str) -> LedgerEntry | None:
        """Returns the newest entry about one remote run, of any Dagster run."""
        return next((entry for entry in self._of_all() if entry.run_id == run_id), None)

    def provenance_of(self, correlation_id: str) -> LedgerEntry | None:
        """Returns the newest entry of a start that contains its provenance."""
        found = (entry for entry in self._of_this_step() if entry.correlation_id == correlation_id)
        return next((entry for entry in found if entry.provenance is not None), None)

    @property
    def correlation_ids(self) -> frozenset[str]:
        """The correlation ids of this step's starts."""
        return frozenset(entry.correlation_id for entry in self._of_this_step())

    @property
    def known_run_ids(self) -> frozenset[str]:
        """The remote runs that attempts of this step are known to have started."""
        return frozenset(entry.run_id for entry in self._of_this_step() if entry.run_id)

    @property
    def has_abandoned_start(self) -> bool:
        """Whether a start that may have created a run was abandoned, and no run is known to have started since."""
        kinds = (entry.kind for entry in self._of_this_step())
        newest = next((kind for kind in kinds if kind in (EntryKind.ABANDONED, EntryKind.STARTED)), None)
        return newest is EntryKind.ABANDONED

    def about_request(self, request_id: str) -> Sequence[LedgerEntry]:
        """Returns all entries about a queued request, newest first, of any Dagster run."""
        return [entry for entry in self._of_all(also=(EntryKind.ADMITTED,)) if entry.correlation_id == request_id]

    def was_cancel_requested(self, run_id: str) -> bool:
        """Whether a user requested the cancellation of a deferred run, even if it ended differently."""
        about_it = (entry for entry in self._of_all() if entry.run_id == run_id)
        return any(entry.kind is EntryKind.CANCEL_REQUESTED for entry in about_it)

    def newer_attempt(self, run_id: str) -> LedgerEntry | None:
        """Returns the entry of a newer execution that has attached to a remote run; ``None`` if there is none.

        A newer execution is one that attached after this execution did. An execution in a Dagster run that this one
        re-executes is older, no matter when it wrote its entry. An execution in the same Dagster run is newer if it
        wrote its entry after this one did.
        """
        ancestors = set(self.dagster_run_ids[1:])
        in_same_run: LedgerEntry | None = None
        for entry in self._of_all():
            if entry.kind is not EntryKind.STARTED or entry.run_id != run_id or entry.dagster_run_id in ancestors:
                continue
            if self._is_by_this_execution(entry):
                return in_same_run
            if entry.dagster_run_id != self.dagster_run_ids[0]:
                return entry
            in_same_run = in_same_run or entry
        return None

    def is_canceled_by_other_step(self, run_id: str) -> bool:
        """Whether another execution of the step has asked the vendor to cancel a remote run, or is about to."""
        last: dict[str, EntryKind] = {}
        kinds = (EntryKind.STEP_CANCELS, EntryKind.STEP_KEEPS)
        for entry in self._of_all(also=kinds):
            if entry.kind in kinds and entry.run_id == run_id and not self._is_by_this_execution(entry):
                last.setdefault(entry.execution_id or entry.dagster_run_id, entry.kind)
        return EntryKind.STEP_CANCELS in last.values()

    def _is_by_this_execution(self, entry: LedgerEntry) -> bool:
        if entry.execution_id is None:  # of an earlier version, which did not distinguish a step's executions
            return entry.dagster_run_id == self.dagster_run_ids[0]
        return entry.execution_id == self.execution_id

    def _of_this_step(self) -> Iterator[LedgerEntry]:
        own = set(self.dagster_run_ids)
        return (entry for entry in self._of_all() if entry.dagster_run_id in own)

    def _of_all(self, *, also: Collection[EntryKind] = ()) -> Iterator[LedgerEntry]:
        return (entry for entry in self.entries if entry.kind not in _KINDS_NOT_ABOUT_STARTS or entry.kind in also)


class Ledger:
    """The ledger of one step's remote run: asset key, partition, step and name, in the Dagster runs of its ancestry.

    Attributes:
        state: The state when this attempt first read the ledger, with the entries that this attempt has written since.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._state: LedgerState | None = None

    @property
    def state(self) -> LedgerState:
        """The state when this attempt first read the ledger, with the entries that this attempt has written since."""
        return self._state or self.read()

    def read(self) -> LedgerState:
        """Reads the event log again, because another attempt may have written entries since."""
        found = map(LedgerEntry.from_event, events(self._step.instance.fetch_observations, self._filter()))
        self._state = self._fold(entry for entry in found if entry is not None and self._is_ours(entry))
        return self._state

    def record(self, entry: LedgerEntry) -> None:
        """Appends an entry. It is stored when this returns."""
        # Users expect a run on every asset that it materializes. An entry without a run id is only for this package.
        keys = self._step.asset_keys if entry.run_id is not None else self._step.asset_keys[:1]
        self._step.observe(keys, entry.metadata, entry.description, entry.to_tags())
        if self._state is not None:
            self._state = self._fold([entry, *self._state.entries])

    def was_reported_before(self, run_id: str) -> bool:
        """Whether an earlier Dagster run has already reported a remote run, for all of its assets."""
        return all(self._was_reported_for(key, run_id) for key in self._step.asset_keys)

    def was_finalized_elsewhere(self, run_id: str) -> bool:
        """Whether any other Dagster run has reported the outcome of a remote run, or canceled it."""
        last = self.read().newest_of_all_about(run_id)
        if last is not None and last.kind in (EntryKind.ENDED, EntryKind.GONE):
            # An outcome reported by a Dagster run that never finished does not count, because no alert was triggered.
            return last.dagster_run_id not in (self._step.dagster_run_id, *self._step.replaces)
        return self.was_reported_before(run_id)

    def _fold(self, entries: Iterable[LedgerEntry]) -> LedgerState:
        return LedgerState(tuple(entries), self._step.dagster_run_ids, self._step.execution_id)

    def _is_ours(self, entry: LedgerEntry) -> bool:
        if (entry.partition, entry.name) != (self._step.partition, self._step.name):
            return False
        return None in (entry.step_key, self._step.step_key) or _local_key(entry.step_key) == _local_key(
            self._step.step_key
        )

    def _filter(self, key: dg.AssetKey | None = None) -> dg.AssetRecordsFilter:
        partition = self._step.single_partition
        return dg.AssetRecordsFilter(
            asset_key=key or self._step.asset_keys[0],
            asset_partitions=[partition] if partition is not None else None,
            # This only limits what is read. Entries are then selected by Dagster run id.
            after_timestamp=self._step.begun_at - _CLOCK_MARGIN if self._step.begun_at else None,
        )

    def _was_reported_for(self, key: dg.AssetKey, run_id: str) -> bool:
        found = reports_of_run(self._step.instance, self._filter(key), run_id)
        return any(event.run_id != self._step.dagster_run_id for event in found)


def _local_key(step_key: str | None) -> str:
    """Returns the part of a step's key inside its asset: empty for all but graph-backed assets.

    The first part of a key is the asset's own node. Dagster may name it differently in another job, or in a selection
    of a job's assets: ``suite`` in one, ``suite_2`` in the other. The asset's key identifies the node too, and does not
    change.
    """
    return (step_key or "").partition(".")[2]
