"""Findings of the reconciliation."""

from __future__ import annotations

from dataclasses import dataclass

DUPLICATE = "duplicate"
LOST = "lost"
ORPHANED = "orphaned"
WRONGLY_CANCELED = "wrongly canceled"
WRONGLY_SUCCESSFUL = "wrongly successful"
UNRESOLVED = "unresolved start"
CHECK_MISSING = "check missing"
CHECK_TWICE = "check twice"
UNTARGETED = "check without its target"
MISTARGETED = "check of another target"
MISJUDGED = "judged wrongly"
SECRET = "secret"
CATEGORIES = (
    DUPLICATE,
    LOST,
    ORPHANED,
    WRONGLY_CANCELED,
    WRONGLY_SUCCESSFUL,
    UNRESOLVED,
    CHECK_MISSING,
    CHECK_TWICE,
    UNTARGETED,
    MISTARGETED,
    MISJUDGED,
    SECRET,
)


@dataclass(frozen=True)
class Finding:
    """A violation of an invariant."""

    category: str
    number: int | None
    text: str
