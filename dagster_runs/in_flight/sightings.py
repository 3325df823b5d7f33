"""What an observation sensor has seen of each resource's runs, as its cursor keeps it from tick to tick."""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

LISTED_LATE = 900.0
"""Seconds by which a run may be listed late, or as older than it is by our clock."""


@dataclass
class Sighting:
    """A run whose end is awaited.

    Attributes:
        created_at: Epoch seconds.
        asset: First asset of the definition that it fills, as text; ``None`` while that is not known.
        is_materialized: Whether its materialization is reported, and its evaluations are not.
    """

    created_at: float
    asset: str | None = None
    is_materialized: bool = False


@dataclass
class Seen:
    """What was seen of one resource's runs.

    Attributes:
        since: Epoch seconds up to which all runs were listed.
        done: When those were created that nothing more is to be done about, by id.
        awaited: Those whose end is awaited, by id.
    """

    since: float
    done: dict[str, float] = field(default_factory=dict)
    awaited: dict[str, Sighting] = field(default_factory=dict)

    def take_in(self, run_id: str, created_at: float) -> None:
        """Note a listed run, if it is new."""
        if created_at >= self.since - LISTED_LATE and run_id not in self.done:
            self.awaited.setdefault(run_id, Sighting(created_at))

    def finish(self, run_id: str) -> None:
        """Nothing more is to be done about it."""
        self.done[run_id] = self.awaited.pop(run_id).created_at

    def was_listed(self, at: float, undated: Collection[str]) -> None:
        """All runs until then were listed; older ones need not be listed again, unless it is unknown what one fills.

        Args:
            at: Epoch seconds.
            undated: Those listed whose creation the vendor does not tell: they are listed for ever, and would pass for
                new ones.
        """
        self.since = min([at, *(one.created_at for one in self.awaited.values() if one.asset is None)])
        # One that is not known yet may have taken `since` back by as much as it was listed late.
        oldest = self.since - 2 * LISTED_LATE
        self.done = {run_id: made for run_id, made in self.done.items() if made >= oldest or run_id in undated}

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Seen":
        """As `asdict` gave it."""
        awaited = {
            run_id: Sighting(
                _time(one["created_at"]),
                one["asset"] if one["asset"] is None else str(one["asset"]),
                bool(one.get("is_materialized", False)),
            )
            for run_id, one in kept["awaited"].items()
        }
        return cls(_time(kept["since"]), {run_id: _time(made) for run_id, made in kept["done"].items()}, awaited)


def _time(kept: Any) -> float:
    """Epoch seconds.

    Raises:
        ValueError: It is no time that there can be.
    """
    time = float(kept)
    if not math.isfinite(time):
        raise ValueError(time)
    return time


def from_cursor(text: str | None) -> dict[str, Seen]:
    """By resource; empty where the cursor is none of ours, so that observation begins anew."""
    try:
        return {key: Seen.of(kept) for key, kept in json.loads(text or "{}").items()}
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return {}


def as_cursor(seen: Mapping[str, Seen]) -> str:
    """For Dagster to keep."""
    return json.dumps({key: asdict(one) for key, one in seen.items()})
