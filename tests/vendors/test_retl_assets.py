"""RudderStack Reverse ETL as an asset: its events, checks and gates, deferred, and observed."""

import dagster as dg
import pytest

from dagster_runs import (
    QualityGate,
    build_completion_sensor,
    build_observation_sensor,
    build_remote_run_asset,
)
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, checks, failure, materialize, metadata
from tests.remote_run.reexecuting import at_pause, dies
from tests.sensors.driving import Driver, deferred, evaluations, observing, reported
from tests.vendors.retl_runs import CONNECTION, run_sync, sync, sync_asset

pytestmark = pytest.mark.usefixtures("clock")

ROWS = {"changed": 10, "succeeded": 8, "failed": 2, "total": 40}


class TestAsset:
    @pytest.mark.parametrize("metrics_shape", ["nested", "flat"])
    def test_successful_sync_reports_its_rows(
        self, metrics_shape: str, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        rows = {"changed": 10, "succeeded": 10, "failed": 0, "total": 40}
        sandbox.set_behavior(CONNECTION, Behavior(rows=rows, metrics_shape=metrics_shape))
        result = run_sync(sandbox, instance)
        assert result.success
        shown = metadata(instance, "audience")
        assert {name: shown[f"rudderstack/rows_{name}"] for name in rows} == rows
        assert {name: check.passed for name, check in checks(result).items()} == {
            "run_status": True,
            "rows_synced": True,
        }

    @pytest.mark.parametrize(
        ("gate", "passed", "blocks"),
        [
            (None, False, False),
            (QualityGate(max_failures=2), True, False),
            (QualityGate(max_failures=1), False, False),
            (QualityGate(max_failures=1, blocking=True), False, True),
        ],
    )
    @pytest.mark.covers("end.rows-failed")
    def test_failed_rows_fail_the_check_and_a_gate_blocks(
        self, gate: QualityGate | None, passed: bool, blocks: bool, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        @dg.asset(deps=["audience"])
        def downstream() -> None: ...

        sandbox.set_behavior(CONNECTION, Behavior(rows=ROWS))
        result = materialize([sync_asset(gate=gate), downstream], sandbox, instance)
        check = checks(result)["rows_synced"]
        assert check.passed is passed
        assert check.description == "8 rows succeeded, 2 failed"
        assert check.severity is dg.AssetCheckSeverity.ERROR
        materialized = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}
        assert materialized == ({"audience"} if blocks else {"audience", "downstream"})

    def test_gate_with_thresholds_that_no_check_judges_is_refused(self) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="min_score"):
            sync_asset(gate=QualityGate(min_score=0.9))

    @pytest.mark.parametrize("style", ["failed", "finished_with_error"])
    @pytest.mark.parametrize("field_case", ["camel", "snake"])
    @pytest.mark.covers("rudderstack.state.sync-succeeded-with-error")
    def test_both_failure_formats_fail_the_step(
        self, style: str, field_case: str, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        behavior = Behavior(outcome="fail", error="no warehouse", failure_style=style, field_case=field_case)
        sandbox.set_behavior(CONNECTION, behavior)
        result = run_sync(sandbox, instance)
        assert not result.success
        assert "no warehouse" in failure(result)

    @pytest.mark.covers("rudderstack.state.sync-any-other-word")
    def test_unknown_status_of_an_ended_sync_fails_and_is_quoted(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(Fault("unknown_state", state="Aborted", ended=True, method="GET"))
        result = run_sync(sandbox, instance)
        assert not result.success
        assert "'Aborted'" in failure(result)

    @pytest.mark.covers("rudderstack.state.sync-any-other-word")
    def test_unknown_status_of_an_active_sync_is_polled_until_the_end(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(Fault("unknown_state", state="draining", method="GET", times=3))
        assert run_sync(sandbox, instance).success

    @pytest.mark.covers("rudderstack.error.409-sync-already-running")
    def test_step_waits_for_the_sync_of_the_schedule_and_starts_its_own(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        other = sandbox.start_run(CONNECTION, source="scheduler")
        assert run_sync(sandbox, instance).success
        ours = metadata(instance, "audience")["dagster_runs/run_id"]
        assert [run.id for run in sandbox.runs("rudderstack")] == [other.id, ours]

    def test_retry_attaches_to_the_active_sync(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        with at_pause(sandbox, dies):
            result = run_sync(sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=2))
        assert result.success
        assert sandbox.starts("rudderstack") == 1
        assert metadata(instance, "audience")["dagster_runs/attached"] is True


class TestSensors:
    def test_deferred_sync_is_reported_by_the_completion_sensor(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = sync_asset(wait="defer")
        driver = Driver(build_completion_sensor([asset]), [asset], sandbox, instance)
        materialize([asset], sandbox, instance)
        driver.ticks(clock, 6, every=20)
        [run] = sandbox.runs("rudderstack")
        assert reported(instance, "audience") == [run.id]
        assert evaluations(instance, "audience")["rows_synced"] == (True, 1)

    @pytest.mark.covers("rudderstack.endpoint.list-syncs")
    def test_sync_that_the_schedule_started_is_observed(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        driver = observing([sync_asset()], sandbox, instance)
        run = sandbox.start_run(CONNECTION, source="scheduler")
        sandbox.start_run(well_known.RETL_REJECTED_ROWS, source="scheduler")
        driver.ticks(clock, 6, every=60)
        assert reported(instance, "audience") == [run.id]
        assert evaluations(instance, "audience") == {"run_status": (True, 1), "rows_synced": (True, 1)}

    def test_sync_that_dagster_started_is_not_observed(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        asset = sync_asset()
        driver = observing([asset], sandbox, instance)
        materialize([asset], sandbox, instance)
        driver.ticks(clock, 6, every=60)
        assert len(reported(instance, "audience")) == 1

    def test_profiles_run_of_the_same_resource_still_cannot_be_observed(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        features = build_remote_run_asset(PROFILES, key="features")
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="RudderStack offers no way to list Profiles runs"):
            build_observation_sensor([sync_asset(), features])

    def test_deferred_profiles_runs_of_the_same_resource_are_polled_one_by_one(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        features = deferred(PROFILES, "features")
        audience = deferred(sync(), "audience")
        driver = Driver(build_completion_sensor([features, audience]), [features, audience], sandbox, instance)
        materialize([features, audience], sandbox, instance)
        driver.ticks(clock, 8, every=20)
        assert len(reported(instance, "features")) == len(reported(instance, "audience")) == 1
