from pathlib import Path

import dagster as dg
import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.testing import SandboxClock
from tests.recorded.replay import Player


@pytest.fixture
def player(
    request: pytest.FixtureRequest, instance: dg.DagsterInstance, sandbox: Sandbox, clock: SandboxClock
) -> Player:
    """Loads scenarios of the recording that `replays` has chosen."""
    path: Path = request.param
    sandbox.configure("amperity", requests_per_second=None)  # it is measured in real time
    return Player(path, instance, sandbox, clock)
