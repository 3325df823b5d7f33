"""TestGen's OAuth: several processes may share a refresh token, which yields access tokens valid for one hour."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dagster as dg
import pytest
import requests

from dagster_runs import AuthenticationError, TestGenResource, VendorError
from dagster_runs.sandbox import Fault, RecordedRequest, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from dagster_runs.transport import auth as auth_module
from tests.remote_run.materializing import PROFILING, TESTS, failure, materialize
from tests.vendors.conftest import TestGenMaker
from tests.vendors.logging_in import lasting_faults, leaking_faults, name, stored_by_dagster, text_of, transient_faults
from tests.vendors.testgen_runs import attempt, suite_run

from dagster_runs import build_remote_run_asset  # isort: skip

pytestmark = pytest.mark.usefixtures("clock", "nobody_has_logged_in")

CLIENT = (well_known.TESTGEN_CLIENT_ID, well_known.TESTGEN_CLIENT_SECRET)
SECRETS = (well_known.TESTGEN_CLIENT_SECRET, well_known.TESTGEN_REFRESH_TOKEN, "sandbox-access-")
TOKEN = "/oauth/token"


@pytest.fixture
def login(testgen_at: TestGenMaker) -> TestGenMaker:
    def make(**fields: Any) -> TestGenResource:
        given = {
            "access_token": None,
            "client_id": well_known.TESTGEN_CLIENT_ID,
            "client_secret": well_known.TESTGEN_CLIENT_SECRET,
            "refresh_token": well_known.TESTGEN_REFRESH_TOKEN,
            **fields,
        }
        return testgen_at("testgen", **given)

    return make


@pytest.fixture
def testgen(login: TestGenMaker) -> TestGenResource:
    return login()


def logins(sandbox: Sandbox) -> list[RecordedRequest]:
    return [request for request in sandbox.requests("testgen") if request.path.endswith("/oauth/token")]


def another_process_logs_in(sandbox: Sandbox) -> None:
    """Revokes the access token of this process."""
    form = {"grant_type": "refresh_token", "refresh_token": well_known.TESTGEN_REFRESH_TOKEN}
    requests.post(f"{sandbox.url}/testgen/oauth/token", data=form, auth=CLIENT, timeout=5).raise_for_status()


@pytest.mark.covers("testgen.endpoint.token", "testgen.login.grant-refresh-token", "testgen.login.access-token")
def test_only_the_first_call_logs_in(sandbox: Sandbox, testgen: TestGenResource) -> None:
    for _ in range(3):
        suite_run().start(testgen, attempt())
    [request] = logins(sandbox)
    assert request.body == {"grant_type": "refresh_token", "refresh_token": "<secret>"}
    assert request.headers["authorization"] == "valid"
    assert request.headers["user-agent"].startswith("dagster-runs/")
    assert sandbox.starts("testgen") == 3


def test_rejected_token_is_renewed_once_and_the_call_succeeds(sandbox: Sandbox, testgen: TestGenResource) -> None:
    run_id = suite_run().start(testgen, attempt())
    sandbox.add_fault(Fault("expired_token", path="/jobs/", times=1))
    assert testgen.get_job(run_id).id == run_id
    assert len(logins(sandbox)) == 2


def test_start_with_a_rejected_token_starts_one_run(sandbox: Sandbox, testgen: TestGenResource) -> None:
    suite_run().start(testgen, attempt())
    another_process_logs_in(sandbox)
    suite_run().start(testgen, attempt())
    assert sandbox.starts("testgen") == 2


@pytest.mark.covers("testgen.login.refresh-revokes")
def test_token_revoked_by_another_process_is_renewed(sandbox: Sandbox, testgen: TestGenResource) -> None:
    run_id = suite_run().start(testgen, attempt())
    for _ in range(3):
        another_process_logs_in(sandbox)
        assert testgen.get_job(run_id).id == run_id
    assert len(logins(sandbox)) == 1 + 3 + 3


def test_concurrent_401_responses_renew_the_token_once(sandbox: Sandbox, testgen: TestGenResource) -> None:
    run_id = suite_run().start(testgen, attempt())
    another_process_logs_in(sandbox)
    before = len(logins(sandbox))
    together = threading.Barrier(6)

    def get_job_id(_: int) -> str:
        together.wait()
        return testgen.get_job(run_id).id

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(get_job_id, range(6))) == {run_id}
    assert len(logins(sandbox)) == before + 1


@pytest.mark.covers("testgen.login.refresh-revokes")
def test_processes_sharing_a_refresh_token_both_succeed(
    sandbox: Sandbox, testgen: TestGenResource, login: TestGenMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = suite_run().start(testgen, attempt())
    monkeypatch.setattr(auth_module, "_shared", {})
    other = login()

    def get_job_id(resource: TestGenResource) -> list[str]:
        return [resource.get_job(run_id).id for _ in range(5)]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(get_job_id, [testgen, other])) == [[run_id] * 5] * 2


def test_token_renewals_per_call_are_limited(sandbox: Sandbox, testgen: TestGenResource) -> None:
    sandbox.add_fault(Fault("expired_token", path="/jobs/"))
    with pytest.raises(AuthenticationError):
        testgen.get_job("x")
    assert len(sandbox.requests("testgen")) - len(logins(sandbox)) == 1 + 3


@pytest.mark.covers("testgen.login.expires-in")
def test_token_is_renewed_before_it_expires(sandbox: Sandbox, testgen: TestGenResource, clock: SandboxClock) -> None:
    run_id = suite_run().start(testgen, attempt())
    clock.sleep(3600 - 30)
    assert testgen.get_job(run_id).id == run_id
    assert len(logins(sandbox)) == 2
    assert 401 not in [request.status for request in sandbox.requests("testgen")]


@pytest.mark.covers("testgen.login.grant-refresh-token")
def test_resources_with_the_same_client_share_a_token(sandbox: Sandbox, login: TestGenMaker) -> None:
    for resource in (login(), login(project_code="OTHER"), login(base_url=f"{sandbox.url}/testgen/api/v1/")):
        suite_run().start(resource, attempt())
    assert len(logins(sandbox)) == 1


@pytest.mark.parametrize("field", ["client_id", "client_secret", "refresh_token"])
@pytest.mark.covers("testgen.login.invalid-grant")
def test_rejected_login_reports_how_to_log_in_again(field: str, sandbox: Sandbox, login: TestGenMaker) -> None:
    with pytest.raises(AuthenticationError, match="could not get an access token") as raised:
        suite_run().start(login(**{field: "wrong-one"}), attempt())
    assert "Log in to TestGen again" in str(raised.value)
    assert raised.value.is_permanent
    assert not raised.value.may_have_been_accepted
    assert sandbox.starts("testgen") == 0
    assert len(logins(sandbox)) == 1


@pytest.mark.covers("testgen.login.grant-refresh-token")
def test_expired_refresh_token_raises_authentication_error(
    sandbox: Sandbox, testgen: TestGenResource, clock: SandboxClock
) -> None:
    run_id = suite_run().start(testgen, attempt())
    clock.sleep(31 * 86_400)
    with pytest.raises(AuthenticationError, match="30 days"):
        testgen.get_job(run_id)


@pytest.mark.parametrize("fault", transient_faults(TOKEN), ids=name)
@pytest.mark.covers("testgen.login.invalid-grant")
def test_transient_token_endpoint_errors_are_retried(fault: Fault, sandbox: Sandbox, testgen: TestGenResource) -> None:
    sandbox.add_fault(fault)
    suite_run().start(testgen, attempt())
    assert sandbox.starts("testgen") == 1


def test_call_budget_limits_the_wait_for_a_token(sandbox: Sandbox, testgen: TestGenResource) -> None:
    sandbox.add_fault(Fault("status", status=503, path=TOKEN))
    with pytest.raises(VendorError, match="503"), testgen.http().with_call_budget():
        testgen.get_job("x")
    assert len(logins(sandbox)) <= 4  # two API calls with two token requests each


LOGIN_FAULTS = lasting_faults(TOKEN)


@pytest.mark.parametrize("fault", LOGIN_FAULTS, ids=name)
def test_failed_login_means_that_nothing_was_started(fault: Fault, sandbox: Sandbox, testgen: TestGenResource) -> None:
    sandbox.add_fault(fault)
    with pytest.raises(VendorError) as raised:
        suite_run().start(testgen, attempt())
    assert not raised.value.may_have_been_accepted


@pytest.mark.parametrize("fault", LOGIN_FAULTS, ids=name)
def test_failed_login_of_a_step_does_not_make_the_start_uncertain(
    fault: Fault, sandbox: Sandbox, instance: dg.DagsterInstance, login: TestGenMaker
) -> None:
    sandbox.add_fault(fault)
    assets = [build_remote_run_asset(PROFILING, key="profile")]
    result = materialize(assets, sandbox, instance, resources={"testgen": login(project_code=None)})
    assert "unknown whether" not in failure(result)
    sandbox.clear_faults()
    assert sandbox.starts("testgen") == 0


class TestSecrets:
    __test__ = True

    @pytest.fixture
    def logged(self, caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
        caplog.set_level(logging.DEBUG)
        yield caplog
        assert not [secret for secret in SECRETS if secret in caplog.text]

    @pytest.mark.parametrize("fault", leaking_faults(TOKEN, error=SECRETS[1], error_description=SECRETS[0]), ids=name)
    @pytest.mark.usefixtures("logged")
    def test_are_not_in_errors(self, fault: Fault, sandbox: Sandbox, testgen: TestGenResource) -> None:
        sandbox.add_fault(fault)
        with pytest.raises(VendorError) as raised:
            suite_run().start(testgen, attempt())
        assert not [secret for secret in SECRETS if secret in text_of(raised.value)]

    def test_echoed_access_token_is_redacted(self, sandbox: Sandbox, testgen: TestGenResource) -> None:
        suite_run().start(testgen, attempt())
        sandbox.add_fault(Fault("echo_secret", method="POST"))
        with pytest.raises(VendorError) as raised:
            suite_run().start(testgen, attempt())
        assert "upstream refused the request" in str(raised.value)
        assert "sandbox-access-" not in str(raised.value)

    def test_are_not_in_reprs(self, testgen: TestGenResource) -> None:
        suite_run().start(testgen, attempt())
        for thing in (testgen, testgen.auth(), testgen.http(), testgen.auth().redactor()):
            assert not [secret for secret in SECRETS if secret in repr(thing)]

    @pytest.mark.usefixtures("logged")
    def test_are_not_stored_by_dagster(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, login: TestGenMaker
    ) -> None:
        sandbox.add_fault(Fault("echo_secret", path="/jobs/", times=3))
        asset = build_remote_run_asset(TESTS, key="quality")
        result = materialize([asset], sandbox, instance, resources={"testgen": login()})
        assert result.success
        kept = stored_by_dagster(instance, result.run_id)
        assert not [secret for secret in SECRETS if secret in kept]

    def test_may_come_from_the_environment(
        self, sandbox: Sandbox, login: TestGenMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OUR_SECRET", well_known.TESTGEN_CLIENT_SECRET)
        monkeypatch.setenv("OUR_TOKEN", well_known.TESTGEN_REFRESH_TOKEN)
        resource = login(client_secret=dg.EnvVar("OUR_SECRET"), refresh_token=dg.EnvVar("OUR_TOKEN"))
        suite_run().start(resource, attempt())
        assert sandbox.starts("testgen") == 1
