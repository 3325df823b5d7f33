"""Fills a run's fields from the step's partition."""

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, TypeVar

import dagster as dg

from dagster_runs.dagster_private import STORES_WITHOUT_PARTITION
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.dagster_step import Step
from dagster_runs.remote_run.options import OnMissingPartition

RunT = TypeVar("RunT", bound=RemoteRun[Any])
_PLACEHOLDER = re.compile(r"\{(partition_key(?:\.[^{}]+)?|window_start|window_end)\}")


def require_partition(step: Step, on_missing: OnMissingPartition, *, waits: bool) -> None:
    """Rejects a partitioned asset in a Dagster run without a partition, unless the user allows it.

    Dagster permits such a run. The remote run would then have no window and cover everything, but its materialization
    would not count for any partition.

    Args:
        step: The step.
        on_missing: The user's choice.
        waits: Whether the step waits for the run, and stores its materialization.

    Raises:
        dagster.Failure: The Dagster run has no partition. It is not retried.
    """
    if step.partition is not None or (on_missing == "start" and (STORES_WITHOUT_PARTITION or not waits)):
        return
    definition = step.definition
    partitioned = [key for key in step.asset_keys if definition.get_asset_spec(key).partitions_def is not None]
    if not partitioned:
        return
    names = ", ".join(key.to_user_string() for key in partitioned)
    if on_missing == "start":
        raise dg.Failure(
            description="on_missing_partition='start' needs a later version of Dagster: this one cannot store the "
            f"result of {names} without a partition, so nothing was started. Upgrade Dagster to 1.13, launch the asset "
            "with a partition, or set wait='defer'",
            allow_retries=False,
        )
    raise dg.Failure(
        description=f"{names} {'is' if len(partitioned) == 1 else 'are'} partitioned, but this Dagster run was "
        "launched without a partition. The remote run would not be limited to a partition, and no partition would be "
        "materialized, so nothing was started. Launch it with a partition: choose one in the *Materialize* dialog, or "
        "pass `partition_key` to `dg.materialize`, `execute_in_process` or the `RunRequest`. If you do want a run "
        "without a partition, set on_missing_partition='start'.",
        allow_retries=False,
    )


def fill_from_partition(run: RunT, step: Step) -> RunT:
    """Returns ``run`` with its window, ``{partition_key}``, ``{window_start}`` and ``{window_end}`` filled in.

    For an asset with several dimensions, ``{partition_key.recipient}`` is the key of the dimension ``recipient``. Times
    are ISO 8601, UTC. A range of partitions in one step becomes one window over the whole range.

    Raises:
        dagster.Failure: A field uses a placeholder that the asset's partitions do not provide, or becomes invalid.
    """
    window = _window(step)
    if window is not None:
        run = run.in_window(*window)
    values = {"partition_key": step.single_partition}
    if step.single_partition is not None and isinstance(step.context.partition_key, dg.MultiPartitionKey):
        dimensions = step.context.partition_key.keys_by_dimension
        values |= {f"partition_key.{name}": key for name, key in dimensions.items()}
    if window is not None:
        values |= {"window_start": iso(window[0]), "window_end": iso(window[1])}
    dumped = {name: getattr(run, name) for name in run.model_fields_set}
    filled = _fill(dumped, values)
    return run if filled == dumped else run.with_overrides(filled, by="The partition")


def iso(time: datetime) -> str:
    """Formats a time as the vendors' APIs expect it: ``2026-11-22T00:00:00Z``."""
    # Not `strftime`, which writes early years without leading zeros.
    return f"{time.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def _window(step: Step) -> tuple[datetime, datetime] | None:
    if step.partition is None:
        return None
    try:
        window = step.context.partition_time_window
    except (ValueError, dg.DagsterInvariantViolationError):
        return None  # partitioned, but not by time
    return window.start, window.end


def _fill(value: Any, values: Mapping[str, str | None]) -> Any:
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: _known(match.group(1), values), value)
    if isinstance(value, Mapping):
        return {key: _fill(item, values) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_fill(item, values) for item in value)
    return value


def _known(name: str, values: Mapping[str, str | None]) -> str:
    value = values.get(name)
    if value is None:
        has_none, advice = "no partitions by time", "Give it partitions by time, or remove the placeholder"
        if name.startswith("partition_key"):
            has_none = f"no dimension {name.partition('.')[2]}" if "." in name else "no single partition in this run"
            advice = "Launch it with one partition, or remove the placeholder"
        raise dg.Failure(
            description=f"A field of the run uses the placeholder {{{name}}}, but the asset has {has_none}. {advice}. "
            "Nothing was started.",
            allow_retries=False,
        )
    return value
