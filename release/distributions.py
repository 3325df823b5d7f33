"""What the wheel and the source distribution contain, and what their metadata says."""

import re
import tarfile
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "dagster_runs"
EXTRAS = {"sandbox", "webserver"}
"""The extras that users install. The others are for working on the package."""
URLS = {"Changelog", "Documentation", "Homepage", "Issues", "Repository"}
REQUIRES_PYTHON = ">=3.10"
_RELATIVE_LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)]*)\)")


def version() -> str:
    """Returns the version of the package."""
    (found,) = re.findall(r'^__version__ = "([^"]+)"$', (ROOT / PACKAGE / "version.py").read_text(), re.MULTILINE)
    return str(found)


def sources() -> set[str]:
    """Returns the files of the package, as paths in the wheel."""
    files = (path for path in (ROOT / PACKAGE).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in files}


def problems_of_wheel(path: Path) -> Iterator[str]:
    """Yields what is wrong with the wheel."""
    info = f"{PACKAGE}-{version()}.dist-info"
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        metadata = Parser().parsestr(wheel.read(f"{info}/METADATA").decode())
        entry_points = wheel.read(f"{info}/entry_points.txt").decode()
    package = {name for name in names if not name.startswith(f"{info}/")}
    yield from (f"{name} is missing" for name in sorted(sources() - package))
    yield from (f"{name} must not be in a wheel" for name in sorted(package - sources()))
    if f"{PACKAGE}/py.typed" not in package:
        yield "py.typed is missing, so type checkers would ignore the package's types"
    if f"{info}/licenses/LICENSE" not in names:
        yield "the license is missing"
    if f"[dagster_dg_cli.registry_modules]\n{PACKAGE} = {PACKAGE}" not in entry_points:
        yield "the entry point with which dg finds the components is missing"
    yield from problems_of_metadata(metadata)


def problems_of_metadata(metadata: Message) -> Iterator[str]:
    """Yields what is wrong with the metadata, which PyPI shows."""
    expected = {"Name": "dagster-runs", "Version": version(), "Requires-Python": REQUIRES_PYTHON}
    expected |= {"License-Expression": "Apache-2.0", "Description-Content-Type": "text/markdown"}
    for name, value in expected.items():
        if metadata[name] != value:
            yield f"{name} is {metadata[name]!r}, not {value!r}"
    if missing := EXTRAS - set(metadata.get_all("Provides-Extra", [])):
        yield f"the extras {sorted(missing)} are missing"
    addresses = dict(value.split(", ", 1) for value in metadata.get_all("Project-URL", []))
    if missing := URLS - set(addresses):
        yield f"the project URLs {sorted(missing)} are missing"
    required = {
        re.split(r"[^\w-]", one, maxsplit=1)[0] for one in metadata.get_all("Requires-Dist", []) if ";" not in one
    }
    if not {"dagster", "dagster-shared", "pydantic", "requests"} <= required:
        yield f"dependencies are missing; there are {sorted(required)}"
    description = metadata.get_payload()
    for link in _RELATIVE_LINK.findall(str(description)):
        yield f"the description links {link}, which leads nowhere at PyPI: see tool.hatch in pyproject.toml"


def problems_of_sdist(path: Path) -> Iterator[str]:
    """Yields what is wrong with the source distribution."""
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = sources() | {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "PKG-INFO"}
    yield from (f"{name} is missing" for name in sorted(needed - names))
    yield from (f"{name} must not be in a source distribution" for name in sorted(names - needed - {".gitignore"}))
