"""The log of requests to the sandbox."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Literal

from dagster_runs.sandbox.earlier_names import EarlierRequestNames
from dagster_runs.sandbox.http_types import ApiRequest

Credentials = Literal["valid", "invalid", "missing"]

# Enough for a long test, but a sandbox that runs for days must not fill the memory.
_MAX_RECORDS = 100_000
_MAX_BODY_CHARS = 100_000
_MAX_EXCERPT_CHARS = 2_000
_LOGGED_HEADERS = (
    "accept",
    "amperity-tenant",
    "api-version",
    "connection",
    "content-length",
    "content-type",
    "idempotency-key",
    "user-agent",
    "x-amperity-tenant",
)
_CREDENTIAL_HEADERS = ("authorization", "x-api-key", "x-auth-token")
_SECRET_FIELDS = frozenset(
    {"access_token", "client_secret", "code", "code_verifier", "password", "refresh_token", "token"}
)


@dataclass
class RecordedRequest(EarlierRequestNames):
    """One request.

    Attributes:
        seq: The number of the request; 1 for the first one since the last reset.
        received_at: The arrival in simulated epoch seconds.
        wall_received_at: The arrival in real epoch seconds.
        vendor: The vendor; None if the path belongs to none.
        path: The path as sent, with the mount and without the query.
        headers: The relevant headers, in lower case. Credentials are replaced by `valid`, `invalid` or `missing`.
        body: The JSON or form that was sent (without a form's secrets), or the beginning of a text.
        status: The status of the response; None if the connection was dropped, or before the response is sent.
        fault: The kind of the fault that was applied.
        started_run: The id of the run that the request started.
    """

    seq: int
    received_at: float
    wall_received_at: float
    vendor: str | None
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    status: int | None = None
    fault: str | None = None
    started_run: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Returns a dict for JSON."""
        return asdict(self)


class RequestLog:
    """The latest requests, oldest first."""

    def __init__(self) -> None:
        self._records: deque[RecordedRequest] = deque(maxlen=_MAX_RECORDS)
        self._seq = 0

    def record(
        self,
        request: ApiRequest,
        vendor: str | None,
        credentials: Credentials,
        now: float,
        *,
        credential_header: str = "authorization",
    ) -> RecordedRequest:
        """Records a request. The result is filled in later."""
        self._seq += 1
        record = RecordedRequest(
            seq=self._seq,
            received_at=now,
            wall_received_at=time.time(),
            vendor=vendor,
            method=request.method,
            path=request.path,
            query=dict(request.query),
            headers=_headers_to_log(request.headers, credentials, credential_header),
            body=_body_to_log(request),
        )
        self._records.append(record)
        return record

    def find(self, vendor: str | None = None, *, after: int = 0) -> list[RecordedRequest]:
        """Returns the requests to a vendor, or all, that came after the request with this `seq`."""
        skipped = max(0, after - self._records[0].seq + 1) if self._records else 0
        newer = islice(self._records, skipped, None)
        return [record for record in newer if vendor is None or record.vendor == vendor]

    def clear(self) -> None:
        """Deletes all records."""
        self._records.clear()
        self._seq = 0


def _headers_to_log(headers: Mapping[str, str], credentials: Credentials, credential_header: str) -> dict[str, str]:
    logged = {name: headers[name] for name in _LOGGED_HEADERS if name in headers}
    for name in _CREDENTIAL_HEADERS:
        if name in headers:
            logged[name] = credentials
    if credentials == "missing":
        logged.setdefault(credential_header, "missing")
    return logged


def _body_to_log(request: ApiRequest) -> Any:
    if not request.body:
        return None
    if request.media_type == "application/x-www-form-urlencoded":
        return {name: "<secret>" if name in _SECRET_FIELDS else value for name, value in request.form().items()}
    text = request.body.decode("utf-8", "replace")
    if len(text) > _MAX_BODY_CHARS:
        return text[:_MAX_EXCERPT_CHARS]
    try:
        return json.loads(text)
    except ValueError:
        return text[:_MAX_EXCERPT_CHARS]
