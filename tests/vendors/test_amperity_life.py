"""An Amperity workflow as an asset, from start to finish."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import AmperityWorkflowRun, QualityGate
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import checks, entries, failure, metadata
from tests.remote_run.reexecuting import at_pause, dies, execute, reexecute, signalled, terminate
from tests.vendors.amperity_assets import COURIERS, run_workflow, unlimited, workflow_asset

pytestmark = pytest.mark.usefixtures("clock")

ORCHESTRATION = AmperityWorkflowRun(config_id=well_known.AMPERITY_ORCHESTRATION)
CAMPAIGN = AmperityWorkflowRun(config_id=well_known.AMPERITY_CAMPAIGN)
KINDS = pytest.mark.parametrize("run", [COURIERS, ORCHESTRATION, CAMPAIGN], ids=lambda run: run.config_id[:2])
DAILY = dg.DailyPartitionsDefinition("2026-01-01")
RETRIES = dg.RetryPolicy(max_retries=2)


def body(sandbox: Sandbox) -> Any:
    [start] = [one for one in sandbox.requests("amperity") if one.path.endswith("/workflow/runs")]
    return start.body


def status_queries(sandbox: Sandbox) -> list[dict[str, str]]:
    return [request.query for request in sandbox.requests("amperity") if request.method == "GET"]


class TestMaterializing:
    @KINDS
    def test_successful_workflow_materializes_the_asset(
        self, run: AmperityWorkflowRun, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        result = run_workflow(sandbox, instance, run)
        assert result.success
        assert {name: check.passed for name, check in checks(result).items()} == {
            "run_status": True,
            "tasks_succeeded": True,
        }
        [started] = sandbox.runs("amperity")
        reported = metadata(instance, "customers")
        assert reported["dagster_runs/run_id"] == started.id
        assert reported["dagster_runs/vendor"] == "Amperity"
        assert reported["dagster_runs/state"] == "SUCCEEDED"
        assert reported["dagster_runs/duration_seconds"] > 0
        assert reported["amperity/type"] == started.kind
        assert len(reported["amperity/tasks"].records) == 3
        assert body(sandbox) == {"config_id": run.config_id}

    def test_verbose_status_is_fetched_once_at_the_end(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        run_workflow(sandbox, instance)
        *overviews, last = status_queries(sandbox)
        assert last == {"view": "verbose"}
        assert {"view": "verbose"} not in overviews
        assert len(overviews) > 2

    @pytest.mark.covers("amperity.state.skipped", "end.failed-tasks")
    def test_skipped_tasks_are_listed_in_a_warning(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.set_behavior(
            COURIERS.target, Behavior(tasks=["succeeded", {"label": "<b>x</b>", "outcome": "skipped"}])
        )
        result = run_workflow(sandbox, instance)
        assert result.success
        check = checks(result)["tasks_succeeded"]
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert check.metadata["skipped"].value == "<b>x</b>"
        assert "<b>" not in (check.description or "")

    @pytest.mark.covers("end.failed-tasks")
    def test_failed_task_of_a_successful_workflow_is_an_error(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(COURIERS.target, Behavior(tasks=["succeeded", "failed"]))
        result = run_workflow(sandbox, instance)
        assert result.success
        check = checks(result)["tasks_succeeded"]
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
        assert check.metadata["failed"].value == "Generating database"

    @pytest.mark.parametrize("fault", [Fault("missing_field", field="task_instances"), None])
    def test_missing_tasks_are_a_warning(
        self, fault: Fault | None, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(COURIERS.target, Behavior(tasks=[]))
        if fault:
            sandbox.add_fault(fault)
        result = run_workflow(sandbox, instance)
        assert result.success
        check = checks(result)["tasks_succeeded"]
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert "returned no tasks" in (check.description or "")

    @pytest.mark.parametrize("hold", ["paused", "Running with failures", "up-for-retry", "some_new_state"])
    @pytest.mark.covers("amperity.state.running-with-failures", "amperity.state.up-for-retry", "amperity.state.paused")
    def test_non_final_statuses_are_polled_until_the_end(
        self, hold: str, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(COURIERS.target, Behavior(hold=hold, hold_seconds=60))
        result = run_workflow(sandbox, instance)
        assert result.success
        warned = [e.user_message for e in instance.all_logs(result.run_id) if "unknown status" in e.user_message]
        assert len(warned) == (1 if hold == "some_new_state" else 0)

    def test_unknown_status_of_an_ended_run_fails_and_is_quoted(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(Fault("unknown_state", state="perhaps", ended=True, method="GET"))
        message = failure(run_workflow(sandbox, instance))
        assert "ended in an undocumented state: 'perhaps'" in message

    def test_gate_may_block_but_has_no_score_to_judge(self) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="does not support min_score in a QualityGate"):
            workflow_asset(gate=QualityGate(min_score=0.9))
        asset = workflow_asset(gate=QualityGate(blocking=True))
        assert {spec.name: spec.blocking for spec in asset.check_specs} == {
            "run_status": False,
            "tasks_succeeded": True,
        }


class TestFailing:
    @KINDS
    @pytest.mark.covers("amperity.field.workflow-error", "amperity.field.task-error")
    def test_failed_workflow_reports_the_vendor_error_and_the_tasks(
        self, run: AmperityWorkflowRun, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(run.target, Behavior(outcome="fail", error="<b>table</b> is gone"))
        result = run_workflow(sandbox, instance, run)
        assert "ended with status failed after " in failure(result)
        assert " s: <b>table</b> is gone" in failure(result)
        status = checks(result)["run_status"]
        assert status.passed is False
        assert status.metadata["error"].value == "<b>table</b> is gone"
        tasks = checks(result)["tasks_succeeded"]
        assert (tasks.passed, tasks.severity) == (False, dg.AssetCheckSeverity.ERROR)
        assert tasks.metadata["failed"].value
        [ended] = instance.fetch_observations(dg.AssetKey("customers"), limit=1).records
        rows = [row.data for row in ended.asset_observation.metadata["amperity/tasks"].value.records]
        assert [row["state"] for row in rows] == ["failed", "skipped", "succeeded"]
        assert rows[0]["error"] == "<b>table</b> is gone"
        assert status_queries(sandbox).count({"view": "verbose"}) == 1

    def test_failed_workflow_is_started_again_by_a_retry_policy(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(COURIERS.target, [Behavior(outcome="fail"), Behavior()])
        assert run_workflow(sandbox, instance, retry_policy=RETRIES).success
        assert sandbox.starts("amperity") == 2

    @pytest.mark.covers("amperity.field.error-cancel")
    def test_workflow_stopped_by_a_user_fails_the_step(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.set_behavior(COURIERS.target, Behavior(outcome="cancel", stopped_state="stopped"))
        assert "ended with status stopped after 20 s: Workflow manually stopped" in failure(
            run_workflow(sandbox, instance)
        )

    def test_rejected_start_is_not_retried(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        run = AmperityWorkflowRun(config_id=well_known.AMPERITY_FILES)
        result = run_workflow(sandbox, instance, run, retry_policy=RETRIES)
        assert "range_from must be specified for a courier group that pulls files" in failure(result)
        assert not [event for event in result.all_events if event.is_step_up_for_retry]
        assert sandbox.starts("amperity") == 0


class TestStopping:
    @pytest.mark.parametrize(
        ("run", "stopped_state"), [(COURIERS, "canceled"), (ORCHESTRATION, "stopped"), (CAMPAIGN, "canceled")]
    )
    @pytest.mark.covers("amperity.rule.stop-at-once", "amperity.rule.stop-orchestration", "cancel.orchestration")
    def test_termination_stops_the_workflow(
        self, run: AmperityWorkflowRun, stopped_state: str, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(run.target, Behavior(running_seconds=3600, stopped_state=stopped_state))

        with at_pause(sandbox, lambda: terminate(instance)):
            result = run_workflow(sandbox, instance, run, retry_policy=RETRIES)
        message = failure(result)
        assert f"ended with status {stopped_state}" in message
        assert ("Orchestration tasks that have already started cannot be stopped" in message) is (run is ORCHESTRATION)
        assert [one.state for one in sandbox.runs("amperity")] == [stopped_state]
        assert sandbox.starts("amperity") == 1

    @pytest.mark.covers("amperity.rule.stop-after-end")
    def test_termination_tolerates_a_workflow_that_just_ended(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        def terminated() -> None:
            sandbox.advance(3600)
            terminate(instance)

        with at_pause(sandbox, terminated):
            result = run_workflow(sandbox, instance)
        assert "ended with status succeeded" in failure(result)
        stop = next(one for one in sandbox.requests("amperity") if one.path.endswith("/stop"))
        assert stop.status == 409

    def test_timeout_with_on_timeout_cancel_stops_the_workflow(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(COURIERS.target, Behavior(running_seconds=3600))
        result = run_workflow(sandbox, instance, timeout=60, on_timeout="cancel")
        assert "did not finish within" in failure(result)
        assert "ended with status canceled" in failure(result)

    def test_unconfirmed_stop_reports_what_may_still_be_running(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        # A task that has started keeps the workflow from ending.
        sandbox.set_behavior(ORCHESTRATION.target, Behavior(running_seconds=3600, cancel_seconds=600))
        message = failure(run_workflow(sandbox, instance, ORCHESTRATION, timeout=60, on_timeout="cancel"))
        assert "did not confirm within 60 s" in message
        assert "Orchestration tasks that have already started cannot be stopped" in message

    def test_eviction_does_not_stop_the_workflow(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        with at_pause(sandbox, signalled):
            result = run_workflow(sandbox, instance, retry_policy=RETRIES)
        assert result.success
        assert sandbox.starts("amperity") == 1
        assert not [one for one in sandbox.requests("amperity") if one.path.endswith("/stop")]


class TestAttaching:
    def test_step_retry_attaches(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        with at_pause(sandbox, dies):
            assert run_workflow(sandbox, instance, retry_policy=RETRIES).success
        assert sandbox.starts("amperity") == 1
        assert entries(instance, "customers") == ["starting", "started", "started"]
        assert metadata(instance, "customers")["dagster_runs/attached"] is True

    @pytest.mark.parametrize(("from_failure", "starts"), [(True, 1), (False, 2)])
    def test_only_reexecution_from_failure_attaches(
        self, from_failure: bool, starts: int, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        defs = dg.Definitions(
            assets=[workflow_asset(timeout=30)], resources=unlimited(sandbox), executor=dg.in_process_executor
        )
        job = defs.resolve_implicit_global_asset_job_def()
        sandbox.set_behavior(COURIERS.target, [Behavior(running_seconds=300), Behavior()])
        first = execute(job, instance)
        assert "did not finish within" in failure(first)
        sandbox.advance(600)
        assert reexecute(job, instance, first.run_id, from_failure=from_failure).success
        assert sandbox.starts("amperity") == starts

    def test_404_right_after_the_start_is_ignored(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.add_fault(Fault("not_found", method="GET", times=3))
        assert run_workflow(sandbox, instance).success
        assert sandbox.starts("amperity") == 1

    @pytest.mark.covers("amperity.error.429")
    def test_failed_status_checks_do_not_end_the_run(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        sandbox.add_fault(Fault("status", status=429, method="GET", times=4))
        sandbox.add_fault(Fault("status", status=503, method="GET", times=8))
        sandbox.add_fault(Fault("html", method="GET", times=2))
        assert run_workflow(sandbox, instance).success
        assert sandbox.starts("amperity") == 1


class TestPartitions:
    @pytest.mark.covers("amperity.parameter.range-from")
    def test_daily_partition_sets_the_range(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        run = AmperityWorkflowRun(config_id=well_known.AMPERITY_FILES, run_mode="full")
        assert run_workflow(sandbox, instance, run, partitions_def=DAILY, partition_key="2026-01-31").success
        assert body(sandbox) == {
            "config_id": well_known.AMPERITY_FILES,
            "range_from": "2026-01-31T00:00:00Z",  # inclusive
            "range_to": "2026-02-01T00:00:00Z",  # exclusive
            "run_mode": "full",
        }

    def test_partition_in_another_time_zone_is_sent_in_utc(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        daily = dg.DailyPartitionsDefinition("2026-01-01", timezone="America/Los_Angeles")
        assert run_workflow(sandbox, instance, partitions_def=daily, partition_key="2026-03-08").success
        sent = body(sandbox)
        # The day on which the clocks go forward has 23 hours.
        assert (sent["range_from"], sent["range_to"]) == ("2026-03-08T08:00:00Z", "2026-03-09T07:00:00Z")

    @pytest.mark.covers("amperity.parameter.range-to")
    def test_single_run_backfill_starts_one_workflow_over_the_whole_range(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        result = run_workflow(
            sandbox,
            instance,
            partitions_def=DAILY,
            backfill_policy=dg.BackfillPolicy.single_run(),
            tags={
                "dagster/asset_partition_range_start": "2026-01-03",
                "dagster/asset_partition_range_end": "2026-01-09",
            },
        )
        assert result.success
        assert sandbox.starts("amperity") == 1
        sent = body(sandbox)
        assert (sent["range_from"], sent["range_to"]) == ("2026-01-03T00:00:00Z", "2026-01-10T00:00:00Z")
        keys = instance.get_materialized_partitions(dg.AssetKey("customers"))
        assert keys == {f"2026-01-0{day}" for day in range(3, 10)}

    @pytest.mark.parametrize("run", [ORCHESTRATION, CAMPAIGN], ids=lambda run: run.config_id[:2])
    def test_orchestrations_and_campaigns_get_no_range(
        self, run: AmperityWorkflowRun, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        assert run_workflow(sandbox, instance, run, partitions_def=DAILY, partition_key="2026-01-31").success
        assert body(sandbox) == {"config_id": run.config_id}

    def test_static_partitions_set_no_range(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        static = dg.StaticPartitionsDefinition(["emea", "apac"])
        assert run_workflow(sandbox, instance, partitions_def=static, partition_key="emea").success
        assert body(sandbox) == {"config_id": COURIERS.config_id}

    def test_explicit_range_from_is_sent_without_range_to(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        run = AmperityWorkflowRun(config_id=COURIERS.config_id, range_from="2025-10-01")
        assert run_workflow(sandbox, instance, run, partitions_def=DAILY, partition_key="2026-01-31").success
        # One day. With the partition's end it would be four months, again for each partition.
        assert body(sandbox) == {"config_id": COURIERS.config_id, "range_from": "2025-10-01T00:00:00Z"}


class TestLaunchpad:
    @pytest.mark.parametrize(
        ("launch", "sent"),
        [
            ({"run_mode": "full"}, {"config_id": COURIERS.config_id, "run_mode": "full"}),
            ({"config_id": well_known.AMPERITY_SLOW}, {"config_id": well_known.AMPERITY_SLOW}),
            (
                {"range_from": "2026-01-01", "range_to": "2026-01-02"},
                {
                    "config_id": COURIERS.config_id,
                    "range_from": "2026-01-01T00:00:00Z",
                    "range_to": "2026-01-02T00:00:00Z",
                },
            ),
        ],
    )
    def test_overrides_fields_for_one_launch(
        self, launch: dict[str, Any], sent: dict[str, Any], sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(well_known.AMPERITY_SLOW, Behavior(running_seconds=10))
        assert run_workflow(sandbox, instance, launch=launch).success
        assert body(sandbox) == sent

    @pytest.mark.parametrize(
        ("launch", "sent"),
        [
            ({"range_from": "2026-01-31T06:00:00Z"}, {"range_from": "2026-01-31T06:00:00Z"}),
            ({"range_from": None, "range_to": None}, {}),
        ],
    )
    def test_takes_precedence_over_the_partition(
        self, launch: dict[str, Any], sent: dict[str, str], sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        result = run_workflow(sandbox, instance, launch=launch, partitions_def=DAILY, partition_key="2026-01-31")
        assert result.success
        assert body(sandbox) == {"config_id": COURIERS.config_id, **sent}

    @pytest.mark.parametrize(
        ("launch", "expected"),
        [
            ({"config_id": CAMPAIGN.config_id, "run_mode": "full"}, "run_mode can only be used with courier groups"),
            ({"range_to": "2026-01-02"}, "range_from is required when range_to is set"),
            ({"config_id": "wf-1"}, "config_id must be the ID of a courier group"),
        ],
    )
    def test_rejects_invalid_fields(
        self, launch: dict[str, Any], expected: str, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        result = run_workflow(sandbox, instance, launch=launch, retry_policy=RETRIES)
        assert expected in failure(result)
        assert "Nothing was started" in failure(result)
        assert sandbox.requests("amperity") == []
