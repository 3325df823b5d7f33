"""Targets and runs. A run's state is worked out from the time alone: no timers, so `advance` needs no bookkeeping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from dagster_runs.sandbox.behaviour import Behaviour, Outcome, Plan


class Phase(Enum):
    """Where a run is, in no vendor's words."""

    QUEUED = "queued"
    RUNNING = "running"
    HELD = "held"
    CANCELING = "canceling"
    ENDED = "ended"


@dataclass
class Run:
    """One run at a vendor."""

    id: str
    kind: str
    target_id: str
    source: str
    created_at: float
    plan: Plan
    body: Any = None
    cancel_requested_at: float | None = None

    def __post_init__(self) -> None:
        plan = self.plan
        half = plan.running_seconds / 2
        held = plan.hold_seconds if plan.hold else 0.0
        start = self.created_at + plan.queued_seconds
        before = plan.hold_when == "queued"
        self.hold_from = start if before else start + half
        self.hold_to = self.hold_from + held
        self.starts_at = self.hold_to if before else start
        self.ends_at = self.starts_at + plan.running_seconds + (0.0 if before else held)
        # A run that nobody canceled was seen to pass through the same states as one that somebody did.
        self.gives_up_at = self.ends_at - min(plan.cancel_seconds, plan.running_seconds / 4)

    @property
    def outcome(self) -> Outcome:
        """How it ends, or ended."""
        return "cancel" if self.cancel_requested_at is not None else self.plan.outcome

    def phase(self, now: float) -> Phase:
        """Where it is at this time."""
        if now >= (self.ends_at if self.cancel_requested_at is None else self._ends_at()):
            return Phase.ENDED
        if self.cancel_requested_at is not None:
            return Phase.CANCELING
        if self.plan.hold and self.hold_from <= now < self.hold_to:
            return Phase.HELD
        if now < self.starts_at:
            return Phase.QUEUED
        if self.outcome == "cancel" and now >= self.gives_up_at:
            return Phase.CANCELING
        return Phase.RUNNING

    def started_at(self, now: float) -> float | None:
        """When it began to run, if it has."""
        return self.starts_at if self.starts_at <= self._active_until(now) else None

    def ended_at(self, now: float) -> float | None:
        """When it ended, if it has."""
        ends_at = self._ends_at()
        return ends_at if now >= ends_at else None

    def reached(self, at: float, now: float) -> bool:
        """Whether it got as far as to what its plan has for that time (a canceled run stops on its way)."""
        return at <= self._active_until(now)

    def progress(self, now: float) -> float:
        """The part of its work that is done, 0 to 1; it stands still while held or canceled."""
        until = self._active_until(now)
        if self.outcome == "cancel":
            until = min(until, self.gives_up_at)
        if until < self.starts_at:
            return 0.0
        worked = until - self.starts_at
        if self.plan.hold and self.plan.hold_when == "running" and until > self.hold_from:
            worked -= min(until, self.hold_to) - self.hold_from
        return min(worked / self.plan.running_seconds, 1.0) if self.plan.running_seconds else 1.0

    def _ends_at(self) -> float:
        if self.cancel_requested_at is None:
            return self.ends_at
        return self.cancel_requested_at + self.plan.cancel_seconds

    def _active_until(self, now: float) -> float:
        return now if self.cancel_requested_at is None else min(now, self.cancel_requested_at)


@dataclass
class Target:
    """What a vendor can run: a Profiles project, a courier group, a journey, a pipeline, a test suite.

    Attributes:
        defaults: How its runs go when no test says otherwise.
        behaviours: What a test asked for: the first for the next run, and so on; the last one stays.
        fields: What its vendor's listings say of it.
        runs: Its runs, oldest first.
    """

    id: str
    kind: str
    defaults: Behaviour
    fields: Mapping[str, Any] = field(default_factory=dict)
    behaviours: list[Behaviour] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    def next_behaviour(self) -> Behaviour:
        """How the run that starts now goes."""
        if len(self.behaviours) > 1:
            return self.behaviours.pop(0)
        return self.behaviours[0] if self.behaviours else Behaviour()


@dataclass(frozen=True)
class SandboxRun:
    """A run as a test sees it.

    Attributes:
        id: The vendor's id of it.
        vendor: Whose it is, such as `rudderstack`.
        kind: The vendor's word for what it does, such as `run-tests`.
        target_id: What was run.
        source: `api` if a request started it; else what `begin_run` was told, such as `scheduler`.
        state: The vendor's word for its state now.
        created_at: Simulated epoch seconds, as are all times here.
        started_at: None until it starts.
        ended_at: None until it ends.
        cancel_requested_at: None unless somebody asked.
        body: The JSON that was sent to start it.
    """

    id: str
    vendor: str
    kind: str
    target_id: str
    source: str
    state: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    cancel_requested_at: float | None
    body: Any

    @property
    def parameters(self) -> list[str]:
        """The body's `parameters`, where the vendor has them."""
        return list(self.body.get("parameters") or []) if isinstance(self.body, dict) else []

    def as_dict(self) -> dict[str, Any]:
        """For sending."""
        return asdict(self)
