"""How a request proves who sends it."""

import random
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from dagster_runs.transport import call_budget
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import AuthenticationError, ConnectionFailedError, VendorError
from dagster_runs.transport.redaction import Redactor

_EARLY = 60.0
"""Seconds before its end at which a token is renewed."""
_FIGHT = 2.0
"""Seconds within which a second renewal means that another process renews too: then wait a random moment."""


class Auth(Protocol):
    """Credentials as headers, and what to do when the vendor refuses them.

    Attributes:
        max_renewals: How often one call may renew them.
    """

    max_renewals: int

    def headers(self) -> Mapping[str, str]:
        """The headers that carry the credentials now."""

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Called after a 401 to a request with the headers ``refused``.

        Returns:
            Whether other credentials are at hand now, so that the request is worth sending again.
        """

    def redactor(self) -> Redactor:
        """Hides these credentials."""


class HeaderAuth:
    """Credentials that never change: a token in a header."""

    max_renewals = 0

    def __init__(self, headers: Mapping[str, str], *, secrets: tuple[str, ...]) -> None:
        self._headers = dict(headers)
        self._redactor = Redactor(secrets)

    def headers(self) -> Mapping[str, str]:
        """The same headers every time."""
        return self._headers

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Nothing can be renewed."""
        return False

    def redactor(self) -> Redactor:
        """Hides the token."""
        return self._redactor


def bearer(token: str) -> HeaderAuth:
    """``Authorization: Bearer <token>`` (RFC 6750)."""
    return HeaderAuth({"Authorization": f"Bearer {token}"}, secrets=(token,))


@dataclass(frozen=True)
class Token:
    """An access token, and the seconds that it lives."""

    value: str = field(repr=False)
    lives_for: float


class RenewedToken:
    """A bearer token that is fetched when first needed, and renewed before its end or after a 401.

    Args:
        fetch: Gets another token from the vendor.
        vendor: The vendor's name, for errors.
        redactor: Hides what `fetch` authenticates with; the tokens are added to it.
        hint: What the user can do when the vendor refuses to give a token.
        more_headers: Headers that go along with the token's.
        max_renewals: How often one call may renew the token: more than once where processes with the same credentials
            revoke each other's.
    """

    def __init__(
        self,
        fetch: Callable[[], Token],
        *,
        vendor: str,
        redactor: Redactor,
        hint: str,
        more_headers: Mapping[str, str] | None = None,
        max_renewals: int = 1,
    ) -> None:
        self.max_renewals = max_renewals
        self._fetch_token = fetch
        self._vendor = vendor
        self._redactor = redactor
        self._cure = hint
        self._more_headers = dict(more_headers or {})
        self._lock = threading.Lock()
        self._headers: Mapping[str, str] = {}
        self._renewed_at = 0.0
        self._renew_at = 0.0

    def headers(self) -> Mapping[str, str]:
        """The headers with a token that has at least a minute to live, or half of its short life."""
        with self._locked():
            if current_clock().wall() >= self._renew_at:
                self._fetch()
            return self._headers

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Fetch another token, unless another thread has done so since."""
        with self._locked():
            if self._headers == refused:
                if current_clock().wall() - self._renewed_at < _FIGHT:
                    current_clock().sleep(random.uniform(0.05, 0.5))
                self._fetch()
            return True

    def redactor(self) -> Redactor:
        """Hides the credentials and the newest tokens."""
        return self._redactor

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=call_budget.ANSWER_WITHIN if call_budget.has_call_budget() else -1):
            raise ConnectionFailedError("another thread is waiting for an access token still", vendor=self._vendor)
        try:
            yield
        finally:
            self._lock.release()

    def _fetch(self) -> None:
        try:
            token = self._fetch_token()
        except VendorError as error:
            # A 404, say, is about the token's endpoint, and must not be taken for one about what was asked for.
            if not error.is_permanent:
                raise
            raise AuthenticationError(
                f"no access token was given: {error.detail}",
                vendor=error.vendor,
                method=error.method,
                path=error.path,
                status=error.status,
                code=error.code,
                hint=self._cure,
            ) from None
        self._redactor.add_passing(token.value)
        self._headers = {**self._more_headers, "Authorization": f"Bearer {token.value}"}
        self._renewed_at = current_clock().wall()
        self._renew_at = self._renewed_at + max(token.lives_for - _EARLY, token.lives_for / 2)


_shared: dict[Hashable, RenewedToken] = {}
_shared_lock = threading.Lock()


def shared_token(credentials: Hashable, make: Callable[[], RenewedToken]) -> RenewedToken:
    """The token of these credentials, one for all that use them in this process."""
    with _shared_lock:
        if credentials not in _shared:
            _shared[credentials] = make()
        return _shared[credentials]
