"""The queue as it follows from ledger entries, and the admissions that count."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.remote_run.execution.request_queue import (
    ADMISSIONS,
    Admission,
    RequestQueue,
    in_order,
    newest_admission,
    overlap,
    partitions_of,
)

KEY = dg.AssetKey(["testgen", "a key with spaces"])


def entry(kind: EntryKind, correlation_id: str, digest: str = "same", **fields: Any) -> LedgerEntry:
    about = {"digest": digest, **fields.pop("queue", {})}
    return LedgerEntry(kind, 0.0, correlation_id, "dagster run", "TestGenTestRun suite", "", queue=about, **fields)


def folded(*entries: LedgerEntry) -> RequestQueue:
    queue = RequestQueue()
    for storage_id, one in enumerate(entries, start=1):
        queue.apply(one, storage_id)
    return queue


def test_start_of_a_request_satisfies_equal_ones_that_were_queued_before_it() -> None:
    queue = folded(
        entry(EntryKind.QUEUED, "one"),
        entry(EntryKind.QUEUED, "two"),
        entry(EntryKind.QUEUED, "other", digest="different"),
        entry(EntryKind.QUEUED, "other partition", partition="p"),
        entry(EntryKind.STARTING, "start", queue={"request": "one"}),
        entry(EntryKind.QUEUED, "late"),
        entry(EntryKind.STARTED, "start", run_id="run"),
    )
    assert list(queue.pending) == ["other", "other partition", "late"]
    assert not queue.starting


def test_start_without_a_request_satisfies_equal_ones_once_it_has_started() -> None:
    before = [entry(EntryKind.QUEUED, "one"), entry(EntryKind.STARTING, "start")]
    assert list(folded(*before).pending) == ["one"]
    assert list(folded(*before, entry(EntryKind.NOT_STARTED, "start")).pending) == ["one"]
    assert list(folded(*before, entry(EntryKind.STARTED, "start", run_id="run")).pending) == []


def test_request_that_is_queued_again_is_pending_and_its_start_is_forgotten() -> None:
    queue = folded(
        entry(EntryKind.QUEUED, "one"),
        entry(EntryKind.STARTING, "start", queue={"request": "one"}),
        entry(EntryKind.QUEUED, "one", queue={"attempt": "start"}),
    )
    assert (list(queue.pending), list(queue.starting)) == (["one"], [])


def test_canceled_request_is_not_pending_but_a_canceled_run_changes_nothing() -> None:
    queue = folded(entry(EntryKind.QUEUED, "one"), entry(EntryKind.CANCEL_REQUESTED, "one", run_id="run"))
    assert list(queue.pending) == ["one"]
    queue.apply(entry(EntryKind.CANCEL_REQUESTED, "one"), 3)
    assert not queue.pending


def test_requests_without_a_digest_are_never_equal() -> None:
    queue = folded(entry(EntryKind.QUEUED, "one", digest=""), entry(EntryKind.QUEUED, "two", digest=""))
    assert [one.request_id for one in in_order(queue.pending.values())] == ["one", "two"]


def test_equal_requests_are_one_in_the_order_of_the_log() -> None:
    queue = folded(
        entry(EntryKind.QUEUED, "one", digest="x"),
        entry(EntryKind.QUEUED, "two", digest="y"),
        entry(EntryKind.QUEUED, "three", digest="x"),
    )
    assert [one.request_id for one in in_order(reversed(queue.pending.values()))] == ["one", "two"]


def test_request_whose_step_waits_needs_a_run_of_its_own() -> None:
    waits = {"waits": True}
    queue = folded(
        entry(EntryKind.QUEUED, "one"),
        entry(EntryKind.QUEUED, "waiting", queue=waits),
        entry(EntryKind.QUEUED, "waiting too", queue=waits),
    )
    assert [one.request_id for one in in_order(queue.pending.values())] == ["one", "waiting", "waiting too"]
    queue.apply(entry(EntryKind.STARTING, "start", queue={"request": "one"}), 4)
    queue.apply(entry(EntryKind.STARTED, "start", run_id="run"), 5)
    assert list(queue.pending) == ["waiting", "waiting too"]


def test_admission_survives_its_tag() -> None:
    admission = Admission("tick", 12, KEY)
    assert Admission.from_text(admission.as_text()) == admission
    assert Admission.from_text("") is None
    assert Admission.from_text("tick x key") is None


def test_admission_counts_only_if_it_knew_all_earlier_ones(instance: dg.DagsterInstance) -> None:
    def store(tick_id: str) -> None:
        tags = entry(EntryKind.ADMITTED, tick_id).to_tags()
        instance.report_runless_asset_event(dg.AssetObservation(KEY, partition=ADMISSIONS, tags=tags))

    known = newest_admission(instance, KEY)
    assert known == 0
    first, stale = Admission("first", known, KEY), Admission("stale", known, KEY)
    assert first.counts(instance)  # wiped, or not stored yet
    store("first")
    store("stale")
    assert first.counts(instance)
    assert not stale.counts(instance)
    third = Admission("third", newest_admission(instance, KEY), KEY)
    store("third")
    assert third.counts(instance)


@pytest.mark.parametrize(
    ("partition", "expected"),
    [(None, [None]), ("b", ["b"]), ("b...d", ["b", "c", "d"]), ("b...gone", None), ("x...y...z", None)],
)
def test_partitions_of_an_entry(
    partition: str | None, expected: list[str | None] | None, instance: dg.DagsterInstance
) -> None:
    definition = dg.StaticPartitionsDefinition(["a", "b", "c", "d"])
    found = partitions_of(entry(EntryKind.STARTING, "start", partition=partition), definition, instance)
    assert found == expected
    assert overlap(found, ["c"]) is (expected is None or "c" in expected)
