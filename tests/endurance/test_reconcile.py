"""Each thing that must not be is found, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.endurance.facts import Alert, Evaluated, Facts, Materialized, Planned, Publishing, RemoteRun
from tests.endurance.reconcile import CATEGORIES, RUN_STATUS, reconcile

GOOD, BAD, HANGS = ("a", "p1"), ("a", "p2"), ("b", "p1")


def as_it_should_be() -> Facts:
    """One run that succeeded, one that failed, and one that never ended."""
    return Facts(
        planned=[
            Planned(GOOD, "t1"),
            Planned(BAD, "t2", "the warehouse broke"),
            Planned(HANGS, "t3", "RunTimedOut", ends=False),
        ],
        remote_runs=[
            RemoteRun("r1", "t1", "succeeded"),
            RemoteRun("r2", "t2", "failed"),
            RemoteRun("r3", "t3", "going"),
        ],
        materialized=[Materialized(GOOD, "r1")],
        evaluated=[
            Evaluated(("a", RUN_STATUS), "", "r1"),
            Evaluated(("a", "tests_passed"), ""),
            Evaluated(("a", RUN_STATUS), "d2", "r2"),
        ],
        checks=[("a", RUN_STATUS), ("a", "tests_passed"), ("b", RUN_STATUS), ("b", "tests_passed")],
        publishing=[
            Publishing("d2", BAD, "r2", True, "RunFailed: the warehouse broke"),
            Publishing("d3", HANGS, "r3", True, "RunTimedOut: it did not end"),
        ],
        alerts=[Alert("d2", 10.0), Alert("d3", 20.0)],
    )


def test_nothing_is_found_where_all_is_well() -> None:
    assert reconcile(as_it_should_be()) == []


def _never_started(facts: Facts) -> None:
    facts.planned.append(Planned(("c", "p1"), "t4"))


def _second_run(facts: Facts) -> None:
    facts.remote_runs.append(RemoteRun("r9", "t1", "succeeded"))


def _lost(facts: Facts) -> None:
    facts.materialized.clear()
    facts.evaluated = [one for one in facts.evaluated if one.dagster_run]


def _failure_lost(facts: Facts) -> None:
    [published, *_] = facts.publishing
    facts.publishing[0] = replace(published, began=False)
    facts.evaluated = [one for one in facts.evaluated if not one.dagster_run]


def _twice(facts: Facts) -> None:
    facts.materialized *= 2


def _failed_twice(facts: Facts) -> None:
    facts.publishing.append(replace(facts.publishing[0], dagster_run="d3"))


def _failed_for_good(facts: Facts) -> None:
    facts.publishing.pop(0)
    facts.materialized.append(Materialized(BAD, "r2"))
    facts.evaluated = [
        *facts.evaluated[:2],
        Evaluated(("a", RUN_STATUS), "", "r2"),
        Evaluated(("a", "tests_passed"), ""),
    ]


def _stranger(facts: Facts) -> None:
    facts.materialized.append(Materialized(GOOD, None))
    facts.evaluated += [Evaluated(("a", RUN_STATUS), "", None), Evaluated(("a", "tests_passed"), "")]


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


def _other_words(facts: Facts) -> None:
    facts.publishing[0] = replace(facts.publishing[0], said="something went wrong")


def _no_alert(facts: Facts) -> None:
    facts.alerts.pop()


def _alert_again(facts: Facts) -> None:
    facts.alerts.append(Alert("d2", 12.0))


@pytest.mark.parametrize(
    ("break_it", "category"),
    [
        (_never_started, "not started"),
        (_second_run, "second remote run"),
        (_lost, "lost"),
        (_failure_lost, "lost"),
        (_twice, "told twice"),
        (_failed_twice, "told twice"),
        (_failed_for_good, "told wrongly"),
        (_stranger, "told wrongly"),
        (_no_status, "check missing"),
        (_no_status_of_a_failure, "check missing"),
        (_no_tests, "check missing"),
        (_status_twice, "check twice"),
        (_tests_twice, "check twice"),
        (_other_words, "without the vendor's words"),
        (_no_alert, "alert missing"),
        (_alert_again, "alert twice"),
    ],
)
def test_what_must_not_be_is_found(break_it: Callable[[Facts], None], category: str) -> None:
    facts = as_it_should_be()
    break_it(facts)
    assert {finding.category for finding in reconcile(facts)} == {category}
    assert category in CATEGORIES


def test_an_alert_whose_tick_was_killed_may_fire_again() -> None:
    facts = as_it_should_be()
    facts.alerts.append(Alert("d2", 12.0))
    facts.kills = [11.0]
    assert reconcile(facts) == []


def test_a_dagster_run_that_never_began_says_nothing() -> None:
    facts = as_it_should_be()
    facts.publishing.append(Publishing("d1", BAD, "r2", True, "", began=False))
    facts.alerts.append(Alert("d1", 5.0))
    assert reconcile(facts) == []
