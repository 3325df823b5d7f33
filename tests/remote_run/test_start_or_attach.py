"""Tests each row of the table "Start or attach" in ARCHITECTURE.md."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from dagster_runs import (
    RudderStackResource,
    TestGenProfilingRun,
    TestGenResource,
    TestGenTestRun,
    build_remote_run_asset,
)
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.transport.clock import use_clock
from tests.remote_run.materializing import (
    PROFILES,
    PROFILING,
    entries,
    failure,
    materialize,
    metadata,
    run_profiles,
    run_tests,
)
from tests.remote_run.reexecuting import (
    ClockOff,
    at_pause,
    dies,
    execute,
    features_job,
    leave_going,
    reexecute,
)

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.covers("start.nothing-started", "end.success")
def test_empty_ledger_records_starting_then_posts_then_records_started(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    assert run_profiles(sandbox, instance).success
    assert entries(instance, "features") == ["starting", "started"]
    assert sandbox.starts("rudderstack") == 1
    assert "dagster_runs/attached" not in metadata(instance, "features")


@pytest.mark.covers("start.nothing-started")
def test_starting_entry_is_stored_before_the_request_is_sent(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("lost_response", method="POST"))
    run_profiles(sandbox, instance)
    assert entries(instance, "features") == ["starting"]


@pytest.mark.covers("start.attach-active", "retry.from-failure")
def test_reexecution_attaches_to_an_active_run(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    job, parent = leave_going(sandbox, instance)
    result = reexecute(job, instance, parent)
    # Each re-execution has a new deadline. Five seconds are still too short.
    assert "did not finish within" in failure(result)
    while not result.success:
        result = reexecute(job, instance, result.run_id)
    assert sandbox.starts("rudderstack") == 1
    assert metadata(instance, "features")["dagster_runs/attached"] is True


@pytest.mark.covers("start.attach-succeeded")
def test_reexecution_reports_the_result_of_a_run_that_succeeded_meanwhile(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    job, parent = leave_going(sandbox, instance)
    sandbox.advance(3600)
    assert reexecute(job, instance, parent).success
    [run] = sandbox.runs("rudderstack")
    assert metadata(instance, "features")["dagster_runs/run_id"] == run.id


@pytest.mark.covers("start.earlier-failed")
def test_reexecution_starts_a_new_run_when_the_earlier_one_failed(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    sandbox.set_behavior(PROFILES.target, [Behavior(outcome="fail"), Behavior()])
    job, parent = leave_going(sandbox, instance)
    sandbox.advance(3600)
    reexecute(job, instance, parent)
    assert sandbox.starts("rudderstack") == 2


@pytest.mark.covers("testgen.error.404-past-retention", "start.earlier-404")
def test_reexecution_starts_a_new_run_when_the_vendor_returns_404(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    job, parent = leave_going(sandbox, instance)
    sandbox.advance(3600)
    [lost] = sandbox.runs("rudderstack")
    sandbox.add_fault(Fault("not_found", path=lost.id))
    assert not reexecute(job, instance, parent).success  # 5 s are too short for the new run
    assert entries(instance, "features")[2:] == ["gone", "starting", "started"]
    assert sandbox.starts("rudderstack") == 2


@pytest.mark.covers("testgen.error.404-just-after-start", "start.earlier-404", "wait.404-after-start")
def test_404_right_after_the_start_is_ignored(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("not_found", method="GET", path="/status", times=3))
    result = run_profiles(sandbox, instance)
    assert result.success
    assert sandbox.starts("rudderstack") == 1


@pytest.mark.covers("retry.all-steps")
def test_reexecuting_all_steps_starts_a_new_run(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    job, parent = leave_going(sandbox, instance)
    sandbox.advance(3600)
    reexecute(job, instance, parent, from_failure=False)
    assert sandbox.starts("rudderstack") == 2


@pytest.mark.covers("retry.materialize-again")
def test_materializing_again_starts_a_new_run(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    assert run_profiles(sandbox, instance).success
    assert run_profiles(sandbox, instance).success
    assert sandbox.starts("rudderstack") == 2


@pytest.mark.covers("start.attach-active", "retry.step")
def test_step_retry_attaches_when_the_run_is_active(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    with at_pause(sandbox, dies):
        result = run_profiles(sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=2))
    assert result.success
    assert sandbox.starts("rudderstack") == 1
    assert entries(instance, "features") == ["starting", "started", "started"]
    assert metadata(instance, "features")["dagster_runs/attached"] is True


@pytest.mark.covers("start.other-target")
def test_run_of_another_target_is_not_attached_to(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    # The definition is changed to the right suite, and the failed run is re-executed from failure.
    clean = TestGenTestRun(test_suite_id=well_known.SUITE_CLEAN)
    _, parent = leave_going(sandbox, instance, run=clean)
    sandbox.advance(3600)
    orders = TestGenTestRun(test_suite_id=well_known.SUITE_ORDERS)
    assert reexecute(features_job(sandbox, orders), instance, parent).success
    assert metadata(instance, "features")["testgen/tests_failed"] == 5


@pytest.mark.parametrize("ahead", [-400, -60, 8, 3000])
def test_lost_start_is_found_when_machine_clocks_differ(
    sandbox: Sandbox, instance: dg.DagsterInstance, ahead: float
) -> None:
    # One machine records the start, sends it and dies. Another machine, whose clock differs, recovers.
    suite = TestGenTestRun(test_suite_id=well_known.SUITE_CLEAN)
    sandbox.add_fault(Fault("lost_response", method="POST"))
    sandbox.add_fault(Fault("status", path="/projects/"))
    first = execute(features_job(sandbox, suite), instance)
    sandbox.clear_faults()

    with use_clock(ClockOff(sandbox, -ahead)):
        assert reexecute(features_job(sandbox, suite), instance, first.run_id).success
    assert sandbox.starts("testgen") == 1


@pytest.mark.covers("start.unnamed-runs")
def test_several_runs_in_one_step_need_names(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    @dg.asset
    def two(context: dg.AssetExecutionContext, rudderstack: RudderStackResource) -> Iterator[Any]:
        list(rudderstack.run(context, PROFILES))
        yield from rudderstack.run(context, PROFILES)

    result = materialize([two], sandbox, instance)
    assert "its own `name`" in failure(result)
    assert sandbox.starts("rudderstack") == 1


@pytest.mark.covers("start.unnamed-runs")
def test_several_named_runs_in_one_step_are_all_started(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    @dg.asset
    def two(context: dg.AssetExecutionContext, rudderstack: RudderStackResource) -> Iterator[Any]:
        list(rudderstack.run(context, PROFILES, name="first"))
        snake = PROFILES.with_fields({"profiles_id": well_known.PROFILES_SNAKE_CASE})
        yield from rudderstack.run(context, snake, name="second")

    assert materialize([two], sandbox, instance).success
    assert sandbox.starts("rudderstack") == 2


@pytest.mark.covers("start.other-partition")
def test_partitions_do_not_attach_to_each_others_runs(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    partitions = dg.StaticPartitionsDefinition(["a", "b"])
    asset = build_remote_run_asset(PROFILING, key="profile", partitions_def=partitions)
    for partition in ("a", "b"):
        assert materialize([asset], sandbox, instance, partition_key=partition).success
    assert sandbox.starts("testgen") == 2


class TestLostResponses:
    @pytest.mark.covers("rudderstack.endpoint.list-runs-profiles-project", "lost-start.rudderstack")
    def test_lost_rudderstack_start_raises_start_outcome_unknown(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(Fault("lost_response", method="POST"))
        result = run_profiles(sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=3))
        assert sandbox.starts("rudderstack") == 1
        message = failure(result)
        assert "unknown whether a Profiles run of 2hkeBOp0lGJpMPyur0oXUxxIDhw was started" in message
        assert "on_uncertain_start" in message
        # The step is not retried, and re-executing from failure does not start a second run either.
        assert [event for event in result.all_events if event.is_step_up_for_retry] == []
        job = features_job(sandbox)
        again = reexecute(job, instance, result.run_id)
        assert "unknown whether" in failure(again)
        assert sandbox.starts("rudderstack") == 1

    @pytest.mark.covers("lost-start.start-again")
    def test_start_again_option_starts_a_second_run(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.add_fault(Fault("lost_response", method="POST", times=1))
        assert run_profiles(sandbox, instance, on_uncertain_start="start_again").success
        # The first run was active after all, so the step waited until the vendor no longer returned 409.
        assert sandbox.starts("rudderstack") == 2

    @pytest.mark.parametrize(
        "fault",
        [
            Fault("lost_response", method="POST", times=1),
            Fault("truncated", method="POST", times=1, variant="early_close"),
            Fault("truncated", method="POST", times=1, variant="short_body"),
            Fault("html", method="POST", times=1, processed=True),
            Fault("not_json", method="POST", times=1),
            Fault("status_after", method="POST", times=1, status=502),
            Fault("missing_field", method="POST", times=1, field="id"),
        ],
        ids=lambda fault: f"{fault.kind}-{fault.variant}" if fault.variant else fault.kind,
    )
    @pytest.mark.covers("lost-start.testgen-mark")
    def test_lost_testgen_start_is_found_by_its_correlation_id(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, fault: Fault
    ) -> None:
        sandbox.start_run(
            well_known.SUITE_CLEAN, vendor="testgen", source="api"
        )  # an external run of the same suite at the same time
        sandbox.add_fault(fault)
        assert run_tests(sandbox, instance).success
        external, ours = sandbox.runs("testgen")
        assert metadata(instance, "quality")["dagster_runs/run_id"] == ours.id != external.id

    @pytest.mark.parametrize("kind", ["reset", "status"])
    @pytest.mark.covers("lost-start.not-found")
    def test_start_that_never_arrived_is_sent_again(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, kind: Any
    ) -> None:
        sandbox.add_fault(Fault(kind, method="POST", times=1))
        assert run_tests(sandbox, instance).success
        assert sandbox.starts("testgen") == 1

    @pytest.mark.covers("lost-start.lost-repeatedly")
    def test_step_fails_after_three_lost_starts(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.add_fault(Fault("status", method="POST"))
        assert "returned 503" in failure(run_tests(sandbox, instance))
        assert entries(instance, "quality") == ["starting", "not_started"] * 3

    @pytest.mark.covers("lost-start.testgen-only-candidate")
    def test_lost_profiling_start_attaches_to_the_only_candidate(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(Fault("lost_response", method="POST", times=1))
        assert materialize([build_remote_run_asset(PROFILING, key="profile")], sandbox, instance).success
        assert sandbox.starts("testgen") == 1

    @pytest.mark.covers("lost-start.several-candidates")
    def test_two_candidates_raise_an_error_that_lists_both(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.start_run(well_known.TABLE_GROUP, vendor="testgen", source="api")
        sandbox.add_fault(Fault("lost_response", method="POST", times=1))
        result = materialize([build_remote_run_asset(PROFILING, key="profile")], sandbox, instance)
        assert all(run.id in failure(result) for run in sandbox.runs("testgen"))

    def test_run_of_another_target_is_not_a_candidate(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.start_run(well_known.TABLE_GROUP_NO_SCHEMA, vendor="testgen", source="api")
        sandbox.add_fault(Fault("reset", method="POST", times=1))
        assert materialize([build_remote_run_asset(PROFILING, key="profile")], sandbox, instance).success
        targets = [run.target_id for run in sandbox.runs("testgen")]
        assert targets == [well_known.TABLE_GROUP_NO_SCHEMA, well_known.TABLE_GROUP]

    @pytest.mark.covers("lost-start.testgen-no-project")
    def test_lost_start_cannot_be_found_without_a_project_code(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(Fault("lost_response", method="POST", times=1))
        testgen = TestGenResource(base_url=f"{sandbox.url}/testgen", access_token=well_known.TESTGEN_TOKEN)
        asset = build_remote_run_asset(TestGenProfilingRun(table_group_id=well_known.TABLE_GROUP), key="profile")
        result = materialize([asset], sandbox, instance, resources={"testgen": testgen})
        assert "project_code" in failure(result)
        assert sandbox.starts("testgen") == 1

    def test_our_own_earlier_run_is_not_a_candidate(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        # The first run fails immediately, and the start request of the second one is lost.
        failing = Behavior(outcome="fail", queued_seconds=0, running_seconds=0.1)
        sandbox.set_behavior(well_known.TABLE_GROUP, [failing, Behavior()])
        sandbox.add_fault(Fault("reset", method="POST", skip=1, times=1))
        asset = build_remote_run_asset(PROFILING, key="profile", retry_policy=dg.RetryPolicy(max_retries=1))
        assert materialize([asset], sandbox, instance).success
        assert sandbox.starts("testgen") == 2

    def test_job_deleted_during_the_search_does_not_hide_our_run(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        external = sandbox.start_run(well_known.SUITE_CLEAN, vendor="testgen", source="api")
        sandbox.add_fault(Fault("not_found", method="GET", path=external.id))
        sandbox.add_fault(Fault("lost_response", method="POST", times=1))
        assert run_tests(sandbox, instance).success
        assert len(sandbox.runs("testgen")) == 2  # the external run and ours
