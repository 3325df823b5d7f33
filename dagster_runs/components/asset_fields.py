"""The fields of an asset in YAML: what describes it, its partitions and policies, and how its run is run."""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, get_args

import dagster as dg
from pydantic import StrictBool, WithJsonSchema, create_model

from dagster_runs.asset_arguments import checked_hooks, checked_name
from dagster_runs.assets import build_remote_run_asset
from dagster_runs.components.check_fields import check_settings, check_unused, checks_fields
from dagster_runs.components.plain_values import number, whole_number
from dagster_runs.components.yaml_model import (
    AnyObject,
    Fields,
    Number,
    WholeNumber,
    YamlModel,
    descriptions,
    field_of,
    fields_of,
)
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.options import (
    OnConflict,
    OnInFlight,
    OnMissingPartition,
    OnTimeout,
    OnUncertainStart,
    RunOptions,
    Wait,
)
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.wording import with_article

_DATE = "As `2026-11-01`, in quotes or not."


class _Partitions(YamlModel):
    @classmethod
    def check(cls, given: dict[str, Any]) -> None:
        """Builds the partitions."""
        partitions_def(given)


_TIME_FIELDS = ("start_date", "end_date", "timezone")
_OFFSETS = ("minute_offset", "hour_offset", "day_offset")
# The fields of each type, and those without which it is not complete.
_FIELDS_OF_TYPE: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "hourly": ((*_TIME_FIELDS, "minute_offset"), ("start_date",)),
    "daily": ((*_TIME_FIELDS, *_OFFSETS[:2]), ("start_date",)),
    "weekly": ((*_TIME_FIELDS, *_OFFSETS), ("start_date",)),
    "monthly": ((*_TIME_FIELDS, *_OFFSETS), ("start_date",)),
    "time_window": ((*_TIME_FIELDS, "fmt", "cron_schedule"), ("start_date", "fmt", "cron_schedule")),
    "static": (("partition_keys",), ("partition_keys",)),
    "dynamic": (("name",), ("name",)),
}

_partition_fields: Fields = {
    "type": field_of(
        Literal[tuple(_FIELDS_OF_TYPE)], description="The type of the partitions.", is_required=True, example="daily"
    ),
    "start_date": field_of(str, description=f"The first partition. {_DATE}", example="2026-01-01"),
    "end_date": field_of(str, description="The end of the last partition. Without it, the partitions have no end."),
    "timezone": field_of(str, description="The time zone, such as `America/New_York`. UTC by default."),
    "minute_offset": field_of(WholeNumber, description="Minutes after the hour at which a partition begins."),
    "hour_offset": field_of(WholeNumber, description="The hour at which a partition begins."),
    "day_offset": field_of(WholeNumber, description="The day of the week or month on which a partition begins."),
    "fmt": field_of(str, description="For `time_window`: the format of the partition keys, such as `%Y-%m-%d`."),
    "cron_schedule": field_of(str, description="For `time_window`: the cron schedule of the partitions."),
    "partition_keys": field_of(list[str], description="For `static`: the partition keys."),
    "name": field_of(str, description="For `dynamic`: the name of the partitions in Dagster's storage."),
}
Partitions = create_model("Partitions", __base__=_Partitions, **_partition_fields)  # type: ignore[call-overload]


def partitions_def(given: Mapping[str, Any]) -> dg.PartitionsDefinition[Any]:
    """Returns the partitions that YAML describes.

    Raises:
        ValueError: The fields do not fit the type.
    """
    kind = given["type"]
    if kind not in _FIELDS_OF_TYPE:
        raise ValueError(f"type is {kind!r}; it must be {', '.join(_FIELDS_OF_TYPE)}")
    allowed, needed = _FIELDS_OF_TYPE[kind]
    values = {name: value for name, value in given.items() if name != "type"}
    for name in needed:
        if name not in values:
            raise ValueError(f"partitions of type {kind} need {name}")
    for name in values:
        if name not in allowed:
            raise ValueError(f"partitions of type {kind} have no {name}; their fields are {', '.join(allowed)}")
    values.update({name: whole_number(name, values[name]) for name in _OFFSETS if name in values})
    if kind == "static":
        return dg.StaticPartitionsDefinition(values["partition_keys"])
    if kind == "dynamic":
        return dg.DynamicPartitionsDefinition(name=values["name"])
    if kind == "time_window":
        start, end = values.pop("start_date"), values.pop("end_date", None)
        return dg.TimeWindowPartitionsDefinition(start=start, end=end, **values)
    classes: Mapping[str, Any] = {
        "hourly": dg.HourlyPartitionsDefinition,
        "daily": dg.DailyPartitionsDefinition,
        "weekly": dg.WeeklyPartitionsDefinition,
        "monthly": dg.MonthlyPartitionsDefinition,
    }
    found: dg.PartitionsDefinition[Any] = classes[kind](**values)
    return found


class _BackfillPolicy(YamlModel):
    @classmethod
    def check(cls, given: dict[str, Any]) -> None:
        """Builds the policy."""
        backfill_policy(given)


_backfill_fields: Fields = {
    "type": field_of(
        Literal["single_run", "multi_run"],
        description="`single_run`: one remote run for the whole range. `multi_run`: several.",
        is_required=True,
    ),
    "max_partitions_per_run": field_of(WholeNumber, description="For `multi_run`: the partitions of one run."),
}
BackfillPolicy = create_model("BackfillPolicy", __base__=_BackfillPolicy, **_backfill_fields)  # type: ignore[call-overload]


def backfill_policy(given: Mapping[str, Any]) -> dg.BackfillPolicy:
    """Returns the backfill policy that YAML describes.

    Raises:
        ValueError: The fields do not fit together.
    """
    number = given.get("max_partitions_per_run")
    if given["type"] == "multi_run":
        return dg.BackfillPolicy.multi_run(1 if number is None else whole_number("max_partitions_per_run", number))
    if number is not None:
        raise ValueError("max_partitions_per_run is only for type: multi_run")
    return dg.BackfillPolicy.single_run()


class _RetryPolicy(YamlModel):
    @classmethod
    def check(cls, given: dict[str, Any]) -> None:
        """Builds the policy."""
        retry_policy(given)


_retry_fields: Fields = {
    "max_retries": field_of(WholeNumber, description="The number of retries. 1 by default."),
    "delay": field_of(Number, description="Seconds before a retry."),
    "backoff": field_of(Literal["LINEAR", "EXPONENTIAL"], description="How the delay grows from retry to retry."),
    "jitter": field_of(Literal["FULL", "PLUS_MINUS"], description="How the delay is varied at random."),
}
RetryPolicy = create_model("RetryPolicy", __base__=_RetryPolicy, **_retry_fields)  # type: ignore[call-overload]


def retry_policy(given: Mapping[str, Any]) -> dg.RetryPolicy:
    """Returns the retry policy that YAML describes.

    Raises:
        ValueError: A field is not a number.
    """
    return dg.RetryPolicy(
        max_retries=whole_number("max_retries", given.get("max_retries", 1)),
        delay=number("delay", given["delay"]) if "delay" in given else None,
        backoff=dg.Backoff[given["backoff"]] if "backoff" in given else None,
        jitter=dg.Jitter[given["jitter"]] if "jitter" in given else None,
    )


def gate_fields(run_class: type[RemoteRun[Any]]) -> tuple[Fields, dict[str, str]]:
    """Returns the field ``gate`` of a kind of run, or why there is none."""
    kind = f"{with_article(run_class.vendor)} {run_class.label}"
    if not run_class.data_checks and not run_class.checks_depend_on_fields():
        return {}, {"gate": f"{kind} has no quality results"}
    judged = run_class.gate_fields | {"blocking"}
    others = {name: f"the checks of {kind} do not judge it" for name in QualityGate.model_fields if name not in judged}

    class Gate(YamlModel):
        unavailable: ClassVar[Mapping[str, str]] = others

        @classmethod
        def check(cls, given: dict[str, Any]) -> None:
            QualityGate.model_validate(given)

    model = create_model(f"GateOf{run_class.__name__}", __base__=Gate, **fields_of(QualityGate, without=others))  # type: ignore[call-overload]
    return {"gate": field_of(model, description=descriptions(build_remote_run_asset)["gate"])}, {}


@cache
def describing_fields() -> Fields:
    """Returns the fields that describe an asset, without its key."""
    about = descriptions(build_remote_run_asset)
    a_template = "As a template, such as `{{ dg.%s }}`."
    return {
        "group_name": field_of(str, description=about["group_name"], example="quality"),
        "description": field_of(str, description=about["description"]),
        "tags": field_of(AnyObject, description=about["tags"], example={"team": "data"}),
        "owners": field_of(list[str], description=about["owners"], example=["team:data"]),
        "kinds": field_of(
            list[str],
            description="The asset's kinds, in addition to those of the vendor.",
            example=["snowflake"],
        ),
        "metadata": field_of(AnyObject, description=about["metadata"]),
        "code_version": field_of(str, description="The version of the code that the asset depends on.", example="1"),
        "automation_condition": field_of(
            str,
            description=f"{about['automation_condition']} {a_template % 'AutomationCondition.eager()'}",
            example="{{ automation_condition.eager() }}",
        ),
        "freshness_policy": field_of(
            str,
            description="When the asset is considered stale. As a template, from a function in your own module that "
            "`template_vars_module` names.",
            example="{{ daily_freshness }}",
        ),
    }


def key_field(*, is_required: bool) -> Fields:
    """Returns the field ``key``."""
    return {
        "key": field_of(
            str,
            description="The asset's key, with slashes between its parts.",
            is_required=is_required,
            example="quality/orders",
        )
    }


def name_field() -> Fields:
    """Returns the field ``name``, which only a listed run has: discovered ones cannot share one."""
    about = descriptions(build_remote_run_asset)["name"]
    return {"name": field_of(str, description=about, example="orders_in_crm")}


def as_tag(value: Any) -> str:
    """Returns a value of YAML as the value of a tag."""
    if value is None:
        return ""  # as Dagster does for a tag without a value
    return str(value).lower() if isinstance(value, bool) else str(value)


@cache
def option_fields(run_class: type[RemoteRun[Any]]) -> tuple[Fields, dict[str, str]]:
    """Returns the fields for the options of a run, and the unavailable ones with the reason."""
    about = descriptions(build_remote_run_asset)

    def option(type_: Any, name: str, *, example: Any = None) -> tuple[Any, Any]:
        return field_of(type_, description=about[name], example=example)

    # The schema refuses what this kind of run cannot do. The model leaves that to `RunOptions`, which explains it.
    choices = [one for one in get_args(OnTimeout) if one != "cancel" or run_class.can_cancel()]
    on_timeout = Annotated[OnTimeout, WithJsonSchema({"type": "string", "enum": choices, "examples": choices[:1]})]
    gate, unavailable = gate_fields(run_class)
    checks, without_checks = checks_fields(run_class)
    fields: Fields = {
        "partitions_def": option(Partitions, "partitions_def"),
        "backfill_policy": option(BackfillPolicy, "backfill_policy"),
        "retry_policy": option(RetryPolicy, "retry_policy"),
        "pool": option(str, "pool"),
        "op_tags": option(AnyObject, "op_tags", example={"dagster/priority": "3"}),
        "hooks": field_of(
            str,
            description=f"{about['hooks']} As a template, from a function in your own module that "
            "`template_vars_module` names.",
            example="{{ our_hooks }}",
        ),
        "wait": option(Wait, "wait"),
        "backfill_wait": option(Wait, "backfill_wait"),
        "on_in_flight": option(OnInFlight, "on_in_flight"),
        "max_in_flight": option(WholeNumber, "max_in_flight"),
        "rerun_if_upstream_newer": option(StrictBool, "rerun_if_upstream_newer"),
        "timeout": option(Number, "timeout", example=3600),
        "on_timeout": option(on_timeout, "on_timeout"),
        "on_uncertain_start": option(OnUncertainStart, "on_uncertain_start"),
        "on_conflict": option(OnConflict, "on_conflict"),
        "on_missing_partition": option(OnMissingPartition, "on_missing_partition"),
        **gate,
        **checks,
    }
    return fields, {**unavailable, **without_checks}


def run_options(given: Mapping[str, Any], run_class: type[RemoteRun[Any]]) -> dict[str, Any]:
    """Returns the options of `build_remote_run_asset` that YAML sets.

    Raises:
        ValueError: A value is invalid.
        DagsterInvalidDefinitionError: An option does not fit the kind of run, or another option.
    """
    plain = {"wait", "backfill_wait", "on_in_flight", "rerun_if_upstream_newer", "on_timeout", "on_uncertain_start"}
    plain |= {"on_conflict", "on_missing_partition"}
    options = {name: value for name, value in given.items() if name in plain}
    if "timeout" in given:
        options["timeout"] = number("timeout", given["timeout"])
    if "max_in_flight" in given:
        options["max_in_flight"] = whole_number("max_in_flight", given["max_in_flight"])
    if "gate" in given:
        options["gate"] = QualityGate.model_validate(given["gate"])
    if "checks" in given:
        options["checks"] = check_settings(given["checks"], run_class)
    of_run = RunOptions(**{name: value for name, value in options.items() if name != "checks"})
    of_run.check_for(run_class)
    check_unused(given, run_class)
    if "pool" in given:
        options["pool"] = str(given["pool"])
    if "name" in given:
        options["name"] = checked_name(str(given["name"]))
    if "op_tags" in given:
        tags = given["op_tags"].items()
        options["op_tags"] = {name: value if isinstance(value, Mapping) else as_tag(value) for name, value in tags}
    if "hooks" in given:
        if isinstance(given["hooks"], str):
            raise ValueError(f"hooks is {given['hooks']!r}; write it as a template, such as {{{{ our_hooks }}}}")
        options["hooks"] = checked_hooks(given["hooks"], of_run)
    makers = {"partitions_def": partitions_def, "backfill_policy": backfill_policy, "retry_policy": retry_policy}
    return {**options, **{name: make(given[name]) for name, make in makers.items() if name in given}}
