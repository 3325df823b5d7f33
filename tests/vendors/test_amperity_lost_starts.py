"""Finds the workflow whose start response was lost, and excludes external runs."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import pytest

from dagster_runs import AmperityResource, AmperityWorkflowRun, UnexpectedResponseError, VendorError
from dagster_runs.remote_run.types import StartAttempt, StartCandidate
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from dagster_runs.transport.clock import Clock, current_clock, use_clock
from dagster_runs.vendors.amperity.resource import _MAX_PAGES
from tests.remote_run.materializing import entries, failure, metadata
from tests.remote_run.reexecuting import ClockOff
from tests.transport.scripted import Origin, Reply, send
from tests.vendors.amperity_assets import run_workflow
from tests.vendors.conftest import AmperityMaker

pytestmark = pytest.mark.usefixtures("clock")

COURIERS, ORCHESTRATION = well_known.AMPERITY_COURIERS, well_known.AMPERITY_ORCHESTRATION
CAMPAIGN = well_known.AMPERITY_CAMPAIGN
LOST = Fault("lost_response", method="POST", times=1)
RESPONSE_LOST = [
    LOST,
    Fault("truncated", method="POST", times=1),
    Fault("status_after", method="POST", times=1),
    Fault("not_json", method="POST", times=1),
    Fault("missing_field", field="id", method="POST", times=1),
]


def attempt(**changes: Any) -> StartAttempt:
    given = {"correlation_id": "c", "starting_at": current_clock().wall(), "dagster_run_id": "d"}
    return StartAttempt(**{**given, **changes})


def run_of(config_id: str = COURIERS) -> AmperityWorkflowRun:
    return AmperityWorkflowRun(config_id=config_id)


def lose_start(
    sandbox: Sandbox, resource: AmperityResource, fault: Fault = LOST, *, config_id: str = COURIERS, **changes: Any
) -> StartAttempt:
    """Starts the run and loses the response."""
    sandbox.add_fault(fault)
    lost_attempt = attempt(**changes)
    with pytest.raises(VendorError) as raised:
        run_of(config_id).start(resource, lost_attempt)
    assert raised.value.may_have_been_accepted
    return lost_attempt


def lose_start_request(sandbox: Sandbox, resource: AmperityResource, **changes: Any) -> StartAttempt:
    return lose_start(sandbox, resource, Fault("reset", method="POST", times=1), **changes)


def find_candidates(
    resource: AmperityResource, lost_attempt: StartAttempt, config_id: str = COURIERS
) -> list[StartCandidate]:
    return list(run_of(config_id).find_started(resource, lost_attempt) or [])


@pytest.fixture(params=[False, True], ids=["all are listed", "successes are listed by default"])
def listing(request: pytest.FixtureRequest, sandbox: Sandbox, amperity: AmperityResource) -> bool:
    """Whether the server applies the filter defaults of the specification."""
    sandbox.configure("amperity", list_defaults=request.param)
    return bool(request.param)


@pytest.mark.usefixtures("listing")
class TestBothListDefaults:
    @pytest.mark.parametrize("fault", RESPONSE_LOST, ids=lambda fault: fault.kind)
    @pytest.mark.covers(
        "amperity.endpoint.list",
        "amperity.parameter.state",
        "amperity.field.workflow-created-at",
        "amperity.field.list-data",
        "amperity.rule.idempotency-key",
    )
    def test_lost_start_has_one_candidate(self, fault: Fault, sandbox: Sandbox, amperity: AmperityResource) -> None:
        lost_attempt = lose_start(sandbox, amperity, fault)
        [ours] = sandbox.runs("amperity")
        assert find_candidates(amperity, lost_attempt) == [StartCandidate(ours.id, is_ours=False)]

    @pytest.mark.parametrize("config_id", [COURIERS, ORCHESTRATION, CAMPAIGN])
    @pytest.mark.covers(
        "amperity.field.workflow-type-courier",
        "amperity.field.workflow-type-orchestration",
        "amperity.field.workflow-types-campaign-send",
    )
    def test_candidates_match_the_workflow_kind(
        self, config_id: str, sandbox: Sandbox, amperity: AmperityResource
    ) -> None:
        for other in {COURIERS, ORCHESTRATION, CAMPAIGN} - {config_id}:
            sandbox.start_run(other)
        lost_attempt = lose_start(sandbox, amperity, config_id=config_id)
        assert [one.run_id for one in find_candidates(amperity, lost_attempt, config_id)] == [
            sandbox.runs("amperity")[-1].id
        ]

    @pytest.mark.covers("amperity.field.workflow-types-campaign-send")
    def test_campaign_fetch_run_is_a_candidate(self, sandbox: Sandbox, amperity: AmperityResource) -> None:
        # The type of a started campaign is undocumented, and a second campaign would contact customers.
        lost_attempt = lose_start_request(sandbox, amperity, config_id=CAMPAIGN)
        run = sandbox.start_run(CAMPAIGN, kind="campaign.fetch")
        assert [one.run_id for one in find_candidates(amperity, lost_attempt, CAMPAIGN)] == [run.id]

    @pytest.mark.parametrize("after", [0, 2.5, 8, 60, 3600])
    def test_run_is_found_at_any_age(self, after: float, sandbox: Sandbox, amperity: AmperityResource) -> None:
        lost_attempt = lose_start(sandbox, amperity)
        current_clock().sleep(after)
        assert len(find_candidates(amperity, lost_attempt)) == 1

    @pytest.mark.parametrize("state_case", ["lower", "title", "kebab", "snake"])
    @pytest.mark.parametrize(("state_names", "outcome"), [("fetch", "fail"), ("stop", "cancel")])
    @pytest.mark.covers("amperity.parameter.state")
    def test_run_is_found_in_every_spelling_of_its_state(
        self, state_case: str, state_names: str, outcome: Any, sandbox: Sandbox, amperity: AmperityResource
    ) -> None:
        sandbox.set_behavior(
            COURIERS, Behavior(state_case=state_case, state_names=state_names, outcome=outcome, running_seconds=12)
        )
        lost_attempt = lose_start(sandbox, amperity)
        for _ in range(5):
            assert len(find_candidates(amperity, lost_attempt)) == 1
            current_clock().sleep(4)

    @pytest.mark.parametrize("hold", ["paused", "Running with failures", "running_with_failures"])
    def test_paused_run_is_found(self, hold: str, sandbox: Sandbox, amperity: AmperityResource) -> None:
        sandbox.set_behavior(COURIERS, Behavior(hold=hold, hold_when="queued"))
        lost_attempt = lose_start(sandbox, amperity)
        current_clock().sleep(30)
        assert len(find_candidates(amperity, lost_attempt)) == 1

    def test_run_of_another_configuration_is_also_a_candidate(
        self, sandbox: Sandbox, amperity: AmperityResource
    ) -> None:
        lost_attempt = lose_start(sandbox, amperity)
        sandbox.start_run(well_known.AMPERITY_SLOW)
        # The list contains no configuration, so a run of any courier group is a candidate.
        assert {one.run_id for one in find_candidates(amperity, lost_attempt)} == {
            one.id for one in sandbox.runs("amperity")
        }

    def test_workflow_name_excludes_other_runs(self, sandbox: Sandbox, amperity: AmperityResource) -> None:
        lost_attempt = lose_start(sandbox, amperity)
        [ours] = sandbox.runs("amperity")
        other = sandbox.start_run(well_known.AMPERITY_SLOW)
        name = amperity.get_workflow(ours.id, verbose=False).name
        assert amperity.get_workflow(other.id, verbose=False).name != name
        named = run_of().with_fields({"workflow_name": name})
        assert named.find_started(amperity, lost_attempt) == [StartCandidate(ours.id, is_ours=False)]

    def test_run_with_another_name_is_ambiguous(self, sandbox: Sandbox, amperity: AmperityResource) -> None:
        # It is external or was renamed, so it is not attached to, and nothing is started again.
        lost_attempt = lose_start(sandbox, amperity)
        [one] = sandbox.runs("amperity")
        renamed = run_of().with_fields({"workflow_name": "As it was called before"})
        assert renamed.find_started(amperity, lost_attempt) == [
            StartCandidate(one.id, is_ours=False, is_ambiguous=True)
        ]

    def test_unsent_start_has_no_candidates(self, sandbox: Sandbox, amperity: AmperityResource) -> None:
        lost_attempt = lose_start_request(sandbox, amperity)
        assert find_candidates(amperity, lost_attempt) == []

    @pytest.mark.covers("amperity.parameter.created-from", "amperity.parameter.type")
    def test_runs_from_before_and_long_after_the_start_are_not_candidates(
        self, sandbox: Sandbox, amperity: AmperityResource
    ) -> None:
        sandbox.start_run(COURIERS)
        current_clock().sleep(60)
        lost_attempt = lose_start_request(sandbox, amperity)
        current_clock().sleep(86_400)
        sandbox.start_run(COURIERS)
        assert find_candidates(amperity, lost_attempt) == []

    def test_nearby_run_is_ambiguous_when_another_machine_sent_the_start(
        self, sandbox: Sandbox, amperity: AmperityResource
    ) -> None:
        sandbox.start_run(COURIERS)
        current_clock().sleep(60)
        lost_attempt = lose_start_request(sandbox, amperity, by_this_process=False)
        assert [one.is_ambiguous for one in find_candidates(amperity, lost_attempt)] == [True]

    @pytest.mark.parametrize("last_token", ["absent", "empty"])
    @pytest.mark.covers("amperity.parameter.next-token", "amperity.field.list-next-token")
    def test_candidates_beyond_the_first_page_are_found(
        self, last_token: str, sandbox: Sandbox, amperity: AmperityResource
    ) -> None:
        sandbox.configure("amperity", last_token=last_token)
        lost_attempt = lose_start(sandbox, amperity)
        for _ in range(45):
            sandbox.start_run(COURIERS)
        assert len(find_candidates(amperity, lost_attempt)) == 46
        tokens = [request.query.get("next_token") for request in sandbox.requests("amperity")[1:]]
        assert tokens[0] is None
        assert "" not in tokens


@pytest.mark.covers("amperity.parameter.created-from", "amperity.parameter.type", "amperity.parameter.state")
def test_complete_list_is_requested_without_a_state_filter(sandbox: Sandbox, amperity: AmperityResource) -> None:
    lost_attempt = lose_start(sandbox, amperity)
    assert len(find_candidates(amperity, lost_attempt)) == 1
    [listed] = sandbox.requests("amperity")[1:]
    assert set(listed.query) == {"type", "created_from", "created_to"}


@pytest.fixture
def real_time(clock: SandboxClock) -> Iterator[None]:
    """Uses the real time, which is in the `Date` header of the scripted server."""
    with use_clock(Clock()):
        yield


@pytest.mark.usefixtures("real_time")
def test_search_continues_when_the_server_rejects_a_state(origin: Origin, amperity_at: AmperityMaker) -> None:
    running = {"id": "wf-1", "state": "running", "created_at": "2026-01-01T00:00:01.000Z"}
    origin.replies = [
        Reply(200, {"data": []}),
        Reply(200, {"data": []}),
        Reply(400, {"status": 400, "message": "unknown state"}),
        Reply(200, {"data": [running]}),
        Reply(400, {"status": 400, "message": "unknown state"}),
    ]
    lost_attempt = attempt(starting_at=1_767_225_600.0)
    assert find_candidates(amperity_at(base_url=origin.url), lost_attempt) == [StartCandidate("wf-1", is_ours=False)]


@pytest.mark.usefixtures("real_time")
@pytest.mark.parametrize(
    "vendor_status",
    [
        *("scheduled", "started", "in progress", "in-progress", "in_progress", "running", "paused"),
        *("running with failures", "running-with-failures", "running_with_failures", "stopping", "canceling"),
        *("failed", "canceled", "stopped"),
    ],
)
def test_run_is_found_when_the_filter_accepts_one_spelling_only(
    vendor_status: str, origin: Origin, amperity_at: AmperityMaker
) -> None:
    running = {"id": "wf-1", "state": vendor_status, "created_at": "2026-01-01T00:00:01.000Z"}

    def listed(handler: BaseHTTPRequestHandler) -> None:
        # Only successes, unless the request filters by another state.
        asked = parse_qs(urlsplit(handler.path).query).get("state", ["succeeded"])
        send(handler, Reply(200, {"data": [running] if asked == [vendor_status] else []}))

    origin.replies = [listed]
    lost_attempt = attempt(starting_at=1_767_225_600.0)
    assert find_candidates(amperity_at(base_url=origin.url), lost_attempt) == [StartCandidate("wf-1", is_ours=False)]


@pytest.mark.covers("amperity.parameter.next-token", "amperity.field.list-next-token")
def test_endless_list_raises(origin: Origin, amperity_at: AmperityMaker) -> None:
    # An incomplete list could hide the run, and a second one would be started.
    origin.replies = [Reply(200, {"data": [], "next_token": "again"})]
    origin.seen.clear()
    with pytest.raises(UnexpectedResponseError, match=f"after {_MAX_PAGES} pages"):
        find_candidates(amperity_at(base_url=origin.url), attempt())
    assert len(origin.seen) == _MAX_PAGES


@pytest.mark.parametrize(
    "fault",
    [
        Fault("missing_field", field="data", path="/runs$", method="GET"),
        Fault("wrong_type", field="data", value={}, path="/runs$", method="GET"),
        Fault("html", path="/runs$", method="GET"),
        Fault("status", status=500, path="/runs$", method="GET"),
        Fault("status", status=400, path="/runs$", method="GET"),
    ],
    ids=lambda fault: f"{fault.kind} {fault.field or fault.status}",
)
def test_failed_list_call_raises(fault: Fault, sandbox: Sandbox, amperity_at: AmperityMaker) -> None:
    resource = amperity_at(max_retries=0)
    lost_attempt = lose_start(sandbox, resource)
    sandbox.add_fault(fault)
    with pytest.raises(VendorError):
        find_candidates(resource, lost_attempt)


class TestInAStep:
    @pytest.mark.covers(
        "amperity.endpoint.list",
        "amperity.field.workflow-created-at",
        "amperity.field.list-data",
        "amperity.rule.idempotency-key",
        "lost-start.amperity",
    )
    def test_only_candidate_is_attached_to(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.add_fault(LOST)
        assert run_workflow(sandbox, instance).success
        assert sandbox.starts("amperity") == 1
        [run] = sandbox.runs("amperity")
        assert metadata(instance, "customers")["dagster_runs/run_id"] == run.id

    def test_only_candidate_is_attached_to_when_the_default_list_has_only_successes(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.configure("amperity", list_defaults=True)
        sandbox.add_fault(LOST)
        assert run_workflow(sandbox, instance).success
        assert sandbox.starts("amperity") == 1

    @pytest.mark.covers("lost-start.several-candidates")
    def test_several_candidates_fail_the_step_and_are_listed(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.start_run(well_known.AMPERITY_SLOW)
        sandbox.add_fault(LOST)
        message = failure(run_workflow(sandbox, instance))
        assert all(run.id in message for run in sandbox.runs("amperity"))
        assert "unknown whether one of these runs is ours" in message
        assert sandbox.starts("amperity") == 1

    @pytest.mark.covers("lost-start.not-found")
    def test_unsent_start_is_sent_again(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.add_fault(Fault("reset", method="POST", times=1))
        assert run_workflow(sandbox, instance).success
        assert sandbox.starts("amperity") == 1
        assert entries(instance, "customers") == ["starting", "not_started", "starting", "started"]

    @pytest.mark.parametrize("ahead", [-7200, -370, 6, 30, 7200])
    @pytest.mark.covers("amperity.parameter.created-from")
    def test_run_is_found_despite_a_wrong_local_clock(
        self, ahead: float, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        # The vendor filters the list by its own clock.
        sandbox.add_fault(LOST)
        with use_clock(ClockOff(sandbox, ahead)):
            assert run_workflow(sandbox, instance).success
        assert sandbox.starts("amperity") == 1

    @pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Tue, 01 Jan 0999 00:00:00 GMT", "soon"])
    def test_invalid_date_header_is_ignored(self, date: str, origin: Origin, amperity_at: AmperityMaker) -> None:
        body = b'{"data": [{"id": "wf-1", "state": "running", "created_at": "2026-01-01T00:00:01.000Z"}]}'

        def listed(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response_only(200)
            handler.send_header("Date", date)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        origin.replies = [listed]
        lost_attempt = attempt(starting_at=1_767_225_600.0)
        assert find_candidates(amperity_at(base_url=origin.url), lost_attempt) == [
            StartCandidate("wf-1", is_ours=False, is_ambiguous=True)
        ]

    @pytest.mark.covers("lost-start.search-refused")
    def test_failed_search_starts_no_second_run(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.add_fault(LOST)
        sandbox.add_fault(Fault("status", status=403, method="GET"))
        message = failure(run_workflow(sandbox, instance))
        assert "The search for the run failed" in message
        assert sandbox.starts("amperity") == 1
