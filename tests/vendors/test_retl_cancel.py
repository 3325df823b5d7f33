"""RudderStack Reverse ETL: a sync is stopped only if it is the running one."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import ConflictError, NotFoundError, RudderStackResource, VendorError
from dagster_runs.remote_run.state import RunState
from dagster_runs.sandbox import Behavior, Fault, Sandbox
from tests.remote_run.materializing import failure
from tests.remote_run.reexecuting import at_pause, signalled, terminate
from tests.transport.scripted import Origin, Reply
from tests.vendors.retl_runs import CONNECTION, PATH, get_status, run_sync, start, stops, sync

pytestmark = pytest.mark.usefixtures("clock")

STARTED = "2026-01-01T00:00:10Z"
RUNNING = Reply(200, {"id": "ours", "status": "running", "startedAt": STARTED})
STOPPED = Reply(204, "")


@pytest.fixture
def at_origin(origin: Origin) -> RudderStackResource:
    origin.forget()
    return RudderStackResource(access_token="t0ken", base_url=origin.url, max_retries=0)


def page(*syncs: dict[str, Any]) -> Reply:
    return Reply(200, {"syncs": list(syncs), "paging": {"total": len(syncs)}})


def called(origin: Origin) -> list[str]:
    return [f"{seen.method} {seen.path.partition('?')[0].rpartition('/')[2]}" for seen in origin.seen]


class TestCancel:
    @pytest.mark.covers("rudderstack.endpoint.stop-sync")
    def test_running_sync_is_stopped(self, sandbox: Sandbox, rudderstack: RudderStackResource) -> None:
        sandbox.set_behavior(CONNECTION, Behavior(running_seconds=3600))
        run_id = start(rudderstack)
        sync().cancel(rudderstack, run_id)
        [stop] = stops(sandbox)
        assert (stop.method, stop.path, stop.body, stop.status) == ("POST", f"{PATH}/stop", None, 204)
        sandbox.advance(10)
        status = get_status(rudderstack, run_id)
        assert (status.state, status.error) == (RunState.FAILED, "The sync was stopped")

    @pytest.mark.covers("cancel.retl-sync", "rudderstack.rule.stop-names-no-sync")
    def test_sync_that_follows_ours_is_not_stopped(self, sandbox: Sandbox, rudderstack: RudderStackResource) -> None:
        run_id = start(rudderstack)
        sandbox.advance(60)
        sandbox.set_behavior(CONNECTION, Behavior(running_seconds=3600))
        other = sandbox.start_run(CONNECTION, source="scheduler")
        sync().cancel(rudderstack, run_id)
        assert stops(sandbox) == []
        [_, still] = sandbox.runs("rudderstack")
        assert (still.id, still.cancel_requested_at) == (other.id, None)

    def test_unknown_sync_raises_and_stops_nothing(self, sandbox: Sandbox, rudderstack: RudderStackResource) -> None:
        sandbox.start_run(CONNECTION, source="scheduler")
        with pytest.raises(NotFoundError):
            sync().cancel(rudderstack, "s-unknown")
        assert stops(sandbox) == []

    def test_sync_in_an_unknown_state_is_not_stopped(self, sandbox: Sandbox, rudderstack: RudderStackResource) -> None:
        run_id = start(rudderstack)
        sandbox.add_fault(Fault("unknown_state", state="draining", method="GET"))
        with pytest.raises(ConflictError, match=r"'draining'.*nothing was stopped"):
            sync().cancel(rudderstack, run_id)
        assert stops(sandbox) == []

    @pytest.mark.parametrize("fault", ["lost_response", "status_after", "truncated"])
    def test_stop_with_a_lost_response_is_not_sent_again(
        self, fault: Any, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        # A second request might stop the sync that follows.
        sandbox.set_behavior(CONNECTION, Behavior(running_seconds=3600))
        run_id = start(rudderstack)
        sandbox.add_fault(Fault(fault, method="POST"))
        if fault == "truncated":  # an empty response has nothing to truncate
            sync().cancel(rudderstack, run_id)
        else:
            with pytest.raises(VendorError):
                sync().cancel(rudderstack, run_id)
        assert len(stops(sandbox)) == 1
        assert sandbox.runs("rudderstack")[0].cancel_requested_at is not None

    def test_status_is_checked_again_before_a_refused_stop_is_sent_again(
        self, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        # The sync ends while we wait, and the schedule starts another one.
        run_id = start(rudderstack)
        sandbox.advance(14.9)
        sandbox.add_fault(Fault("status", status=429, retry_after="30", method="POST", times=1))
        sync().cancel(rudderstack, run_id)
        assert [stop.status for stop in stops(sandbox)] == [429]
        assert sandbox.runs("rudderstack")[0].state == "succeeded"

    @pytest.mark.covers("cancel.retl-other-sync")
    def test_sync_that_may_have_been_stopped_instead_is_named(
        self, origin: Origin, at_origin: RudderStackResource
    ) -> None:
        ours = {"id": "ours", "status": "succeeded", "startedAt": STARTED}
        other = {"id": "next", "status": "running", "startedAt": "2026-01-01T00:00:40Z"}
        origin.replies = [RUNNING, STOPPED, page(other, ours)]
        with pytest.raises(ConflictError, match="sync next of the same connection has started in the meantime"):
            sync().cancel(at_origin, "ours")
        assert called(origin) == ["GET ours", "POST stop", "GET syncs"]

    @pytest.mark.parametrize(
        "listed",
        [
            page(),
            page({"id": "ours", "status": "failed", "startedAt": STARTED}),
            page({"id": "earlier", "status": "failed", "startedAt": "2026-01-01T00:00:09Z"}),
            page({"id": "undated", "status": "failed"}),
            Reply(500, {"message": "boom"}),
        ],
        ids=["empty", "ours", "earlier", "undated", "unavailable"],
    )
    def test_stop_without_another_sync_raises_nothing(
        self, listed: Reply, origin: Origin, at_origin: RudderStackResource
    ) -> None:
        origin.replies = [RUNNING, STOPPED, listed]
        sync().cancel(at_origin, "ours")
        assert called(origin)[:2] == ["GET ours", "POST stop"]


class TestTermination:
    @pytest.mark.covers("cancel.retl-sync")
    def test_stops_the_sync_and_says_what_may_still_be_delivered(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(CONNECTION, Behavior(running_seconds=3600))
        with at_pause(sandbox, lambda: terminate(instance)):
            result = run_sync(sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=2))
        assert "ended with status failed" in failure(result)
        assert "Rows that RudderStack has already read may still be delivered" in failure(result)
        assert len(stops(sandbox)) == sandbox.starts("rudderstack") == 1

    def test_of_a_sync_that_just_ended_stops_nothing(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        def terminated() -> None:
            sandbox.advance(3600)
            sandbox.start_run(CONNECTION, source="scheduler")
            terminate(instance)

        with at_pause(sandbox, terminated):
            result = run_sync(sandbox, instance)
        assert "ended with status succeeded" in failure(result)
        assert stops(sandbox) == []

    def test_timeout_with_on_timeout_cancel_stops_the_sync(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.set_behavior(CONNECTION, Behavior(running_seconds=3600))
        result = run_sync(sandbox, instance, timeout=60, on_timeout="cancel")
        assert "did not finish within" in failure(result)
        assert len(stops(sandbox)) == 1

    def test_eviction_does_not_stop_the_sync(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        with at_pause(sandbox, signalled):
            result = run_sync(sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=2))
        assert result.success
        assert sandbox.starts("rudderstack") == 1
        assert stops(sandbox) == []
