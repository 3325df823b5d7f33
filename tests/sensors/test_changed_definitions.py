"""Deferred runs whose asset or job was changed meanwhile. Such a run does not keep others from being reported."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs import build_remote_run_asset
from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, failure, materialize
from tests.sensors.driving import completion, deferred, reported

pytestmark = pytest.mark.usefixtures("clock")
RANGE = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"}


@pytest.fixture(autouse=True)
def failing_runs(sandbox: Sandbox) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=5, outcome="fail", error="no such column"))


def static(*keys: str) -> dg.PartitionsDefinition[str]:
    return dg.StaticPartitionsDefinition(keys)


@pytest.mark.parametrize("now", [static("b", "c"), None], ids=["other partitions", "none"])
def test_failure_is_reported_after_its_partition_was_removed(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, now: Any
) -> None:
    before, well = deferred(PROFILES, partitions_def=static("a", "b")), deferred(TESTS, key="well")
    materialize([before], sandbox, instance, partition_key="a")
    materialize([well], sandbox, instance)
    driver = completion([deferred(PROFILES, partitions_def=now), well], sandbox, instance)
    driver.ticks(clock, 9)
    assert len(reported(instance, "well")) == 1
    assert not driver.runs
    driver = completion([deferred(PROFILES, partitions_def=now), well], sandbox, instance)  # a new code server
    driver.ticks(clock, 2)
    assert reported_states(instance, "it") == ["FAILED"]


def test_failure_is_reported_after_one_of_its_assets_was_removed(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    before = build_remote_run_asset(PROFILES, specs=[dg.AssetSpec("a"), dg.AssetSpec("b")], wait="defer")
    materialize([before], sandbox, instance)
    now = build_remote_run_asset(PROFILES, specs=[dg.AssetSpec("b")], wait="defer")
    driver = completion([now], sandbox, instance)
    driver.ticks(clock, 3)
    assert "no such column" in failure(driver.runs[0])


def test_failures_of_all_kinds_of_partitions_are_reported_in_one_tick(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    days = dg.DailyPartitionsDefinition(start_date="2026-11-01")
    both = dg.MultiPartitionsDefinition({"day": days, "shop": static("berlin", "wien")})
    assets = {
        "2026-11-03": deferred(PROFILES, key="daily", partitions_def=days),
        "2026-11-03|wien": deferred(PROFILES, key="by_shop", partitions_def=both),
        "a": deferred(PROFILES, key=["deep", "down"], partitions_def=static("a", "b")),
        None: deferred(PROFILES, key="whole").with_attributes(group_names_by_key={dg.AssetKey("whole"): "other"}),
    }
    for key, asset in assets.items():
        sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=5, outcome="fail"))
        assert materialize([asset], sandbox, instance, partition_key=key).success
        clock.sleep(10)
    driver = completion(list(assets.values()), sandbox, instance)
    driver.tick()
    tags = [instance.get_run_by_id(run.run_id).tags for run in driver.runs]
    assert {own.get("dagster/partition") for own in tags} == set(assets)
    assert all("ended with status failed" in failure(run).casefold() for run in driver.runs)


def test_failure_is_reported_when_the_max_retries_tag_is_invalid(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(instance), "run_retries_enabled", True)
    asset = deferred(PROFILES)
    materialize([asset], sandbox, instance, tags={"dagster/max_retries": "often"})
    driver = completion([asset], sandbox, instance)
    driver.ticks(clock, 3)
    assert instance.get_run_by_id(driver.runs[0].run_id).tags["dagster/max_retries"] == "often"


def reported_states(instance: dg.DagsterInstance, key: str) -> list[str]:
    """Return the states of the runs that were reported without a Dagster run."""
    records = instance.fetch_observations(dg.AssetKey(key), limit=100).records
    # Ledger entries of the sensor have no metadata.
    found = [one for record in records if record.run_id == "" and (one := record.asset_observation.metadata)]
    return [str(one["dagster_runs/state"].value) for one in found]


@dg.op
def nothing() -> None:
    """The op of a job that no longer contains the asset."""


@dg.job(name="nightly")
def without_assets() -> None:
    nothing()


@dg.asset(partitions_def=static("p", "q"))
def another() -> None:
    """An asset with other partitions."""


@pytest.mark.parametrize(
    "now", [without_assets, dg.define_asset_job("nightly", selection=[another])], ids=["no assets", "other partitions"]
)
@pytest.mark.parametrize("launched", [{"partition_key": "a"}, {"tags": RANGE}], ids=["a partition", "a range"])
@pytest.mark.covers("defer.failure-changed-job")
def test_failure_is_reported_after_the_asset_was_removed_from_its_job(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, now: Any, launched: Any
) -> None:
    """If the tick requested a run of that job, Dagster would refuse the whole tick."""
    options = {"partitions_def": static("a", "b"), "backfill_policy": dg.BackfillPolicy.single_run()}
    asset, well = deferred(PROFILES, **options), deferred(TESTS, key="well")
    before = completion([asset], sandbox, instance, jobs=[dg.define_asset_job("nightly", selection=[asset])])
    assert before.job("nightly").execute_in_process(instance=instance, **launched).success
    materialize([well], sandbox, instance)
    driver = completion([asset, well], sandbox, instance, jobs=[now], more_assets=[another])
    driver.ticks(clock, 9)
    [run] = driver.runs
    assert "no such column" in failure(run)
    assert len(reported(instance, "well")) == 1
