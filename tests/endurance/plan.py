"""The plan of a campaign: assets and partitions, each with its own run and an outcome that depends on the seed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from math import ceil, inf
from random import Random
from typing import Literal

from dagster_runs.sandbox import Behavior
from tests.chaos import kinds
from tests.chaos.kinds import Kind

Fate = Literal["succeed", "bad data", "fail", "cancel", "hang"]

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
_MAX_ASSETS = 100
_BAD_DATA = 0.2
"""Of the runs that succeed and judge data, those that find it bad."""
FIRST_DAY = date(2024, 1, 1)
_RANGES = 5
"""Of every so many Dagster runs over days, one fills two days by one remote run of each asset."""
_FATES: tuple[tuple[Fate, float], ...] = (("fail", 0.015), ("cancel", 0.01), ("hang", 0.01))


@dataclass(frozen=True)
class Slot:
    """One asset of the code location.

    Attributes:
        number: Its index.
        kind: The kind of its runs.
    """

    number: int
    kind: Kind

    @property
    def asset(self) -> str:
        """The key of the asset."""
        return f"{self.kind.vendor}_{self.number:03d}"

    @property
    def is_daily(self) -> bool:
        """Whether it has daily partitions, several of which one run may fill. Each kind has assets of both types."""
        return (self.number + self.number // len(KINDS)) % 2 == 1

    @property
    def has_gate(self) -> bool:
        """Whether bad data blocks downstream assets."""
        return bool(self.kind.judged_by)

    @property
    def on_timeout(self) -> Literal["leave", "cancel"]:
        """The timeout option: every second asset with cancelable runs cancels them."""
        return "cancel" if self.kind.run_class.can_cancel() and self.number // len(KINDS) % 2 == 0 else "leave"


@dataclass(frozen=True)
class Batch:
    """The remote runs of one Dagster run: one for each asset with these partitions.

    Attributes:
        is_daily: Whether the partitions are days.
        partitions: One partition, or several days that each asset fills with one remote run.
        size: The number of remote runs.
    """

    is_daily: bool
    partitions: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Flight:
    """One deferred run: an asset and a partition, or several.

    Attributes:
        number: Identifies it in reports, and in its target at the vendor.
        slot: The asset.
        partitions: The partitions that it fills.
        fate: The outcome of its remote run; ``hang`` never ends; ``bad data`` is a success whose tests fail.
        seconds: Its duration in simulated time.
    """

    number: int
    slot: Slot
    partitions: tuple[str, ...]
    fate: Fate
    seconds: float

    @property
    def target(self) -> str:
        """The target that only this run uses."""
        return self.slot.kind.target(self.number)

    @property
    def words(self) -> str:
        """The error from the vendor, if it fails."""
        return f"the warehouse broke under {self.number}"

    @property
    def expected(self) -> str:
        """Text that the failure must contain; empty if it must succeed."""
        return {"fail": self.words, "cancel": "RunCanceled", "hang": "RunTimedOut"}.get(self.fate, "")

    @property
    def behavior(self) -> Behavior:
        """The behavior in the sandbox."""
        if self.fate == "hang":
            return Behavior(running_seconds=inf)
        if self.fate == "fail":
            return Behavior(running_seconds=self.seconds, outcome="fail", error=self.words)
        if self.fate == "cancel":
            return Behavior(running_seconds=self.seconds, outcome="cancel")
        found = self.slot.kind.quality(is_bad=self.fate == "bad data")
        return Behavior(running_seconds=self.seconds, outcome="succeed", **found)


@dataclass(frozen=True)
class Plan:
    """The plan of a seed, with at least ``runs`` deferred runs."""

    seed: int
    runs: int

    @property
    def queued(self) -> int:
        """The number of requests that have to queue."""
        return max(14, self.runs // 100)

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The assets."""
        count = min(_MAX_ASSETS, max(len(KINDS), self.runs // len(KINDS) // 10 * 10))
        return tuple(Slot(number, KINDS[number % len(KINDS)]) for number in range(count))

    @cached_property
    def batches(self) -> tuple[Batch, ...]:
        """The Dagster runs, in the order of their starts; named partitions and days alternate."""
        daily = sum(slot.is_daily for slot in self.slots)
        batches, day = list[Batch](), 0
        for number in range(ceil(self.runs / len(self.slots))):
            batches.append(Batch(False, (f"p{number:04d}",), len(self.slots) - daily))
            days = 2 if number % _RANGES == 1 else 1
            batches.append(Batch(True, tuple(_day(day + more) for more in range(days)), daily))
            day += days
        return tuple(batches)

    @cached_property
    def partitions(self) -> tuple[str, ...]:
        """The named partitions."""
        return tuple(batch.partitions[0] for batch in self.batches if not batch.is_daily)

    @cached_property
    def deferred_runs(self) -> dict[tuple[str, str], Flight]:
        """The deferred runs, by asset and first partition."""
        random = Random(f"{self.seed}/flights")
        pairs = [(batch, slot) for batch in self.batches for slot in self.slots if slot.is_daily == batch.is_daily]
        return {
            (slot.asset, batch.partitions[0]): _deferred_run(random, number, slot, batch.partitions)
            for number, (batch, slot) in enumerate(pairs)
        }


def _day(number: int) -> str:
    return (FIRST_DAY + timedelta(days=number)).isoformat()


def _deferred_run(random: Random, number: int, slot: Slot, partitions: tuple[str, ...]) -> Flight:
    draw, fate = random.random(), "succeed"
    for possible, share in _FATES:
        if draw < share:
            fate = possible
            break
        draw -= share
    if fate == "cancel" and not slot.kind.run_class.can_cancel():
        fate = "fail"  # Prophecy and RudderStack have no status for a canceled run
    seconds = random.uniform(*(_SHORT if random.random() < 0.1 else _LONG))
    if random.random() < _BAD_DATA and fate == "succeed" and slot.has_gate:
        fate = "bad data"
    return Flight(number, slot, partitions, fate, seconds)  # type: ignore[arg-type]
