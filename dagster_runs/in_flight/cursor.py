"""What the completion sensor keeps between ticks, with Dagster."""

import json
import math
from dataclasses import dataclass

_LARGEST_ID = 2**63
"""That a database has room for."""


@dataclass(frozen=True)
class Cursor:
    """What the sensor keeps between ticks: enough to make the table of runs anew.

    Attributes:
        token: Of the tick that wrote it.
        read_from: Id in the event log after which all runs are found that are going.
        at: Epoch seconds.
    """

    token: str = ""
    read_from: int = 0
    at: float = 0.0

    @classmethod
    def of(cls, text: str | None) -> "Cursor":
        """As a tick wrote it; whatever else stands there begins anew."""
        try:
            kept = json.loads(text or "{}")
            cursor = cls(str(kept["token"]), int(kept["read_from"]), float(kept["at"]))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return cls()
        return cursor if 0 <= cursor.read_from < _LARGEST_ID and 0 <= cursor.at < math.inf else cls()

    def as_text(self) -> str:
        """For Dagster to keep."""
        return json.dumps({"token": self.token, "read_from": self.read_from, "at": self.at})
