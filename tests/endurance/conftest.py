"""Short campaigns, as a command in a separate process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.chaos.processes import ROOT

Endurance = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def endurance() -> Endurance:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.endurance", *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)

    return run
