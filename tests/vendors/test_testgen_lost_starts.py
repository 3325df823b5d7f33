"""Finds the job whose start response was lost, and excludes external jobs."""

import time

import pytest

from dagster_runs import TestGenResource, VendorError
from dagster_runs.remote_run.types import StartAttempt, StartCandidate
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.transport.clock import Clock, current_clock, use_clock
from tests.vendors.conftest import TestGenMaker
from tests.vendors.testgen_runs import attempt, group_run, suite_run

SUITE, GROUP = well_known.SUITE_CLEAN, well_known.TABLE_GROUP
RESPONSE_LOST = [
    Fault("lost_response", method="POST", times=1),
    Fault("truncated", method="POST", times=1),
    Fault("status_after", method="POST", times=1),
    Fault("not_json", method="POST", times=1),
]


pytestmark = pytest.mark.usefixtures("clock")


def pass_time(seconds: float) -> None:
    """Advances the clock here and at the vendor."""
    current_clock().sleep(seconds)


def lose_start(
    sandbox: Sandbox, resource: TestGenResource, run: object, fault: Fault = RESPONSE_LOST[0]
) -> StartAttempt:
    """Starts the run and loses the response."""
    sandbox.add_fault(fault)
    lost_attempt = attempt()
    with pytest.raises(VendorError) as raised:
        run.start(resource, lost_attempt)  # type: ignore[attr-defined]
    assert raised.value.may_have_been_accepted
    return lost_attempt


def start_external_runs(sandbox: Sandbox, target: str, mount: str, *, times: int = 1, source: str = "api") -> list[str]:
    return [sandbox.start_run(target, vendor=mount, source=source).id for _ in range(times)]


def find_candidates(resource: TestGenResource, run: object, lost_attempt: StartAttempt) -> list[StartCandidate] | None:
    listed = run.find_started(resource, lost_attempt)  # type: ignore[attr-defined]
    return None if listed is None else list(listed)


class TestByCorrelationId:
    """Test runs on 5.134 and later: the server stores the correlation id."""

    __test__ = True

    @pytest.mark.parametrize("fault", RESPONSE_LOST, ids=lambda fault: fault.kind)
    @pytest.mark.covers("testgen.parameter.metadata", "testgen.field.test-run-metadata", "testgen.rule.idempotency-key")
    def test_run_is_found_among_external_runs_of_the_same_suite(
        self, fault: Fault, sandbox: Sandbox, testgen: TestGenResource
    ) -> None:
        start_external_runs(sandbox, SUITE, "testgen", times=2)
        lost_attempt = lose_start(sandbox, testgen, suite_run(), fault)
        start_external_runs(sandbox, SUITE, "testgen", times=2)
        # An earlier run with another correlation id.
        suite_run().start(testgen, attempt())
        ours = sandbox.runs("testgen")[2].id
        url = suite_run().run_url(testgen, ours)
        assert find_candidates(testgen, suite_run(), lost_attempt) == [StartCandidate(ours, is_ours=True, url=url)]

    @pytest.mark.covers(
        "testgen.endpoint.list",
        "testgen.parameter.page",
        "testgen.field.job-id",
        "testgen.field.list-items",
        "testgen.field.list-limit",
        "testgen.field.list-total",
    )
    def test_run_beyond_the_first_page_is_found(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        lost_attempt = lose_start(sandbox, testgen, suite_run())
        start_external_runs(sandbox, SUITE, "testgen", times=101)
        [only] = find_candidates(testgen, suite_run(), lost_attempt) or []
        assert only.is_ours
        pages = [request.query["page"] for request in sandbox.requests("testgen") if request.path.endswith("/jobs")]
        assert pages == ["1", "2"]

    def test_unsent_start_has_no_candidates(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        start_external_runs(sandbox, SUITE, "testgen")
        lost_attempt = lose_start(sandbox, testgen, suite_run(), Fault("reset", method="POST", times=1))
        start_external_runs(sandbox, SUITE, "testgen")
        assert find_candidates(testgen, suite_run(), lost_attempt) == []


class TestBySuiteAndTime:
    """Older servers, and profiling on all servers: the run is identified by target and time."""

    __test__ = True

    @pytest.fixture(params=["old tests", "old profiling", "new profiling"])
    def place(self, request: pytest.FixtureRequest, testgen_at: TestGenMaker) -> tuple[str, TestGenResource, object]:
        age, kind = request.param.split()
        mount = "testgen" if age == "new" else "testgen-old"
        return mount, testgen_at(mount), suite_run() if kind == "tests" else group_run()

    @pytest.mark.covers("testgen.field.profiling-run-table-group-id")
    def test_lost_start_has_one_candidate(self, sandbox: Sandbox, place: tuple[str, TestGenResource, object]) -> None:
        mount, resource, run = place
        lost_attempt = lose_start(sandbox, resource, run)
        pass_time(5)
        [only] = find_candidates(resource, run, lost_attempt) or []
        assert only.run_id == sandbox.runs(mount)[0].id
        assert not only.is_ours
        assert not only.is_ambiguous
        assert only.run_id in str(only.url)

    def test_external_run_of_the_same_target_is_also_a_candidate(
        self, sandbox: Sandbox, place: tuple[str, TestGenResource, object]
    ) -> None:
        mount, resource, run = place
        lost_attempt = lose_start(sandbox, resource, run)
        start_external_runs(sandbox, run.target, mount)  # type: ignore[attr-defined]
        pass_time(5)
        assert {one.run_id for one in find_candidates(resource, run, lost_attempt) or []} == {
            one.id for one in sandbox.runs(mount)
        }

    @pytest.mark.covers("testgen.endpoint.suite")
    def test_unsent_start_has_no_candidates(self, sandbox: Sandbox, place: tuple[str, TestGenResource, object]) -> None:
        _, resource, run = place
        lost_attempt = lose_start(sandbox, resource, run, Fault("reset", method="POST", times=1))
        assert find_candidates(resource, run, lost_attempt) == []

    @pytest.mark.covers("testgen.field.test-run-test-suite-id")
    def test_queued_run_without_a_target_is_ambiguous(
        self, sandbox: Sandbox, place: tuple[str, TestGenResource, object]
    ) -> None:
        _, resource, run = place
        lost_attempt = lose_start(sandbox, resource, run)
        [only] = find_candidates(resource, run, lost_attempt) or []
        assert only.is_ambiguous

    @pytest.mark.covers("testgen.field.profiling-run-table-group-id")
    def test_run_of_another_target_is_not_a_candidate(
        self, sandbox: Sandbox, place: tuple[str, TestGenResource, object]
    ) -> None:
        mount, resource, run = place
        lost_attempt = lose_start(sandbox, resource, run, Fault("reset", method="POST", times=1))
        start_external_runs(sandbox, well_known.SUITE_ORDERS, mount)
        start_external_runs(sandbox, well_known.TABLE_GROUP_NO_SCHEMA, mount)
        pass_time(7)
        assert find_candidates(resource, run, lost_attempt) == []

    @pytest.mark.parametrize("source", ["scheduler", "ui", "cli", "mcp"])
    @pytest.mark.covers("testgen.field.job-source")
    def test_run_not_started_through_the_api_is_not_a_candidate(
        self, source: str, sandbox: Sandbox, place: tuple[str, TestGenResource, object]
    ) -> None:
        # The server cannot filter by source, but the list contains the source of each job.
        mount, resource, run = place
        lost_attempt = lose_start(sandbox, resource, run, Fault("reset", method="POST", times=1))
        start_external_runs(sandbox, run.target, mount, source=source)  # type: ignore[attr-defined]
        pass_time(7)
        assert find_candidates(resource, run, lost_attempt) == []

    @pytest.mark.parametrize("earlier", [60, 3600, 86_400])
    @pytest.mark.covers("testgen.field.job-created-at")
    def test_run_from_before_the_start_is_not_a_candidate(
        self, earlier: float, sandbox: Sandbox, place: tuple[str, TestGenResource, object]
    ) -> None:
        mount, resource, run = place
        start_external_runs(sandbox, run.target, mount)  # type: ignore[attr-defined]
        pass_time(earlier)
        lost_attempt = lose_start(sandbox, resource, run, Fault("reset", method="POST", times=1))
        assert find_candidates(resource, run, lost_attempt) == []

    def test_run_from_long_after_the_start_is_not_a_candidate(
        self, sandbox: Sandbox, place: tuple[str, TestGenResource, object]
    ) -> None:
        # The search happens a day later, when the step is re-executed.
        mount, resource, run = place
        lost_attempt = lose_start(sandbox, resource, run, Fault("reset", method="POST", times=1))
        pass_time(86_400)
        start_external_runs(sandbox, run.target, mount)  # type: ignore[attr-defined]
        pass_time(7)
        assert find_candidates(resource, run, lost_attempt) == []

    @pytest.mark.covers("testgen.parameter.job-key")
    def test_run_of_another_kind_is_not_a_candidate(self, sandbox: Sandbox, testgen_old: TestGenResource) -> None:
        lost_attempt = lose_start(sandbox, testgen_old, suite_run(), Fault("reset", method="POST", times=1))
        group_run().start(testgen_old, attempt())
        pass_time(7)
        assert find_candidates(testgen_old, suite_run(), lost_attempt) == []


@pytest.mark.parametrize("ahead", [-7200, 7200], ids=["behind", "ahead"])
@pytest.mark.parametrize("mount", ["testgen", "testgen-old"])
@pytest.mark.covers("testgen.field.job-created-at")
def test_lost_run_is_found_despite_a_wrong_server_clock(
    ahead: float, mount: str, sandbox: Sandbox, testgen_at: TestGenMaker
) -> None:
    offset = sandbox.now() - time.time()

    class OurClock(Clock):
        def wall(self) -> float:
            return super().wall() + offset - ahead

    resource = testgen_at(mount)
    with use_clock(OurClock()) as ours:
        start_external_runs(sandbox, SUITE, mount)
        sandbox.advance(60)
        offset += 60
        sandbox.add_fault(RESPONSE_LOST[0])
        lost_attempt = attempt(starting_at=ours.wall())
        with pytest.raises(VendorError):
            suite_run().start(resource, lost_attempt)
        sandbox.advance(5)
        offset += 5
        [only] = find_candidates(resource, suite_run(), lost_attempt) or []
    assert only.run_id == sandbox.runs(mount)[1].id


@pytest.mark.parametrize("mount", ["testgen", "testgen-old"])
@pytest.mark.parametrize("run", [suite_run(), group_run()], ids=["tests", "profiling"])
@pytest.mark.covers("testgen.parameter.project-code")
def test_search_is_unsupported_without_a_project(
    mount: str, run: object, sandbox: Sandbox, testgen_at: TestGenMaker
) -> None:
    resource = testgen_at(mount, project_code=None)
    lost_attempt = lose_start(sandbox, resource, run)
    assert find_candidates(resource, run, lost_attempt) is None
    assert not [request for request in sandbox.requests(mount) if "/projects/" in request.path]


@pytest.mark.parametrize("code", ["default", "NOPE"])
@pytest.mark.covers("testgen.endpoint.list")
def test_search_in_another_project_raises(code: str, sandbox: Sandbox, testgen_at: TestGenMaker) -> None:
    # Finding nothing would mean that nothing was started.
    resource = testgen_at("testgen", project_code=code)
    lost_attempt = lose_start(sandbox, resource, suite_run())
    with pytest.raises(VendorError, match=code):
        find_candidates(resource, suite_run(), lost_attempt)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("missing_field", field="items", path="/jobs$"),
        Fault("wrong_type", field="total", value="many", path="/jobs$"),
        Fault("html", path="/jobs$"),
        Fault("status", status=500, path="/jobs$"),
        Fault("status", status=500, path="/test-runs/"),
    ],
    ids=lambda fault: f"{fault.kind} {fault.field or fault.path}",
)
def test_failed_search_raises(fault: Fault, sandbox: Sandbox, testgen_at: TestGenMaker) -> None:
    resource = testgen_at("testgen", max_retries=0)
    lost_attempt = lose_start(sandbox, resource, suite_run())
    sandbox.add_fault(fault)
    with pytest.raises(VendorError):
        find_candidates(resource, suite_run(), lost_attempt)


def test_lost_run_is_found_while_it_is_still_queued(sandbox: Sandbox, testgen: TestGenResource) -> None:
    sandbox.set_behavior(SUITE, Behavior(queued_seconds=3600), vendor="testgen")
    lost_attempt = lose_start(sandbox, testgen, suite_run())
    pass_time(120)
    [only] = find_candidates(testgen, suite_run(), lost_attempt) or []
    assert only.is_ours
