"""The blocks of docs/getting-started.md, word for word except for the ports, in a new project for each tab."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.docs_project.environment import ROOT
from tests.docs_project.script import UI, free_ports, script_of, with_tab

pytestmark = pytest.mark.timeout(900)
PAGE = ROOT / "docs" / "getting-started.md"
SANDBOX = "8098"
"""The port on the page."""
CHECKS = {"user_features": ["run_status"], "features_quality": ["run_status", "tests_passed", "quality_score"]}
_RESULTS = """
import json, sys, time
import dagster as dg
from dagster_runs.dagster_private import newest_evaluations
from dagster_runs.sandbox import SandboxClient

import dagster_runs

port, checks = sys.argv[1], json.loads(sys.argv[2])
until = time.monotonic() + 240
with dg.DagsterInstance.get() as instance:
    def evaluations():
        for asset, names in checks.items():
            for name in names:
                key = dg.AssetCheckKey(dg.AssetKey(asset), name)
                yield f"{asset}:{name}", next(iter(newest_evaluations(instance, key, 0.0)), None)
    while None in dict(evaluations()).values() and time.monotonic() < until:
        time.sleep(1)
    passed = {name: one.passed if one else None for name, one in evaluations()}
    run_ids = {}
    for asset in checks:
        for record in instance.fetch_materializations(dg.AssetKey(asset), limit=10).records:
            run_ids.setdefault(asset, []).append(record.run_id)
    kinds = [[run.vendor, run.kind] for run in SandboxClient(f"http://127.0.0.1:{port}").runs()]
print(json.dumps({"passed": passed, "run_ids": run_ids, "runs": kinds, "package": dagster_runs.__file__}))
"""


@pytest.mark.parametrize("tab", ["Python", "YAML"])
def test_page_leads_to_a_scheduled_deferred_and_checked_run(
    tab: str, environment: Mapping[str, str], tmp_path: Path
) -> None:
    ports = free_ports([int(SANDBOX), int(UI)])
    script = script_of(with_tab(PAGE.read_text(), tab), ports)
    results = f"python - {ports[SANDBOX]} '{json.dumps(CHECKS)}' <<'END_OF_FILE'\n{_RESULTS}END_OF_FILE\n"
    done = subprocess.run(
        ["bash", "-c", script + "dg list defs --json\n" + results],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    logs = "".join(path.read_text()[-3000:] for path in tmp_path.glob("analytics/*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    *_, last = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(last)
    assert found["package"].startswith(environment["VIRTUAL_ENV"])
    assert found["passed"] == {f"{asset}:{name}": True for asset, names in CHECKS.items() for name in names}, logs
    assert found["run_ids"] == {asset: [""] for asset in CHECKS}, "each is materialized once, without a Dagster run"
    assert sorted(vendor for vendor, _ in found["runs"]) == ["rudderstack", "testgen"]
    assert '"nightly"' in done.stdout, "the schedule is defined"
