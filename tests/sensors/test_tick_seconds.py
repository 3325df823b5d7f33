"""The `tick_seconds` of a sensor: which values are accepted, and how a tick's parts share them."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs import build_completion_sensor, build_observation_sensor
from dagster_runs.sensors import limits
from dagster_runs.sensors.tick import TickTimes
from tests.remote_run.materializing import TESTS
from tests.sensors.driving import deferred

BUILDERS = pytest.mark.parametrize("build", [build_completion_sensor, build_observation_sensor])


@BUILDERS
@pytest.mark.parametrize("seconds", [4.9, 50.1, 0, -5, float("nan"), float("inf"), True, "24", None])
def test_other_values_are_refused(build: Any, seconds: Any) -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="tick_seconds must be a number from 5 to 50, not"):
        build([deferred(TESTS)], tick_seconds=seconds)


@BUILDERS
@pytest.mark.parametrize("seconds", [5, 5.0, 14.5, 50])
def test_values_from_5_to_50_are_accepted(build: Any, seconds: float) -> None:
    assert isinstance(build([deferred(TESTS)], tick_seconds=seconds), dg.SensorDefinition)


@pytest.mark.parametrize("seconds", [limits.MIN_TICK_SECONDS, limits.TICK_SECONDS, limits.MAX_TICK_SECONDS])
def test_parts_of_a_tick_end_in_order_before_its_end(seconds: float) -> None:
    times = TickTimes(100.0, seconds)
    shares = [limits.TICK_READ_SHARE, limits.TICK_SCHEDULES_SHARE, limits.TICK_POLL_SHARE, limits.TICK_WAIT_SHARE]
    ends = [times.until(share) for share in [*shares, limits.TICK_REPORT_SHARE]]
    assert ends == sorted(ends)
    assert 100.0 < ends[0] <= ends[-1] < times.ends_at == 100.0 + seconds
    assert limits.OBSERVE_BEGIN_SHARE < limits.OBSERVE_LIST_END_SHARE < limits.OBSERVE_SHARE
    assert limits.OBSERVE_SHARE + limits.OBSERVE_RESERVE_SHARE < 1.0
