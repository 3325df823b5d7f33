"""Runs a Prophecy pipeline without Dagster."""

from typing import Any

from dagster_runs import ProphecyPipelineRun, ProphecyResource
from dagster_runs.remote_run.state import RunStatus
from dagster_runs.remote_run.types import StartAttempt
from dagster_runs.sandbox import Fault, Sandbox, well_known

PIPELINE, PROJECT, FABRIC = well_known.PROPHECY_PIPELINE, well_known.PROPHECY_PROJECT, well_known.PROPHECY_FABRIC
ATTEMPT = StartAttempt(correlation_id="c", starting_at=0.0, dagster_run_id="d")
REQUIRED = {"fabricId": FABRIC, "projectId": PROJECT, "pipelineName": PIPELINE}


def pipeline(**fields: Any) -> ProphecyPipelineRun:
    usual = {"fabric_id": FABRIC, "project_id": PROJECT, "pipeline_name": PIPELINE}
    return ProphecyPipelineRun(**{**usual, **fields})


def start(resource: ProphecyResource, **fields: Any) -> str:
    return pipeline(**fields).start(resource, ATTEMPT)


def get_status(resource: ProphecyResource, run_id: str) -> RunStatus:
    return pipeline().fetch_status(resource, run_id)


def status_of(sandbox: Sandbox, resource: ProphecyResource, body: Any) -> RunStatus:
    """Returns the status that is parsed from the response ``body``."""
    sandbox.add_fault(Fault("status", status=200, body=body))
    return get_status(resource, "r")
