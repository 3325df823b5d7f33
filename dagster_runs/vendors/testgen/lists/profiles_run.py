"""A profiling run whose results are reported on the assets of the profiled tables, and the calls that this needs."""

from collections.abc import Sequence

from dagster_runs.remote_run.data_tests import SuiteTable
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.table_profiles import ColumnProfile, DataIssue, TableProfile
from dagster_runs.remote_run.types import RunResult
from dagster_runs.vendors.testgen import outcomes
from dagster_runs.vendors.testgen.lists.models import (
    HygieneIssue,
    HygieneIssuePage,
    ProfiledColumn,
    ProfiledColumnPage,
    ProfilingHistory,
)
from dagster_runs.vendors.testgen.lists.names import name_of
from dagster_runs.vendors.testgen.lists.pages import FindingsList
from dagster_runs.vendors.testgen.resource import TestGenResource
from dagster_runs.vendors.testgen.runs import TestGenProfilingRun, with_score

_HINT = "The profiles of tables need TestGen 5.92 or later."
_COLUMNS = FindingsList(
    "profiling-runs",
    "columns",
    ProfiledColumnPage,
    ProfiledColumn,
    is_identified=lambda one: None not in (one.table_name, one.column_name),
    description="profiled columns",
    hint=_HINT,
    params={"sort": "table"},
)
_ISSUES = FindingsList(
    "profiling-runs",
    "hygiene-issues",
    HygieneIssuePage,
    HygieneIssue,
    is_identified=lambda one: one.id is not None,
    description="hygiene issues",
    hint=_HINT,
)


class TestGenProfilesRun(TestGenProfilingRun):
    """A `TestGenProfilingRun` that also reports the profile of each table (5.92 and later)."""

    __doc__ = TestGenProfilingRun.__doc__

    def fetch_result(
        self, resource: TestGenResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        """Returns the sizes, the issue counts, the score, and the profiles of all tables.

        Only a gate needs to wait for the score.
        """
        if status.state is not RunState.SUCCEEDED:
            partial = outcomes.drop_zero_counts(resource.get_profiling_run(run_id).result)
            return RunResult(outcomes.profiling_run_metadata(partial))
        # The score is set shortly after the run has ended. A sensor that cannot wait for it reads no list in vain.
        judged = with_score(lambda: resource.get_profiling_run(run_id), status, resource) if gate is not None else None
        tables = as_profiles(list_columns(resource, run_id), list_issues(resource, run_id))
        run = judged or resource.get_profiling_run(run_id)
        return RunResult(
            outcomes.profiling_run_metadata(run.result),
            outcomes.of_profiling_run(run.result, gate),
            tables=tables,
            target_name=name_of(resource, self.targets, self.target),
        )


def list_columns(resource: TestGenResource, run_id: str) -> list[ProfiledColumn]:
    """Returns all columns of a finished run, table by table, in their order in the table.

    GET ``/profiling-runs/{id}/columns``, 100 at a time (5.92 and later). Raises as `FindingsList.read` does.
    """
    return _COLUMNS.read(resource, run_id)


def list_issues(resource: TestGenResource, run_id: str) -> list[HygieneIssue]:
    """Returns all issues of a finished run, without dismissed and muted ones.

    GET ``/profiling-runs/{id}/hygiene-issues``, 100 at a time (5.92 and later). Raises as `FindingsList.read` does.
    """
    return _ISSUES.read(resource, run_id)


def latest_profiling_run(resource: TestGenResource, table_group_id: str) -> str | None:
    """Returns the id of the latest completed profiling run; ``None`` if the table group was never profiled (5.134).

    Raises:
        VendorError: The server cannot list them, or the call failed.
    """
    path = ["table-groups", table_group_id, "profiling-runs"]
    response = resource.http().get(path, params={"status": "completed", "limit": 1})
    run_ids = [one.job_execution_id for one in response.parse(ProfilingHistory).items if one.job_execution_id]
    return run_ids[0] if run_ids else None


def list_profiled_tables(resource: TestGenResource, run_id: str) -> list[SuiteTable]:
    """Returns the tables that a profiling run has profiled.

    TestGen has no list of a table group's tables. The group itself only has the patterns for their names.

    Raises:
        VendorError: The server cannot list them, or a call failed.
    """
    columns = list_columns(resource, run_id)
    return list(dict.fromkeys(SuiteTable(one.table_name, one.schema_name) for one in columns if one.table_name))


def as_profiles(columns: Sequence[ProfiledColumn], issues: Sequence[HygieneIssue]) -> list[TableProfile]:
    """Returns the profiles of tables from what the two lists have. An entry without a table belongs to none."""
    by_table: dict[SuiteTable, tuple[list[ColumnProfile], list[DataIssue]]] = {}
    for column in columns:
        table = SuiteTable(column.table_name or "", column.schema_name)
        by_table.setdefault(table, ([], []))[0].append(_as_column(column))
    profiled = list(by_table)
    for issue in issues:
        table = _table_of(issue, profiled)
        by_table.setdefault(table, ([], []))[1].append(_as_issue(issue))
    return [TableProfile(table, own_columns, own_issues) for table, (own_columns, own_issues) in by_table.items()]


def _table_of(issue: HygieneIssue, profiled: Sequence[SuiteTable]) -> SuiteTable:
    """Returns the table of an issue, whose schema may be missing or in another case than that of the columns."""
    table = SuiteTable(issue.table_name or "", issue.schema_name)
    if table in profiled:
        return table
    same = [
        one
        for one in profiled
        if one.name.casefold() == table.name.casefold()
        and (table.schema is None or (one.schema or "").casefold() == table.schema.casefold())
    ]
    return same[0] if len(same) == 1 else table


def _as_column(column: ProfiledColumn) -> ColumnProfile:
    found = column.issue_counts.potential_pii if column.issue_counts is not None else None
    risks = [risk for risk in ("high", "moderate") if found is not None and getattr(found, risk)]
    return ColumnProfile(
        column.column_name or "",
        column.db_data_type or column.general_type,
        column.pii_flag,
        risks[0] if risks else None,
        is_critical=bool(column.critical_data_element),
        row_count=column.record_ct,
    )


def _as_issue(issue: HygieneIssue) -> DataIssue:
    return DataIssue(
        (issue.likelihood or "").strip().lower(),
        issue.column_name,
        issue.issue_type_name or issue.issue_type,
        issue.detail,
        issue.impact_dimension,
    )
