"""Ledger entries in the tags of events, and the state that follows from the entries of a step."""

import string
from secrets import token_hex
from typing import Any

import dagster as dg
import pytest

from dagster_runs import RudderStackProfilesRun, build_completion_sensor, build_remote_run_asset
from dagster_runs.remote_run.execution.ledger import LedgerState
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, EntryTooLarge, LedgerEntry
from dagster_runs.sandbox import Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, entry_of, failure, materialize
from tests.sensors.driving import Driver, reported

STARTING, STARTED, NOT_STARTED = EntryKind.STARTING, EntryKind.STARTED, EntryKind.NOT_STARTED
ABANDONED, GONE, ENDED, PROGRESS = EntryKind.ABANDONED, EntryKind.GONE, EntryKind.ENDED, EntryKind.PROGRESS
CANCELS, KEEPS, CANCEL_REQUESTED = EntryKind.STEP_CANCELS, EntryKind.STEP_KEEPS, EntryKind.CANCEL_REQUESTED


def entry(kind: EntryKind, start: str = "first", run_id: str | None = None, **known: Any) -> LedgerEntry:
    return LedgerEntry(kind, 1.5, start, known.pop("dagster_run_id", "this"), "Run target", "", run_id=run_id, **known)


def state(*oldest_first: LedgerEntry, dagster_run_ids: tuple[str, ...] = ("this", "before")) -> LedgerState:
    return LedgerState(tuple(reversed(oldest_first)), dagster_run_ids, "execution")


class TestTags:
    whole = entry(
        STARTED,
        run_id="run-ä-✓",
        partition="2026-11-01...2026-11-30",
        deadline=1.0e9,
        fields_digest="abc",
        deferred_payload={"run": {"x": [1, None, "y"]}, "assets": [["a", "b"]], "partitions": ["p"]},
        provenance={"a": {"code_version": "1", "inputs": {"b": ["v", 7]}}},
        step_key="a.b",
        host="h",
        execution_id="e",
    )

    @pytest.mark.parametrize("written", [whole, entry(STARTING), *(entry(kind, run_id="r") for kind in EntryKind)])
    def test_entry_is_read_as_it_was_written(self, written: LedgerEntry) -> None:
        observation = dg.AssetObservation("a", tags=written.to_tags())
        assert LedgerEntry.from_observation(observation) == written

    def test_dagster_accepts_the_tags(self, instance: dg.DagsterInstance) -> None:
        tags = self.whole.to_tags()
        allowed = set(string.ascii_letters + string.digits + "_.-")
        assert all(len(value) <= 63 and set(value) <= allowed for value in tags.values())
        instance.report_runless_asset_event(dg.AssetObservation("a", tags=tags))
        [record] = instance.fetch_observations(dg.AssetKey("a"), limit=1).records
        assert entry_of(record) == self.whole

    def test_oversized_entry_raises_entry_too_large(self) -> None:
        with pytest.raises(EntryTooLarge, match="the limit is 200"):
            entry(STARTED, deferred_payload={"run": {"x": token_hex(20_000)}}).to_tags()

    @pytest.mark.parametrize(
        "tags",
        [
            {},
            {"dagster_runs/ledger_0": "not_base64_of_anything"},
            {"dagster_runs/ledger_0": "A"},
            {"dagster_runs/ledger_1": "eJyrVspOzFOyUlBKK8rPVbJSUMpMAQA4LAXJ"},
            {**whole.to_tags(), "dagster_runs/ledger_1": "AAAA"},
            {name: value for name, value in whole.to_tags().items() if name != "dagster_runs/ledger_2"},
        ],
    )
    def test_damaged_tags_are_not_read_as_an_entry(self, tags: dict[str, str]) -> None:
        assert LedgerEntry.from_observation(dg.AssetObservation("a", tags=tags)) is None

    def test_unknown_entry_kind_is_ignored(self) -> None:
        later = entry(STARTED)
        object.__setattr__(later, "kind", "teleported")
        assert LedgerEntry.from_observation(dg.AssetObservation("a", tags=later.to_tags())) is None

    def test_ledger_fields_are_stored_in_tags_not_in_metadata(
        self, sandbox: Sandbox, clock: SandboxClock, instance: dg.DagsterInstance
    ) -> None:
        asset = build_remote_run_asset(PROFILES, key="features")
        assert materialize([asset], sandbox, instance).success
        for record in instance.fetch_observations(dg.AssetKey("features"), limit=10).records:
            assert "dagster_runs/ledger" not in record.asset_observation.metadata
            assert entry_of(record).execution_id


@pytest.mark.parametrize(
    ("entries", "newest"),
    [
        ([], None),
        ([entry(STARTING)], STARTING),
        ([entry(STARTING), entry(STARTED, run_id="r")], STARTED),
        ([entry(STARTING), entry(STARTED, run_id="r"), entry(PROGRESS, run_id="r")], STARTED),
        ([entry(STARTING), entry(NOT_STARTED)], NOT_STARTED),
        ([entry(STARTING), entry(ABANDONED)], ABANDONED),
        ([entry(STARTING), entry(STARTED, run_id="r"), entry(GONE, run_id="r")], GONE),
        ([entry(STARTING), entry(STARTED, run_id="r"), entry(ENDED, run_id="r")], ENDED),
        ([entry(STARTING), entry(STARTED, run_id="r"), entry(CANCEL_REQUESTED, run_id="r")], CANCEL_REQUESTED),
        ([entry(STARTING), entry(STARTED, run_id="r"), entry(CANCELS, run_id="r")], STARTED),
        ([entry(STARTING), entry(STARTED, run_id="r"), entry(CANCELS, run_id="r"), entry(KEEPS, run_id="r")], STARTED),
        ([entry(STARTING), entry(STARTED, run_id="r"), entry(STARTING, "second")], STARTING),
        # A process whose Dagster run was marked as failed writes the entry `ended` of its own start late.
        (
            [entry(STARTING), entry(STARTED, run_id="r"), entry(STARTING, "second"), entry(ENDED, run_id="r")],
            STARTING,
        ),
        ([entry(STARTING), entry(STARTING, "second"), entry(STARTED, "second", "s"), entry(NOT_STARTED)], STARTED),
        ([entry(STARTING, dagster_run_id="another")], None),
        ([entry(STARTED, run_id="r", dagster_run_id="before")], STARTED),
    ],
)
def test_newest_start_is_the_latest_one_in_the_ledger(entries: list[LedgerEntry], newest: EntryKind | None) -> None:
    found = state(*entries).newest_start
    assert (found.kind if found is not None else None) is newest


@pytest.mark.parametrize(
    ("kinds", "abandoned"),
    [
        ([], False),
        ([STARTING, ABANDONED], True),
        ([STARTING, ABANDONED, STARTING], True),
        ([STARTING, ABANDONED, STARTING, STARTED], False),
        ([STARTING, STARTED, ENDED, STARTING, ABANDONED], True),
    ],
)
def test_start_stays_abandoned_until_a_later_one_starts_a_run(kinds: list[EntryKind], abandoned: bool) -> None:
    assert state(*map(entry, kinds)).has_abandoned_start is abandoned


def test_known_runs_exclude_unrelated_dagster_runs() -> None:
    known = state(
        entry(STARTING, "other", dagster_run_id="another"),
        entry(STARTED, "other", "o", dagster_run_id="another"),
        entry(STARTING, "first", dagster_run_id="before"),
        entry(STARTED, "first", "r", dagster_run_id="before"),
        entry(STARTING, "second"),
    )
    assert known.known_run_ids == {"r"}
    assert known.correlation_ids == {"first", "second"}
    assert known.newest_about("o") is None
    about = known.newest_of_all_about("o")
    assert about is not None
    assert about.dagster_run_id == "another"


def test_cancel_request_of_another_dagster_run_counts() -> None:
    ledger = state(entry(STARTED, run_id="r"), entry(CANCEL_REQUESTED, run_id="r", dagster_run_id="cancel job"))
    assert ledger.was_cancel_requested("r")
    assert not ledger.was_cancel_requested("s")


OWN = {"execution_id": "execution"}
OTHER = {"execution_id": "other"}


@pytest.mark.parametrize(
    ("entries", "newer"),
    [
        ([entry(STARTED, run_id="r", **OWN)], None),
        ([entry(STARTED, run_id="r", **OWN), entry(STARTED, run_id="r", **OTHER)], "this"),
        ([entry(STARTED, run_id="r", **OTHER), entry(STARTED, run_id="r", **OWN)], None),
        ([entry(STARTED, run_id="r", **OWN), entry(STARTED, run_id="r", dagster_run_id="after", **OTHER)], "after"),
        # The Dagster run that this one re-executes is older, no matter when it wrote its entry.
        ([entry(STARTED, run_id="r", **OWN), entry(STARTED, run_id="r", dagster_run_id="before", **OTHER)], None),
        ([entry(STARTED, run_id="r", **OWN), entry(STARTED, run_id="s", dagster_run_id="after", **OTHER)], None),
    ],
)
def test_newer_attempt_is_the_one_that_attached_later(entries: list[LedgerEntry], newer: str | None) -> None:
    found = state(*entries).newer_attempt("r")
    assert (found.dagster_run_id if found is not None else None) == newer


@pytest.mark.parametrize(
    ("entries", "canceled"),
    [
        ([], False),
        ([entry(CANCELS, run_id="r", **OTHER)], True),
        ([entry(CANCELS, run_id="r", **OWN)], False),
        ([entry(CANCELS, run_id="r", **OTHER), entry(KEEPS, run_id="r", **OTHER)], False),
        ([entry(CANCELS, run_id="s", **OTHER)], False),
        ([entry(CANCELS, run_id="r", execution_id="a"), entry(KEEPS, run_id="r", execution_id="b")], True),
    ],
)
def test_cancellation_by_another_step_counts_until_that_step_keeps_the_run(
    entries: list[LedgerEntry], canceled: bool
) -> None:
    assert state(*entries).is_canceled_by_other_step("r") is canceled


class TestManyPartitions:
    @pytest.mark.parametrize("count", [10, 320])
    @pytest.mark.usefixtures("clock")
    def test_each_partition_is_reported(self, count: int, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        keys = [f"{number:05d}_{token_hex(16)}" for number in range(count)]
        asset = build_remote_run_asset(
            PROFILES,
            key="features",
            wait="defer",
            partitions_def=dg.StaticPartitionsDefinition(keys),
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        tags = {"dagster/asset_partition_range_start": keys[1], "dagster/asset_partition_range_end": keys[-2]}
        assert materialize([asset], sandbox, instance, tags=tags).success
        [payload] = [
            found.deferred_payload
            for record in instance.fetch_observations(dg.AssetKey("features"), limit=10).records
            if (found := entry_of(record)).kind is STARTED
        ]
        assert payload is not None
        is_short = payload["partitions"] == {"first": keys[1], "last": keys[-2]}
        assert is_short is (count == 320)
        driver = Driver(build_completion_sensor([asset]), [asset], sandbox, instance)
        sandbox.advance(3600)
        found = driver.evaluate().asset_events
        assert [event.partition for event in found] == keys[1:-1]

    def test_run_that_cannot_be_recorded_is_not_started(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        large = RudderStackProfilesRun(profiles_id=PROFILES.target, parameters=[f"--x={token_hex(20_000)}"])
        asset = build_remote_run_asset(large, key="features", wait="defer")
        result = materialize([asset], sandbox, instance)
        assert not result.success
        assert "cannot be recorded in Dagster's event log" in failure(result)
        assert "Nothing was started" in failure(result)
        assert sandbox.starts("rudderstack") == 0
        assert reported(instance, "features") == []
