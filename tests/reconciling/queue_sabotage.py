"""Deliberate faults in the queue of the package, each of which both campaigns must find."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any
from unittest import mock

from dagster_runs.remote_run.execution import queueing, request_queue
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.remote_run.execution.request_queue import Admission, RequestQueue
from dagster_runs.sensors.completion import index, queue
from dagster_runs.sensors.completion.admission import InFlight


def _exceed_the_limit() -> list[Any]:
    """The limit is off by one."""
    made = queue._limits_of

    def one_more(tick: Any) -> dict[Any, int]:
        return {key: limit + 1 for key, limit in made(tick).items()}

    return [mock.patch.object(queue, "_limits_of", one_more)]


def _drop_requests() -> list[Any]:
    """Every second queued request that a process reads is dropped."""
    apply, number = RequestQueue.apply, count()

    def dropping(self: RequestQueue, entry: LedgerEntry, storage_id: int) -> None:
        apply(self, entry, storage_id)
        if entry.kind is EntryKind.QUEUED and next(number) % 2:
            self.pending.pop(entry.correlation_id)

    return [mock.patch.object(RequestQueue, "apply", dropping)]


def _admit_twice() -> list[Any]:
    """A second admitter does not know what the first one has admitted, and steps do not check admissions."""
    return [
        mock.patch.object(queue.Queue, "_in_flight", side_effect=lambda *_: InFlight()),
        mock.patch.object(Admission, "counts", return_value=True),
        mock.patch.object(queueing.InFlight, "reason_to_wait", return_value=None),
    ]


def _merge_different_requests() -> list[Any]:
    """Requests with different fields count as equal."""

    def without_fields(entry: LedgerEntry) -> tuple[object, ...]:
        return entry.partition, entry.name

    return [mock.patch.object(module, "equality_key", without_fields) for module in (request_queue, queueing, index)]


def _admit_by_stale_facts() -> list[Any]:
    """A tick admits by what an earlier tick has read, and its admission counts."""
    made, kept = queue.Queue._in_flight, list[InFlight]()

    def stale(self: queue.Queue, *given: Any) -> InFlight:
        kept.append(made(self, *given))
        return deepcopy_counts(kept[max(0, len(kept) - 4)])

    def deepcopy_counts(found: InFlight) -> InFlight:
        return InFlight(found.runs.copy(), set(found.asset_partitions), set(found.targets))

    return [
        mock.patch.object(queue.Queue, "_in_flight", stale),
        mock.patch.object(Admission, "counts", return_value=True),
        mock.patch.object(queueing.InFlight, "reason_to_wait", return_value=None),
    ]


CHOICES: dict[str, Callable[[], list[Any]]] = {
    "exceed-the-limit": _exceed_the_limit,
    "drop-requests": _drop_requests,
    "admit-twice": _admit_twice,
    "merge-different-requests": _merge_different_requests,
    "admit-by-stale-facts": _admit_by_stale_facts,
}
