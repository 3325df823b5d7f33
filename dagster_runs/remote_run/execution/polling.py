"""Waiting for a remote run: a failed look is no failed run."""

from collections.abc import Mapping
from typing import Any

from dagster_runs.remote_run.errors import RunLost, RunTimedOut
from dagster_runs.remote_run.execution.attach import NOT_FOUND_GRACE
from dagster_runs.remote_run.execution.event_log import earlier_durations
from dagster_runs.remote_run.execution.execution import RemoteRunExecution, RunHandle
from dagster_runs.remote_run.execution.ledger_entry import EntryKind
from dagster_runs.remote_run.execution.poll_schedule import PollSchedule, RunAge
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.tables import as_progress
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import NotFoundError, UnexpectedResponseError, VendorError

REFUSED_GRACE = 600.0
"""Seconds for which 401, 403 and the like are borne in mid-run: somebody may be mending the token's rights."""
_FIRST_PROGRESS = 5.0
"""Seconds until a going run's numbers are shown anew; doubled each time, so that a long run writes few observations."""
_MAX_UNKNOWN_WORDS = 5
"""Words that are warned of: one with a percentage in it is a new one at each look."""


def wait_until_final(execution: RemoteRunExecution, handle: RunHandle) -> RunStatus:
    """Look at the run until it has ended.

    Raises:
        Terminated: Our own Dagster run was terminated, though no signal came.
        RunTerminated: Dagster has given it up.
        RunTimedOut: The deadline passed. Nothing was cancelled here.
        RunLost: The vendor no longer knows the run.
        UnexpectedResponseError: The run has ended in a state that nobody documented.
        VendorError: The vendor refused every look for ten minutes.
    """
    if handle.status is not None:
        return handle.status
    watch = StepPoller(execution, handle)
    clock = current_clock()
    step = execution.step
    earlier = execution.storage.attempt(lambda: earlier_durations(step.instance, step.asset_keys[0]))
    pace = PollSchedule.after(earlier or (), longest=execution.resource.poll_interval)
    # A run that was just started has not ended yet; of one that was attached to, nobody knows.
    pause = 0.0 if handle.attached else watch.pause(pace)
    while True:
        execution.raise_if_own_run_ended(execution.own_run_state(), run_id=handle.run_id)
        execution.sleep(max(0.0, min(pause, handle.deadline - clock.wall())), run_id=handle.run_id)
        status = watch.poll()
        if status is not None and status.state.is_final:
            return status
        now = clock.wall()
        if now >= handle.deadline:
            raise RunTimedOut(
                f"{execution.describe_run(handle.run_id)} did not end within {now - handle.started_at:.0f} s; "
                f"the vendor's last word was {watch.vendor_status!r}",
                vendor=execution.run.vendor,
                run_id=handle.run_id,
                hint="The remote run goes on; re-execute from failure to attach to it, or give the asset a longer "
                "`timeout`."
                if execution.options.on_timeout == "leave"
                else "",
            )
        pause = watch.pause(pace)


class StepPoller:
    """What the looks so far have shown: outages, unknown words, changes worth telling."""

    def __init__(self, execution: RemoteRunExecution, handle: RunHandle) -> None:
        self._execution = execution
        self._handle = handle
        self._log = execution.step.log
        self.vendor_status = "(none)"
        self._seen = False
        self._outage_since: float | None = None
        self._refused_since: tuple[type[VendorError], float] | None = None
        self._unknown_words: set[str] = set()
        self._told: tuple[RunState, Mapping[str, Any]] | None = None
        self._progress_pause = _FIRST_PROGRESS
        self._next_progress = 0.0
        self._age = RunAge(handle.started_at)

    def pause(self, pace: PollSchedule) -> float:
        """Seconds until the next look."""
        return self._age.pause(pace, current_clock().wall())

    def poll(self) -> RunStatus | None:
        """How the run stands, or ``None`` if that cannot be known just now."""
        try:
            status = self._execution.get_status(self._handle.run_id)
        except VendorError as error:
            self._handle_poll_error(error)
            return None
        now = current_clock().wall()
        if self._outage_since is not None:
            self._log.info("Run %s can be looked at again, after %.0f s", self._handle.run_id, now - self._outage_since)
            self._outage_since = None
        self._refused_since = None
        self._seen = True
        self.vendor_status = status.vendor_status
        self._age.learn(status, now)
        if status.state is RunState.UNKNOWN:
            self._handle_unknown_state(status)
        elif not status.state.is_final:
            self._tell(status, now)
        return status

    def _handle_poll_error(self, error: VendorError) -> None:
        """Go on after a failed look; one line when an outage begins, none while it lasts."""
        now = current_clock().wall()
        # A 404 just after the start is not worth a line, but counts: a run that never existed gets one grace, not two.
        is_new = not self._seen and now - self._handle.started_at < NOT_FOUND_GRACE
        if self._outage_since is None and not (is_new and isinstance(error, NotFoundError)):
            self._outage_since = now
            self._log.warning(
                "%s goes on, but cannot be looked at: %s", self._execution.describe_run(self._handle.run_id), error
            )
        # What counts is how long the vendor has given this answer without another in between.
        if not error.is_permanent:
            self._refused_since = None
            return
        if self._refused_since is None or self._refused_since[0] is not type(error):
            self._refused_since = (type(error), now)
        lasted = now - self._refused_since[1]
        if isinstance(error, NotFoundError) and lasted > NOT_FOUND_GRACE:
            raise self._lost(error) from None
        if lasted > REFUSED_GRACE:
            raise error

    def _lost(self, error: NotFoundError) -> RunLost:
        execution, handle = self._execution, self._handle
        execution.record(
            EntryKind.GONE,
            f"{execution.run.vendor} no longer knows this run",
            handle,
        )
        return RunLost(
            f"{execution.describe_run(handle.run_id)} is no longer known: {error.detail}",
            vendor=execution.run.vendor,
            run_id=handle.run_id,
            hint="A retry starts a new one.",
            is_retryable=execution.retries_remaining,
        )

    def _handle_unknown_state(self, status: RunStatus) -> None:
        vendor, run_id = self._execution.run.vendor, self._handle.run_id
        if status.finished_at is not None:
            raise _Undocumented(
                f"run {run_id} has ended in a state that nobody documented: {status.vendor_status!r}",
                vendor=vendor,
                hint="Look at the run there; please report the word, so that it can be added.",
            )
        if status.vendor_status not in self._unknown_words and len(self._unknown_words) < _MAX_UNKNOWN_WORDS:
            self._unknown_words.add(status.vendor_status)
            self._log.warning("%s reports the unknown state %r; taken for still going", vendor, status.vendor_status)

    def _tell(self, status: RunStatus, now: float) -> None:
        """Show people how the run stands, when that has changed; seldom, as each time is an event for ever."""
        if self._told is None or self._told[0] is not status.state:
            self._progress_pause = _FIRST_PROGRESS
        elif now < self._next_progress:
            return
        told = (status.state, self._progress(status))
        self._next_progress = now + self._progress_pause
        self._progress_pause *= 2
        if told == self._told:
            return
        self._told = told
        said = f"The {self._execution.description} is {status.plain_word}"
        entry = self._execution.new_entry(EntryKind.PROGRESS, said, self._handle, status=status, metadata=told[1])
        # A run is not worse off without it, so it is not written again when the storage is back.
        self._execution.storage.attempt(lambda: self._execution.ledger.record(entry))

    def _progress(self, status: RunStatus) -> Mapping[str, Any]:
        try:
            shown = self._execution.run.fetch_progress(self._execution.resource, self._handle.run_id, status)
            return as_progress(shown)
        except VendorError as error:
            self._log.debug("No numbers of the going run: %s", error)
            return {}


class _Undocumented(UnexpectedResponseError):
    is_permanent = True
