"""Searches everything that is stored or printed for the sandbox's secrets."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path

from dagster_runs.sandbox import well_known

_SECRETS = (
    well_known.RUDDERSTACK_TOKEN,
    well_known.AMPERITY_TOKEN,
    well_known.SEGMENTFLOW_API_KEY,
    well_known.PROPHECY_TOKEN,
    well_known.TESTGEN_TOKEN,
)
_ANY = re.compile(
    b"|".join(re.escape(form) for secret in _SECRETS for form in (secret.encode(), b64encode(secret.encode())))
)


def in_files(folder: Path) -> Iterator[str]:
    """Yields the files below the folder that contain a secret."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (found := _ANY.search(path.read_bytes())):
            yield f"{path.relative_to(folder)} holds {_hint(found)}"


def in_rows(rows: Iterable[str]) -> Iterator[str]:
    """Yields the rows of a database that contain a secret."""
    for row in rows:
        if found := _ANY.search(row.encode()):
            yield f"the row {row[:80]!r} holds {_hint(found)}"


def _hint(found: re.Match[bytes]) -> str:
    return f"{found.group()[:12].decode()}…"
