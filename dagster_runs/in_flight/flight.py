"""A deferred run on its way: what the ledger handed over, and what looks at it have shown so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import dagster as dg

from dagster_runs.in_flight.definition import WatchedAsset
from dagster_runs.remote_run.contract import RemoteRun, RunResult
from dagster_runs.remote_run.ledger import Record
from dagster_runs.remote_run.pacing import Age
from dagster_runs.remote_run.state import RunStatus


class Phase(Enum):
    """What is to be done about it."""

    GOING = "going"
    """Look at it."""
    SUCCEEDED = "succeeded"
    """Report its result."""
    NEEDS_STEP = "needs a step"
    """Have a Dagster run publish its end: a failure, a timeout, or what a step must decide."""
    OVER = "over"
    """Nothing more, once Dagster has stored what was made of it."""


@dataclass(slots=True, eq=False)
class Flight:
    """One deferred run.

    Attributes:
        asset: The definition that it fills.
        record: Its entry in the ledger.
        storage_id: Of that entry, in the event log.
        run: What runs, as far as following it needs.
        age: How long it has been working.
        next_look: Epoch seconds from which on it is worth a look; ``None`` while nobody has planned one.
        status: The last look at it.
        phase: What is to be done about it.
        result: What it brought, of one that succeeded.
        unknown_since: Epoch seconds since which the vendor says that it does not know it.
        may_be_published: Whether somebody else may have reported it already.
    """

    asset: WatchedAsset
    record: Record
    storage_id: int
    run: RemoteRun[Any]
    age: Age
    next_look: float | None
    status: RunStatus | None = None
    phase: Phase = Phase.GOING
    result: RunResult = field(default_factory=RunResult)
    unknown_since: float | None = None
    may_be_published: bool = False

    @property
    def run_id(self) -> str:
        """The vendor's id."""
        return self.record.run_id or ""

    @property
    def keys(self) -> list[dg.AssetKey]:
        """The assets that the run fills."""
        return [dg.AssetKey(path) for path in (self.record.handed_over or {}).get("assets", ())]

    @property
    def partitions(self) -> Sequence[str | None]:
        """The partitions that it fills; ``[None]`` for assets without partitions."""
        return (self.record.handed_over or {}).get("partitions") or [None]

    @property
    def partition(self) -> str | None:
        """Its partition, where there is exactly one."""
        return self.partitions[0] if len(self.partitions) == 1 else None
