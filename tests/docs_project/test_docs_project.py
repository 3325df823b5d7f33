"""The blocks of two pages of the docs, word for word except for the ports, in one new project."""

import json
import subprocess
import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.docs_project.environment import ROOT
from tests.docs_project.script import free_ports, script_of, section

pytestmark = pytest.mark.timeout(900)
TEN_MINUTES = ROOT / "docs" / "testgen-in-ten-minutes.md"
COMPONENTS = ROOT / "docs" / "components.md"
ALL_VENDORS = "Try all vendors without an account"
FIRST, SECOND = 8099, 8100
"""The ports on the pages."""
RUNS = {
    "us/user_features": ("RudderStack", ["run_status"]),
    "us/audience": ("RudderStack", ["rows_synced", "run_status"]),
    "eu/user_features": ("RudderStack", ["run_status"]),
    "amperity/orders": ("Amperity", ["run_status", "tasks_succeeded"]),
    "segmentflow/welcome_back": ("Segmentflow", ["run_status"]),
    "prophecy/customer_360": ("Prophecy", ["run_status"]),
}
"""The assets of the section about all vendors, with their vendors and checks."""
_RESULTS = """
import json, sys
import dagster as dg
from dagster_runs.dagster_private import newest_evaluations
from dagster_runs.sandbox import SandboxClient

import dagster_runs

first, second, *assets = sys.argv[1:]
found = {"package": dagster_runs.__file__, "runs": {}, "evaluations": {}, "metadata": {}}
for url in (first, second):
    found["runs"][url] = [[run.vendor, run.id] for run in SandboxClient(f"http://127.0.0.1:{url}").runs()]
with dg.DagsterInstance.get() as instance:
    def newest(asset, check):
        return next(iter(newest_evaluations(instance, dg.AssetCheckKey(dg.AssetKey(asset.split("/")), check), 0.0)))
    for name in ("stg_orders", "stg_features"):
        one = newest(name, "testgen__tests")
        found[name] = [one.passed, one.severity.value, one.target_materialization_data is not None]
    for asset_and_checks in assets:
        asset, *checks = asset_and_checks.split()
        [record] = instance.fetch_materializations(dg.AssetKey(asset.split("/")), limit=10).records
        metadata = record.asset_materialization.metadata
        found["metadata"][asset] = {name: value.value for name, value in metadata.items() if "dagster_runs/" in name}
        found["evaluations"][asset] = {check: newest(asset, check).passed for check in checks}
print(json.dumps(found, default=str))
"""


@pytest.fixture(scope="module")
def found(environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Does what the pages say in a new project with the built wheel. Returns what Dagster and the sandboxes have."""
    folder = tmp_path_factory.mktemp("docs")
    ports = free_ports([FIRST, SECOND])
    text = TEN_MINUTES.read_text() + section(COMPONENTS.read_text(), ALL_VENDORS)
    assets = " ".join(f"'{' '.join([asset, *checks])}'" for asset, (_, checks) in RUNS.items())
    results = f"python - {' '.join(ports.values())} {assets} <<'END_OF_FILE'\n{_RESULTS}END_OF_FILE\n"
    begun = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", script_of(text, ports) + results],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    print(f"the pages took {time.monotonic() - begun:.0f} s")
    assert done.returncode == 0, done.stdout + done.stderr
    values: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert values["package"].startswith(environment["VIRTUAL_ENV"])
    values["first"], values["second"] = (values["runs"][port] for port in ports.values())
    return values


def test_the_page_leads_to_results_on_two_tables(found: dict[str, Any]) -> None:
    assert found["stg_orders"] == [False, "ERROR", True]
    assert found["stg_features"] == [True, "ERROR", True]


def test_each_vendor_is_run_once_and_reported(found: dict[str, Any]) -> None:
    metadata = found["metadata"]
    assert {asset: one["dagster_runs/vendor"] for asset, one in metadata.items()} == {
        asset: vendor for asset, (vendor, _) in RUNS.items()
    }
    assert {one["dagster_runs/state"] for one in metadata.values()} == {"SUCCEEDED"}
    assert found["evaluations"] == {asset: dict.fromkeys(checks, True) for asset, (_, checks) in RUNS.items()}


def test_each_run_went_to_its_own_workspace(found: dict[str, Any]) -> None:
    started = {
        asset: [vendor.lower(), found["metadata"][asset]["dagster_runs/run_id"]] for asset, (vendor, _) in RUNS.items()
    }
    assert found["second"] == [started.pop("eu/user_features")]
    others = [run for run in found["first"] if run[0] != "testgen"]
    assert sorted(others) == sorted(started.values())
