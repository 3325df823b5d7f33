"""Finds the asset of each table that a suite tests."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg

from dagster_runs.remote_run.data_tests import SuiteTable
from dagster_runs.table_checks.table_names import (
    FoldedTable,
    as_pattern,
    folded,
    folded_key,
    is_spelled,
    parse_table,
    with_spelling,
)

TABLE_NAME_KEY = "dagster/table_name"
KeyFunction = Callable[[SuiteTable], Any]
KeysLike = Any
"""`TableKeys`; or what one is made from: a mapping, a function, or a list of these."""


@dataclass(frozen=True)
class _Rule:
    """One way to find the asset of a table.

    Attributes:
        find: Returns the asset of a table; ``None`` if this rule has none.
        known: The tables that the rule names, with their assets.
        spelled: Returns the key whose spelling is that of the table; ``None`` if `find` does.
    """

    find: Callable[[SuiteTable], dg.AssetKey | None]
    known: Mapping[SuiteTable, dg.AssetKey] = field(default_factory=dict)
    spelled: Callable[[SuiteTable], dg.AssetKey | None] | None = None


@dataclass(frozen=True)
class FoundKeys:
    """The assets of some tables. A table that is in neither mapping has no asset.

    Attributes:
        assets: The assets.
        problems: Why it is not clear which asset a table has.
    """

    assets: Mapping[SuiteTable, dg.AssetKey]
    problems: Mapping[SuiteTable, str]


@dataclass(frozen=True)
class TableKeys:
    """Finds the asset of each table that a suite tests. The first rule that knows a table decides.

    `from_assets` and a mapping without patterns also say which tables there are. The other ways do not, so
    `build_testgen_checks` then needs ``known_tests``.

    Example:
        ``TableKeys.from_mapping({"sales.orders": "stg_orders"}).also(TableKeys.from_assets(dbt_assets))``
    """

    _rules: tuple[_Rule, ...] = ()
    _upstream: Mapping[dg.AssetKey, frozenset[dg.AssetKey]] = field(default_factory=dict)

    @classmethod
    def from_assets(cls, *assets: Any) -> "TableKeys":
        """Finds assets by the name of their table.

        That is the metadata ``dagster/table_name`` of an asset, as dbt, Fivetran and Airbyte assets have it: its last
        two parts are the schema and the table, in any case. For an asset without that metadata, the last two parts of
        its key count, as for `by_convention`.

        Args:
            assets: Assets, asset specs, or lists of these.

        Raises:
            DagsterInvalidDefinitionError: Two assets have the same table, or an argument is not an asset.
        """
        specs = list(_specs(assets))
        named, by_key = (
            dict[FoldedTable, dict[dg.AssetKey, SuiteTable]](),
            dict[FoldedTable, dict[dg.AssetKey, SuiteTable]](),
        )
        for spec in specs:
            table = _table_in(spec)
            found = by_key
            if table is not None:
                found = named
            elif len(spec.key.path) > 1:
                table = SuiteTable(spec.key.path[-1], spec.key.path[-2])
            if table is not None:
                found.setdefault(folded(table), {})[spec.key] = table
        rules = tuple(_rule_of_assets(found) for found in (named, by_key) if found)
        return cls(rules, _lineage(specs))

    @classmethod
    def by_convention(cls) -> "TableKeys":
        """Expects the asset of a table at the key ``[schema, table]``, or ``[table]`` in a database without schemas."""

        def find(table: SuiteTable) -> dg.AssetKey:
            return dg.AssetKey([table.schema, table.name] if table.schema else [table.name])

        return cls((_Rule(find),))

    @classmethod
    def from_mapping(cls, keys: Mapping[str, Any]) -> "TableKeys":
        """Takes a mapping from tables to asset keys.

        Args:
            keys: A table is ``"orders"``, in any schema, or ``"sales.orders"``; ``*`` stands for any text. Exact names
                come before patterns, and patterns count in their order. Case does not matter, unless two names differ
                only in case. An asset key is ``"sales/orders"``, a list or
                an `AssetKey`; a text may contain ``{schema}`` and ``{table}``.

        Raises:
            DagsterInvalidDefinitionError: A table is not a text, or is there twice, or a key is not an asset key.
        """
        exact: dict[FoldedTable, dict[SuiteTable, Any]] = {}
        patterns: list[tuple[re.Pattern[str] | None, re.Pattern[str], Any]] = []
        known: dict[SuiteTable, dg.AssetKey] = {}
        for name, key in keys.items():
            table = parse_table(name)
            schema, pattern = folded(table)
            if "*" in name:
                patterns.append((as_pattern(schema) if schema else None, as_pattern(pattern), key))
                _asset_key(key, SuiteTable("table", "schema"))
                continue
            same = exact.setdefault((schema, pattern), {})
            if table in same:
                raise dg.DagsterInvalidDefinitionError(
                    f"tables has the table {table} twice. Only the last two parts of a name count: the schema and "
                    "the table"
                )
            same[table] = key
            if table.schema or not (isinstance(key, str) and "{schema}" in key):
                known[table] = _asset_key(key, table)
            else:
                _asset_key(key, replace(table, schema="schema"))

        def find(table: SuiteTable) -> dg.AssetKey | None:
            schema, name = folded(table)
            for one in ((schema, name), (None, name)):
                if one in exact:
                    return _asset_key(with_spelling(exact[one], table), table)
            for schema_pattern, pattern, key in patterns:
                in_schema = schema_pattern is None or schema_pattern.fullmatch(schema or "")
                if in_schema and pattern.fullmatch(name):
                    return _asset_key(key, table)
            return None

        return cls((_Rule(find, known),))

    @classmethod
    def from_function(cls, function: KeyFunction) -> "TableKeys":
        """Takes a function from a `SuiteTable` to an asset key, or to ``None`` for a table without an asset.

        If it raises an exception when the results of a run are reported, the table counts as one without an asset.
        """

        def find(table: SuiteTable) -> dg.AssetKey | None:
            try:
                key = function(table)
            except Exception as error:
                raise dg.DagsterInvalidDefinitionError(
                    f"The function in tables fails for the table {table}: {error!r}"
                ) from error
            return None if key is None else _asset_key(key, table)

        return cls((_Rule(find),))

    @classmethod
    def coerce(cls, keys: KeysLike) -> "TableKeys":
        """Returns table keys, or makes them from a mapping, a function, or a list of these.

        Raises:
            DagsterInvalidDefinitionError: The value is none of these.
        """
        if isinstance(keys, TableKeys):
            return keys
        if isinstance(keys, Mapping):
            return cls.from_mapping(keys)
        if isinstance(keys, (list, tuple)) and not isinstance(keys, dg.AssetSpec):
            found = cls()
            for one in keys:
                found = found.also(cls.coerce(one))
            return found
        if callable(keys) and not isinstance(keys, (type, dg.AssetsDefinition)):
            return cls.from_function(keys)
        raise dg.DagsterInvalidDefinitionError(
            f"tables is {keys!r}; it must be TableKeys, such as TableKeys.from_assets(...), or a mapping from tables "
            'to asset keys, such as {"sales.orders": "stg_orders"}, or a function'
        )

    def also(self, other: KeysLike) -> "TableKeys":
        """Returns table keys that try ``other`` for the tables that these do not know."""
        more = TableKeys.coerce(other)
        upstream = dict(self._upstream)
        for key, of in more._upstream.items():
            upstream[key] = upstream.get(key, frozenset()) | of
        return TableKeys((*self._rules, *more._rules), upstream)

    def with_lineage_of(self, specs: Iterable[dg.AssetSpec]) -> "TableKeys":
        """Returns the same table keys, which also know what is upstream of the assets of these specs."""
        return self.also(TableKeys((), _lineage(specs)))

    def without_lineage(self) -> "TableKeys":
        """Returns the same table keys, which do not know what is upstream of an asset."""
        return TableKeys(self._rules)

    def with_spelling_of(self, existing: Iterable[dg.AssetKey]) -> "TableKeys":
        """Returns table keys that find an existing asset also if its key differs in case.

        Databases such as Snowflake report names in upper case, and keys made from them would be those of no asset.

        Args:
            existing: The keys of the assets that exist.
        """
        keys = set(existing)
        spellings: dict[tuple[str, ...], list[dg.AssetKey]] = {}
        for key in keys:
            spellings.setdefault(folded_key(key), []).append(key)

        def spelled(key: dg.AssetKey) -> dg.AssetKey:
            same = spellings.get(folded_key(key), [])
            return same[0] if key not in keys and len(same) == 1 else key

        def with_spelling(rule: _Rule) -> _Rule:
            def find(table: SuiteTable) -> dg.AssetKey | None:
                key = rule.find(table)
                return None if key is None else spelled(key)

            known = {table: spelled(key) for table, key in rule.known.items()}
            return _Rule(find, known, rule.spelled or rule.find)

        return TableKeys(tuple(with_spelling(rule) for rule in self._rules), self._upstream)

    def find(self, table: SuiteTable) -> dg.AssetKey | None:
        """Returns the asset of a table; ``None`` if it has none.

        Raises:
            DagsterInvalidDefinitionError: Two assets have the table.
        """
        return next((key for rule in self._rules if (key := rule.find(table)) is not None), None)

    def find_each(self, tables: Iterable[SuiteTable]) -> "FoundKeys":
        """Returns the assets of tables that a suite tests together.

        Names are compared without case, since tools report them in different case. But if several of the tables differ
        only in case, they are different tables, so only the one whose name is spelled like that of the asset has it.
        """
        assets, problems = dict[SuiteTable, dg.AssetKey](), dict[SuiteTable, str]()
        spellings: dict[FoldedTable, list[SuiteTable]] = {}
        for table in dict.fromkeys(tables):
            try:
                key = self.find(table) if table.name else None
            except dg.DagsterInvalidDefinitionError as error:
                problems[table] = str(error)
                continue
            if key is not None:
                assets[table] = key
                spellings.setdefault(folded(table), []).append(table)
        for same in spellings.values():
            for table in same:
                shared = [one for one in same if assets[one] == assets[table]]
                if len(shared) > 1 and table not in self._spelled_like(assets[table], shared):
                    names = " and ".join(map(str, shared))
                    problems[table] = f"{names} differ only in case. Name each of them in tables, with its own asset"
        return FoundKeys({table: key for table, key in assets.items() if table not in problems}, problems)

    def _spelled_like(self, key: dg.AssetKey, tables: Sequence[SuiteTable]) -> list[SuiteTable]:
        """Returns those of an asset's tables whose names are spelled like that of the asset."""
        known = [table for rule in self._rules for table in rule.known]
        found = [table for table in tables if any(is_spelled(table, one) for one in known)]
        if found:
            return found
        # A key that is made from the name of the table. One that has nothing of the name is that of all tables.
        found = [table for table in tables if self._spelled_key(table) == key]
        return found if len(found) == 1 else []

    def _spelled_key(self, table: SuiteTable) -> dg.AssetKey | None:
        rule = next(rule for rule in self._rules if rule.find(table) is not None)
        return (rule.spelled or rule.find)(table)

    @property
    def known_tables(self) -> dict[SuiteTable, dg.AssetKey]:
        """The tables that are known without asking the vendor, with their assets."""
        found: dict[SuiteTable, dg.AssetKey] = {}
        for rule in self._rules:
            for table in rule.known:
                key = self.find(table)
                if key is not None:
                    found.setdefault(table, key)
        return found

    def upstream_of(self, key: dg.AssetKey) -> frozenset[dg.AssetKey]:
        """Returns the assets upstream of an asset, at any distance, as far as the given assets show them."""
        found: set[dg.AssetKey] = set()
        remaining = [*self._upstream.get(key, ())]
        while remaining:
            one = remaining.pop()
            if one not in found:
                found.add(one)
                remaining += self._upstream.get(one, ())
        return frozenset(found)


def _rule_of_assets(found: Mapping[FoldedTable, Mapping[dg.AssetKey, SuiteTable]]) -> _Rule:
    unique: dict[FoldedTable, dg.AssetKey] = {}
    ambiguous: dict[FoldedTable, str] = {}
    for table, by_key in found.items():
        if len(by_key) > 1:
            names = " and ".join(sorted(key.to_user_string() for key in by_key))
            ambiguous[table] = (
                f"{names} are both assets of the table {next(iter(by_key.values()))}. Pass only one of them, or say "
                "which one counts with TableKeys.from_mapping({...}).also(TableKeys.from_assets(...)), or in YAML in "
                "tables"
            )
        unique[table] = next(iter(by_key))
    without_schema: dict[str, set[FoldedTable]] = {}
    for schema, name in unique:
        without_schema.setdefault(name, set()).add((schema, name))

    def find(table: SuiteTable) -> dg.AssetKey | None:
        schema, name = folded(table)
        same = without_schema.get(name, set())
        # A database without schemas, or an asset whose table name has no schema: the name has to be unique.
        matching = {one for one in same if schema is None or one[0] in (schema, None)}
        exact = {one for one in matching if one[0] == schema} or matching
        if len(exact) > 1:
            names = " and ".join(sorted(unique[one].to_user_string() for one in exact))
            raise dg.DagsterInvalidDefinitionError(
                f"{names} are both assets of a table {table}, in different schemas, and the suite names no schema"
            )
        for one in exact:
            if one in ambiguous:
                raise dg.DagsterInvalidDefinitionError(ambiguous[one])
            return unique[one]
        return None

    return _Rule(find, {next(iter(by_key.values())): next(iter(by_key)) for by_key in found.values()})


def _lineage(specs: Iterable[dg.AssetSpec]) -> dict[dg.AssetKey, frozenset[dg.AssetKey]]:
    upstream: dict[dg.AssetKey, frozenset[dg.AssetKey]] = {}
    for spec in specs:
        upstream[spec.key] = upstream.get(spec.key, frozenset()) | {dep.asset_key for dep in spec.deps}
    return upstream


def _specs(assets: Iterable[Any]) -> Iterator[dg.AssetSpec]:
    for one in assets:
        if isinstance(one, dg.AssetsDefinition):
            yield from one.specs
        elif isinstance(one, dg.AssetSpec):
            yield one
        elif isinstance(one, Sequence) and not isinstance(one, str):
            yield from _specs(one)
        else:
            raise dg.DagsterInvalidDefinitionError(
                f"TableKeys.from_assets got {one!r}, which is neither an asset nor an asset spec, nor a list of these"
            )


def _table_in(spec: dg.AssetSpec) -> SuiteTable | None:
    value = spec.metadata.get(TABLE_NAME_KEY)
    text = value.value if isinstance(value, dg.TextMetadataValue) else value
    return parse_table(text) if isinstance(text, str) and text.strip() else None


def _asset_key(key: Any, table: SuiteTable) -> dg.AssetKey:
    if isinstance(key, str):
        if "{schema}" in key and not table.schema:
            raise dg.DagsterInvalidDefinitionError(
                f"The asset key {key!r} has {{schema}}, but the table {table} is in no schema"
            )
        key = [part.replace("{schema}", table.schema or "").replace("{table}", table.name) for part in key.split("/")]
    if isinstance(key, dg.AssetKey):
        return key
    if isinstance(key, (list, tuple)) and key and all(isinstance(part, str) and part for part in key):
        return dg.AssetKey(list(key))
    raise dg.DagsterInvalidDefinitionError(
        f"The asset key of the table {table} is {key!r}; it must be a text such as 'sales/orders', a list of texts or "
        "a dagster.AssetKey"
    )
