"""Observation of many runs: after outages, of long runs, and of runs that the vendor hides or does not find."""

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
    resources = sandbox_resources(sandbox.url, requests_per_second=None)  # the rate limit uses real time
    return observing([workflow(config_id)], sandbox, instance, resources={"amperity": resources["amperity"]})


def suite() -> dg.AssetsDefinition:
    return build_remote_run_asset(TESTS, key="it")


def calls(sandbox: Sandbox, vendor: str, path: str) -> list[str]:
    return [request.path for request in sandbox.requests(vendor) if path in request.path]


class TestAfterAnOutage:
    @pytest.mark.parametrize("every", [1, 900], ids=["created at once", "created over time"])
    @pytest.mark.covers("observe.long-list")
    def test_reports_all_runs_when_a_list_exceeds_the_page_limit(
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
        [cursor] = json.loads(driver.cursor or "").values()
        assert not cursor["processed"], "the runs are no longer listed"

    @pytest.mark.covers("observe.long-list")
    def test_reports_all_runs_when_the_pages_are_too_slow_for_one_tick(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # TestGen lists the newest runs first, so the oldest would never be reached.
        driver = observing([suite()], sandbox, instance)
        sandbox.set_behavior(well_known.SUITE_ORDERS, Behavior(running_seconds=5))
        runs = []
        for number in range(250):
            if number % 50 == 0:
                runs.append(sandbox.start_run(TESTS.target, source="ui").id)
            sandbox.start_run(well_known.SUITE_ORDERS, source="ui")
            clock.sleep(120)
        monkeypatch.setattr(limits, "OBSERVE_LIST_SHARE", 0.04 / limits.TICK_SECONDS)
        sandbox.add_fault(Fault("hang", path="/jobs$", seconds=0.04))
        driver.ticks(clock, 1, every=60)
        assert "too long for one tick; the next tick continues" in str(driver.skipped[-1])
        driver.ticks(clock, 30, every=60)
        assert sorted(reported(instance, "it")) == sorted(runs)

    def test_reports_all_runs_after_many_ticks_that_could_not_read_the_list(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        driver = observing([suite()], sandbox, instance)
        runs = [sandbox.start_run(TESTS.target, source="ui") for _ in range(3)]
        with monkeypatch.context() as patched:
            patched.setattr(limits, "OBSERVE_LIST_SHARE", 0.0)
            patched.setattr(limits, "MIN_LISTED", 1)
            driver.ticks(clock, 3, every=3600)
        assert "too long for one tick; the next tick continues" in str(driver.skipped[-1])
        driver.ticks(clock, 4, every=60)
        assert sorted(reported(instance, "it")) == sorted(run.id for run in runs)

    @pytest.mark.covers("observe.long-list")
    def test_polls_pending_runs_while_the_list_fails(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        driver = observing([suite()], sandbox, instance)
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=600))
        run = sandbox.start_run(TESTS.target, source="ui")
        driver.ticks(clock, 2, every=500)  # by then the vendor shows the run's target
        sandbox.add_fault(Fault("status", path="/projects/.*/jobs$", status=500, times=100_000))
        driver.ticks(clock, 3, every=300)
        assert reported(instance, "it") == [run.id]

    def test_reads_a_cursor_of_an_earlier_version(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        started_at = clock.wall()
        reported_run, pending, unknown, new = (sandbox.start_run(TESTS.target, source="ui").id for _ in range(4))
        driver = Driver(build_observation_sensor([suite()]), [suite()], sandbox, instance)
        earlier_cursor = {
            "since": started_at,
            "done": {reported_run: started_at},
            "awaited": {
                pending: {"created_at": started_at, "asset": "it"},
                unknown: {"created_at": started_at, "asset": None},
            },
        }
        driver.cursor = json.dumps({"testgen": earlier_cursor})
        clock.sleep(DAY)
        driver.ticks(clock, 5, every=60)
        assert sorted(reported(instance, "it")) == sorted([pending, unknown, new])


class TestPolling:
    def test_long_running_runs_do_not_delay_polls_of_other_runs(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sandbox.set_behavior(TESTS.target, [Behavior(running_seconds=20_000)] * 12 + [Behavior(running_seconds=7200)])
        driver = observing([suite()], sandbox, instance)
        for _ in range(12):
            sandbox.start_run(TESTS.target, source="ui")
        last_run = sandbox.start_run(TESTS.target, source="ui")
        driver.ticks(clock, 2, every=4000)  # by then the runs are no longer listed
        # Each tick has time for a few polls.
        sandbox.add_fault(Fault("hang", method="GET", path="/jobs/", seconds=0.1))
        monkeypatch.setattr(limits, "OBSERVE_SHARE", 0.5 / limits.TICK_SECONDS)
        monkeypatch.setattr(limits, "OBSERVE_RESERVE_SHARE", 0.0)
        driver.ticks(clock, 8, every=60)
        assert reported(instance, "it") == [last_run.id]

    def test_runs_that_dagster_started_are_not_polled(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=10_000))
        asset = deferred(TESTS)
        driver = observing([asset], sandbox, instance)
        materialize([asset], sandbox, instance)
        external_run = sandbox.start_run(TESTS.target, source="ui")
        driver.ticks(clock, 3, every=2500)
        assert "1 pending" in str(driver.skipped[-1])
        before = len(calls(sandbox, "testgen", "/jobs/"))
        driver.ticks(clock, 3, every=60)
        assert calls(sandbox, "testgen", "/jobs/")[before:] == [f"/testgen/api/v1/jobs/{external_run.id}"] * 3

    def test_run_that_dagster_started_is_dropped_when_it_is_recorded_after_a_tick(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=5000))
        job = job_with(TESTS, sandbox, key="it", wait="defer")
        driver = observing([suite()], sandbox, instance)
        sandbox.add_fault(Fault("lost_response", method="POST", path="/test-runs", times=1))
        sandbox.add_fault(Fault("status", method="GET", path="^/testgen/", status=401, times=100))
        lost = execute(job, instance)  # the outcome of the start is unknown
        sandbox.clear_faults()
        clock.sleep(300)
        driver.tick()
        [cursor] = json.loads(driver.cursor or "").values()
        assert [pending_run["asset"] for pending_run in cursor["pending"].values()] == ["it"]
        reexecute(job, instance, lost.run_id)  # finds the run
        assert sandbox.starts("testgen") == 1
        driver.tick()
        assert "No new run to report" in str(driver.skipped[-1])


class TestNotFound:
    @pytest.fixture
    def pending(self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> Driver:
        sandbox.set_behavior(TESTS.target, Behavior(running_seconds=5000))
        driver = observing([suite()], sandbox, instance)
        sandbox.start_run(TESTS.target, source="ui")
        driver.ticks(clock, 2, every=2000)  # by then it is no longer listed
        return driver

    def return_not_found(self, sandbox: Sandbox, **fields: Any) -> None:
        body = {"detail": {"errors": [{"code": "not_found", "detail": "Not found"}]}}
        sandbox.add_fault(Fault("status", method="GET", path="/jobs/", status=404, body=body, **fields))

    @pytest.mark.covers("observe.404")
    def test_single_404_does_not_drop_a_pending_run(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, pending: Driver
    ) -> None:
        for _ in range(2):
            self.return_not_found(sandbox, times=1)
            pending.ticks(clock, 2, every=NOT_FOUND_GRACE)
        assert "1 pending" in str(pending.skipped[-1])
        pending.ticks(clock, 2, every=2000)
        assert reported(instance, "it") == [run.id for run in sandbox.runs("testgen")]

    @pytest.mark.covers("observe.404")
    def test_run_that_stays_not_found_is_dropped(self, sandbox: Sandbox, clock: SandboxClock, pending: Driver) -> None:
        self.return_not_found(sandbox)
        pending.ticks(clock, 3, every=NOT_FOUND_GRACE)
        assert "No new run to report" in str(pending.skipped[-1])


class TestListsFilteredByDefault:
    @pytest.mark.parametrize("filters", [False, True])
    @pytest.mark.parametrize("outcome", ["succeed", "fail"])
    @pytest.mark.parametrize("config_id", _NAMES)
    @pytest.mark.covers("amperity.parameter.type")
    def test_each_type_of_workflow_is_reported(
        self,
        sandbox: Sandbox,
        instance: dg.DagsterInstance,
        clock: SandboxClock,
        config_id: str,
        outcome: Any,
        filters: bool,
    ) -> None:
        sandbox.configure("amperity", list_defaults=filters)
        for _ in range(2):  # a type without earlier runs is not requested for each state
            sandbox.start_run(config_id, source="schedule")
        sandbox.start_run(COURIERS, source="schedule")
        clock.sleep(7200)
        driver = observing_amperity(sandbox, instance, config_id)
        sandbox.set_behavior(config_id, Behavior(running_seconds=1500, outcome=outcome))
        run = sandbox.start_run(config_id, source="schedule")
        driver.ticks(clock, 9, every=240)
        reported_ids = reported if outcome == "succeed" else observed_failures
        assert reported_ids(instance, "it") == [run.id]

    def test_server_that_lists_all_runs_gets_no_request_for_each_state(
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
