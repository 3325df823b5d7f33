"""RudderStack Reverse ETL: requests, fields that are rejected before sending, lists and errors."""

import logging
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from dagster_runs import (
    ConflictError,
    NotFoundError,
    RudderStackResource,
    RudderStackRETLSyncRun,
    ServerError,
    UnexpectedResponseError,
)
from dagster_runs.remote_run.state import RunState
from dagster_runs.remote_run.types import ListedRun
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from dagster_runs.transport.clock import use_clock
from tests.remote_run.reexecuting import ClockOff
from tests.transport.scripted import Origin, Reply
from tests.vendors.retl_runs import CONNECTION, PATH, get_status, start, sync

KSUID = "2hkeBOp0lGJpMPyur0oXUxxIDhw"
LISTS = f"{PATH}/syncs"


def listed(resource: RudderStackResource, since: float, until: float | None = None, *targets: str) -> list[ListedRun]:
    return list(resource.list_runs(since, until, targets or (CONNECTION,)) or ())


class TestRequests:
    @pytest.mark.parametrize(("fields", "sync_type"), [({}, "incremental"), ({"sync_type": "full"}, "full")])
    @pytest.mark.covers("rudderstack.endpoint.start-sync", "rudderstack.parameter.sync-type")
    def test_start_sends_the_type_of_the_sync(
        self, fields: dict[str, Any], sync_type: str, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        run_id = start(rudderstack, **fields)
        [request] = sandbox.requests("rudderstack")
        assert (request.method, request.path) == ("POST", f"{PATH}/start")
        assert request.body == {"syncType": sync_type}
        assert request.headers["authorization"] == "valid"
        assert run_id == request.started_run

    @pytest.mark.covers("rudderstack.endpoint.sync-status", "rudderstack.parameter.connection-id")
    def test_status_path_contains_connection_and_sync(self, sandbox: Sandbox, rudderstack: RudderStackResource) -> None:
        run_id = start(rudderstack)
        assert get_status(rudderstack, run_id).state is RunState.RUNNING
        assert sandbox.requests("rudderstack")[-1].path == f"{PATH}/syncs/{run_id}"

    @pytest.mark.covers("rudderstack.parameter.sync-id")
    def test_sync_id_is_one_segment_of_the_path(self, origin: Origin) -> None:
        origin.replies = [Reply(200, {"status": "running"})]
        get_status(RudderStackResource(access_token="t0ken", base_url=origin.url), "a/b?c")
        assert origin.seen[-1].path == f"/v2/retl-connections/{CONNECTION}/syncs/a%2Fb%3Fc"

    def test_run_has_no_page_and_no_time_window(self, rudderstack: RudderStackResource) -> None:
        assert sync().run_url(rudderstack, "s") is None
        assert sync().partition_window_fields is None
        assert sync().observation_problem() is None


class TestFields:
    @pytest.mark.parametrize(
        "fields",
        [{}, {"connection_id": ""}, {"connection_id": "a/b"}, {"connection_id": "a", "sync_type": "partial"}],
    )
    def test_invalid_fields_are_rejected(self, fields: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            RudderStackRETLSyncRun(**fields)

    def test_pasted_url_error_names_the_id_in_it(self) -> None:
        address = f"https://app.rudderstack.com/retl/connections/{KSUID}/settings"
        with pytest.raises(ValidationError, match=f"the connection's id is the part '{KSUID}'"):
            sync(connection_id=address)


class TestRejections:
    @pytest.mark.covers("rudderstack.error.409-sync-already-running")
    def test_409_is_a_conflict_with_an_active_run(self, sandbox: Sandbox, rudderstack: RudderStackResource) -> None:
        start(rudderstack)
        with pytest.raises(ConflictError, match="already running") as raised:
            start(rudderstack)
        assert sync().is_conflict_with_active_run(raised.value)
        assert not sync().is_conflict_with_active_run(ServerError("x", vendor="RudderStack"))
        assert not raised.value.may_have_been_accepted
        assert sandbox.starts("rudderstack") == 1

    @pytest.mark.covers("rudderstack.error.404-unknown-connection")
    def test_unknown_connection_raises_not_found(self, rudderstack: RudderStackResource) -> None:
        with pytest.raises(NotFoundError, match="2aNone"):
            start(rudderstack, connection_id="2aNone")

    def test_profiles_project_is_no_connection(self, rudderstack: RudderStackResource) -> None:
        with pytest.raises(NotFoundError):
            start(rudderstack, connection_id=well_known.PROFILES_FEATURES)


class TestLists:
    @pytest.mark.covers(
        "rudderstack.endpoint.list-syncs",
        "rudderstack.parameter.started-after",
        "rudderstack.parameter.per-page",
        "rudderstack.field.syncs",
        "rudderstack.field.paging-next",
    )
    def test_all_pages_are_read(self, sandbox: Sandbox, rudderstack: RudderStackResource, clock: SandboxClock) -> None:
        begin, runs = clock.wall(), []
        for _ in range(101):
            runs.append(sandbox.start_run(CONNECTION).id)
            clock.sleep(60)
        assert sorted(run.run_id for run in listed(rudderstack, begin)) == sorted(runs)
        queries = [request.query for request in sandbox.requests("rudderstack") if request.path == LISTS]
        assert [query["page"] for query in queries if "started_after" in query] == ["1", "2"]

    def test_only_the_connections_that_are_asked_for_are_listed(
        self, sandbox: Sandbox, rudderstack: RudderStackResource, clock: SandboxClock
    ) -> None:
        runs = {target: sandbox.start_run(target).id for target in (CONNECTION, well_known.RETL_SLOW)}
        sandbox.start_run(well_known.RETL_FAILING)
        sandbox.start_run(well_known.PROFILES_FEATURES)
        found = listed(rudderstack, clock.wall() - 60, None, *runs)
        assert {sync().target_of_listed(rudderstack, run): run.run_id for run in found} == runs
        assert listed(rudderstack, clock.wall() - 60, None, well_known.RETL_REJECTED_ROWS) == []
        assert rudderstack.list_runs(0.0) is None

    def test_status_comes_from_the_entry(
        self, sandbox: Sandbox, rudderstack: RudderStackResource, clock: SandboxClock
    ) -> None:
        begin = clock.wall()
        run_id = start(rudderstack)
        clock.sleep(60)
        [run] = listed(rudderstack, begin)
        before = len(sandbox.requests("rudderstack"))
        status = sync().status_of_listed(rudderstack, run)
        assert len(sandbox.requests("rudderstack")) == before
        assert (run.run_id, run.state) == (run_id, RunState.SUCCEEDED)
        individual = get_status(rudderstack, run_id)
        assert replace(status, raw=None) == replace(individual, raw=None)
        assert status.raw.metrics == individual.raw.metrics
        assert run.created_at == pytest.approx(begin, abs=2)

    @pytest.mark.parametrize("ahead", [-7200, 0, 7200])
    @pytest.mark.covers("rudderstack.parameter.started-before")
    def test_windows_leave_no_gap_despite_a_wrong_local_clock(self, ahead: float, sandbox: Sandbox) -> None:
        base_url = f"{sandbox.url}/rudderstack"
        with use_clock(ClockOff(sandbox, ahead)) as clock:
            begin, runs = clock.wall(), []
            for _ in range(10):
                clock.sleep(60)
                runs.append(sandbox.start_run(CONNECTION).id)
            clock.sleep(7200)
            # It does not know the vendor's clock yet.
            resource = RudderStackResource(access_token=well_known.RUDDERSTACK_TOKEN, base_url=base_url)
            found = [[one.run_id for one in listed(resource, at, at + 125)] for at in _every_two_minutes(begin)]
        assert sorted({run for part in found for run in part}) == sorted(runs)
        assert max(len(part) for part in found) <= 3

    def test_deleted_connection_does_not_hide_the_others(
        self, sandbox: Sandbox, rudderstack: RudderStackResource, clock: SandboxClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        run = sandbox.start_run(CONNECTION)
        with caplog.at_level(logging.WARNING, logger="dagster_runs"):
            found = listed(rudderstack, clock.wall() - 60, None, "1deleted", CONNECTION)
        assert [one.run_id for one in found] == [run.id]
        assert "1deleted cannot be listed" in caplog.text

    def test_missing_page_of_a_proxy_is_not_a_deleted_connection(
        self, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.add_fault(Fault("html", status=404, path="/syncs$"))
        with pytest.raises(NotFoundError):
            listed(rudderstack, 0.0)

    def test_unreadable_entry_is_polled_by_its_id(
        self, sandbox: Sandbox, rudderstack: RudderStackResource, clock: SandboxClock
    ) -> None:
        sandbox.set_behavior(CONNECTION, Behavior(running_seconds=600))
        run_id = start(rudderstack)
        sandbox.add_fault(Fault("wrong_type", field="syncs.0.status", value=None, path="/syncs$"))
        [run] = listed(rudderstack, clock.wall() - 60)
        assert (run.run_id, run.state) == (run_id, RunState.UNKNOWN)
        assert sync().target_of_listed(rudderstack, run) == CONNECTION
        assert sync().status_of_listed(rudderstack, run).state is RunState.RUNNING

    def test_list_that_does_not_end_raises(self, origin: Origin) -> None:
        entry = {"id": "s", "status": "running", "startedAt": "2026-01-01T00:00:01Z"}
        origin.replies = [Reply(200, {"syncs": [entry], "paging": {"total": 200, "next": "/x?page=2"}})]
        resource = RudderStackResource(access_token="t0ken", base_url=origin.url)
        with pytest.raises(UnexpectedResponseError, match="did not end"):
            listed(resource, 0.0)

    @pytest.mark.parametrize(
        ("paging", "count", "pages"),
        [
            (None, 1, 1),
            ({"total": 1}, 1, 1),
            ({"next": None}, 100, 1),
            ("x", 100, 2),
            (None, 100, 2),
            ({"next": 7}, 1, 2),
        ],
    )
    @pytest.mark.covers("rudderstack.field.paging-next")
    def test_end_of_the_list_is_recognized(self, paging: Any, count: int, pages: int, origin: Origin) -> None:
        entries = [{"id": f"s{number}", "status": "running"} for number in range(count)]
        page = {"syncs": entries, **({} if paging is None else {"paging": paging})}
        origin.forget()
        origin.replies = [Reply(200, {"syncs": []}), Reply(200, page), Reply(200, {"syncs": []})]
        resource = RudderStackResource(access_token="t0ken", base_url=origin.url)
        assert len(listed(resource, 0.0)) == count
        assert len(origin.seen) == 1 + pages  # the first call only asks for the vendor's time


def _every_two_minutes(begin: float) -> range:
    return range(int(begin), int(begin) + 700, 120)
