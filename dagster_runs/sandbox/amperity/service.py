"""Simulates Amperity's API of 2024-04-01, limited to workflows.

Documented: the endpoints, their headers, bodies, filters and cursors, the statuses of errors, the rate limit. Not
documented, so assumed here: a wrong tenant is 403, a filter by an unknown state finds nothing, an unknown parameter is
400, lists are newest first with 20 entries per page, the errors of the token endpoint have the API's shape, the token
endpoint has no rate limit, and requests above the limit count too.

Options of `Behavior`:
    state_case: The case of states: `lower` ("in progress"), `title` ("In progress"), `kebab`, `snake`. `hold` is not
        changed.
    state_names: `fetch` (started, in progress, stopping) or `stop` (running, canceling), from two pages of the
        documentation.
    stopped_state: `canceled` (as in samples) or `stopped` (as in the UI).
    start_status: 201 (specification) or 200 (older pages).
    tasks: For each task, its outcome (`succeeded`, `failed`, `skipped`, or any text), or a dict with `label`, `outcome`
        and `error`.
    task_start: The field with a task's start: `created_at` or `started_at`.
    attribution: The attribution of the error: `customer`, `platform`, or None for none.
    error_type: The type of the error.
    error_data: The data of the error. Without this option the error has no such field.
    warn_after_ms: The value of this field of the workflow.

Settings of `configure`:
    requests_per_second: The rate limit. Default: 10.
    last_token: How the last page is marked: `absent` or `empty` token.
    list_defaults: Whether a list without `state` and `type` contains only succeeded courier groups, according to the
        defaults in the specification. Default: False.
    list_errors: Whether lists contain errors, as in one sample. Default: False.
    version_status: The status for an unknown api-version: 401 or 400.

A run with failed tasks is `running with failures` from the first failure on. With `cancel_seconds=0` the response to a
stop is already `canceled`, as in the sample.
"""

from __future__ import annotations

import secrets
import string
from typing import Any, ClassVar

from typing_extensions import override

from dagster_runs.sandbox import well_known
from dagster_runs.sandbox.amperity import listing, times, workflow
from dagster_runs.sandbox.amperity.errors import (
    CAMPAIGN,
    COURIER_GROUP,
    ORCHESTRATION_GROUP,
    PREFIXES,
    check_query,
    error_response,
    parse_start_body,
    rejection,
)
from dagster_runs.sandbox.amperity.oauth import OAuth
from dagster_runs.sandbox.behavior import Behavior
from dagster_runs.sandbox.clock import Clock, to_utc
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse, Route
from dagster_runs.sandbox.log import Credentials
from dagster_runs.sandbox.runs import Phase, Run, Target
from dagster_runs.sandbox.vendor import Vendor, gateway_error

_API_VERSION = "2024-04-01"
_ALPHABET = string.ascii_letters + string.digits
_REASONS = {
    400: "Bad Request",
    401: "Authentication Required",
    403: "Not Authorized",
    404: "Not Found",
    405: "Method not Allowed",
    409: "The request conflicts with the current state",
    429: "Too Many Requests",
    500: "Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class Amperity(Vendor):
    """Amperity at `/amperity/api`."""

    name = "amperity"
    mount = "amperity"
    title = "Amperity"
    base_path = "/amperity/api"
    connection_info: ClassVar = {
        "Tenant": well_known.AMPERITY_TENANT,
        "Bearer token": well_known.AMPERITY_TOKEN,
        "OAuth client id": well_known.AMPERITY_CLIENT_ID,
        "OAuth client secret": well_known.AMPERITY_CLIENT_SECRET,
        "OAuth token endpoint": "<base URL>/v0/oauth2/token",
    }
    run_kinds: ClassVar = {
        COURIER_GROUP: (workflow.COURIER_GROUP_RUN,),
        ORCHESTRATION_GROUP: (workflow.ORCHESTRATION_GROUP_RUN,),
        CAMPAIGN: (workflow.CAMPAIGN_SEND, workflow.CAMPAIGN_FETCH),
    }
    options = frozenset(
        {
            "state_case",
            "state_names",
            "stopped_state",
            "start_status",
            "tasks",
            "task_start",
            "attribution",
            "error_type",
            "error_data",
            "warn_after_ms",
        }
    )
    default_settings: ClassVar = {
        "requests_per_second": 10,
        "last_token": "absent",
        "list_defaults": False,
        "list_errors": False,
        "version_status": 401,
    }
    choices: ClassVar = {
        "state_case": workflow.STATE_CASES,
        "state_names": ("fetch", "stop"),
        "stopped_state": ("canceled", "stopped"),
        "start_status": (201, 200),
        "task_start": ("created_at", "started_at"),
        "attribution": ("customer", "platform", None),
        "last_token": ("absent", "empty"),
        "list_defaults": (False, True),
        "list_errors": (False, True),
        "version_status": (401, 400),
    }
    state_field = "state"
    end_fields = ("ended_at",)

    def __init__(self, clock: Clock) -> None:
        self.oauth = OAuth(clock)
        super().__init__(clock)

    @override
    def routes(self) -> list[Route]:
        return [
            Route("POST", "/api/workflow/runs", self._start_workflow),
            Route("GET", "/api/workflow/runs", self._list_workflows),
            Route("GET", "/api/workflow/runs/{run_id}", self._get_workflow),
            Route("POST", "/api/workflow/runs/{run_id}/stop", self._stop_workflow),
            Route("GET", "/api/campaigns", self._list_campaigns),
            *self.oauth.routes(),
        ]

    @override
    def add_default_targets(self) -> None:
        failing = Behavior(
            running_seconds=12.0,
            outcome="fail",
            tasks=["succeeded", "failed", "succeeded", "skipped"],
            error_data=None,
        )
        longer = Behavior(running_seconds=18.0)
        shorter = Behavior(running_seconds=12.0)
        slow = Behavior(running_seconds=3600.0)
        delivery = {"deliver_at": "2026-12-24T20:30:00Z", "destination_data_template_id": "ptg-1abcAB4C2"}
        self.add_target(COURIER_GROUP, well_known.AMPERITY_COURIERS, longer, name="Daily")
        self.add_target(COURIER_GROUP, well_known.AMPERITY_FILES, shorter, name="Daily files", file_based=True)
        self.add_target(COURIER_GROUP, well_known.AMPERITY_FAILING, failing, name="Loyalty Membership")
        self.add_target(COURIER_GROUP, well_known.AMPERITY_SLOW, slow, name="Full refresh")
        self.add_target(ORCHESTRATION_GROUP, well_known.AMPERITY_ORCHESTRATION, shorter, name="Braze")
        self.add_target(CAMPAIGN, well_known.AMPERITY_CAMPAIGN, Behavior(), name="Holiday Campaign", **delivery)

    @override
    def reset(self) -> None:
        super().reset()
        self.oauth.reset()

    @override
    def add_target(self, kind: str, target_id: str, defaults: Behavior, **fields: Any) -> Target:
        return super().add_target(kind, target_id, defaults, **{"name": target_id, **fields})

    @override
    def normalize_target_id(self, kind: str, target_id: str) -> str:
        prefix = next(prefix for prefix, prefix_kind in PREFIXES.items() if prefix_kind == kind)
        if not target_id.startswith(prefix):
            raise ValueError(f"the id of a {kind} must begin with {prefix}, got {target_id!r}")
        return target_id

    @override
    def check_options(self, behavior: Behavior) -> None:
        super().check_options(behavior)
        workflow.check_tasks(behavior)

    @override
    def account_of(self, request: ApiRequest) -> str | None:
        return None if _is_token_request(request) else request.headers.get("amperity-tenant", "")

    @override
    def check_credentials(self, request: ApiRequest) -> Credentials:
        if _is_token_request(request):
            return "valid" if self.oauth.is_valid_client(request) else "invalid"
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return "missing"
        return "valid" if self.oauth.is_valid_token(token.strip()) else "invalid"

    @override
    def unauthorized(self, credentials: Credentials) -> ApiResponse:
        return error_response(401, _REASONS[401] if credentials == "missing" else "Invalid or expired access token")

    @override
    def validate_request(self, request: ApiRequest) -> ApiResponse | None:
        tenant = request.headers.get("amperity-tenant")
        if not tenant:
            return error_response(400, "Missing required header: amperity-tenant")
        if tenant != well_known.AMPERITY_TENANT:
            return error_response(403, f"Not authorized for tenant '{tenant}'")
        # The header takes precedence over the parameter.
        version = request.headers.get("api-version") or request.query.get("api_version")
        if not version:
            return error_response(400, "Missing required header: api-version")
        if version != _API_VERSION:
            return error_response(self.settings["version_status"], f"Invalid API version identifier: '{version}'")
        return None

    @override
    def run_status(self, run: Run, now: float) -> str:
        return workflow.workflow_state(run, now)

    @override
    def generate_id(self) -> str:
        day, number = to_utc(self.clock.now()).strftime("%Y%m%d"), 10_000 + secrets.randbelow(90_000)
        return f"wf-{day}-{number}-{''.join(secrets.choice(_ALPHABET) for _ in range(6))}"

    @override
    def format_end_time(self, field: str, now: float) -> str:
        return times.format_time(now)

    @override
    def set_state(self, body: dict[str, Any], state: str, *, ended: bool, now: float) -> bool:
        items = body.get("data")
        if isinstance(items, list):
            # Uses sum(), because any() would stop after the first changed entry.
            return sum(self.set_state(item, state, ended=ended, now=now) for item in items) > 0
        changed = super().set_state(body, state, ended=ended, now=now)
        if changed and not ended:
            body.pop("ended_at", None)
        return changed

    @override
    def error_response(self, status: int) -> ApiResponse:
        reason = _REASONS.get(status, "Error")
        # 502 and 504 come from a proxy, and are not documented.
        return gateway_error(status, reason) if status in (502, 504) else error_response(status, reason)

    # --- endpoints

    def _start_workflow(self, request: ApiRequest) -> ApiResponse:
        check_query(request, ())
        body = parse_start_body(request)
        target = self.targets.get(body["config_id"])
        if target is None:
            raise rejection(400, f"Can't find configuration with ID '{body['config_id']}'")
        if target.fields.get("file_based") and "range_from" not in body:
            raise rejection(400, "range_from must be specified for a courier group that pulls files")
        run = self.start_run(target, body=body)
        status = run.plan.options.get("start_status", 201)
        return ApiResponse(
            status, workflow.render_started(run, *self._name_and_tenant(run), self.clock.now()), started_run=run.id
        )

    def _list_workflows(self, request: ApiRequest) -> ApiResponse:
        check_query(request, (*listing.FILTERS, *listing.PAGING_PARAMETERS))
        now = self.clock.now()
        newest_first = list(reversed(self.runs.values()))
        runs = listing.filter_runs(newest_first, request, now, self.settings)
        return listing.make_page(runs, request, self.settings, self._render_list_item)

    def _render_list_item(self, run: Run) -> dict[str, Any]:
        now = self.clock.now()
        response = {**workflow.render_overview(run, *self._name_and_tenant(run), now), **workflow.render_principal(run)}
        error = workflow.render_error(run, now) if self.settings["list_errors"] else None
        return response if error is None else {"error": error, **response}

    def _get_workflow(self, request: ApiRequest, run_id: str) -> ApiResponse:
        check_query(request, ("view",))
        view = request.query.get("view", "overview")
        if view not in ("overview", "verbose"):
            raise rejection(400, f"view must be overview or verbose, got '{view}'")
        run = self._find_run(run_id)
        render = workflow.render_overview if view == "overview" else workflow.render_verbose
        return ApiResponse(200, render(run, *self._name_and_tenant(run), self.clock.now()))

    def _stop_workflow(self, request: ApiRequest, run_id: str) -> ApiResponse:
        check_query(request, ())
        run, now = self._find_run(run_id), self.clock.now()
        if run.phase(now) is Phase.ENDED:
            raise rejection(409, f"Workflow {run.id} has already ended: {self.run_status(run, now)}")
        if run.cancel_requested_at is None:
            run.cancel_requested_at = now
        return ApiResponse(
            200, {**workflow.render_overview(run, *self._name_and_tenant(run), now), "task_instances": []}
        )

    def _list_campaigns(self, request: ApiRequest) -> ApiResponse:
        check_query(request, ("destination_data_template_id", *listing.PAGING_PARAMETERS))
        template = request.query.get("destination_data_template_id")
        campaigns = [
            target
            for target in self.targets.values()
            if target.kind == CAMPAIGN and template in (None, target.fields.get("destination_data_template_id"))
        ]
        return listing.make_page(campaigns, request, self.settings, _render_campaign)

    def _find_run(self, run_id: str) -> Run:
        run = self.runs.get(run_id)
        if run is None:
            raise rejection(404, f"Can't find workflow with ID '{run_id}'")
        return run

    def _name_and_tenant(self, run: Run) -> tuple[str, str]:
        return str(self.targets[run.target_id].fields["name"]), well_known.AMPERITY_TENANT


def _is_token_request(request: ApiRequest) -> bool:
    return request.segments == ("api", "v0", "oauth2", "token")


def _render_campaign(target: Target) -> dict[str, Any]:
    deliver_at = target.fields.get("deliver_at")
    campaign = {"id": target.id, "name": target.fields["name"]}
    return campaign if deliver_at is None else {**campaign, "deliver_at": deliver_at}
