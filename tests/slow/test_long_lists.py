"""A vendor's list that is too long to read in one tick."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

import pytest

from dagster_runs import AmperityResource, AmperityWorkflowRun, RemoteRunResource, build_remote_run_asset
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.remote_run.execution.poll_schedule import RunAge
from dagster_runs.remote_run.types import ListedRun
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.sensors.completion import poller as poller_module
from dagster_runs.sensors.completion.decisions import Phase
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.completion.poller import ResourcePoller
from dagster_runs.sensors.completion.polling import PolledResource
from dagster_runs.sensors.completion.updates import RoundEnded, Update
from dagster_runs.sensors.listing import ListReader
from dagster_runs.sensors.outages import OutageTracker
from dagster_runs.sensors.registry import resolve_assets
from dagster_runs.testing import sandbox_resources
from dagster_runs.transport.clock import current_clock

RUN = AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS)
_SECONDS = 1.0
_PATIENCE = 30.0


@pytest.fixture(autouse=True)
def unlimited(sandbox: Sandbox) -> None:
    """Turn off the rate limit, which uses real time and is not tested here."""
    sandbox.configure("amperity", requests_per_second=None)


def test_runs_at_the_end_of_a_long_list_are_polled(sandbox: Sandbox) -> None:
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10_000))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    deferred_runs = [_deferred_run(asset, sandbox) for _ in range(100)]
    sandbox.add_fault(Fault("hang", path="/workflow/runs$", seconds=0.3))  # a page has 20
    resource = _amperity(sandbox)
    poller = ResourcePoller("amperity")
    for _ in range(60):  # six rounds are enough on an idle machine
        due = sorted(deferred_runs, key=lambda deferred_run: deferred_run.polled_at)
        run_round(poller, due, deferred_runs, resource, current_clock().monotonic() + _SECONDS)
        if all(deferred_run.polled_at for deferred_run in deferred_runs):
            break
    assert [deferred_run.run_id for deferred_run in deferred_runs if deferred_run.polled_at == 0.0] == []


@pytest.mark.covers("amperity.parameter.ended-from")
def test_finished_run_is_found_behind_many_active_runs(sandbox: Sandbox) -> None:
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10))
    finished = _deferred_run(asset, sandbox)
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10_000))
    sandbox.advance(100)
    active_runs = [_deferred_run(asset, sandbox) for _ in range(100)]
    finished.polled_at = finished.record.at  # the last that would be polled individually
    sandbox.add_fault(Fault("hang", method="GET", path="/workflow/runs", seconds=0.3))
    resource = _amperity(sandbox)
    due = [*active_runs, finished]
    run_round(ResourcePoller("amperity"), due, due, resource, current_clock().monotonic() + 2 * _SECONDS)
    assert finished.phase is Phase.SUCCEEDED
    assert any(deferred_run.polled_at == 0.0 for deferred_run in active_runs), "all runs were polled"


def test_active_runs_cost_no_individual_calls(sandbox: Sandbox) -> None:
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=100))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    deferred_runs = [_deferred_run(asset, sandbox, is_updated_now=True) for _ in range(50)]
    resource, poller = _amperity(sandbox), ResourcePoller("amperity")
    started_at = current_clock().wall()
    run_round(poller, deferred_runs, deferred_runs, resource, current_clock().monotonic() + _PATIENCE)
    # The first list shows what the server supports; polling fifty runs individually would cost fifty calls.
    assert len(_finished_filters(sandbox)) == len(sandbox.requests("amperity")) - 1 < 15
    assert all(
        deferred_run.polled_at >= started_at and deferred_run.phase is Phase.ACTIVE for deferred_run in deferred_runs
    )
    sandbox.advance(200)
    run_round(poller, deferred_runs, deferred_runs, resource, current_clock().monotonic() + _PATIENCE)
    assert {deferred_run.phase for deferred_run in deferred_runs} == {Phase.SUCCEEDED}


def test_run_without_an_update_for_an_hour_is_polled_individually(sandbox: Sandbox) -> None:
    # The vendor may have lost the run, so that it is never listed as finished.
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=100_000))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    deferred_runs = [_deferred_run(asset, sandbox, is_updated_now=True) for _ in range(50)]
    old = deferred_runs[7]
    old.last_individual_update -= 3700
    poller = ResourcePoller("amperity")
    run_round(poller, deferred_runs, deferred_runs, _amperity(sandbox), current_clock().monotonic() + _PATIENCE)
    individual_polls = [
        request.path for request in sandbox.requests("amperity") if not request.path.endswith("/workflow/runs")
    ]
    assert [path.rpartition("/")[2] for path in individual_polls] == [old.run_id]
    assert old.last_individual_update == old.polled_at


@pytest.mark.usefixtures("clock")
def test_failing_status_check_does_not_hold_back_the_finished_list(sandbox: Sandbox) -> None:
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=100))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    stuck = _deferred_run(asset, sandbox, is_updated_now=True)
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=100_000))
    deferred_runs = [stuck, *(_deferred_run(asset, sandbox, is_updated_now=True) for _ in range(2))]
    resource = _amperity(sandbox)
    clock, poller = current_clock(), ResourcePoller("amperity")
    sandbox.add_fault(Fault("status", path=f"/workflow/runs/{stuck.run_id}$", status=500))
    for _ in range(20):
        clock.sleep(200)
        run_round(poller, deferred_runs, deferred_runs, resource, clock.monotonic() + _PATIENCE)
    *_, last = [request.query for request in sandbox.requests("amperity") if "ended_from" in request.query]
    since = datetime.fromisoformat(last["ended_from"].replace("Z", "+00:00")).timestamp()
    assert sandbox.now() - since < 1200
    sandbox.clear_faults()
    run_round(poller, deferred_runs, deferred_runs, resource, clock.monotonic() + _PATIENCE)
    assert stuck.phase is Phase.SUCCEEDED


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("is_rebuilt", [False, True], ids=["after an outage", "in a rebuilt index"])
def test_finished_runs_are_found_after_a_long_gap_in_polling(sandbox: Sandbox, is_rebuilt: bool) -> None:
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=100))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    resource = _amperity(sandbox)
    clock, poller = current_clock(), ResourcePoller("amperity")
    deferred_runs = [_deferred_run(asset, sandbox, is_updated_now=True) for _ in range(3)]
    if not is_rebuilt:
        sandbox.add_fault(Fault("status", path="/workflow/runs", status=401))
    for _ in range(10):
        run_round(poller, deferred_runs, deferred_runs, resource, clock.monotonic() + _PATIENCE)
        clock.sleep(240)
    sandbox.clear_faults()
    if is_rebuilt:  # a tick was lost, and its poll results with it
        assert {deferred_run.phase for deferred_run in deferred_runs} == {Phase.SUCCEEDED}
        for deferred_run in deferred_runs:
            deferred_run.phase, deferred_run.known_active_until, deferred_run.last_individual_update = (
                Phase.ACTIVE,
                deferred_run.record.at,
                deferred_run.record.at,
            )
    run_round(poller, deferred_runs, deferred_runs, resource, clock.monotonic() + _PATIENCE)
    assert {deferred_run.phase for deferred_run in deferred_runs} == {Phase.SUCCEEDED}


@pytest.mark.parametrize("state", ["failed", "canceled"])
def test_failed_and_canceled_runs_are_listed_when_the_server_lists_only_successes_by_default(
    sandbox: Sandbox, state: str
) -> None:
    sandbox.configure("amperity", list_defaults=True)
    outcome = "fail" if state == "failed" else "cancel"
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10, outcome=outcome))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    deferred_runs = [_deferred_run(asset, sandbox, is_updated_now=True) for _ in range(3)]
    sandbox.advance(100)
    poller = ResourcePoller("amperity")
    run_round(poller, deferred_runs, deferred_runs, _amperity(sandbox), current_clock().monotonic() + _PATIENCE)
    assert {deferred_run.phase for deferred_run in deferred_runs} == {Phase.NEEDS_DAGSTER_RUN}


@pytest.mark.usefixtures("clock")
@pytest.mark.covers("amperity.parameter.ended-from")
def test_finished_list_too_long_for_one_tick_continues_in_the_next(sandbox: Sandbox) -> None:
    # After a restart, more runs have finished since the oldest start than one tick can read.
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10))
    started_at = current_clock().wall()
    finished = {sandbox.start_run(well_known.AMPERITY_COURIERS, vendor="amperity").id}
    for _ in range(20):
        current_clock().sleep(1000)
        finished |= {sandbox.start_run(well_known.AMPERITY_COURIERS, vendor="amperity").id for _ in range(10)}
    current_clock().sleep(100)
    sandbox.start_run(well_known.AMPERITY_ORCHESTRATION, vendor="amperity")  # shows that the list is complete
    sandbox.add_fault(Fault("hang", path="/workflow/runs$", seconds=0.05))
    resource = _amperity(sandbox)
    reader, shown, ticks = ListReader(), set[str](), 1

    def show(listed: ListedRun) -> None:
        shown.add(listed.run_id)

    def has_time() -> bool:
        return current_clock().monotonic() < until

    read_started_at, read_to = current_clock().wall(), started_at
    while ticks < 60:
        until = current_clock().monotonic() + 0.4 * _SECONDS
        read_to = max([read_to, *reader.read(resource.list_finished, read_to, show, has_time)])
        if read_to >= read_started_at:
            break
        ticks += 1
    assert ticks > 1, "one tick had time for the whole list"
    assert shown == finished
    shown.clear()
    until = current_clock().monotonic() + _PATIENCE
    assert list(reader.read(resource.list_finished, read_to, show, has_time))
    assert len(shown) < len(finished), "runs that were read are read again"


@pytest.mark.parametrize("status", [400, 403, 500])
@pytest.mark.covers("amperity.parameter.ended-from")
def test_all_runs_are_listed_when_the_server_refuses_the_finished_filter(sandbox: Sandbox, status: int) -> None:
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    deferred_runs = [_deferred_run(asset, sandbox) for _ in range(2)]
    sandbox.advance(100)
    resource = _after_first_list(_amperity(sandbox), sandbox)
    attempts = 2 if status == 500 else 1
    sandbox.add_fault(Fault("status", path="/workflow/runs$", status=status, times=attempts))
    polled_resource = PolledResource("amperity")
    polled_resource.poller.poll(deferred_runs, deferred_runs, resource, current_clock().monotonic() + _PATIENCE)
    polled_resource.apply_updates()
    assert [deferred_run.phase for deferred_run in deferred_runs] == [Phase.SUCCEEDED] * 2
    assert _finished_filters(sandbox)[1:] == [True] * attempts + [False]
    assert polled_resource.outages.problem is None


def test_all_runs_are_listed_when_the_finished_list_shows_none_of_ours(sandbox: Sandbox) -> None:
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10))
    for _ in range(60):  # external runs; for two due runs, 40 entries are read
        sandbox.start_run(well_known.AMPERITY_COURIERS, vendor="amperity")
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10_000))
    deferred_runs = [_deferred_run(asset, sandbox) for _ in range(2)]
    sandbox.advance(100)
    resource = _amperity(sandbox)
    run_round(
        ResourcePoller("amperity"), deferred_runs, deferred_runs, resource, current_clock().monotonic() + _PATIENCE
    )
    assert _finished_filters(sandbox)[-1] is False
    assert all(deferred_run.polled_at for deferred_run in deferred_runs)


def test_finished_list_that_hangs_is_skipped_for_a_while(sandbox: Sandbox) -> None:
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    deferred_runs = [_deferred_run(asset, sandbox) for _ in range(2)]
    sandbox.advance(100)
    resource = _after_first_list(_amperity(sandbox, request_timeout=0.3), sandbox)
    sandbox.add_fault(Fault("hang", method="GET", path="/workflow/runs$", seconds=2, times=2))
    poller = ResourcePoller("amperity")
    run_round(poller, deferred_runs, deferred_runs, resource, current_clock().monotonic() + 0.5)
    assert [deferred_run.phase for deferred_run in deferred_runs] == [Phase.ACTIVE] * 2, "the list did not hang"
    time.sleep(0.2)  # until the polls that ran out of time have ended
    run_round(poller, deferred_runs, deferred_runs, resource, current_clock().monotonic() + _PATIENCE)
    assert _finished_filters(sandbox)[1:] == [True, True, False]
    assert [deferred_run.phase for deferred_run in deferred_runs] == [Phase.SUCCEEDED] * 2


class _Broken(AmperityResource):
    """A resource with a bug in one of its lists."""

    broken: str

    def list_runs(
        self, since: float, until: float | None = None, targets: Collection[str] = ()
    ) -> Iterator[ListedRun] | None:
        return self._raise_if_broken("list_runs", super().list_runs(since, until, targets))

    def list_finished(
        self, since: float, until: float | None = None, targets: Collection[str] = ()
    ) -> Iterator[ListedRun] | None:
        return self._raise_if_broken("list_finished", super().list_finished(since, until, targets))

    def _raise_if_broken(self, name: str, listed: Iterator[ListedRun] | None) -> Iterator[ListedRun] | None:
        if self.broken == name:
            raise KeyError("items")
        return listed


@pytest.mark.parametrize("broken", ["list_runs", "list_finished"])
def test_code_error_in_a_list_does_not_stop_polling(sandbox: Sandbox, broken: str) -> None:
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    deferred_runs = [_deferred_run(asset, sandbox) for _ in range(2)]
    resource = _Broken(
        tenant=well_known.AMPERITY_TENANT,
        access_token=well_known.AMPERITY_TOKEN,
        base_url=f"{sandbox.url}/amperity",
        broken=broken,
    )
    sandbox.advance(100)
    run_round(
        ResourcePoller("amperity"), deferred_runs, deferred_runs, resource, current_clock().monotonic() + _PATIENCE
    )
    assert [deferred_run.phase for deferred_run in deferred_runs] == [Phase.SUCCEEDED] * 2


def test_code_error_in_a_polling_thread_fails_the_round(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a code error")

    monkeypatch.setattr(poller_module, "poll_run", broken)
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    due = [_deferred_run(asset, sandbox)]
    with pytest.raises(RuntimeError, match="a code error"):
        run_round(ResourcePoller("amperity"), due, due, _amperity(sandbox), current_clock().monotonic() + _PATIENCE)


def test_vendor_that_hangs_is_unresponsive_in_each_round(sandbox: Sandbox) -> None:
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    due = [_deferred_run(asset, sandbox)]
    resource, poller = _amperity(sandbox, request_timeout=3), ResourcePoller("amperity")
    sandbox.add_fault(Fault("hang", path="/workflow/runs", seconds=2))
    rounds = [run_round(poller, due, due, resource, current_clock().monotonic() + 0.3)[-1] for _ in range(3)]
    assert rounds == [RoundEnded(1, is_unresponsive=True)] * 3


def test_finished_list_that_takes_the_whole_round_is_skipped_for_a_while(sandbox: Sandbox) -> None:
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    deferred_runs = [_deferred_run(asset, sandbox) for _ in range(2)]
    sandbox.advance(100)
    resource, poller = _after_first_list(_amperity(sandbox), sandbox), ResourcePoller("amperity")
    sandbox.add_fault(Fault("hang", method="GET", path="/workflow/runs$", seconds=0.6))
    run_round(poller, deferred_runs, deferred_runs, resource, current_clock().monotonic() + 0.4)
    run_round(poller, deferred_runs, deferred_runs, resource, current_clock().monotonic() + _PATIENCE)
    assert {deferred_run.phase for deferred_run in deferred_runs} == {Phase.SUCCEEDED}
    assert _finished_filters(sandbox)[1:] == [True, False], "the list of finished runs is not read again"


def run_round(poller: ResourcePoller, *arguments: Any) -> list[Update]:
    """Run a round of polling, apply its updates as a tick does, and return them."""
    poller.poll(*arguments)
    learned: list[Update] = []
    while not poller.updates.empty():
        learned.append(poller.updates.get())
        learned[-1].apply(OutageTracker("amperity"))
    return learned


def _amperity(sandbox: Sandbox, **settings: Any) -> RemoteRunResource:
    return sandbox_resources(sandbox.url, requests_per_second=None, **settings)["amperity"]


def _after_first_list(resource: RemoteRunResource, sandbox: Sandbox) -> RemoteRunResource:
    """Return the resource after its first list, which shows what the server supports."""
    sandbox.set_behavior(well_known.AMPERITY_ORCHESTRATION, Behavior(running_seconds=100_000))
    sandbox.start_run(well_known.AMPERITY_ORCHESTRATION, vendor="amperity")
    assert list(resource.list_runs(current_clock().wall() - 60) or ())
    return resource


def _finished_filters(sandbox: Sandbox) -> list[bool]:
    """Return for each list request with a start time whether it was filtered by finished runs."""
    queries = [
        request.query
        for request in sandbox.requests("amperity")
        if "created_from" in request.query or "ended_from" in request.query
    ]
    return ["ended_from" in query for query in queries]


def _deferred_run(asset: object, sandbox: Sandbox, *, is_updated_now: bool = False) -> DeferredRun:
    run = sandbox.start_run(well_known.AMPERITY_COURIERS, vendor="amperity")
    now = current_clock().wall()
    record = LedgerEntry(EntryKind.STARTED, now, "", "", f"AmperityWorkflowRun {RUN.target}", "", run_id=run.id)
    return DeferredRun(
        asset=asset,  # type: ignore[arg-type]
        record=record,
        storage_id=0,
        run=RUN,
        age=RunAge(now),
        polled_at=0.0,
        phase=Phase.ACTIVE,
        may_be_reported=False,
        known_active_until=now,
        last_individual_update=now if is_updated_now else 0.0,
    )
