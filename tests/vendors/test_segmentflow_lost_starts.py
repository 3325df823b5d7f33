"""Segmentflow: after a lost start response, the idempotency key finds the run, or the outcome is unknown."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import SegmentflowJourneyRun
from dagster_runs.sandbox import Fault, Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import entries, failure, metadata
from tests.remote_run.reexecuting import KEY, at_pause, dies, execute, job_with, reexecute, signalled
from tests.vendors.segmentflow_assets import BY_ID, BY_KEY, JOURNEY, keys_sent, start

pytestmark = pytest.mark.usefixtures("clock")
LOST = [
    Fault("lost_response", method="POST", times=1),
    Fault("html", method="POST", times=1, processed=True),
    Fault("missing_field", method="POST", times=1, field="runId"),
    Fault("wrong_type", method="POST", times=1, field="runId", value=7.5),
]


class TestLostStarts:
    @pytest.mark.parametrize("fault", LOST, ids=lambda fault: fault.kind)
    @pytest.mark.covers("segmentflow.parameter.header-idempotency-key", "lost-start.segmentflow-key")
    def test_newer_trigger_returns_the_run_of_the_lost_start(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, fault: Fault
    ) -> None:
        sandbox.add_fault(fault)
        assert start(BY_KEY, sandbox, instance).success
        assert sandbox.starts("segmentflow") == 1
        first, second = keys_sent(sandbox)
        assert first == second
        assert metadata(instance, KEY)["dagster_runs/run_id"] == sandbox.runs("segmentflow")[0].id

    @pytest.mark.parametrize("fault", LOST[::2], ids=lambda fault: fault.kind)
    @pytest.mark.covers("segmentflow.endpoint.list-journeys", "lost-start.segmentflow-id")
    def test_lost_start_of_the_older_trigger_raises_start_outcome_unknown(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, fault: Fault
    ) -> None:
        sandbox.add_fault(fault)
        job = job_with(BY_ID, sandbox, retry_policy=dg.RetryPolicy(max_retries=2))
        result = execute(job, instance)
        assert f"unknown whether a journey run of {JOURNEY} was started" in failure(result)
        assert not [event for event in result.all_events if event.is_step_up_for_retry]
        again = reexecute(job, instance, result.run_id)
        assert "unknown whether" in failure(again)
        assert sandbox.starts("segmentflow") == 1

    def test_on_uncertain_start_start_again_starts_a_second_run(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(LOST[0])
        assert start(BY_ID, sandbox, instance, on_uncertain_start="start_again").success
        assert sandbox.starts("segmentflow") == 2

    @pytest.mark.parametrize("how", ["retry", "from failure"])
    @pytest.mark.covers("segmentflow.parameter.header-idempotency-key", "lost-start.segmentflow-key")
    def test_start_sent_again_after_a_crash_uses_the_same_key(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, how: str
    ) -> None:
        # The response is lost, and the process is killed before it retries.
        sandbox.add_fault(LOST[0])
        retries = dg.RetryPolicy(max_retries=1) if how == "retry" else None
        job = job_with(BY_KEY, sandbox, retry_policy=retries)
        with at_pause(sandbox, dies, pause=1):
            result: Any = execute(job, instance)
        if how == "from failure":
            assert entries(instance, KEY) == ["starting"]
            result = reexecute(job, instance, result.run_id)
        assert result.success
        assert sandbox.starts("segmentflow") == 1
        first, second = keys_sent(sandbox)
        assert first == second

    def test_reexecution_of_all_steps_uses_a_new_key(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.add_fault(LOST[0])
        job = job_with(BY_KEY, sandbox)
        with at_pause(sandbox, dies, pause=1):
            first = execute(job, instance)
        assert reexecute(job, instance, first.run_id, from_failure=False).success
        assert sandbox.starts("segmentflow") == 2

    @pytest.mark.parametrize("times", [1, 4])
    @pytest.mark.covers("segmentflow.error.409-lock")
    def test_start_waits_for_the_lock_of_the_lost_request(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, times: int
    ) -> None:
        sandbox.add_fault(LOST[0])
        sandbox.add_fault(Fault("status", status=409, method="POST", times=times))
        assert start(BY_KEY, sandbox, instance).success
        assert sandbox.starts("segmentflow") == 1
        assert len(set(keys_sent(sandbox))) == 1
        assert entries(instance, KEY) == ["starting", "started"]

    def test_next_attempt_after_a_lasting_lock_uses_the_same_key(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(LOST[0])
        sandbox.add_fault(Fault("status", status=409, method="POST"))
        job = job_with(BY_KEY, sandbox)
        locked = execute(job, instance)
        assert "idempotency key is still being processed" in failure(locked)
        sandbox.clear_faults()
        assert reexecute(job, instance, locked.run_id).success
        assert sandbox.starts("segmentflow") == 1

    @pytest.mark.parametrize("status", [401, 422, 429])
    def test_rejected_second_request_does_not_hide_the_first(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, status: int
    ) -> None:
        sandbox.add_fault(LOST[0])
        sandbox.add_fault(Fault("status", status=status, method="POST"))
        job = job_with(BY_KEY, sandbox)
        refused = execute(job, instance)
        assert f"returned {status}" in failure(refused)
        assert entries(instance, KEY) == ["starting"]
        sandbox.clear_faults()
        assert reexecute(job, instance, refused.run_id).success
        assert sandbox.starts("segmentflow") == 1

    @pytest.mark.covers("lost-start.segmentflow-key")
    def test_eviction_during_the_second_request_does_not_hide_the_first(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(LOST[0])
        job = job_with(BY_KEY, sandbox)
        with at_pause(sandbox, dies, pause=1):
            first = execute(job, instance)
        sandbox.add_fault(Fault("status", status=429, method="POST"))
        with at_pause(sandbox, signalled, pause=1):
            evicted = reexecute(job, instance, first.run_id)
        assert not evicted.success
        assert entries(instance, KEY) == ["starting"]
        sandbox.clear_faults()
        assert reexecute(job, instance, evicted.run_id).success
        assert sandbox.starts("segmentflow") == 1

    @pytest.mark.parametrize("reuse_status", [422, 409])
    def test_changed_recipient_of_a_run_function_starts_no_second_run(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, reuse_status: int
    ) -> None:
        sandbox.configure("segmentflow", reuse_status=reuse_status)
        sandbox.add_fault(LOST[0])
        with at_pause(sandbox, dies, pause=1):
            first = execute(job_with(BY_KEY, sandbox), instance)

        def choose(_context: dg.AssetExecutionContext) -> SegmentflowJourneyRun:
            return BY_KEY.with_fields({"recipient": {"userId": "ben"}})

        # Only Segmentflow can detect that a run function returned other fields.
        changed = job_with(choose, sandbox)
        again = reexecute(changed, instance, first.run_id)
        assert "idempotency_key_reuse" in failure(again)
        assert "re-execute all steps" in failure(again)
        assert sandbox.starts("segmentflow") == 1
        assert reexecute(changed, instance, again.run_id, from_failure=False).success

    def test_changed_recipient_in_the_definition_sends_no_request(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(LOST[0])
        with at_pause(sandbox, dies, pause=1):
            first = execute(job_with(BY_KEY, sandbox), instance)
        changed = job_with(BY_KEY.with_fields({"recipient": {"userId": "ben"}}), sandbox)
        assert "unknown whether" in failure(reexecute(changed, instance, first.run_id))
        assert len(sandbox.requests("segmentflow")) == 1

    @pytest.mark.parametrize(("before", "now"), [(BY_ID, BY_KEY), (BY_KEY, BY_ID)], ids=["to key", "to id"])
    def test_lost_start_is_not_sent_again_by_the_other_trigger(
        self, before: SegmentflowJourneyRun, now: SegmentflowJourneyRun, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(LOST[0])
        with at_pause(sandbox, dies, pause=1):
            first = execute(job_with(before, sandbox), instance)
        again = reexecute(job_with(now, sandbox), instance, first.run_id)
        assert "unknown whether" in failure(again)
        assert before.target in failure(again)
        assert sandbox.starts("segmentflow") == 1
