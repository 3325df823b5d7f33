"""Keeps the connections of ephemeral Dagster instances open, which saves a fifth of the time of a materialization.

Dagster's in-memory storages open a connection for each query and set it up with two statements. That takes longer than
most queries. With a pool, they do the same once per connection. The queries, transactions and locks stay Dagster's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as db
from dagster._core.storage.event_log import InMemoryEventLogStorage
from dagster._core.storage.runs import InMemoryRunStorage
from sqlalchemy.pool import QueuePool


def keep_connections_open(patch: pytest.MonkeyPatch) -> None:
    """Makes all ephemeral instances of this process keep their connections, until the patch is undone."""
    patch.setattr(InMemoryRunStorage, "connect", _connect_to_runs)
    patch.setattr(InMemoryEventLogStorage, "_connect", _connect_to_events)


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
