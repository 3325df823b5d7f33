"""Amperity's token endpoint, and the validation of access tokens."""

from __future__ import annotations

import secrets

from dagster_runs.sandbox import well_known
from dagster_runs.sandbox.amperity.problems import problem, refuse
from dagster_runs.sandbox.clock import Clock
from dagster_runs.sandbox.exchange import ApiResponse, Call, Route

_SECONDS = 3600
TENANT_HEADER = "X-Amperity-Tenant"


class OAuth:
    """One client of one tenant. It may have any number of tokens, each of which is valid for an hour."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Deletes all tokens."""
        self._until: dict[str, float] = {}

    def routes(self) -> list[Route]:
        """Returns the endpoint. Its path starts after the mount."""
        return [Route("POST", "/api/v0/oauth2/token", self._token, public=True)]

    def accepts(self, token: str) -> bool:
        """Whether the access token is valid now."""
        return token == well_known.AMPERITY_TOKEN or self._clock.now() < self._until.get(token, 0.0)

    def accepts_client(self, call: Call) -> bool:
        """Whether the form contains the client id and secret. HTTP Basic is not documented, so it is ignored."""
        form = call.form()
        client = (form.get("client_id"), form.get("client_secret"))
        return client == (well_known.AMPERITY_CLIENT_ID, well_known.AMPERITY_CLIENT_SECRET)

    def _token(self, call: Call) -> ApiResponse:
        if call.media_type != "application/x-www-form-urlencoded":
            raise refuse(400, "Content-Type must be application/x-www-form-urlencoded")
        grant = call.form().get("grant_type")
        if grant != "client_credentials":
            raise refuse(400, f"grant_type must be client_credentials, got '{grant}'")
        tenant = call.headers.get(TENANT_HEADER)
        if not tenant:
            raise refuse(400, f"Missing required header: {TENANT_HEADER}")
        if not self.accepts_client(call):
            return problem(401, "Invalid client credentials")
        if tenant != well_known.AMPERITY_TENANT:
            return problem(403, f"Not authorized for tenant '{tenant}'")
        now = self._clock.now()
        self._until = {token: until for token, until in self._until.items() if now < until}
        token = f"sandbox-amperity-{secrets.token_hex(16)}"
        self._until[token] = now + _SECONDS
        return ApiResponse(200, {"access_token": token, "expires_in": _SECONDS, "token_type": "Bearer"})
