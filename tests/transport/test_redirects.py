"""Redirects are followed only within the origin and with the same method; credentials never leave it."""

from functools import partial

import pytest

from dagster_runs.transport.client import HttpClient
from dagster_runs.transport.errors import UnexpectedResponseError, VendorError
from dagster_runs.transport.http_request import MAX_REDIRECTS
from tests.transport.conftest import TOKEN, ClientMaker
from tests.transport.scripted import Origin, Reply

STATUSES = [301, 302, 303, 307, 308]


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("method", ["GET", "POST", "POST once"])
def test_credentials_never_reach_another_origin(
    status: int, method: str, origin: Origin, other_origin: Origin, client: HttpClient
) -> None:
    origin.replies = [Reply(status, headers={"Location": f"{other_origin.url}/collect"})]
    send = {"GET": client.get, "POST": partial(client.send_repeatable, "POST"), "POST once": client.post_once}[method]
    with pytest.raises(UnexpectedResponseError, match="a redirect that is not followed") as raised:
        send(["x"])
    assert f"{other_origin.url}/collect" in str(raised.value)
    assert other_origin.seen == []
    assert len(origin.seen) == 1


@pytest.mark.parametrize(
    "location",
    [
        "//127.0.0.1:{other}/x",
        "http://127.0.0.1:{own}@127.0.0.1:{other}/x",
        "http://localhost:{own}/x",
        "https://127.0.0.1:{own}/x",
        "http://127.0.0.1/x",
        "http:\\\\127.0.0.1:{other}\\x",
        "ftp://127.0.0.1:{own}/x",
        "file:///etc/hostname",
    ],
)
def test_redirects_to_other_origins_are_recognized(
    location: str, origin: Origin, other_origin: Origin, client: HttpClient
) -> None:
    target = location.format(own=origin.port, other=other_origin.port)
    origin.replies = [Reply(302, headers={"Location": target}), Reply(404)]
    with pytest.raises(VendorError):
        client.get(["x"])
    assert other_origin.seen == []


@pytest.mark.parametrize(
    "location",
    ["http://[", "http://127.0.0.1:port/", "http://127.0.0.1:99999/", "http://", "//", "?", "http://[::1]x/", "\x01"],
)
def test_malformed_redirects_raise_vendor_errors(location: str, origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(302, headers={"Location": location})]
    with pytest.raises(VendorError):
        client.get(["x"])


def test_origin_comparison_ignores_case(origin: Origin, client_of: ClientMaker) -> None:
    origin.replies = [Reply(307, headers={"Location": f"HTTP://LocalHost:{origin.port}/y"}), Reply(200, {"ok": 1})]
    assert client_of(f"http://localhost:{origin.port}").get(["x"]).json == {"ok": 1}


@pytest.mark.parametrize("status", STATUSES)
def test_get_follows_redirects_within_the_origin(status: int, origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(status, headers={"Location": "/y?page=2"}), Reply(200, {"ok": 1})]
    assert client.get(["x"]).json == {"ok": 1}
    assert [seen.path for seen in origin.seen] == ["/x", "/y?page=2"]
    assert origin.seen[1].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("status", [307, 308])
def test_post_follows_redirects_that_keep_the_method(status: int, origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(status, headers={"Location": f"{origin.url}/x"}), Reply(200, {"runId": "r"})]
    assert client.post_once(["x", "y"], json={"a": 1}).json == {"runId": "r"}
    assert [(seen.method, seen.body) for seen in origin.seen] == [("POST", b'{"a": 1}')] * 2


@pytest.mark.parametrize("status", [301, 302, 303])
def test_post_never_becomes_a_get(status: int, origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(status, headers={"Location": "/login"}), Reply(200, {"runId": "r"})]
    with pytest.raises(UnexpectedResponseError):
        client.post_once(["x"], json={})
    assert len(origin.seen) == 1


def test_redirect_loop_raises(origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(307, headers={"Location": "/x"})]
    with pytest.raises(UnexpectedResponseError, match="redirects too many times"):
        client.get(["x"])
    assert len(origin.seen) == 1 + MAX_REDIRECTS


def test_not_modified_raises(origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(304, "")]
    with pytest.raises(VendorError, match="304"):
        client.get(["x"])
