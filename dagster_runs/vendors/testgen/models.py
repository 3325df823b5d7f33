"""TestGen's responses, in the shape that the published page documents (up to 5.48) and in the newer one (from 5.70)."""

from typing import Annotated, Any

from pydantic import AliasChoices, AliasPath, Field

from dagster_runs.remote_run.response_models import EachReadable, ErrorText, Lenient, OptionalTime, RunId, VendorModel
from dagster_runs.remote_run.state import RunState, parse_state

# 7 statuses up to version 5.48, 13 in newer ones. A `paused` job (profiling only) waits for a user and then continues.
_STATES = {
    "pending": RunState.QUEUED,
    "claimed": RunState.QUEUED,
    "queued": RunState.QUEUED,
    "running": RunState.RUNNING,
    "cancelrequested": RunState.RUNNING,
    "interruptrequested": RunState.RUNNING,
    "interrupted": RunState.RUNNING,
    "pauserequested": RunState.RUNNING,
    "paused": RunState.RUNNING,
    "resumerequested": RunState.RUNNING,
    "completed": RunState.SUCCEEDED,
    "error": RunState.FAILED,
    "canceled": RunState.CANCELED,
}

Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class SubmittedJob(VendorModel):
    """The response to a submission."""

    id: RunId


class PartOfJob(VendorModel):
    """The readable fields of a listed job whose entry does not have the documented shape."""

    id: Lenient[RunId] = None
    job_key: Lenient[str] = None
    source: Lenient[str] = None
    created_at: OptionalTime = None


class Job(PartOfJob):
    """A job of any kind. Its status says nothing about the results of the tests."""

    id: RunId
    status: str = Field(min_length=1)
    started_at: OptionalTime = None
    completed_at: OptionalTime = None
    error_message: ErrorText = None

    @property
    def state(self) -> RunState:
        """The `RunState` that the status maps to."""
        return parse_state(self.status, _STATES)


class JobPage(VendorModel):
    """A page of jobs, newest first."""

    items: EachReadable[Job]
    page: int
    limit: int
    total: int


class Target(VendorModel):
    """A test suite or a table group."""

    project_code: Lenient[str] = None


class Suite(VendorModel):
    """A test suite in the list of suites (5.134 and later)."""

    id: str = Field(validation_alias="test_suite_id")
    test_count: Lenient[Annotated[int, Field(ge=0)]] = None


class SuitePage(VendorModel):
    """A page of suites."""

    items: EachReadable[Suite]
    limit: int
    total: int


class TestCounts(VendorModel):
    """The number of tests by result. Dismissed and muted results count as ``dismissed`` only."""

    __test__ = False

    passed: int
    failed: int
    warning: int
    error: int
    log: int = 0
    dismissed: int = 0

    @property
    def examined(self) -> int:
        """The number of tests that judged the data. Broken tests and tests that only log do not judge it."""
        return self.passed + self.failed + self.warning


class TestResult(VendorModel):
    """The result of a test run. While the run is active, it has zeros and partial counts."""

    __test__ = False

    score: Lenient[Score] = None
    counts: Lenient[TestCounts] = Field(default=None, validation_alias=AliasChoices("result_counts", "tests"))


class TestRun(VendorModel):
    """A test run. The suite and the result are null until the run's record exists."""

    __test__ = False

    target_id: Lenient[str] = Field(default=None, validation_alias="test_suite_id")
    result: Lenient[TestResult] = None
    metadata: Lenient[dict[str, Any]] = None

    @property
    def keeps_metadata(self) -> bool:
        """Whether this server stores the metadata of a submission (5.134 and later)."""
        return "metadata" in self.model_fields_set


class IssueCounts(VendorModel):
    """Hygiene issues by likelihood, and potential PII by risk.

    Servers up to 5.48 include potential PII in ``possible`` and do not count it separately.
    """

    definite: int = Field(validation_alias=AliasChoices("definite", AliasPath("hygiene_issues", "definite")))
    likely: int = Field(validation_alias=AliasChoices("likely", AliasPath("hygiene_issues", "likely")))
    possible: int = Field(validation_alias=AliasChoices("possible", AliasPath("hygiene_issues", "possible")))
    pii_high: Lenient[int] = Field(default=None, validation_alias=AliasPath("potential_pii", "high"))
    pii_moderate: Lenient[int] = Field(default=None, validation_alias=AliasPath("potential_pii", "moderate"))
    dismissed: Lenient[int] = None


class ProfilingResult(VendorModel):
    """The result of a profiling run."""

    score: Lenient[Score] = None
    tables: Lenient[int] = Field(default=None, validation_alias="table_ct")
    columns: Lenient[int] = Field(default=None, validation_alias="column_ct")
    records: Lenient[int] = Field(default=None, validation_alias="record_ct")
    issues: Lenient[IssueCounts] = Field(default=None, validation_alias=AliasChoices("issue_counts", "issues"))


class ProfilingRun(VendorModel):
    """A profiling run."""

    target_id: Lenient[str] = Field(default=None, validation_alias="table_group_id")
    result: Lenient[ProfilingResult] = None


class FailingTest(VendorModel):
    """A test that did not pass, from ``/test-runs/{id}/results`` (5.70 and later)."""

    test_type: Lenient[str] = None
    test_type_name: Lenient[str] = None
    schema_name: Lenient[str] = None
    table_name: Lenient[str] = None
    column_names: Lenient[str] = None
    result_status: Lenient[str] = None
    result_measure: Lenient[str] = None
    threshold_value: Lenient[str] = None
    result_message: Lenient[str] = None


class FailingTestPage(VendorModel):
    """A page of results."""

    items: EachReadable[FailingTest]
