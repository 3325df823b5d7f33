"""A Dagster home on SQLite or PostgreSQL, and everything that is stored in it."""

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
    """The storage of Dagster.

    Attributes:
        home: The folder that `DAGSTER_HOME` names.
        rows: Returns the data that is not stored in files.
    """

    home: Path
    rows: Callable[[], Iterable[str]] = field(default=lambda: ())


@contextmanager
def dagster_home(kind: StorageKind, home: Path, settings: str = _CONFIG) -> Iterator[Storage]:
    """Creates a Dagster home in the folder ``home``, with these settings in addition to its storage."""
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
    """Returns a `dagster.yaml` that stores everything on this server."""
    # SQLAlchemy 2.1 uses psycopg 3 by default, which Dagster does not install.
    for_dagster = url.replace("postgresql:", "postgresql+psycopg2:", 1)
    return f'{settings}storage:\n  postgres:\n    postgres_url: "{for_dagster}"\n'
