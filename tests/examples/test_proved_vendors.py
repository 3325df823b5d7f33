"""The example vendors, proved with the kit for vendors outside the package."""

from typing import Any

import pytest

from dagster_runs.sandbox import Sandbox
from examples.airbyte_syncs import AirbyteJobRun, AirbyteResource
from examples.dbt_cloud_jobs import DbtCloudJobRun, DbtCloudResource
from examples.stand_ins import airbyte, dbt_cloud

vendor_kit = pytest.importorskip("dagster_runs.testing.vendor_kit")


def subject(vendor: str, url: str) -> tuple[Any, Any]:
    """Returns a run and its resource."""
    if vendor == "dbt-cloud":
        return (
            DbtCloudJobRun(job_id=int(dbt_cloud.JOB), steps=("dbt seed", "dbt build", "dbt test"), project_id=1),
            DbtCloudResource(account_id=dbt_cloud.ACCOUNT, token=dbt_cloud.TOKEN, base_url=f"{url}/dbt-cloud"),
        )
    return (
        AirbyteJobRun(connection_id=airbyte.CONNECTION, workspace_id=airbyte.WORKSPACE),
        AirbyteResource(client_id=airbyte.CLIENT_ID, client_secret=airbyte.CLIENT_SECRET, base_url=f"{url}/airbyte/v1"),
    )


@pytest.mark.parametrize("vendor", ["dbt-cloud", "airbyte"])
@pytest.mark.timeout(300)
def test_example_vendor_is_proved(sandbox: Sandbox, vendor: str) -> None:
    run, resource = subject(vendor, sandbox.url)
    vendor_kit.prove_vendor(run, resource, sandbox.url, vendor=vendor).check()
