"""Two vendors that number their runs, and so use the same run ids."""

from __future__ import annotations

import dagster as dg
import pytest

from dagster_runs.sandbox import Fault, Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, failure, materialize
from tests.sensors.driving import completion, deferred
from tests.sensors.test_completion import PIPELINE
from tests.sensors.test_follow_ups import after_it, jobs_run

pytestmark = pytest.mark.usefixtures("clock")


def test_runs_with_equal_ids_at_two_vendors_are_both_reported(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    # Neither vendor finds a run with this id.
    sandbox.add_fault(Fault("wrong_type", method="POST", field="runId", value="7"))
    assets = [deferred(PROFILES, "profiles"), deferred(PIPELINE, "pipeline")]
    materialize(assets, sandbox, instance)
    driver = completion(assets, sandbox, instance, job=after_it)
    driver.ticks(clock, 15)
    reporting_runs = [run for run in driver.runs if run.dagster_run.job_name != "after_it"]
    assert {key for run in reporting_runs for key in run.dagster_run.asset_selection or ()} == {
        dg.AssetKey("profiles"),
        dg.AssetKey("pipeline"),
    }
    assert ["no longer known" in failure(run) for run in reporting_runs] == [True, True]
    assert jobs_run(driver) == [("after_it", "UNKNOWN")] * 2
    assert "No deferred run is in flight" in str(driver.skipped[-1])
