"""Simulates two versions of DataKitchen TestGen: jobs, runs, results and lists.

`testgen` has the shape of 5.134.0, `testgen-old` that of 5.33.3. They have the same suites and table groups, but
separate jobs. Shapes, states and errors match responses of real servers. Not included: connections, scores, monitors,
schedules, notifications, and imports and exports.

Options of `Behavior`:
    counts: The counts of test results: `passed`, `failed`, `warning`, `error`, `log`, `dismissed`.
    results: Rows of test results, as in the API. Missing fields, and further rows to match `counts`, are generated.
        `match_schema_name` and `match_table_name` are shown in the export of the tests.
    tables: The tables of generated results.
    score: The score from 0 to 1; None for a run that never gets one. By default, it is computed from the counts.
    score_delay: Seconds after `completed` during which the score is null.
    table_ct, column_ct, record_ct: The sizes that profiling reports. `table_ct` without `issues` and `pii` means that
        there are none.
    columns: Rows of profiled columns, as in the API, which decide the sizes too. Missing fields are generated.
    issues: Hygiene issues: rows, or counts such as `{"definite": 2}`.
    pii: Potential PII: rows, or counts such as `{"high": 1}`.

Use `hold` for the states that need an external event: `paused`, `interrupted`, `queued` (with `hold_when="queued"`),
and for any state that TestGen does not have. To simulate a worker that is down, set `queued_seconds` and
`cancel_seconds` to infinity.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from functools import lru_cache
from html import escape
from typing import Any, ClassVar

from typing_extensions import override

from dagster_runs.sandbox import well_known
from dagster_runs.sandbox.behavior import Behavior
from dagster_runs.sandbox.clock import Clock
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse, Match, RejectedError, Route
from dagster_runs.sandbox.log import Credentials
from dagster_runs.sandbox.runs import Phase, Run, Target
from dagster_runs.sandbox.testgen import catalog, openapi
from dagster_runs.sandbox.testgen import shape as shapes
from dagster_runs.sandbox.testgen.listings import Listings
from dagster_runs.sandbox.testgen.oauth import OAuth
from dagster_runs.sandbox.testgen.samples import Findings
from dagster_runs.sandbox.testgen.shape import GENERATION, MONITORS, PROFILE, TESTS, Shape
from dagster_runs.sandbox.testgen.validation import Validation, api_error, make_page, not_found, parse_test_run_body
from dagster_runs.sandbox.vendor import Vendor, gateway_error

_REASONS = {
    403: "Forbidden",
    405: "Method Not Allowed",
    408: "Request Timeout",
    425: "Too Early",
    429: "Too Many Requests",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Time-out",
}
_GENERATION_SETS = ("Standard", "Table Comparison")
_SIZES = frozenset({"table_ct", "column_ct", "record_ct"})
_PROFILING_OPTIONS = _SIZES | {"columns", "issues", "pii", "score"}


class TestGen(Vendor):
    """TestGen at `/testgen` or `/testgen-old`, with the API under `api/v1`."""

    __test__ = False

    connection_info: ClassVar = {
        "Bearer token": well_known.TESTGEN_TOKEN,
        "OAuth client id": well_known.TESTGEN_CLIENT_ID,
        "OAuth client secret": well_known.TESTGEN_CLIENT_SECRET,
        "OAuth refresh token": well_known.TESTGEN_REFRESH_TOKEN,
        "Login": f"{well_known.TESTGEN_USERNAME} / {well_known.TESTGEN_PASSWORD}",
        "Project code": well_known.TESTGEN_PROJECT,
    }
    run_kinds: ClassVar = {catalog.TABLE_GROUP: (PROFILE, MONITORS), catalog.TEST_SUITE: (TESTS, GENERATION)}
    options = _PROFILING_OPTIONS | {"counts", "results", "tables", "score_delay"}
    invalidates: ClassVar = {
        "counts": frozenset({"results", "score"}),
        "results": frozenset({"counts", "score"}),
        "table_ct": _PROFILING_OPTIONS - {"table_ct"},
        "columns": _PROFILING_OPTIONS - {"columns"},
    }
    end_fields = ("completed_at",)

    def __init__(self, clock: Clock, shape: Shape, mount: str) -> None:
        self.name = self.mount = mount
        self.shape = shape
        self.title = f"DataKitchen TestGen ({'5.134.0' if shape.is_new else '5.33.3'})"
        self.base_path = f"/{mount}"
        self.oauth = OAuth(clock, accepts_public_clients=shape.is_new)
        super().__init__(clock)

    @override
    def routes(self) -> list[Route]:
        jobs = [
            Route("GET", "/health", self._get_health, public=True),
            Route("POST", "/table-groups/{table_group_id}/profiling-runs", self._submit_profiling),
            Route("POST", "/test-suites/{test_suite_id}/test-runs", self._submit_tests),
            Route("POST", "/test-suites/{test_suite_id}/test-generation", self._submit_generation),
            Route("GET", "/jobs/{job_id}", self._get_job),
            Route("POST", "/jobs/{job_id}/cancel", self._cancel_job),
            Route("GET", "/projects/{project_code}/jobs", self._list_jobs),
            Route("GET", "/test-runs/{job_id}", self._get_test_run),
            Route("GET", "/profiling-runs/{job_id}", self._get_profiling_run),
        ]
        listings = Listings(self).routes() if self.shape.is_new else []
        api = [route._replace(path=f"/api/v1{route.path}") for route in [*jobs, *listings]]
        links = [
            Route("GET", f"/ui/{page}", self._get_ui_page, public=True)
            for page in ("test-runs:results", "profiling-runs:results", "profiling-runs:hygiene")
        ]
        return [*api, Route("GET", "/api/openapi.json", self._get_openapi, public=True), *self.oauth.routes(), *links]

    @override
    def add_default_targets(self) -> None:
        for entry in catalog.default_entries():
            self.add_target(entry.kind, entry.id, entry.defaults, **entry.fields)

    @override
    def reset(self) -> None:
        super().reset()
        self.oauth.reset()

    @override
    def add_target(self, kind: str, target_id: str, defaults: Behavior, **fields: Any) -> Target:
        default_fields: dict[str, Any] = {"name": target_id, "connection_id": 1, "connection_name": "default"}
        if kind == catalog.TABLE_GROUP:
            default_fields["schema_name"] = "demo"
        else:
            default_fields["table_group_id"] = well_known.TABLE_GROUP
        return super().add_target(kind, target_id, defaults, **{**default_fields, **fields})

    @override
    def normalize_target_id(self, kind: str, target_id: str) -> str:
        return str(uuid.UUID(target_id))

    @override
    def check_credentials(self, request: ApiRequest) -> Credentials:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if request.segments[:1] == ("oauth",):
            return "valid" if self.oauth.is_valid_client(request) else "invalid"
        if scheme.lower() != "bearer" or not token.strip():
            return "missing"
        return "valid" if self.oauth.is_valid_token(token.strip()) else "invalid"

    @override
    def unauthorized(self, credentials: Credentials) -> ApiResponse:
        # TestGen treats any scheme other than Bearer like missing credentials.
        detail = "Not authenticated" if credentials == "missing" else "Invalid or expired token"
        return ApiResponse(401, {"detail": detail}, headers={"WWW-Authenticate": "Bearer"})

    @override
    def run_status(self, run: Run, now: float) -> str:
        return shapes.job_status(run, now)

    @override
    def generate_id(self) -> str:
        return str(uuid.uuid4())

    @override
    def format_end_time(self, field: str, now: float) -> str | None:
        return shapes.format_time(now)

    @override
    def error_response(self, status: int) -> ApiResponse:
        if status == 401:
            return self.unauthorized("invalid")
        if status == 404:
            return not_found().response
        if status == 409:
            return api_error(409, "invalid_status_transition", "Cannot cancel job in 'completed' status")
        if status == 500:
            return ApiResponse(500, "Internal Server Error", content_type="text/plain")
        reason = _REASONS.get(status, "Error")
        return gateway_error(status, reason) if status > 500 else ApiResponse(status, {"detail": reason})

    @override
    def route_not_found(self, request: ApiRequest) -> ApiResponse:
        if request.segments[-1] == "" and isinstance(self.router.find(request.method, request.segments[:-1]), Match):
            query = f"?{request.query_string}" if request.query_string else ""
            location = request.origin + request.path.removesuffix("/") + query
            return ApiResponse(307, "", content_type="text/plain", headers={"Location": location})
        return ApiResponse(404, {"detail": "Not Found"})

    # --- also used by the listings

    def check_project(self, project_code: str) -> None:
        """Rejects all projects except the only one."""
        if project_code != well_known.TESTGEN_PROJECT:
            raise not_found()

    def find_target(self, kind: str, target_id: str) -> Target:
        """Returns a suite or table group."""
        target = self.targets.get(target_id)
        if target is None or target.kind != kind:
            raise not_found()
        return target

    def find_run(self, job_id: str, kind: str | None = None) -> Run:
        """Returns a job. Jobs of another kind and jobs of the system itself are treated as nonexistent."""
        run = self.runs.get(job_id)
        if run is None or run.source == "system" or kind not in (None, run.kind) or run.kind not in self.shape.job_keys:
            raise not_found()
        return run

    def findings(self, run: Run) -> Findings:
        """Returns the findings of the completed run."""
        return _findings(json.dumps(dict(run.plan.options), sort_keys=True), run.target_id)

    # --- endpoints

    def _get_health(self, request: ApiRequest) -> ApiResponse:
        # The version is null in every installation from a package, so a client cannot rely on it.
        return ApiResponse(200, {"status": "ok", "edition": "TestGen", "version": None})

    def _get_openapi(self, request: ApiRequest) -> ApiResponse:
        return ApiResponse(200, openapi.build_document(self.router.routes, self.shape))

    def _get_ui_page(self, request: ApiRequest) -> ApiResponse:
        """The page that a deep link opens. A client's UI URL is the base URL with `/ui`."""
        run, now = self.find_run(request.query.get("run_id", "")), self.clock.now()
        if run.kind == TESTS:
            suite = self.targets[run.target_id].fields
            run_fields = shapes.render_test_run(run, self.findings(run), suite, self.shape, now)
        else:
            run_fields = shapes.render_profiling_run(run, self.findings(run), self.shape, now)
        text = json.dumps({**shapes.render_job(run, now), **run_fields}, indent=2)
        page = f"<!DOCTYPE html><title>{self.title}</title><h1>{self.title}: simulation</h1>"
        return ApiResponse(200, f"{page}<pre>{escape(text, quote=False)}</pre>", content_type="text/html")

    def _submit_profiling(self, request: ApiRequest, table_group_id: str) -> ApiResponse:
        return self._submit(request, catalog.TABLE_GROUP, "table_group_id", table_group_id, PROFILE, parse_body=None)

    def _submit_tests(self, request: ApiRequest, test_suite_id: str) -> ApiResponse:
        parse_body = parse_test_run_body if self.shape.is_new else None
        return self._submit(request, catalog.TEST_SUITE, "test_suite_id", test_suite_id, TESTS, parse_body=parse_body)

    def _submit_generation(self, request: ApiRequest, test_suite_id: str) -> ApiResponse:
        parse_body = _parse_generation_body if self.shape.is_new else None
        return self._submit(
            request, catalog.TEST_SUITE, "test_suite_id", test_suite_id, GENERATION, parse_body=parse_body
        )

    def _submit(
        self,
        request: ApiRequest,
        kind: str,
        parameter: str,
        raw_id: str,
        job_key: str,
        *,
        parse_body: Callable[[Validation], dict[str, Any]] | None,
    ) -> ApiResponse:
        validation = Validation(request)
        target_id = validation.uuid("path", parameter, raw_id)
        body = parse_body(validation) if parse_body else None
        validation.raise_errors()
        run = self.start_run(self.find_target(kind, target_id), kind=job_key, body=body)
        return ApiResponse(202, {"id": run.id, "created_at": shapes.format_time(run.created_at)}, started_run=run.id)

    def _get_job(self, request: ApiRequest, job_id: str) -> ApiResponse:
        return ApiResponse(200, shapes.render_job(self._find_job(request, job_id), self.clock.now()))

    def _cancel_job(self, request: ApiRequest, job_id: str) -> ApiResponse:
        run, now = self._find_job(request, job_id), self.clock.now()
        if run.phase(now) is Phase.ENDED:
            detail = f"Cannot cancel job in '{shapes.job_status(run, now)}' status"
            return api_error(409, "invalid_status_transition", detail)
        if run.cancel_requested_at is None:
            run.cancel_requested_at = now
        return ApiResponse(200, shapes.render_job(run, now))

    def _list_jobs(self, request: ApiRequest, project_code: str) -> ApiResponse:
        validation, now = Validation(request), self.clock.now()
        job_key = validation.choice("job_key", self.shape.job_keys)
        status = validation.choice("status", self.shape.statuses)
        page, limit = validation.page()
        validation.raise_errors()
        self.check_project(project_code)
        runs = [
            run
            for run in reversed(self.runs.values())
            if (run.kind == job_key if job_key else run.kind in self.shape.job_keys)
            and run.source != "system"
            and (status is None or shapes.job_status(run, now) == status)
        ]
        return make_page(runs, page, limit, lambda run: shapes.render_job(run, now))

    def _get_test_run(self, request: ApiRequest, job_id: str) -> ApiResponse:
        run = self._find_job(request, job_id, TESTS)
        suite = self.targets[run.target_id].fields
        return ApiResponse(200, shapes.render_test_run(run, self.findings(run), suite, self.shape, self.clock.now()))

    def _get_profiling_run(self, request: ApiRequest, job_id: str) -> ApiResponse:
        run = self._find_job(request, job_id, PROFILE)
        return ApiResponse(200, shapes.render_profiling_run(run, self.findings(run), self.shape, self.clock.now()))

    def _find_job(self, request: ApiRequest, job_id: str, kind: str | None = None) -> Run:
        validation = Validation(request)
        job_id = validation.uuid("path", "job_id", job_id)
        validation.raise_errors()
        return self.find_run(job_id, kind)


def _parse_generation_body(validation: Validation) -> dict[str, Any]:
    body = validation.json_body(("generation_sets",)) or {}
    sets = body.get("generation_sets") or []
    validation.raise_errors()
    for name in sets:
        if name not in _GENERATION_SETS:
            raise RejectedError(api_error(400, "invalid_generation_set", f"Unknown generation set '{name}'"))
    return body


@lru_cache(maxsize=512)
def _findings(options: str, target_id: str) -> Findings:
    return Findings.from_options(json.loads(options), target_id)
