"""Which checks are declared, and what they are called."""

import re
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_runs import SuiteTest, TableKeys, build_testgen_checks
from tests.table_checks.suites import RUN

ID = "8a4f1c7e-2b39-4e2e-a8c3-1d5e9f2a7b4c"
TESTS = [
    SuiteTest("orders", "sales", "order_id", "Required", ID),
    SuiteTest("orders", "sales", "order_id", "Dec_Trunc", ID.replace("8", "9")),
    SuiteTest("orders", "sales", "amount", "Dec_Trunc", ID.replace("8", "a")),
    SuiteTest("orders", "sales", None, "Row_Ct", ID.replace("8", "b")),
    SuiteTest("customers", "sales", "email", "Required", ID.replace("8", "c")),
]
KEYS = {"orders": "stg_orders", "customers": "dw/customers"}


def names(**arguments: Any) -> dict[str, list[str]]:
    checks = build_testgen_checks(RUN, **{"tables": KEYS, **arguments}).checks
    found: dict[str, list[str]] = {}
    for spec in checks.check_specs:
        found.setdefault(spec.asset_key.to_user_string(), []).append(spec.name)
    return found


def test_each_table_has_one_check_by_default() -> None:
    assert names() == {"stg_orders": ["testgen__tests"], "dw/customers": ["testgen__tests"]}


@pytest.mark.parametrize(
    ("granularity", "expected"),
    [
        ("table", []),
        ("column", ["testgen__order_id", "testgen__amount"]),
        ("test_type", ["testgen__required", "testgen__dec_trunc", "testgen__row_ct"]),
        (
            "test",
            [
                "testgen__required__order_id__8a4f1c7e",
                "testgen__dec_trunc__order_id__9a4f1c7e",
                "testgen__dec_trunc__amount__aa4f1c7e",
                "testgen__row_ct__ba4f1c7e",
            ],
        ),
    ],
)
def test_finer_checks_are_declared_besides_the_one_of_the_table(granularity: str, expected: list[str]) -> None:
    assert names(known_tests=TESTS, granularity=granularity)["stg_orders"] == ["testgen__tests", *expected]


def test_granularity_of_single_tables() -> None:
    found = names(known_tests=TESTS, granularity_by_table={"Sales.Orders": "column"})
    assert len(found["stg_orders"]) == 3
    assert found["dw/customers"] == ["testgen__tests"]


def test_only_tables_that_the_suite_is_known_to_test_have_checks() -> None:
    assert names(known_tests=TESTS[:1]) == {"stg_orders": ["testgen__tests"]}


def test_finer_granularity_falls_back_to_tables_if_the_tests_are_unknown() -> None:
    checks = build_testgen_checks(RUN, tables=KEYS, granularity="column")
    assert len(list(checks.checks.check_specs)) == 2
    assert "not known when the definitions are built" in checks.messages[0]


def test_too_many_checks_fall_back_to_tables() -> None:
    checks = build_testgen_checks(RUN, tables=KEYS, known_tests=TESTS, granularity="test", max_checks=6)
    assert len(list(checks.checks.check_specs)) == 2
    [message] = checks.messages
    assert "there would be 7 checks, more than max_checks=6" in message
    assert build_testgen_checks(RUN, tables=KEYS, known_tests=TESTS, granularity="test", max_checks=7).messages == []


def test_patterns_need_known_tests() -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="known_tests"):
        names(tables=TableKeys.by_convention())
    assert list(names(tables=TableKeys.by_convention(), known_tests=TESTS)) == ["sales/orders", "sales/customers"]


def test_known_table_without_an_asset() -> None:
    arguments: dict[str, Any] = {"tables": {"orders": "stg_orders"}, "known_tests": TESTS}
    assert "without an asset: sales.customers" in build_testgen_checks(RUN, **arguments).messages[0]
    assert build_testgen_checks(RUN, **arguments, unmapped="ignore").messages == []
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=r"sales\.customers"):
        build_testgen_checks(RUN, **arguments, unmapped="fail")


def test_blocking_tables() -> None:
    checks = build_testgen_checks(RUN, tables=KEYS, blocking_tables=["orders"]).checks
    assert {spec.asset_key.to_user_string(): spec.blocking for spec in checks.check_specs} == {
        "stg_orders": True,
        "dw/customers": False,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"granularity": "row"}, "granularity is 'row'"),
        ({"granularity_by_table": {"orders": "row"}}, "granularity_by_table"),
        ({"granularity_by_table": {"nothing": "test"}}, "names nothing, but the tables with checks are"),
        ({"blocking_tables": ["nothing"]}, "names nothing"),
        ({"blocking_tables": "orders"}, "must be a list"),
        ({"blocking": ["orders"]}, "blocking_tables"),
        ({"unmapped": "skip"}, "unmapped is 'skip'"),
        ({"max_checks": 0}, "max_checks"),
        ({"severity": {"log": "WARN"}}, "severity has log"),
        ({"severity": {"failed": "INFO"}}, "must be 'ERROR' or 'WARN'"),
        ({"known_tests": ["orders"]}, "SuiteTest"),
        ({"known_tests": [SuiteTest("x")]}, "None of the tables"),
        ({"wait": "later"}, "wait is 'later'"),
        ({"key": "a/b"}, "several parts"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=message):
        build_testgen_checks(RUN, **{"tables": KEYS, **arguments})


@pytest.mark.parametrize(
    ("assets", "message"),
    [
        (
            [["demo", "a-b"], ["demo", "a_b"]],
            r"table demo.t0 cannot have checks: .* from those of demo/a_b, since both are named demo__a_b_",
        ),
        ([["x", "a__b"], ["x__a", "b"]], "since both are named x__a__b_"),
        ([["demo", "a b"], ["other"]], "table demo.t0 cannot have checks: the asset demo/a b has a key"),
        ([["demo", "größe"], ["other"]], "letters, digits"),
    ],
)
def test_assets_whose_checks_dagster_cannot_distinguish_are_refused(assets: list[list[str]], message: str) -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=message):
        names(tables={f"demo.t{number}": key for number, key in enumerate(assets)})


def test_name_of_a_column_does_not_pass_to_another_one() -> None:
    def of(*columns: str) -> list[str]:
        tests = [SuiteTest("orders", "sales", column, "Required", ID) for column in columns]
        return names(known_tests=tests, granularity="column")["stg_orders"][1:]

    (spaced,) = of("order id")
    assert spaced.startswith("testgen__order_id__")
    assert of("order id", "order_id") == [spaced, "testgen__order_id"]


def test_column_does_not_get_the_name_of_another_check() -> None:
    tests = [SuiteTest("orders", "sales", column, "Required", ID) for column in ("tests", "hygiene_issues")]
    found = names(known_tests=tests, granularity="column")["stg_orders"]
    assert [re.sub(r"__[0-9a-f]{8}$", "__*", name) for name in found] == [
        "testgen__tests",
        "testgen__tests__*",
        "testgen__hygiene_issues__*",
    ]


def test_messages_name_only_some_of_many_tables() -> None:
    known = [SuiteTest("orders", "sales"), *(SuiteTest(f"t{number}", "sales") for number in range(5000))]
    [message] = build_testgen_checks(RUN, tables=KEYS, known_tests=known).messages
    assert len(message) < 500
    assert "and 4980 more" in message


@pytest.mark.parametrize("waits", [{"wait": "defer"}, {"wait": "defer", "backfill_wait": "defer"}])
def test_failing_for_unmapped_tables_needs_a_waiting_step(waits: dict[str, str]) -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="no step waits for the run"):
        names(unmapped="fail", **waits)


def test_names_do_not_depend_on_texts_or_order() -> None:
    first = names(known_tests=TESTS, granularity="test")
    assert {key: sorted(some) for key, some in first.items()} == {
        key: sorted(some) for key, some in names(known_tests=TESTS[::-1], granularity="test").items()
    }


COLUMNS = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), min_size=1, max_size=8, unique=True)


@given(columns=COLUMNS)
def test_names_are_legal_and_unique(columns: list[str]) -> None:
    columns = [*columns, "tests", "a b", "a_b", "a-b"]
    tests = [SuiteTest("orders", "sales", column) for column in dict.fromkeys(columns)]
    found = names(known_tests=tests, granularity="column")["stg_orders"]
    assert len(set(found)) == len(found) == len(tests) + 1
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", name) for name in found)
    assert "testgen__a_b" in found  # the column whose own name it is keeps it
