"""Jobs for the tests that kill processes, and a worker that executes one of them."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import dagster as dg

from dagster_runs import (
    AmperityWorkflowRun,
    ProphecyPipelineRun,
    RemoteRun,
    SegmentflowJourneyRun,
    TestGenTestRun,
    build_remote_run_asset,
)
from dagster_runs.sandbox import SandboxClient, well_known
from dagster_runs.testing import fast_forward, sandbox_resources
from tests.remote_run.materializing import PROFILES, TESTS

RETRIES = dg.RetryPolicy(max_retries=2)
SLOW = TestGenTestRun(test_suite_id=well_known.SUITE_SLOW)
STARTS: dict[str, RemoteRun[Any]] = {
    "testgen": TESTS,
    "amperity": AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS),
    "segmentflow": SegmentflowJourneyRun(
        journey_key=well_known.SEGMENTFLOW_JOURNEY_KEY, recipient={"email": "anna@example.com"}
    ),
    "rudderstack": PROFILES,
    "prophecy": ProphecyPipelineRun(
        fabric_id=well_known.PROPHECY_FABRIC,
        project_id=well_known.PROPHECY_PROJECT,
        pipeline_name=well_known.PROPHECY_PIPELINE,
    ),
}
"""One run per vendor, by the vendor's resource key."""

_until_exit = ExitStack()
if "FAST_FORWARD" in os.environ:
    # Also in the steps' processes, which import this module. Only one of them may wait at a time, or clocks would lag.
    _until_exit.enter_context(fast_forward(SandboxClient(os.environ["SANDBOX_URL"])))


def _job(executor: dg.ExecutorDefinition, *assets: Any, **settings: Any) -> dg.JobDefinition:
    defs = dg.Definitions(
        assets=assets,
        jobs=[dg.define_asset_job("remote")],
        resources=sandbox_resources(os.environ["SANDBOX_URL"], **settings),
        executor=executor,
    )
    return defs.resolve_job_def("remote")


@dg.asset(name="quality", retry_policy=RETRIES)
def own_quality(context: dg.AssetExecutionContext, testgen: dg.ResourceParam[Any]) -> Iterator[Any]:
    """A user-defined asset with a remote run."""
    yield from testgen.run(context, SLOW)


def tests_in_processes() -> dg.JobDefinition:
    return _job(dg.multiprocess_executor, own_quality, poll_interval=0.3)


def tests_in_process() -> dg.JobDefinition:
    return _job(dg.in_process_executor, own_quality, poll_interval=0.3)


def _starts(executor: dg.ExecutorDefinition) -> dg.JobDefinition:
    # Responses are held back until the process is killed.
    assets = [build_remote_run_asset(run, key=vendor) for vendor, run in STARTS.items()]
    return _job(executor, *assets, request_timeout=600)


def starts_in_processes() -> dg.JobDefinition:
    return _starts(dg.multiprocess_executor)


def starts_in_process() -> dg.JobDefinition:
    return _starts(dg.in_process_executor)


def work(job: str, resumes: str | None = None, asset: str | None = None) -> None:
    """Executes a job, or re-executes a failed run from failure, as a run worker does. Exits with 0 if it succeeds."""
    with dg.DagsterInstance.get() as instance:
        options = dg.ReexecutionOptions.from_failure(resumes, instance) if resumes else None
        reconstructable_job = dg.reconstructable(globals()[job])
        # The UI and the daemon set this tag, but `execute_job` does not.
        tags = {"dagster/is_resume_retry": "true"} if resumes else None
        selection = [dg.AssetKey(asset)] if asset else None
        with dg.execute_job(
            reconstructable_job, instance=instance, reexecution_options=options, tags=tags, asset_selection=selection
        ) as result:
            sys.exit(0 if result.success else 1)
