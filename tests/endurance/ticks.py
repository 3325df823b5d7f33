"""Durations of the sensors' ticks, from Dagster's tick records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg


@dataclass(frozen=True)
class Tick:
    """A tick that ended.

    Attributes:
        began: Its start in epoch seconds.
        seconds: Its duration, including Dagster's own work.
        message: Its skip reason, or its error.
        failed: Whether it ended in an error.
    """

    began: float
    seconds: float
    message: str
    failed: bool


def ticks(instance: dg.DagsterInstance, sensor: str) -> Iterator[Tick]:
    """Returns all ticks that ended, newest first; killed ones are excluded."""
    for state in instance.all_instigator_state():
        if state.instigator_name != sensor:
            continue
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id):
            if tick.end_timestamp is not None:
                message = tick.tick_data.skip_reason or (tick.error.message if tick.error else "")
                yield Tick(tick.timestamp, tick.end_timestamp - tick.timestamp, message, tick.error is not None)
