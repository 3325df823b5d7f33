"""RudderStack Reverse ETL: parsing of responses, including invalid ones."""

import contextlib
import json
from datetime import datetime, timezone
from typing import Any

import dagster as dg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dagster_runs import QualityGate, RudderStackResource, UnexpectedResponseError
from dagster_runs.remote_run.quality import ERROR, WARN
from dagster_runs.remote_run.state import RunState
from dagster_runs.sandbox import Behavior, Fault, Sandbox
from dagster_runs.vendors.rudderstack.models import SyncMetrics
from dagster_runs.vendors.rudderstack.sync import rows_synced
from tests.transport.scripted import Origin, Reply
from tests.vendors.any_json import anything, close_to, few, times
from tests.vendors.retl_runs import CONNECTION, attempt, get_status, start, sync

NESTED = {"succeeded": {"total": 7}, "failed": {"total": 2}, "changed": {"total": 9}, "total": 40}


class TestStates:
    @pytest.mark.parametrize(
        ("vendor_status", "error", "state"),
        [
            ("running", None, RunState.RUNNING),
            ("Running", "", RunState.RUNNING),
            ("running", "boom", RunState.RUNNING),
            ("succeeded", None, RunState.SUCCEEDED),
            ("SUCCEEDED", {}, RunState.SUCCEEDED),
            ("succeeded", "boom", RunState.FAILED),
            ("succeeded", {"code": 7}, RunState.FAILED),
            ("failed", None, RunState.FAILED),
            ("failed", "boom", RunState.FAILED),
            ("finished", None, RunState.UNKNOWN),
            ("aborted", None, RunState.UNKNOWN),
            ("completed with failures", None, RunState.UNKNOWN),
            ("  ", None, RunState.UNKNOWN),
        ],
    )
    @pytest.mark.covers(
        "rudderstack.field.sync-status",
        "rudderstack.field.sync-error",
        "rudderstack.state.sync-running",
        "rudderstack.state.sync-succeeded",
        "rudderstack.state.sync-succeeded-with-error",
        "rudderstack.state.sync-failed",
        "rudderstack.state.sync-any-other-word",
    )
    def test_are_parsed_from_status_and_error(
        self, vendor_status: str, error: Any, state: RunState, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        body = {"status": vendor_status} if error is None else {"status": vendor_status, "error": error}
        sandbox.add_fault(Fault("status", status=200, body=body))
        status = get_status(rudderstack, "s")
        assert (status.state, status.vendor_status) == (state, vendor_status)

    @pytest.mark.parametrize("field_case", ["camel", "snake"])
    @pytest.mark.covers("rudderstack.field.sync-started-at", "rudderstack.field.sync-finished-at")
    def test_camel_and_snake_case_give_the_same_status(
        self, field_case: str, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.set_behavior(CONNECTION, Behavior(field_case=field_case, running_seconds=10))
        run_id = start(rudderstack)
        active = get_status(rudderstack, run_id)
        assert active.state is RunState.RUNNING
        assert active.started_at is not None
        assert active.finished_at is None
        sandbox.advance(60)
        ended = get_status(rudderstack, run_id)
        assert ended.state is RunState.SUCCEEDED
        assert ended.duration_seconds == pytest.approx(10, abs=0.01)

    @pytest.mark.covers("rudderstack.field.sync-metrics")
    def test_documented_example_is_parsed(self, sandbox: Sandbox, rudderstack: RudderStackResource) -> None:
        body = {
            "id": "s",
            "status": "running",
            "startedAt": "2024-04-20T05:58:14.778Z",
            "finishedAt": "2024-04-20T05:58:14.778Z",
            "error": "",
            "metrics": {"succeeded": {"total": 0}, "failed": {"total": 0}, "changed": {"total": 0}, "total": 0},
        }
        sandbox.add_fault(Fault("status", status=200, body=body))
        status = get_status(rudderstack, "s")
        assert status.started_at == datetime(2024, 4, 20, 5, 58, 14, 778000, tzinfo=timezone.utc)
        assert status.raw.metrics == SyncMetrics(succeeded=0, failed=0, changed=0, total=0)

    @pytest.mark.parametrize(
        "body", [{}, {"status": None}, {"status": ""}, {"status": 3}, {"status": ["succeeded"]}, [], 5, {"Status": "x"}]
    )
    @pytest.mark.covers("rudderstack.field.sync-status")
    def test_body_without_a_state_is_quoted(
        self, body: Any, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.add_fault(Fault("status", status=200, body=body))
        with pytest.raises(UnexpectedResponseError) as raised:
            get_status(rudderstack, "s")
        assert json.dumps(body) in str(raised.value)

    @pytest.mark.parametrize("body", [{}, {"syncId": None}, {"syncId": ""}, {"id": "s"}, [], {"syncId": {"id": "s"}}])
    @pytest.mark.covers("rudderstack.field.started-sync-id")
    def test_start_response_without_an_id_may_have_been_accepted(
        self, body: Any, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.add_fault(Fault("status", status=200, body=body))
        with pytest.raises(UnexpectedResponseError) as raised:
            start(rudderstack)
        assert raised.value.may_have_been_accepted

    @pytest.mark.parametrize("name", ["syncId", "sync_id"])
    @pytest.mark.covers("rudderstack.field.started-sync-id")
    def test_both_spellings_of_the_sync_id_are_accepted(
        self, name: str, sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.add_fault(Fault("status", status=200, body={name: "s7"}))
        assert start(rudderstack) == "s7"


class TestMetrics:
    @pytest.mark.parametrize(
        ("metrics", "shown"),
        [
            (NESTED, {"rows_succeeded": 7, "rows_failed": 2, "rows_changed": 9, "rows_total": 40}),
            ({"succeeded": 7, "failed": 2}, {"rows_succeeded": 7, "rows_failed": 2}),
            ({"succeeded": {"total": 7}, "failed": {}}, {"rows_succeeded": 7}),
            ({"succeeded": {"total": "many"}, "failed": {"total": -1}, "total": None}, {}),
            ({"failed": {"total": 0}}, {"rows_failed": 0}),
            (None, {}),
            ([], {}),
            ("none", {}),
        ],
    )
    @pytest.mark.covers(
        "rudderstack.field.sync-metrics",
        "rudderstack.field.sync-metrics-succeeded",
        "rudderstack.field.sync-metrics-failed",
        "rudderstack.field.sync-metrics-changed",
        "rudderstack.field.sync-metrics-total",
    )
    def test_readable_numbers_become_metadata(
        self, metrics: Any, shown: dict[str, int], sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        sandbox.add_fault(Fault("status", status=200, body={"status": "succeeded", "metrics": metrics}))
        status = get_status(rudderstack, "s")
        assert status.state is RunState.SUCCEEDED
        expected = {f"rudderstack/{name}": count for name, count in shown.items()}
        for read in (
            sync().fetch_result(rudderstack, "s", status, None).metadata,
            sync().fetch_progress(rudderstack, "s", status),
        ):
            assert {name: value.value for name, value in read.items()} == expected

    @pytest.mark.parametrize(
        ("failed", "gate", "passed", "severity"),
        [
            (0, None, True, None),
            (1, None, False, ERROR),
            (5, QualityGate(max_failures=5), True, None),
            (6, QualityGate(max_failures=5), False, ERROR),
            (None, None, False, WARN),
            (None, QualityGate(max_failures=5), False, ERROR),
        ],
    )
    def test_failed_rows_decide_the_check(
        self, failed: int | None, gate: QualityGate | None, passed: bool, severity: Any
    ) -> None:
        outcome = rows_synced(SyncMetrics(succeeded=7, failed=failed), gate)
        assert outcome.passed is passed
        if not passed:
            assert outcome.severity is severity

    def test_sync_without_metrics_fails_the_check(self) -> None:
        outcome = rows_synced(None, None)
        assert (outcome.passed, outcome.severity) == (False, WARN)
        assert outcome.description == "RudderStack's response does not contain the number of failed rows"

    def test_sync_without_changed_rows_passes_the_check(self) -> None:
        outcome = rows_synced(SyncMetrics(succeeded=0, failed=0, changed=0, total=40), None)
        assert outcome.passed
        assert outcome.description == "0 rows succeeded, 0 failed"


@pytest.fixture(scope="module")
def at_origin(origin: Origin) -> RudderStackResource:
    return RudderStackResource(access_token="t0ken", base_url=origin.url)


entry = close_to(
    {
        "id": st.sampled_from(["s", "", "s2"]),
        "status": st.sampled_from(["running", "succeeded", "failed", "Succeeded"]),
        "error": st.sampled_from([None, "", "boom", {}, {"message": ""}]),
        "startedAt": times,
        "finished_at": times,
        "metrics": close_to(
            {"succeeded": close_to({"total": st.integers()}), "failed": st.integers(), "total": anything}
        ),
    }
)


class TestAnyBody:
    """Any response gives either a package error or a result that Dagster can store."""

    @few
    @given(body=entry)
    @example(body={"status": "succeeded", "metrics": {"failed": {"total": 1e400}}})
    def test_any_status_body_gives_a_status_or_an_error(
        self, body: Any, origin: Origin, at_origin: RudderStackResource
    ) -> None:
        origin.replies = [Reply(200, json.dumps(body))]
        try:
            status = sync().fetch_status(at_origin, "s")
        except UnexpectedResponseError:
            return
        if status.state is RunState.SUCCEEDED:
            assert not body.get("error")
        result = sync().fetch_result(at_origin, "s", status, None)
        dg.AssetMaterialization("a", metadata=dict(result.metadata))
        [check] = result.checks
        if check.passed:
            assert status.raw.metrics.failed == 0

    @few
    @given(body=close_to({"syncs": st.lists(entry, max_size=3), "paging": close_to({"next": st.just(None)})}))
    def test_any_list_gives_candidates_or_an_error(
        self, body: Any, origin: Origin, at_origin: RudderStackResource
    ) -> None:
        # The second page ends a list whose first one says that there is another.
        origin.replies = [Reply(200, json.dumps(body)), Reply(200, json.dumps(body)), Reply(200, {"syncs": []})]
        with contextlib.suppress(UnexpectedResponseError):
            for candidate in sync().find_started(at_origin, attempt(starting_at=1_700_000_000.0)) or ():
                assert not candidate.is_ours
        origin.replies = [Reply(200, json.dumps(body)), Reply(200, {"syncs": []})]
        with contextlib.suppress(UnexpectedResponseError):
            for listed in at_origin.list_runs(0.0, None, [CONNECTION]) or ():
                assert listed.run_id
                assert sync().target_of_listed(at_origin, listed) == CONNECTION
