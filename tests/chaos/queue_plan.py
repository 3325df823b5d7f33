"""The plan of the queue groups: requests for deferred assets, some of which must wait. Pure, so it can be replayed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

from dagster_runs.sandbox import Behavior, Fault
from tests.chaos.kinds import JOURNEY_BY_KEY, MAX_SLOTS, PIPELINE, RUDDERSTACK, TESTS, Kind
from tests.chaos.plan import Disturbance

FIRST_NUMBER = 50_000_000
"""The numbers of queue groups' materializations are greater than those of other groups."""
SECONDS = (15.0, 50.0)
"""The shortest and the longest run, in simulated seconds, so that requests find runs in flight."""
LONG_SECONDS = (90.0, 120.0)
"""The same in calm groups, so that several ticks come while a run is in flight."""
_MIN_REQUESTS, _MAX_REQUESTS = 8, 12
_PARTITIONS_OF_SLOT = 10

KillPoint = Literal[
    "between ticks", "in an evaluation", "before events", "between events", "before cursor", "before requests"
]
KILL_POINTS: tuple[KillPoint, ...] = (
    "between ticks",
    "in an evaluation",
    "before events",
    "between events",
    "before cursor",
    "before requests",
)


@dataclass(frozen=True)
class QueueSlot:
    """One asset of a queue group.

    Attributes:
        number: Its place in `QUEUE_SLOTS`.
        kind: The kind of its runs.
        partitions: Its partitions.
        limit: The maximum number of its runs in flight.
        field: The field that a launch overrides with a variant; empty if all requests are equal.
        has_gate: Whether bad data blocks downstream assets.
    """

    number: int
    kind: Kind
    partitions: tuple[str, ...]
    limit: int | None = None
    field: str = ""
    has_gate: bool = False

    @property
    def variants(self) -> tuple[str, ...]:
        """The values of the field. Requests with different values need runs of their own."""
        return ("x", "y", "z") if self.field else ("",)


QUEUE_SLOTS = (
    QueueSlot(0, PIPELINE, ("a", "b"), field="parameters"),
    QueueSlot(1, JOURNEY_BY_KEY, ("a", "b", "c", "d"), limit=2, field="variables"),
    QueueSlot(2, TESTS, ("a", "b", "c"), limit=1, has_gate=True),
    QueueSlot(3, RUDDERSTACK, ("a",)),
)


@dataclass(frozen=True)
class Place:
    """An asset and a partition of a queue group, with its own target.

    Attributes:
        group: The number of the group.
    """

    group: int
    slot: QueueSlot
    partition: str

    @property
    def number(self) -> int:
        """Names it in reports, like the number of a materialization."""
        within = self.slot.number * _PARTITIONS_OF_SLOT + self.slot.partitions.index(self.partition)
        return FIRST_NUMBER + self.group * MAX_SLOTS + within

    @property
    def target(self) -> str:
        return self.slot.kind.target(self.number)

    @property
    def asset(self) -> str:
        """The key of the asset; each group has assets of its own."""
        return asset_of(self.group, self.slot)


def asset_of(group: int, slot: QueueSlot) -> str:
    """Returns the key of the asset."""
    return f"queue_{group}_{slot.number}"


@dataclass(frozen=True)
class QueueRequest:
    """One request: a Dagster run that materializes one partition.

    Attributes:
        number: Its index.
        variant: The value of the field that the launch overrides.
        is_backfill: Whether the Dagster run belongs to a backfill, so that its step waits.
        pause: Real seconds before it.
        disturbances: One for each of its first attempts.
    """

    number: int
    place: Place
    variant: str
    is_backfill: bool
    pause: float
    disturbances: tuple[Disturbance, ...]

    @property
    def config(self) -> dict[str, dict[str, str]]:
        """Returns the config of its step."""
        field = self.place.slot.field
        return {field: {"variant": self.variant}} if field else {}


@dataclass(frozen=True)
class Kill:
    """The end of one process that evaluates the completion sensor.

    Attributes:
        ticks: The tick of this process in which it is killed, or the first later one with something to lose.
        point: Where in the tick.
        after: Real seconds into the evaluation, if it is killed there.
    """

    ticks: int
    point: KillPoint
    after: float = 0.0


@dataclass(frozen=True)
class QueueGroup:
    """The requests for the assets of one completion sensor.

    Attributes:
        started_disturbances: For each of the first Dagster runs with which the sensor starts requests.
        behaviors: The behaviors of each target's runs.
        faults: The faults of requests for the targets.
        kills: For each of the first processes that evaluate the sensor; later ones are not killed.
    """

    number: int
    requests: tuple[QueueRequest, ...]
    started_disturbances: tuple[Disturbance | None, ...]
    behaviors: dict[str, tuple[Behavior, ...]]
    faults: tuple[Fault, ...]
    kills: tuple[Kill, ...]

    @property
    def places(self) -> tuple[Place, ...]:
        """Returns all assets and partitions, whether requested or not."""
        return places_of(self.number)


def places_of(group: int) -> tuple[Place, ...]:
    """Returns all assets and partitions of a group."""
    return tuple(Place(group, slot, partition) for slot in QUEUE_SLOTS for partition in slot.partitions)


def queue_plan(seed: int, groups: int, *, calm: bool = False) -> list[QueueGroup]:
    """Returns this many groups.

    Args:
        seed: The seed.
        groups: The number of groups.
        calm: Whether nothing is killed and no vendor fails.
    """
    return [_group(seed, number, calm=calm) for number in range(groups)]


def _group(seed: int, number: int, *, calm: bool) -> QueueGroup:
    # Separate generators, so that a calm group has the same requests.
    random, disturbing = (Random(f"{seed}/queue {number}/{part}") for part in ("requests", "disturbances"))
    requests = tuple(_requests(random, None if calm else disturbing, number))
    behaviors = {place.target: tuple(_behaviors(random, place.slot, calm=calm)) for place in places_of(number)}
    if calm:
        return QueueGroup(number, requests, (), behaviors, (), ())
    started = tuple(_disturbance(disturbing) if disturbing.random() < 0.4 else None for _ in range(12))
    faults = tuple(fault for place in places_of(number) for fault in _faults(disturbing, place))
    kills = [Kill(disturbing.randint(1, 4), point, disturbing.uniform(0, 0.3)) for point in KILL_POINTS]
    disturbing.shuffle(kills)
    return QueueGroup(number, requests, started, behaviors, faults, tuple(kills))


def _requests(random: Random, disturbing: Random | None, group: int) -> Iterator[QueueRequest]:
    """Yields bursts of requests for one partition, with pauses between them; each slot has at least one burst."""
    # A calm group is short: one burst for each slot with several partitions.
    count = random.randint(_MIN_REQUESTS, _MAX_REQUESTS) if disturbing is not None else 0
    slots = [slot for slot in QUEUE_SLOTS if disturbing is not None or len(slot.partitions) > 1]
    random.shuffle(slots)
    number, backfills = 0, random.randint(1, 2)
    while number < count or slots:
        slot = slots.pop() if slots else random.choice(QUEUE_SLOTS)
        # A limit is only tested by requests for several partitions.
        partitions = [random.choice(slot.partitions)] if slot.limit is None else list(slot.partitions)
        variants = random.choices(slot.variants, k=2)
        for index in range(random.randint(2, 3) if slot.limit is None else random.randint(slot.limit + 1, 4)):
            is_backfill = index > 0 and backfills > 0 and random.random() < 0.3
            backfills -= is_backfill
            yield QueueRequest(
                number,
                Place(group, slot, partitions[index % len(partitions)]),
                random.choice(variants),
                is_backfill,
                random.uniform(0.1, 0.6),
                _disturbances(disturbing) if disturbing is not None else (),
            )
            number += 1


def _disturbances(random: Random) -> tuple[Disturbance, ...]:
    return (_disturbance(random),) if random.random() < 0.35 else ()


def _disturbance(random: Random) -> Disturbance:
    how = random.choice(["kill", "kill", "evict", "terminate"])
    if random.random() < 0.6:
        return Disturbance(how, at_start_of=0)  # type: ignore[arg-type]
    return Disturbance(how, after=random.uniform(0.3, 4))  # type: ignore[arg-type]


def _behaviors(random: Random, slot: QueueSlot, *, calm: bool) -> Iterator[Behavior]:
    """Yields the behavior of the first, second, … run; the last one applies to further runs, and is a success."""
    seconds = random.uniform(*(LONG_SECONDS if calm else SECONDS))
    if not calm and random.random() < 0.25:
        yield Behavior(running_seconds=seconds / 2, outcome="fail")
    if slot.has_gate and random.random() < 0.5:
        yield Behavior(running_seconds=seconds, **slot.kind.quality(is_bad=True))
    yield Behavior(running_seconds=seconds, **slot.kind.quality(is_bad=False))


def _faults(random: Random, place: Place) -> Iterator[Fault]:
    if random.random() < 0.25:
        kind = random.choice(["lost_response", "reset", "truncated", "not_json", "status"])
        more = {"status": random.choice([429, 500, 503])} if kind == "status" else {}
        yield Fault(kind, method="POST", target=place.target, times=1, skip=random.randint(0, 1), **more)  # type: ignore[arg-type]
    for _ in range(random.choice([0, 1, 2])):
        kind = random.choice(["lost_response", "reset", "html", "truncated", "not_json", "not_found", "expired_token"])
        skip, times = random.randint(0, 4), random.randint(1, 3)
        yield Fault(kind, method="GET", target=place.target, skip=skip, times=times)  # type: ignore[arg-type]
