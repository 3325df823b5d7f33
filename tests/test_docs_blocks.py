"""Every block of Python on all pages runs.

Other tests load the blocks of YAML (tests/components/test_docs.py, tests/slow/test_components_on_pages.py), check the
commands (tests/slow/test_docs_commands.py) and the outputs of docs/command-line.md
(tests/cli/test_command_line_page.py), run the tests of docs/testing.md (tests/slow/test_testing_page.py), and do what
docs/getting-started.md and docs/testgen-in-ten-minutes.md say in new projects (`make test-docs`). The blocks of the
examples are compared with their files.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import pytest

from dagster_runs import StartOutcomeUnknown
from dagster_runs.sandbox import Fault, Sandbox
from dagster_runs.testing import ScriptedVendors, sandbox_resources
from examples import airbyte_syncs, dbt_cloud_jobs, your_own_vendor
from tests.doc_blocks import DOCS, PAGES, blocks_of

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
ELSEWHERE = {
    "CONTRIBUTING.md",  # a fragment of a test
    "migrating-from-dagster-rudderstack.md",  # tests/test_migrating.py
    "testgen-in-ten-minutes.md",  # make test-docs
    "testing.md",  # tests/slow/test_testing_page.py
}


def blocks(page: Path) -> list[str]:
    return [block.text for block in blocks_of(page) if block.language == "python" and not block.is_quoted]


WITH_PYTHON = [page for page in PAGES if page.name not in ELSEWHERE and blocks(page)]


@pytest.fixture
def names() -> Iterator[dict[str, Any]]:
    """The names of a module in which blocks run. Its first block is the module `definitions` for the others."""
    module = ModuleType("definitions")
    sys.modules["definitions"] = module
    exec(GIVEN, vars(module))
    yield vars(module)
    del sys.modules["definitions"]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_blocks_of_python_run_in_their_order(page: Path, names: dict[str, Any]) -> None:
    names |= vars(MODULES[page.name]) if page.name in MODULES else {}
    for block in blocks(page):
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


@pytest.mark.usefixtures("clock")
def test_start_of_unknown_outcome_fails_and_is_not_sent_again(
    names: dict[str, Any], sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    """What docs/uncertain-starts.md shows in "Try it", with an asset that does not start again."""
    [block] = blocks(DOCS / "uncertain-starts.md")
    exec(block.replace('    on_uncertain_start="start_again",\n', ""), names)
    sandbox.add_fault(Fault("lost_response", method="POST", path="/start", times=1))
    result = dg.materialize(
        [names["user_features"]],
        instance=instance,
        resources=sandbox_resources(sandbox.url),
        raise_on_error=False,
    )
    [failed] = result.get_step_failure_events()
    cause = failed.step_failure_data.error
    assert cause is not None
    assert StartOutcomeUnknown.__name__ in cause.to_string()
    assert "it is unknown whether a Profiles run of" in cause.to_string()
    assert sandbox.starts("rudderstack") == 1


def test_job_of_the_page_about_the_event_log_deletes_old_runs(
    names: dict[str, Any], instance: dg.DagsterInstance
) -> None:
    """docs/event-log.md: the job deletes what is old, and keeps what is new."""
    [block] = blocks(DOCS / "event-log.md")
    exec(block, names)
    kept = names["refresh_job"].execute_in_process(instance=instance)
    assert names["prune"].execute_in_process(instance=instance).success
    assert instance.get_run_by_id(kept.run_id) is not None
    exec(block.replace("timedelta(days=60)", "timedelta(days=-1)"), names)
    assert names["prune"].execute_in_process(instance=instance).success
    assert instance.get_run_by_id(kept.run_id) is None


def test_pages_that_other_tests_run_still_have_blocks() -> None:
    assert {page.name for page in PAGES if page.name in ELSEWHERE and blocks(page)} == ELSEWHERE
