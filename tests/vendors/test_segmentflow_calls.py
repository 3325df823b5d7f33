"""Segmentflow journeys: requests, fields that are rejected before sending, and errors."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from dagster_runs import (
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    SegmentflowJourneyRun,
    SegmentflowResource,
    ServerError,
    VendorError,
    __version__,
)
from dagster_runs.remote_run.types import DAY
from dagster_runs.sandbox import Behavior, Fault, Sandbox
from tests.vendors.any_json import anything, close_to, few
from tests.vendors.segmentflow_runs import ANNA, ATTEMPT, BOTH, BY_ID, BY_KEY, JOURNEY, KEY, get_status, journey, start


class TestConnection:
    @pytest.mark.parametrize(
        ("fields", "url"),
        [
            ({}, "https://api.segmentflow.ai"),
            ({"base_url": " https://api.staging.segmentflow.ai/ "}, "https://api.staging.segmentflow.ai"),
        ],
    )
    @pytest.mark.covers("segmentflow.login.host")
    def test_base_url_is_normalized(self, fields: dict[str, Any], url: str) -> None:
        assert SegmentflowResource(api_key="sk_live_x", **fields).http().base_url == url

    def test_api_key_is_not_in_the_repr(self) -> None:
        assert "sk_live_x" not in repr(SegmentflowResource(api_key="sk_live_x"))

    def test_default_poll_interval_suits_runs_of_days(self) -> None:
        assert SegmentflowResource(api_key="sk_live_x").poll_interval == 300
        assert SegmentflowJourneyRun.default_timeout == 30 * DAY


class TestRequests:
    @pytest.mark.covers(
        "segmentflow.endpoint.start-by-id",
        "segmentflow.parameter.id",
        "segmentflow.parameter.recipient",
        "segmentflow.parameter.variables",
        "segmentflow.field.start-run-id",
        "segmentflow.login.header-x-api-key",
    )
    def test_older_trigger_sends_the_recipient(self, sandbox: Sandbox, segmentflow: SegmentflowResource) -> None:
        recipient = {"email": "anna@example.com", "userId": "7", "anonymousId": "a"}
        run_id = start(segmentflow, journey_id=JOURNEY.upper(), recipient=recipient, variables={"offer": [1, {"a": 2}]})
        [request] = sandbox.requests("segmentflow")
        assert (request.method, request.path) == ("POST", f"/segmentflow/api/v1/public/journeys/{JOURNEY}/trigger")
        assert request.body == {"recipient": recipient, "variables": {"offer": [1, {"a": 2}]}}
        assert request.headers["content-type"] == "application/json"
        assert request.headers["x-api-key"] == "valid"
        assert request.headers["user-agent"] == f"dagster-runs/{__version__}"
        assert "idempotency-key" not in request.headers
        assert run_id == request.started_run

    @pytest.mark.covers(
        "segmentflow.endpoint.start-by-key",
        "segmentflow.parameter.journey-key",
        "segmentflow.parameter.header-idempotency-key",
        "segmentflow.parameter.profile",
    )
    def test_newer_trigger_sends_profile_and_idempotency_key(
        self, sandbox: Sandbox, segmentflow: SegmentflowResource
    ) -> None:
        profile = {
            "email": "a@example.com",
            "externalId": "7",
            "userId": "u",
            "anonymousId": "x",
            "properties": {"n": 1},
        }
        run_id = start(segmentflow, journey_key=KEY, recipient=profile, variables={"offer": "x"})
        [request] = sandbox.requests("segmentflow")
        assert (request.method, request.path) == ("POST", f"/segmentflow/api/v1/journeys/{KEY}/trigger")
        assert request.body == {"profile": profile, "variables": {"offer": "x"}}
        assert request.headers["idempotency-key"] == ATTEMPT.correlation_id
        assert run_id == request.started_run

    @BOTH
    def test_empty_variables_are_omitted(
        self, by: dict[str, str], sandbox: Sandbox, segmentflow: SegmentflowResource
    ) -> None:
        start(segmentflow, **by)
        [request] = sandbox.requests("segmentflow")
        assert list(request.body.values()) == [ANNA]

    def test_journey_key_stays_one_path_segment(self, sandbox: Sandbox, segmentflow: SegmentflowResource) -> None:
        with pytest.raises(NotFoundError):
            start(segmentflow, journey_key="../public/ä b?c")
        [request] = sandbox.requests("segmentflow")
        assert len(request.path.split("/")) == 7

    @pytest.mark.covers("segmentflow.endpoint.status")
    def test_status_path_contains_the_run(self, sandbox: Sandbox, segmentflow: SegmentflowResource) -> None:
        run_id = start(segmentflow)
        get_status(segmentflow, run_id)
        request = sandbox.requests("segmentflow")[-1]
        assert request.path == f"/segmentflow/api/v1/public/journeys/runs/{run_id}"

    @pytest.mark.parametrize("status", [202, 200])
    @BOTH
    @pytest.mark.covers("segmentflow.rule.202-for-start")
    def test_both_success_statuses_are_accepted(
        self, by: dict[str, str], status: int, sandbox: Sandbox, segmentflow: SegmentflowResource
    ) -> None:
        sandbox.set_behavior(JOURNEY, Behavior(start_status=status))
        assert start(segmentflow, **by) == sandbox.runs("segmentflow")[-1].id


class TestIdempotencyKey:
    def test_repeated_key_returns_the_same_run(self, sandbox: Sandbox, segmentflow: SegmentflowResource) -> None:
        assert start(segmentflow, **BY_KEY) == start(segmentflow, **BY_KEY)
        assert sandbox.starts("segmentflow") == 1

    @pytest.mark.parametrize("status", [422, 409])
    @pytest.mark.covers("segmentflow.error.422-or-409-idempotency-key-reuse")
    def test_reuse_with_another_body_is_a_permanent_error(
        self, status: int, sandbox: Sandbox, segmentflow: SegmentflowResource
    ) -> None:
        sandbox.configure("segmentflow", reuse_status=status)
        start(segmentflow, **BY_KEY)
        with pytest.raises(InvalidRequestError, match="re-execute all steps") as raised:
            start(segmentflow, **BY_KEY, recipient={"userId": "ben"})
        error = raised.value
        assert (error.status, error.code, error.is_permanent) == (status, "idempotency_key_reuse", True)
        assert not error.is_transient

    @pytest.mark.covers("segmentflow.error.409-lock")
    def test_lock_of_an_earlier_request_is_a_transient_error(
        self, sandbox: Sandbox, segmentflow: SegmentflowResource
    ) -> None:
        sandbox.add_fault(Fault("status", status=409))
        with pytest.raises(ConflictError) as raised:
            start(segmentflow, **BY_KEY)
        assert raised.value.is_transient
        assert raised.value.may_have_been_accepted

    def test_409_of_the_older_trigger_is_a_rejection(self, sandbox: Sandbox, segmentflow: SegmentflowResource) -> None:
        sandbox.add_fault(Fault("status", status=409))
        with pytest.raises(ConflictError) as raised:
            start(segmentflow, **BY_ID)
        assert not raised.value.may_have_been_accepted

    def test_only_the_newer_trigger_is_idempotent(self) -> None:
        assert [journey(**by).start_is_idempotent for by in (BY_ID, BY_KEY)] == [False, True]


class TestFields:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"journey_id": None}, "exactly one of journey_id and journey_key"),
            ({**BY_ID, **BY_KEY}, "exactly one of journey_id and journey_key"),
            ({"journey_id": "welcome-back"}, "is not a UUID"),
            ({"journey_key": ""}, "journey_key"),
            ({"journey_key": "k" * 121}, "journey_key"),
            ({"recipient": {}}, "recipient"),
            ({"recipient": "anna@example.com"}, "recipient"),
            ({"recipient": {"email": ""}}, "identifies no one"),
            ({"recipient": {"email": " ", "userId": "\t"}}, "identifies no one"),
            (
                {"recipient": {"user_id": "7"}},
                "no field 'user_id'; with journey_id its fields are email, userId, anonymousId",
            ),
            ({"recipient": {**ANNA, "phone": "1"}}, "no field 'phone'"),
            ({"recipient": {**ANNA, "externalId": "7"}}, "no field 'externalId'"),
            ({"recipient": {**ANNA, "properties": {}}}, "no field 'properties'"),
            ({"recipient": {"userId": 7}}, "recipient.userId must be a string, not an int"),
            ({"recipient": {"email": None}}, "recipient.email must be a string, not None"),
            ({**BY_KEY, "recipient": {"properties": {"a": 1}}}, "identifies no one"),
            ({**BY_KEY, "recipient": {**ANNA, "properties": [1]}}, "recipient.properties must be a dict"),
            ({**BY_KEY, "recipient": {**ANNA, "properties": {"at": datetime(2026, 1, 1)}}}, "serialized as JSON"),
            ({"variables": [1]}, "variables"),
            ({"variables": {"at": datetime(2026, 1, 1)}}, "serialized as JSON"),
            ({"variables": {"x": float("nan")}}, "serialized as JSON"),
            ({"on_exited": "ignore"}, "on_exited"),
            ({"journey": KEY}, "journey"),
        ],
    )
    @pytest.mark.covers(
        "segmentflow.parameter.id",
        "segmentflow.parameter.journey-key",
        "segmentflow.parameter.recipient",
        "segmentflow.parameter.profile",
    )
    def test_invalid_fields_are_rejected(self, fields: dict[str, Any], expected: str) -> None:
        with pytest.raises(ValidationError, match=expected):
            journey(**fields)

    @few
    @given(
        recipient=close_to(dict.fromkeys(("email", "userId", "externalId", "properties"), st.text(max_size=3))),
        variables=anything,
        by=st.sampled_from([BY_ID, BY_KEY]),
    )
    @example(recipient={"email": "a", "properties": {"n": 10**5000}}, variables={}, by=BY_KEY)
    def test_values_are_accepted_only_if_they_can_be_sent_as_json(
        self, recipient: Any, variables: Any, by: Any
    ) -> None:
        try:
            run = journey(**by, recipient=recipient, variables=variables)
        except ValidationError:
            return
        json.dumps({"recipient": run.recipient, "variables": run.variables}, allow_nan=False)
        assert any(isinstance(value, str) and value.strip() for value in run.recipient.values())

    def test_fields_are_immutable(self) -> None:
        with pytest.raises(ValidationError):
            journey().journey_key = "other"  # type: ignore[misc]

    def test_target_is_the_journey(self) -> None:
        assert [journey(**by).target for by in (BY_ID, BY_KEY)] == [JOURNEY, KEY]

    @pytest.mark.covers("segmentflow.endpoint.cancel-run")
    def test_cancel_is_unsupported_and_the_hint_names_the_dashboard(self, segmentflow: SegmentflowResource) -> None:
        assert not journey().can_cancel()
        assert "https://dashboard.segmentflow.ai" in journey().manual_stop_hint
        with pytest.raises(NotImplementedError):
            journey().cancel(segmentflow, "r")

    def test_run_search_and_run_url_are_unsupported(self, segmentflow: SegmentflowResource) -> None:
        assert journey().find_started(segmentflow, ATTEMPT) is None
        assert journey().run_url(segmentflow, "r") is None


@BOTH
class TestRejections:
    @pytest.mark.covers("segmentflow.login.header-x-api-key", "segmentflow.error.401-unauthorized")
    def test_wrong_key_raises_authentication_error(self, by: dict[str, str], sandbox: Sandbox) -> None:
        resource = SegmentflowResource(api_key="sk_live_wrong", base_url=f"{sandbox.url}/segmentflow")
        with pytest.raises(AuthenticationError, match="invalid API key") as raised:
            start(resource, **by)
        assert raised.value.code == "unauthorized"

    @pytest.mark.covers("segmentflow.login.scopes-journeys-trigger", "segmentflow.error.403-insufficient-scope")
    def test_missing_scope_is_named(
        self, by: dict[str, str], sandbox: Sandbox, segmentflow: SegmentflowResource
    ) -> None:
        sandbox.configure("segmentflow", scopes=["journeys:read"])
        with pytest.raises(PermissionDeniedError, match="'required': \\['journeys:trigger'\\]") as raised:
            start(segmentflow, **by)
        assert raised.value.code == "insufficient_scope"

    @pytest.mark.covers("segmentflow.error.403-insufficient-scope")
    def test_key_without_send_permission_raises_permission_denied(
        self, by: dict[str, str], sandbox: Sandbox, segmentflow: SegmentflowResource
    ) -> None:
        sandbox.configure("segmentflow", allow_sends=False)
        with pytest.raises(PermissionDeniedError, match="allowSends") as raised:
            start(segmentflow, **by)
        assert raised.value.code == "send_not_allowed"

    @pytest.mark.covers("segmentflow.error.journey-without-entry")
    def test_journey_without_an_api_entry_is_rejected(
        self, by: dict[str, str], sandbox: Sandbox, segmentflow: SegmentflowResource
    ) -> None:
        sandbox.add_target("segmentflow", "journey", JOURNEY, key=KEY, entry="event")
        with pytest.raises(InvalidRequestError, match="API entry") as raised:
            start(segmentflow, **by)
        assert raised.value.code == "validation_failed"

    @pytest.mark.covers("segmentflow.error.400")
    def test_vendor_validation_error_is_reported(self, by: dict[str, str], segmentflow: SegmentflowResource) -> None:
        with pytest.raises(InvalidRequestError, match=r"is not an email address \{'field': '\w+.email'\}"):
            start(segmentflow, **by, recipient={"email": "anna"})

    @pytest.mark.covers("segmentflow.error.404-not-found")
    def test_unknown_journey_raises_not_found(self, by: dict[str, str], segmentflow: SegmentflowResource) -> None:
        unknown = dict.fromkeys(by, "5e9f1c00-0000-4000-8000-00000000ffff")
        with pytest.raises(NotFoundError) as raised:
            start(segmentflow, **unknown)
        assert raised.value.code == "not_found"

    @pytest.mark.parametrize(
        ("status", "body", "kind", "code", "detail"),
        [
            (403, {"error": "insufficient_scope", "message": "no", "required": ["a", "b"]},
             PermissionDeniedError, "insufficient_scope", "no {'required': ['a', 'b']}"),
            (403, {"error": "insufficient_scope", "message": "no", "details": {"required": "a"}},
             PermissionDeniedError, "insufficient_scope", "no {'required': 'a'}"),
            (422, {"error": "validation_failed", "message": "bad", "details": {"email": ["wrong"]}},
             InvalidRequestError, "validation_failed", "bad {'email': ['wrong']}"),
            (422, {"error": "validation_failed", "details": {"email": "wrong"}},
             InvalidRequestError, "validation_failed", "{'email': 'wrong'}"),
            (400, {"error": "bad_request"}, InvalidRequestError, "bad_request", '{"error":"bad_request"}'),
            (400, {"error": {"a": 1}, "message": ["bad"]}, InvalidRequestError, None, "['bad']"),
            (410, {"error": "gone", "message": "gone"}, VendorError, "gone", "gone"),
            (501, {"error": "not_implemented", "message": "no"}, ServerError, "not_implemented", "no"),
            (500, "boom", ServerError, None, "boom"),
            (500, ["x"], ServerError, None, '["x"]'),
        ],
    )  # fmt: skip
    @pytest.mark.covers(
        "segmentflow.error.body",
        "segmentflow.error.401-unauthorized",
        "segmentflow.error.403-insufficient-scope",
        "segmentflow.error.400",
        "segmentflow.error.410",
    )
    def test_error_bodies_of_every_format_are_parsed(
        self,
        by: dict[str, str],
        status: int,
        body: Any,
        kind: type[VendorError],
        code: str | None,
        detail: str,
        sandbox: Sandbox,
        segmentflow: SegmentflowResource,
    ) -> None:
        sandbox.add_fault(Fault("status", status=status, body=body))
        with pytest.raises(kind) as raised:
            start(segmentflow, **by)
        assert type(raised.value) is kind
        assert (raised.value.code, raised.value.detail) == (code, detail)


class TestFailedStatusCalls:
    @pytest.mark.covers("segmentflow.login.scopes-journeys-trigger", "segmentflow.error.403-insufficient-scope")
    def test_key_without_read_scope_raises_permission_denied(
        self, sandbox: Sandbox, segmentflow: SegmentflowResource
    ) -> None:
        run_id = start(segmentflow)
        sandbox.configure("segmentflow", scopes=["journeys:trigger"])
        with pytest.raises(PermissionDeniedError, match="journeys:read"):
            get_status(segmentflow, run_id)

    @pytest.mark.covers("segmentflow.error.404-not-found")
    def test_unknown_run_raises_not_found(self, segmentflow: SegmentflowResource) -> None:
        with pytest.raises(NotFoundError):
            get_status(segmentflow, "5e9f1c00-0000-4000-8000-00000000ffff")
