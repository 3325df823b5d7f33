"""The observation sensor's work: runs that others started at a vendor, from their first sight to their end.

Dagster stores a tick's events before its cursor. So what is to be reported is looked for in the event log first: a tick
that got lost after its events reports nothing twice.
"""

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import dagster as dg

from dagster_runs.in_flight import requests, sightings
from dagster_runs.in_flight.definition import WatchedAsset, check_defined
from dagster_runs.in_flight.finished import AssetEvent, Ended, FinishedRun
from dagster_runs.in_flight.outages import Alarm, OutageLog
from dagster_runs.in_flight.report import STILL_AT_WORK
from dagster_runs.in_flight.requests import FollowUp
from dagster_runs.in_flight.sightings import LISTED_LATE, Seen, Sighting
from dagster_runs.in_flight.vendor_resources import VendorResources, initialized
from dagster_runs.in_flight.watching import REFUSED_FOR
from dagster_runs.remote_run.attaching import NOT_FOUND_GRACE
from dagster_runs.remote_run.contract import (
    CLOCKS_DIFFER,
    CLOCKS_OF_MACHINES_DIFFER,
    DAY,
    START_TAKES_AT_MOST,
    ListedRun,
    RemoteRun,
    RunResult,
)
from dagster_runs.remote_run.evaluations import Place, newest_materializations, stored_evaluations
from dagster_runs.remote_run.ledger import Entry, events, observed_run, publications
from dagster_runs.remote_run.neighbours import records_of
from dagster_runs.remote_run.provenance import current_provenance
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.transport.clock import current_clock, machine_time
from dagster_runs.transport.errors import (
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    UnexpectedResponseError,
    VendorError,
)

LOOKING = 20.0
"""Seconds of a tick in which calls may begin, but for what is left below; Dagster ends a tick after 60, and one run's
status and result may take 30."""
LISTING = 10.0
"""Seconds of them in which one resource's list is read."""
LEFT_FOR_LOOKS = 5.0
"""Seconds that are left for looks after the list, if that did not take all the time."""
AT_LEAST = 20
"""Runs of a list that are read however long it takes, so that each tick gets on."""
_PART = 1800.0
"""Seconds of a list that are read as one part at first: more than what usually is due, which is read as a whole."""
_NARROWEST = 60.0
MOST_EVENTS = 500
"""That a tick reports: Dagster stores them one by one, in the same tick."""
MOST_REQUESTS = 25
_OUTAGE_AFTER = 3
"""Failed looks in a row from which on the vendor is left alone until the next tick."""
_GIVEN_UP = 30 * DAY
"""Seconds after which a run that does not end is no longer looked at."""
_UNTOLD = 3600.0
"""Seconds after which a run that has ended, and of which the vendor does not tell what it ran, fills nothing."""
_START_NOTED = 3600.0
"""Seconds before a run's creation from which on the ledgers are searched for its start."""
_START_DECIDED = START_TAKES_AT_MOST + 600.0
"""Seconds after which a start of ours, of which nobody knows what it began, no longer holds others' runs back."""

_NOBODYS = ""
"""The asset of a run that fills none."""


class Observation:
    """An observation sensor's ticks.

    Args:
        assets: The assets that others' runs fill.
        follow_up: What the user wants after each finished run; ``None`` for nothing.
    """

    def __init__(self, assets: Sequence[WatchedAsset], *, follow_up: FollowUp | None) -> None:
        self._assets = {asset.keys[0].to_user_string(): asset for asset in assets}
        self._follow_up = follow_up
        self._ticks = 0
        self._busy = threading.Lock()
        self._memories: dict[str, _Memory] = {}
        self._alarm = Alarm()
        self._resource_log = OutageLog()
        self._unstored: tuple[str | None, str] | None = None
        """Of the last tick, if it failed: the cursor that Dagster has kept, and the one that it did not get."""

    def tick(self, context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """One evaluation of the sensor."""
        if not self._busy.acquire(blocking=False):
            return dg.SkipReason(STILL_AT_WORK)
        try:
            with initialized(self._assets.values(), context) as vendors:
                return self._tick(context, vendors)
        finally:
            self._busy.release()

    def _tick(self, context: dg.SensorEvaluationContext, vendors: VendorResources) -> dg.SensorResult:
        check_defined(self._assets.values(), context.repository_def)
        self._resource_log.update(context.log, vendors.problems, over="The resource %r can be used again, after %.0f s")
        self._alarm.check_before_reporting(self._problems(vendors))
        clock = current_clock()
        until = clock.monotonic() + LOOKING
        kept = (
            self._unstored[1] if self._unstored is not None and self._unstored[0] == context.cursor else context.cursor
        )
        seen = sightings.from_cursor(kept)
        report = _Report()
        by_resource: dict[str, dict[str, WatchedAsset]] = {}
        for name, asset in self._assets.items():
            by_resource.setdefault(asset.remote.resource_key, {})[name] = asset
        # Each resource comes first in its turn: one that is slow must not take the others' time at each tick.
        turn = self._ticks % len(by_resource)
        self._ticks += 1
        in_turn = [*by_resource.items()]
        for key, assets in in_turn[turn:] + in_turn[:turn]:
            one = seen.setdefault(key, Seen(clock.wall()))
            if clock.monotonic() > until:
                continue
            resource = vendors.ready.get(key)
            if resource is None:
                report.troubles.append(vendors.problems[key])
                continue
            memory = self._memories.setdefault(key, _Memory())
            _Account(key, assets, resource, one, memory, report, context, self._follow_up, until).look()
        waiting = sum(len(one.awaited) for one in seen.values())
        said = f"{report.runs} reported, {waiting} awaited"
        cursor = sightings.as_cursor(seen)
        self._unstored = (context.cursor, cursor)
        self._alarm.check_after_reporting(self._problems(vendors), is_idle=not report.events and not report.requests)
        self._unstored = None
        return dg.SensorResult(
            asset_events=[*report.evaluations, *report.events],
            run_requests=report.requests,
            skip_reason=None if report.requests else ". ".join([said, *report.troubles]),
            cursor=cursor,
        )

    def _problems(self, vendors: VendorResources) -> list[str]:
        """What a person has to solve: resources that cannot be initialized, and credentials that the vendor refuses."""
        refused = [f"{key}: {memory.refused}" for key, memory in self._memories.items() if memory.is_refused]
        return [*vendors.problems.values(), *refused]


@dataclass
class _Report:
    """What a tick tells Dagster."""

    evaluations: list[dg.AssetCheckEvaluation] = field(default_factory=list)
    """Of materializations that are stored. They come before all other events, as these may be of later runs."""
    events: list[AssetEvent] = field(default_factory=list)
    requests: list[dg.RunRequest] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    runs: int = 0

    @property
    def is_full(self) -> bool:
        """Whether the next tick is to tell the rest."""
        return len(self.evaluations) + len(self.events) >= MOST_EVENTS or len(self.requests) >= MOST_REQUESTS


@dataclass
class _Memory:
    """What this process remembers of one resource; another one does without it.

    Attributes:
        part: Seconds of the list that are read as one part, after an outage.
        looked_at: When each awaited run was last looked at, in epoch seconds.
        failed_at: Likewise, of those for which that went wrong.
        unknown_since: Since when the vendor says that it does not know a run.
        list_failed_at: When the list began to fail; ``None`` while it works.
        refused: The error with which the vendor refuses our credentials; ``None`` if it does not.
        refused_since: Epoch seconds since when it does.
    """

    part: float = _PART
    looked_at: dict[str, float] = field(default_factory=dict)
    failed_at: dict[str, float] = field(default_factory=dict)
    unknown_since: dict[str, float] = field(default_factory=dict)
    list_failed_at: float | None = None
    refused: Exception | None = None
    refused_since: float = 0.0

    @property
    def is_refused(self) -> bool:
        """Whether the vendor has answered 401 or 403 for a while."""
        return self.refused is not None and current_clock().wall() - self.refused_since >= REFUSED_FOR

    def learn(self, error: Exception | None) -> None:
        """Take in how a call ended: ``None`` is a success."""
        if not isinstance(error, (AuthenticationError, PermissionDeniedError)):
            self.refused = None
            return
        if self.refused is None:
            self.refused_since = current_clock().wall()
        self.refused = error

    def turn(self, run_id: str, created_at: float) -> tuple[float, float]:
        """Sorts runs by who has waited longest; those that could not be looked at come last, and hold up no others."""
        return self.failed_at.get(run_id, 0.0), self.looked_at.get(run_id, created_at)

    def keep(self, awaited: Collection[str]) -> None:
        """Forget all other runs."""
        for times in (self.looked_at, self.failed_at, self.unknown_since):
            for run_id in times.keys() - awaited:
                del times[run_id]


@dataclass
class _Account:
    """One resource's runs, in one tick."""

    name: str
    assets: Mapping[str, WatchedAsset]
    resource: RemoteRunResource
    seen: Seen
    memory: _Memory
    report: _Report
    context: dg.SensorEvaluationContext
    follow_up: FollowUp | None
    until: float
    listed: dict[str, ListedRun] = field(default_factory=dict)
    listed_to: float = 0.0
    """Epoch seconds up to which the list was read."""

    def look(self) -> None:
        """See which runs there are, and report those of others that have ended."""
        clock = current_clock()
        now = clock.wall()
        with self.resource.http().hurried():
            self._list_bearing()  # the list may be down, or too long, while runs can be looked at
            # A vendor may take seconds for each call of which a list needs many.
            self.until = max(self.until, min(clock.monotonic(), self.until) + LEFT_FOR_LOOKS)
            awaited = self.seen.awaited
            unknown = {run_id: sighting for run_id, sighting in awaited.items() if sighting.asset is None}
            self._each(unknown, self._recognize, (clock.monotonic() + self.until) / 2)
            self._leave_out_ours()
            known = {run_id: sighting for run_id, sighting in awaited.items() if sighting.asset is not None}
            self._each(known, self._look_at, self.until)
        self.memory.keep(self.seen.awaited.keys())
        if self.listed_to:
            undated = {run_id for run_id, run in self.listed.items() if run.created_at is None}
            self.seen.was_listed(min(now, self.listed_to + LISTED_LATE), undated)

    def _each(self, runs: Mapping[str, Sighting], call: Callable[[str, Sighting], None], until: float) -> None:
        """Do it with the runs in their turn, while there is time and the vendor answers; with one in any case."""
        memory, failed_in_a_row = self.memory, 0
        in_turn = sorted(runs.items(), key=lambda item: memory.turn(item[0], item[1].created_at))
        for done, (run_id, sighting) in enumerate(in_turn):
            is_late = done > 0 and current_clock().monotonic() > until
            if self.report.is_full or failed_in_a_row == _OUTAGE_AFTER or is_late:
                break
            error = self._bearing(partial(call, run_id, sighting), is_known=run_id in memory.failed_at)
            if error is None:
                failed_in_a_row = 0
                memory.failed_at.pop(run_id, None)
            else:
                failed_in_a_row += isinstance(error, VendorError)
                memory.failed_at[run_id] = current_clock().wall()

    def _list_bearing(self) -> None:
        memory, now = self.memory, current_clock().wall()
        error = self._bearing(self._list, is_known=memory.list_failed_at is not None)
        if error is not None:
            memory.list_failed_at = memory.list_failed_at or now
        elif memory.list_failed_at is not None:
            self.context.log.info(
                "The runs of %s can be listed again, after %.0f s", self.name, now - memory.list_failed_at
            )
            memory.list_failed_at = None

    def _bearing(self, call: Callable[[], None], *, is_known: bool) -> Exception | None:
        """What went wrong, which is tried again at the next tick; logged unless it is known to fail."""
        log = self.context.log
        try:
            call()
        except VendorError as error:
            log.log(logging.DEBUG if is_known else logging.WARNING, "%s, which is tried again: %s", self.name, error)
            failure: Exception = error
        except dg.DagsterInvariantViolationError:
            raise  # a mistake in the definitions
        except Exception as error:  # a vendor's code: one run must not hold up all others
            if not is_known:
                log.exception("%s, which is tried again", self.name)
            failure = error
        else:
            self.memory.learn(None)
            return None
        self.memory.learn(failure)
        self.report.troubles.append(f"{self.name}: {failure}")
        return failure

    def _list(self) -> None:
        """Read the list up to now: as a whole, or part by part, oldest first, where there is much to make up for."""
        clock = current_clock()
        until = clock.monotonic() + LISTING
        begin = self.seen.since - LISTED_LATE
        while True:
            now = clock.wall()
            end = begin + self.memory.part
            try:
                is_read = self._list_part(begin, end if end < now else None, until)
            except UnexpectedResponseError:
                if self.memory.part <= _NARROWEST:
                    raise
                is_read = False  # its pages may be too many
            if is_read and end >= now:
                self.listed_to = now
                return
            is_late = clock.monotonic() > until
            if not is_read:
                self.memory.part = max((min(end, now) - begin) / 2, _NARROWEST)
            elif not is_late:
                self.memory.part *= 2
            if is_read:
                # Two parts may be cut by clocks that differ a little.
                self.listed_to = begin = end - CLOCKS_DIFFER
            if is_late:
                self.report.troubles.append(f"{self.name}: its list is too long to be read in one tick")
                return

    def _list_part(self, begin: float, end: float | None, until: float) -> bool:
        """Whether there was time for all that was made between the two."""
        clock = current_clock()
        now = clock.wall()
        listed = self.resource.list_runs(begin) if end is None else self.resource.list_runs(begin, end)
        if listed is None:
            raise dg.DagsterInvariantViolationError(
                f"The resource {self.name!r} cannot list runs as it is set; TestGen's needs its project_code"
            )
        for read, run in enumerate(listed, 1):
            self.listed[run.run_id] = run
            self.seen.take_in(run.run_id, now if run.created_at is None else run.created_at)
            if read >= AT_LEAST and clock.monotonic() > until:
                return False
        return True

    def _recognize(self, run_id: str, sighting: Sighting) -> None:
        """Find out which asset a run fills, if any, and leave out at once what fills none."""
        listed = self.listed.get(run_id)
        if listed is not None:
            sighting.asset = self._whose(listed)
        elif sighting.created_at < self.listed_to:
            sighting.asset = _NOBODYS  # it is listed no more
        if sighting.asset == _NOBODYS:
            self.seen.finish(run_id)

    def _leave_out_ours(self) -> None:
        """Those that an asset's own ledger tells of, so that they cost no calls: one reading of it for all new runs.

        Whether another asset has started a run is found out at its end only, as it takes the ledgers of all.
        """
        now = current_clock().wall()
        new: dict[str, dict[str, float]] = {}
        for run_id, sighting in self.seen.awaited.items():
            is_new = run_id not in self.memory.looked_at or now - sighting.created_at < _START_DECIDED
            if is_new and sighting.asset is not None and sighting.asset in self.assets:
                new.setdefault(sighting.asset, {})[run_id] = sighting.created_at
        for name, runs in new.items():
            since = min(runs.values()) - _START_NOTED
            for record in records_of(self.context.instance, self.assets[name].keys[0], since):
                if record.run_id is not None and runs.pop(record.run_id, None) is not None:
                    self.seen.finish(record.run_id)

    def _look_at(self, run_id: str, sighting: Sighting) -> None:
        now = current_clock().wall()
        self.memory.looked_at[run_id] = now
        asset = self.assets.get(sighting.asset or _NOBODYS)
        is_given_up = now - sighting.created_at > _GIVEN_UP
        if asset is None or is_given_up or self._is_told(asset, run_id, sighting):
            self.seen.finish(run_id)

    def _is_told(self, asset: WatchedAsset, run_id: str, sighting: Sighting) -> bool:
        """Whether nothing more is to be told of a run; tells its end, if another has started it."""
        status = self._status(asset, run_id)
        if status is None:
            return current_clock().wall() - self.memory.unknown_since[run_id] > NOT_FOUND_GRACE
        if not status.state.is_final:
            return False
        started_here = False if sighting.is_materialized else self._was_started_here(run_id, sighting.created_at)
        if started_here is False:
            return self._report(asset, run_id, sighting, status)
        return started_here is not None

    def _whose(self, listed: ListedRun) -> str | None:
        """The asset that a listed run fills; ``None`` while the vendor does not tell."""
        targets: dict[type, str | None] = {}
        for name, asset in self.assets.items():
            run = asset.fixed_run
            if type(run) not in targets:
                targets[type(run)] = self._target(run, listed)
            if targets[type(run)] == run.observed_target:
                return name
        is_untold = (
            listed.state.is_final and current_clock().wall() - self.seen.awaited[listed.run_id].created_at > _UNTOLD
        )
        return None if None in targets.values() and not is_untold else _NOBODYS

    def _target(self, run: RemoteRun[Any], listed: ListedRun) -> str | None:
        try:
            return run.target_of_listed(self.resource, listed)
        except NotFoundError:
            return None  # it has no record yet, or none any more

    def _status(self, asset: WatchedAsset, run_id: str) -> RunStatus | None:
        """How the run stands; ``None`` if the vendor does not know it."""
        listed = self.listed.get(run_id)
        try:
            if listed is None:
                status = asset.fixed_run.look(self.resource, run_id)
            else:
                status = asset.fixed_run.status_of_listed(self.resource, listed)
        except NotFoundError:
            self.memory.unknown_since.setdefault(run_id, current_clock().wall())
            return None
        self.memory.unknown_since.pop(run_id, None)
        return status

    def _was_started_here(self, run_id: str, created_at: float) -> bool | None:
        """Whether this Dagster instance started it; ``None`` while a start may still find out that it did."""
        newest: dict[str, Entry] = {}
        for key in self.context.instance.get_asset_keys():
            for record in records_of(self.context.instance, key, created_at - _START_NOTED):
                if record.run_id == run_id:
                    return True
                if record.at > created_at + _START_DECIDED:
                    break
                if record.entry is not Entry.PROGRESS and abs(record.at - created_at) <= _START_DECIDED:
                    newest[record.correlation_id] = record.entry
        is_open = Entry.STARTING in newest.values() and current_clock().wall() - created_at < _START_DECIDED
        return None if is_open else False

    def _report(self, asset: WatchedAsset, run_id: str, sighting: Sighting, status: RunStatus) -> bool:
        """Report a run's end, or the next part of it.

        Returns:
            Whether nothing more is to be reported.
        """
        run = asset.fixed_run
        if status.state is RunState.SUCCEEDED:
            is_complete = self._report_success(asset, run_id, sighting, status)
        else:
            is_complete = True
            self._report_failure(asset, run_id, sighting, status)
        if is_complete and self.follow_up is not None:
            finished = FinishedRun(run_id, run.vendor, status.state, asset.keys)
            self.report.requests += requests.to_follow_up(self.follow_up, finished, self.context)
        return is_complete

    def _report_success(self, asset: WatchedAsset, run_id: str, sighting: Sighting, status: RunStatus) -> bool:
        """Its materializations in one tick, and its evaluations in a later one, which is True."""
        instance, since = self.context.instance, machine_time(sighting.created_at - LISTED_LATE)
        judged: dict[Place, dg.EventLogRecord] = {}
        for key in asset.keys:
            wanted = dg.AssetRecordsFilter(key, after_timestamp=since)
            found = next(publications(instance, wanted, run_id), None)
            if found is not None:
                judged[key, None] = found
        missing = [(key, None) for key in asset.keys if (key, None) not in judged]
        if not missing:
            times = [record.timestamp for record in judged.values()]
            stored = stored_evaluations(instance, asset.check_keys, min(times) - CLOCKS_OF_MACHINES_DIFFER)
            self.report.evaluations += self._ended(asset, [*judged], run_id, sighting, status).evaluations(
                judged, stored
            )
            sighting.is_materialized = False
            return True
        ended = self._ended(asset, missing, run_id, sighting, status)
        is_waiting = any(
            one.is_materialized and one.asset == sighting.asset
            for other, one in self.seen.awaited.items()
            if other != run_id
        )
        # Else an earlier run's evaluation would count for this run's materialization for a moment.
        if not (ended.has_failed_checks and is_waiting):
            self.report.events += ended.materializations(instance, [*self.report.evaluations, *self.report.events])
            self.report.runs += 1
            sighting.is_materialized = True
        return False

    def _report_failure(self, asset: WatchedAsset, run_id: str, sighting: Sighting, status: RunStatus) -> None:
        instance = self.context.instance
        places: list[Place] = [
            (key, None) for key in asset.keys if not _is_reported(instance, key, run_id, sighting.created_at)
        ]
        if places:
            newest = newest_materializations(instance, places)
            self.report.events += self._ended(asset, places, run_id, sighting, status, newest=newest).as_failure()
            self.report.runs += 1

    def _ended(
        self,
        asset: WatchedAsset,
        places: Sequence[Place],
        run_id: str,
        sighting: Sighting,
        status: RunStatus,
        *,
        newest: Mapping[Place, dg.EventLogRecord] = MappingProxyType({}),
    ) -> Ended:
        return Ended(
            asset=asset,
            places=places,
            run=asset.fixed_run,
            run_id=run_id,
            resource=self.resource,
            status=status,
            result=self._result(asset, run_id, status),
            more={"dagster_runs/observed": dg.MetadataValue.bool(True)},
            provenance=current_provenance(
                self.context.instance,
                asset.definition,
                asset.keys,
                default_code_version=run_id,
                # What it read is known no better than by the time at which it was made.
                before=machine_time(sighting.created_at),
            ),
            newest=newest,
        )

    def _result(self, asset: WatchedAsset, run_id: str, status: RunStatus) -> RunResult:
        try:
            return asset.fixed_run.fetch_result(self.resource, run_id, status, asset.remote.options.gate)
        except VendorError:
            if status.state is RunState.SUCCEEDED:
                raise
            return RunResult()  # that it did not succeed is known


def _is_reported(instance: dg.DagsterInstance, key: dg.AssetKey, run_id: str, created_at: float) -> bool:
    wanted = dg.AssetRecordsFilter(key, after_timestamp=machine_time(created_at - LISTED_LATE))
    if any(publications(instance, wanted, run_id)):
        return True
    return any(observed_run(event) == run_id for event in events(instance.fetch_observations, wanted))
