"""Converts a run's fields to Dagster config, so that a launch can override them in the launchpad."""

import types
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import dagster as dg
import docstring_parser

from dagster_runs.remote_run.contract import RemoteRun

_SCALARS: Mapping[Any, Any] = {str: dg.String, int: dg.Int, float: dg.Float, bool: dg.Bool}


@cache
def config_schema(run_class: type[RemoteRun[Any]]) -> dict[str, dg.Field]:
    """Returns an optional config field for each of the run's fields. Fields that are not set keep their values.

    Built once for each kind of run, since a code location may have thousands of assets of one kind.
    """
    documented = {entry.arg_name: entry.description for entry in docstring_parser.parse(run_class.__doc__ or "").params}
    return {
        name: dg.Field(
            _config_type(field.annotation, unique=f"{run_class.__name__}_{name}"),
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
        return dg.Enum(unique, [dg.EnumValue(str(choice)) for choice in arguments])
    if origin in (Union, types.UnionType) and type(None) in arguments:
        others = [argument for argument in arguments if argument is not type(None)]
        inner = _config_type(others[0], unique=unique) if len(others) == 1 else dg.Any
        return inner if inner is dg.Any else dg.Noneable(inner)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return dict
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return dg.Array(_config_type(arguments[0], unique=unique))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return dg.Enum(unique, [dg.EnumValue(str(member.value)) for member in annotation])
    if isinstance(annotation, type) and annotation.__module__ == "datetime":
        return dg.String
    return dg.Any
