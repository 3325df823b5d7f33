"""A Python environment with the built wheel. Everything else comes from the environment that runs the tests."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMANDS = ("create-dagster", "dg", "dagster", "dagster-webserver")


def create_environment(folder: Path) -> Mapping[str, str]:
    """Creates the environment, and returns the variables that activate it.

    `pip` finds the wheel, and what builds a project, in a folder in place of an index.
    """
    wheels, home = folder / "wheels", folder / "environment"
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, ROOT)
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", wheels, "hatchling", "editables", "setuptools")
    _run(sys.executable, "-m", "venv", home)
    python = home / "bin" / "python"
    # Only the path: the editable installation of this repository there is not imported, and the wheel is found first.
    # `pip` would take that installation for this package, so the wheel is installed first.
    _run(python, "-m", "pip", "install", "--quiet", "--no-deps", *wheels.glob("dagster_runs-*.whl"))
    packages = next(home.glob("lib/python*/site-packages"))
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    for command in COMMANDS:
        (entry,) = entry_points(group="console_scripts", name=command)
        script = home / "bin" / command
        # Dagster's child processes import the script, too.
        body = f"from {entry.module} import {entry.attr}\nif __name__ == '__main__':\n    {entry.attr}()\n"
        script.write_text(f"#!{python}\n{body}")
        script.chmod(0o755)
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "DAGSTER", "PYTHONPATH"))
    }
    return {
        **kept,
        "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(home),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "NO_COLOR": "1",
    }


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)
