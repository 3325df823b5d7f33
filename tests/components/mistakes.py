"""A file with a mistake. The other files ending in `_mistakes.py` have these files, by subject."""

from typing import NamedTuple


class Mistake(NamedTuple):
    """A file with a mistake.

    Attributes:
        name: The mistake.
        yaml: The file.
        by_schema: What `dg check yaml` says: the line, the field and the problem. Empty if it finds nothing.
        on_load: What `dg check defs` says: the line, the field and what to write.
    """

    name: str
    yaml: str
    by_schema: list[str]
    on_load: list[str]
