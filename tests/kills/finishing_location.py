"""A job that reports the outcome of a deferred run, and whose worker hangs after its step has failed."""

import json
import os
import time
from pathlib import Path

import dagster as dg

from dagster_runs.testing import sandbox_resources
from tests.remote_run.materializing import PROFILES
from tests.sensors.driving import deferred

HUNG = "hung"


@dg.failure_hook
def hang(context: dg.HookContext) -> None:
    """Keeps the worker between the failure of its step and the failure of its run."""
    (Path(os.environ["DAGSTER_HOME"]) / HUNG).touch()
    time.sleep(3600)


def finishing() -> dg.JobDefinition:
    """Returns the job."""
    return dg.Definitions(
        assets=[deferred(PROFILES)],
        jobs=[dg.define_asset_job("remote", hooks={hang})],
        resources=sandbox_resources(os.environ["SANDBOX_URL"]),
        executor=dg.in_process_executor,
    ).resolve_job_def("remote")


def finish(tags: str) -> None:
    """Executes the job as the run that the completion sensor requested with these tags."""
    with dg.DagsterInstance.get() as instance:
        dg.execute_job(dg.reconstructable(finishing), instance=instance, tags=json.loads(tags))
