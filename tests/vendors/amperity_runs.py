"""Runs an Amperity workflow without Dagster."""

from datetime import datetime, timezone
from typing import Any

from dagster_runs import AmperityResource, AmperityWorkflowRun
from dagster_runs.remote_run.state import RunStatus
from dagster_runs.remote_run.types import StartAttempt
from dagster_runs.sandbox import well_known

COURIERS, FILES = well_known.AMPERITY_COURIERS, well_known.AMPERITY_FILES
ORCHESTRATION, CAMPAIGN = well_known.AMPERITY_ORCHESTRATION, well_known.AMPERITY_CAMPAIGN
ATTEMPT = StartAttempt(correlation_id="c", starting_at=0.0, dagster_run_id="d")
DAY = (datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 2, tzinfo=timezone.utc))


def run_of(config_id: str = COURIERS, **fields: Any) -> AmperityWorkflowRun:
    return AmperityWorkflowRun(**{"config_id": config_id, **fields})


def start(resource: AmperityResource, config_id: str = COURIERS, **fields: Any) -> str:
    return run_of(config_id, **fields).start(resource, ATTEMPT)


def get_status(resource: AmperityResource, run_id: str) -> RunStatus:
    return run_of().fetch_status(resource, run_id)
