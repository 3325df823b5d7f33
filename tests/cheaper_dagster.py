"""Makes Dagster cheaper where it repeats work, which would take a third of the time of all tests.

* Ephemeral instances open a connection for each query and set it up with two statements, which takes longer than most
  queries. Here, they keep their connections in a pool. The queries, transactions and locks stay Dagster's.
* Creating such an instance takes mostly the search for the latest migration, which nothing reads in memory. Here, it is
  left out.
* Each load of components describes all component types, Dagster's own too, as JSON schemas, which only Dagster+ reads.
  Here, this is left out.
* A resource is copied three times for each run, and each copy infers the config schema of its class. Here, the schema
  is inferred once for each class.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db
from dagster._config.pythonic_config import infer_schema_from_config_class
from dagster._config.pythonic_config import resource as pythonic_resource
from dagster._core.storage.event_log import InMemoryEventLogStorage
from dagster._core.storage.event_log import in_memory as events_in_memory
from dagster._core.storage.runs import InMemoryRunStorage
from dagster._core.storage.runs import in_memory as runs_in_memory
from dagster.components.core import load_defs, snapshot
from sqlalchemy.pool import QueuePool


def make_dagster_cheaper(patch: pytest.MonkeyPatch) -> None:
    """Changes Dagster in this process until the patch is undone."""
    patch.setattr(InMemoryRunStorage, "connect", _connect_to_runs)
    patch.setattr(InMemoryEventLogStorage, "_connect", _connect_to_events)
    for module in (runs_in_memory, events_in_memory):
        patch.setattr(module, "stamp_alembic_rev", lambda config, connection: None)
    patch.setattr(pythonic_resource, "infer_schema_from_config_class", _schema_of)
    patch.setattr(snapshot, "get_package_entry_snap", lambda key, component: None)
    patch.setattr(load_defs, "json_for_all_components", lambda entries: [])


@contextmanager
def _connect_to_runs(storage: Any) -> Iterator[db.engine.Connection]:
    with _pooled_engine(storage).begin() as connection:
        yield connection


@contextmanager
def _connect_to_events(storage: Any) -> Iterator[db.engine.Connection]:
    with getattr(storage, "_db_lock", nullcontext()), _pooled_engine(storage).begin() as connection:
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


def _schema_of(cls: type[Any], *, fields_to_omit: Iterable[str] = (), **options: Any) -> dg.Field:
    if options:  # the values of `configure_at_launch`
        return infer_schema_from_config_class(cls, fields_to_omit=set(fields_to_omit), **options)
    return _inferred_once(cls, frozenset(fields_to_omit))


@cache
def _inferred_once(cls: type[Any], fields_to_omit: frozenset[str]) -> dg.Field:
    return infer_schema_from_config_class(cls, fields_to_omit=set(fields_to_omit))
