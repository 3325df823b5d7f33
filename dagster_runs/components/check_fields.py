"""The fields ``checks`` and ``table_keys``: the results of a suite or a profiling run as checks on tables' assets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Literal

from pydantic import StrictBool, create_model

from dagster_runs.components.plain_values import checked_key, whole_number
from dagster_runs.components.yaml_model import Fields, WholeNumber, YamlModel, descriptions, field_of
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.wording import with_article
from dagster_runs.table_checks import outcomes, profile_outcomes
from dagster_runs.table_checks.check_names import Granularity
from dagster_runs.table_checks.declared import Unmapped
from dagster_runs.table_checks.outcomes import checked_severity
from dagster_runs.table_checks.table_keys import TableKeys
from dagster_runs.table_checks.testgen import build_testgen_checks
from dagster_runs.vendors.testgen import TestGenProfilingRun, TestGenTestRun

_NO_EFFECT = ("partitions_def", "backfill_policy", "rerun_if_upstream_newer", "on_missing_partition", "hooks")
"""Options of an asset that a run with checks does not have, because Dagster cannot materialize its asset."""


@dataclass(frozen=True)
class CheckSettings:
    """The field ``checks``. See `build_testgen_checks` and `build_testgen_profile` for its attributes.

    Attributes:
        tables: The assets of tables, which take precedence over ``table_keys``.
    """

    tables: Mapping[str, str] = field(default_factory=dict)
    granularity: Granularity = "table"
    granularity_by_table: Mapping[str, Granularity] = field(default_factory=dict)
    severity: Mapping[str, str] | None = None
    blocking: bool = False
    blocking_tables: tuple[str, ...] = ()
    unmapped: Unmapped = "warn"
    max_checks: int = 500

    @property
    def needs_tests(self) -> bool:
        """Whether the tests of the suite must be known, because not only whole tables have checks."""
        return any(one != "table" for one in (self.granularity, *self.granularity_by_table.values()))

    @property
    def can_block(self) -> bool:
        """Whether any check blocks."""
        return self.blocking or bool(self.blocking_tables)


def check_settings(given: Mapping[str, Any], run_class: type[RemoteRun[Any]]) -> CheckSettings:
    """Returns the settings that YAML describes.

    Args:
        given: The field ``checks``.
        run_class: The kind of run.

    Raises:
        ValueError: A value is invalid.
        DagsterInvalidDefinitionError: The same.
    """
    values = dict(given)
    check_tables(values.get("tables", {}))
    checked_severity(values.get("severity"), _DEFAULT_SEVERITY[run_class])
    if "blocking_tables" in values:
        values["blocking_tables"] = tuple(values["blocking_tables"])
    if "max_checks" in values:
        values["max_checks"] = whole_number("max_checks", values["max_checks"])
        if values["max_checks"] < 1:
            raise ValueError(f"max_checks is {values['max_checks']}; it must be greater than 0")
    return CheckSettings(**values)


def check_tables(tables: Mapping[str, Any]) -> None:
    """Checks a mapping from tables to asset keys.

    Raises:
        ValueError: A key is not an asset key.
        DagsterInvalidDefinitionError: A table is twice in it.
    """
    for table, key in tables.items():
        checked_key(f"tables: the asset of {table}", key, placeholders=("{schema}", "{table}"))
    TableKeys.from_mapping(tables)


_DEFAULT_SEVERITY: Mapping[type[RemoteRun[Any]], Mapping[str, str]] = {
    TestGenTestRun: outcomes.DEFAULT_SEVERITY,
    TestGenProfilingRun: profile_outcomes.DEFAULT_SEVERITY,
}
_FINDINGS = {
    "failed": "failed tests",
    "error": "broken tests",
    "warning": "tests with a warning",
    "definite": "definite issues",
    "likely": "likely issues",
}


def _severity_model(run_class: type[RemoteRun[Any]]) -> type[YamlModel]:
    fields: Fields = {
        name: field_of(
            Literal["ERROR", "WARN"], description=f"The severity of {_FINDINGS[name]}. `{default}` by default."
        )
        for name, default in _DEFAULT_SEVERITY[run_class].items()
    }
    model: type[YamlModel] = create_model(f"SeverityOf{run_class.__name__}", __base__=YamlModel, **fields)  # type: ignore[call-overload]
    return model


def _finer_fields() -> Fields:
    """Returns the fields for checks of columns and tests, which only a suite has."""
    about = descriptions(build_testgen_checks)
    by_table = "The same for single tables: `{orders: test}`."
    return {
        "granularity": field_of(Granularity, description=about["granularity"]),
        "granularity_by_table": field_of(dict[str, Granularity], description=by_table, example={"orders": "test"}),
        "max_checks": field_of(WholeNumber, description=about["max_checks"], example=500),
    }


@cache
def _checks_model(run_class: type[RemoteRun[Any]]) -> type[YamlModel]:
    of_suite = run_class is TestGenTestRun
    about = {**descriptions(build_testgen_checks), **({} if of_suite else {"unmapped": _UNMAPPED_TABLES})}

    class Checks(YamlModel):
        unavailable: ClassVar[Mapping[str, str]] = {} if of_suite else dict.fromkeys(_finer_fields(), _ONE_CHECK)

        @classmethod
        def check(cls, given: dict[str, Any]) -> None:
            check_settings(given, run_class)

    fields: Fields = {
        "tables": field_of(
            dict[str, str],
            description="The asset of each table, with slashes between the parts of its key: `{orders: stg_orders, "
            'sales.*: "sales/{table}"}`. Takes precedence over `table_keys`.',
            example={"orders": "stg_orders"},
        ),
        "severity": field_of(_severity_model(run_class), description="The severity of what does not pass."),
        "blocking": field_of(StrictBool, description=about["blocking"]),
        "blocking_tables": field_of(list[str], description=about["blocking_tables"], example=["orders"]),
        "unmapped": field_of(Unmapped, description=about["unmapped"]),
        **(_finer_fields() if of_suite else {}),
    }
    model: type[YamlModel] = create_model(f"ChecksOf{run_class.__name__}", __base__=Checks, **fields)  # type: ignore[call-overload]
    return model


def checks_fields(run_class: type[RemoteRun[Any]]) -> tuple[Fields, dict[str, str]]:
    """Returns the field ``checks`` of a kind of run, or why there is none."""
    if run_class in _CHECKS:
        return {"checks": field_of(_checks_model(run_class), description=_CHECKS[run_class])}, {}
    return {}, {"checks": f"{with_article(run_class.vendor)} {run_class.label} has no results about tables"}


def check_unused(given: Mapping[str, Any], run_class: type[RemoteRun[Any]]) -> None:
    """Refuses options that have no effect on a run with checks.

    Args:
        given: The fields of the run.
        run_class: The kind of run.

    Raises:
        ValueError: There is one.
    """
    unused = [name for name in (*_NO_EFFECT, "automation_condition") if name in given]
    if "checks" in given and unused:
        run, subject = ("a run of the suite", "suite") if run_class is TestGenTestRun else ("a run", "table group")
        raise ValueError(
            f"{unused[0]} has no effect with checks: Dagster executes the checks of the tables to start {run}, and "
            f"cannot materialize the {subject}'s asset. Delete one of the two."
        )


class _TableKeys(YamlModel):
    @classmethod
    def check(cls, given: dict[str, Any]) -> None:
        """Checks that the fields fit the way in which assets are found."""
        check_table_keys(given)


def check_table_keys(given: Mapping[str, Any]) -> None:
    """Checks the field ``table_keys``.

    Raises:
        ValueError: A field is missing or does not fit ``by``, or a key is not an asset key.
        DagsterInvalidDefinitionError: A table is twice in the mapping.
    """
    for name, way in (("tables", "mapping"), ("components", "table_name")):
        if name in given and given["by"] != way:
            raise ValueError(f"{name} is only for by: {way}")
    if given["by"] == "mapping" and not given.get("tables"):
        raise ValueError('by: mapping needs tables, such as {sales.*: "sales/{table}"}')
    check_tables(given.get("tables", {}))


_table_keys_fields: Fields = {
    "by": field_of(
        Literal["table_name", "convention", "mapping"],
        description="`table_name`: the asset of this project whose metadata `dagster/table_name` ends in the schema "
        "and the table, or else whose key does. `convention`: the asset with the key `<schema>/<table>`. `mapping`: "
        "the one that `tables` says.",
        is_required=True,
    ),
    "tables": field_of(
        dict[str, str],
        description='For `mapping`: the asset of each table. `*` is any text: `{sales.*: "sales/{table}"}`.',
        example={"sales.*": "sales/{table}"},
    ),
    "components": field_of(
        list[str],
        description="For `table_name`: the folders and Python files in the project's folder `defs` whose assets count. "
        "By default all, except folders with a component of this type.",
        example=["dbt"],
    ),
}
TableKeysModel = create_model("TableKeys", __base__=_TableKeys, **_table_keys_fields)  # type: ignore[call-overload]

_SHOWN = (
    "own asset then only shows its runs, and depends on these assets. With `gate`, it has checks that judge the whole "
    "run."
)
_CHECKS: Mapping[type[RemoteRun[Any]], str] = {
    TestGenTestRun: f"Reports the results of the suite as checks on the assets of its tables. The suite's {_SHOWN}",
    TestGenProfilingRun: "Reports what the run finds out about each table on the table's asset: the check "
    "`testgen__hygiene_issues`, and an observation with the number of rows and the columns. The table group's "
    f"{_SHOWN}",
}
_UNMAPPED_TABLES = (
    "What happens if the run profiles tables that have no check: `warn`, `fail` the step after its report, or `ignore`."
)
_ONE_CHECK = "each table of a table group has one check"
