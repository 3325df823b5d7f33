"""Hypothesis strategies for arbitrary JSON, and for JSON that resembles a vendor's responses."""

from collections.abc import Mapping
from datetime import timedelta, timezone
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

Strategy = st.SearchStrategy[Any]

# Each example is an HTTP request, which a busy machine may delay.
few = settings(max_examples=50, deadline=None)

anything: Strategy = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
offsets = st.timedeltas(min_value=timedelta(hours=-23, minutes=-59), max_value=timedelta(hours=23, minutes=59))
times: Strategy = (
    st.sampled_from(
        [
            "2024-05-31T06:48:08.228Z",
            "2024-07-22T15:38:39.059503Z",
            "2026-11-22T17:51:55",
            "0001-01-01T00:00:00Z",
            "0001-01-01",
            "0001-01-02T00:00:00+23:00",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59-05:00",
            "0000-00-00T00:00:00Z",
            "2016-12-31T23:59:60Z",
            "2026-11-22T17:51:55,123456789+0545",
            "20261122T175155Z",
            "2026-W47-7",
            "Sun, 22 Nov 2026 17:51:55 GMT",
            " 2026-11-22 17:51 ",
            "1795369915",
            "",
            "now",
            0,
            -62135596800,
            1e20,
        ]
    )
    | st.datetimes(timezones=st.none() | st.builds(timezone, offsets)).map(lambda time: time.isoformat())
    | anything
)


def close_to(fields: Mapping[str, Strategy]) -> Strategy:
    """Objects in which each field may be valid, invalid or missing; and values that are not objects."""
    return st.fixed_dictionaries({}, optional={name: value | anything for name, value in fields.items()}) | anything
