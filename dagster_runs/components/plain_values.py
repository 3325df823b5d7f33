"""Numbers and asset keys in YAML."""

import re
from collections.abc import Sequence
from typing import Any

import dagster as dg

_PART_OF_KEY = re.compile(r"[A-Za-z0-9_.-]+")


def number(name: str, value: Any) -> float:
    """Returns the number that a value of YAML is, perhaps as a string from an environment variable.

    Raises:
        ValueError: It is not a number.
    """
    try:
        return float("" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}; it must be a number") from None


def whole_number(name: str, value: Any) -> int:
    """Like `number`, for a whole number.

    Raises:
        ValueError: It is not a whole number.
    """
    found = number(name, value)
    if not found.is_integer():
        raise ValueError(f"{name} is {value!r}; it must be a whole number")
    return int(found)


def checked_key(field: str, value: Any, *, placeholders: Sequence[str] = ()) -> dg.AssetKey:
    """Returns the asset key that YAML contains.

    Args:
        field: The field, for the message.
        value: The value.
        placeholders: Texts that the key may also contain.

    Raises:
        ValueError: It is not a valid key.
    """
    if isinstance(value, dg.AssetKey):
        return value
    text = str(value)
    for one in placeholders:
        text = text.replace(one, "_")
    if not isinstance(value, str) or not all(_PART_OF_KEY.fullmatch(part) for part in text.split("/")):
        raise ValueError(
            f"{field}: {value!r} is not an asset key; write its parts with slashes between them, such as "
            "quality/orders, and use letters, digits, and the characters _ - ."
        )
    return dg.AssetKey.from_user_string(text)
