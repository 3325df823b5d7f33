"""Amperity's token endpoint, and the validation of access tokens."""

from __future__ import annotations

import secrets

from dagster_runs.sandbox import well_known
from dagster_runs.sandbox.amperity.errors import error_response, rejection
from dagster_runs.sandbox.clock import Clock
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse, Route

_TOKEN_SECONDS = 3600
TENANT_HEADER = "X-Amperity-Tenant"


class OAuth:
    """One client of one tenant. It may have any number of tokens, each of which is valid for an hour."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Deletes all tokens."""
        self._valid_until: dict[str, float] = {}

    def routes(self) -> list[Route]:
        """Returns the endpoint. Its path starts after the mount."""
        return [Route("POST", "/api/v0/oauth2/token", self._token, public=True)]

    def is_valid_token(self, token: str) -> bool:
        """Whether the access token is valid now."""
        return token == well_known.AMPERITY_TOKEN or self._clock.now() < self._valid_until.get(token, 0.0)

    def is_valid_client(self, request: ApiRequest) -> bool:
        """Whether the form contains the client id and secret. HTTP Basic is not documented, so it is ignored."""
        form = request.form()
        client = (form.get("client_id"), form.get("client_secret"))
        return client == (well_known.AMPERITY_CLIENT_ID, well_known.AMPERITY_CLIENT_SECRET)

    def _token(self, request: ApiRequest) -> ApiResponse:
        if request.media_type != "application/x-www-form-urlencoded":
            raise rejection(400, "Content-Type must be application/x-www-form-urlencoded")
        grant_type = request.form().get("grant_type")
        if grant_type != "client_credentials":
            raise rejection(400, f"grant_type must be client_credentials, got '{grant_type}'")
        tenant = request.headers.get(TENANT_HEADER)
        if not tenant:
            raise rejection(400, f"Missing required header: {TENANT_HEADER}")
        if not self.is_valid_client(request):
            return error_response(401, "Invalid client credentials")
        if tenant != well_known.AMPERITY_TENANT:
            return error_response(403, f"Not authorized for tenant '{tenant}'")
        now = self._clock.now()
        self._valid_until = {
            token: valid_until for token, valid_until in self._valid_until.items() if now < valid_until
        }
        token = f"sandbox-amperity-{secrets.token_hex(16)}"
        self._valid_until[token] = now + _TOKEN_SECONDS
        return ApiResponse(200, {"access_token": token, "expires_in": _TOKEN_SECONDS, "token_type": "Bearer"})
