"""A failed TLS handshake means that nothing was sent, and the error says where it failed and what to do."""

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dagster_runs.transport.errors import ConnectionFailedError, InvalidRequestError, VendorError
from tests.transport.conftest import TOKEN, ClientMaker
from tests.transport.scripted import Origin, Reply
from tests.transport.test_lost_responses import free_port, start
from tests.transport.tls import Authority, answering, listening, read_request

TIMEOUTS = {"connect_timeout": 0.5, "request_timeout": 1.0}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certified(authority: Authority) -> ssl.SSLContext:
    return authority.issue("server")


@pytest.fixture(autouse=True)
def _no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def requests() -> list[bytes]:
    return []


@pytest.fixture
def private(certified: ssl.SSLContext, requests: list[bytes]) -> Iterator[int]:
    """The port of a server whose certificate is signed by a private authority."""
    with listening(answering(certified, requests)) as port:
        yield port


def connection_error_message(error: VendorError, port: int) -> str:
    assert isinstance(error, ConnectionFailedError)
    assert not error.may_have_been_accepted
    message = str(error)
    assert f"127.0.0.1:{port}" in message
    assert TOKEN not in message
    return message


@pytest.mark.fixes("6.10")
class TestNothingWasSent:
    @pytest.mark.covers("start.tls")
    def test_unknown_certificate_authority(self, private: int, requests: list[bytes], client_of: ClientMaker) -> None:
        message = connection_error_message(start(client_of(f"https://127.0.0.1:{private}")), private)
        assert "CERTIFICATE_VERIFY_FAILED" in message
        assert "nothing was sent" in message
        assert "`ca_bundle`" in message
        assert "PEM" in message
        assert not any(requests)

    def test_self_signed_certificate(
        self, authority: Authority, client_of: ClientMaker, tmp_path: Path, requests: list[bytes]
    ) -> None:
        alone = Authority(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(alone.bundle, tmp_path / "ca.key")
        with listening(answering(context, requests)) as port:
            message = connection_error_message(start(client_of(f"https://127.0.0.1:{port}")), port)
        assert "`ca_bundle`" in message

    def test_certificate_of_another_host(
        self, authority: Authority, client_of: ClientMaker, requests: list[bytes]
    ) -> None:
        context = authority.issue("elsewhere", names="DNS:elsewhere.example")
        with listening(answering(context, requests)) as port:
            client = client_of(f"https://127.0.0.1:{port}", ca_bundle=str(authority.bundle))
            message = connection_error_message(start(client), port)
        assert "the certificate is for another host" in message.casefold()

    def test_expired_certificate(self, authority: Authority, client_of: ClientMaker, requests: list[bytes]) -> None:
        context = authority.issue("old", days=-1)
        with listening(answering(context, requests)) as port:
            client = client_of(f"https://127.0.0.1:{port}", ca_bundle=str(authority.bundle))
            message = connection_error_message(start(client), port)
        assert "Renew the server's certificate" in message

    @pytest.mark.covers("start.tls")
    def test_https_to_a_plain_http_port(self, origin: Origin, client_of: ClientMaker) -> None:
        error = start(client_of(origin.url.replace("http:", "https:")))
        assert "plain HTTP on this port" in connection_error_message(error, origin.port)
        assert origin.seen == []

    def test_server_that_responds_in_plain_text(self, client_of: ClientMaker) -> None:
        with listening(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")) as port:
            connection_error_message(start(client_of(f"https://127.0.0.1:{port}")), port)

    @pytest.mark.parametrize("how", ["closed", "reset"])
    def test_interrupted_handshake(self, how: str, client_of: ClientMaker) -> None:
        def script(connection: socket.socket) -> None:
            connection.recv(100)
            if how == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        with listening(script) as port:
            message = connection_error_message(start(client_of(f"https://127.0.0.1:{port}")), port)
        assert "could not " in message

    def test_handshake_timeout(self, client_of: ClientMaker) -> None:
        with listening(lambda connection: connection.recv(1) and None) as _, listening(_silent) as port:
            error = start(client_of(f"https://127.0.0.1:{port}", **TIMEOUTS))
        assert "within 0.5 s" in connection_error_message(error, port)

    def test_start_is_retried_until_tls_works(
        self, authority: Authority, certified: ssl.SSLContext, client_of: ClientMaker, requests: list[bytes]
    ) -> None:
        tries: list[int] = []
        shake = answering(certified, requests)

        def script(connection: socket.socket) -> None:
            tries.append(1)
            if len(tries) > 2:
                shake(connection)

        with listening(script) as port:
            client = client_of(f"https://127.0.0.1:{port}", ca_bundle=str(authority.bundle))
            response = client.retrying(repeatable=False)(client.post_once, ["start"], json={})
        assert response.json == {"runId": "r1"}
        assert len([one for one in requests if one]) == 1


def _silent(connection: socket.socket) -> None:
    connection.settimeout(5)
    while connection.recv(65536):
        pass


class TestRequestWasSent:
    """After a failure that follows the handshake, the start may have been accepted."""

    @pytest.mark.parametrize("response", [b"", b"HTTP/1.1 2"])
    def test_connection_closed_after_the_request(
        self,
        response: bytes,
        authority: Authority,
        certified: ssl.SSLContext,
        client_of: ClientMaker,
        requests: list[bytes],
    ) -> None:
        with listening(answering(certified, requests, response)) as port:
            error = start(client_of(f"https://127.0.0.1:{port}", ca_bundle=str(authority.bundle)))
        assert error.may_have_been_accepted
        assert f"127.0.0.1:{port}" in str(error)
        assert len(requests) == 1

    def test_invalid_tls_records_after_the_request(
        self, authority: Authority, certified: ssl.SSLContext, client_of: ClientMaker
    ) -> None:
        def script(connection: socket.socket) -> None:
            secured = certified.wrap_socket(connection, server_side=True, do_handshake_on_connect=True)
            read_request(secured)
            raw = socket.socket(fileno=secured.detach())
            with raw:
                raw.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9)

        with listening(script) as port:
            error = start(client_of(f"https://127.0.0.1:{port}", ca_bundle=str(authority.bundle)))
        assert "TLS" in str(error)
        assert error.may_have_been_accepted


class TestCaBundles:
    @pytest.mark.fixes("6.10")
    @pytest.mark.covers("start.tls")
    def test_ca_bundle_setting_is_used(self, private: int, authority: Authority, client_of: ClientMaker) -> None:
        client = client_of(f"https://127.0.0.1:{private}", ca_bundle=str(authority.bundle))
        assert client.post_once(["start"], json={}).json == {"runId": "r1"}

    def test_ca_bundle_from_the_environment_is_used(
        self, private: int, authority: Authority, client_of: ClientMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
        assert client_of(f"https://127.0.0.1:{private}").get(["x"]).json == {"runId": "r1"}

    @pytest.mark.fixes("6.10")
    def test_setting_takes_precedence_over_the_environment(
        self,
        private: int,
        authority: Authority,
        client_of: ClientMaker,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(Authority(tmp_path).bundle))
        client = client_of(f"https://127.0.0.1:{private}", ca_bundle=str(authority.bundle))
        assert client.get(["x"]).json == {"runId": "r1"}

    @pytest.mark.fixes("6.10")
    @pytest.mark.parametrize("named", ["ca_bundle", "REQUESTS_CA_BUNDLE"])
    @pytest.mark.parametrize(
        ("make", "expected"),
        [
            (lambda path: None, "cannot be read (No such file or directory)"),
            (lambda path: path.write_text("no certificate"), "contains no readable certificate"),
        ],
    )
    def test_unusable_ca_bundle_is_reported_before_sending(
        self,
        make: Callable[[Path], object],
        expected: str,
        named: str,
        private: int,
        requests: list[bytes],
        client_of: ClientMaker,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        path = tmp_path / "bundle.pem"
        make(path)
        if named == "ca_bundle":
            client = client_of(f"https://127.0.0.1:{private}", ca_bundle=str(path))
        else:
            monkeypatch.setenv(named, str(path))
            client = client_of(f"https://127.0.0.1:{private}")
        error = start(client)
        assert isinstance(error, InvalidRequestError)
        assert not error.may_have_been_accepted
        assert f"the CA bundle {path} ({named}" in str(error)
        assert expected in str(error)
        assert requests == []

    @pytest.mark.fixes("6.10")
    def test_ca_bundle_of_a_resource_is_used(self, private: int, authority: Authority) -> None:
        from dagster_runs import RudderStackResource

        resource = RudderStackResource(
            access_token="t0ken-of-a-test", base_url=f"https://127.0.0.1:{private}", ca_bundle=str(authority.bundle)
        )
        assert resource.start_profiles_run("p", []) == "r1"


@pytest.mark.fixes("6.10")
class TestUnreachableServers:
    def test_host_and_port_are_named_in_the_error(self, client_of: ClientMaker) -> None:
        port = free_port()
        for scheme in ("http", "https"):
            message = connection_error_message(start(client_of(f"{scheme}://127.0.0.1:{port}")), port)
            assert "could not connect" in message

    def test_proxy_is_named_in_the_error(self, client_of: ClientMaker, monkeypatch: pytest.MonkeyPatch) -> None:
        port = free_port()
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:hunter22@127.0.0.1:{port}")
        error = start(client_of("https://api.example.com"))
        assert f"api.example.com:443 through the proxy 127.0.0.1:{port}" in str(error)
        assert "hunter22" not in str(error)
        assert not error.may_have_been_accepted

    def test_server_behind_a_broken_tunnel_is_named_in_the_error(
        self, authority: Authority, client_of: ClientMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The proxy opens the tunnel, and closes it during the handshake."""

        def script(connection: socket.socket) -> None:
            read_request(connection)
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            connection.recv(100)

        with listening(script) as port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
            error = start(client_of("https://api.example.com"))
        assert not error.may_have_been_accepted
        assert "api.example.com:443" in str(error)


def test_tunneled_request_counts_as_sent_only_after_it_was_sent(
    authority: Authority, client_of: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = authority.issue("tunneled", names="DNS:api.example.com")
    requests: list[bytes] = []
    hang_up = answering(context, requests, b"")

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        hang_up(connection)

    with listening(script) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        error = start(client_of("https://api.example.com", ca_bundle=str(authority.bundle)))
    assert error.may_have_been_accepted
    assert len(requests) == 1


def test_forwarding_proxy_may_have_forwarded_the_request(
    origin: Origin, client_of: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.replies = [Reply(502)]
    monkeypatch.setenv("HTTP_PROXY", origin.url)
    assert start(client_of("http://api.example.com", allow_plain_http=True)).may_have_been_accepted
