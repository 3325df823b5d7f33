"""Amperity: requests, fields that are rejected before sending, and errors."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from dagster_runs import (
    AmperityResource,
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ServerError,
    VendorError,
    __version__,
)
from dagster_runs.remote_run.state import RunState
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from tests.vendors.amperity_runs import CAMPAIGN, COURIERS, DAY, FILES, ORCHESTRATION, get_status, run_of, start
from tests.vendors.conftest import AmperityMaker


class TestAddress:
    @pytest.mark.parametrize(
        ("base_url", "url"),
        [
            (None, "https://app.amperity.com/api"),
            ("https://app.amperity.com", "https://app.amperity.com/api"),
            ("https://app.amperity.com/", "https://app.amperity.com/api"),
            ("https://app.amperity.com/api", "https://app.amperity.com/api"),
            (" https://app.amperity.com/api/ ", "https://app.amperity.com/api"),
            ("https://socktown.amperity.com/api", "https://socktown.amperity.com/api"),
            ("https://app-aws-apse2.amperity.com", "https://app-aws-apse2.amperity.com/api"),
            ("https://proxy.example.com/amperity/api", "https://proxy.example.com/amperity/api"),
        ],
    )
    @pytest.mark.covers("amperity.login.hosts-aws")
    def test_api_url_is_built_from_the_base_url(self, base_url: str | None, url: str) -> None:
        fields = {} if base_url is None else {"base_url": base_url}
        resource = AmperityResource(tenant="socktown", access_token="t0ken", **fields)
        assert resource.api_url() == url
        assert resource.http().base_url == url

    @pytest.mark.parametrize("suffix", ["", "/", "/api", "/api/"])
    @pytest.mark.covers("amperity.login.hosts-aws")
    def test_base_url_works_with_and_without_the_api_path(
        self, suffix: str, sandbox: Sandbox, amperity_at: AmperityMaker
    ) -> None:
        start(amperity_at(base_url=f"{sandbox.url}/amperity{suffix}"))
        assert sandbox.starts("amperity") == 1

    @pytest.mark.parametrize("tenant", ["", "a b", "a\nb", "a/b", "a.b"])
    def test_invalid_tenant_is_rejected(self, tenant: str) -> None:
        with pytest.raises(ValidationError, match="tenant"):
            AmperityResource(tenant=tenant, access_token="t0ken")

    @pytest.mark.parametrize("tenant", ["socktown", "socktown-sb-12345", "sock_town2"])
    @pytest.mark.covers("amperity.login.header-amperity-tenant")
    def test_tenants_and_sandbox_tenants_are_accepted(self, tenant: str) -> None:
        headers = AmperityResource(tenant=tenant, access_token="t0ken").auth().headers()
        assert headers["amperity-tenant"] == tenant


class TestRequests:
    @pytest.mark.covers(
        "amperity.login.header-amperity-tenant", "amperity.login.header-api-version", "amperity.login.jwt"
    )
    def test_headers_contain_token_tenant_and_version(self, sandbox: Sandbox, amperity: AmperityResource) -> None:
        start(amperity)
        [request] = sandbox.requests("amperity")
        assert (request.method, request.path) == ("POST", "/amperity/api/workflow/runs")
        assert request.headers["authorization"] == "valid"
        assert request.headers["amperity-tenant"] == well_known.AMPERITY_TENANT
        assert request.headers["api-version"] == "2024-04-01"
        assert request.headers["content-type"] == "application/json"
        assert request.headers["user-agent"] == f"dagster-runs/{__version__}"
        assert request.query == {}

    @pytest.mark.parametrize(
        ("fields", "sent"),
        [
            ({}, {}),
            ({"run_mode": "source"}, {"run_mode": "source"}),
            ({"run_mode": "refresh"}, {"run_mode": "refresh"}),
            ({"run_mode": "full"}, {"run_mode": "full"}),
            ({"range_from": "2026-01-02"}, {"range_from": "2026-01-02T00:00:00Z"}),
            ({"range_from": "2026-01-02T03:04:05"}, {"range_from": "2026-01-02T03:04:05Z"}),
            (
                {"range_from": "0001-01-01", "range_to": "0999-12-31"},
                {"range_from": "0001-01-01T00:00:00Z", "range_to": "0999-12-31T00:00:00Z"},
            ),
            ({"range_from": "2026-01-02T03:04:05+02:00"}, {"range_from": "2026-01-02T01:04:05Z"}),
            ({"range_from": "2026-01-02T03:04:05.678Z"}, {"range_from": "2026-01-02T03:04:05.678Z"}),
            (
                {"range_from": datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=-5)))},
                {"range_from": "2026-01-02T05:00:00Z"},
            ),
            (
                {"range_from": "2026-01-02", "range_to": "2026-01-05", "run_mode": "full"},
                {"range_from": "2026-01-02T00:00:00Z", "range_to": "2026-01-05T00:00:00Z", "run_mode": "full"},
            ),
        ],
    )
    @pytest.mark.covers(
        "amperity.endpoint.start",
        "amperity.parameter.config-id",
        "amperity.parameter.range-from",
        "amperity.parameter.range-to",
        "amperity.parameter.run-mode",
        "amperity.parameter.partial-dates",
        "amperity.parameter.no-other-property-in-body",
    )
    def test_body_contains_only_the_given_fields(
        self, fields: dict[str, Any], sent: dict[str, Any], sandbox: Sandbox, amperity: AmperityResource
    ) -> None:
        start(amperity, **fields)
        [request] = sandbox.requests("amperity")
        assert request.body == {"config_id": COURIERS, **sent}
        assert request.status == 201

    @pytest.mark.parametrize("config_id", [COURIERS, ORCHESTRATION, CAMPAIGN])
    @pytest.mark.covers("amperity.parameter.config-id")
    def test_all_three_workflow_kinds_can_be_started(
        self, config_id: str, sandbox: Sandbox, amperity: AmperityResource
    ) -> None:
        run_id = start(amperity, config_id)
        [run] = sandbox.runs("amperity")
        assert (run.id, run.target_id) == (run_id, config_id)

    @pytest.mark.parametrize("status", [200, 201])
    @pytest.mark.covers("amperity.endpoint.start", "amperity.field.workflow-id")
    def test_both_documented_start_statuses_are_accepted(
        self, status: int, sandbox: Sandbox, amperity: AmperityResource
    ) -> None:
        sandbox.set_behavior(COURIERS, Behavior(start_status=status))
        assert start(amperity) == sandbox.runs("amperity")[0].id
        assert sandbox.requests("amperity")[0].status == status

    @pytest.mark.covers("amperity.endpoint.status", "amperity.parameter.view")
    def test_status_call_is_verbose_only_once_after_the_run_ended(
        self, sandbox: Sandbox, amperity: AmperityResource
    ) -> None:
        run_id = start(amperity)
        get_status(amperity, run_id)
        sandbox.advance(3600)
        assert get_status(amperity, run_id).state is RunState.SUCCEEDED
        status_requests = sandbox.requests("amperity")[1:]
        assert [request.query for request in status_requests] == [{}, {}, {"view": "verbose"}]
        assert {request.path for request in status_requests} == {f"/amperity/api/workflow/runs/{run_id}"}

    @pytest.mark.covers("amperity.endpoint.stop", "amperity.state.canceled", "amperity.rule.stop-at-once")
    def test_stop_request_has_no_body(self, sandbox: Sandbox, amperity: AmperityResource) -> None:
        run_id = start(amperity)
        run_of().cancel(amperity, run_id)
        request = sandbox.requests("amperity")[-1]
        assert (request.method, request.path) == ("POST", f"/amperity/api/workflow/runs/{run_id}/stop")
        assert request.body is None


class TestFields:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"config_id": None}, "config_id"),
            ({"config_id": ""}, "courier group .cg-., an orchestration group .og-. or a campaign .cc-."),
            ({"config_id": "cg-"}, "config_id must be"),
            ({"config_id": "xx-1"}, "config_id must be"),
            ({"config_id": "CG-1"}, "config_id must be"),
            ({"config_id": "wf-20240619-1-a"}, "config_id must be"),
            ({"config_id": "cg-a/b"}, "config_id must be"),
            ({"config_id": "cg-1\n"}, "config_id must be"),
            ({"config_id": "cg-1 "}, "config_id must be"),
            ({"config_id": ORCHESTRATION, "run_mode": "full"}, "run_mode can only be used with courier groups"),
            ({"config_id": CAMPAIGN, "run_mode": "full"}, "run_mode can only be used with courier groups"),
            ({"config_id": ORCHESTRATION, "range_from": "2026-01-01"}, "range_from can only be used with courier"),
            (
                {"config_id": CAMPAIGN, "range_from": "2026-01-01", "range_to": "2026-01-02", "run_mode": "source"},
                "range_from, range_to, run_mode can only be used with courier groups",
            ),
            ({"range_to": "2026-01-01"}, "range_from is required when range_to is set"),
            ({"range_from": "2026-01-02", "range_to": "2026-01-01"}, "range_to .* must be after range_from"),
            ({"range_from": "2026-01-02", "range_to": "2026-01-02"}, "range_to .* must be after range_from"),
            (
                {"range_from": "2026-01-02T00:00:00Z", "range_to": "2026-01-02T01:00:00+02:00"},
                "range_to .* must be after range_from",
            ),
            ({"range_from": "yesterday"}, "range_from"),
            ({"range_from": "2026-02-30"}, "range_from"),
            # A bare number would mean seconds since 1970.
            ({"range_from": "20261101"}, "'20261101' is not a time; write it as 2026-11-01"),
            ({"range_from": " 2026 "}, "is not a time"),
            ({"range_from": 20261101}, "is not a time"),
            ({"range_from": 1.5}, "is not a time"),
            ({"range_from": "0001-01-01T00:00:00+05:00"}, "outside the years 1 to 9999 in UTC"),
            ({"run_mode": "FULL"}, "run_mode"),
            ({"run_mode": ""}, "run_mode"),
            ({"mode": "full"}, "mode"),
        ],
    )
    @pytest.mark.covers(
        "amperity.parameter.config-id",
        "amperity.parameter.range-from",
        "amperity.parameter.range-to",
        "amperity.parameter.run-mode",
    )
    def test_invalid_fields_are_rejected(self, fields: dict[str, Any], expected: str) -> None:
        with pytest.raises(ValidationError, match=expected):
            run_of(**fields)

    @pytest.mark.parametrize(
        "fields",
        [
            {"config_id": "cg-missing"},
            {"config_id": FILES},
        ],
    )
    def test_vendor_side_validation_errors_are_quoted(self, fields: dict[str, Any], amperity: AmperityResource) -> None:
        expected = "Can't find configuration" if fields["config_id"] != FILES else "range_from must be specified"
        with pytest.raises(InvalidRequestError, match=expected) as raised:
            start(amperity, **fields)
        assert raised.value.is_permanent

    def test_file_courier_accepts_range_from_without_range_to(
        self, sandbox: Sandbox, amperity: AmperityResource
    ) -> None:
        start(amperity, FILES, range_from="2026-01-01")
        assert sandbox.starts("amperity") == 1

    def test_partition_window_is_used_when_no_range_is_set(self) -> None:
        filled = run_of(run_mode="full").in_window(*DAY)
        assert (filled.range_from, filled.range_to, filled.run_mode) == (*DAY, "full")

    @pytest.mark.parametrize(
        "fields",
        [
            {"range_from": "2026-01-01T12:00:00Z"},  # means one day
            {"range_from": "2025-01-01", "range_to": "2025-01-02"},
            {"range_from": None},
            {"range_from": None, "range_to": None},
        ],
    )
    def test_explicit_range_is_not_overridden(self, fields: dict[str, Any]) -> None:
        assert run_of(**fields).in_window(*DAY) == run_of(**fields)

    @pytest.mark.parametrize("config_id", [ORCHESTRATION, CAMPAIGN])
    def test_only_courier_groups_use_the_partition_window(self, config_id: str) -> None:
        run = run_of(config_id)
        assert run.in_window(*DAY) == run

    def test_target_is_the_configuration_id(self) -> None:
        assert run_of().target == COURIERS
        with pytest.raises(ValidationError):
            run_of().config_id = "cg-2"  # type: ignore[misc]

    @pytest.mark.parametrize(("config_id", "has"), [(COURIERS, False), (ORCHESTRATION, True), (CAMPAIGN, False)])
    @pytest.mark.covers("amperity.rule.stop-orchestration")
    def test_only_orchestrations_have_a_cancel_caveat(self, config_id: str, has: bool) -> None:
        assert ("cannot be stopped" in run_of(config_id).cancel_caveat) is has


class TestRejections:
    @pytest.mark.covers("amperity.rule.stop-after-end")
    def test_stopping_an_ended_run_raises_conflict(self, sandbox: Sandbox, amperity: AmperityResource) -> None:
        run_id = start(amperity)
        sandbox.advance(3600)
        with pytest.raises(ConflictError, match="already ended"):
            run_of().cancel(amperity, run_id)

    @pytest.mark.covers("amperity.error.400")
    def test_unknown_run_raises_not_found(self, amperity: AmperityResource) -> None:
        with pytest.raises(NotFoundError, match="Can't find workflow with ID 'wf-none'"):
            get_status(amperity, "wf-none")

    @pytest.mark.covers("amperity.login.jwt", "amperity.error.400")
    def test_wrong_token_raises_authentication_error(self, amperity_at: AmperityMaker) -> None:
        with pytest.raises(AuthenticationError, match="Invalid or expired access token"):
            start(amperity_at(access_token="wr0ng-token"))

    @pytest.mark.covers("amperity.login.header-amperity-tenant")
    def test_wrong_tenant_raises_permission_denied(self, amperity_at: AmperityMaker) -> None:
        with pytest.raises(PermissionDeniedError, match="Not authorized for tenant 'other'"):
            start(amperity_at(tenant="other"))

    @pytest.mark.parametrize(("status", "kind"), [(400, InvalidRequestError), (401, AuthenticationError)])
    @pytest.mark.covers("amperity.login.header-api-version")
    def test_unknown_api_version_is_rejected(
        self, status: int, kind: type[VendorError], sandbox: Sandbox, amperity_at: AmperityMaker
    ) -> None:
        resource = amperity_at(api_version="2020-01-01")
        sandbox.configure("amperity", version_status=status)
        with pytest.raises(kind, match="Invalid API version"):
            start(resource)

    @pytest.mark.parametrize(
        ("status", "body", "kind", "detail"),
        [
            (400, {"status": 400, "message": "bad"}, InvalidRequestError, "bad"),
            (400, {"status": 400, "message": "bad", "request_id": "r7"}, InvalidRequestError, "bad (request_id r7)"),
            (
                400,
                {"status": 400, "message": "bad", "request_id": "r7", "trace_id": "t8"},
                InvalidRequestError,
                "bad (request_id r7, trace_id t8)",
            ),
            (403, {"message": "no"}, PermissionDeniedError, "no"),
            (409, {"message": "conflict"}, ConflictError, "conflict"),
            (500, {"message": None}, ServerError, '{"message":null}'),
            (500, {"message": {}}, ServerError, '{"message":{}}'),
            (500, ["x"], ServerError, '["x"]'),
            (500, "boom", ServerError, "boom"),
            (503, {}, ServerError, "{}"),
        ],
    )
    @pytest.mark.covers("amperity.error.body", "amperity.error.400")
    def test_error_bodies_of_every_format_are_parsed(
        self,
        status: int,
        body: Any,
        kind: type[VendorError],
        detail: str,
        sandbox: Sandbox,
        amperity: AmperityResource,
    ) -> None:
        sandbox.add_fault(Fault("status", status=status, body=body))
        with pytest.raises(kind) as raised:
            start(amperity)
        assert type(raised.value) is kind
        assert raised.value.detail.replace(": ", ":") == detail.replace(": ", ":")
