"""A new process reads reports only for the assets that have any."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import TESTS, materialize
from tests.sensors.driving import DaemonKilled, completion, deferred, reported
from tests.sensors.test_follow_ups import after_it, jobs_run

pytestmark = pytest.mark.usefixtures("clock")


def test_reports_are_not_read_for_assets_without_reports(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = {name: deferred(TESTS, name) for name in ("idle", "active", "done")}
    materialize([assets["done"]], sandbox, instance)
    clock.sleep(120)
    earlier = completion([assets["done"]], sandbox, instance)
    with pytest.raises(DaemonKilled):
        earlier.tick(lost_after=100)
    materialize([assets["active"]], sandbox, instance)
    fetch, read = instance.fetch_materializations, []

    def recording_fetch(
        records_filter: Any, *args: Any, ascending: bool = False, **options: Any
    ) -> dg.EventRecordsResult:
        if ascending:  # durations of earlier runs are read newest first
            read.append(records_filter.asset_key)
        return fetch(records_filter, *args, ascending=ascending, **options)

    with monkeypatch.context() as patched:
        patched.setattr(instance, "fetch_materializations", recording_fetch)
        completion(list(assets.values()), sandbox, instance).tick()
    assert read == [dg.AssetKey("done")]
    assert len(reported(instance, "done")) == 1


def test_report_is_found_although_the_asset_record_does_not_have_it(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon was killed after it stored the materialization, and before it updated the asset record."""
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    clock.sleep(120)
    with pytest.raises(DaemonKilled):
        completion([asset], sandbox, instance, job=after_it).tick(lost_after=100)
    monkeypatch.setattr(instance, "get_asset_records", lambda _: [])
    driver = completion([asset], sandbox, instance, job=after_it)
    driver.ticks(clock, 3)
    assert len(reported(instance, "it")) == 1
    assert jobs_run(driver) == [("after_it", "SUCCEEDED")]
