"""Connection to a TestGen server, and its calls."""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from pydantic import Field

from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.types import ListedRun
from dagster_runs.transport.auth import Auth, HeaderAuth, RenewedToken, bearer, shared_token
from dagster_runs.transport.client import ErrorReader
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import NotFoundError, as_outage
from dagster_runs.transport.oauth import exchanged_token
from dagster_runs.transport.url import trimmed
from dagster_runs.vendors.testgen import models
from dagster_runs.vendors.testgen.openapi import submission_fields

_PAGE = 100
_MAX_JOBS = 200_000
"""Against a server whose list has no end."""
_MAX_RENEWALS = 3
"""A refresh revokes the access tokens of the other processes that share it: renewing once can be too little."""


class TestGenResource(RemoteRunResource):
    """Connection to a DataKitchen TestGen server.

    Either ``access_token``, or all of ``client_id``, ``client_secret`` and ``refresh_token``.

    Args:
        base_url: The API server's address, with or without ``/api/v1``: ``https://testgen.example.com``.
        access_token: A personal access token (Enterprise), or an OAuth access token, which lives an hour.
        client_id: Of a confidential OAuth client (``POST /oauth/register``).
        client_secret: Of the same client.
        refresh_token: From one interactive login with that client; serves for 30 days. Several processes may share it.
        project_code: The project, as in the UI's addresses (case counts). Needed for links, and to find a run again
            whose start's answer was lost.
        ui_url: The UI's address, for links; it runs on another port or host than the API.

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
        """Address of version 1 of the API."""
        return f"{self._server_url()}/api/v1"

    def auth(self) -> Auth:
        """A bearer token. One OAuth client is shared by all that use it in this process."""
        token = self.secret("access_token")
        if token is not None:
            return bearer(token)
        client = tuple(self.secret(name) or "" for name in self.oauth_fields)
        return shared_token((self._server_url(), *client), lambda: self._refreshed_token(*client))

    def _refreshed_token(self, client_id: str, client_secret: str, refresh_token: str) -> RenewedToken:
        # TestGen has no grant for machines. Somebody logs in once, and the refresh token then serves for 30 days; it
        # is not extended. Each refresh revokes the access token before it, so processes that share a refresh token
        # knock each other out, and each has to renew when it meets a 401.
        basic = b64encode(f"{client_id}:{client_secret}".encode()).decode()
        secrets = (client_secret, refresh_token, basic)
        return exchanged_token(
            self.new_client(self._server_url(), HeaderAuth({"Authorization": f"Basic {basic}"}, secrets=secrets)),
            ["oauth", "token"],
            {"grant_type": "refresh_token", "refresh_token": refresh_token},
            secrets=secrets,
            hint="Log in to TestGen again for a new refresh token: one lives 30 days. "
            "Check client_id and client_secret too.",
            max_renewals=_MAX_RENEWALS,
        )

    def error_reader(self) -> ErrorReader:
        """``{"detail": …}`` with a text, an object or a list in it; OAuth's errors are of another shape."""
        return _read_error

    def submit_test_run(self, test_suite_id: str, body: Mapping[str, Any]) -> str:
        """POST ``/test-suites/{id}/test-runs``; returns the job's id. Servers before 5.134 ignore the body."""
        segments = ["test-suites", test_suite_id, "test-runs"]
        return self.http().post_once(segments, json=dict(body)).parse(models.SubmittedJob).id

    def submit_profiling_run(self, table_group_id: str) -> str:
        """POST ``/table-groups/{id}/profiling-runs``; returns the job's id."""
        return self.http().post_once(["table-groups", table_group_id, "profiling-runs"]).parse(models.SubmittedJob).id

    def get_job(self, job_id: str) -> models.Job:
        """GET ``/jobs/{id}``.

        Raises:
            NotFoundError: TestGen itself says that it knows no such job, or that the token may not see it.
        """
        try:
            return self.http().get(["jobs", job_id]).parse(models.Job)
        except NotFoundError as error:
            if error.code == "not_found":
                raise
            # No route, or a proxy's page: this says nothing about the job, which must not be taken for lost.
            raise as_outage(error) from None

    def cancel_job(self, job_id: str) -> None:
        """POST ``/jobs/{id}/cancel``.

        Raises:
            ConflictError: The job has ended already.
        """
        self.http().post(["jobs", job_id, "cancel"], may_be_empty=True)

    def get_test_run(self, job_id: str) -> models.TestRun:
        """GET ``/test-runs/{id}``."""
        return self.http().get(["test-runs", job_id]).parse(models.TestRun)

    def get_profiling_run(self, job_id: str) -> models.ProfilingRun:
        """GET ``/profiling-runs/{id}``."""
        return self.http().get(["profiling-runs", job_id]).parse(models.ProfilingRun)

    def list_failing_tests(self, job_id: str, status: str, most: int) -> list[models.FailingTest]:
        """GET ``/test-runs/{id}/results`` of one status (``failed``, ``error``, ``warning``).

        Args:
            job_id: The run.
            status: The status.
            most: How many, up to 100: what the server gives at once.

        Raises:
            NotFoundError: Without a code: this server does not list results (before 5.70).
        """
        answer = self.http().get(
            ["test-runs", job_id, "results"], params={"status": status, "page": 1, "limit": min(_PAGE, most)}
        )
        return answer.parse(models.FailingTestPage).items[:most]

    def list_runs(self, since: float, until: float | None = None) -> Iterator[ListedRun] | None:
        """The project's jobs, newest first; ``None`` without ``project_code``."""
        if self.project_code is None:
            return None
        return self._listed(self.jobs_since(since, until=until))

    def _listed(self, jobs: Iterable[tuple[models.PartOfJob, float]]) -> Iterator[ListedRun]:
        for job, made in jobs:
            created_at = made if job.created_at else None
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
            until: Likewise; newer ones are left out.
            job_key: Only this kind of job.

        Yields:
            Each job, and when it was made: epoch seconds by our clock, or now if the list does not tell. Of an entry
            that is not as documented, what can be read of it.
        """
        if self.project_code is None:
            raise ValueError("jobs can be listed in a project only, and project_code is not set")
        of_kind = {} if job_key is None else {"job_key": job_key}
        first = 1 if until is None else self._first_page(until, of_kind)
        for page in range(first, _MAX_JOBS // _PAGE):
            jobs, is_last = self._page_of_jobs(page, of_kind)
            for job, created_at in jobs:
                if created_at < since:
                    if isinstance(job, models.Job):
                        return
                    continue  # the time of an entry that is not as documented says nothing about those after it
                if until is None or created_at < until:
                    yield job, created_at
            if is_last:
                return

    def _first_page(self, until: float, of_kind: Mapping[str, str]) -> int:
        # There is no filter by time. Jobs that are made meanwhile move the others to later pages, where they are met.
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
        """Its jobs with the times of their making, and whether it is the last."""
        answer = self.http().get(
            ["projects", str(self.project_code), "jobs"], params={**of_kind, "page": page, "limit": _PAGE}
        )
        listed = answer.parse(models.JobPage)
        ahead, now = self.http().clock_ahead or 0.0, current_clock().wall()
        entries = listed.items.entries
        read = [entry if isinstance(entry, models.Job) else entry.read_as(models.PartOfJob) for entry in entries]
        jobs = [(job, job.created_at.timestamp() - ahead if job.created_at else now) for job in read]
        return jobs, page * listed.limit >= listed.total or not jobs

    def project_of(self, kind: str, target_id: str) -> str | None:
        """The project of a suite or table group: GET ``/test-suites/{id}``, ``/table-groups/{id}`` (5.134 and later).

        Returns:
            Its code; ``None`` where this server does not tell.
        """
        try:
            return self.http().get([kind, target_id]).parse(models.Target).project_code
        except NotFoundError:
            return None

    def knows_match_schema_name(self) -> bool:
        """Whether the server reads ``match_schema_name`` in a submission: those before 5.134 ignore it silently."""
        document = self.new_client(self._server_url(), self.auth()).get(["api", "openapi.json"]).json
        return "match_schema_name" in submission_fields(document)

    def page_url(self, page: str, job_id: str) -> str | None:
        """The UI's page for a run; ``None`` unless ``ui_url`` and ``project_code`` are set."""
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
