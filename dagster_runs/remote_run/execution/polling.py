"""Polls a remote run until it has finished. A failed status check never fails the run."""

from collections.abc import Mapping
from typing import Any

from dagster_runs.remote_run.errors import RunLost, RunTimedOut
from dagster_runs.remote_run.execution.attach import NOT_FOUND_GRACE
from dagster_runs.remote_run.execution.event_log import earlier_durations
from dagster_runs.remote_run.execution.execution import RemoteRunExecution, RunHandle
from dagster_runs.remote_run.execution.ledger_entry import EntryKind
from dagster_runs.remote_run.execution.poll_schedule import PollSchedule, RunAge
from dagster_runs.remote_run.metadata_size import limited
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.tables import as_progress
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import NotFoundError, RateLimitedError, UnexpectedResponseError, VendorError

REFUSED_GRACE = 600.0
"""Seconds for which refusals such as 401 and 403 are tolerated, so that a user can fix the token's permissions."""
_FIRST_PROGRESS = 5.0
"""Seconds until an active run's metadata is updated; doubled each time, so that a long run writes few observations."""
_MAX_UNKNOWN_STATUSES = 5
"""The maximum number of unknown statuses to warn about. A status that contains a percentage is new at each poll."""


def wait_until_final(execution: RemoteRunExecution, handle: RunHandle) -> RunStatus:
    """Polls the run until it has finished, and returns its final status.

    Raises:
        Terminated: Our own Dagster run was terminated, although no signal arrived.
        RunTerminated: Dagster has marked our own Dagster run as failed.
        RunTimedOut: The deadline passed. Nothing was canceled here.
        RunLost: The vendor no longer knows the run.
        UnexpectedResponseError: The run finished in an undocumented state.
        VendorError: The vendor refused every status check for ten minutes.
    """
    if handle.status is not None:
        return handle.status
    poller = StepPoller(execution, handle)
    clock = current_clock()
    step = execution.step
    earlier = execution.storage.attempt(lambda: earlier_durations(step.instance, step.asset_keys[0]))
    schedule = PollSchedule.after(earlier or (), longest=execution.resource.poll_interval)
    # A run that was just started has not finished yet. A run that was attached to may have.
    pause = 0.0 if handle.attached else poller.pause(schedule)
    while True:
        execution.raise_if_own_run_ended(execution.own_run_state(), run_id=handle.run_id)
        execution.sleep(max(0.0, min(pause, handle.deadline - clock.wall())), run_id=handle.run_id)
        status = poller.poll()
        if status is not None and status.state.is_final:
            return status
        now = clock.wall()
        if now >= handle.deadline:
            url = execution.url(handle.run_id)
            raise RunTimedOut(
                f"{execution.describe_run(handle.run_id)} did not finish within {now - handle.started_at:.0f} s; "
                f"the last status from the vendor was {poller.vendor_status!r}",
                vendor=execution.run.vendor,
                run_id=handle.run_id,
                hint="The remote run is still active; re-execute from failure to attach to it, or give the asset a "
                f"longer `timeout`.{f' See {url}.' if url else ''}"
                if execution.options.on_timeout == "leave"
                else "",
            )
        pause = poller.pause(schedule)


class StepPoller:
    """Polls one run for its step, and keeps track of outages, unknown statuses and changes to report."""

    def __init__(self, execution: RemoteRunExecution, handle: RunHandle) -> None:
        self._execution = execution
        self._handle = handle
        self._log = execution.step.log
        self.vendor_status = "(none)"
        self._seen = False
        self._outage_since: float | None = None
        self._was_rate_limited = False
        self._refused_since: tuple[type[VendorError], float] | None = None
        self._unknown_statuses: set[str] = set()
        self._recorded: tuple[RunState, Mapping[str, Any]] | None = None
        self._progress_pause = _FIRST_PROGRESS
        self._next_progress = 0.0
        self._age = RunAge(handle.started_at)

    def pause(self, schedule: PollSchedule) -> float:
        """Returns the seconds until the next poll: more than scheduled while the account's rate limit is exhausted."""
        scheduled = self._age.pause(schedule, current_clock().wall())
        return max(scheduled, self._execution.resource.http().backoff.pause())

    def poll(self) -> RunStatus | None:
        """Returns the current status of the run; ``None`` if the status check failed."""
        try:
            with self._execution.resource.http().without_rate_limit_retries():
                status = self._execution.get_status(self._handle.run_id)
        except VendorError as error:
            self._handle_poll_error(error)
            return None
        now = current_clock().wall()
        if self._outage_since is not None:
            self._log.info(
                "Status checks of run %s work again, after %.0f s", self._handle.run_id, now - self._outage_since
            )
            self._outage_since = None
        self._refused_since = None
        self._was_rate_limited = False
        self._seen = True
        self.vendor_status = status.vendor_status
        self._age.update(status, now)
        if status.state is RunState.UNKNOWN:
            self._handle_unknown_state(status)
        elif not status.state.is_final:
            self._record_progress(status, now)
        return status

    def _handle_poll_error(self, error: VendorError) -> None:
        """Tolerates a failed status check. Logs one line when an outage begins and none while it lasts."""
        now = current_clock().wall()
        if isinstance(error, RateLimitedError) and not self._was_rate_limited and self._outage_since is None:
            # Normal if many processes share an account. Only the second refusal in a row is logged.
            self._was_rate_limited = True
            self._refused_since = None
            return
        # A 404 just after the start is not logged, but it counts: a run that never existed gets one grace period, not
        # two.
        is_new = not self._seen and now - self._handle.started_at < NOT_FOUND_GRACE
        if self._outage_since is None and not (is_new and isinstance(error, NotFoundError)):
            self._outage_since = now
            self._log.warning(
                "Status check failed for %s; still waiting: %s",
                self._execution.describe_run(self._handle.run_id),
                error,
            )
        # The grace period covers an uninterrupted series of the same error.
        if not error.is_permanent:
            self._refused_since = None
            return
        if self._refused_since is None or self._refused_since[0] is not type(error):
            self._refused_since = (type(error), now)
        duration = now - self._refused_since[1]
        if isinstance(error, NotFoundError) and duration > NOT_FOUND_GRACE:
            raise self._lost_error(error) from None
        if duration > REFUSED_GRACE:
            raise error

    def _lost_error(self, error: NotFoundError) -> RunLost:
        execution, handle = self._execution, self._handle
        execution.record(
            EntryKind.GONE,
            f"{execution.run.vendor} no longer knows this run",
            handle,
        )
        return RunLost(
            f"{execution.describe_run(handle.run_id)} is no longer known to the vendor: {error.detail}",
            vendor=execution.run.vendor,
            run_id=handle.run_id,
            hint="A retry starts a new one.",
            is_retryable=execution.retries_remaining,
        )

    def _handle_unknown_state(self, status: RunStatus) -> None:
        vendor, run_id = self._execution.run.vendor, self._handle.run_id
        if status.finished_at is not None:
            url = self._execution.url(run_id)
            raise _UndocumentedState(
                f"{self._execution.describe_run(run_id)} ended in an undocumented state: {status.vendor_status!r}",
                vendor=vendor,
                hint=f"Check the run {f'at {url}' if url else 'there'}, and please report this status so that it can "
                "be added.",
            )
        if status.vendor_status not in self._unknown_statuses and len(self._unknown_statuses) < _MAX_UNKNOWN_STATUSES:
            self._unknown_statuses.add(status.vendor_status)
            self._log.warning(
                "%s reports the unknown status %r; treating the run as active", vendor, status.vendor_status
            )

    def _record_progress(self, status: RunStatus, now: float) -> None:
        """Records the progress of the run, if it has changed. Does so rarely, because each event is stored forever."""
        if self._recorded is None or self._recorded[0] is not status.state:
            self._progress_pause = _FIRST_PROGRESS
        elif now < self._next_progress:
            return
        progress = (status.state, self._progress(status))
        self._next_progress = now + self._progress_pause
        self._progress_pause *= 2
        if progress == self._recorded:
            return
        self._recorded = progress
        description = f"The {self._execution.description} is {status.plain_status}"
        entry = self._execution.new_entry(
            EntryKind.PROGRESS, description, self._handle, status=status, metadata=progress[1]
        )
        # Nothing depends on this entry, so a failed write is not retried.
        self._execution.storage.attempt(lambda: self._execution.ledger.record(entry))

    def _progress(self, status: RunStatus) -> Mapping[str, Any]:
        try:
            with self._execution.resource.http().without_rate_limit_retries():
                progress = self._execution.run.get_progress(self._execution.resource, self._handle.run_id, status)
            return limited(as_progress(progress))
        except VendorError as error:
            self._log.debug("Could not fetch the progress of the active run: %s", error)
            return {}


class _UndocumentedState(UnexpectedResponseError):
    is_permanent = True
