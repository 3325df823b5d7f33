"""Handles a start that the vendor refuses because another run of the same target is active."""

import dagster as dg

from dagster_runs.remote_run.errors import RunConflict, RunTimedOut
from dagster_runs.remote_run.execution.event_log import events, reports_of_run
from dagster_runs.remote_run.execution.execution import RemoteRunExecution
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.remote_run.execution.poll_schedule import growing_pause
from dagster_runs.remote_run.execution.request_queue import queue_field
from dagster_runs.remote_run.types import MAX_HOST_CLOCK_SKEW, StartAttempt
from dagster_runs.transport.clock import current_clock, machine_time
from dagster_runs.transport.errors import VendorError

_FIRST_PAUSE, _MAX_PAUSE = 15.0, 900.0
"""The first and the longest pause, in seconds, between attempts to start while a run that Dagster did not start is
active. Each attempt stays in the event log, so the pause doubles each time."""


class NotItsTurn(Exception):
    """A request has to be queued. Nothing was started.

    Args:
        attempt: The start attempt.
        reason: Why it has to be queued.
        conflicts: The number of times in a row that the vendor has refused it because another run was active.
    """

    def __init__(self, attempt: StartAttempt, reason: str, conflicts: int = 0) -> None:
        super().__init__(reason)
        self.attempt = attempt
        self.reason = reason
        self.conflicts = conflicts


class Conflict:
    """Waits until a start is no longer refused.

    If the ledger of an asset shows that the active run is one of ours, its status is polled, which writes nothing to
    the event log; and if both runs are deferred, the request is queued, so that no process waits. Otherwise, only
    further starts can show whether the target is free.

    Args:
        execution: The execution of the run that is refused.
    """

    def __init__(self, execution: RemoteRunExecution) -> None:
        self._execution = execution
        self._began_at = current_clock().wall()
        self._pause = _FIRST_PAUSE

    @property
    def waited(self) -> float:
        """Seconds since the first attempt to start."""
        return current_clock().wall() - self._began_at

    def wait_until_free(self, error: VendorError, attempt: StartAttempt) -> None:
        """Waits until the start may be sent again.

        Args:
            error: The error of the refused start.
            attempt: The refused start.

        Raises:
            RunConflict: The user does not want to wait.
            RunTimedOut: The target was not free within the timeout.
            NotItsTurn: The request has to be queued.
        """
        execution = self._execution
        found = own_active_run(execution)
        if execution.options.on_conflict == "fail":
            raise RunConflict(
                f"{self._describe(found)} is active: {error.detail}",
                vendor=execution.run.vendor,
                hint="Wait for it, or set on_conflict='wait'.",
            ) from None
        self._check_timeout(found)
        is_queued = execution.options.wait == "defer"
        if found is not None and found[1].deferred_payload is not None and is_queued:
            raise NotItsTurn(attempt, f"{self._describe(found)} is active", self._conflicts_so_far() + 1)
        described = self._describe(found)
        execution.step.log.info("%s is active; waiting until it has finished", described[:1].upper() + described[1:])
        if found is not None and found[1].run_id is not None:
            self._wait_for(found)
        else:
            execution.sleep(self._pause)
            self._pause = min(2 * self._pause, max(execution.resource.poll_interval, _MAX_PAUSE))

    def _wait_for(self, found: tuple[dg.AssetKey, LedgerEntry]) -> None:
        """Polls one of our own runs until it has finished."""
        execution = self._execution
        run_id = found[1].run_id or ""
        while True:
            execution.sleep(growing_pause(self.waited, longest=execution.resource.poll_interval))
            try:
                if execution.get_status(run_id).state.is_final:
                    return
            except VendorError as error:
                if error.is_permanent:
                    return  # a start shows whether the target is free
                execution.step.log.debug("Status check of run %s failed: %s", run_id, error)
            self._check_timeout(found)

    def _check_timeout(self, found: tuple[dg.AssetKey, LedgerEntry] | None) -> None:
        if self.waited > self._execution.timeout:
            raise RunTimedOut(
                f"{self._describe(found)} was active for {self.waited:.0f} s, so this one could not start; nothing was "
                "started",
                vendor=self._execution.run.vendor,
            ) from None

    def _describe(self, found: tuple[dg.AssetKey, LedgerEntry] | None) -> str:
        run = self._execution.run
        if found is None:
            return f"another run of {run.target}"
        key, entry = found
        partition = f" (partition {entry.partition})" if entry.partition is not None else ""
        started_by = f"started by Dagster run {entry.dagster_run_id} for {key.to_user_string()}{partition}"
        return f"run {entry.run_id} of {run.target}, {started_by},"

    def _conflicts_so_far(self) -> int:
        request_id = self._execution.request_id
        entries = self._execution.ledger.state.about_request(request_id) if request_id is not None else ()
        found = (queue_field(entry, "conflict") for entry in entries if entry.kind is EntryKind.QUEUED)
        return next((number for number in found if isinstance(number, int)), 0)


def own_active_run(execution: RemoteRunExecution) -> tuple[dg.AssetKey, LedgerEntry] | None:
    """Returns the newest active run of the same target in the ledgers of all assets, with its asset.

    This takes a query per asset, which only a refused start justifies. The step's own assets are searched first.
    """
    instance, own = execution.step.instance, execution.step.asset_keys
    others = [key for key in instance.get_asset_keys() if key not in own]
    for key in [*own, *others]:
        entry = _active_run(execution, key)
        if entry is not None:
            return key, entry
    return None


def _active_run(execution: RemoteRunExecution, key: dg.AssetKey) -> LedgerEntry | None:
    now, instance = current_clock().wall(), execution.step.instance
    since = machine_time(now - execution.timeout - MAX_HOST_CLOCK_SKEW)
    ended: set[str] = set()
    for event in events(instance.fetch_observations, dg.AssetRecordsFilter(key, after_timestamp=since)):
        entry = LedgerEntry.from_event(event)
        if entry is None or entry.run_id is None or entry.target != execution.target or entry.run_id in ended:
            continue
        ended.add(entry.run_id)  # only the newest entry of each run counts
        is_active = entry.kind in (EntryKind.STARTED, EntryKind.PROGRESS) and (entry.deadline or now) >= now
        wanted = dg.AssetRecordsFilter(key, after_timestamp=machine_time(entry.at - MAX_HOST_CLOCK_SKEW))
        if is_active and not any(reports_of_run(instance, wanted, entry.run_id)):
            return entry
    return None
