"""Every block of Python in README and docs runs, and every block of YAML loads.

Other tests run the blocks of these pages: docs/components.md (YAML), docs/migrating-from-dagster-rudderstack.md,
docs/testgen-in-ten-minutes.md (`make test-docs`), docs/testing.md (tests/slow/test_testing_page.py), and those of the
examples, which they compare with the files.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import pytest
import yaml

from dagster_runs.testing import ScriptedVendors
from examples import airbyte_syncs, dbt_cloud_jobs, your_own_vendor

ROOT = Path(__file__).parents[1]
# What the text around the blocks assumes that you have.
GIVEN = """
import dagster as dg
import pytest
from dagster_runs import *

run = ProphecyPipelineRun(fabric_id=33290, project_id="41459", pipeline_name="train_churn_model")
orders_quality = build_remote_run_asset(
    TestGenTestRun(test_suite_id="8a4f1c7e-2b39-4e2e-a8c3-1d5e9f2a7b4c"), key="orders_quality"
)


@dg.job
def refresh_job(): ...


@dg.op(config_schema={"text": str})
def send_message(): ...


@dg.job
def send_message_job():
    send_message()


@dg.asset_check(asset="churn_model")
def positive_amounts(): ...


@pytest.fixture
def sandbox(): ...
"""
DEFERRED_CHECKS = """
checks = build_testgen_checks(
    TestGenTestRun(test_suite_id="8a4f1c7e-2b39-4e2e-a8c3-1d5e9f2a7b4c"),
    tables={"orders": "stg_orders"},
    wait="defer",
)
"""
MODULES = {
    "vendor-airbyte.md": airbyte_syncs,
    "vendor-dbt-cloud.md": dbt_cloud_jobs,
    "your-own-vendor.md": your_own_vendor,
}
PAGES = [
    ROOT / "README.md",
    *(ROOT / "docs" / name for name in ("checks-on-your-tables.md", "components.md", "deferred.md", "reference.md")),
    *(ROOT / "docs" / name for name in MODULES),
]


def blocks(page: Path, language: str = "python") -> list[str]:
    # Those from an example are compared with its file.
    return re.findall(
        rf"(?<!<!-- from the example -->\n)^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL
    )


@pytest.fixture
def names() -> Iterator[dict[str, Any]]:
    """The names of a module in which blocks run. Its first block is the module `definitions` for the others."""
    module = ModuleType("definitions")
    sys.modules["definitions"] = module
    exec(GIVEN, vars(module))
    yield vars(module)
    del sys.modules["definitions"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_of_python_run_in_their_order(page: Path, names: dict[str, Any]) -> None:
    names |= vars(MODULES[page.name]) if page.name in MODULES else {}
    found = blocks(page)
    assert found
    for block in found:
        if "build_completion_sensor([checks])" in block:
            exec(DEFERRED_CHECKS, names)
        exec(compile(block, str(page), "exec", dont_inherit=True), names)
        for value in [value for value in names.values() if isinstance(value, dg.Definitions)]:
            dg.Definitions.validate_loadable(value)


def test_tests_in_the_readme_pass_as_printed(
    names: dict[str, Any], dagster_runs_vendors: ScriptedVendors, dagster_runs_resources: dict[str, Any]
) -> None:
    quickstart, _, tests = blocks(ROOT / "README.md")
    exec(quickstart, names)
    own: dict[str, Any] = {}
    exec(tests, own)
    own["test_bad_data_is_reported"](dagster_runs_vendors, dagster_runs_resources)
    dagster_runs_vendors.reset()
    own["test_quality_survives_an_outage"](dagster_runs_vendors, dagster_runs_resources)


@pytest.mark.parametrize("number", range(len(blocks(ROOT / "docs" / "deferred.md", "yaml"))))
def test_blocks_of_yaml_load(number: int) -> None:
    block = blocks(ROOT / "docs" / "deferred.md", "yaml")[number]
    assert yaml.safe_load(block)


def test_no_page_with_blocks_is_forgotten() -> None:
    elsewhere = {"CONTRIBUTING.md", "migrating-from-dagster-rudderstack.md", "testgen-in-ten-minutes.md", "testing.md"}
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    with_python = {page.name for page in pages if blocks(page)}
    assert with_python - {page.name for page in PAGES} == elsewhere
    with_yaml = {page.name for page in pages if blocks(page, "yaml")}
    assert with_yaml == {"components.md", "deferred.md", "testgen-in-ten-minutes.md", "testing.md"}
