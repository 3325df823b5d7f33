"""The endpoints that only the newer TestGen has: results, issues, and lists of suites and table groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dagster_runs.sandbox.clock import utc
from dagster_runs.sandbox.exchange import ApiResponse, Call, RefusedError, Route
from dagster_runs.sandbox.runs import Run, Target
from dagster_runs.sandbox.testgen import catalog, samples
from dagster_runs.sandbox.testgen import shape as shapes
from dagster_runs.sandbox.testgen.samples import Findings, Row
from dagster_runs.sandbox.testgen.shape import PROFILE, TESTS
from dagster_runs.sandbox.testgen.validation import Validation, api_error, paged

if TYPE_CHECKING:
    from dagster_runs.sandbox.testgen.service import TestGen

_SEVERITIES = (
    *(("hygiene_issues", name) for name in samples.LIKELIHOODS),
    *(("potential_pii", name) for name in samples.RISKS),
)
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
            Route("GET", "/test-runs/{job_id}/results", self._results),
            Route("GET", "/profiling-runs/{job_id}/hygiene-issues", self._issues),
            Route("GET", "/profiling-runs/{job_id}/potential-pii", self._pii),
            Route("GET", "/profiling-runs/{job_id}/columns", self._columns),
            Route("GET", "/table-groups/{table_group_id}/profiling-runs", self._history),
            Route("GET", "/projects/{project_code}/test-suites", self._suites),
            Route("GET", "/test-suites/{test_suite_id}", self._suite),
            Route("GET", "/projects/{project_code}/table-groups", self._groups),
            Route("GET", "/table-groups/{table_group_id}", self._group),
        ]

    # --- of one run

    def _results(self, call: Call, job_id: str) -> ApiResponse:
        check = Validation(call)
        job_id = check.uuid("path", "job_id", job_id)
        status = check.choice("status", samples.STATUSES)
        disposition = check.choice("disposition", ("confirmed", "dismissed", "muted", "no_decision"))
        page, limit = check.page()
        check.finish()
        run = self._testgen.find_run(job_id, TESTS)
        rows = self._testgen.findings(run).results if self._is_done(run) else []
        test_type = call.query.get("test_type")
        if test_type is not None and test_type not in {*samples.TEST_TYPES, *(row["test_type"] for row in rows)}:
            hint = (
                "Valid values are the codes carried in the test_type field of the results themselves; request the run "
                "without this filter to see them."
            )
            return api_error(400, "unknown_test_type", f"Unknown test_type '{test_type}'. {hint}")
        wanted = [disposition] if disposition else ["confirmed", "no_decision"]
        filters = {
            "result_status": status,
            "test_type": test_type,
            "table_name": call.query.get("table_name"),
            "column_names": call.query.get("column_name"),
        }
        rows = [row for row in _filtered(rows, filters) if row["disposition"] in wanted]
        # This is the only time in the API without a zone.
        test_time = utc(run.starts_at).strftime("%Y-%m-%dT%H:%M:%S")
        return paged(rows, page, limit, lambda row: {**row, "test_time": row["test_time"] or test_time})

    def _issues(self, call: Call, job_id: str) -> ApiResponse:
        return self._profiled(call, job_id, "likelihood", samples.LIKELIHOODS, lambda found: found.issues)

    def _pii(self, call: Call, job_id: str) -> ApiResponse:
        return self._profiled(call, job_id, "pii_risk", samples.RISKS, lambda found: found.pii)

    def _profiled(
        self, call: Call, job_id: str, severity: str, levels: tuple[str, ...], rows_of: Callable[[Findings], list[Row]]
    ) -> ApiResponse:
        check = Validation(call)
        job_id = check.uuid("path", "job_id", job_id)
        chosen = check.choice(severity, levels)
        disposition = check.choice("disposition", ("confirmed", "dismissed", "muted")) or "confirmed"
        page, limit = check.page()
        check.finish()
        run = self._testgen.find_run(job_id, PROFILE)
        rows = rows_of(self._testgen.findings(run)) if self._is_done(run) else []
        filters = {severity: chosen, "disposition": disposition}
        if severity == "likelihood":
            filters["issue_type"] = issue_type = call.query.get("issue_type")
            known = {*samples.ISSUE_TYPES, *(row["issue_type"] for row in rows)}
            if issue_type not in (None, *known):
                raise RefusedError(api_error(400, "unknown_issue_type", f"Unknown issue_type '{issue_type}'."))
        return paged(_filtered(rows, filters), page, limit, dict)

    def _columns(self, call: Call, job_id: str) -> ApiResponse:
        check = Validation(call)
        job_id = check.uuid("path", "job_id", job_id)
        sort = check.choice("sort", ("hygiene_severity", "table")) or "hygiene_severity"
        page, limit = check.page()
        check.finish()
        run = self._testgen.find_run(job_id, PROFILE)
        findings = self._testgen.findings(run)
        count = (findings.sizes["column_ct"] or 0) if self._is_done(run) else 0
        rows = [_column(findings, *column) for column in samples.columns()[:count]]
        rows = _filtered(rows, {"table_name": call.query.get("table_name")})
        if sort == "hygiene_severity":
            rows.sort(key=lambda row: [-row["issue_counts"][group][name] for group, name in _SEVERITIES])
        return paged(rows, page, limit, dict)

    # --- of a project

    def _history(self, call: Call, table_group_id: str) -> ApiResponse:
        check, now = Validation(call), self._now()
        group_id = check.uuid("path", "table_group_id", table_group_id)
        status = check.choice("status", self._testgen.shape.statuses)
        page, limit = check.page()
        check.finish()
        group = self._testgen.find_target(catalog.GROUP, group_id)
        # The history contains a run as soon as it has a record.
        runs = [run for run in reversed(group.runs) if run.kind == PROFILE and run.started_at(now) is not None]
        runs = [run for run in runs if status is None or shapes.status(run, now) == status]
        return paged(runs, page, limit, self._history_item)

    def _history_item(self, run: Run) -> dict[str, Any]:
        now, findings, shape = self._now(), self._testgen.findings(run), self._testgen.shape
        seen = shapes.profiling_run(run, findings, shape, now)
        result = seen["result"] or {}
        columns, records = result.get("column_ct"), result.get("record_ct")
        return {
            "job_execution_id": run.id,
            "table_group_id": run.target_id,
            "status": seen["status"],
            "started_at": seen["started_at"],
            "completed_at": seen["completed_at"],
            "profiling_score": result.get("score"),
            "table_ct": result.get("table_ct"),
            "column_ct": result.get("column_ct"),
            "record_ct": result.get("record_ct"),
            "data_point_ct": None if columns is None or records is None else columns * records,
            "error_message": shapes.error_message(run, now),
            "issue_counts": shapes.issue_counts(run, findings, now),
        }

    def _suites(self, call: Call, project_code: str) -> ApiResponse:
        check = Validation(call)
        group_id = check.query_uuid("table_group_id")
        page, limit = check.page()
        check.finish()
        self._testgen.check_project(project_code)
        wanted = {"table_group_id": group_id, "name": call.query.get("test_suite_name")}
        suites = self._targets(catalog.SUITE, wanted)
        return paged(suites, page, limit, self._suite_item)

    def _suite_item(self, suite: Target) -> dict[str, Any]:
        run = self._latest(suite, TESTS)
        latest = None
        if run is not None:
            counts = self._testgen.findings(run).counts
            latest = {
                "job_execution_id": run.id,
                "started_at": shapes.time(run.starts_at),
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
            "test_count": sum(Findings.of(suite.defaults.options, suite.id).counts.values()),
            "latest_run": latest,
        }

    def _suite(self, call: Call, test_suite_id: str) -> ApiResponse:
        check = Validation(call)
        suite_id = check.uuid("path", "test_suite_id", test_suite_id)
        check.finish()
        suite = self._testgen.find_target(catalog.SUITE, suite_id)
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

    def _groups(self, call: Call, project_code: str) -> ApiResponse:
        check = Validation(call)
        connection = check.integer("connection_id", 0) if "connection_id" in call.query else None
        page, limit = check.page()
        check.finish()
        self._testgen.check_project(project_code)
        wanted = {
            "connection_id": connection,
            "schema_name": call.query.get("schema_name"),
            "name": call.query.get("table_group_name"),
        }
        return paged(self._targets(catalog.GROUP, wanted), page, limit, self._group_item)

    def _group_item(self, group: Target) -> dict[str, Any]:
        now, shape = self._now(), self._testgen.shape
        profiled = self._latest(group, PROFILE)
        suites = self._targets(catalog.SUITE, {"table_group_id": group.id})
        tested = [run for run in (self._latest(suite, TESTS) for suite in suites) if run is not None]
        sizes = Findings.of(group.defaults.options, group.id).sizes
        profiling = shapes.score(profiled, self._testgen.findings(profiled), shape, now) if profiled else None
        scores = [shapes.score(run, self._testgen.findings(run), shape, now) for run in tested]
        known = [score for score in scores if score is not None]
        testing = sum(known) / len(known) if known else None
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
            "last_profiled_at": shapes.time(profiled.starts_at) if profiled else None,
            "last_tested_at": shapes.time(max(run.starts_at for run in tested)) if tested else None,
            "profiling_score": profiling,
            "testing_score": testing,
            "quality_score": None if profiling is None or testing is None else profiling * testing,
        }

    def _group(self, call: Call, table_group_id: str) -> ApiResponse:
        check = Validation(call)
        group_id = check.uuid("path", "table_group_id", table_group_id)
        check.finish()
        group = self._testgen.find_target(catalog.GROUP, group_id)
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

    # ---

    def _now(self) -> float:
        return self._testgen.clock.now()

    def _is_done(self, run: Run) -> bool:
        return shapes.is_complete(run, self._now())

    def _targets(self, kind: str, wanted: dict[str, Any]) -> list[Target]:
        """Returns the targets of a kind with these field values, sorted by name."""
        targets = [target for target in self._testgen.targets.values() if target.kind == kind]
        for name, value in wanted.items():
            if value is not None:
                targets = [target for target in targets if target.fields[name] == value]
        return sorted(targets, key=lambda target: target.fields["name"])

    def _latest(self, target: Target, kind: str) -> Run | None:
        """Returns the target's last completed run."""
        return next((run for run in reversed(target.runs) if run.kind == kind and self._is_done(run)), None)


def _column(findings: Findings, table: str, column: str, kind: str, records: int) -> dict[str, Any]:
    here = {"table_name": table, "column_name": column}
    pii = _filtered(findings.pii, here)
    return {
        "schema_name": samples.SCHEMA,
        **here,
        "general_type": kind,
        "functional_data_type": None,
        "db_data_type": None,
        "datatype_suggestion": None,
        "pii_flag": pii[0]["pii_risk"] if pii else None,
        "critical_data_element": column.endswith("_id"),
        "record_ct": records,
        "null_value_ct": 0,
        "distinct_value_ct": records if column.endswith("_id") else min(records, 12),
        "filled_value_ct": 0,
        "profiling_score": 1.0,
        "testing_score": 1.0,
        "issue_counts": Findings.of_issues(_filtered(findings.issues, here), pii),
    }


def _filtered(rows: list[Row], wanted: dict[str, Any]) -> list[Row]:
    """Returns the rows with these values. None matches any value."""
    for name, value in wanted.items():
        if value is not None:
            rows = [row for row in rows if row[name] == value]
    return rows
