"""The environment: proxies and CA bundles are used, .netrc is ignored. Also, valid and invalid base URLs."""

from pathlib import Path

import pytest

from dagster_runs.transport.errors import InvalidRequestError, VendorError
from dagster_runs.transport.url import check_base_url
from tests.transport.conftest import TOKEN, ClientMaker
from tests.transport.scripted import Origin, Reply


@pytest.mark.parametrize("where", ["NETRC", "HOME"])
@pytest.mark.parametrize("entry", ["machine 127.0.0.1", "default"])
def test_netrc_does_not_replace_the_credentials(
    where: str, entry: str, tmp_path: Path, origin: Origin, client_of: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"{entry} login stranger password stolen\n")
    netrc.chmod(0o600)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv(where, str(netrc if where == "NETRC" else tmp_path))
    client = client_of(origin.url)
    client.get(["x"])
    client.send_repeatable("POST", ["x"], form={"a": "1"})
    client.post_once(["x"], json={})
    assert [seen.headers["authorization"] for seen in origin.seen] == [f"Bearer {TOKEN}"] * 3


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_proxy_from_the_environment_is_used(
    variable: str, origin: Origin, client_of: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, origin.url)
    client = client_of("http://api.internal.example", allow_plain_http=True)
    client.get(["x"])
    client.post_once(["y"])
    assert [seen.path for seen in origin.seen] == ["http://api.internal.example/x", "http://api.internal.example/y"]


def test_no_proxy_variable_is_respected(
    origin: Origin, other_origin: Origin, client_of: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", other_origin.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    client_of(origin.url).get(["x"])
    assert len(origin.seen) == 1
    assert other_origin.seen == []


def test_missing_ca_bundle_is_reported_as_an_error_of_the_call(
    client_of: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/bundle.pem")
    with pytest.raises(VendorError, match=r"/no/such/bundle\.pem") as raised:
        client_of("https://127.0.0.1:9", max_retries=0).post_once(["x"])
    assert not raised.value.may_have_been_accepted


def test_every_request_has_a_user_agent(origin: Origin, client_of: ClientMaker) -> None:
    client = client_of(origin.url)
    client.get(["x"])
    client.send_repeatable("POST", ["x"])
    client.post_once(["x"], json={})
    assert {seen.headers["user-agent"] for seen in origin.seen} == {"dagster-runs/test"}
    assert {seen.headers["accept"] for seen in origin.seen} == {"application/json"}


class TestBaseUrls:
    @pytest.mark.parametrize(
        "url",
        [
            "https://api.example.com",
            "https://api.example.com:8443/prefix",
            "http://127.0.0.1:8000",
            "http://127.3.2.1",
            "http://localhost:1",
            "http://testgen.localhost",
            "http://[::1]:8000",
        ],
    )
    def test_valid_urls_are_accepted(self, url: str) -> None:
        assert check_base_url(f" {url}/ ", vendor="Acme") == url

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "api.example.com",
            "api.example.com:443",
            "ftp://api.example.com",
            "https://",
            "https:///path",
            "https://user:word@api.example.com",
            "https://user@api.example.com",
            "https://api.example.com?x=1",
            "https://api.example.com/#here",
            "http://[::1",
            "https://api.example.com:port",
            "https://api.example.com:99999",
            "https://exa mple.com",
        ],
    )
    def test_invalid_urls_are_rejected(self, url: str) -> None:
        with pytest.raises(InvalidRequestError, match=r"base_url|base URL"):
            check_base_url(url, vendor="Acme")

    @pytest.mark.parametrize(
        "url",
        [
            "http://api.example.com",
            "http://10.0.0.7:8000",
            "http://0.0.0.0",
            "http://localhost.example.com",
            "http://notlocalhost",
            "http://127.0.0.1.example.com",
        ],
    )
    def test_plain_http_to_another_machine_needs_allow_plain_http(self, url: str) -> None:
        with pytest.raises(InvalidRequestError, match="allow_plain_http"):
            check_base_url(url, vendor="Acme")
        assert check_base_url(url, vendor="Acme", allow_plain_http=True) == url

    @pytest.mark.parametrize(
        "url",
        [
            "https://user:hunter22@api.example.com",
            "ftp://user:hunter22@api.example.com",
            "https://api.example.com?token=hunter22",
            "api.example.com/#hunter22",
        ],
    )
    def test_secret_in_a_url_is_not_in_the_error(self, url: str) -> None:
        with pytest.raises(InvalidRequestError) as raised:
            check_base_url(url, vendor="Acme")
        assert "hunter22" not in str(raised.value)

    def test_client_rejects_an_invalid_url_immediately(self, client_of: ClientMaker) -> None:
        with pytest.raises(InvalidRequestError):
            client_of("http://api.example.com")

    def test_path_prefix_is_kept(self, origin: Origin, client_of: ClientMaker) -> None:
        origin.replies = [Reply()]
        client_of(f"{origin.url}/tenant/api/").get(["x"])
        assert origin.seen[0].path == "/tenant/api/x"
