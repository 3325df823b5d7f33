"""TestGen's token endpoint, without interactive login, and the validation of access tokens."""

from __future__ import annotations

import base64
import binascii
import secrets

from dagster_runs.sandbox import well_known
from dagster_runs.sandbox.clock import Clock
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse, RejectedError, Route

_NO_STORE_HEADERS = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_ACCESS_SECONDS = 3600
_REFRESH_SECONDS = 30 * 86_400


class OAuth:
    """One confidential client with one refresh token.

    A refresh revokes the previous access token, so two processes with the same refresh token invalidate each other's
    access tokens.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Deletes the access token, and renews the refresh token."""
        self._access_token: str | None = None
        self._access_expires_at = 0.0
        # A refresh does not extend the lifetime of the refresh token.
        self._refresh_expires_at = self._clock.now() + _REFRESH_SECONDS

    def routes(self) -> list[Route]:
        """Returns the endpoints. Their paths start after the mount."""
        return [
            Route("POST", "/oauth/token", self._token, public=True),
            Route("POST", "/oauth/revoke", self._revoke, public=True),
            Route("GET", "/.well-known/oauth-authorization-server", self._metadata, public=True),
        ]

    def is_valid_token(self, token: str) -> bool:
        """Whether the access token is valid now."""
        if token == well_known.TESTGEN_TOKEN:
            return True
        return token == self._access_token and self._clock.now() < self._access_expires_at

    def is_valid_client(self, request: ApiRequest) -> bool:
        """Whether the header or the form contains the client id and secret."""
        return _client(request) == (well_known.TESTGEN_CLIENT_ID, well_known.TESTGEN_CLIENT_SECRET)

    def _token(self, request: ApiRequest) -> ApiResponse:
        form = request.form() if request.media_type == "application/x-www-form-urlencoded" else {}
        if form.get("grant_type") not in ("refresh_token", "authorization_code"):
            return _error("unsupported_grant_type")
        self._check_client(request)
        if form["grant_type"] == "authorization_code":
            # No user can log in here, so no code is valid.
            return _error("invalid_grant", "Invalid 'code' in request.")
        if not form.get("refresh_token"):
            return _error("invalid_request", "Missing 'refresh_token' in request.")
        now = self._clock.now()
        if form["refresh_token"] != well_known.TESTGEN_REFRESH_TOKEN or now >= self._refresh_expires_at:
            return _error("invalid_grant")
        self._access_token = f"sandbox-access-{secrets.token_hex(16)}"
        self._access_expires_at = now + _ACCESS_SECONDS
        body = {"token_type": "Bearer", "access_token": self._access_token, "expires_in": _ACCESS_SECONDS}
        return ApiResponse(200, body, headers=dict(_NO_STORE_HEADERS))

    def _revoke(self, request: ApiRequest) -> ApiResponse:
        self._check_client(request)
        token = request.form().get("token")
        if token == self._access_token:
            self._access_token = None
        elif token == well_known.TESTGEN_REFRESH_TOKEN:
            self._refresh_expires_at = 0.0
        return ApiResponse(200, {}, headers=dict(_NO_STORE_HEADERS))

    def _check_client(self, request: ApiRequest) -> None:
        if self.is_valid_client(request):
            return
        response = _error("invalid_client", status=401)
        response.headers["WWW-Authenticate"] = 'Basic error="invalid_client"'
        raise RejectedError(response)

    def _metadata(self, request: ApiRequest) -> ApiResponse:
        issuer = request.origin + request.path.removesuffix("/.well-known/oauth-authorization-server")
        methods = ["client_secret_basic", "client_secret_post", "none"]
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
                "token_endpoint_auth_methods_supported": methods,
                "revocation_endpoint_auth_methods_supported": methods,
                "code_challenge_methods_supported": ["S256"],
            },
        )


def _client(request: ApiRequest) -> tuple[str, str] | None:
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


def _error(code: str, description: str | None = None, *, status: int = 400) -> ApiResponse:
    body = {"error": code} if description is None else {"error": code, "error_description": description}
    return ApiResponse(status, body, headers=dict(_NO_STORE_HEADERS))
