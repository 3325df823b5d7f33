"""The execution of one remote run in one step: what starting, polling and reporting share."""

import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.errors import RunTerminated
from dagster_runs.remote_run.execution.closing import CompletionSensor
from dagster_runs.remote_run.execution.dagster_step import OwnRunState, Step
from dagster_runs.remote_run.execution.events import run_metadata
from dagster_runs.remote_run.execution.ledger import Ledger
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, EntryTooLarge, LedgerEntry, recorded_target
from dagster_runs.remote_run.execution.provenance import current_provenance
from dagster_runs.remote_run.execution.storage_outage import StorageOutage
from dagster_runs.remote_run.metadata_order import in_page_order
from dagster_runs.remote_run.options import RunOptions
from dagster_runs.remote_run.state import RunStatus
from dagster_runs.remote_run.types import CheckOutcome, RunResult, StartAttempt
from dagster_runs.remote_run.wording import with_article
from dagster_runs.transport.clock import current_clock, is_same_clock

if TYPE_CHECKING:
    from dagster_runs.remote_run.resource import RemoteRunResource


MAX_RUN_ID = 400
"""The maximum characters of a vendor's run id that fit in an entry. The longest known, Prophecy's, has about 100."""
_MAX_PARTITIONS = 4000
"""The maximum compressed bytes of a list of partitions that is stored in full. For a longer list, only its ends are."""


class Terminated(BaseException):
    """Our own Dagster run was terminated, although no signal arrived. Not an `Exception`, so no handler swallows it."""


@dataclass(frozen=True)
class RunHandle:
    """A remote run that this step waits for.

    Attributes:
        run_id: The vendor's id of the run.
        correlation_id: The correlation id of the attempt that started it.
        started_at: Epoch seconds of the start, according to the ledger.
        deadline: Epoch seconds of the deadline.
        attached: Whether an earlier attempt started it.
        status: The final status, if it is already known.
    """

    run_id: str
    correlation_id: str
    started_at: float
    deadline: float
    attached: bool
    status: RunStatus | None = None


Report = Callable[
    ["RemoteRunExecution", RunHandle, Mapping[str, Any], RunResult, Sequence[CheckOutcome]], Iterator[Any]
]
"""Yields the events of a run that succeeded; see `RemoteRunExecution.report`."""


@dataclass(frozen=True)
class RemoteRunExecution:
    """A step, the remote run to execute, the resource to execute it with, and the user's options.

    Attributes:
        step: The step.
        resource: The vendor's resource.
        run: The remote run to execute.
        options: The user's options.
        is_fixed: Whether each attempt has the same fields, unless the definition or the launch config is changed. False
            for a run that user code creates at each attempt, because its fields may contain, for example, the current
            time.
        request_id: The id of the queued request that is started now; ``None`` if it was not queued.
        completion_sensor: Returns the completion sensor of the step's assets.
        is_outdated: Whether a run that was attached to has not seen the data that this step is about. If so, another
            run is started when it has ended.
        report: Yields the events of a run that succeeded, from this execution, the run's handle, its metadata, its
            result and the outcomes of all its checks; ``None`` for the materialization of its assets.
        is_whole_step: Whether the step does nothing after the run, so that it may fail if a blocking check has failed.
    """

    step: Step
    resource: "RemoteRunResource"
    run: RemoteRun[Any]
    options: RunOptions
    is_fixed: bool = False
    request_id: str | None = None
    completion_sensor: Callable[[], CompletionSensor] | None = None
    is_outdated: Callable[[RunHandle, RunStatus], bool] = lambda _handle, _status: False
    report: "Report | None" = None
    is_whole_step: bool = False
    _provenance: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Provenance by the correlation id of each start of this step."""

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger: everything that was done for this step so far."""
        return Ledger(self.step)

    @property
    def target(self) -> str:
        """The class and the target of the run. An earlier run with another value is not the run that we want now."""
        return recorded_target(self.run)

    @cached_property
    def fields_digest(self) -> str | None:
        """The digest of the run's fields, if they are fixed."""
        if not self.is_fixed:
            return None
        # Defaults are excluded: a later version of this package may have more fields, and its runs are still the same.
        sent_fields = self.run.model_dump(mode="json", exclude_defaults=True, exclude=set(self.run.local_fields))
        return sha256(json.dumps(sent_fields, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def is_limited(self) -> bool:
        """Whether the number of runs in flight is limited, so that the completion sensor has to admit each request."""
        limits = (self.options.max_in_flight, self.resource.max_in_flight)
        return self.options.is_deferred and any(limit is not None for limit in limits)

    @property
    def equality_key(self) -> tuple[object, ...]:
        """The `request_queue.equality_key` of this request."""
        return self.step.partition, self.step.name, self.target, self._request_digest

    @cached_property
    def _request_digest(self) -> str:
        """The digest of everything that makes two requests equal: one run satisfies both."""
        fields = self.run.model_dump(mode="json", exclude_defaults=True)
        assets = [key.to_user_string() for key in self.step.asset_keys]
        text = json.dumps([type(self.run).__name__, fields, assets, self.step.partitions], sort_keys=True)
        return sha256(text.encode()).hexdigest()[:16]

    def _queue_fields(self, kind: EntryKind) -> dict[str, Any] | None:
        """Returns the field ``queue`` of an entry; see `request_queue`."""
        if kind not in (EntryKind.STARTING, EntryKind.STARTED, EntryKind.QUEUED) or not self.options.is_deferred:
            return None
        about = {
            "digest": self._request_digest,
            "request": self.request_id if kind is not EntryKind.QUEUED else None,
            "waits": kind is EntryKind.QUEUED and self.options.waits_in_backfill,
        }
        return {name: value for name, value in about.items() if value}

    @cached_property
    def payload(self) -> dict[str, Any]:
        """The data that the completion sensor needs to poll the run, or to start a queued request."""
        keys = self.step.partitions
        is_long = len(zlib.compress(json.dumps(keys).encode())) > _MAX_PARTITIONS
        return {
            "run": self.run.to_payload(),
            "assets": [list(key.path) for key in self.step.asset_keys],
            "partitions": {"first": keys[0], "last": keys[-1]} if is_long and self.step.fills_whole_range else keys,
        }

    @property
    def timeout(self) -> float:
        """The timeout of the run in seconds, counted from its start."""
        return self.options.timeout or self.run.default_timeout

    @property
    def description(self) -> str:
        """The description of the run for users: ``RudderStack Profiles run of 2hkeBOp``."""
        return f"{self.run.vendor} {self.run.label} of {self.run.target}"

    def describe_run(self, run_id: str) -> str:
        """Returns the description of one run for users: ``Profiles run cqf7pvv8 of 2hkeBOp``."""
        return f"{self.run.label} {run_id} of {self.run.target}"

    @property
    def with_article(self) -> str:
        """The description of the run with its article: ``a RudderStack Profiles run of 2hkeBOp``."""
        return with_article(self.description)

    def url(self, run_id: str) -> str | None:
        """Returns the URL of the vendor's page for a run."""
        return self.run.page_url(self.resource, run_id)

    def get_status(self, run_id: str) -> RunStatus:
        """Asks the vendor for the current status of a run."""
        return self.run.get_status(self.resource, run_id)

    @property
    def retries_remaining(self) -> bool:
        """Whether the step's retry policy has retries left.

        Dagster counts a step's attempts within one Dagster run, but each failed deferred run is reported by a Dagster
        run of its own.
        """
        finishes = self.step.finishes
        if finishes is None:
            return True
        if self.step.replaces:
            return False
        state = self.ledger.read()
        tries = len(state.known_run_ids)
        return tries <= self.step.max_step_retries and not state.was_cancel_requested(finishes)

    def for_deferred_run(self, run_id: str) -> "RemoteRunExecution":
        """Returns this execution with the run as it was deferred, because the definition may have changed since."""
        entry = self.ledger.state.newest_about(run_id)
        if entry is None or entry.deferred_payload is None or entry.run_class_name != type(self.run).__name__:
            return self
        return replace(self, run=self.run.from_payload(entry.deferred_payload["run"]))

    def new_attempt(self) -> StartAttempt:
        """Returns an attempt to start the run, beginning now."""
        dagster_run_id, correlation_id = self.step.dagster_run_id, uuid4().hex
        now = current_provenance(
            self.step.instance, self.step.definition, self.step.asset_keys, default_code_version=dagster_run_id
        )
        self._provenance[correlation_id] = {key: one.as_json() for key, one in now.items()}
        return StartAttempt(
            correlation_id=correlation_id,
            starting_at=current_clock().wall(),
            dagster_run_id=dagster_run_id,
            dagster_url=self.resource.dagster_run_url(dagster_run_id),
        )

    def provenance_of(self, correlation_id: str) -> Mapping[str, Any] | None:
        """Returns the provenance of the assets before a start, which may have been made by an earlier attempt."""
        if correlation_id not in self._provenance:
            entry = self.ledger.state.provenance_of(correlation_id)
            self._provenance[correlation_id] = (entry.provenance if entry is not None else None) or {}
        return self._provenance[correlation_id] or None

    def attempt_of(self, entry: LedgerEntry) -> StartAttempt:
        """Returns the start attempt that a ledger entry is about."""
        return StartAttempt(
            correlation_id=entry.correlation_id,
            starting_at=entry.at,
            dagster_run_id=entry.dagster_run_id,
            dagster_url=self.resource.dagster_run_url(entry.dagster_run_id),
            # Decided by the clock, because other processes on the same machine share it.
            by_this_process=is_same_clock(entry.host, current_clock().host()),
        )

    def handle_of(self, entry: LedgerEntry, run_id: str) -> RunHandle:
        """Returns the handle of the run that a ledger entry is about.

        Args:
            entry: The entry.
            run_id: The vendor's id of the run. An entry that is only about its start does not have it.
        """
        deadline = entry.deadline or entry.at + self.timeout
        return RunHandle(run_id, entry.correlation_id, entry.at, deadline, attached=True)

    def raise_if_terminated(self) -> None:
        """Raises if a user or a limit terminated the Dagster run, because a signal does not always reach the step.

        Raises:
            Terminated: The Dagster run was terminated.
        """
        if self.own_run_state() is OwnRunState.TERMINATED:
            raise Terminated

    @cached_property
    def storage(self) -> StorageOutage:
        """Tracks whether Dagster's storage is currently failing."""
        return StorageOutage(self.description)

    def own_run_state(self) -> OwnRunState | None:
        """Returns what happened to our Dagster run; also ``None`` while Dagster's storage fails."""
        return self.storage.attempt(self.step.own_run_state)

    def wait_for_own_run_state(self) -> OwnRunState | None:
        """Like `own_run_state`, but waits until the storage works, for actions that must not follow our run's end."""
        return self.storage.wait_for(self.step.own_run_state)

    def raise_if_own_run_ended(self, own_run_state: OwnRunState | None, *, run_id: str | None = None) -> None:
        """Raises if our own Dagster run has ended.

        Args:
            own_run_state: What happened to our Dagster run.
            run_id: The remote run that this step waits for.

        Raises:
            Terminated: A user or a limit terminated it.
            RunTerminated: Dagster has marked it as failed.
        """
        if own_run_state is OwnRunState.TERMINATED:
            raise Terminated
        if own_run_state is OwnRunState.MARKED_FAILED:
            left = (
                f". {self.describe_run(run_id)} is still active; re-execute from failure to attach to it"
                if run_id
                else ""
            )
            raise RunTerminated(
                f"Dagster has marked this step's Dagster run as failed{left}", vendor=self.run.vendor, run_id=run_id
            )

    def sleep(self, seconds: float, *, run_id: str | None = None) -> None:
        """Waits, but raises soon after our own Dagster run has ended.

        Args:
            seconds: The time to wait.
            run_id: The remote run that this step waits for.

        Raises:
            Terminated, RunTerminated: See `raise_if_own_run_ended`.
        """
        parts = max(1, math.ceil(seconds / current_clock().max_sleep))
        for part in range(parts):
            if part:
                self.raise_if_own_run_ended(self.own_run_state(), run_id=run_id)
            current_clock().sleep(seconds / parts)

    def record(self, kind: EntryKind, description: str, start: StartAttempt | RunHandle, **shown: Any) -> None:
        """Creates a ledger entry with `new_entry` and writes it."""
        self.ledger.record(self.new_entry(kind, description, start, **shown))

    def new_entry(
        self,
        kind: EntryKind,
        description: str,
        start: StartAttempt | RunHandle,
        *,
        status: RunStatus | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> LedgerEntry:
        """Creates a ledger entry of this step without writing it.

        The entry is created before Dagster's storage is used, so that an error in a vendor's code is not mistaken for
        an error of the storage.

        Args:
            kind: What happened.
            description: What happened, as a sentence for users.
            start: The start attempt, or the run once the vendor has returned an id.
            status: The status of the run.
            metadata: Further metadata for users.
        """
        handle = start if isinstance(start, RunHandle) else None
        shown = dict(metadata or {})
        if handle is not None:
            url = self.url(handle.run_id)
            known = run_metadata(self.run, handle.run_id, url=url, attached=handle.attached, status=status)
            shown = {**known, **shown}
            if kind is not EntryKind.ENDED:
                # Attaching to a finished run is not an outcome: Dagster would plot the run's duration twice.
                shown.pop("dagster_runs/duration_seconds", None)
        is_start = kind in (EntryKind.STARTING, EntryKind.STARTED)
        started_at = start.started_at if isinstance(start, RunHandle) else start.starting_at
        return LedgerEntry(
            kind,
            at=started_at if is_start else current_clock().wall(),
            correlation_id=start.correlation_id,
            dagster_run_id=self.step.dagster_run_id,
            target=self.target,
            name=self.step.name,
            partition=self.step.partition,
            run_id=handle.run_id if handle is not None else None,
            deadline=handle.deadline if handle is not None else None,
            fields_digest=self.fields_digest,
            deferred_payload=self.payload if self._needs_payload(kind) else None,
            provenance=self.provenance_of(start.correlation_id) if is_start else None,
            step_key=self.step.step_key,
            host=current_clock().host(),
            execution_id=self.step.execution_id,
            queue=self._queue_fields(kind),
            description=description,
            metadata=in_page_order(shown),
        )

    def _needs_payload(self, kind: EntryKind) -> bool:
        return kind is EntryKind.QUEUED or (kind is EntryKind.STARTED and self.options.wait == "defer")

    def check_entry_fits(self, attempt: StartAttempt) -> None:
        """Checks that the run can be recorded once it has started.

        Raises:
            dagster.Failure: Its entry would be too large. Nothing was started.
        """
        longest = RunHandle(token_hex(MAX_RUN_ID // 2), attempt.correlation_id, 0.0, current_clock().wall(), False)
        self.check_fits(self.new_entry(EntryKind.STARTED, "", longest))

    def check_fits(self, entry: LedgerEntry) -> None:
        """Checks that an entry can be written.

        Raises:
            dagster.Failure: It is too large. Nothing was started.
        """
        try:
            entry.to_tags()
        except EntryTooLarge as error:
            raise dg.Failure(
                description=f"The {self.description} cannot be recorded in Dagster's event log: {error}. It has too "
                "many fields, partitions or inputs. Nothing was started. Give the run fewer of them, or use "
                "wait='poll', which records less.",
                allow_retries=False,
            ) from None
