"""Observation of many runs: after an outage, of long ones, of those that the vendor hides, or forgets for a moment."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg
import pytest

from dagster_runs import AmperityWorkflowRun, build_observation_sensor, build_remote_run_asset
from dagster_runs.remote_run.execution.attach import NOT_FOUND_GRACE
from dagster_runs.remote_run.types import DAY
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.sensors import limits
from dagster_runs.testing import SandboxClock, sandbox_resources
from dagster_runs.vendors.amperity import resource as amperity_module
from tests.remote_run.materializing import TESTS, materialize
from tests.remote_run.reexecuting import execute, job_with, reexecute
from tests.sensors.driving import Driver, deferred, observed_failures, observing, reported

pytestmark = pytest.mark.usefixtures("clock")

COURIERS, ORCHESTRATION = well_known.AMPERITY_COURIERS, well_known.AMPERITY_ORCHESTRATION
_PAGE = 20
_NAMES = {COURIERS: "Daily", ORCHESTRATION: "Braze", well_known.AMPERITY_CAMPAIGN: "Holiday Campaign"}


def workflow(config_id: str = COURIERS) -> dg.AssetsDefinition:
    run = AmperityWorkflowRun(config_id=config_id, workflow_name=_NAMES[config_id])
    return build_remote_run_asset(run, key="it")


def observing_amperity(sandbox: Sandbox, instance: dg.DagsterInstance, config_id: str = COURIERS) -> Driver:
    sandbox.configure("amperity", requests_per_second=None)
    resources = sandbox_resources(sandbox.url, requests_per_second=None)  # not a matter of speed here
    return observing([workflow(config_id)], sandbox, instance, resources={"amperity": resources["amperity"]})


def suite() -> dg.AssetsDefinition:
    return build_remote_run_asset(TESTS, key="it")


def calls(sandbox: Sandbox, vendor: str, path: str) -> list[str]:
    return [request.path for request in sandbox.requests(vendor) if path in request.path]


class TestAfterAnOutage:
    @pytest.mark.parametrize("every", [1, 900], ids=["made together", "made bit by bit"])
    @pytest.mark.covers("observe.long-list")
    def test_more_pages_than_a_list_may_have(
        self,
        sandbox: Sandbox,
        instance: dg.DagsterInstance,
        clock: SandboxClock,
        monkeypatch: pytest.MonkeyPatch,
        every: int,
    ) -> None:
        monkeypatch.setattr(amperity_module, "_MAX_PAGES", 3)
        driver = observing_amperity(sandbox, instance)
        runs = []
        for number in range(5 * _PAGE):
            if number % 20 == 0:
                runs.append(sandbox.start_run(COURIERS, source="schedule").id)
            sandbox.start_run(well_known.AMPERITY_FILES, source="schedule")
            clock.sleep(every)
        clock.sleep(DAY)
        driver.ticks(clock, 6, every=60)
        assert sorted(reported(instance, "it")) == sorted(runs)
        assert "too long" not in str(driver.skipped[-1])
        [seen] = json.loads(driver.cursor or "").values()
        assert not seen["processed"], "they are listed no more"

    @pytest.mark.covers("observe.long-list")
    def test_pages_that_are_too_slow_for_a_tick(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # TestGen lists the newest first: the oldest would never have their turn.
        driver = observing([suite()], sandbox, instance)
        sandbox.set_behavior(well_known.SUITE_ORDERS, Behavior(running_seconds=5))
        runs = []
        for number in range(250):
            if number % 50 == 0:
                runs.append(sandbox.start_run(TESTS.target, source="ui").id)
            sandbox.start_run(well_known.SUITE_ORDERS, source="ui")
            clock.sleep(120)
        monkeypatch.setattr(limits, "OBSERVE_LIST_SECONDS", 0.04)
        sandbox.add_fault(Fault("hang", path="/jobs$", seconds=0.04))
        driver.ticks(clock, 1, every=60)
        assert "too long for one tick; the next tick continues" in str(driver.skipped[-1])
        driver.ticks(clock, 30, every=60)
        assert sorted(reported(instance, "it")) == sorted(runs)

    def test_a_list_that_is_too_long_for_many_ticks_is_no_end_of_it(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        driver = observing([suite()], sandbox, instance)
        runs = [sandbox.start_run(TESTS.target, source="ui") for _ in range(3)]
        with monkeypatch.context() as patched:
            patched.setattr(limits, "OBSERVE_LIST_SECONDS", 0.0)
            patched.setattr(limits, "MIN_LISTED", 1)
            driver.ticks(clock, 3, every=3600)
        assert "too long for one tick; the next tick continues" in str(driver.skipped[-1])
        driver.ticks(clock, 4, every=60)
        assert sorted(reported(instance, "it")) == sorted(run.id for run in runs)

    @pytest.mark.covers("observe.long-list")
    def test_what_is_awaited_is_looked_at_while_the_list_is_down(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        driver = observing([suite()], sandbox, instance)
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=600))
        run = sandbox.start_run(TESTS.target, source="ui")
        driver.ticks(clock, 2, every=500)  # by then the vendor tells what it runs
        sandbox.add_fault(Fault("status", path="/projects/.*/jobs$", status=500, times=100_000))
        driver.ticks(clock, 3, every=300)
        assert reported(instance, "it") == [run.id]

    def test_a_cursor_of_before_loses_nothing(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        began = clock.wall()
        told, pending, unknown, new = (sandbox.start_run(TESTS.target, source="ui").id for _ in range(4))
        driver = Driver(build_observation_sensor([suite()]), [suite()], sandbox, instance)
        kept = {
            "since": began,
            "done": {told: began},
            "awaited": {pending: {"created_at": began, "asset": "it"}, unknown: {"created_at": began, "asset": None}},
        }
        driver.cursor = json.dumps({"testgen": kept})
        clock.sleep(DAY)
        driver.ticks(clock, 5, every=60)
        assert sorted(reported(instance, "it")) == sorted([pending, unknown, new])


class TestTurns:
    def test_those_that_go_on_for_long_take_nobodys_turn(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sandbox.set_behavior(TESTS.target, [Behavior(running_seconds=20_000)] * 12 + [Behavior(running_seconds=7200)])
        driver = observing([suite()], sandbox, instance)
        for _ in range(12):
            sandbox.start_run(TESTS.target, source="ui")
        last = sandbox.start_run(TESTS.target, source="ui")
        driver.ticks(clock, 2, every=4000)  # by then they are listed no more
        # There is time for a few looks in each tick.
        sandbox.add_fault(Fault("hang", method="GET", path="/jobs/", seconds=0.1))
        monkeypatch.setattr(limits, "OBSERVE_UNTIL", 0.5)
        monkeypatch.setattr(limits, "OBSERVE_POLL_RESERVE", 0.0)
        driver.ticks(clock, 8, every=60)
        assert reported(instance, "it") == [last.id]

    def test_our_own_cost_no_calls(self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=10_000))
        asset = deferred(TESTS)
        driver = observing([asset], sandbox, instance)
        materialize([asset], sandbox, instance)
        stranger = sandbox.start_run(TESTS.target, source="ui")
        driver.ticks(clock, 3, every=2500)
        assert "1 pending" in str(driver.skipped[-1])
        before = len(calls(sandbox, "testgen", "/jobs/"))
        driver.ticks(clock, 3, every=60)
        assert calls(sandbox, "testgen", "/jobs/")[before:] == [f"/testgen/api/v1/jobs/{stranger.id}"] * 3

    def test_our_own_are_left_out_when_a_tick_came_before_the_note_of_the_start(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=5000))
        job = job_with(TESTS, sandbox, key="it", wait="defer")
        driver = observing([suite()], sandbox, instance)
        sandbox.add_fault(Fault("lost_response", method="POST", path="/test-runs", times=1))
        sandbox.add_fault(Fault("status", method="GET", path="^/testgen/", status=401, times=100))
        lost = execute(job, instance)  # nobody knows yet what it began
        sandbox.clear_faults()
        clock.sleep(300)
        driver.tick()
        [seen] = json.loads(driver.cursor or "").values()
        assert [one["asset"] for one in seen["pending"].values()] == ["it"]
        reexecute(job, instance, lost.run_id)  # which finds it
        assert sandbox.starts("testgen") == 1
        driver.tick()
        assert "0 pending" in str(driver.skipped[-1])


class TestNotFound:
    @pytest.fixture
    def pending(self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> Driver:
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=5000))
        driver = observing([suite()], sandbox, instance)
        sandbox.start_run(TESTS.target, source="ui")
        driver.ticks(clock, 2, every=2000)  # by then it is listed no more
        return driver

    def forget(self, sandbox: Sandbox, **fields: Any) -> None:
        body = {"detail": {"errors": [{"code": "not_found", "detail": "Not found"}]}}
        sandbox.add_fault(Fault("status", method="GET", path="/jobs/", status=404, body=body, **fields))

    @pytest.mark.covers("observe.404")
    def test_one_slip_loses_no_end(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, pending: Driver
    ) -> None:
        for _ in range(2):
            self.forget(sandbox, times=1)
            pending.ticks(clock, 2, every=NOT_FOUND_GRACE)
        assert "1 pending" in str(pending.skipped[-1])
        pending.ticks(clock, 2, every=2000)
        assert reported(instance, "it") == [run.id for run in sandbox.runs("testgen")]

    @pytest.mark.covers("observe.404")
    def test_a_run_that_is_gone_is_awaited_no_more(
        self, sandbox: Sandbox, clock: SandboxClock, pending: Driver
    ) -> None:
        self.forget(sandbox)
        pending.ticks(clock, 3, every=NOT_FOUND_GRACE)
        assert "0 pending" in str(pending.skipped[-1])


class TestWhereListsAreFilteredByDefault:
    @pytest.mark.parametrize("filters", [False, True])
    @pytest.mark.parametrize("outcome", ["succeed", "fail"])
    @pytest.mark.parametrize("config_id", _NAMES)
    @pytest.mark.covers("amperity.parameter.type")
    def test_each_kind_is_seen(
        self,
        sandbox: Sandbox,
        instance: dg.DagsterInstance,
        clock: SandboxClock,
        config_id: str,
        outcome: Any,
        filters: bool,
    ) -> None:
        sandbox.configure("amperity", list_defaults=filters)
        for _ in range(2):
            sandbox.start_run(config_id, source="schedule")  # of a type that there never was nobody asks for each state
        sandbox.start_run(COURIERS, source="schedule")
        clock.sleep(7200)
        driver = observing_amperity(sandbox, instance, config_id)
        sandbox.set_behavior(config_id, Behavior(running_seconds=1500, outcome=outcome))
        run = sandbox.start_run(config_id, source="schedule")
        driver.ticks(clock, 9, every=240)
        told = reported if outcome == "succeed" else observed_failures
        assert told(instance, "it") == [run.id]

    def test_a_server_that_shows_all_is_not_asked_for_each_state(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        sandbox.start_run(well_known.AMPERITY_FAILING, source="schedule")
        sandbox.start_run(ORCHESTRATION, source="schedule")
        clock.sleep(7200)
        driver = observing_amperity(sandbox, instance)
        before = len(sandbox.requests("amperity"))
        driver.tick()
        assert all(not {"state", "type"} & request.query.keys() for request in sandbox.requests("amperity")[before:])
        assert len(sandbox.requests("amperity")) - before == 1
