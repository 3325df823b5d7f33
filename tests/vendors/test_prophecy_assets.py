"""Prophecy pipelines as assets, from the trigger to the UI."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import ProphecyPipelineRun, ProphecyResource, build_remote_run_asset
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from tests.remote_run.materializing import checks, entries, failure, materialize, metadata
from tests.remote_run.reexecuting import KEY, at_pause, dies, execute, job_with, reexecute, terminate

pytestmark = pytest.mark.usefixtures("clock")
PIPELINE, PROJECT, FABRIC = well_known.PROPHECY_PIPELINE, well_known.PROPHECY_PROJECT, well_known.PROPHECY_FABRIC
RUN = ProphecyPipelineRun(fabric_id=FABRIC, project_id=PROJECT, pipeline_name=PIPELINE)
FAILING = RUN.with_fields({"pipeline_name": well_known.PROPHECY_PIPELINE_FAILING})
NOWHERE = RUN.with_fields({"fabric_id": 7})


def start(run: Any, sandbox: Sandbox, instance: dg.DagsterInstance, **options: Any) -> dg.ExecuteInProcessResult:
    launch = {
        name: options.pop(name) for name in ("partition_key", "run_config", "tags", "resources") if name in options
    }
    return materialize([build_remote_run_asset(run, key=KEY, **options)], sandbox, instance, **launch)


def sent(sandbox: Sandbox) -> Any:
    """Returns the body of the newest start."""
    return sandbox.runs("prophecy")[-1].body


class TestOutcome:
    @pytest.mark.parametrize(("id_format", "time_format"), [("dashes", "naive"), ("base64", "zulu")])
    def test_successful_run_materializes_the_asset(
        self, id_format: str, time_format: str, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.configure("prophecy", id_format=id_format)
        sandbox.set_behavior(PIPELINE, Behavior(time_format=time_format))
        result = start(RUN, sandbox, instance)
        assert result.success
        assert entries(instance, KEY) == ["starting", "started"]
        [remote] = sandbox.runs("prophecy")
        shown = metadata(instance, KEY)
        assert shown["dagster_runs/run_id"] == remote.id
        assert shown["dagster_runs/state"] == "SUCCEEDED"
        assert shown["dagster_runs/vendor"] == "Prophecy"
        assert shown["dagster_runs/started_at"] == pytest.approx(remote.created_at, abs=1)
        assert shown["dagster_runs/duration_seconds"] == pytest.approx(12, abs=0.1)
        assert f"prFabricId={FABRIC}&prProjectId={PROJECT}" in shown["dagster_runs/url"]
        assert f"/metadata/sql/{PROJECT}?entity=pipeline&name={PIPELINE}" in shown["prophecy/pipeline_url"]
        status = checks(result)["run_status"]
        assert status.passed
        assert "error" not in status.metadata

    @pytest.mark.covers("prophecy.field.run-error-message")
    def test_failed_run_reports_its_error_as_text(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        result = start(FAILING, sandbox, instance)
        assert not result.success
        assert "Did you mean one of the following?" in failure(result)
        status = checks(result)["run_status"]
        assert not status.passed
        assert status.metadata["vendor_status"].value == "ERROR"
        error = status.metadata["error"]
        assert isinstance(error, dg.TextMetadataValue)
        assert len((error.value or "").splitlines()) > 3
        # Dagster renders descriptions as markdown, so they contain no text from the vendor.
        assert "UNRESOLVED_COLUMN" not in (status.description or "")
        assert entries(instance, KEY)[-1] == "ended"
        [ended] = instance.fetch_observations(dg.AssetKey(KEY), limit=1).records
        assert ended.asset_observation is not None
        assert "prophecy/pipeline_url" in ended.asset_observation.metadata

    def test_markup_in_an_error_is_not_rendered(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        error = "<img src=x onerror=alert(1)> **bold** [x](javascript:y)"
        sandbox.set_behavior(PIPELINE, Behavior(outcome="fail", error=error))
        status = checks(start(RUN, sandbox, instance))["run_status"]
        assert status.metadata["error"] == dg.MetadataValue.text(error)
        assert "<img" not in (status.description or "")

    @pytest.mark.covers("prophecy.state.any-other-word")
    def test_undocumented_queued_status_is_polled_until_the_end(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        queued = Behavior(hold="QUEUED", hold_when="queued", hold_seconds=60)
        sandbox.set_behavior(PIPELINE, queued)
        result = start(RUN, sandbox, instance)
        assert result.success
        logged = [record.user_message for record in instance.all_logs(result.run_id)]
        assert len([line for line in logged if "unknown status 'QUEUED'" in line]) == 1

    @pytest.mark.covers("prophecy.state.any-other-word")
    def test_undocumented_final_status_times_out(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.set_behavior(PIPELINE, Behavior(outcome="cancel"))
        result = start(RUN, sandbox, instance, timeout=600)
        assert not result.success
        assert "the last status from the vendor was 'CANCELED'" in failure(result)

    @pytest.mark.parametrize(
        "fault",
        [
            Fault("missing_field", field="runStatus", method="GET", times=3),
            Fault("wrong_type", field="runStatus", value=None, method="GET", times=3),
            Fault("wrong_type", field="success", value=False, method="GET", times=3),
            Fault("html", method="GET", times=3),
            Fault("status", status=401, method="GET", times=3),
            Fault("not_found", method="GET", times=3),
        ],
        ids=lambda fault: f"{fault.kind}-{fault.field}",
    )
    def test_invalid_status_responses_are_tolerated(
        self, fault: Fault, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(fault)
        assert start(RUN, sandbox, instance).success
        assert sandbox.starts("prophecy") == 1


class TestRejectedStarts:
    def test_success_false_is_a_rejection_with_a_readable_message(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        result = start(NOWHERE, sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=2))
        message = failure(result)
        assert "returned 200: error in triggering pipeline: Fabric with uid `7` not found" in message
        assert "scala" not in message
        assert not [event for event in result.all_events if event.is_step_up_for_retry]
        assert entries(instance, KEY) == ["starting", "not_started"]
        assert len(sandbox.requests("prophecy")) == 1
        assert sandbox.starts("prophecy") == 0

    def test_transient_rejection_is_retried_by_the_retry_policy(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        body = {"success": False, "msg": "Failure(java.net.ConnectException: Connection refused)"}
        sandbox.add_fault(Fault("status", status=200, body=body, method="POST", times=1))
        assert start(RUN, sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=1)).success
        assert entries(instance, KEY) == ["starting", "not_started", "starting", "started"]
        assert sandbox.starts("prophecy") == 1

    def test_expired_token_is_reported(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        resource = ProphecyResource(access_token="pat-expired", base_url=f"{sandbox.url}/prophecy")
        result = start(RUN, sandbox, instance, resources={"prophecy": resource})
        assert "Invalid or expired access token. Check the resource's credentials" in failure(result)
        assert "pat-expired" not in failure(result)
        assert entries(instance, KEY) == ["starting", "not_started"]

    def test_expired_token_with_a_login_page_response_is_reported(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.configure("prophecy", invalid_token_response="login_page")
        resource = ProphecyResource(access_token="pat-expired", base_url=f"{sandbox.url}/prophecy")
        result = start(RUN, sandbox, instance, resources={"prophecy": resource})
        assert "HTML instead of JSON" in failure(result)
        assert "Sign In" in failure(result)
        assert sandbox.starts("prophecy") == 0


class TestWrongFabric:
    @pytest.mark.covers("prophecy.rule.wrong-fabric-200")
    def test_lost_run_error_mentions_the_fabric(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.configure("prophecy", unknown_fabric="lost")
        result = start(NOWHERE, sandbox, instance)
        assert "is no longer known" in failure(result)
        assert "with a wrong fabric_id" in failure(result)
        assert entries(instance, KEY) == ["starting", "started", "gone"]

    @pytest.mark.covers("prophecy.rule.wrong-fabric-200")
    def test_run_that_never_starts_times_out(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.configure("prophecy", unknown_fabric="stuck")
        result = start(NOWHERE, sandbox, instance, timeout=300)
        assert "did not finish within" in failure(result)
        assert "the last status from the vendor was 'RUNNING'" in failure(result)


class TestLostStarts:
    @pytest.mark.parametrize(
        "fault",
        [
            Fault("lost_response", method="POST", times=1),
            Fault("missing_field", method="POST", times=1, field="runId"),
            Fault("missing_field", method="POST", times=1, field="success"),
            Fault("wrong_type", method="POST", times=1, field="success", value=False),
        ],
        ids=lambda fault: f"{fault.kind}-{fault.field}",
    )
    @pytest.mark.covers("prophecy.endpoint.list-pipelines", "lost-start.prophecy")
    def test_lost_start_raises_start_outcome_unknown(
        self, fault: Fault, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(fault)
        job = job_with(RUN, sandbox, retry_policy=dg.RetryPolicy(max_retries=2))
        result = execute(job, instance)
        assert f"unknown whether a pipeline run of {PROJECT}/{PIPELINE} was started" in failure(result)
        again = reexecute(job, instance, result.run_id)
        assert "unknown whether" in failure(again)
        assert sandbox.starts("prophecy") == 1

    def test_on_uncertain_start_start_again_starts_a_second_run(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(Fault("lost_response", method="POST", times=1))
        assert start(RUN, sandbox, instance, on_uncertain_start="start_again").success
        assert sandbox.starts("prophecy") == 2

    @pytest.mark.covers("lost-start.start-again-lost")
    def test_start_again_starts_at_most_one_more_run(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.add_fault(Fault("lost_response", method="POST"))
        options = {"on_uncertain_start": "start_again", "retry_policy": dg.RetryPolicy(max_retries=3)}
        job = job_with(RUN, sandbox, **options)
        result = execute(job, instance)
        assert "was already started again once" in failure(result)
        assert "was already started again once" in failure(reexecute(job, instance, result.run_id))
        assert sandbox.starts("prophecy") == 2

    def test_rate_limited_start_is_sent_again(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.add_fault(Fault("status", method="POST", status=429, times=2))
        assert start(RUN, sandbox, instance).success
        assert sandbox.starts("prophecy") == 1


class TestAttaching:
    def test_step_retry_attaches(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.configure("prophecy", id_format="base64")
        with at_pause(sandbox, dies):
            assert start(RUN, sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=1)).success
        assert sandbox.starts("prophecy") == 1
        assert metadata(instance, KEY)["dagster_runs/attached"] is True

    def test_reexecution_from_failure_reports_the_result(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        job = job_with(RUN, sandbox, timeout=5)
        first = execute(job, instance)
        assert "did not finish within" in failure(first)
        sandbox.advance(60)
        assert reexecute(job, instance, first.run_id).success
        assert sandbox.starts("prophecy") == 1

    def test_failed_run_is_started_again(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.set_behavior(PIPELINE, [Behavior(outcome="fail"), Behavior()])
        assert start(RUN, sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=1)).success
        assert sandbox.starts("prophecy") == 2


class TestTermination:
    @pytest.mark.covers("prophecy.endpoint.cancel-run", "cancel.cannot-cancel")
    def test_reports_that_the_run_is_still_active_and_where_to_stop_it(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(PIPELINE, Behavior(running_seconds=3600))
        with at_pause(sandbox, lambda: terminate(instance)):
            result = start(RUN, sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=2))
        [remote] = sandbox.runs("prophecy")
        message = failure(result)
        assert f"Prophecy cannot cancel pipeline run {remote.id}" in message
        assert "use Prophecy's run history" in message
        assert f"See {sandbox.url}/prophecy/metadata/ide/observation?" in message
        assert remote.ended_at is None
        assert sandbox.starts("prophecy") == 1

    @pytest.mark.covers("wait.timeout-cannot-cancel")
    def test_on_timeout_cancel_is_rejected(self) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="no way to cancel a pipeline run"):
            build_remote_run_asset(RUN, key=KEY, on_timeout="cancel")


class TestPartitions:
    @pytest.mark.covers("prophecy.parameter.parameters")
    def test_daily_partition_sets_the_parameters(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        days = dg.DailyPartitionsDefinition(start_date="2026-11-01")
        run = RUN.with_fields(
            {"parameters": {"day": "{partition_key}", "from": "{window_start}", "to": "{window_end}", "n": 3}}
        )
        assert start(run, sandbox, instance, partitions_def=days, partition_key="2026-11-03").success
        assert sent(sandbox)["parameters"] == {
            "day": "2026-11-03",
            "from": "2026-11-03T00:00:00Z",
            "to": "2026-11-04T00:00:00Z",
            "n": "3",
        }

    def test_single_run_backfill_sets_one_window(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        days = dg.DailyPartitionsDefinition(start_date="2026-11-01")
        run = RUN.with_fields({"parameters": {"from": "{window_start}", "to": "{window_end}"}})
        tags = {"dagster/asset_partition_range_start": "2026-11-03", "dagster/asset_partition_range_end": "2026-11-09"}
        policy = dg.BackfillPolicy.single_run()
        assert start(run, sandbox, instance, partitions_def=days, backfill_policy=policy, tags=tags).success
        assert sent(sandbox)["parameters"] == {"from": "2026-11-03T00:00:00Z", "to": "2026-11-10T00:00:00Z"}
        assert sandbox.starts("prophecy") == 1
        assert len(instance.get_materialized_partitions(dg.AssetKey(KEY))) == 7

    def test_static_partition_key_is_inserted_into_text_fields(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        regions = dg.StaticPartitionsDefinition(["eu", "us"])
        run = RUN.with_fields({"parameters": {"region": "{partition_key}"}, "branch": "release-{partition_key}"})
        assert start(run, sandbox, instance, partitions_def=regions, partition_key="eu").success
        assert sent(sandbox)["parameters"] == {"region": "eu"}
        assert sent(sandbox)["branch"] == "release-eu"

    def test_partition_without_a_placeholder_changes_nothing(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        days = dg.DailyPartitionsDefinition(start_date="2026-11-01")
        assert start(RUN, sandbox, instance, partitions_def=days, partition_key="2026-11-03").success
        assert "parameters" not in sent(sandbox)


class TestLaunchpad:
    def launch(self, sandbox: Sandbox, instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
        run = RUN.with_fields({"parameters": {"a": "1"}, "version": "1.0"})
        return start(run, sandbox, instance, run_config={"ops": {KEY: {"config": config}}})

    @pytest.mark.covers("prophecy.parameter.parameters")
    def test_overrides_parameters_and_version(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        given = {"parameters": {"b": 2, "c": 0.5, "d": "x"}, "version": "2.0", "process_name": "join_orders"}
        assert self.launch(sandbox, instance, **given).success
        body = sent(sandbox)
        assert body["parameters"] == {"b": "2", "c": "0.5", "d": "x"}
        assert (body["version"], body["processName"]) == ("2.0", "join_orders")

    def test_removes_a_field(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        assert self.launch(sandbox, instance, version=None, parameters={}).success
        assert set(sent(sandbox)) == {"fabricId", "projectId", "pipelineName"}

    def test_overrides_the_fabric(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        result = self.launch(sandbox, instance, fabric_id=7)
        assert "Fabric with uid `7` not found" in failure(result)

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"parameters": {"a": [1]}}, "strings or numbers, not a list"),
            ({"parameters": {"a": None}}, "strings or numbers, not None"),
            ({"fabric_id": 0}, "fabric_id"),
            ({"pipeline_name": ""}, "pipeline_name"),
        ],
    )
    def test_rejects_invalid_fields_before_the_start(
        self, config: Any, message: str, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        result = self.launch(sandbox, instance, **config)
        assert message in failure(result)
        assert "Nothing was started" in failure(result)
        assert not sandbox.requests("prophecy")
