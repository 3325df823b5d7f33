"""Amperity's two ways to log in: a token from its settings, and OAuth client credentials."""

import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import dagster as dg
import pytest
from pydantic import ValidationError

from dagster_runs import (
    AmperityResource,
    AmperityWorkflowRun,
    AuthenticationError,
    ConnectionFailedError,
    VendorError,
    build_remote_run_asset,
)
from dagster_runs.remote_run.types import StartAttempt
from dagster_runs.sandbox import Behavior, Fault, RecordedRequest, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from dagster_runs.transport import call_budget
from tests.remote_run.materializing import entries, failure, materialize
from tests.transport.scripted import Origin, Reply, send
from tests.vendors.conftest import AmperityMaker
from tests.vendors.logging_in import lasting_faults, leaking_faults, name, stored_by_dagster, text_of, transient_faults

pytestmark = pytest.mark.usefixtures("clock", "nobody_has_logged_in")

RUN = AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS)
ATTEMPT = StartAttempt(correlation_id="c", starting_at=0.0, dagster_run_id="d")
SECRET = well_known.AMPERITY_CLIENT_SECRET
SECRETS = (SECRET, "sandbox-amperity-")
TOKEN = "/oauth2/token"
CLIENT = {"client_id": well_known.AMPERITY_CLIENT_ID, "client_secret": SECRET}


@pytest.fixture
def login(sandbox: Sandbox, amperity_at: AmperityMaker) -> AmperityMaker:
    def make(**fields: Any) -> AmperityResource:
        token_url = f"{sandbox.url}/amperity/api/v0/oauth2/token"
        return amperity_at(**{"access_token": None, **CLIENT, "token_url": token_url, **fields})

    return make


@pytest.fixture
def amperity(login: AmperityMaker) -> AmperityResource:
    return login()


def logins(sandbox: Sandbox) -> list[RecordedRequest]:
    return [request for request in sandbox.requests("amperity") if request.path.endswith("/oauth2/token")]


def start(resource: AmperityResource) -> str:
    return RUN.start(resource, ATTEMPT)


def get_workflow_id(resource: AmperityResource, run_id: str) -> str:
    return resource.get_workflow(run_id, verbose=False).id


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "needs access_token, or client_id and client_secret"),
        ({"client_id": "a"}, "needs access_token, or client_id and client_secret"),
        ({"client_secret": "a"}, "needs access_token, or client_id and client_secret"),
        ({"access_token": "a", "client_id": "b"}, "but not both"),
        ({"access_token": "a", "client_secret": "b"}, "but not both"),
        ({"access_token": "a", "client_id": "b", "client_secret": "c"}, "but not both"),
    ],
)
def test_exactly_one_login_method_is_required(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        AmperityResource(tenant="t", **fields)


@pytest.mark.covers("amperity.endpoint.token", "amperity.login.oauth-client-credentials")
def test_token_request_is_a_form_with_the_tenant_header(sandbox: Sandbox, amperity: AmperityResource) -> None:
    start(amperity)
    [request] = logins(sandbox)
    assert request.body == {
        "grant_type": "client_credentials",
        "client_id": well_known.AMPERITY_CLIENT_ID,
        "client_secret": "<secret>",
    }
    assert request.headers["x-amperity-tenant"] == well_known.AMPERITY_TENANT
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["user-agent"].startswith("dagster-runs/")
    assert sandbox.starts("amperity") == 1


@pytest.mark.covers("amperity.endpoint.token", "amperity.login.oauth-client-credentials")
def test_default_token_url_is_on_the_tenant_host(
    origin: Origin, login: AmperityMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Recorded by a proxy that rejects everything.
    monkeypatch.setenv("HTTPS_PROXY", origin.url)
    origin.replies = [Reply(403)]
    origin.seen.clear()
    with pytest.raises(VendorError):
        start(login(token_url=None, tenant="socktown", max_retries=0))
    assert [(seen.method, seen.path) for seen in origin.seen] == [("CONNECT", "socktown.amperity.com:443")]


@pytest.mark.covers("amperity.login.oauth-client-credentials", "amperity.login.access-token")
def test_only_the_first_call_logs_in(sandbox: Sandbox, amperity: AmperityResource) -> None:
    for _ in range(3):
        start(amperity)
    assert len(logins(sandbox)) == 1
    assert sandbox.starts("amperity") == 3


def test_resources_with_the_same_client_share_a_token(sandbox: Sandbox, login: AmperityMaker) -> None:
    for resource in (login(), login(), login(base_url=f"{sandbox.url}/amperity/api/")):
        start(resource)
    assert len(logins(sandbox)) == 1


def test_shared_token_does_not_hide_another_api_version(sandbox: Sandbox, login: AmperityMaker) -> None:
    start(login())
    with pytest.raises(VendorError, match="Invalid API version identifier: '2020-01-01'"):
        start(login(api_version="2020-01-01"))


def test_concurrent_threads_log_in_once(sandbox: Sandbox, login: AmperityMaker) -> None:
    resources = [login() for _ in range(6)]
    together = threading.Barrier(6)

    def begin(resource: AmperityResource) -> str:
        together.wait()
        return start(resource)

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(begin, resources))) == 6
    assert len(logins(sandbox)) == 1


@pytest.mark.covers("amperity.login.expires-in")
def test_token_is_renewed_before_it_expires(sandbox: Sandbox, amperity: AmperityResource, clock: SandboxClock) -> None:
    run_id = start(amperity)
    clock.sleep(3600 - 120)
    get_workflow_id(amperity, run_id)
    assert len(logins(sandbox)) == 1
    clock.sleep(90)
    get_workflow_id(amperity, run_id)
    assert len(logins(sandbox)) == 2
    assert 401 not in [request.status for request in sandbox.requests("amperity")]


@pytest.mark.covers("amperity.login.expired-token-401")
def test_rejected_token_is_renewed_once_and_the_call_succeeds(sandbox: Sandbox, amperity: AmperityResource) -> None:
    run_id = start(amperity)
    sandbox.add_fault(Fault("expired_token", path="/workflow/runs/", times=1))
    assert get_workflow_id(amperity, run_id) == run_id
    assert len(logins(sandbox)) == 2


@pytest.mark.covers("amperity.login.expired-token-401")
def test_start_with_a_rejected_token_starts_one_run(sandbox: Sandbox, amperity: AmperityResource) -> None:
    get_workflow_id(amperity, start(amperity))
    sandbox.add_fault(Fault("expired_token", method="POST", path="/workflow/runs$", times=1))
    start(amperity)
    assert sandbox.starts("amperity") == 2
    assert len(logins(sandbox)) == 2


@pytest.mark.covers("amperity.login.expired-token-401")
def test_token_is_renewed_only_once_per_call(sandbox: Sandbox, amperity: AmperityResource) -> None:
    sandbox.add_fault(Fault("expired_token", path="/workflow/"))
    with pytest.raises(AuthenticationError):
        get_workflow_id(amperity, "x")
    assert len(logins(sandbox)) == 2
    assert len(sandbox.requests("amperity")) == 4


@pytest.mark.covers("amperity.login.jwt")
def test_configured_access_token_is_not_renewed(sandbox: Sandbox, amperity_at: AmperityMaker) -> None:
    sandbox.add_fault(Fault("expired_token", times=1))
    with pytest.raises(AuthenticationError) as raised:
        start(amperity_at())
    assert raised.value.is_permanent
    assert len(sandbox.requests("amperity")) == 1


@pytest.mark.parametrize("field", ["client_id", "client_secret"])
def test_rejected_login_reports_what_to_check(field: str, sandbox: Sandbox, login: AmperityMaker) -> None:
    with pytest.raises(
        AuthenticationError, match="could not get an access token: Invalid client credentials"
    ) as raised:
        start(login(**{field: "wrong-one"}))
    assert "Compare client_id, client_secret and token_url" in str(raised.value)
    assert raised.value.is_permanent
    assert not raised.value.may_have_been_accepted
    assert not [secret for secret in (*SECRETS, "wrong-one") if secret in str(raised.value)]
    assert sandbox.starts("amperity") == 0
    assert len(logins(sandbox)) == 1


def test_client_of_another_tenant_is_rejected(login: AmperityMaker) -> None:
    with pytest.raises(AuthenticationError, match="Not authorized for tenant 'other'") as raised:
        start(login(tenant="other"))
    assert (raised.value.status, raised.value.is_permanent) == (403, True)


@pytest.mark.parametrize("fault", transient_faults(TOKEN), ids=name)
def test_transient_token_endpoint_errors_are_retried(
    fault: Fault, sandbox: Sandbox, amperity: AmperityResource
) -> None:
    sandbox.add_fault(fault)
    start(amperity)
    assert sandbox.starts("amperity") == 1


def test_call_budget_limits_the_wait_for_a_token(sandbox: Sandbox, amperity: AmperityResource) -> None:
    sandbox.add_fault(Fault("status", status=503, path=TOKEN))
    with pytest.raises(VendorError, match="503"), amperity.http().with_call_budget():
        get_workflow_id(amperity, "x")
    assert len(logins(sandbox)) <= 4  # two API calls with two token requests each


def test_call_budget_does_not_wait_for_another_threads_login(
    origin: Origin, login: AmperityMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_budget, "RESPONSE_WITHIN", 0.2)
    asked, go_on = threading.Event(), threading.Event()

    def hold(handler: BaseHTTPRequestHandler) -> None:
        asked.set()
        go_on.wait(60)
        send(handler, Reply(200, {"access_token": "t"}))

    origin.replies = [hold, Reply(200, {"id": "wf-1", "state": "scheduled"})]
    resource = login(base_url=origin.url, token_url=f"{origin.url}/token")
    with ThreadPoolExecutor(1) as pool:
        patient = pool.submit(get_workflow_id, resource, "wf-1")
        try:
            assert asked.wait(10)
            with (
                pytest.raises(ConnectionFailedError, match="waiting for an access token"),
                resource.http().with_call_budget(),
            ):
                get_workflow_id(resource, "wf-1")
            assert not patient.done()
        finally:
            go_on.set()
        assert patient.result() == "wf-1"


@pytest.mark.parametrize("fault", [Fault("html", status=404), Fault("not_found")], ids=name)
def test_missing_token_endpoint_does_not_count_as_a_lost_run(
    fault: Fault, sandbox: Sandbox, instance: dg.DagsterInstance, login: AmperityMaker
) -> None:
    sandbox.set_behavior(well_known.AMPERITY_COURIERS, Behavior(running_seconds=300))
    # About four minutes: longer than a run may be unknown, but too short for rejections to end the step.
    sandbox.add_fault(replace(fault, path=TOKEN, skip=1, times=45))
    sandbox.add_fault(Fault("expired_token", path="/workflow/runs/", times=45))
    asset = build_remote_run_asset(RUN, key="customers", retry_policy=dg.RetryPolicy(max_retries=1))
    assert materialize([asset], sandbox, instance, resources={"amperity": login()}).success
    assert sandbox.starts("amperity") == 1
    assert entries(instance, "customers") == ["starting", "started"]


LOGIN_FAULTS = [*lasting_faults(TOKEN), Fault("wrong_type", field="expires_in", value="soon", path=TOKEN)]


@pytest.mark.parametrize("fault", LOGIN_FAULTS, ids=name)
def test_failed_login_means_that_nothing_was_started(
    fault: Fault, sandbox: Sandbox, instance: dg.DagsterInstance, login: AmperityMaker
) -> None:
    sandbox.add_fault(fault)
    with pytest.raises(VendorError) as raised:
        start(login())
    assert not raised.value.may_have_been_accepted
    asset = build_remote_run_asset(RUN, key="customers")
    result = materialize([asset], sandbox, instance, resources={"amperity": login()})
    assert "unknown whether" not in failure(result)
    assert sandbox.starts("amperity") == 0


@pytest.mark.parametrize(
    "response",
    [
        {"access_token": "t"},
        {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"},
        {"access_token": "t", "expires_in": "3600"},
        {"access_token": "t", "expires_in": 3600.5, "scope": None},
        {"access_token": "t", "expires_in": None},
        {"access_token": "t", "expires_in": 0},
        {"access_token": "t", "expires_in": -1},
    ],
)
def test_token_response_needs_only_the_access_token(response: Any, origin: Origin, login: AmperityMaker) -> None:
    origin.replies = [Reply(200, json.dumps(response)), Reply(200, {"id": "wf-1", "state": "scheduled"})]
    origin.seen.clear()
    resource = login(base_url=origin.url, token_url=f"{origin.url}/token")
    assert get_workflow_id(resource, "wf-1") == "wf-1"
    assert [seen.headers.get("authorization") for seen in origin.seen] == [None, "Bearer t"]


@pytest.mark.covers("amperity.login.expires-in")
def test_short_lived_token_is_renewed_after_half_its_lifetime(
    origin: Origin, login: AmperityMaker, clock: SandboxClock
) -> None:
    token, workflow = Reply(200, {"access_token": "t", "expires_in": 30}), {"id": "wf-1", "state": "scheduled"}
    origin.replies = [token, Reply(200, workflow), Reply(200, workflow), token, Reply(200, workflow)]
    origin.seen.clear()
    resource = login(base_url=origin.url, token_url=f"{origin.url}/token")
    get_workflow_id(resource, "wf-1")
    get_workflow_id(resource, "wf-1")
    clock.sleep(16)
    get_workflow_id(resource, "wf-1")
    assert [seen.method for seen in origin.seen] == ["POST", "GET", "GET", "POST", "GET"]


def test_token_url_with_a_query_is_rejected(sandbox: Sandbox, login: AmperityMaker) -> None:
    resource = login(token_url=f"{sandbox.url}/amperity/api/v0/oauth2/token?realm=x")
    with pytest.raises(VendorError, match="must not contain credentials, a query or a fragment"):
        start(resource)
    assert sandbox.requests("amperity") == []


class TestSecrets:
    @pytest.fixture
    def logged(self, caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
        caplog.set_level(logging.DEBUG)
        yield caplog
        assert not [secret for secret in SECRETS if secret in caplog.text]

    @pytest.mark.parametrize("fault", leaking_faults(TOKEN, error=SECRET, message=SECRET), ids=name)
    @pytest.mark.usefixtures("logged")
    def test_are_not_in_errors(self, fault: Fault, sandbox: Sandbox, amperity: AmperityResource) -> None:
        sandbox.add_fault(fault)
        with pytest.raises(VendorError) as raised:
            start(amperity)
        assert not [secret for secret in SECRETS if secret in text_of(raised.value)]

    def test_are_not_in_reprs(self, amperity: AmperityResource, amperity_at: AmperityMaker) -> None:
        start(amperity)
        with_token = amperity_at()
        for thing in (amperity, amperity.auth(), amperity.http(), with_token, with_token.auth(), with_token.http()):
            assert not [secret for secret in SECRETS if secret in repr(thing)]

    @pytest.mark.usefixtures("logged")
    def test_are_not_stored_by_dagster(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, login: AmperityMaker
    ) -> None:
        sandbox.add_fault(Fault("echo_secret", path="/workflow/runs/", times=3))
        asset = build_remote_run_asset(RUN, key="customers")
        result = materialize([asset], sandbox, instance, resources={"amperity": login()})
        assert result.success
        kept = stored_by_dagster(instance, result.run_id)
        assert not [secret for secret in SECRETS if secret in kept]

    def test_may_come_from_the_environment(
        self, sandbox: Sandbox, login: AmperityMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OUR_CLIENT", well_known.AMPERITY_CLIENT_ID)
        monkeypatch.setenv("OUR_SECRET", SECRET)
        start(login(client_id=dg.EnvVar("OUR_CLIENT"), client_secret=dg.EnvVar("OUR_SECRET")))
        assert sandbox.starts("amperity") == 1
