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
ANSWERLESS = [
    Fault("lost_response", method="POST", times=1),
    Fault("truncated", method="POST", times=1),
    Fault("status_after", method="POST", times=1),
    Fault("not_json", method="POST", times=1),
]


pytestmark = pytest.mark.usefixtures("clock")


def pass_time(seconds: float) -> None:
    """Advances the clock here and at the vendor."""
    current_clock().sleep(seconds)


def lose(sandbox: Sandbox, resource: TestGenResource, run: object, fault: Fault = ANSWERLESS[0]) -> StartAttempt:
    """Starts the run and loses the response."""
    sandbox.add_fault(fault)
    tried = attempt()
    with pytest.raises(VendorError) as raised:
        run.start(resource, tried)  # type: ignore[attr-defined]
    assert raised.value.may_have_been_accepted
    return tried


def colleague_runs(sandbox: Sandbox, target: str, mount: str, *, times: int = 1, source: str = "api") -> list[str]:
    return [sandbox.start_run(target, vendor=mount, source=source).id for _ in range(times)]


def found(resource: TestGenResource, run: object, tried: StartAttempt) -> list[StartCandidate] | None:
    listed = run.find_started(resource, tried)  # type: ignore[attr-defined]
    return None if listed is None else list(listed)


class TestByOurMark:
    """Test runs on 5.134 and later: the server stores the correlation id."""

    __test__ = True

    @pytest.mark.parametrize("fault", ANSWERLESS, ids=lambda fault: fault.kind)
    @pytest.mark.covers("testgen.parameter.metadata", "testgen.field.test-run-metadata", "testgen.rule.idempotency-key")
    def test_run_is_found_among_external_runs_of_the_same_suite(
        self, fault: Fault, sandbox: Sandbox, testgen: TestGenResource
    ) -> None:
        colleague_runs(sandbox, SUITE, "testgen", times=2)
        tried = lose(sandbox, testgen, suite_run(), fault)
        colleague_runs(sandbox, SUITE, "testgen", times=2)
        # An earlier run with another correlation id.
        suite_run().start(testgen, attempt())
        ours = sandbox.runs("testgen")[2].id
        url = suite_run().run_url(testgen, ours)
        assert found(testgen, suite_run(), tried) == [StartCandidate(ours, is_ours=True, url=url)]

    @pytest.mark.covers(
        "testgen.endpoint.list",
        "testgen.parameter.page",
        "testgen.field.job-id",
        "testgen.field.list-items",
        "testgen.field.list-limit",
        "testgen.field.list-total",
    )
    def test_run_beyond_the_first_page_is_found(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        tried = lose(sandbox, testgen, suite_run())
        colleague_runs(sandbox, SUITE, "testgen", times=101)
        [only] = found(testgen, suite_run(), tried) or []
        assert only.is_ours
        pages = [request.query["page"] for request in sandbox.requests("testgen") if request.path.endswith("/jobs")]
        assert pages == ["1", "2"]

    def test_unsent_start_has_no_candidates(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        colleague_runs(sandbox, SUITE, "testgen")
        tried = lose(sandbox, testgen, suite_run(), Fault("reset", method="POST", times=1))
        colleague_runs(sandbox, SUITE, "testgen")
        assert found(testgen, suite_run(), tried) == []


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
        tried = lose(sandbox, resource, run)
        pass_time(5)
        [only] = found(resource, run, tried) or []
        assert only.run_id == sandbox.runs(mount)[0].id
        assert not only.is_ours
        assert not only.is_ambiguous
        assert only.run_id in str(only.url)

    def test_external_run_of_the_same_target_is_also_a_candidate(
        self, sandbox: Sandbox, place: tuple[str, TestGenResource, object]
    ) -> None:
        mount, resource, run = place
        tried = lose(sandbox, resource, run)
        colleague_runs(sandbox, run.target, mount)  # type: ignore[attr-defined]
        pass_time(5)
        assert {one.run_id for one in found(resource, run, tried) or []} == {one.id for one in sandbox.runs(mount)}

    @pytest.mark.covers("testgen.endpoint.suite")
    def test_unsent_start_has_no_candidates(self, sandbox: Sandbox, place: tuple[str, TestGenResource, object]) -> None:
        _, resource, run = place
        tried = lose(sandbox, resource, run, Fault("reset", method="POST", times=1))
        assert found(resource, run, tried) == []

    @pytest.mark.covers("testgen.field.test-run-test-suite-id")
    def test_queued_run_without_a_target_is_ambiguous(
        self, sandbox: Sandbox, place: tuple[str, TestGenResource, object]
    ) -> None:
        _, resource, run = place
        tried = lose(sandbox, resource, run)
        [only] = found(resource, run, tried) or []
        assert only.is_ambiguous

    @pytest.mark.covers("testgen.field.profiling-run-table-group-id")
    def test_run_of_another_target_is_not_a_candidate(
        self, sandbox: Sandbox, place: tuple[str, TestGenResource, object]
    ) -> None:
        mount, resource, run = place
        tried = lose(sandbox, resource, run, Fault("reset", method="POST", times=1))
        colleague_runs(sandbox, well_known.SUITE_ORDERS, mount)
        colleague_runs(sandbox, well_known.TABLE_GROUP_NO_SCHEMA, mount)
        pass_time(7)
        assert found(resource, run, tried) == []

    @pytest.mark.parametrize("source", ["scheduler", "ui", "cli", "mcp"])
    @pytest.mark.covers("testgen.field.job-source")
    def test_run_not_started_through_the_api_is_not_a_candidate(
        self, source: str, sandbox: Sandbox, place: tuple[str, TestGenResource, object]
    ) -> None:
        # The server cannot filter by source, but the list contains the source of each job.
        mount, resource, run = place
        tried = lose(sandbox, resource, run, Fault("reset", method="POST", times=1))
        colleague_runs(sandbox, run.target, mount, source=source)  # type: ignore[attr-defined]
        pass_time(7)
        assert found(resource, run, tried) == []

    @pytest.mark.parametrize("earlier", [60, 3600, 86_400])
    @pytest.mark.covers("testgen.field.job-created-at")
    def test_run_from_before_the_start_is_not_a_candidate(
        self, earlier: float, sandbox: Sandbox, place: tuple[str, TestGenResource, object]
    ) -> None:
        mount, resource, run = place
        colleague_runs(sandbox, run.target, mount)  # type: ignore[attr-defined]
        pass_time(earlier)
        tried = lose(sandbox, resource, run, Fault("reset", method="POST", times=1))
        assert found(resource, run, tried) == []

    def test_run_from_long_after_the_start_is_not_a_candidate(
        self, sandbox: Sandbox, place: tuple[str, TestGenResource, object]
    ) -> None:
        # The search happens a day later, when the step is re-executed.
        mount, resource, run = place
        tried = lose(sandbox, resource, run, Fault("reset", method="POST", times=1))
        pass_time(86_400)
        colleague_runs(sandbox, run.target, mount)  # type: ignore[attr-defined]
        pass_time(7)
        assert found(resource, run, tried) == []

    @pytest.mark.covers("testgen.parameter.job-key")
    def test_run_of_another_kind_is_not_a_candidate(self, sandbox: Sandbox, testgen_old: TestGenResource) -> None:
        tried = lose(sandbox, testgen_old, suite_run(), Fault("reset", method="POST", times=1))
        group_run().start(testgen_old, attempt())
        pass_time(7)
        assert found(testgen_old, suite_run(), tried) == []


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
        colleague_runs(sandbox, SUITE, mount)
        sandbox.advance(60)
        offset += 60
        sandbox.add_fault(ANSWERLESS[0])
        tried = attempt(starting_at=ours.wall())
        with pytest.raises(VendorError):
            suite_run().start(resource, tried)
        sandbox.advance(5)
        offset += 5
        [only] = found(resource, suite_run(), tried) or []
    assert only.run_id == sandbox.runs(mount)[1].id


@pytest.mark.parametrize("mount", ["testgen", "testgen-old"])
@pytest.mark.parametrize("run", [suite_run(), group_run()], ids=["tests", "profiling"])
@pytest.mark.covers("testgen.parameter.project-code")
def test_search_is_unsupported_without_a_project(
    mount: str, run: object, sandbox: Sandbox, testgen_at: TestGenMaker
) -> None:
    resource = testgen_at(mount, project_code=None)
    tried = lose(sandbox, resource, run)
    assert found(resource, run, tried) is None
    assert not [request for request in sandbox.requests(mount) if "/projects/" in request.path]


@pytest.mark.parametrize("code", ["default", "NOPE"])
@pytest.mark.covers("testgen.endpoint.list")
def test_search_in_another_project_raises(code: str, sandbox: Sandbox, testgen_at: TestGenMaker) -> None:
    # Finding nothing would mean that nothing was started.
    resource = testgen_at("testgen", project_code=code)
    tried = lose(sandbox, resource, suite_run())
    with pytest.raises(VendorError, match=code):
        found(resource, suite_run(), tried)


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
    tried = lose(sandbox, resource, suite_run())
    sandbox.add_fault(fault)
    with pytest.raises(VendorError):
        found(resource, suite_run(), tried)


def test_lost_run_is_found_while_it_is_still_queued(sandbox: Sandbox, testgen: TestGenResource) -> None:
    sandbox.set_behavior(SUITE, Behavior(queued_seconds=3600), vendor="testgen")
    tried = lose(sandbox, testgen, suite_run())
    pass_time(120)
    [only] = found(testgen, suite_run(), tried) or []
    assert only.is_ours
