"""A run of TestGen's test generation, which adds tests to a suite."""

import logging
from typing import Annotated, ClassVar

from pydantic import Field

from dagster_runs.remote_run.field_types import Uuid
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.tables import numbers
from dagster_runs.remote_run.types import UNREADABLE_ID, ListedRun, RunResult, StartAttempt, StartCandidate
from dagster_runs.transport.errors import VendorError
from dagster_runs.vendors.testgen.models import Job, PartOfJob
from dagster_runs.vendors.testgen.resource import TestGenResource
from dagster_runs.vendors.testgen.runs import TestGenRun, require_field

logger = logging.getLogger(__name__)


class TestGenTestGenerationRun(TestGenRun):
    """A run of the test generation for a suite, from the profiling results of its table group.

    Args:
        test_suite_id: The id of the suite (a UUID), from the URL of its page.
        generation_sets: The names of the generation sets, such as ``Standard`` (5.134 and later). Without them, TestGen
            uses those that are stored in the suite; before 5.134, always ``Standard``.

    TestGen reports no results of a generation, and its jobs do not name their suite. The asset shows how many tests the
    suite then has, if the resource has ``project_code`` and the server lists suites (5.134 and later). Source:
    ``POST /api/v1/test-suites/{id}/test-generation`` in the server's own ``/api/openapi.json``.
    """

    label: ClassVar[str] = "test generation"
    job_key: ClassVar[str] = "run-test-generation"
    targets: ClassVar[str] = "test-suites"
    gate_fields: ClassVar[frozenset[str]] = frozenset()
    lost_start_hint: ClassVar[str] = (
        "Set the resource's project_code to the project of the test suite, so that the step can start again if the "
        "project has no such job."
    )

    test_suite_id: Uuid
    generation_sets: tuple[Annotated[str, Field(min_length=1)], ...] = ()

    @property
    def target(self) -> str:
        """The suite's id."""
        return self.test_suite_id

    def observation_problem(self) -> str | None:
        """Returns a problem: neither the job nor another record contains the suite."""
        return "TestGen does not report for which suite a test generation ran"

    def target_of_listed(self, resource: TestGenResource, listed: ListedRun) -> str | None:
        """Returns no target, because TestGen does not report it."""
        return ""

    def start(self, resource: TestGenResource, attempt: StartAttempt) -> str:
        """Submits the generation. The request has no field for a correlation id."""
        if not self.generation_sets:
            return resource.submit_test_generation(self.test_suite_id, {})
        require_field(resource, "test-generation", "generation_sets", "so it would generate other tests than requested")
        return resource.submit_test_generation(self.test_suite_id, {"generation_sets": list(self.generation_sets)})

    def fetch_result(
        self, resource: TestGenResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        """Returns the number of tests that the suite has now. An unavailable list must not fail the materialization."""
        try:
            count = resource.count_tests(self.test_suite_id) if status.state is RunState.SUCCEEDED else None
        except VendorError as error:
            logger.info("The number of tests of suite %s is unavailable: %s", self.test_suite_id, error)
            count = None
        summary = "" if count is None else f"the suite now has {count} tests"
        return RunResult(numbers("testgen", {"test_count": count}), summary=summary)

    def _candidate(self, resource: TestGenResource, job: PartOfJob, attempt: StartAttempt) -> StartCandidate | None:
        # The suite of a job is unknown, so every candidate is ambiguous.
        # A job that was canceled while pending never generated anything, so it is safe to start again.
        if isinstance(job, Job) and job.state is RunState.CANCELED and job.started_at is None:
            return None
        return StartCandidate(job.id or UNREADABLE_ID, is_ours=False, is_ambiguous=True)
