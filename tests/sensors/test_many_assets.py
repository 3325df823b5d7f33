"""A new process asks for the reports of those assets only that have some."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import TESTS, materialize
from tests.sensors.driving import Lost, completion, deferred, reported
from tests.sensors.test_follow_ups import after_it, jobs_run

pytestmark = pytest.mark.usefixtures("clock")


def test_nothing_is_asked_of_an_asset_without_reports(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = {name: deferred(TESTS, name) for name in ("idle", "going", "done")}
    materialize([assets["done"]], sandbox, instance)
    clock.sleep(120)
    before = completion([assets["done"]], sandbox, instance)
    with pytest.raises(Lost):
        before.tick(lost_after=100)
    materialize([assets["going"]], sandbox, instance)
    fetch, read = instance.fetch_materializations, []

    def watched(wanted: Any, *args: Any, ascending: bool = False, **options: Any) -> dg.EventRecordsResult:
        if ascending:  # how long earlier runs took is read newest first
            read.append(wanted.asset_key)
        return fetch(wanted, *args, ascending=ascending, **options)

    with monkeypatch.context() as patched:
        patched.setattr(instance, "fetch_materializations", watched)
        completion(list(assets.values()), sandbox, instance).tick()
    assert read == [dg.AssetKey("done")]
    assert len(reported(instance, "done")) == 1


def test_a_report_that_dagster_did_not_note_with_the_asset_is_seen_all_the_same(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon was killed when it had stored the materialization, and before it noted that as the asset's last."""
    asset = deferred(TESTS)
    materialize([asset], sandbox, instance)
    clock.sleep(120)
    with pytest.raises(Lost):
        completion([asset], sandbox, instance, job=after_it).tick(lost_after=100)
    monkeypatch.setattr(instance, "get_asset_records", lambda _: [])
    driver = completion([asset], sandbox, instance, job=after_it)
    driver.ticks(clock, 3)
    assert len(reported(instance, "it")) == 1
    assert jobs_run(driver) == [("after_it", "SUCCEEDED")]
