"""A vendor's code that brings what Dagster does not take, and a storage that fails: nothing is lost by either."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs import TestGenTestRun, build_remote_run_asset
from dagster_runs.in_flight.cursor import Cursor
from dagster_runs.in_flight.sightings import from_cursor
from dagster_runs.remote_run.contract import RunResult
from dagster_runs.sandbox import Behaviour, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.in_flight.driving import completion, deferred, observing, reported
from tests.in_flight.test_changed import static, told
from tests.in_flight.test_following_up import after_it
from tests.remote_run.materializing import PROFILES, TESTS, failure, materialize

pytestmark = pytest.mark.usefixtures("clock")
SHOPS = dg.DynamicPartitionsDefinition(name="shops")


class Odd(TestGenTestRun):
    """Its result has metadata that Dagster cannot store."""

    def fetch_result(self, *args: Any, **options: Any) -> RunResult:
        return RunResult({"acme/when": object()})


ODD = Odd(test_suite_id=well_known.SUITE_ORDERS)


def test_a_result_that_dagster_does_not_take_fails_its_own_run(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    odd, well = deferred(ODD, key="odd"), deferred(TESTS, key="well")
    materialize([odd, well], sandbox, instance)
    driver = completion([odd, well], sandbox, instance)
    driver.ticks(clock, 12)
    assert len(reported(instance, "well")) == 1
    [run] = driver.runs
    assert "acme/when" in failure(run)
    assert reported(instance, "odd") == []


def test_one_that_no_step_can_tell_either_holds_nobody_up(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    before, well = deferred(ODD, key="odd", partitions_def=static("a")), deferred(TESTS, key="well")
    materialize([before], sandbox, instance, partition_key="a")
    materialize([well], sandbox, instance)
    driver = completion([deferred(ODD, key="odd", partitions_def=static("b")), well], sandbox, instance)
    driver.ticks(clock, 12)
    assert len(reported(instance, "well")) == 1
    assert driver.runs == []
    assert "0 in flight" in str(driver.skipped[-1])
    assert told(instance, "odd") == ["SUCCEEDED"]


def test_anothers_run_whose_result_dagster_does_not_take_holds_nobody_up(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    assets = [build_remote_run_asset(run, key=key) for key, run in (("odd", ODD), ("well", TESTS))]
    driver = observing(assets, sandbox, instance)
    sandbox.begin_run(ODD.target, source="ui")
    run = sandbox.begin_run(TESTS.target, source="ui")
    driver.ticks(clock, 6, every=60)
    assert reported(instance, "well") == [run.id]
    assert "acme/when" in str(driver.skipped[-1])


class Away(Exception):
    """Some storages have errors of their own, of no common kind, for a database that is away."""


def away(*args: Any, **options: Any) -> Any:
    raise Away("the database is away")


def test_a_storage_that_fails_tells_nothing_of_a_partition(
    sandbox: Sandbox, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.set_behaviour(PROFILES.target, Behaviour(running_seconds=5, outcome="fail"))
    asset = deferred(PROFILES, partitions_def=SHOPS)
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("shops", ["berlin"])
        materialize([asset], sandbox, instance, partition_key="berlin")
        clock.sleep(60)
        driver = completion([asset], sandbox, instance)
        with monkeypatch.context() as patched:
            patched.setattr(instance, "has_dynamic_partition", away)
            with pytest.raises(Away):
                driver.tick()
        driver.tick()
        assert len(driver.runs) == 1
        assert told(instance, "it") == []


def test_a_storage_that_fails_is_no_failure_of_what_follows(
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
        with monkeypatch.context() as patched:
            patched.setattr(instance, "has_dynamic_partition", away)
            with pytest.raises(Away):
                driver.tick()
        driver.ticks(clock, 2)
        assert [run.dagster_run.job_name for run in driver.runs] == ["after_it"]
        assert len(reported(instance, "it")) == 1


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
def test_a_cursor_that_is_none_begins_anew(text: str) -> None:
    assert Cursor.of(text) == Cursor()
    assert from_cursor(text) == {}
