"""Turns the results of one run of a suite into evaluations of the declared checks.

A check without a result is not evaluated: it is *not tested*, which is neither a success nor a failure. The metadata of
the suite names these checks, and the tables without an asset.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import dagster as dg

from dagster_runs.dagster_private import evaluation
from dagster_runs.remote_run.data_tests import DataTestResult
from dagster_runs.remote_run.metadata_size import limited
from dagster_runs.remote_run.tables import Cell, table_entries
from dagster_runs.remote_run.types import CheckOutcome
from dagster_runs.table_checks.declared import DeclaredCheck, DeclaredChecks, Unmapped
from dagster_runs.table_checks.freshness import Freshness
from dagster_runs.table_checks.outcomes import failing_tests, outcome_of, why_not_tested

UNMAPPED = "no asset is mapped to it"
UNDECLARED = "no check is declared for it. Reload the code location with the table in tables or known_tests"


@dataclass(frozen=True)
class ChecksOfSuite:
    """The declared checks of a suite, and how they are judged.

    Attributes:
        declared: The checks.
        severity: The severity of each kind of result that did not pass.
        unmapped: What happens to results of tables without an asset.
        prefix: The first part of the keys of the metadata.
    """

    declared: DeclaredChecks
    severity: Mapping[str, dg.AssetCheckSeverity]
    unmapped: Unmapped
    prefix: str

    def judge(
        self,
        results: Sequence[DataTestResult],
        freshness: Freshness,
        newest_of: Callable[[dg.AssetKey], dg.EventLogRecord | None],
        shown: Mapping[str, Any],
        selected: Collection[dg.AssetCheckKey] | None = None,
    ) -> "SuiteReport":
        """Returns the report of a run that succeeded. Nothing is evaluated before `SuiteReport.evaluations` is read.

        Args:
            results: The results of all tests.
            freshness: What is known about the start of the run.
            newest_of: Returns the newest materialization of an asset. It is called as late as possible.
            shown: The metadata of each evaluation that identifies the run.
            selected: The checks to report; ``None`` for all.
        """
        return SuiteReport(self, results, freshness, newest_of, shown, selected)


@dataclass
class SuiteReport:
    """The report of one run of a suite; see `ChecksOfSuite.judge`.

    Attributes:
        not_tested: Why checks are not evaluated, by check or, if it concerns all checks of an asset, by asset. Complete
            when all evaluations are read.
    """

    checks: ChecksOfSuite
    results: Sequence[DataTestResult]
    freshness: Freshness
    newest_of: Callable[[dg.AssetKey], dg.EventLogRecord | None]
    shown: Mapping[str, Any]
    selected: Collection[dg.AssetCheckKey] | None = None
    not_tested: dict[str, str] = field(default_factory=dict)

    @cached_property
    def _by_asset(self) -> tuple[dict[dg.AssetKey, list[DataTestResult]], dict[str, str]]:
        declared, found, others = self.checks.declared, dict[dg.AssetKey, list[DataTestResult]](), dict[str, str]()
        for result in self.results:
            table = result.test.of_table
            try:
                asset = declared.keys.find(table) if table.name else None
            except dg.DagsterInvalidDefinitionError as error:  # two assets have it, in different schemas
                others[str(table)] = str(error)
                continue
            if asset is not None and asset in declared.by_asset:
                found.setdefault(asset, []).append(result)
            else:
                others[str(table) or "(a table without a name)"] = UNMAPPED if asset is None else UNDECLARED
        return found, others

    @property
    def tables_without_checks(self) -> Mapping[str, str]:
        """The tables whose results are in no check, with the reason."""
        return self._by_asset[1]

    def evaluations(self) -> Iterator[dg.AssetCheckEvaluation]:
        """Yields an evaluation of each check that has a result which is not older than the newest data."""
        results, _ = self._by_asset
        for asset, declared in self.checks.declared.by_asset.items():
            wanted = [one for one in declared if self.selected is None or one.spec.key in self.selected]
            if not wanted:
                continue
            name = asset.to_user_string()
            of_asset = results.get(asset, [])
            why = why_not_tested(of_asset)
            newest = self.newest_of(asset) if why is None else None
            why = why or self.freshness.problem(newest)
            if why is not None:
                self.not_tested[name] = why
                continue
            for check in wanted:
                outcome = self._outcome(check, of_asset)
                if outcome is None:
                    self.not_tested[f"{name}: {check.spec.name}"] = "the suite has no result for it"
                else:
                    yield self._evaluation(check.spec, outcome, newest or self.freshness.marker)

    def _outcome(self, check: DeclaredCheck, of_asset: Sequence[DataTestResult]) -> CheckOutcome | None:
        results = [one for one in of_asset if check.has(one.test)]
        if why_not_tested(results) is not None:
            return None
        return outcome_of(check.spec.name, results, self.checks.severity, prefix=self.checks.prefix)

    def _evaluation(
        self, spec: dg.AssetCheckSpec, outcome: CheckOutcome, judged: dg.EventLogRecord | None
    ) -> dg.AssetCheckEvaluation:
        return evaluation(
            spec,
            judged=judged,
            partition=None,
            passed=outcome.passed,
            severity=outcome.severity,
            description=outcome.description,
            metadata=limited({**outcome.metadata, **self.shown}),
        )

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the suite: what did not pass, what was not tested, and which tables have no checks."""
        prefix = self.checks.prefix
        shown = failing_tests(f"{prefix}/failing_tests", self.results, with_table=True)
        if self.not_tested:
            rows: list[dict[str, Cell]] = [{"check": name, "why": why} for name, why in self.not_tested.items()]
            shown |= table_entries(f"{prefix}/not_tested", rows)
        others = self.tables_without_checks
        if others and self.checks.unmapped != "ignore":
            rows = [{"table": name, "why": why} for name, why in others.items()]
            shown |= table_entries(f"{prefix}/tables_without_checks", rows)
        return shown

    @property
    def messages(self) -> list[str]:
        """What the log should say about checks that were not evaluated, and about tables without checks."""
        found = [f"Not tested: {name}, because {why}" for name, why in self.not_tested.items()]
        if self.checks.unmapped != "ignore":
            found += [f"The results of table {name} are in no check: {why}" for name, why in self._others]
        return found

    @property
    def _others(self) -> list[tuple[str, str]]:
        return list(self.tables_without_checks.items())

    @property
    def unmapped_problem(self) -> str | None:
        """Why the step fails although the run succeeded: tables without checks, if the user wants that."""
        if self.checks.unmapped != "fail" or not self.tables_without_checks:
            return None
        names = ", ".join(self.tables_without_checks)
        return (
            f"The suite has results of tables that are in no check: {names}. Map the tables in tables, or set "
            "unmapped='warn'"
        )
