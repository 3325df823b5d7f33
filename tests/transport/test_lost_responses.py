"""Which failures leave open whether a start was accepted, so that it must not be sent a second time."""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_runs.transport.body import MAX_BODY
from dagster_runs.transport.client import HttpClient
from dagster_runs.transport.errors import ConnectionFailedError, UnexpectedResponseError, VendorError
from tests.transport.conftest import ClientMaker
from tests.transport.scripted import Origin, Reply, Script, cut_off, hang_up, huge, silent, slow

TOO_MUCH = MAX_BODY + 1_000_000


def start(client: HttpClient) -> VendorError:
    with pytest.raises(VendorError) as raised:
        client.post_once(["start"], json={})
    return raised.value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class TestNothingWasSent:
    """The connection was never established."""

    def test_connection_refused(self, client_of: ClientMaker) -> None:
        error = start(client_of(f"http://127.0.0.1:{free_port()}"))
        assert isinstance(error, ConnectionFailedError)
        assert "refused" in str(error)
        assert not error.may_have_been_accepted

    def test_unknown_host(self, client_of: ClientMaker, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        error = start(client_of("https://api.nowhere.invalid"))
        assert isinstance(error, ConnectionFailedError)
        assert "Name or service not known" in str(error)
        assert not error.may_have_been_accepted

    def test_connection_timed_out(self, client_of: ClientMaker) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            # The queue is full, so the next connection is neither accepted nor refused.
            queue = [socket.socket() for _ in range(4)]
            for waiting in queue:
                waiting.setblocking(False)
                waiting.connect_ex(listener.getsockname())
            port = listener.getsockname()[1]
            error = start(client_of(f"http://127.0.0.1:{port}", connect_timeout=0.1))
            for waiting in queue:
                waiting.close()
        assert isinstance(error, ConnectionFailedError)
        assert f"could not connect to 127.0.0.1:{port} within 0.1 s" in str(error)
        assert not error.may_have_been_accepted

    def test_proxy_is_unreachable(self, client_of: ClientMaker, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
        error = start(client_of("https://api.example.com"))
        assert "proxy" in str(error)
        assert not error.may_have_been_accepted

    def test_proxy_rejects_the_tunnel(
        self, origin: Origin, client_of: ClientMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        origin.replies = [Reply(407)]
        monkeypatch.setenv("HTTPS_PROXY", origin.url)
        error = start(client_of("https://api.example.com"))
        assert isinstance(error, ConnectionFailedError)
        assert not error.may_have_been_accepted
        assert [(seen.method, seen.path) for seen in origin.seen] == [("CONNECT", "api.example.com:443")]

    def test_proxy_url_is_invalid(self, client_of: ClientMaker, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://")
        assert not start(client_of("https://api.example.com")).may_have_been_accepted

    @pytest.mark.parametrize(
        "base_url", ["https://api..example.com", f"https://{'a' * 64}.example.com", "http://127.0.0.1:0"]
    )
    def test_base_url_is_invalid(self, base_url: str, client_of: ClientMaker) -> None:
        with pytest.raises(VendorError) as raised:
            client_of(base_url).post_once(["start"])
        assert not raised.value.may_have_been_accepted


@pytest.fixture(scope="module")
def untrusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server with a self-signed certificate."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    folder: Path = tmp_path_factory.mktemp("certificate")
    made = ["-keyout", str(folder / "key"), "-out", str(folder / "cert"), "-days", "2", "-subj", "/CN=localhost"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([openssl, "req", "-x509", *curve, *made], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def shake_hands() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        threading.Thread(target=shake_hands, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


class TestTls:
    def test_certificate_is_verified_before_sending(self, untrusted: str, client_of: ClientMaker) -> None:
        error = start(client_of(untrusted))
        assert isinstance(error, ConnectionFailedError)
        assert "CERTIFICATE_VERIFY_FAILED" in str(error)
        assert not error.may_have_been_accepted

    def test_https_to_a_plain_http_port_sends_nothing(self, origin: Origin, client_of: ClientMaker) -> None:
        error = start(client_of(origin.url.replace("http:", "https:")))
        assert isinstance(error, ConnectionFailedError)
        assert "TLS" in str(error)
        assert origin.seen == []


def error_response(status: int, *, html: bool = False) -> Reply:
    return Reply(status, "<html><body>Bad gateway</body></html>" if html else {"message": "no"})


@pytest.mark.parametrize(
    ("response", "accepted"),
    [
        pytest.param(hang_up, True, id="closed before the response"),
        pytest.param(silent, True, id="no response in time"),
        *(pytest.param(error_response(status), True, id=str(status)) for status in (500, 501, 502, 503, 504, 524)),
        *(pytest.param(error_response(status), True, id=str(status)) for status in (408, 425)),
        *(
            pytest.param(error_response(s), False, id=str(s))
            for s in (400, 401, 402, 403, 404, 405, 409, 413, 422, 429)
        ),
        pytest.param(error_response(502, html=True), True, id="502 as HTML"),
        pytest.param(error_response(404, html=True), False, id="404 as HTML"),
        pytest.param(cut_off(200), True, id="200 truncated"),
        pytest.param(cut_off(500), True, id="500 truncated"),
        pytest.param(cut_off(408), True, id="408 truncated"),
        pytest.param(cut_off(422), False, id="422 truncated"),
        pytest.param(slow(200), True, id="200 slow body"),
        pytest.param(slow(502), True, id="502 slow body"),
        pytest.param(slow(408), True, id="408 slow body"),
        pytest.param(slow(422), False, id="422 slow body"),
        pytest.param(huge(200, TOO_MUCH), True, id="200 endless body"),
        pytest.param(huge(502, TOO_MUCH), True, id="502 endless body"),
        pytest.param(huge(422, TOO_MUCH), False, id="422 endless body"),
        pytest.param(Reply(200, '{"runId": "r'), True, id="200 with half a body"),
        pytest.param(Reply(200, "<html>Sign in</html>"), True, id="200 as HTML"),
        pytest.param(Reply(200, "OK"), True, id="200 as text"),
        pytest.param(Reply(200, ""), True, id="200 empty"),
        pytest.param(Reply(204, ""), True, id="204"),
        pytest.param(Reply(302, headers={"Location": "https://login.example.com/"}), False, id="302 to another origin"),
        pytest.param(Reply(307, headers={"Location": "https://login.example.com/"}), False, id="307 to another origin"),
    ],
)
def test_response_determines_whether_a_start_may_have_been_accepted(
    response: Script, accepted: bool, origin: Origin, client_of: ClientMaker
) -> None:
    origin.replies = [response]
    error = start(client_of(origin.url, request_timeout=0.3))
    assert error.may_have_been_accepted is accepted
    assert len(origin.seen) == 1


def test_success_response_without_the_expected_fields_may_have_been_accepted(
    origin: Origin, client: HttpClient
) -> None:
    from pydantic import BaseModel

    class Started(BaseModel):
        run_id: str

    origin.replies = [Reply(200, {"id": 7})]
    with pytest.raises(
        UnexpectedResponseError, match=r'run_id: Field required; the response was \{"id": 7\}'
    ) as raised:
        client.post_once(["start"]).parse(Started)
    assert raised.value.may_have_been_accepted


@pytest.mark.parametrize("accepted", [True, False])
def test_endless_error_body_is_handled_by_its_status(accepted: bool, origin: Origin, client_of: ClientMaker) -> None:
    origin.replies = [huge(502 if accepted else 429, TOO_MUCH), Reply(200, {"runId": "second"})]
    client = client_of(origin.url)
    once = client.retrying(repeatable=False)
    if accepted:
        with pytest.raises(VendorError):
            once(client.post_once, ["start"])
    else:
        once(client.post_once, ["start"])
    assert len(origin.seen) == (1 if accepted else 2)
