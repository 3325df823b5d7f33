"""What TestGen's runs have in common, and two kinds of them: profiling runs of a table group, test runs of a suite."""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.field_types import Uuid
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.types import UNREADABLE_ID, DataCheck, ListedRun, RunResult, StartAttempt, StartCandidate
from dagster_runs.transport import call_budget
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import InvalidRequestError, NotFoundError, UnexpectedResponseError
from dagster_runs.vendors.testgen import outcomes
from dagster_runs.vendors.testgen.lists.failing_tests import failing_tests
from dagster_runs.vendors.testgen.lists.flagged_columns import with_flagged_columns
from dagster_runs.vendors.testgen.lists.names import name_of
from dagster_runs.vendors.testgen.models import Job, PartOfJob, ProfilingRun, TestRun
from dagster_runs.vendors.testgen.resource import TestGenResource

CORRELATION_ID = "dagster_runs/correlation_id"
MATCH_SCHEMA = "dagster_runs/match_schema_name"
"""The key of the comparison schema in the metadata of a run. The server stores it, but does not report it."""
SCORE_WITHIN = 30.0
"""Seconds to wait for the score, which is set after the run has ended: 0.1 s later in 5.134, 5 s or more before."""
_SCORE_PAUSE = 1.0
_MAX_EXTERNAL_URL = 2048
_LOOKBACK = 3600.0


RunRecordT = TypeVar("RunRecordT", TestRun, ProfilingRun)


class TestGenRun(RemoteRun[TestGenResource]):
    """The base of all kinds of runs: polls jobs, cancels them, and finds them after a lost response."""

    __test__: ClassVar[bool] = False

    vendor: ClassVar[str] = "TestGen"
    resource_key: ClassVar[str] = "testgen"
    asset_kinds: ClassVar[frozenset[str]] = frozenset({"testgen"})
    gate_fields: ClassVar[frozenset[str]] = frozenset({"min_score", "warn_score", "max_failures", "max_warnings"})
    lost_start_hint: ClassVar[str] = (
        "Set the resource's project_code to the project of the test suite or table group, so that such a run can be "
        "found."
    )
    job_key: ClassVar[str]
    targets: ClassVar[str]

    def fetch_status(self, resource: TestGenResource, run_id: str) -> RunStatus:
        """Fetches the job. The status ``completed`` only means that the process finished normally."""
        return _status(resource.get_job(run_id))

    def status_of_listed(self, resource: TestGenResource, listed: ListedRun) -> RunStatus:
        """Returns the status in the list's entry, which contains the whole job."""
        if listed.raw is None:
            return self.get_status(resource, listed.run_id)
        return _status(listed.raw)

    def cancel(self, resource: TestGenResource, run_id: str) -> None:
        """Requests cancellation. The job's status becomes ``canceled`` some seconds later."""
        resource.cancel_job(run_id)

    def find_started(self, resource: TestGenResource, attempt: StartAttempt) -> Sequence[StartCandidate] | None:
        """Returns jobs of this kind from around the start, for the same suite or table group.

        Needs ``project_code``. A job with our correlation id is ours, no matter when it was created. For other jobs the
        creation time decides. A job is ambiguous if only a difference between the clocks of two machines could explain
        its creation time, or if its entry cannot be read.
        """
        if resource.project_code is None:
            return None
        found: dict[str, StartCandidate] = {}
        for job, created_at in resource.jobs_since(attempt.starting_at - _LOOKBACK, job_key=self.job_key):
            if job.source not in (None, "api"):  # the server has no filter for it
                continue
            candidate = self._candidate(resource, job, attempt)
            if candidate is None:
                continue
            # A job without a creation time may have been created at any time.
            fits = attempt.may_have_created(created_at if job.created_at is not None else None)
            if candidate.is_ours or fits is not False:
                # A job may be listed twice, because new jobs shift the pages.
                found[candidate.run_id] = (
                    candidate if candidate.is_ours or fits else replace(candidate, is_ambiguous=True)
                )
        if not found and resource.project_of(self.targets, self.target) not in (None, resource.project_code):
            return None  # the jobs of another project were listed, so an empty result means nothing
        return list(found.values())

    @abstractmethod
    def _candidate(self, resource: TestGenResource, job: PartOfJob, attempt: StartAttempt) -> StartCandidate | None:
        """Returns the listed job as a candidate; ``None`` if it cannot be ours."""


class RecordedRun(TestGenRun):
    """The base of the runs that have a record, which contains their suite or table group."""

    def target_of_listed(self, resource: TestGenResource, listed: ListedRun) -> str | None:
        """Returns the target in the run's record, because the job itself does not contain its suite or table group."""
        if listed.raw is None:
            return listed.target_if_unreadable
        if listed.raw.job_key != self.job_key:
            return ""
        return (self._record(resource, listed.run_id).target_id or "").casefold() or None

    def _candidate(self, resource: TestGenResource, job: PartOfJob, attempt: StartAttempt) -> StartCandidate | None:
        """Returns the listed job as a candidate; ``None`` if it cannot be ours."""
        if job.id is None:
            return StartCandidate(UNREADABLE_ID, is_ours=False, is_ambiguous=True)
        try:
            candidate = self._compare(resource, job.id, attempt)
        except (NotFoundError, InvalidRequestError):
            # The job was deleted after it was listed, its record does not exist yet, or TestGen rejects its id.
            candidate = StartCandidate(job.id, is_ours=False, is_ambiguous=True, url=self.page_url(resource, job.id))
        if candidate is None or candidate.is_ours:
            return candidate
        if not isinstance(job, Job):
            return replace(candidate, is_ambiguous=True)
        # A job that was canceled while pending never gets a record with its target. It never ran anything, so even if
        # it was ours, starting again cannot cause a second run.
        never_ran = job.state in (RunState.CANCELED, RunState.FAILED)
        return None if candidate.is_ambiguous and never_ran else candidate

    @abstractmethod
    def _record(self, resource: TestGenResource, job_id: str) -> TestRun | ProfilingRun:
        """Returns the server's record of the run."""

    @abstractmethod
    def _compare(self, resource: TestGenResource, job_id: str, attempt: StartAttempt) -> StartCandidate | None:
        """Returns the job as a candidate; ``None`` if it cannot be ours."""

    def _fits(self, resource: TestGenResource, job_id: str, target_id: str | None) -> StartCandidate | None:
        if target_id is not None and target_id.casefold() != self.target.casefold():
            return None
        link = self.page_url(resource, job_id)
        return StartCandidate(job_id, is_ours=False, is_ambiguous=target_id is None, url=link)


class TestGenTestRun(RecordedRun):
    """A run of a test suite.

    Args:
        test_suite_id: The id of the suite (a UUID), from the URL of its page.
        match_schema_name: The comparison schema of referential tests, for this run only (5.134 and later).

    Source: ``POST /api/v1/test-suites/{id}/test-runs`` in the server's own ``/api/openapi.json``.
    """

    label: ClassVar[str] = "test run"
    job_key: ClassVar[str] = "run-tests"
    targets: ClassVar[str] = "test-suites"
    data_checks: ClassVar[Mapping[str, str | DataCheck]] = {
        "tests_passed": "Whether the suite's tests passed. A suite without tests does not pass.",
        "quality_score": "Whether TestGen's score of the tested data, from 0 to 1, passes the quality gate.",
    }

    test_suite_id: Uuid
    match_schema_name: str | None = None

    @property
    def target(self) -> str:
        """The suite's id."""
        return self.test_suite_id

    def start(self, resource: TestGenResource, attempt: StartAttempt) -> str:
        """Submits the test run, with our correlation id for servers that store it."""
        if self.match_schema_name is not None:
            why = "so it would test against a different schema than requested"
            require_field(resource, "test-runs", "match_schema_name", why)
        url = attempt.dagster_url
        metadata = {CORRELATION_ID: attempt.correlation_id, "dagster/run_id": attempt.dagster_run_id}
        if self.match_schema_name is not None:
            metadata[MATCH_SCHEMA] = self.match_schema_name
        body = {
            # A link that is too long must not cause the server to refuse the run.
            "external_url": url if url is not None and len(url) <= _MAX_EXTERNAL_URL else None,
            "match_schema_name": self.match_schema_name,
            "metadata": metadata,
        }
        return resource.submit_test_run(
            self.test_suite_id, {name: value for name, value in body.items() if value is not None}
        )

    def _record(self, resource: TestGenResource, job_id: str) -> TestRun:
        return resource.get_test_run(job_id)

    def _compare(self, resource: TestGenResource, job_id: str, attempt: StartAttempt) -> StartCandidate | None:
        record = self._record(resource, job_id)
        if not record.keeps_metadata:
            return self._fits(resource, job_id, record.target_id)
        # The server stores metadata, so a run without our correlation id was not started by us.
        is_ours = (record.metadata or {}).get(CORRELATION_ID) == attempt.correlation_id
        return StartCandidate(job_id, is_ours=True, url=self.page_url(resource, job_id)) if is_ours else None

    def fetch_progress(self, resource: TestGenResource, run_id: str, status: RunStatus) -> Mapping[str, Any]:
        """Returns the counts so far."""
        return outcomes.test_run_metadata(self._record(resource, run_id).result)

    def fetch_result(
        self, resource: TestGenResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        """Returns the counts, the score, and the tests that did not pass."""
        run = with_score(lambda: self._record(resource, run_id), status, resource)
        counts = run.result.counts if run.result else None
        failing = failing_tests(resource, run_id) if counts and counts.failed + counts.error + counts.warning else []
        # The zeros of an unsuccessful run that executed no tests are not a result.
        ran_no_tests = status.state is not RunState.SUCCEEDED and not (counts and counts.examined + counts.error)
        metadata = {} if ran_no_tests else outcomes.test_run_metadata(run.result)
        if failing:
            metadata |= outcomes.failing_tests("testgen/failing_tests", failing, counts)
        name = name_of(resource, self.targets, self.target)
        return RunResult(metadata, outcomes.of_test_run(run.result, gate, failing), target_name=name)

    def run_url(self, resource: TestGenResource, run_id: str) -> str | None:
        """Returns the URL of the results page."""
        return resource.page_url("test-runs:results", run_id)


class TestGenProfilingRun(RecordedRun):
    """A profiling run of a table group.

    Args:
        table_group_id: The id of the table group (a UUID), from the URL of its page.

    Source: ``POST /api/v1/table-groups/{id}/profiling-runs`` in the server's own ``/api/openapi.json``.
    """

    label: ClassVar[str] = "profiling run"
    job_key: ClassVar[str] = "run-profile"
    targets: ClassVar[str] = "table-groups"
    data_checks: ClassVar[Mapping[str, str | DataCheck]] = {
        "hygiene_issues": "Whether profiling found no definite or likely issues. A run without tables does not pass.",
        "quality_score": "Whether TestGen's score of the profiled data, from 0 to 1, passes the quality gate.",
    }

    table_group_id: Uuid

    @property
    def target(self) -> str:
        """The table group's id."""
        return self.table_group_id

    def start(self, resource: TestGenResource, attempt: StartAttempt) -> str:
        """Submits the profiling run. The request has no body, so it cannot carry a correlation id."""
        return resource.submit_profiling_run(self.table_group_id)

    def _record(self, resource: TestGenResource, job_id: str) -> ProfilingRun:
        return resource.get_profiling_run(job_id)

    def _compare(self, resource: TestGenResource, job_id: str, attempt: StartAttempt) -> StartCandidate | None:
        return self._fits(resource, job_id, self._record(resource, job_id).target_id)

    def fetch_progress(self, resource: TestGenResource, run_id: str, status: RunStatus) -> Mapping[str, Any]:
        """Returns the sizes so far."""
        return outcomes.profiling_run_metadata(self._record(resource, run_id).result)

    def fetch_result(
        self, resource: TestGenResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        """Returns the sizes, the score, the issue counts, and the columns with definite issues or potential PII."""
        has_succeeded = status.state is RunState.SUCCEEDED
        run = with_score(lambda: self._record(resource, run_id), status, resource)
        # The partial counts of an unsuccessful run are shown, except zeros: they do not mean that there are no issues.
        result = run.result if has_succeeded else outcomes.drop_zero_counts(run.result)
        name = name_of(resource, self.targets, self.target)
        return with_flagged_columns(resource, run_id, result, outcomes.of_profiling_run(run.result, gate), name)

    def run_url(self, resource: TestGenResource, run_id: str) -> str | None:
        """Returns the URL of the results page."""
        return resource.page_url("profiling-runs:results", run_id)


def require_field(resource: TestGenResource, submission: str, field: str, why: str) -> None:
    """Refuses to start a run with a field that the server ignores.

    Raises:
        InvalidRequestError: The server does not read the field of this submission.
    """
    if not resource.accepts_field(submission, field):
        hint = "Use TestGen 5.134 or later, or leave the field out."
        raise InvalidRequestError(f"this server ignores {field}, {why}", vendor=resource.vendor, hint=hint)


def _status(job: Job) -> RunStatus:
    return RunStatus(
        state=job.state,
        vendor_status=job.status,
        error=job.error_message,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.completed_at,
    )


def with_score(fetch: Callable[[], RunRecordT], status: RunStatus, resource: TestGenResource) -> RunRecordT:
    """Fetches the run's record; for a run that succeeded, again until it has a score or the time is up.

    Raises:
        UnexpectedResponseError: The score of a run that has just ended is missing, and this thread's calls must end
            before it can be expected.
    """
    clock = current_clock()
    until = clock.monotonic() + SCORE_WITHIN
    while True:
        run = fetch()
        if status.state is not RunState.SUCCEEDED or (run.result is not None and run.result.score is not None):
            return run
        if clock.monotonic() >= until:
            return run
        if call_budget.seconds_left() < math.inf and status.finished_at is not None:
            ended_ago = clock.wall() + (resource.http().clock_ahead or 0.0) - status.finished_at.timestamp()
            if ended_ago >= SCORE_WITHIN:
                return run
            error = UnexpectedResponseError("no score is reported yet", vendor=resource.vendor, hint="Retry it.")
            error.is_transient = True
            raise error
        clock.sleep(_SCORE_PAUSE)
