"""Plain data about the queued requests, and what must be true of them. Times are simulated seconds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Requested:
    """A request that was made.

    Attributes:
        number: Its number in the plan.
        at: When its Dagster run was launched.
    """

    number: int
    asset: str
    partition: str
    variant: str
    at: float


@dataclass(frozen=True)
class QueuedStart:
    """A remote run that was started for a request.

    Attributes:
        ended_at: When it ended; ``None`` while it is active.
    """

    run_id: str
    asset: str
    partition: str
    variant: str
    started_at: float
    ended_at: float | None


@dataclass
class QueueFacts:
    """All facts about the queue.

    Attributes:
        reported: The remote runs that materializations report, by asset and partition.
    """

    requested: list[Requested] = field(default_factory=list)
    starts: list[QueuedStart] = field(default_factory=list)
    limits: Mapping[str, int] = field(default_factory=dict)
    reported: list[tuple[str, str, str]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


CATEGORIES = (
    "request dropped",
    "two at once",
    "limit exceeded",
    "start without request",
    "queued run lost",
    "queued run told twice",
    "request failed",
)


def findings(facts: QueueFacts) -> Iterator[tuple[str, str]]:
    """Yields the category and the text of each finding."""
    yield from (("request failed", text) for text in facts.failed)
    by_place: dict[tuple[str, str], list[QueuedStart]] = defaultdict(list)
    by_asset: dict[str, list[QueuedStart]] = defaultdict(list)
    for start in facts.starts:
        by_place[start.asset, start.partition].append(start)
        by_asset[start.asset].append(start)
    for one in facts.requested:
        served = by_place[one.asset, one.partition]
        if not any(start.variant == one.variant and start.started_at >= one.at for start in served):
            yield "request dropped", f"{one}: no run with its fields was started after it"
    for place, starts in by_place.items():
        if max_at_once(starts) > 1:
            yield "two at once", f"{place}"
        wanted = Counter(one.variant for one in facts.requested if (one.asset, one.partition) == place)
        for variant, count in Counter(start.variant for start in starts).items():
            if count > wanted[variant]:
                yield "start without request", f"{place}, {variant}: {count} starts, {wanted[variant]} requests"
    for asset, limit in facts.limits.items():
        if (most := max_at_once(by_asset[asset])) > limit:
            yield "limit exceeded", f"{asset}: {most} runs at once, the limit is {limit}"
    times = Counter(facts.reported)
    for start in facts.starts:
        count = times[start.asset, start.partition, start.run_id]
        if count != 1:
            yield "queued run told twice" if count else "queued run lost", f"{start}: {count} materializations"


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


_MAY_BE_EARLY = frozenset({"request dropped", "queued run lost"})


def total(counted: Iterable[tuple[str, str]]) -> Counter[str]:
    """Counts findings by category."""
    return Counter(category for category, _ in counted)
