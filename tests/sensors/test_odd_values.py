"""Metadata and cursors that are invalid: they do not delay other runs."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs import TestGenTestRun, build_remote_run_asset
from dagster_runs.remote_run.types import RunResult
from dagster_runs.sandbox import Sandbox, well_known
from dagster_runs.sensors.completion.cursor import Cursor
from dagster_runs.sensors.observation.cursor import from_text
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import TESTS, failure, materialize
from tests.sensors.driving import completion, deferred, observing, reported
from tests.sensors.test_changed_definitions import reported_states, static

pytestmark = pytest.mark.usefixtures("clock")


class InvalidMetadataRun(TestGenTestRun):
    """Its result has metadata that Dagster cannot store."""

    def fetch_result(self, *args: Any, **options: Any) -> RunResult:
        return RunResult({"acme/when": object()})


INVALID = InvalidMetadataRun(test_suite_id=well_known.SUITE_ORDERS)


@pytest.mark.covers("defer.invalid-metadata")
def test_result_with_invalid_metadata_fails_only_its_own_run(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    invalid, valid = deferred(INVALID, key="odd"), deferred(TESTS, key="well")
    materialize([invalid, valid], sandbox, instance)
    driver = completion([invalid, valid], sandbox, instance)
    driver.ticks(clock, 12)
    assert len(reported(instance, "well")) == 1
    [run] = driver.runs
    assert "acme/when" in failure(run)
    assert reported(instance, "odd") == []


def test_unreportable_result_does_not_delay_other_runs(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    earlier, valid = deferred(INVALID, key="odd", partitions_def=static("a")), deferred(TESTS, key="well")
    materialize([earlier], sandbox, instance, partition_key="a")
    materialize([valid], sandbox, instance)
    driver = completion([deferred(INVALID, key="odd", partitions_def=static("b")), valid], sandbox, instance)
    driver.ticks(clock, 12)
    assert len(reported(instance, "well")) == 1
    assert driver.runs == []
    assert "No deferred run is in flight" in str(driver.skipped[-1])
    assert reported_states(instance, "odd") == ["SUCCEEDED"]


@pytest.mark.covers("defer.invalid-metadata")
def test_external_run_with_invalid_metadata_does_not_delay_other_runs(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    assets = [build_remote_run_asset(run, key=key) for key, run in (("odd", INVALID), ("well", TESTS))]
    driver = observing(assets, sandbox, instance)
    sandbox.start_run(INVALID.target, source="ui")
    run = sandbox.start_run(TESTS.target, source="ui")
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "well") == [run.id]
    assert "acme/when" in str(driver.skipped[-1])


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"token": "", "read_from": Infinity, "at": 0}',
        '{"token": "", "read_from": 1' + 40 * "0" + ', "at": 0}',
        '{"token": "", "read_from": 1, "at": NaN}',
        '{"testgen": {"since": 0, "done": {"x": "y"}, "awaited": {}}}',
        '{"testgen": {"since": Infinity, "done": {}, "awaited": {}}}',
        '{"testgen": {"since": 0, "done": {}, "awaited": {"x": {"created_at": 0}}}}',
    ],
    ids=lambda text: text[:60],
)
def test_invalid_cursor_is_read_as_an_empty_cursor(text: str) -> None:
    assert Cursor.from_text(text) == Cursor()
    assert from_text(text) == {}
