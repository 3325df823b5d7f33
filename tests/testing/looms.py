"""A small vendor for the tests of the kit: a simulated server, and a resource and a run that are correct."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, ClassVar
from urllib.parse import quote

from pydantic import Field

from dagster_runs.sandbox import ApiRequest, ApiResponse, Behavior, Route, Run, Vendor
from dagster_runs.vendor_sdk import (
    Auth,
    CheckOutcome,
    ConflictError,
    EachReadable,
    ErrorText,
    Lenient,
    ListedRun,
    OptionalTime,
    QualityGate,
    RemoteRun,
    RemoteRunResource,
    RunId,
    RunResult,
    RunState,
    RunStatus,
    StartAttempt,
    StartCandidate,
    UtcTime,
    VendorModel,
    bearer,
    iso,
    parse_state,
)

TOKEN = "loom-token-5e1f90"
PATTERN = "herringbone"
PAGE = 50
STATES = {
    "waiting": RunState.QUEUED,
    "weaving": RunState.RUNNING,
    "done": RunState.SUCCEEDED,
    "torn": RunState.FAILED,
    "stopped": RunState.CANCELED,
}


class SimulatedLooms(Vendor):
    """Weaves patterns, one at a time."""

    name = "looms"
    credentials = f"Bearer {TOKEN}"
    statuses: ClassVar = {
        "queued": "waiting",
        "running": "weaving",
        "succeed": "done",
        "fail": "torn",
        "cancel": "stopped",
    }
    run_kinds: ClassVar = {"pattern": ("weave",)}
    end_fields = ("ended",)
    default_settings: ClassVar = {"is_exclusive": True}

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/weaves", self._start),
            Route("GET", "/weaves", self._list),
            Route("GET", "/weaves/{run_id}", self._get),
            Route("POST", "/weaves/{run_id}/stop", self._stop),
        ]

    def add_default_targets(self) -> None:
        self.add_target("pattern", PATTERN, Behavior())

    def _start(self, request: ApiRequest) -> ApiResponse:
        body = json.loads(request.body)
        target = self.targets.get(body["pattern"])
        if target is None:
            return self.error_response(404)
        if self.settings["is_exclusive"] and any(self.is_active(run) for run in target.runs):
            return ApiResponse(409, {"message": "this pattern is being woven"})
        run = self.start_run(target, body=body)
        return ApiResponse(201, self._shown(run), started_run=run.id)

    def _get(self, request: ApiRequest, run_id: str) -> ApiResponse:
        return ApiResponse(200, self._shown(self.runs[run_id])) if run_id in self.runs else self.run_not_found()

    def _stop(self, request: ApiRequest, run_id: str) -> ApiResponse:
        if run_id not in self.runs:
            return self.run_not_found()
        self.runs[run_id].cancel_requested_at = self.clock.now()
        return ApiResponse(202, {})

    def _list(self, request: ApiRequest) -> ApiResponse:
        first = int(request.query.get("after", "0"))
        shown = [self._shown(run) for run in list(self.runs.values())[first : first + PAGE]]
        more = first + PAGE < len(self.runs)
        return ApiResponse(200, {"weaves": shown, "next": first + PAGE if more else None})

    def _shown(self, run: Run) -> dict[str, Any]:
        now = self.clock.now()
        started, ended = run.started_at(now), run.ended_at(now)
        return {
            "id": run.id,
            "pattern": run.target_id,
            "note": (run.body or {}).get("note"),
            "status": self.run_status(run, now),
            "created": _time(run.created_at),
            "started": started and _time(started),
            "ended": ended and _time(ended),
            "error": run.plan.error if ended and run.outcome == "fail" else None,
            "rows": 12 if ended else None,
        }


def _time(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, timezone.utc).isoformat()


class Weave(VendorModel):
    id: RunId
    status: str
    pattern: Lenient[str] = None
    note: Lenient[str] = None
    created: OptionalTime = None
    started: OptionalTime = None
    ended: OptionalTime = None
    error: ErrorText = None
    rows: Lenient[int] = None


class Weaves(VendorModel):
    weaves: EachReadable[Weave]
    next: int | None = None


class LoomResource(RemoteRunResource):
    vendor = "Looms"
    secret_fields = ("token",)
    token: str = Field(repr=False)
    base_url: str

    def api_url(self) -> str:
        return self.base_url

    def auth(self) -> Auth:
        return bearer(self.secret("token") or "")

    def weaves(self) -> list[Weave]:
        found, after = [], 0
        while after is not None:
            page = self.http().get(["weaves"], params={"after": after}).parse(Weaves)
            found += list(page.weaves)
            after = page.next
        return found

    def list_runs(
        self, since: float, until: float | None = None, targets: Collection[str] = ()
    ) -> Iterator[ListedRun] | None:
        return (self.listed(weave) for weave in self.weaves())

    def listed(self, weave: Weave) -> ListedRun:
        created_at = self.http().by_our_clock(weave.created)
        return ListedRun(weave.id, created_at, parse_state(weave.status, STATES), weave)


class PlainWeaveRun(RemoteRun[LoomResource]):
    """Weaves a pattern, and defines only what is required."""

    vendor, label, resource_key = "Looms", "weave", "looms"
    manual_stop_hint = "To stop it, cut the thread."

    pattern: str = Field(min_length=1)
    customer: str = ""

    @property
    def target(self) -> str:
        return self.pattern

    def body(self, attempt: StartAttempt) -> dict[str, Any]:
        return {"pattern": self.pattern}

    def start(self, resource: LoomResource, attempt: StartAttempt) -> str:
        return resource.http().post_once(["weaves"], json=self.body(attempt)).parse(Weave).id

    def fetch_status(self, resource: LoomResource, run_id: str) -> RunStatus:
        weave = resource.http().get(["weaves", run_id]).parse(Weave)
        return RunStatus(
            parse_state(weave.status, STATES),
            weave.status,
            weave.error,
            created_at=weave.created,
            started_at=weave.started,
            finished_at=weave.ended,
            raw=weave,
        )


class WeaveRun(PlainWeaveRun):
    """Weaves a pattern, with all that the vendor offers.

    Args:
        pattern: The name of the pattern.
        customer: Who gets it.
    """

    data_checks: ClassVar[Any] = {"has_rows": "Whether any rows were woven."}
    partition_window_fields = ("since", "until")
    sensitive_fields = frozenset({"customer"})

    since: UtcTime | None = None
    until: UtcTime | None = None

    def body(self, attempt: StartAttempt) -> dict[str, Any]:
        window = {name: iso(time) for name, time in (("since", self.since), ("until", self.until)) if time}
        return {**super().body(attempt), "note": attempt.correlation_id, **window}

    def fetch_result(
        self, resource: LoomResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        return RunResult({"looms/rows": status.raw.rows}, [CheckOutcome("has_rows", passed=bool(status.raw.rows))])

    def cancel(self, resource: LoomResource, run_id: str) -> None:
        resource.http().send_repeatable("POST", ["weaves", run_id, "stop"], may_be_empty=True)

    def find_started(self, resource: LoomResource, attempt: StartAttempt) -> Sequence[StartCandidate] | None:
        return [StartCandidate(one.id, is_ours=True) for one in resource.weaves() if one.note == attempt.correlation_id]

    def is_conflict_with_active_run(self, error: Exception) -> bool:
        return isinstance(error, ConflictError)

    def target_of_listed(self, resource: LoomResource, listed: ListedRun) -> str | None:
        return listed.raw.pattern

    def run_url(self, resource: LoomResource, run_id: str) -> str | None:
        return f"https://looms.example/weaves/{quote(run_id, safe='')}"
