"""TestGen servers before 5.134: fields that they ignore, and values that they never return."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_runs import InvalidRequestError, TestGenResource, build_remote_run_asset
from dagster_runs.remote_run.types import StartAttempt
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import VendorError
from tests.remote_run.materializing import failure, materialize, metadata
from tests.transport.scripted import Origin, Reply
from tests.vendors.conftest import TestGenMaker
from tests.vendors.testgen_runs import attempt, group_run, suite_run

pytestmark = pytest.mark.usefixtures("clock")

SUITE, GROUP = well_known.SUITE_CLEAN, well_known.TABLE_GROUP
SUBMISSION = "/api/v1/test-suites/{test_suite_id}/test-runs"
RECORDED = Path(__file__).parent / "recorded" / "testgen-5.134.0-openapi.json"


def recorded() -> dict[str, Any]:
    """The OpenAPI document of a 5.134.0 server, without most of its paths."""
    document: dict[str, Any] = json.loads(RECORDED.read_text())
    return document


def older() -> dict[str, Any]:
    """The same document of 5.33.3 and 5.92.2: no request body, and the field only in the export schema."""
    document = recorded()
    del document["paths"][SUBMISSION]["post"]["requestBody"]
    del document["components"]["schemas"]["TestRunRequest"]
    assert "match_schema_name" in str(document)
    return document


def with_schema(schema: Any, **schemas: Any) -> dict[str, Any]:
    document = recorded()
    document["paths"][SUBMISSION]["post"]["requestBody"]["content"]["application/json"]["schema"] = schema
    document["components"]["schemas"] |= schemas
    return document


def without_the_field() -> dict[str, Any]:
    document = recorded()
    del document["components"]["schemas"]["TestRunRequest"]["properties"]["match_schema_name"]
    return document


def of_another_path() -> dict[str, Any]:
    document = recorded()
    paths = document["paths"]
    paths["/api/v1/test-suites/{test_suite_id}/test-runs/{job_id}/again"] = paths.pop(SUBMISSION)
    return document


def by_references() -> dict[str, Any]:
    document = recorded()
    body = document["paths"][SUBMISSION]["post"]["requestBody"]
    document["components"]["requestBodies"] = {"a/b": body}
    document["paths"][SUBMISSION]["post"]["requestBody"] = {"$ref": "#/components/requestBodies/a~1b"}
    return document


LOOP = {"$ref": "#/components/schemas/Loop"}
FIELD = {"properties": {"match_schema_name": {"type": "string"}}}
READS_IT = {
    "as recorded": recorded(),
    "by references": by_references(),
    "written in place": with_schema(FIELD),
    "all of several": with_schema({"allOf": [{"type": "object"}, {"$ref": "#/components/schemas/TestRunRequest"}]}),
}
IGNORES_IT = {
    "as older servers have it": older(),
    "a body without the field": without_the_field(),
    "another path": of_another_path(),
    "a reference to itself": with_schema(LOOP, Loop={"anyOf": [LOOP]}),
    "a reference to nothing": with_schema({"$ref": "#/components/schemas/Nothing"}),
    "a reference elsewhere": with_schema({"$ref": "https://example.com/schema.json"}),
    "no paths": {"match_schema_name": True},
    "no object": ["match_schema_name"],
    "odd parts": {"paths": {SUBMISSION: {"post": {"requestBody": ["match_schema_name"]}}}},
}


class TestMatchSchemaName:
    @pytest.mark.parametrize("document", READS_IT.values(), ids=READS_IT)
    def test_is_sent_if_the_submission_endpoint_reads_it(
        self, document: Any, origin: Origin, testgen_at: TestGenMaker
    ) -> None:
        origin.replies = [Reply(200, document), Reply(202, {"id": "j"})]
        assert suite_run(match_schema_name="other").start(testgen_at("testgen", base_url=origin.url), attempt()) == "j"
        assert json.loads(origin.seen[-1].body)["match_schema_name"] == "other"

    @pytest.mark.fixes("6.9")
    @pytest.mark.parametrize("document", IGNORES_IT.values(), ids=IGNORES_IT)
    def test_is_rejected_if_the_submission_endpoint_ignores_it(
        self, document: Any, origin: Origin, testgen_at: TestGenMaker
    ) -> None:
        origin.seen.clear()
        origin.replies = [Reply(200, document), Reply(202, {"id": "j"})]
        with pytest.raises(InvalidRequestError, match="ignores match_schema_name"):
            suite_run(match_schema_name="other").start(testgen_at("testgen", base_url=origin.url), attempt())
        assert [request.method for request in origin.seen] == ["GET"]

    @pytest.mark.fixes("6.9")
    def test_fails_the_step_on_an_older_server(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        asset = build_remote_run_asset(suite_run(match_schema_name="other"), key="quality")
        result = materialize([asset], sandbox, instance, resources=older_server(sandbox))
        assert "ignores match_schema_name" in failure(result)
        assert sandbox.starts("testgen-old") == 0


def older_server(sandbox: Sandbox, **fields: Any) -> dict[str, TestGenResource]:
    given = {
        "base_url": f"{sandbox.url}/testgen-old",
        "access_token": well_known.TESTGEN_TOKEN,
        "project_code": well_known.TESTGEN_PROJECT,
        **fields,
    }
    return {"testgen": TestGenResource(**given)}


def start_and_cancel_while_pending(sandbox: Sandbox, resource: TestGenResource, run: Any, mount: str) -> str:
    """Starts an external job, which never gets a record with its suite or table group."""
    sandbox.set_behavior(run.target, [Behavior(queued_seconds=3600, cancel_seconds=2), Behavior()], vendor=mount)
    job_id = sandbox.start_run(run.target, vendor=mount, source="api").id
    resource.cancel_job(job_id)
    current_clock().sleep(3)
    assert resource.get_job(job_id).status == "canceled"
    assert run._record(resource, job_id).target_id is None
    return job_id


@pytest.mark.parametrize("case", ["tests on old", "profiling on old", "profiling on new"])
class TestJobCanceledWhilePending:
    @pytest.fixture
    def place(self, case: str, testgen_at: TestGenMaker) -> tuple[str, TestGenResource, Any]:
        kind, _, age = case.split()
        mount = "testgen-old" if age == "old" else "testgen"
        return mount, testgen_at(mount), suite_run() if kind == "tests" else group_run()

    @pytest.mark.fixes("6.9")
    def test_is_not_confused_with_a_lost_start(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, place: tuple[str, TestGenResource, Any]
    ) -> None:
        mount, resource, run = place
        lost_attempt = attempt()
        start_and_cancel_while_pending(sandbox, resource, run, mount)
        lose_start(sandbox, resource, run)
        current_clock().sleep(60)
        ours = sandbox.runs(mount)[-1].id
        [only] = run.find_started(resource, lost_attempt)
        assert (only.run_id, only.is_ambiguous) == (ours, False)

    def test_is_ambiguous_while_it_is_pending(self, sandbox: Sandbox, place: tuple[str, TestGenResource, Any]) -> None:
        mount, resource, run = place
        sandbox.set_behavior(run.target, Behavior(queued_seconds=3600), vendor=mount)
        lost_attempt = attempt()
        lose_start(sandbox, resource, run)
        assert [one.is_ambiguous for one in run.find_started(resource, lost_attempt)] == [True]

    def test_is_ambiguous_while_it_is_being_canceled(
        self, sandbox: Sandbox, place: tuple[str, TestGenResource, Any]
    ) -> None:
        mount, resource, run = place
        sandbox.set_behavior(run.target, Behavior(queued_seconds=3600, cancel_seconds=600), vendor=mount)
        lost_attempt = attempt()
        lose_start(sandbox, resource, run)
        resource.cancel_job(sandbox.runs(mount)[0].id)
        assert [one.is_ambiguous for one in run.find_started(resource, lost_attempt)] == [True]

    def test_is_a_candidate_once_it_has_a_record(
        self, sandbox: Sandbox, place: tuple[str, TestGenResource, Any]
    ) -> None:
        # Canceled while running: it may be our run, so its outcome must be reported.
        mount, resource, run = place
        sandbox.set_behavior(run.target, Behavior(running_seconds=600, cancel_seconds=2), vendor=mount)
        lost_attempt = attempt()
        lose_start(sandbox, resource, run)
        current_clock().sleep(120)
        resource.cancel_job(sandbox.runs(mount)[0].id)
        current_clock().sleep(10)
        assert [one.is_ambiguous for one in run.find_started(resource, lost_attempt)] == [False]


def lose_start(sandbox: Sandbox, resource: TestGenResource, run: Any) -> StartAttempt:
    sandbox.add_fault(Fault("lost_response", method="POST", path="-runs$", times=1))
    lost_attempt = attempt()
    with pytest.raises(VendorError):
        run.start(resource, lost_attempt)
    return lost_attempt


@pytest.mark.fixes("6.9")
@pytest.mark.covers("lost-start.canceled-pending-job")
def test_lost_start_is_attached_to_despite_a_canceled_job(
    sandbox: Sandbox, instance: dg.DagsterInstance, testgen_old: TestGenResource
) -> None:
    start_and_cancel_while_pending(sandbox, testgen_old, suite_run(), "testgen-old")
    sandbox.add_fault(Fault("lost_response", method="POST", times=1))
    asset = build_remote_run_asset(suite_run(), key="quality")
    assert materialize([asset], sandbox, instance, resources=older_server(sandbox)).success
    _, ours = sandbox.runs("testgen-old")
    assert metadata(instance, "quality")["dagster_runs/run_id"] == ours.id


@pytest.mark.fixes("6.9")
@pytest.mark.covers("wait.404-from-start")
def test_job_that_never_existed_counts_as_lost_after_one_minute(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    # 5.92.2 accepted one start in eight with 202 for a job that it never created.
    sandbox.add_fault(Fault("status", method="POST", status=202, body={"id": str(SUITE)}, times=1))
    asset = build_remote_run_asset(suite_run(), key="quality")
    begun = clock.monotonic()
    result = materialize([asset], sandbox, instance, resources=older_server(sandbox))
    assert "is no longer known" in failure(result)
    assert 60 < clock.monotonic() - begun < 90


@pytest.mark.fixes("6.9")
@pytest.mark.covers("wait.404-from-start")
def test_retry_starts_a_new_run_for_a_job_that_never_existed(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    sandbox.add_fault(Fault("status", method="POST", status=202, body={"id": str(SUITE)}, times=1))
    retry = dg.RetryPolicy(max_retries=1)
    asset = build_remote_run_asset(suite_run(), key="quality", retry_policy=retry)
    begun = clock.monotonic()
    assert materialize([asset], sandbox, instance, resources=older_server(sandbox)).success
    assert sandbox.starts("testgen-old") == 1
    assert clock.monotonic() - begun < 110


def test_job_not_found_right_after_the_start_is_polled_again(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    # Versions up to 5.33 store a job after they have responded.
    sandbox.add_fault(Fault("not_found", method="GET", path="/jobs/", times=4))
    asset = build_remote_run_asset(suite_run(), key="quality")
    result = materialize([asset], sandbox, instance, resources=older_server(sandbox))
    assert result.success
    lines = [record.user_message for record in instance.all_logs(result.run_id)]
    assert not [line for line in lines if "Status check failed" in line]
