"""The jobs that the completion sensor brings along, to report runs that did not succeed."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs import AmperityWorkflowRun, build_completion_sensor
from dagster_runs.sandbox import Behavior, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, failure, materialize
from tests.sensors.driving import completion, deferred

COURIERS = AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS)
DAYS = dg.DailyPartitionsDefinition("2026-11-01")
REGIONS = dg.StaticPartitionsDefinition(["north", "south"])


def job_names(*assets: dg.AssetsDefinition) -> list[str]:
    return [job.name for job in build_completion_sensor(assets).jobs]


def daily(key: str, **options: Any) -> dg.AssetsDefinition:
    return deferred(COURIERS, key=key, partitions_def=DAYS, **options)


def test_names_contain_no_asset_and_stay_the_same_when_assets_come_and_go() -> None:
    orders, days = "remote_run_completion_ends", "remote_run_completion_ends_daily_"
    [only] = job_names(daily("customers"))
    assert only.startswith(days)
    assert job_names(deferred(TESTS, key="orders")) == [orders]
    assert job_names(daily("first"), daily("customers"), deferred(TESTS, key="orders")) == [only, orders]
    many = job_names(
        deferred(TESTS, key="regions", partitions_def=REGIONS),
        deferred(PROFILES, key="another"),
        daily("customers"),
        daily("at_once", backfill_policy=dg.BackfillPolicy.single_run()),
    )
    assert {only, orders} < set(many)
    assert len(set(many)) == 4


@pytest.mark.parametrize("old_name", ["remote_run_completion_ends_it", "remote_run_completion_ends_other"])
def test_run_requested_under_an_old_name_is_requested_again(
    old_name: str, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    """After an upgrade, Dagster cannot launch a queued run whose job has another name now, and marks it as failed."""
    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail", error="no such column"))
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance)
    driver = completion([asset], sandbox, instance)
    requests: list[dg.RunRequest] = []
    while not requests:
        clock.sleep(10)
        data = driver.evaluate()
        requests = list(data.run_requests or [])
    [request] = requests
    instance.create_run_for_job(
        dg.define_asset_job(old_name, selection=[asset]).resolve(asset_graph=driver.definitions.resolve_asset_graph()),
        tags={**request.tags, "dagster/run_key": request.run_key or ""},
        status=dg.DagsterRunStatus.FAILURE,
    )
    driver.cursor = data.cursor
    driver.run_keys.add(request.run_key)
    driver.ticks(clock, 4)
    [run] = driver.runs
    assert run.dagster_run.job_name == "remote_run_completion_ends"
    assert "no such column" in failure(run)
    assert sandbox.starts("rudderstack") == 1
