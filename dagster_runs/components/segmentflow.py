"""The component for Segmentflow."""

from collections.abc import Mapping
from typing import Any, ClassVar

import dagster as dg

from dagster_runs.components.scaffolder import scaffolder_for
from dagster_runs.components.vendor_component import VendorComponent
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.vendors.segmentflow import SegmentflowJourneyRun, SegmentflowResource

_EXAMPLE = """
runs:
  - journey_key: weekly_digest
    recipient: {email: data-team@example.com}
    key: segmentflow/weekly_digest
    wait: defer
"""


@dg.scaffold_with(
    scaffolder_for(SegmentflowResource, variables={"api_key": "SEGMENTFLOW_API_KEY"}, literals={}, example=_EXAMPLE)
)
class SegmentflowComponent(VendorComponent):
    """Runs of Segmentflow journeys as assets.

    A journey takes days, so its runs are best deferred: no process waits for them, and the completion sensor reports
    their outcomes.

    Example:
        .. code-block:: yaml

            type: dagster_runs.SegmentflowComponent
            attributes:
              workspace:
                api_key: "{{ env.SEGMENTFLOW_API_KEY }}"
              runs:
                - journey_key: weekly_digest
                  recipient: {email: data-team@example.com}
                  key: segmentflow/weekly_digest
                  wait: defer
              completion_sensor: {default_status: RUNNING}
            requirements:
              env: [SEGMENTFLOW_API_KEY]
    """

    resource_class: ClassVar[type[RemoteRunResource]] = SegmentflowResource
    run_lists: ClassVar[Mapping[str, type[RemoteRun[Any]]]] = {"runs": SegmentflowJourneyRun}
