"""A Dagster home on SQLite or on PostgreSQL, and all that is stored in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.chaos.postgres import dump, embedded_postgres

StorageKind = Literal["sqlite", "postgres"]

_CONFIG = """\
telemetry:
  enabled: false
run_coordinator:
  module: dagster.core.run_coordinator
  class: DefaultRunCoordinator
"""


@dataclass(frozen=True)
class Storage:
    """Where Dagster keeps what it knows.

    Attributes:
        home: The folder that `DAGSTER_HOME` names.
        rows: What is kept elsewhere than in files.
    """

    home: Path
    rows: Callable[[], Iterable[str]] = field(default=lambda: ())


@contextmanager
def dagster_home(kind: StorageKind, home: Path, settings: str = _CONFIG) -> Iterator[Storage]:
    """A new Dagster home in the folder ``home``, with these settings beside its storage."""
    home.mkdir(parents=True)
    config = home / "dagster.yaml"
    if kind == "sqlite":
        config.write_text(settings)
        yield Storage(home)
        return
    with embedded_postgres() as url:
        config.write_text(postgres_config(url, settings))
        yield Storage(home, lambda: dump(url))


def postgres_config(url: str, settings: str = _CONFIG) -> str:
    """A `dagster.yaml` that keeps everything at this server."""
    # SQLAlchemy 2.1 takes psycopg 3 for its default, which Dagster does not install.
    for_dagster = url.replace("postgresql:", "postgresql+psycopg2:", 1)
    return f'{settings}storage:\n  postgres:\n    postgres_url: "{for_dagster}"\n'
