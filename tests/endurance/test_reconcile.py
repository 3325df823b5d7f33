"""The reconciliation finds each violation, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.endurance.facts import (
    Alert,
    Declared,
    Evaluated,
    Facts,
    Materialized,
    Planned,
    Publishing,
    RemoteRun,
    Target,
)
from tests.endurance.plan import KINDS, Plan
from tests.endurance.reconcile import CATEGORIES, RUN_STATUS, reconcile

GOOD, BAD, HANGS = ("a", "p1"), ("a", "p2"), ("b", "p1")
POOR, POORER = ("c", "p1"), ("c", "p2")
TESTS = "tests_passed"
FIRST, SECOND, THIRD = Target(11, "", 1.0), Target(12, "", 2.0), Target(13, "", 2.0)


def evaluated(place: tuple[str, str], name: str, target: Target | None, **more: Any) -> Evaluated:
    """Returns an evaluation, by default one from the sensor."""
    return Evaluated((place[0], name), more.pop("by", ""), partition=place[1], target=target, **more)


def as_it_should_be() -> Facts:
    """Returns facts of a successful run, a failed one, one that never ends, and one with bad data in two partitions."""
    return Facts(
        planned=[
            Planned(GOOD, "t1"),
            Planned(BAD, "t2", "the warehouse broke"),
            Planned(HANGS, "t3", "RunTimedOut", ends=False),
            Planned(POOR, "t4", further=("p2",), is_bad=True),
        ],
        remote_runs=[
            RemoteRun("r1", "t1", "succeeded"),
            RemoteRun("r2", "t2", "failed"),
            RemoteRun("r3", "t3", "going"),
            RemoteRun("r4", "t4", "succeeded"),
        ],
        materialized=[
            Materialized(GOOD, "r1", 11, "", 1.0),
            Materialized(POOR, "r4", 12, "", 2.0),
            Materialized(POORER, "r4", 13, "", 2.0),
        ],
        evaluated=[
            evaluated(GOOD, RUN_STATUS, FIRST, run_id="r1"),
            evaluated(GOOD, TESTS, FIRST),
            evaluated(POOR, RUN_STATUS, SECOND, run_id="r4"),
            evaluated(POORER, RUN_STATUS, THIRD, run_id="r4"),
            evaluated(POOR, TESTS, SECOND, passed=False, is_blocking=True),
            evaluated(POORER, TESTS, THIRD, passed=False, is_blocking=True),
            evaluated(BAD, RUN_STATUS, None, by="d2", run_id="r2", passed=False),
        ],
        checks=[
            *(Declared((asset, RUN_STATUS)) for asset in ("a", "b", "c")),
            *(Declared((asset, TESTS), asset == "c", asset == "c") for asset in ("a", "b", "c")),
        ],
        publishing=[
            Publishing("d2", BAD, "r2", True, "RunFailed: the warehouse broke"),
            Publishing("d3", HANGS, "r3", True, "RunTimedOut: it did not finish"),
        ],
        alerts=[Alert("d2", 10.0), Alert("d3", 20.0)],
    )


def test_valid_facts_have_no_findings() -> None:
    assert reconcile(as_it_should_be()) == []


def _never_started(facts: Facts) -> None:
    facts.planned.append(Planned(("d", "p1"), "t5"))


def _second_run(facts: Facts) -> None:
    facts.remote_runs.append(RemoteRun("r9", "t1", "succeeded"))


def _lost(facts: Facts) -> None:
    facts.materialized.pop(0)
    del facts.evaluated[:2]


def _one_of_two_partitions_lost(facts: Facts) -> None:
    facts.materialized.pop()
    facts.evaluated = [one for one in facts.evaluated if one.partition != "p2" or one.dagster_run]


def _failure_lost(facts: Facts) -> None:
    [published, *_] = facts.publishing
    facts.publishing[0] = replace(published, began=False)
    facts.evaluated = [one for one in facts.evaluated if not one.dagster_run]


def _twice(facts: Facts) -> None:
    facts.materialized.append(replace(facts.materialized[0], storage_id=14))
    facts.evaluated += [replace(one, target=replace(FIRST, storage_id=14)) for one in facts.evaluated[:2]]


def _failure_reported_twice(facts: Facts) -> None:
    facts.publishing.append(replace(facts.publishing[0], dagster_run="d3"))


def _failure_reported_as_success(facts: Facts) -> None:
    facts.publishing.pop(0)
    facts.materialized.append(Materialized(BAD, "r2", 14, "", 3.0))
    target = Target(14, "", 3.0)
    facts.evaluated[-1:] = [evaluated(BAD, RUN_STATUS, target, run_id="r2"), evaluated(BAD, TESTS, target)]


def _external_run(facts: Facts) -> None:
    facts.materialized.append(Materialized(GOOD, None, 14, "", 3.0))
    target = Target(14, "", 3.0)
    facts.evaluated += [evaluated(GOOD, RUN_STATUS, target), evaluated(GOOD, TESTS, target)]


def _no_status(facts: Facts) -> None:
    facts.evaluated.pop(0)


def _no_status_of_a_failure(facts: Facts) -> None:
    facts.evaluated.pop()


def _no_tests(facts: Facts) -> None:
    facts.evaluated.pop(1)


def _status_twice(facts: Facts) -> None:
    facts.evaluated.append(facts.evaluated[0])


def _tests_twice(facts: Facts) -> None:
    facts.evaluated.append(facts.evaluated[1])


def _change(number: int, **changed: Any) -> Callable[[Facts], None]:
    def change(facts: Facts) -> None:
        facts.evaluated[number] = replace(facts.evaluated[number], **changed)

    return change


def _second_phase_forgotten(facts: Facts) -> None:
    del facts.evaluated[2:6]


def _one_partition_of_a_failure(facts: Facts) -> None:
    facts.planned[1] = replace(facts.planned[1], further=("p3",))


def _other_error(facts: Facts) -> None:
    facts.publishing[0] = replace(facts.publishing[0], message="something went wrong")


def _no_alert(facts: Facts) -> None:
    facts.alerts.pop()


def _duplicate_alert(facts: Facts) -> None:
    facts.alerts.append(Alert("d2", 12.0))


@pytest.mark.parametrize(
    ("break_it", "category"),
    [
        (_never_started, "not started"),
        (_second_run, "second remote run"),
        (_lost, "lost"),
        (_one_of_two_partitions_lost, "lost"),
        (_failure_lost, "lost"),
        (_twice, "told twice"),
        (_failure_reported_twice, "told twice"),
        (_failure_reported_as_success, "told wrongly"),
        (_external_run, "told wrongly"),
        (_no_status, "check missing"),
        (_no_status_of_a_failure, "check missing"),
        (_no_tests, "check missing"),
        (_status_twice, "check twice"),
        (_tests_twice, "check twice"),
        (_second_phase_forgotten, "check missing"),
        (_one_partition_of_a_failure, "check missing"),
        (_change(0, target=None), "check without its target"),
        (_change(4, target=None), "check without its target"),
        (_change(4, partition="p2"), "check of another target"),
        (_change(4, partition=None), "check of another target"),
        (_change(6, partition=None), "check of another target"),
        (_change(0, run_id="r4"), "check of another target"),
        (_change(0, target=replace(FIRST, dagster_run="d9")), "check of another target"),
        (_change(0, target=replace(FIRST, at=1.5)), "check of another target"),
        (_change(1, passed=False), "judged wrongly"),
        (_change(2, passed=False), "judged wrongly"),
        (_change(4, passed=True), "judged wrongly"),
        (_change(5, is_blocking=False), "judged wrongly"),
        (_other_error, "without the vendor's words"),
        (_no_alert, "alert missing"),
        (_duplicate_alert, "alert twice"),
    ],
)
def test_wrong_facts_are_found(break_it: Callable[[Facts], None], category: str) -> None:
    facts = as_it_should_be()
    break_it(facts)
    assert {finding.category for finding in reconcile(facts)} == {category}
    assert category in CATEGORIES


def test_evaluation_of_a_missing_materialization_is_found() -> None:
    facts = as_it_should_be()
    _change(0, target=Target(99, "", 1.0))(facts)
    assert {finding.category for finding in reconcile(facts)} == {"check of another target", "check missing"}


def test_alert_of_a_killed_tick_may_fire_again() -> None:
    facts = as_it_should_be()
    facts.alerts.append(Alert("d2", 12.0))
    facts.kills = [11.0]
    assert reconcile(facts) == []


def test_dagster_run_that_never_started_is_ignored() -> None:
    facts = as_it_should_be()
    facts.publishing.append(Publishing("d1", BAD, "r2", True, "", began=False))
    facts.alerts.append(Alert("d1", 5.0))
    assert reconcile(facts) == []


def test_plan_contains_gates_on_named_daily_and_range_partitions() -> None:
    plan = Plan(7, 2000)
    assert len(plan.deferred_runs) >= 2000
    assert sum(batch.size for batch in plan.batches) == len(plan.deferred_runs)
    assert len({deferred_run.target for deferred_run in plan.deferred_runs.values()}) == len(plan.deferred_runs)
    bad = [deferred_run for deferred_run in plan.deferred_runs.values() if deferred_run.fate == "bad data"]
    assert {(deferred_run.slot.is_daily, len(deferred_run.partitions)) for deferred_run in bad} == {
        (False, 1),
        (True, 1),
        (True, 2),
    }
    assert {deferred_run.slot.kind.name for deferred_run in bad} == {"TestGen tests", "TestGen profiling"}
    days = [day for batch in plan.batches if batch.is_daily for day in batch.partitions]
    assert len(set(days)) == len(days)
    for kind in KINDS:
        assert {slot.is_daily for slot in plan.slots if slot.kind == kind} == {False, True}
