"""The behavior of a target's runs: what a test specifies, and the plan that a run follows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["succeed", "fail", "cancel"]

_OUTCOMES = ("succeed", "fail", "cancel")
_SECONDS = ("queued_seconds", "running_seconds", "cancel_seconds", "hold_seconds")


@dataclass(frozen=True)
class Plan:
    """The plan of one run, which is fixed when the run starts."""

    queued_seconds: float = 2.0
    running_seconds: float = 8.0
    outcome: Outcome = "succeed"
    error: str | None = None
    cancel_seconds: float = 2.0
    hold: str | None = None
    hold_seconds: float = math.inf
    hold_when: Literal["queued", "running"] = "running"
    options: Mapping[str, Any] = field(default_factory=dict)


class Behavior:
    """The behavior of a target's next runs. Arguments that are not set keep the target's defaults.

    Args:
        queued_seconds: Simulated seconds before the run starts.
        running_seconds: Simulated seconds for which the run is running.
        outcome: `succeed`, `fail`, or `cancel` (the run ends canceled without a request to cancel it).
        error: The vendor's error message, if the run fails.
        cancel_seconds: Simulated seconds between the request to cancel and the cancellation of the run.
        hold: A state, documented by the vendor or not, in which the run pauses.
        hold_seconds: The duration of the pause. Defaults to until the run is canceled.
        hold_when: When the pause begins: `queued` (instead of starting) or `running` (half-way through).
        **options: The vendor's own options, such as `spelling` for RudderStack or `counts` for TestGen, which the
            module of the vendor documents. Unknown options are an error.
    """

    def __init__(
        self,
        *,
        queued_seconds: float | None = None,
        running_seconds: float | None = None,
        outcome: Outcome | None = None,
        error: str | None = None,
        cancel_seconds: float | None = None,
        hold: str | None = None,
        hold_seconds: float | None = None,
        hold_when: Literal["queued", "running"] | None = None,
        **options: Any,
    ) -> None:
        arguments = {
            "queued_seconds": queued_seconds,
            "running_seconds": running_seconds,
            "outcome": outcome,
            "error": error,
            "cancel_seconds": cancel_seconds,
            "hold": hold,
            "hold_seconds": hold_seconds,
            "hold_when": hold_when,
        }
        self.core = {name: value for name, value in arguments.items() if value is not None}
        self.options = options
        for name in _SECONDS:
            seconds = self.core.get(name, 0)
            if not isinstance(seconds, (int, float)) or not seconds >= 0:
                raise ValueError(f"{name} must be a number of seconds, got {seconds!r}")
        if self.core.get("outcome", "succeed") not in _OUTCOMES:
            raise ValueError(f"outcome must be one of {', '.join(_OUTCOMES)}, got {outcome!r}")
        if self.core.get("hold_when", "running") not in ("queued", "running"):
            raise ValueError(f"hold_when must be queued or running, got {hold_when!r}")

    def __repr__(self) -> str:
        return f"Behavior({', '.join(f'{name}={value!r}' for name, value in self.as_dict().items())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Behavior) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash(repr(self))

    def as_dict(self) -> dict[str, Any]:
        """Returns the arguments that were set. `Behavior(**as_dict())` is equal to this behavior."""
        return {**self.core, **self.options}


def make_plan(*layers: Behavior, invalidates: Mapping[str, frozenset[str]]) -> Plan:
    """Merges behaviors to a plan. Later behaviors override earlier ones.

    Args:
        *layers: The behaviors, from the vendor's default to what the test specifies.
        invalidates: For an option, the options of earlier behaviors that it invalidates. For example, new `counts`
            invalidate the `score` of the old ones.
    """
    core: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for layer in layers:
        for name in layer.options:
            for invalidated in invalidates.get(name, frozenset()):
                options.pop(invalidated, None)
        core.update(layer.core)
        options.update(layer.options)
    return Plan(**core, options=options)
