"""The component for RudderStack."""

from collections.abc import Mapping
from typing import Any, ClassVar

import dagster as dg

from dagster_runs.components.scaffolder import scaffolder_for
from dagster_runs.components.vendor_component import VendorComponent
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.vendors.rudderstack import RudderStackProfilesRun, RudderStackResource, RudderStackRETLSyncRun

_EXAMPLE = """
profiles:
  - profiles_id: 2hkeBOp0lGJpMPyur0oXUxxIDhw
    key: user_features
    deps: [stg_orders]
reverse_etl_syncs:
  - connection_id: 2iXkMjYzN9bWqTeVsLcAoRfGh3d
    key: crm/contacts
"""


@dg.scaffold_with(
    scaffolder_for(
        RudderStackResource,
        variables={"access_token": "RUDDERSTACK_ACCESS_TOKEN"},
        literals={"region": "us"},
        example=_EXAMPLE,
    )
)
class RudderStackComponent(VendorComponent):
    """Runs of RudderStack Profiles projects, and Reverse ETL syncs, as assets.

    Each run is started once and polled until it finishes. The outcome becomes a materialization with metadata and asset
    checks.

    Example:
        .. code-block:: yaml

            type: dagster_runs.RudderStackComponent
            attributes:
              workspace:
                access_token: "{{ env.RUDDERSTACK_ACCESS_TOKEN }}"
                region: us
              profiles:
                - profiles_id: 2hkeBOp0lGJpMPyur0oXUxxIDhw
                  key: user_features
                  deps: [stg_orders]
                  timeout: 7200
              reverse_etl_syncs:
                - connection_id: 2iXkMjYzN9bWqTeVsLcAoRfGh3d
                  key: crm/contacts
                  deps: [user_features]
                  gate: {max_failures: 10}
              translation:
                group_name: customer
            requirements:
              env: [RUDDERSTACK_ACCESS_TOKEN]
    """

    resource_class: ClassVar[type[RemoteRunResource]] = RudderStackResource
    run_lists: ClassVar[Mapping[str, type[RemoteRun[Any]]]] = {
        "profiles": RudderStackProfilesRun,
        "reverse_etl_syncs": RudderStackRETLSyncRun,
    }
