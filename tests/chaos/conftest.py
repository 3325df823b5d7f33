"""Campaigns of a few materializations, as commands in separate processes that run at the same time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
Chaos = Callable[..., "ActiveCampaign"]


class ActiveCampaign:
    """An active campaign."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "tests.chaos", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self._process = subprocess.Popen(command, cwd=ROOT, text=True, **pipes)  # type: ignore[call-overload]

    def end(self) -> subprocess.CompletedProcess[str]:
        out, err = self._process.communicate(timeout=600)
        return subprocess.CompletedProcess(self._process.args, self._process.returncode, out, err)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()  # it ends its own processes


@pytest.fixture(scope="module")
def chaos() -> Iterator[Chaos]:
    begun: list[ActiveCampaign] = []

    def begin(*arguments: object) -> ActiveCampaign:
        begun.append(ActiveCampaign(*arguments))
        return begun[-1]

    yield begin
    for campaign in begun:
        campaign.stop()
