"""The findings about a queue, for handwritten facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.reconciling.queue_facts import (
    CATEGORIES,
    QueuedStart,
    QueueFacts,
    Requested,
    findings,
    max_at_once,
    total,
    unserved,
)


def as_it_should_be() -> QueueFacts:
    """Returns facts of two equal requests that share a run, a different one, and one whose run fails."""
    return QueueFacts(
        requested=[
            Requested(0, "a", "p", "x", 0.0),
            Requested(1, "a", "p", "y", 1.0),
            Requested(2, "a", "p", "y", 2.0),
            Requested(3, "a", "q", "x", 3.0),
        ],
        starts=[
            QueuedStart("r0", "a", "p", "x", 1.0, 10.0),
            QueuedStart("r1", "a", "p", "y", 11.0, 20.0),
            QueuedStart("r2", "a", "q", "x", 20.0, 30.0, "failed"),
        ],
        limits={"a": 1},
        reported=[("a", "p", "r0"), ("a", "p", "r1")],
        failures=[("a", "q", "r2")],
    )


def categories(facts: QueueFacts) -> set[str]:
    return set(total(findings(facts)))


def test_valid_facts_have_no_findings() -> None:
    assert categories(as_it_should_be()) == set()
    assert unserved(as_it_should_be()) == 0


def _requested_after_the_last_start(facts: QueueFacts) -> None:
    facts.requested.append(Requested(4, "a", "p", "x", 12.0))


def _merged_with_another_variant(facts: QueueFacts) -> None:
    facts.requested[2] = replace(facts.requested[2], variant="z")
    facts.requested.append(Requested(5, "a", "p", "y", 2.0))


def _early(facts: QueueFacts) -> None:
    facts.starts[1] = replace(facts.starts[1], started_at=9.0)
    facts.limits = {}


def _over_the_limit(facts: QueueFacts) -> None:
    facts.starts[2] = replace(facts.starts[2], started_at=19.0)


def _once_too_often(facts: QueueFacts) -> None:
    facts.starts.append(QueuedStart("r3", "a", "q", "x", 40.0, 50.0))
    facts.reported.append(("a", "q", "r3"))


def _unreported(facts: QueueFacts) -> None:
    facts.reported.pop()


def _failure_unreported(facts: QueueFacts) -> None:
    facts.failures.pop()


def _reported_twice(facts: QueueFacts) -> None:
    facts.reported.append(facts.reported[0])


def _failure_reported_as_success_too(facts: QueueFacts) -> None:
    facts.reported.append(("a", "q", "r2"))


def _not_made(facts: QueueFacts) -> None:
    facts.failed.append("it could not be launched")


@pytest.mark.parametrize(
    ("break_it", "category"),
    [
        (_requested_after_the_last_start, "request dropped"),
        (_merged_with_another_variant, "request dropped"),
        (_over_the_limit, "limit exceeded"),
        (_early, "two at once"),
        (_once_too_often, "start without request"),
        (_unreported, "queued run lost"),
        (_failure_unreported, "queued run lost"),
        (_reported_twice, "queued run told twice"),
        (_failure_reported_as_success_too, "queued run told twice"),
        (_not_made, "request failed"),
    ],
)
def test_wrong_facts_are_found(break_it: Callable[[QueueFacts], None], category: str) -> None:
    facts = as_it_should_be()
    break_it(facts)
    assert categories(facts) == {category}
    assert category in CATEGORIES


def test_what_a_user_was_told_is_no_finding() -> None:
    facts = as_it_should_be()
    facts.requested.append(Requested(4, "a", "p", "z", 12.0, explained_by="StartOutcomeUnknown"))
    facts.starts.append(QueuedStart("r9", "a", "p", "z", 13.0, 40.0, is_unknown=True))
    facts.starts.append(QueuedStart("r3", "a", "p", "x", 41.0, 42.0, "canceled"))
    facts.requested[0] = replace(facts.requested[0], asked=3)
    facts.starts.append(QueuedStart("r4", "a", "p", "x", 43.0, 44.0, "failed", was_re_executed=True))
    assert categories(facts) == set()


def test_what_may_still_come_is_counted() -> None:
    facts = as_it_should_be()
    _requested_after_the_last_start(facts)
    facts.starts[2] = replace(facts.starts[2], ended_at=None)
    assert unserved(facts) == 2


def test_an_end_comes_before_a_start_at_the_same_time() -> None:
    starts = as_it_should_be().starts
    assert max_at_once(starts) == 1
