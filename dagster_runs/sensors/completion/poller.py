"""Looking at all deferred runs of one resource: by the vendor's list where it has one, some at a time elsewhere.

Each resource is watched by itself, so that a vendor that is slow or down delays nobody else's runs.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial

from dagster_runs.remote_run.execution.attach import NOT_FOUND_GRACE
from dagster_runs.remote_run.execution.polling import REFUSED_GRACE
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.types import ListedRun
from dagster_runs.sensors.completion.deferred_run import DeferredRun, Phase
from dagster_runs.sensors.listing import FinishedRunsReader
from dagster_runs.sensors.observation.cursor import LISTED_LATE
from dagster_runs.sensors.outages import OutageLog
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    VendorError,
)

AT_ONCE = 8
"""Looks under way at one vendor at the same time."""
_LISTED_FOR_A_LOOK = 20
"""Entries of a vendor's list that are read for each run that is due: a page holds more, so it costs no more calls."""
_OUTAGE_AFTER = 3
"""Failed calls in a row from which on the vendor is left alone until the next tick."""
_LEFT_OUT_FOR = 120.0
"""Seconds for which a list is left out that took all its time and showed nothing: single looks need that."""
_FILTER_REFUSED_FOR = 3600.0
"""Seconds for which the list of finished runs is left out if the vendor refuses the filter that it takes."""
REFUSED_FOR = 60.0
"""Seconds of 401 or 403 after which they are a problem that a person has to solve."""


class _ListReading:
    """What a vendor's lists have shown.

    Attributes:
        active: The runs that they may show.
        pending: Those that are worth a look, and were not shown yet.
        shown: Those that were shown, or are known to be going.
        entries: How many entries were read, of whatever runs.
        ends_are_known: Whether all that ended were shown.
    """

    def __init__(self, due: Sequence[DeferredRun], active: Iterable[DeferredRun]) -> None:
        self.active = frozenset(active)
        self.pending = set(due)
        self.shown: set[DeferredRun] = set()
        self.entries = 0
        self.ends_are_known = False
        self._by_id = {deferred_run.run_id: deferred_run for deferred_run in self.active}

    def take(self, run_id: str) -> DeferredRun | None:
        """The run that has this id, the first time that it is shown."""
        deferred_run = self._by_id.pop(run_id, None)
        if deferred_run is not None:
            self.shown.add(deferred_run)
            self.pending.discard(deferred_run)
        return deferred_run


class ResourcePoller:
    """What is known of one resource, from tick to tick.

    Args:
        name: The resource's key, for the log.

    Attributes:
        is_unresponsive: Whether the vendor let the whole of the last look pass without an answer.
    """

    def __init__(self, name: str) -> None:
        self.is_unresponsive = False
        self._was_heard = False
        self._ends = FinishedRunsReader()
        self._left_out: dict[str, float] = {}
        self._name = name
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"dagster_runs_{name}")
        self._looks: dict[DeferredRun, Future[None]] = {}
        self._lock = threading.Lock()
        self._failed_in_a_row = 0
        self._trouble: BaseException | None = None
        self._failing_since: float | None = None
        self._told_at: float | None = None
        self._list_errors: dict[str, Exception] = {}
        self._list_log = OutageLog()
        self._filter_refused: InvalidRequestError | None = None
        self._has_logged_filter = False

    def poll(
        self, due: Sequence[DeferredRun], active: Iterable[DeferredRun], resource: RemoteRunResource, until: float
    ) -> None:
        """Look at the runs that are due, and at whatever others the vendor's list shows on the way.

        Args:
            due: The runs worth a look, most urgent first.
            active: All runs of this resource.
            resource: The resource.
            until: Monotonic seconds after which no further look begins. Those under way go on, and count at the next
                tick.
        """
        self._failed_in_a_row = 0
        self._was_heard = False
        self._forget_what_is_over()
        wanted = [deferred_run for deferred_run in due if deferred_run not in self._looks]
        # Whatever time the lists take: a run whose time is over has its turn, some at each tick.
        for deferred_run in [
            deferred_run for deferred_run in wanted[:AT_ONCE] if deferred_run.deadline <= current_clock().wall()
        ]:
            self._begin_by_itself(deferred_run, resource, until)
            wanted.remove(deferred_run)
        if len(wanted) > 1:
            shown = self._look_at_list(wanted, active, resource, until)
            wanted = [deferred_run for deferred_run in wanted if deferred_run not in shown]
        for deferred_run in wanted if self._has_time(until) else ():
            self._begin_by_itself(deferred_run, resource, until)
        wait(self._looks.values(), timeout=max(0.0, until - current_clock().monotonic()))
        now = current_clock().monotonic()
        was_asked = bool(self._looks) or any(now < ahead for ahead in self._left_out.values())
        self.is_unresponsive = was_asked and not self._was_heard and now >= until

    def rest(self) -> None:
        """Nothing is going, so nothing is in trouble."""
        self._forget_what_is_over()
        self.is_unresponsive, self._trouble, self._failing_since = False, None, None
        self._list_errors.clear()

    def _forget_what_is_over(self) -> None:
        self._looks = {deferred_run: look for deferred_run, look in self._looks.items() if not look.done()}

    def tell(self, log: logging.Logger) -> None:
        """One line when an outage begins, and one when it ends."""
        now = current_clock().wall()
        if self._trouble is not None and self._told_at is None:
            self._told_at = now
            log.warning("%s", self.trouble)
        elif self._trouble is None and self._told_at is not None:
            how = "can be looked at again" if self._was_heard else "has no runs going any more"
            log.info("%s %s, after %.0f s", self._name, how, now - self._told_at)
            self._told_at = None
        if self._filter_refused is not None and not self._has_logged_filter:
            self._has_logged_filter = True
            log.info(
                "%s does not list finished runs, so active runs are polled by other calls: %s",
                self._name,
                self._filter_refused,
            )
        errors = {name: error for name, error in self._list_errors.copy().items() if not isinstance(error, VendorError)}
        if self._trouble is None:  # else the vendor is down as a whole, and its list is not worth a line of its own
            over = "%s can be listed again, after %.0f s"
            self._list_log.update(log, self._list_problems, over=over, errors=errors)

    @property
    def _list_problems(self) -> dict[str, str]:
        return {
            name: f"{name} cannot be listed, so each is polled by itself: {error}"
            for name, error in self._list_errors.copy().items()
        }

    @property
    def problems_text(self) -> list[str]:
        """What is wrong at the moment: with all calls, or with lists of runs alone."""
        return [self.trouble] if self.trouble is not None else list(self._list_problems.values())

    @property
    def refused(self) -> str | None:
        """Why the vendor does not let us poll, if it has answered 401 or 403 for a while."""
        is_refusal = isinstance(self._trouble, (AuthenticationError, PermissionDeniedError))
        if not is_refusal or self._failing_since is None:
            return None
        return self.trouble if current_clock().wall() - self._failing_since >= REFUSED_FOR else None

    @property
    def trouble(self) -> str | None:
        """Why runs cannot be looked at, if so."""
        return None if self._trouble is None else f"{self._name} cannot be looked at, its runs go on: {self._trouble}"

    @property
    def is_unavailable(self) -> bool:
        """Whether the vendor does not answer, or answers with failures."""
        return self.is_unresponsive or self._trouble is not None

    def _look_at_list(
        self, due: Sequence[DeferredRun], active: Iterable[DeferredRun], resource: RemoteRunResource, until: float
    ) -> set[DeferredRun]:
        """Read the vendor's list until it has shown all runs that are due; which it showed."""
        reading = _ListReading(due, [deferred_run for deferred_run in active if deferred_run not in self._looks])
        # A list may be longer than there is time for, at each tick: what stands at its end is then looked at by itself.
        now = current_clock().monotonic()
        half = now + (until - now) / 2
        # Whatever becomes of the list of ends, the other one is read as well.
        for read in (self._read_ends, self._read_runs):
            if reading.pending and self._has_time(half):
                self._tolerate_errors(read, reading, resource, half, until)
        return reading.shown

    def _tolerate_errors(
        self, read: "_Read", reading: "_ListReading", resource: RemoteRunResource, list_until: float, until: float
    ) -> None:
        """Read a list, whatever ails it: each run is looked at by itself all the same."""
        name, clock = read.__name__, current_clock()
        if clock.monotonic() < self._left_out.get(name, 0.0):
            return
        began, read_before, is_whole = clock.monotonic(), reading.entries, False
        try:
            with resource.http().with_call_budget():
                is_whole = read(reading, resource, list_until, until)
        except InvalidRequestError as error:
            self._was_heard = True
            if name == self._read_ends.__name__:  # by design, of servers without that filter: they list the runs
                self._filter_refused = error
                self._list_errors.pop(self._listed_by(name), None)
                self._left_out[name] = clock.monotonic() + _FILTER_REFUSED_FOR
            else:
                self._list_errors[self._listed_by(name)] = error
        except Exception as error:  # the vendor's, or its code's
            self._failed(error)
            self._list_errors[self._listed_by(name)] = error
        else:
            self._list_errors.pop(self._listed_by(name), None)
            if name == self._read_ends.__name__:
                self._filter_refused, self._has_logged_filter = None, False
        now = clock.monotonic()
        if now >= list_until and is_whole:
            self._left_out[name] = now + (now - began)  # others have the next turn
        elif now >= list_until and reading.entries == read_before:
            self._left_out[name] = now + _LEFT_OUT_FOR

    def _listed_by(self, name: str) -> str:
        return f"The {'finished ' if name == self._read_ends.__name__ else ''}runs of {self._name}"

    def _read_ends(self, reading: "_ListReading", resource: RemoteRunResource, list_until: float, until: float) -> bool:
        now = current_clock().wall()
        active = reading.active

        def show(listed: ListedRun) -> bool:
            self._take_listed(listed, reading, resource, until)
            return self._has_time(list_until)

        # Those whose end was shown, and could not be told, are looked at by themselves.
        since = min(
            (deferred_run.known_active_until for deferred_run in active if deferred_run.last_individual_update),
            default=now,
        )
        for read_to in self._ends.read(resource, since, show):
            self._was_heard = True
            for deferred_run in active - reading.shown:
                deferred_run.known_active_until = max(deferred_run.known_active_until, read_to)
            reading.ends_are_known = read_to >= now
        if not reading.ends_are_known:
            return False
        for deferred_run in active - reading.shown:
            if not deferred_run.needs_individual_poll(now):
                deferred_run.polled_at = now
                reading.shown.add(deferred_run)
                reading.pending.discard(deferred_run)
        return True

    def _read_runs(self, reading: "_ListReading", resource: RemoteRunResource, list_until: float, until: float) -> bool:
        most = len(reading.pending) * _LISTED_FOR_A_LOOK
        if reading.ends_are_known and most < len(reading.active):
            return True  # it would show others that are known to be going
        oldest = min(deferred_run.record.at for deferred_run in reading.pending)
        found = resource.list_runs(oldest - LISTED_LATE)
        if found is None:
            return False
        for read, listed in enumerate(found):
            self._take_listed(listed, reading, resource, until)
            if not reading.pending or read >= most or not self._has_time(list_until):
                return False
        self._was_heard = True
        return True

    def _take_listed(
        self, listed: ListedRun, reading: "_ListReading", resource: RemoteRunResource, until: float
    ) -> None:
        self._failed_in_a_row = 0
        self._was_heard = True
        reading.entries += 1
        deferred_run = reading.take(listed.run_id)
        if deferred_run is None:
            return
        ask = partial(deferred_run.run.status_of_listed, resource, listed)
        if listed.state.is_final:  # which costs further calls
            deferred_run.last_individual_update = 0.0  # if they fail, the list may show it no more
            self._begin(deferred_run, ask, resource, until)
        else:
            self._look_at(deferred_run, ask, resource, until)

    def _begin_by_itself(self, deferred_run: DeferredRun, resource: RemoteRunResource, until: float) -> None:
        self._begin(deferred_run, partial(deferred_run.run.get_status, resource, deferred_run.run_id), resource, until)

    def _begin(
        self, deferred_run: DeferredRun, ask: Callable[[], RunStatus], resource: RemoteRunResource, until: float
    ) -> None:
        self._looks[deferred_run] = self._pool.submit(self._look_at, deferred_run, ask, resource, until)

    def _has_time(self, until: float) -> bool:
        return current_clock().monotonic() < until and self._failed_in_a_row < _OUTAGE_AFTER

    def _look_at(
        self, deferred_run: DeferredRun, ask: Callable[[], RunStatus], resource: RemoteRunResource, until: float
    ) -> None:
        if not self._has_time(until):
            return
        deferred_run.polled_at = current_clock().wall()
        try:
            with resource.http().with_call_budget():
                self._take_in(deferred_run, ask(), resource)
        except NotFoundError:
            self._answered()
            deferred_run.not_found_since = deferred_run.not_found_since or deferred_run.polled_at
            if deferred_run.polled_at - deferred_run.not_found_since > NOT_FOUND_GRACE:
                deferred_run.shown = Phase.NEEDS_DAGSTER_RUN
            deferred_run.last_response_at = deferred_run.polled_at
        except VendorError as error:
            self._failed(error)
        except Exception as error:  # a vendor's code: what is wrong with it shows best in a step
            self._failed(error)
            deferred_run.shown = Phase.NEEDS_DAGSTER_RUN
        else:
            deferred_run.last_response_at = deferred_run.polled_at

    def _take_in(self, deferred_run: DeferredRun, status: RunStatus, resource: RemoteRunResource) -> None:
        self._answered()
        deferred_run.not_found_since = None
        deferred_run.last_individual_update = deferred_run.known_active_until = deferred_run.polled_at
        deferred_run.status = status
        deferred_run.age.learn(status, deferred_run.polled_at)
        if status.state is RunState.SUCCEEDED:
            self._fetch_result(deferred_run, status, resource)
        elif status.state is RunState.CANCELED and deferred_run.is_canceled:
            deferred_run.shown = Phase.DONE
        elif status.state.is_final or (status.state is RunState.UNKNOWN and status.finished_at is not None):
            deferred_run.shown = Phase.NEEDS_DAGSTER_RUN

    def _fetch_result(self, deferred_run: DeferredRun, status: RunStatus, resource: RemoteRunResource) -> None:
        gate = deferred_run.asset.remote.options.gate
        try:
            deferred_run.result = deferred_run.run.fetch_result(resource, deferred_run.run_id, status, gate)
        except VendorError as error:
            self._failed(error)
            deferred_run.last_individual_update = 0.0  # it has ended: no list of ends need show it again
            deferred_run.result_failing_since = deferred_run.result_failing_since or deferred_run.polled_at
            if error.is_permanent or deferred_run.polled_at - deferred_run.result_failing_since > REFUSED_GRACE:
                deferred_run.shown = Phase.NEEDS_DAGSTER_RUN
        else:
            deferred_run.shown = Phase.SUCCEEDED

    def _answered(self) -> None:
        with self._lock:
            self._failed_in_a_row = 0
            self._was_heard = True
            self._trouble = self._failing_since = None

    def _failed(self, error: Exception) -> None:
        with self._lock:
            self._failed_in_a_row += 1
            # One call may fail alone; what fails in a row is an outage.
            if self._failed_in_a_row >= min(_OUTAGE_AFTER, len(self._looks) or 1):
                self._trouble = error
                self._failing_since = self._failing_since or current_clock().wall()


_Read = Callable[[_ListReading, RemoteRunResource, float, float], bool]
"""Whether nothing is left of the list that is worth reading."""
