"""Amperity: states of workflows and tasks."""

import json
from typing import Any

import dagster as dg
import pytest

from dagster_runs import AmperityResource, UnexpectedResponseError
from dagster_runs.remote_run.state import RunState
from dagster_runs.sandbox import Behavior, Fault, Sandbox
from dagster_runs.vendors.amperity.models import Task
from dagster_runs.vendors.amperity.run import tasks_succeeded
from tests.vendors.amperity_runs import COURIERS, get_status, run_of, start


def respond_with(sandbox: Sandbox, body: Any) -> None:
    # A fault sends a string body as plain text.
    sandbox.add_fault(Fault("status", status=200, body=json.dumps(body) if isinstance(body, str) else body))


LABELS = {
    RunState.QUEUED: ["Scheduled"],
    RunState.RUNNING: [
        "Started",
        "In progress",
        "Running",
        "Running with failures",
        "Finalizing",
        "Up for retry",
        "Paused",
        "Stopping",
        "Canceling",
    ],
    RunState.SUCCEEDED: ["Succeeded"],
    RunState.FAILED: ["Failed"],
    RunState.CANCELED: ["Canceled", "Stopped"],
}


SPELLINGS = [
    (spelled, state)
    for state, labels in LABELS.items()
    for label in labels
    for spelled in sorted(
        {
            label,
            label.lower(),
            label.upper(),
            label.lower().replace(" ", "-"),
            label.lower().replace(" ", "_"),
            label.title().replace(" ", ""),
        }
    )
]


class TestStates:
    @pytest.mark.parametrize(("vendor_status", "state"), SPELLINGS)
    @pytest.mark.covers(
        "amperity.field.workflow-state",
        "amperity.state.scheduled",
        "amperity.state.started",
        "amperity.state.in-progress",
        "amperity.state.running",
        "amperity.state.running-with-failures",
        "amperity.state.finalizing",
        "amperity.state.up-for-retry",
        "amperity.state.paused",
        "amperity.state.stopping",
        "amperity.state.canceling",
        "amperity.state.succeeded",
        "amperity.state.failed",
        "amperity.state.canceled",
        "amperity.state.stopped",
    )
    def test_documented_states_are_parsed_in_every_spelling(
        self, vendor_status: str, state: RunState, sandbox: Sandbox, amperity: AmperityResource
    ) -> None:
        respond_with(sandbox, {"id": "wf-1", "state": vendor_status})
        status = get_status(amperity, "wf-1")
        assert (status.state, status.vendor_status) == (state, vendor_status)

    @pytest.mark.parametrize(
        "vendor_status", ["done", "success", "not succeeded", "skipped", "🎉", " ", "succeeded2", "完了"]
    )
    @pytest.mark.covers("amperity.state.any-other-word")
    def test_other_states_are_unknown(self, vendor_status: str, sandbox: Sandbox, amperity: AmperityResource) -> None:
        respond_with(sandbox, {"id": "wf-1", "state": vendor_status})
        assert get_status(amperity, "wf-1").state is RunState.UNKNOWN

    @pytest.mark.parametrize("state_case", ["lower", "title", "kebab", "snake"])
    @pytest.mark.parametrize("state_names", ["fetch", "stop"])
    @pytest.mark.covers("amperity.field.workflow-created-at", "amperity.field.workflow-ended-at")
    def test_run_life_cycle_in_the_statuses_of_both_pages(
        self, state_case: str, state_names: str, sandbox: Sandbox, amperity: AmperityResource
    ) -> None:
        sandbox.set_behavior(COURIERS, Behavior(state_case=state_case, state_names=state_names, running_seconds=10))
        run_id = start(amperity)
        seen = []
        for _ in range(5):
            seen.append(get_status(amperity, run_id).state)
            sandbox.advance(2.9)
        assert seen == [RunState.QUEUED, *[RunState.RUNNING] * 4]
        sandbox.advance(60)
        status = get_status(amperity, run_id)
        assert status.state is RunState.SUCCEEDED
        assert status.duration_seconds == pytest.approx(12, abs=0.01)

    def test_failure_resolved_before_the_verbose_response_is_not_final(
        self, sandbox: Sandbox, amperity: AmperityResource
    ) -> None:
        run_id = start(amperity)
        sandbox.add_fault(Fault("unknown_state", state="failed", times=1))
        assert get_status(amperity, run_id).state is RunState.QUEUED

    @pytest.mark.parametrize("attribution", ["customer", "platform", None])
    @pytest.mark.parametrize("data", [{}, {"error_data": None}, {"error_data": {"table": "x"}}])
    @pytest.mark.covers("amperity.field.workflow-error", "amperity.field.error-type", "amperity.state.failed")
    def test_failed_run_reports_its_error(
        self, attribution: str | None, data: dict[str, Any], sandbox: Sandbox, amperity: AmperityResource
    ) -> None:
        sandbox.set_behavior(COURIERS, Behavior(outcome="fail", error="boom <b>", attribution=attribution, **data))
        run_id = start(amperity)
        sandbox.advance(3600)
        status = get_status(amperity, run_id)
        assert (status.state, status.error) == (RunState.FAILED, "boom <b>")

    @pytest.mark.parametrize("stopped_state", ["canceled", "stopped"])
    @pytest.mark.covers(
        "amperity.endpoint.stop",
        "amperity.field.error-cancel",
        "amperity.state.canceled",
        "amperity.rule.stop-at-once",
    )
    def test_stopped_run_is_canceled(self, stopped_state: str, sandbox: Sandbox, amperity: AmperityResource) -> None:
        sandbox.set_behavior(COURIERS, Behavior(stopped_state=stopped_state))
        run_id = start(amperity)
        run_of().cancel(amperity, run_id)
        sandbox.advance(60)
        status = get_status(amperity, run_id)
        assert (status.state, status.vendor_status) == (RunState.CANCELED, stopped_state)
        assert status.error == "Workflow manually stopped"

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"id": "w"},
            {"state": "failed"},
            {"id": "w", "state": ""},
            {"id": "w", "state": None},
            {"id": "w", "state": 3},
            {"id": "w", "state": ["failed"]},
            {"id": 7.5, "state": "failed"},
            [],
            "failed",
            5,
        ],
    )
    def test_body_without_id_or_state_is_quoted(self, body: Any, sandbox: Sandbox, amperity: AmperityResource) -> None:
        respond_with(sandbox, body)
        with pytest.raises(UnexpectedResponseError) as raised:
            get_status(amperity, "w")
        assert json.dumps(body) in str(raised.value)

    @pytest.mark.parametrize(
        "body", [{}, {"id": None}, {"id": ""}, {"id": 7.5}, {"id": True}, [], {"workflow_id": "w"}]
    )
    def test_start_response_without_an_id_may_have_been_accepted(
        self, body: Any, sandbox: Sandbox, amperity: AmperityResource
    ) -> None:
        respond_with(sandbox, body)
        with pytest.raises(UnexpectedResponseError) as raised:
            start(amperity)
        assert raised.value.may_have_been_accepted

    @pytest.mark.covers("amperity.field.workflow-id")
    def test_start_response_needs_only_an_id(self, sandbox: Sandbox, amperity: AmperityResource) -> None:
        respond_with(sandbox, {"id": "wf-7"})
        assert start(amperity) == "wf-7"


def tasks(*states: str) -> list[Task]:
    return [Task(id=f"wft-{number}", state=state, label=f"task {number}") for number, state in enumerate(states)]


ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


class TestTasks:
    @pytest.mark.parametrize(
        ("states", "passed", "severity", "message"),
        [
            (["succeeded", "Succeeded"], True, None, "2 of 2 tasks succeeded"),
            (["succeeded", "failed"], False, ERROR, "1 of 2 tasks succeeded, 1 failed"),
            (["canceled", "stopped", "Failed"], False, ERROR, "0 of 3 tasks succeeded, 3 failed"),
            (["succeeded", "skipped"], False, WARN, "1 of 2 tasks succeeded, 1 skipped"),
            (["Skipped"], False, WARN, "0 of 1 tasks succeeded, 1 skipped"),
            (["failed", "skipped", "succeeded"], False, ERROR, "1 of 3 tasks succeeded, 1 failed, 1 skipped"),
            (["succeeded", "running"], False, WARN, "1 of 2 tasks succeeded, 1 unclear"),
            (["succeeded", "new-word"], False, WARN, "1 of 2 tasks succeeded, 1 unclear"),
            ([], False, WARN, "Amperity returned no tasks"),
        ],
    )
    @pytest.mark.covers("amperity.field.task-state", "amperity.state.skipped")
    def test_check_counts_succeeded_failed_and_skipped_tasks(
        self, states: list[str], passed: bool, severity: Any, message: str
    ) -> None:
        outcome = tasks_succeeded(tasks(*states))
        assert (outcome.passed, outcome.description) == (passed, message)
        if not passed:
            assert outcome.severity == severity

    def test_missing_tasks_are_a_warning(self) -> None:
        outcome = tasks_succeeded(None)
        assert (outcome.passed, outcome.severity) == (False, WARN)

    @pytest.mark.covers("amperity.field.task-id", "amperity.field.task-task-definition-type")
    def test_unsuccessful_tasks_are_listed_as_text(self) -> None:
        named = [
            Task(state="failed", label="<b>Stitch</b>"),
            Task(state="failed", task_definition_type="bridge.sync"),
            Task(state="skipped", id="wft-1"),
            Task(state="skipped"),
            Task(state="succeeded", label="good"),
        ]
        outcome = tasks_succeeded(named)
        assert {name: value.value for name, value in outcome.metadata.items()} == {
            "failed": "<b>Stitch</b>, bridge.sync",
            "skipped": "wft-1, (unnamed)",
        }
        assert "<b>" not in str(outcome.description)

    @pytest.mark.parametrize("order", [("failed", "succeeded"), ("succeeded", "failed")])
    def test_tasks_with_the_same_name_are_counted_separately(self, order: tuple[str, str]) -> None:
        outcome = tasks_succeeded([Task(state=state, label="same") for state in order])
        assert not outcome.passed
        assert outcome.description == "1 of 2 tasks succeeded, 1 failed"

    @pytest.mark.parametrize("task_start", ["created_at", "started_at"])
    @pytest.mark.covers(
        "amperity.field.workflow-type",
        "amperity.field.workflow-name",
        "amperity.field.workflow-task-instances",
        "amperity.field.task-label",
        "amperity.field.task-state",
        "amperity.field.task-created-at",
        "amperity.field.task-ended-at",
    )
    def test_table_reads_both_spellings_of_the_start_time(
        self, task_start: str, sandbox: Sandbox, amperity: AmperityResource
    ) -> None:
        behavior = Behavior(running_seconds=10, task_start=task_start, tasks=["succeeded", "succeeded"])
        sandbox.set_behavior(COURIERS, behavior)
        run_id = start(amperity)
        sandbox.advance(60)
        result = run_of().fetch_result(amperity, run_id, get_status(amperity, run_id), None)
        assert result.metadata["amperity/name"] == "Daily"
        assert result.metadata["amperity/type"] == "courier.group/run"
        rows = [record.data for record in result.metadata["amperity/tasks"].records]
        assert [row["seconds"] for row in rows] == [5, 5]
        assert [row["task"] for row in rows] == ["Updating domain tables", "Generating database"]
        assert all(row["started_at"] and row["finished_at"] for row in rows)

    @pytest.mark.parametrize(
        "task_instances", [None, "x", 7, {}, [None], ["a"], [[]], [{}], [{"id": "t"}], [{"state": 7}]]
    )
    def test_invalid_tasks_do_not_hide_the_state(
        self, task_instances: Any, sandbox: Sandbox, amperity: AmperityResource
    ) -> None:
        respond_with(sandbox, {"id": "wf-1", "state": "succeeded", "task_instances": task_instances})
        status = get_status(amperity, "wf-1")
        assert status.state is RunState.SUCCEEDED
        result = run_of().fetch_result(amperity, "wf-1", status, None)
        assert not [outcome for outcome in result.checks if outcome.passed]
