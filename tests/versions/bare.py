"""Imports every module of the installed package that needs no extra, and tries what needs one.

Runs in an environment that has only what `pip install dagster-runs` brings. Prints what could not be imported.
"""

import importlib
import pkgutil
import sys
from collections.abc import Iterator

import dagster_runs

OPTIONAL = ("dagster_runs.sandbox", "dagster_runs.testing")
PLUGIN = "dagster_runs.pytest_plugin"  # imports pytest, which loads it
HINT = "pip install 'dagster-runs[sandbox]'"


def problems() -> Iterator[str]:
    """Yields what is wrong."""
    names = [found.name for found in pkgutil.walk_packages(dagster_runs.__path__, "dagster_runs.", onerror=ignore)]
    for name in names:
        is_optional = name.startswith(OPTIONAL)
        if name == PLUGIN or name.endswith(".__main__"):
            continue
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not is_optional:
                yield f"{name} needs {error.name}, which the wheel does not bring"
            elif HINT not in str(error):
                yield f"{name} does not say how to install what it needs: {error}"
    for name in dagster_runs.__all__:
        getattr(dagster_runs, name)
    if "aiohttp" in sys.modules:
        yield "aiohttp is installed, so this environment is not a bare one"
    print(f"{len(names)} modules and {len(dagster_runs.__all__)} public names")


def ignore(name: str) -> None:
    """Packages that need an extra are reported when they are imported."""


if __name__ == "__main__":
    found = list(problems())
    print(*found, sep="\n")
    sys.exit(bool(found))
