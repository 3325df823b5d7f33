"""Reads values that a sensor's cursor has stored, in this version or in an earlier one."""

from collections.abc import Mapping
from typing import Any


def stored_value(stored: Mapping[str, Any], name: str, *, earlier: str) -> Any:
    """Returns the value with this name, or with the name that earlier versions gave it."""
    return stored[name] if name in stored else stored[earlier]
