"""Waiting for a remote run: a failed look is no failed run."""

from collections.abc import Mapping
from typing import Any

from dagster_runs.remote_run.attaching import NOT_FOUND_GRACE
from dagster_runs.remote_run.errors import RunLost, RunTimedOut
from dagster_runs.remote_run.following import Following, Going
from dagster_runs.remote_run.ledger import Entry, earlier_durations
from dagster_runs.remote_run.pacing import Age, Pace
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.tables import as_progress
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import NotFoundError, UnexpectedResponseError, VendorError

REFUSED_GRACE = 600.0
"""Seconds for which 401, 403 and the like are borne in mid-run: somebody may be mending the token's rights."""
_FIRST_PROGRESS = 5.0
"""Seconds until a going run's numbers are shown anew; doubled each time, so that a long run writes few observations."""
_MOST_UNKNOWN_WORDS = 5
"""Words that are warned of: one with a percentage in it is a new one at each look."""


def wait_until_final(following: Following, going: Going) -> RunStatus:
    """Look at the run until it has ended.

    Raises:
        Terminated: Our own Dagster run was terminated, though no signal came.
        RunTerminated: Dagster has given it up.
        RunTimedOut: The deadline passed. Nothing was cancelled here.
        RunLost: The vendor no longer knows the run.
        UnexpectedResponseError: The run has ended in a state that nobody documented.
        VendorError: The vendor refused every look for ten minutes.
    """
    if going.status is not None:
        return going.status
    watch = _Watch(following, going)
    clock = current_clock()
    step = following.step
    earlier = following.storage.attempt(lambda: earlier_durations(step.instance, step.asset_keys[0]))
    pace = Pace.after(earlier or (), longest=following.resource.poll_interval)
    # A run that was just started has not ended yet; of one that was attached to, nobody knows.
    pause = 0.0 if going.attached else watch.pause(pace)
    while True:
        following.raise_if_over(following.verdict(), run_id=going.run_id)
        following.sleep(max(0.0, min(pause, going.deadline - clock.wall())), run_id=going.run_id)
        status = watch.look()
        if status is not None and status.state.is_final:
            return status
        now = clock.wall()
        if now >= going.deadline:
            raise RunTimedOut(
                f"{following.named(going.run_id)} did not end within {now - going.started_at:.0f} s; "
                f"the vendor's last word was {watch.word!r}",
                vendor=following.run.vendor,
                run_id=going.run_id,
                cure="The remote run goes on; re-execute from failure to attach to it, or give the asset a longer "
                "`timeout`."
                if following.options.on_timeout == "leave"
                else "",
            )
        pause = watch.pause(pace)


class _Watch:
    """What the looks so far have shown: outages, unknown words, changes worth telling."""

    def __init__(self, following: Following, going: Going) -> None:
        self._following = following
        self._going = going
        self._log = following.step.log
        self.word = "(none)"
        self._seen = False
        self._outage_since: float | None = None
        self._refused_since: tuple[type[VendorError], float] | None = None
        self._unknown_words: set[str] = set()
        self._told: tuple[RunState, Mapping[str, Any]] | None = None
        self._progress_pause = _FIRST_PROGRESS
        self._next_progress = 0.0
        self._age = Age(going.started_at)

    def pause(self, pace: Pace) -> float:
        """Seconds until the next look."""
        return self._age.pause(pace, current_clock().wall())

    def look(self) -> RunStatus | None:
        """How the run stands, or ``None`` if that cannot be known just now."""
        try:
            status = self._following.look(self._going.run_id)
        except VendorError as error:
            self._bear(error)
            return None
        now = current_clock().wall()
        if self._outage_since is not None:
            self._log.info("Run %s can be looked at again, after %.0f s", self._going.run_id, now - self._outage_since)
            self._outage_since = None
        self._refused_since = None
        self._seen = True
        self.word = status.word
        self._age.learn(status, now)
        if status.state is RunState.UNKNOWN:
            self._wonder_at(status)
        elif not status.state.is_final:
            self._tell(status, now)
        return status

    def _bear(self, error: VendorError) -> None:
        """Go on after a failed look; one line when an outage begins, none while it lasts."""
        now = current_clock().wall()
        # A 404 just after the start is not worth a line, but counts: a run that never existed gets one grace, not two.
        is_new = not self._seen and now - self._going.started_at < NOT_FOUND_GRACE
        if self._outage_since is None and not (is_new and isinstance(error, NotFoundError)):
            self._outage_since = now
            self._log.warning(
                "%s goes on, but cannot be looked at: %s", self._following.named(self._going.run_id), error
            )
        # What counts is how long the vendor has given this answer without another in between.
        if not error.permanent:
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
        following, going = self._following, self._going
        following.note(
            Entry.GONE,
            f"{following.run.vendor} no longer knows this run",
            correlation_id=going.correlation_id,
            going=going,
        )
        return RunLost(
            f"{following.named(going.run_id)} is no longer known: {error.detail}",
            vendor=following.run.vendor,
            run_id=going.run_id,
            cure="A retry starts a new one.",
            retry_helps=following.may_try_again,
        )

    def _wonder_at(self, status: RunStatus) -> None:
        vendor, run_id = self._following.run.vendor, self._going.run_id
        if status.finished_at is not None:
            raise _Undocumented(
                f"run {run_id} has ended in a state that nobody documented: {status.word!r}",
                vendor=vendor,
                cure="Look at the run there; please report the word, so that it can be added.",
            )
        if status.word not in self._unknown_words and len(self._unknown_words) < _MOST_UNKNOWN_WORDS:
            self._unknown_words.add(status.word)
            self._log.warning("%s reports the unknown state %r; taken for still going", vendor, status.word)

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
        note = self._following.prepared_note(
            Entry.PROGRESS,
            f"The {self._following.what} is {status.plain_word}",
            correlation_id=self._going.correlation_id,
            going=self._going,
            status=status,
            shown=dict(told[1]),
        )
        # A run is not worse off without it, so it is not written again when the storage is back.
        self._following.storage.attempt(note)

    def _progress(self, status: RunStatus) -> Mapping[str, Any]:
        try:
            shown = self._following.run.fetch_progress(self._following.resource, self._going.run_id, status)
            return as_progress(shown)
        except VendorError as error:
            self._log.debug("No numbers of the going run: %s", error)
            return {}


class _Undocumented(UnexpectedResponseError):
    permanent = True
