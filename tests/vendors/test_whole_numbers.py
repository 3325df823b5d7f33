"""An integer run id becomes its digits, in a start response, a status and a list."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from dagster_runs import (
    AmperityResource,
    ProphecyResource,
    RudderStackResource,
    SegmentflowResource,
    TestGenResource,
    VendorError,
)
from dagster_runs.remote_run.response_models import RunId
from tests.transport.scripted import Origin, Reply

TOKEN = "t0ken-of-the-test"
TIME = "2026-11-03T00:00:00Z"
WORKFLOW = {"state": "running", "created_at": TIME, "type": "courier.group/run"}
JOB = {"status": "running", "created_at": TIME, "job_key": "run-tests"}


def amperity(url: str) -> AmperityResource:
    return AmperityResource(tenant="acme", access_token=TOKEN, base_url=url, requests_per_second=None, max_retries=0)


def of_testgen(url: str) -> TestGenResource:
    return TestGenResource(access_token=TOKEN, base_url=url, project_code="DEFAULT", max_retries=0)


def rudderstack(url: str) -> RudderStackResource:
    return RudderStackResource(access_token=TOKEN, base_url=url, max_retries=0)


def prophecy(url: str) -> ProphecyResource:
    return ProphecyResource(access_token=TOKEN, base_url=url, max_retries=0)


def segmentflow(url: str) -> SegmentflowResource:
    return SegmentflowResource(api_key=TOKEN, base_url=url, max_retries=0)


RESPONSES: dict[str, tuple[Any, Any]] = {
    "rudderstack start": ({"runId": 7}, lambda url: rudderstack(url).start_profiles_run("p", [])),
    "amperity start": ({"id": 7}, lambda url: amperity(url).start_workflow({"config_id": "cg-1"})),
    "segmentflow start": ({"runId": 7}, lambda url: segmentflow(url).trigger_journey("j", {})),
    "segmentflow start by key": (
        {"runId": 7},
        lambda url: segmentflow(url).trigger_journey_by_key("j", {}, idempotency_key="k"),
    ),
    "prophecy start": ({"success": True, "runId": 7}, lambda url: prophecy(url).trigger_pipeline({})),
    "testgen start": ({"id": 7}, lambda url: of_testgen(url).submit_test_run("s", {})),
    "testgen profiling": ({"id": 7}, lambda url: of_testgen(url).submit_profiling_run("s")),
    "amperity status": ({"id": 7, **WORKFLOW}, lambda url: amperity(url).get_workflow("7", verbose=False).id),
    "testgen status": ({"id": 7, **JOB}, lambda url: of_testgen(url).get_job("7").id),
    "amperity list": (
        {"data": [{"id": 7, **WORKFLOW}]},
        lambda url: next(iter(amperity(url).list_runs(0.0) or ())).run_id,
    ),
    "testgen list": (
        {"items": [{"id": 7, **JOB}], "page": 1, "limit": 100, "total": 1},
        lambda url: next(iter(of_testgen(url).list_runs(0.0) or ())).run_id,
    ),
}


@pytest.mark.fixes("6.14")
@pytest.mark.parametrize("which", RESPONSES)
def test_integer_run_id_becomes_its_digits(which: str, origin: Origin) -> None:
    body, ask = RESPONSES[which]
    origin.replies = [Reply(200, json.dumps(body))]
    assert ask(origin.url) == "7"


@pytest.mark.parametrize("which", [which for which in RESPONSES if "start" in which])
@pytest.mark.parametrize("value", ["7.0", "true", "null", '""'])
def test_other_types_are_not_run_ids(value: str, which: str, origin: Origin) -> None:
    body, ask = RESPONSES[which]
    origin.replies = [Reply(200, json.dumps(body).replace("7", value))]
    with pytest.raises(VendorError) as raised:
        ask(origin.url)
    assert raised.value.may_have_been_accepted


@pytest.mark.parametrize("value", [7.0, True, False, None, "", [7], {"id": 7}, float("nan")])
def test_run_id_type_rejects_other_types(value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(RunId).validate_python(value)


@pytest.mark.fixes("6.14")
def test_large_integers_keep_all_digits() -> None:
    assert TypeAdapter(RunId).validate_python(2**80 + 1) == str(2**80 + 1)


@pytest.mark.fixes("6.14")
@pytest.mark.parametrize(("status", "body"), [(200, ""), (202, ""), (204, "")])
@pytest.mark.parametrize("vendor", ["amperity", "testgen"])
def test_cancel_response_with_an_empty_body_is_accepted(vendor: str, status: int, body: str, origin: Origin) -> None:
    origin.forget()
    origin.replies = [Reply(status, body)]
    if vendor == "amperity":
        amperity(origin.url).stop_workflow("wf-1")
    else:
        of_testgen(origin.url).cancel_job("7")
    assert [seen.method for seen in origin.seen] == ["POST"]
