"""Calls of any method, body and path, and credentials of any scheme, for vendors that differ from the five."""

import base64
from typing import Any

import pytest

from dagster_runs.transport.auth import HeaderAuth, authorization, basic
from dagster_runs.transport.client import HttpClient
from dagster_runs.transport.errors import InvalidRequestError, ServerError
from dagster_runs.vendor_sdk import Auth, RemoteRunResource
from tests.transport.conftest import ClientMaker
from tests.transport.scripted import Origin, Reply


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_repeatable_call_of_any_method_is_retried(method: str, origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(503), Reply(204, "")]
    assert client.send_repeatable(method, ["jobs", 17], may_be_empty=True).json is None
    assert [(seen.method, seen.path) for seen in origin.seen] == [(method, "/jobs/17")] * 2


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_call_that_starts_a_run_is_sent_once_whatever_its_method(
    method: str, origin: Origin, client: HttpClient
) -> None:
    origin.replies = [Reply(503)]
    with pytest.raises(ServerError) as raised:
        client.send_once(method, ["jobs", 17], json={"paused": False})
    assert raised.value.may_have_been_accepted
    assert len(origin.seen) == 1


def test_body_is_json_or_a_form_or_empty(origin: Origin, client: HttpClient) -> None:
    client.send_once("PATCH", ["a"], json={"x": 1})
    client.send_once("POST", ["b"], form={"x": "1 2"})
    client.send_once("POST", ["c"])
    sent = [(seen.headers.get("content-type"), seen.body) for seen in origin.seen]
    assert sent == [
        ("application/json", b'{"x": 1}'),
        ("application/x-www-form-urlencoded", b"x=1+2"),
        (None, b""),
    ]


def test_list_repeats_a_parameter_of_the_query(origin: Origin, client: HttpClient) -> None:
    client.get(["a"], params={"status": ["queued", "running"], "limit": 5})
    assert origin.seen[0].path == "/a?status=queued&status=running&limit=5"


def test_paths_may_end_in_a_slash(origin: Origin, client_of: ClientMaker) -> None:
    client = client_of(origin.url, paths_end_in_slash=True)
    client.get(["accounts", 12, "runs", "a/b"])
    client.post_once(["jobs", 7, "run"])
    assert [seen.path for seen in origin.seen] == ["/accounts/12/runs/a%2Fb/", "/jobs/7/run/"]


@pytest.mark.parametrize("part", [None, True, 1.5, b"x"])
def test_part_that_is_no_text_and_no_whole_number_is_refused(part: Any, origin: Origin, client: HttpClient) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be part of a URL"):
        client.get(["jobs", part])
    assert origin.seen == []


@pytest.mark.parametrize(
    ("auth", "header", "secret"),
    [
        (authorization("Token", "dbt-t0ken"), "Token dbt-t0ken", "dbt-t0ken"),
        (authorization("GenieKey", "genie-k3y"), "GenieKey genie-k3y", "genie-k3y"),
        (
            basic("api-key", "api-s3cret"),
            f"Basic {base64.b64encode(b'api-key:api-s3cret').decode()}",
            base64.b64encode(b"api-key:api-s3cret").decode(),
        ),
        (basic("api-key", "api-s3cret"), f"Basic {base64.b64encode(b'api-key:api-s3cret').decode()}", "api-s3cret"),
    ],
)
def test_authorization_of_any_scheme_is_sent_and_hidden(
    auth: HeaderAuth, header: str, secret: str, origin: Origin, client_of: ClientMaker
) -> None:
    client = client_of(origin.url, auth=auth, max_retries=0)
    origin.replies = [Reply(500, {"message": f"refused {header}"})]
    with pytest.raises(ServerError) as raised:
        client.get(["x"])
    assert origin.seen[0].headers["authorization"] == header
    assert secret not in str(raised.value)


class Acme(RemoteRunResource):
    """A vendor with a token endpoint that takes JSON, as Airbyte has."""

    vendor = "Acme"

    base_url: str
    client_id: str
    client_secret: str

    def api_url(self) -> str:
        return f"{self.base_url}/v1"

    def auth(self) -> Auth:
        secret = self.secret("client_secret") or ""
        return self.exchanged_token(
            f"{self.base_url}/applications/token/",
            json={"client_id": self.client_id, "client_secret": secret},
            secrets=(secret,),
            hint="Create another application.",
            scheme="Token",
        )


def acme(origin: Origin, name: str) -> Acme:
    """Returns a resource. Tokens are shared in a process, so each test uses another client."""
    return Acme(base_url=origin.url, client_id=name, client_secret=f"{name}-s3cret", max_retries=2)


def test_token_of_a_json_endpoint_is_fetched_once_retried_and_shared(origin: Origin) -> None:
    origin.replies = [Reply(503), Reply(200, {"access_token": "t0ken-1", "expires_in": "900"}), Reply(), Reply()]
    acme(origin, "shared").http().get(["a"])
    acme(origin, "shared").http().get(["b"])
    assert [seen.path for seen in origin.seen] == ["/applications/token/", "/applications/token/", "/v1/a", "/v1/b"]
    assert origin.seen[0].body == b'{"client_id": "shared", "client_secret": "shared-s3cret"}'
    assert {seen.headers["authorization"] for seen in origin.seen[2:]} == {"Token t0ken-1"}


def test_refused_token_is_renewed_once(origin: Origin) -> None:
    tokens = [Reply(200, {"accessToken": f"t0ken-{number}", "expiresIn": 900}) for number in (1, 2)]
    origin.replies = [tokens[0], Reply(401, {}), tokens[1], Reply(200, {"ok": True})]
    assert acme(origin, "renewed").http().get(["a"]).json == {"ok": True}
    assert [seen.headers.get("authorization") for seen in origin.seen if seen.path == "/v1/a"] == [
        "Token t0ken-1",
        "Token t0ken-2",
    ]


def test_secrets_of_a_token_endpoint_are_hidden(origin: Origin) -> None:
    origin.replies = [Reply(400, {"message": "bad client hidden-s3cret"})]
    with pytest.raises(Exception, match="could not get an access token") as raised:
        acme(origin, "hidden").http().get(["a"])
    assert "hidden-s3cret" not in str(raised.value)
    assert "Create another application." in str(raised.value)


def test_token_url_without_a_path_is_refused() -> None:
    resource = Acme(base_url="http://127.0.0.1:9", client_id="a", client_secret="b")
    with pytest.raises(InvalidRequestError, match="has no path"):
        resource.exchanged_token("http://127.0.0.1:9", json={}, secrets=())


class Guarded(Acme):
    """A vendor whose token endpoint has credentials of its own."""

    renewals: int = 1

    def auth(self) -> Auth:
        return self.exchanged_token(
            f"{self.base_url}/token",
            form={"client_id": self.client_id},
            auth=basic("gateway", "g4teway-s3cret"),
            secrets=self.client_secret,  # a text in place of a list
            max_renewals=self.renewals,
        )


def guarded(origin: Origin, name: str, **settings: Any) -> Guarded:
    return Guarded(base_url=origin.url, client_id=name, client_secret=f"{name}-s3cret", max_retries=0, **settings)


@pytest.mark.parametrize("secret", ["g4teway-s3cret", "guarded-s3cret", "t0ken-guarded"])
def test_all_secrets_of_a_token_endpoint_are_hidden_in_later_calls(secret: str, origin: Origin) -> None:
    origin.replies = [Reply(200, {"access_token": "t0ken-guarded"}), Reply(500, {"message": f"refused {secret}"})]
    resource = Guarded(base_url=origin.url, client_id=secret, client_secret="guarded-s3cret", max_retries=0)
    with pytest.raises(ServerError, match="refused") as raised:
        resource.http().get(["a"])
    assert secret not in str(raised.value)


def test_token_is_shared_only_by_equal_settings(origin: Origin) -> None:
    origin.replies = [Reply(200, {"access_token": "t0ken", "expires_in": 900})]
    variants = [{}, {}, {"renewals": 3}, {"allow_plain_http": True}]
    auths = [guarded(origin, "variants", **settings).auth() for settings in variants]
    assert auths[0] is auths[1]
    assert len({id(auth) for auth in auths}) == 3
