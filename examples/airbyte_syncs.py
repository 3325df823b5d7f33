"""Airbyte syncs as Dagster assets, with Airbyte Cloud or a self-managed Airbyte: a vendor in one file.

What the API does, and which page says so:

* The calls, their fields, the statuses, paging (at most 100 a page): https://reference.airbyte.com/reference/createjob,
  .../getjob, .../listjobs and .../canceljob, which are generated from airbyte-api/server-api/src/main/openapi in
  https://github.com/airbytehq/airbyte-platform.
* A token is valid for 15 minutes (on older pages 3), and ``expires_in`` says for how long:
  https://docs.airbyte.com/platform/using-airbyte/configuring-api-access.
* The base URLs: https://docs.airbyte.com/api-documentation.
* A start is refused with 409 while another job of the connection is active. The reference lists no 409; it is in
  https://github.com/dagster-io/dagster/issues/32390 and in ConfigClientErrorHandler.kt of airbyte-platform.
* ``startTime`` is the creation of the job, ``lastUpdatedAt`` is its end and is missing before it, and the counts are
  those of the last attempt: JobResponseMapper.kt of airbyte-platform.
* ``incomplete`` means that an attempt failed and that Airbyte tries again. The package dagster-airbyte waits too.
"""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from dagster_runs import vendor_sdk as sdk

ACTIVE = {"pending": sdk.RunState.QUEUED, "running": sdk.RunState.RUNNING, "incomplete": sdk.RunState.RUNNING}
FINAL = {
    "succeeded": sdk.RunState.SUCCEEDED,
    "failed": sdk.RunState.FAILED,
    "cancelled": sdk.RunState.CANCELED,
}
PAGE_SIZE = 100


class Job(sdk.VendorModel):
    """A job of a connection. Nothing is required, so that no entry of a list is left out."""

    job_id: sdk.Lenient[sdk.RunId] = Field(default=None, alias="jobId")
    status: sdk.Lenient[str] = None
    job_type: sdk.Lenient[str] = Field(default=None, alias="jobType")
    connection_id: sdk.Lenient[str] = Field(default=None, alias="connectionId")
    start_time: sdk.OptionalTime = Field(default=None, alias="startTime")
    last_updated_at: sdk.OptionalTime = Field(default=None, alias="lastUpdatedAt")
    bytes_synced: sdk.Lenient[int] = Field(default=None, alias="bytesSynced")
    rows_synced: sdk.Lenient[int] = Field(default=None, alias="rowsSynced")

    def as_status(self) -> sdk.RunStatus:
        """Returns the status in terms that all vendors share. The API does not report why a job failed."""
        status = self.status or "missing"
        state = sdk.parse_state(status, ACTIVE | FINAL)
        finished_at = None if status in ACTIVE else self.last_updated_at
        return sdk.RunStatus(state, status, created_at=self.start_time, finished_at=finished_at, raw=self)


class Jobs(sdk.VendorModel):
    """A page of the list of jobs."""

    data: sdk.EachReadable[Job]


class AirbyteResource(sdk.RemoteRunResource):
    """Connection to Airbyte.

    Args:
        client_id: The client id of an application, from the settings of its user.
        client_secret: The secret of the application. Pass it as `dg.EnvVar`.
        base_url: The URL of the API. For a self-managed Airbyte, ``https://airbyte.example.com/api/public/v1``.
        ui_url: The URL of the UI, for the links to connections.

    Source: https://docs.airbyte.com/api-documentation.
    """

    vendor = "Airbyte"
    secret_fields = ("client_secret",)

    client_id: str
    client_secret: str = Field(repr=False)
    base_url: str = "https://api.airbyte.com/v1"
    ui_url: str = "https://cloud.airbyte.com"

    def api_url(self) -> str:
        return self.base_url.rstrip("/")

    def auth(self) -> sdk.Auth:
        secret = self.secret("client_secret") or ""
        fields = {"client_id": self.client_id, "client_secret": secret, "grant-type": "client_credentials"}
        return self.exchanged_token(f"{self.api_url()}/applications/token", json=fields, secrets=[secret])

    def account(self) -> str:
        return self.client_id

    def error_reader(self) -> sdk.ErrorReader:
        return lambda body: (body.get("title"), (body.get("data") or body).get("message") or body.get("detail"))

    def list_runs(
        self, since: float, until: float | None = None, targets: Collection[str] = ()
    ) -> Iterator[sdk.ListedRun]:
        return self.jobs("createdAt", since, until)

    def list_finished(
        self, since: float, until: float | None = None, targets: Collection[str] = ()
    ) -> Iterator[sdk.ListedRun]:
        for status in FINAL:
            yield from self.jobs("updatedAt", since, until, status=status)

    def jobs(self, event: str, since: float, until: float | None, /, **filters: str) -> Iterator[sdk.ListedRun]:
        """Yields the jobs that were created or updated in a time window, oldest first."""
        # Airbyte applies the time filters by its own clock.
        for name, at in ((f"{event}Start", since), (f"{event}End", until)):
            if at is not None:
                filters[name] = sdk.iso(self.http().by_vendor_clock(at))
        for offset in itertools.count(0, PAGE_SIZE):
            page_of = {"orderBy": f"{event}|ASC", "limit": str(PAGE_SIZE), "offset": str(offset)}
            page = self.http().get(["jobs"], params=filters | page_of).parse(Jobs).data.entries
            for entry in page:
                job = entry.read_as(Job) if isinstance(entry, sdk.Unreadable) else entry
                created_at = self.http().by_our_clock(job.start_time)
                yield sdk.ListedRun(job.job_id or sdk.UNREADABLE_ID, created_at, job.as_status().state, job)
            if len(page) < PAGE_SIZE:
                return


class AirbyteJobRun(sdk.RemoteRun[AirbyteResource]):
    """A job of an Airbyte connection: a sync, or a reset of its data and state.

    Args:
        connection_id: The id of the connection, from the URL of its page.
        job_type: ``sync``, or ``reset`` to delete the connection's data in the destination.
        min_rows: The fewest rows of the last attempt that pass the check. Many incremental syncs have none.
        workspace_id: The id of the connection's workspace, from the same URL, for the link to the connection.

    Source: https://reference.airbyte.com/reference/createjob.
    """

    vendor, label, resource_key = "Airbyte", "job", "airbyte"
    asset_kinds = frozenset({"airbyte"})
    data_checks = {"has_enough_rows": "Whether the last attempt of the job committed at least `min_rows` rows."}
    local_fields = frozenset({"min_rows", "workspace_id"})

    connection_id: sdk.Uuid
    job_type: Literal["sync", "reset"] = "sync"
    min_rows: int = Field(default=0, ge=0)
    workspace_id: sdk.Uuid | None = None

    @property
    def target(self) -> str:
        return self.connection_id

    @property
    def observed_target(self) -> str:
        return f"{self.job_type} {self.connection_id}"

    def target_of_listed(self, resource: AirbyteResource, listed: sdk.ListedRun) -> str | None:
        job = listed.raw
        return (
            f"{job.job_type} {job.connection_id}" if job.job_id and job.connection_id else listed.target_if_unreadable
        )

    def start(self, resource: AirbyteResource, attempt: sdk.StartAttempt) -> str:
        body = {"connectionId": self.connection_id, "jobType": self.job_type}
        return resource.http().post_once(["jobs"], json=body).parse(Job).job_id or ""

    def is_conflict_with_active_run(self, error: Exception) -> bool:
        return isinstance(error, sdk.ConflictError)

    def fetch_status(self, resource: AirbyteResource, run_id: str) -> sdk.RunStatus:
        return resource.http().get(["jobs", run_id]).parse(Job).as_status()

    def status_of_listed(self, resource: AirbyteResource, listed: sdk.ListedRun) -> sdk.RunStatus:
        status: sdk.RunStatus = listed.raw.as_status()
        return status

    def fetch_progress(self, resource: AirbyteResource, run_id: str, status: sdk.RunStatus) -> Mapping[str, Any]:
        return sdk.numbers("airbyte", {"rows": status.raw.rows_synced, "bytes": status.raw.bytes_synced})

    def fetch_result(
        self, resource: AirbyteResource, run_id: str, status: sdk.RunStatus, gate: sdk.QualityGate | None
    ) -> sdk.RunResult:
        rows = status.raw.rows_synced
        # Without a count, nothing is known about the data. That must not hold back what depends on it.
        severity = dg.AssetCheckSeverity.WARN if rows is None else dg.AssetCheckSeverity.ERROR
        text = f"{'An unknown number of' if rows is None else rows} rows; the minimum is {self.min_rows}"
        check = sdk.CheckOutcome("has_enough_rows", rows is not None and rows >= self.min_rows, severity, text)
        return sdk.RunResult(self.fetch_progress(resource, run_id, status), [check])

    def cancel(self, resource: AirbyteResource, run_id: str) -> None:
        resource.http().send_repeatable("DELETE", ["jobs", run_id], may_be_empty=True)

    def find_started(self, resource: AirbyteResource, attempt: sdk.StartAttempt) -> Sequence[sdk.StartCandidate]:
        found = []
        filters = {"connectionId": self.connection_id, "jobType": self.job_type}
        for job in resource.jobs("createdAt", attempt.earliest, None, **filters):
            fits = attempt.may_have_created(job.created_at)
            if fits is not False:
                found.append(sdk.StartCandidate(job.run_id, is_ours=False, is_ambiguous=fits is None))
        return found

    def run_url(self, resource: AirbyteResource, run_id: str) -> str | None:
        page = f"{resource.ui_url.rstrip('/')}/workspaces/{self.workspace_id}/connections/{self.connection_id}/timeline"
        return page if self.workspace_id else None
