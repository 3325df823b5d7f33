"""A start that the vendor refuses: when it is sent again, and what the ledger says."""

from collections.abc import Callable

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Fault, Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import (
    PROFILES,
    TESTS,
    entries,
    failure,
    metadata,
    run_profiles,
)
from tests.remote_run.reexecuting import (
    KEY,
    at_pause,
    dies,
    execute,
    features_job,
    in_another_process,
    job_with,
    mark_as_failed,
    mark_as_terminated,
    reexecute,
    signalled,
)

pytestmark = pytest.mark.usefixtures("clock")


class TestRefusedStarts:
    def test_eviction_between_two_attempts_records_not_started(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(Fault("status", method="POST", status=429, times=2))
        with at_pause(sandbox, signalled, pause=1):
            result = run_profiles(sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=1))
        assert result.success
        assert entries(instance, "features") == ["starting", "not_started", "starting", "started"]

    @pytest.mark.parametrize("ends", [mark_as_terminated, mark_as_failed])
    @pytest.mark.covers("start.terminated-meanwhile")
    def test_nothing_is_started_for_a_finished_dagster_run(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, ends: Callable[[dg.DagsterInstance], None]
    ) -> None:
        sandbox.add_fault(Fault("status", method="POST", status=429, times=1))
        with at_pause(sandbox, lambda: ends(instance), pause=1):
            result = run_profiles(sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=1))
        assert not result.success
        assert sandbox.starts("rudderstack") == 0
        assert entries(instance, "features") == ["starting", "not_started"]

    @pytest.mark.covers("cancel.late-entry")
    def test_late_entry_of_an_older_attempt_does_not_hide_a_newer_start(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(Fault("status", method="POST", status=429, times=1))
        sandbox.add_fault(Fault("lost_response", method="POST", times=1))
        job = job_with(TESTS, sandbox)
        searches_for_the_first_start, died = 7, []

        def reexecute_in_another_process() -> None:
            failed_run_id = mark_as_failed(instance)
            with in_another_process(), at_pause(sandbox, dies, pause=searches_for_the_first_start + 1):
                died.append(reexecute(job, instance, failed_run_id))

        with at_pause(sandbox, reexecute_in_another_process, pause=1):
            execute(job, instance)
        assert entries(instance, KEY) == ["starting", "not_started", "starting", "not_started"]
        assert reexecute(job, instance, died[0].run_id).success
        assert sandbox.starts("testgen") == 1

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
    @pytest.mark.covers("start.refused")
    def test_permanently_refused_start_is_not_retried(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, status: int
    ) -> None:
        sandbox.add_fault(Fault("status", method="POST", status=status))
        result = run_profiles(sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=2))
        assert f"returned {status}" in failure(result)
        assert len(sandbox.requests("rudderstack")) == 1
        assert entries(instance, "features") == ["starting", "not_started"]

    @pytest.mark.covers("rudderstack.rule.rate-limit", "start.429")
    def test_start_is_sent_again_after_a_429(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        sandbox.add_fault(Fault("status", method="POST", status=429, retry_after="7", times=2))
        assert run_profiles(sandbox, instance).success
        assert sandbox.starts("rudderstack") == 1
        assert all(pause >= 7 for pause in clock.pauses[:2])

    @pytest.mark.covers("start.refused")
    def test_next_attempt_starts_after_a_refusal(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.add_fault(Fault("status", method="POST", status=401, times=1))
        job = features_job(sandbox)
        refused = execute(job, instance)
        assert reexecute(job, instance, refused.run_id).success
        assert sandbox.starts("rudderstack") == 1

    @pytest.mark.covers("rudderstack.error.409-project-already-running", "start.conflict")
    def test_conflicting_external_run_is_waited_for_but_not_attached_to(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.start_run(PROFILES.target)
        assert run_profiles(sandbox, instance).success
        external, ours = sandbox.runs("rudderstack")
        assert metadata(instance, "features")["dagster_runs/run_id"] == ours.id
        assert ours.created_at >= (external.ended_at or 0)

    @pytest.mark.covers("start.conflict-fail")
    def test_conflicting_external_run_fails_the_step_if_on_conflict_is_fail(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.start_run(PROFILES.target)
        result = run_profiles(sandbox, instance, on_conflict="fail")
        assert "another run of 2hkeBOp0lGJpMPyur0oXUxxIDhw is active" in failure(result)
        assert sandbox.starts("rudderstack") == 0

    @pytest.mark.covers("start.conflict-timeout")
    def test_conflicting_external_run_is_waited_for_only_until_the_timeout(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=1e6))
        sandbox.start_run(PROFILES.target)
        assert "so this one could not start" in failure(run_profiles(sandbox, instance, timeout=600))
        assert sandbox.starts("rudderstack") == 0
