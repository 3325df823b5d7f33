"""Loads a recording into a Dagster instance and a sandbox, as if it had just been written.

All recorded times are moved to the present. Nothing else is changed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests

from dagster_runs.sandbox import Behavior, Sandbox, SandboxRun, well_known
from dagster_runs.testing import SandboxClock
from tests.recorded.events import Json, unpack_event, unpack_run

RECORDINGS = sorted(Path(__file__).parent.glob("*.json"))
_LEDGER = "dagster_runs/ledger"
_NEAR = 30 * 86_400.0
"""A number that is within this many seconds of the time of the recording is treated as a time."""


@dataclass(frozen=True)
class Replay:
    """What was loaded.

    Attributes:
        dagster_runs: The ids of the Dagster runs, oldest first.
        remote_runs: The vendors' runs, oldest first.
        cursor: The sensor's cursor.
        requested: The run keys of the Dagster runs that the sensor had requested.
        events: The number of events, which is the storage id of the last one.
    """

    dagster_runs: list[str]
    remote_runs: list[SandboxRun]
    cursor: str | None
    requested: list[str]
    events: int


@cache
def recording(path: Path) -> Json:
    """Read a recording."""
    content: Json = json.loads(path.read_text(encoding="utf-8"))
    return content


def replays(*scenarios: str) -> pytest.MarkDecorator:
    """Run a test with these scenarios of each recording. The test takes ``player`` and ``scenario``."""
    found = [
        (path, scenario) for path in RECORDINGS for scenario in scenarios if scenario in recording(path)["scenarios"]
    ]
    params = [pytest.param(path, scenario, id=f"{path.stem}-{scenario}") for path, scenario in found]
    return pytest.mark.parametrize(("player", "scenario"), params, indirect=["player"])


def entries_in(scenario: Json) -> list[str]:
    """The kinds of the ledger entries of a scenario, in order."""
    return [entry for event in scenario["events"] if (entry := _ledger_entry(event)) is not None]


class Player:
    """Loads scenarios of one recording.

    Args:
        path: The recording.
        instance: A Dagster instance without events.
        sandbox: A sandbox without runs.
        clock: The clock that the package uses.

    Attributes:
        commit: The commit that was recorded.
    """

    def __init__(self, path: Path, instance: dg.DagsterInstance, sandbox: Sandbox, clock: SandboxClock) -> None:
        self.commit = path.stem
        self._recording = recording(path)
        self._instance = instance
        self._sandbox = sandbox
        self._clock = clock

    def replay(
        self,
        name: str,
        *,
        snapshot: str | None = None,
        up_to: str | None = None,
        age: float = 0.0,
        cursor: bool = True,
        events: bool = True,
        remote_runs: bool = True,
        ends: Mapping[str, Behavior] | Behavior | None = None,
    ) -> Replay:
        """Load a scenario.

        Args:
            name: The name of the scenario.
            snapshot: Which of its snapshots; it may be omitted if there is only one.
            up_to: Load no event after the last one of this kind (a ledger entry's kind, or an event's type), as if
                the process had been killed then.
            age: Seconds between the snapshot and now.
            cursor: Whether Dagster has the cursor; otherwise the sensor has never ticked.
            events: Whether Dagster has the events; otherwise the assets were wiped.
            remote_runs: Whether the vendors have the runs.
            ends: How the vendors' runs continue, for all of them or by target; by default as recorded.
        """
        scenario = self._recording["scenarios"][name]
        [at] = [one for key, one in scenario["snapshots"].items() if snapshot in (None, key)]
        wall = partial(moved, by=self._clock.wall() - age - at["wall"], near=at["wall"])
        machine_by = time.time() - age - at["machine"]
        restored = []
        for one in at["remote_runs"] if remote_runs else ():
            run = SandboxRun(**wall(one["run"]))
            behavior = ends.get(run.target_id) if isinstance(ends, Mapping) else ends
            restored.append(self._sandbox.restore_run(run, behavior or Behavior(**one["behavior"])))
        events_kept = scenario["events"][: at["events"]] if events else []
        if up_to is not None:
            events_kept = events_kept[: _last(up_to, events_kept)]
        runs = [unpack_run(one) for one in scenario["runs"][: at["runs"]]]
        self._store(runs, events_kept, wall, lambda at: at + machine_by)
        text = json.dumps(wall(json.loads(at["cursor"]))) if cursor and at["cursor"] is not None else None
        return Replay([run.run_id for run in runs], restored, text, list(at["requested"]), len(events_kept))

    def requested(self, name: str, snapshot: str) -> list[str]:
        """The run keys that the sensor had requested at a snapshot."""
        return list(self._recording["scenarios"][name]["snapshots"][snapshot]["requested"])

    def send_again(self, name: str) -> str:
        """Send the recorded start request to Segmentflow, and return the id of the run."""
        [snapshot] = self._recording["scenarios"][name]["snapshots"].values()
        [start] = snapshot["repeatable_starts"]
        headers = {"x-api-key": well_known.SEGMENTFLOW_API_KEY, "idempotency-key": start["idempotency_key"]}
        url = f"{self._sandbox.url}{start['path']}"
        response = requests.post(url, json=start["body"], headers=headers, timeout=10)
        return str(response.json()["runId"])

    def _store(
        self,
        runs: list[dg.DagsterRun],
        events: list[Json],
        wall: Callable[[Any], Any],
        machine: Callable[[float], float],
    ) -> None:
        for run in runs:
            self._instance.add_run(run)
        for packed in events:
            dagster_run = runs[packed["run"]] if "run" in packed else None
            event = unpack_event(packed, dagster_run, wall=wall, machine=machine)
            run_id = dagster_run.run_id if dagster_run is not None else ""
            self._instance.report_dagster_event(event, run_id, timestamp=machine(packed["at"]))
        # Cursors and evaluations refer to storage ids.
        stored = self._instance.event_log_storage.get_logs_for_all_runs_by_log_id()
        assert list(stored) == list(range(1, len(events) + 1))


def moved(value: Any, *, by: float, near: float) -> Any:
    """Move all times in a JSON value, which are the numbers around ``near``, by some seconds."""
    if isinstance(value, dict):
        return {name: moved(one, by=by, near=near) for name, one in value.items()}
    if isinstance(value, list):
        return [moved(one, by=by, near=near) for one in value]
    is_time = isinstance(value, (int, float)) and abs(value - near) < _NEAR
    return value + by if is_time else value


def _last(kind: str, events: list[Json]) -> int:
    """The number of the last event of this kind."""
    kinds = [{event["type"], _ledger_entry(event)} for event in events]
    return max(number for number, one in enumerate(kinds, 1) if kind in one)


def _ledger_entry(event: Json) -> str | None:
    entry: str | None = event.get("metadata", {}).get(_LEDGER, {}).get("json", {}).get("entry")
    return entry
