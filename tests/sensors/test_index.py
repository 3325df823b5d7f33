"""A new process reads all entries once, and afterwards again only those that are new enough to have late neighbors."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import TESTS, materialize
from tests.sensors.driving import Driver, completion, deferred

pytestmark = pytest.mark.usefixtures("clock")
HOUR = 3600.0


def test_what_is_old_is_read_once(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=10_000))
    asset = deferred(TESTS)
    *old, new = [materialize([asset], sandbox, instance).run_id for _ in range(3)]
    driver = completion([asset], sandbox, instance)
    assert runs_read(driver, instance, old) == {*old, new}
    clock.sleep(10)
    assert runs_read(driver, instance, old) == {new}
    clock.sleep(60)
    runs_read(driver, instance, old)
    assert runs_read(driver, instance, old) == set()
    assert "3 in flight" in str(driver.skipped[-1])


def test_what_is_old_is_read_again_with_a_new_one_before_it(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    """It was stored late itself."""
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=10_000))
    asset = deferred(TESTS)
    new, old = [materialize([asset], sandbox, instance).run_id for _ in range(2)]
    driver = completion([asset], sandbox, instance)
    for _ in range(2):
        assert runs_read(driver, instance, [old]) == {new, old}


def runs_read(driver: Driver, instance: dg.DagsterInstance, old: list[str]) -> Set[str]:
    """The Dagster runs whose entries a tick reads.

    Args:
        old: Those whose entries bear a time of an hour ago: Dagster stamps them by the machine's own clock.
    """
    fetch, seen = instance.fetch_observations, set()

    def watched(*args: Any, **options: Any) -> dg.EventRecordsResult:
        page = fetch(*args, **options)
        seen.update(record.run_id for record in page.records)
        return page._replace(records=[aged(record) if record.run_id in old else record for record in page.records])

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(instance, "fetch_observations", watched)
        driver.tick()
    return seen


def aged(record: dg.EventLogRecord) -> dg.EventLogRecord:
    entry = record.event_log_entry
    return record._replace(event_log_entry=entry._replace(timestamp=entry.timestamp - HOUR))
