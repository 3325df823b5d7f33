"""Secrets are taken out of every text before it reaches a log, an event or an exception."""

import base64
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "[redacted]"
_DEEPEST = 100
_MIN_SHORTEST = 4
"""Shorter "secrets" would blank out ordinary words; no vendor issues one."""
_MAX_PASSING = 20
"""Tokens that are hidden at the same time; an hourly one is useless long before so many have followed it."""


class Redactor:
    """Replaces known secrets, also in the spellings that HTTP gives them."""

    def __init__(self, secrets: Iterable[str | None] = ()) -> None:
        self._lasting: set[str] = set()
        self._passing: deque[set[str]] = deque(maxlen=_MAX_PASSING)
        self._spellings: list[str] = []
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str | None) -> None:
        """Hide ``secret`` from now on: as it is, percent-encoded, in base64, and inside JSON and Python literals."""
        if secret and len(secret) >= _MIN_SHORTEST:
            self._lasting |= set(_spellings(secret))
            self._sort()

    def add_passing(self, token: str) -> None:
        """Likewise, until many others have followed it: each makes every text slower to read while it stays."""
        if len(token) >= _MIN_SHORTEST:
            self._passing.append(set(_spellings(token)))
            self._sort()

    def _sort(self) -> None:
        # Longest first, so that a secret which contains another leaves no rest behind.
        self._spellings = sorted(self._lasting.union(*self._passing), key=len, reverse=True)

    def clean(self, text: str) -> str:
        """``text`` without any secret in it, and without half characters, which no storage or browser takes."""
        text = text.encode("utf-8", "replace").decode()
        for spelling in self._spellings:
            text = text.replace(spelling, MASK)
        return text

    def clean_json(self, value: Any, depth: int = 0) -> Any:
        """A decoded JSON value with no secret in any of its texts: a server that echoes our token is not believed.

        Raises:
            ValueError: It is nested more deeply than any vendor has a reason to.
        """
        if depth > _DEEPEST:
            raise ValueError(f"JSON that is nested more than {_DEEPEST} deep")
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
        yield literal.replace("/", "\\/")  # so does PHP
    for percent in (quote(secret, safe=""), quote_plus(secret)):
        yield percent
        yield re.sub("%..", lambda code: code.group().lower(), percent)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(secret.encode()).decode()
        yield encoded
        yield encoded.rstrip("=")
