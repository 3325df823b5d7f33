"""Converts a run's fields to Dagster config, so that a launch can override them in the launchpad."""

import types
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from enum import Enum
from functools import cache
from hashlib import sha256
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import dagster as dg
from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.field_errors import documented_fields, problems_of
from dagster_runs.sensors.registry import Watchable, resolve_asset

_SCALARS: Mapping[Any, Any] = {str: dg.String, int: dg.Int, float: dg.Float, bool: dg.Bool}


def run_config_for(asset: dg.AssetsDefinition | Watchable, **fields: Any) -> dict[str, Any]:
    """Returns the run config that overrides fields of an asset's run, for a schedule, a sensor or a test of your own.

    Dagster stores the run config with the run and shows it, so pass no secrets.

    Args:
        asset: An asset from `build_remote_run_asset`, or checks from `build_testgen_checks` or `build_testgen_profile`.
        **fields: The fields of its run, with their values.

    Raises:
        DagsterInvalidDefinitionError: There is no such asset or field, or a value is invalid.

    Example:
        ``dg.RunRequest(run_config=run_config_for(user_features, rebase_incremental=True))``
    """
    found = resolve_asset(asset)
    run, run_class = found.remote.run, found.remote.run_class
    for name in fields:
        if name not in run_class.model_fields:
            similar = get_close_matches(name, run_class.model_fields, n=1)
            hint = f"did you mean {similar[0]!r}?" if similar else f"its fields are {', '.join(run_class.model_fields)}"
            raise dg.DagsterInvalidDefinitionError(f"{run_class.__name__} has no field {name!r}; {hint}")
    if run is not None:
        try:
            changed = run.with_fields(fields)
        except ValidationError as error:
            raise dg.DagsterInvalidDefinitionError(problems_of(run_class, error)) from None
        fields = changed.model_dump(mode="json", include=set(fields))
    return {"ops": {found.executed.op.name: {"config": to_jsonable_python(fields)}}}


def present_values(run: RemoteRun[Any] | None) -> dict[str, Any]:
    """Returns the values that the launchpad shows: those that a run sets, except sensitive ones.

    Args:
        run: The run; ``None`` if a function creates it in the step.
    """
    if run is None:
        return {}
    shown = run.model_dump(mode="json", include=set(run.model_fields_set - run.sensitive_fields))
    return {name: value for name, value in shown.items() if value is not None}


def overrides(config: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of a launch that differ from those that the launchpad has shown.

    Dagster adds the shown values to the config of each launch. They are not what a person has set.

    Args:
        config: The config of the launch.
        present: The result of `present_values`.
    """
    return {name: value for name, value in config.items() if name not in present or value != present[name]}


def config_schema(run_class: type[RemoteRun[Any]], present: Mapping[str, Any]) -> dict[str, dg.Field]:
    """Returns an optional config field for each of the run's fields. Fields that are not set keep their values.

    Args:
        run_class: The kind of run.
        present: The result of `present_values`.
    """
    shared = _shared_schema(run_class)
    return {**shared, **{name: _with_default(shared[name], value) for name, value in present.items()}}


def _with_default(field: dg.Field, value: Any) -> dg.Field:
    try:
        return dg.Field(field.config_type, is_required=False, default_value=value, description=field.description)
    except dg.DagsterInvalidConfigError:  # a placeholder in a field that is not a text
        return field


@cache
def _shared_schema(run_class: type[RemoteRun[Any]]) -> dict[str, dg.Field]:
    """Built once for each kind of run, since a code location may have thousands of assets of one kind."""
    documented = documented_fields(run_class)
    # Dagster takes two enums of one name for the same, and classes outside the package may have the same name.
    is_ours = run_class.__module__.startswith("dagster_runs.")
    place = "" if is_ours else f"_{sha256(f'{run_class.__module__}.{run_class.__qualname__}'.encode()).hexdigest()[:6]}"
    return {
        name: dg.Field(
            _config_type(field.annotation, unique=f"{run_class.__name__}_{name}{place}"),
            is_required=False,
            description=f"Applies to this launch only. {field.description or documented.get(name) or ''}".rstrip(),
        )
        for name, field in run_class.model_fields.items()
    }


def _config_type(annotation: Any, *, unique: str) -> Any:  # noqa: PLR0911 - one return for each kind of type
    """Returns Dagster's config type for a field. The run still validates the value itself."""
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _config_type(arguments[0], unique=unique)
    if origin is Literal:
        # The config of an enum is text, which pydantic does not accept for a number.
        if not all(isinstance(choice, str) for choice in arguments):
            return dg.Any
        return dg.Enum(unique, [dg.EnumValue(choice) for choice in arguments])
    if origin in (Union, types.UnionType) and type(None) in arguments:
        others = [argument for argument in arguments if argument is not type(None)]
        inner = _config_type(others[0], unique=unique) if len(others) == 1 else dg.Any
        return inner if inner is dg.Any else dg.Noneable(inner)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return dict
    if isinstance(origin, type) and issubclass(origin, Sequence):
        is_mixed = len(arguments) > 1 and Ellipsis not in arguments  # tuple[int, str]
        return dg.Any if is_mixed else dg.Array(_config_type(arguments[0], unique=unique))
    if origin is None and isinstance(annotation, type) and issubclass(annotation, Enum):
        return dg.Enum(unique, [dg.EnumValue(str(member.value)) for member in annotation])
    if isinstance(annotation, type) and annotation.__module__ == "datetime":
        return dg.String
    return dg.Any
