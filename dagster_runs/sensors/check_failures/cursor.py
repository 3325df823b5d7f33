"""The check failure sensor's cursor: how far the evaluations have been read."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

MAX_ID = 2**63
"""The limit for ids: a larger one does not fit in a database's integer."""


@dataclass
class OpenRun:
    """A Dagster run that may still evaluate a check.

    Attributes:
        read_to: Where the next reading of its events begins; ``None`` for the first event.
        ended_at: Epoch seconds at which it was first seen to have ended; ``None`` while it is active.
        has_open_plan: Whether it has ended, and an evaluation that it planned may still be reported. A deferred run's
            evaluation is, hours later.
    """

    read_to: str | None = None
    ended_at: float | None = None
    has_open_plan: bool = False


@dataclass
class CheckFailureCursor:
    """What the sensor keeps between ticks.

    Attributes:
        begun_at: Epoch seconds by the machine's clock at which the sensor began. Earlier evaluations are not reported.
        read_to: The id after which check records must be read.
        last_pass: The last complete reading: epoch seconds, and the largest id that was seen.
        runs: The Dagster runs whose events must be read, by id.
        reported: Digests of the reported evaluations that are read again, with the epoch seconds of their reports. So
            another process neither requests them again nor spends its tick on them.
    """

    begun_at: float
    read_to: int
    last_pass: tuple[float, int] = (0.0, 0)
    runs: dict[str, OpenRun] = field(default_factory=dict)
    reported: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_text(cls, text: str | None) -> "CheckFailureCursor | None":
        """Reads a cursor; ``None`` without one. Any other text is ignored too, so that the sensor begins again."""
        try:
            stored = json.loads(text or "null")
            begun_at, read_to = _time(stored["begun_at"]), _record_id(stored["read_to"])
            at, newest = stored["last_pass"]
            last_pass = _time(at), _record_id(newest)
            runs = {run_id: _open_run(one) for run_id, one in stored["runs"].items()}
            reported = {str(digest): _time(at) for digest, at in stored["reported"].items()}
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            return None
        return cls(begun_at, read_to, last_pass, runs, reported)

    def as_text(self) -> str:
        """Returns the text that Dagster stores. Dagster keeps it for each tick, so it must be short."""
        runs = {
            run_id: {name: value for name, value in asdict(one).items() if value} for run_id, one in self.runs.items()
        }
        stored = {
            "begun_at": self.begun_at,
            "read_to": self.read_to,
            "last_pass": self.last_pass,
            "runs": runs,
            "reported": {digest: round(at) for digest, at in self.reported.items()},
        }
        return json.dumps(stored, separators=(",", ":"))


def _open_run(stored: Mapping[str, Any]) -> OpenRun:
    read_to, ended_at = stored.get("read_to"), stored.get("ended_at")
    return OpenRun(
        None if read_to is None else str(read_to),
        None if ended_at is None else _time(ended_at),
        bool(stored.get("has_open_plan", False)),
    )


def _time(stored: Any) -> float:
    """Returns epoch seconds.

    Raises:
        ValueError: The value is not a finite number.
    """
    time = float(stored)
    if not math.isfinite(time):
        raise ValueError(time)
    return time


def _record_id(stored: Any) -> int:
    found = int(stored)
    if not 0 <= found < MAX_ID:
        raise ValueError(found)
    return found
