"""The endpoints that only the newer TestGen has: results, issues, and lists of suites and table groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dagster_runs.sandbox.clock import to_utc
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse, RejectedError, Route
from dagster_runs.sandbox.runs import Run, Target
from dagster_runs.sandbox.testgen import catalog, samples
from dagster_runs.sandbox.testgen import shape as shapes
from dagster_runs.sandbox.testgen.columns import SORTS, render_columns
from dagster_runs.sandbox.testgen.samples import Findings, Row, filter_rows
from dagster_runs.sandbox.testgen.shape import GENERATION, PROFILE, TESTS
from dagster_runs.sandbox.testgen.validation import Validation, api_error, make_page

if TYPE_CHECKING:
    from dagster_runs.sandbox.testgen.service import TestGen

_GENERATED_TESTS = 25
"""The number of tests that a test generation adds to a suite."""

_TAGS = (
    "data_source",
    "source_system",
    "source_process",
    "data_location",
    "business_domain",
    "stakeholder_group",
    "transform_level",
    "data_product",
    "data_classification",
)


class Listings:
    """The endpoints of the newer TestGen."""

    def __init__(self, testgen: TestGen) -> None:
        self._testgen = testgen

    def routes(self) -> list[Route]:
        """Returns the endpoints. Their paths start after the API's prefix."""
        return [
            Route("GET", "/test-runs/{job_id}/results", self._list_results),
            Route("GET", "/profiling-runs/{job_id}/hygiene-issues", self._list_hygiene_issues),
            Route("GET", "/profiling-runs/{job_id}/potential-pii", self._list_potential_pii),
            Route("GET", "/profiling-runs/{job_id}/columns", self._list_columns),
            Route("GET", "/table-groups/{table_group_id}/profiling-runs", self._list_profiling_runs),
            Route("GET", "/projects/{project_code}/test-suites", self._list_test_suites),
            Route("GET", "/test-suites/{test_suite_id}", self._get_test_suite),
            Route("GET", "/test-suites/{test_suite_id}/test-definition-export", self._export_definitions),
            Route("GET", "/projects/{project_code}/table-groups", self._list_table_groups),
            Route("GET", "/table-groups/{table_group_id}", self._get_table_group),
        ]

    # --- one run

    def _list_results(self, request: ApiRequest, job_id: str) -> ApiResponse:
        validation = Validation(request)
        job_id = validation.uuid("path", "job_id", job_id)
        status = validation.choice("status", samples.STATUSES)
        disposition = validation.choice("disposition", ("confirmed", "dismissed", "muted", "no_decision"))
        page, limit = validation.page()
        validation.raise_errors()
        run = self._testgen.find_run(job_id, TESTS)
        rows = self._testgen.findings(run).results if self._is_completed(run) else []
        test_type = request.query.get("test_type")
        if test_type is not None and test_type not in {*samples.TEST_TYPES, *(row["test_type"] for row in rows)}:
            hint = (
                "Valid values are the codes carried in the test_type field of the results themselves; request the run "
                "without this filter to see them."
            )
            return api_error(400, "unknown_test_type", f"Unknown test_type '{test_type}'. {hint}")
        dispositions = [disposition] if disposition else ["confirmed", "no_decision"]
        filters = {
            "result_status": status,
            "test_type": test_type,
            "table_name": request.query.get("table_name"),
            "column_names": request.query.get("column_name"),
        }
        rows = [row for row in filter_rows(rows, filters) if row["disposition"] in dispositions]
        # This is the only time in the API without a zone.
        test_time = to_utc(run.starts_at).strftime("%Y-%m-%dT%H:%M:%S")

        def render(row: Row) -> Row:
            shown = {name: value for name, value in row.items() if name not in samples.MATCH_FIELDS}
            return {**shown, "test_time": row["test_time"] or test_time}

        return make_page(rows, page, limit, render)

    def _list_hygiene_issues(self, request: ApiRequest, job_id: str) -> ApiResponse:
        return self._list_issues(request, job_id, "likelihood", samples.LIKELIHOODS, lambda findings: findings.issues)

    def _list_potential_pii(self, request: ApiRequest, job_id: str) -> ApiResponse:
        return self._list_issues(request, job_id, "pii_risk", samples.RISKS, lambda findings: findings.pii)

    def _list_issues(
        self,
        request: ApiRequest,
        job_id: str,
        severity_field: str,
        levels: tuple[str, ...],
        get_rows: Callable[[Findings], list[Row]],
    ) -> ApiResponse:
        validation = Validation(request)
        job_id = validation.uuid("path", "job_id", job_id)
        level = validation.choice(severity_field, levels)
        disposition = validation.choice("disposition", ("confirmed", "dismissed", "muted")) or "confirmed"
        page, limit = validation.page()
        validation.raise_errors()
        run = self._testgen.find_run(job_id, PROFILE)
        rows = get_rows(self._testgen.findings(run)) if self._is_completed(run) else []
        filters = {severity_field: level, "disposition": disposition}
        if severity_field == "likelihood":
            filters["issue_type"] = issue_type = request.query.get("issue_type")
            known = {*samples.ISSUE_TYPES, *(row["issue_type"] for row in rows)}
            if issue_type not in (None, *known):
                raise RejectedError(api_error(400, "unknown_issue_type", f"Unknown issue_type '{issue_type}'."))
        return make_page(filter_rows(rows, filters), page, limit, dict)

    def _list_columns(self, request: ApiRequest, job_id: str) -> ApiResponse:
        validation = Validation(request)
        job_id = validation.uuid("path", "job_id", job_id)
        sort = validation.choice("sort", SORTS) or SORTS[0]
        page, limit = validation.page()
        validation.raise_errors()
        run = self._testgen.find_run(job_id, PROFILE)
        findings = self._testgen.findings(run)
        rows = render_columns(findings, sort) if self._is_completed(run) else []
        rows = filter_rows(rows, {"table_name": request.query.get("table_name")})
        return make_page(rows, page, limit, dict)

    # --- a project

    def _list_profiling_runs(self, request: ApiRequest, table_group_id: str) -> ApiResponse:
        validation, now = Validation(request), self._now()
        group_id = validation.uuid("path", "table_group_id", table_group_id)
        status = validation.choice("status", self._testgen.shape.statuses)
        page, limit = validation.page()
        validation.raise_errors()
        group = self._testgen.find_target(catalog.TABLE_GROUP, group_id)
        # The history contains a run as soon as it has a record.
        runs = [run for run in reversed(group.runs) if run.kind == PROFILE and run.started_at(now) is not None]
        runs = [run for run in runs if status is None or shapes.job_status(run, now) == status]
        return make_page(runs, page, limit, self._render_profiling_run)

    def _render_profiling_run(self, run: Run) -> dict[str, Any]:
        now, findings, shape = self._now(), self._testgen.findings(run), self._testgen.shape
        rendered = shapes.render_profiling_run(run, findings, shape, now)
        result = rendered["result"] or {}
        columns, records = result.get("column_ct"), result.get("record_ct")
        return {
            "job_execution_id": run.id,
            "table_group_id": run.target_id,
            "status": rendered["status"],
            "started_at": rendered["started_at"],
            "completed_at": rendered["completed_at"],
            "profiling_score": result.get("score"),
            "table_ct": result.get("table_ct"),
            "column_ct": result.get("column_ct"),
            "record_ct": result.get("record_ct"),
            "data_point_ct": None if columns is None or records is None else columns * records,
            "error_message": shapes.error_message(run, now),
            "issue_counts": shapes.issue_counts(run, findings, now),
        }

    def _list_test_suites(self, request: ApiRequest, project_code: str) -> ApiResponse:
        validation = Validation(request)
        group_id = validation.query_uuid("table_group_id")
        page, limit = validation.page()
        validation.raise_errors()
        self._testgen.check_project(project_code)
        filters = {"table_group_id": group_id, "name": request.query.get("test_suite_name")}
        suites = self._find_targets(catalog.TEST_SUITE, filters)
        return make_page(suites, page, limit, self._render_test_suite)

    def _render_test_suite(self, suite: Target) -> dict[str, Any]:
        run = self._find_latest_completed(suite, TESTS)
        latest = None
        if run is not None:
            counts = self._testgen.findings(run).counts
            latest = {
                "job_execution_id": run.id,
                "started_at": shapes.format_time(run.starts_at),
                "test_count": sum(counts.values()),
                "result_counts": counts,
            }
        group = self._testgen.targets.get(suite.fields["table_group_id"])
        return {
            "test_suite_id": suite.id,
            "test_suite_name": suite.fields["name"],
            "project_code": "DEFAULT",
            "connection_id": suite.fields["connection_id"],
            "table_group_id": suite.fields["table_group_id"],
            "table_group_name": group.fields["name"] if group else None,
            "description": f"{suite.fields['name']} Test Suite",
            "test_count": self._count_tests(suite),
            "latest_run": latest,
        }

    def _count_tests(self, suite: Target) -> int:
        count = sum(Findings.from_options(suite.defaults.options, suite.id).counts.values())
        # Test generation replaces the tests that it generated before.
        return count + (_GENERATED_TESTS if self._find_latest_completed(suite, GENERATION) is not None else 0)

    def _get_test_suite(self, request: ApiRequest, test_suite_id: str) -> ApiResponse:
        validation = Validation(request)
        suite_id = validation.uuid("path", "test_suite_id", test_suite_id)
        validation.raise_errors()
        suite = self._testgen.find_target(catalog.TEST_SUITE, suite_id)
        return ApiResponse(
            200,
            {
                "test_suite_id": suite.id,
                "test_suite_name": suite.fields["name"],
                "project_code": "DEFAULT",
                "connection_id": suite.fields["connection_id"],
                "table_group_id": suite.fields["table_group_id"],
                "description": f"{suite.fields['name']} Test Suite",
                "default_severity": None,
                "exclude_from_quality_score": False,
                "deactivate_invalid_tests": False,
                "export_to_observability": True,
                "component_key": None,
                "component_type": "dataset",
                "component_name": None,
                "generation_sets": ["Standard"],
                "is_default": False,
            },
        )

    def _export_definitions(self, request: ApiRequest, test_suite_id: str) -> ApiResponse:
        """Exports the tests of the last completed run, or those of the suite's defaults."""
        validation = Validation(request)
        suite_id = validation.uuid("path", "test_suite_id", test_suite_id)
        validation.raise_errors()
        suite = self._testgen.find_target(catalog.TEST_SUITE, suite_id)
        run = self._find_latest_completed(suite, TESTS)
        findings = (
            Findings.from_options(suite.defaults.options, suite.id) if run is None else self._testgen.findings(run)
        )
        source = {
            "project_code": "DEFAULT",
            "test_suite": suite.fields["name"],
            "table_group": "default",
            "table_group_schema": samples.SCHEMA,
            "exported_at": shapes.format_time(self._now()),
            "testgen_version": None,
        }
        definitions = [
            {
                "test_type": row["test_type"],
                "table_name": row["table_name"],
                "column_name": row["column_names"],
                # Like the server's, an export leaves out what is not set.
                **{name: row[name] for name in samples.MATCH_FIELDS if row.get(name) is not None},
            }
            for row in findings.results
        ]
        return ApiResponse(200, {"version": 1, "source": source, "definitions": definitions})

    def _list_table_groups(self, request: ApiRequest, project_code: str) -> ApiResponse:
        validation = Validation(request)
        connection = validation.integer("connection_id", 0) if "connection_id" in request.query else None
        page, limit = validation.page()
        validation.raise_errors()
        self._testgen.check_project(project_code)
        filters = {
            "connection_id": connection,
            "schema_name": request.query.get("schema_name"),
            "name": request.query.get("table_group_name"),
        }
        return make_page(self._find_targets(catalog.TABLE_GROUP, filters), page, limit, self._render_table_group)

    def _render_table_group(self, group: Target) -> dict[str, Any]:
        now, shape = self._now(), self._testgen.shape
        profiling_run = self._find_latest_completed(group, PROFILE)
        suites = self._find_targets(catalog.TEST_SUITE, {"table_group_id": group.id})
        test_runs = [run for run in (self._find_latest_completed(suite, TESTS) for suite in suites) if run is not None]
        sizes = Findings.from_options(group.defaults.options, group.id).sizes
        profiling = (
            shapes.score(profiling_run, self._testgen.findings(profiling_run), shape, now) if profiling_run else None
        )
        scores = [shapes.score(run, self._testgen.findings(run), shape, now) for run in test_runs]
        available = [score for score in scores if score is not None]
        testing = sum(available) / len(available) if available else None
        return {
            "table_group_id": group.id,
            "table_group_name": group.fields["name"],
            "schema_name": group.fields["schema_name"],
            "project_code": "DEFAULT",
            "connection_id": group.fields["connection_id"],
            "connection_name": group.fields["connection_name"],
            "table_count": sizes["table_ct"] or 0,
            "column_count": sizes["column_ct"] or None,
            "row_count": sizes["record_ct"] or None,
            "last_profiled_at": shapes.format_time(profiling_run.starts_at) if profiling_run else None,
            "last_tested_at": shapes.format_time(max(run.starts_at for run in test_runs)) if test_runs else None,
            "profiling_score": profiling,
            "testing_score": testing,
            "quality_score": None if profiling is None or testing is None else profiling * testing,
        }

    def _get_table_group(self, request: ApiRequest, table_group_id: str) -> ApiResponse:
        validation = Validation(request)
        group_id = validation.uuid("path", "table_group_id", table_group_id)
        validation.raise_errors()
        group = self._testgen.find_target(catalog.TABLE_GROUP, group_id)
        return ApiResponse(
            200,
            {
                "table_group_id": group.id,
                "table_group_name": group.fields["name"],
                "schema_name": group.fields["schema_name"],
                "project_code": "DEFAULT",
                "connection_id": group.fields["connection_id"],
                "default_test_suite_id": None,
                "description": None,
                "table_set": [],
                "include_masks": ["%"],
                "exclude_masks": ["tmp%"],
                "file_declarations": None,
                "profile_id_column_mask": "%_id",
                "profile_sk_column_mask": "%_sk",
                "profile_use_sampling": False,
                "profile_sample_percent": 30,
                "profile_sample_min_count": 15_000,
                "profiling_delay_days": 0,
                "profile_flag_cdes": True,
                "profile_flag_pii": True,
                "profile_exclude_xde": True,
                "profile_table_comparison": False,
                "include_in_dashboard": True,
                "catalog_tags": dict.fromkeys(_TAGS),
            },
        )

    # --- helpers

    def _now(self) -> float:
        return self._testgen.clock.now()

    def _is_completed(self, run: Run) -> bool:
        return shapes.is_completed(run, self._now())

    def _find_targets(self, kind: str, filters: dict[str, Any]) -> list[Target]:
        """Returns the targets of a kind with these field values, sorted by name."""
        targets = [target for target in self._testgen.targets.values() if target.kind == kind]
        for name, value in filters.items():
            if value is not None:
                targets = [target for target in targets if target.fields[name] == value]
        return sorted(targets, key=lambda target: target.fields["name"])

    def _find_latest_completed(self, target: Target, kind: str) -> Run | None:
        """Returns the target's last completed run."""
        return next((run for run in reversed(target.runs) if run.kind == kind and self._is_completed(run)), None)
