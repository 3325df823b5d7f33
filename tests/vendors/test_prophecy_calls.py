"""Prophecy: requests, and fields that are rejected before sending."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from dagster_runs import (
    ProphecyResource,
    __version__,
)
from dagster_runs.remote_run.state import RunState
from dagster_runs.sandbox import Sandbox, well_known
from tests.vendors.any_json import anything, few
from tests.vendors.prophecy_runs import ATTEMPT, FABRIC, PIPELINE, PROJECT, REQUIRED, get_status, pipeline, start


class TestConnection:
    @pytest.mark.parametrize(
        ("fields", "url"),
        [
            ({}, "https://app.prophecy.io"),
            ({"base_url": " https://g36b-sbox.sap.cloud.prophecy.ai/ "}, "https://g36b-sbox.sap.cloud.prophecy.ai"),
            ({"base_url": "https://app.prophecy.io/api/"}, "https://app.prophecy.io"),
        ],
    )
    @pytest.mark.covers("prophecy.login.environment-address")
    def test_base_url_is_normalized(self, fields: dict[str, Any], url: str) -> None:
        assert ProphecyResource(access_token="pat-x", **fields).http().base_url == url

    def test_token_is_not_in_the_repr(self) -> None:
        assert "pat-secret" not in repr(ProphecyResource(access_token="pat-secret"))


class TestRequests:
    @pytest.mark.covers(
        "prophecy.endpoint.start",
        "prophecy.parameter.fabric-id",
        "prophecy.parameter.pipeline-name",
        "prophecy.parameter.project-id",
        "prophecy.parameter.branch",
        "prophecy.parameter.version",
        "prophecy.parameter.process-name",
        "prophecy.field.start-run-id",
        "prophecy.login.header-x-auth-token",
    )
    def test_only_required_fields_by_default(self, sandbox: Sandbox, prophecy: ProphecyResource) -> None:
        run_id = start(prophecy)
        [request] = sandbox.requests("prophecy")
        assert (request.method, request.path) == ("POST", "/prophecy/api/trigger/pipeline")
        assert request.body == REQUIRED
        assert type(request.body["fabricId"]) is int
        assert request.headers["content-type"] == "application/json"
        assert request.headers["x-auth-token"] == "valid"
        assert request.headers["user-agent"] == f"dagster-runs/{__version__}"
        assert "authorization" not in request.headers
        assert run_id == request.started_run

    @pytest.mark.covers(
        "prophecy.endpoint.start",
        "prophecy.parameter.fabric-id",
        "prophecy.parameter.pipeline-name",
        "prophecy.parameter.project-id",
        "prophecy.parameter.parameters",
        "prophecy.parameter.branch",
        "prophecy.parameter.version",
        "prophecy.parameter.process-name",
        "prophecy.field.start-run-id",
        "prophecy.login.header-x-auth-token",
    )
    def test_every_field_is_sent_when_set(self, sandbox: Sandbox, prophecy: ProphecyResource) -> None:
        start(
            prophecy,
            parameters={"text": "a b", "whole": 7, "real": 0.5, "big": 10**20, "empty": ""},
            branch="main",
            version="1.10",
            process_name="join_orders",
        )
        [request] = sandbox.requests("prophecy")
        parameters = {
            "text": "a b",
            "whole": "7",
            "real": "0.5",
            "big": "100000000000000000000",
            "empty": "",
        }
        more = {"parameters": parameters, "branch": "main", "version": "1.10", "processName": "join_orders"}
        assert request.body == {**REQUIRED, **more}
        assert request.started_run

    @pytest.mark.covers("prophecy.parameter.fabric-id")
    def test_ids_may_be_strings_or_numbers(self, sandbox: Sandbox, prophecy: ProphecyResource) -> None:
        start(prophecy, fabric_id=str(FABRIC), project_id=int(PROJECT))
        [request] = sandbox.requests("prophecy")
        assert request.body == REQUIRED

    @pytest.mark.covers("prophecy.field.run-run-id")
    def test_fabric_id_returned_as_text_is_accepted(self, sandbox: Sandbox, prophecy: ProphecyResource) -> None:
        run_id = start(prophecy)
        path = f"{sandbox.url}/prophecy/api/trigger/pipeline/{quote(run_id, safe='')}"
        response = requests.get(path, headers={"X-AUTH-TOKEN": well_known.PROPHECY_TOKEN}, timeout=10).json()
        assert response["fabricId"] == str(FABRIC)
        assert get_status(prophecy, run_id).state is RunState.RUNNING

    @pytest.mark.parametrize("id_format", ["dashes", "base64"])
    @pytest.mark.covers("prophecy.endpoint.status", "prophecy.parameter.run-id")
    def test_run_id_is_percent_encoded(self, id_format: str, sandbox: Sandbox, prophecy: ProphecyResource) -> None:
        sandbox.configure("prophecy", id_format=id_format)
        run_id = start(prophecy)
        assert set("==" if id_format == "dashes" else "/+") <= set(run_id)
        assert get_status(prophecy, run_id).state is RunState.RUNNING
        path = sandbox.requests("prophecy")[-1].path
        assert path == f"/prophecy/api/trigger/pipeline/{quote(run_id, safe='')}"


class TestFields:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"fabric_id": 0}, "fabric_id"),
            ({"fabric_id": -1}, "fabric_id"),
            ({"fabric_id": 2**63}, "fabric_id"),
            ({"fabric_id": "prod"}, "fabric_id"),
            ({"fabric_id": 1.5}, "fabric_id"),
            ({"fabric_id": None}, "fabric_id"),
            ({"project_id": ""}, "project_id"),
            ({"pipeline_name": ""}, "pipeline_name"),
            ({"pipeline_name": 7}, "pipeline_name"),
            ({"parameters": {"a": [1]}}, "strings or numbers, not a list"),
            ({"parameters": {"a": {"b": 1}}}, "strings or numbers"),
            ({"parameters": {"a": True}}, "strings or numbers, not a bool; pass the value as a string"),
            ({"parameters": {"a": False}}, "strings or numbers, not a bool"),
            ({"parameters": {"a": None}}, "strings or numbers, not None"),
            ({"parameters": {"a": float("nan")}}, "strings or numbers"),
            ({"parameters": {"a": float("inf")}}, "strings or numbers"),
            ({"parameters": {"a": datetime(2026, 1, 1)}}, "strings or numbers"),
            ({"parameters": {7: "a"}}, "parameters"),
            ({"parameters": ["a"]}, "parameters"),
            ({"version": 1.1}, "version"),
            ({"pipeline": PIPELINE}, "pipeline"),
        ],
    )
    @pytest.mark.covers("prophecy.parameter.parameters")
    def test_invalid_fields_are_rejected(self, fields: dict[str, Any], expected: str) -> None:
        with pytest.raises(ValidationError, match=expected):
            pipeline(**fields)

    @few
    @given(parameters=st.dictionaries(st.text(max_size=3), anything, max_size=2) | anything)
    @example(parameters={"a": 10**400})
    @example(parameters={"a": 10**5000})
    def test_parameters_become_strings_or_are_rejected(self, parameters: Any) -> None:
        try:
            kept = pipeline(parameters=parameters).parameters
        except ValidationError:
            return
        assert all(isinstance(value, str) for value in kept.values())
        assert set(kept) == set(parameters)

    def test_fields_are_immutable(self) -> None:
        with pytest.raises(ValidationError):
            pipeline().branch = "other"  # type: ignore[misc]

    def test_target_is_project_and_pipeline(self) -> None:
        assert pipeline().target == f"{PROJECT}/{PIPELINE}"

    @pytest.mark.covers("prophecy.endpoint.cancel-run")
    def test_cancel_search_and_idempotent_start_are_unsupported(self, prophecy: ProphecyResource) -> None:
        run = pipeline()
        assert not run.can_cancel()
        assert not run.start_is_idempotent
        assert run.find_started(prophecy, ATTEMPT) is None
        with pytest.raises(NotImplementedError):
            run.cancel(prophecy, "r")
