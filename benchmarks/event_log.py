"""Creates thousands of ledger entries at once, as SQL copies of those that a real step wrote.

Dagster would write them one by one, which takes minutes for ten thousand runs. It reads the same data back.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy
import yaml

from dagster_runs.remote_run.execution.ledger_entry import pack, unpack

Place = tuple[str, int, int]
"""The id of a remote run, the number of the asset that it materializes, and the number of the partition."""

_OF_RUN = sqlalchemy.text(
    "SELECT * FROM event_logs WHERE run_id = :run AND dagster_event_type = 'ASSET_OBSERVATION' ORDER BY id"
)


def copy_entries(home: Path, dagster_run_id: str, *, of: Place, to: Sequence[Place]) -> None:
    """Copies the entries that a Dagster run wrote about one remote run, for other remote runs."""
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
    names = {
        f"{kind}_{old}": f"{kind}_{new}" for kind, old, new in zip(("asset", "partition"), of[1:], to[1:], strict=True)
    }
    pattern = re.compile(rf"\b({'|'.join(names)})(?=\W|$)")

    def changed(value: object) -> object:
        if not isinstance(value, str):
            return value
        return pattern.sub(lambda found: names[found[0]], value.replace(of[0], to[0]))

    event = json.loads(str(changed(row["event"])))
    observation = event["dagster_event"]["event_specific_data"]["asset_observation"]
    observation["tags"] = pack(json.loads(str(changed(json.dumps(unpack(observation["tags"]))))))
    return {
        **row,
        "event": json.dumps(event),
        **{column: changed(row[column]) for column in ("asset_key", "partition")},
    }


def _url(home: Path) -> str:
    storage = yaml.safe_load((home / "dagster.yaml").read_text()).get("storage")
    return storage["postgres"]["postgres_url"] if storage else f"sqlite:///{home}/history/runs/index.db"
