"""The check failure sensor over many ticks."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.testing import SandboxClock
from tests.sensors.test_check_failure_sensor import (
    LETTERS,
    Watcher,
    partitioned_checks,
    request_failed_checks_of_deferred_runs_once,
    run_orders,
)

pytestmark = pytest.mark.usefixtures("clock")


def test_cursor_stays_short(instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    watcher = Watcher(instance)
    watcher.driver.tick()
    for _ in range(20):
        run_orders(instance, "fresh")
        watcher.driver.tick()
        clock.sleep(30)
    for _ in range(4):
        watcher.driver.tick()
        clock.sleep(30)
    assert len(watcher.driver.cursor) < 200


@pytest.mark.parametrize("partitions", [None, pytest.param(LETTERS, marks=partitioned_checks)])
def test_failed_check_of_a_deferred_run_is_requested_once(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, partitions: Any
) -> None:
    request_failed_checks_of_deferred_runs_once(sandbox, instance, clock, partitions, every=10)
