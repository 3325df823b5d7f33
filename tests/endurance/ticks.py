"""How long the sensors' ticks took, by Dagster's own records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg


@dataclass(frozen=True)
class Tick:
    """One tick that came to an end.

    Attributes:
        began: Epoch seconds.
        seconds: How long it took, with all that Dagster did of it.
        said: Why it requested nothing, or what was wrong with it.
        failed: Whether it ended in an error.
    """

    began: float
    seconds: float
    said: str
    failed: bool


def ticks(instance: dg.DagsterInstance, sensor: str) -> Iterator[Tick]:
    """All that came to an end, newest first; one that was killed did not."""
    for state in instance.all_instigator_state():
        if state.instigator_name != sensor:
            continue
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id):
            if tick.end_timestamp is not None:
                said = tick.tick_data.skip_reason or (tick.error.message if tick.error else "")
                yield Tick(tick.timestamp, tick.end_timestamp - tick.timestamp, said, tick.error is not None)
