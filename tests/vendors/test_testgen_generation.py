"""TestGen's test generation: the submission, the job, what is shown, and lost starts without a known suite."""

import contextlib
import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dagster_runs import (
    InvalidRequestError,
    QualityGate,
    TestGenResource,
    TestGenTestGenerationRun,
    UnexpectedResponseError,
    VendorError,
    build_completion_sensor,
    build_observation_sensor,
    build_remote_run_asset,
)
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.types import UNREADABLE_ID, ListedRun, StartAttempt, StartCandidate
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from dagster_runs.transport.clock import current_clock
from tests.remote_run.materializing import TESTS, checks, entries, failure, materialize, metadata
from tests.remote_run.reexecuting import at_pause, terminate
from tests.sensors.driving import Driver, reported
from tests.transport.scripted import Origin, Reply
from tests.vendors.any_json import anything, close_to, few
from tests.vendors.conftest import TestGenMaker
from tests.vendors.testgen_runs import attempt

pytestmark = pytest.mark.usefixtures("clock")

SUITE = well_known.SUITE_GENERATED
PATH = f"/testgen/api/v1/test-suites/{SUITE}/test-generation"
JOB_KEY = "run-test-generation"


RECORDED = Path(__file__).parent / "recorded" / "testgen-5.134.0-openapi-generation.json"


def newer() -> dict[str, Any]:
    """The part of the OpenAPI document of a 5.134.0 server that is about test generation."""
    document: dict[str, Any] = json.loads(RECORDED.read_text())
    return document


def older() -> dict[str, Any]:
    """The same part of 5.33.3: the submission has no request body."""
    document = newer()
    [path] = document["paths"].values()
    del path["post"]["requestBody"]
    return document


def generation(**fields: Any) -> TestGenTestGenerationRun:
    return TestGenTestGenerationRun(**{"test_suite_id": SUITE, **fields})


def run_generation(
    sandbox: Sandbox, instance: dg.DagsterInstance, run: TestGenTestGenerationRun | None = None, **options: Any
) -> dg.ExecuteInProcessResult:
    return materialize([build_remote_run_asset(run or generation(), key="tests", **options)], sandbox, instance)


def start_elsewhere(sandbox: Sandbox, target: str = SUITE, **fields: Any) -> str:
    return sandbox.start_run(target, vendor="testgen", kind=JOB_KEY, **{"source": "api", **fields}).id


class TestSubmission:
    __test__ = True

    @pytest.mark.parametrize("mount", ["testgen", "testgen-old"])
    @pytest.mark.covers("testgen.endpoint.start-generation")
    def test_without_sets_has_no_body(self, mount: str, sandbox: Sandbox, testgen_at: TestGenMaker) -> None:
        run_id = generation().start(testgen_at(mount), attempt())
        [request] = sandbox.requests(mount)
        assert (request.method, request.path) == ("POST", PATH.replace("/testgen/", f"/{mount}/"))
        assert request.body is None
        [job] = sandbox.runs(mount)
        assert (job.id, job.kind) == (run_id, JOB_KEY)

    @pytest.mark.covers("testgen.parameter.generation-sets")
    def test_sets_are_sent(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        sets = ("Standard", "Table Comparison")
        generation(generation_sets=sets).start(testgen, attempt())
        assert sandbox.requests("testgen")[-1].body == {"generation_sets": list(sets)}

    @pytest.mark.covers("testgen.parameter.generation-sets", "testgen.endpoint.openapi")
    def test_sets_are_refused_by_a_server_that_ignores_them(
        self, sandbox: Sandbox, testgen_old: TestGenResource
    ) -> None:
        with pytest.raises(InvalidRequestError, match="ignores generation_sets, so it would generate other tests"):
            generation(generation_sets=["Standard"]).start(testgen_old, attempt())
        assert sandbox.starts("testgen-old") == 0

    @pytest.mark.parametrize(("document", "accepted"), [(newer(), True), (older(), False), ({}, False), ([], False)])
    def test_recorded_document_shows_whether_sets_are_read(self, document: Any, accepted: bool, origin: Origin) -> None:
        origin.replies = [Reply(200, document)]
        resource = TestGenResource(base_url=origin.url, access_token="t0ken")
        assert resource.accepts_field("test-generation", "generation_sets") is accepted

    @pytest.mark.covers("testgen.error.invalid-generation-set")
    def test_unknown_set_is_reported_with_the_vendor_message(self, testgen: TestGenResource) -> None:
        with pytest.raises(InvalidRequestError, match="Unknown generation set 'Nope'") as raised:
            generation(generation_sets=["Nope"]).start(testgen, attempt())
        assert raised.value.code == "invalid_generation_set"

    @pytest.mark.parametrize("fields", [{"test_suite_id": "orders"}, {"generation_sets": [""]}, {"generation_sets": 7}])
    def test_invalid_fields_are_rejected(self, fields: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            generation(**fields)


class TestAsset:
    __test__ = True

    @pytest.mark.covers("testgen.field.suites-test-count", "testgen.endpoint.list-suites")
    def test_successful_generation_shows_how_many_tests_the_suite_has(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        result = run_generation(sandbox, instance)
        assert result.success
        assert metadata(instance, "tests")["testgen/test_count"] == 25
        assert {name: check.passed for name, check in checks(result).items()} == {"run_status": True}

    @pytest.mark.parametrize("settings", [{"project_code": None}, {"base_url": "testgen-old"}], ids=str)
    def test_unknown_number_of_tests_is_left_out(
        self, settings: dict[str, Any], sandbox: Sandbox, instance: dg.DagsterInstance, testgen_at: TestGenMaker
    ) -> None:
        resource = testgen_at(settings.pop("base_url", "testgen"), **settings)
        asset = build_remote_run_asset(generation(), key="tests")
        assert materialize([asset], sandbox, instance, resources={"testgen": resource}).success
        shown = metadata(instance, "tests")
        assert shown["dagster_runs/state"] == "SUCCEEDED"
        assert "testgen/test_count" not in shown

    def test_failed_generation_fails_the_step(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.set_behavior(SUITE, Behavior(outcome="fail", error="no profiling results"), vendor="testgen")
        result = run_generation(sandbox, instance)
        assert not result.success
        assert "no profiling results" in failure(result)

    @pytest.mark.covers("testgen.endpoint.cancel")
    def test_termination_cancels_the_job(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.set_behavior(SUITE, Behavior(running_seconds=3600), vendor="testgen")
        with at_pause(sandbox, lambda: terminate(instance)):
            result = run_generation(sandbox, instance)
        assert "ended with status canceled" in failure(result)
        assert [run.state for run in sandbox.runs("testgen")] == ["canceled"]

    def test_deferred_generation_is_reported_by_the_completion_sensor(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        # Two runs of the resource are polled with one list.
        assets = [build_remote_run_asset(generation(), key=key, wait="defer") for key in ("tests", "more")]
        driver = Driver(build_completion_sensor(assets), assets, sandbox, instance)
        materialize(assets, sandbox, instance)
        driver.ticks(clock, 6, every=20)
        assert len(reported(instance, "tests")) == len(reported(instance, "more")) == 1

    def test_gate_is_refused(self) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError):
            build_remote_run_asset(generation(), key="tests", gate=QualityGate(max_failures=1))


class TestObservation:
    __test__ = True

    @pytest.mark.covers("testgen.rule.generation-without-suite")
    def test_is_refused_with_the_reason(self) -> None:
        asset = build_remote_run_asset(generation(), key="tests")
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="does not report for which suite"):
            build_observation_sensor([asset])

    @pytest.mark.covers("testgen.rule.generation-without-suite")
    def test_listed_generation_matches_no_run(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        run_id = start_elsewhere(sandbox)
        sandbox.advance(60)
        [listed] = testgen.list_runs(current_clock().wall() - 600) or ()
        assert listed.run_id == run_id
        assert generation().target_of_listed(testgen, listed) == ""
        assert TESTS.target_of_listed(testgen, listed) == ""
        assert generation().status_of_listed(testgen, listed).state is RunState.SUCCEEDED
        unreadable = ListedRun.unreadable(run_id, None)
        assert generation().status_of_listed(testgen, unreadable).state is RunState.SUCCEEDED


class TestLostStarts:
    __test__ = True

    def lose_start(self, sandbox: Sandbox, resource: TestGenResource, kind: Any = "lost_response") -> StartAttempt:
        sandbox.add_fault(Fault(kind, method="POST", times=1))
        lost_attempt = attempt()
        with pytest.raises(VendorError):
            generation().start(resource, lost_attempt)
        return lost_attempt

    def find_candidates(self, resource: TestGenResource, lost_attempt: StartAttempt) -> list[StartCandidate] | None:
        found = generation().find_started(resource, lost_attempt)
        return None if found is None else list(found)

    @pytest.mark.parametrize("mount", ["testgen", "testgen-old"])
    @pytest.mark.covers("lost-start.testgen-generation", "testgen.rule.generation-without-suite")
    def test_every_candidate_is_ambiguous(self, mount: str, sandbox: Sandbox, testgen_at: TestGenMaker) -> None:
        resource = testgen_at(mount)
        lost_attempt = self.lose_start(sandbox, resource)
        current_clock().sleep(60)
        [ours] = sandbox.runs(mount)
        assert self.find_candidates(resource, lost_attempt) == [
            StartCandidate(ours.id, is_ours=False, is_ambiguous=True)
        ]

    def test_generation_of_another_suite_is_a_candidate_too(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        lost_attempt = self.lose_start(sandbox, testgen, "reset")
        other = start_elsewhere(sandbox, well_known.SUITE_CLEAN)
        assert [one.run_id for one in self.find_candidates(testgen, lost_attempt) or ()] == [other]

    @pytest.mark.parametrize("kind", ["run-tests", JOB_KEY])
    def test_other_jobs_are_no_candidates(self, kind: str, sandbox: Sandbox, testgen: TestGenResource) -> None:
        if kind == JOB_KEY:
            start_elsewhere(sandbox)
            current_clock().sleep(3600)
        lost_attempt = self.lose_start(sandbox, testgen, "reset")
        sandbox.start_run(SUITE, vendor="testgen", kind="run-tests", source="api")
        start_elsewhere(sandbox, source="scheduler")
        assert self.find_candidates(testgen, lost_attempt) == []

    def test_job_that_was_canceled_while_pending_is_no_candidate(
        self, sandbox: Sandbox, testgen: TestGenResource
    ) -> None:
        sandbox.set_behavior(SUITE, Behavior(queued_seconds=3600), vendor="testgen")
        lost_attempt = self.lose_start(sandbox, testgen)
        [ours] = sandbox.runs("testgen")
        testgen.cancel_job(ours.id)
        current_clock().sleep(60)
        assert self.find_candidates(testgen, lost_attempt) == []

    @pytest.mark.parametrize("outcome", ["fail", "cancel"])
    def test_job_that_has_started_and_ended_remains_a_candidate(
        self, outcome: Any, sandbox: Sandbox, testgen: TestGenResource
    ) -> None:
        sandbox.set_behavior(SUITE, Behavior(outcome=outcome), vendor="testgen")
        lost_attempt = self.lose_start(sandbox, testgen)
        current_clock().sleep(60)
        assert [one.is_ambiguous for one in self.find_candidates(testgen, lost_attempt) or ()] == [True]

    @pytest.mark.parametrize("field", ["items.0.id", "items.0.status", "items.0.created_at"])
    def test_unreadable_entry_is_ambiguous(self, field: str, sandbox: Sandbox, testgen: TestGenResource) -> None:
        lost_attempt = self.lose_start(sandbox, testgen)
        sandbox.add_fault(Fault("missing_field", field=field, path="/jobs$"))
        [ours] = sandbox.runs("testgen")
        run_id = UNREADABLE_ID if field == "items.0.id" else ours.id
        assert self.find_candidates(testgen, lost_attempt) == [StartCandidate(run_id, is_ours=False, is_ambiguous=True)]

    def test_without_project_code_nothing_can_be_searched(self, testgen_at: TestGenMaker) -> None:
        assert self.find_candidates(testgen_at("testgen", project_code=None), attempt()) is None

    @pytest.mark.covers("lost-start.testgen-generation")
    def test_step_fails_and_names_the_candidate(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        sandbox.add_fault(Fault("lost_response", method="POST", times=1))
        result = run_generation(sandbox, instance, retry_policy=dg.RetryPolicy(max_retries=2))
        [ours] = sandbox.runs("testgen")
        assert f"it is unknown whether one of these runs is ours: {ours.id}" in failure(result)
        assert sandbox.starts("testgen") == 1

    @pytest.mark.covers("lost-start.testgen-generation")
    def test_step_starts_again_if_the_project_has_no_such_job(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(Fault("reset", method="POST", times=1))
        assert run_generation(sandbox, instance).success
        assert entries(instance, "tests") == ["starting", "not_started", "starting", "started"]


class TestNumberOfTests:
    __test__ = True

    @pytest.mark.covers("testgen.field.suites-test-count", "testgen.field.suites-id", "testgen.field.suites-items")
    def test_suite_beyond_the_first_page_is_found(self, origin: Origin) -> None:
        others = [{"test_suite_id": f"other-{number}", "test_count": 1} for number in range(100)]
        origin.replies = [
            Reply(200, {"items": others, "limit": 100, "total": 101}),
            Reply(200, {"items": [{"test_suite_id": SUITE.upper(), "test_count": 7}], "limit": 100, "total": 101}),
        ]
        resource = TestGenResource(base_url=origin.url, access_token="t0ken", project_code="MINE")
        assert resource.count_tests(SUITE) == 7

    @few
    @given(
        body=close_to(
            {
                "items": st.lists(close_to({"test_suite_id": st.just(SUITE), "test_count": st.integers()}), max_size=3),
                "limit": st.just(100),
                "total": st.just(1),
            }
        )
    )
    def test_any_list_gives_a_result_that_dagster_can_store(self, body: Any, origin: Origin) -> None:
        origin.replies = [Reply(200, json.dumps(body)), Reply(200, json.dumps({"items": [], "limit": 1, "total": 0}))]
        resource = TestGenResource(base_url=origin.url, access_token="t0ken", project_code="MINE", max_retries=0)
        status = RunStatus(RunState.SUCCEEDED, "completed")
        result = generation().fetch_result(resource, "j", status, None)
        dg.AssetMaterialization("a", metadata=dict(result.metadata))

    @few
    @given(body=close_to({"id": st.text(max_size=5), "created_at": anything}))
    def test_any_start_body_gives_an_id_or_an_error(self, body: Any, origin: Origin) -> None:
        origin.replies = [Reply(202, json.dumps(body))]
        resource = TestGenResource(base_url=origin.url, access_token="t0ken")
        with contextlib.suppress(UnexpectedResponseError):
            assert generation().start(resource, attempt())
