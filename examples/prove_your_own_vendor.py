"""Proves Acme's resource and run against a simulation of Acme's API."""

import json
from datetime import datetime, timezone
from typing import Any, ClassVar

from dagster_runs.sandbox import ApiRequest, ApiResponse, Behavior, Route, Run, Sandbox, Vendor
from dagster_runs.testing.vendor_kit import Report, prove_vendor
from examples.your_own_vendor import AcmeForecastRun, AcmeResource


class SimulatedAcme(Vendor):
    """Acme's API: starts, shows, lists and aborts forecasts."""

    name = "acme"
    credentials = "Bearer acme-token-1234"
    run_kinds: ClassVar = {"model": ("forecast",)}
    statuses: ClassVar = {
        "queued": "waiting",
        "running": "computing",
        "succeed": "done",
        "fail": "broken",
        "cancel": "aborted",
    }
    state_field = "phase"
    end_fields = ("ended",)

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/forecasts", self.start),
            Route("GET", "/forecasts", self.list),
            Route("GET", "/forecasts/{forecast_id}", self.get),
            Route("POST", "/forecasts/{forecast_id}/abort", self.abort),
        ]

    def add_default_targets(self) -> None:
        self.add_target("model", "demand", Behavior())

    def start(self, request: ApiRequest) -> ApiResponse:
        body = json.loads(request.body)
        if body["model"] not in self.targets:
            return self.error_response(404)
        run = self.start_run(self.targets[body["model"]], body=body)
        return ApiResponse(201, self.shown(run), started_run=run.id)

    def list(self, request: ApiRequest) -> ApiResponse:
        note = request.query.get("note")
        shown = [self.shown(run) for run in self.runs.values() if (run.body or {}).get("note") == note]
        return ApiResponse(200, {"forecasts": shown})

    def get(self, request: ApiRequest, forecast_id: str) -> ApiResponse:
        run = self.runs.get(forecast_id)
        return self.run_not_found() if run is None else ApiResponse(200, self.shown(run))

    def abort(self, request: ApiRequest, forecast_id: str) -> ApiResponse:
        run = self.runs.get(forecast_id)
        if run is None:
            return self.run_not_found()
        run.cancel_requested_at = self.clock.now()
        return ApiResponse(202, {})

    def shown(self, run: Run) -> dict[str, Any]:
        now = self.clock.now()
        failed = run.outcome == "fail" and run.ended_at(now) is not None
        return {
            "id": run.id,
            "phase": self.run_status(run, now),
            "message": run.plan.error if failed else None,
            "started": time(run.started_at(now)),
            "ended": time(run.ended_at(now)),
            "rows": 365,
        }


def time(at: float | None) -> str | None:
    """Formats a time like Acme."""
    return None if at is None else datetime.fromtimestamp(at, timezone.utc).isoformat()


def prove() -> Report:
    """Runs all scenarios."""
    with Sandbox(vendors=[SimulatedAcme]) as sandbox:
        resource = AcmeResource(token="acme-token-1234", base_url=f"{sandbox.url}/acme")
        return prove_vendor(AcmeForecastRun(model="demand"), resource, sandbox)


if __name__ == "__main__":
    report = prove()
    print(report)
    report.check()
