"""How a request proves who sends it."""

from collections.abc import Mapping
from typing import Protocol

from dagster_runs.transport.redaction import Redactor


class Auth(Protocol):
    """Credentials as headers, and what to do when the vendor refuses them."""

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
