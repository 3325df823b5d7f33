"""Removes secrets from every text before it reaches a log, an event or an exception."""

import base64
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "[redacted]"
_MAX_DEPTH = 100
_MIN_SECRET_LENGTH = 4
"""Replacing shorter "secrets" would remove ordinary words. No vendor issues such short secrets."""
_MAX_TEMPORARY = 20
"""The number of temporary tokens that are hidden at the same time. Older tokens have expired by then."""


class Redactor:
    """Replaces known secrets, including in the encodings that are common in HTTP."""

    def __init__(self, secrets: Iterable[str | None] = ()) -> None:
        self._permanent: set[str] = set()
        self._temporary: deque[set[str]] = deque(maxlen=_MAX_TEMPORARY)
        self._spellings: list[str] = []
        # A string is iterable too.
        for secret in (secrets,) if isinstance(secrets, str) else secrets:
            self.add(secret)

    def add(self, secret: str | None) -> None:
        """Hides ``secret`` from now on: unchanged, percent-encoded, in base64, and inside JSON and Python literals."""
        if secret and len(secret) >= _MIN_SECRET_LENGTH:
            self._permanent |= set(_spellings(secret))
            self._sort()

    def add_temporary(self, token: str) -> None:
        """Hides a temporary token, until many newer ones have been added: each hidden token makes cleaning slower."""
        if len(token) >= _MIN_SECRET_LENGTH:
            self._temporary.append(set(_spellings(token)))
            self._sort()

    def _sort(self) -> None:
        # Longest first, so that no part of a secret that contains another secret is left.
        self._spellings = sorted(self._permanent.union(*self._temporary), key=len, reverse=True)

    def clean(self, text: str) -> str:
        """Returns ``text`` without secrets, and without lone surrogates, which storages and browsers do not accept."""
        text = text.encode("utf-8", "replace").decode()
        for spelling in self._spellings:
            text = text.replace(spelling, MASK)
        return text

    def clean_json(self, value: Any, depth: int = 0) -> Any:
        """Returns a decoded JSON value without secrets in any of its strings, in case a server echoes our token.

        Raises:
            ValueError: The value is nested more deeply than any real response.
        """
        if depth > _MAX_DEPTH:
            raise ValueError(f"JSON that is nested more than {_MAX_DEPTH} levels deep")
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, list):
            return [self.clean_json(item, depth + 1) for item in value]
        if isinstance(value, dict):
            return {self.clean(key): self.clean_json(item, depth + 1) for key, item in value.items()}
        return value

    def __repr__(self) -> str:
        return "Redactor(...)"


def _spellings(secret: str) -> Iterator[str]:
    for literal in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]):
        yield literal
        yield literal.replace("/", "\\/")  # as PHP escapes it
    for percent in (quote(secret, safe=""), quote_plus(secret)):
        yield percent
        yield re.sub("%..", lambda code: code.group().lower(), percent)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(secret.encode()).decode()
        yield encoded
        yield encoded.rstrip("=")
