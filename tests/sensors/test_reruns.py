"""One more run of an asset whose input was materialized while its run was in flight."""

from __future__ import annotations

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import TESTS, materialize
from tests.sensors.driving import DaemonKilled, Driver, completion, deferred, materializations

pytestmark = pytest.mark.usefixtures("clock")
PARTITIONS = dg.StaticPartitionsDefinition(["a", "b"])


@dg.asset
def orders() -> None: ...


@dg.asset(partitions_def=PARTITIONS)
def daily_orders() -> None: ...


def suite(upstream: dg.AssetsDefinition = orders, **options: object) -> dg.AssetsDefinition:
    options = {"automation_condition": dg.AutomationCondition.eager(), **options}
    return deferred(TESTS, deps=[upstream], partitions_def=upstream.partitions_def, **options)


def driver_of(asset: dg.AssetsDefinition, sandbox: Sandbox, instance: dg.DagsterInstance) -> Driver:
    return completion([asset], sandbox, instance, more_assets=[orders, daily_orders])


@pytest.fixture(autouse=True)
def runs_of_a_minute(sandbox: Sandbox) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=60))


@pytest.mark.parametrize("is_updated", [True, False])
@pytest.mark.covers("defer.upstream-newer")
def test_input_that_was_updated_during_the_run_leads_to_one_more_run(
    is_updated: bool, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = suite()
    materialize([orders], sandbox, instance)
    materialize([asset], sandbox, instance)
    driver = driver_of(asset, sandbox, instance)
    driver.ticks(clock, 2)
    if is_updated:
        materialize([orders], sandbox, instance)
    driver.ticks(clock, 25)
    assert sandbox.starts(None) == (2 if is_updated else 1)
    assert len(materializations(instance, "it")) == sandbox.starts(None)


@pytest.mark.parametrize(
    "options", [{"rerun_if_upstream_newer": False}, {"automation_condition": None}, {"on_in_flight": "start"}], ids=str
)
def test_no_further_run_is_requested_without_the_option(
    options: dict[str, object], sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = suite(**options)
    materialize([asset], sandbox, instance)
    materialize([orders], sandbox, instance)
    driver_of(asset, sandbox, instance).ticks(clock, 20)
    assert sandbox.starts(None) == 1


def test_queued_request_covers_the_update(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    asset = suite()
    materialize([asset], sandbox, instance)
    materialize([orders], sandbox, instance)
    materialize([asset], sandbox, instance)  # requested by Dagster's automation, and queued
    driver_of(asset, sandbox, instance).ticks(clock, 35)
    assert sandbox.starts(None) == 2


def test_only_the_partition_of_the_run_counts(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = suite(daily_orders)
    for key in ("a", "b"):
        materialize([asset], sandbox, instance, partition_key=key)
    driver = driver_of(asset, sandbox, instance)
    driver.ticks(clock, 2)
    materialize([daily_orders], sandbox, instance, partition_key="b")
    driver.ticks(clock, 30)
    assert sorted(str(record.partition_key) for record in materializations(instance, "it")) == ["a", "b", "b"]


def test_lost_tick_requests_the_further_run_once(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    asset = suite()
    materialize([asset], sandbox, instance)
    materialize([orders], sandbox, instance)
    driver = driver_of(asset, sandbox, instance)
    clock.sleep(120)
    driver.tick()
    with pytest.raises(DaemonKilled):
        driver.tick(lost_after=10)
    driver.ticks(clock, 25)
    assert sandbox.starts(None) == 2
