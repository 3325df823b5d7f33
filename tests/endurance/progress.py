"""The progress of a campaign. It reads only new events, because the package under test needs the CPU."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from tests.endurance.facts import Place
from tests.endurance.gather import is_publishing, place_of
from tests.endurance.plan import Plan

_PAGE = 1000


class Progress:
    """Counts started and reported runs.

    Attributes:
        started: Started remote runs.
        good: Materializations.
        bad: Partitions whose outcome was reported by a failed Dagster run.
        alerts: How often the failure sensor fired.
    """

    def __init__(self, plan: Plan, instance: dg.DagsterInstance, alerts: Path) -> None:
        self.started = self.good = self.bad = self.alerts = 0
        self._instance = instance
        self._alerts = alerts
        self._runs = len(plan.deferred_runs)
        self._partitions: dict[Place, int] = {
            place: len(deferred_run.partitions) for place, deferred_run in plan.deferred_runs.items()
        }
        self._total = sum(self._partitions.values())
        self._cursors: dict[dg.AssetKey, str | None] = {dg.AssetKey(slot.asset): None for slot in plan.slots}
        self._newest = dict.fromkeys(self._cursors, 0)
        self._last_run: str | None = None
        self._unfinished: set[str] = set()
        self._failed = 0

    def set_started(self, count: int) -> None:
        self.started = count

    @property
    def share(self) -> float:
        """Returns the share of the work that is done; starting the runs is half of it."""
        return (self.started / self._runs + (self.good + self.bad) / self._total) / 2

    @property
    def is_over(self) -> bool:
        """Whether everything except the checks is reported."""
        return self.good + self.bad >= self._total and self.alerts >= self._failed and not self._unfinished

    def read(self) -> int:
        """Reads new events, and returns how many outcomes are reported."""
        self._read_materializations()
        self._read_runs()
        self.alerts = len(self._alerts.read_text().splitlines()) if self._alerts.exists() else 0
        return self.good + self.bad + self.alerts

    def _read_materializations(self) -> None:
        for record in self._instance.get_asset_records(list(self._cursors)):
            key, last = record.asset_entry.asset_key, record.asset_entry.last_materialization_record
            if last is None or last.storage_id == self._newest[key]:
                continue
            page = self._instance.fetch_materializations(key, limit=_PAGE, cursor=self._cursors[key], ascending=True)
            if page.records:
                self.good += len(page.records)
                self._cursors[key], self._newest[key] = page.cursor, page.records[-1].storage_id

    def _read_runs(self) -> None:
        known = [*self._unfinished]
        found = self._instance.get_run_records(dg.RunsFilter(run_ids=known)) if known else []
        new = self._instance.get_run_records(cursor=self._last_run, ascending=True)
        self._last_run = new[-1].dagster_run.run_id if new else self._last_run
        for record in [*found, *new]:
            run = record.dagster_run
            if not is_publishing(run):
                continue
            if not run.is_finished:
                self._unfinished.add(run.run_id)
                continue
            self._unfinished.discard(run.run_id)
            if run.status is dg.DagsterRunStatus.FAILURE:
                self._failed += 1
                # Dagster failed a run that never started, and another one is requested.
                self.bad += self._partitions.get(place_of(run), 1) if record.start_time is not None else 0

    def __str__(self) -> str:
        message = f"{self.good} materialized, {self.bad} failed, {self.alerts} alerts"
        return f"{message}, {len(self._unfinished)} active runs"
