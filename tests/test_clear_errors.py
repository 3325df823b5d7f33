"""Errors name the vendor, the call, the cause and a fix in one sentence, and nothing is started."""

import dagster as dg
import pytest
from pydantic import ValidationError

from dagster_runs import RudderStackResource, build_remote_run_asset
from dagster_runs.sandbox import Fault, Sandbox, well_known
from tests.remote_run.materializing import PROFILES, TESTS, failure, materialize

pytestmark = pytest.mark.usefixtures("clock")


def fails(sandbox: Sandbox, instance: dg.DagsterInstance, **fields: object) -> str:
    rudderstack = RudderStackResource(
        **{
            "access_token": well_known.RUDDERSTACK_TOKEN,
            "base_url": f"{sandbox.url}/rudderstack",
            "max_retries": 1,
            **fields,
        }
    )
    asset = build_remote_run_asset(PROFILES, key="a")
    result = materialize([asset], sandbox, instance, resources={"rudderstack": rudderstack})
    assert sandbox.starts("rudderstack") == 0
    return failure(result)


def test_wrong_token_is_reported_without_the_token(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    message = fails(sandbox, instance, access_token="a-token-of-another-workspace")
    assert "RudderStack POST /sources/2hkeBOp0lGJpMPyur0oXUxxIDhw/start returned 401" in message
    assert "Check the resource's credentials" in message
    assert "a-token-of-another-workspace" not in message


def test_unreachable_host_is_reported_with_a_hint(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    message = fails(sandbox, instance, base_url="http://127.0.0.1:9")
    assert "could not connect" in message
    assert "refused" in message.lower()
    assert "Check the base URL" in message


def test_unknown_host_is_reported(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    message = fails(sandbox, instance, base_url="https://no-such-host.invalid")
    assert "could not connect" in message


def test_html_instead_of_json_is_quoted(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("html", method="POST", body="<html><title>Sign in</title></html>"))
    message = fails(sandbox, instance)
    assert "HTML instead of JSON: '<html><title>Sign in</title></html>'" in message


def test_redirect_to_another_origin_is_reported_with_its_target(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("redirect", method="POST", location="https://login.example.com/", status=307))
    message = fails(sandbox, instance)
    assert "a redirect that is not followed, because it leads to another origin" in message
    assert "https://login.example.com/" in message


def test_plain_http_to_another_machine_is_rejected(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    message = fails(sandbox, instance, base_url="http://api.example.com")
    assert "plain http" in message


@pytest.mark.parametrize("id", ["../x", "a/b", "?", "", "a b", "..", "%2e%2e", "a\nb"])
def test_malicious_id_is_rejected_before_any_request(sandbox: Sandbox, id: str) -> None:
    with pytest.raises(ValidationError, match="profiles_id"):
        PROFILES.with_fields({"profiles_id": id})
    with pytest.raises(ValidationError, match="not a UUID"):
        TESTS.with_fields({"test_suite_id": id})
    assert not sandbox.requests()


def test_unknown_id_is_reported_with_call_and_status(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    run = TESTS.with_fields({"test_suite_id": "11111111-1111-4111-8111-111111111111"})
    message = failure(materialize([build_remote_run_asset(run, key="a")], sandbox, instance))
    assert (
        "TestGen POST /test-suites/11111111-1111-4111-8111-111111111111/test-runs returned 404 [not_found]" in message
    )
