"""Response bodies are limited in size and time, and are JSON or raise a clear error."""

import gzip
import json
import time

import pytest
from pydantic import BaseModel, ConfigDict

from dagster_runs.sandbox import Fault, Sandbox, well_known
from dagster_runs.transport.body import MAX_BODY, excerpt
from dagster_runs.transport.client import HttpClient
from dagster_runs.transport.errors import ConnectionFailedError, UnexpectedResponseError, VendorError
from tests.transport.conftest import ClientMaker
from tests.transport.scripted import Origin, Reply, huge


@pytest.fixture
def health(sandbox: Sandbox, client_of: ClientMaker) -> HttpClient:
    return client_of(
        f"{sandbox.url}/testgen/api/v1", token=well_known.TESTGEN_TOKEN, max_retries=0, request_timeout=0.3
    )


@pytest.mark.parametrize("variant", ["chunked", "content_length"])
def test_body_size_is_limited(variant: str, sandbox: Sandbox, client_of: ClientMaker) -> None:
    sandbox.add_fault(Fault("huge_body", variant=variant, size=200_000_000))
    # A busy machine may take a while for 16 MiB.
    client = client_of(f"{sandbox.url}/testgen/api/v1", token=well_known.TESTGEN_TOKEN, max_retries=0)
    with pytest.raises(UnexpectedResponseError, match="more than 16 MiB"):
        client.get(["health"])


def test_slow_body_times_out(sandbox: Sandbox, health: HttpClient) -> None:
    # Each byte resets the timeout of the socket.
    sandbox.add_fault(Fault("slow_body", seconds=5))
    begun = time.monotonic()
    with pytest.raises(ConnectionFailedError, match=r"not complete after 0\.3 s"):
        health.get(["health"])
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    ("variant", "kind"), [("short_body", UnexpectedResponseError), ("early_close", ConnectionFailedError)]
)
def test_truncated_body_raises(variant: str, kind: type[VendorError], sandbox: Sandbox, health: HttpClient) -> None:
    sandbox.add_fault(Fault("truncated", variant=variant))
    with pytest.raises(kind):
        health.get(["health"])


def test_html_excerpt_is_in_the_error(sandbox: Sandbox, health: HttpClient) -> None:
    sandbox.add_fault(Fault("html", status=200))
    with pytest.raises(UnexpectedResponseError, match=r"HTML instead of JSON: '<!DOCTYPE html>.*Sign in") as raised:
        health.get(["health"])
    assert "login page" in str(raised.value)
    assert raised.value.status == 200


@pytest.mark.parametrize("beginning", ["<html>", " \n\t<!DOCTYPE HTML>", "<HTML lang=en>"])
def test_html_is_recognized_by_its_first_characters(beginning: str, origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(200, f"{beginning} hello")]
    with pytest.raises(UnexpectedResponseError, match="the server sent HTML"):
        client.get(["x"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("OK", "text that is not JSON: 'OK'"),
        ("", "an empty body"),
        (" \n", "an empty body"),
        ('{"a": 1', "text that is not JSON"),
        ('{"a": 1}{"a": 2}', "text that is not JSON"),
        (b"\xff\xfe\xfd", "text that is not JSON"),
        (b"\x1f\x8b\x00", "text that is not JSON"),
        ("[" * 100_000, "text that is not JSON"),
        ("9" * 5000, "text that is not JSON"),
    ],
)
def test_non_json_body_is_reported(body: str | bytes, expected: str, origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(200, body)]
    with pytest.raises(UnexpectedResponseError) as raised:
        client.get(["x"])
    assert expected in str(raised.value)
    assert len(str(raised.value)) < 700
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("depth", [200, 400, 600, 900, 3000])
def test_deeply_nested_json_raises_unexpected_response(depth: int, origin: Origin, client: HttpClient) -> None:
    class Status(BaseModel):
        status: str

    origin.replies = [Reply(200, f'{{"status": {"[" * depth}{"]" * depth}}}')]
    with pytest.raises(UnexpectedResponseError):
        client.get(["x"]).parse(Status)


@pytest.mark.parametrize("depth", [400, 900])
def test_deeply_nested_error_body_raises_the_error_of_its_status(
    depth: int, origin: Origin, client: HttpClient
) -> None:
    origin.replies = [Reply(400, f'{{"message": {"[" * depth}{"]" * depth}}}')]
    with pytest.raises(VendorError, match="400"):
        client.get(["x"])


def test_nan_does_not_affect_other_fields(origin: Origin, client: HttpClient) -> None:
    # Not standard JSON, but many servers send it.
    origin.replies = [Reply(200, '{"status": "completed", "score": NaN}')]
    assert client.get(["x"]).json["status"] == "completed"


@pytest.mark.parametrize("body", [b'\xef\xbb\xbf{"a": 1}', '{"a": 1}'.encode("utf-16"), b' {"a": 1}\r\n'])
def test_json_in_other_encodings_is_parsed(body: bytes, origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(200, body)]
    assert client.get(["x"]).json == {"a": 1}


class TestCompression:
    def test_is_decoded(self, origin: Origin, client: HttpClient) -> None:
        origin.replies = [Reply(200, gzip.compress(b'{"a": 1}'), {"Content-Encoding": "gzip"})]
        assert client.get(["x"]).json == {"a": 1}

    def test_does_not_bypass_the_size_limit(self, origin: Origin, client: HttpClient) -> None:
        bomb = gzip.compress(b"[" + b" " * (4 * MAX_BODY) + b"]", compresslevel=1)
        assert len(bomb) < MAX_BODY / 10
        origin.replies = [Reply(200, bomb, {"Content-Encoding": "gzip"})]
        with pytest.raises(UnexpectedResponseError, match="more than 16 MiB"):
            client.get(["x"])

    def test_invalid_gzip_raises(self, origin: Origin, client_of: ClientMaker) -> None:
        origin.replies = [Reply(200, b'{"a": 1}', {"Content-Encoding": "gzip"})]
        with pytest.raises(VendorError):
            client_of(origin.url, max_retries=0).get(["x"])


def test_endless_error_body_raises_the_error_of_its_status(origin: Origin, client_of: ClientMaker) -> None:
    origin.replies = [huge(502, MAX_BODY + 1_000_000)]
    with pytest.raises(VendorError) as raised:
        client_of(origin.url, max_retries=0).get(["x"])
    assert raised.value.status == 502


def test_redirect_body_is_not_read(origin: Origin, client: HttpClient) -> None:
    def endless(handler: object) -> None:
        huge(302, MAX_BODY * 20)(Relocated(handler))

    origin.replies = [endless, Reply(200, {"ok": 1})]
    begun = time.monotonic()
    assert client.get(["x"]).json == {"ok": 1}
    assert time.monotonic() - begun < 1


class Relocated:
    """A handler that adds a Location header."""

    def __init__(self, handler: object) -> None:
        self.__dict__["handler"] = handler

    def __getattr__(self, name: str) -> object:
        return getattr(self.handler, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.handler, name, value)

    def end_headers(self) -> None:
        self.handler.send_header("Location", "/y")
        self.handler.end_headers()


def test_excerpt_is_one_short_line() -> None:
    assert excerpt("a\n\n b\t c") == "a b c"
    assert len(excerpt("x" * 10_000)) == 301
    assert excerpt("x" * 300) == "x" * 300


class Job(BaseModel):
    id: str
    status: str


@pytest.mark.parametrize(
    "body", [{"id": "1"}, {"id": "1", "status": None}, {"id": 1, "status": "x"}, [], None, "ok", 5]
)
def test_validation_error_names_the_fields_and_quotes_the_response(
    body: object, origin: Origin, client: HttpClient
) -> None:
    origin.replies = [Reply(200, json.dumps(body))]
    with pytest.raises(UnexpectedResponseError) as raised:
        client.get(["jobs", "1"]).parse(Job)
    assert json.dumps(body) in str(raised.value)
    assert "Acme GET /jobs/1 returned 200" in str(raised.value)
    if isinstance(body, dict):
        assert "status: " in str(raised.value) or "id: " in str(raised.value)


def test_deferred_response_model_is_built_once(origin: Origin, client: HttpClient) -> None:
    class Deferred(BaseModel):
        model_config = ConfigDict(defer_build=True)

        id: str

    # Not for each response, which would take longer than the rest of a status call.
    origin.replies = [Reply(200, {"id": "1"})]
    assert not Deferred.__pydantic_complete__
    assert client.get(["x"]).parse(Deferred).id == "1"
    assert Deferred.__pydantic_complete__
