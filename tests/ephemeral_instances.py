"""Makes ephemeral Dagster instances cheaper, because they would take a third of the time of all tests.

Dagster's in-memory storages open a connection for each query and set it up with two statements, which takes longer than
most queries. Here, they keep their connections in a pool. The queries, transactions and locks stay Dagster's. Creating
a storage takes mostly the search for its latest migration, which nothing reads in memory. Here, it is left out.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as db
from dagster._core.storage.event_log import InMemoryEventLogStorage
from dagster._core.storage.event_log import in_memory as events_in_memory
from dagster._core.storage.runs import InMemoryRunStorage
from dagster._core.storage.runs import in_memory as runs_in_memory
from sqlalchemy.pool import QueuePool


def make_ephemeral_instances_cheaper(patch: pytest.MonkeyPatch) -> None:
    """Changes the in-memory storages of this process until the patch is undone."""
    patch.setattr(InMemoryRunStorage, "connect", _connect_to_runs)
    patch.setattr(InMemoryEventLogStorage, "_connect", _connect_to_events)
    for module in (runs_in_memory, events_in_memory):
        patch.setattr(module, "stamp_alembic_rev", lambda config, connection: None)


@contextmanager
def _connect_to_runs(storage: Any) -> Iterator[db.engine.Connection]:
    with _pooled_engine(storage).begin() as connection:
        yield connection


@contextmanager
def _connect_to_events(storage: Any) -> Iterator[db.engine.Connection]:
    with storage._db_lock, _pooled_engine(storage).begin() as connection:
        yield connection


def _pooled_engine(storage: Any) -> db.engine.Engine:
    engine: db.engine.Engine = storage._engine
    if not isinstance(engine.pool, QueuePool):
        # Threads share the connections; the pool gives each of them to one thread at a time.
        options = {"check_same_thread": False}
        engine = db.create_engine(engine.url, poolclass=QueuePool, max_overflow=-1, connect_args=options)
        db.event.listen(engine, "connect", _set_up)
        storage._engine = engine  # `dispose` closes its connections
    return engine


def _set_up(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL;").close()
    connection.execute("PRAGMA foreign_keys=ON;").close()
