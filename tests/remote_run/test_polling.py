"""Polling: failed status checks, unknown statuses, timeouts, and what Dagster shows while a run is active."""

import time
from typing import Any

import dagster as dg
import pytest

from dagster_runs import (
    AmperityWorkflowRun,
    ProphecyPipelineRun,
    RemoteRun,
    SegmentflowJourneyRun,
    build_remote_run_asset,
)
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import (
    PROFILES,
    PROFILING,
    TESTS,
    entries,
    failure,
    materialize,
    run_profiles,
    run_tests,
)
from tests.remote_run.reexecuting import at_pause

pytestmark = pytest.mark.usefixtures("clock")
STATUS = "/runs/.*/status"


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", path=STATUS, status=500, times=20),
        Fault("status", path=STATUS, status=429, times=20),
        Fault("html", path=STATUS, times=10),
        Fault("truncated", path=STATUS, times=10),
        Fault("reset", path=STATUS, times=20),
        Fault("missing_field", path=STATUS, field="status", times=10),
        Fault("wrong_type", path=STATUS, field="status", value=["running"], times=10),
        Fault("expired_token", path=STATUS, times=5),
        Fault("not_found", path=STATUS, times=3, skip=2),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}" if fault.status else fault.kind,
)
@pytest.mark.covers("rudderstack.error.500", "wait.outage", "wait.401")
def test_status_endpoint_outage_does_not_fail_the_step(
    sandbox: Sandbox, instance: dg.DagsterInstance, fault: Fault
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=150))
    sandbox.add_fault(fault)
    assert run_profiles(sandbox, instance).success
    assert sandbox.starts("rudderstack") == 1


@pytest.mark.covers("wait.outage")
def test_status_endpoint_outage_is_logged_once_at_its_beginning_and_once_at_its_end(
    sandbox: Sandbox, instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=600))
    sandbox.add_fault(Fault("down", path=STATUS, seconds=300))
    result = run_profiles(sandbox, instance)
    assert result.success
    lines = [record.user_message for record in instance.all_logs(result.run_id)]
    assert len([line for line in lines if "Status check failed for" in line]) == 1
    assert len([line for line in lines if "work again, after" in line]) == 1


@pytest.mark.covers("wait.401-lasting")
def test_status_checks_refused_for_ten_minutes_fail_the_step_without_canceling(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=7200))
    sandbox.add_fault(Fault("expired_token", method="GET"))
    result = run_tests(sandbox, instance, on_timeout="cancel", retry_policy=dg.RetryPolicy(max_retries=3))
    assert "401" in failure(result)
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    [run] = sandbox.runs("testgen")
    assert run.cancel_requested_at is None


@pytest.mark.covers("wait.unknown-state")
def test_unknown_status_counts_as_active_and_warns_once(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("unknown_state", path=STATUS, state="hibernating", times=5))
    result = run_profiles(sandbox, instance)
    assert result.success
    warnings = [r for r in instance.all_logs(result.run_id) if "unknown status 'hibernating'" in r.user_message]
    assert len(warnings) == 1


def test_at_most_five_unknown_statuses_are_logged(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    for percent in range(20):
        sandbox.add_fault(Fault("unknown_state", path=STATUS, state=f"{percent}% done", times=1))
    result = run_profiles(sandbox, instance)
    assert result.success
    warnings = [r for r in instance.all_logs(result.run_id) if "unknown status" in r.user_message]
    assert len(warnings) == 5


@pytest.mark.covers("amperity.state.any-other-word", "testgen.state.any-other-word", "wait.unknown-state-ended")
def test_unknown_status_of_an_ended_run_fails_the_step_and_is_quoted(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.add_fault(Fault("unknown_state", path=STATUS, state="vaporized", ended=True))
    result = run_profiles(sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=3))
    assert "'vaporized'" in failure(result)
    assert sandbox.starts("rudderstack") == 1


@pytest.mark.covers("wait.unknown-state")
def test_run_with_unknown_status_times_out(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("unknown_state", path=STATUS, state="hibernating"))
    assert "the last status from the vendor was 'hibernating'" in failure(run_profiles(sandbox, instance, timeout=600))


@pytest.mark.covers("wait.404-short")
def test_single_404_after_an_outage_does_not_lose_the_run(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=600))
    sandbox.add_fault(Fault("status", path=STATUS, status=503, skip=5, times=60))
    sandbox.add_fault(Fault("not_found", path=STATUS, skip=65, times=1))
    assert run_profiles(sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=1)).success
    assert sandbox.starts("rudderstack") == 1


@pytest.mark.parametrize(
    ("run", "target"),
    [
        (AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS), well_known.AMPERITY_COURIERS),
        (
            ProphecyPipelineRun(
                fabric_id=well_known.PROPHECY_FABRIC,
                project_id=well_known.PROPHECY_PROJECT,
                pipeline_name=well_known.PROPHECY_PIPELINE,
            ),
            well_known.PROPHECY_PIPELINE,
        ),
        (PROFILES, PROFILES.target),
        (
            SegmentflowJourneyRun(journey_key=well_known.SEGMENTFLOW_JOURNEY_KEY, recipient={"userId": "7"}),
            well_known.SEGMENTFLOW_JOURNEY,
        ),
        (TESTS, TESTS.target),
    ],
    ids=lambda given: getattr(given, "vendor", ""),
)
@pytest.mark.covers("wait.404-html")
def test_404_page_of_a_proxy_does_not_lose_the_run(
    run: RemoteRun[Any], target: str, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.configure("amperity", requests_per_second=None)
    sandbox.set_behavior(target, Behavior(running_seconds=300))
    sandbox.add_fault(Fault("html", method="GET", status=404, skip=2, times=20))
    asset = build_remote_run_asset(run, key="remote", retry_policy=dg.RetryPolicy(max_retries=1))
    assert materialize([asset], sandbox, instance, settings={"requests_per_second": None}).success
    assert sandbox.starts(run.vendor.lower()) == 1
    assert entries(instance, "remote") == ["starting", "started"]


class TestTimeout:
    @pytest.fixture(autouse=True)
    def slow_run(self, sandbox: Sandbox) -> None:
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=7200))

    @pytest.mark.covers("wait.timeout-leave")
    def test_timeout_leaves_the_remote_run_active_by_default(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        result = run_tests(sandbox, instance, timeout=300, retry_policy=dg.RetryPolicy(max_retries=3))
        assert "did not finish within 300 s" in failure(result)
        [run] = sandbox.runs("testgen")
        assert run.state == "running"
        assert run.cancel_requested_at is None

    @pytest.mark.covers("wait.timeout-cancel")
    def test_timeout_cancels_the_remote_run_if_on_timeout_is_cancel(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        result = run_tests(sandbox, instance, timeout=300, on_timeout="cancel")
        assert "did not finish within 300 s" in failure(result)
        [run] = sandbox.runs("testgen")
        assert run.state == "canceled"
        assert entries(instance, "quality")[-1] == "ended"

    @pytest.mark.covers("wait.timeout-cancel")
    def test_success_that_arrives_at_the_timeout_is_reported(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=299))
        sandbox.add_fault(Fault("status", method="GET", path="/jobs/", skip=20, times=25))
        assert run_tests(sandbox, instance, timeout=305, on_timeout="cancel", settings={"max_retries": 0}).success

    def test_step_stops_waiting_at_the_timeout(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        started_at = time.monotonic()
        run_tests(sandbox, instance, timeout=300)
        took = time.monotonic() - started_at  # real time counts too, and is long on a busy machine
        assert 300 - took <= sum(clock.pauses) <= 300


@pytest.mark.covers("testgen.state.paused", "wait.paused")
def test_paused_run_counts_as_active(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(well_known.TABLE_GROUP, Behavior(hold="paused", hold_seconds=200))
    assert materialize([build_remote_run_asset(PROFILING, key="profile")], sandbox, instance).success


@pytest.mark.covers("wait.404-lasting")
def test_retry_starts_a_new_run_after_a_lasting_404(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(PROFILES.target, [Behavior(running_seconds=7200), Behavior()])

    def lose_first_run() -> None:
        [first] = sandbox.runs("rudderstack")
        sandbox.add_fault(Fault("not_found", path=first.id))
        sandbox.advance(7200)  # so that its project is free again

    with at_pause(sandbox, lose_first_run, pause=10):
        result = run_profiles(sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=1))
    assert result.success
    assert "gone" in entries(instance, "features")
    assert sandbox.starts("rudderstack") == 2


@pytest.mark.covers("end.success")
def test_asset_shows_the_url_state_and_progress_of_an_active_run(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    suite = TESTS.with_fields({"test_suite_id": well_known.SUITE_DEFAULT})
    sandbox.set_behavior(suite.target, Behavior(running_seconds=60))
    materialize([build_remote_run_asset(suite, key="quality")], sandbox, instance)
    shown: dict[str, Any] = {}
    for record in instance.fetch_observations(dg.AssetKey("quality"), limit=100, ascending=True).records:
        shown |= {name: value.value for name, value in record.asset_observation.metadata.items()}
    [run] = sandbox.runs("testgen")
    assert shown["dagster_runs/run_id"] == run.id
    assert shown["dagster_runs/url"].endswith(f"test-runs:results?project_code=DEFAULT&run_id={run.id}")
    assert shown["dagster_runs/state"] == "RUNNING"
    assert shown["testgen/progress/tests_passed"] > 0


def test_long_run_writes_few_observations(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(well_known.SUITE_DEFAULT, Behavior(running_seconds=3600))
    suite = TESTS.with_fields({"test_suite_id": well_known.SUITE_DEFAULT})
    rare_polls = {"poll_interval": 120}
    result = materialize([build_remote_run_asset(suite, key="quality")], sandbox, instance, settings=rare_polls)
    assert result.success
    polls = [request for request in sandbox.requests("testgen") if "/jobs/" in request.path]
    assert len(polls) > 100
    assert len(instance.fetch_observations(dg.AssetKey("quality"), limit=1000).records) < 25
