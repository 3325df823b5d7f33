"""The assets of the recordings. The recorder defines them with an earlier package, the tests with the current one.

This module uses public names only, because it has to work with both.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from dagster_runs import (
    AmperityWorkflowRun,
    ProphecyPipelineRun,
    QualityGate,
    RudderStackProfilesRun,
    SegmentflowJourneyRun,
    TestGenTestRun,
    build_remote_run_asset,
)
from dagster_runs.sandbox import well_known
from dagster_runs.testing import sandbox_resources

REGIONS = dg.StaticPartitionsDefinition(["north", "south"])
DAYS = dg.DailyPartitionsDefinition(start_date="2026-11-01")
DEFERRED = ("features", "quality", "customers", "orders", "crm/journey", "pipeline", "stitched")
"""The assets of the scenario ``deferred``."""
FOLLOW_UP = "after_each_run"
"""The name of the follow-up job."""
COURIERS_NAME = "Daily"
"""The name of the courier group in the sandbox."""
PROFILES = RudderStackProfilesRun(profiles_id=well_known.PROFILES_FEATURES)
OTHER_PROFILES = RudderStackProfilesRun(profiles_id=well_known.PROFILES_SNAKE_CASE)

_ASSETS: Mapping[str, Mapping[str, Any]] = {
    "features": {"run": PROFILES},
    "quality": {
        "run": TestGenTestRun(test_suite_id=well_known.SUITE_CLEAN),
        "partitions_def": REGIONS,
        "gate": QualityGate(min_score=0.5),
    },
    "orders": {"run": TestGenTestRun(test_suite_id=well_known.SUITE_ORDERS)},
    "customers": {
        "run": AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS, workflow_name=COURIERS_NAME),
        "partitions_def": DAYS,
        "backfill_policy": dg.BackfillPolicy.single_run(),
    },
    "crm/journey": {
        "run": SegmentflowJourneyRun(
            journey_key=well_known.SEGMENTFLOW_JOURNEY_KEY,
            recipient={"email": "anna@example.com"},
            variables={"plan": "gold"},
        )
    },
    "pipeline": {
        "run": ProphecyPipelineRun(
            fabric_id=well_known.PROPHECY_FABRIC,
            project_id=well_known.PROPHECY_PROJECT,
            pipeline_name=well_known.PROPHECY_PIPELINE,
            parameters={"day": "2026-11-26"},
        )
    },
    "stitched": {"run": OTHER_PROFILES, "specs": [dg.AssetSpec("stitched"), dg.AssetSpec("stitched_ids")]},
}


def asset(name: str, **options: Any) -> dg.AssetsDefinition:
    """One of the assets, with further options of `build_remote_run_asset`."""
    settings: dict[str, Any] = {**_ASSETS[name], **options}
    run = settings.pop("run")
    if "specs" not in settings:
        settings["key"] = name.split("/")
    return build_remote_run_asset(run, **settings)


@dg.asset(required_resource_keys={"rudderstack"})
def two_runs(context: dg.AssetExecutionContext) -> Iterator[Any]:
    """A custom asset with two runs in one step."""
    list(context.resources.rudderstack.run(context, OTHER_PROFILES, name="first"))
    yield from context.resources.rudderstack.run(context, PROFILES, name="second")


@cache
def resources_at(url: str) -> dict[str, Any]:
    """All resources, without a rate limit, which would take real time."""
    return dict(sandbox_resources(url, requests_per_second=None))


def resources_for(assets: Iterable[dg.AssetsDefinition], url: str) -> dict[str, Any]:
    """The resources that some assets need. Dagster initializes each of them for each run."""
    needed = {key for one in assets for key in one.required_resource_keys}
    return {key: resource for key, resource in resources_at(url).items() if key in needed}


def location(
    assets: Sequence[dg.AssetsDefinition], url: str, *, sensors: Sequence[Any] = (), jobs: Sequence[Any] = ()
) -> dg.Definitions:
    """A code location with these assets, and a job for each: ``features_job``."""
    own = [dg.define_asset_job(job_name(one), selection=[one]) for one in assets]
    return dg.Definitions(
        assets=assets,
        jobs=[*own, *jobs],
        sensors=sensors,
        resources=resources_for(assets, url),
        executor=dg.in_process_executor,
    )


def job_name(assets_def: dg.AssetsDefinition) -> str:
    """The name of the job of an asset."""
    return f"{min(key.to_python_identifier() for key in assets_def.keys)}_job"


def reexecute(job: dg.JobDefinition, instance: dg.DagsterInstance, parent: str) -> dg.DagsterRun:
    """Re-execute a Dagster run from failure, and return the new run as it has ended.

    Dagster has no public function that does what its UI does without a running code server.
    """
    before = instance.get_run_by_id(parent)
    assert before is not None
    root = before.root_run_id or parent
    tags = {
        **before.tags,
        "dagster/parent_run_id": parent,
        "dagster/root_run_id": root,
        "dagster/is_resume_retry": "true",
    }
    run = instance.create_run_for_job(
        job, run_config=before.run_config, parent_run_id=parent, root_run_id=root, tags=tags
    )
    execute_run(InMemoryJob(job), run, instance, raise_on_error=False)
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    return ended
