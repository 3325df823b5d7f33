"""Tests for rows that the vendors' own tests do not cover."""

import json
from collections.abc import Iterator
from urllib.parse import parse_qs

import pytest
from pydantic import BaseModel

from dagster_runs import (
    AmperityResource,
    AmperityWorkflowRun,
    RudderStackResource,
    TestGenResource,
    UnexpectedResponseError,
)
from dagster_runs.vendors.amperity import models as amperity
from dagster_runs.vendors.testgen import models as testgen
from tests.transport.scripted import Origin, Reply
from tests.vendors.testgen_runs import attempt, suite_run


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as origin:
        yield origin


@pytest.mark.covers("testgen.login.refresh-token")
def test_testgen_sends_the_newest_refresh_token(origin: Origin) -> None:
    # The refresh token of a public client changes with each use, and the old one soon expires.
    job = Reply(200, json.dumps({"id": "j", "status": "running"}))
    origin.replies = [
        Reply(200, {"access_token": "access-1", "refresh_token": "refresh-2"}),
        Reply(401, {"detail": "Invalid or expired token"}),
        Reply(200, {"access_token": "access-2"}),
        job,
    ]
    resource = TestGenResource(
        base_url=origin.url, client_id="gaps", client_secret="client-secret", refresh_token="refresh-1"
    )
    assert suite_run().fetch_status(resource, "j").vendor_status == "running"
    sent = [parse_qs(seen.body.decode())["refresh_token"] for seen in origin.seen if seen.path == "/oauth/token"]
    assert sent == [["refresh-1"], ["refresh-2"]]


@pytest.mark.parametrize(("code", "found"), [("OTHER", None), ("MINE", []), (7, [])])
@pytest.mark.covers("testgen.endpoint.suite", "testgen.field.suite-project-code")
def test_testgen_list_of_another_project_is_inconclusive(code: object, found: object, origin: Origin) -> None:
    resource = TestGenResource(base_url=origin.url, access_token="t0ken-of-gaps", project_code="MINE")
    origin.replies = [
        Reply(200, {"items": [], "page": 1, "limit": 100, "total": 0}),
        Reply(200, {"project_code": code}),
    ]
    assert suite_run().find_started(resource, attempt()) == found
    assert [seen.path.split("?")[0] for seen in origin.seen] == [
        "/api/v1/projects/MINE/jobs",
        f"/api/v1/test-suites/{suite_run().target}",
    ]


@pytest.mark.parametrize(
    "task",
    [
        {"taskId": "wht", "taskRunId": "r1", "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:09Z"},
        {
            "task_id": "wht",
            "task_run_id": "r1",
            "job_id": "2hke",
            "started_at": "2026-01-01T00:00:00Z",
            "finished_at": "2026-01-01T00:00:09Z",
        },
    ],
    ids=["documented", "seen"],
)
@pytest.mark.covers("rudderstack.field.tasks-task-run-id")
def test_rudderstack_tasks_are_parsed_in_both_spellings(task: dict[str, str], origin: Origin) -> None:
    origin.replies = [Reply(200, {"status": "finished", "tasks": [task]})]
    resource = RudderStackResource(access_token="t0ken-of-gaps", base_url=origin.url)
    [read] = resource.get_profiles_run("2hke", "r").tasks or []
    assert (read.task_id, read.task_run_id) == ("wht", "r1")
    assert read.started_at is not None
    assert read.finished_at is not None
    assert (read.finished_at - read.started_at).total_seconds() == 9


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (amperity.Task, "execution_type"),
        (testgen.FailingTest, "schema_name"),
        (testgen.Job, "job_key"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@pytest.mark.parametrize(("sent", "read"), [("x", "x"), ("never seen before", "never seen before"), (7, None)])
@pytest.mark.covers(
    "amperity.field.task-execution-type", "testgen.field.job-job-key", "testgen.field.results-schema-name"
)
def test_fields_that_are_parsed_but_not_reported(
    model: type[BaseModel], name: str, sent: object, read: str | None
) -> None:
    required = {"id": "1", "status": "running", "state": "running"}
    assert getattr(model.model_validate({**required, name: sent}), name) == read


@pytest.mark.covers("amperity.field.list-bare-workflow")
def test_amperity_workflow_instead_of_a_list_raises(origin: Origin) -> None:
    # Finding nothing in it would mean that nothing was started.
    origin.replies = [Reply(200, {"id": "wf-20240619-14418-6UhqSe", "state": "succeeded", "type": "courier.group/run"})]
    resource = AmperityResource(tenant="gaps", access_token="t0ken-of-gaps", base_url=origin.url)
    with pytest.raises(UnexpectedResponseError, match="wf-20240619-14418-6UhqSe"):
        AmperityWorkflowRun(config_id="cg-1").find_started(resource, attempt())
