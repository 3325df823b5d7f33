"""Turns what one run has found in tables into evaluations of the declared checks, for any kind of run.

A check without a result is not evaluated: it is *not tested*, which is neither a success nor a failure. The metadata of
the asset that shows the runs names these checks, and the tables without an asset.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

import dagster as dg

from dagster_runs.dagster_private import evaluation
from dagster_runs.remote_run.data_tests import SuiteTable
from dagster_runs.remote_run.execution.evaluations import newest_materializations
from dagster_runs.remote_run.execution.event_log import RUN_ID_KEY, STARTED_AT_KEY
from dagster_runs.remote_run.execution.later_runs import later_evaluated, time_in
from dagster_runs.remote_run.metadata_size import cut_names, limited
from dagster_runs.remote_run.tables import Cell, table_entries
from dagster_runs.remote_run.types import CheckOutcome, RunResult
from dagster_runs.table_checks.declared import DeclaredCheck, DeclaredChecks, Unmapped
from dagster_runs.table_checks.freshness import Freshness

_MAX_MESSAGES = 50
NO_TABLE = "(without a table)"
UNMAPPED = "no asset is mapped to it"
LATER_RUN = "a run that started later has been reported already"
UNDECLARED = "no check is declared for it. Reload the code location with the table in tables or in the known ones"
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class JudgedChecks:
    """The declared checks of a kind of run, and how they are judged.

    Attributes:
        report: The class of the reports.
        declared: The checks.
        severity: The severity of each kind of finding.
        unmapped: What happens to results of tables without an asset.
        prefix: The first part of the keys of the metadata.
    """

    report: "type[ReportOnTables[Any]]"
    declared: DeclaredChecks
    severity: Mapping[str, dg.AssetCheckSeverity]
    unmapped: Unmapped
    prefix: str

    def judge(
        self,
        result: RunResult,
        freshness: Freshness,
        instance: dg.DagsterInstance,
        shown: Mapping[str, Any],
        selected: Collection[dg.AssetCheckKey] | None = None,
        *,
        reported: Collection[dg.AssetCheckKey] = (),
    ) -> "ReportOnTables[Any]":
        """Returns the report of a run that succeeded. Nothing is evaluated before its evaluations are read.

        Args:
            result: The result.
            freshness: What is known about the start of the run.
            instance: The Dagster instance. The newest materialization of an asset is read as late as possible.
            shown: The metadata of each evaluation that identifies the run.
            selected: The checks to report; ``None`` for all.
            reported: The checks that have an evaluation of this run already, so they are tested.
        """
        return self.report(self, self.report.results_in(result), freshness, instance, shown, selected, reported)


@dataclass
class ReportOnTables(ABC, Generic[ResultT]):
    """The report of one run; see `JudgedChecks.judge`.

    Attributes:
        not_tested: Why checks are not evaluated, by check or, if it concerns all checks of an asset, by asset. Complete
            when all evaluations are read.
    """

    checks: JudgedChecks
    results: Sequence[ResultT]
    freshness: Freshness
    instance: dg.DagsterInstance
    shown: Mapping[str, Any]
    selected: Collection[dg.AssetCheckKey] | None = None
    reported: Collection[dg.AssetCheckKey] = ()
    not_tested: dict[str, str] = field(default_factory=dict)

    @classmethod
    @abstractmethod
    def results_in(cls, result: RunResult) -> Sequence[ResultT]:
        """Returns what a run has found, from its result."""

    @abstractmethod
    def _table_of(self, result: ResultT) -> SuiteTable:
        """Returns the table of a result. Its name is empty if the vendor does not report it."""

    @abstractmethod
    def _why_not_tested(self, results: Sequence[ResultT]) -> str | None:
        """Returns why results say nothing about the data; ``None`` if they do."""

    @abstractmethod
    def _outcome(self, check: DeclaredCheck, of_asset: Sequence[ResultT]) -> CheckOutcome | str:
        """Returns the outcome of a check on the results of its asset, or why there is none."""

    @abstractmethod
    def _findings(self) -> dict[str, Any]:
        """Returns the metadata about all that was found."""

    def _needs_asset(self, result: ResultT) -> bool:
        """Whether a result that belongs to no asset is a table that the user may have forgotten: by default, always."""
        return True

    def _observations(self, key: dg.AssetKey, of_asset: Sequence[ResultT]) -> Iterable[dg.AssetObservation]:
        """Returns the observations of an asset: by default, none."""
        return ()

    @cached_property
    def _by_asset(self) -> tuple[dict[dg.AssetKey, list[ResultT]], dict[str, str]]:
        declared, found, others = self.checks.declared, dict[dg.AssetKey, list[ResultT]](), dict[str, str]()
        keys = declared.keys.find_each(map(self._table_of, self.results))
        for result in self.results:
            table = self._table_of(result)
            if table in keys.problems:
                others[str(table)] = keys.problems[table]
                continue
            asset = keys.assets.get(table)
            if asset is not None and asset in declared.by_asset:
                found.setdefault(asset, []).append(result)
            elif asset is not None or self._needs_asset(result):
                others[str(table) if table.name else NO_TABLE] = UNMAPPED if asset is None else UNDECLARED
        return found, others

    @property
    def tables_without_checks(self) -> Mapping[str, str]:
        """The tables whose results are in no check, with the reason."""
        return self._by_asset[1]

    @property
    def _shown_tables(self) -> Mapping[str, str]:
        """The tables to show. A result without a table may belong to any of them, so it cannot be ignored."""
        others = self.tables_without_checks
        if self.checks.unmapped != "ignore":
            return others
        return {name: why for name, why in others.items() if name == NO_TABLE}

    def evaluations(self) -> Iterator[dg.AssetCheckEvaluation]:
        """Yields an evaluation of each check that has a result which is not older than the newest data."""
        results, _ = self._by_asset
        for asset, declared in self.checks.declared.by_asset.items():
            wanted = [one for one in declared if self.selected is None or one.spec.key in self.selected]
            if not wanted:
                continue
            name = asset.to_user_string()
            of_asset = results.get(asset, [])
            why = self._why_not_tested(of_asset)
            if not of_asset:
                why = f"{why}. Its table is {self._names(asset)}, and the run covers {self._covered}"
            newest = newest_of(self.instance, asset) if why is None else None
            why = why or self.freshness.problem(newest)
            if why is not None:
                if not all(check.spec.key in self.reported for check in wanted):
                    self.not_tested[name] = why
                continue
            for check in wanted:
                if check.spec.key in self._later:
                    self.not_tested[f"{name}: {check.spec.name}"] = LATER_RUN
                    continue
                outcome = self._outcome(check, of_asset)
                if isinstance(outcome, str):
                    self.not_tested[f"{name}: {check.spec.name}"] = outcome
                else:
                    yield self._evaluation(check.spec, outcome, newest or self.freshness.marker)

    def _names(self, asset: dg.AssetKey) -> str:
        return cut_names([str(table) for table in self.checks.declared.tables[asset]])

    @cached_property
    def _covered(self) -> str:
        """The tables that have results, for a user who has misspelled the name of one."""
        found = {str(table) for table in map(self._table_of, self.results) if table.name}
        return cut_names(sorted(found)) or "no tables"

    @cached_property
    def _later(self) -> Collection[dg.AssetCheckKey]:
        """The checks that a run has evaluated already which started later."""
        declared = (spec.key for spec in self.checks.declared.specs if spec.key not in self.reported)
        checks = [check for check in declared if self.selected is None or check in self.selected]
        started_at = time_in(self.shown, STARTED_AT_KEY)
        return later_evaluated(self.instance, checks, self.shown[RUN_ID_KEY].value, started_at)

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

    def observations_with(self, evaluated: dg.AssetCheckEvaluation) -> list[dg.AssetObservation]:
        """Returns the observations that belong to an evaluation: those of its asset, with its first check only."""
        asset = evaluated.asset_key
        first = self.checks.declared.by_asset[asset][0].spec.key
        if evaluated.asset_check_key != first:
            return []
        return list(self._observations(asset, self._by_asset[0].get(asset, [])))

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the run: what was found, what was not tested, and which tables have no checks."""
        prefix = self.checks.prefix
        shown = self._findings()
        if self.not_tested:
            rows: list[dict[str, Cell]] = [{"check": name, "why": why} for name, why in self.not_tested.items()]
            shown |= table_entries(f"{prefix}/not_tested", rows)
        others = self._shown_tables
        if others:
            rows = [{"table": name, "why": why} for name, why in others.items()]
            shown |= table_entries(f"{prefix}/tables_without_checks", rows)
        return shown

    @property
    def messages(self) -> list[str]:
        """What the log should say about checks that were not evaluated, and about tables without checks, at most 50."""
        found = [f"Not tested: {name}, because {why}" for name, why in self.not_tested.items()]
        found += [f"The results of table {name} are in no check: {why}" for name, why in self._shown_tables.items()]
        left_out = len(found) - _MAX_MESSAGES
        return [*found[:_MAX_MESSAGES], *([f"… and {left_out} more; see the asset's metadata"] if left_out > 0 else [])]

    @property
    def unmapped_problem(self) -> str | None:
        """Why the step fails although the run succeeded: tables without checks, if the user wants that."""
        if self.checks.unmapped != "fail" or not self.tables_without_checks:
            return None
        names = cut_names(list(self.tables_without_checks))
        return (
            f"The run has results of tables that are in no check: {names}. Map the tables in tables, or set "
            "unmapped='warn'"
        )


def newest_of(instance: dg.DagsterInstance, asset: dg.AssetKey) -> dg.EventLogRecord | None:
    """Returns the newest materialization of an asset, of any partition; ``None`` if it has none."""
    return newest_materializations(instance, [(asset, None)]).get((asset, None))
