"""Looking at all deferred runs of one resource: by the vendor's list where it has one, some at a time elsewhere.

Each resource is watched by itself, so that a vendor that is slow or down delays nobody else's runs.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial

from dagster_runs.in_flight.ends import Ends
from dagster_runs.in_flight.flight import Flight, Phase
from dagster_runs.in_flight.outages import OutageLog
from dagster_runs.in_flight.sightings import LISTED_LATE
from dagster_runs.remote_run.attaching import NOT_FOUND_GRACE
from dagster_runs.remote_run.contract import ListedRun
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.waiting import REFUSED_GRACE
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


class _Reading:
    """What a vendor's lists have shown.

    Attributes:
        going: The runs that they may show.
        awaited: Those that are worth a look, and were not shown yet.
        shown: Those that were shown, or are known to be going.
        entries: How many entries were read, of whatever runs.
        ends_are_known: Whether all that ended were shown.
    """

    def __init__(self, due: Sequence[Flight], going: Iterable[Flight]) -> None:
        self.going = frozenset(going)
        self.awaited = set(due)
        self.shown: set[Flight] = set()
        self.entries = 0
        self.ends_are_known = False
        self._by_id = {flight.run_id: flight for flight in self.going}

    def take(self, run_id: str) -> Flight | None:
        """The run that has this id, the first time that it is shown."""
        flight = self._by_id.pop(run_id, None)
        if flight is not None:
            self.shown.add(flight)
            self.awaited.discard(flight)
        return flight


class Watch:
    """What is known of one resource, from tick to tick.

    Args:
        name: The resource's key, for the log.

    Attributes:
        is_silent: Whether the vendor let the whole of the last look pass without an answer.
    """

    def __init__(self, name: str) -> None:
        self.is_silent = False
        self._was_heard = False
        self._ends = Ends()
        self._left_out: dict[str, float] = {}
        self._name = name
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"dagster_runs_{name}")
        self._looks: dict[Flight, Future[None]] = {}
        self._lock = threading.Lock()
        self._failed_in_a_row = 0
        self._trouble: BaseException | None = None
        self._failing_since: float | None = None
        self._told_at: float | None = None
        self._list_errors: dict[str, Exception] = {}
        self._list_log = OutageLog()
        self._filter_refused: InvalidRequestError | None = None
        self._has_logged_filter = False

    def look(self, due: Sequence[Flight], going: Iterable[Flight], resource: RemoteRunResource, until: float) -> None:
        """Look at the runs that are due, and at whatever others the vendor's list shows on the way.

        Args:
            due: The runs worth a look, most urgent first.
            going: All runs of this resource.
            resource: The resource.
            until: Monotonic seconds after which no further look begins. Those under way go on, and count at the next
                tick.
        """
        self._failed_in_a_row = 0
        self._was_heard = False
        self._forget_what_is_over()
        wanted = [flight for flight in due if flight not in self._looks]
        # Whatever time the lists take: a run whose time is over has its turn, some at each tick.
        for flight in [flight for flight in wanted[:AT_ONCE] if flight.deadline <= current_clock().wall()]:
            self._begin_by_itself(flight, resource, until)
            wanted.remove(flight)
        if len(wanted) > 1:
            shown = self._look_at_list(wanted, going, resource, until)
            wanted = [flight for flight in wanted if flight not in shown]
        for flight in wanted if self._has_time(until) else ():
            self._begin_by_itself(flight, resource, until)
        wait(self._looks.values(), timeout=max(0.0, until - current_clock().monotonic()))
        now = current_clock().monotonic()
        was_asked = bool(self._looks) or any(now < ahead for ahead in self._left_out.values())
        self.is_silent = was_asked and not self._was_heard and now >= until

    def rest(self) -> None:
        """Nothing is going, so nothing is in trouble."""
        self._forget_what_is_over()
        self.is_silent, self._trouble, self._failing_since = False, None, None
        self._list_errors.clear()

    def _forget_what_is_over(self) -> None:
        self._looks = {flight: look for flight, look in self._looks.items() if not look.done()}

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
    def troubles(self) -> list[str]:
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
    def is_unheard(self) -> bool:
        """Whether the vendor does not answer, or answers with failures."""
        return self.is_silent or self._trouble is not None

    def _look_at_list(
        self, due: Sequence[Flight], going: Iterable[Flight], resource: RemoteRunResource, until: float
    ) -> set[Flight]:
        """Read the vendor's list until it has shown all runs that are due; which it showed."""
        reading = _Reading(due, [flight for flight in going if flight not in self._looks])
        # A list may be longer than there is time for, at each tick: what stands at its end is then looked at by itself.
        now = current_clock().monotonic()
        half = now + (until - now) / 2
        # Whatever becomes of the list of ends, the other one is read as well.
        for read in (self._read_ends, self._read_runs):
            if reading.awaited and self._has_time(half):
                self._bearing(read, reading, resource, half, until)
        return reading.shown

    def _bearing(
        self, read: "_Read", reading: "_Reading", resource: RemoteRunResource, list_until: float, until: float
    ) -> None:
        """Read a list, whatever ails it: each run is looked at by itself all the same."""
        name, clock = read.__name__, current_clock()
        if clock.monotonic() < self._left_out.get(name, 0.0):
            return
        began, read_before, is_whole = clock.monotonic(), reading.entries, False
        try:
            with resource.http().hurried():
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

    def _read_ends(self, reading: "_Reading", resource: RemoteRunResource, list_until: float, until: float) -> bool:
        now = current_clock().wall()
        going = reading.going

        def show(listed: ListedRun) -> bool:
            self._take_listed(listed, reading, resource, until)
            return self._has_time(list_until)

        # Those whose end was shown, and could not be told, are looked at by themselves.
        since = min((flight.known_at for flight in going if flight.told_at), default=now)
        for read_to in self._ends.read(resource, since, show):
            self._was_heard = True
            for flight in going - reading.shown:
                flight.known_at = max(flight.known_at, read_to)
            reading.ends_are_known = read_to >= now
        if not reading.ends_are_known:
            return False
        for flight in going - reading.shown:
            if not flight.wants_word(now):
                flight.looked_at = now
                reading.shown.add(flight)
                reading.awaited.discard(flight)
        return True

    def _read_runs(self, reading: "_Reading", resource: RemoteRunResource, list_until: float, until: float) -> bool:
        most = len(reading.awaited) * _LISTED_FOR_A_LOOK
        if reading.ends_are_known and most < len(reading.going):
            return True  # it would show others that are known to be going
        oldest = min(flight.record.at for flight in reading.awaited)
        found = resource.list_runs(oldest - LISTED_LATE)
        if found is None:
            return False
        for read, listed in enumerate(found):
            self._take_listed(listed, reading, resource, until)
            if not reading.awaited or read >= most or not self._has_time(list_until):
                return False
        self._was_heard = True
        return True

    def _take_listed(self, listed: ListedRun, reading: "_Reading", resource: RemoteRunResource, until: float) -> None:
        self._failed_in_a_row = 0
        self._was_heard = True
        reading.entries += 1
        flight = reading.take(listed.run_id)
        if flight is None:
            return
        ask = partial(flight.run.status_of_listed, resource, listed)
        if listed.state.is_final:  # which costs further calls
            flight.told_at = 0.0  # if they fail, the list may show it no more
            self._begin(flight, ask, resource, until)
        else:
            self._look_at(flight, ask, resource, until)

    def _begin_by_itself(self, flight: Flight, resource: RemoteRunResource, until: float) -> None:
        self._begin(flight, partial(flight.run.look, resource, flight.run_id), resource, until)

    def _begin(self, flight: Flight, ask: Callable[[], RunStatus], resource: RemoteRunResource, until: float) -> None:
        self._looks[flight] = self._pool.submit(self._look_at, flight, ask, resource, until)

    def _has_time(self, until: float) -> bool:
        return current_clock().monotonic() < until and self._failed_in_a_row < _OUTAGE_AFTER

    def _look_at(self, flight: Flight, ask: Callable[[], RunStatus], resource: RemoteRunResource, until: float) -> None:
        if not self._has_time(until):
            return
        flight.looked_at = current_clock().wall()
        try:
            with resource.http().hurried():
                self._take_in(flight, ask(), resource)
        except NotFoundError:
            self._answered()
            flight.unknown_since = flight.unknown_since or flight.looked_at
            if flight.looked_at - flight.unknown_since > NOT_FOUND_GRACE:
                flight.shown = Phase.NEEDS_STEP
            flight.answered_at = flight.looked_at
        except VendorError as error:
            self._failed(error)
        except Exception as error:  # a vendor's code: what is wrong with it shows best in a step
            self._failed(error)
            flight.shown = Phase.NEEDS_STEP
        else:
            flight.answered_at = flight.looked_at

    def _take_in(self, flight: Flight, status: RunStatus, resource: RemoteRunResource) -> None:
        self._answered()
        flight.unknown_since = None
        flight.told_at = flight.known_at = flight.looked_at
        flight.status = status
        flight.age.learn(status, flight.looked_at)
        if status.state is RunState.SUCCEEDED:
            self._fetch_result(flight, status, resource)
        elif status.state is RunState.CANCELED and flight.is_cancelled:
            flight.shown = Phase.OVER
        elif status.state.is_final or (status.state is RunState.UNKNOWN and status.finished_at is not None):
            flight.shown = Phase.NEEDS_STEP

    def _fetch_result(self, flight: Flight, status: RunStatus, resource: RemoteRunResource) -> None:
        gate = flight.asset.remote.options.gate
        try:
            flight.result = flight.run.fetch_result(resource, flight.run_id, status, gate)
        except VendorError as error:
            self._failed(error)
            flight.told_at = 0.0  # it has ended: no list of ends need show it again
            flight.unread_since = flight.unread_since or flight.looked_at
            if error.permanent or flight.looked_at - flight.unread_since > REFUSED_GRACE:
                flight.shown = Phase.NEEDS_STEP
        else:
            flight.shown = Phase.SUCCEEDED

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


_Read = Callable[[_Reading, RemoteRunResource, float, float], bool]
"""Whether nothing is left of the list that is worth reading."""
