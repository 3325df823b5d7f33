"""Runs a RudderStack Profiles project without Dagster."""

from typing import Any

from dagster_runs import RudderStackProfilesRun, RudderStackResource
from dagster_runs.remote_run.state import RunStatus
from dagster_runs.remote_run.types import StartAttempt
from dagster_runs.sandbox import well_known

PROJECT = well_known.PROFILES_FEATURES
ATTEMPT = StartAttempt(correlation_id="c", starting_at=0.0, dagster_run_id="d")


def start(resource: RudderStackResource, **fields: Any) -> str:
    return RudderStackProfilesRun(**{"profiles_id": PROJECT, **fields}).start(resource, ATTEMPT)


def get_status(resource: RudderStackResource, run_id: str, profiles_id: str = PROJECT) -> RunStatus:
    return RudderStackProfilesRun(profiles_id=profiles_id).fetch_status(resource, run_id)
