"""Materializes Amperity workflows against the sandbox."""

from typing import Any

import dagster as dg

from dagster_runs import AmperityResource, AmperityWorkflowRun, build_remote_run_asset
from dagster_runs.sandbox import Sandbox, well_known
from tests.remote_run.materializing import materialize

COURIERS = AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS)


def unlimited(sandbox: Sandbox) -> dict[str, AmperityResource]:
    """Returns the resource without a rate limit, which would use real time."""
    sandbox.configure("amperity", requests_per_second=None)
    resource = AmperityResource(
        tenant=well_known.AMPERITY_TENANT,
        access_token=well_known.AMPERITY_TOKEN,
        base_url=f"{sandbox.url}/amperity",
        requests_per_second=None,
    )
    return {"amperity": resource}


def workflow_asset(run: AmperityWorkflowRun = COURIERS, **options: Any) -> dg.AssetsDefinition:
    return build_remote_run_asset(run, key="customers", **options)


def run_workflow(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    run: AmperityWorkflowRun = COURIERS,
    *,
    launch: dict[str, Any] | None = None,
    partition_key: str | None = None,
    tags: dict[str, str] | None = None,
    **options: Any,
) -> dg.ExecuteInProcessResult:
    """Materializes ``customers`` with the workflow.

    Args:
        launch: Fields to override, as in the launchpad.
        partition_key: The partition to materialize.
        tags: Tags of the Dagster run.
        options: Options of the asset.
    """
    config = {"run_config": {"ops": {"customers": {"config": launch}}}} if launch is not None else {}
    return materialize(
        [workflow_asset(run, **options)],
        sandbox,
        instance,
        resources=unlimited(sandbox),
        partition_key=partition_key,
        tags=tags,
        **config,
    )
