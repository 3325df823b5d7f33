"""A suite in the form that the sensors use."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dagster_runs.remote_run.execution.ledger_entry import LedgerEntry
from dagster_runs.remote_run.types import RunResult
from dagster_runs.table_checks.freshness import StartedElsewhere, StartedHere, start_of
from dagster_runs.table_checks.table_report import JudgedChecks, ReportOnTables


@dataclass(frozen=True)
class WatchedSuite:
    """A `TableSuite`.

    Attributes:
        checks: The definition of the checks, whose op runs the suite.
        key: The asset that shows the suite's runs.
        judged: The declared checks, and how they are judged.
    """

    checks: dg.AssetChecksDefinition
    key: dg.AssetKey
    judged: JudgedChecks

    @property
    def table_checks(self) -> list[dg.AssetCheckKey]:
        """See `TableSuite`."""
        return [spec.key for spec in self.judged.declared.specs]

    def report_deferred(
        self,
        instance: dg.DagsterInstance,
        record: LedgerEntry,
        result: RunResult,
        shown: Mapping[str, Any],
        *,
        reported: Collection[dg.AssetCheckKey],
    ) -> ReportOnTables[Any]:
        """See `TableSuite`. The order of the event log decides which tables the run has seen."""
        start = StartedHere(start_of(instance, self.key, record.correlation_id, record.at))
        return self.judged.judge(result, start, instance, shown, reported=reported)

    def report_observed(
        self,
        instance: dg.DagsterInstance,
        started_at: float | None,
        marker: dg.EventLogRecord | None,
        result: RunResult,
        shown: Mapping[str, Any],
        *,
        reported: Collection[dg.AssetCheckKey],
    ) -> ReportOnTables[Any]:
        """See `TableSuite`. The times decide which tables the run has seen."""
        start = StartedElsewhere(marker, started_at)
        return self.judged.judge(result, start, instance, shown, reported=reported)
