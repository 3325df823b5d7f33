"""The id of a run stays one path segment, no matter what id a vendor returned."""

import re
from typing import Any

import pytest

from dagster_runs import (
    AmperityWorkflowRun,
    ProphecyPipelineRun,
    RemoteRun,
    RudderStackProfilesRun,
    SegmentflowJourneyRun,
    VendorError,
)
from dagster_runs.sandbox import Sandbox, well_known

PROFILES, PROJECT = well_known.PROFILES_FEATURES, well_known.PROPHECY_PROJECT
JOURNEY, COURIERS = well_known.SEGMENTFLOW_JOURNEY, well_known.AMPERITY_COURIERS
ENDPOINTS = {
    "rudderstack": (RudderStackProfilesRun(profiles_id=PROFILES), f"/v2/sources/{PROFILES}/runs/[^/]+/status"),
    "amperity": (AmperityWorkflowRun(config_id=COURIERS), "/api/workflow/runs/[^/]+"),
    "segmentflow": (
        SegmentflowJourneyRun(journey_id=JOURNEY, recipient={"userId": "7"}),
        "/api/v1/public/journeys/runs/[^/]+",
    ),
    "prophecy": (
        ProphecyPipelineRun(fabric_id=1, project_id=PROJECT, pipeline_name="p"),
        "/api/trigger/pipeline/[^/]+",
    ),
}
STRANGE = ["../x", "..", "a/b", "?", "x?y", "", "a%2Fb", "a\nb", "#"]
OTHERS = [
    ("rudderstack", "../../start"),
    ("segmentflow", "../welcome-back/trigger"),
    ("prophecy", "../../deploy"),
]


@pytest.mark.parametrize(("vendor", "run_id"), [*((vendor, one) for vendor in ENDPOINTS for one in STRANGE), *OTHERS])
@pytest.mark.covers(
    "rudderstack.parameter.run-id",
    "amperity.parameter.workflow-id",
    "segmentflow.parameter.run-id",
    "prophecy.parameter.run-id",
)
def test_run_ids_never_reach_another_endpoint(
    vendor: str, run_id: str, sandbox: Sandbox, request: pytest.FixtureRequest
) -> None:
    run: RemoteRun[Any]
    run, path = ENDPOINTS[vendor]
    with pytest.raises(VendorError):
        run.fetch_status(request.getfixturevalue(vendor), run_id)
    for seen in sandbox.requests(vendor):
        assert re.fullmatch(f"/{vendor}{path}", seen.path)
    assert sandbox.starts(vendor) == 0
