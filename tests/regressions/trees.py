"""A copy of this repository with the package of an earlier commit, for today's tests to run against."""

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
"""What tests use of the package as a tool: today's, whatever is tested."""


def build_base(commit: str, folder: Path, root: Path = ROOT, *, overlaid: Sequence[str] = OVERLAID) -> None:
    """Fill ``folder`` with today's files, but for the package, which is that of ``commit``.

    Files are copied, not linked: tests find the root of the repository by their own path, and start processes there.

    Args:
        commit: The commit.
        folder: Where to.
        root: The repository.
        overlaid: What of the package is today's all the same.

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
    """For a Python that imports this tree's package, as do the processes that it starts."""
    return {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}


def check_package(tree: Path) -> None:
    """Make sure that Python imports the package from this tree.

    Raises:
        RuntimeError: It imports another one, or none.
    """
    code = f"import {PACKAGE}.testing; print({PACKAGE}.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tree, env=environment(tree), capture_output=True, text=True, check=False
    )
    found = done.stdout.strip()
    if done.returncode or not Path(found).resolve().is_relative_to(tree.resolve()):
        raise RuntimeError(
            f"The package in {tree} cannot be tested: Python imports {found or 'nothing'}. "
            f"Today's {' and '.join(OVERLAID)} must work with that commit's package.\n{done.stderr[-2000:]}"
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
