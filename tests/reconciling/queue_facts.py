"""Plain data about queued requests, and what must be true of them. Pure: facts in, findings out.

Both campaigns use it. All times of one campaign are epoch seconds of the same clock, simulated or real.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["succeeded", "failed", "canceled", "going"]


@dataclass(frozen=True)
class Requested:
    """A request that was made.

    Attributes:
        number: Its number in the plan.
        at: When its Dagster run was launched.
        asked: How often it was made: once, and by each further Dagster run that a user launched for it.
        explained_by: Why no run has to be started for it; empty if one has to be.
    """

    number: int
    asset: str
    partition: str
    variant: str
    at: float
    asked: int = 1
    explained_by: str = ""


@dataclass(frozen=True)
class QueuedStart:
    """A remote run that was started for a request.

    Attributes:
        ended_at: When it ended; ``None`` while it is active.
        outcome: How it ended.
        was_re_executed: Whether the Dagster run that started it was re-executed: the re-execution starts another run if
            this one has failed.
        is_unknown: Whether Dagster cannot know it, and has said so: an error reports that its start is uncertain.
    """

    run_id: str
    asset: str
    partition: str
    variant: str
    started_at: float
    ended_at: float | None
    outcome: Outcome = "succeeded"
    was_re_executed: bool = False
    is_unknown: bool = False


@dataclass
class QueueFacts:
    """All facts about the queue.

    Attributes:
        reported: The remote runs that materializations report, by asset and partition.
        failures: The same for the Dagster runs that failed because a remote run has failed.
        failed: Requests that could not be made, as text.
    """

    requested: list[Requested] = field(default_factory=list)
    starts: list[QueuedStart] = field(default_factory=list)
    limits: Mapping[str, int] = field(default_factory=dict)
    reported: list[tuple[str, str, str]] = field(default_factory=list)
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


DROPPED = "request dropped"
TWO_AT_ONCE = "two at once"
LIMIT_EXCEEDED = "limit exceeded"
UNREQUESTED = "start without request"
LOST = "queued run lost"
TOLD_TWICE = "queued run told twice"
REQUEST_FAILED = "request failed"
CATEGORIES = (DROPPED, TWO_AT_ONCE, LIMIT_EXCEEDED, UNREQUESTED, LOST, TOLD_TWICE, REQUEST_FAILED)


def findings(facts: QueueFacts) -> Iterator[tuple[str, str]]:
    """Yields the category and the text of each finding."""
    yield from ((REQUEST_FAILED, text) for text in facts.failed)
    by_place: dict[tuple[str, str], list[QueuedStart]] = defaultdict(list)
    by_asset: dict[str, list[QueuedStart]] = defaultdict(list)
    for start in facts.starts:
        by_place[start.asset, start.partition].append(start)
        if not start.is_unknown:  # a user was told to check whether it exists; it is not waited for
            by_asset[start.asset].append(start)
    for one in facts.requested:
        served = by_place[one.asset, one.partition]
        is_served = any(start.variant == one.variant and start.started_at >= one.at for start in served)
        if not is_served and not one.explained_by:
            yield DROPPED, f"{one}: no run with its fields was started after it"
    for place, starts in by_place.items():
        if max_at_once([start for start in starts if not start.is_unknown]) > 1:
            yield TWO_AT_ONCE, f"{place}"
        wanted: Counter[str] = Counter()
        for one in facts.requested:
            if (one.asset, one.partition) == place:
                wanted[one.variant] += one.asked
        for variant, count in Counter(start.variant for start in starts).items():
            if count > wanted[variant]:
                yield UNREQUESTED, f"{place}, {variant}: {count} starts, {wanted[variant]} requests"
    for asset, limit in facts.limits.items():
        if (most := max_at_once(by_asset[asset])) > limit:
            yield LIMIT_EXCEEDED, f"{asset}: {most} runs at once, the limit is {limit}"
    yield from _reports(facts)


def _reports(facts: QueueFacts) -> Iterator[tuple[str, str]]:
    """Each end is reported once: a success by a materialization, a failure by a Dagster run that fails."""
    good, bad = Counter(facts.reported), Counter(facts.failures)
    for start in facts.starts:
        key = (start.asset, start.partition, start.run_id)
        if start.outcome == "canceled" and not good[key]:
            continue  # by a user, who knows
        expected, other = (bad, good) if start.outcome == "failed" else (good, bad)
        what = f"{start}: {good[key]} materializations, {bad[key]} failed Dagster runs"
        is_replaced = start.outcome == "failed" and start.was_re_executed
        if not expected[key] and not other[key] and (start.is_unknown or is_replaced):
            continue
        if expected[key] != 1 or other[key]:
            yield LOST if not expected[key] else TOLD_TWICE, what


def max_at_once(starts: Sequence[QueuedStart]) -> int:
    """Returns the maximum number of runs that were active at the same time."""
    changes = [(start.started_at, 1) for start in starts]
    changes += [(start.ended_at, -1) for start in starts if start.ended_at is not None]
    most = active = 0
    for _, change in sorted(changes):  # at the same time, ends come first
        active += change
        most = max(most, active)
    return most


def unserved(facts: QueueFacts) -> int:
    """Returns the number of findings that may go away when more time passes."""
    open_ended = sum(start.ended_at is None for start in facts.starts)
    return open_ended + sum(category in _MAY_BE_EARLY for category, _ in findings(facts))


_MAY_BE_EARLY = frozenset({DROPPED, LOST})


def total(counted: Iterable[tuple[str, str]]) -> Counter[str]:
    """Counts findings by category."""
    return Counter(category for category, _ in counted)
