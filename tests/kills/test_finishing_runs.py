"""A run worker is killed between the failure of its step and the failure of its run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock
from tests.kills.finishing_location import HUNG
from tests.kills.worker import MAX_WAIT_SECONDS, REPOSITORY
from tests.remote_run.materializing import PROFILES, entries, failure, materialize
from tests.sensors.driving import completion, deferred

pytestmark = pytest.mark.timeout(3 * MAX_WAIT_SECONDS)


@pytest.mark.fixes("6.17")
@pytest.mark.covers("defer.worker-dies")
def test_outcome_is_reported_by_another_dagster_run_when_the_worker_is_killed(
    sandbox: Sandbox, clock: SandboxClock, tmp_path: Path
) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail", error="the warehouse broke"))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        asset = deferred(PROFILES)
        assert materialize([asset], sandbox, instance).success
        driver = completion([asset], sandbox, instance)
        launch_in_process, killed = driver.launch, list[int]()

        def launch(request: dg.RunRequest) -> None:
            if killed:
                launch_in_process(request)
                return
            code = f"from tests.kills.finishing_location import finish; finish({json.dumps(dict(request.tags))!r})"
            worker = subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=REPOSITORY,
                env={**os.environ, "DAGSTER_HOME": str(tmp_path), "SANDBOX_URL": sandbox.url},
            )
            killed.append(worker.pid)
            deadline = time.monotonic() + MAX_WAIT_SECONDS
            while not (tmp_path / HUNG).exists():
                assert worker.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            os.kill(worker.pid, signal.SIGKILL)
            worker.wait()

        driver.launch = launch  # type: ignore[method-assign]
        driver.ticks(clock, 30, every=60)
        [replacement] = driver.runs
        assert not replacement.success
        assert "the warehouse broke" in failure(replacement)
        assert entries(instance, "it")[-2:] == ["ended", "ended"]
        runs = instance.get_runs(dg.RunsFilter(tags={"dagster_runs/finishes": sandbox.runs()[0].id}))
        assert sorted(run.status.value for run in runs) == ["FAILURE", "STARTED"]
        assert sandbox.starts(None) == 1
