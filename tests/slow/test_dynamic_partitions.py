"""Deferred runs of dynamic partitions, which Dagster resolves only if the instance is on disk."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, materialize
from tests.sensors.driving import completion, deferred, reported
from tests.sensors.test_changed_definitions import reported_states
from tests.sensors.test_follow_ups import after_it

pytestmark = pytest.mark.usefixtures("clock")
SHOPS = dg.DynamicPartitionsDefinition(name="shops")


class DatabaseUnavailable(Exception):
    """An error of a storage for an unavailable database; such errors have no common base class."""


def raise_unavailable(*args: Any, **options: Any) -> Any:
    raise DatabaseUnavailable("the database is unavailable")


@pytest.mark.covers("defer.storage-outage")
def test_storage_outage_does_not_count_as_a_missing_partition(
    sandbox: Sandbox, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=5, outcome="fail"))
    asset = deferred(PROFILES, partitions_def=SHOPS)
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("shops", ["berlin"])
        materialize([asset], sandbox, instance, partition_key="berlin")
        clock.sleep(60)
        driver = completion([asset], sandbox, instance)
        with monkeypatch.context() as patched:
            patched.setattr(instance, "has_dynamic_partition", raise_unavailable)
            with pytest.raises(DatabaseUnavailable):
                driver.tick()
        driver.tick()
        assert len(driver.runs) == 1
        assert reported_states(instance, "it") == []


def test_storage_outage_does_not_lose_the_follow_up(
    sandbox: Sandbox, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dg.job(partitions_def=SHOPS, name="after_it")
    def after_a_shop() -> None:
        after_it.nodes[0].definition()

    asset = deferred(TESTS, partitions_def=SHOPS)
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("shops", ["berlin"])
        materialize([asset], sandbox, instance, partition_key="berlin")
        clock.sleep(60)
        driver = completion([asset], sandbox, instance, job=after_a_shop)
        driver.ticks(clock, 1)  # The follow-up is requested with the checks.
        with monkeypatch.context() as patched:
            patched.setattr(instance, "has_dynamic_partition", raise_unavailable)
            with pytest.raises(DatabaseUnavailable):
                driver.tick()
        driver.ticks(clock, 2)
        assert [run.dagster_run.job_name for run in driver.runs] == ["after_it"]
        assert len(reported(instance, "it")) == 1


def test_failures_of_added_and_deleted_partitions_are_reported(sandbox: Sandbox, clock: SandboxClock) -> None:
    sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=5, outcome="fail"))
    asset = deferred(PROFILES, partitions_def=SHOPS)
    with dg.instance_for_test() as instance:
        for shop in ("berlin", "wien"):
            instance.add_dynamic_partitions("shops", [shop])
            materialize([asset], sandbox, instance, partition_key=shop)
            clock.sleep(10)
        instance.delete_dynamic_partition("shops", "wien")
        driver = completion([asset], sandbox, instance)
        driver.ticks(clock, 3)
        assert [instance.get_run_by_id(run.run_id).tags["dagster/partition"] for run in driver.runs] == ["berlin"]
        assert reported_states(instance, "it") == ["FAILED"]
