"""Where the site's files are, and what `zensical.toml` says about them."""

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import tomllib

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
STAGE = ROOT / "build" / "website"
"""What Zensical reads: a copy of `docs/` whose links to other files lead to the repository."""
SITE = ROOT / "site"
CONFIG = ROOT / "zensical.toml"


class Page(NamedTuple):
    """A page in the navigation.

    Attributes:
        section: The title of the section that it is in.
        title: Its title in the navigation.
        path: The Markdown file in `docs/`.
    """

    section: str
    title: str
    path: str


def project() -> dict[str, Any]:
    """Returns the table `project` of `zensical.toml`."""
    return dict(tomllib.loads(CONFIG.read_text())["project"])


def repository_file(path: str) -> str:
    """Returns the address of a file or folder of the repository."""
    return f"{project()['repo_url']}/blob/main/{path}"


@cache
def public_names() -> frozenset[str]:
    """Returns the public names of the package, without importing it, which would need Dagster."""
    return frozenset(_value_of("__all__", ROOT / "dagster_runs" / "__init__.py"))


def version() -> str:
    """Returns the version of the package."""
    return str(_value_of("__version__", ROOT / "dagster_runs" / "version.py"))


def _value_of(name: str, path: Path) -> Any:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            return ast.literal_eval(node.value)
    raise LookupError(f"{path} does not assign {name}")


def navigation() -> list[Page]:
    """Returns all pages of the navigation, in its order."""
    return list(_pages(project()["nav"], ""))


def _pages(entries: Sequence[dict[str, Any]], section: str) -> Iterator[Page]:
    for entry in entries:
        ((title, value),) = entry.items()
        if isinstance(value, list):
            yield from _pages(value, section or title)
        elif not value.startswith("https://"):
            yield Page(section, title, value)
