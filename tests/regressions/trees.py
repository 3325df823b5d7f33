"""Makes a copy of this repository with the package of an earlier commit, for the current tests to run against."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "dagster_runs"
SANDBOX = f"{PACKAGE}/sandbox"
OVERLAID = (SANDBOX, f"{PACKAGE}/testing.py")
"""The parts of the package that tests use as tools: always the current version."""


def build_base(commit: str, folder: Path, root: Path = ROOT, *, overlaid: Sequence[str] = OVERLAID) -> None:
    """Fills ``folder`` with the current files and the package of ``commit``.

    Files are copied, not linked, because tests find the repository root by their own path and start processes there.

    Args:
        commit: The commit.
        folder: The folder to fill.
        root: The repository.
        overlaid: The parts of the package that are taken from the current version anyway.

    Raises:
        RuntimeError: git does not know the commit, or the commit has no package.
    """
    for name in _files(root):
        if Path(name).parts[0] != PACKAGE or any(Path(name).is_relative_to(one) for one in overlaid):
            _copy(root / name, folder / name)
    archive = _git(root, "archive", commit, PACKAGE)
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        for member in packed:
            if member.isfile() and not any(Path(member.name).is_relative_to(one) for one in overlaid):
                packed.extract(member, folder, filter="data")


def environment(tree: Path) -> Mapping[str, str]:
    """Returns the environment in which Python, and the processes that it starts, import this tree's package."""
    return {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}


def check_package(tree: Path) -> None:
    """Checks that Python imports the package from this tree.

    Raises:
        RuntimeError: Python imports another package, or none.
    """
    code = f"import {PACKAGE}.testing; print({PACKAGE}.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tree, env=environment(tree), capture_output=True, text=True, check=False
    )
    found = done.stdout.strip()
    if done.returncode or not Path(found).resolve().is_relative_to(tree.resolve()):
        raise RuntimeError(
            f"The package in {tree} cannot be tested: Python imports {found or 'nothing'}. "
            f"The current {' and '.join(OVERLAID)} must work with that commit's package.\n{done.stderr[-2000:]}"
        )


def _files(root: Path) -> list[str]:
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").decode()
    return [name for name in listed.split("\0") if name and (root / name).is_file()]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def _git(root: Path, *arguments: str) -> bytes:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"git {' '.join(arguments)} failed: {done.stderr.decode().strip()}")
    return done.stdout
