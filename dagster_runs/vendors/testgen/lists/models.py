"""TestGen's responses about single tests, columns and issues of a run (5.70 and later)."""

from typing import Annotated

from pydantic import Field

from dagster_runs.remote_run.response_models import EachReadable, Lenient, RunId, VendorModel
from dagster_runs.vendors.testgen.models import FailingTest


class SuiteResult(FailingTest):
    """The result of any test, from the same list."""

    test_definition_id: Lenient[str] = None


class SuiteResultPage(VendorModel):
    """A page of results of any status."""

    items: EachReadable[SuiteResult]
    limit: Annotated[int, Field(ge=1)]
    total: int


class TestDefinition(VendorModel):
    """A test in the export of a suite's definitions."""

    __test__ = False

    test_type: Lenient[str] = None
    table_name: Lenient[str] = None
    column_name: Lenient[str] = None
    match_schema_name: Lenient[str] = None
    match_table_name: Lenient[str] = None


class TestDefinitions(VendorModel):
    """The export of a suite's definitions."""

    __test__ = False

    definitions: EachReadable[TestDefinition]


class PotentialPiiCounts(VendorModel):
    """The potential PII in a column, by risk."""

    high: Lenient[int] = None
    moderate: Lenient[int] = None


class ColumnIssueCounts(VendorModel):
    """The findings in a column. Its hygiene issues are read from their own list."""

    potential_pii: Lenient[PotentialPiiCounts] = None


class FinishedProfiling(VendorModel):
    """A run in the list of a table group's profiling runs. Its id is not called ``id``."""

    job_execution_id: Lenient[RunId] = None


class ProfilingHistory(VendorModel):
    """A page of a table group's profiling runs, newest first."""

    items: EachReadable[FinishedProfiling]


class ProfiledColumn(VendorModel):
    """A column, from ``/profiling-runs/{id}/columns`` (5.92 and later)."""

    schema_name: Lenient[str] = None
    table_name: Lenient[str] = None
    column_name: Lenient[str] = None
    general_type: Lenient[str] = None
    db_data_type: Lenient[str] = None
    pii_flag: Lenient[str] = None
    critical_data_element: Lenient[bool] = None
    record_ct: Lenient[Annotated[int, Field(ge=0)]] = None
    issue_counts: Lenient[ColumnIssueCounts] = None


class ProfiledColumnPage(VendorModel):
    """A page of columns."""

    items: EachReadable[ProfiledColumn]
    limit: Annotated[int, Field(ge=1)]
    total: int


class HygieneIssue(VendorModel):
    """An issue, from ``/profiling-runs/{id}/hygiene-issues`` (5.92 and later)."""

    id: Lenient[str] = None
    schema_name: Lenient[str] = None
    table_name: Lenient[str] = None
    column_name: Lenient[str] = None
    likelihood: Lenient[str] = None
    issue_type: Lenient[str] = None
    issue_type_name: Lenient[str] = None
    impact_dimension: Lenient[str] = None
    detail: Lenient[str] = None


class HygieneIssuePage(VendorModel):
    """A page of issues."""

    items: EachReadable[HygieneIssue]
    limit: Annotated[int, Field(ge=1)]
    total: int


class ColumnFinding(VendorModel):
    """A finding in a column, from ``/profiling-runs/{id}/hygiene-issues`` or ``/potential-pii`` (5.92 and later)."""

    table_name: Lenient[str] = None
    column_name: Lenient[str] = None
    issue_type: Lenient[str] = None
    issue_type_name: Lenient[str] = None
    pii_risk: Lenient[str] = None

    @property
    def where(self) -> str:
        """The table and the column."""
        return ".".join(part for part in (self.table_name, self.column_name) if part)


class ColumnFindingPage(VendorModel):
    """A page of findings."""

    items: EachReadable[ColumnFinding]
