"""The example vendor of docs/your-own-vendor.md: the features that it inherits, tested against its own server."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import pytest

from dagster_runs import build_completion_sensor, build_remote_run_asset
from dagster_runs.transport.clock import Clock, current_clock, use_clock
from examples import your_own_vendor
from examples.your_own_vendor import AcmeForecastRun, AcmeResource, demand
from tests.lines_of_code import lines_of_code
from tests.remote_run.materializing import checks, failure, metadata
from tests.sensors.driving import Driver

ROOT = Path(__file__).parents[1]
EXAMPLE = Path(your_own_vendor.__file__)
TOKEN = "acme-token-1234"
DAY = "2026-11-03"
RETRIES = dg.RetryPolicy(max_retries=2)


class Acme:
    """Acme's server: a forecast is computing for `polls` status calls, and then ends with `outcome`."""

    def __init__(self) -> None:
        self.forecasts: dict[str, dict[str, Any]] = {}
        self.starts: list[dict[str, Any]] = []
        self.polls = 2
        self.outcome: dict[str, Any] = {"phase": "done", "rows": 365}
        self.responses_to_lose = 0
        self.polls_to_reject = 0
        self.refusal: tuple[int, Any] = (503, {})
        acme = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(*acme.get(self))

            def do_POST(self) -> None:
                self.reply(*acme.post(self))

            def reply(self, status: int, body: Any) -> None:
                if status == 0:
                    return  # hang up
                payload = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @contextmanager
    def serving(self) -> Iterator["Acme"]:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def get(self, request: BaseHTTPRequestHandler) -> tuple[int, Any]:
        if request.headers["Authorization"] != f"Bearer {TOKEN}":
            return 401, {}
        url = urlsplit(request.path)
        if url.query:
            [note] = parse_qs(url.query)["note"]
            return 200, {"forecasts": [forecast for forecast in self.forecasts.values() if forecast["note"] == note]}
        if self.polls_to_reject:
            self.polls_to_reject -= 1
            return self.refusal
        forecast = self.forecasts[url.path.rpartition("/")[2]]
        forecast["looks"] += 1
        if forecast["phase"] == "computing" and forecast["looks"] > self.polls:
            forecast.update(self.outcome, ended="2026-11-22T10:01:30Z")
        return 200, forecast

    def post(self, request: BaseHTTPRequestHandler) -> tuple[int, Any]:
        sent = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        _, _, _, *rest = urlsplit(request.path).path.split("/")
        if rest:
            [forecast_id, verb] = rest
            assert verb == "abort"
            self.forecasts[forecast_id]["phase"] = "aborted"
            return 202, {}
        body = json.loads(sent)
        self.starts.append(body)
        forecast_id = f"f{len(self.starts)}"
        begun = "2026-11-22T10:00:00Z"
        self.forecasts[forecast_id] = {**body, "id": forecast_id, "phase": "computing", "looks": 0, "started": begun}
        if self.responses_to_lose:
            self.responses_to_lose -= 1
            return 0, None
        return 201, self.forecasts[forecast_id]


class InstantClock(Clock):
    """A clock without real pauses; a callback may run during the second pause of a step."""

    def __init__(self, happens: Callable[[], None] | None = None) -> None:
        self._ahead = 0.0
        self._pauses = 0
        self._happens = happens

    def wall(self) -> float:
        return super().wall() + self._ahead

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead

    def sleep(self, seconds: float) -> None:
        self._ahead += seconds
        self._pauses += 1
        if self._pauses == 2 and self._happens is not None:
            self._happens()


@pytest.fixture
def acme() -> Iterator[Acme]:
    with Acme().serving() as acme, use_clock(InstantClock()):
        yield acme


def materialize(acme: Acme, instance: dg.DagsterInstance, **options: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [options.pop("asset", demand)],
        resources={"acme": AcmeResource(token=options.pop("token", TOKEN), base_url=acme.url, max_retries=0)},
        partition_key=options.pop("partition_key", DAY),
        instance=instance,
        raise_on_error=False,
        **options,
    )


def with_retries() -> dg.AssetsDefinition:
    run = AcmeForecastRun(model="demand")
    return build_remote_run_asset(run, key="demand", partitions_def=your_own_vendor.days, retry_policy=RETRIES)


def test_page_contains_the_example_unchanged() -> None:
    page = (ROOT / "docs" / "your-own-vendor.md").read_text()
    assert f"```python\n{EXAMPLE.read_text()}```\n" in page


def test_example_has_fewer_than_100_lines_of_code() -> None:
    assert lines_of_code(EXAMPLE) < 100


def test_partition_starts_a_run_with_its_window_metadata_and_checks(acme: Acme, instance: dg.DagsterInstance) -> None:
    result = materialize(acme, instance)
    assert result.success
    [start] = acme.starts
    assert start.pop("note")
    assert start == {"model": "demand", "since": "2026-11-03T00:00:00Z", "until": "2026-11-04T00:00:00Z"}
    shown = metadata(instance, "demand")
    assert shown["acme/rows"] == 365
    assert shown["dagster_runs/run_id"] == "f1"
    assert shown["dagster_runs/vendor"] == "Acme"
    assert shown["dagster_runs/duration_seconds"] == 90.0
    assert {name: check.passed for name, check in checks(result).items()} == {"run_status": True, "has_rows": True}
    assert instance.get_materialized_partitions(dg.AssetKey("demand")) == {DAY}


def test_single_run_backfill_starts_one_forecast(acme: Acme, instance: dg.DagsterInstance) -> None:
    asset = build_remote_run_asset(
        AcmeForecastRun(model="demand"),
        key="demand",
        partitions_def=your_own_vendor.days,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    tags = {"dagster/asset_partition_range_start": DAY, "dagster/asset_partition_range_end": "2026-11-09"}
    assert materialize(acme, instance, asset=asset, partition_key=None, tags=tags).success
    [start] = acme.starts
    assert (start["since"], start["until"]) == ("2026-11-03T00:00:00Z", "2026-11-10T00:00:00Z")


def test_user_defined_check_fails_on_bad_data_while_the_run_succeeds(acme: Acme, instance: dg.DagsterInstance) -> None:
    acme.outcome = {"phase": "done", "rows": 0}
    result = materialize(acme, instance)
    assert result.success
    assert {name: check.passed for name, check in checks(result).items()} == {"run_status": True, "has_rows": False}


def test_failed_run_reports_the_vendor_error(acme: Acme, instance: dg.DagsterInstance) -> None:
    acme.outcome = {"phase": "broken", "message": "too few rows to learn from"}
    result = materialize(acme, instance)
    assert not result.success
    status = checks(result)["run_status"]
    assert not status.passed
    assert status.metadata["error"].value == "too few rows to learn from"


def test_retry_attaches_to_the_active_run(acme: Acme, instance: dg.DagsterInstance) -> None:
    def signalled() -> None:
        raise dg.DagsterExecutionInterruptedError

    acme.polls = 6
    with use_clock(InstantClock(signalled)):
        result = materialize(acme, instance, asset=with_retries())
    assert result.success
    assert len(acme.starts) == 1
    assert metadata(instance, "demand")["dagster_runs/attached"] is True


def test_termination_cancels_the_run(acme: Acme, instance: dg.DagsterInstance) -> None:
    def terminated() -> None:
        [run] = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        instance.report_run_canceling(run)

    acme.polls = 1000
    with use_clock(InstantClock(terminated)):
        result = materialize(acme, instance, asset=with_retries())
    assert "the Dagster run was terminated" in failure(result)
    assert acme.forecasts["f1"]["phase"] == "aborted"
    assert len(acme.starts) == 1


def test_lost_start_response_starts_no_second_run(acme: Acme, instance: dg.DagsterInstance) -> None:
    acme.responses_to_lose = 1
    assert materialize(acme, instance).success
    assert len(acme.starts) == 1


def test_outage_does_not_end_the_run(acme: Acme, instance: dg.DagsterInstance) -> None:
    acme.polls_to_reject = 5
    assert materialize(acme, instance).success
    assert len(acme.starts) == 1


def test_proxy_404_page_does_not_count_as_a_lost_run(acme: Acme, instance: dg.DagsterInstance) -> None:
    acme.polls_to_reject, acme.refusal = 45, (404, "<html>Log in to go on</html>")
    assert materialize(acme, instance, asset=with_retries()).success
    assert len(acme.starts) == 1


def test_unknown_status_is_not_a_success(acme: Acme, instance: dg.DagsterInstance) -> None:
    acme.outcome = {"phase": "marvellous"}
    result = materialize(acme, instance)
    assert not result.success
    assert "marvellous" in failure(result)


@pytest.mark.parametrize(("outcome", "ends_well"), [({}, True), ({"phase": "broken", "message": "too few"}, False)])
def test_runs_can_be_deferred(
    acme: Acme, instance: dg.DagsterInstance, outcome: dict[str, Any], ends_well: bool
) -> None:
    acme.outcome = acme.outcome | outcome
    run = AcmeForecastRun(model="demand")
    asset = build_remote_run_asset(run, key="demand", partitions_def=your_own_vendor.days, wait="defer")
    assert materialize(acme, instance, asset=asset).success
    resources = {"acme": AcmeResource(token=TOKEN, base_url=acme.url, max_retries=0)}
    driver = Driver(build_completion_sensor([asset]), [asset], None, instance, resources=resources)
    for _ in range(8):
        driver.tick()
        current_clock().sleep(60)
    assert len(acme.starts) == 1
    assert instance.get_materialized_partitions(dg.AssetKey("demand")) == ({DAY} if ends_well else set())
    assert [run.success for run in driver.runs] == ([] if ends_well else [False])


def test_launchpad_overrides_a_field(acme: Acme, instance: dg.DagsterInstance) -> None:
    assert materialize(acme, instance, run_config={"ops": {"demand": {"config": {"model": "returns"}}}}).success
    assert acme.starts[0]["model"] == "returns"


def test_wrong_token_is_reported_without_the_token(acme: Acme, instance: dg.DagsterInstance) -> None:
    result = materialize(acme, instance, token="another-token-5678")
    assert not result.success
    message = "\n".join(str(event) for event in instance.all_logs(result.run_id))
    assert "another-token-5678" not in message
    assert "401" in message
