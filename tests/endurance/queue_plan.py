"""The plan of the requests that have to queue: assets with limits, and requests that come while runs are in flight."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from random import Random

from dagster_runs.sandbox import Behavior

VARIANTS = ("x", "y", "z")
"""The values of the field that a launch overrides. Requests with different values need runs of their own."""
_SECONDS = (6.0, 25.0)
"""The shortest and the longest run, in real seconds, so that requests overlap with runs however fast time runs."""
TIMEOUT = 100 * 86400.0
"""The timeout in simulated seconds. None of these runs times out."""
_BACKFILLS = 7
"""Of every so many requests, one belongs to a backfill, whose step waits."""


@dataclass(frozen=True)
class QueueSlot:
    """One asset.

    Attributes:
        number: Its index.
        partitions: Its partitions.
        limit: The maximum number of its runs in flight.
    """

    number: int
    partitions: tuple[str, ...]
    limit: int | None

    @property
    def asset(self) -> str:
        """The key of the asset."""
        return f"queue_{self.number}"

    def target(self, partition: str) -> str:
        """The pipeline that only this asset and partition run."""
        return f"queued_{self.number}_{partition}"


SLOTS = (
    QueueSlot(0, ("a", "b", "c"), None),
    QueueSlot(1, ("a", "b", "c", "d", "e", "f"), 2),
    QueueSlot(2, ("a", "b", "c"), 1),
)


@dataclass(frozen=True)
class QueueRequest:
    """One request: a Dagster run that materializes one partition.

    Attributes:
        number: Its index.
        slot: The asset.
        partition: The partition.
        variant: The value of the field that the launch overrides.
        is_backfill: Whether its step waits.
    """

    number: int
    slot: QueueSlot
    partition: str
    variant: str
    is_backfill: bool


@dataclass(frozen=True)
class QueuePlan:
    """The requests of a seed.

    Attributes:
        speed: Simulated seconds in a real one.
    """

    seed: int
    count: int
    speed: float

    @cached_property
    def requests(self) -> tuple[QueueRequest, ...]:
        """The requests, in the order in which they are made."""
        random = Random(f"{self.seed}/queue")
        found = []
        for number in range(self.count):
            slot = random.choice(SLOTS)
            # Few partitions are asked for again and again, so that most requests find a run in flight.
            partition = random.choice(slot.partitions)
            is_backfill = number % _BACKFILLS == _BACKFILLS - 1
            found.append(QueueRequest(number, slot, partition, random.choice(VARIANTS), is_backfill))
        return tuple(found)

    @cached_property
    def behaviors(self) -> dict[str, Behavior]:
        """The behavior of each target."""
        random = Random(f"{self.seed}/queue behaviors")
        targets = [slot.target(partition) for slot in SLOTS for partition in slot.partitions]
        return {target: Behavior(running_seconds=self.speed * random.uniform(*_SECONDS)) for target in targets}
