"""The resources of the built-in vendors, connected to the sandbox."""

from typing import Any

from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.sandbox import well_known
from dagster_runs.vendors.amperity import AmperityResource
from dagster_runs.vendors.prophecy import ProphecyResource
from dagster_runs.vendors.rudderstack import RudderStackResource
from dagster_runs.vendors.segmentflow import SegmentflowResource
from dagster_runs.vendors.testgen import TestGenResource


def sandbox_resources(url: str, **settings: Any) -> dict[str, RemoteRunResource]:
    """Returns the resources of all vendors under their default keys, connected to the sandbox.

    Args:
        url: The URL of the sandbox.
        settings: Settings that all resources share, such as ``max_retries``.
    """
    return {
        "amperity": AmperityResource(
            tenant=well_known.AMPERITY_TENANT,
            access_token=well_known.AMPERITY_TOKEN,
            base_url=f"{url}/amperity",
            **settings,
        ),
        "prophecy": ProphecyResource(access_token=well_known.PROPHECY_TOKEN, base_url=f"{url}/prophecy", **settings),
        "segmentflow": SegmentflowResource(
            api_key=well_known.SEGMENTFLOW_API_KEY, base_url=f"{url}/segmentflow", **settings
        ),
        "rudderstack": RudderStackResource(
            access_token=well_known.RUDDERSTACK_TOKEN, base_url=f"{url}/rudderstack", **settings
        ),
        "testgen": TestGenResource(
            access_token=well_known.TESTGEN_TOKEN,
            base_url=f"{url}/testgen",
            project_code=well_known.TESTGEN_PROJECT,
            ui_url=f"{url}/testgen/ui",
            **settings,
        ),
    }
