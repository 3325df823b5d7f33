"""The requests of one asset that are queued, according to the entries of its ledger.

A request is queued if a run of the same asset and partition is in flight, or if as many runs are in flight as the user
allows. Nothing is started for it yet. The completion sensor admits the requests in the order of the event log, and the
Dagster run that it then requests starts one remote run for all equal requests.

The field ``queue`` of a ledger entry says what the entry means for the queue:

* ``digest``, of ``QUEUED``, ``STARTING`` and ``STARTED``: the digest of everything that makes two requests equal.
* ``request``, of ``STARTING`` and ``STARTED``: the id of the queued request that is started.
* ``waits``, of ``QUEUED``: whether the step waits for its turn, because it belongs to a backfill.
* ``conflict``, of ``QUEUED``: how often the vendor has refused the start, because another run of the target was active.
* ``attempt``, of ``QUEUED``: the correlation id of the start attempt that became the request.
* ``admission``, of ``ADMITTED``: the `Admission` of a request whose step waits.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from dagster_runs.dagster_private import CheckError
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.transport.clock import current_clock

REQUEST_TAG = "dagster_runs/starts"
"""Tag of a Dagster run that the completion sensor requests: the id of the queued request that it starts."""
ADMISSION_TAG = "dagster_runs/admitted_by"
"""Tag of the same runs: the admission, as written by `Admission.as_text`."""
ADMISSIONS = "(admissions)"
"""The partition of the observations that record admissions, so that one query finds them."""
SEVERAL_PARTITIONS = "(several partitions)"
"""The partition of the entries of a run that materializes several, so that a query for one partition finds them."""

_MAX_DIGITS = 18
"""The maximum number of digits of a storage id that fits in a database's integer."""


@dataclass(frozen=True)
class Admission:
    """A tick that admitted requests. It counts only if it knew about all earlier ones.

    If two ticks overlap, each may fill the last free slot. Both record themselves in the event log. The one that is
    stored later did not know about the other one, so it does not count, and its requests remain queued.

    Attributes:
        tick_id: The tick.
        after: The storage id of the last admission that the tick knew about; 0 for none.
        key: The asset whose observations record the sensor's admissions.
    """

    tick_id: str
    after: int
    key: dg.AssetKey

    def as_text(self) -> str:
        """Returns the text for a tag."""
        return f"{self.tick_id} {self.after} {self.key.to_user_string()}"

    @classmethod
    def from_text(cls, text: str) -> "Admission | None":
        """Reads the result of `as_text`; ``None`` for any other text."""
        tick_id, _, rest = text.partition(" ")
        after, _, key = rest.partition(" ")
        is_valid = after.isdecimal() and after.isascii() and len(after) <= _MAX_DIGITS and key
        return cls(tick_id, int(after), dg.AssetKey.from_user_string(key)) if is_valid else None

    def counts(self, instance: dg.DagsterInstance) -> bool:
        """Whether the tick knew about all earlier admissions. True if the event log no longer has them."""
        wanted = dg.AssetRecordsFilter(self.key, [ADMISSIONS], after_storage_id=self.after)
        records = instance.fetch_observations(wanted, limit=1, ascending=True).records
        entry = LedgerEntry.from_event(records[0]) if records else None
        return entry is None or entry.correlation_id == self.tick_id


def newest_admission(instance: dg.DagsterInstance, key: dg.AssetKey) -> int:
    """Returns the storage id of the newest admission of a sensor; 0 for none."""
    records = instance.fetch_observations(dg.AssetRecordsFilter(key, [ADMISSIONS]), limit=1).records
    return records[0].storage_id if records else 0


@dataclass(frozen=True)
class QueuedRequest:
    """A request that is queued.

    Attributes:
        entry: Its ledger entry.
        storage_id: The entry's id in the event log, which determines the order.
    """

    entry: LedgerEntry
    storage_id: int

    @property
    def request_id(self) -> str:
        """The id of the request."""
        return self.entry.correlation_id

    @property
    def waits(self) -> bool:
        """Whether its step waits for its turn."""
        return bool(queue_field(self.entry, "waits"))

    @property
    def conflicts(self) -> int:
        """The number of times in a row that the vendor has refused its start because another run was active."""
        number = queue_field(self.entry, "conflict")
        return number if isinstance(number, int) else 0


def queue_field(entry: LedgerEntry, name: str) -> str | int | None:
    """Returns one value of an entry's field ``queue``; ``None`` if it has none, or one of a later version."""
    value = (entry.queue or {}).get(name)
    return value if isinstance(value, (str, int)) else None


def entry_about(
    request: LedgerEntry, kind: EntryKind, *, dagster_run_id: str, queue: Mapping[str, Any] | None = None
) -> LedgerEntry:
    """Returns a new entry about a queued request: that it is admitted, canceled or dropped."""
    return LedgerEntry(
        kind,
        at=current_clock().wall(),
        correlation_id=request.correlation_id,
        dagster_run_id=dagster_run_id,
        target=request.target,
        name=request.name,
        partition=request.partition,
        step_key=request.step_key,
        queue=queue,
    )


def equality_key(entry: LedgerEntry) -> tuple[object, ...]:
    """Returns a value that is the same for two requests if one run satisfies both: same fields, assets, partitions."""
    return entry.partition, entry.name, entry.target, queue_field(entry, "digest") or entry.correlation_id


@dataclass
class RequestQueue:
    """The queued requests of one definition, and its starts whose outcome is not recorded yet.

    Attributes:
        pending: The requests by id, in the order of the event log.
        starting: The starts by correlation id.
        admitted: The admissions of requests whose step waits for its turn, by the request's id.
        satisfied: The Dagster runs whose requests a start has satisfied, by the start's correlation id.
    """

    pending: dict[str, QueuedRequest] = field(default_factory=dict)
    starting: dict[str, QueuedRequest] = field(default_factory=dict)
    admitted: dict[str, Admission] = field(default_factory=dict)
    satisfied: dict[str, list[str]] = field(default_factory=dict)

    def apply(self, entry: LedgerEntry, storage_id: int) -> None:
        """Applies the next entry of the event log."""
        if entry.kind is EntryKind.QUEUED:
            for attempt in (entry.correlation_id, queue_field(entry, "attempt")):
                self.starting.pop(str(attempt), None)
            self.admitted.pop(entry.correlation_id, None)
            self.pending[entry.correlation_id] = QueuedRequest(entry, storage_id)
        elif entry.kind is EntryKind.ADMITTED and entry.correlation_id in self.pending:
            admission = Admission.from_text(str(queue_field(entry, "admission")))
            if admission is not None:
                self.admitted[entry.correlation_id] = admission
        elif entry.kind is EntryKind.STARTING:
            self.starting[entry.correlation_id] = QueuedRequest(entry, storage_id)
            head = self.pending.pop(str(queue_field(entry, "request")), None)
            if head is not None:
                self._remove_equal(head.entry, storage_id, entry.correlation_id)
        elif entry.kind is EntryKind.STARTED:
            start = self.starting.pop(entry.correlation_id, None)
            if start is not None:
                self._remove_equal(start.entry, start.storage_id, entry.correlation_id)
        elif entry.kind in (EntryKind.NOT_STARTED, EntryKind.ABANDONED, EntryKind.ENDED, EntryKind.GONE):
            self.starting.pop(entry.correlation_id, None)
        elif entry.kind is EntryKind.CANCEL_REQUESTED and entry.run_id is None:
            self.pending.pop(entry.correlation_id, None)

    def _remove_equal(self, entry: LedgerEntry, before: int, start_id: str) -> None:
        """Removes the requests that a start satisfies: equal ones that were queued before it.

        A request whose step waits is satisfied only by a run of that step.
        """
        satisfied = [
            request_id
            for request_id, one in self.pending.items()
            if one.storage_id < before and not one.waits and equality_key(one.entry) == equality_key(entry)
        ]
        for request_id in satisfied:
            self.satisfied.setdefault(start_id, []).append(self.pending.pop(request_id).entry.dagster_run_id)


def partitions_of(
    entry: LedgerEntry, definition: dg.PartitionsDefinition[Any] | None, instance: dg.DagsterInstance
) -> list[str | None] | None:
    """Returns the partitions that an entry's run materializes; ``[None]`` without partitions.

    Args:
        entry: The entry.
        definition: The asset's partitions.
        instance: The Dagster instance, which has the dynamic partitions.

    Returns:
        ``None`` if they are not known: the entry only has the ends of a range, and the definition has changed.
    """
    stored = (entry.deferred_payload or {}).get("partitions")
    if isinstance(stored, list) and stored:
        return list(stored)
    if entry.partition is None:
        return [None]
    first, separator, last = entry.partition.partition("...")
    if not separator:
        return [entry.partition]
    try:
        if definition is not None:
            with dg.partition_loading_context(dynamic_partitions_store=instance):
                return list(definition.get_partition_keys_in_range(dg.PartitionKeyRange(first, last)))
    except (dg.DagsterError, CheckError, LookupError, ValueError):
        pass  # the definition has changed
    return None


def overlap(one: Iterable[str | None] | None, other: Iterable[str | None] | None) -> bool:
    """Whether two sets of partitions overlap. Unknown partitions overlap with all."""
    return one is None or other is None or not set(one).isdisjoint(other)


def in_order(requests: Iterable[QueuedRequest]) -> Iterator[QueuedRequest]:
    """Yields the requests in the order of the event log, one for all equal ones: the first.

    A request whose step waits needs a run of its own.
    """
    seen: set[tuple[object, ...]] = set()
    for one in sorted(requests, key=lambda request: request.storage_id):
        if one.waits:
            yield one
        elif (key := equality_key(one.entry)) not in seen:
            seen.add(key)
            yield one
