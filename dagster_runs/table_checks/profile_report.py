"""Turns one profiling run into observations of tables and evaluations of their checks."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from dagster_runs.remote_run.data_tests import SuiteTable
from dagster_runs.remote_run.execution.provenance import DATA_VERSION_TAG
from dagster_runs.remote_run.metadata_order import in_page_order
from dagster_runs.remote_run.metadata_size import limited
from dagster_runs.remote_run.table_profiles import TableProfile
from dagster_runs.remote_run.types import CheckOutcome, RunResult
from dagster_runs.table_checks.declared import DeclaredCheck
from dagster_runs.table_checks.profile_outcomes import issues_table, observed_metadata, outcome_of, why_not_profiled
from dagster_runs.table_checks.table_report import ReportOnTables


class ProfileReport(ReportOnTables[TableProfile]):
    """The report of one profiling run. It never has a materialization: the run has not made the tables."""

    @classmethod
    def results_in(cls, result: RunResult) -> Sequence[TableProfile]:
        """See `ReportOnTables.results_in`."""
        return result.tables

    def _table_of(self, result: TableProfile) -> SuiteTable:
        return result.table

    def _why_not_tested(self, results: Sequence[TableProfile]) -> str | None:
        return why_not_profiled(results)

    def _outcome(self, check: DeclaredCheck, of_asset: Sequence[TableProfile]) -> CheckOutcome | str:
        return outcome_of(check.spec.name, of_asset, self.checks.severity, prefix=self.checks.prefix)

    def _needs_asset(self, result: TableProfile) -> bool:
        # An issue may be about several tables, and then names none of them.
        return bool(result.columns) or not result.table.name

    def _observations(self, key: dg.AssetKey, of_asset: Sequence[TableProfile]) -> Iterator[dg.AssetObservation]:
        tags = _data_version(self.instance, key)
        for profile in of_asset:
            if not profile.columns:  # only issues, which the check has
                continue
            shown = {**observed_metadata(profile, self.checks.prefix), **self.shown}
            metadata = in_page_order(limited(shown))
            description = f"The profile of the table {profile.table}"
            yield dg.AssetObservation(key, description=description, metadata=metadata, tags=tags)

    def _findings(self) -> dict[str, Any]:
        return issues_table(f"{self.checks.prefix}/hygiene_issues", self.results, with_table=True)


def _data_version(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, str]:
    """Returns the tags with the data version of the newest observation, which the next one must have too.

    For an observable source asset, Dagster takes an observation without its data version for new data.
    """
    newest = instance.fetch_observations(key, limit=1).records
    observation = newest[0].event_log_entry.asset_observation if newest else None
    tags = observation.tags if observation is not None else {}
    return {name: value for name, value in tags.items() if name.startswith(DATA_VERSION_TAG)}
