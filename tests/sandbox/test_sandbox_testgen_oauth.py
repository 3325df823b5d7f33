"""TestGen's tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dagster_runs.sandbox import Sandbox, well_known

CLIENT = (well_known.TESTGEN_CLIENT_ID, well_known.TESTGEN_CLIENT_SECRET)
REFRESH = {"grant_type": "refresh_token", "refresh_token": well_known.TESTGEN_REFRESH_TOKEN}


@pytest.fixture
def oauth(api_factory: Callable[[str, str], Any]) -> Any:
    api = api_factory("/testgen", "")
    del api.session.headers["Authorization"]
    return api


def is_accepted(api: Any, token: str) -> bool:
    path, headers = "/api/v1/projects/DEFAULT/jobs?limit=1", {"Authorization": f"Bearer {token}"}
    return bool(api("GET", path, headers=headers).status_code == 200)


def test_refresh_revokes_the_previous_token(oauth: Any) -> None:
    first = oauth("POST", "/oauth/token", data=REFRESH, auth=CLIENT)
    assert set(first.json()) == {"token_type", "access_token", "expires_in"}
    assert (first.json()["token_type"], first.json()["expires_in"]) == ("Bearer", 3600)
    assert first.headers["Cache-Control"] == "no-store"
    assert is_accepted(oauth, first.json()["access_token"])
    second = oauth.json("POST", "/oauth/token", data={**REFRESH, "client_id": CLIENT[0], "client_secret": CLIENT[1]})
    assert is_accepted(oauth, second["access_token"])
    assert not is_accepted(oauth, first.json()["access_token"])
    assert is_accepted(oauth, well_known.TESTGEN_TOKEN)


def test_tokens_expire_in_simulated_time(sandbox: Sandbox, oauth: Any) -> None:
    token = oauth.json("POST", "/oauth/token", data=REFRESH, auth=CLIENT)["access_token"]
    sandbox.advance(3599)
    assert is_accepted(oauth, token)
    sandbox.advance(2)
    assert not is_accepted(oauth, token)
    sandbox.advance(30 * 86_400)
    assert oauth("POST", "/oauth/token", data=REFRESH, auth=CLIENT).json() == {"error": "invalid_grant"}


@pytest.mark.parametrize(
    ("form", "auth", "code", "body"),
    [
        ({}, None, 400, {"error": "unsupported_grant_type"}),
        ({"grant_type": "client_credentials"}, CLIENT, 400, {"error": "unsupported_grant_type"}),
        ({"grant_type": "password", "username": "a"}, CLIENT, 400, {"error": "unsupported_grant_type"}),
        ({**REFRESH, "refresh_token": "wrong"}, CLIENT, 400, {"error": "invalid_grant"}),
        (
            {"grant_type": "authorization_code", "code": "wrong"},
            CLIENT,
            400,
            {"error": "invalid_grant", "error_description": "Invalid 'code' in request."},
        ),
        (REFRESH, (CLIENT[0], "wrong"), 401, {"error": "invalid_client"}),
        (REFRESH, None, 401, {"error": "invalid_client"}),
    ],
)
def test_errors_have_the_shape_of_oauth(oauth: Any, form: Any, auth: Any, code: int, body: Any) -> None:
    response = oauth("POST", "/oauth/token", data=form, auth=auth)
    assert (response.status_code, response.json()) == (code, body)


def test_revoked_token(oauth: Any) -> None:
    token = oauth.json("POST", "/oauth/token", data=REFRESH, auth=CLIENT)["access_token"]
    assert oauth.json("POST", "/oauth/revoke", data={"token": token}, auth=CLIENT) == {}
    assert not is_accepted(oauth, token)


def test_discovery(sandbox: Sandbox, oauth: Any) -> None:
    metadata = oauth.json("GET", "/.well-known/oauth-authorization-server")
    assert metadata["token_endpoint"] == f"{sandbox.url}/testgen/oauth/token"
    assert "client_credentials" not in metadata["grant_types_supported"]
    paths = oauth.json("GET", "/api/openapi.json")["paths"]
    assert "/api/v1/test-runs/{job_id}/results" in paths


def test_no_secret_is_logged(sandbox: Sandbox, oauth: Any) -> None:
    token = oauth.json("POST", "/oauth/token", data=REFRESH, auth=CLIENT)["access_token"]
    oauth("POST", "/oauth/token", data={**REFRESH, "refresh_token": "wrong"}, auth=(CLIENT[0], "wrong"))
    is_accepted(oauth, token)
    requests = sandbox.requests()
    assert [item.headers["authorization"] for item in requests] == ["valid", "invalid", "valid"]
    assert requests[0].body == {"grant_type": "refresh_token", "refresh_token": "<secret>"}
    for secret in (token, well_known.TESTGEN_CLIENT_SECRET, well_known.TESTGEN_REFRESH_TOKEN):
        assert secret not in repr(requests)
