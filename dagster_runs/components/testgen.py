"""The component for TestGen."""

from collections.abc import Mapping
from typing import Any, ClassVar

import dagster as dg

from dagster_runs.components.scaffolder import scaffolder_for
from dagster_runs.components.vendor_component import VendorComponent
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.vendors.testgen import (
    TestGenProfilingRun,
    TestGenResource,
    TestGenTestGenerationRun,
    TestGenTestRun,
)

_EXAMPLE = """
suites:
  - test_suite_id: 8a4f1c7e-2b39-4e2e-a8c3-1d5e9f2a7b4c
    key: testgen/orders_quality
    gate: {min_score: 0.95, blocking: true}
"""


@dg.scaffold_with(
    scaffolder_for(
        TestGenResource,
        variables={"base_url": "TESTGEN_URL", "access_token": "TESTGEN_TOKEN"},
        literals={"project_code": "DEFAULT"},
        example=_EXAMPLE,
    )
)
class TestGenComponent(VendorComponent):
    """Test runs, profiling runs and test generations of DataKitchen TestGen as assets.

    Example:
        .. code-block:: yaml

            type: dagster_runs.TestGenComponent
            attributes:
              workspace: {base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}
              suites:
                - test_suite_id: 8a4f1c7e-2b39-4e2e-a8c3-1d5e9f2a7b4c
                  key: testgen/orders_quality
                  gate: {min_score: 0.95, blocking: true}
            requirements:
              env: [TESTGEN_URL, TESTGEN_TOKEN]
    """

    __test__: ClassVar[bool] = False

    resource_class: ClassVar[type[RemoteRunResource]] = TestGenResource
    run_lists: ClassVar[Mapping[str, type[RemoteRun[Any]]]] = {
        "suites": TestGenTestRun,
        "table_groups": TestGenProfilingRun,
        "test_generations": TestGenTestGenerationRun,
    }
