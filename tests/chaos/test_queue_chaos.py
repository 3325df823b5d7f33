"""Short campaigns of deferred runs that queue, with a fixed seed, on both storages and with sabotage.

They start many processes, and depend on how fast these are, so CI leaves them out.
"""

from __future__ import annotations

import pytest

from tests.chaos.conftest import ActiveCampaign, Chaos
from tests.chaos.queue_plan import KILL_POINTS, QUEUE_SLOTS, QueueGroup, queue_plan
from tests.chaos.test_chaos import counted

pytestmark = pytest.mark.timeout(900)
SEED = 11
QUEUE_GROUPS = 300


def short_queue_group(part: int) -> QueueGroup:
    """Returns a short queue group in which something of each kind is disturbed, and a step waits for its turn."""

    def is_varied(group: QueueGroup) -> bool:
        hows = {one.how for request in group.requests for one in request.disturbances}
        started = {one.how for one in group.started_disturbances[:3] if one is not None}
        waits = any(request.is_backfill for request in group.requests)
        return {"kill", "evict", "terminate"} <= hows | started and bool(hows) and bool(started) and waits

    varied = [group for group in queue_plan(SEED, QUEUE_GROUPS) if is_varied(group)]
    return sorted(varied, key=lambda group: len(group.requests))[part]


def queue_options(group: QueueGroup) -> list[object]:
    return ["--queue-groups", QUEUE_GROUPS, "--queue-group", group.number]


def asks_differently_while_a_run_is_active(group: QueueGroup) -> bool:
    """The second and the third of three requests for one partition must not become one."""
    unlimited = [request for request in group.requests if request.place.slot.number == 0]
    if any(request.is_backfill for request in group.requests) or len(unlimited) < 3:
        return False
    return unlimited[1].variant != unlimited[2].variant


def far_exceeds_the_limits(group: QueueGroup) -> bool:
    """So many requests that several ticks admit them, on a slow machine too."""
    limited = [request.place for request in group.requests if request.place.slot.limit is not None]
    return all(
        len({place.partition for place in limited if place.slot == slot}) > 1 + (slot.limit or 0)
        for slot in QUEUE_SLOTS[1:3]
    )


def broken_queues() -> dict[str, QueueGroup]:
    """Returns a short calm queue group for each sabotage of the queue."""
    groups = queue_plan(SEED, QUEUE_GROUPS, calm=True)
    without_waiting = [group for group in groups if not any(request.is_backfill for request in group.requests)]
    brief = sorted(without_waiting, key=lambda group: len(group.requests))
    merging = next(filter(asks_differently_while_a_run_is_active, brief))
    limited = [group for group in brief if far_exceeds_the_limits(group) and group != merging]
    others = [name for name in BROKEN_QUEUE if name != "merge-different-requests"]
    return {"merge-different-requests": merging, **dict(zip(others, limited[: len(others)], strict=True))}


def broken_queue_options() -> list[object]:
    broken = broken_queues().items()
    options = ["--queue-groups", QUEUE_GROUPS, "--calm"]
    return options + [
        option
        for name, group in broken
        for option in ("--queue-group", group.number, "--queue-sabotage", group.number, name)
    ]


BROKEN_QUEUE = {
    "exceed-the-limit": "limit exceeded",
    "drop-requests": "request dropped",
    "admit-twice": "limit exceeded",
    "merge-different-requests": "request dropped",
    "admit-by-stale-facts": "limit exceeded",
}


@pytest.fixture(scope="module")
def campaigns(chaos: Chaos) -> dict[str, ActiveCampaign]:
    """Starts all campaigns at once, because they mostly wait."""
    short = {
        storage: ["--storage", storage, *queue_options(short_queue_group(part))]
        for part, storage in enumerate(("sqlite", "postgres"))
    }
    return {
        name: chaos("--seed", SEED, *options) for name, options in {**short, "broken": broken_queue_options()}.items()
    }


@pytest.fixture(scope="module")
def broken_queue_report(campaigns: dict[str, ActiveCampaign]) -> str:
    done = campaigns["broken"].end()
    assert done.returncode == 1, done.stdout[-5000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize(("storage", "part"), [("sqlite", 0), ("postgres", 1)])
def test_short_campaign_of_queues_has_no_findings(
    campaigns: dict[str, ActiveCampaign], storage: str, part: int
) -> None:
    done = campaigns[storage].end()
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    count = counted(done.stdout)
    assert count["requests of queue groups"] == len(short_queue_group(part).requests)
    assert sum(count.get(f"interrupted: sensor killed {point}", 0) for point in KILL_POINTS) > 2
    assert any(name.startswith("interrupted: queue: ") for name in count)


@pytest.mark.parametrize("name", BROKEN_QUEUE)
def test_sabotage_of_the_queue_is_found(broken_queue_report: str, name: str) -> None:
    number = broken_queues()[name].number
    assert f"{BROKEN_QUEUE[name]}: queue group {number}: " in broken_queue_report, broken_queue_report[-5000:]
