"""Runs a Segmentflow journey without Dagster."""

from typing import Any

import pytest

from dagster_runs import SegmentflowJourneyRun, SegmentflowResource
from dagster_runs.remote_run.state import RunStatus
from dagster_runs.remote_run.types import StartAttempt
from dagster_runs.sandbox import Fault, Sandbox, well_known

JOURNEY, KEY = well_known.SEGMENTFLOW_JOURNEY, well_known.SEGMENTFLOW_JOURNEY_KEY
ANNA = {"email": "anna@example.com"}
ATTEMPT = StartAttempt(correlation_id="0123456789abcdef", starting_at=0.0, dagster_run_id="d")
BY_ID, BY_KEY = {"journey_id": JOURNEY}, {"journey_key": KEY}
BOTH = pytest.mark.parametrize("by", [BY_ID, BY_KEY], ids=["by id", "by key"])


def journey(**fields: Any) -> SegmentflowJourneyRun:
    named = {} if {"journey_id", "journey_key"} & set(fields) else BY_ID
    return SegmentflowJourneyRun(**{"recipient": ANNA, **named, **fields})


def start(resource: SegmentflowResource, **fields: Any) -> str:
    return journey(**fields).start(resource, ATTEMPT)


def get_status(resource: SegmentflowResource, run_id: str, **fields: Any) -> RunStatus:
    return journey(**fields).fetch_status(resource, run_id)


def status_of(sandbox: Sandbox, resource: SegmentflowResource, body: Any, **fields: Any) -> RunStatus:
    """Returns the status that is parsed from the response ``body``."""
    sandbox.add_fault(Fault("status", status=200, body=body))
    return get_status(resource, "r", **fields)
