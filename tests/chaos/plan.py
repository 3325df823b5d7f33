"""The plan of a seed: materializations, their faults, and interruptions of processes. Pure, so it can be replayed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Literal

from dagster_runs.sandbox import Behavior, Fault
from tests.chaos.kinds import BRIEF, DRILLED, MAX_SLOTS, SLOTS, Gated, Slot

How = Literal["kill", "kill machine", "kill step", "evict", "terminate"]
Executor = Literal["in_process", "in_processes", "web"]
HELD_BACK = 4.0
"""Real seconds for which an answer to a start is held back, so that its process can be killed before it comes."""
TOO_LONG = 8.0
"""Real seconds: longer than a request waits."""
FOR_EVER = 1e7
_MIN_SLOTS, _MAX_SLOTS = 4, 12
FIRST_DAY = date(2010, 1, 1)
MAX_DAYS = 4
"""Days that belong to one group."""
_DAILY = 0.25
"""Of the groups, those that fill days."""
_BAD_DATA = 0.3
"""Of the runs that succeed and have a gate, those that find bad data."""


@dataclass(frozen=True)
class Disturbance:
    """How one attempt of a group is interrupted.

    Attributes:
        how: ``kill``: SIGKILL to the run worker; ``kill machine``: to all its processes; ``kill step``: to one step;
            ``evict``: SIGTERM to the run worker; ``terminate``: through Dagster.
        after: Real seconds between the launch and the interruption.
        at_start_of: Interrupts as soon as the start of this slot's run has arrived at the vendor, instead of `after`.
    """

    how: How
    after: float = 0.0
    at_start_of: int | None = None


@dataclass(frozen=True)
class Materialization:
    """A partition of an asset, with its own target.

    Attributes:
        number: Names it in reports.
        slot: The asset.
        behaviors: The behaviors of the target's first, second, … run.
        faults: The faults of requests for it.
        forgotten_after: The vendor loses the first run permanently after this many status calls.
    """

    number: int
    slot: Slot
    behaviors: tuple[Behavior, ...]
    faults: tuple[Fault, ...]
    forgotten_after: int | None = None

    @property
    def target(self) -> str:
        return self.slot.kind.target(self.number)


@dataclass(frozen=True)
class Group:
    """The materializations of one Dagster run, and of its re-executions.

    Attributes:
        disturbances: One for each of the first attempts; later ones are not interrupted.
        rerun_all_steps: Whether all steps are re-executed at the end, which requests new starts.
        days: How many days each materialization fills with one remote run; 0 if the partition is not a day.
        by_python: Whether it is re-executed by Dagster's Python API, whose runs do not have the tag that the UI and
            the daemon set; otherwise, re-executed like the UI does.
    """

    number: int
    executor: Executor
    materializations: tuple[Materialization, ...]
    disturbances: tuple[Disturbance | None, ...]
    rerun_all_steps: bool = False
    days: int = 0
    by_python: bool = False

    @property
    def partitions(self) -> tuple[str, ...]:
        """Returns the partitions that each of its materializations fills."""
        if not self.days:
            return (str(self.number),)
        first = self.number * MAX_DAYS
        return tuple((FIRST_DAY + timedelta(days=first + day)).isoformat() for day in range(self.days))


def group_of_day(day: str) -> int:
    """Returns the number of the group of a day."""
    return (date.fromisoformat(day) - FIRST_DAY).days // MAX_DAYS


def plan(seed: int, materializations: int, *, web_groups: int = 0) -> list[Group]:
    """Returns groups with at least this many materializations; the first ones kill each kind before the record."""
    groups = [_drill(seed, number, slot) for number, slot in enumerate(DRILLED)]
    count = sum(len(group.materializations) for group in groups)
    while count < materializations:
        number = len(groups)
        executor: Executor | None = "web" if number < len(DRILLED) + web_groups else None
        groups.append(_group(seed, number, executor))
        count += len(groups[-1].materializations)
    return groups


def _random(seed: int, group: int) -> Random:
    """Returns the random generator of a group. Each has its own, so that it can be replayed alone."""
    return Random(f"{seed}/{group}")


def _drill(seed: int, number: int, slot: int) -> Group:
    random = _random(seed, number)
    others = random.sample([other.number for other in SLOTS if other.number != slot and not other.is_daily], 1)
    in_process = number % 2 == 0
    return Group(
        number,
        "in_process" if in_process else "in_processes",
        tuple(_materialization(random, number, SLOTS[one], drilled=one == slot) for one in sorted([slot, *others])),
        (Disturbance("kill" if in_process else "kill step", at_start_of=slot),),
    )


def _group(seed: int, number: int, executor: Executor | None) -> Group:
    random = _random(seed, number)
    days = random.choice([1, 1, 2, MAX_DAYS]) if executor is None and random.random() < _DAILY else 0
    suitable = [slot.number for slot in SLOTS if slot.is_daily == (days > 0)]
    slots = sorted(random.sample(suitable, min(len(suitable), random.randint(_MIN_SLOTS, _MAX_SLOTS))))
    drilled = random.choice(slots) if random.random() < 0.5 else None
    if executor is None:
        executor = "in_process" if random.random() < 0.8 else "in_processes"
    disturbances: list[Disturbance | None] = []
    if drilled is not None:
        disturbances.append(Disturbance(_how(random, executor), at_start_of=drilled))
    while random.random() < 0.55 and len(disturbances) < 3:
        calm = random.random() < 0.2
        disturbances.append(None if calm else Disturbance(_how(random, executor), after=random.uniform(0.5, 25)))
    return Group(
        number,
        executor,
        tuple(_materialization(random, number, SLOTS[slot], drilled=slot == drilled) for slot in slots),
        tuple(disturbances),
        rerun_all_steps=random.random() < 0.06,
        days=days,
        by_python=executor != "web" and random.random() < 0.4,
    )


def _how(random: Random, executor: Executor) -> How:
    ways: list[How] = ["kill", "evict", "terminate"]
    if executor == "web":
        ways = ["kill machine", "evict", "terminate", "terminate"]
    elif executor == "in_processes":
        ways = ["kill", "kill machine", "kill machine", "kill step", "kill step", "evict", "evict", "terminate"]
    return random.choice(ways)


def _materialization(random: Random, group: int, slot: Slot, *, drilled: bool) -> Materialization:
    number = group * MAX_SLOTS + slot.number
    target = slot.kind.target(number)
    forgotten = None if drilled or random.random() > 0.02 else random.randint(1, 4)
    faults = list(_faults(random, slot, target, may_be_missing=forgotten is None, drilled=drilled))
    return Materialization(number, slot, tuple(_behaviors(random, slot)), tuple(faults), forgotten)


def _behaviors(random: Random, slot: Slot) -> Iterator[Behavior]:
    """Returns the behaviors of the runs. The last one applies to all further runs, and is usually a success."""
    seconds = random.uniform(60, 240) if random.random() < 0.1 else random.uniform(5, 60)
    invented = {"hold": random.choice(["hibernating", "PENDING_REVIEW", "?"]), "hold_seconds": random.uniform(5, 40)}
    hold = invented if random.random() < 0.1 else {}
    if slot.on_timeout is not None and random.random() < 0.5:
        yield Behavior(running_seconds=FOR_EVER if random.random() < 0.5 else BRIEF + 60)
    if random.random() < 0.12:
        # Prophecy and RudderStack have no status for a canceled run, so it would time out.
        endings = ["fail", "fail", "cancel"] if slot.kind.run_class.can_cancel() else ["fail"]
        yield Behavior(running_seconds=seconds / 2, outcome=random.choice(endings))  # type: ignore[arg-type]
    outcome = "fail" if random.random() < 0.04 else "succeed"
    if slot.has_gate and random.random() < _BAD_DATA:
        yield Behavior(running_seconds=seconds, **slot.kind.quality(is_bad=True))
        if random.random() < 0.5:  # the data stays bad
            return
    found = slot.kind.quality(is_bad=False) if slot.has_gate else {}
    yield Behavior(running_seconds=seconds, outcome=outcome, **hold, **found)  # type: ignore[arg-type]


def finds_bad_data(behavior: Behavior, slot: Gated) -> bool:
    """Whether the gate must fail on the result of the run."""
    return slot.has_gate and slot.kind.quality(is_bad=True).items() <= behavior.options.items()


def _faults(random: Random, slot: Slot, target: str, *, may_be_missing: bool, drilled: bool) -> Iterator[Fault]:
    if drilled:
        yield Fault("hang", method="POST", target=target, seconds=HELD_BACK, times=1)
    elif random.random() < 0.4:
        yield _start_fault(random, target)
    for _ in range(random.choice([0, 0, 1, 1, 2, 3])):
        yield _status_fault(random, slot, target, may_be_missing=may_be_missing)


def _start_fault(random: Random, target: str) -> Fault:
    kinds: Sequence[dict[str, object]] = [
        {"kind": "lost_response"},
        {"kind": "reset"},
        {"kind": "status", "status": random.choice([500, 502, 503])},
        {"kind": "status", "status": 429, "retry_after": "5"},
        {"kind": "status_after", "status": random.choice([500, 502, 504])},
        {"kind": "html", "status": random.choice([200, 502])},
        {"kind": "truncated", "variant": random.choice(["short_body", "early_close"])},
        {"kind": "not_json"},
        {"kind": "hang", "seconds": TOO_LONG},
        {"kind": "slow_body", "seconds": TOO_LONG},
        {"kind": "expired_token"},
        {"kind": "echo_secret"},
        {"kind": "redirect", "location": "https://login.example.com/"},
    ]
    return Fault(**random.choice(kinds), method="POST", target=target, times=1)  # type: ignore[arg-type]


def _status_fault(random: Random, slot: Slot, target: str, *, may_be_missing: bool) -> Fault:
    field = slot.kind.state_field
    kinds: list[dict[str, object]] = [
        {"kind": "lost_response"},
        {"kind": "reset"},
        {"kind": "status", "status": random.choice([500, 502, 503])},
        {"kind": "status", "status": 429, "retry_after": "10"},
        {"kind": "html", "status": random.choice([200, 502])},
        {"kind": "truncated", "variant": random.choice(["short_body", "early_close"])},
        {"kind": "not_json"},
        {"kind": "slow_body", "seconds": 1.0},
        {"kind": "expired_token"},
        {"kind": "echo_secret"},
        {"kind": "unknown_state", "state": "hibernating"},
        {"kind": "missing_field", "field": field},
        {"kind": "wrong_type", "field": field, "value": 7},
    ]
    if may_be_missing:
        kinds.append({"kind": "not_found", "times": random.randint(1, 2)})
    chosen = {"times": random.randint(1, 4), "skip": random.randint(0, 6), **random.choice(kinds)}
    return Fault(method="GET", target=target, **chosen)  # type: ignore[arg-type]


def vendor_faults(seed: int) -> Iterator[tuple[float, Fault]]:
    """Yields faults of whole vendors endlessly, each with the real seconds to wait before it."""
    random = Random(f"{seed}/weather")
    while True:
        vendor = random.choice(["rudderstack", "amperity", "segmentflow", "prophecy", "testgen"])
        path = f"^/{vendor}/"
        bursts = [
            Fault("down", path=path, seconds=random.uniform(5, 30)),
            Fault("status", method="GET", path=path, status=503, times=8),
            Fault("status", path=path, status=429, retry_after="3", times=5),
            Fault("html", method="GET", path=path, status=200, times=4),
            Fault("reset", method="GET", path=path, times=6),
            Fault("truncated", method="GET", path=path, times=4),
            Fault("expired_token", method="GET", path=path, times=2),
            Fault("echo_secret", method="GET", path=path, times=3),
        ]
        yield random.uniform(2, 8), random.choice(bursts)
