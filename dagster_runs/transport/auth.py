"""Authentication of requests: fixed headers, and tokens that are renewed."""

import random
import threading
from base64 import b64encode
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from dagster_runs.transport import call_budget
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import AuthenticationError, ConnectionFailedError, VendorError
from dagster_runs.transport.redaction import Redactor

_RENEWAL_MARGIN = 60.0
"""Seconds before its expiration at which a token is renewed."""
_CONTENTION_WINDOW = 2.0
"""Seconds. If a token is refused so soon after its renewal, another process is renewing it too, so we first pause for a
random time."""


class Auth(Protocol):
    """Credentials that are sent as headers, and that may be renewed when the vendor refuses them.

    Attributes:
        max_renewals: How many times one call may renew the credentials.
    """

    max_renewals: int

    def headers(self) -> Mapping[str, str]:
        """Returns the headers that carry the current credentials."""

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Renews the credentials after a 401 to a request with the headers ``refused``.

        Returns:
            Whether different credentials are available now, so that the request should be sent again.
        """

    def redactor(self) -> Redactor:
        """Returns the redactor that hides these credentials."""


class HeaderAuth:
    """Credentials that never change, such as a token in a header."""

    max_renewals = 0

    def __init__(self, headers: Mapping[str, str], *, secrets: tuple[str, ...]) -> None:
        self._headers = dict(headers)
        self._redactor = Redactor(secrets)

    def headers(self) -> Mapping[str, str]:
        """Returns the same headers every time."""
        return self._headers

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Returns ``False``, since fixed credentials cannot be renewed."""
        return False

    def redactor(self) -> Redactor:
        """Returns the redactor that hides the token."""
        return self._redactor


def authorization(scheme: str, credentials: str) -> HeaderAuth:
    """Returns the header ``Authorization: <scheme> <credentials>``, such as ``Token abc123``."""
    return HeaderAuth({"Authorization": f"{scheme} {credentials}"}, secrets=(credentials,))


def bearer(token: str) -> HeaderAuth:
    """Returns the header ``Authorization: Bearer <token>`` (RFC 6750)."""
    return authorization("Bearer", token)


def basic(user: str, password: str) -> HeaderAuth:
    """Returns the header ``Authorization: Basic …`` for a user and a password, or an API key and its secret (RFC 7617).

    The password is hidden everywhere. The user is not; it is often shown by the vendor's own pages.
    """
    encoded = b64encode(f"{user}:{password}".encode()).decode()
    return HeaderAuth({"Authorization": f"Basic {encoded}"}, secrets=(password, encoded))


@dataclass(frozen=True)
class Token:
    """An access token and its lifetime in seconds."""

    value: str = field(repr=False)
    lives_for: float


class RenewedToken:
    """A token that is fetched on first use and renewed before it expires or after a 401.

    Args:
        fetch: Fetches a new token from the vendor.
        vendor: The vendor's name, for errors.
        redactor: Hides the credentials that `fetch` uses. The tokens are added to it.
        hint: What the user can do when the vendor refuses to issue a token.
        scheme: The scheme of the ``Authorization`` header.
        more_headers: Headers to send in addition to the token's header.
        max_renewals: How many times one call may renew the token. More than one is needed where processes with the same
            credentials revoke each other's tokens.
    """

    def __init__(
        self,
        fetch: Callable[[], Token],
        *,
        vendor: str,
        redactor: Redactor,
        hint: str,
        scheme: str = "Bearer",
        more_headers: Mapping[str, str] | None = None,
        max_renewals: int = 1,
    ) -> None:
        self.max_renewals = max_renewals
        self._fetch_token = fetch
        self._vendor = vendor
        self._redactor = redactor
        self._hint = hint
        self._scheme = scheme
        self._more_headers = dict(more_headers or {})
        self._lock = threading.Lock()
        self._headers: Mapping[str, str] = {}
        self._renewed_at = 0.0
        self._renew_at = 0.0

    def headers(self) -> Mapping[str, str]:
        """Returns headers whose token is valid for at least another minute, or for half of its lifetime if shorter."""
        with self._locked():
            if current_clock().wall() >= self._renew_at:
                self._fetch()
            return self._headers

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Fetches a new token, unless another thread has already done so."""
        with self._locked():
            if self._headers == refused:
                if current_clock().wall() - self._renewed_at < _CONTENTION_WINDOW:
                    current_clock().sleep(random.uniform(0.05, 0.5))
                self._fetch()
            return True

    def redactor(self) -> Redactor:
        """Returns the redactor that hides the credentials and the newest tokens."""
        return self._redactor

    @contextmanager
    def _locked(self) -> Iterator[None]:
        seconds = min(call_budget.RESPONSE_WITHIN, max(0.0, call_budget.seconds_left()))
        if not self._lock.acquire(timeout=seconds if call_budget.has_call_budget() else -1):
            message = "another thread is still waiting for an access token"
            raise ConnectionFailedError(message, vendor=self._vendor, is_from_client=True)
        try:
            yield
        finally:
            self._lock.release()

    def _fetch(self) -> None:
        try:
            token = self._fetch_token()
        except VendorError as error:
            # An error such as a 404 concerns the token endpoint, not the object that the original call was about.
            if not error.is_permanent:
                raise
            raise AuthenticationError(
                f"could not get an access token: {error.detail}",
                vendor=error.vendor,
                method=error.method,
                path=error.path,
                status=error.status,
                code=error.code,
                hint=self._hint,
            ) from None
        self._redactor.add_temporary(token.value)
        self._headers = {**self._more_headers, "Authorization": f"{self._scheme} {token.value}"}
        self._renewed_at = current_clock().wall()
        self._renew_at = self._renewed_at + max(token.lives_for - _RENEWAL_MARGIN, token.lives_for / 2)


_shared: dict[Hashable, RenewedToken] = {}
_shared_lock = threading.Lock()


def shared_token(credentials: Hashable, make: Callable[[], RenewedToken]) -> RenewedToken:
    """Returns the token for these credentials. Everything in this process that uses them shares one token."""
    with _shared_lock:
        if credentials not in _shared:
            _shared[credentials] = make()
        return _shared[credentials]
