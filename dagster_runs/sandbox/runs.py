"""Targets and runs. A run's state depends only on the time, so there are no timers that `advance` has to move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from dagster_runs.sandbox.behavior import Behavior, Outcome, Plan


class Phase(Enum):
    """The phase of a run, independent of any vendor."""

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
        hold_seconds = plan.hold_seconds if plan.hold else 0.0
        start = self.created_at + plan.queued_seconds
        is_held_before_start = plan.hold_when == "queued"
        self.hold_starts_at = start if is_held_before_start else start + plan.running_seconds / 2
        self.hold_ends_at = self.hold_starts_at + hold_seconds
        self.starts_at = self.hold_ends_at if is_held_before_start else start
        self.ends_at = self.starts_at + plan.running_seconds + (0.0 if is_held_before_start else hold_seconds)
        # Real vendors use the same states for a run that was canceled without a cancel request as for one with a
        # request.
        self.cancels_itself_at = self.ends_at - min(plan.cancel_seconds, plan.running_seconds / 4)

    @property
    def outcome(self) -> Outcome:
        """The outcome of the run."""
        return "cancel" if self.cancel_requested_at is not None else self.plan.outcome

    def phase(self, now: float) -> Phase:
        """Returns the phase at this time."""
        if now >= (self.ends_at if self.cancel_requested_at is None else self._actual_end()):
            return Phase.ENDED
        if self.cancel_requested_at is not None:
            return Phase.CANCELING
        if self.plan.hold and self.hold_starts_at <= now < self.hold_ends_at:
            return Phase.HELD
        if now < self.starts_at:
            return Phase.QUEUED
        if self.outcome == "cancel" and now >= self.cancels_itself_at:
            return Phase.CANCELING
        return Phase.RUNNING

    def started_at(self, now: float) -> float | None:
        """Returns the start time; None if the run has not started."""
        return self.starts_at if self.starts_at <= self._active_until(now) else None

    def ended_at(self, now: float) -> float | None:
        """Returns the end time; None if the run has not ended."""
        end = self._actual_end()
        return end if now >= end else None

    def has_reached(self, at: float, now: float) -> bool:
        """Whether the run reached the point that is planned for time `at`. A canceled run stops earlier."""
        return at <= self._active_until(now)

    def progress(self, now: float) -> float:
        """Returns the share of the work that is done, from 0 to 1. It stops while the run is held or canceled."""
        until = self._active_until(now)
        if self.outcome == "cancel":
            until = min(until, self.cancels_itself_at)
        if until < self.starts_at:
            return 0.0
        seconds = until - self.starts_at
        if self.plan.hold and self.plan.hold_when == "running" and until > self.hold_starts_at:
            seconds -= min(until, self.hold_ends_at) - self.hold_starts_at
        return min(seconds / self.plan.running_seconds, 1.0) if self.plan.running_seconds else 1.0

    def _actual_end(self) -> float:
        if self.cancel_requested_at is None:
            return self.ends_at
        return self.cancel_requested_at + self.plan.cancel_seconds

    def _active_until(self, now: float) -> float:
        return now if self.cancel_requested_at is None else min(now, self.cancel_requested_at)


@dataclass
class Target:
    """An object that a vendor can run: a Profiles project, a courier group, a journey, a pipeline, a test suite.

    Attributes:
        defaults: The default behavior of its runs.
        behaviors: The behaviors of the next runs, in order. The last one applies to all further runs.
        fields: The fields that the vendor's lists show.
        runs: Its runs, oldest first.
    """

    id: str
    kind: str
    defaults: Behavior
    fields: Mapping[str, Any] = field(default_factory=dict)
    behaviors: list[Behavior] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    def next_behavior(self) -> Behavior:
        """Returns the behavior of the run that starts now."""
        if len(self.behaviors) > 1:
            return self.behaviors.pop(0)
        return self.behaviors[0] if self.behaviors else Behavior()


@dataclass(frozen=True)
class SandboxRun:
    """A snapshot of a run, for tests.

    Attributes:
        id: The vendor's id of the run.
        vendor: The name of the vendor, such as `rudderstack`.
        kind: The vendor's name for the kind of run, such as `run-tests`.
        target_id: The id of the target.
        source: `api` if a request started the run; otherwise the `source` passed to `start_run`, such as `scheduler`.
        state: The vendor's current status of the run.
        created_at: The creation time. All times are simulated epoch seconds.
        started_at: The start time; None until the run starts.
        ended_at: The end time; None until the run ends.
        cancel_requested_at: The time of the request to cancel the run; None without one.
        body: The JSON of the request that started the run.
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
        """The body's `parameters`, if the vendor has them."""
        return list(self.body.get("parameters") or []) if isinstance(self.body, dict) else []

    def as_dict(self) -> dict[str, Any]:
        """Returns a dict for JSON."""
        return asdict(self)
