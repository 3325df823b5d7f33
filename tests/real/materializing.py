"""Materializes an asset against the real server in this process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dagster as dg

from dagster_runs import (
    TestGenProfilingRun,
    TestGenResource,
    TestGenTestGenerationRun,
    TestGenTestRun,
    build_remote_run_asset,
)
from tests.dagster_ui import failure_message

KEY = dg.AssetKey(["testgen", "asset"])
DOWNSTREAM = dg.AssetKey("downstream")


@dg.asset(key=DOWNSTREAM, deps=[KEY])
def downstream() -> None:
    """A downstream asset that a gate may block."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one materialization."""

    dagster_run_id: str
    metadata: dict[str, Any]  # of the materialization; empty without one
    checks: dict[str, dg.AssetCheckEvaluation]  # all reported checks, by name
    failure: str  # the error message of the step; empty if it did not fail
    job_ids: list[str]  # the jobs in the event log
    downstream_ran: bool

    @property
    def job_id(self) -> str:
        """Returns the only job."""
        (job_id,) = self.job_ids
        return job_id


def materialize(
    run: TestGenTestRun | TestGenProfilingRun | TestGenTestGenerationRun, resource: TestGenResource, **options: Any
) -> Outcome:
    """Materializes an asset with ``run``, and a downstream asset."""
    options = {"timeout": 90, **options}  # a server without a worker leaves jobs pending forever
    assets = [build_remote_run_asset(run, key=KEY, **options), downstream]
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(assets, resources={"testgen": resource}, instance=instance, raise_on_error=False)
        return Outcome(
            dagster_run_id=result.run_id,
            metadata=_metadata(instance),
            checks={check.check_name: check for check in result.get_asset_check_evaluations()},
            failure=_failure(result),
            job_ids=_job_ids(instance),
            downstream_ran=instance.get_latest_materialization_event(DOWNSTREAM) is not None,
        )


def _metadata(instance: dg.DagsterInstance) -> dict[str, Any]:
    event = instance.get_latest_materialization_event(KEY)
    if event is None or event.asset_materialization is None:
        return {}
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def _failure(result: dg.ExecuteInProcessResult) -> str:
    return "\n".join(failure_message(event) for event in result.filter_events(lambda event: event.is_step_failure))


def _job_ids(instance: dg.DagsterInstance) -> list[str]:
    page = instance.fetch_observations(KEY, limit=100, ascending=True)
    named = [
        event.asset_observation.metadata["dagster_runs/run_id"].value
        for event in page.records
        if event.asset_observation is not None and "dagster_runs/run_id" in event.asset_observation.metadata
    ]
    return list(dict.fromkeys(str(job_id) for job_id in named))
