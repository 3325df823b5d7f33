"""Which tests of a suite, or tables of a table group, can have checks. What the vendor reports never stops loading."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from dagster_runs.remote_run.data_tests import SuiteTable, SuiteTest
from dagster_runs.remote_run.metadata_size import cut_names
from dagster_runs.table_checks.check_names import key_problem
from dagster_runs.table_checks.table_keys import TableKeys

_MAX_PROBLEMS = 5
"""The number of problems that are described in full."""


@dataclass
class KnownTests:
    """The tests that can have checks, and the tables that are left out.

    Attributes:
        tests: The tests whose tables have an asset that can have checks.
        assets: The assets of these tables.
        unmapped: The tables without an asset.
        left_out: Why other tables have no checks.
        of_others: The tables whose asset has the checks of another suite already, with the asset that shows its runs.
    """

    tests: list[SuiteTest] = field(default_factory=list)
    assets: dict[SuiteTable, dg.AssetKey] = field(default_factory=dict)
    unmapped: list[SuiteTable] = field(default_factory=list)
    left_out: dict[SuiteTable, str] = field(default_factory=dict)
    of_others: dict[SuiteTable, dg.AssetKey] = field(default_factory=dict)

    @property
    def problems(self) -> Iterator[str]:
        """Why tables are left out, for the log."""
        by_problem: dict[str, list[str]] = {}
        for table, problem in self.left_out.items():
            by_problem.setdefault(problem.rstrip("."), []).append(str(table))
        for problem, names in [*by_problem.items()][:_MAX_PROBLEMS]:
            yield f"{_tables(names)} left out: {problem}. To choose the asset of a table, name it in tables"
        others = [name for names in [*by_problem.values()][_MAX_PROBLEMS:] for name in names]
        if others:
            yield f"{_tables(others)} left out for similar reasons"

    @property
    def duplicates(self) -> Iterator[tuple[str, str, dg.AssetKey]]:
        """The assets that have checks already, their tables, and the asset that shows the runs of these checks."""
        by_other: dict[dg.AssetKey, list[SuiteTable]] = {}
        for table, other in self.of_others.items():
            by_other.setdefault(other, []).append(table)
        for other, tables in by_other.items():
            assets = [self.assets[table].to_user_string() for table in tables]
            yield cut_names(assets), cut_names([*map(str, tables)]), other

    @property
    def why_none(self) -> str:
        """Why no table has checks, although it is known which tables there are."""
        reasons = {
            "no asset": self.unmapped,
            "checks of another suite or table group": self.of_others,
            "been left out": self.left_out,
        }
        return ", and ".join(f"{cut_names([*map(str, some)])} has {reason}" for reason, some in reasons.items() if some)


def _tables(names: Sequence[str]) -> str:
    return f"the table {names[0]} is" if len(names) == 1 else f"the tables {cut_names(names)} are"


def known_tests(
    reported: Iterable[SuiteTest], named: Mapping[SuiteTable, dg.AssetKey], keys: TableKeys, own: dg.AssetKey
) -> KnownTests:
    """Returns what can have checks of what the vendor reports, and the tables that YAML names in addition.

    Args:
        reported: The tests that the vendor reports.
        named: The tables that YAML names, with their assets.
        keys: Finds the asset of each table.
        own: The asset that shows the runs.
    """
    # A result without a table belongs to no asset.
    tests = [test for test in reported if test.table]
    found = keys.find_each(test.of_table for test in tests)
    known = KnownTests(left_out=dict(found.problems))
    refused = _refused(set(found.assets.values()), list(dict.fromkeys(named.values())), own)
    for table in dict.fromkeys(test.of_table for test in tests):
        asset = found.assets.get(table)
        if asset is None and table not in known.left_out:
            known.unmapped.append(table)
        elif asset in refused:
            known.left_out[table] = refused[asset]
        elif asset is not None:
            known.assets[table] = asset
    known.tests += [test for test in tests if test.of_table in known.assets]
    for table, asset in named.items():
        if not any(_is_same(table, one) for one in known.assets):
            known.tests.append(SuiteTest(table.name, table.schema))
            known.assets[table] = asset
    return known


def _refused(found: Collection[dg.AssetKey], accepted: list[dg.AssetKey], own: dg.AssetKey) -> dict[dg.AssetKey, str]:
    """Returns why assets cannot have checks together with those that are accepted already."""
    refused: dict[dg.AssetKey, str] = {}
    for asset in sorted(set(found) - set(accepted), key=lambda key: list(key.path)):
        problem = key_problem(asset, accepted)
        if asset == own:
            problem = f"its asset would be {own.to_user_string()}, which shows the runs"
        if problem is None:
            accepted.append(asset)
        else:
            refused[asset] = problem
    return refused


def _is_same(named: SuiteTable, known: SuiteTable) -> bool:
    schemas = {one.casefold() for one in (named.schema, known.schema) if one}
    return named.name.casefold() == known.name.casefold() and len(schemas) < 2
