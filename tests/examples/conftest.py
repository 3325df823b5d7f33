from collections.abc import Iterator

import pytest

from dagster_runs.sandbox import Sandbox
from examples.stand_ins.airbyte import Airbyte
from examples.stand_ins.dbt_cloud import DbtCloud


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    """A sandbox of the example vendors."""
    with Sandbox(vendors=[DbtCloud, Airbyte]) as sandbox:
        yield sandbox
