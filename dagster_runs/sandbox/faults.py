"""Faults between a client and a vendor, which a test or a user can activate."""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from dataclasses import asdict, dataclass
from typing import Any, Literal

from dagster_runs.sandbox.earlier_names import FAULT_KINDS, EarlierFaultNames

FaultKind = Literal[
    "lost_response",
    "reset",
    "hang",
    "status",
    "status_after",
    "html",
    "truncated",
    "slow_body",
    "huge_body",
    "redirect",
    "not_json",
    "unknown_state",
    "not_found",
    "expired_token",
    "missing_field",
    "wrong_type",
    "down",
    "echo_secret",
]

# Whether the vendor still processes the request, although the client does not get the proper response.
_PROCESSED: dict[str, bool] = {
    "lost_response": True,
    "reset": False,
    "hang": True,
    "status": False,
    "status_after": True,
    "html": False,
    "truncated": True,
    "slow_body": True,
    "huge_body": True,
    "redirect": False,
    "not_json": True,
    "unknown_state": True,
    "not_found": False,
    "expired_token": False,
    "missing_field": True,
    "wrong_type": True,
    "down": False,
    "echo_secret": False,
}


@dataclass(frozen=True)
class Fault(EarlierFaultNames):
    """A fault in the requests that match.

    | Kind | Effect | Arguments |
    |---|---|---|
    | `lost_response` | processed, then the connection is closed without a response | |
    | `reset` | the connection is reset (RST), nothing is processed | |
    | `down` | every matching connection is reset for some time | `seconds` simulated, from when it is added |
    | `hang` | processed, the response is late | `seconds` real (3600) |
    | `status` | this status instead of the response | `status` (503), `body`, `headers`, `retry_after` |
    | `status_after` | processed, then this status | the same (502) |
    | `html` | an HTML page | `status` (200), `body` |
    | `not_json` | processed, then plain text | `status` (200), `body` |
    | `truncated` | processed, the JSON is cut in the middle | `variant`: `short_body` or `early_close` |
    | `slow_body` | processed, the body arrives byte by byte | `seconds` real (5) for all of it |
    | `huge_body` | processed, then a huge JSON body | `size` bytes, `variant`: `chunked`, `content_length` |
    | `redirect` | a redirect | `location`, `status` (302) |
    | `not_found` | the vendor's response for an unknown run: 404, or its equivalent | |
    | `expired_token` | the vendor's response to an invalid token: 401, or its equivalent | |
    | `echo_secret` | 500 with a body that repeats the credentials that were sent | |
    | `unknown_state` | this value as the run's state | `state`; `ended`: also with an end time |
    | `missing_field` | processed, a field is missing from the response | `field`, such as `result.result_counts` |
    | `wrong_type` | processed, a field of the response has another value | `field`, `value` |

    The last three change a field of the response. A response without that field is sent unchanged and does not count.

    Attributes:
        method: Only requests with this method.
        path: Only requests where this regular expression is found in the path as sent (with the mount, no query).
        target: Only requests that name this target or a run of it, in the path or in the body. Lists name none.
        times: The number of requests to affect; None for all.
        skip: The number of matching requests to let pass first.
        processed: Overrides whether the vendor processes the request.
    """

    kind: FaultKind
    method: str | None = None
    path: str | None = None
    target: str | None = None
    times: int | None = None
    skip: int = 0
    processed: bool | None = None
    seconds: float | None = None
    status: int | None = None
    body: Any = None
    headers: dict[str, str] | None = None
    retry_after: str | None = None
    variant: str | None = None
    size: int = 50_000_000
    location: str | None = None
    state: str | None = None
    ended: bool = False
    field: str | None = None
    value: Any = None

    def __post_init__(self, word: str | None) -> None:
        object.__setattr__(self, "kind", FAULT_KINDS.get(self.kind, self.kind))
        object.__setattr__(self, "state", self.state if word is None else word)
        if self.kind not in _PROCESSED:
            raise ValueError(f"unknown kind of fault {self.kind!r}; the kinds are {', '.join(_PROCESSED)}")
        for argument, kinds in (("location", ("redirect",)), ("state", ("unknown_state",)), ("field", _FIELD_KINDS)):
            if self.kind in kinds and getattr(self, argument) is None:
                raise ValueError(f"a fault of kind {self.kind} needs {argument}")
        if self.variant not in (None, *_VARIANTS.get(self.kind, ())):
            raise ValueError(f"a fault of kind {self.kind} has no variant {self.variant!r}")
        if self.processed is False and self.kind in _NEEDS_RESPONSE:
            raise ValueError(f"a fault of kind {self.kind} needs the vendor's response, so it is always processed")
        if (self.times is not None and self.times < 1) or self.skip < 0:
            raise ValueError("times must be at least 1, skip at least 0")
        try:
            re.compile(self.path or "")
        except re.error as error:
            raise ValueError(f"path is not a regular expression: {error}") from None

    @property
    def is_processed(self) -> bool:
        """Whether the vendor processes the request."""
        return _PROCESSED[self.kind] if self.processed is None else self.processed

    def as_dict(self) -> dict[str, Any]:
        """Returns a dict for JSON."""
        return asdict(self)


_FIELD_KINDS = ("missing_field", "wrong_type")
_NEEDS_RESPONSE = ("hang", "truncated", "slow_body", "huge_body", "unknown_state", *_FIELD_KINDS)
_VARIANTS = {"truncated": ("short_body", "early_close"), "huge_body": ("chunked", "content_length")}


class ActiveFault:
    """An active fault, with the number of requests that it matched and affected."""

    def __init__(self, fault: Fault, now: float) -> None:
        self.fault = fault
        self.matched = 0
        self.applied = 0
        self._active_until = now + fault.seconds if fault.kind == "down" and fault.seconds is not None else None
        self._path = re.compile(fault.path) if fault.path is not None else None

    def matches(self, method: str, path: str, now: float, find_targets: Callable[[], Set[str]] = frozenset) -> bool:
        """Whether the fault matches the request."""
        if self._active_until is not None and now >= self._active_until:
            return False
        if self.fault.method is not None and self.fault.method.upper() != method:
            return False
        if self.fault.target is not None and self.fault.target not in find_targets():
            return False
        return self._path is None or self._path.search(path) is not None

    @property
    def is_due(self) -> bool:
        """Whether the fault should affect the request that was counted last."""
        if self.matched <= self.fault.skip:
            return False
        return self.fault.times is None or self.applied < self.fault.times

    def undo_count(self) -> None:
        """Undoes the count for a response that the fault could not be applied to."""
        self.matched -= 1
        self.applied -= 1


class FaultRegistry:
    """The active faults."""

    def __init__(self) -> None:
        self.active: list[ActiveFault] = []

    def add(self, fault: Fault, now: float) -> None:
        """Activates a fault."""
        self.active.append(ActiveFault(fault, now))

    def clear(self) -> None:
        """Deactivates all faults."""
        self.active.clear()

    def select(
        self, method: str, path: str, now: float, find_targets: Callable[[], Set[str]] = frozenset
    ) -> ActiveFault | None:
        """Returns the fault for this request: the one that was added first among those that are due.

        The other faults count the request for `skip`, but not for `times`.

        Args:
            method: The method of the request.
            path: The path as sent.
            now: The simulated time.
            find_targets: Returns the targets that the request names.
        """
        selected = None
        for active in self.active:
            if not active.matches(method, path, now, find_targets):
                continue
            active.matched += 1
            if selected is None and active.is_due:
                selected = active
        if selected is not None:
            selected.applied += 1
        return selected
