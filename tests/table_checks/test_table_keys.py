"""Which asset a table belongs to."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import SuiteTable, TableKeys

ORDERS = SuiteTable("Orders", "Sales")


def spec(key: str, table_name: str | None = None, deps: tuple[str, ...] = ()) -> dg.AssetSpec:
    metadata = {"dagster/table_name": table_name} if table_name else {}
    return dg.AssetSpec(key.split("/"), metadata=metadata, deps=[dep.split("/") for dep in deps])


def found(keys: TableKeys, table: SuiteTable = ORDERS) -> str | None:
    asset = keys.find(table)
    return asset.to_user_string() if asset is not None else None


@pytest.mark.parametrize("name", ["sales.orders", "SALES.ORDERS", "warehouse.sales.orders", '"db"."Sales"."Orders"'])
def test_table_name_matches_by_its_last_two_parts_in_any_case(name: str) -> None:
    assert found(TableKeys.from_assets(spec("stg_orders", name))) == "stg_orders"


def test_table_name_may_be_a_metadata_value() -> None:
    named = dg.AssetSpec("a", metadata={"dagster/table_name": dg.MetadataValue.text("sales.orders")})
    assert found(TableKeys.from_assets([named])) == "a"


def test_assets_definitions_and_lists_are_accepted() -> None:
    @dg.asset(metadata={"dagster/table_name": "sales.orders"})
    def stg_orders() -> None: ...

    assert found(TableKeys.from_assets([[stg_orders]], spec("other", "sales.customers"))) == "stg_orders"


def test_key_counts_for_an_asset_without_a_table_name() -> None:
    assert found(TableKeys.from_assets(spec("dbt/sales/orders"))) == "dbt/sales/orders"
    assert found(TableKeys.from_assets(spec("orders"))) is None


def test_table_name_comes_before_the_key_of_another_asset() -> None:
    keys = TableKeys.from_assets(spec("sales/orders"), spec("stg_orders", "sales.orders"))
    assert found(keys) == "stg_orders"


@pytest.mark.parametrize(
    "specs",
    [
        [spec("a", "db1.sales.orders"), spec("b", "db2.sales.orders")],
        [spec("one/sales/orders"), spec("two/sales/orders")],
    ],
)
def test_two_assets_for_one_table_are_an_error_that_names_both(specs: list[dg.AssetSpec]) -> None:
    keys = TableKeys.from_assets(specs)
    first, second = (one.key.to_user_string() for one in specs)
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=f"{first} and {second} are both assets of the table"):
        found(keys)
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=first):
        keys.known_tables  # noqa: B018
    assert found(TableKeys.from_mapping({"sales.orders": "b"}).also(keys)) == "b"


def test_table_without_a_schema_matches_an_asset_of_any_schema_if_it_is_the_only_one() -> None:
    keys = TableKeys.from_assets(spec("a", "sales.orders"), spec("b", "sales.customers"), spec("c", "crm.customers"))
    assert found(keys, SuiteTable("ORDERS")) == "a"
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="b and c are both assets of a table customers"):
        found(keys, SuiteTable("customers"))


def test_table_name_without_a_schema_matches_any_schema() -> None:
    assert found(TableKeys.from_assets(spec("a", "orders"))) == "a"


def test_by_convention_keeps_the_case() -> None:
    assert found(TableKeys.by_convention()) == "Sales/Orders"
    assert found(TableKeys.by_convention(), SuiteTable("orders")) == "orders"


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"orders": "stg_orders"}, "stg_orders"),
        ({"sales.orders": ["dw", "orders"]}, "dw/orders"),
        ({"SALES.Orders": dg.AssetKey(["dw", "orders"])}, "dw/orders"),
        ({"sales.*": "raw/{schema}/{table}"}, "raw/Sales/Orders"),
        ({"*": "{table}"}, "Orders"),
        ({"crm.*": "x"}, None),
        ({"sales.*": "pattern", "orders": "exact"}, "exact"),
        ({"orders": "any", "sales.orders": "exact"}, "exact"),
        ({"ord*": "first", "*": "second"}, "first"),
    ],
)
def test_mapping(mapping: dict[str, Any], expected: str | None) -> None:
    assert found(TableKeys.coerce(mapping)) == expected


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"orders": 3}, "asset key of the table orders is 3"),
        ({"orders": "a//b"}, "asset key of the table orders"),
        ({"": "a"}, "not the name of a table"),
        ({"orders": "a", '"orders"': "b"}, "twice"),
        ({"x*": None}, "is None"),
    ],
)
def test_wrong_mapping_is_refused(mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=message):
        TableKeys.coerce(mapping)


def test_tables_that_differ_only_in_case_are_different_tables() -> None:
    keys = TableKeys.coerce({"demo.orders": "a", "demo.Orders": "b"})
    assert (found(keys, SuiteTable("orders", "demo")), found(keys, SuiteTable("Orders", "demo"))) == ("a", "b")
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=r"demo\.orders and demo\.Orders, which differ only"):
        found(keys, SuiteTable("ORDERS", "demo"))


def test_of_tables_that_differ_only_in_case_one_has_the_asset() -> None:
    lower, upper = SuiteTable("orders", "demo"), SuiteTable("ORDERS", "demo")
    of_each = TableKeys.from_assets(spec("a", "demo.orders")).find_each([lower, upper])
    assert (of_each.assets, set(of_each.problems)) == ({lower: dg.AssetKey("a")}, {upper})
    # Neither is spelled like the asset's table, so nothing says which one it is.
    of_each = TableKeys.from_assets(spec("a", "demo.Orders")).find_each([lower, upper])
    assert (of_each.assets, set(of_each.problems)) == ({}, {lower, upper})
    # One asset may have several tables.
    assert len(TableKeys.coerce({"*": "a"}).find_each([lower, SuiteTable("customers", "demo")]).assets) == 2


@pytest.mark.parametrize(
    ("keys", "existing", "with_asset"),
    [
        (TableKeys.by_convention(), "demo/orders", ["demo.orders"]),
        (TableKeys.by_convention(), "DEMO/ORDERS", ["DEMO.ORDERS"]),
        (TableKeys.by_convention(), "Demo/Orders", []),
        (TableKeys.coerce({"demo.*": "q/{table}"}), "q/orders", ["demo.orders"]),
        (TableKeys.coerce({"demo.*": "q"}), "q", []),
        (TableKeys.coerce({"DEMO.ORDERS": "q/{table}"}), "q/orders", ["DEMO.ORDERS"]),
    ],
)
def test_of_tables_that_differ_only_in_case_the_one_spelled_like_the_existing_asset_has_it(
    keys: TableKeys, existing: str, with_asset: list[str]
) -> None:
    tables = [SuiteTable("orders", "demo"), SuiteTable("ORDERS", "DEMO")]
    of_each = keys.with_spelling_of([dg.AssetKey(existing.split("/"))]).find_each(tables)
    assert sorted(map(str, of_each.assets)) == with_asset
    assert set(of_each.problems) == set(tables) - set(of_each.assets)


def test_quotes_hold_the_dots_of_a_name() -> None:
    keys = TableKeys.coerce({'demo."orders.v2"': "x", "[my.schema].`t`": "y", "demo.*": "other/{table}"})
    assert found(keys, SuiteTable("orders.v2", "demo")) == "x"
    assert found(keys, SuiteTable("t", "my.schema")) == "y"
    assert found(keys, SuiteTable("v2", "orders")) is None
    assert found(TableKeys.from_assets(spec("a", 'dw.demo."orders.v2"')), SuiteTable("orders.v2", "demo")) == "a"


def test_only_a_star_is_special_in_patterns() -> None:
    keys = TableKeys.coerce({"demo.o?d[e]*": "x"})
    assert found(keys, SuiteTable("orders", "demo")) is None
    assert found(keys, SuiteTable("o?d[e]rs", "demo")) == "x"


def test_schema_of_a_key_needs_a_table_with_a_schema() -> None:
    keys = TableKeys.from_mapping({"orders": "{schema}/orders"})
    assert keys.known_tables == {}
    assert found(keys) == "Sales/orders"
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="in no schema"):
        found(keys, SuiteTable("orders"))


def test_function() -> None:
    def key_of(table: SuiteTable) -> str | None:
        return f"dw/{table.name.lower()}" if table.schema == "Sales" else None

    with pytest.raises(dg.DagsterInvalidDefinitionError, match="function in tables fails for the table x: KeyError"):
        found(TableKeys.from_function(lambda table: {}[table.name]), SuiteTable("x"))
    keys = TableKeys.coerce(key_of)
    assert found(keys) == "dw/orders"
    assert found(keys, SuiteTable("orders", "crm")) is None


def test_first_rule_that_knows_a_table_decides() -> None:
    keys = TableKeys.coerce(
        [{"orders": "explicit"}, TableKeys.from_assets(spec("b", "sales.customers")), lambda _: "z"]
    )
    assert found(keys) == "explicit"
    assert found(keys, SuiteTable("customers", "sales")) == "b"
    assert found(keys, SuiteTable("products", "sales")) == "z"


def test_known_tables_are_those_that_are_named() -> None:
    keys = TableKeys.coerce([{"orders": "a", "x.*": "b"}, TableKeys.from_assets(spec("c", "sales.customers"))])
    known = {str(table): key.to_user_string() for table, key in keys.known_tables.items()}
    assert known == {"orders": "a", "sales.customers": "c"}


def test_upstream_is_found_at_any_distance() -> None:
    keys = TableKeys.from_assets(spec("a"), spec("b", deps=("a",))).also(TableKeys.from_assets(spec("c", deps=("b",))))
    assert {key.to_user_string() for key in keys.upstream_of(dg.AssetKey("c"))} == {"a", "b"}


@pytest.mark.parametrize("value", [None, 3, "orders", dg.AssetSpec("a"), TableKeys])
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="tables is"):
        TableKeys.coerce(value)


def test_from_assets_refuses_other_values() -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="neither an asset nor an asset spec"):
        TableKeys.from_assets("orders")
