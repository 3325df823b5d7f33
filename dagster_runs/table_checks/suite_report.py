"""Turns the results of one run of a suite of tests into evaluations of the declared checks."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dagster_runs.remote_run.data_tests import DataTestResult, SuiteTable
from dagster_runs.remote_run.types import CheckOutcome, RunResult
from dagster_runs.table_checks.declared import DeclaredCheck
from dagster_runs.table_checks.freshness import Freshness
from dagster_runs.table_checks.outcomes import failing_tests, outcome_of, why_not_tested
from dagster_runs.table_checks.table_report import JudgedChecks, NewestOf, ReportOnTables


@dataclass(frozen=True)
class ChecksOfSuite(JudgedChecks):
    """The declared checks of a suite, and how they are judged."""

    def judge(
        self,
        result: RunResult,
        freshness: Freshness,
        newest_of: NewestOf,
        shown: Mapping[str, Any],
        selected: Collection[dg.AssetCheckKey] | None = None,
    ) -> "SuiteReport":
        """See `JudgedChecks`."""
        return SuiteReport(self, result.tests, freshness, newest_of, shown, selected)


class SuiteReport(ReportOnTables[DataTestResult]):
    """The report of one run of a suite."""

    def _table_of(self, result: DataTestResult) -> SuiteTable:
        return result.test.of_table

    def _why_not_tested(self, results: Sequence[DataTestResult]) -> str | None:
        return why_not_tested(results)

    def _outcome(self, check: DeclaredCheck, of_asset: Sequence[DataTestResult]) -> CheckOutcome | str:
        results = [one for one in of_asset if check.has(one.test)]
        if why_not_tested(results) is not None:
            return "the suite has no result for it"
        return outcome_of(check.spec.name, results, self.checks.severity, prefix=self.checks.prefix)

    def _findings(self) -> dict[str, Any]:
        return failing_tests(f"{self.checks.prefix}/failing_tests", self.results, with_table=True)
