"""RudderStack Profiles: requests, fields that are rejected before sending, and errors."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from dagster_runs import (
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RudderStackProfilesRun,
    RudderStackResource,
    ServerError,
    VendorError,
    __version__,
)
from dagster_runs.sandbox import Fault, Sandbox, well_known
from tests.vendors.rudderstack_runs import PROJECT, get_status, start


class TestAddress:
    @pytest.mark.parametrize(
        ("fields", "url"),
        [
            ({}, "https://api.rudderstack.com/v2"),
            ({"region": "us"}, "https://api.rudderstack.com/v2"),
            ({"region": "eu"}, "https://api.eu.rudderstack.com/v2"),
            ({"base_url": "https://rs.example.com"}, "https://rs.example.com/v2"),
            ({"base_url": "https://rs.example.com/"}, "https://rs.example.com/v2"),
            ({"base_url": "https://rs.example.com/v2"}, "https://rs.example.com/v2"),
            ({"base_url": " https://rs.example.com/v2/ "}, "https://rs.example.com/v2"),
            ({"base_url": "https://rs.example.com/proxy/v2"}, "https://rs.example.com/proxy/v2"),
            ({"base_url": "https://rs.example.com", "region": "eu"}, "https://rs.example.com/v2"),
        ],
    )
    @pytest.mark.covers("rudderstack.endpoint.us-eu-hosts", "rudderstack.endpoint.host-with-or-without-v2")
    def test_api_url_depends_on_region_and_base_url(self, fields: dict[str, Any], url: str) -> None:
        resource = RudderStackResource(access_token="t0ken", **fields)
        assert resource.api_url() == url
        assert resource.http().base_url == url

    @pytest.mark.parametrize("region", ["asia", "us-east", ""])
    @pytest.mark.covers("rudderstack.endpoint.us-eu-hosts")
    def test_unknown_region_is_rejected(self, region: str) -> None:
        with pytest.raises(ValidationError, match="region"):
            RudderStackResource(access_token="t0ken", region=region)

    @pytest.mark.parametrize("suffix", ["", "/", "/v2", "/v2/"])
    @pytest.mark.covers("rudderstack.endpoint.host-with-or-without-v2")
    def test_base_url_works_with_and_without_the_version(self, suffix: str, sandbox: Sandbox) -> None:
        resource = RudderStackResource(
            access_token=well_known.RUDDERSTACK_TOKEN, base_url=f"{sandbox.url}/rudderstack{suffix}"
        )
        start(resource)
        assert sandbox.starts("rudderstack") == 1


class TestRequests:
    @pytest.mark.covers(
        "rudderstack.endpoint.start",
        "rudderstack.parameter.parameters",
        "rudderstack.login.authorization",
        "rudderstack.login.service-access-token",
    )
    def test_start_without_parameters_has_no_body(self, sandbox: Sandbox, rudderstack: RudderStackResource) -> None:
        run_id = start(rudderstack)
        [request] = sandbox.requests("rudderstack")
        assert (request.method, request.path) == ("POST", f"/rudderstack/v2/sources/{PROJECT}/start")
        assert request.body is None
        assert "content-type" not in request.headers
        assert request.headers["authorization"] == "valid"
        assert request.headers["user-agent"] == f"dagster-runs/{__version__}"
        assert run_id == request.started_run

    @pytest.mark.covers("rudderstack.endpoint.status")
    def test_status_path_contains_project_and_run(self, sandbox: Sandbox, rudderstack: RudderStackResource) -> None:
        run_id = start(rudderstack)
        get_status(rudderstack, run_id)
        path = sandbox.requests("rudderstack")[-1].path
        assert path == f"/rudderstack/v2/sources/{PROJECT}/runs/{run_id}/status"

    @pytest.mark.parametrize(
        ("fields", "parameters"),
        [
            ({"model_refs": ["models/id_graph"]}, ["--model_refs models/id_graph"]),
            ({"model_refs": ["models/a", "models/b"]}, ["--model_refs models/a", "--model_refs models/b"]),
            ({"begin_time": "2026-01-02T03:04:05Z"}, ["--begin_time 2026-01-02T03:04:05Z"]),
            ({"begin_time": "2026-01-02T03:04:05"}, ["--begin_time 2026-01-02T03:04:05Z"]),
            ({"begin_time": "2026-01-02T03:04:05+02:00"}, ["--begin_time 2026-01-02T01:04:05Z"]),
            ({"begin_time": "2026-01-02"}, ["--begin_time 2026-01-02T00:00:00Z"]),
            (
                {"begin_time": datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=-5)))},
                ["--begin_time 2026-01-02T05:00:00Z"],
            ),
            ({"end_time": "2026-01-02T03:04:05Z"}, ["--end_time 2026-01-02T03:04:05Z"]),
            ({"rebase_incremental": True}, ["--rebase_incremental"]),
            ({"rebase_incremental": False, "parameters": ["--rebase_incremental"]}, ["--rebase_incremental"]),
            (
                {
                    "parameters": ["--rebase_incremental true"],
                    "end_time": "2026-01-03",
                    "begin_time": "2026-01-02",
                    "model_refs": ["m"],
                },
                [
                    "--model_refs m",
                    "--begin_time 2026-01-02T00:00:00Z",
                    "--end_time 2026-01-03T00:00:00Z",
                    "--rebase_incremental true",
                ],
            ),
        ],
    )
    @pytest.mark.covers(
        "rudderstack.parameter.parameters",
        "rudderstack.parameter.model-refs",
        "rudderstack.parameter.begin-time",
        "rudderstack.parameter.end-time",
        "rudderstack.parameter.rebase-incremental",
        "rudderstack.parameter.future-parameters",
    )
    def test_each_parameter_is_one_string_with_flag_and_value(
        self, fields: dict[str, Any], parameters: list[str], sandbox: Sandbox, rudderstack: RudderStackResource
    ) -> None:
        start(rudderstack, **fields)
        [request] = sandbox.requests("rudderstack")
        assert request.body == {"parameters": parameters}
        assert request.headers["content-type"] == "application/json"
        assert request.status == 200


class TestFields:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"profiles_id": ""}, "profiles_id"),
            ({"profiles_id": "a/b"}, "profiles_id"),
            ({"profiles_id": "../x"}, "profiles_id"),
            ({"profiles_id": "a b"}, "profiles_id"),
            ({"profiles_id": f"{PROJECT}\n"}, "profiles_id"),
            ({"profiles_id": "x" * 201}, "profiles_id"),
            ({"profiles_id": None}, "profiles_id"),
            ({"model_refs": "models/a"}, "model_refs"),
            ({"model_refs": [""]}, "model_refs"),
            ({"model_refs": ["models/a models/b"]}, "model_refs"),
            ({"model_refs": ["--begin_time"]}, "model_refs"),
            ({"begin_time": "yesterday"}, "begin_time"),
            ({"begin_time": "2026-02-30"}, "begin_time"),
            ({"begin_time": "20261101"}, "is not a time; write it as 2026-11-01"),
            ({"end_time": 20261101}, "is not a time; write it as 2026-11-01"),
            ({"end_time": "{window_end"}, "end_time"),
            ({"begin_time": "2026-01-02", "end_time": "2026-01-01"}, r"begin_time .* must be before end_time"),
            ({"begin_time": "2026-01-02", "end_time": "2026-01-02"}, r"begin_time .* must be before end_time"),
            (
                {"begin_time": "2026-01-02T00:00:00+00:00", "end_time": "2026-01-02T01:00:00+02:00"},
                r"begin_time .* must be before end_time",
            ),
            ({"rebase_incremental": "perhaps"}, "rebase_incremental"),
            ({"parameters": ["model_refs a"]}, "parameters"),
            ({"parameters": "--model_refs a"}, "parameters"),
            ({"parameters": [1]}, "parameters"),
            ({"profile_id": "x"}, "profile_id"),
        ],
    )
    @pytest.mark.covers("rudderstack.parameter.profiles-id")
    def test_invalid_fields_are_rejected(self, fields: dict[str, Any], expected: str) -> None:
        with pytest.raises(ValidationError, match=expected):
            RudderStackProfilesRun(**{"profiles_id": PROJECT, **fields})

    def test_fields_are_immutable(self) -> None:
        with pytest.raises(ValidationError):
            RudderStackProfilesRun(profiles_id=PROJECT).profiles_id = "other"  # type: ignore[misc]

    @pytest.mark.covers("rudderstack.parameter.profiles-id")
    def test_target_is_the_project(self) -> None:
        assert RudderStackProfilesRun(profiles_id=PROJECT).target == PROJECT

    @pytest.mark.parametrize(
        ("fields", "sent"),
        [
            ({}, ["--begin_time 2026-01-01T00:00:00Z", "--end_time 2026-01-02T00:00:00Z"]),
            ({"end_time": "2026-01-01T12:00:00Z"}, ["--end_time 2026-01-01T12:00:00Z"]),
            ({"begin_time": None}, []),
        ],
    )
    def test_partition_window_is_used_when_no_times_are_set(self, fields: dict[str, Any], sent: list[str]) -> None:
        begin, end = datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 2, tzinfo=timezone.utc)
        filled = RudderStackProfilesRun(profiles_id=PROJECT, **fields).in_window(begin, end)
        assert filled.api_parameters() == sent

    def test_runs_have_no_data_checks(self) -> None:
        assert not RudderStackProfilesRun.data_checks

    @pytest.mark.covers("rudderstack.endpoint.stop")
    def test_cancel_is_unsupported_and_the_hint_names_the_dashboard(self, rudderstack: RudderStackResource) -> None:
        run = RudderStackProfilesRun(profiles_id=PROJECT)
        assert not run.can_cancel()
        assert "https://app.rudderstack.com" in run.manual_stop_hint
        with pytest.raises(NotImplementedError):
            run.cancel(rudderstack, "r")


class TestRejections:
    @pytest.mark.covers("rudderstack.error.409-project-already-running")
    def test_409_is_a_conflict_with_an_active_run(self, sandbox: Sandbox, rudderstack: RudderStackResource) -> None:
        start(rudderstack)
        with pytest.raises(ConflictError, match="already running") as raised:
            start(rudderstack)
        run = RudderStackProfilesRun(profiles_id=PROJECT)
        assert run.is_conflict_with_active_run(raised.value)
        assert not run.is_conflict_with_active_run(ServerError("x", vendor="RudderStack"))
        assert not raised.value.may_have_been_accepted
        assert sandbox.starts("rudderstack") == 1

    @pytest.mark.covers("rudderstack.login.authorization", "rudderstack.error.401")
    def test_wrong_token_raises_authentication_error(self, sandbox: Sandbox) -> None:
        resource = RudderStackResource(access_token="wrong-token", base_url=f"{sandbox.url}/rudderstack")
        with pytest.raises(AuthenticationError, match="credentials"):
            start(resource)

    @pytest.mark.covers("rudderstack.error.404-unknown-project")
    def test_unknown_project_raises_not_found(self, rudderstack: RudderStackResource) -> None:
        with pytest.raises(NotFoundError, match="2hkeNone"):
            start(rudderstack, profiles_id="2hkeNone")

    @pytest.mark.covers("rudderstack.parameter.future-parameters")
    def test_unknown_parameter_is_reported_with_the_vendor_message(self, rudderstack: RudderStackResource) -> None:
        with pytest.raises(InvalidRequestError, match=r"--verbose.*not allowed"):
            start(rudderstack, parameters=["--verbose yes"])

    @pytest.mark.parametrize(
        ("status", "body", "kind", "code", "detail"),
        [
            (400, {"message": "bad"}, InvalidRequestError, None, "bad"),
            (400, {"error": "bad"}, InvalidRequestError, None, "bad"),
            (400, {"message": "bad", "code": "E1"}, InvalidRequestError, "E1", "bad"),
            (400, {"message": "bad", "code": 17}, InvalidRequestError, "17", "bad"),
            (400, {"message": "bad", "details": {"a": "b"}}, InvalidRequestError, None, "bad {'a': 'b'}"),
            (400, {"error": {"message": "bad", "code": "E2"}}, InvalidRequestError, "E2", "bad"),
            (400, {"error": {"error": "bad"}}, InvalidRequestError, None, "bad"),
            (400, {"error": ["bad"]}, InvalidRequestError, None, "['bad']"),
            (401, "Invalid Authorization Header", AuthenticationError, None, "Invalid Authorization Header"),
            (403, {"message": "Feature is not enabled for your account"}, PermissionDeniedError, None, None),
            (500, {"error": {}}, ServerError, None, '{"error":{}}'),
            (500, ["x"], ServerError, None, '["x"]'),
            (500, "boom", ServerError, None, None),
        ],
    )
    @pytest.mark.covers(
        "rudderstack.error.401",
        "rudderstack.error.403-flag-or-feature-not-enabled",
        "rudderstack.error.body",
        "rudderstack.error.500",
    )
    def test_error_bodies_of_every_format_are_parsed(
        self,
        status: int,
        body: Any,
        kind: type[VendorError],
        code: str | None,
        detail: str | None,
        sandbox: Sandbox,
        rudderstack: RudderStackResource,
    ) -> None:
        sandbox.add_fault(Fault("status", status=status, body=body))
        with pytest.raises(kind) as raised:
            start(rudderstack)
        assert type(raised.value) is kind
        assert raised.value.code == code
        if detail is not None:
            assert raised.value.detail == detail
