"""The connection to a TestGen server, and the API calls."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

from pydantic import Field

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.types import ListedRun
from dagster_runs.transport.auth import Auth, basic, bearer
from dagster_runs.transport.client import ErrorReader
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import NotFoundError, as_outage
from dagster_runs.transport.url import trimmed
from dagster_runs.vendors.testgen import models
from dagster_runs.vendors.testgen.access.project import checked_project
from dagster_runs.vendors.testgen.openapi import submission_fields

_PAGE = 100
_MAX_JOBS = 200_000
"""Protects against a server whose list does not end."""
_MAX_SUITES = 10_000
_MAX_RENEWALS = 3
"""A refresh revokes the access tokens of other processes with the same refresh token, so one renewal may be too few."""


class TestGenResource(RemoteRunResource):
    """Connection to a DataKitchen TestGen server.

    Set either ``access_token``, or all of ``client_id``, ``client_secret`` and ``refresh_token``.

    Args:
        base_url: The URL of the API server, with or without ``/api/v1``: ``https://testgen.example.com``.
        access_token: A personal access token (Enterprise), or an OAuth access token, which is valid for an hour.
        client_id: The client id of a confidential OAuth client (``POST /oauth/register``).
        client_secret: The client secret of the same client.
        refresh_token: The refresh token from an interactive login with that client. It is valid for 30 days. Several
            processes may share it.
        project_code: The project code, as in the URLs of the UI (case-sensitive). Needed for links, and to find a run
            after the response to its start was lost.
        ui_url: The URL of the UI, for links. The UI runs on another port or host than the API.

    Source: https://docs.datakitchen.io/testgen/, and the server's own ``/api/openapi.json``.
    """

    __test__: ClassVar[bool] = False

    vendor: ClassVar[str] = "TestGen"
    secret_fields: ClassVar[tuple[str, ...]] = ("access_token", "client_secret", "refresh_token")
    oauth_fields: ClassVar[tuple[str, ...]] = ("client_id", "client_secret", "refresh_token")

    base_url: str
    access_token: str | None = Field(default=None, repr=False)
    client_id: str | None = None
    client_secret: str | None = Field(default=None, repr=False)
    refresh_token: str | None = Field(default=None, repr=False)
    project_code: str | None = None
    ui_url: str | None = None

    def _server_url(self) -> str:
        return trimmed(self.base_url, "/api/v1")

    def api_url(self) -> str:
        """Returns the URL of version 1 of the API."""
        return f"{self._server_url()}/api/v1"

    def auth(self) -> Auth:
        """Returns a bearer token. All clients in this process share one token per set of OAuth credentials."""
        token = self.secret("access_token")
        if token is not None:
            return bearer(token)
        # TestGen has no client credentials grant. A user logs in once; the refresh token is then valid for 30 days and
        # cannot be extended. Each refresh revokes the previous access token, so processes that share a refresh token
        # invalidate each other's access tokens, and each has to renew when it gets a 401.
        client_id, client_secret, refresh_token = (self.secret(name) or "" for name in self.oauth_fields)
        return self.exchanged_token(
            f"{self._server_url()}/oauth/token",
            form={"grant_type": "refresh_token", "refresh_token": refresh_token},
            auth=basic(client_id, client_secret),
            secrets=(client_secret, refresh_token),
            hint="Log in to TestGen again to get a new refresh token, since a refresh token is valid for 30 days. "
            "Check client_id and client_secret too.",
            max_renewals=_MAX_RENEWALS,
        )

    def error_reader(self) -> ErrorReader:
        """Reads errors of the shape ``{"detail": …}`` with a string, an object or a list, and OAuth errors."""
        return _read_error

    def check_access(self, runs: Sequence[RemoteRun[Any]]) -> str:
        """Checks the access to the project, or without ``project_code``, asks for a job that does not exist."""
        return checked_project(self)

    def submit_test_run(self, test_suite_id: str, body: Mapping[str, Any]) -> str:
        """POST ``/test-suites/{id}/test-runs``; returns the job's id. Servers before 5.134 ignore the body."""
        segments = ["test-suites", test_suite_id, "test-runs"]
        return self.http().post_once(segments, json=dict(body)).parse(models.SubmittedJob).id

    def submit_profiling_run(self, table_group_id: str) -> str:
        """POST ``/table-groups/{id}/profiling-runs``; returns the job's id."""
        return self.http().post_once(["table-groups", table_group_id, "profiling-runs"]).parse(models.SubmittedJob).id

    def submit_test_generation(self, test_suite_id: str, body: Mapping[str, Any]) -> str:
        """POST ``/test-suites/{id}/test-generation``; returns the job's id. Servers before 5.134 ignore the body."""
        segments = ["test-suites", test_suite_id, "test-generation"]
        return self.http().post_once(segments, json=dict(body) or None).parse(models.SubmittedJob).id

    def get_job(self, job_id: str) -> models.Job:
        """GET ``/jobs/{id}``.

        Raises:
            NotFoundError: TestGen reports that the job does not exist, or that the token has no access to it.
        """
        try:
            return self.http().get(["jobs", job_id]).parse(models.Job)
        except NotFoundError as error:
            if error.code == "not_found":
                raise
            # An unknown route or a proxy's error page says nothing about the job, which must not be reported as lost.
            raise as_outage(error) from None

    def cancel_job(self, job_id: str) -> None:
        """POST ``/jobs/{id}/cancel``.

        Raises:
            ConflictError: The job has already finished.
        """
        self.http().send_repeatable("POST", ["jobs", job_id, "cancel"], may_be_empty=True)

    def get_test_run(self, job_id: str) -> models.TestRun:
        """GET ``/test-runs/{id}``."""
        return self.http().get(["test-runs", job_id]).parse(models.TestRun)

    def get_profiling_run(self, job_id: str) -> models.ProfilingRun:
        """GET ``/profiling-runs/{id}``."""
        return self.http().get(["profiling-runs", job_id]).parse(models.ProfilingRun)

    def list_failing_tests(self, job_id: str, status: str, max_tests: int) -> list[models.FailingTest]:
        """GET ``/test-runs/{id}/results`` with one status (``failed``, ``error``, ``warning``).

        Args:
            job_id: The run.
            status: The status.
            max_tests: The maximum number of tests, up to the server's page size of 100.

        Raises:
            NotFoundError: Without a code: this server cannot list results (versions before 5.70).
        """
        response = self.http().get(
            ["test-runs", job_id, "results"], params={"status": status, "page": 1, "limit": min(_PAGE, max_tests)}
        )
        return response.parse(models.FailingTestPage).items[:max_tests]

    def list_runs(
        self, since: float, until: float | None = None, targets: Collection[str] = ()
    ) -> Iterator[ListedRun] | None:
        """Lists the project's jobs, newest first; ``None`` without ``project_code``."""
        if self.project_code is None:
            return None
        return self._listed(self.jobs_since(since, until=until))

    def _listed(self, jobs: Iterable[tuple[models.PartOfJob, float]]) -> Iterator[ListedRun]:
        for job, created_or_now in jobs:
            created_at = created_or_now if job.created_at else None
            if isinstance(job, models.Job):
                yield ListedRun(job.id, created_at, job.state, job)
            elif job.id is not None:
                yield ListedRun.unreadable(job.id, created_at)

    def jobs_since(
        self, since: float, *, until: float | None = None, job_key: str | None = None
    ) -> Iterator[tuple[models.PartOfJob, float]]:
        """GET ``/projects/{code}/jobs``, newest first.

        Args:
            since: Epoch seconds by our clock; older jobs are left out.
            until: Epoch seconds by our clock; newer jobs are left out.
            job_key: Only jobs of this kind.

        Yields:
            Each job and its creation time in epoch seconds by our clock, or now if the list does not contain it. For an
            entry that does not have the documented shape, its readable fields.
        """
        if self.project_code is None:
            raise ValueError("jobs can only be listed within a project, but project_code is not set")
        of_kind = {} if job_key is None else {"job_key": job_key}
        first = 1 if until is None else self._first_page(until, of_kind)
        for page in range(first, _MAX_JOBS // _PAGE):
            jobs, is_last = self._page_of_jobs(page, of_kind)
            for job, created_at in jobs:
                if created_at < since:
                    if isinstance(job, models.Job):
                        return
                    continue  # the time of a malformed entry says nothing about the entries after it
                if until is None or created_at < until:
                    yield job, created_at
            if is_last:
                return

    def _first_page(self, until: float, of_kind: Mapping[str, str]) -> int:
        # The API has no time filter, so this is a binary search. Jobs that are created in the meantime only move
        # older jobs to later pages, which are read next.
        too_new, page = 0, 1
        while page < _MAX_JOBS // _PAGE and not self._reaches(until, page, of_kind):
            too_new, page = page, 2 * page
        while page - too_new > 1:
            middle = (too_new + page) // 2
            too_new, page = (too_new, middle) if self._reaches(until, middle, of_kind) else (middle, page)
        return page

    def _reaches(self, until: float, page: int, of_kind: Mapping[str, str]) -> bool:
        jobs, is_last = self._page_of_jobs(page, of_kind)
        return is_last or min(created_at for _, created_at in jobs) < until

    def _page_of_jobs(self, page: int, of_kind: Mapping[str, str]) -> tuple[list[tuple[models.PartOfJob, float]], bool]:
        """Returns the page's jobs with their creation times, and whether it is the last page."""
        response = self.http().get(
            ["projects", str(self.project_code), "jobs"], params={**of_kind, "page": page, "limit": _PAGE}
        )
        listed = response.parse(models.JobPage)
        client, now = self.http(), current_clock().wall()
        entries = listed.items.entries
        read = [entry if isinstance(entry, models.Job) else entry.read_as(models.PartOfJob) for entry in entries]
        jobs = [(job, now if (at := client.by_our_clock(job.created_at)) is None else at) for job in read]
        return jobs, page * listed.limit >= listed.total or not jobs

    def project_of(self, kind: str, target_id: str) -> str | None:
        """Returns the project code of a suite or table group.

        GET ``/test-suites/{id}`` or ``/table-groups/{id}`` (5.134 and later). ``None`` if this server does not report
        it.
        """
        try:
            return self.http().get([kind, target_id]).parse(models.Target).project_code
        except NotFoundError:
            return None

    def count_tests(self, test_suite_id: str) -> int | None:
        """Returns the number of tests in a suite, from GET ``/projects/{code}/test-suites`` (5.134 and later).

        Returns:
            ``None`` without ``project_code``, or if the project has no such suite.

        Raises:
            NotFoundError: Without a code: this server cannot list suites.
        """
        for page in range(1, _MAX_SUITES // _PAGE) if self.project_code is not None else ():
            response = self.http().get(
                ["projects", str(self.project_code), "test-suites"], params={"page": page, "limit": _PAGE}
            )
            listed = response.parse(models.SuitePage)
            for suite in listed.items:
                if suite.id.casefold() == test_suite_id.casefold():
                    return suite.test_count
            if page * listed.limit >= listed.total or not listed.items.entries:
                break
        return None

    def accepts_field(self, submission: str, field: str) -> bool:
        """Whether the server reads a field of a submission. Versions before 5.134 silently ignore the whole body.

        Args:
            submission: The last part of the submission's path: ``test-runs`` or ``test-generation``.
            field: The name of the field.
        """
        document = self.new_client(self._server_url(), self.auth()).get(["api", "openapi.json"]).json
        return field in submission_fields(document, submission)

    def page_url(self, page: str, job_id: str) -> str | None:
        """Returns the URL of the UI's page for a run; ``None`` unless ``ui_url`` and ``project_code`` are set."""
        if self.ui_url is None or self.project_code is None:
            return None
        query = urlencode({"project_code": self.project_code, "run_id": job_id})
        return f"{self.ui_url.rstrip('/')}/{page}?{query}"


def _read_error(body: Any) -> tuple[str | None, str | None]:
    if "detail" not in body:
        code = body.get("error")
        return code, body.get("error_description") or code
    detail = body["detail"]
    if isinstance(detail, str):
        return None, detail
    if isinstance(detail, list):
        return "validation", "; ".join(
            f"{'.'.join(str(part) for part in problem.get('loc', []))}: {problem.get('msg')}" for problem in detail
        )
    first = detail["errors"][0]
    return first.get("code"), first.get("detail")
