"""What a campaign defers: assets and partitions, each with a run of its own and a fate that is drawn by the seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil, inf
from random import Random
from typing import Literal

from dagster_runs.sandbox import Behaviour
from tests.chaos import kinds
from tests.chaos.kinds import Kind

Fate = Literal["succeed", "fail", "cancel", "hang"]

KINDS = (
    kinds.RUDDERSTACK,
    kinds.COURIERS,
    kinds.JOURNEY_BY_KEY,
    kinds.PIPELINE,
    kinds.TESTS,
    kinds.RUDDERSTACK,
    kinds.ORCHESTRATION,
    kinds.JOURNEY_BY_ID,
    kinds.PIPELINE,
    kinds.PROFILING,
)
"""In turn, so that each vendor has a fifth of the runs."""
TIMEOUT = 6 * 3600.0
"""Simulated seconds that each asset waits for a run; all that end by themselves do so earlier."""
_LONG, _SHORT = (1800.0, 5 * 3600.0), (30.0, 600.0)
_MOST_ASSETS = 100
_FATES: tuple[tuple[Fate, float], ...] = (("fail", 0.015), ("cancel", 0.01), ("hang", 0.01))


@dataclass(frozen=True)
class Slot:
    """One asset of the code location.

    Attributes:
        number: Its place among them.
        kind: What it runs.
    """

    number: int
    kind: Kind

    @property
    def asset(self) -> str:
        """The asset's key."""
        return f"{self.kind.vendor}_{self.number:03d}"

    @property
    def on_timeout(self) -> Literal["leave", "cancel"]:
        """Of every second one whose runs can be cancelled, the runs are."""
        return "cancel" if self.kind.run_class.can_cancel and self.number // len(KINDS) % 2 == 0 else "leave"


@dataclass(frozen=True)
class Flight:
    """One deferred run: an asset and a partition.

    Attributes:
        number: Names it in reports, and its target at the vendor.
        slot: The asset.
        partition: The partition.
        fate: How its remote run ends; ``hang`` never does.
        seconds: How long it runs, simulated.
    """

    number: int
    slot: Slot
    partition: str
    fate: Fate
    seconds: float

    @property
    def target(self) -> str:
        """What only this run runs."""
        return self.slot.kind.target(self.number)

    @property
    def words(self) -> str:
        """The vendor's, where it fails."""
        return f"the warehouse broke under {self.number}"

    @property
    def expected(self) -> str:
        """What the failure must say; empty if it is to succeed."""
        return {"fail": self.words, "cancel": "RunCanceled", "hang": "RunTimedOut", "succeed": ""}[self.fate]

    @property
    def behaviour(self) -> Behaviour:
        """For the sandbox."""
        if self.fate == "hang":
            return Behaviour(running_seconds=inf)
        if self.fate == "fail":
            return Behaviour(running_seconds=self.seconds, outcome="fail", error=self.words)
        return Behaviour(running_seconds=self.seconds, outcome=self.fate)


@dataclass(frozen=True)
class Plan:
    """A campaign: at least ``runs`` deferred runs, of a seed."""

    seed: int
    runs: int

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The assets."""
        count = min(_MOST_ASSETS, max(len(KINDS), self.runs // len(KINDS) // 10 * 10))
        return tuple(Slot(number, KINDS[number % len(KINDS)]) for number in range(count))

    @cached_property
    def partitions(self) -> tuple[str, ...]:
        """The partitions of every asset; a Dagster run defers the runs of one of them."""
        return tuple(f"p{number:04d}" for number in range(ceil(self.runs / len(self.slots))))

    @cached_property
    def flights(self) -> dict[tuple[str, str], Flight]:
        """The runs, by asset and partition."""
        random = Random(f"{self.seed}/flights")
        return {
            (slot.asset, partition): _flight(random, len(self.slots) * index + slot.number, slot, partition)
            for index, partition in enumerate(self.partitions)
            for slot in self.slots
        }


def _flight(random: Random, number: int, slot: Slot, partition: str) -> Flight:
    draw, fate = random.random(), "succeed"
    for possible, share in _FATES:
        if draw < share:
            fate = possible
            break
        draw -= share
    if fate == "cancel" and not slot.kind.run_class.can_cancel:
        fate = "fail"  # Prophecy and RudderStack have no word for a cancelled run
    seconds = random.uniform(*(_SHORT if random.random() < 0.1 else _LONG))
    return Flight(number, slot, partition, fate, seconds)  # type: ignore[arg-type]
