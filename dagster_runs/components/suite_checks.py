"""Builds the checks of a component's suites and table groups: from YAML, and from what discovery knows about each."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import dagster as dg

from dagster_runs.components.check_fields import CheckSettings
from dagster_runs.components.run_entry import RunEntry
from dagster_runs.components.templates import errors_located, located
from dagster_runs.remote_run.data_tests import SuiteTable, SuiteTest
from dagster_runs.table_checks.builder import TableChecks
from dagster_runs.table_checks.check_names import Granularity
from dagster_runs.table_checks.table_keys import TableKeys
from dagster_runs.table_checks.testgen import build_testgen_checks
from dagster_runs.table_checks.testgen_profile import build_testgen_profile
from dagster_runs.vendors.testgen import TestGenProfilingRun, TestGenTestRun

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Naming:
    """How messages name a kind of run with checks.

    Attributes:
        kind: What has runs.
        covers: What its runs do with tables.
        run: How to start one.
    """

    kind: str
    covers: str
    run: str


_NAMING = {
    TestGenTestRun: _Naming("suite", "tests", "Run the suite"),
    TestGenProfilingRun: _Naming("table group", "profiles", "Profile the table group"),
}


@dataclass
class SuiteChecks:
    """Builds the checks of the suites and table groups of one component.

    Attributes:
        resource_key: The resource's key.
        table_keys: The field ``table_keys``, without templates.
        context: The context at its path.
        tests: What discovery knows about the tests of suites and the tables of table groups, by id without case. One
            that is not in it is unknown.
        has_discovery: Whether a later refresh may find them.
        specs: Returns the assets of the project that the component sees.
        checked: The assets that have checks of a kind of run, with the asset that shows the runs.
    """

    resource_key: str
    table_keys: Mapping[str, Any]
    context: dg.ResolutionContext
    tests: Mapping[str, Sequence[SuiteTest]]
    has_discovery: bool
    specs: Callable[[], Sequence[dg.AssetSpec]]
    checked: dict[tuple[type, dg.AssetKey], dg.AssetKey] = field(default_factory=dict)

    def build(self, entry: RunEntry, spec: dg.AssetSpec) -> TableChecks | None:
        """Returns the checks of a suite or table group; ``None`` if none of its tables is known yet, which is logged.

        Args:
            entry: The suite or table group, whose options have ``checks``.
            spec: The asset that shows its runs.

        Raises:
            DagsterInvalidDefinitionError: A setting does not fit the tables or the assets. The message names the line.
        """
        naming = _NAMING[type(entry.run)]  # only these kinds of runs have the field
        settings: CheckSettings = entry.options["checks"]
        context = (entry.context.at_path("options") if entry.is_discovered else entry.context).at_path("checks")
        name, tests = spec.key.to_user_string(), self.tests.get(entry.run.target.casefold())
        with errors_located(context):
            keys = TableKeys.from_mapping(settings.tables).also(self._keys)
            known = self._known_tests(name, settings, keys, tests, naming)
            known = self._without_duplicates(entry, context, spec, keys, known)
            if not known:
                if not self.has_discovery:
                    raise located(context, _NO_TABLES.format(naming))
                self._warn(name, _NOT_YET.format(naming))
                return None
            if settings.can_block:
                keys = keys.with_lineage_of(self.specs())
            if tests is None and settings.needs_tests:
                self._warn(name, _COARSE)
                by_table: dict[str, Granularity] = dict.fromkeys(settings.granularity_by_table, "table")
                settings = replace(settings, granularity="table", granularity_by_table=by_table)
            elif tests is not None:
                settings = self._without_unknown(name, settings, known)
            checks = self._built(entry, spec, settings, keys, known)
        self._warn_about_unseen(name, checks)
        self.checked.update({(type(entry.run), asset): spec.key for asset in checks.judged.declared.by_asset})
        return checks

    def _built(
        self, entry: RunEntry, spec: dg.AssetSpec, settings: CheckSettings, keys: TableKeys, known: Sequence[SuiteTest]
    ) -> TableChecks:
        given: dict[str, Any] = {
            "tables": keys,
            "severity": settings.severity,
            "blocking": settings.blocking,
            "blocking_tables": settings.blocking_tables,
            "unmapped": settings.unmapped,
            "name": f"{spec.key.to_python_identifier()}__checks",
            "spec": spec,
            "resource_key": self.resource_key,
            **{option: value for option, value in entry.options.items() if option != "checks"},
        }
        if isinstance(entry.run, TestGenProfilingRun):
            return build_testgen_profile(entry.run, known_tables=[one.of_table for one in known], **given)
        assert isinstance(entry.run, TestGenTestRun)  # noqa: S101 - for the type checker
        return build_testgen_checks(
            entry.run,
            known_tests=known,
            granularity=settings.granularity,
            granularity_by_table=settings.granularity_by_table,
            max_checks=settings.max_checks,
            **given,
        )

    def _warn_about_unseen(self, name: str, checks: TableChecks) -> None:
        """Warns about blocking checks of assets that the component does not see.

        They are not refused here, since the code location may define them where a component cannot see them.
        """
        blocking = {spec.asset_key for spec in checks.judged.declared.specs if spec.blocking}
        unseen = blocking - {spec.key for spec in self.specs()} if blocking else set()
        if unseen:
            self._warn(name, _UNSEEN.format(", ".join(sorted(key.to_user_string() for key in unseen))))

    @cached_property
    def _keys(self) -> TableKeys:
        way = self.table_keys.get("by")
        with errors_located(self.context):
            if way == "table_name":
                return TableKeys.from_assets(self.specs())
            if way == "convention":
                return TableKeys.by_convention()
            return TableKeys.from_mapping(self.table_keys.get("tables", {}))

    def _known_tests(
        self, name: str, settings: CheckSettings, keys: TableKeys, tests: Sequence[SuiteTest] | None, naming: _Naming
    ) -> list[SuiteTest]:
        """Returns what is tested or profiled, as far as it is known: by discovery, or by the tables that YAML names."""
        named = TableKeys.from_mapping(settings.tables)
        if tests is None:
            if self.table_keys.get("by") == "mapping":
                named = named.also(self._keys)
            return [SuiteTest(table.name, table.schema) for table in named.known_tables]
        known, unmapped = list[SuiteTest](), dict[SuiteTable, None]()
        for test in tests:
            if keys.find(test.of_table) is None:
                unmapped[test.of_table] = None
            else:
                known.append(test)
        if unmapped and settings.unmapped != "ignore":
            names = ", ".join(map(str, unmapped))
            problem = f"the {naming.kind} {naming.covers} tables without an asset: {names}"
            self._warn(name, f"{problem}. Map them in tables or table_keys")
        found = {test.of_table for test in known}
        return known + [
            SuiteTest(table.name, table.schema)
            for table in named.known_tables
            if not any(_is_same(table, one) for one in found)
        ]

    def _without_duplicates(
        self,
        entry: RunEntry,
        context: dg.ResolutionContext,
        spec: dg.AssetSpec,
        keys: TableKeys,
        known: Iterable[SuiteTest],
    ) -> list[SuiteTest]:
        """Returns the tests of tables whose asset has no checks of another suite, or table group, yet."""
        kept, kind = list[SuiteTest](), _NAMING[type(entry.run)].kind
        for test in known:
            asset = keys.find(test.of_table)
            other = None if asset is None else self.checked.get((type(entry.run), asset))
            if other is None or asset is None:
                kept.append(test)
                continue
            problem = (
                f"{asset.to_user_string()} already has the checks of {other.to_user_string()}, and an asset can have "
                f"those of only one {kind}. Leave out the table {test.of_table} in one of the two"
            )
            if not entry.is_discovered:
                raise located(context, problem)
            self._warn(spec.key.to_user_string(), problem)
        return kept

    def _without_unknown(self, name: str, settings: CheckSettings, known: Sequence[SuiteTest]) -> CheckSettings:
        """Returns the settings without tables that are no longer tested, which must not stop the code location."""
        names = {text.casefold() for test in known for text in (test.table, str(test.of_table))}
        for option in ("granularity_by_table", "blocking_tables"):
            unknown = [one for one in getattr(settings, option) if one.casefold() not in names]
            if unknown:
                tables = ", ".join(sorted({str(test.of_table) for test in known})[:20])
                self._warn(name, f"{option} names {', '.join(unknown)}, but the tables with checks are {tables}")
        by_table = {one: level for one, level in settings.granularity_by_table.items() if one.casefold() in names}
        blocking = tuple(one for one in settings.blocking_tables if one.casefold() in names)
        return replace(settings, granularity_by_table=by_table, blocking_tables=blocking)

    def _warn(self, name: str, problem: str) -> None:
        _logger.warning("TestGenComponent %s: the checks of %s: %s", self.resource_key, name, problem.rstrip("."))


def _is_same(named: SuiteTable, known: SuiteTable) -> bool:
    schemas = {one.casefold() for one in (named.schema, known.schema) if one}
    return named.name.casefold() == known.name.casefold() and len(schemas) < 2


_NO_TABLES = (
    "it is not known which tables the {0.kind} {0.covers}, and Dagster must know all checks when it loads the "
    "definitions. Name them in tables, such as {{orders: stg_orders}}; or set discover (TestGen 5.134 and later), "
    "which finds them"
)
_NOT_YET = (
    "none, because it is not known yet which tables the {0.kind} {0.covers}. {0.run} once, run "
    "`dg utils refresh-defs-state` and reload the code location, or name the tables in tables"
)
_UNSEEN = (
    "they block on {}, but the component finds no such asset in the folder defs, or in table_keys.components. If the "
    "code location does not define it, blocking has no effect, and the first step refuses to start a run. Then leave "
    "blocking out, or move the component to the code location of the asset"
)
_COARSE = (
    "they are declared with granularity 'table', because the columns and tests of the suite are not known. Set "
    "discover (TestGen 5.134 and later), run the suite once, run `dg utils refresh-defs-state`, and reload"
)
