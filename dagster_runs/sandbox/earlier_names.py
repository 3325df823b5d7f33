"""The names that public parts of the sandbox had in earlier versions. They still work; new code uses the new names."""

from dataclasses import InitVar, dataclass
from typing import Any

from dagster_runs.sandbox.behavior import Behavior

Behaviour = Behavior
FAULT_KINDS = {"lost_answer": "lost_response"}


class EarlierClientNames:
    """Earlier names of methods of `SandboxClient`."""

    def begin_run(self: Any, *args: Any, **named: Any) -> Any:
        """See `SandboxClient.start_run`."""
        return self.start_run(*args, **named)

    def set_behaviour(self: Any, target_id: str, behaviour: Any, **named: Any) -> None:
        """See `SandboxClient.set_behavior`."""
        self.set_behavior(target_id, behaviour, **named)

    def busiest_second(self: Any, vendor: str | None = None) -> int:
        """See `SandboxClient.peak_requests_per_second`."""
        return int(self.peak_requests_per_second(vendor))


class EarlierRequestNames:
    """Earlier names of attributes of `RecordedRequest`."""

    @property
    def at(self: Any) -> float:
        """See `RecordedRequest.received_at`."""
        return float(self.received_at)

    @property
    def wall_at(self: Any) -> float:
        """See `RecordedRequest.wall_received_at`."""
        return float(self.wall_received_at)


@dataclass(frozen=True, kw_only=True)
class EarlierFaultNames:
    """Earlier names of arguments of `Fault`."""

    word: InitVar[str | None] = None
    """See `Fault.state`."""
