"""How far a campaign is, read while it goes on."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from tests.endurance.gather import publishing_runs
from tests.endurance.plan import Plan

_PAGE = 1000


class Progress:
    """Counts what was started and what was told.

    Attributes:
        started: Runs.
        good: Materializations.
        bad: Dagster runs that failed with the end of a run.
        alerts: Times that the failure sensor fired.
    """

    def __init__(self, plan: Plan, instance: dg.DagsterInstance, alerts: Path) -> None:
        self.started = self.good = self.bad = self.alerts = 0
        self._plan = plan
        self._instance = instance
        self._alerts = alerts
        self._cursors: dict[str, str | None] = {slot.asset: None for slot in plan.slots}
        self._total = len(plan.flights)
        self._unfinished = self._failed = 0

    def set_started_partitions(self, count: int) -> None:
        self.started = count * len(self._plan.slots)

    @property
    def share(self) -> float:
        """Of the work that is done: half of it is to start."""
        return (self.started + self.good + self.bad) / self._total / 2

    @property
    def is_over(self) -> bool:
        """Whether everything is told."""
        return self.good + self.bad >= self._total and self.alerts >= self._failed and not self._unfinished

    def read(self) -> int:
        """Look; how much was told."""
        for asset, cursor in self._cursors.items():
            page = self._instance.fetch_materializations(dg.AssetKey(asset), limit=_PAGE, cursor=cursor, ascending=True)
            self.good += len(page.records)
            self._cursors[asset] = page.cursor if page.records else cursor
        runs = list(publishing_runs(self._instance))
        failed = [run for run in runs if run.dagster_run.status is dg.DagsterRunStatus.FAILURE]
        self.bad = sum(run.start_time is not None for run in failed)
        self._failed = len(failed)
        self._unfinished = sum(not run.dagster_run.is_finished for run in runs)
        self.alerts = len(self._alerts.read_text().splitlines()) if self._alerts.exists() else 0
        return self.good + self.bad + self.alerts

    def __str__(self) -> str:
        return f"{self.good} materialized, {self.bad} failed, {self.alerts} alerts, {self._unfinished} runs under way"
