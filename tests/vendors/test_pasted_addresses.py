"""The error for a pasted URL names the part of it that is the id."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from dagster_runs import (
    AmperityWorkflowRun,
    ProphecyPipelineRun,
    RudderStackProfilesRun,
    SegmentflowJourneyRun,
    TestGenProfilingRun,
    TestGenTestRun,
)

UUID = "8a4f1c7e-2b39-4e2e-a8c3-1d5e9f2a7b4c"
OTHER = "11111111-2b39-4e2e-a8c3-1d5e9f2a7b4c"
KSUID = "2hkeBOp0lGJpMPyur0oXUxxIDhw"
UI = "https://testgen.example.com"
PROPHECY = "https://app.prophecy.io/metadata"
PIPELINE = {"fabric_id": 7, "project_id": "33", "pipeline_name": "orders"}


def pipeline(**fields: Any) -> Any:
    return ProphecyPipelineRun(**{**PIPELINE, **fields})


def journey(**fields: Any) -> Any:
    return SegmentflowJourneyRun(**fields, recipient={"userId": "7"})


@pytest.mark.fixes("6.14")
@pytest.mark.parametrize(
    ("make", "field", "address", "id"),
    [
        (TestGenTestRun, "test_suite_id", f"{UI}/test-suites:definitions?test_suite_id={UUID}", UUID),
        (TestGenTestRun, "test_suite_id", f"{UI}/test-definitions?project_code=A&test_suite_id={UUID}#x", UUID),
        (TestGenTestRun, "test_suite_id", f"{UI}/x?test_suite_id={UUID}&run_id={OTHER}", UUID),
        (TestGenProfilingRun, "table_group_id", f"http://localhost:8501/x?table_group_id={UUID}", UUID),
        (RudderStackProfilesRun, "profiles_id", f"https://app.rudderstack.com/profiles/{KSUID}/overview", KSUID),
        (RudderStackProfilesRun, "profiles_id", f"app.rudderstack.com/profiles/{KSUID}", KSUID),
        (AmperityWorkflowRun, "config_id", "https://acme.amperity.com/courier-groups/cg-4h2Xx/edit", "cg-4h2Xx"),
        (AmperityWorkflowRun, "config_id", "https://acme.amperity.com/orchestrations?id=og-7", "og-7"),
        (journey, "journey_id", f"https://dashboard.segmentflow.ai/journeys/{UUID}", UUID),
        (pipeline, "project_id", f"{PROPHECY}/entity/projects/33", "33"),
        (pipeline, "project_id", f"{PROPHECY}/sql/33?entity=pipeline&name=orders", "33"),
        (pipeline, "project_id", f"{PROPHECY}/ide/observation?prFabricId=7&prProjectId=33", "33"),
        (pipeline, "fabric_id", f"{PROPHECY}/ide/observation?prFabricId=7&prProjectId=33", "7"),
        (pipeline, "fabric_id", f"{PROPHECY}/entity/fabrics/7", "7"),
        (pipeline, "pipeline_name", f"{PROPHECY}/sql/33?entity=pipeline&name=daily%20orders", "daily orders"),
    ],
)
def test_pasted_url_error_names_the_id_in_it(make: Callable[..., Any], field: str, address: str, id: str) -> None:
    with pytest.raises(ValidationError, match=field) as raised:
        make(**{field: address})
    assert f"is the part {id!r}, so enter only that part" in str(raised.value)


@pytest.mark.fixes("6.14")
@pytest.mark.parametrize(
    ("make", "field", "address"),
    [
        # The URL of a run page does not contain the target of the run.
        (TestGenTestRun, "test_suite_id", f"{UI}/test-runs:results?project_code=DEFAULT&run_id={UUID}"),
        (TestGenTestRun, "test_suite_id", f"{UI}/x?a={UUID}&b={OTHER}"),
        (RudderStackProfilesRun, "profiles_id", "https://app.rudderstack.com/profiles"),
        (AmperityWorkflowRun, "config_id", "https://acme.amperity.com/workflows"),
        (journey, "journey_key", f"https://dashboard.segmentflow.ai/journeys/{UUID}"),
        (pipeline, "fabric_id", "https://app.prophecy.io/"),
        (pipeline, "pipeline_name", f"{PROPHECY}/sql/33"),
    ],
)
def test_pasted_url_without_an_id_is_rejected(make: Callable[..., Any], field: str, address: str) -> None:
    with pytest.raises(ValidationError, match=field) as raised:
        make(**{field: address})
    assert "this is the URL of a page; enter only" in str(raised.value)


def test_ids_and_names_are_accepted() -> None:
    made = pipeline(project_id="prj-9", pipeline_name="v1.2/orders v2.sql", fabric_id="12")
    assert (made.project_id, made.pipeline_name, made.fabric_id) == ("prj-9", "v1.2/orders v2.sql", 12)
    assert journey(journey_key="shop.v2/welcome").journey_key == "shop.v2/welcome"
    assert TestGenTestRun(test_suite_id=UUID.upper()).test_suite_id == UUID
