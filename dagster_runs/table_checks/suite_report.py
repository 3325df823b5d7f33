"""Turns the results of one run of a suite of tests into evaluations of the declared checks."""

from collections.abc import Sequence
from typing import Any

from dagster_runs.remote_run.data_tests import DataTestResult, SuiteTable
from dagster_runs.remote_run.types import CheckOutcome, RunResult
from dagster_runs.table_checks.declared import DeclaredCheck
from dagster_runs.table_checks.outcomes import failing_tests, outcome_of, why_not_tested
from dagster_runs.table_checks.table_report import ReportOnTables


class SuiteReport(ReportOnTables[DataTestResult]):
    """The report of one run of a suite."""

    @classmethod
    def results_in(cls, result: RunResult) -> Sequence[DataTestResult]:
        """See `ReportOnTables.results_in`."""
        return result.tests

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
