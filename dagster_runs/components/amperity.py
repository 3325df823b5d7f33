"""The component for Amperity."""

from collections.abc import Mapping
from typing import Any, ClassVar

import dagster as dg

from dagster_runs.components.scaffolder import scaffolder_for
from dagster_runs.components.vendor_component import VendorComponent
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.vendors.amperity import AmperityResource, AmperityWorkflowRun

_EXAMPLE = """
runs:
  - config_id: cg-1cAveE2Hx
    key: amperity/orders
    partitions_def: {type: daily, start_date: "2026-01-01"}
"""


@dg.scaffold_with(
    scaffolder_for(
        AmperityResource,
        variables={"tenant": "AMPERITY_TENANT", "access_token": "AMPERITY_ACCESS_TOKEN"},
        literals={},
        example=_EXAMPLE,
    )
)
class AmperityComponent(VendorComponent):
    """Runs of Amperity's courier groups, orchestration groups and campaigns as assets.

    Each run is started once and polled until it finishes. The outcome becomes a materialization with metadata and asset
    checks.

    Example:
        .. code-block:: yaml

            type: dagster_runs.AmperityComponent
            attributes:
              workspace:
                tenant: "{{ env.AMPERITY_TENANT }}"
                access_token: "{{ env.AMPERITY_ACCESS_TOKEN }}"
              runs:
                - config_id: cg-1cAveE2Hx
                  key: amperity/orders
                  partitions_def: {type: daily, start_date: "2026-01-01"}
                - config_id: og-7pQx1yZk
                  key: amperity/customer_360
                  deps: [amperity/orders]
                  workflow_name: Customer 360
                  observe_only: true
            requirements:
              env: [AMPERITY_TENANT, AMPERITY_ACCESS_TOKEN]
    """

    resource_class: ClassVar[type[RemoteRunResource]] = AmperityResource
    run_lists: ClassVar[Mapping[str, type[RemoteRun[Any]]]] = {"runs": AmperityWorkflowRun}
