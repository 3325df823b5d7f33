"""Jobs for the tests that kill processes, and a worker that executes one of them."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_runs import RemoteRunResource, TestGenTestRun, build_remote_run_asset
from dagster_runs.sandbox import well_known
from dagster_runs.testing import sandbox_resources
from tests.remote_run.materializing import PROFILES

RETRIES = dg.RetryPolicy(max_retries=2)
SLOW = TestGenTestRun(test_suite_id=well_known.SUITE_SLOW)


class ReportingPid(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Lets a test know the process of a step."""

    def report(self) -> None:
        Path(os.environ["STEP_PID_FILE"]).write_text(str(os.getpid()))


def _resources() -> dict[str, RemoteRunResource]:
    return sandbox_resources(os.environ["SANDBOX_URL"], poll_interval=0.3)


def _job(executor: dg.ExecutorDefinition, *assets: Any) -> dg.JobDefinition:
    defs = dg.Definitions(
        assets=assets,
        jobs=[dg.define_asset_job("remote")],
        resources={**_resources(), "pid": ReportingPid()},
        executor=executor,
    )
    return defs.resolve_job_def("remote")


@dg.asset(name="quality", retry_policy=RETRIES)
def own_quality(context: dg.AssetExecutionContext, testgen: dg.ResourceParam[Any], pid: ReportingPid) -> Iterator[Any]:
    """An asset of the user's own, with a remote run in it."""
    pid.report()
    yield from testgen.run(context, SLOW)


def tests_in_processes() -> dg.JobDefinition:
    return _job(dg.multiprocess_executor, own_quality)


def tests_in_process() -> dg.JobDefinition:
    return _job(dg.in_process_executor, own_quality)


def profiles_in_processes() -> dg.JobDefinition:
    return _job(dg.multiprocess_executor, build_remote_run_asset(PROFILES, key="features", retry_policy=RETRIES))


def work(job: str, resumes: str | None = None) -> None:
    """Execute a job, or resume a failed run of it, as a run worker does; exits with 0 if it succeeds."""
    with dg.DagsterInstance.get() as instance:
        options = dg.ReexecutionOptions.from_failure(resumes, instance) if resumes else None
        made = dg.reconstructable(globals()[job])
        # Set by the UI and by the daemon; not by this function of Dagster's.
        tags = {"dagster/is_resume_retry": "true"} if resumes else None
        with dg.execute_job(made, instance=instance, reexecution_options=options, tags=tags) as result:
            sys.exit(0 if result.success else 1)
