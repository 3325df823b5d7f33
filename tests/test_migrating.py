"""The example in docs/migrating-from-dagster-rudderstack.md."""

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_runs.sandbox import Sandbox, well_known
from dagster_runs.testing import sandbox_resources

PAGE = Path(__file__).parents[1] / "docs" / "migrating-from-dagster-rudderstack.md"


@pytest.mark.usefixtures("clock")
def test_job_of_the_example_runs_a_profiles_run_and_then_a_sync(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    code = example.replace('"profile_id"', f'"{well_known.PROFILES_FEATURES}"')
    exec(code.replace('"connection_id"', f'"{well_known.RETL_AUDIENCE}"'), names)
    definitions = dg.Definitions.merge(
        dg.Definitions(assets=names["defs"].assets, jobs=[names["nightly"]], resources=sandbox_resources(sandbox.url))
    )
    result = definitions.resolve_job_def("nightly").execute_in_process(instance=instance)
    assert result.success
    assert [run.kind for run in sandbox.runs("rudderstack")] == ["profiles", "sync"]
