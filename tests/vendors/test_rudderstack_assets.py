"""RudderStack Profiles as an asset: its events and checks."""

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Fault, Sandbox
from tests.remote_run.materializing import checks, failure, metadata, run_profiles
from tests.vendors.rudderstack_runs import PROJECT


@pytest.mark.usefixtures("clock")
class TestAsset:
    @pytest.mark.covers("rudderstack.field.tasks", "rudderstack.field.tasks-started-at")
    def test_successful_run_reports_its_tasks(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.set_behavior(PROJECT, Behavior(tasks=["wht", "features"], running_seconds=8))
        result = run_profiles(sandbox, instance)
        assert result.success
        table = metadata(instance, "features")["rudderstack/tasks"]
        assert [record.data["task"] for record in table.records] == ["wht", "features"]
        assert [record.data["seconds"] for record in table.records] == [4.0, 4.0]
        assert checks(result)["run_status"].passed

    @pytest.mark.parametrize("style", ["failed", "finished_with_error"])
    @pytest.mark.parametrize("field_case", ["camel", "snake"])
    @pytest.mark.covers("rudderstack.state.finished-with-error", "rudderstack.state.failed")
    def test_both_failure_formats_fail_the_step(
        self, style: str, field_case: str, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        behavior = Behavior(outcome="fail", error="no column AMOUNT", failure_style=style, field_case=field_case)
        sandbox.set_behavior(PROJECT, behavior)
        result = run_profiles(sandbox, instance)
        assert not result.success
        assert "no column AMOUNT" in failure(result)

    @pytest.mark.covers("rudderstack.state.any-other-word")
    def test_unknown_status_of_an_ended_run_fails_and_is_quoted(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(Fault("unknown_state", state="Vaporized", ended=True, method="GET"))
        result = run_profiles(sandbox, instance)
        assert not result.success
        assert "'Vaporized'" in failure(result)

    @pytest.mark.covers("rudderstack.state.any-other-word")
    def test_unknown_status_of_an_active_run_is_polled_until_the_end(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(Fault("unknown_state", state="pondering", method="GET", times=3))
        assert run_profiles(sandbox, instance).success

    @pytest.mark.parametrize("where", ["jobs that are going", "the end"])
    def test_invalid_status_responses_are_tolerated(
        self, where: str, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        skip = 0 if where == "jobs that are going" else 4
        sandbox.add_fault(Fault("missing_field", field="status", method="GET", times=2, skip=skip))
        sandbox.add_fault(Fault("wrong_type", field="status", value=None, method="GET", times=2, skip=skip))
        assert run_profiles(sandbox, instance).success
        assert sandbox.starts("rudderstack") == 1
