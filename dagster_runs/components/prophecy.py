"""The component for Prophecy."""

from collections.abc import Mapping
from typing import Any, ClassVar

import dagster as dg

from dagster_runs.components.scaffolder import scaffolder_for
from dagster_runs.components.vendor_component import VendorComponent
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.vendors.prophecy import ProphecyPipelineRun, ProphecyResource

_EXAMPLE = """
runs:
  - fabric_id: 33
    project_id: "41"
    pipeline_name: daily_orders
    key: prophecy/daily_orders
"""


@dg.scaffold_with(
    scaffolder_for(ProphecyResource, variables={"access_token": "PROPHECY_ACCESS_TOKEN"}, literals={}, example=_EXAMPLE)
)
class ProphecyComponent(VendorComponent):
    """Runs of Prophecy pipelines as assets.

    Each run is started once and polled until it finishes. The outcome becomes a materialization with metadata and asset
    checks.

    Example:
        .. code-block:: yaml

            type: dagster_runs.ProphecyComponent
            attributes:
              workspace:
                access_token: "{{ env.PROPHECY_ACCESS_TOKEN }}"
              runs:
                - fabric_id: 33
                  project_id: "41"
                  pipeline_name: daily_orders
                  parameters: {region: emea, max_rows: 1000}
                  key: prophecy/daily_orders
                  partitions_def: {type: daily, start_date: "2026-01-01"}
            requirements:
              env: [PROPHECY_ACCESS_TOKEN]
    """

    resource_class: ClassVar[type[RemoteRunResource]] = ProphecyResource
    run_lists: ClassVar[Mapping[str, type[RemoteRun[Any]]]] = {"runs": ProphecyPipelineRun}
