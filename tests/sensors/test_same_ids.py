"""Vendors that count their runs: two of them give out the same ids."""

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


def test_each_end_is_told_and_followed_though_both_ids_are_the_same(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.add_fault(Fault("wrong_type", method="POST", field="runId", value="7"))  # which neither vendor knows then
    assets = [deferred(PROFILES, "profiles"), deferred(PIPELINE, "pipeline")]
    materialize(assets, sandbox, instance)
    driver = completion(assets, sandbox, instance, job=after_it)
    driver.ticks(clock, 15)
    ends = [run for run in driver.runs if run.dagster_run.job_name != "after_it"]
    assert {key for run in ends for key in run.dagster_run.asset_selection or ()} == {
        dg.AssetKey("profiles"),
        dg.AssetKey("pipeline"),
    }
    assert ["no longer known" in failure(run) for run in ends] == [True, True]
    assert jobs_run(driver) == [("after_it", "UNKNOWN")] * 2
    assert "0 in flight" in str(driver.skipped[-1])
