from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_runs.sandbox import Sandbox
from tests.kills.worker import Worker


@pytest.fixture
def worker(tmp_path: Path, sandbox: Sandbox) -> Iterator[Worker]:
    worker = Worker(tmp_path, sandbox)
    yield worker
    worker.stop()
    sandbox.set_speed(1)
