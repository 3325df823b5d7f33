"""What a step says last: how its run ended, also in the error of a blocked gate."""

import re
from typing import Any

import dagster as dg
import pytest

from dagster_runs import (
    AmperityWorkflowRun,
    ProphecyPipelineRun,
    QualityGate,
    RudderStackProfilesRun,
    SegmentflowJourneyRun,
    TestGenTestGenerationRun,
    TestGenTestRun,
    build_completion_sensor,
    build_remote_run_asset,
)
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.run_summary import in_words, run_summary
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.types import CheckOutcome, RunResult
from dagster_runs.sandbox import Behavior, Sandbox, well_known
from tests.remote_run.materializing import PROFILES, failure, materialize

pytestmark = pytest.mark.usefixtures("clock")

ORDERS = TestGenTestRun(test_suite_id=well_known.SUITE_ORDERS)
LEVELS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR"}


def logged(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> list[str]:
    """Returns the messages that are not Dagster's own."""
    return [
        f"{LEVELS[record.level]} {record.user_message}"
        for record in instance.all_logs(result.run_id)
        if not record.is_dagster_event
    ]


@pytest.mark.parametrize(
    ("run", "end"),
    [
        (ORDERS, "41 passed, 5 failed, 0 broken, 2 with a warning; score 0.8713; http"),
        (AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS), "3 of 3 tasks succeeded"),
        (RudderStackProfilesRun(profiles_id=well_known.PROFILES_FEATURES), ": 1 task"),
        (SegmentflowJourneyRun(journey_key="welcome-back", recipient={"email": "a@example.com"}), " s"),
        (TestGenTestGenerationRun(test_suite_id=well_known.SUITE_GENERATED), "the suite now has "),
    ],
    ids=lambda value: type(value).__name__,
)
def test_result_is_logged_in_one_line(
    run: RemoteRun[Any], end: str, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    result = materialize([build_remote_run_asset(run, key="it")], sandbox, instance)
    last = logged(instance, result)[-1]
    assert last.startswith(f"INFO {run.vendor} {run.label} ")
    assert " after " in last
    assert end in last


def test_name_is_beside_the_id(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    result = materialize([build_remote_run_asset(ORDERS, key="it")], sandbox, instance)
    assert f" of orders ({well_known.SUITE_ORDERS}) ended with status completed" in logged(instance, result)[-1]


def test_error_of_a_blocked_gate_has_the_result_and_the_link(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    gate = QualityGate(min_score=0.95, blocking=True)
    result = materialize([build_remote_run_asset(ORDERS, key="it", gate=gate)], sandbox, instance)
    [run] = sandbox.runs("testgen")
    error = failure(result)
    assert error.startswith("Failed blocking checks: it: tests_passed, quality_score. TestGen ")
    assert "41 passed, 5 failed" in error
    assert "score 0.8713 is below the required 0.95" in error
    assert run.id in error
    assert "http" in error
    [materialized] = instance.fetch_materializations(dg.AssetKey("it"), limit=5).records
    assert materialized.run_id == result.run_id


def test_blocked_gate_is_not_retried_as_in_dagster(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    gate = QualityGate(blocking=True)
    asset = build_remote_run_asset(ORDERS, key="it", gate=gate, retry_policy=dg.RetryPolicy(max_retries=1))
    assert not materialize([asset], sandbox, instance).success
    assert sandbox.starts("testgen") == 1


def test_failed_run_is_logged_with_its_error(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(well_known.PROFILES_FEATURES, Behavior(outcome="fail", error="out of memory"))
    result = materialize([build_remote_run_asset(PROFILES, key="it")], sandbox, instance)
    last = logged(instance, result)[-1]
    assert last.startswith("ERROR RudderStack Profiles run ")
    assert "out of memory" in last
    assert " after " in failure(result)


def test_timeout_is_logged_with_what_follows(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(well_known.PROFILES_FEATURES, Behavior(running_seconds=3600))
    result = materialize([build_remote_run_asset(PROFILES, key="it", timeout=5)], sandbox, instance)
    assert logged(instance, result)[-1] == "ERROR " + failure(result).splitlines()[0]


def test_timeout_has_the_link(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(well_known.SUITE_ORDERS, Behavior(running_seconds=3600))
    result = materialize([build_remote_run_asset(ORDERS, key="it", timeout=5)], sandbox, instance)
    [run] = sandbox.runs("testgen")
    assert re.search(rf"longer `timeout`. See http\S+{run.id}\.$", logged(instance, result)[-1])


def test_undocumented_end_has_the_link(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(well_known.PROFILES_FEATURES, Behavior(outcome="cancel"))
    settings = {"run_url_template": "https://example.com/{run_id}"}
    result = materialize([build_remote_run_asset(PROFILES, key="it")], sandbox, instance, settings=settings)
    [run] = sandbox.runs("rudderstack")
    last = logged(instance, result)[-1]
    assert f"Profiles run {run.id} of {PROFILES.profiles_id} ended in an undocumented state: 'canceled'" in last
    assert f"Check the run at https://example.com/{run.id}, and" in last


class TestDeferredSteps:
    def deferred(self, sandbox: Sandbox, instance: dg.DagsterInstance, **sensor: Any) -> str:
        asset = build_remote_run_asset(ORDERS, key="it", wait="defer")
        if sensor:
            build_completion_sensor([asset], **sensor)
        # Dagster's own line about checks that the step does not report comes after it.
        return logged(instance, materialize([asset], sandbox, instance))[-2]

    def test_name_the_sensor_that_reports_the_end(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        on = {"name": "finishes_it", "default_status": dg.DefaultSensorStatus.RUNNING}
        last = self.deferred(sandbox, instance, **on)
        assert "This step only started it; the sensor finishes_it will report how it ends; http" in last

    def test_warn_if_there_is_no_sensor(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        assert "this code location has no completion sensor" in self.deferred(sandbox, instance)


def test_summary_of_the_vendors_code_replaces_the_checks() -> None:
    checks = [CheckOutcome("rows", passed=True, description="Some rows")]
    status = RunStatus(RunState.SUCCEEDED, "done")
    lines = [run_summary(ORDERS, "r", status, RunResult({}, checks, summary=text)) for text in ("", "120\nrows")]
    ends = [line.partition(" ended with status done: ")[2] for line in lines]
    assert ends == ["some rows", "120 rows"]


def test_target_with_lines_stays_in_one_line() -> None:
    pipeline = ProphecyPipelineRun(fabric_id=1, project_id="41", pipeline_name="a\nb" + "x" * 9_000)
    line = run_summary(pipeline, "r", RunStatus(RunState.SUCCEEDED, "succeeded"))
    assert line.startswith("Prophecy pipeline run r of 41/a bx")
    assert "\n" not in line
    assert len(line) < 700


@pytest.mark.parametrize(("state", "end"), [("SUCCEEDED", "succeeded"), ("FAILED", "failed"), ("CANCELED", "canceled")])
@pytest.mark.parametrize("vendor_status", ["", "✓"])
def test_end_without_a_readable_status_is_named(state: str, end: str, vendor_status: str) -> None:
    assert run_summary(ORDERS, "r", RunStatus(RunState[state], vendor_status)).endswith(f" {end}")


def test_checks_of_a_failed_run_are_left_out_and_long_errors_are_cut() -> None:
    checks = [CheckOutcome("tests_passed", passed=False, description="No tests ran")]
    line = run_summary(ORDERS, "r", RunStatus(RunState.FAILED, "error", "x" * 9_000), RunResult({}, checks), url="u")
    assert "No tests ran" not in line
    assert line.endswith("x…; u")
    assert len(line) < 700


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (119, "119 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations_are_short(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
