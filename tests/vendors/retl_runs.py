"""Runs RudderStack Reverse ETL syncs, with and without Dagster."""

from typing import Any

import dagster as dg

from dagster_runs import RudderStackResource, RudderStackRETLSyncRun, build_remote_run_asset
from dagster_runs.remote_run.state import RunStatus
from dagster_runs.remote_run.types import StartAttempt
from dagster_runs.sandbox import RecordedRequest, Sandbox, well_known
from dagster_runs.transport.clock import current_clock
from tests.remote_run.materializing import materialize

CONNECTION = well_known.RETL_AUDIENCE
PATH = f"/rudderstack/v2/retl-connections/{CONNECTION}"


def sync(**fields: Any) -> RudderStackRETLSyncRun:
    return RudderStackRETLSyncRun(**{"connection_id": CONNECTION, **fields})


def attempt(**changes: Any) -> StartAttempt:
    given = {"correlation_id": "c", "starting_at": current_clock().wall(), "dagster_run_id": "d"}
    return StartAttempt(**{**given, **changes})


def start(resource: RudderStackResource, **fields: Any) -> str:
    return sync(**fields).start(resource, attempt())


def get_status(resource: RudderStackResource, run_id: str) -> RunStatus:
    return sync().fetch_status(resource, run_id)


def sync_asset(run: RudderStackRETLSyncRun | None = None, **options: Any) -> dg.AssetsDefinition:
    return build_remote_run_asset(run or sync(), key="audience", **options)


def run_sync(
    sandbox: Sandbox, instance: dg.DagsterInstance, run: RudderStackRETLSyncRun | None = None, **options: Any
) -> dg.ExecuteInProcessResult:
    return materialize([sync_asset(run, **options)], sandbox, instance)


def stops(sandbox: Sandbox) -> list[RecordedRequest]:
    return [request for request in sandbox.requests("rudderstack") if request.path.endswith("/stop")]
