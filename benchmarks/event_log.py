"""Thousands of ledger entries at once: copies of what a real step wrote, by SQL.

Dagster writes them one by one, which takes minutes for ten thousand runs. What it reads back is the same.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy
import yaml

Place = tuple[str, int]
"""A remote run's id, and the number of the asset that it fills."""

_OF_RUN = sqlalchemy.text(
    "SELECT * FROM event_logs WHERE run_id = :run AND dagster_event_type = 'ASSET_OBSERVATION' ORDER BY id"
)


def copy_entries(home: Path, dagster_run_id: str, *, of: Place, to: Sequence[Place]) -> None:
    """Copy the entries that a Dagster run wrote of one remote run, for others."""
    engine = sqlalchemy.create_engine(_url(home))
    with engine.begin() as connection:
        written = [dict(row) for row in connection.execute(_OF_RUN, {"run": dagster_run_id}).mappings()]
        assert written
        copies = [_copy(row, of, place) for place in to for row in written]
        if copies:
            names = [name for name in written[0] if name != "id"]
            values = ", ".join(f":{name}" for name in names)
            connection.execute(
                sqlalchemy.text(f"INSERT INTO event_logs ({', '.join(names)}) VALUES ({values})"), copies
            )
    engine.dispose()


def _copy(row: dict[str, object], of: Place, to: Place) -> dict[str, object]:
    def changed(text: object) -> str:
        return re.sub(rf"\basset_{of[1]}(?=\W)", f"asset_{to[1]}", str(text).replace(of[0], to[0]))

    return {**row, "event": changed(row["event"]), "asset_key": changed(row["asset_key"])}


def _url(home: Path) -> str:
    storage = yaml.safe_load((home / "dagster.yaml").read_text()).get("storage")
    return storage["postgres"]["postgres_url"] if storage else f"sqlite:///{home}/history/runs/index.db"
