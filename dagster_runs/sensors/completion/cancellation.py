"""Cancels deferred runs, which have no step that a user could terminate."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg

from dagster_runs.remote_run.execution.cancellation import CANCEL_CONFIRMED_WITHIN, request_cancel, wait_for_cancel
from dagster_runs.remote_run.execution.dagster_step import Step
from dagster_runs.remote_run.execution.execution import RemoteRunExecution, RunHandle
from dagster_runs.remote_run.execution.ledger_entry import EntryKind
from dagster_runs.remote_run.execution.request_queue import entry_about
from dagster_runs.remote_run.state import RunState
from dagster_runs.sensors.completion.decisions import Phase
from dagster_runs.sensors.completion.deferred_run import DeferredRun, QueuedRun, RecordedRun
from dagster_runs.sensors.completion.index import DeferredRunIndex
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.sensors.vendor_resources import VendorResources
from dagster_runs.transport.clock import current_clock

CANCEL_JOB_RAN = "a user ran its cancel job"


@dataclass(frozen=True)
class _CancelingStep(Step):
    """A step of a cancel job. It writes to the ledger of the run that it cancels.

    Attributes:
        deferred_run: The run, or the queued request, that is canceled.
    """

    deferred_run: RecordedRun | None = None

    @cached_property
    def asset_keys(self) -> Sequence[dg.AssetKey]:
        """The assets that the run materializes."""
        return self.deferred_run.keys if self.deferred_run is not None else ()

    @cached_property
    def partition(self) -> str | None:
        """The partition of the run's own step."""
        return self.deferred_run.record.partition if self.deferred_run is not None else None

    @cached_property
    def step_key(self) -> str | None:
        """The key of the run's own step."""
        return self.deferred_run.record.step_key if self.deferred_run is not None else None

    @cached_property
    def single_partition(self) -> str | None:
        """The partition of the run, if there is exactly one."""
        return self.deferred_run.partition if self.deferred_run is not None else None


def active_runs(
    asset: WatchedAsset, instance: dg.DagsterInstance, index: DeferredRunIndex | None = None
) -> tuple[list[DeferredRun], list[QueuedRun]]:
    """Returns the deferred runs of an asset that are active, and all queued requests, according to the event log.

    Args:
        asset: The asset.
        instance: The Dagster instance.
        index: A complete index of this asset, if there is one already.
    """
    if index is None:
        index = DeferredRunIndex([asset], instance)
        index.catch_up(float("inf"))
    active = [deferred_run for deferred_run in index if deferred_run.phase is Phase.ACTIVE]
    return active, [QueuedRun(asset, request) for request in index.queues[asset].pending.values()]


def cancel_request(context: Any, queued: QueuedRun) -> str:
    """Cancels a queued request, for which nothing has been started yet.

    Returns:
        A sentence for users that says what was done.
    """
    record, message = queued.record, f"Canceled the queued request {queued.request_id}; nothing was started"
    entry = entry_about(record, EntryKind.CANCEL_REQUESTED, dagster_run_id=context.run_id)
    step = _CancelingStep(context, name=record.name, deferred_run=queued)
    step.observe(step.asset_keys[:1], {}, message, entry.to_tags())
    return message


class Cancellation:
    """The cancellation of one deferred run at the vendor.

    Args:
        context: The context of the op that cancels.
        deferred_run: The run.
        vendors: The initialized resources.
        why: Why the run is canceled, for users.
    """

    def __init__(
        self, context: Any, deferred_run: DeferredRun, vendors: VendorResources, *, why: str = CANCEL_JOB_RAN
    ) -> None:
        asset = deferred_run.asset.remote
        step = _CancelingStep(context, name=deferred_run.record.name, deferred_run=deferred_run)
        self._execution = RemoteRunExecution(step, vendors.ready[asset.resource_key], deferred_run.run, asset.options)
        record = deferred_run.record
        self._handle = RunHandle(
            deferred_run.run_id, record.correlation_id, record.at, deferred_run.deadline, attached=True
        )
        self._why = why
        self._until = 0.0

    def request(self) -> None:
        """Records the request, so that the completion sensor ignores the run, and asks the vendor to cancel the run."""
        execution, handle = self._execution, self._handle
        if execution.run.can_cancel():
            message = f"Canceling the {execution.description}"
            execution.record(EntryKind.CANCEL_REQUESTED, message, handle)
        request_cancel(execution, handle, why=self._why)
        self._until = current_clock().monotonic() + CANCEL_CONFIRMED_WITHIN

    def wait_for_confirmation(self) -> str:
        """Waits until the run has finished.

        Returns:
            A sentence for users that says what happened to the run.

        Raises:
            dagster.Failure: The run is still active, or its state is unknown.
        """
        status, message = wait_for_cancel(self._execution, self._handle, why=self._why, until=self._until)
        if status is None:
            raise dg.Failure(message, allow_retries=False)
        if status.state is RunState.SUCCEEDED:
            return f"{message}. The completion sensor reports its result"
        return message
