"""The interactive login at a TestGen server: OAuth 2.1 with an authorization code and PKCE (RFC 7636).

TestGen has no grant for machines. A user logs in once with a confidential client, whose refresh token is then valid for
30 days. Public clients do not work with versions before 5.134.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_urlsafe
from typing import ClassVar
from urllib.parse import urlencode

from dagster_runs.transport.auth import Auth, HeaderAuth, basic
from dagster_runs.transport.body import ApiResponse
from dagster_runs.transport.client import HttpClient
from dagster_runs.transport.http_settings import HttpSettings
from dagster_runs.transport.url import trimmed
from dagster_runs.vendors.testgen.resource import TestGenResource
from dagster_runs.version import __version__

REFRESH_TOKEN_DAYS = 30
"""The days for which a refresh token is valid, with the server's default settings. A refresh does not extend them."""
_VERIFIER_BYTES = 48
_CLIENT_NAME = "dagster-runs"


@dataclass(frozen=True)
class OAuthClient:
    """A confidential OAuth client of a TestGen server."""

    client_id: str
    client_secret: str = field(repr=False)


class LoginAttempt:
    """One login.

    Args:
        base_url: The URL of the server, with or without ``/api/v1``.
        redirect_uri: Where the browser goes after the login.
        settings: Timeouts and TLS settings.

    Attributes:
        state: A random value that the browser brings back, so that no other page can complete the login.
    """

    vendor: ClassVar[str] = TestGenResource.vendor

    def __init__(self, base_url: str, redirect_uri: str, settings: HttpSettings) -> None:
        self.server_url = trimmed(base_url, "/api/v1")
        self.state = token_urlsafe(24)
        self._redirect_uri = redirect_uri
        self._settings = settings
        self._verifier = token_urlsafe(_VERIFIER_BYTES)

    def register_client(self) -> OAuthClient:
        """POST ``/oauth/register``, which needs no credentials.

        Raises:
            VendorError: The server cannot be reached, or is not TestGen.
        """
        body = {
            "client_name": _CLIENT_NAME,
            "redirect_uris": [self._redirect_uri],
            "token_endpoint_auth_method": "client_secret_basic",
        }
        anonymous = self._client(HeaderAuth({}, secrets=()))
        response = anonymous.send_once("POST", ["oauth", "register"], json=body, starts_nothing=True)
        return OAuthClient(_text(response, "client_id"), _text(response, "client_secret"))

    def login_url(self, client: OAuthClient) -> str:
        """Returns the address of the login page. It contains no secrets."""
        challenge = urlsafe_b64encode(sha256(self._verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": self._redirect_uri,
            "state": self.state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{self._client(HeaderAuth({}, secrets=())).base_url}/oauth/authorize?{urlencode(query)}"

    def refresh_token(self, client: OAuthClient, code: str) -> str:
        """POST ``/oauth/token``: exchanges the code that the browser brought for a refresh token. A code works once.

        Raises:
            VendorError: The server does not accept the code or the client.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": self._verifier,
        }
        http = self._client(basic(client.client_id, client.client_secret))
        response = http.send_once("POST", ["oauth", "token"], form=form, starts_nothing=True)
        return _text(response, "refresh_token")

    def _client(self, auth: Auth) -> HttpClient:
        return HttpClient(
            vendor=self.vendor,
            base_url=self.server_url,
            account="",
            auth=auth,
            settings=self._settings,
            read_error=_read_oauth_error,
            user_agent=f"dagster-runs/{__version__}",
        )


def _text(response: ApiResponse, name: str) -> str:
    """Returns a field of a response. An error does not quote the response, because it may have other secrets.

    Raises:
        UnexpectedResponseError: The response has no such field.
    """
    value = response.json.get(name) if isinstance(response.json, dict) else None
    if not isinstance(value, str) or not value:
        raise response.unexpected(f"the response has no {name}")
    return value


def _read_oauth_error(body: Mapping[str, object]) -> tuple[str | None, str | None]:
    code = body.get("error")
    text = body.get("error_description") or code or body.get("detail")
    return (str(code) if code else None), (str(text) if text else None)
