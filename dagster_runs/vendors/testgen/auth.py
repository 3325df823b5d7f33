"""TestGen's OAuth: a confidential client's refresh token, turned into access tokens of an hour each.

TestGen has no grant for machines. Somebody logs in once, and the refresh token then serves for 30 days; it is not
extended. Each refresh revokes the access token before it, so processes that share a refresh token knock each other out,
and each has to renew when it meets a 401.
"""

import base64
import random
import threading
from collections.abc import Callable, Mapping

from pydantic import Field

from dagster_runs.remote_run.lenient import VendorModel
from dagster_runs.transport.auth import HeaderAuth
from dagster_runs.transport.client import HttpClient
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import AuthenticationError, InvalidRequestError
from dagster_runs.transport.redaction import Redactor

_EARLY = 60.0
"""Seconds before its end at which a token is renewed."""
_FIGHT = 2.0
"""Seconds within which a second renewal means that another process renews too: then wait a random moment."""


class _Tokens(VendorModel):
    access_token: str = Field(min_length=1, repr=False)
    expires_in: float = 3600.0
    refresh_token: str | None = Field(default=None, repr=False)


class RefreshTokenAuth:
    """An access token that is fetched when first needed, and renewed before its end or after a 401.

    Args:
        client: Makes the HTTP client of the token endpoint, given the client's own credentials.
        client_id: Of a confidential OAuth client.
        client_secret: Of the same client.
        refresh_token: From its last login.
    """

    def __init__(
        self,
        client: Callable[[HeaderAuth], HttpClient],
        *,
        client_id: str,
        client_secret: str,
        refresh_token: str,
    ) -> None:
        basic = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
        self._redactor = Redactor((client_secret, refresh_token, basic))
        self._endpoint = client(
            HeaderAuth({"Authorization": f"Basic {basic}"}, secrets=(client_secret, refresh_token, basic))
        )
        self._refresh_token = refresh_token
        self._lock = threading.Lock()
        self._headers: Mapping[str, str] = {}
        self._renewed_at = 0.0
        self._ends_at = 0.0

    def headers(self) -> Mapping[str, str]:
        """The bearer header, of a token with at least a minute to live."""
        with self._lock:
            if current_clock().wall() > self._ends_at - _EARLY:
                self._fetch()
            return self._headers

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Fetch another token, unless another thread has done so since."""
        with self._lock:
            if self._headers == refused:
                if current_clock().wall() - self._renewed_at < _FIGHT:
                    current_clock().sleep(random.uniform(0.05, 0.5))
                self._fetch()
            return True

    def redactor(self) -> Redactor:
        """Hides the client's secret and every token there was."""
        return self._redactor

    def _fetch(self) -> None:
        form = {"grant_type": "refresh_token", "refresh_token": self._refresh_token}
        try:
            tokens = self._endpoint.post(["oauth", "token"], form=form, keep_secrets=True).parse(_Tokens)
        except (InvalidRequestError, AuthenticationError) as error:
            raise AuthenticationError(
                f"the refresh token was refused: {error.detail}",
                vendor=error.vendor,
                method=error.method,
                path=error.path,
                status=error.status,
                code=error.code,
                cure="Log in to TestGen again for a new refresh token: one lives 30 days. Check client_id and "
                "client_secret too.",
            ) from None
        for secret in (tokens.access_token, tokens.refresh_token):
            self._redactor.add(secret)
        # A public client's refresh token changes with each use; the old one is soon refused.
        self._refresh_token = tokens.refresh_token or self._refresh_token
        self._headers = {"Authorization": f"Bearer {tokens.access_token}"}
        self._renewed_at = current_clock().wall()
        self._ends_at = self._renewed_at + tokens.expires_in
