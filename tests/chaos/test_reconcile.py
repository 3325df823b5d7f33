"""The reconciliation of handwritten facts finds each violation, and nothing else."""

from __future__ import annotations

import pytest

from tests.chaos.facts import (
    Cancellation,
    Facts,
    LedgerRecord,
    Materialized,
    RemoteRun,
    RequestedMaterialization,
    StartRequest,
    StepError,
    Termination,
)
from tests.chaos.findings import CATEGORIES
from tests.chaos.reconcile import Account, reconcile

NUMBER, TARGET = 7, "target-7"


def requested(*chains: float, drilled: bool = False, cancel_after: float | None = None) -> RequestedMaterialization:
    return RequestedMaterialization(NUMBER, "Kind", TARGET, chains or (0.0,), cancel_after, drilled)


def run(run_id: str, at: float, end: float | None, outcome: str = "succeeded", target: str = TARGET) -> RemoteRun:
    return RemoteRun(run_id, target, at, outcome, end)  # type: ignore[arg-type]


def ledger_record(entry: str, at: float, run_id: str | None = None, by: str = "d1", **more: object) -> LedgerRecord:
    return LedgerRecord(NUMBER, entry, at, by, str(more.get("key", "c1")), run_id, bool(more.get("attached", False)))


def materialized(run_id: str | None, at: float) -> Materialized:
    return Materialized(NUMBER, run_id, at, "d1")


def step_error(kind: str, text: str, at: float) -> StepError:
    return StepError(NUMBER, kind, text, at, "d1")


def findings(facts: Facts) -> list[tuple[str, int | None]]:
    return [(finding.category, finding.number) for finding in reconcile(facts).findings]


def only(category: str) -> list[tuple[str, int | None]]:
    return [(category, NUMBER)]


def valid_facts() -> Facts:
    """Returns facts with one start, one run and one materialization."""
    return Facts(
        requested=[requested()],
        remote_runs=[run("r1", 2, 10)],
        start_requests=[StartRequest(TARGET, 2)],
        ledger_records=[ledger_record("starting", 1), ledger_record("started", 3, "r1")],
        materialized=[materialized("r1", 11)],
    )


def test_valid_facts_have_no_findings() -> None:
    account = reconcile(valid_facts())
    assert account.findings == []
    assert (account.requested, account.remote_runs, dict(account.endings)) == (1, 1, {"materialized": 1})
    assert [account.count(category) for category in CATEGORIES] == [0] * len(CATEGORIES)


class TestDuplicates:
    def test_second_run_while_the_first_is_active(self) -> None:
        facts = valid_facts()
        facts.remote_runs.append(run("r2", 5, 12))
        facts.ledger_records.append(ledger_record("started", 6, "r2", key="c2"))
        facts.materialized.append(materialized("r2", 13))
        assert findings(facts) == only("duplicate")

    def test_second_run_after_an_unreported_success(self) -> None:
        facts = valid_facts()
        facts.materialized = [materialized("r2", 30)]
        facts.remote_runs.append(run("r2", 20, 29))
        facts.ledger_records.append(ledger_record("started", 21, "r2", key="c2"))
        assert findings(facts) == [*only("duplicate"), *only("lost")]

    def test_second_run_after_a_reported_success(self) -> None:
        """The first run may have failed its quality gate."""
        facts = valid_facts()
        facts.remote_runs.append(run("r2", 20, 29))
        facts.ledger_records.append(ledger_record("started", 21, "r2", key="c2"))
        facts.materialized.append(materialized("r2", 30))
        assert findings(facts) == []

    @pytest.mark.parametrize("outcome", ["failed", "canceled"])
    def test_second_run_after_a_failure(self, outcome: str) -> None:
        facts = valid_facts()
        facts.remote_runs = [run("r0", 0.5, 0.9, outcome), *facts.remote_runs]
        facts.ledger_records.append(ledger_record("started", 0.6, "r0", key="c0"))
        assert findings(facts) == []

    def test_requested_second_run(self) -> None:
        facts = valid_facts()
        facts.requested = [requested(0, 4)]
        facts.remote_runs.append(run("r2", 5, 12))
        facts.ledger_records += [ledger_record("starting", 4.5, key="c2"), ledger_record("started", 6, "r2", key="c2")]
        facts.materialized = [materialized("r2", 13)]
        assert findings(facts) == []
        assert reconcile(facts).requested == 2

    def test_second_run_after_the_vendor_lost_the_first(self) -> None:
        facts = valid_facts()
        facts.remote_runs = [RemoteRun("r0", TARGET, 0.5, "going", None, forgotten_at=1.0), *facts.remote_runs]
        facts.ledger_records.append(ledger_record("started", 0.6, "r0", key="c0"))
        assert findings(facts) == []
        facts.remote_runs[0] = RemoteRun("r0", TARGET, 0.5, "going", None, forgotten_at=5.0)
        assert findings(facts) == only("duplicate")


class TestLostAndOrphaned:
    def test_unreported_success(self) -> None:
        facts = valid_facts()
        facts.materialized = []
        assert findings(facts) == only("lost")

    def test_success_named_in_an_error(self) -> None:
        facts = valid_facts()
        facts.materialized = []
        facts.step_errors = [step_error("RunTimedOut", "run r1 did not finish in time", 9)]
        assert findings(facts) == []

    def test_start_with_an_unknown_outcome(self) -> None:
        facts = valid_facts()
        facts.materialized, facts.ledger_records = [], [ledger_record("starting", 1)]
        facts.step_errors = [step_error("StartOutcomeUnknown", f"unknown whether a run of {TARGET} was started", 9)]
        account = reconcile(facts)
        assert account.findings == []
        assert dict(account.uncertain) == {"StartOutcomeUnknown": 1}

    def test_run_without_any_record(self) -> None:
        facts = valid_facts()
        facts.remote_runs.append(run("r2", 20, 22, "failed"))
        assert findings(facts) == only("orphaned")

    def test_error_without_a_run(self) -> None:
        facts = valid_facts()
        facts.materialized, facts.ledger_records = [], [ledger_record("starting", 1)]
        facts.step_errors = [step_error("RuntimeError", "something went wrong", 9)]
        assert findings(facts) == [*only("lost"), *only("orphaned"), *only("unresolved start")]

    def test_error_from_before_the_run(self) -> None:
        facts = valid_facts()
        facts.materialized, facts.ledger_records = [], []
        facts.step_errors = [step_error("StartOutcomeUnknown", f"unknown whether a run of {TARGET} was started", 1)]
        assert findings(facts) == [*only("lost"), *only("orphaned")]


class TestUncertainStarts:
    @pytest.mark.parametrize(
        ("entry", "expected"),
        [
            (ledger_record("started", 5, "r1", attached=True), {"found again": 1}),
            (ledger_record("started", 5, "r1", by="d2"), {"sent again with the same key": 1}),
            (ledger_record("started", 5, "r1"), {}),
        ],
    )
    def test_found_as_a_run(self, entry: LedgerRecord, expected: dict[str, int]) -> None:
        facts = valid_facts()
        facts.ledger_records = [ledger_record("starting", 1), entry]
        account = reconcile(facts)
        assert (account.findings, dict(account.uncertain)) == ([], expected)

    def test_never_sent(self) -> None:
        """The process was killed while it recorded that it was about to start."""
        facts = valid_facts()
        facts.ledger_records = [ledger_record("starting", 0.1, key="c0"), *facts.ledger_records]
        account = reconcile(facts)
        assert (account.findings, dict(account.uncertain)) == ([], {"never sent: killed before": 1})

    def test_reported_by_the_termination(self) -> None:
        facts = valid_facts()
        facts.ledger_records, facts.materialized = [ledger_record("starting", 1)], []
        facts.step_errors = [step_error("RunTerminated", f"A start of Kind of {TARGET} was in progress", 4)]
        account = reconcile(facts)
        assert (account.findings, dict(account.uncertain)) == ([], {"told by the termination": 1})


class TestWronglyCanceled:
    def facts(self) -> Facts:
        facts = valid_facts()
        facts.materialized = []
        facts.remote_runs = [run("r1", 2, 10, "canceled")]
        facts.cancellations = [Cancellation("r1", 9)]
        return facts

    def test_without_a_termination(self) -> None:
        assert findings(self.facts()) == only("wrongly canceled")

    def test_after_a_termination(self) -> None:
        facts = self.facts()
        facts.terminations = [Termination("d1", 8.5, frozenset({NUMBER}))]
        assert findings(facts) == []

    def test_before_the_termination_or_by_another_one(self) -> None:
        facts = self.facts()
        facts.terminations = [Termination("d1", 9.6, frozenset({NUMBER})), Termination("d2", 1, frozenset({8}))]
        assert findings(facts) == only("wrongly canceled")

    def test_by_the_configured_timeout(self) -> None:
        facts = self.facts()
        facts.requested = [requested(cancel_after=7.0)]
        assert findings(facts) == []
        facts.requested = [requested(cancel_after=8.0)]
        assert findings(facts) == only("wrongly canceled")

    def test_external_run(self) -> None:
        facts = valid_facts()
        facts.cancellations = [Cancellation("r9", 9)]
        assert findings(facts) == [("wrongly canceled", None)]


class TestWronglySuccessful:
    @pytest.mark.parametrize(
        "remote_run",
        [
            run("r1", 2, 10, "failed"),
            run("r1", 2, 10, "canceled"),
            run("r1", 2, None, "going"),
            run("r1", 2, 12),
        ],
    )
    def test_unsuccessful_run(self, remote_run: RemoteRun) -> None:
        facts = valid_facts()
        facts.remote_runs = [remote_run]
        assert findings(facts) == only("wrongly successful")

    def test_run_of_another_target(self) -> None:
        facts = valid_facts()
        facts.remote_runs.append(run("r2", 2, 10, target="target-8"))
        facts.materialized.append(materialized("r2", 11))
        assert findings(facts) == only("wrongly successful")

    @pytest.mark.parametrize("run_id", ["never-seen", None])
    def test_nonexistent_run(self, run_id: str | None) -> None:
        facts = valid_facts()
        facts.materialized.append(materialized(run_id, 11))
        assert findings(facts) == only("wrongly successful")


def test_leaked_secrets_are_found() -> None:
    facts = valid_facts()
    facts.leaks = ["logs/1-0.log holds sandbox-ampe…"]
    assert findings(facts) == [("secret", None)]


class TestDrills:
    def drill(self, facts: Facts) -> tuple[int, int, int]:
        facts.requested = [requested(drilled=True)]
        account: Account = reconcile(facts)
        assert account.findings == []
        drill = account.drills["Kind"]
        return drill.starts, drill.one_run, drill.unknown

    def test_late_kills_do_not_count(self) -> None:
        assert self.drill(valid_facts()) == (0, 0, 0)

    def test_end_in_one_run(self) -> None:
        facts = valid_facts()
        facts.ledger_records = [ledger_record("starting", 1), ledger_record("started", 5, "r1", attached=True)]
        assert self.drill(facts) == (1, 1, 0)

    def test_start_after_a_failed_run_does_not_count(self) -> None:
        facts = valid_facts()
        facts.remote_runs = [run("r1", 2, 10, "failed"), run("r2", 21, 30)]
        facts.ledger_records = [ledger_record("starting", 1), ledger_record("started", 5, "r1", attached=True)]
        facts.ledger_records += [ledger_record("starting", 20, key="c2"), ledger_record("started", 22, "r2", key="c2")]
        facts.materialized = [materialized("r2", 31)]
        assert self.drill(facts) == (1, 1, 0)

    def test_end_in_start_outcome_unknown(self) -> None:
        facts = valid_facts()
        facts.materialized, facts.ledger_records = [], [ledger_record("starting", 1)]
        facts.step_errors = [step_error("StartOutcomeUnknown", f"unknown whether a run of {TARGET} was started", 9)]
        assert self.drill(facts) == (1, 0, 1)
