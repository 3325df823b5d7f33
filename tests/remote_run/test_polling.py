"""Waiting: a failed look is no failed run; unknown words; timeouts; what people see meanwhile."""

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
def test_an_outage_of_the_status_endpoint_ends_nothing(
    sandbox: Sandbox, instance: dg.DagsterInstance, fault: Fault
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=150))
    sandbox.add_fault(fault)
    assert run_profiles(sandbox, instance).success
    assert sandbox.starts("rudderstack") == 1


@pytest.mark.covers("wait.outage")
def test_an_outage_has_one_line_at_its_beginning_and_one_at_its_end(
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
def test_refused_looks_are_borne_for_ten_minutes_and_cancel_nothing(
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
def test_an_unknown_word_is_still_going_with_one_warning(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("unknown_state", path=STATUS, state="hibernating", times=5))
    result = run_profiles(sandbox, instance)
    assert result.success
    warnings = [r for r in instance.all_logs(result.run_id) if "unknown status 'hibernating'" in r.user_message]
    assert len(warnings) == 1


def test_ever_new_words_do_not_fill_the_log(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    for percent in range(20):
        sandbox.add_fault(Fault("unknown_state", path=STATUS, state=f"{percent}% done", times=1))
    result = run_profiles(sandbox, instance)
    assert result.success
    warnings = [r for r in instance.all_logs(result.run_id) if "unknown status" in r.user_message]
    assert len(warnings) == 5


@pytest.mark.covers("amperity.state.any-other-word", "testgen.state.any-other-word", "wait.unknown-state-ended")
def test_an_unknown_word_with_an_end_is_an_error_that_quotes_it(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("unknown_state", path=STATUS, state="vaporized", ended=True))
    result = run_profiles(sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=3))
    assert "'vaporized'" in failure(result)
    assert sandbox.starts("rudderstack") == 1


@pytest.mark.covers("wait.unknown-state")
def test_an_unknown_word_for_ever_ends_at_the_timeout(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("unknown_state", path=STATUS, state="hibernating"))
    assert "the last status from the vendor was 'hibernating'" in failure(run_profiles(sandbox, instance, timeout=600))


@pytest.mark.covers("wait.404-short")
def test_one_404_after_an_outage_is_no_lost_run(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
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
def test_a_proxys_404_page_is_no_lost_run(
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
    def slow(self, sandbox: Sandbox) -> None:
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=7200))

    @pytest.mark.covers("wait.timeout-leave")
    def test_leaves_the_remote_run_by_default(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        result = run_tests(sandbox, instance, timeout=300, retry_policy=dg.RetryPolicy(max_retries=3))
        assert "did not finish within 300 s" in failure(result)
        [run] = sandbox.runs("testgen")
        assert run.state == "running"
        assert run.cancel_requested_at is None

    @pytest.mark.covers("wait.timeout-cancel")
    def test_cancels_it_if_the_user_wants(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        result = run_tests(sandbox, instance, timeout=300, on_timeout="cancel")
        assert "did not finish within 300 s" in failure(result)
        [run] = sandbox.runs("testgen")
        assert run.state == "canceled"
        assert entries(instance, "quality")[-1] == "ended"

    @pytest.mark.covers("wait.timeout-cancel")
    def test_takes_a_success_that_comes_just_then(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=299))
        sandbox.add_fault(Fault("status", method="GET", path="/jobs/", skip=20, times=25))
        assert run_tests(sandbox, instance, timeout=305, on_timeout="cancel", settings={"max_retries": 0}).success

    def test_is_not_waited_beyond(self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
        begun = time.monotonic()
        run_tests(sandbox, instance, timeout=300)
        took = time.monotonic() - begun  # which counts as well, and is long on a busy machine
        assert 300 - took <= sum(clock.pauses) <= 300


@pytest.mark.covers("testgen.state.paused", "wait.paused")
def test_paused_is_still_going(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(well_known.TABLE_GROUP, Behavior(hold="paused", hold_seconds=200))
    assert materialize([build_remote_run_asset(PROFILING, key="profile")], sandbox, instance).success


@pytest.mark.covers("wait.404-lasting")
def test_a_run_that_vanishes_is_lost_and_a_retry_starts_a_new_one(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.set_behavior(PROFILES.target, [Behavior(running_seconds=7200), Behavior()])

    def forget_first() -> None:
        [first] = sandbox.runs("rudderstack")
        sandbox.add_fault(Fault("not_found", path=first.id))
        sandbox.advance(7200)  # and its project is free again

    with at_pause(sandbox, forget_first, pause=10):
        result = run_profiles(sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=1))
    assert result.success
    assert "gone" in entries(instance, "features")
    assert sandbox.starts("rudderstack") == 2


@pytest.mark.covers("end.success")
def test_what_the_asset_shows_while_the_run_is_going(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    suite = TESTS.with_fields({"test_suite_id": well_known.SUITE_DEFAULT})
    sandbox.set_behavior(suite.target, Behavior(running_seconds=60))
    materialize([build_remote_run_asset(suite, key="quality")], sandbox, instance)
    seen: dict[str, Any] = {}
    for record in instance.fetch_observations(dg.AssetKey("quality"), limit=100, ascending=True).records:
        seen |= {name: value.value for name, value in record.asset_observation.metadata.items()}
    [run] = sandbox.runs("testgen")
    assert seen["dagster_runs/run_id"] == run.id
    assert seen["dagster_runs/url"].endswith(f"test-runs:results?project_code=DEFAULT&run_id={run.id}")
    assert seen["dagster_runs/state"] == "RUNNING"
    assert seen["testgen/progress/tests_passed"] > 0


def test_a_long_run_writes_few_observations(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(well_known.SUITE_DEFAULT, Behavior(running_seconds=3600))
    suite = TESTS.with_fields({"test_suite_id": well_known.SUITE_DEFAULT})
    rare_looks = {"poll_interval": 120}
    result = materialize([build_remote_run_asset(suite, key="quality")], sandbox, instance, settings=rare_looks)
    assert result.success
    looks = [request for request in sandbox.requests("testgen") if "/jobs/" in request.path]
    assert len(looks) > 100
    assert len(instance.fetch_observations(dg.AssetKey("quality"), limit=1000).records) < 25
