"""Tests each row of the table "Cancel or leave" in ARCHITECTURE.md, and what a failed run still reports."""

import os
import signal
from collections.abc import Callable

import dagster as dg
import pytest

from dagster_runs import build_remote_run_asset
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.transport.clock import use_clock
from tests.remote_run.materializing import (
    PROFILES,
    TESTS,
    checks,
    entries,
    failure,
    materialize,
    run_profiles,
    run_tests,
)
from tests.remote_run.reexecuting import (
    AtPause,
    at_pause,
    leave_going,
    mark_as_terminated,
    reexecute,
    signalled,
    terminate,
)

pytestmark = pytest.mark.usefixtures("clock")
RETRIES = dg.RetryPolicy(max_retries=3)


@pytest.mark.parametrize("with_signal", [True, False], ids=["with a signal", "without a signal"])
class TestTermination:
    def terminate(self, instance: dg.DagsterInstance, with_signal: bool) -> Callable[[], None]:
        def terminate_run() -> None:
            mark_as_terminated(instance)
            if with_signal:
                signalled()

        return terminate_run

    @pytest.mark.covers("testgen.endpoint.cancel", "cancel.terminate", "cancel.no-signal")
    def test_termination_cancels_the_remote_run_and_is_not_retried(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, with_signal: bool
    ) -> None:
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=3600))
        with at_pause(sandbox, self.terminate(instance, with_signal)):
            result = run_tests(sandbox, instance, retry_policy=RETRIES)
        assert "the Dagster run was terminated" in failure(result)
        [run] = sandbox.runs("testgen")
        assert run.state == "canceled"
        assert not [event for event in result.all_events if event.is_step_up_for_retry]

    @pytest.mark.covers("rudderstack.endpoint.stop", "cancel.cannot-cancel")
    def test_termination_reports_that_the_vendor_cannot_cancel(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, with_signal: bool
    ) -> None:
        sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=3600))
        with at_pause(sandbox, self.terminate(instance, with_signal)):
            result = run_profiles(sandbox, instance, retry_policy=RETRIES)
        [run] = sandbox.runs("rudderstack")
        assert run.state == "running"
        message = failure(result)
        assert f"RudderStack cannot cancel Profiles run {run.id}" in message
        assert "https://app.rudderstack.com" in message
        log_lines = [record.user_message for record in instance.all_logs(result.run_id)]
        assert any("through its API, so the run is still active" in line for line in log_lines)

    @pytest.mark.covers("cancel.unconfirmed")
    def test_termination_reports_an_unconfirmed_cancel(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, with_signal: bool
    ) -> None:
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=36000, cancel_seconds=36000))
        with at_pause(sandbox, self.terminate(instance, with_signal)):
            result = run_tests(sandbox, instance)
        assert "did not confirm within 60 s" in failure(result)

    @pytest.mark.covers("testgen.error.409-cancel-after-end", "cancel.success-meanwhile")
    def test_termination_tolerates_a_run_that_just_finished(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, with_signal: bool
    ) -> None:
        terminate = self.terminate(instance, with_signal)

        def terminate_run() -> None:
            sandbox.advance(3600)
            terminate()

        with at_pause(sandbox, terminate_run):
            result = run_tests(sandbox, instance)
        assert "ended with status completed" in failure(result)


def test_termination_before_attaching_cancels_the_remote_run(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=3600))
    job, parent = leave_going(sandbox, instance, run=TESTS)
    sandbox.add_fault(Fault("not_found", path="/jobs/", method="GET", times=2))
    with at_pause(sandbox, lambda: mark_as_terminated(instance), pause=1):
        reexecute(job, instance, parent)
    assert [run.state for run in sandbox.runs("testgen")] == ["canceled"]


@pytest.mark.covers("cancel.sigterm")
def test_eviction_leaves_the_run_active_and_the_retry_attaches(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    with at_pause(sandbox, signalled):
        result = run_tests(sandbox, instance, retry_policy=RETRIES)
    assert result.success
    [run] = sandbox.runs("testgen")
    assert run.cancel_requested_at is None
    assert sandbox.starts("testgen") == 1


@pytest.mark.covers("cancel.before-start")
def test_terminated_dagster_run_starts_nothing(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    # Dagster's in-process executor runs a terminated step again if it has a retry policy.
    @dg.asset
    def terminated(context: dg.AssetExecutionContext) -> None:
        mark_as_terminated(context.instance)

    after = build_remote_run_asset(TESTS, key="quality", deps=[terminated], retry_policy=RETRIES)
    result = materialize([terminated, after], sandbox, instance)
    assert not result.success
    assert sandbox.starts("testgen") == 0


@pytest.mark.covers("cancel.before-start")
def test_termination_while_checking_the_earlier_run_starts_nothing(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    job, parent = leave_going(sandbox, instance)
    sandbox.advance(3600)
    [lost] = sandbox.runs("rudderstack")
    sandbox.add_fault(Fault("not_found", path=lost.id))
    # The last pause: after the next poll, the earlier run counts as lost.
    with at_pause(sandbox, lambda: mark_as_terminated(instance), pause=20):
        result = reexecute(job, instance, parent)
    assert not result.success
    assert entries(instance, "features")[2:] == ["gone"]
    assert sandbox.starts("rudderstack") == 1


@pytest.mark.covers("cancel.twice")
def test_second_signal_does_not_stop_the_cancellation(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=3600))

    class RepeatedSignals(AtPause):
        def sleep(self, seconds: float) -> None:
            if len(self.pauses) > 3:
                os.kill(os.getpid(), signal.SIGTERM)  # while the step waits for the cancellation
            super().sleep(seconds)

    with use_clock(RepeatedSignals(sandbox, lambda: terminate(instance), pause=3)):
        result = run_tests(sandbox, instance, retry_policy=RETRIES)
    assert "ended with status canceled" in failure(result)
    assert entries(instance, "quality")[-1] == "ended"


@pytest.mark.parametrize("with_signal", [True, False])
@pytest.mark.covers("cancel.max-runtime")
def test_dagster_run_that_exceeds_its_maximum_runtime_cancels_the_remote_run(
    sandbox: Sandbox, instance: dg.DagsterInstance, *, with_signal: bool
) -> None:
    def exceed_max_runtime() -> None:
        [run] = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        # As run monitoring does, within a moment.
        instance.report_run_canceling(run, message="Canceling due to exceeding maximum runtime")
        instance.report_run_failed(run, "Exceeded maximum runtime")
        if with_signal:
            signalled()

    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=3600))
    with at_pause(sandbox, exceed_max_runtime):
        run_tests(sandbox, instance, retry_policy=RETRIES)
    [run] = sandbox.runs("testgen")
    assert run.state == "canceled"


@pytest.mark.covers("cancel.marked-failed")
def test_dagster_run_marked_as_failed_leaves_the_remote_run_active(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    def fail_dagster_run() -> None:
        [run] = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        instance.report_run_failed(run)  # as run monitoring does

    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=3600))
    with at_pause(sandbox, fail_dagster_run):
        result = run_tests(sandbox, instance, retry_policy=RETRIES)
    assert "has marked this step's Dagster run as failed" in failure(result)
    [run] = sandbox.runs("testgen")
    assert run.cancel_requested_at is None


@pytest.mark.covers("cancel.uncertain-start")
def test_termination_while_a_start_is_uncertain_cancels_the_run_it_finds(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=3600))
    sandbox.add_fault(Fault("lost_response", method="POST", times=1))
    sandbox.add_fault(Fault("status", path="/projects/", times=2))

    with at_pause(sandbox, lambda: terminate(instance)):
        run_tests(sandbox, instance)
    assert [run.state for run in sandbox.runs("testgen")] == ["canceled"]


class TestFailure:
    @pytest.mark.covers("testgen.field.job-error-message", "end.failed")
    def test_failed_run_reports_the_vendor_error_and_fails_the_step(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail", error="warehouse <b>auth</b> failed"))
        result = run_profiles(sandbox, instance)
        assert "warehouse <b>auth</b> failed" in failure(result)
        status = checks(result)["run_status"]
        assert status.passed is False
        assert status.metadata["error"].value == "warehouse <b>auth</b> failed"
        # Dagster renders descriptions as markdown.
        assert "<b>" not in (status.description or "")
        assert entries(instance, "features")[-1] == "ended"
        assert not instance.fetch_materializations(dg.AssetKey("features"), limit=1).records

    @pytest.mark.covers("end.finished-with-error")
    def test_run_that_finished_with_an_error_fails_the_step(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        run = PROFILES.with_fields({"profiles_id": well_known.PROFILES_FINISHED_WITH_ERROR})
        result = materialize([build_remote_run_asset(run, key="features")], sandbox, instance)
        assert not result.success
        assert checks(result)["run_status"].passed is False

    @pytest.mark.covers("end.failed", "retry.step")
    def test_failed_run_is_retried_as_a_new_run(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.set_behavior(PROFILES.target, [Behavior(outcome="fail"), Behavior()])
        result = run_profiles(sandbox, instance, retry_policy=RETRIES)
        assert result.success
        assert sandbox.starts("rudderstack") == 2
        assert checks(result)["run_status"].passed

    @pytest.mark.covers("end.failed")
    def test_failed_run_reports_only_run_status(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        run = TESTS.with_fields({"test_suite_id": well_known.SUITE_DOWN})
        result = materialize([build_remote_run_asset(run, key="quality")], sandbox, instance)
        assert set(checks(result)) == {"run_status"}

    @pytest.mark.covers("testgen.state.canceled", "end.canceled")
    def test_run_canceled_at_the_vendor_fails_the_step(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.set_behavior(TESTS.target, Behavior(outcome="cancel"))
        result = run_tests(sandbox, instance)
        assert "ended with status canceled" in failure(result)
        assert checks(result)["run_status"].passed is False

    @pytest.mark.covers("end.no-details")
    def test_failure_is_reported_when_the_result_cannot_be_fetched(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(TESTS.target, Behavior(outcome="fail", error="disk full"))
        sandbox.add_fault(Fault("status", path="/test-runs/", method="GET"))
        assert "disk full" in failure(run_tests(sandbox, instance))
