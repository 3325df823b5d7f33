"""Any Amperity response gives either a package error or a result that Dagster can store."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dagster_runs import AmperityResource, AmperityWorkflowRun, ConflictError, UnexpectedResponseError, VendorError
from dagster_runs.remote_run.state import RunState
from dagster_runs.remote_run.types import StartAttempt
from dagster_runs.transport import auth as auth_module
from tests.transport.scripted import Origin, Reply, huge
from tests.vendors.any_json import anything, close_to, few, times

RUN = AmperityWorkflowRun(config_id="cg-1")
ATTEMPT = StartAttempt(correlation_id="c", starting_at=1.8e9, dagster_run_id="d")
texts = st.none() | st.text(max_size=5)
words = st.sampled_from(["scheduled", "In progress", "running-with-failures", "succeeded", "failed", "canceled"])
ids = st.text(max_size=5)
errors = st.none() | close_to({"type": texts, "message": texts, "attribution": texts, "data": anything})
tasks = close_to(
    {
        "id": ids,
        "state": words | st.sampled_from(["skipped", "stopped"]),
        "label": texts,
        "task_definition_type": texts,
        "created_at": times,
        "started_at": times,
        "ended_at": times,
        "error": errors,
    }
)
workflows = close_to(
    {
        "id": ids,
        "state": words | st.text(max_size=8),
        "type": texts,
        "name": texts,
        "created_at": times,
        "ended_at": times,
        "error": errors,
        "task_instances": st.lists(tasks, max_size=3),
    }
)
good_tasks = [{"state": "succeeded", "created_at": "9999-12-31T23:59:59Z", "ended_at": "0001-01-02T00:00:00Z"}]


@pytest.fixture(scope="module")
def at_origin(origin: Origin) -> AmperityResource:
    return AmperityResource(
        tenant="t", access_token="t0ken", base_url=origin.url, max_retries=0, requests_per_second=None
    )


def respond_with(origin: Origin, body: Any, status: int = 200) -> None:
    origin.replies = [Reply(status, json.dumps(body))]


def result_or_error(call: Callable[[], Any]) -> Any:
    """Returns the result of the call, or its error if the error is of the allowed type."""
    try:
        return call()
    except UnexpectedResponseError as error:
        return error


@few
@given(body=workflows)
@example(body={"id": "w", "state": "succeeded", "task_instances": good_tasks})
@example(body={"id": "w", "state": "succeeded", "ended_at": "9999-12-31T23:59:59-05:00", "task_instances": []})
@example(body={"id": "w", "state": "succeeded", "task_instances": [{"state": "failed"}, {"state": "succeeded"}]})
@example(body={"id": "w", "state": "failed", "error": {"message": 7, "data": None}})
@pytest.mark.covers("amperity.field.workflow-state")
def test_any_workflow_body_gives_a_status_or_an_error(body: Any, origin: Origin, at_origin: AmperityResource) -> None:
    respond_with(origin, body)
    status = result_or_error(lambda: RUN.fetch_status(at_origin, "w"))
    if isinstance(status, UnexpectedResponseError):
        # White space in quoted responses is collapsed.
        quoted = " ".join(json.dumps(body, ensure_ascii=False).split())
        assert f"the response was {quoted[:5]}" in status.detail
        return
    assert status.vendor_status == body["state"]
    if status.state is RunState.SUCCEEDED:
        assert "".join(c for c in body["state"].casefold() if c.isalnum()) == "succeeded"
    result = RUN.fetch_result(at_origin, "w", status, None)
    dg.AssetMaterialization("a", metadata=dict(result.metadata))
    [outcome] = result.checks
    dg.AssetCheckResult(passed=outcome.passed, metadata=dict(outcome.metadata))
    if outcome.passed:
        assert {task["state"] for task in body["task_instances"]} == {"succeeded"}


@pytest.mark.parametrize("odd", [{"state": None}, {}, {"state": 7}, {"state": "failing", "label": 7}])
@pytest.mark.covers("amperity.field.task-state")
def test_unreadable_task_does_not_hide_a_failed_task(odd: Any, origin: Origin, at_origin: AmperityResource) -> None:
    tasks = [{"state": "failed", "label": "load"}, odd]
    respond_with(origin, {"id": "w", "state": "succeeded", "task_instances": tasks})
    result = RUN.fetch_result(at_origin, "w", RUN.fetch_status(at_origin, "w"), None)
    [check] = result.checks
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert check.metadata["failed"].value == "load"
    assert "1 failed, 1 unclear" in (check.description or "")
    assert len(result.metadata["amperity/tasks"].records) == 2


@pytest.mark.parametrize(
    "verbose",
    [Reply(200, "<html>"), Reply(413, {"message": "too large"}), huge(200, 20_000_000)],
    ids=["no JSON", "refused", "huge"],
)
@pytest.mark.parametrize(("vendor_status", "state"), [("succeeded", RunState.SUCCEEDED), ("failed", RunState.FAILED)])
@pytest.mark.covers("amperity.parameter.view")
def test_final_state_is_reported_without_the_verbose_response(
    vendor_status: str, state: RunState, verbose: Any, origin: Origin, at_origin: AmperityResource
) -> None:
    origin.replies = [Reply(200, {"id": "w", "state": vendor_status}), verbose]
    status = RUN.fetch_status(at_origin, "w")
    assert (status.state, status.vendor_status) == (state, vendor_status)
    [check] = RUN.fetch_result(at_origin, "w", status, None).checks
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "returned no tasks" in (check.description or "")


@few
@given(vendor_status=st.text(min_size=1, max_size=12), ended=st.none() | times)
@pytest.mark.covers("amperity.state.any-other-word")
def test_any_state_is_kept_and_only_succeeded_means_success(
    vendor_status: str, ended: Any, origin: Origin, at_origin: AmperityResource
) -> None:
    respond_with(origin, {"id": "w", "state": vendor_status, "ended_at": ended})
    status = RUN.fetch_status(at_origin, "w")
    assert status.vendor_status == vendor_status
    if status.state is RunState.SUCCEEDED:
        assert "".join(c for c in vendor_status.casefold() if c.isalnum()) == "succeeded"


@few
@given(created=times, ended=times)
@pytest.mark.covers("amperity.field.workflow-created-at", "amperity.field.workflow-ended-at")
def test_any_timestamp_gives_a_valid_result(
    created: Any, ended: Any, origin: Origin, at_origin: AmperityResource
) -> None:
    task = {"state": "succeeded", "started_at": created, "ended_at": ended}
    respond_with(
        origin,
        {"id": "w", "state": "succeeded", "created_at": created, "ended_at": ended, "task_instances": [task]},
    )
    status = RUN.fetch_status(at_origin, "w")
    assert status.state is RunState.SUCCEEDED
    assert status.duration_seconds is None or status.duration_seconds >= 0
    dg.AssetMaterialization("a", metadata=dict(RUN.fetch_result(at_origin, "w", status, None).metadata))


@few
@given(body=workflows)
def test_any_start_body_gives_an_id_or_an_uncertain_error(
    body: Any, origin: Origin, at_origin: AmperityResource
) -> None:
    respond_with(origin, body, 201)
    started = result_or_error(lambda: RUN.start(at_origin, ATTEMPT))
    if isinstance(started, UnexpectedResponseError):
        assert started.may_have_been_accepted
    else:
        assert started == str(body["id"])  # an integer becomes its digits


@few
@given(
    body=close_to({"data": st.lists(workflows, max_size=2), "next_token": st.none() | st.just(""), "total": anything})
)
@example(body={"data": [{"id": "w", "state": "running", "created_at": "9999-12-31T23:59:59Z"}]})
@example(body={"data": [], "next_token": ""})
@example(body={"id": "w", "state": "running"})
@pytest.mark.covers("amperity.field.list-data")
def test_any_list_body_gives_candidates_or_an_error(body: Any, origin: Origin, at_origin: AmperityResource) -> None:
    # The next requests get the same body.
    respond_with(origin, body)
    with contextlib.suppress(UnexpectedResponseError):
        for found in RUN.find_started(at_origin, ATTEMPT) or []:
            assert not found.is_ours
            listed = [str(one.get("id")) for one in body["data"] if isinstance(one, dict)]
            assert found.run_id in listed or found.is_ambiguous


@few
@given(body=close_to({"access_token": st.text(max_size=5), "expires_in": anything, "token_type": texts}))
@example(body={"access_token": "t", "expires_in": float("nan")})
@example(body={"access_token": "t", "expires_in": float("inf")})
@example(body={"access_token": "t", "expires_in": 10**400})
@example(body={"access_token": "t", "expires_in": -1})
@pytest.mark.covers("amperity.login.expires-in")
def test_any_token_body_gives_a_header_or_a_redacted_error(body: Any, origin: Origin) -> None:
    auth_module._shared.clear()
    resource = AmperityResource(
        tenant="t",
        client_id="c",
        client_secret="s",
        base_url=origin.url,
        token_url=f"{origin.url}/token",
        requests_per_second=None,
    )
    respond_with(origin, body)
    headers = result_or_error(lambda: resource.auth().headers())
    if isinstance(headers, UnexpectedResponseError):
        assert "not shown" in headers.detail
    else:
        assert headers["Authorization"] == f"Bearer {body['access_token']}"


@few
@given(body=close_to({"status": anything, "message": texts, "request_id": texts, "trace_id": texts}))
def test_any_error_body_raises_the_error_of_its_status(body: Any, origin: Origin, at_origin: AmperityResource) -> None:
    respond_with(origin, body, 409)
    with pytest.raises(ConflictError):
        RUN.start(at_origin, ATTEMPT)


@few
@given(body=anything)
def test_any_stop_body_raises_only_vendor_errors(body: Any, origin: Origin, at_origin: AmperityResource) -> None:
    # The next status call returns the outcome.
    respond_with(origin, body)
    with contextlib.suppress(VendorError):
        RUN.cancel(at_origin, "w")
