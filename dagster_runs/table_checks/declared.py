"""The checks that are declared on the tables' assets, and which of them a test belongs to.

Dagster must know all checks when the definitions are built. The check of a table follows from the mapping alone. The
checks of columns, types of tests and single tests need to know what the suite tests, so a test that is added later has
no check of its own until the definitions are built again. That is why each table always has `TABLE_CHECK`, which has
all tests of the table. So no result is missing.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import dagster as dg

from dagster_runs.remote_run.data_tests import SuiteTable, SuiteTest
from dagster_runs.remote_run.metadata_size import cut_names
from dagster_runs.table_checks.check_names import Granularity, check_name, key_problem, subject_of, unique_names
from dagster_runs.table_checks.table_keys import TableKeys

Unmapped = Literal["warn", "fail", "ignore"]

TABLE_CHECK = "tests"
"""The last part of the name of the check that has all tests of a table."""
PROFILE_CHECK = "hygiene_issues"
"""The last part of the name of the check that has the issues of a profiled table."""
SECONDS_PER_CHECK = 0.027
"""The time that Dagster takes to store one executed check, on SQLite."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeclaredCheck:
    """One declared check.

    Attributes:
        spec: The check.
        level: What it covers: all tests of a table, or those of one column or type, or one test.
        subject: The column, the type of test or the id of the test; empty for a table.
    """

    spec: dg.AssetCheckSpec
    level: Granularity
    subject: str = ""

    def has(self, test: SuiteTest) -> bool:
        """Whether a test of the asset's table belongs to this check."""
        return self.level == "table" or subject_of(test, self.level) == self.subject


@dataclass(frozen=True)
class DeclaredChecks:
    """All declared checks of a suite.

    Attributes:
        keys: Finds the asset of a table.
        by_asset: The checks of each asset. The first one has all tests of the table.
        tables: The tables that were known when the checks were declared, by asset.
        messages: What the user should know about them.
    """

    keys: TableKeys
    by_asset: Mapping[dg.AssetKey, Sequence[DeclaredCheck]]
    tables: Mapping[dg.AssetKey, Sequence[SuiteTable]]
    messages: Sequence[str] = ()

    @property
    def specs(self) -> list[dg.AssetCheckSpec]:
        """The specs of all checks."""
        return [check.spec for checks in self.by_asset.values() for check in checks]

    def __len__(self) -> int:
        """Returns the number of checks."""
        return sum(map(len, self.by_asset.values()))


@dataclass(frozen=True)
class Wanted:
    """What a user wants to be declared.

    Attributes:
        suite: What the checks are of, for their descriptions: ``suite 8a4f1c7e``.
        table_check: The last part of the name of the check that each table has.
        table_check_asks: What this check says, for its description: ``Whether the tests … passed.``
        known: How the user says which tables there are, for messages.
        vendor: The vendor's name.
        prefix: The first part of the names.
        granularity: What each check covers.
        granularity_by_table: The same for single tables.
        blocking: Whether all checks block.
        blocking_tables: The tables whose checks block.
        unmapped: What happens to results of tables without an asset.
        max_checks: The maximum number of checks, beyond which each table has only one.
    """

    suite: str
    vendor: str
    prefix: str
    granularity: Granularity = "table"
    granularity_by_table: Mapping[str, Granularity] = field(default_factory=dict)
    blocking: bool = False
    blocking_tables: Collection[str] = ()
    unmapped: Unmapped = "warn"
    max_checks: int = 500
    table_check: str = TABLE_CHECK
    table_check_asks: str = "Whether the tests of {suite} at {vendor} on the table {tables} passed."
    known: str = "known_tests=[SuiteTest('orders', 'sales'), ...]"

    @property
    def known_argument(self) -> str:
        """The argument with which the user says which tables there are."""
        return self.known.partition("=")[0]

    def __post_init__(self) -> None:
        """Validates the values.

        Raises:
            DagsterInvalidDefinitionError: One of them is invalid. The message says which one and why.
        """
        _check_choice("granularity", self.granularity, Granularity)
        for table, granularity in self.granularity_by_table.items():
            _check_choice(f"granularity_by_table[{table!r}]", granularity, Granularity)
        _check_choice("unmapped", self.unmapped, Unmapped)
        if not isinstance(self.blocking, bool):
            raise dg.DagsterInvalidDefinitionError(
                f"blocking is {self.blocking!r}; it must be True or False. To let the checks of some tables block, "
                "name these in blocking_tables"
            )
        if isinstance(self.blocking_tables, str):
            raise dg.DagsterInvalidDefinitionError(
                f"blocking_tables is {self.blocking_tables!r}; it must be a list of tables"
            )
        is_number = isinstance(self.max_checks, int) and not isinstance(self.max_checks, bool)
        if not is_number or self.max_checks < 1:
            raise dg.DagsterInvalidDefinitionError(
                f"max_checks is {self.max_checks!r}; it must be a whole number greater than 0"
            )


def declare(keys: TableKeys, known_tests: Sequence[SuiteTest] | None, wanted: Wanted) -> DeclaredChecks:
    """Declares the checks of a suite.

    Args:
        keys: Finds the asset of each table.
        known_tests: What the suite is known to test; ``None`` if that is unknown. If it is known, only its tables have
            checks.
        wanted: What the user wants.

    Raises:
        DagsterInvalidDefinitionError: No tables are known, a table has two assets, the key of an asset is not possible
            for checks, or a table without an asset is known and ``unmapped="fail"``.
    """
    by_asset, messages = _tables(keys, known_tests, wanted)
    for asset, tests in by_asset.items():
        problem = key_problem(asset, by_asset)
        if problem is not None:
            raise dg.DagsterInvalidDefinitionError(f"The table {tests[0].of_table} cannot have checks: {problem}")
    tables = {asset: _unique(test.of_table for test in tests) for asset, tests in by_asset.items()}
    granularities = _granularities(tables, wanted)
    if known_tests is None and any(one != "table" for one in granularities.values()):
        messages.append(
            f"The checks of {wanted.suite} are declared with granularity 'table', since the columns and tests of the "
            "suite are not known when the definitions are built. Pass them as known_tests"
        )
        granularities = dict.fromkeys(granularities, "table")
    blocking = _blocking(tables, wanted)
    checks = {
        asset: list(_checks(asset, by_asset[asset], granularities[asset], wanted, is_blocking=asset in blocking))
        for asset in by_asset
    }
    count = sum(map(len, checks.values()))
    if count > wanted.max_checks and any(len(of_asset) > 1 for of_asset in checks.values()):
        messages.append(
            f"The checks of {wanted.suite} are declared with granularity 'table', since there would be {count} checks, "
            f"more than max_checks={wanted.max_checks}. Each executed check costs three event writes, so these would "
            f"take about {count * SECONDS_PER_CHECK:.0f} s on SQLite, and Dagster plans all of them before it launches "
            "a run. The tests that did not pass are in the metadata of the check of their table"
        )
        checks = {asset: of_asset[:1] for asset, of_asset in checks.items()}
    for message in messages:
        _logger.warning("%s", message)
    return DeclaredChecks(keys, checks, tables, messages)


def _tables(
    keys: TableKeys, known_tests: Sequence[SuiteTest] | None, wanted: Wanted
) -> tuple[dict[dg.AssetKey, list[SuiteTest]], list[str]]:
    """Returns the known tests of each asset, and what the user should know about the others."""
    found: dict[dg.AssetKey, list[SuiteTest]] = {}
    if known_tests is None:
        for table, asset in keys.known_tables.items():
            found.setdefault(asset, []).append(SuiteTest(table.name, table.schema))
        if not found:
            raise dg.DagsterInvalidDefinitionError(
                f"tables does not say which tables the {wanted.suite} covers, and Dagster must know all checks when "
                f"the definitions are built. Pass {wanted.known}; or use TableKeys.from_assets(...), or a mapping "
                "without patterns"
            )
        return found, []
    unmapped: dict[SuiteTable, None] = {}
    for test in known_tests:
        if not isinstance(test, SuiteTest):
            raise dg.DagsterInvalidDefinitionError(f"known_tests contains {test!r}; each must be a SuiteTest")
    of_tables = keys.find_each(test.of_table for test in known_tests)
    for problem in of_tables.problems.values():
        raise dg.DagsterInvalidDefinitionError(problem)
    for test in known_tests:
        asset_of = of_tables.assets.get(test.of_table)
        if asset_of is None:
            unmapped[test.of_table] = None
        else:
            found.setdefault(asset_of, []).append(test)
    messages: list[str] = []
    if unmapped and wanted.unmapped != "ignore":
        names = _names(unmapped)
        message = (
            f"The {wanted.suite} covers tables without an asset: {names}. Map them in tables, or set unmapped='ignore'"
        )
        if wanted.unmapped == "fail":
            raise dg.DagsterInvalidDefinitionError(message)
        messages.append(message)
    if not found:
        raise dg.DagsterInvalidDefinitionError(
            f"None of the tables in {wanted.known_argument} has an asset in tables: {_names(unmapped)}"
        )
    return found, messages


def _granularities(
    tables: Mapping[dg.AssetKey, Sequence[SuiteTable]], wanted: Wanted
) -> dict[dg.AssetKey, Granularity]:
    by_name = {_folded(name): granularity for name, granularity in wanted.granularity_by_table.items()}
    used: set[str] = set()
    found: dict[dg.AssetKey, Granularity] = {}
    for asset, some in tables.items():
        named = [name for table in some for name in _names_of(table) if name in by_name]
        used.update(named)
        found[asset] = by_name[named[0]] if named else wanted.granularity
    _check_known("granularity_by_table", set(by_name) - used, tables)
    return found


def _blocking(tables: Mapping[dg.AssetKey, Sequence[SuiteTable]], wanted: Wanted) -> set[dg.AssetKey]:
    if wanted.blocking:
        return set(tables)
    names = {_folded(name) for name in wanted.blocking_tables}
    found = {asset: {name for table in some for name in _names_of(table)} & names for asset, some in tables.items()}
    _check_known("blocking_tables", names - {name for some in found.values() for name in some}, tables)
    return {asset for asset, some in found.items() if some}


def _check_known(argument: str, unknown: set[str], tables: Mapping[dg.AssetKey, Sequence[SuiteTable]]) -> None:
    if unknown:
        known = ", ".join(sorted({str(table) for some in tables.values() for table in some})[:20])
        raise dg.DagsterInvalidDefinitionError(
            f"{argument} names {', '.join(sorted(unknown))}, but the tables with checks are {known}"
        )


def _checks(
    asset: dg.AssetKey, tests: Sequence[SuiteTest], granularity: Granularity, wanted: Wanted, *, is_blocking: bool
) -> Iterator[DeclaredCheck]:
    tables = _names(_unique(test.of_table for test in tests))
    metadata = {f"{wanted.prefix}/table": tables}

    def check(name: str, description: str, level: Granularity, subject: str = "") -> DeclaredCheck:
        spec = dg.AssetCheckSpec(
            name, asset=asset, description=description, blocking=is_blocking, metadata=dict(metadata)
        )
        return DeclaredCheck(spec, level, subject)

    by = f"of {wanted.suite} at {wanted.vendor}"
    asks = wanted.table_check_asks.format(suite=wanted.suite, vendor=wanted.vendor, tables=tables)
    yield check(f"{wanted.prefix}__{wanted.table_check}", asks, "table")
    if granularity == "table":
        return
    by_subject: dict[str, SuiteTest] = {}
    for test in tests:
        subject = subject_of(test, granularity)
        if subject:
            by_subject.setdefault(subject, test)
    names = unique_names(
        {subject: check_name(test, granularity, wanted.prefix) for subject, test in by_subject.items()},
        granularity,
        taken=[f"{wanted.prefix}__{name}" for name in (TABLE_CHECK, PROFILE_CHECK)],
    )
    for subject, test in by_subject.items():
        what = {
            "column": f"on the column {test.column} of {tables}",
            "test_type": f"of the type {test.test_type} on the table {tables}",
            "test": f"({test.test_type or 'test'} {test.test_id}) on {test.column or 'the table'} of {tables}",
        }[granularity]
        tests_of = "test" if granularity == "test" else "tests"
        yield check(names[subject], f"Whether the {tests_of} {by} {what} passed.", granularity, subject)


def _names_of(table: SuiteTable) -> list[str]:
    return [*([_folded(str(table))] if table.schema else []), _folded(table.name)]


def _folded(name: str) -> str:
    return name.casefold()


def _unique(tables: Iterable[SuiteTable]) -> list[SuiteTable]:
    return list(dict.fromkeys(tables))


def _names(tables: Iterable[SuiteTable]) -> str:
    return cut_names(list(map(str, tables)))


def _check_choice(argument: str, value: Any, choices: Any) -> None:
    if value not in get_args(choices):
        allowed = " or ".join(repr(choice) for choice in get_args(choices))
        raise dg.DagsterInvalidDefinitionError(f"{argument} is {value!r}; it must be {allowed}")
