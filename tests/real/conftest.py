"""A real TestGen for the tests of this folder; without one they fail instead of being skipped."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import testgen_server as harness
from real_testgen import RealTestGen, logged_in
from testgen_database import Database


@pytest.fixture(scope="session")
def testgen_server() -> Iterator[RealTestGen]:
    """The server that the environment names or that already runs; otherwise, one that is started for these tests."""
    if "TESTGEN_REAL_URL" in os.environ:
        yield logged_in(
            os.environ["TESTGEN_REAL_URL"],
            os.environ["TESTGEN_REAL_USERNAME"],
            os.environ["TESTGEN_REAL_PASSWORD"],
        )
        return
    server = harness.start()
    try:
        yield logged_in(server.base_url, server.username, server.password)
    finally:
        if server.started:
            harness.stop()


@pytest.fixture(scope="session")
def database(testgen_server: RealTestGen) -> Database:
    """The server's own database, as the environment names it or as the harness has started it."""
    return Database(os.environ.get("TESTGEN_REAL_DATABASE") or harness.database_uri())
