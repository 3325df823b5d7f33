"""A vendor's list that is longer than a tick has time for."""

from __future__ import annotations

import time
from collections.abc import Iterator
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
    """Limits are reckoned in real time, and no matter here."""
    sandbox.configure("amperity", requests_per_second=None)


def test_what_stands_at_the_end_of_the_list_is_looked_at_too(sandbox: Sandbox) -> None:
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10_000))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    deferred_runs = [_deferred_run(asset, sandbox) for _ in range(100)]
    sandbox.add_fault(Fault("hang", path="/workflow/runs$", seconds=0.3))  # a page has 20
    resource = _amperity(sandbox)
    watch = ResourcePoller("amperity")
    for _ in range(60):  # six do, on a machine with nothing else to do
        due = sorted(deferred_runs, key=lambda deferred_run: deferred_run.polled_at)
        polled(watch, due, deferred_runs, resource, current_clock().monotonic() + _SECONDS)
        if all(deferred_run.polled_at for deferred_run in deferred_runs):
            break
    assert [deferred_run.run_id for deferred_run in deferred_runs if deferred_run.polled_at == 0.0] == []


@pytest.mark.covers("amperity.parameter.ended-from")
def test_an_end_is_seen_however_many_stand_before_it(sandbox: Sandbox) -> None:
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10))
    ended = _deferred_run(asset, sandbox)
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10_000))
    sandbox.advance(100)
    others = [_deferred_run(asset, sandbox) for _ in range(100)]
    ended.polled_at = ended.record.at  # so that it is the last that would be looked at by itself
    sandbox.add_fault(Fault("hang", method="GET", path="/workflow/runs", seconds=0.3))
    resource = _amperity(sandbox)
    due = [*others, ended]
    polled(ResourcePoller("amperity"), due, due, resource, current_clock().monotonic() + 2 * _SECONDS)
    assert ended.phase is Phase.SUCCEEDED
    assert any(deferred_run.polled_at == 0.0 for deferred_run in others), "there was time for all"


def test_what_has_not_ended_costs_no_calls(sandbox: Sandbox) -> None:
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=100))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    deferred_runs = [_deferred_run(asset, sandbox, told_now=True) for _ in range(50)]
    resource, watch = _amperity(sandbox), ResourcePoller("amperity")
    begun = current_clock().wall()
    polled(watch, deferred_runs, deferred_runs, resource, current_clock().monotonic() + _PATIENCE)
    # The first one tells of the server; fifty could cost fifty.
    assert len(_lists_of_ends(sandbox)) == len(sandbox.requests("amperity")) - 1 < 15
    assert all(deferred_run.polled_at >= begun and deferred_run.phase is Phase.ACTIVE for deferred_run in deferred_runs)
    sandbox.advance(200)
    polled(watch, deferred_runs, deferred_runs, resource, current_clock().monotonic() + _PATIENCE)
    assert {deferred_run.phase for deferred_run in deferred_runs} == {Phase.SUCCEEDED}


def test_what_was_not_heard_of_for_long_is_looked_at_though_it_has_not_ended(sandbox: Sandbox) -> None:
    # The vendor may have forgotten it, so that it never ends.
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=100_000))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    deferred_runs = [_deferred_run(asset, sandbox, told_now=True) for _ in range(50)]
    old = deferred_runs[7]
    old.last_individual_update -= 3700
    watch = ResourcePoller("amperity")
    polled(watch, deferred_runs, deferred_runs, _amperity(sandbox), current_clock().monotonic() + _PATIENCE)
    singly = [request.path for request in sandbox.requests("amperity") if not request.path.endswith("/workflow/runs")]
    assert [path.rpartition("/")[2] for path in singly] == [old.run_id]
    assert old.last_individual_update == old.polled_at


@pytest.mark.usefixtures("clock")
def test_an_end_that_could_not_be_told_holds_up_no_list(sandbox: Sandbox) -> None:
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=100))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    stuck = _deferred_run(asset, sandbox, told_now=True)
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=100_000))
    deferred_runs = [stuck, *(_deferred_run(asset, sandbox, told_now=True) for _ in range(2))]
    resource = _amperity(sandbox)
    clock, watch = current_clock(), ResourcePoller("amperity")
    sandbox.add_fault(Fault("status", path=f"/workflow/runs/{stuck.run_id}$", status=500))
    for _ in range(20):
        clock.sleep(200)
        polled(watch, deferred_runs, deferred_runs, resource, clock.monotonic() + _PATIENCE)
    *_, last = [request.query for request in sandbox.requests("amperity") if "ended_from" in request.query]
    since = datetime.fromisoformat(last["ended_from"].replace("Z", "+00:00")).timestamp()
    assert sandbox.now() - since < 1200
    sandbox.clear_faults()
    polled(watch, deferred_runs, deferred_runs, resource, clock.monotonic() + _PATIENCE)
    assert stuck.phase is Phase.SUCCEEDED


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("anew", [False, True], ids=["after an outage", "in a table that is made anew"])
def test_an_end_is_seen_though_nobody_could_look_for_long(sandbox: Sandbox, anew: bool) -> None:
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=100))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    resource = _amperity(sandbox)
    clock, watch = current_clock(), ResourcePoller("amperity")
    deferred_runs = [_deferred_run(asset, sandbox, told_now=True) for _ in range(3)]
    if not anew:
        sandbox.add_fault(Fault("status", path="/workflow/runs", status=401))
    for _ in range(10):
        polled(watch, deferred_runs, deferred_runs, resource, clock.monotonic() + _PATIENCE)
        clock.sleep(240)
    sandbox.clear_faults()
    if anew:  # a tick was lost, and with it what was seen
        assert {deferred_run.phase for deferred_run in deferred_runs} == {Phase.SUCCEEDED}
        for deferred_run in deferred_runs:
            deferred_run.phase, deferred_run.known_active_until, deferred_run.last_individual_update = (
                Phase.ACTIVE,
                deferred_run.record.at,
                deferred_run.record.at,
            )
    polled(watch, deferred_runs, deferred_runs, resource, clock.monotonic() + _PATIENCE)
    assert {deferred_run.phase for deferred_run in deferred_runs} == {Phase.SUCCEEDED}


@pytest.mark.parametrize("told", ["failed", "canceled"])
def test_ends_of_all_kinds_are_listed_where_the_server_lists_successes_by_default(sandbox: Sandbox, told: str) -> None:
    sandbox.configure("amperity", list_defaults=True)
    outcome = "fail" if told == "failed" else "cancel"
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10, outcome=outcome))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    deferred_runs = [_deferred_run(asset, sandbox, told_now=True) for _ in range(3)]
    sandbox.advance(100)
    watch = ResourcePoller("amperity")
    polled(watch, deferred_runs, deferred_runs, _amperity(sandbox), current_clock().monotonic() + _PATIENCE)
    assert {deferred_run.phase for deferred_run in deferred_runs} == {Phase.NEEDS_DAGSTER_RUN}


@pytest.mark.usefixtures("clock")
@pytest.mark.covers("amperity.parameter.ended-from")
def test_a_list_of_ends_that_is_too_long_for_a_tick_is_read_on_by_the_next(sandbox: Sandbox) -> None:
    # After a restart: what ended since the oldest start is more than there is time for.
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10))
    begun = current_clock().wall()
    ended = {sandbox.start_run(well_known.AMPERITY_COURIERS, vendor="amperity").id}
    for _ in range(20):
        current_clock().sleep(1000)
        ended |= {sandbox.start_run(well_known.AMPERITY_COURIERS, vendor="amperity").id for _ in range(10)}
    current_clock().sleep(100)
    sandbox.start_run(well_known.AMPERITY_ORCHESTRATION, vendor="amperity")  # which shows that the list hides nothing
    sandbox.add_fault(Fault("hang", path="/workflow/runs$", seconds=0.05))
    resource = _amperity(sandbox)
    ends, shown, ticks = ListReader(), set[str](), 1

    def show(listed: ListedRun) -> None:
        shown.add(listed.run_id)

    def has_time() -> bool:
        return current_clock().monotonic() < until

    began, read_to = current_clock().wall(), begun
    while ticks < 60:
        until = current_clock().monotonic() + 0.4 * _SECONDS
        read_to = max([read_to, *ends.read(resource.list_finished, read_to, show, has_time)])
        if read_to >= began:
            break
        ticks += 1
    assert ticks > 1, "there was time for all at once"
    assert shown == ended
    shown.clear()
    until = current_clock().monotonic() + _PATIENCE
    assert list(ends.read(resource.list_finished, read_to, show, has_time))
    assert len(shown) < len(ended), "what was read is read again"


@pytest.mark.parametrize("status", [400, 403, 500])
@pytest.mark.covers("amperity.parameter.ended-from")
def test_a_server_that_cannot_tell_ends_apart_is_asked_for_all(sandbox: Sandbox, status: int) -> None:
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    deferred_runs = [_deferred_run(asset, sandbox) for _ in range(2)]
    sandbox.advance(100)
    resource = _knowing(_amperity(sandbox), sandbox)
    tries = 2 if status == 500 else 1
    sandbox.add_fault(Fault("status", path="/workflow/runs$", status=status, times=tries))
    watched = PolledResource("amperity")
    watched.poller.poll(deferred_runs, deferred_runs, resource, current_clock().monotonic() + _PATIENCE)
    watched.apply_updates()
    assert [deferred_run.phase for deferred_run in deferred_runs] == [Phase.SUCCEEDED] * 2
    assert _lists_of_ends(sandbox)[1:] == [True] * tries + [False]
    assert watched.outages.problem is None


def test_a_list_of_ends_without_an_end_is_not_all_that_is_read(sandbox: Sandbox) -> None:
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10))
    for _ in range(60):  # another's; of two runs that are due, 40 entries are read
        sandbox.start_run(well_known.AMPERITY_COURIERS, vendor="amperity")
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10_000))
    deferred_runs = [_deferred_run(asset, sandbox) for _ in range(2)]
    sandbox.advance(100)
    resource = _amperity(sandbox)
    polled(ResourcePoller("amperity"), deferred_runs, deferred_runs, resource, current_clock().monotonic() + _PATIENCE)
    assert _lists_of_ends(sandbox)[-1] is False
    assert all(deferred_run.polled_at for deferred_run in deferred_runs)


def test_a_list_of_ends_that_hangs_is_left_out_for_a_while(sandbox: Sandbox) -> None:
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    deferred_runs = [_deferred_run(asset, sandbox) for _ in range(2)]
    sandbox.advance(100)
    resource = _knowing(_amperity(sandbox, request_timeout=0.3), sandbox)
    sandbox.add_fault(Fault("hang", method="GET", path="/workflow/runs$", seconds=2, times=2))
    watch = ResourcePoller("amperity")
    polled(watch, deferred_runs, deferred_runs, resource, current_clock().monotonic() + 0.5)
    assert [deferred_run.phase for deferred_run in deferred_runs] == [Phase.ACTIVE] * 2, "it hung"
    time.sleep(0.2)  # until the looks have ended that had no time
    polled(watch, deferred_runs, deferred_runs, resource, current_clock().monotonic() + _PATIENCE)
    assert _lists_of_ends(sandbox)[1:] == [True, True, False]
    assert [deferred_run.phase for deferred_run in deferred_runs] == [Phase.SUCCEEDED] * 2


class _Broken(AmperityResource):
    """A vendor's code that has a fault of its own in one of its lists."""

    broken: str

    def list_runs(self, since: float) -> Iterator[ListedRun] | None:
        return self._unless_broken("list_runs", super().list_runs(since))

    def list_finished(self, since: float, until: float | None = None) -> Iterator[ListedRun] | None:
        return self._unless_broken("list_finished", super().list_finished(since, until))

    def _unless_broken(self, name: str, listed: Iterator[ListedRun] | None) -> Iterator[ListedRun] | None:
        if self.broken == name:
            raise KeyError("items")
        return listed


@pytest.mark.parametrize("broken", ["list_runs", "list_finished"])
def test_a_list_that_the_vendors_code_cannot_read_fails_nothing(sandbox: Sandbox, broken: str) -> None:
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
    polled(ResourcePoller("amperity"), deferred_runs, deferred_runs, resource, current_clock().monotonic() + _PATIENCE)
    assert [deferred_run.phase for deferred_run in deferred_runs] == [Phase.SUCCEEDED] * 2


def test_an_error_of_ours_in_a_worker_fails_the_round(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("an error of ours")

    monkeypatch.setattr(poller_module, "poll_run", broken)
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    due = [_deferred_run(asset, sandbox)]
    with pytest.raises(RuntimeError, match="an error of ours"):
        polled(ResourcePoller("amperity"), due, due, _amperity(sandbox), current_clock().monotonic() + _PATIENCE)


def test_a_vendor_that_hangs_is_unresponsive_in_each_round(sandbox: Sandbox) -> None:
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    due = [_deferred_run(asset, sandbox)]
    resource, poller = _amperity(sandbox, request_timeout=3), ResourcePoller("amperity")
    sandbox.add_fault(Fault("hang", path="/workflow/runs", seconds=2))
    rounds = [polled(poller, due, due, resource, current_clock().monotonic() + 0.3)[-1] for _ in range(3)]
    assert rounds == [RoundEnded(1, is_unresponsive=True)] * 3


def test_a_list_that_takes_the_whole_round_is_left_out_for_a_while(sandbox: Sandbox) -> None:
    sandbox.set_behavior(RUN.target, Behavior(running_seconds=10))
    [asset] = resolve_assets([build_remote_run_asset(RUN, key="it", wait="defer")], deferred=True)
    deferred_runs = [_deferred_run(asset, sandbox) for _ in range(2)]
    sandbox.advance(100)
    resource, poller = _knowing(_amperity(sandbox), sandbox), ResourcePoller("amperity")
    sandbox.add_fault(Fault("hang", method="GET", path="/workflow/runs$", seconds=0.6))
    polled(poller, deferred_runs, deferred_runs, resource, current_clock().monotonic() + 0.4)
    polled(poller, deferred_runs, deferred_runs, resource, current_clock().monotonic() + _PATIENCE)
    assert {deferred_run.phase for deferred_run in deferred_runs} == {Phase.SUCCEEDED}
    assert _lists_of_ends(sandbox)[1:] == [True, False], "the list of finished runs is not read again"


def polled(poller: ResourcePoller, *given: Any) -> list[Update]:
    """A round of polling, applied as a tick does it; what was learned."""
    poller.poll(*given)
    learned: list[Update] = []
    while not poller.updates.empty():
        learned.append(poller.updates.get())
        learned[-1].apply(OutageTracker("amperity"))
    return learned


def _amperity(sandbox: Sandbox, **settings: Any) -> RemoteRunResource:
    return sandbox_resources(sandbox.url, requests_per_second=None, **settings)["amperity"]


def _knowing(resource: RemoteRunResource, sandbox: Sandbox) -> RemoteRunResource:
    """The same, after its first list: what that tells of the server need not be asked for any more."""
    sandbox.set_behavior(well_known.AMPERITY_ORCHESTRATION, Behavior(running_seconds=100_000))
    sandbox.start_run(well_known.AMPERITY_ORCHESTRATION, vendor="amperity")
    assert list(resource.list_runs(current_clock().wall() - 60) or ())
    return resource


def _lists_of_ends(sandbox: Sandbox) -> list[bool]:
    """Of each list from some time on that was asked for, whether it was of ends only."""
    queries = [
        one.query for one in sandbox.requests("amperity") if "created_from" in one.query or "ended_from" in one.query
    ]
    return ["ended_from" in query for query in queries]


def _deferred_run(asset: object, sandbox: Sandbox, *, told_now: bool = False) -> DeferredRun:
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
        last_individual_update=now if told_now else 0.0,
    )
