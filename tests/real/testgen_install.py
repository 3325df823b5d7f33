"""The virtual environment for TestGen (1.3 GB), which is separate because TestGen pins most of its dependencies."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "5.134.0"
HOME = Path(__file__).resolve().parents[2] / ".testgen"
VENV = HOME / "venv"


class InstallError(Exception):
    """TestGen cannot be installed."""


def install() -> None:
    """Creates the virtual environment, unless TestGen is already installed in it."""
    # pip writes this folder last, after all dependencies.
    if list(VENV.glob(f"lib/python*/site-packages/dataops_testgen-{VERSION}.dist-info/RECORD")):
        return
    HOME.mkdir(exist_ok=True)
    (HOME / ".gitignore").write_text("*\n")
    try:
        subprocess.run([_python(), "-m", "venv", "--clear", VENV], check=True, stdout=sys.stderr)
        subprocess.run(
            [VENV / "bin/python", "-m", "pip", "install", "-q", f"dataops-testgen[standalone]=={VERSION}"],
            check=True,
            stdout=sys.stderr,
        )
    except subprocess.CalledProcessError as error:
        raise InstallError(f"cannot install TestGen {VERSION}: {error}") from error


def _python() -> str:
    """Returns a Python that TestGen supports."""
    if sys.version_info >= (3, 11):
        return sys.executable
    for minor in (13, 12, 11):
        if found := shutil.which(f"python3.{minor}"):
            return found
    raise InstallError("TestGen needs Python 3.11 or newer")
