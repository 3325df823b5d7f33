"""RudderStack Reverse ETL: which sync of the connection may result from a start whose response was lost."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import RudderStackResource, RudderStackRETLSyncRun, VendorError
from dagster_runs.remote_run.types import UNREADABLE_ID, StartAttempt, StartCandidate
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from dagster_runs.transport.clock import Clock, current_clock, use_clock
from tests.remote_run.materializing import entries, failure, metadata
from tests.remote_run.reexecuting import ClockOff
from tests.transport.scripted import Origin, Reply
from tests.vendors.retl_runs import CONNECTION, attempt, run_sync, sync

pytestmark = pytest.mark.usefixtures("clock")

LOST = Fault("lost_response", method="POST", times=1)
NOT_SENT = Fault("reset", method="POST", times=1)
RESPONSE_LOST = [
    LOST,
    Fault("truncated", method="POST", times=1),
    Fault("status_after", method="POST", times=1),
    Fault("not_json", method="POST", times=1),
    Fault("missing_field", field="syncId", method="POST", times=1),
]


def lose_start(
    sandbox: Sandbox,
    resource: RudderStackResource,
    fault: Fault = LOST,
    run: RudderStackRETLSyncRun | None = None,
    **changes: Any,
) -> StartAttempt:
    """Starts a sync and loses the response."""
    sandbox.add_fault(fault)
    lost_attempt = attempt(**changes)
    with pytest.raises(VendorError) as raised:
        (run or sync()).start(resource, lost_attempt)
    assert raised.value.may_have_been_accepted
    return lost_attempt


def find_candidates(
    resource: RudderStackResource, lost_attempt: StartAttempt, run: RudderStackRETLSyncRun | None = None
) -> list[StartCandidate] | None:
    found = (run or sync()).find_started(resource, lost_attempt)
    return None if found is None else list(found)


class TestCandidates:
    @pytest.mark.parametrize("fault", RESPONSE_LOST, ids=lambda fault: fault.kind)
    @pytest.mark.covers("rudderstack.endpoint.list-syncs", "rudderstack.field.sync-started-at")
    def test_only_sync_of_that_time_is_ours(
        self, fault: Fault, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        lost_attempt = lose_start(sandbox, rudderstack, fault)
        [ours] = sandbox.runs("rudderstack")
        assert find_candidates(rudderstack, lost_attempt) == [StartCandidate(ours.id, is_ours=False)]

    @pytest.mark.covers("lost-start.retl-full", "rudderstack.rule.list-without-type")
    def test_candidate_for_a_full_sync_is_ambiguous(self, sandbox: Sandbox, rudderstack: RudderStackResource) -> None:
        full = sync(sync_type="full")
        lost_attempt = lose_start(sandbox, rudderstack, run=full)
        [ours] = sandbox.runs("rudderstack")
        assert find_candidates(rudderstack, lost_attempt, full) == [
            StartCandidate(ours.id, is_ours=False, is_ambiguous=True)
        ]

    @pytest.mark.parametrize("sync_type", ["incremental", "full"])
    def test_unsent_start_has_no_candidates(
        self, sync_type: Any, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        run = sync(sync_type=sync_type)
        assert find_candidates(rudderstack, lose_start(sandbox, rudderstack, NOT_SENT, run), run) == []

    def test_both_syncs_of_that_time_are_candidates(self, sandbox: Sandbox, rudderstack: RudderStackResource) -> None:
        lost_attempt = lose_start(sandbox, rudderstack)
        current_clock().sleep(60)
        sandbox.start_run(CONNECTION, source="scheduler")
        found = find_candidates(rudderstack, lost_attempt) or []
        assert {one.run_id for one in found} == {run.id for run in sandbox.runs("rudderstack")}

    def test_sync_of_another_connection_is_not_a_candidate(
        self, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        lost_attempt = lose_start(sandbox, rudderstack, NOT_SENT)
        sandbox.start_run(well_known.RETL_SLOW)
        assert find_candidates(rudderstack, lost_attempt) == []

    @pytest.mark.parametrize("seconds", [-3600, -60, 600, 86_400])
    def test_sync_of_another_time_is_not_a_candidate(
        self, seconds: float, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.start_run(CONNECTION)
        current_clock().sleep(max(60.0, -seconds))
        lost_attempt = lose_start(sandbox, rudderstack, NOT_SENT)
        current_clock().sleep(max(0.0, seconds))
        sandbox.start_run(CONNECTION)
        found = find_candidates(rudderstack, lost_attempt) or []
        assert [one.run_id for one in found] == ([sandbox.runs("rudderstack")[-1].id] if seconds < 0 else [])

    @pytest.mark.parametrize("ahead", [-7200, 0, 7200])
    def test_wrong_local_clock_is_corrected(self, ahead: float, sandbox: Sandbox) -> None:
        base_url = f"{sandbox.url}/rudderstack"
        with use_clock(ClockOff(sandbox, ahead)):
            token = well_known.RUDDERSTACK_TOKEN
            lost_attempt = lose_start(sandbox, RudderStackResource(access_token=token, base_url=base_url))
            # Another process searches, which does not know the vendor's clock yet.
            found = find_candidates(RudderStackResource(access_token=token, base_url=base_url), lost_attempt)
        [ours] = sandbox.runs("rudderstack")
        assert found == [StartCandidate(ours.id, is_ours=False)]

    def test_start_of_another_machine_is_ambiguous_if_only_its_clock_could_explain_the_time(
        self, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.start_run(CONNECTION)
        earlier = current_clock().wall() + 300
        found = find_candidates(rudderstack, attempt(starting_at=earlier, by_this_process=False)) or []
        assert [one.is_ambiguous for one in found] == [True]
        assert find_candidates(rudderstack, attempt(starting_at=earlier)) == []

    @pytest.mark.parametrize(
        ("field", "has_id"), [("syncs.0.startedAt", True), ("syncs.0.status", True), ("syncs.0.id", False)]
    )
    @pytest.mark.covers("rudderstack.field.sync-id")
    def test_unreadable_entry_is_ambiguous(
        self, field: str, has_id: bool, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        lost_attempt = lose_start(sandbox, rudderstack)
        [ours] = sandbox.runs("rudderstack")
        sandbox.add_fault(Fault("missing_field", field=field, path="/syncs$"))
        run_id = ours.id if has_id else UNREADABLE_ID
        assert find_candidates(rudderstack, lost_attempt) == [StartCandidate(run_id, is_ours=False, is_ambiguous=True)]

    def test_sync_that_is_listed_twice_is_one_candidate(self, origin: Origin) -> None:
        with use_clock(Clock()) as clock:
            started = {"startedAt": _iso(clock.wall())}
            partly = {"id": "s", "status": None, **started}
            page = {"syncs": [partly, {"id": "s", "status": "running", **started}], "paging": {"total": 2}}
            origin.replies = [Reply(200, page)]
            resource = RudderStackResource(access_token="t0ken", base_url=origin.url)
            assert find_candidates(resource, attempt()) == [StartCandidate("s", is_ours=False)]

    @pytest.mark.parametrize(("syncs", "found"), [([], None), ([{"id": "s", "status": "running"}], 1)])
    def test_list_without_the_time_of_the_vendor_proves_nothing(
        self, syncs: Any, found: int | None, origin: Origin
    ) -> None:
        def without_date(handler: Any) -> None:
            body = Reply(200, {"syncs": syncs}).payload()
            handler.send_response_only(200)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        origin.replies = [without_date]
        candidates = find_candidates(RudderStackResource(access_token="t0ken", base_url=origin.url), attempt())
        assert (None if candidates is None else len([one for one in candidates if one.is_ambiguous])) == found


def _iso(at: float) -> str:
    from datetime import datetime, timezone

    return datetime.fromtimestamp(at, timezone.utc).isoformat()


class TestStep:
    @pytest.mark.parametrize("fault", RESPONSE_LOST, ids=lambda fault: fault.kind)
    @pytest.mark.covers("lost-start.retl-only-candidate")
    def test_attaches_to_the_sync_it_finds(self, fault: Fault, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.add_fault(fault)
        assert run_sync(sandbox, instance).success
        [ours] = sandbox.runs("rudderstack")
        assert metadata(instance, "audience")["dagster_runs/run_id"] == ours.id

    def test_starts_again_if_there_is_no_sync(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.add_fault(NOT_SENT)
        assert run_sync(sandbox, instance).success
        assert entries(instance, "audience") == ["starting", "not_started", "starting", "started"]
        assert len(sandbox.runs("rudderstack")) == 1

    @pytest.mark.covers("lost-start.retl-full")
    def test_of_a_full_sync_fails_and_names_the_candidate(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        sandbox.set_behavior(CONNECTION, Behavior(running_seconds=3600))
        sandbox.add_fault(LOST)
        result = run_sync(sandbox, instance, sync(sync_type="full"), retry_policy=dg.RetryPolicy(max_retries=2))
        [ours] = sandbox.runs("rudderstack")
        assert f"it is unknown whether one of these runs is ours: {ours.id}" in failure(result)
        assert sandbox.starts("rudderstack") == 1
