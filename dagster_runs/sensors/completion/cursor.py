"""The completion sensor's cursor: the state that Dagster stores between ticks."""

import json
import math
from dataclasses import asdict, dataclass

from dagster_runs.sensors.cursor_fields import stored_value

_MAX_ID = 2**63
"""The limit for ids: a larger one does not fit in a database's integer."""


@dataclass(frozen=True)
class Cursor:
    """The state that the sensor keeps between ticks: enough to rebuild the index of deferred runs.

    Attributes:
        tick_id: The tick that wrote the cursor.
        low_watermark: The storage id in the event log after which the entries of all active runs are found.
        written_at: Epoch seconds.
    """

    tick_id: str = ""
    low_watermark: int = 0
    written_at: float = 0.0

    @classmethod
    def from_text(cls, text: str | None) -> "Cursor":
        """Reads a cursor. Any other text, such as the cursor of another sensor, is read as an empty cursor."""
        try:
            stored = json.loads(text or "{}")
            cursor = cls(
                str(stored_value(stored, "tick_id", earlier="token")),
                int(stored_value(stored, "low_watermark", earlier="read_from")),
                float(stored_value(stored, "written_at", earlier="at")),
            )
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return cls()
        return cursor if 0 <= cursor.low_watermark < _MAX_ID and 0 <= cursor.written_at < math.inf else cls()

    def as_text(self) -> str:
        """Returns the text that Dagster stores."""
        return json.dumps(asdict(self))
