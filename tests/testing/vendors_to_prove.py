"""All vendors that `make vendor-kit` proves: `built_in` those of the package, `examples` those outside it.

A vendor in ``examples/`` is one more line of ``make vendor-kit`` in the Makefile: a function of its own that returns
the report, for example ``examples.my_vendor:prove``.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from dagster_runs import (
    AmperityWorkflowRun,
    ProphecyPipelineRun,
    RemoteRun,
    RemoteRunResource,
    RudderStackProfilesRun,
    RudderStackRETLSyncRun,
    SegmentflowJourneyRun,
    TestGenProfilingRun,
    TestGenTestGenerationRun,
    TestGenTestRun,
)
from dagster_runs.sandbox import Sandbox, SandboxClient, well_known
from dagster_runs.testing import sandbox_resources
from dagster_runs.testing.vendor_kit import Report, prove_vendor
from examples.airbyte_syncs import AirbyteJobRun, AirbyteResource
from examples.dbt_cloud_jobs import DbtCloudJobRun, DbtCloudResource
from examples.stand_ins import airbyte, dbt_cloud


class Proof(NamedTuple):
    """A run, and what it is called in the sandbox."""

    run: RemoteRun[Any]
    vendor: str
    target: str | None = None

    def resource(self, sandbox: SandboxClient) -> RemoteRunResource:
        return sandbox_resources(sandbox.url)[self.run.resource_key]

    def prove(self, sandbox: SandboxClient) -> Report:
        return prove_vendor(self.run, self.resource(sandbox), sandbox, vendor=self.vendor, target=self.target)


RECIPIENT = {"email": "ada@example.com"}
BUILT_IN = {
    "rudderstack": Proof(RudderStackProfilesRun(profiles_id=well_known.PROFILES_FEATURES), "rudderstack"),
    "amperity": Proof(AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS), "amperity"),
    "segmentflow-id": Proof(
        SegmentflowJourneyRun(journey_id=well_known.SEGMENTFLOW_JOURNEY, recipient=RECIPIENT), "segmentflow"
    ),
    "segmentflow-key": Proof(
        SegmentflowJourneyRun(journey_key=well_known.SEGMENTFLOW_JOURNEY_KEY, recipient=RECIPIENT),
        "segmentflow",
        well_known.SEGMENTFLOW_JOURNEY,
    ),
    "prophecy": Proof(
        ProphecyPipelineRun(
            fabric_id=well_known.PROPHECY_FABRIC,
            project_id=well_known.PROPHECY_PROJECT,
            pipeline_name=well_known.PROPHECY_PIPELINE,
        ),
        "prophecy",
        well_known.PROPHECY_PIPELINE,
    ),
    "testgen-tests": Proof(TestGenTestRun(test_suite_id=well_known.SUITE_CLEAN), "testgen"),
    "testgen-profiling": Proof(TestGenProfilingRun(table_group_id=well_known.TABLE_GROUP), "testgen"),
    "testgen-generation": Proof(TestGenTestGenerationRun(test_suite_id=well_known.SUITE_CLEAN), "testgen"),
    "rudderstack-retl": Proof(RudderStackRETLSyncRun(connection_id=well_known.RETL_AUDIENCE), "rudderstack"),
}


EXAMPLES = {
    "dbt-cloud": (
        DbtCloudJobRun(job_id=int(dbt_cloud.JOB), steps=("dbt seed", "dbt build", "dbt test"), project_id=1),
        lambda url: DbtCloudResource(account_id=dbt_cloud.ACCOUNT, token=dbt_cloud.TOKEN, base_url=f"{url}/dbt-cloud"),
    ),
    "airbyte": (
        AirbyteJobRun(connection_id=airbyte.CONNECTION, workspace_id=airbyte.WORKSPACE),
        lambda url: AirbyteResource(
            client_id=airbyte.CLIENT_ID, client_secret=airbyte.CLIENT_SECRET, base_url=f"{url}/airbyte/v1"
        ),
    ),
}


def examples() -> Iterator[Report]:
    """Proves the vendors of the examples, which are outside the package."""
    with Sandbox(vendors=[dbt_cloud.DbtCloud, airbyte.Airbyte]) as sandbox:
        for vendor, (run, resource_at) in EXAMPLES.items():
            yield prove_vendor(run, resource_at(sandbox.url), sandbox, vendor=vendor)


def built_in() -> Iterator[Report]:
    """Proves the built-in vendors."""
    with Sandbox() as sandbox:
        for proof in BUILT_IN.values():
            yield proof.prove(sandbox)
