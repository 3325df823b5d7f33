"""What a tick says: which runs of which assets it has reported, which are in flight, and what is queued.

Dagster shows the text for each tick that requests no run. For the others, it is in the tick's log.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import dagster as dg

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.run_summary import ended
from dagster_runs.remote_run.state import RunStatus
from dagster_runs.sensors import limits

T = TypeVar("T")


def tick_summary(counts: str, details: Mapping[str, str], problems: Iterable[str] = (), *, first: str = "") -> str:
    """Returns the text of a tick.

    Args:
        counts: How many runs are reported and in flight.
        details: Single runs, as returned by `listed`, by what they have in common. Empty ones are left out.
        problems: What a user must solve. Always shown in full.
        first: What the sensor does, in its first tick since it was turned on.
    """
    named = ". ".join(f"{title}: {phrases}" for title, phrases in details.items() if phrases)
    if len(named) > limits.MAX_SUMMARY:
        named = f"{named[: limits.MAX_SUMMARY]}…"
    return ". ".join(part for part in (first, counts, named, *problems) if part)


def counts_of(reported: int, left: str, *, idle: str, is_idle: bool) -> str:
    """Returns how many runs are reported and left: ``2 reported, 1 in flight``, or a sentence if there are none.

    Args:
        reported: The number of runs that are reported in full.
        left: How many runs are left: ``1 in flight``.
        idle: The sentence for a tick without any run.
        is_idle: Whether there is none.
    """
    if is_idle:
        return idle
    return f"{reported} reported, {left}" if reported else left


def first_tick(context: dg.SensorEvaluationContext, what: str) -> str:
    """Returns what a sensor does, in its first tick since it was turned on; otherwise an empty text."""
    is_started = context.last_sensor_start_time is not None and context.is_first_tick_since_sensor_start
    return f"First tick: this sensor {what}" if is_started or context.cursor is None else ""


def describe(
    keys: Sequence[dg.AssetKey],
    run: RemoteRun[Any] | None,
    run_id: str,
    status: RunStatus | None = None,
    partitions: Sequence[str] = (),
) -> str:
    """Returns a phrase about a run: ``orders: TestGen test run 1b9c ended with status completed after 8 s``.

    Args:
        keys: The assets that it materializes.
        run: The run; ``None`` if it is of another class than the assets' current one.
        run_id: The vendor's id of the run.
        status: Its status, if it has ended.
        partitions: The partitions that it materializes.
    """
    name = f"{run.vendor} {run.label}" if run is not None else "run"
    end = f" {ended(status)}" if status is not None and status.state.is_final else ""
    return f"{asset_names(keys, partitions)}: {name} {run_id}{end}"


def asset_names(keys: Sequence[dg.AssetKey], partitions: Sequence[str] = ()) -> str:
    """Returns the names of assets, and their partitions: ``orders [2026-11-02...2026-11-05]``."""
    ends = list(dict.fromkeys((partitions[0], partitions[-1]))) if partitions else []
    return listed(keys, dg.AssetKey.to_user_string, ", ") + (f" [{'...'.join(ends)}]" if ends else "")


def listed(items: Sequence[T], as_text: Callable[[T], str] = str, separator: str = "; ") -> str:
    """Returns the texts of the first items, and how many more there are."""
    shown = separator.join(map(as_text, items[: limits.MAX_NAMED]))
    return f"{shown} and {len(items) - limits.MAX_NAMED} more" if len(items) > limits.MAX_NAMED else shown
