"""A run is reported completely and once, whichever of the completion sensor's ticks is lost."""

from __future__ import annotations

import dagster as dg
import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.testing import SandboxClock
from tests.sensors.test_tick_size import (
    backfill,
    report_although_a_tick_is_lost,
    report_failure_although_a_tick_is_lost,
)

__all__ = ["backfill"]  # a fixture


@pytest.mark.parametrize("lost_tick", [0, 2, 3, 4, 6, 7, 8])
def test_each_partition_is_reported_once_although_a_tick_is_lost(
    backfill: dg.AssetsDefinition,
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    monkeypatch: pytest.MonkeyPatch,
    lost_tick: int,
) -> None:
    report_although_a_tick_is_lost(backfill, sandbox, instance, clock, monkeypatch, lost_tick)


@pytest.mark.parametrize("lost_tick", [0, 2])
def test_failure_that_no_dagster_run_can_report_is_reported_by_several_ticks(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    monkeypatch: pytest.MonkeyPatch,
    lost_tick: int,
) -> None:
    report_failure_although_a_tick_is_lost(sandbox, instance, clock, monkeypatch, lost_tick)
