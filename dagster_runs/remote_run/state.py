"""The state and the status of a remote run, in terms that all vendors share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from typing import Annotated, Any

from pydantic import AfterValidator


class RunState(str, Enum):
    """The states that the statuses of all vendors are mapped to."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    UNKNOWN = "UNKNOWN"

    @property
    def is_final(self) -> bool:
        """Whether the run has finished. An unknown status is not final: we guess neither success nor failure."""
        return self in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELED)


def parse_state(vendor_status: str, words: Mapping[str, RunState]) -> RunState:
    """Returns the state that a vendor's status maps to.

    Args:
        vendor_status: The status as the vendor sent it. Case and separators are ignored: ``In progress``,
            ``in-progress`` and ``IN_PROGRESS`` are equal.
        words: The vendor's statuses, spelled in lower case without separators (``inprogress``).
    """
    return words.get(_normalized(vendor_status), RunState.UNKNOWN)


def _normalized(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


_SOUND_LIKE_SUCCESS = frozenset({"complete", "completed", "done", "ended", "finished", "ok", "success", "succeeded"})
"""Statuses for which "ended ..." reads like a success. RudderStack's failed runs are ``finished`` with an error."""

_MAX_PLAIN_STATUS = 200

_WITHOUT_STATUS = {RunState.SUCCEEDED: "succeeded", RunState.FAILED: "failed", RunState.CANCELED: "was canceled"}


def _as_utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        return time.replace(tzinfo=timezone.utc)
    try:
        return time.astimezone(timezone.utc)
    except OverflowError:
        raise ValueError(f"{time} is outside the years 1 to 9999 in UTC") from None


UtcTime = Annotated[datetime, AfterValidator(_as_utc)]
"""A time in a vendor's response. A time without a zone, as in Prophecy and in TestGen's ``test_time``, is UTC."""


def seconds_between(started: datetime | None, ended: datetime | None) -> float | None:
    """Returns the duration in seconds, rounded to milliseconds; ``None`` if either time is unknown."""
    return None if started is None or ended is None else round((ended - started).total_seconds(), 3)


@dataclass(frozen=True)
class RunStatus:
    """The status of a remote run at the time of a poll.

    Attributes:
        state: The state that the vendor's status maps to.
        vendor_status: The vendor's own status.
        error: The cause of a failure, in the vendor's words.
        created_at: When the vendor accepted the run.
        started_at: When the run started.
        finished_at: When the run finished.
        is_retryable: Whether starting the run again may succeed after an outcome like this.
        raw: The vendor's whole response, for the vendor's own code.
    """

    state: RunState
    vendor_status: str
    error: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    is_retryable: bool = True
    raw: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.state, RunState):
            raise TypeError(f"the state of a RunStatus is {self.state!r}; it must be a RunState, as of parse_state()")
        if not isinstance(self.vendor_status, str):
            raise TypeError(f"vendor_status of a RunStatus is {self.vendor_status!r}; it must be the vendor's text")
        if self.error is not None and not isinstance(self.error, str):
            raise TypeError(f"error of a RunStatus is {self.error!r}; it must be a string or None")
        if not isinstance(self.is_retryable, bool):
            raise TypeError(f"is_retryable of a RunStatus is {self.is_retryable!r}; it must be True or False")
        for name in ("created_at", "started_at", "finished_at"):
            time = getattr(self, name)
            if time is None:
                continue
            if not isinstance(time, datetime):
                raise TypeError(f"{name} of a RunStatus is {time!r}; it must be a datetime or None")
            object.__setattr__(self, name, _as_utc(time))

    @property
    def plain_status(self) -> str:
        """The vendor's status without markdown characters, because Dagster renders descriptions as markdown."""
        kept = (c if c.isalnum() or c in " _-" else " " for c in self.vendor_status[:_MAX_PLAIN_STATUS])
        return " ".join("".join(kept).split())

    @property
    def outcome_text(self) -> str:
        """The outcome as part of a sentence, such as ``ended with status failed``."""
        if (
            self.state in (RunState.FAILED, RunState.CANCELED)
            and _normalized(self.vendor_status) in _SOUND_LIKE_SUCCESS
        ):
            verb = "failed" if self.state is RunState.FAILED else "was canceled"
            return f"{verb}, though its status is {self.plain_status}"
        if not self.plain_status:  # the vendor's status has no letters
            return _WITHOUT_STATUS.get(self.state, "has an empty status")
        return f"ended with status {self.plain_status}"

    @property
    def duration_seconds(self) -> float | None:
        """The seconds between the start and the end of the run, by the times that the vendor reports."""
        seconds = seconds_between(self.started_at or self.created_at, self.finished_at)
        return None if seconds is None else max(0.0, seconds)
