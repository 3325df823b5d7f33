"""Completes `objects.inv`, with which other projects' documentation links to names of this package."""

from pathlib import Path

from mkdocstrings import Inventory

from website import settings


def name_version(path: Path) -> None:
    """Sets the project and its version, which Zensical leaves at 0.0.0."""
    with path.open("rb") as file:
        inventory = Inventory.parse_sphinx(file)
    inventory.project, inventory.version = settings.project()["site_name"], settings.version()
    path.write_bytes(inventory.format_sphinx())
