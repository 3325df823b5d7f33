"""Reads the evaluations of some checks from Dagster's storage, each of them once.

Dagster's records of a check are in the order of their ids, which is not the order of the evaluations: if a Dagster run
has planned a check, its evaluation replaces the plan and keeps the plan's id. So the records only show which Dagster
runs may evaluate the checks (one query for all checks, and one more for each check with new records). The evaluations
of these runs are read from their events. Evaluations without a Dagster run have records of their own.

A record or an event with a smaller id may become visible after one with a larger id. So everything is read again after
`limits.REREAD_SECONDS`.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import islice

import dagster as dg

from dagster_runs.dagster_private import (
    CheckRecord,
    StoredEvaluation,
    check_records_after,
    evaluations_of_run,
    newest_check_records,
    partition_of,
    planned_partitions,
    run_evaluations,
)
from dagster_runs.sensors import limits
from dagster_runs.sensors.check_failures.cursor import MAX_ID, CheckFailureCursor, OpenRun
from dagster_runs.transport.clock import current_clock, machine_time

IsWanted = Callable[[dg.AssetCheckEvaluation], bool]
Identity = tuple[dg.AssetCheckKey, str | None, str, float]
_RECORDS_AT_BEGINNING = 100
"""The records of a check in which the first reading searches for active Dagster runs."""


@dataclass(frozen=True)
class UnreportedEvaluation:
    """An evaluation that was read, but not reported yet.

    Attributes:
        stored: The evaluation.
        record_id: The id of its record; ``None`` if it belongs to a Dagster run.
    """

    stored: StoredEvaluation
    record_id: int | None

    def is_read_again(self, first_record: int, runs: Collection[str]) -> bool:
        """Whether another process reads it again because of unreported evaluations.

        Args:
            first_record: The first record of an unreported evaluation.
            runs: The Dagster runs of unreported evaluations.
        """
        return self.stored.dagster_run_id in runs if self.record_id is None else self.record_id > first_record


@dataclass
class _RunReading:
    """What this process remembers about a Dagster run. Another process reads its events again.

    Attributes:
        seen: The evaluations that were read.
        readings: Earlier readings: epoch seconds, and the cursor after the last event.
        read_at: Epoch seconds of the last reading.
    """

    seen: set[Identity] = field(default_factory=set)
    readings: deque[tuple[float, str]] = field(default_factory=deque)
    read_at: float = 0.0


class EvaluationReader:
    """Reads the evaluations since the last tick.

    Args:
        checks: The checks.
        is_wanted: Decides which evaluations are reported.
        instance: The Dagster instance.
        cursor: How far they have been read; ``None`` to begin now, without earlier evaluations.
    """

    def __init__(
        self,
        checks: Sequence[dg.AssetCheckKey],
        is_wanted: IsWanted,
        instance: dg.DagsterInstance,
        cursor: CheckFailureCursor | None,
    ) -> None:
        self._checks = checks
        self._check_set = frozenset(checks)
        self._is_wanted = is_wanted
        self._instance = instance
        self._cursor = cursor
        self._known: set[int] = set()
        self._newest: dict[dg.AssetCheckKey, int] = {}
        self._largest = cursor.read_to if cursor is not None else 0
        self._runs: dict[str, _RunReading] = {}
        self._unreported: list[UnreportedEvaluation] = []
        self._reported: dict[str, UnreportedEvaluation] = {}
        self._pass: Iterator[None] | None = None

    @property
    def cursor(self) -> CheckFailureCursor | None:
        """How far everything is read and reported; ``None`` until the first reading has finished."""
        if self._cursor is None:
            return None
        # Another process must find the unreported records again.
        last = self._first_unreported_record - 1
        at, newest = self._cursor.last_pass
        return replace(self._cursor, read_to=min(self._cursor.read_to, last), last_pass=(at, min(newest, last)))

    @property
    def _first_unreported_record(self) -> int:
        return min([one.record_id for one in self._unreported if one.record_id is not None], default=MAX_ID)

    @property
    def unreported(self) -> Sequence[StoredEvaluation]:
        """The evaluations that were read and not reported yet, in the order in which they were stored."""
        return sorted((one.stored for one in self._unreported), key=lambda stored: stored.timestamp)

    def set_reported(self, reported: Sequence[StoredEvaluation]) -> None:
        """Removes evaluations from `unreported`."""
        if self._cursor is None:
            return
        now, kept, done = current_clock().wall(), self._cursor.reported, {_identity(one) for one in reported}
        for one in self._unreported:
            if _identity(one.stored) in done:
                kept[_digest(one.stored)], self._reported[_digest(one.stored)] = now, one
        self._unreported = [one for one in self._unreported if _identity(one.stored) not in done]
        first, runs = self._first_unreported_record, {one.stored.dagster_run_id for one in self._unreported}
        for digest in [digest for digest, at in kept.items() if at < now - 3 * limits.REREAD_SECONDS]:
            found = self._reported.get(digest)
            is_read_again = bool(self._unreported) if found is None else found.is_read_again(first, runs)
            if not is_read_again:
                del kept[digest]
                self._reported.pop(digest, None)

    def catch_up(self, until: float) -> bool:
        """Reads what was stored since the last call.

        Args:
            until: Monotonic seconds after which to stop. The next call continues there.

        Returns:
            Whether everything was read.
        """
        clock = current_clock()
        self._pass = self._pass or (self._begin() if self._cursor is None else self._read(self._cursor))
        for _ in self._pass:
            if clock.monotonic() > until:
                return False
        self._pass = None
        return True

    def _newest_records(self, found: dict[dg.AssetCheckKey, CheckRecord]) -> Iterator[None]:
        for first in range(0, len(self._checks), limits.CHECKS_PER_QUERY):
            found.update(newest_check_records(self._instance, self._checks[first : first + limits.CHECKS_PER_QUERY]))
            yield

    def _begin(self) -> Iterator[None]:
        """Finds the newest record, and the Dagster runs that are active now. Yields after each query."""
        newest: dict[dg.AssetCheckKey, CheckRecord] = {}
        yield from self._newest_records(newest)
        read_to = max((record.id for record in newest.values()), default=0)
        newest_runs = sorted({record.dagster_run_id for record in newest.values()} - {""})
        active: set[str] = set()
        for first in range(0, len(newest_runs), limits.RUNS_PER_QUERY):
            some = self._run_records(newest_runs[first : first + limits.RUNS_PER_QUERY])
            active |= {one.dagster_run.run_id for one in some if not one.dagster_run.is_finished}
            yield
        runs: dict[str, OpenRun] = {}
        for key, record in newest.items():
            # Other Dagster runs, of other partitions, may have planned the check too.
            if record.evaluated is None or record.partition is not None or record.dagster_run_id in active:
                records = islice(check_records_after(self._instance, key, 0), _RECORDS_AT_BEGINNING)
                for one in records:
                    if one.dagster_run_id and (one.evaluated is None or one.dagster_run_id in active):
                        runs[one.dagster_run_id] = OpenRun()
                yield
        now = current_clock().wall()
        self._cursor = CheckFailureCursor(machine_time(now), read_to, (now, read_to), runs)
        self._largest = read_to

    def _read(self, cursor: CheckFailureCursor) -> Iterator[None]:
        """Reads the new records, and then the events of Dagster runs. Yields after each query."""
        newest: dict[dg.AssetCheckKey, CheckRecord] = {}
        yield from self._newest_records(newest)
        largest = max((record.id for record in newest.values()), default=0)
        if largest < self._largest:
            # Records were deleted with their asset. SQLite gives their ids to new ones.
            cursor.read_to, cursor.last_pass = min(cursor.read_to, max(0, largest - 1)), (0.0, 0)
            self._known.clear()
            self._newest.clear()
        self._largest = largest
        now = current_clock().wall()
        # Reading all of it again takes a query for each check, so that is not done in each tick.
        is_full = not self._newest or cursor.last_pass[0] <= now - limits.REREAD_SECONDS
        for key, record in newest.items():
            known = cursor.read_to if is_full else max(cursor.read_to, self._newest.get(key, 0))
            if record.id > known:
                for one in check_records_after(self._instance, key, known):
                    self._newest[key] = max(self._newest.get(key, 0), one.id)
                    self._add_record(cursor, one)
                yield
        yield from self._read_runs(cursor)
        if cursor.last_pass[0] <= now - limits.REREAD_SECONDS:
            # All records that were visible a while ago, and those that were about to become visible, have been read.
            cursor.read_to = max(cursor.read_to, cursor.last_pass[1])
            cursor.last_pass = (current_clock().wall(), max(cursor.read_to, *self._newest.values(), largest))
            self._known = {record_id for record_id in self._known if record_id > cursor.read_to}

    def _add_record(self, cursor: CheckFailureCursor, record: CheckRecord) -> None:
        if record.id in self._known:
            return
        self._known.add(record.id)
        if record.dagster_run_id:
            cursor.runs.setdefault(record.dagster_run_id, OpenRun())
            if record.evaluated is not None:  # also in case the Dagster run was deleted
                self._add(cursor, record.evaluated, None)
        elif record.evaluated is not None:
            self._add(cursor, record.evaluated, record.id)

    def _add(self, cursor: CheckFailureCursor, stored: StoredEvaluation, record_id: int | None) -> None:
        if stored.dagster_run_id:
            seen = self._runs.setdefault(stored.dagster_run_id, _RunReading()).seen
            if _identity(stored) in seen:
                return
            seen.add(_identity(stored))
        is_watched = stored.evaluation.asset_check_key in self._check_set and stored.timestamp >= cursor.begun_at
        if is_watched and self._is_wanted(stored.evaluation) and _digest(stored) not in cursor.reported:
            self._unreported.append(UnreportedEvaluation(stored, record_id))

    def _read_runs(self, cursor: CheckFailureCursor) -> Iterator[None]:
        ended = [run_id for run_id, run in cursor.runs.items() if run.has_open_plan]
        ended.sort(key=lambda run_id: self._runs.setdefault(run_id, _RunReading()).read_at)
        active = [run_id for run_id, run in cursor.runs.items() if not run.has_open_plan]
        wanted = [*active, *ended[: limits.MAX_RECHECKED_RUNS]]
        for first in range(0, len(wanted), limits.RUNS_PER_QUERY):
            some = wanted[first : first + limits.RUNS_PER_QUERY]
            # Read before the events, so that an ended run has no later ones.
            found = {one.dagster_run.run_id: one.dagster_run for one in self._run_records(some)}
            yield
            for run_id in some:
                if run_id not in found:
                    self._close(cursor, run_id)
                    continue
                self._read_run(cursor, found[run_id])
                yield

    def _run_records(self, run_ids: Sequence[str]) -> Sequence[dg.RunRecord]:
        return self._instance.get_run_records(dg.RunsFilter(run_ids=list(run_ids)))

    def _read_run(self, cursor: CheckFailureCursor, dagster_run: dg.DagsterRun) -> None:
        now, run_id = current_clock().wall(), dagster_run.run_id
        run, reading = cursor.runs[run_id], self._runs.setdefault(run_id, _RunReading())
        evaluations, read_to = evaluations_of_run(self._instance, run_id, run.read_to)
        for stored in evaluations:
            self._add(cursor, stored, None)
        reading.read_at = now
        reading.readings.append((now, read_to))
        if any(one.stored.dagster_run_id == run_id for one in self._unreported):
            return  # another process must find it again
        while reading.readings and reading.readings[0][0] <= now - limits.REREAD_SECONDS:
            run.read_to = reading.readings.popleft()[1]
        if not dagster_run.is_finished:
            run.ended_at = None
        elif run.ended_at is None:
            run.ended_at = now
        elif run.has_open_plan:
            if now - run.ended_at > limits.PLAN_MAX_AGE:
                self._close(cursor, run_id)
        elif now - run.ended_at >= limits.REREAD_SECONDS:
            self._close_ended(cursor, dagster_run)

    def _close_ended(self, cursor: CheckFailureCursor, dagster_run: dg.DagsterRun) -> None:
        """Closes a Dagster run, unless it has left an evaluation to the completion sensor.

        The completion sensor stores an evaluation of a partition as one of the Dagster run that deferred the run.
        """
        if dagster_run.status is dg.DagsterRunStatus.SUCCESS:
            planned = planned_partitions(self._instance, dagster_run.run_id)
            planned = {one for one in planned if one[0] in self._check_set}
            if planned:
                evaluated = {
                    (one.asset_check_key, partition_of(one))
                    for one in run_evaluations(self._instance, dagster_run.run_id)
                }
                planned -= {(key, partition) for key, partition in evaluated if partition is not None}
            with_plans = [run_id for run_id, run in cursor.runs.items() if run.has_open_plan]
            if planned:
                cursor.runs[dagster_run.run_id].has_open_plan = True
                if len(with_plans) >= limits.MAX_PLANS:
                    self._close(cursor, min(with_plans, key=lambda run_id: cursor.runs[run_id].ended_at or 0.0))
                return
        self._close(cursor, dagster_run.run_id)

    def _close(self, cursor: CheckFailureCursor, run_id: str) -> None:
        cursor.runs.pop(run_id, None)
        self._runs.pop(run_id, None)


def _identity(stored: StoredEvaluation) -> Identity:
    evaluation = stored.evaluation
    return evaluation.asset_check_key, partition_of(evaluation), stored.dagster_run_id, stored.timestamp


def _digest(stored: StoredEvaluation) -> str:
    return sha256(repr(_identity(stored)).encode()).hexdigest()[:12]
