"""Builds the checks of a component's suites and table groups: from YAML, and from what discovery knows about each."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import dagster as dg

from dagster_runs.components.check_fields import CheckSettings
from dagster_runs.components.known_tests import KnownTests, known_tests
from dagster_runs.components.run_entry import RunEntry
from dagster_runs.components.templates import errors_located, located
from dagster_runs.components.visible_assets import SearchesInCircle
from dagster_runs.remote_run.data_tests import SuiteTest
from dagster_runs.remote_run.metadata_size import cut_names
from dagster_runs.table_checks.builder import TableChecks
from dagster_runs.table_checks.check_names import Granularity
from dagster_runs.table_checks.table_keys import TableKeys
from dagster_runs.table_checks.testgen import build_testgen_checks
from dagster_runs.table_checks.testgen_profile import build_testgen_profile
from dagster_runs.vendors.testgen import TestGenProfilingRun, TestGenTestRun

_logger = logging.getLogger(__name__)

_MAX_SEARCHES = 20
"""The number of keys that do not exist for which a similar one is searched for."""


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
        written: Those among them whose tables YAML names for a listed run.
        similar: The existing keys that are similar to keys in YAML that do not exist, as far as they were searched for.
    """

    resource_key: str
    table_keys: Mapping[str, Any]
    context: dg.ResolutionContext
    tests: Mapping[str, Sequence[SuiteTest]]
    has_discovery: bool
    specs: Callable[[], Sequence[dg.AssetSpec]]
    checked: dict[tuple[type, dg.AssetKey], dg.AssetKey] = field(default_factory=dict)
    written: set[tuple[type, dg.AssetKey]] = field(default_factory=set)
    similar: dict[str, str | None] = field(default_factory=dict)

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
        name, tests = spec.key.to_user_string(), self.tests.get(entry.run.target.casefold()) or None
        with errors_located(context):
            keys = self._with_spelling(TableKeys.from_mapping(settings.tables).also(self._keys), settings)
            found = self._known_tests(entry, context, spec, keys, tests)
            known = found.tests
            if not known:
                if not self.has_discovery:
                    raise located(context, _NO_TABLES.format(naming))
                self._warn(name, f"none, because {found.why_none}" if found.why_none else _NOT_YET.format(naming))
                return None
            if settings.can_block:
                keys = keys.with_lineage_of(self.specs())
            if tests is None and settings.needs_tests:
                self._warn(name, _COARSE)
                by_table: dict[str, Granularity] = dict.fromkeys(settings.granularity_by_table, "table")
                settings = replace(settings, granularity="table", granularity_by_table=by_table)
            elif tests is not None:
                settings = self._without_unknown(name, settings, known)
            self._warn_about_unseen_keys(name, settings, found)
            self._warn_about_misspelled_keys(name, settings)
            checks = self._built(entry, spec, settings, keys, known, is_reported=tests is not None)
        self._warn_about_unseen(name, checks)
        self.checked.update({(type(entry.run), asset): spec.key for asset in checks.judged.declared.by_asset})
        return checks

    def _built(
        self,
        entry: RunEntry,
        spec: dg.AssetSpec,
        settings: CheckSettings,
        keys: TableKeys,
        known: Sequence[SuiteTest],
        *,
        is_reported: bool,
    ) -> TableChecks:
        try:
            return self._built_with(entry, spec, settings, keys, known)
        except dg.DagsterInvalidDefinitionError as error:
            if not (settings.can_block and is_reported):
                raise
            # Perhaps the vendor has added a table that is upstream of another one, which must not stop the code
            # location. The step knows this too, and refuses to start a run.
            checks = self._built_with(entry, spec, settings, keys.without_lineage(), known)
            self._warn(spec.key.to_user_string(), f"the first step will refuse to start a run. {error}")
            return checks

    def _built_with(
        self, entry: RunEntry, spec: dg.AssetSpec, settings: CheckSettings, keys: TableKeys, known: Sequence[SuiteTest]
    ) -> TableChecks:
        given: dict[str, Any] = {
            "tables": keys,
            "severity": settings.severity,
            "blocking": settings.blocking,
            "blocking_tables": settings.blocking_tables,
            "unmapped": settings.unmapped,
            "name": entry.op_name(spec.key),
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

    def _has_placeholders(self, settings: CheckSettings) -> bool:
        """Whether the keys of assets are made from the names that the database has, perhaps in upper case."""
        texts = [*settings.tables.values(), *self.table_keys.get("tables", {}).values()]
        return self.table_keys.get("by") == "convention" or any("{" in str(text) for text in texts)

    @cached_property
    def _seen(self) -> Sequence[dg.AssetSpec] | None:
        try:
            return self.specs()
        except SearchesInCircle:
            return None

    def _with_spelling(self, keys: TableKeys, settings: CheckSettings) -> TableKeys:
        if not self._has_placeholders(settings) or self._seen is None:
            return keys
        return keys.with_spelling_of(spec.key for spec in self._seen)

    def _warn_about_unseen_keys(self, name: str, settings: CheckSettings, found: KnownTests) -> None:
        if not self._has_placeholders(settings) or self._seen is None:
            return
        seen = {spec.key for spec in self._seen}
        written = {text for tables in (settings.tables, self.table_keys.get("tables", {})) for text in tables.values()}
        unseen = {
            asset.to_user_string()
            for table, asset in found.assets.items()
            if table not in found.of_others and asset not in seen and asset.to_user_string() not in written
        }
        if unseen:
            self._warn(name, _UNSEEN_KEYS.format(cut_names(sorted(unseen))))

    def _warn_about_misspelled_keys(self, name: str, settings: CheckSettings) -> None:
        """Warns about assets in `tables` that are similar to existing ones. Others may be in another code location."""
        for table, text in settings.tables.items():
            similar = None if "{" in text or text in self._seen_keys else self._similar_to(text)
            if similar is not None:
                self._warn(name, _MISSPELLED.format(table, text, similar))

    @cached_property
    def _seen_keys(self) -> frozenset[str]:
        return frozenset(spec.key.to_user_string() for spec in self._seen or ())

    def _similar_to(self, text: str) -> str | None:
        """Returns an existing key that is similar to one that does not exist.

        The search reads all keys, and a project may map thousands of tables of another code location.
        """
        if text not in self.similar and len(self.similar) < _MAX_SEARCHES:
            self.similar[text] = next(iter(get_close_matches(text, self._seen_keys, n=1, cutoff=0.8)), None)
        return self.similar.get(text)

    def _known_tests(
        self,
        entry: RunEntry,
        context: dg.ResolutionContext,
        spec: dg.AssetSpec,
        keys: TableKeys,
        tests: Sequence[SuiteTest] | None,
    ) -> KnownTests:
        """Returns what can have checks, as far as it is known: by discovery, or by the tables that YAML names."""
        settings: CheckSettings = entry.options["checks"]
        name, naming = spec.key.to_user_string(), _NAMING[type(entry.run)]
        # The options of discovered suites name tables for all of them, and each tests only some.
        named = TableKeys.from_mapping({} if entry.is_discovered and tests else settings.tables)
        if tests is None and self.table_keys.get("by") == "mapping":
            named = named.also(self._keys)
        tables = {table: keys.find(table) or key for table, key in named.known_tables.items()}
        known = known_tests(tests or (), tables, keys, spec.key)
        for table, asset in known.assets.items():
            other = self.checked.get((type(entry.run), asset))
            if other is None:
                continue
            if asset in tables.values() and (type(entry.run), asset) in self.written:
                raise located(context, _OF_OTHER.format(asset.to_user_string(), other.to_user_string(), naming, table))
            known.of_others[table] = other
        if not entry.is_discovered:
            self.written.update((type(entry.run), asset) for asset in tables.values())
        for problem in known.problems:
            self._warn(name, problem)
        for assets, some, other in known.duplicates:
            self._warn(name, _OF_OTHER.format(assets, other.to_user_string(), naming, some))
        if known.unmapped and settings.unmapped != "ignore":
            names = cut_names([*map(str, known.unmapped)])
            problem = f"the {naming.kind} {naming.covers} tables without an asset: {names}"
            self._warn(name, f"{problem}. Map them in tables or table_keys")
        known.tests = [test for test in known.tests if test.of_table not in known.of_others]
        return known

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


_NO_TABLES = (
    "it is not known which tables the {0.kind} {0.covers}, and Dagster must know all checks when it loads the "
    "definitions. Name them in tables, such as {{orders: stg_orders}}; or set discover (TestGen 5.134 and later), "
    "which finds them"
)
_NOT_YET = (
    "none, because it is not known yet which tables the {0.kind} {0.covers}. {0.run} if it has no run with results, "
    "run `dg utils refresh-defs-state` and reload the code location, or name the tables in tables"
)
_OF_OTHER = (
    "{0} already has the checks of {1}, and an asset can have those of only one {2.kind}. Leave out the table {3} in "
    "one of the two"
)
_UNSEEN_KEYS = (
    "the component finds no assets with these keys, in any case, in the folder defs: {}. If the asset of a table has "
    "another key, name it in tables. If it is in another code location, ignore this"
)
_MISSPELLED = (
    "tables maps {0} to {1}, which is not an asset in the folder defs. Did you mean {2}? If {1} is in another code "
    "location, ignore this"
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
