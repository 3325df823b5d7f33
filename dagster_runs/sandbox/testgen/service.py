"""Simulates two versions of DataKitchen TestGen: jobs, runs, results and lists.

`testgen` has the shape of 5.134.0, `testgen-old` that of 5.33.3. They have the same suites and table groups, but
separate jobs. Shapes, states and errors match responses of real servers. Not included: connections, scores, monitors,
schedules, notifications, imports and exports, and the browser's part of OAuth.

Options of `Behavior`:
    counts: The counts of test results: `passed`, `failed`, `warning`, `error`, `log`, `dismissed`.
    results: Rows of test results, as in the API. Missing fields, and further rows to match `counts`, are generated.
    tables: The tables of generated results.
    score: The score from 0 to 1; None for a run that never gets one. By default, it is computed from the counts.
    score_delay: Seconds after `completed` during which the score is null.
    table_ct, column_ct, record_ct: The sizes that profiling reports. `table_ct` without `issues` and `pii` means that
        there are none.
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
from dagster_runs.sandbox.exchange import ApiResponse, Call, Match, RefusedError, Route
from dagster_runs.sandbox.log import Credentials
from dagster_runs.sandbox.runs import Phase, Run, Target
from dagster_runs.sandbox.testgen import catalog, openapi
from dagster_runs.sandbox.testgen import shape as shapes
from dagster_runs.sandbox.testgen.listings import Listings
from dagster_runs.sandbox.testgen.oauth import OAuth
from dagster_runs.sandbox.testgen.samples import Findings
from dagster_runs.sandbox.testgen.shape import GENERATION, MONITORS, PROFILE, TESTS, Shape
from dagster_runs.sandbox.testgen.validation import Validation, api_error, not_found, paged, test_run_body
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
_FOUND = frozenset({"issues", "pii", "table_ct", "column_ct", "record_ct", "score"})


class TestGen(Vendor):
    """TestGen at `/testgen` or `/testgen-old`, with the API under `api/v1`."""

    __test__ = False

    logins: ClassVar = {
        "Bearer token": well_known.TESTGEN_TOKEN,
        "OAuth client id": well_known.TESTGEN_CLIENT_ID,
        "OAuth client secret": well_known.TESTGEN_CLIENT_SECRET,
        "OAuth refresh token": well_known.TESTGEN_REFRESH_TOKEN,
        "Project code": well_known.TESTGEN_PROJECT,
    }
    run_kinds: ClassVar = {catalog.GROUP: (PROFILE, MONITORS), catalog.SUITE: (TESTS, GENERATION)}
    options = frozenset(
        {"counts", "results", "tables", "score", "score_delay", "table_ct", "column_ct", "record_ct", "issues", "pii"}
    )
    replaces: ClassVar = {
        "counts": frozenset({"results", "score"}),
        "results": frozenset({"counts", "score"}),
        "table_ct": _FOUND - {"table_ct"},
    }
    end_fields = ("completed_at",)

    def __init__(self, clock: Clock, shape: Shape, mount: str) -> None:
        self.name = self.mount = mount
        self.shape = shape
        self.title = f"DataKitchen TestGen ({'5.134.0' if shape.modern else '5.33.3'})"
        self.base_path = f"/{mount}"
        self.oauth = OAuth(clock)
        super().__init__(clock)

    @override
    def routes(self) -> list[Route]:
        jobs = [
            Route("GET", "/health", self._health, public=True),
            Route("POST", "/table-groups/{table_group_id}/profiling-runs", self._submit_profiling),
            Route("POST", "/test-suites/{test_suite_id}/test-runs", self._submit_tests),
            Route("POST", "/test-suites/{test_suite_id}/test-generation", self._submit_generation),
            Route("GET", "/jobs/{job_id}", self._job),
            Route("POST", "/jobs/{job_id}/cancel", self._cancel),
            Route("GET", "/projects/{project_code}/jobs", self._jobs),
            Route("GET", "/test-runs/{job_id}", self._test_run),
            Route("GET", "/profiling-runs/{job_id}", self._profiling_run),
        ]
        listings = Listings(self).routes() if self.shape.modern else []
        api = [route._replace(path=f"/api/v1{route.path}") for route in [*jobs, *listings]]
        links = [
            Route("GET", f"/ui/{page}", self._link, public=True)
            for page in ("test-runs:results", "profiling-runs:results", "profiling-runs:hygiene")
        ]
        return [*api, Route("GET", "/api/openapi.json", self._openapi, public=True), *self.oauth.routes(), *links]

    @override
    def load_defaults(self) -> None:
        for entry in catalog.entries():
            self.add_target(entry.kind, entry.id, entry.defaults, **entry.fields)

    @override
    def reset(self) -> None:
        super().reset()
        self.oauth.reset()

    @override
    def add_target(self, kind: str, target_id: str, defaults: Behavior, **fields: Any) -> Target:
        usual: dict[str, Any] = {"name": target_id, "connection_id": 1, "connection_name": "default"}
        if kind == catalog.GROUP:
            usual["schema_name"] = "demo"
        else:
            usual["table_group_id"] = well_known.TABLE_GROUP
        return super().add_target(kind, target_id, defaults, **{**usual, **fields})

    @override
    def check_target(self, kind: str, target_id: str) -> str:
        return str(uuid.UUID(target_id))

    @override
    def credentials(self, call: Call) -> Credentials:
        scheme, _, token = call.headers.get("Authorization", "").partition(" ")
        if call.segments[:1] == ("oauth",):
            return "valid" if self.oauth.accepts_client(call) else "invalid"
        if scheme.lower() != "bearer" or not token.strip():
            return "missing"
        return "valid" if self.oauth.accepts(token.strip()) else "invalid"

    @override
    def refuse_credentials(self, credentials: Credentials) -> ApiResponse:
        # TestGen treats any scheme other than Bearer like missing credentials.
        detail = "Not authenticated" if credentials == "missing" else "Invalid or expired token"
        return ApiResponse(401, {"detail": detail}, headers={"WWW-Authenticate": "Bearer"})

    @override
    def word(self, run: Run, now: float) -> str:
        return shapes.status(run, now)

    @override
    def new_id(self) -> str:
        return str(uuid.uuid4())

    @override
    def end_value(self, field: str, now: float) -> str | None:
        return shapes.time(now)

    @override
    def error(self, status: int) -> ApiResponse:
        if status == 401:
            return self.refuse_credentials("invalid")
        if status == 404:
            return not_found().answer
        if status == 409:
            return api_error(409, "invalid_status_transition", "Cannot cancel job in 'completed' status")
        if status == 500:
            return ApiResponse(500, "Internal Server Error", content_type="text/plain")
        reason = _REASONS.get(status, "Error")
        return gateway_error(status, reason) if status > 500 else ApiResponse(status, {"detail": reason})

    @override
    def no_route(self, call: Call) -> ApiResponse:
        if call.segments[-1] == "" and isinstance(self.router.find(call.method, call.segments[:-1]), Match):
            query = f"?{call.query_string}" if call.query_string else ""
            location = call.origin + call.path.removesuffix("/") + query
            return ApiResponse(307, "", content_type="text/plain", headers={"Location": location})
        return ApiResponse(404, {"detail": "Not Found"})

    # --- also used by the listings

    def check_project(self, project_code: str) -> None:
        """Refuses all projects except the only one."""
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

    def _health(self, call: Call) -> ApiResponse:
        # The version is null in every installation from a package, so a client cannot rely on it.
        return ApiResponse(200, {"status": "ok", "edition": "TestGen", "version": None})

    def _openapi(self, call: Call) -> ApiResponse:
        return ApiResponse(200, openapi.document(self.router.routes, self.shape))

    def _link(self, call: Call) -> ApiResponse:
        """The page that a deep link opens. A client's UI URL is the base URL with `/ui`."""
        run, now = self.find_run(call.query.get("run_id", "")), self.clock.now()
        if run.kind == TESTS:
            suite = self.targets[run.target_id].fields
            shown = shapes.test_run(run, self.findings(run), suite, self.shape, now)
        else:
            shown = shapes.profiling_run(run, self.findings(run), self.shape, now)
        text = json.dumps({**shapes.job(run, now), **shown}, indent=2)
        page = f"<!DOCTYPE html><title>{self.title}</title><h1>{self.title}: simulation</h1>"
        return ApiResponse(200, f"{page}<pre>{escape(text, quote=False)}</pre>", content_type="text/html")

    def _submit_profiling(self, call: Call, table_group_id: str) -> ApiResponse:
        return self._submit(call, catalog.GROUP, "table_group_id", table_group_id, PROFILE, body=None)

    def _submit_tests(self, call: Call, test_suite_id: str) -> ApiResponse:
        read = test_run_body if self.shape.modern else None
        return self._submit(call, catalog.SUITE, "test_suite_id", test_suite_id, TESTS, body=read)

    def _submit_generation(self, call: Call, test_suite_id: str) -> ApiResponse:
        read = _generation_body if self.shape.modern else None
        return self._submit(call, catalog.SUITE, "test_suite_id", test_suite_id, GENERATION, body=read)

    def _submit(
        self,
        call: Call,
        kind: str,
        parameter: str,
        given: str,
        job_key: str,
        *,
        body: Callable[[Validation], dict[str, Any]] | None,
    ) -> ApiResponse:
        check = Validation(call)
        target_id = check.uuid("path", parameter, given)
        sent = body(check) if body else None
        check.finish()
        run = self.start(self.find_target(kind, target_id), kind=job_key, body=sent)
        return ApiResponse(202, {"id": run.id, "created_at": shapes.time(run.created_at)}, started_run=run.id)

    def _job(self, call: Call, job_id: str) -> ApiResponse:
        return ApiResponse(200, shapes.job(self._run(call, job_id), self.clock.now()))

    def _cancel(self, call: Call, job_id: str) -> ApiResponse:
        run, now = self._run(call, job_id), self.clock.now()
        if run.phase(now) is Phase.ENDED:
            detail = f"Cannot cancel job in '{shapes.status(run, now)}' status"
            return api_error(409, "invalid_status_transition", detail)
        if run.cancel_requested_at is None:
            run.cancel_requested_at = now
        return ApiResponse(200, shapes.job(run, now))

    def _jobs(self, call: Call, project_code: str) -> ApiResponse:
        check, now = Validation(call), self.clock.now()
        job_key = check.choice("job_key", self.shape.job_keys)
        status = check.choice("status", self.shape.statuses)
        page, limit = check.page()
        check.finish()
        self.check_project(project_code)
        runs = [
            run
            for run in reversed(self.runs.values())
            if (run.kind == job_key if job_key else run.kind in self.shape.job_keys)
            and run.source != "system"
            and (status is None or shapes.status(run, now) == status)
        ]
        return paged(runs, page, limit, lambda run: shapes.job(run, now))

    def _test_run(self, call: Call, job_id: str) -> ApiResponse:
        run = self._run(call, job_id, TESTS)
        suite = self.targets[run.target_id].fields
        return ApiResponse(200, shapes.test_run(run, self.findings(run), suite, self.shape, self.clock.now()))

    def _profiling_run(self, call: Call, job_id: str) -> ApiResponse:
        run = self._run(call, job_id, PROFILE)
        return ApiResponse(200, shapes.profiling_run(run, self.findings(run), self.shape, self.clock.now()))

    def _run(self, call: Call, job_id: str, kind: str | None = None) -> Run:
        check = Validation(call)
        job_id = check.uuid("path", "job_id", job_id)
        check.finish()
        return self.find_run(job_id, kind)


def _generation_body(check: Validation) -> dict[str, Any]:
    body = check.json_body(("generation_sets",)) or {}
    sets = body.get("generation_sets") or []
    check.finish()
    for name in sets:
        if name not in _GENERATION_SETS:
            raise RefusedError(api_error(400, "invalid_generation_set", f"Unknown generation set '{name}'"))
    return body


@lru_cache(maxsize=512)
def _findings(options: str, target_id: str) -> Findings:
    return Findings.of(json.loads(options), target_id)
