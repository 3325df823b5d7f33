"""Kinds of values that the fields of several vendors' runs have."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator


def _canonical_uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError(f"{text!r} is not a UUID; copy the id from the address of its page") from None


Uuid = Annotated[str, AfterValidator(_canonical_uuid)]
"""A UUID in any of its spellings."""
