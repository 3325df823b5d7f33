"""Prophecy: parsing of responses, including invalid ones."""

import json
from datetime import datetime, timezone
from typing import Any

import dagster as dg
import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from dagster_runs import NotFoundError, ProphecyResource, UnexpectedResponseError, VendorError
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.sandbox import Behavior, Sandbox
from tests.transport.scripted import Origin, Reply
from tests.vendors.any_json import anything, close_to, few, times
from tests.vendors.prophecy_runs import FABRIC, PIPELINE, PROJECT, get_status, pipeline, start, status_of


class TestStates:
    @pytest.mark.parametrize(
        ("vendor_status", "state"),
        [
            ("RUNNING", RunState.RUNNING),
            ("Running", RunState.RUNNING),
            ("SUCCEEDED", RunState.SUCCEEDED),
            ("succeeded", RunState.SUCCEEDED),
            ("ERROR", RunState.FAILED),
            ("error", RunState.FAILED),
            ("QUEUED", RunState.UNKNOWN),
            ("CANCELED", RunState.UNKNOWN),
            ("NOT_SUCCEEDED", RunState.UNKNOWN),
            ("SUCCESS", RunState.UNKNOWN),
            ("🎉", RunState.UNKNOWN),
            ("  ", RunState.UNKNOWN),
        ],
    )
    @pytest.mark.covers(
        "prophecy.field.run-run-status",
        "prophecy.state.running",
        "prophecy.state.succeeded",
        "prophecy.state.error",
        "prophecy.state.any-other-word",
    )
    def test_are_parsed_from_run_status(
        self, vendor_status: str, state: RunState, sandbox: Sandbox, prophecy: ProphecyResource
    ) -> None:
        status = status_of(
            sandbox, prophecy, {"success": True, "runStatus": vendor_status, "updatedAt": "2026-01-01T00:00:00"}
        )
        assert (status.state, status.vendor_status) == (state, vendor_status)
        # `updatedAt` is always set, so it is the end time only if the status is final.
        assert (status.finished_at is not None) is state.is_final

    @pytest.mark.parametrize("time_format", ["naive", "zulu"])
    @pytest.mark.covers("prophecy.field.run-created-at", "prophecy.field.run-updated-at")
    def test_times_with_and_without_a_zone_are_utc(
        self, time_format: str, sandbox: Sandbox, prophecy: ProphecyResource
    ) -> None:
        sandbox.set_behavior(PIPELINE, Behavior(time_format=time_format, running_seconds=12))
        run_id = start(prophecy)
        sandbox.advance(60)
        status = get_status(prophecy, run_id)
        [run] = sandbox.runs("prophecy")
        assert status.started_at is not None
        assert status.started_at.tzinfo is timezone.utc
        assert status.started_at.timestamp() == pytest.approx(run.created_at, abs=0.001)
        assert status.duration_seconds == pytest.approx(12, abs=0.01)

    @pytest.mark.covers("prophecy.endpoint.status")
    def test_documented_example_is_parsed(self, sandbox: Sandbox, prophecy: ProphecyResource) -> None:
        body = {
            "success": True,
            "runId": "MDAw-xZGYzYzc3LTYzdsSdfx--LTQ3NTQ1ZYjI2Mw==",
            "createdAt": "2025-06-17T18:01:49.275359",
            "updatedAt": "2025-06-17T18:02:49.275359",
            "projectId": "41459",
            "pipelineName": "customer_360",
            "fabricId": "33290",
            "runStatus": "SUCCEEDED",
        }
        status = status_of(sandbox, prophecy, body)
        assert status.started_at == datetime(2025, 6, 17, 18, 1, 49, 275359, tzinfo=timezone.utc)
        assert status.duration_seconds == 60

    @pytest.mark.covers("prophecy.field.run-error-message", "prophecy.state.error")
    def test_error_keeps_its_line_breaks(self, sandbox: Sandbox, prophecy: ProphecyResource) -> None:
        body = {"success": True, "runStatus": "ERROR", "errorMessage": "first\n  second\nthird"}
        assert status_of(sandbox, prophecy, body).error == "first\n  second\nthird"

    def test_very_long_error_is_truncated(self, sandbox: Sandbox, prophecy: ProphecyResource) -> None:
        # It is stored with each event of the run.
        body = {"success": True, "runStatus": "ERROR", "errorMessage": "first\n" + "x" * 5_000_000}
        error = status_of(sandbox, prophecy, body).error or ""
        assert error.startswith("first\nxx")
        assert error.endswith("x…")
        assert len(error) < 50_000

    @pytest.mark.parametrize("time", [None, "", "0001-01-01T00:00:00", "soon", [], "9999-12-31T23:59:59-05:00"])
    @pytest.mark.covers("prophecy.field.run-created-at", "prophecy.field.run-updated-at")
    def test_invalid_time_does_not_hide_the_state(
        self, time: Any, sandbox: Sandbox, prophecy: ProphecyResource
    ) -> None:
        body = {"success": True, "runStatus": "SUCCEEDED", "createdAt": time, "updatedAt": time}
        status = status_of(sandbox, prophecy, body)
        assert (status.state, status.started_at, status.finished_at) == (RunState.SUCCEEDED, None, None)

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"success": True},
            {"success": True, "runStatus": None},
            {"success": True, "runStatus": ""},
            {"success": True, "runStatus": 3},
            {"runStatus": "SUCCEEDED"},
            {"success": "perhaps", "runStatus": "SUCCEEDED"},
            [],
            5,
        ],
    )
    @pytest.mark.covers("prophecy.field.run-run-status")
    def test_body_without_a_state_is_quoted(self, body: Any, sandbox: Sandbox, prophecy: ProphecyResource) -> None:
        with pytest.raises(UnexpectedResponseError) as raised:
            status_of(sandbox, prophecy, body)
        assert json.dumps(body) in str(raised.value)


class TestLinks:
    @pytest.mark.covers("prophecy.rule.page-pipeline")
    def test_pipeline_link_opens_the_pipeline(self, sandbox: Sandbox, prophecy: ProphecyResource) -> None:
        run_id = start(prophecy)
        result = pipeline().fetch_result(prophecy, run_id, get_status(prophecy, run_id), None)
        url = result.metadata["prophecy/pipeline_url"].value
        assert url == f"{sandbox.url}/prophecy/metadata/sql/{PROJECT}?entity=pipeline&name={PIPELINE}"
        page = requests.get(url, timeout=10)
        assert page.status_code == 200
        assert f"Project {PROJECT}, pipeline {PIPELINE}" in page.text

    @pytest.mark.covers("prophecy.rule.page-run-history")
    def test_run_url_opens_the_run_history(self) -> None:
        prophecy = ProphecyResource(access_token="pat-x", base_url="https://app.prophecy.io/api")
        assert pipeline().run_url(prophecy, "r") == (
            "https://app.prophecy.io/metadata/ide/observation"
            f"?observationTab=run-history&prFabricId={FABRIC}&prProjectId={PROJECT}"
        )

    def test_names_are_encoded_in_links(self, prophecy: ProphecyResource) -> None:
        run = pipeline(project_id="a/b?c", pipeline_name="d&e f#g")
        url = run.fetch_result(prophecy, "r", RunStatus(RunState.SUCCEEDED, "x"), None).metadata[
            "prophecy/pipeline_url"
        ]
        assert url.value.endswith("/metadata/sql/a%2Fb%3Fc?entity=pipeline&name=d%26e+f%23g")


@pytest.fixture(scope="module")
def at_origin(origin: Origin) -> ProphecyResource:
    return ProphecyResource(access_token="t0ken", base_url=origin.url, max_retries=0)


class TestAnyBody:
    """Any response gives either a package error or a result that Dagster can store."""

    @few
    @given(
        body=close_to(
            {
                "success": st.booleans(),
                "runId": st.text(max_size=5),
                "createdAt": times,
                "updatedAt": times,
                "projectId": st.text(max_size=5),
                "fabricId": st.text(max_size=5) | st.integers(),
                "pipelineName": st.text(max_size=5),
                "runStatus": st.sampled_from(["RUNNING", "ERROR", "SUCCEEDED", "QUEUED"]) | st.text(max_size=9),
                "errorMessage": st.none() | st.text(max_size=9),
                "msg": st.none() | st.text(max_size=9) | st.just("Pipeline run not found"),
            }
        )
    )
    @example(body={"success": True, "runStatus": "SUCCEEDED", "updatedAt": "9999-12-31T23:59:59-05:00"})
    @example(body={"success": False, "runStatus": "SUCCEEDED"})
    @example(body={"success": True, "runStatus": "ERROR", "errorMessage": ["x"]})
    @pytest.mark.covers("prophecy.field.run-run-status")
    def test_any_status_body_gives_a_status_or_an_error(
        self, body: Any, origin: Origin, at_origin: ProphecyResource
    ) -> None:
        origin.replies = [Reply(200, json.dumps(body))]
        status, error = None, None
        try:
            status = get_status(at_origin, "r")
        except VendorError as raised:
            error = raised
        if status is None:
            # Responses other than a rejection by the vendor are quoted.
            assert isinstance(error, UnexpectedResponseError) is (type(error) not in (VendorError, NotFoundError))
            assert not isinstance(error, UnexpectedResponseError) or "the response was" in error.detail
            return
        vendor_status = "".join(character for character in body["runStatus"].casefold() if character.isalnum())
        assert (status.state is RunState.SUCCEEDED) is (vendor_status == "succeeded")
        dg.AssetMaterialization("a", metadata=dict(pipeline().fetch_result(at_origin, "r", status, None).metadata))

    @few
    @given(
        body=close_to(
            {"success": st.booleans(), "runId": st.none() | st.text(max_size=5), "msg": st.none() | st.text(max_size=9)}
        )
    )
    @example(body={"success": False, "runId": {}, "msg": ["Left("]})
    @pytest.mark.covers("prophecy.field.start-run-id")
    def test_any_start_body_gives_an_id_or_an_error(
        self, body: Any, origin: Origin, at_origin: ProphecyResource
    ) -> None:
        origin.replies = [Reply(200, json.dumps(body))]
        run_id, error = "", None
        try:
            run_id = start(at_origin)
        except VendorError as raised:
            error = raised
        if error is None:
            assert run_id == str(body["runId"]) != ""
            assert type(body["runId"]) in (str, int)
        else:
            # Only an explicit rejection means that nothing was started.
            assert error.may_have_been_accepted is isinstance(error, UnexpectedResponseError)

    @few
    @given(
        body=close_to({"msg": anything, "message": anything, "error": anything}),
        status=st.sampled_from([400, 401, 403, 404, 409, 422, 429, 500]),
    )
    def test_any_error_body_raises_the_error_of_its_status(
        self, body: Any, status: int, origin: Origin, at_origin: ProphecyResource
    ) -> None:
        origin.replies = [Reply(status, json.dumps(body))]
        with pytest.raises(VendorError) as raised:
            start(at_origin)
        assert raised.value.status == status
