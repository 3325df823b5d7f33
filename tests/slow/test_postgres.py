"""Behavior of PostgreSQL that differs from SQLite."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg2
import pytest

from dagster_runs.sandbox import Sandbox
from tests.chaos.postgres import embedded_postgres
from tests.chaos.storage import postgres_config
from tests.remote_run.reexecuting import leave_going, reexecute


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with embedded_postgres() as url:
        yield url


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
def test_reexecution_attaches_regardless_of_the_database_time_zone(
    sandbox: Sandbox, postgres: str, tmp_path: Path, zone: str
) -> None:
    # Dagster treats the creation time of a run, which is in the database's local time, as UTC.
    with psycopg2.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE postgres SET timezone TO '{zone}'")
    (tmp_path / "dagster.yaml").write_text(postgres_config(postgres))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.wipe()
        job, first = leave_going(sandbox, instance)
        sandbox.advance(300)
        assert reexecute(job, instance, first).success
    assert sandbox.starts("rudderstack") == 1
