"""Acme's forecasts as Dagster assets: a complete vendor in one file."""

from collections.abc import Sequence

import dagster as dg
from pydantic import Field

from dagster_runs import build_remote_run_asset
from dagster_runs.vendor_sdk import (
    Auth,
    CheckOutcome,
    ErrorText,
    Lenient,
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

STATES = {
    "waiting": RunState.QUEUED,
    "computing": RunState.RUNNING,
    "done": RunState.SUCCEEDED,
    "broken": RunState.FAILED,
    "aborted": RunState.CANCELED,
}


class Forecast(VendorModel):
    """Acme's response to a start and to a status call. Only the fields that we depend on are required."""

    id: RunId
    phase: str
    message: ErrorText = None
    started: OptionalTime = None
    ended: OptionalTime = None
    rows: Lenient[int] = None


class Forecasts(VendorModel):
    """Acme's list of forecasts."""

    forecasts: list[Forecast]


class AcmeResource(RemoteRunResource):
    """Connection to Acme: a URL and a token."""

    vendor = "Acme"
    secret_fields = ("token",)
    token: str = Field(repr=False)
    base_url: str = "https://api.acme.example/v1"

    def api_url(self) -> str:
        return self.base_url

    def auth(self) -> Auth:
        return bearer(self.secret("token") or "")


class AcmeForecastRun(RemoteRun[AcmeResource]):
    """A forecast by one of Acme's models, based on the data of a time window."""

    vendor, label, resource_key = "Acme", "forecast", "acme"
    data_checks = {"has_rows": "Whether the forecast has any rows."}
    partition_window_fields = ("since", "until")

    model: str = Field(min_length=1)
    since: UtcTime | None = None
    until: UtcTime | None = None

    @property
    def target(self) -> str:
        return self.model

    def start(self, resource: AcmeResource, attempt: StartAttempt) -> str:
        window = {name: iso(time) for name, time in (("since", self.since), ("until", self.until)) if time}
        body = {"model": self.model, "note": attempt.correlation_id, **window}
        return resource.http().post_once(["forecasts"], json=body).parse(Forecast).id

    def fetch_status(self, resource: AcmeResource, run_id: str) -> RunStatus:
        run = resource.http().get(["forecasts", run_id]).parse(Forecast)
        state = parse_state(run.phase, STATES)
        return RunStatus(state, run.phase, run.message, started_at=run.started, finished_at=run.ended, raw=run)

    def fetch_result(
        self, resource: AcmeResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        rows = status.raw.rows
        return RunResult({"acme/rows": rows}, [CheckOutcome("has_rows", passed=bool(rows))])

    def cancel(self, resource: AcmeResource, run_id: str) -> None:
        resource.http().send_repeatable("POST", ["forecasts", run_id, "abort"], may_be_empty=True)

    def find_started(self, resource: AcmeResource, attempt: StartAttempt) -> Sequence[StartCandidate]:
        listed = resource.http().get(["forecasts"], params={"note": attempt.correlation_id}).parse(Forecasts)
        return [StartCandidate(forecast.id, is_ours=True) for forecast in listed.forecasts]


days = dg.DailyPartitionsDefinition(start_date="2026-01-01")
demand = build_remote_run_asset(AcmeForecastRun(model="demand"), key="demand", partitions_def=days)
