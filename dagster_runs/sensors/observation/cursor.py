"""The observation sensor's cursor: what is known about each resource's runs, from tick to tick."""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dagster_runs.sensors import limits
from dagster_runs.sensors.cursor_fields import stored_value


@dataclass
class PendingRun:
    """A listed run that is not reported yet.

    Attributes:
        created_at: Epoch seconds.
        asset: The first asset of the definition that the run materializes, as text; ``None`` while it is unknown.
        is_materialized: Whether its materialization is reported, but its check evaluations are not.
    """

    created_at: float
    asset: str | None = None
    is_materialized: bool = False


@dataclass
class ResourceCursor:
    """What is known about one resource's runs.

    Attributes:
        listed_until: Epoch seconds up to which all runs were listed.
        processed: Creation times of the runs that need no further action, by id.
        pending: The runs that are not reported yet, by id.
    """

    listed_until: float
    processed: dict[str, float] = field(default_factory=dict)
    pending: dict[str, PendingRun] = field(default_factory=dict)

    def add(self, run_id: str, created_at: float) -> None:
        """Adds a listed run, if it is new."""
        if created_at >= self.listed_until - limits.LISTED_LATE and run_id not in self.processed:
            self.pending.setdefault(run_id, PendingRun(created_at))

    def finish(self, run_id: str) -> None:
        """Marks a run as one that needs no further action."""
        self.processed[run_id] = self.pending.pop(run_id).created_at

    def mark_listed(self, at: float, undated: Collection[str]) -> None:
        """Marks all runs up to a time as listed. A run whose asset is not known yet must be listed again.

        Args:
            at: Epoch seconds.
            undated: Listed runs for which the vendor reports no creation time. The vendor may list them forever, and
                they must not count as new each time.
        """
        self.listed_until = min([at, *(one.created_at for one in self.pending.values() if one.asset is None)])
        # A run whose asset is not known yet may have moved `listed_until` back by as much time as it was listed late.
        oldest = self.listed_until - 2 * limits.LISTED_LATE
        self.processed = {
            run_id: created_at
            for run_id, created_at in self.processed.items()
            if created_at >= oldest or run_id in undated
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "ResourceCursor":
        """Reads the result of `asdict`, also with the names of earlier versions."""
        pending = {
            run_id: PendingRun(
                _time(one["created_at"]),
                one["asset"] if one["asset"] is None else str(one["asset"]),
                bool(one.get("is_materialized", False)),
            )
            for run_id, one in stored_value(stored, "pending", earlier="awaited").items()
        }
        processed = {
            run_id: _time(created_at)
            for run_id, created_at in stored_value(stored, "processed", earlier="done").items()
        }
        return cls(_time(stored_value(stored, "listed_until", earlier="since")), processed, pending)


def _time(stored: Any) -> float:
    """Returns epoch seconds.

    Raises:
        ValueError: The value is not a finite number.
    """
    time = float(stored)
    if not math.isfinite(time):
        raise ValueError(time)
    return time


def from_text(text: str | None) -> dict[str, ResourceCursor]:
    """Reads a cursor, by resource. Any other text is read as an empty cursor, so that observation starts over."""
    try:
        return {key: ResourceCursor.from_json(stored) for key, stored in json.loads(text or "{}").items()}
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return {}


def as_text(cursors: Mapping[str, ResourceCursor]) -> str:
    """Returns the text that Dagster stores."""
    return json.dumps({key: asdict(one) for key, one in cursors.items()})
