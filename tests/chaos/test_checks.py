"""Reconciliation of check evaluations over two days, with bad data in the first run and good data in the second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.checks import RUN_STATUS, reconcile_checks
from tests.chaos.facts import Evaluated, Facts, Materialized, RemoteRun, RequestedMaterialization, Target

NUMBER, TESTS = 7, "tests_passed"
DAYS = ("2026-01-01", "2026-01-02")


def evaluations(first: int, by: str, run_id: str, *, passed: bool) -> list[Evaluated]:
    """Returns both checks of both days, from a Dagster run that materialized both."""
    return [
        Evaluated(NUMBER, name, 9, by, passed or name == RUN_STATUS, name == TESTS, known, day, Target(storage, by, 8))
        for storage, day in enumerate(DAYS, first)
        for name, known in ((RUN_STATUS, run_id), (TESTS, None))
    ]


def as_it_should_be() -> Facts:
    return Facts(
        requested=[
            RequestedMaterialization(
                NUMBER,
                "Kind",
                "target-7",
                (0.0,),
                checks=((RUN_STATUS, False), (TESTS, True)),
                judged_by=TESTS,
                finds_bad_data=(True, False),
                partitions=DAYS,
            )
        ],
        remote_runs=[
            RemoteRun("r0", "target-7", 0, "failed", 1),
            RemoteRun("r1", "target-7", 2, "succeeded", 3),
        ],
        materialized=[Materialized(NUMBER, "r1", 8, "d1", day, 11 + number) for number, day in enumerate(DAYS)],
        evaluated=[
            *evaluations(11, "d1", "r1", passed=True),
            *(Evaluated(NUMBER, RUN_STATUS, 1, "d0", False, run_id="r0", partition=day) for day in DAYS),
        ],
    )


def categories(facts: Facts) -> set[str]:
    found = list(reconcile_checks(facts))
    assert {finding.number for finding in found} <= {NUMBER}
    return {finding.category for finding in found}


def test_valid_facts_have_no_findings() -> None:
    assert categories(as_it_should_be()) == set()


def change(number: int, **changed: Any) -> Callable[[Facts], None]:
    def made(facts: Facts) -> None:
        facts.evaluated[number] = replace(facts.evaluated[number], **changed)

    return made


def leave_out(facts: Facts) -> None:
    facts.evaluated.pop(1)


def second_phase_forgotten(facts: Facts) -> None:
    del facts.evaluated[:4]


def twice(facts: Facts) -> None:
    facts.evaluated.append(facts.evaluated[0])


def remove_a_day(facts: Facts) -> None:
    facts.materialized.pop()
    facts.evaluated = [one for one in facts.evaluated if one.partition == DAYS[0]]


def of_another_run(facts: Facts) -> None:
    facts.materialized.append(replace(facts.materialized[0], run_id="r2", storage_id=20, dagster_run="d2"))
    facts.materialized.append(replace(facts.materialized[1], run_id="r2", storage_id=21, dagster_run="d2"))
    facts.remote_runs.append(RemoteRun("r2", "target-7", 5, "succeeded", 6))
    facts.evaluated += evaluations(20, "d2", "r1", passed=True)


@pytest.mark.parametrize(
    ("break_it", "category"),
    [
        (leave_out, "check missing"),
        (second_phase_forgotten, "check missing"),
        (twice, "check twice"),
        (remove_a_day, "lost"),
        (of_another_run, "check of another target"),
        (change(0, target=None), "check without its target"),
        (change(1, target=None), "check without its target"),
        (change(0, partition=None), "check of another target"),
        (change(0, partition=DAYS[1]), "check of another target"),
        (change(4, partition=None), "check of another target"),
        (change(0, target=Target(11, "d9", 8)), "check of another target"),
        (change(0, target=Target(11, "d1", 7)), "check of another target"),
        (change(0, passed=False), "judged wrongly"),
        (change(1, passed=False), "judged wrongly"),
        (change(1, is_blocking=False), "judged wrongly"),
    ],
)
def test_wrong_evaluations_are_found(break_it: Callable[[Facts], None], category: str) -> None:
    facts = as_it_should_be()
    break_it(facts)
    assert categories(facts) == {category}


def test_bad_data_must_fail_its_check() -> None:
    facts = as_it_should_be()
    facts.remote_runs.pop(0)  # the run becomes the first one, which finds bad data
    del facts.evaluated[4:]
    assert categories(facts) == {"judged wrongly"}
    facts.evaluated = evaluations(11, "d1", "r1", passed=False)
    assert categories(facts) == set()


def test_killed_step_may_have_reported_some_checks_only() -> None:
    facts = as_it_should_be()
    facts.materialized = [replace(one, is_complete=False) for one in facts.materialized]
    leave_out(facts)
    assert categories(facts) == set()


def test_failed_run_evaluation_may_name_an_earlier_materialization() -> None:
    """Dagster lets a check name the newest materialization even if its step materialized nothing."""
    facts = as_it_should_be()
    facts.remote_runs.append(RemoteRun("r2", "target-7", 20, "failed", 21))
    facts.evaluated.append(Evaluated(NUMBER, RUN_STATUS, 22, "d2", False, False, "r2", DAYS[0], Target(11, "d1", 8)))
    assert categories(facts) == set()


def test_evaluation_of_a_missing_materialization_is_found() -> None:
    facts = as_it_should_be()
    change(0, target=Target(99, "d1", 8))(facts)
    assert categories(facts) == {"check of another target", "check missing"}
