"""TestGen's OAuth 2.1 server: registration of clients, login page, tokens, and the validation of access tokens.

As in the real server, codes need PKCE with S256 and work once; a refresh revokes the access token before it; a refresh
does not extend the lifetime of a confidential client's refresh token, and replaces that of a public client. Version
5.33.3 accepts the registration of public clients, but not their codes. Not included: scopes, and the revocation of a
public client's whole chain.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from html import escape
from urllib.parse import urlencode, urlsplit

from dagster_runs.sandbox import well_known
from dagster_runs.sandbox.clock import Clock
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse, RejectedError, Route

_NO_STORE_HEADERS = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_ACCESS_SECONDS = 3600
_REFRESH_SECONDS = 30 * 86_400
_CODE_SECONDS = 300
_COOKIE = "dk_oauth_session"
_METHODS = ("client_secret_basic", "client_secret_post", "none")
_LOGIN_FIELDS = ("client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge")


@dataclass(frozen=True)
class _Client:
    id: str
    secret: str | None
    """None for a public client."""
    name: str
    redirect_uris: tuple[str, ...]
    method: str


@dataclass(frozen=True)
class _Code:
    client_id: str
    redirect_uri: str
    challenge: str
    expires_at: float


@dataclass
class _Grant:
    """A login: a refresh token, and the access token that is valid now."""

    client_id: str
    expires_at: float
    access_token: str | None = None
    access_expires_at: float = 0.0


@dataclass
class _State:
    clients: dict[str, _Client] = field(default_factory=dict)
    codes: dict[str, _Code] = field(default_factory=dict)
    grants: dict[str, _Grant] = field(default_factory=dict)
    """By refresh token."""
    sessions: set[str] = field(default_factory=set)


class OAuth:
    """The server, with one confidential client and one login that exist from the beginning.

    Args:
        clock: The simulated time.
        accepts_public_clients: Whether the codes of public clients are accepted.
    """

    def __init__(self, clock: Clock, *, accepts_public_clients: bool = True) -> None:
        self._clock = clock
        self._accepts_public_clients = accepts_public_clients
        self.reset()

    def reset(self) -> None:
        """Deletes all clients and logins, except the first ones, whose refresh token is renewed."""
        client = _Client(
            well_known.TESTGEN_CLIENT_ID, well_known.TESTGEN_CLIENT_SECRET, "sandbox", (), "client_secret_basic"
        )
        self._state = _State(clients={client.id: client})
        self._state.grants[well_known.TESTGEN_REFRESH_TOKEN] = _Grant(client.id, self._clock.now() + _REFRESH_SECONDS)

    def routes(self) -> list[Route]:
        """Returns the endpoints. Their paths start after the mount."""
        return [
            Route("POST", "/oauth/register", self._register, public=True),
            Route("GET", "/oauth/authorize", self._show_login, public=True),
            Route("POST", "/oauth/authorize", self._log_in, public=True),
            Route("POST", "/oauth/token", self._token, public=True),
            Route("POST", "/oauth/revoke", self._revoke, public=True),
            Route("GET", "/.well-known/oauth-authorization-server", self._metadata, public=True),
        ]

    def is_valid_token(self, token: str) -> bool:
        """Whether the access token is valid now."""
        if token == well_known.TESTGEN_TOKEN:
            return True
        now = self._clock.now()
        return any(token == grant.access_token and now < grant.access_expires_at for grant in self._grants)

    def is_valid_client(self, request: ApiRequest) -> bool:
        """Whether the header or the form contains the id and the secret of a client, or the id of a public one."""
        return self._client_of(request) is not None

    @property
    def _grants(self) -> list[_Grant]:
        return list(self._state.grants.values())

    def _client_of(self, request: ApiRequest) -> _Client | None:
        sent = _credentials(request)
        client = self._state.clients.get(sent[0]) if sent is not None else None
        if sent is None or client is None:
            return None
        if client.secret is None:
            return client if self._accepts_public_clients and not sent[1] else None
        return client if hmac.compare_digest(client.secret, sent[1]) else None

    def _register(self, request: ApiRequest) -> ApiResponse:
        try:
            body = request.parse_json() if request.body else {}
        except ValueError:
            return ApiResponse(400, {"detail": "Invalid JSON"})
        method = body.get("token_endpoint_auth_method", _METHODS[0])
        if method not in _METHODS:
            return _error(
                "invalid_client_metadata",
                f"Unsupported token_endpoint_auth_method. Supported methods: {', '.join(_METHODS)}.",
            )
        secret = None if method == "none" else secrets.token_urlsafe(32)
        client = _Client(
            secrets.token_hex(12), secret, body.get("client_name", ""), tuple(body.get("redirect_uris", ())), method
        )
        self._state.clients[client.id] = client
        given = {"client_secret": secret, "client_secret_expires_at": 0} if secret is not None else {}
        return ApiResponse(
            201,
            {
                "client_id": client.id,
                "client_id_issued_at": int(self._clock.now()),
                **given,
                "client_name": client.name,
                "grant_types": body.get("grant_types", ["authorization_code", "refresh_token"]),
                "redirect_uris": list(client.redirect_uris),
                "response_types": ["code"],
                "scope": body.get("scope", ""),
                "token_endpoint_auth_method": method,
            },
        )

    def _show_login(self, request: ApiRequest) -> ApiResponse:
        if any(cookie in self._state.sessions for cookie in _cookies(request)):
            return self._issue_code(request.query)
        return self._login_page(request.query)

    def _log_in(self, request: ApiRequest) -> ApiResponse:
        form = request.form()
        sent = (form.get("username"), form.get("password"))
        if sent != (well_known.TESTGEN_USERNAME, well_known.TESTGEN_PASSWORD):
            return self._login_page(form, error="Invalid username or password")
        return self._issue_code(form)

    def _login_page(self, query: dict[str, str], *, error: str = "") -> ApiResponse:
        client = self._state.clients.get(query.get("client_id", ""))
        name = client.name if client is not None and client.name else query.get("client_id", "")
        hidden = "".join(
            f'<input type="hidden" name="{one}" value="{escape(query.get(one, ""))}">' for one in _LOGIN_FIELDS
        )
        page = (
            f'<!DOCTYPE html><html lang="en"><title>TestGen — Sign In</title><h1>TestGen: simulation</h1>'
            f"<p>By signing in, <strong>{escape(name)}</strong> will be authorized to access TestGen.</p>"
            f'<div class="error">{escape(error)}</div><form method="post" action="authorize">{hidden}'
            '<input type="hidden" name="code_challenge_method" value="S256">'
            '<label>Username <input type="text" name="username"></label>'
            '<label>Password <input type="password" name="password"></label>'
            '<button type="submit">Sign In</button></form></html>'
        )
        return ApiResponse(401 if error else 200, page, content_type="text/html")

    def _issue_code(self, query: dict[str, str]) -> ApiResponse:
        client = self._state.clients.get(query.get("client_id", ""))
        if client is None:
            return _error("invalid_client", "The client does not exist on this server.")
        redirect_uri = query.get("redirect_uri", "")
        if redirect_uri not in client.redirect_uris:
            return _error("invalid_request", f"Redirect URI {redirect_uri} is not supported by client.")
        if query.get("response_type") != "code":
            return _error("unsupported_response_type")
        if not query.get("code_challenge"):
            return _error("invalid_request", "Missing 'code_challenge'")
        if query.get("code_challenge_method", "S256") != "S256":
            return _error("invalid_request", "Unsupported 'code_challenge_method'")
        code, session = secrets.token_urlsafe(36), secrets.token_urlsafe(24)
        self._state.codes[code] = _Code(
            client.id, redirect_uri, query["code_challenge"], self._clock.now() + _CODE_SECONDS
        )
        self._state.sessions.add(session)
        back = {"code": code, **({"state": query["state"]} if query.get("state") else {})}
        separator = "&" if urlsplit(redirect_uri).query else "?"
        headers = {
            "Location": f"{redirect_uri}{separator}{urlencode(back)}",
            "Set-Cookie": f"{_COOKIE}={session}; HttpOnly; Max-Age=86400; Path=/; SameSite=lax",
        }
        return ApiResponse(302, "", content_type="text/plain", headers=headers)

    def _token(self, request: ApiRequest) -> ApiResponse:
        form = request.form() if request.media_type == "application/x-www-form-urlencoded" else {}
        if form.get("grant_type") not in ("refresh_token", "authorization_code"):
            return _error("unsupported_grant_type")
        client = self._check_client(request)
        grant = self._exchange if form["grant_type"] == "authorization_code" else self._refresh
        return grant(form, client)

    def _exchange(self, form: dict[str, str], client: _Client) -> ApiResponse:
        if not form.get("code"):
            return _error("invalid_request", "Missing 'code' in request.")
        code = self._state.codes.get(form["code"])
        if code is None or code.client_id != client.id or self._clock.now() >= code.expires_at:
            return _error("invalid_grant", "Invalid 'code' in request.")
        if form.get("redirect_uri", "") != code.redirect_uri:
            return _error("invalid_grant", "Invalid 'redirect_uri' in request.")
        verifier = form.get("code_verifier")
        if not verifier:
            return _error("invalid_request", "Missing 'code_verifier'")
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if digest != code.challenge:
            return _error("invalid_grant", "Code challenge failed.")
        del self._state.codes[form["code"]]
        return self._grant(client, self._clock.now() + _REFRESH_SECONDS)

    def _refresh(self, form: dict[str, str], client: _Client) -> ApiResponse:
        token = form.get("refresh_token")
        if not token:
            return _error("invalid_request", "Missing 'refresh_token' in request.")
        grant = self._state.grants.get(token)
        if grant is None or grant.client_id != client.id or self._clock.now() >= grant.expires_at:
            return _error("invalid_grant")
        if client.secret is None:
            del self._state.grants[token]
            return self._grant(client, grant.expires_at)
        return _tokens(self._renew(grant))

    def _grant(self, client: _Client, expires_at: float) -> ApiResponse:
        refresh_token, grant = secrets.token_urlsafe(48), _Grant(client.id, expires_at)
        self._state.grants[refresh_token] = grant
        return _tokens(self._renew(grant), refresh_token)

    def _renew(self, grant: _Grant) -> str:
        grant.access_token = f"sandbox-access-{secrets.token_hex(16)}"
        grant.access_expires_at = self._clock.now() + _ACCESS_SECONDS
        return grant.access_token

    def _revoke(self, request: ApiRequest) -> ApiResponse:
        client = self._check_client(request)
        token = request.form().get("token")
        for refresh_token, grant in self._state.grants.items():
            if grant.client_id == client.id and token in (refresh_token, grant.access_token):
                grant.access_token = None
                grant.expires_at = 0.0 if token == refresh_token else grant.expires_at
        return ApiResponse(200, {}, headers=dict(_NO_STORE_HEADERS))

    def _check_client(self, request: ApiRequest) -> _Client:
        client = self._client_of(request)
        if client is not None:
            return client
        response = _error("invalid_client", status=401)
        response.headers["WWW-Authenticate"] = 'Basic error="invalid_client"'
        raise RejectedError(response)

    def _metadata(self, request: ApiRequest) -> ApiResponse:
        issuer = request.origin + request.path.removesuffix("/.well-known/oauth-authorization-server")
        return ApiResponse(
            200,
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/oauth/authorize",
                "token_endpoint": f"{issuer}/oauth/token",
                "revocation_endpoint": f"{issuer}/oauth/revoke",
                "registration_endpoint": f"{issuer}/oauth/register",
                "end_session_endpoint": f"{issuer}/oauth/logout",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "token_endpoint_auth_methods_supported": list(_METHODS),
                "revocation_endpoint_auth_methods_supported": list(_METHODS),
                "code_challenge_methods_supported": ["S256"],
            },
        )


def _credentials(request: ApiRequest) -> tuple[str, str] | None:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return name, secret
    form = request.form()
    if "client_id" in form:
        return form["client_id"], form.get("client_secret", "")
    return None


def _cookies(request: ApiRequest) -> list[str]:
    pairs = (part.strip().partition("=") for part in request.headers.get("Cookie", "").split(";"))
    return [value for name, _, value in pairs if name == _COOKIE]


def _tokens(access_token: str, refresh_token: str | None = None) -> ApiResponse:
    body = {"token_type": "Bearer", "access_token": access_token, "expires_in": _ACCESS_SECONDS}
    more = {} if refresh_token is None else {"refresh_token": refresh_token}
    return ApiResponse(200, {**body, **more}, headers=dict(_NO_STORE_HEADERS))


def _error(code: str, description: str | None = None, *, status: int = 400) -> ApiResponse:
    body = {"error": code} if description is None else {"error": code, "error_description": description}
    return ApiResponse(status, body, headers=dict(_NO_STORE_HEADERS))
