"""What can go wrong between a client and a vendor, switched on by a test or a person."""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from dataclasses import asdict, dataclass
from typing import Any, Literal

FaultKind = Literal[
    "lost_answer",
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

# Whether the vendor still does what it was asked to do, although the client does not hear of it as it should.
_PROCESSED: dict[str, bool] = {
    "lost_answer": True,
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
class Fault:
    """Something that goes wrong with the requests that match.

    | Kind | What happens | Takes |
    |---|---|---|
    | `lost_answer` | processed, then the connection is closed without an answer | |
    | `reset` | the connection is reset (RST), nothing is processed | |
    | `down` | every matching connection is reset, for a while | `seconds` simulated, from when it is added |
    | `hang` | processed, the answer comes late | `seconds` real (3600) |
    | `status` | this status instead of the answer | `status` (503), `body`, `headers`, `retry_after` |
    | `status_after` | processed, then this status | the same (502) |
    | `html` | a page of HTML | `status` (200), `body` |
    | `not_json` | processed, then plain text | `status` (200), `body` |
    | `truncated` | processed, the JSON ends in the middle | `variant`: `short_body` or `early_close` |
    | `slow_body` | processed, the body comes in drops | `seconds` real (5) for all of it |
    | `huge_body` | processed, then very much JSON | `size` bytes, `variant`: `chunked`, `content_length` |
    | `redirect` | to somewhere else | `location`, `status` (302) |
    | `not_found` | the vendor's answer for a run that it does not know: 404, or what it has instead | |
    | `expired_token` | the vendor's answer to a wrong token: 401, or what it has instead | |
    | `echo_secret` | 500 with a body that repeats the credentials sent | |
    | `unknown_state` | the run's state is this word | `word`; `ended`: with an end time as well |
    | `missing_field` | processed, a field of the answer is gone | `field`, such as `result.result_counts` |
    | `wrong_type` | processed, a field of the answer is something else | `field`, `value` |

    The last three change an answer; an answer without the field passes as it is and does not count.

    Attributes:
        method: Only requests with this method.
        path: Only requests where this regular expression is found in the path as sent (with the mount, no query).
        target: Only requests that name this target or a run of it, in the path or in the body; lists name none.
        times: For so many requests; None for all.
        skip: So many matching requests pass first.
        processed: Overrides whether the vendor does what it was asked to.
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
    word: str | None = None
    ended: bool = False
    field: str | None = None
    value: Any = None

    def __post_init__(self) -> None:
        if self.kind not in _PROCESSED:
            raise ValueError(f"unknown kind of fault {self.kind!r}; there are {', '.join(_PROCESSED)}")
        for needs, kinds in (("location", ("redirect",)), ("word", ("unknown_state",)), ("field", _FIELD_KINDS)):
            if self.kind in kinds and getattr(self, needs) is None:
                raise ValueError(f"a fault of kind {self.kind} needs {needs}")
        if self.variant not in (None, *_VARIANTS.get(self.kind, ())):
            raise ValueError(f"a fault of kind {self.kind} has no variant {self.variant!r}")
        if self.processed is False and self.kind in _PASSES_ON:
            raise ValueError(f"a fault of kind {self.kind} passes the vendor's answer on, so it is always processed")
        if (self.times is not None and self.times < 1) or self.skip < 0:
            raise ValueError("times must be at least 1, skip at least 0")
        try:
            re.compile(self.path or "")
        except re.error as error:
            raise ValueError(f"path is no regular expression: {error}") from None

    @property
    def is_processed(self) -> bool:
        """Whether the vendor does what it was asked to."""
        return _PROCESSED[self.kind] if self.processed is None else self.processed

    def as_dict(self) -> dict[str, Any]:
        """For sending."""
        return asdict(self)


_FIELD_KINDS = ("missing_field", "wrong_type")
_PASSES_ON = ("hang", "truncated", "slow_body", "huge_body", "unknown_state", *_FIELD_KINDS)
_VARIANTS = {"truncated": ("short_body", "early_close"), "huge_body": ("chunked", "content_length")}


class ActiveFault:
    """A fault that was added, and how often it was met."""

    def __init__(self, fault: Fault, now: float) -> None:
        self.fault = fault
        self.matched = 0
        self.applied = 0
        self._until = now + fault.seconds if fault.kind == "down" and fault.seconds is not None else None
        self._path = re.compile(fault.path) if fault.path is not None else None

    def matches(self, method: str, path: str, now: float, named: Callable[[], Set[str]] = frozenset) -> bool:
        """Whether it is about such requests."""
        if self._until is not None and now >= self._until:
            return False
        if self.fault.method is not None and self.fault.method.upper() != method:
            return False
        if self.fault.target is not None and self.fault.target not in named():
            return False
        return self._path is None or self._path.search(path) is not None

    @property
    def is_due(self) -> bool:
        """Whether the request that was counted last should meet it."""
        if self.matched <= self.fault.skip:
            return False
        return self.fault.times is None or self.applied < self.fault.times

    def give_back(self) -> None:
        """It could not be applied to this answer after all."""
        self.matched -= 1
        self.applied -= 1


class FaultBook:
    """The faults that are switched on."""

    def __init__(self) -> None:
        self.active: list[ActiveFault] = []

    def add(self, fault: Fault, now: float) -> None:
        """Switch a fault on."""
        self.active.append(ActiveFault(fault, now))

    def clear(self) -> None:
        """Switch all off."""
        self.active.clear()

    def choose(
        self, method: str, path: str, now: float, named: Callable[[], Set[str]] = frozenset
    ) -> ActiveFault | None:
        """The fault for this request: of those that are due, the one that was added first.

        The others count the request as well (`skip`), but are not used up by it.

        Args:
            method: Of the request.
            path: As sent.
            now: Simulated time.
            named: Tells which targets the request names.
        """
        chosen = None
        for active in self.active:
            if not active.matches(method, path, now, named):
                continue
            active.matched += 1
            if chosen is None and active.is_due:
                chosen = active
        if chosen is not None:
            chosen.applied += 1
        return chosen
