"""The cancel job as the UI launches it: in a separate process, from a code location."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import sandbox_resources
from tests.remote_run.materializing import TESTS
from tests.sensors.driving import deferred

LOCATION = Path(__file__).parent / "canceling_location.py"


@pytest.mark.fixes("6.13")
@pytest.mark.parametrize("executor", ["multiprocess", "in_process"])
def test_cancel_job_ignores_an_unset_variable_of_another_vendor(
    sandbox: Sandbox, tmp_path: Path, executor: str
) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=4000))
    resources = {"testgen": sandbox_resources(sandbox.url)["testgen"]}
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert dg.materialize([deferred(TESTS, "quality")], resources=resources, instance=instance).success
    config = {"ops": {"cancel_remote_runs_op": {"config": {"asset": "quality"}}}}
    if executor == "in_process":
        config["execution"] = {"config": {"in_process": {}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "dagster", "job", "execute", "-f", str(LOCATION), "-j", "cancel_remote_runs"]
    completed = subprocess.run(
        [*command, "-c", str(tmp_path / "config.json")],
        env={**os.environ, "DAGSTER_HOME": str(tmp_path), "SANDBOX_URL": sandbox.url},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert completed.returncode == 0, completed.stderr[-2000:]
    assert [run.state for run in sandbox.runs("testgen")] == ["canceled"]
