"""A sync of a RudderStack Reverse ETL connection."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Literal

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.quality import ERROR, WARN, QualityGate, check_counts
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.tables import numbers
from dagster_runs.remote_run.types import (
    UNREADABLE_ID,
    CheckOutcome,
    DataCheck,
    ListedRun,
    RunResult,
    StartAttempt,
    StartCandidate,
    each_once,
)
from dagster_runs.transport.errors import ConflictError, VendorError
from dagster_runs.vendors.rudderstack.ids import ConnectionId
from dagster_runs.vendors.rudderstack.models import Sync, SyncEntry, SyncMetrics
from dagster_runs.vendors.rudderstack.resource import RudderStackResource


class RudderStackRETLSyncRun(RemoteRun[RudderStackResource]):
    """A sync of a Reverse ETL connection.

    Args:
        connection_id: The id of the connection, from its *Settings* tab in the RudderStack dashboard.
        sync_type: ``"incremental"`` syncs the rows that have changed since the last sync, ``"full"`` syncs all rows.

    A connection has at most one running sync at a time. Set the connection's own schedule to *Manual*. Source:
    https://www.rudderstack.com/docs/api/retl-connections-api/.
    """

    vendor: ClassVar[str] = "RudderStack"
    label: ClassVar[str] = "Reverse ETL sync"
    resource_key: ClassVar[str] = "rudderstack"
    asset_kinds: ClassVar[frozenset[str]] = frozenset({"rudderstack"})
    data_checks: ClassVar[Mapping[str, str | DataCheck]] = {
        "rows_synced": "Whether the destination accepted the rows that the sync sent, as far as the gate requires it."
    }
    gate_fields: ClassVar[frozenset[str]] = frozenset({"max_failures"})
    manual_stop_hint: ClassVar[str] = (
        "To stop it, open the connection at https://app.rudderstack.com and stop the sync on its tab Syncs."
    )

    connection_id: ConnectionId
    sync_type: Literal["incremental", "full"] = "incremental"

    @property
    def target(self) -> str:
        """The connection's id."""
        return self.connection_id

    @property
    def cancel_caveat(self) -> str:
        """A warning: RudderStack only stops reading from the warehouse."""
        return "Rows that RudderStack has already read may still be delivered."

    def start(self, resource: RudderStackResource, attempt: StartAttempt) -> str:
        """Sends the POST. The request has no field for a correlation id."""
        return resource.start_sync(self.connection_id, self.sync_type)

    def is_conflict_with_active_run(self, error: Exception) -> bool:
        """Whether the error is a 409, which means that a sync of the connection is running."""
        return isinstance(error, ConflictError)

    def fetch_status(self, resource: RudderStackResource, run_id: str) -> RunStatus:
        """Fetches the sync."""
        return _status(resource.get_sync(self.connection_id, run_id))

    def status_of_listed(self, resource: RudderStackResource, listed: ListedRun) -> RunStatus:
        """Returns the status in the list's entry, which contains the whole sync."""
        if listed.raw is None or listed.raw.sync is None:
            return self.get_status(resource, listed.run_id)
        return _status(listed.raw.sync)

    def target_of_listed(self, resource: RudderStackResource, listed: ListedRun) -> str | None:
        """Returns the connection whose list contains the sync."""
        return listed.target_if_unreadable if listed.raw is None else listed.raw.connection_id

    def fetch_progress(self, resource: RudderStackResource, run_id: str, status: RunStatus) -> Mapping[str, Any]:
        """Returns the numbers of rows so far."""
        return _metadata(status.raw.metrics)

    def fetch_result(
        self, resource: RudderStackResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        """Returns the numbers of rows from the response that reported the final state."""
        metrics: SyncMetrics | None = status.raw.metrics
        return RunResult(_metadata(metrics), (rows_synced(metrics, gate),))

    def cancel(self, resource: RudderStackResource, run_id: str) -> None:
        """Stops the sync, if it is the running one.

        RudderStack's call names the connection, not the sync. So each request is preceded by a status check: while our
        sync is running, the connection has no other. Between the two requests, our sync may still end and another one
        may start, e.g. by the connection's schedule. This cannot be prevented, so it is reported.

        Raises:
            ConflictError: Nothing was stopped, because it is unknown whether our sync is the running one; or another
                sync may have been stopped instead of ours.
        """
        # Only a request that RudderStack has certainly not processed is sent again, after another status check.
        resource.http().retrying(repeatable=False)(self._stop, resource, run_id)

    def _stop(self, resource: RudderStackResource, run_id: str) -> None:
        sync = resource.get_sync(self.connection_id, run_id)
        if sync.state.is_final:
            return
        if sync.state is RunState.UNKNOWN:
            raise ConflictError(
                f"the sync has the unknown status {sync.status!r}, so another sync of the connection may be running, "
                "which would be stopped instead; nothing was stopped",
                vendor=self.vendor,
                hint=self.manual_stop_hint,
            )
        resource.stop_sync(self.connection_id)
        others: list[str] = []
        with suppress(VendorError):  # only the search for another sync failed
            others = list(self._started_after(sync, resource, run_id))
        if others:
            raise ConflictError(
                f"sync {', '.join(others)} of the same connection has started in the meantime, and may have been "
                "stopped instead of this one, because RudderStack's call does not name the sync to stop",
                vendor=self.vendor,
                hint="Check that sync in RudderStack, and set the connection's schedule to Manual.",
            )

    def _started_after(self, sync: Sync, resource: RudderStackResource, run_id: str) -> Iterator[str]:
        since = resource.http().by_our_clock(sync.started_at)
        if sync.started_at is None or since is None:
            return
        for other, _ in resource.list_syncs(self.connection_id, since):
            if other.id not in (None, run_id) and other.started_at and other.started_at > sync.started_at:
                yield str(other.id)

    def find_started(self, resource: RudderStackResource, attempt: StartAttempt) -> Sequence[StartCandidate] | None:
        """Returns the connection's syncs from around the start.

        The list shows neither the type of a sync nor what started it, so a sync that the connection's schedule has
        started cannot be distinguished. Any sync from that time sends the rows that an incremental sync was to send.
        But a scheduled sync is usually not a full one, so the candidates for a full sync are ambiguous.
        """
        found: list[StartCandidate] = []
        for sync, started_at in resource.list_syncs(self.connection_id, attempt.earliest, attempt.latest):
            is_timed = resource.http().clock_ahead is not None
            fits = attempt.may_have_created(started_at if is_timed else None)
            if fits is False:
                continue
            is_certain = fits is True and self.sync_type == "incremental" and isinstance(sync, SyncEntry)
            found.append(StartCandidate(sync.id or UNREADABLE_ID, is_ours=False, is_ambiguous=not is_certain))
        if not found and resource.http().clock_ahead is None:
            return None  # the list is filtered by RudderStack's clock, so it may have left out our sync
        return each_once(found)


def _status(sync: Sync) -> RunStatus:
    return RunStatus(
        state=sync.state,
        vendor_status=sync.status,
        error=sync.error,
        started_at=sync.started_at,
        finished_at=sync.finished_at,
        raw=sync,
    )


def _metadata(metrics: SyncMetrics | None) -> dict[str, Any]:
    counts = metrics.model_dump() if metrics is not None else {}
    return numbers("rudderstack", {f"rows_{name}": count for name, count in counts.items()})


def rows_synced(metrics: SyncMetrics | None, gate: QualityGate | None) -> CheckOutcome:
    """Fails with ERROR for more failed rows than the gate's ``max_failures``. A sync without rows passes.

    Without the number of failed rows, it fails with WARN, or with ERROR if there is a gate.
    """
    name = "rows_synced"
    shown = metrics.model_dump(exclude_none=True) if metrics is not None else {}
    if metrics is None or metrics.failed is None:
        why = "RudderStack's response does not contain the number of failed rows"
        severity = WARN if gate is None else ERROR
        return CheckOutcome(name, passed=False, severity=severity, description=why, metadata=shown)
    succeeded = "unknown" if metrics.succeeded is None else metrics.succeeded
    summary = f"{succeeded} rows succeeded, {metrics.failed} failed"
    return check_counts(name, summary, failures=metrics.failed, warnings=0, gate=gate or QualityGate(), metadata=shown)
