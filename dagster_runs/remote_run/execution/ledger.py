"""What we did at the vendor, kept in Dagster's own event log as observations of the asset.

The event log is append-only, works on every storage, and shows in the UI while the run is going. Run tags would not do:
adding one reads, changes and writes the whole run, and parallel steps lose each other's.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import NoneType
from typing import Any

import dagster as dg

from dagster_runs.remote_run.execution.dagster_step import Step
from dagster_runs.remote_run.execution.event_log import events, publications
from dagster_runs.transport.clock import current_clock

LEDGER_KEY = "dagster_runs/ledger"
_CLOCK_MARGIN = 3600.0


class EntryKind(str, Enum):
    """The kinds of ledger entries."""

    STARTING = "starting"
    """The start request is about to be sent."""
    STARTED = "started"
    """The vendor gave an id."""
    NOT_STARTED = "not_started"
    """The start was refused for certain: nothing is going."""
    ABANDONED = "abandoned"
    """Whether the start has begun a run is unknown, and the user wants another all the same."""
    GONE = "gone"
    """The vendor knows nothing of the run that it had started."""
    PROGRESS = "progress"
    """Shown to people; means nothing to us."""
    STEP_CANCELS = "step_cancels"
    """A step whose Dagster run was terminated, or timed out, is about to ask the vendor to cancel the run."""
    STEP_KEEPS = "step_keeps"
    """The step that was about to cancel the run does not: a newer attempt has attached to it."""
    CANCELLING = "cancelling"
    """A person wants the run cancelled: that it ends so is nothing to tell as a failure, nor to try again for."""
    ENDED = "ended"
    """The run failed or was cancelled. The end of a good run is the materialization itself."""


_ABOUT_NO_START = frozenset({EntryKind.PROGRESS, EntryKind.STEP_CANCELS, EntryKind.STEP_KEEPS})
"""Entries that say nothing about what became of a start."""
_KINDS: Mapping[str, tuple[type, ...]] = {
    "at": (int, float),
    "run_id": (str, NoneType),
    "correlation_id": (str,),
    "dagster_run_id": (str,),
    "target": (str,),
    "name": (str,),
    "deadline": (int, float, NoneType),
    "step": (str, NoneType),
    "host": (str, NoneType),
    "execution": (str, NoneType),
    "deferred_payload": (dict, NoneType),
    "provenance": (dict, NoneType),
}
"""Of what an entry must be made to be read."""
_STORED_AS: Mapping[str, str] = {"deferred_payload": "handed_over"}
"""Names in the event log that differ from those here: entries that exist are still read."""


@dataclass(frozen=True)
class LedgerEntry:
    """One ledger entry, as read back.

    Attributes:
        entry: What happened.
        at: Epoch seconds, by the clock of the machine that wrote it.
        run_id: The vendor's id, from ``started`` on.
        correlation_id: Of the start attempt.
        dagster_run_id: The Dagster run that wrote it.
        target: Kind and target of the run then.
        partition: The partition, ``first...last`` for a range.
        name: Tells several runs in one step apart.
        deadline: Epoch seconds at which waiting ends.
        fields: Digest of the run's fields, where another one would mean that somebody changed them.
        deferred_payload: What the completion sensor needs to follow the run; ``None`` where its step does.
        provenance: What the assets would have been made from before the start, as `Provenance.as_json` has it.
        step: Dagster's key of the step. ``None`` in entries of earlier versions, which are of any step.
        host: The clock that ``at`` is by, as `Clock.host` names it; ``None`` in entries of earlier versions.
        execution: The execution of the step that wrote it; ``None`` in entries of earlier versions.
    """

    entry: EntryKind
    at: float
    run_id: str | None
    correlation_id: str
    dagster_run_id: str
    target: str
    partition: str | None
    name: str
    deadline: float | None = None
    fields: str | None = None
    deferred_payload: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] | None = None
    step: str | None = None
    host: str | None = None
    execution: str | None = None

    @classmethod
    def of(cls, event: dg.EventLogRecord) -> "LedgerEntry | None":
        """The entry that an event holds, if it holds one that we can read."""
        observation = event.event_log_entry.asset_observation
        kept = observation.metadata.get(LEDGER_KEY) if observation is not None else None
        if not isinstance(kept, dg.JsonMetadataValue) or not isinstance(kept.value, dict):
            return None
        entry: dict[str, Any] = {name: kept.value.get(_STORED_AS.get(name, name)) for name in cls.__dataclass_fields__}
        if not all(isinstance(entry[name], kinds) for name, kinds in _KINDS.items()):
            return None  # written by another version of this package, or not by us
        try:
            return cls(**{**entry, "entry": EntryKind(entry["entry"])})
        except ValueError:
            return None  # likewise

    @property
    def kind(self) -> str:
        """Which kind of run it was: the name of its class."""
        return self.target.partition(" ")[0]

    def is_of(self, target: str, fields: str | None) -> bool:
        """Whether it is of a run of this target, and with these fields where both are known."""
        return self.target == target and (fields == self.fields or None in (fields, self.fields))


class Ledger:
    """The ledger of one step's remote run: asset key, partition, step and name, in the Dagster runs of its ancestry."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def write(
        self,
        entry: EntryKind,
        description: str,
        *,
        at: float,
        correlation_id: str,
        target: str,
        run_id: str | None = None,
        deadline: float | None = None,
        fields: str | None = None,
        deferred_payload: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
        shown: Mapping[str, Any] | None = None,
    ) -> None:
        """Append an entry. It is stored when this returns."""
        kept = {
            "entry": entry.value,
            "at": at,
            "run_id": run_id,
            "correlation_id": correlation_id,
            "dagster_run_id": self._step.dagster_run_id,
            "target": target,
            "deadline": deadline,
            "fields": fields,
            "partition": self._step.partition,
            "name": self._step.name,
            "step": self._step.step_key,
            "host": current_clock().host(),
            "execution": self._step.execution_id,
            **({} if deferred_payload is None else {"handed_over": dict(deferred_payload)}),
            **({} if provenance is None else {"provenance": dict(provenance)}),
        }
        # People look for a run on every asset that it fills; a start that was refused is only for us.
        keys = self._step.asset_keys if run_id is not None else self._step.asset_keys[:1]
        self._step.observe(keys, {**(shown or {}), LEDGER_KEY: dg.MetadataValue.json(kept)}, description)

    def last(self) -> LedgerEntry | None:
        """What became of the newest start, or ``None``.

        Usually the newest entry of all. But a process that Dagster has given up may yet note the end of its own start,
        when the next attempt has begun another.
        """
        newest: dict[str, LedgerEntry] = {}
        for record in self._newest_first():
            newest.setdefault(record.correlation_id, record)
            if record.entry is EntryKind.STARTING:
                return newest[record.correlation_id]
        return next(iter(newest.values()), None)

    def last_of(self, run_id: str) -> LedgerEntry | None:
        """The newest entry about one remote run, or ``None``."""
        return next((record for record in self._newest_first() if record.run_id == run_id), None)

    def was_finalized_elsewhere(self, run_id: str) -> bool:
        """Whether another Dagster run, whichever, has told one remote run's end, or cancelled it."""
        last = next((record for record in self._newest_first(of_all=True) if record.run_id == run_id), None)
        if last is not None and last.entry in (EntryKind.ENDED, EntryKind.GONE):
            # What a Dagster run has noted that never ended counts for nothing: no alert has fired.
            return last.dagster_run_id not in (self._step.dagster_run_id, *self._step.instead_of)
        return self.was_reported_before(run_id)

    def provenance_of(self, correlation_id: str) -> Mapping[str, Any] | None:
        """What a start's entries tell of the versions that its run was made from."""
        kept = (record.provenance for record in self._newest_first() if record.correlation_id == correlation_id)
        return next((one for one in kept if one is not None), None)

    def starts(self) -> set[str]:
        """The correlation ids of this step's starts."""
        return {record.correlation_id for record in self._newest_first()}

    def was_cancel_requested(self, run_id: str) -> bool:
        """Whether a person has had one deferred run cancelled, though it may not have ended so."""
        of_it = (record for record in self._newest_first(of_all=True) if record.run_id == run_id)
        return any(record.entry is EntryKind.CANCELLING for record in of_it)

    def has_abandoned(self) -> bool:
        """Whether a start was given up that may have begun a run, and none is known to have begun one since."""
        told = (record.entry for record in self._newest_first())
        return (
            next((entry for entry in told if entry in (EntryKind.ABANDONED, EntryKind.STARTED)), None)
            is EntryKind.ABANDONED
        )

    def known_run_ids(self) -> set[str]:
        """The remote runs that this step's attempts are known to have started."""
        return {record.run_id for record in self._newest_first() if record.run_id}

    def attached_later(self, run_id: str) -> LedgerEntry | None:
        """The entry of another execution that has attached to a remote run after this one did; ``None`` if none has.

        An execution in a Dagster run that this one re-executes is an older one, whenever it wrote. One in the same
        Dagster run is newer if it wrote after this one did.
        """
        ancestors = set(self._step.dagster_run_ids[1:])
        in_same_run: LedgerEntry | None = None
        for record in self._newest_first(of_all=True):
            if record.entry is not EntryKind.STARTED or record.run_id != run_id or record.dagster_run_id in ancestors:
                continue
            if self._is_by_this_execution(record):
                return in_same_run
            if record.dagster_run_id != self._step.dagster_run_id:
                return record
            in_same_run = in_same_run or record
        return None

    def is_canceled_by_other_step(self, run_id: str) -> bool:
        """Whether another execution of the step has asked the vendor to cancel a remote run, or is about to."""
        last: dict[str | None, EntryKind] = {}
        for record in self._newest_first(of_all=True, also=(EntryKind.STEP_CANCELS, EntryKind.STEP_KEEPS)):
            is_about_it = record.entry in (EntryKind.STEP_CANCELS, EntryKind.STEP_KEEPS) and record.run_id == run_id
            if is_about_it and not self._is_by_this_execution(record):
                last.setdefault(record.execution or record.dagster_run_id, record.entry)
        return EntryKind.STEP_CANCELS in last.values()

    def _is_by_this_execution(self, record: LedgerEntry) -> bool:
        if record.execution is None:  # of an earlier version, which did not tell a step's executions apart
            return record.dagster_run_id == self._step.dagster_run_id
        return record.execution == self._step.execution_id

    def _newest_first(self, *, of_all: bool = False, also: Collection[EntryKind] = ()) -> Iterator[LedgerEntry]:
        # Which of several entries is newest is the event log's order, not the clocks'.
        dagster_runs = set(self._step.dagster_run_ids)
        for event in events(self._step.instance.fetch_observations, self._filter()):
            record = LedgerEntry.of(event) if of_all or event.run_id in dagster_runs else None
            if record is None or not self._is_ours(record):
                continue
            if record.entry not in _ABOUT_NO_START or record.entry in also:
                yield record

    def _is_ours(self, record: LedgerEntry) -> bool:
        if (record.partition, record.name) != (self._step.partition, self._step.name):
            return False
        return None in (record.step, self._step.step_key) or _inside(record.step) == _inside(self._step.step_key)

    def _filter(self, key: dg.AssetKey | None = None) -> dg.AssetRecordsFilter:
        partition = self._step.single_partition
        return dg.AssetRecordsFilter(
            asset_key=key or self._step.asset_keys[0],
            asset_partitions=[partition] if partition is not None else None,
            # A margin for the clocks of several machines: the exact test is the Dagster run's id.
            after_timestamp=self._step.begun_at - _CLOCK_MARGIN if self._step.begun_at else None,
        )

    def was_reported_before(self, run_id: str) -> bool:
        """Whether an earlier Dagster run has reported the remote run ``run_id`` already, for all its assets."""
        return all(self._was_published_for(key, run_id) for key in self._step.asset_keys)

    def _was_published_for(self, key: dg.AssetKey, run_id: str) -> bool:
        found = publications(self._step.instance, self._filter(key), run_id)
        return any(event.run_id != self._step.dagster_run_id for event in found)


def _inside(step_key: str | None) -> str:
    """A step's key inside its asset: empty for all but graph-backed assets.

    The first part of a key is the asset's own node, which Dagster names otherwise in another job, or in a selection of
    a job's assets: ``suite`` there, ``suite_2`` here. The asset's key tells the same, and stays.
    """
    return (step_key or "").partition(".")[2]
