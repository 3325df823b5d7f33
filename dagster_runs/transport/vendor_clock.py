"""The difference between a vendor's clock and ours, according to the ``Date`` header of its responses."""

from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from dagster_runs.transport.clock import current_clock

_MAX_PLAUSIBLE_TIME = 32_503_680_000.0
"""Epoch seconds of the year 3000. A vendor's clock that is beyond it, or before 1970, is ignored."""


class VendorClock:
    """The clock of one vendor.

    Attributes:
        ahead: Seconds by which it is ahead of ours; ``None`` before the first response that has its time.
    """

    def __init__(self) -> None:
        self.ahead: float | None = None

    def update(self, headers: Mapping[str, str]) -> None:
        """Updates the difference from a response that was just received. A missing or implausible time is ignored."""
        try:
            vendor_time = parsedate_to_datetime(headers["date"]).timestamp()
        except (KeyError, TypeError, ValueError, OverflowError):
            return
        if 0 <= vendor_time < _MAX_PLAUSIBLE_TIME:
            self.ahead = vendor_time - current_clock().wall()

    def to_ours(self, time: datetime) -> float:
        """Converts a vendor's time to epoch seconds by our clock."""
        return time.timestamp() - (self.ahead or 0.0)

    def from_ours(self, at: float) -> datetime:
        """Converts epoch seconds by our clock to the vendor's time, in UTC."""
        return datetime.fromtimestamp(at + (self.ahead or 0.0), timezone.utc)
