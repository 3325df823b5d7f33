"""Loses the response to a start, and adopts its run."""

from typing import Any

import dagster as dg

from dagster_runs import (
    build_remote_run_asset,
)
from dagster_runs.cli.adopt import Adopted, AdoptRequest, adopt_run
from dagster_runs.sandbox import Fault, Sandbox
from tests.cli.locating import location
from tests.remote_run.materializing import failure
from tests.remote_run.reexecuting import execute, job_with


def lose_response(
    run: Any, sandbox: Sandbox, instance: dg.DagsterInstance, **options: Any
) -> tuple[dg.JobDefinition, str]:
    """Materializes the asset `it`, whose start's response is lost. Returns its job and the Dagster run's id."""
    sandbox.add_fault(Fault("lost_response", method="POST", times=1))
    job = job_with(run, sandbox, key="it", **options)
    result = execute(job, instance)
    assert not result.success
    message = failure(result)
    assert "it is unknown whether" in message
    assert "run `dagster-runs adopt it RUN_ID`" in message
    assert "run `dagster-runs adopt it --none`" in message
    return job, result.run_id


def adopt(
    run: Any,
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    run_id: str | None,
    *,
    wanted: dict[str, Any] | None = None,
    **options: Any,
) -> Adopted:
    with location([build_remote_run_asset(run, key="it", **options)], sandbox, instance) as place:
        return adopt_run([place], AdoptRequest("it", run_id, **(wanted or {})))
