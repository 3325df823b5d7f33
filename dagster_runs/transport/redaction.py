"""Secrets are taken out of every text before it reaches a log, an event or an exception."""

import base64
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "[redacted]"
_SHORTEST = 4
"""Shorter "secrets" would blank out ordinary words; no vendor issues one."""


class Redactor:
    """Replaces known secrets, also in the spellings that HTTP gives them."""

    def __init__(self, secrets: Iterable[str | None] = ()) -> None:
        self._spellings: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str | None) -> None:
        """Hide ``secret`` from now on: as it is, percent-encoded, and in base64."""
        if secret and len(secret) >= _SHORTEST:
            encoded = base64.b64encode(secret.encode()).decode()
            self._spellings |= {secret, quote(secret, safe=""), quote_plus(secret), encoded, encoded.rstrip("=")}

    def clean(self, text: str) -> str:
        """``text`` without any secret in it."""
        # Longest first, so that a secret which contains another leaves no rest behind.
        for spelling in sorted(self._spellings, key=len, reverse=True):
            text = text.replace(spelling, MASK)
        return text

    def clean_json(self, value: Any) -> Any:
        """A decoded JSON value with no secret in any of its texts: a server that echoes our token is not believed."""
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, list):
            return [self.clean_json(item) for item in value]
        if isinstance(value, dict):
            return {self.clean(key): self.clean_json(item) for key, item in value.items()}
        return value

    def __repr__(self) -> str:
        return "Redactor(...)"
