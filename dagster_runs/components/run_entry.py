"""The items of a component's lists: remote runs, each with the asset that it materializes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

import dagster as dg
from pydantic import StrictBool, create_model

from dagster_runs.components.asset_fields import (
    as_tag,
    describing_fields,
    key_field,
    name_field,
    option_fields,
    run_options,
)
from dagster_runs.components.plain_values import checked_key
from dagster_runs.components.templates import errors_located, resolved
from dagster_runs.components.yaml_model import Fields, YamlModel, field_of, fields_of
from dagster_runs.dagster_private import CheckError
from dagster_runs.remote_run.contract import RemoteRun

_OBSERVE_ONLY = "observe_only"
_OBJECTS = {"automation_condition": dg.AutomationCondition, "freshness_policy": None}


@dataclass(frozen=True)
class RunEntry:
    """One remote run with its asset, after templates are resolved.

    Attributes:
        run: The remote run.
        key: The asset's key; ``None`` if the translation may decide it.
        default_key: The asset's key if neither YAML nor the translation sets one.
        description_of_asset: The arguments of the asset's spec that YAML sets.
        options: The arguments of `build_remote_run_asset` that YAML sets.
        observe_only: Whether only the vendor starts the run.
        context: The context at the path of the item, for errors and for templates of the translation.
        props: The values that templates of the translation can use.
        defaults: Arguments of the asset's spec that apply where neither YAML nor the translation sets them.
        is_discovered: Whether the run was found at the vendor, and is not listed in YAML.
    """

    run: RemoteRun[Any]
    key: dg.AssetKey | None
    default_key: dg.AssetKey
    description_of_asset: Mapping[str, Any]
    options: Mapping[str, Any]
    observe_only: bool
    context: dg.ResolutionContext
    props: Mapping[str, Any]
    defaults: Mapping[str, Any]
    is_discovered: bool = False

    @property
    def description(self) -> str:
        """The run, for messages."""
        title = self.props.get("title")
        named = self.run.target if title is None else f"{title} ({self.run.target})"
        return f"The {self.run.label} {named} of {self.run.vendor}"

    def op_name(self, key: dg.AssetKey) -> str:
        """Returns the name of the op of this run.

        Args:
            key: The key of its asset.
        """
        if "name" in self.options:
            return str(self.options["name"])
        name = key.to_python_identifier()
        if "checks" in self.options:
            return f"{name}__checks"
        return f"{name}_checks" if self.observe_only else name

    def with_plain_names(self) -> "RunEntry":
        """Returns an entry whose names are possible everywhere, to find out whether they are what is wrong."""
        props = {name: value if name in ("kind", "id") or value is None else "a" for name, value in self.props.items()}
        return replace(self, props=props, defaults={})


def entry_model(run_class: type[RemoteRun[Any]]) -> type[YamlModel]:
    """Returns the model of the items of a list of runs."""
    run_fields = fields_of(run_class)
    options, unavailable = option_fields(run_class)
    unavailable_options = dict(unavailable)
    only: Fields = {}
    if run_class.recognizes_listed_runs():
        text = (
            "Whether only the vendor starts the run. Dagster then shows the asset without a button to materialize it."
        )
        only = {_OBSERVE_ONLY: field_of(StrictBool, description=text)}
    else:
        unavailable_options[_OBSERVE_ONLY] = f"{run_class.vendor} offers no way to list {run_class.label}s"

    class Entry(YamlModel):
        unavailable: ClassVar[Mapping[str, str]] = unavailable_options

        @classmethod
        def check(cls, given: dict[str, Any]) -> None:
            run_class.model_validate({name: value for name, value in given.items() if name in run_fields})
            run_options(given, run_class)
            _check_observe_only(given, {*options, "name"})
            dg.AssetSpec(checked_key("key", given["key"]), deps=_deps(given))
            spec_arguments({name: value for name, value in given.items() if name in describing})

    describing = describing_fields()
    deps = {"deps": _deps_field()}
    fields = {**run_fields, **key_field(is_required=True), **deps, **describing, **name_field(), **options, **only}
    documentation = (run_class.__doc__ or "").split("\n\n", maxsplit=1)[0]
    model: type[YamlModel] = create_model(run_class.__name__, __base__=Entry, __doc__=documentation, **fields)  # type: ignore[call-overload]
    return model


def options_model(run_class: type[RemoteRun[Any]]) -> type[YamlModel]:
    """Returns the model of the options that apply to all discovered runs of a kind."""
    options, unavailable_options = option_fields(run_class)

    class Options(YamlModel):
        unavailable: ClassVar[Mapping[str, str]] = unavailable_options

        @classmethod
        def check(cls, given: dict[str, Any]) -> None:
            run_options(given, run_class)

    model: type[YamlModel] = create_model(f"OptionsOf{run_class.__name__}", __base__=Options, **options)  # type: ignore[call-overload]
    return model


def _deps_field() -> tuple[Any, Any]:
    return field_of(list[str], description="The upstream assets, as keys with slashes.", example=["stg_orders"])


def _check_observe_only(given: Mapping[str, Any], options: Collection[str]) -> None:
    if not given.get(_OBSERVE_ONLY):
        return
    unused = [name for name in given if name in options and name != "gate"]
    if unused:
        raise ValueError(
            f"{unused[0]} has no effect with observe_only: true, because Dagster does not start the run. Delete one of "
            "the two."
        )


def spec_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns arguments of an `AssetSpec` for the describing fields of YAML.

    Raises:
        ValueError: A value is invalid.
        DagsterInvalidDefinitionError: The same, if the rule is Dagster's.
    """
    found = dict(given)
    if "tags" in found:
        found["tags"] = {name: as_tag(value) for name, value in found["tags"].items()}
    for name in ("group_name", "description", "code_version"):
        if name in found and found[name] is not None:
            found[name] = str(found[name])
    if "kinds" in found:
        found["kinds"] = set(found["kinds"])
    for name, expected in _OBJECTS.items():
        value = found.get(name)
        if isinstance(value, str) or (value is not None and expected and not isinstance(value, expected)):
            example = "{{ automation_condition.eager() }}" if expected else "{{ name_of_a_template_variable }}"
            raise ValueError(f"{name} is {value!r}; write it as a template, such as {example}")
    for name, value in found.items():
        try:
            dg.AssetSpec("any", **{name: value})
        except (ValueError, dg.DagsterError, CheckError) as error:
            detail = str(error).replace(" for asset 'AssetKey(['any'])'", "")
            raise ValueError(f"{name}: {detail[:1].lower()}{detail[1:]}") from None
    return found


def _deps(given: Mapping[str, Any]) -> list[dg.AssetKey]:
    return [checked_key("deps", one) for one in given.get("deps", ())]


def resolve_entry(
    run_class: type[RemoteRun[Any]], given: Mapping[str, Any], context: dg.ResolutionContext, kind: str
) -> RunEntry:
    """Returns an item with its templates resolved.

    Args:
        run_class: The kind of run.
        given: The fields that YAML sets.
        context: The context at the path of the item.
        kind: The name of the list.

    Raises:
        DagsterInvalidDefinitionError: A value is invalid, or a variable is not set. The message names the line.
    """
    values: dict[str, Any] = resolved(context, dict(given))
    options, _ = option_fields(run_class)
    run_values = {
        name: _as_declared(run_class, name, values[name]) for name in values if name in run_class.model_fields
    }
    with errors_located(context):
        run = run_class.model_validate(run_values)
        checked = run_options(values, run_class)
        _check_observe_only(values, {*options, "name"})
    described: dict[str, Any] = {}
    for name in describing_fields():
        if name in values:
            with errors_located(context.at_path(name)):
                described |= spec_arguments({name: values[name]})
    if "deps" in values:
        described["deps"] = [
            key_from(context.at_path("deps").at_path(index), one) for index, one in enumerate(values["deps"])
        ]
    key = key_from(context.at_path("key"), values["key"])
    return RunEntry(
        run=run,
        key=key,
        default_key=key,
        description_of_asset=described,
        options=checked,
        observe_only=bool(values.get(_OBSERVE_ONLY)),
        context=context,
        props={"kind": kind, "name": key.path[-1], **run_values},
        defaults={},
    )


def _as_declared(run_class: type[RemoteRun[Any]], name: str, value: Any) -> Any:
    """Returns a value as a string if Dagster evaluated it to a number, but the field is a string."""
    is_text = name in _text_fields(run_class)
    return str(value) if is_text and isinstance(value, (int, float)) else value


@cache
def _text_fields(run_class: type[RemoteRun[Any]]) -> frozenset[str]:
    return frozenset(name for name, (type_, _) in fields_of(run_class).items() if type_ is str)


def key_from(context: dg.ResolutionContext, value: Any) -> dg.AssetKey:
    """Returns the asset key that YAML contains.

    Raises:
        DagsterInvalidDefinitionError: It is not a valid key. The message names the line.
    """
    with errors_located(context):
        return checked_key(str(context.path[-1]), value)
