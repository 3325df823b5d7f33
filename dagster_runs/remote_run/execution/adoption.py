"""Ledger entries with which a user settles a start of unknown outcome, after having checked it at the vendor."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.events import run_metadata
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.remote_run.metadata_order import in_page_order
from dagster_runs.remote_run.state import RunStatus
from dagster_runs.remote_run.types import MAX_HOST_CLOCK_SKEW, MAX_VENDOR_CLOCK_SKEW
from dagster_runs.transport.clock import current_clock


def started_by(
    start: LedgerEntry,
    run: RemoteRun[Any],
    run_id: str,
    status: RunStatus,
    *,
    timeout: float,
    url: str | None,
    payload: Mapping[str, Any] | None,
) -> LedgerEntry:
    """Returns the entry that a start has created a run.

    It is the one that the step would have written if it had found the run itself.

    Args:
        start: The ``starting`` entry.
        run: The run.
        run_id: The vendor's id of the run.
        status: Its status.
        timeout: The timeout of the run in seconds, which begins now.
        url: The vendor's page of the run.
        payload: The data for the completion sensor; ``None`` if a step waits for the run.
    """
    metadata = run_metadata(run, run_id, url=url, attached=True, status=status)
    metadata.pop("dagster_runs/duration_seconds", None)  # this is not an outcome
    return replace(
        start,
        kind=EntryKind.STARTED,
        run_id=run_id,
        deadline=current_clock().wall() + timeout,
        deferred_payload=payload,
        execution_id=None,
        description=f"A user identified run {run_id} as the one of a start whose outcome was unknown",
        metadata=in_page_order(metadata),
    )


def none_started_by(start: LedgerEntry) -> LedgerEntry:
    """Returns the entry that a start has created no run, so that the next attempt starts one."""
    return replace(
        start,
        kind=EntryKind.NOT_STARTED,
        at=current_clock().wall(),
        host=current_clock().host(),
        execution_id=None,
        provenance=None,
        queue=None,
        description="A user found out that a start whose outcome was unknown created no run",
    )


def is_too_old(start: LedgerEntry, began_at: float) -> bool:
    """Whether a run began before a start was sent, so that the start cannot have created it.

    Args:
        start: The ``starting`` entry.
        began_at: When the run was created or began, in epoch seconds by our clock.
    """
    return began_at < start.at - MAX_VENDOR_CLOCK_SKEW - MAX_HOST_CLOCK_SKEW
