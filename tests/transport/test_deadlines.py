"""A call ends in time, no matter what a server or proxy sends, and how slowly."""

import socket
import ssl
import time
from pathlib import Path

import pytest

from dagster_runs.transport.client import HttpClient
from dagster_runs.transport.clock import Clock, use_clock
from dagster_runs.transport.errors import ConnectionFailedError, VendorError
from tests.transport.conftest import ClientMaker
from tests.transport.scripted import Origin, Reply
from tests.transport.tls import Authority, Script, answering, dripping, listening, read_request

FIXES = pytest.mark.fixes("6.14")
TIMEOUTS = {"connect_timeout": 0.2, "request_timeout": 0.3, "max_retries": 0}
SOON = 2.0  # much less than the ten seconds that these servers keep sending
STATUS = b"HTTP/1.1 200 OK\r\n"
CHUNKED = STATUS + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def error_in_time(client: HttpClient) -> VendorError:
    began = time.monotonic()
    with use_clock(Clock()), pytest.raises(VendorError) as raised:
        client.post_once(["start"], json={})
    took = time.monotonic() - began
    assert took < SOON, f"{took:.1f} s"
    assert isinstance(raised.value, ConnectionFailedError)
    return raised.value


SLOW_RESPONSES = [
    pytest.param(dripping(b"X-Still-Here: yes\r\n", STATUS), id="slow headers"),
    pytest.param(dripping(b"y", STATUS + b"X-Still-Here: "), id="one header byte by byte"),
    pytest.param(dripping(b" ", b"HTTP/1.1"), id="status line byte by byte"),
    pytest.param(dripping(b"HTTP/1.1 100 Continue\r\n\r\n"), id="endless 100 Continue"),
    pytest.param(dripping(b" ", STATUS + b"Content-Length: 5000\r\n\r\n{"), id="body byte by byte"),
    pytest.param(dripping(b"1\r\n \r\n", CHUNKED), id="slow chunks"),
    pytest.param(dripping(b"0", CHUNKED + b"1;"), id="chunk size byte by byte"),
    pytest.param(dripping(b"X: y\r\n", CHUNKED + b"2\r\n{}\r\n0\r\n"), id="slow trailers"),
]


@pytest.mark.fixes("6.14")
@pytest.mark.parametrize("script", SLOW_RESPONSES)
def test_slow_server_times_out(script: Script, client_of: ClientMaker) -> None:
    with listening(script) as port:
        error = error_in_time(client_of(f"http://127.0.0.1:{port}", **TIMEOUTS))
    assert error.may_have_been_accepted
    assert f"127.0.0.1:{port}" in str(error)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(*one.values, id=one.id, marks=FIXES if "100" not in str(one.id) else ())
        for one in SLOW_RESPONSES[:4]
    ],
)
def test_slow_tunneling_proxy_times_out(
    script: Script, client_of: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening(script) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        error = error_in_time(client_of("https://api.example.com", **TIMEOUTS))
    assert not error.may_have_been_accepted


@pytest.mark.fixes("6.14")
def test_slow_forwarding_proxy_times_out(client_of: ClientMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(dripping(b"X-Still-Here: yes\r\n", STATUS)) as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        error = error_in_time(client_of("http://api.example.com", allow_plain_http=True, **TIMEOUTS))
    assert error.may_have_been_accepted


@pytest.mark.fixes("6.14")
def test_slow_tls_handshake_times_out(client_of: ClientMaker) -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03")  # an incomplete TLS record
        for _ in range(200):
            connection.sendall(b"\x00")
            time.sleep(0.05)

    with listening(script) as port:
        error = error_in_time(client_of(f"https://127.0.0.1:{port}", **TIMEOUTS))
    assert not error.may_have_been_accepted


@pytest.mark.fixes("6.14")
def test_slow_tls_server_times_out(client_of: ClientMaker, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context: ssl.SSLContext = authority.issue("server")

    def script(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            dripping(b"X-Still-Here: yes\r\n", STATUS)(secured)

    with listening(script) as port:
        error = error_in_time(client_of(f"https://127.0.0.1:{port}", ca_bundle=str(authority.bundle), **TIMEOUTS))
    assert error.may_have_been_accepted


@pytest.mark.fixes("6.14")
def test_retried_call_times_out(client_of: ClientMaker) -> None:
    with listening(dripping(b"X-Still-Here: yes\r\n", STATUS)) as port:
        client = client_of(f"http://127.0.0.1:{port}", **TIMEOUTS)
        began = time.monotonic()
        with pytest.raises(ConnectionFailedError, match=r"no response from .* within 0\.3 s"):
            client.get(["run"])
        assert time.monotonic() - began < SOON


def test_body_and_headers_have_separate_timeouts(client_of: ClientMaker) -> None:
    """Slow headers and a slow body are read if each is within the limit, and the connection is reused."""

    def script(connection: socket.socket) -> None:
        for _ in range(2):
            read_request(connection)
            time.sleep(0.6)
            connection.sendall(STATUS + b"Content-Length: 2\r\n\r\n")
            time.sleep(0.6)
            connection.sendall(b"{}")

    with listening(script) as port:
        client = client_of(f"http://127.0.0.1:{port}", request_timeout=1.0, max_retries=0)
        assert client.get(["x"]).json == {}
        assert client.get(["x"]).json == {}


def test_large_response_is_read_completely(client_of: ClientMaker, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    body = b'"' + b"x" * 3_000_000 + b'"'
    for coding in (b"Content-Length: %d\r\n\r\n%s" % (len(body), body), b"Connection: close\r\n\r\n" + body):
        script = answering(authority.issue("server"), [], STATUS + coding)
        with listening(script) as port:
            client = client_of(f"https://127.0.0.1:{port}", ca_bundle=str(authority.bundle))
            assert len(client.get(["x"]).json) == 3_000_000


def test_early_hints_and_late_100_responses_are_skipped(client_of: ClientMaker) -> None:
    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + STATUS + b"Content-Length: 2\r\n\r\n{}")

    with listening(script) as port:
        assert client_of(f"http://127.0.0.1:{port}").get(["x"]).json == {}


@pytest.mark.parametrize(
    "host",
    [
        *(pytest.param(host, marks=FIXES) for host in ("127.0.0.1", "localhost", "[::1]", "testgen.localhost")),
        "LOCALHOST.",
    ],
)
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_loopback_requests_bypass_the_proxy(
    variable: str, host: str, origin: Origin, client_of: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the proxy would receive the token in plain text, even if nothing listens on the loopback port."""
    monkeypatch.setenv(variable, origin.url)
    with listening(lambda connection: None) as port, pytest.raises(VendorError):
        client_of(f"http://{host}:{port}", max_retries=0).get(["x"])
    assert origin.seen == []


def test_other_hosts_are_reached_through_the_proxy(
    origin: Origin, client_of: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", origin.url)
    client_of("http://10.11.12.13:1", allow_plain_http=True).get(["x"])
    assert [seen.path for seen in origin.seen] == ["http://10.11.12.13:1/x"]


@pytest.mark.fixes("6.14")
@pytest.mark.parametrize(("status", "body"), [(200, ""), (202, ""), (202, " \r\n"), (204, "")])
def test_empty_body_is_a_success_only_if_the_caller_allows_it(
    status: int, body: str, origin: Origin, client_of: ClientMaker
) -> None:
    origin.replies = [Reply(status, body)]
    client = client_of(origin.url, max_retries=0)
    assert client.send_repeatable("POST", ["cancel"], may_be_empty=True).json is None
    with pytest.raises(VendorError, match="an empty body"):
        client.send_repeatable("POST", ["token"])


def test_html_page_does_not_count_as_an_empty_body(origin: Origin, client_of: ClientMaker) -> None:
    origin.replies = [Reply(200, "<html>Sign in</html>")]
    with pytest.raises(VendorError, match="HTML"):
        client_of(origin.url, max_retries=0).send_repeatable("POST", ["cancel"], may_be_empty=True)
