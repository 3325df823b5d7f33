"""A list with an unreadable entry: the other entries are used, and the entry never means "no such run"."""

import logging
from datetime import datetime, timezone
from typing import Any

import dagster as dg
import pytest

from dagster_runs import (
    AmperityResource,
    RemoteRun,
    RemoteRunResource,
    TestGenResource,
    VendorError,
    build_remote_run_asset,
)
from dagster_runs.remote_run.types import StartAttempt, StartCandidate
from dagster_runs.sandbox import Fault, Sandbox, well_known
from dagster_runs.transport.clock import Clock, current_clock, use_clock
from tests.remote_run.materializing import entries, failure, materialize, metadata, run_tests
from tests.transport.scripted import Origin, Reply
from tests.vendors.amperity_assets import COURIERS, run_workflow
from tests.vendors.conftest import AmperityMaker, TestGenMaker
from tests.vendors.testgen_runs import attempt, suite_run

pytestmark = pytest.mark.usefixtures("clock")
fixes = pytest.mark.fixes("6.7")

LOST = Fault("lost_response", method="POST", times=1)
NEVER_ARRIVED = Fault("reset", method="POST", times=1)
STATE = {"testgen": "status", "amperity": "state"}
LISTS = {"testgen": ("/jobs$", "items"), "amperity": ("/workflow/runs$", "data")}
SUITE = well_known.SUITE_CLEAN


def odd(vendor: str, field: str, value: Any = None, *, index: int = 0) -> Fault:
    """Makes one entry of the vendor's list invalid. `field` is empty for the whole entry."""
    path, name = LISTS[vendor]
    field = STATE[vendor] if field == "state" else field
    where = f"{name}.{index}.{field}".rstrip(".")
    if value == "absent":
        return Fault("missing_field", method="GET", path=path, field=where)
    return Fault("wrong_type", method="GET", path=path, field=where, value=value)


WITH_AN_ID = [("state", None), ("state", "absent"), ("state", ["running"]), ("state", 3), ("state", "")]
WITHOUT_AN_ID = [("id", None), ("id", "absent"), ("id", True), ("id", {"a": 1}), ("", None), ("", "text"), ("", [])]
ODD = WITH_AN_ID + WITHOUT_AN_ID


def lose_start(sandbox: Sandbox, resource: Any, run: RemoteRun[Any], fault: Fault = LOST) -> StartAttempt:
    sandbox.add_fault(fault)
    lost_attempt = attempt()
    with pytest.raises(VendorError):
        run.start(resource, lost_attempt)
    return lost_attempt


def find_candidates(
    resource: RemoteRunResource, run: RemoteRun[Any], lost_attempt: StartAttempt
) -> list[StartCandidate]:
    return list(run.find_started(resource, lost_attempt) or [])


def places(
    testgen_old: TestGenResource, amperity: AmperityResource
) -> list[tuple[str, RemoteRunResource, RemoteRun[Any]]]:
    """Yields vendors where a lost start is identified only by its target and time."""
    return [("testgen-old", testgen_old, suite_run()), ("amperity", amperity, COURIERS)]


@fixes
class TestExternalEntry:
    @pytest.mark.parametrize(("field", "value"), ODD)
    @pytest.mark.covers("lost-start.unreadable-entry")
    def test_does_not_hide_the_job_with_our_correlation_id(
        self, field: str, value: Any, sandbox: Sandbox, testgen: TestGenResource
    ) -> None:
        lost_attempt = lose_start(sandbox, testgen, suite_run())
        sandbox.start_run(SUITE, vendor="testgen", source="api")
        sandbox.add_fault(odd("testgen", field, value))
        one = next(one for one in find_candidates(testgen, suite_run(), lost_attempt) if one.is_ours)
        assert one.run_id == sandbox.runs("testgen")[0].id

    @pytest.mark.parametrize(("field", "value"), WITH_AN_ID)
    def test_is_not_a_candidate_if_the_server_record_excludes_it(
        self, field: str, value: Any, sandbox: Sandbox, testgen: TestGenResource
    ) -> None:
        lost_attempt = lose_start(sandbox, testgen, suite_run(), NEVER_ARRIVED)
        sandbox.start_run(SUITE, vendor="testgen", source="api")
        sandbox.add_fault(odd("testgen", field, value))
        assert find_candidates(testgen, suite_run(), lost_attempt) == []

    @pytest.mark.parametrize(("field", "value"), ODD)
    def test_is_ambiguous_if_it_may_be_our_run(
        self, field: str, value: Any, sandbox: Sandbox, testgen_old: TestGenResource, amperity: AmperityResource
    ) -> None:
        for mount, resource, run in places(testgen_old, amperity):
            sandbox.clear_faults()
            lost_attempt = lose_start(sandbox, resource, run, NEVER_ARRIVED)
            sandbox.start_run(run.target, vendor=mount, source="api")
            sandbox.add_fault(odd(mount.partition("-")[0], field, value))
            current_clock().sleep(5)
            [only] = find_candidates(resource, run, lost_attempt)
            assert only.is_ambiguous
            assert not only.is_ours

    @pytest.mark.parametrize(("field", "value"), WITH_AN_ID)
    def test_from_before_the_start_is_not_a_candidate(
        self, field: str, value: Any, sandbox: Sandbox, testgen_old: TestGenResource, amperity: AmperityResource
    ) -> None:
        for mount, resource, run in places(testgen_old, amperity):
            sandbox.clear_faults()
            sandbox.start_run(run.target, vendor=mount, source="api")
            current_clock().sleep(60)
            lost_attempt = lose_start(sandbox, resource, run, NEVER_ARRIVED)
            sandbox.add_fault(odd(mount.partition("-")[0], field, value))
            assert find_candidates(resource, run, lost_attempt) == []


@fixes
class TestOwnEntry:
    """Concluding "no such run" would start a second one."""

    @pytest.mark.parametrize(("field", "value"), WITH_AN_ID)
    def test_is_found_by_the_correlation_id(
        self, field: str, value: Any, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(LOST)
        sandbox.add_fault(odd("testgen", field, value))
        assert run_tests(sandbox, instance).success
        assert sandbox.starts("testgen") == 1
        assert metadata(instance, "quality")["dagster_runs/run_id"] == sandbox.runs("testgen")[0].id

    @pytest.mark.parametrize(("field", "value"), WITHOUT_AN_ID)
    @pytest.mark.covers("lost-start.unreadable-entry")
    def test_without_an_id_leaves_the_outcome_unknown(
        self, field: str, value: Any, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(LOST)
        sandbox.add_fault(odd("testgen", field, value))
        assert "without a readable ID" in failure(run_tests(sandbox, instance))
        assert sandbox.starts("testgen") == 1
        assert entries(instance, "quality") == ["starting"]

    @pytest.mark.parametrize(("field", "value"), ODD[::3])
    def test_leaves_the_outcome_unknown_at_amperity(
        self, field: str, value: Any, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        sandbox.add_fault(LOST)
        sandbox.add_fault(odd("amperity", field, value))
        assert "unknown whether one of these runs is ours" in failure(run_workflow(sandbox, instance))
        assert sandbox.starts("amperity") == 1
        assert entries(instance, "customers") == ["starting"]

    @pytest.mark.parametrize(
        "entry",
        [
            None,
            {"id": "j", "status": "running", "source": "api", "created_at": None},
            {"id": "j", "status": "running", "source": "api"},
            {"id": "j", "status": None, "source": "api", "created_at": "soon"},
            {"id": ["j"], "status": "running", "source": "api", "created_at": 1e30},
        ],
    )
    def test_without_a_time_stays_ambiguous_a_day_later(
        self, entry: Any, origin: Origin, testgen_at: TestGenMaker
    ) -> None:
        # A step re-executed the next day does not know when the entry was created.
        page = {"items": [entry], "page": 1, "limit": 100, "total": 1}
        origin.replies = [Reply(200, page), Reply(200, {"test_suite_id": SUITE})]
        resource = testgen_at("testgen", base_url=origin.url, max_retries=0)
        lost_attempt = attempt(starting_at=current_clock().wall() - 86_400)
        [only] = find_candidates(resource, suite_run(), lost_attempt)
        assert only.is_ambiguous

    def test_is_found_after_an_unreadable_entry_with_an_old_time(
        self, origin: Origin, testgen_at: TestGenMaker
    ) -> None:
        # The list is newest first, but the time of an unreadable entry does not prove where to stop.
        with use_clock(Clock()) as clock:
            now = clock.wall()
            made = datetime.fromtimestamp(now, timezone.utc).isoformat()
            ours = {"id": "j", "status": "running", "source": "api", "created_at": made}
            strange = {"id": "k", "status": None, "source": "api", "created_at": "2001-01-01T00:00:00Z"}
            page = {"items": [strange, ours], "page": 1, "limit": 100, "total": 2}
            origin.replies = [Reply(200, page), Reply(200, {"test_suite_id": SUITE})]
            resource = testgen_at("testgen", base_url=origin.url, max_retries=0)
            assert [one.run_id for one in find_candidates(resource, suite_run(), attempt(starting_at=now))] == ["j"]


@fixes
def test_integer_run_id_in_a_list_is_accepted(origin: Origin, amperity_at: AmperityMaker) -> None:
    entry = {"id": 7, "state": "running", "type": "courier.group/run", "created_at": "2026-01-01T00:00:01Z"}
    origin.replies = [Reply(200, {"data": [entry]})]
    listed = amperity_at(base_url=origin.url).list_runs(0.0)
    assert listed is not None
    assert {one.run_id for one in listed} == {"7"}


def test_list_field_of_another_type_raises(origin: Origin, amperity_at: AmperityMaker) -> None:
    origin.replies = [Reply(200, {"data": {"id": "wf-1"}})]
    with pytest.raises(VendorError, match="data"):
        list(amperity_at(base_url=origin.url).list_workflows())


@fixes
def test_unreadable_entry_is_logged_once_without_its_content(
    origin: Origin, amperity_at: AmperityMaker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_runs.remote_run import response_models

    monkeypatch.setattr(response_models, "_logged", set())
    fine = {"id": "wf-1", "state": "running"}
    origin.replies = [Reply(200, {"data": [fine, None, {"id": "wf-2", "state": None, "name": "private"}, fine]})]
    resource = amperity_at(base_url=origin.url)
    with caplog.at_level(logging.WARNING, logger="dagster_runs"):
        for _ in range(5):
            assert [one.id for one in resource.list_workflows() if one.id] == ["wf-1", "wf-2", "wf-1"]
    [line] = [record.getMessage() for record in caplog.records]
    assert "amperity.models.Workflow" in line
    assert "private" not in line


@fixes
def test_other_failing_tests_are_reported(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("wrong_type", path="/results$", field="items.0", value=None))
    materialize([build_remote_run_asset(suite_run(well_known.SUITE_ORDERS), key="quality")], sandbox, instance)
    assert len(metadata(instance, "quality")["testgen/failing_tests"].records) > 3
