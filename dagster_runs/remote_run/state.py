"""What a remote run is doing, in words that all vendors share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from typing import Annotated, Any

from pydantic import AfterValidator


class RunState(str, Enum):
    """The states that every vendor's words are mapped to."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    UNKNOWN = "UNKNOWN"

    @property
    def is_final(self) -> bool:
        """Whether the run has ended. An unknown word is no end: success is never guessed, nor failure."""
        return self in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELED)


def parse_state(vendor_status: str, words: Mapping[str, RunState]) -> RunState:
    """The state that a vendor's status means.

    Args:
        vendor_status: As the vendor sent it. Case and separators do not count: ``In progress``, ``in-progress`` and
            ``IN_PROGRESS`` are one word.
        words: The vendor's words, spelled with lower-case letters only (``inprogress``).
    """
    return words.get(_normalized(vendor_status), RunState.UNKNOWN)


def _normalized(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


_SOUND_LIKE_SUCCESS = frozenset({"complete", "completed", "done", "ended", "finished", "ok", "success", "succeeded"})
"""Words after which "ended ..." would read as a success. RudderStack's failed runs are ``finished``, with an error."""


def _as_utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        return time.replace(tzinfo=timezone.utc)
    try:
        return time.astimezone(timezone.utc)
    except OverflowError:
        raise ValueError(f"{time} lies outside the years 1 to 9999 in UTC") from None


UtcTime = Annotated[datetime, AfterValidator(_as_utc)]
"""A time in a vendor's answer. One without a zone is UTC: Prophecy and TestGen's ``test_time`` send such times."""


def seconds_between(begun: datetime | None, ended: datetime | None) -> float | None:
    """How long something took, to the millisecond; ``None`` if either end is not known."""
    return None if begun is None or ended is None else round((ended - begun).total_seconds(), 3)


@dataclass(frozen=True)
class RunStatus:
    """One look at a remote run.

    Attributes:
        state: What its state means.
        vendor_status: The vendor's own word for it.
        error: Why it failed, in the vendor's words.
        created_at: When the vendor accepted it.
        started_at: When it began to work.
        finished_at: When it ended.
        is_retryable: Whether a run that ended like this may end well when it is started again.
        raw: The vendor's whole answer, for the vendor's own code.
    """

    state: RunState
    vendor_status: str
    error: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    is_retryable: bool = True
    raw: Any = field(default=None, repr=False)

    @property
    def plain_word(self) -> str:
        """The vendor's word with nothing in it that markdown, as which Dagster renders descriptions, could take up."""
        kept = (c if c.isalnum() or c in " _-" else " " for c in self.vendor_status)
        return " ".join("".join(kept).split())

    @property
    def ending(self) -> str:
        """How the run ended, for a sentence: ``ended failed``, or ``failed, though its status is finished``."""
        if (
            self.state in (RunState.FAILED, RunState.CANCELED)
            and _normalized(self.vendor_status) in _SOUND_LIKE_SUCCESS
        ):
            verb = "failed" if self.state is RunState.FAILED else "was canceled"
            return f"{verb}, though its status is {self.plain_word}"
        return f"ended {self.plain_word}"

    @property
    def duration_seconds(self) -> float | None:
        """Seconds from the run's start to its end, as the vendor tells them."""
        seconds = seconds_between(self.started_at or self.created_at, self.finished_at)
        return None if seconds is None else max(0.0, seconds)
